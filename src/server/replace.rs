//! Replaces a file in one step: readers find the old content or the new content, never a part.

use std::{
    fs::Permissions,
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

/// Writes `content` to a temporary file in the same folder, and renames that file once its content is on disk. The
/// file's permissions are `mode` without the bits of the umask.
///
/// # Errors
///
/// The folder or the file cannot be written; the old file stays as it is.
pub(super) fn replace(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut new = tempfile::Builder::new()
        .prefix(".linkpush-")
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(folder.unwrap_or(Path::new(".")))?;
    new.write_all(content)?;
    new.as_file().sync_all()?;
    new.persist(path)?;
    Ok(())
}

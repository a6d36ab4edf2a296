//! Replaces a file in one step: readers find the old content or the new content, never a part.

use std::{
    fs::Permissions,
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

/// A failure that a replaced file must outlast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Durability {
    /// A crash of the machine: the new content is on disk before the old content goes.
    Disk,
    /// The end of this process only.
    Memory,
}

/// Writes `content` to a temporary file in the same folder, and renames that file. The file's permissions are `mode`
/// without the bits of the umask.
///
/// # Errors
///
/// The folder or the file cannot be written; the old file stays as it is.
pub(super) fn replace(path: &Path, content: &[u8], mode: u32, durability: Durability) -> io::Result<()> {
    let mut new = tempfile::Builder::new()
        .prefix(".linkpush-")
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(folder_of(path))?;
    new.write_all(content)?;
    if durability == Durability::Disk {
        new.as_file().sync_all()?;
    }
    new.persist(path)?;
    Ok(())
}

/// Returns the folder that a file is in.
pub(super) fn folder_of(path: &Path) -> &Path {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

//! Manifests over restarts: read at the start, written now and then and at the end.

use std::{
    fs, io,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use log::{info, warn};

use crate::{
    config::Manifests,
    learn::{Content, ManifestStore, decode, encode},
};

/// The store of a configuration, with what its file holds. A file that cannot be used is set aside:
/// what is in it can be learned again.
pub(super) fn load(manifests: &Manifests) -> ManifestStore {
    let content = manifests.file.as_deref().and_then(read);
    let Some(content) = content else {
        return ManifestStore::new(manifests.limits, secret());
    };
    let store = ManifestStore::new(manifests.limits, content.secret);
    for saved in content.documents {
        store.restore(saved.key, saved.last_seen, saved.links);
    }
    store
}

fn read(path: &Path) -> Option<Content> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return None,
        Err(e) => {
            warn!("manifests: {} cannot be read, starting without: {e}", path.display());
            return None;
        }
    };
    match decode(&bytes) {
        Ok(content) => {
            info!(
                "manifests: {} documents from {}",
                content.documents.len(),
                path.display()
            );
            Some(content)
        }
        Err(e) => {
            let aside = path.with_extension("bad");
            warn!("manifests: {}: {e}; set aside as {}", path.display(), aside.display());
            if let Err(e) = fs::rename(path, &aside) {
                warn!("manifests: {} cannot be set aside: {e}", path.display());
            }
            None
        }
    }
}

/// Writes what is delivered now, in place of the old file at once.
pub(super) fn save(store: &ManifestStore, path: &Path) {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let text = encode(store.hasher(), &store.snapshot(now));
    let new = path.with_extension("new");
    let written = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        // The secret in it keeps its keys from being guessed.
        .mode(0o600)
        .open(&new)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&new, path));
    if let Err(e) = written {
        warn!("manifests: {} cannot be written: {e}", path.display());
    }
}

/// From the system's random numbers, by way of the standard library's hash keys.
pub(super) fn secret() -> (u64, u64) {
    use std::hash::{BuildHasher as _, RandomState};
    (RandomState::new().hash_one(0), RandomState::new().hash_one(1))
}

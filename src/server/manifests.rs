//! Manifests over restarts: read at the start, written now and then and at the end.

use std::{
    fs, io,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use log::{info, warn};

use super::replace::{Durability, replace};
use crate::{
    config::ManifestsPolicy,
    learn::{Content, ManifestStore, decode, encode},
    url_hash::random_secret,
};

/// The store of a configuration, with what its file holds. A file that cannot be used is set aside:
/// what is in it can be learned again.
pub(super) fn load(manifests: &ManifestsPolicy) -> ManifestStore {
    let content = manifests.file.as_deref().and_then(read);
    let Some(content) = content else {
        return ManifestStore::new(manifests.limits, random_secret());
    };
    let store = ManifestStore::new(manifests.limits, content.secret);
    content.documents.iter().for_each(|saved| store.restore(saved));
    store
}

fn read(path: &Path) -> Option<Content<'static>> {
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
    let written = encode(store.hasher(), store.snapshot(now))
        .map_err(Into::into)
        // The secret of the keys is in the file: nobody else may read it.
        .and_then(|text| replace(path, text.as_bytes(), 0o600, Durability::Disk));
    if let Err(e) = written {
        warn!("manifests: {} cannot be written: {e}", path.display());
    }
}

//! Tries the paths that a server will write, before it needs them.
//!
//! Nothing is made or changed: the try in a folder is a file without a name, and the one of a file opens it.

use std::{
    fs::{self, OpenOptions},
    io,
    os::unix::fs::FileTypeExt as _,
    path::{Path, PathBuf},
};

use super::{
    process::{PidFile, check_content},
    replace::folder_of,
};
use crate::config::{AdminEndpoint, ProcessPolicy};

/// A path of the configuration that the server could not write.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be written: {cause}", path.display())]
pub struct Unwritable {
    /// The setting that names the path, `server.pid_file`.
    pub setting: &'static str,
    /// The path.
    pub path: PathBuf,
    /// The reason.
    pub cause: UnwritableCause,
}

/// Why a path cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum UnwritableCause {
    /// The folder of the path is not there.
    #[error("there is no folder {}", .0.display())]
    NoFolder(PathBuf),
    /// Files cannot be made in the folder of the path.
    #[error("no file can be made in {}: {source}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Something stands at the path that must not be replaced.
    #[error("there is {0} at this path")]
    Occupied(&'static str),
    /// The file at the path has other content than a process id.
    #[error("the file has other content than a process id")]
    Content,
    /// The file at the path cannot be opened for writing.
    #[error(transparent)]
    File(io::Error),
    /// A path beside the file is too long for a socket.
    #[error("{} is too long for the socket of an upgrade, at most {most} bytes", socket.display())]
    Long {
        /// The path of the socket.
        socket: PathBuf,
        /// Most bytes of such a path.
        most: usize,
    },
}

/// Returns the paths of a configuration that this process could not write.
#[must_use]
pub fn unwritable(process: &ProcessPolicy) -> Vec<Unwritable> {
    let mut found = Vec::new();
    let mut check = |setting, path: Option<&Path>, check: fn(&Path) -> Result<(), UnwritableCause>| {
        let path = path.map(Path::to_owned);
        found.extend(path.and_then(|path| {
            let cause = check(&path).err()?;
            Some(Unwritable { setting, path, cause })
        }));
    };
    check("server.pid_file", process.pid_file.as_deref(), pid_file);
    check("server.manifests.file", process.manifests.file.as_deref(), replaced);
    let socket = match &process.admin {
        Some(AdminEndpoint::Socket(path)) => Some(path.as_path()),
        _ => None,
    };
    check("server.admin", socket, unix_socket);
    check("server.log.file", process.log.file.as_deref(), appended);
    found
}

/// Checks the path of a file that is written in place, with others beside it.
fn pid_file(path: &Path) -> Result<(), UnwritableCause> {
    folder(path)?;
    let (socket, most) = (
        PidFile::new(path.to_owned()).socket().to_owned(),
        super::process::MAX_SOCKET_PATH,
    );
    if socket.as_os_str().len() > most {
        return Err(UnwritableCause::Long { socket, most });
    }
    match kind(path)? {
        None => return Ok(()),
        Some(kind) if kind.is_file() => {}
        Some(kind) => return Err(UnwritableCause::Occupied(word(kind))),
    }
    let open = OpenOptions::new().read(true).write(true).open(path);
    let file = open.map_err(UnwritableCause::File)?;
    check_content(&file, path).map_err(|_| UnwritableCause::Content)
}

/// Checks the path of a file that another one takes the place of.
fn replaced(path: &Path) -> Result<(), UnwritableCause> {
    folder(path)?;
    match kind(path)? {
        Some(kind) if !kind.is_file() => Err(UnwritableCause::Occupied(word(kind))),
        _ => Ok(()),
    }
}

/// Checks the path of a file to which lines are appended; any device will do, too.
fn appended(path: &Path) -> Result<(), UnwritableCause> {
    match kind(path)? {
        None => folder(path),
        Some(kind) if kind.is_dir() => Err(UnwritableCause::Occupied(word(kind))),
        Some(_) => {
            let open = OpenOptions::new().append(true).open(path);
            open.map(drop).map_err(UnwritableCause::File)
        }
    }
}

/// Checks the path of a socket: what stands there must be a socket, which the server replaces.
fn unix_socket(path: &Path) -> Result<(), UnwritableCause> {
    folder(path)?;
    match kind(path)? {
        Some(kind) if !kind.is_socket() => Err(UnwritableCause::Occupied(word(kind))),
        _ => Ok(()),
    }
}

/// Checks that files can be made in the folder of a path.
fn folder(path: &Path) -> Result<(), UnwritableCause> {
    let folder = folder_of(path);
    match tempfile::tempfile_in(folder) {
        Ok(_) => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Err(UnwritableCause::NoFolder(folder.to_owned())),
        Err(source) => Err(UnwritableCause::Folder {
            folder: folder.to_owned(),
            source,
        }),
    }
}

/// Returns the kind of file at a path, if there is one.
fn kind(path: &Path) -> Result<Option<fs::FileType>, UnwritableCause> {
    match fs::metadata(path) {
        Ok(there) => Ok(Some(there.file_type())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(UnwritableCause::File(e)),
    }
}

fn word(kind: fs::FileType) -> &'static str {
    if kind.is_dir() {
        "a folder"
    } else if kind.is_socket() {
        "a socket"
    } else if kind.is_file() {
        "a file"
    } else {
        "a device or pipe"
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::config::ManifestsPolicy;

    fn found(folder: &Path, pid: &str, manifests: &str, admin: &str) -> Vec<String> {
        let at = |name: &str| (!name.is_empty()).then(|| folder.join(name));
        let process = ProcessPolicy {
            pid_file: at(pid),
            manifests: ManifestsPolicy {
                file: at(manifests),
                ..ManifestsPolicy::default()
            },
            admin: at(admin).map(AdminEndpoint::Socket),
            ..ProcessPolicy::default()
        };
        let found = unwritable(&process);
        let text = |found: Unwritable| format!("{}: {found}", found.setting).replace(&*folder.to_string_lossy(), "");
        found.into_iter().map(text).collect()
    }

    #[test]
    fn good_paths_are_tried_without_a_trace() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let names = || {
            let entries = fs::read_dir(folder.path()).expect("a folder");
            let mut names: Vec<_> = entries.map(|entry| entry.expect("an entry").file_name()).collect();
            names.sort();
            names
        };
        assert_eq!(
            found(folder.path(), "a.pid", "manifests", "admin.sock"),
            Vec::<String>::new()
        );
        assert!(names().is_empty());
        fs::write(folder.path().join("a.pid"), "17\n").expect("a file");
        fs::write(folder.path().join("manifests"), "{}").expect("a file");
        let _socket = UnixListener::bind(folder.path().join("admin.sock")).expect("a socket");
        let before = names();
        assert_eq!(
            found(folder.path(), "a.pid", "manifests", "admin.sock"),
            Vec::<String>::new()
        );
        assert_eq!(names(), before);
        assert_eq!(fs::read_to_string(folder.path().join("a.pid")).expect("a file"), "17\n");
        assert_eq!(
            fs::read_to_string(folder.path().join("manifests")).expect("a file"),
            "{}"
        );
    }

    #[test]
    fn bad_paths_have_their_setting_and_cause() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir(folder.path().join("folder")).expect("a folder");
        fs::write(folder.path().join("file"), "not a process").expect("a file");
        let _socket = UnixListener::bind(folder.path().join("socket")).expect("a socket");
        assert_eq!(
            found(folder.path(), "no/a.pid", "no/manifests", "no/admin"),
            [
                "server.pid_file: /no/a.pid cannot be written: there is no folder /no",
                "server.manifests.file: /no/manifests cannot be written: there is no folder /no",
                "server.admin: /no/admin cannot be written: there is no folder /no",
            ]
        );
        assert_eq!(
            found(folder.path(), "folder", "folder", "folder"),
            [
                "server.pid_file: /folder cannot be written: there is a folder at this path",
                "server.manifests.file: /folder cannot be written: there is a folder at this path",
                "server.admin: /folder cannot be written: there is a folder at this path",
            ]
        );
        assert_eq!(
            found(folder.path(), "file", "socket", "file"),
            [
                "server.pid_file: /file cannot be written: the file has other content than a process id",
                "server.manifests.file: /socket cannot be written: there is a socket at this path",
                "server.admin: /file cannot be written: there is a file at this path",
            ]
        );
        assert_eq!(
            fs::read_to_string(folder.path().join("file")).expect("a file"),
            "not a process"
        );
        let [said] = &found(folder.path(), "file/a.pid", "", "")[..] else {
            unreachable!("one")
        };
        assert!(said.contains("no file can be made in /file: Not a directory"), "{said}");
        let [said] = &found(folder.path(), &"a".repeat(100), "", "")[..] else {
            unreachable!("one")
        };
        assert!(
            said.ends_with("is too long for the socket of an upgrade, at most 107 bytes"),
            "{said}"
        );
    }

    #[test]
    fn a_log_is_a_file_or_a_device_to_append_to() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("edge.log");
        let tried = |path: &Path| appended(path).map_err(|cause| cause.to_string());
        assert_eq!(tried(&file), Ok(()));
        assert!(!file.exists());
        fs::write(&file, "line\n").expect("a file");
        assert_eq!(tried(&file), Ok(()));
        assert_eq!(fs::read_to_string(&file).expect("a file"), "line\n");
        assert_eq!(tried(Path::new("/dev/null")), Ok(()));
        assert_eq!(
            tried(folder.path()),
            Err("there is a folder at this path".to_owned()),
            "no folder"
        );
        let absent = tried(&folder.path().join("absent/edge.log")).expect_err("no folder");
        assert!(absent.starts_with("there is no folder "), "{absent}");
    }

    #[test]
    fn a_folder_in_which_nothing_can_be_made_is_told() {
        // The kernel's, in which root makes no file either.
        let said = found(Path::new("/proc"), "a.pid", "", "");
        let [said] = &said[..] else { unreachable!("{said:?}") };
        assert!(
            said.starts_with("server.pid_file: /a.pid cannot be written: "),
            "{said}"
        );
    }
}

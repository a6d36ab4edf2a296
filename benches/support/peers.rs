//! The other proxies, with one worker each, push switched on where they have it, and no access log.
//! All speak HTTP/2 in cleartext, by prior knowledge, and keep their connections to the origin.

/// One other proxy: its program, how it tells its version, its configuration and arguments.
#[derive(Debug)]
pub(crate) struct Peer {
    /// As people call it.
    pub(crate) name: &'static str,
    /// Its command.
    pub(crate) program: &'static str,
    /// The argument that makes it tell its version.
    pub(crate) version: &'static str,
    /// `LISTEN`, which is `HOST` and `PORT`, `ORIGIN`, `ORIGIN_PORT` and `FOLDER` are filled in.
    pub(crate) config: &'static str,
    /// `CONFIG` is the file's path; the others as above.
    pub(crate) args: &'static [&'static str],
    /// Whether it pushes what a response links to.
    pub(crate) pushes: bool,
    /// Whether it is configured to cache what is below `/cached/`.
    pub(crate) caches: bool,
}

/// All of them.
pub(crate) const PEERS: [Peer; 6] = [
    Peer {
        name: "nginx",
        program: "nginx",
        version: "-v",
        config: include_str!("peers/nginx.conf"),
        args: &["-c", "CONFIG"],
        pushes: true,
        caches: true,
    },
    Peer {
        name: "nghttpx",
        program: "nghttpx",
        version: "--version",
        config: include_str!("peers/nghttpx.conf"),
        args: &["--conf=CONFIG"],
        pushes: true,
        caches: false,
    },
    Peer {
        name: "h2o",
        program: "h2o",
        version: "--version",
        config: include_str!("peers/h2o.yaml"),
        args: &["-c", "CONFIG"],
        pushes: true,
        caches: false,
    },
    Peer {
        name: "Apache",
        program: "apache2",
        version: "-v",
        config: include_str!("peers/apache.conf"),
        args: &["-f", "CONFIG", "-DFOREGROUND"],
        pushes: true,
        caches: true,
    },
    Peer {
        name: "Caddy",
        program: "caddy",
        version: "version",
        config: include_str!("peers/Caddyfile"),
        args: &["run", "--adapter", "caddyfile", "--config", "CONFIG"],
        pushes: true,
        caches: false,
    },
    Peer {
        name: "HAProxy",
        program: "haproxy",
        version: "-v",
        config: include_str!("peers/haproxy.cfg"),
        args: &["-f", "CONFIG"],
        pushes: false,
        caches: true,
    },
];

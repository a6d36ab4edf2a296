//! Lists the other proxies, with one worker each, push enabled where they have it, and no access log. All speak HTTP/2
//! in cleartext by prior knowledge, and have persistent connections to the origin.

/// Another proxy.
#[derive(Debug)]
pub(crate) struct Peer {
    /// Its usual name.
    pub(crate) name: &'static str,
    /// Its command.
    pub(crate) program: &'static str,
    /// The argument that makes the command print its version.
    pub(crate) version: &'static str,
    /// Its configuration. `LISTEN` (which is `HOST` and `PORT`), `ORIGIN`, `ORIGIN_PORT` and `FOLDER` are filled in.
    pub(crate) config: &'static str,
    /// Its arguments. `CONFIG`, the path of the configuration, is filled in, and the words of `config`.
    pub(crate) args: &'static [&'static str],
    /// Whether it pushes the assets that a response links to.
    pub(crate) pushes: bool,
    /// Whether it is configured to cache assets below `/cached/`.
    pub(crate) caches: bool,
}

/// All peers.
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

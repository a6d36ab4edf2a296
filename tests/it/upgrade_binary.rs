//! A new process takes over from the old one, without a lost request.

use std::{
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use tokio::task::JoinSet;

use crate::{
    http1::exchange,
    reload::good_in,
    support::{
        client::Client,
        edge::{BINARY, Edge, config},
        h2load::H2load,
        origin::{Origin, Step, response},
        within,
    },
};

/// A port that was free a moment ago: an address that two processes must agree on.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}

fn configured(origin: SocketAddr, port: u16) -> String {
    // One thread: another runtime than the tests' others have.
    let rest = "server: { threads: 1, pid_file: '{folder}/linkpush.pid' }\nroutes: [{ name: pages, upstream: app, push: auto }]";
    config(origin, rest).replace("127.0.0.1:0", &format!("127.0.0.1:{port}"))
}

async fn upgrade(edge: &Edge) -> String {
    let mut command = Command::new(BINARY);
    command.args(["upgrade", "--config"]).arg(edge.config_file());
    let output = tokio::task::spawn_blocking(move || command.output())
        .await
        .expect("no panic")
        .expect("the binary runs");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{said}");
    said
}

/// Clients at work until told to stop.
#[derive(Default)]
struct Load {
    stop: AtomicBool,
    answered: AtomicUsize,
    again: AtomicUsize,
}

impl Load {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::SeqCst)
    }

    /// Pages with pushes on one HTTP/2 connection after another: a new one once a GOAWAY came.
    async fn http2(self: Arc<Self>, address: SocketAddr) {
        let mut client = Client::connect(address).await;
        while self.goes_on() {
            let request = client.get_request("/", &[]);
            match client.clone().try_fetch(request).await {
                Ok(page) => {
                    assert_eq!(page.answer.body, b"page");
                    for push in &page.pushes {
                        assert_eq!(push.delivered().body, b"asset");
                    }
                    self.answered.fetch_add(1, Ordering::SeqCst);
                }
                // Not served, and said so (RFC 9113 section 6.8): every client asks again.
                Err(e) if e.is_go_away() || e.reason() == Some(h2::Reason::REFUSED_STREAM) => {
                    self.again.fetch_add(1, Ordering::SeqCst);
                    client = Client::connect(address).await;
                }
                Err(e) if e.is_io() || e.is_library() => panic!("a request was lost: {e}"),
                Err(e) => panic!("a request failed: {e}"),
            }
        }
    }

    /// A connection a request: each is served or never accepted.
    async fn http1(self: Arc<Self>, address: SocketAddr) {
        while self.goes_on() {
            let answer = exchange(address, "/", &[]).await;
            assert!(
                answer.starts_with("HTTP/1.1 200") && answer.ends_with("page"),
                "{answer:?}"
            );
            self.answered.fetch_add(1, Ordering::SeqCst);
        }
    }
}

#[tokio::test]
async fn an_upgrade_under_load_costs_no_request() {
    upgrades_under_load(1).await;
}

/// `cargo test --release --test it -- --ignored soak_upgrades`
#[tokio::test]
#[ignore = "takes a minute"]
async fn soak_upgrades_under_load_cost_no_request() {
    upgrades_under_load(5).await;
}

/// Another program's load for as long as the upgrades take: a new HTTP/2 connection for each request,
/// since h2load asks no more once a GOAWAY came, and counts as failed what it did not ask.
fn h2load(address: SocketAddr, upgrades: usize) -> H2load {
    const RATE: usize = 100;
    const SECONDS_PER_UPGRADE: usize = 6;
    let connections = (upgrades * SECONDS_PER_UPGRADE * RATE).to_string();
    let rate = RATE.to_string();
    let arguments = ["-n", &connections, "-c", &connections, "-r", &rate, "-m", "1"];
    H2load::start(&arguments, address, "/")
}

async fn upgrades_under_load(upgrades: usize) {
    let origin = Origin::start().await;
    let link = [("link", "</a.css>; rel=preload; as=style")];
    origin.serve_ok("/", &link, b"page").asset("/a.css", b"asset");
    let edge = Edge::with(&configured(origin.address, free_port())).await;
    let load = Arc::<Load>::default();
    let mut clients = JoinSet::new();
    for _ in 0..4 {
        clients.spawn(Arc::clone(&load).http2(edge.address));
        clients.spawn(Arc::clone(&load).http1(edge.address));
    }
    let h2load = h2load(edge.address, upgrades);
    for done in 1..=upgrades {
        let before = load.answered.load(Ordering::SeqCst);
        let said = upgrade(&edge).await;
        assert!(said.contains("serves; process"), "{said}");
        // The old process accepts for five seconds more, then its connections finish.
        edge.lines("every connection has finished", done).await;
        assert!(load.answered.load(Ordering::SeqCst) > before, "the load went on");
        if let Some(ended) = clients.try_join_next() {
            ended.expect("no client fails");
        }
    }
    load.stop.store(true, Ordering::SeqCst);
    while let Some(ended) = clients.join_next().await {
        ended.expect("no client fails");
    }
    h2load.ends_well().await;
    eprintln!(
        "{} answered, {} asked again after a GOAWAY",
        load.answered.load(Ordering::SeqCst),
        load.again.load(Ordering::SeqCst)
    );
}

#[tokio::test]
async fn what_is_in_flight_finishes_in_the_old_process() {
    let origin = Origin::start().await;
    origin.on(
        "/slow",
        [Step::Gate("answer"), Step::Send(response("200 OK", &[], b"page"))],
    );
    origin.serve_ok("/", &[], b"page");
    let mut edge = Edge::with(&configured(origin.address, free_port())).await;
    let client = Client::connect(edge.address).await;
    let slow = client.begin("/slow");
    origin.request("/slow").await;
    upgrade(&edge).await;
    assert_eq!(Client::connect(edge.address).await.get("/").await.answer.body, b"page");
    origin.open("answer");
    let page = within("the slow answer", slow)
        .await
        .expect("no panic")
        .expect("an answer");
    assert_eq!(page.answer.body, b"page");
    assert!(edge.ended().await, "the old process ends well");
    assert_eq!(Client::connect(edge.address).await.get("/").await.answer.body, b"page");
    // The new process writes into the same pipe.
    assert_eq!(edge.count_lines(" ERROR "), 0, "{:?}", edge.log());
}

#[tokio::test]
async fn systemd_is_told_of_the_new_process_and_of_no_end() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("notify");
    let socket = tokio::net::UnixDatagram::bind(&path).expect("a socket");
    let origin = Origin::start().await;
    let mut edge = Edge::with_env(
        &configured(origin.address, free_port()),
        &[("NOTIFY_SOCKET", path.as_os_str())],
    )
    .await;
    let old = edge.pid();
    upgrade(&edge).await;
    assert!(edge.ended().await, "the old process ends well");
    // It has said all that it ever will.
    let mut told = Vec::new();
    let mut message = [0; 256];
    while let Ok(length) = socket.try_recv(&mut message) {
        told.push(String::from_utf8_lossy(&message[..length]).trim().to_owned());
    }
    let [first, second] = told.as_slice() else {
        panic!("{told:?}");
    };
    assert_eq!(*first, format!("MAINPID={old}\nREADY=1"));
    assert!(
        second.starts_with("MAINPID=") && second.ends_with("\nREADY=1"),
        "{second}"
    );
    assert_ne!(first, second);
}

#[tokio::test]
async fn a_sigint_after_the_hand_over_cuts_what_is_in_flight() {
    let origin = Origin::start().await;
    origin.on("/slow", [Step::Gate("never")]);
    let mut edge = Edge::with(&configured(origin.address, free_port())).await;
    let client = Client::connect(edge.address).await;
    let slow = client.begin("/slow");
    origin.request("/slow").await;
    upgrade(&edge).await;
    edge.signal("INT");
    assert!(edge.ended().await);
    assert!(slow.await.expect("no panic").is_err());
}

#[tokio::test]
async fn a_failed_upgrade_leaves_the_old_process_at_work() {
    let origin = Origin::start().await;
    origin.serve_ok("/", &[], b"page");
    let edge = Edge::with(&configured(origin.address, free_port())).await;
    edge.rewrite("listeners: [");
    edge.signal("USR2");
    edge.log_line(&["no upgrade: the new process ended with"]).await;
    // The next one is not held up by it.
    edge.signal("USR2");
    edge.lines("no upgrade: the new process ended with", 2).await;
    // Nobody waits for the sockets.
    edge.signal("QUIT");
    edge.log_line(&["no process waits for the sockets"]).await;
    assert_eq!(Client::connect(edge.address).await.get("/").await.answer.body, b"page");
}

#[tokio::test]
async fn the_command_has_the_reason_of_the_new_process() {
    let origin = Origin::start().await;
    origin.serve_ok("/", &[], b"page");
    let binaries = tempfile::tempdir().expect("a temporary folder");
    let binary = binaries.path().join("linkpush");
    std::fs::copy(BINARY, &binary).expect("a copy");
    let port = free_port();
    let edge = Edge::of_binary(&binary, &configured(origin.address, port)).await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let upgrade = || {
        let mut command = Command::new(BINARY);
        command.args(["upgrade", "--config"]).arg(edge.config_file());
        let output = command.current_dir(folder.path()).output().expect("the binary runs");
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    // The file is good for the command, but not for the new process, which stands elsewhere.
    let good_here = good_in(folder.path(), origin.address);
    edge.rewrite(&good_here.replace("127.0.0.1:0", &format!("127.0.0.1:{port}")));
    let said = upgrade();
    let nothing = format!(
        "process {} has changed nothing:\nthe new process ended with exit status: 1:\n",
        edge.pid()
    );
    assert!(said.contains(&nothing), "{said}");
    assert!(
        said.contains("listeners[0].tls.certificates[0].cert: must be a PEM file"),
        "{said}"
    );
    edge.rewrite(&configured(origin.address, port));
    // Not the binary that runs is written into, but another one takes its place.
    let replace = |text: &str| {
        let new = binaries.path().join("new");
        std::fs::write(&new, text).expect("a file");
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&new, mode).expect("a file");
        std::fs::rename(&new, &binary).expect("a file");
    };
    // A program that knows nothing of its task.
    replace("#!/bin/sh\nexit 3\n");
    let said = upgrade();
    assert!(said.ends_with("the new process ended with exit status: 3\n"), "{said}");
    // No program at all.
    replace("no program");
    let said = upgrade();
    assert!(
        said.contains(&format!("{} cannot be started: ", binary.display())),
        "{said}"
    );
    // Nothing of this is left.
    let pid_file = edge.config_file().with_file_name("linkpush.pid");
    let id = std::fs::read_to_string(&pid_file).expect("a pid file");
    assert_eq!(id, format!("{}\n", edge.pid()));
    assert!(!pid_file.with_extension("pid.failure").exists());
    assert_eq!(Client::connect(edge.address).await.get("/").await.answer.body, b"page");
}

/// Starts a second server with the files of this one; returns what it says at its end.
fn second(edge: &Edge) -> String {
    let mut command = Command::new(BINARY);
    command.args(["run", "--config"]).arg(edge.config_file());
    let output = command.output().expect("the binary runs");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn a_second_server_leaves_the_pid_file_to_the_first_and_to_its_successor() {
    let origin = Origin::start().await;
    origin.on("/slow", [Step::Gate("never")]);
    // The second server could listen: on any free port.
    let rest = "server: { pid_file: '{folder}/linkpush.pid' }\nroutes: [{ name: pages, upstream: app }]";
    let edge = Edge::with(&config(origin.address, rest)).await;
    let pid_file = edge.config_file().with_file_name("linkpush.pid");
    let id = || std::fs::read_to_string(&pid_file).expect("a pid file");
    let first = id();
    let held = |id: &str| {
        let file = pid_file.display();
        format!("server.pid_file: {file} is held by process {}, which runs", id.trim())
    };
    assert!(second(&edge).contains(&held(&first)), "{}", second(&edge));
    assert_eq!(id(), first);
    drop(edge);

    let mut edge = Edge::with(&configured(origin.address, free_port())).await;
    let pid_file = edge.config_file().with_file_name("linkpush.pid");
    let id = || std::fs::read_to_string(&pid_file).expect("a pid file");
    let held = |id: &str| format!("is held by process {}, which runs", id.trim());
    let client = Client::connect(edge.address).await;
    let slow = client.begin("/slow");
    origin.request("/slow").await;
    upgrade(&edge).await;
    // Both run: the old one has a request that never ends.
    let successor = id();
    assert_ne!(successor, format!("{}\n", edge.pid()));
    assert!(second(&edge).contains(&held(&successor)));
    edge.lines("waiting for connections to finish", 1).await;
    edge.signal("TERM");
    assert!(edge.ended().await);
    assert!(slow.await.expect("no panic").is_err());
    assert_eq!(id(), successor, "the old process leaves the file alone");
    assert!(second(&edge).contains(&held(&successor)));
    // The lock went on to a third.
    upgrade(&edge).await;
    assert_ne!(id(), successor);
    assert!(second(&edge).contains(&held(&id())));
}

#[tokio::test]
async fn the_pid_file_of_a_crash_is_taken() {
    let origin = Origin::start().await;
    origin.serve_ok("/", &[], b"page");
    let mut edge = Edge::with(&configured(origin.address, free_port())).await;
    edge.signal("KILL");
    assert!(!edge.ended().await);
    let pid_file = edge.config_file().with_file_name("linkpush.pid");
    let stale = std::fs::read_to_string(&pid_file).expect("it is left");
    assert_eq!(stale, format!("{}\n", edge.pid()));
    let mut again = edge.again().await;
    assert_eq!(Client::connect(again.address).await.get("/").await.answer.body, b"page");
    let id = std::fs::read_to_string(&pid_file).expect("a pid file");
    assert_eq!(id, format!("{}\n", again.pid()));
    again.signal("TERM");
    assert!(again.ended().await);
    let folder = pid_file.parent().expect("a folder");
    let left: Vec<_> = std::fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert_eq!(left, ["edge.yaml"], "a server that ends well leaves no file");
}

#[tokio::test]
async fn a_take_over_that_another_process_starts_gets_the_lock_too() {
    let origin = Origin::start().await;
    origin.serve_ok("/", &[], b"page");
    let mut edge = Edge::with(&configured(origin.address, free_port())).await;
    let mut taking = Command::new(BINARY)
        .args(["run", "--take-over", "--config"])
        .arg(edge.config_file())
        .stdin(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("the binary runs");
    assert!(edge.ended().await, "the old process ends well");
    let pid_file = edge.config_file().with_file_name("linkpush.pid");
    let id = std::fs::read_to_string(&pid_file).expect("a pid file");
    assert_eq!(id, format!("{}\n", taking.id()));
    assert!(second(&edge).contains(&format!("is held by process {}, which runs", taking.id())));
    taking.kill().expect("a child");
    taking.wait().expect("a child");
}

#[tokio::test]
async fn without_a_pid_file_there_is_nothing_to_take_over_from() {
    let origin = Origin::start().await;
    let edge = Edge::with(&config(origin.address, crate::support::edge::PAGES)).await;
    let output = Command::new(BINARY)
        .args(["run", "--take-over", "--config"])
        .arg(edge.config_file())
        .output()
        .expect("the binary runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        !output.status.success() && said.contains("server.pid_file is not set"),
        "{said}"
    );
    edge.signal("USR2");
    edge.log_line(&["no upgrade: it takes server.pid_file"]).await;
}

#[tokio::test]
async fn an_upgrade_follows_a_link_that_was_switched() {
    let origin = Origin::start().await;
    origin.serve_ok("/", &[], b"page");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (first, second) = (folder.path().join("linkpush-1"), folder.path().join("linkpush-2"));
    for binary in [&first, &second] {
        std::fs::copy(BINARY, binary).expect("a copy");
    }
    let link = folder.path().join("linkpush");
    std::os::unix::fs::symlink(&first, &link).expect("a link");
    let edge = Edge::of_binary(&link, &configured(origin.address, free_port())).await;
    std::fs::remove_file(&link).expect("a link");
    std::os::unix::fs::symlink(&second, &link).expect("a link");
    edge.signal("USR2");
    let line = edge.log_line(&["is to take over"]).await;
    let id = line
        .split("process ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next())
        .expect("an id");
    edge.log_line(&["taking over from process"]).await;
    assert_eq!(
        std::fs::read_link(format!("/proc/{id}/exe")).expect("a process"),
        second
    );
    edge.lines("listening on", 2).await;
    assert_eq!(Client::connect(edge.address).await.get("/").await.answer.body, b"page");
}

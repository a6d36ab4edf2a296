//! A server whose configuration changes while it serves.

use std::{
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::support::{
    client::Client,
    edge::{BINARY, Edge, config},
    h2load::H2load,
    origin::{Origin, Step, response},
    tls::issue,
    within,
};

const RELOADED: &str = "configuration reloaded";
const NOT_RELOADED: &str = "configuration not reloaded";

fn routes(push: &str) -> String {
    format!(
        "server: {{ pid_file: '{{folder}}/linkpush.pid' }}\nroutes: [{{ name: pages, upstream: app, push: {push} }}]"
    )
}

/// Page `/N` links to an asset of its own, so that the diary never has it.
fn script(origin: &Origin, pages: usize) {
    for page in 0..pages {
        let link = format!("</{page}.css>; rel=preload; as=style");
        let steps = [Step::Send(response("200 OK", &[("link", &link)], b"page"))];
        origin.on(&format!("/{page}"), steps);
        origin.serve_ok(&format!("/{page}.css"), &[], b"asset");
    }
}

#[tokio::test]
async fn a_route_changes_for_the_next_request_of_an_open_connection() {
    let origin = Origin::start().await;
    script(&origin, 3);
    let edge = Edge::with(&config(origin.address, &routes("push"))).await;
    let client = Client::connect(edge.address).await;
    assert_eq!(client.get("/0").await.promised(), ["/0.css"]);
    edge.rewrite(&config(origin.address, &routes("off")));
    edge.signal("HUP");
    edge.lines(RELOADED, 1).await;
    assert!(client.get("/1").await.promised().is_empty());
    edge.rewrite(&config(origin.address, &routes("push")));
    edge.signal("HUP");
    edge.lines(RELOADED, 2).await;
    assert_eq!(client.get("/2").await.promised(), ["/2.css"]);
}

#[tokio::test]
async fn what_is_in_flight_keeps_what_it_began_with() {
    let old = Origin::start().await;
    let new = Origin::start().await;
    old.on(
        "/slow",
        [Step::Gate("answer"), Step::Send(response("200 OK", &[], b"old"))],
    );
    new.serve_ok("/slow", &[], b"new");
    let edge = Edge::with(&config(old.address, &routes("auto"))).await;
    let client = Client::connect(edge.address).await;
    let slow = client.begin("/slow");
    old.request("/slow").await;
    edge.rewrite(&config(new.address, &routes("auto")));
    edge.signal("HUP");
    edge.lines(RELOADED, 1).await;
    assert_eq!(client.get("/slow").await.answer.body, b"new");
    old.open("answer");
    let page = within("the old answer", slow)
        .await
        .expect("no panic")
        .expect("an answer");
    assert_eq!(page.answer.body, b"old");
}

#[tokio::test]
async fn a_bad_file_changes_nothing_and_says_why() {
    let origin = Origin::start().await;
    script(&origin, 2);
    let edge = Edge::with(&config(origin.address, &routes("push"))).await;
    let client = Client::connect(edge.address).await;
    edge.rewrite(&config(origin.address, &routes("{ max_promises: 0 }")));
    edge.signal("HUP");
    edge.lines(NOT_RELOADED, 1).await;
    edge.log_line(&["edge.yaml:", "routes[0].push.max_promises: must be 1 to 100, got 0"])
        .await;
    assert_eq!(client.get("/0").await.promised(), ["/0.css"]);
}

#[tokio::test]
async fn what_takes_a_restart_is_named_and_the_rest_is_in_force() {
    let origin = Origin::start().await;
    script(&origin, 1);
    let edge = Edge::with(&config(origin.address, &routes("push"))).await;
    let changed = config(origin.address, &routes("off"))
        .replace("server: {", "server: { threads: 3, ")
        .replace("address: 127.0.0.1:0", "address: 127.0.0.1:1");
    edge.rewrite(&changed);
    edge.signal("HUP");
    edge.log_line(&["server.threads has changed, which takes a restart"])
        .await;
    edge.log_line(&["listeners[].address has changed, which takes a restart"])
        .await;
    edge.lines(RELOADED, 1).await;
    let client = Client::connect(edge.address).await;
    assert!(client.get("/0").await.promised().is_empty());
}

fn command(edge: &Edge, name: &str) -> (bool, String) {
    let output = Command::new(BINARY)
        .args([name, "--config"])
        .arg(edge.config_file())
        .output()
        .expect("the binary runs");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

#[tokio::test]
async fn the_command_checks_the_file_before_it_tells_the_server() {
    let origin = Origin::start().await;
    let edge = Edge::with(&config(origin.address, &routes("push"))).await;
    let (done, said) = command(&edge, "reload");
    let serves = format!("process {} serves by {}\n", edge.pid(), edge.config_file().display());
    assert!(done && said == serves, "{said}");
    edge.lines(RELOADED, 1).await;
    edge.rewrite(&config(origin.address, &routes("pusch")));
    let (done, said) = command(&edge, "reload");
    assert!(!done && said.contains("did you mean push?"), "{said}");
    edge.rewrite(&config(origin.address, "routes: [{ name: pages, upstream: app }]"));
    let (done, said) = command(&edge, "reload");
    assert!(!done && said.contains("server.pid_file is not set"), "{said}");
    assert_eq!(edge.count_lines(NOT_RELOADED), 0);
}

#[tokio::test]
async fn the_command_names_what_takes_a_restart() {
    let origin = Origin::start().await;
    let edge = Edge::with(&config(origin.address, &routes("push"))).await;
    edge.rewrite(&config(origin.address, &routes("off")).replace("server: {", "server: { threads: 3, "));
    let (done, said) = command(&edge, "reload");
    let restart = "server.threads has changed, which takes a restart; the rest is in force\n";
    assert!(done && said.ends_with(restart), "{said}");
}

/// A configuration that is good in `folder` alone: its certificate is looked for where the reading process stands.
pub fn good_in(folder: &Path, origin: SocketAddr) -> String {
    issue(&["shop.example"]).write(folder, "shop");
    let tls = "tls: { certificates: [{ cert: /proc/self/cwd/shop.pem, key: /proc/self/cwd/shop.key }] }";
    let listener = "address: 127.0.0.1:";
    let plain = config(origin, &routes("push"));
    plain.replace(listener, &format!("{tls}\n    {listener}"))
}

#[tokio::test]
async fn the_command_tells_why_the_server_did_not_take_a_file_that_is_good_for_the_command() {
    let origin = Origin::start().await;
    let edge = Edge::with(&config(origin.address, &routes("push"))).await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    edge.rewrite(&good_in(folder.path(), origin.address));
    // Commands at the same time each get their answer.
    let commands: Vec<_> = (0..6).map(|_| begin(&edge, "reload", folder.path())).collect();
    for command in commands {
        let output = command.wait_with_output().expect("the binary runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        let nothing = format!("process {} has changed nothing:\n", edge.pid());
        assert!(said.contains(&nothing), "{said}");
        assert!(
            said.contains("listeners[0].tls.certificates[0].cert: must be a PEM file"),
            "{said}"
        );
    }
    edge.rewrite(&config(origin.address, &routes("off")));
    let commands: Vec<_> = (0..6).map(|_| begin(&edge, "reload", folder.path())).collect();
    for command in commands {
        let output = command.wait_with_output().expect("the binary runs");
        assert!(output.status.success(), "{output:?}");
    }
    assert!(Client::connect(edge.address).await.get("/").await.promised().is_empty());
}

fn begin(edge: &Edge, name: &str, folder: &Path) -> Child {
    Command::new(BINARY)
        .args([name, "--config"])
        .arg(edge.config_file())
        .current_dir(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs")
}

#[tokio::test]
async fn the_command_knows_a_server_that_reads_another_file_or_ends_or_tells_nothing() {
    let origin = Origin::start().await;
    origin.on("/slow", [Step::Gate("never")]);
    let edge = Edge::with(&config(origin.address, &routes("push"))).await;
    let file = edge.config_file();
    let other = file.with_file_name("other.yaml");
    std::fs::copy(&file, &other).expect("a file");
    let output = Command::new(BINARY).args(["reload", "--config"]).arg(&other).output();
    let said = String::from_utf8_lossy(&output.expect("the binary runs").stderr).into_owned();
    let reads = format!(
        "process {} reads {}, not {}",
        edge.pid(),
        file.display(),
        other.display()
    );
    assert!(said.contains(&reads), "{said}");
    assert_eq!(edge.count_lines(RELOADED), 0);
    // A server of a version that writes no such file.
    let outcomes = file.with_file_name("linkpush.pid.outcomes");
    std::fs::remove_file(&outcomes).expect("a file of the server");
    let (done, said) = command(&edge, "reload");
    assert!(!done && said.contains("of a version that tells no outcome"), "{said}");
    edge.lines(RELOADED, 1).await;
    let client = Client::connect(edge.address).await;
    let _slow = client.begin("/slow");
    origin.request("/slow").await;
    edge.signal("TERM");
    edge.log_line(&["waiting for connections to finish"]).await;
    for name in ["reload", "upgrade"] {
        let (done, said) = command(&edge, name);
        assert!(!done && said.contains("the server is ending"), "{name}: {said}");
    }
}

#[tokio::test]
async fn reloads_under_load_cost_no_request() {
    reloads_under_load(24, Duration::from_millis(250)).await;
}

/// The whole minute; `cargo test --release --test it -- --ignored soak_reloads`.
#[tokio::test]
#[ignore = "takes a minute"]
async fn soak_reloads_under_load_cost_no_request() {
    reloads_under_load(200, Duration::from_millis(300)).await;
}

/// Reloads, every second one of a broken file, each followed by a page on a connection that stays
/// open, while another program loads the server.
async fn reloads_under_load(reloads: usize, pause: Duration) {
    let origin = Origin::start().await;
    script(&origin, reloads + 1);
    let edge = Edge::with(&config(origin.address, &routes("push"))).await;
    let seconds = (pause * u32::try_from(reloads).expect("few")).as_secs() + 1;
    let arguments = ["-c", "8", "-m", "8", "-D", &seconds.to_string()];
    let load = H2load::start(&arguments, edge.address, &format!("/{reloads}"));
    let client = Client::connect(edge.address).await;
    let mut pushes = true;
    for turn in 0..reloads {
        let began = Instant::now();
        if turn % 2 == 0 {
            pushes = !pushes;
            let policy = if pushes { "push" } else { "off" };
            edge.rewrite(&config(origin.address, &routes(policy)));
            edge.signal("HUP");
            edge.lines(RELOADED, turn / 2 + 1).await;
        } else {
            edge.rewrite("listeners: [");
            edge.signal("HUP");
            edge.lines(NOT_RELOADED, turn / 2 + 1).await;
        }
        let page = client.get(&format!("/{turn}")).await;
        assert_eq!(page.answer.body, b"page");
        assert_eq!(page.pushes.len(), usize::from(pushes), "after reload {turn}");
        for push in &page.pushes {
            assert_eq!(push.delivered().body, b"asset");
        }
        // The pace of the load is what is tested, not an event.
        tokio::time::sleep(pause.saturating_sub(began.elapsed())).await;
    }
    load.ends_well().await;
}

#[tokio::test]
async fn systemd_is_told_when_the_server_is_ready_reloads_and_stops() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("notify");
    let socket = tokio::net::UnixDatagram::bind(&path).expect("a socket");
    let origin = Origin::start().await;
    let edge = Edge::with_env(
        &config(origin.address, &routes("push")),
        &[("NOTIFY_SOCKET", path.as_os_str())],
    )
    .await;
    let told = || async {
        let mut message = [0; 256];
        let length = within("a message to systemd", socket.recv(&mut message))
            .await
            .expect("received");
        String::from_utf8_lossy(&message[..length]).into_owned()
    };
    assert_eq!(told().await.trim(), format!("MAINPID={}\nREADY=1", edge.pid()));
    edge.signal("HUP");
    assert!(told().await.starts_with("RELOADING=1\nMONOTONIC_USEC="));
    assert_eq!(told().await.trim(), "READY=1");
    edge.signal("TERM");
    assert_eq!(told().await.trim(), "STOPPING=1");
}

#[tokio::test]
async fn a_second_sigterm_ends_at_once() {
    let origin = Origin::start().await;
    origin.on("/slow", [Step::Gate("never")]);
    let mut edge = Edge::with(&config(origin.address, &routes("push"))).await;
    let client = Client::connect(edge.address).await;
    let slow = client.begin("/slow");
    origin.request("/slow").await;
    edge.signal("TERM");
    edge.log_line(&["waiting for connections to finish"]).await;
    edge.signal("TERM");
    edge.log_line(&["a second SIGTERM"]).await;
    assert!(edge.ended().await);
    assert!(slow.await.expect("no panic").is_err());
}

#[tokio::test]
async fn a_sigterm_during_the_start_is_obeyed() {
    const SIGTERM: u32 = 15;
    let origin = Origin::start().await;
    for _ in 0..10 {
        let mut edge = Edge::spawn(&config(origin.address, &routes("push")));
        edge.catches(SIGTERM).await;
        edge.signal("TERM");
        assert!(edge.ended().await);
    }
}

//! Sessions of real clients with 1 to 8 documents that promise at the same time, learned and not: every client keeps
//! count of ids and their order, every byte is the origin's, and the server outlives whatever a client does.
//!
//! `make test` runs some sessions of each client, two `#[ignore]`d soaks run more. Each client has a script or program
//! in `clients/`; nghttp and the h2 crate are driven from here.

mod nghttp;
pub mod site;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use crate::support::{
    client::{Client, Page},
    missing,
    program::Limited,
    within,
};
use site::{Program, Random, Site, body, targets};

/// Memory that the allocator may keep of some sessions, in a build for tests.
const FLAT: usize = 32 << 20;
/// Memory that a soak may add after its first quarter.
const FLAT_SOAK: usize = 16 << 20;

fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/clients")
}

fn program(name: &'static str, program: &str, script: &str) -> Program {
    Program {
        name,
        program: program.to_owned(),
        arguments: vec![clients().join(script).display().to_string()],
        trailing: Vec::new(),
    }
}

fn node() -> Program {
    program("node", "node", "sessions.js")
}

fn python() -> Option<Program> {
    let python = clients().join("venv/bin/python");
    if !python.exists() {
        missing("clients/venv with python-h2");
        return None;
    }
    Some(program("python-h2", &python.display().to_string(), "sessions.py"))
}

fn java() -> Option<Program> {
    // A source file is compiled by the JDK.
    if Command::new("javac").arg("-version").output().is_err() {
        missing("javac");
        return None;
    }
    let mut java = program("Java", "java", "Sessions.java");
    java.arguments.insert(0, "-XX:TieredStopAtLevel=1".to_owned());
    Some(java)
}

/// Compiles the client of libcurl against the one that comes with pycurl: Debian 12's (7.88) has no buffer for what is
/// pushed, and crashes.
fn libcurl(folder: &Path) -> Option<Program> {
    let binary = folder.join("sessions");
    let Some(library) = newer_libcurl() else {
        missing("clients/venv with pycurl");
        return None;
    };
    let compiled = Command::new("cc")
        .args(["-Wall", "-Wextra", "-Werror", "-O1", "-o"])
        .args([&binary, &clients().join("sessions.c"), &library])
        .arg(format!(
            "-Wl,--allow-shlib-undefined,-rpath,{}",
            library.parent()?.display()
        ))
        .output()
        .expect("cc runs");
    if !compiled.status.success() {
        let errors = String::from_utf8_lossy(&compiled.stderr);
        assert!(errors.contains("curl/curl.h"), "{errors}");
        missing("libcurl's header");
        return None;
    }
    Some(Program {
        name: "libcurl",
        program: binary.display().to_string(),
        arguments: Vec::new(),
        trailing: Vec::new(),
    })
}

/// The libcurl in pycurl's wheel.
fn newer_libcurl() -> Option<PathBuf> {
    let files = |folder: PathBuf| std::fs::read_dir(folder).into_iter().flatten().flatten();
    files(clients().join("venv/lib"))
        .flat_map(|python| files(python.path().join("site-packages/pycurl.libs")))
        .map(|file| file.path())
        .find(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("libcurl-"))
        })
}

/// Runs sessions of nghttp, one process each.
async fn visit_with_nghttp(site: &mut Site, sessions: usize, seed: u32) {
    let mut random = Random::new(seed);
    let (mut failed, mut pushes) = (Vec::new(), 0);
    for _ in 0..sessions {
        let paths = site.choose(&mut random);
        let urls: Vec<String> = paths.iter().map(|path| format!("{}{path}", site.url())).collect();
        let mut arguments = vec!["-nv", "-t", "15"];
        arguments.extend(urls.iter().map(String::as_str));
        let output = Limited::run("nghttp", &arguments, Duration::from_secs(60)).await;
        match nghttp::check(&output.stdout, &paths) {
            Ok(came) => pushes += came,
            Err(why) => failed.push(format!("nghttp: {why}")),
        }
    }
    assert!(pushes > 0 || !failed.is_empty(), "nothing was pushed");
    site.note("nghttp", sessions, failed);
}

/// Checks documents of one connection of the h2 crate's client; returns how many pushes they had.
fn check_pages(paths: &[String], pages: &[Page]) -> Result<usize, String> {
    let (mut named, mut promised, mut pushes) = (BTreeSet::new(), BTreeSet::new(), 0);
    for (path, page) in paths.iter().zip(pages) {
        let link = page.answer.headers["link"].to_str().expect("ASCII");
        named.extend(targets(link));
        promised.extend(page.promised());
        pushes += page.pushes.len();
        let of_pushes = page.pushes.iter().map(|push| (push.path(), push.answer.as_ref()));
        for (path, answer) in of_pushes.chain([(path.as_str(), Ok(&page.answer))]) {
            let answer = answer.map_err(|e| format!("{path}: {e}"))?;
            if answer.status != 200 || answer.body != body(path) {
                return Err(format!("{path}: {} with {} bytes", answer.status, answer.body.len()));
            }
        }
    }
    if named != promised || pushes != promised.len() {
        let (missing, more): (Vec<_>, Vec<_>) = (
            named.difference(&promised).collect(),
            promised.difference(&named).collect(),
        );
        return Err(format!(
            "named, not promised: {missing:?}; promised, not named: {more:?}; {pushes} promises"
        ));
    }
    Ok(pushes)
}

/// Runs sessions of the h2 crate's client; some are left at a random moment.
async fn visit_with_h2(site: &mut Site, sessions: usize, seed: u32) {
    let mut random = Random::new(seed);
    let (mut failed, mut pushes) = (Vec::new(), 0);
    for session in 0..sessions {
        let paths = site.choose(&mut random);
        let client = Client::connect(site.edge.address).await;
        let asked: Vec<_> = paths.iter().map(|path| client.begin(path)).collect();
        drop(client);
        if session % 4 == 3 {
            // Not a wait for something: the moment is what is random.
            tokio::time::sleep(Duration::from_millis(random.below(60).into())).await;
            asked.iter().for_each(tokio::task::JoinHandle::abort);
            continue;
        }
        let mut pages = Vec::new();
        for page in asked {
            pages.push(within("a document", page).await.expect("no panic"));
        }
        let pages: Result<Vec<Page>, h2::Error> = pages.into_iter().collect();
        match pages
            .map_err(|e| e.to_string())
            .and_then(|pages| check_pages(&paths, &pages))
        {
            Ok(came) => pushes += came,
            Err(why) => failed.push(format!("h2, session {session}: {why}")),
        }
    }
    assert!(pushes > 0 || !failed.is_empty(), "nothing was pushed");
    site.note("h2", sessions, failed);
}

#[tokio::test]
async fn nghttp_takes_promises_of_many_documents_at_once() {
    let mut site = Site::start().await;
    visit_with_nghttp(&mut site, 16, 1).await;
    site.conclude(FLAT);
}

#[tokio::test]
async fn the_h2_crate_takes_promises_of_many_documents_at_once() {
    let mut site = Site::start().await;
    visit_with_h2(&mut site, 12, 1).await;
    site.conclude(FLAT);
}

#[tokio::test]
async fn node_takes_promises_of_many_documents_at_once() {
    let mut site = Site::start().await;
    site.visit(&node(), "take", 12, 1).await;
    site.visit(&node(), "swallow", 6, 2).await;
    site.conclude(FLAT);
}

#[tokio::test]
async fn node_closes_while_pushes_are_under_way() {
    let mut site = Site::start().await;
    site.visit(&node(), "close", 12, 1).await;
    site.conclude(FLAT);
}

#[tokio::test]
async fn node_may_vanish_at_any_moment() {
    let mut site = Site::start().await;
    site.visit(&node(), "destroy", 12, 1).await;
    site.visit(&node(), "leave", 8, 2).await;
    site.visit(&node(), "take", 2, 3).await;
    site.conclude(FLAT);
}

#[tokio::test]
async fn python_h2_refuses_no_frame_under_many_windows() {
    let Some(python) = python() else { return };
    let mut site = Site::start().await;
    site.visit(&python, "read", 10, 1).await;
    site.conclude(FLAT);
}

#[tokio::test]
async fn python_h2_resets_shrinks_and_leaves_as_it_likes() {
    let Some(python) = python() else { return };
    let mut site = Site::start().await;
    site.visit(&python, "hostile", 20, 1).await;
    site.conclude(FLAT);
}

#[tokio::test]
async fn java_takes_and_refuses_promises_of_many_documents_at_once() {
    let Some(java) = java() else { return };
    let mut site = Site::start().await;
    site.visit(&java, "take", 8, 1).await;
    site.visit(&java, "refuse", 4, 2).await;
    site.conclude(FLAT);
}

#[tokio::test]
async fn libcurl_takes_and_drops_pushes_of_many_documents_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(libcurl) = libcurl(folder.path()) else { return };
    let mut site = Site::start().await;
    site.visit(&libcurl, "take", 10, 1).await;
    site.visit(&libcurl, "drop", 6, 2).await;
    site.conclude(FLAT);
}

/// A thousand sessions of all clients against one server, in four rounds: `SOAK_SEED` makes them others.
#[tokio::test]
#[ignore = "a thousand sessions take minutes"]
async fn soak_sessions() {
    let first = std::env::var("SOAK_SEED").ok().and_then(|seed| seed.parse().ok());
    let first: u32 = first.unwrap_or(1);
    let folder = tempfile::tempdir().expect("a folder");
    let (node, python, java, libcurl) = (node(), python(), java(), libcurl(folder.path()));
    let mut site = Site::start().await;
    for round in 0..4 {
        let seed = 1000 * first + round;
        let begun = Instant::now();
        visit_with_nghttp(&mut site, 35, seed).await;
        visit_with_h2(&mut site, 35, seed).await;
        for (how, sessions) in [
            ("take", 20),
            ("swallow", 10),
            ("close", 15),
            ("destroy", 15),
            ("leave", 10),
        ] {
            site.visit(&node, how, sessions, seed).await;
        }
        if let Some(python) = &python {
            site.visit(python, "read", 20, seed).await;
            site.visit(python, "hostile", 30, seed).await;
        }
        if let Some(java) = &java {
            site.visit(java, "take", 20, seed).await;
            site.visit(java, "refuse", 10, seed).await;
        }
        if let Some(libcurl) = &libcurl {
            site.visit(libcurl, "take", 20, seed).await;
            site.visit(libcurl, "drop", 10, seed).await;
        }
        eprintln!(
            "round {round}: {:?}, {} KiB",
            begun.elapsed(),
            site.edge.memory() / 1024
        );
        if round == 0 {
            site.settle_memory();
        }
    }
    site.conclude(FLAT_SOAK);
}

/// Node clients that close, vanish and stay at random, ten at a time, for `SOAK_MINUTES` (20).
#[tokio::test]
#[ignore = "takes 20 minutes"]
async fn soak_node_clients() {
    let minutes = std::env::var("SOAK_MINUTES")
        .ok()
        .and_then(|minutes| minutes.parse().ok());
    let whole = Duration::from_secs_f64(60.0 * minutes.unwrap_or(20.0));
    let mut site = Site::start().await;
    let (begun, mut rounds, mut settled) = (Instant::now(), 0, false);
    let mut node = node();
    node.trailing = ["8", "10"].map(str::to_owned).to_vec();
    while begun.elapsed() < whole {
        rounds += 1;
        site.visit(&node, "mixed", 200, rounds).await;
        if !settled && begun.elapsed() > whole / 4 {
            settled = true;
            site.settle_memory();
        }
        eprintln!(
            "{:?}: {} sessions, {} KiB",
            begun.elapsed(),
            rounds * 200,
            site.edge.memory() / 1024
        );
    }
    site.conclude(FLAT_SOAK);
}

//! Measures how much pushes delay a document on a slow line, and how fast a single download is.
//!
//! The line: three network namespaces for server, router and client, with 10 Mbit/s between router and client and 100
//! ms of queue in the router. The origin takes half a second for the document, which links to 2 MB of assets. linkpush
//! has learned the links. For the other proxies the origin sends a `103` at once, except for nginx, which takes a 103
//! for the final response, and HAProxy, which has no push. So the pushes are under way when the document comes. The
//! document's time with pushes is compared with its time for a client without push, through the same server.
//!
//! The download: 100 MB over loopback, without namespaces; time and CPU time of the server, compared with nginx.
//!
//! Rounds are interleaved, figures are medians. Needs root for the namespaces, and `ip` and `tc` (Debian: iproute2).
//!
//! Reading order: `line` (namespaces), `origin`, `servers` (the compared servers), `client`, `report`.
//!
//! `cargo bench --bench document [-- --rounds N]`

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a benchmark prints, and stops where a figure is missing"
)]

mod client;
mod line;
mod origin;
mod report;
mod servers;
#[path = "../support/mod.rs"]
mod support;

use std::{net::SocketAddr, process::ExitCode, time::Duration};

use client::Loaded;
use origin::Early;
use report::{Download, Page};
use support::{
    client::Taking,
    program::{self, Folder},
};

/// Bytes of the documents that are measured.
const DOCUMENTS: [usize; 3] = [20_000, 100_000, 400_000];
/// The time that the origin takes for a document.
const THINK: Duration = Duration::from_millis(500);
/// Assets of each document, and bytes of each.
const ASSETS: usize = 4;
const ASSET: usize = 500_000;
/// Bytes of the download.
const DOWNLOAD: usize = 100_000_000;

fn main() -> ExitCode {
    let rounds = program::rounds(5);
    let runtime = program::runtime();
    // Arguments by which this program starts itself in a namespace.
    if let (Some(address), Some(path)) = (program::value("--client"), program::value("--path")) {
        let taking = if std::env::args().any(|arg| arg == "--push") {
            Taking::Pushes
        } else {
            Taking::None
        };
        let loaded = runtime.block_on(client::load(address.parse().expect("an address"), &path, taking));
        return loaded.map_or_else(
            |e| {
                eprintln!("{e}");
                ExitCode::FAILURE
            },
            |loaded| {
                println!("{}", loaded.to_json());
                ExitCode::SUCCESS
            },
        );
    }
    if let Some(congestion) = program::value("--line") {
        let pages = runtime.block_on(pages(&congestion, rounds));
        println!("{}", report::to_json(&pages));
        return ExitCode::SUCCESS;
    }
    let mut pages = Vec::new();
    match line::Line::open() {
        Err(e) => eprintln!("the slow line is left out: {e}"),
        Ok(line) => {
            for congestion in line::congestion_controls() {
                pages.extend(report::from_json(&line.run(&congestion, rounds)));
            }
        }
    }
    let downloads = runtime.block_on(downloads(rounds));
    report::print(&pages, &downloads, rounds);
    ExitCode::SUCCESS
}

/// Loads each document through each server over the line, with pushes and without. Runs in the server's namespace.
async fn pages(congestion: &str, rounds: usize) -> Vec<Page> {
    let folder = Folder::new("document-line");
    let hinting = support::origin::start(Early::Hints).await;
    let plain = support::origin::start(Early::Nothing).await;
    let servers = servers::start_all(folder.path(), line::SERVER, |early| match early {
        Early::Hints => hinting,
        Early::Nothing => plain,
    });
    let mut pages = Vec::new();
    for document in DOCUMENTS {
        for server in &servers {
            pages.push(Page::new(&server.name, server.is_peer, congestion, document));
        }
    }
    let mut failed: Vec<String> = Vec::new();
    // The first round does not count: it opens connections to the origin, and linkpush learns.
    for round in 0..=rounds {
        for page in &mut pages {
            let server = servers
                .iter()
                .find(|server| server.name == page.server)
                .expect("its server");
            for taking in [Taking::None, Taking::Pushes] {
                if failed.contains(&page.server) {
                    continue;
                }
                let path = format!("/document/{}", page.document);
                match line::load(server.address, &path, taking).await {
                    Ok(loaded) if round > 0 => page.add(taking, &loaded),
                    Ok(_) => {}
                    Err(e) => {
                        assert!(server.is_peer, "{}, {taking:?}: {e}", page.server);
                        eprintln!("{} is left out: {path}, {taking:?}: {e}", page.server);
                        failed.push(page.server.clone());
                    }
                }
                settle().await;
            }
        }
        eprint!(".");
    }
    pages.retain(|page| !failed.contains(&page.server));
    eprintln!();
    pages
}

/// Waits until the queues of the line are empty.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(300)).await;
}

/// Downloads over loopback through each server.
async fn downloads(rounds: usize) -> Vec<Download> {
    let folder = Folder::new("document-download");
    let origin = support::origin::start(Early::Nothing).await;
    let servers = servers::start_all(folder.path(), [127, 0, 0, 1].into(), |_| origin);
    let mut downloads: Vec<Download> = servers
        .iter()
        .map(|server| Download::new(&server.name, server.is_peer))
        .collect();
    for round in 0..=rounds {
        for (server, download) in servers.iter().zip(&mut downloads) {
            let before = server.cpu();
            let loaded: Loaded = load_here(server.address).await;
            if round > 0 {
                let used = server.cpu().since(before);
                download.add(loaded.document, Duration::from_secs_f64(used.user + used.system));
            }
        }
    }
    downloads
}

async fn load_here(address: SocketAddr) -> Loaded {
    let path = format!("/bytes/{DOWNLOAD}");
    client::load(address, &path, Taking::None)
        .await
        .unwrap_or_else(|e| panic!("a download: {e}"))
}

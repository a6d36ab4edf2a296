//! Measures the time until a page and its assets are complete over a connection with latency, through linkpush and
//! through every other proxy that is installed, in one run.
//!
//! The origin takes 100 ms for the page, which links to a stylesheet and a script; the stylesheet needs a font; all
//! three are preloaded. Between client and proxy every byte is delayed by half a round trip each way. Nothing limits
//! the rate, and connecting is not delayed. Rounds are interleaved, figures are medians. The delays determine the
//! times, which are therefore valid on any machine that is not overloaded.
//!
//! Reading order: `relay` (the delay), `origin`, `browser` (loads the page), `report`. The compared servers and their
//! configurations are in `benches/support`.
//!
//! `make bench-latency`, or `cargo bench --bench latency [-- --rounds N]`

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a benchmark prints, and stops where a figure is missing"
)]

mod browser;
mod origin;
mod relay;
mod report;
#[path = "../support/mod.rs"]
mod support;

use std::{process::ExitCode, time::Duration};

use browser::Load;
use origin::Thinking;
use report::Row;
use support::{
    client::Taking,
    peers::PEERS,
    program::{self, Folder},
    servers::{Server, Site},
};

/// Round trip times that are measured.
const ROUND_TRIPS: [Duration; 2] = [Duration::from_millis(50), Duration::from_millis(200)];

/// The time that the origin takes for the page.
const THINK: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    let rounds = program::rounds(7);
    let folder = Folder::new("latency");
    let rows = program::runtime().block_on(async {
        let origin = support::origin::start(Thinking(THINK)).await;
        let site = Site::new(folder.path(), [127, 0, 0, 1].into(), origin);
        let mut servers = Vec::new();
        servers.extend(site.linkpush("linkpush, learned", "push: auto, learn: on"));
        servers.extend(site.linkpush("linkpush, without learning", "push: auto, learn: off"));
        assert_eq!(servers.len(), 2, "linkpush does not start");
        servers.extend(PEERS.iter().filter_map(|peer| site.peer(peer)));
        measure(&servers, rounds).await
    });
    report::print(&rows, rounds);
    ExitCode::SUCCESS
}

/// Loads the page through each server, by each kind of client, at each round trip time.
async fn measure(servers: &[Server], rounds: usize) -> Vec<Row> {
    let mut rows = Vec::new();
    for taking in [Taking::Pushes, Taking::None] {
        for server in servers {
            rows.push(Row::new(server, taking));
        }
    }
    for (column, round_trip) in ROUND_TRIPS.into_iter().enumerate() {
        let mut relays = Vec::new();
        for server in servers {
            relays.push(relay::start(server.address, round_trip / 2).await);
        }
        // The first round does not count: it opens connections to the origin, and linkpush learns.
        for round in 0..=rounds {
            for row in &mut rows {
                let at = servers
                    .iter()
                    .position(|server| server.name == row.server)
                    .expect("its server");
                let loaded = browser::load(relays[at], row.taking).await;
                let load: Load = loaded.unwrap_or_else(|e| panic!("{}, {}: {e}", row.server, row.client()));
                if round > 0 {
                    row.loads[column].push(load);
                }
            }
            eprint!(".");
        }
    }
    eprintln!();
    rows
}

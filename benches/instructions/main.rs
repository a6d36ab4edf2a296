//! Instructions that a request or a page costs in user space: in linkpush, and in nginx, nghttpx and HAProxy where they
//! are installed.
//!
//! Instructions are what callgrind counts. They repeat far better than CPU time does: how far they do not is in the table.
//! The rest is timers, the allocator's, which go by the clock, and how much comes at a time, most of all at 64 KB: so it
//! grows with what else the machine does. They leave out what the kernel does, and what caches and branches cost: a ratio of
//! instructions is not one of time.
//!
//! Each server has one worker and runs under callgrind, which makes it about fifty times slower; origin and load do not,
//! so it is busy throughout. After a warm-up it serves a number of requests, then twice as many, over as many
//! connections: the difference is neither start-up nor handshakes. Loads, pages and origin are those of
//! `benches/edge`: 32 connections, and 16 requests or one page at a time on each. Each round has processes of its own.
//! Figures are medians. There is none where an answer failed or was short, a push was missing, or the cache was not used.
//!
//! Reading order: `contestant` (who), `measure` (what, and how), `callgrind` (counts), `profile` (what it wrote),
//! `share` (the part of HTTP/2), `report`.
//!
//! `make bench-instructions`, or `cargo bench --bench instructions -- --help`

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::cast_precision_loss,
    reason = "a benchmark prints its figures"
)]

mod callgrind;
mod contestant;
#[path = "../edge/h2load.rs"]
mod h2load;
mod measure;
#[path = "../edge/origin.rs"]
mod origin;
#[path = "../edge/pages.rs"]
#[allow(dead_code, reason = "how long a load took tells nothing here")]
mod pages;
mod profile;
mod report;
mod share;
#[path = "../support/mod.rs"]
mod support;

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;

use contestant::Contestant;
use measure::{Bench, Work};
use origin::Origin;
use report::Cell;
use support::{
    program::Folder,
    servers::{Site, installed},
};

/// Instructions that a request or a page costs, in linkpush and in others.
#[derive(Debug, Parser)]
struct Args {
    /// Only these rows; that of HTTP/2 comes with `1k`.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Work>,
    /// Only these servers, by their names in the table without a version; `linkpush` is both builds.
    #[arg(long, value_delimiter = ',')]
    servers: Vec<String>,
    /// Rounds, each with new processes [default: 3]
    #[arg(long)]
    rounds: Option<usize>,
    /// One short round: to try it.
    #[arg(long)]
    quick: bool,
    /// Measure this linkpush, too, beside the one that was built.
    #[arg(long)]
    linkpush: Option<PathBuf>,
    /// What Cargo says to a benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    for (program, package) in [
        ("valgrind", "valgrind"),
        ("vgdb", "valgrind"),
        ("h2load", "nghttp2-client"),
    ] {
        if installed(program).is_none() {
            eprintln!("no benchmark: {program} is not installed (Debian: {package})");
            return ExitCode::FAILURE;
        }
    }
    let folder = Folder::new("instructions");
    let origin = Origin::start();
    let mut site = Site::new(folder.path(), [127, 0, 0, 1].into(), origin.address);
    site.prefix = callgrind::command(folder.path());
    let contestants: Vec<Contestant> = Contestant::all(&site, args.linkpush.as_deref())
        .into_iter()
        .filter(|each| {
            let named = |name: &String| name == each.name || (name == contestant::LINKPUSH && each.is_linkpush());
            args.servers.is_empty() || args.servers.iter().any(named)
        })
        .collect();
    let works: Vec<Work> = Work::ALL
        .into_iter()
        .filter(|work| args.only.is_empty() || args.only.contains(work))
        .collect();
    let runtime = support::program::runtime();
    let bench = Bench {
        runtime: &runtime,
        origin: &origin,
        folder: folder.path(),
        divisor: if args.quick { 4 } else { 1 },
    };
    let rounds = args.rounds.unwrap_or(if args.quick { 1 } else { 3 }).max(1);
    let mut columns: Vec<Vec<Cell>> = contestants
        .iter()
        .map(|_| works.iter().map(|_| Cell::default()).collect())
        .collect();
    let mut names: Vec<String> = contestants.iter().map(|each| each.name.to_owned()).collect();
    for _ in 0..rounds {
        for ((contestant, column), name) in contestants.iter().zip(&mut columns).zip(&mut names) {
            if let Some(full) = bench.round(contestant, &mut site, &works, column) {
                *name = full;
            }
        }
    }
    report::print(&works, &names, &columns, args.linkpush.as_deref());
    ExitCode::SUCCESS
}

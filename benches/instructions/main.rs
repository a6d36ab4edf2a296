//! Counts the instructions of a request or a page in user space: in linkpush, and in nginx, nghttpx and HAProxy where
//! they are installed.
//!
//! callgrind counts the instructions. Counts repeat far better than CPU time; the table has their spread. The spread
//! comes from timers, the allocator's among them, and from the number of bytes that arrive together, most of all at 64
//! KB, so it grows with the machine's other work. Counts leave out the kernel, cache misses and mispredicted branches:
//! a ratio of instructions is not a ratio of times.
//!
//! Each server has one worker and runs under callgrind, about fifty times slower than usual. Origin and load run at
//! full speed, so the server is always busy. After a warm-up it serves a number of requests, then twice as many over as
//! many connections: the difference of both leaves out start-up and handshakes. Loads, pages and origin are those of
//! `benches/edge`: 32 connections, with 16 requests or one page at a time on each. Each round has new processes.
//! Figures are medians. There is no figure if a response failed or was short, a push was missing, or the cache was not
//! used.
//!
//! Reading order: `contestant` (the servers), `measure` (the figures), `callgrind` (counting), `profile` (callgrind's
//! files), `share` (the part of HTTP/2), `report`.
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

/// Count the instructions of a request or a page, in linkpush and in others.
#[derive(Debug, Parser)]
struct Args {
    /// Only these rows; the part of HTTP/2 comes with `1k`
    #[arg(long, value_delimiter = ',')]
    only: Vec<Work>,
    /// Only these servers, by their names in the table, without a version; `linkpush` selects both builds
    #[arg(long, value_delimiter = ',')]
    servers: Vec<String>,
    /// Rounds, each with new processes [default: 3]
    #[arg(long)]
    rounds: Option<usize>,
    /// One short round, to try the benchmark
    #[arg(long)]
    quick: bool,
    /// Measure this binary of linkpush beside the one that was built
    #[arg(long)]
    linkpush: Option<PathBuf>,
    /// Cargo's own argument for benchmarks
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

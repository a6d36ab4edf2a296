//! Measures the cost of a request, a page with pushes, a stream and an idle connection, in linkpush, in plain Pingora,
//! and in every other proxy that is installed, in one run.
//!
//! All servers stand in front of one origin, which responds from memory. Each server has one worker, pinned to the last
//! processor; load and origin have the other processors. Rounds are interleaved, figures are medians. CPU time is user
//! and system time of a server's processes, and is the figure to trust: rates depend on the machine's other work. The
//! table has a remark instead of a figure if a response failed or was short, a push was missing, or the cache was not
//! used.
//!
//! Reading order: `contestant` (the servers), `measure` (the figures), `origin`, the loads (`h2load`, `pages`, `idle`),
//! `machine`, `report`. Configurations of the servers, and their use of CPU and memory, are in `benches/support`.
//!
//! `make bench`, or `cargo bench --bench edge -- --help`

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::indexing_slicing,
    reason = "a benchmark prints, and stops where a figure is missing"
)]

mod contestant;
mod h2load;
mod idle;
mod machine;
mod measure;
mod origin;
mod pages;
mod plain;
mod report;
#[path = "../support/mod.rs"]
mod support;

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use clap::{Parser, ValueEnum};
use serde_json::json;

use contestant::Contestant;
use measure::{Bench, Running};
use origin::Origin;
use report::Row;
use support::{
    figures,
    program::Folder,
    servers::{Site, installed},
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measure the cost of a request, a page with pushes, a stream and an idle connection, in linkpush and in others.
#[derive(Debug, Parser)]
struct Args {
    /// Only these measurements
    #[arg(long, value_delimiter = ',')]
    only: Vec<Part>,
    /// Only these servers, by their names in the table, without a version
    #[arg(long, value_delimiter = ',')]
    servers: Vec<String>,
    /// Rounds of each figure of CPU [default: 5]
    #[arg(long)]
    rounds: Option<usize>,
    /// One short round of everything, to try the benchmark
    #[arg(long)]
    quick: bool,
    /// Measure this binary of linkpush instead of the one that was built
    #[arg(long)]
    linkpush: Option<PathBuf>,
    /// Serve as plain Pingora: an address to listen on, and the origin's
    #[arg(long, hide = true, num_args = 2)]
    serve_plain: Vec<SocketAddr>,
    /// Cargo's own argument for benchmarks
    #[arg(long, hide = true)]
    bench: bool,
}

/// A group of measurements that can be selected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// CPU time of a request of 1 KB, 64 KB and 1 MB
    Plain,
    /// CPU time of a page with three pushes
    Push,
    /// CPU time of a page with three cached pushes, and of a cached asset
    Cache,
    /// Memory with 512 streams of 1 MB
    Memory,
    /// Memory with 10,000 idle connections
    Idle,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if let [listen, origin] = args.serve_plain[..] {
        plain::serve(listen, origin);
        return ExitCode::SUCCESS;
    }
    if installed("h2load").is_none() {
        eprintln!("no benchmark: h2load is not installed (Debian: nghttp2-client)");
        return ExitCode::FAILURE;
    }
    let prefix = machine::share_processors();
    let folder = Folder::new("bench");
    let origin = Origin::start();
    let mut site = Site::new(folder.path(), [127, 0, 0, 1].into(), origin.address);
    site.prefix = prefix;
    if let Some(linkpush) = &args.linkpush {
        site.linkpush.clone_from(linkpush);
    }
    run(&args, &site, &origin);
    ExitCode::SUCCESS
}

fn run(args: &Args, site: &Site, origin: &Origin) {
    let (rounds, memory_rounds, period, connections) = if args.quick {
        (1, 1, Duration::from_millis(200), 1000)
    } else {
        (5, 3, Duration::from_millis(700), 10_000)
    };
    let rounds = args.rounds.unwrap_or(rounds).max(1);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let bench = |rounds| Bench {
        runtime: &runtime,
        origin,
        rounds,
        period,
    };
    let wanted = |part| args.only.is_empty() || args.only.contains(&part);
    // Before servers are started, since they inherit the limit.
    let files = machine::allow_files(connections as u64 + FILES_BESIDES);

    let mut running: Vec<Running> = Vec::new();
    for contestant in Contestant::all() {
        let chosen = args.servers.is_empty() || args.servers.iter().any(|name| name == contestant.name);
        if let Some(server) = chosen.then(|| contestant.start(site)).flatten() {
            running.push(Running { contestant, server });
        }
    }
    let contestants: Vec<Contestant> = running.iter().map(|each| each.contestant).collect();
    let names: Vec<String> = running.iter().map(|each| each.server.name.clone()).collect();

    let mut rows: Vec<Row> = Vec::new();
    for (part, works) in [
        (Part::Plain, measure::PLAIN.as_slice()),
        (Part::Push, &[measure::PUSH]),
        (Part::Cache, &measure::CACHE),
    ] {
        for work in works.iter().filter(|_| wanted(part)) {
            let mut measured = bench(rounds).cpu(*work, &running);
            for row in &mut measured {
                let without_cache = |other: &&Row| Some(other.key) == work.without_cache && other.better == row.better;
                if let Some(other) = rows.iter().find(without_cache) {
                    row.complete(other);
                }
            }
            rows.extend(measured);
        }
    }
    drop(running);
    if wanted(Part::Memory) {
        rows.extend(bench(memory_rounds).streams(&contestants, site));
    }
    match files {
        Ok(()) if wanted(Part::Idle) => rows.extend(bench(1).idle(&contestants, site, connections)),
        Err(allowed) if wanted(Part::Idle) => {
            eprintln!("idle connections are left out: ulimit -n is {allowed}, {connections} connections need more");
        }
        _ => {}
    }

    let machine = machine::description();
    println!(
        "{machine}. One worker each. Medians of {rounds} interleaved rounds (memory: {memory_rounds}; idle: 1).\n"
    );
    println!("{}", report::table(&rows, &contestants, &names));
    let measured = report::figures(&rows, &contestants, &names);
    figures::write(
        "edge",
        &json!({ "machine": machine, "rounds": rounds, "memory_rounds": memory_rounds, "measures": measured }),
    );
}

/// Open files of a process besides the idle connections.
const FILES_BESIDES: u64 = 1500;

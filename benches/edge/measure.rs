//! What is measured, and how: each figure is the median of rounds that are interleaved between the
//! servers, and there is none where anything went wrong.

use std::{net::SocketAddr, time::Duration};

use serde_json::json;
use tokio::runtime::Runtime;

use super::{
    contestant::Contestant,
    h2load::{self, Requests},
    idle::Idle,
    origin::Origin,
    pages::{self, Pages},
    report::{Better, Cell, Row, Standing},
    support::{
        client::Failure,
        process::{self, Cpu},
        servers::{Server, Site},
    },
};

/// Something that costs CPU time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Work {
    /// For programs.
    key: &'static str,
    /// For people.
    title: &'static str,
    load: Load,
    /// How much of it is done before anything is measured, and at least in a round.
    least: u64,
    /// The same work without a cache.
    pub(crate) without_cache: Option<&'static str>,
}

#[derive(Debug, Clone, Copy)]
enum Load {
    /// Requests of this path, with answers of so many bytes.
    Path(&'static str, u64),
    /// Requests of this path, answered from a cache.
    CachedPath(&'static str, u64),
    /// Pages with their assets.
    Pages(Pages),
}

/// Without push.
pub(crate) const PLAIN: [Work; 4] = [
    Work {
        key: "1k",
        title: "1 KB",
        load: Load::Path("/1k", 1024),
        least: 2000,
        without_cache: None,
    },
    Work {
        key: "64k",
        title: "64 KB",
        load: Load::Path("/64k", 65_536),
        least: 1000,
        without_cache: None,
    },
    Work {
        key: "1m",
        title: "1 MB",
        load: Load::Path("/1m", 1_048_576),
        least: 256,
        without_cache: None,
    },
    Work {
        key: "links",
        title: "1 KB with three links, to a client without push",
        load: Load::Path("/page/0", 1024),
        least: 2000,
        without_cache: None,
    },
];

/// A page with three pushed assets.
pub(crate) const PUSH: Work = Work {
    key: "page",
    title: "page with three pushed assets",
    load: Load::Pages(Pages::Plain),
    least: 512,
    without_cache: None,
};

/// The same from caches; then an asset of it that the client asks for.
pub(crate) const CACHE: [Work; 2] = [
    Work {
        key: "cached-page",
        title: "the same, assets cached",
        load: Load::Pages(Pages::Cached),
        least: 512,
        without_cache: Some("page"),
    },
    Work {
        key: "cached-asset",
        title: "cached asset of 1 KB",
        load: Load::CachedPath("/cached/0.css", 1024),
        least: 2000,
        without_cache: Some("1k"),
    },
];

/// A contestant that is running.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) contestant: Contestant,
    pub(crate) server: Server,
}

/// What measuring needs.
#[derive(Debug)]
pub(crate) struct Bench<'a> {
    pub(crate) runtime: &'a Runtime,
    pub(crate) origin: &'a Origin,
    pub(crate) rounds: usize,
    /// Of one round of one server, about.
    pub(crate) period: Duration,
}

/// One round of one server.
struct Round {
    seconds: f64,
    /// Requests or pages.
    number: f64,
    /// Of which the assets were pushed.
    pushed: f64,
    cpu: Cpu,
}

impl Bench<'_> {
    /// CPU time and throughput of one kind of work: two rows.
    pub(crate) fn cpu(&self, work: Work, running: &[Running]) -> [Row; 2] {
        let mut numbers = Vec::new();
        for each in running {
            eprint!(".");
            let takes_part = !work.load.is_cached() || each.contestant.caches;
            numbers.push(takes_part.then(|| self.number(work, each)));
        }
        let mut rounds: Vec<Vec<Result<Round, String>>> = running.iter().map(|_| Vec::new()).collect();
        for _ in 0..self.rounds {
            for ((each, number), rounds) in running.iter().zip(&numbers).zip(&mut rounds) {
                match number {
                    None => {}
                    Some(Ok(number)) => rounds.push(self.round(work, each, *number)),
                    Some(Err(problem)) => rounds.push(Err(problem.clone())),
                }
            }
            eprint!(".");
        }
        eprintln!(" {}", work.title);
        let unit = match work.load {
            Load::Pages(_) => ["CPU µs a page", "pages/s"],
            Load::Path(..) | Load::CachedPath(..) => ["CPU µs a request", "requests/s"],
        };
        let rounds: Vec<Result<Vec<Round>, String>> =
            rounds.into_iter().map(|rounds| rounds.into_iter().collect()).collect();
        let row = |unit, better, of: fn(&Round) -> f64| Row {
            key: work.key,
            title: work.title.to_owned(),
            unit,
            better,
            cells: running
                .iter()
                .zip(&rounds)
                .map(|(each, rounds)| work.cell(each, rounds, of))
                .collect(),
        };
        let total = |round: &Round| (round.cpu.user + round.cpu.system) * 1e6 / round.number;
        [
            row(unit[0], Better::Less, total),
            row(unit[1], Better::More, |round| round.number / round.seconds),
        ]
    }

    /// How much of it a server does in the period: known by trying, which warms it up.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate is positive and not that large"
    )]
    fn number(&self, work: Work, on: &Running) -> Result<u64, String> {
        let round = self.attempt(work, on, work.least)?;
        let number = round.number / round.seconds * self.period.as_secs_f64();
        Ok((number as u64).max(work.least))
    }

    /// A round, with proof of where the assets came from.
    fn round(&self, work: Work, on: &Running, number: u64) -> Result<Round, String> {
        let before = self.origin.assets();
        let round = self.attempt(work, on, number)?;
        let asked = self.origin.assets() - before;
        match work.load {
            Load::Pages(Pages::Cached) | Load::CachedPath(..) if asked > 0 => {
                Err(format!("the origin was asked for {asked} assets of {number}"))
            }
            Load::Pages(Pages::Plain) if asked < 3 * number => {
                Err(format!("the origin was asked for {asked} assets of {number} pages"))
            }
            _ => Ok(round),
        }
    }

    fn attempt(&self, work: Work, on: &Running, number: u64) -> Result<Round, String> {
        let address = on.server.address;
        let before = on.server.cpu();
        let (seconds, pushed) = match work.load {
            Load::Path(path, bytes) | Load::CachedPath(path, bytes) => {
                (h2load::run(address, Requests { path, bytes, number })?, 0)
            }
            Load::Pages(pages) => self.pages(address, pages, number)?,
        };
        Ok(Round {
            seconds,
            number: number as f64,
            pushed: pushed as f64,
            cpu: on.server.cpu().since(before),
        })
    }

    fn pages(&self, address: SocketAddr, pages: Pages, number: u64) -> Result<(f64, u64), String> {
        let load = async { tokio::time::timeout(LIMIT, pages::load(address, pages, number)).await };
        match self.runtime.block_on(load) {
            Ok(Ok(loaded)) => Ok((loaded.seconds, loaded.pushed)),
            Ok(Err(e)) => Err(e.to_string()),
            Err(_) => Err(format!("{number} pages took more than {} s", LIMIT.as_secs())),
        }
    }

    /// Memory with 512 responses of 1 MB under way: its peak, and what remains. A new process each time.
    pub(crate) fn streams(&self, contestants: &[Contestant], site: &Site) -> [Row; 2] {
        let mut peaks: Vec<Cell> = contestants.iter().map(|_| Cell::default()).collect();
        let mut remains = peaks.clone();
        for _ in 0..self.rounds {
            for (at, contestant) in contestants.iter().enumerate() {
                let Some(server) = contestant.start(site) else { continue };
                match streams(&server) {
                    Ok(resident) => {
                        peaks[at].values.push(megabytes(resident.peak));
                        remains[at].values.push(megabytes(resident.now));
                    }
                    Err(problem) => {
                        peaks[at].problem = Some(problem.clone());
                        remains[at].problem = Some(problem);
                    }
                }
            }
            eprint!(".");
        }
        eprintln!(" memory, 512 streams");
        [("MB resident at most", peaks), ("MB resident afterwards", remains)].map(|(unit, cells)| Row {
            key: "streams",
            title: "512 streams of 1 MB".to_owned(),
            unit,
            better: Better::Less,
            cells,
        })
    }

    /// Memory with so many idle connections. A new process for each.
    pub(crate) fn idle(&self, contestants: &[Contestant], site: &Site, number: usize) -> [Row; 2] {
        let mut totals = Vec::new();
        let mut shares = Vec::new();
        for contestant in contestants {
            let (mut total, mut share) = (Cell::default(), Cell::default());
            if let Some(server) = contestant.start(site) {
                match self.runtime.block_on(idle(&server, number)) {
                    Ok((before, after)) => {
                        total.values.push(megabytes(after));
                        share
                            .values
                            .push(after.saturating_sub(before) as f64 / 1024.0 / number as f64);
                    }
                    Err(e) => {
                        total.problem = Some(e.to_string());
                        share.problem = Some(e.to_string());
                    }
                }
            }
            totals.push(total);
            shares.push(share);
            eprint!(".");
        }
        eprintln!(" memory, idle connections");
        [("MB resident", totals), ("KB a connection", shares)].map(|(unit, cells)| Row {
            key: "idle",
            title: format!("{number} idle connections"),
            unit,
            better: Better::Less,
            cells,
        })
    }
}

impl Load {
    const fn is_cached(self) -> bool {
        matches!(self, Self::CachedPath(..) | Self::Pages(Pages::Cached))
    }
}

impl Work {
    /// A server's figures, if all its rounds were as they should be.
    fn cell(self, each: &Running, rounds: &Result<Vec<Round>, String>, of: fn(&Round) -> f64) -> Cell {
        let rounds = match rounds {
            Ok(rounds) => rounds,
            Err(problem) => {
                return Cell {
                    problem: Some(problem.clone()),
                    ..Cell::default()
                };
            }
        };
        let mut cell = Cell {
            values: rounds.iter().map(of).collect(),
            ..Cell::default()
        };
        if rounds.is_empty() {
            return cell;
        }
        let sum = |of: fn(&Round) -> f64| rounds.iter().map(of).sum::<f64>();
        let number = sum(|round| round.number);
        cell.details = json!({
            "number_of_each_round": rounds.iter().map(|round| round.number).collect::<Vec<f64>>(),
            "user_us": sum(|round| round.cpu.user) * 1e6 / number,
            "system_us": sum(|round| round.cpu.system) * 1e6 / number,
            "share_of_a_processor": sum(|round| round.cpu.user + round.cpu.system) / sum(|round| round.seconds),
        });
        if let Load::Pages(_) = self.load {
            let pushed = sum(|round| round.pushed);
            cell.details["pages_pushed_whole"] = json!(pushed);
            cell.standing = if each.contestant.pushes {
                Standing::Own
            } else {
                Standing::Asked
            };
            let missing = number - pushed;
            if each.contestant.pushes && missing > number * FORGIVEN {
                cell.values.clear();
                cell.problem = Some(format!("{missing} of {number} pages without three pushes"));
            } else if each.contestant.pushes && missing > 0.0 {
                cell.note = Some(format!("{missing} of {number} pages without three pushes"));
            }
        }
        cell
    }
}

fn streams(server: &Server) -> Result<process::Resident, String> {
    let requests = |path, bytes, number| h2load::run(server.address, Requests { path, bytes, number });
    requests("/1k", 1024, 512)?;
    process::forget_peak(server.process());
    requests("/1m", 1_048_576, 2048)?;
    Ok(process::resident(server.process()))
}

/// Memory before and with so many connections.
async fn idle(server: &Server, number: usize) -> Result<(u64, u64), Failure> {
    drop(Idle::open(server.address, 1).await?);
    let before = process::resident(server.process()).now;
    let connections = match tokio::time::timeout(LIMIT, Idle::open(server.address, number)).await {
        Ok(connections) => connections?,
        Err(_) => return Err(format!("not all were served within {} s", LIMIT.as_secs()).into()),
    };
    // What is freed soon after, is.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let after = process::resident(server.process()).now;
    match connections.closed() {
        0 => Ok((before, after)),
        closed => Err(format!("it closed {closed} of {number} connections").into()),
    }
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1_048_576.0
}

/// What takes longer has failed.
const LIMIT: Duration = Duration::from_secs(30);

/// The share of pages that may lack a push: Apache's diary takes some new URLs for known ones.
const FORGIVEN: f64 = 0.01;

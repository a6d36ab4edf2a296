//! Measures each quantity on each server. A figure is the median of rounds that are interleaved between the servers; a
//! problem in one round voids the figure.

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

/// A kind of work that costs CPU time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Work {
    /// Its key in the JSON file.
    key: &'static str,
    /// Its title in the table.
    title: &'static str,
    load: Load,
    /// Requests or pages of the warm-up, and the least of a round.
    least: u64,
    /// The key of the same work without a cache.
    pub(crate) without_cache: Option<&'static str>,
}

#[derive(Debug, Clone, Copy)]
enum Load {
    /// Requests of a path, with responses of this many bytes.
    Path(&'static str, u64),
    /// Requests of a path, with stored responses of this many bytes.
    CachedPath(&'static str, u64),
    /// Pages with their assets.
    Pages(Pages),
}

/// Work without push.
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

/// Work with stored responses: a page with three pushed assets, and an asset that the client requests.
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

/// A running contestant.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) contestant: Contestant,
    pub(crate) server: Server,
}

/// The parts that measurements share.
#[derive(Debug)]
pub(crate) struct Bench<'a> {
    pub(crate) runtime: &'a Runtime,
    pub(crate) origin: &'a Origin,
    pub(crate) rounds: usize,
    /// The approximate duration of one round of one server.
    pub(crate) period: Duration,
}

/// One round of one server.
struct Round {
    seconds: f64,
    /// The number of requests or pages.
    number: f64,
    /// The number of pages whose assets were all pushed.
    pushed: f64,
    cpu: Cpu,
}

impl Bench<'_> {
    /// Measures CPU time and throughput of one kind of work: two rows.
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

    /// Returns the requests or pages that a server completes in the period, by a trial that also warms the server up.
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

    /// Runs a round, and checks at the origin that assets came from the expected place.
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
                (h2load::run(address, Requests { path, bytes, number }, &[])?, 0)
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

    /// Measures memory with 512 concurrent responses of 1 MB, at the peak and afterwards. Each round has a new process.
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

    /// Measures memory with this many idle connections. Each server has a new process.
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
    /// Returns a server's figures, or the problem of a round.
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
    let requests = |path, bytes, number| h2load::run(server.address, Requests { path, bytes, number }, &[]);
    requests("/1k", 1024, 512)?;
    process::forget_peak(server.process());
    requests("/1m", 1_048_576, 2048)?;
    Ok(process::resident(server.process()))
}

/// Returns the resident memory before and with this many connections.
async fn idle(server: &Server, number: usize) -> Result<(u64, u64), Failure> {
    drop(Idle::open(server.address, 1).await?);
    let before = process::resident(server.process()).now;
    let connections = match tokio::time::timeout(LIMIT, Idle::open(server.address, number)).await {
        Ok(connections) => connections?,
        Err(_) => return Err(format!("not all were served within {} s", LIMIT.as_secs()).into()),
    };
    // Gives the server time to free memory of the handshakes.
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

/// Time limit of one load.
const LIMIT: Duration = Duration::from_secs(30);

/// The fraction of pages that may lack a push: Apache's diary takes some new URLs for known ones.
const FORGIVEN: f64 = 0.01;

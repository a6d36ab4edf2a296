//! Fetches a page as a described client (`linkpush probe URL`), and prints which assets were pushed, hinted, or only
//! named.
//!
//! Reading order: `args` (the client and the way to the server), `units`, `report` (the printed table, 103s and
//! sentence), `doctor` (what spoils hints and pushes), `chain` (where push dies among several hops).

mod args;
mod chain;
mod doctor;
mod report;
mod units;

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use url::Url;

pub(in crate::cli) use self::args::Args;
use self::args::ProbeFormat;
use self::chain::ChainReport;
pub use self::chain::{ChainFinding, FindingWeight};
pub use self::doctor::Symptom;
use self::doctor::examine;
use self::report::{Report, ReportJson, symptoms};
use super::visit::{Itinerary, VisitError, VisitOutcome, block_on, visit};

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
enum ProbeError {
    /// The server gave no response.
    #[error("no page from {url}")]
    Visit {
        /// The page.
        url: Url,
        /// The cause.
        source: VisitError,
    },
    /// The page was not received, or not completely.
    #[error("no page from {url}: {reason}")]
    Page {
        /// The page.
        url: Url,
        /// The cause.
        reason: String,
    },
    /// The runtime did not start.
    #[error("starting the runtime")]
    Runtime(#[source] io::Error),
}

/// Probes a page and prints the report.
///
/// # Errors
///
/// The page was not received completely. The report of everything else is printed all the same.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let itinerary = match args.itinerary() {
        Ok(itinerary) => itinerary,
        Err(problem) => {
            eprint!("{}", super::failure::report(&anyhow::Error::msg(problem)));
            return Ok(ExitCode::from(super::failure::USAGE));
        }
    };
    if !args.hops.is_empty() {
        return run_chain(args, &itinerary);
    }
    let url = || itinerary.page.clone();
    let visited = block_on(visit(&itinerary)).map_err(ProbeError::Runtime)?;
    let visited = visited.map_err(|source| ProbeError::Visit { url: url(), source })?;
    let diagnoses = examine(&itinerary.page, &visited);
    match args.format {
        ProbeFormat::Json => {
            let json = ReportJson::new(itinerary.page.as_str(), &visited, &diagnoses);
            println!("{}", serde_json::to_string(&json)?);
        }
        ProbeFormat::Text => print!("{}{}", Report(&visited).render(), symptoms(&diagnoses)),
    }
    if visited.page().is_some() {
        return Ok(ExitCode::SUCCESS);
    }
    let reason = match visited.exchanges.first().map(|page| &page.outcome) {
        Some(VisitOutcome::Failed(reason)) => reason.clone(),
        _ => not_complete(itinerary.limit),
    };
    Err(ProbeError::Page { url: url(), reason }.into())
}

/// Visits the hops of a chain, and prints where push dies.
fn run_chain(args: &Args, itinerary: &Itinerary) -> anyhow::Result<ExitCode> {
    let report = block_on(ChainReport::of(&args.hops, itinerary)).map_err(ProbeError::Runtime)?;
    let report = report.map_err(anyhow::Error::msg)?;
    match args.format {
        ProbeFormat::Json => println!("{}", serde_json::to_string(&report.table())?),
        ProbeFormat::Text => print!("{}", report.table()),
    }
    Ok(ExitCode::from(report.exit_code()))
}

fn not_complete(limit: Duration) -> String {
    format!("not complete within {limit:?}")
}

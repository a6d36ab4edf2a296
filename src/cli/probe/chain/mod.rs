//! Visits each hop of a chain with the same request, and says where push dies (`linkpush probe URL --hop …`).
//!
//! Reading order: `hop` (the arguments), `sight` (what was seen), `observe` (the visits), `software` (what a hop is),
//! `fate` (what became of `Link` and 103 at a hop), `finding` (the words), `verdict` (the decision), `table` (the print).

mod fate;
mod finding;
mod hop;
mod observe;
mod sight;
mod software;
mod table;
mod verdict;

pub use self::finding::{ChainFinding, FindingWeight};
pub(super) use self::hop::HopArg;
use self::{observe::observe, sight::HopSight, table::ChainTable, verdict::ChainVerdict};
use crate::cli::visit::Itinerary;

/// A chain that was visited and judged.
#[derive(Debug)]
pub(super) struct ChainReport {
    url: String,
    hops: Vec<HopSight>,
    verdict: ChainVerdict,
}

impl ChainReport {
    /// Visits the hops one after another, and judges them.
    ///
    /// # Errors
    ///
    /// In words: a hop cannot be asked for the page.
    pub(super) async fn of(hops: &[HopArg], described: &Itinerary) -> Result<Self, String> {
        let mut seen = Vec::new();
        for hop in hops {
            seen.push(observe(hop, described).await?);
        }
        Ok(Self {
            url: described.page.to_string(),
            verdict: ChainVerdict::of(&seen),
            hops: seen,
        })
    }

    /// Returns the table and the findings, for text and JSON.
    pub(super) fn table(&self) -> ChainTable<'_> {
        ChainTable::new(self.url.clone(), &self.hops, &self.verdict)
    }

    /// The exit code for scripts.
    pub(super) fn exit_code(&self) -> u8 {
        self.verdict.exit_code()
    }
}

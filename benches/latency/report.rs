//! Reports the results: a table on the terminal, and a JSON file.

use std::time::Duration;

use serde_json::json;

use super::{
    ROUND_TRIPS, THINK,
    browser::Load,
    support::{client::Taking, figures, servers::Server},
};

/// The loads of one kind of client through one server.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) server: String,
    pub(crate) taking: Taking,
    is_peer: bool,
    /// The loads, by round trip time.
    pub(crate) loads: [Vec<Load>; ROUND_TRIPS.len()],
}

impl Row {
    pub(crate) fn new(server: &Server, taking: Taking) -> Self {
        Self {
            server: server.name.clone(),
            taking,
            is_peer: server.is_peer,
            loads: Default::default(),
        }
    }

    /// Returns the client's name in the table.
    pub(crate) const fn client(&self) -> &'static str {
        match self.taking {
            Taking::Pushes => "takes pushes",
            Taking::None => "as browsers are, no push",
        }
    }

    /// Returns the times in milliseconds, sorted.
    fn times(&self, column: usize) -> Vec<f64> {
        let mut times: Vec<Duration> = self.loads[column].iter().map(|load| load.complete).collect();
        times.sort();
        times.into_iter().map(|time| time.as_secs_f64() * 1e3).collect()
    }

    fn median(&self, column: usize) -> f64 {
        figures::median(self.times(column))
    }

    /// Returns how the assets arrived, by the medians of pushes and hints.
    fn way(&self) -> String {
        let loads: Vec<&Load> = self.loads.iter().flatten().collect();
        let most = |of: fn(&Load) -> usize| {
            let mut all: Vec<usize> = loads.iter().map(|load| of(load)).collect();
            all.sort_unstable();
            all[all.len() / 2]
        };
        match (most(|load| load.pushed), most(|load| load.hints)) {
            (0, 0) => "asked for".to_owned(),
            (0, hints) => format!("{hints} × 103"),
            (pushed, 0) => format!("{pushed} pushed"),
            (pushed, hints) => format!("{pushed} pushed, {hints} × 103"),
        }
    }
}

/// Returns the best median among the peers, for one kind of client at one round trip time.
fn best_peer(rows: &[Row], taking: Taking, column: usize) -> Option<f64> {
    let peers = rows.iter().filter(|row| row.is_peer && row.taking == taking);
    peers.map(|row| row.median(column)).min_by(f64::total_cmp)
}

/// Prints the table, and writes `target/bench-latency.json`.
pub(crate) fn print(rows: &[Row], rounds: usize) {
    println!(
        "Until page and assets are complete, in ms: median of {rounds} interleaved rounds, and its ratio to the best \
         other proxy.\nThe origin thinks {} ms about the page.\n",
        THINK.as_millis()
    );
    let times = ROUND_TRIPS.map(|round_trip| format!("{} ms round trip", round_trip.as_millis()));
    println!(
        "| {:<23} | {:<26} | {:<10} | {} | ratio | {} | ratio |",
        "client", "server", "assets", times[0], times[1]
    );
    println!("|---|---|---|--:|--:|--:|--:|");
    let mut records = Vec::new();
    for row in rows {
        print!("| {:<23} | {:<26} | {:<10} |", row.client(), row.server, row.way());
        for (column, round_trip) in ROUND_TRIPS.into_iter().enumerate() {
            let median = row.median(column);
            let ratio = best_peer(rows, row.taking, column).map(|best| median / best);
            let shown = ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}"));
            print!(" {median:>width$.0} | {shown:>5} |", width = times[column].len());
            records.push(json!({
                "client": row.client(),
                "server": row.server,
                "is_peer": row.is_peer,
                "assets": row.way(),
                "round_trip_ms": u64::try_from(round_trip.as_millis()).unwrap_or(u64::MAX),
                "median_ms": median,
                "ratio_to_best_peer": ratio,
                "all_ms": row.times(column),
            }));
        }
        println!();
    }
    let think_ms = u64::try_from(THINK.as_millis()).unwrap_or(u64::MAX);
    figures::write(
        "latency",
        &json!({ "rounds": rounds, "think_ms": think_ms, "rows": records }),
    );
}

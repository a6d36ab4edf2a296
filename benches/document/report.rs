//! Reports the results: two tables on the terminal, and a JSON file.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    ASSET, ASSETS, DOCUMENTS, DOWNLOAD, THINK,
    client::Loaded,
    support::{client::Taking, figures},
};

/// A document through one server.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) server: String,
    is_peer: bool,
    congestion: String,
    /// Bytes of the document.
    pub(crate) document: usize,
    /// Milliseconds until the document was complete, without pushes.
    without: Vec<f64>,
    /// Milliseconds until the document was complete, with pushes.
    with: Vec<f64>,
    /// Milliseconds until the document and the pushes were complete.
    all: Vec<f64>,
    pushed: usize,
}

impl Page {
    pub(crate) fn new(server: &str, is_peer: bool, congestion: &str, document: usize) -> Self {
        Self {
            server: server.to_owned(),
            is_peer,
            congestion: congestion.to_owned(),
            document,
            without: Vec::new(),
            with: Vec::new(),
            all: Vec::new(),
            pushed: 0,
        }
    }

    pub(crate) fn add(&mut self, taking: Taking, loaded: &Loaded) {
        match taking {
            Taking::None => self.without.push(millis(loaded.document)),
            Taking::Pushes => {
                self.with.push(millis(loaded.document));
                self.all.push(millis(loaded.all));
                self.pushed = loaded.pushed;
            }
        }
    }

    fn ratio(&self) -> f64 {
        median(&self.with) / median(&self.without)
    }

    fn to_json(&self) -> Value {
        json!({
            "server": self.server,
            "is_peer": self.is_peer,
            "congestion_control": self.congestion,
            "document_bytes": self.document,
            "pushed_bytes": self.pushed,
            "without_pushes_ms": self.without,
            "with_pushes_ms": self.with,
            "all_ms": self.all,
            "ratio": self.ratio(),
        })
    }

    fn from_json(value: &Value) -> Option<Self> {
        let text = |name: &str| value[name].as_str().map(str::to_owned);
        let number = |name: &str| value[name].as_u64().and_then(|n| usize::try_from(n).ok());
        let times = |name: &str| Some(value[name].as_array()?.iter().filter_map(Value::as_f64).collect());
        Some(Self {
            server: text("server")?,
            is_peer: value["is_peer"].as_bool()?,
            congestion: text("congestion_control")?,
            document: number("document_bytes")?,
            without: times("without_pushes_ms")?,
            with: times("with_pushes_ms")?,
            all: times("all_ms")?,
            pushed: number("pushed_bytes")?,
        })
    }
}

pub(crate) fn to_json(pages: &[Page]) -> Value {
    pages.iter().map(Page::to_json).collect()
}

pub(crate) fn from_json(text: &str) -> Vec<Page> {
    let value: Value = serde_json::from_str(text.trim()).unwrap_or_default();
    value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Page::from_json)
        .collect()
}

/// A download through one server.
#[derive(Debug)]
pub(crate) struct Download {
    server: String,
    is_peer: bool,
    millis: Vec<f64>,
    cpu_millis: Vec<f64>,
}

impl Download {
    pub(crate) fn new(server: &str, is_peer: bool) -> Self {
        Self {
            server: server.to_owned(),
            is_peer,
            millis: Vec::new(),
            cpu_millis: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, time: Duration, cpu: Duration) {
        self.millis.push(millis(time));
        self.cpu_millis.push(millis(cpu));
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn median(times: &[f64]) -> f64 {
    figures::median(times.iter().copied())
}

/// Prints the tables, and writes `target/bench-document.json`.
pub(crate) fn print(pages: &[Page], downloads: &[Download], rounds: usize) {
    println!("Medians of {rounds} interleaved rounds.\n");
    if !pages.is_empty() {
        println!(
            "Until a document is complete over 10 Mbit/s, in ms: without pushes, with {} KB of pushes under way, and the ratio. \
             The origin thinks {} ms.\n",
            ASSETS * ASSET / 1000,
            THINK.as_millis()
        );
        let sizes = DOCUMENTS.map(|size| format!("{} KB | with | ratio", size / 1000));
        println!(
            "| {:<16} | {:<7} | {} | pushed KB | all ms |",
            "server",
            "TCP",
            sizes.join(" | ")
        );
        println!("|---|---|{}--:|--:|", "--:|--:|--:|".repeat(DOCUMENTS.len()));
        for first in pages.iter().filter(|page| page.document == DOCUMENTS[0]) {
            print!("| {:<16} | {:<7} |", first.server, first.congestion);
            let same = pages
                .iter()
                .filter(|page| page.server == first.server && page.congestion == first.congestion);
            for page in same {
                print!(
                    " {:>5.0} | {:>4.0} | {:>5.2} |",
                    median(&page.without),
                    median(&page.with),
                    page.ratio()
                );
            }
            println!(" {:>9} | {:>6.0} |", first.pushed / 1000, median(&first.all));
        }
        println!();
    }
    let nginx = downloads.iter().find(|download| download.server.starts_with("nginx"));
    println!(
        "A single download of {} MB over loopback, in ms, and its ratio to nginx.\n",
        DOWNLOAD / 1_000_000
    );
    println!("| {:<16} | time | ratio | CPU of the server | ratio |", "server");
    println!("|---|--:|--:|--:|--:|");
    let mut records = Vec::new();
    for download in downloads {
        let (time, cpu) = (median(&download.millis), median(&download.cpu_millis));
        let ratio = |own: f64, of: fn(&Download) -> &[f64]| nginx.map(|nginx| own / median(of(nginx)));
        let ratios = [
            ratio(time, |download| &download.millis),
            ratio(cpu, |download| &download.cpu_millis),
        ];
        let [time_ratio, cpu_ratio] =
            ratios.map(|ratio| ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}")));
        println!(
            "| {:<16} | {time:>4.0} | {time_ratio:>5} | {cpu:>17.0} | {cpu_ratio:>5} |",
            download.server
        );
        records.push(json!({
            "server": download.server,
            "is_peer": download.is_peer,
            "time_ms": download.millis,
            "cpu_ms": download.cpu_millis,
            "ratio_to_nginx": ratios[0],
            "cpu_ratio_to_nginx": ratios[1],
        }));
    }
    figures::write(
        "document",
        &json!({ "rounds": rounds, "pages": to_json(pages), "downloads": records }),
    );
}

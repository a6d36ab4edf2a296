//! Prints a chain: a table with a line a hop, then the findings. As text, or as JSON.

use std::fmt;

use serde::Serialize;

use super::fate::{EarlyFate, LinkFate};
use super::sight::{HopSight, Http2Way};
use super::verdict::{ChainVerdict, FoundAt};
use crate::cli::probe::units::{format_duration, printable};
use crate::meter::Label as _;

/// A chain, as it is printed.
#[derive(Debug, Serialize)]
pub(in crate::cli::probe) struct ChainTable<'c> {
    url: String,
    hops: Vec<HopRow<'c>>,
    findings: &'c [FoundAt],
}

/// One hop, as it is printed.
#[derive(Debug, Serialize)]
struct HopRow<'c> {
    name: &'c str,
    software: String,
    /// How it speaks HTTP/2 to clients.
    http2: Http2Way,
    /// Whether it answers `Upgrade: h2c`; null with TLS.
    upgrade: Option<bool>,
    proxy_header: Option<&'static str>,
    status: Option<u16>,
    /// Why there is no page.
    failure: Option<&'c str>,
    links: &'c [String],
    link: LinkFate,
    /// The `Link` lines of each 103 that a browser got.
    early_links: &'c [Vec<String>],
    early: EarlyFate,
    pushed: &'c [String],
    withdrawn: &'c [String],
    /// Time of the page's head, microseconds since the connection was made.
    head_us: u64,
    /// Time of the page's end.
    end_us: u64,
}

impl<'c> ChainTable<'c> {
    pub(super) fn new(url: String, hops: &'c [HopSight], verdict: &'c ChainVerdict) -> Self {
        let rows = hops.iter().zip(&verdict.hops).map(|(hop, verdict)| HopRow {
            name: &hop.name,
            software: verdict.software.to_string(),
            http2: hop.http2,
            upgrade: hop.upgrade,
            proxy_header: hop.proxy_header,
            status: hop.page.status,
            failure: hop.page.failure.as_deref(),
            links: &hop.page.links,
            link: verdict.link,
            early_links: &hop.browser.early,
            early: verdict.early,
            pushed: &hop.page.pushed,
            withdrawn: &hop.page.withdrawn,
            head_us: hop.page.head_us,
            end_us: hop.page.end_us,
        });
        Self {
            url,
            hops: rows.collect(),
            findings: &verdict.findings,
        }
    }
}

impl HopRow<'_> {
    /// The cells of its line.
    fn cells(&self) -> [String; COLUMNS] {
        let way = match self.http2 {
            Http2Way::Alpn => "HTTP/2 by ALPN",
            Http2Way::PriorKnowledge => "HTTP/2 (h2c)",
            Http2Way::None => "HTTP/1.1",
            Http2Way::AlpnOnly => "HTTP/1.1, ALPN h2",
        };
        let upgrade = match self.upgrade {
            Some(true) => "answered",
            Some(false) => "no",
            None => "-",
        };
        let pushed = match self.pushed {
            [] => "-".to_owned(),
            pushed => format!("* {}", pushed.join(" ")),
        };
        let time = |micros| format_duration(std::time::Duration::from_micros(micros));
        let (head, end) = match self.status {
            Some(_) => (time(self.head_us), time(self.end_us)),
            None => ("-".to_owned(), "-".to_owned()),
        };
        [
            self.name.to_owned(),
            self.software.clone(),
            if self.status.is_none() { "-" } else { way }.to_owned(),
            upgrade.to_owned(),
            self.status.map_or_else(|| "-".to_owned(), |status| status.to_string()),
            self.link.word().to_owned(),
            self.early.word().to_owned(),
            head,
            end,
            printable(&pushed),
        ]
    }
}

impl fmt::Display for ChainTable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows: Vec<[String; COLUMNS]> = std::iter::once(HEAD.map(str::to_owned))
            .chain(self.hops.iter().map(HopRow::cells))
            .collect();
        let mut widths = [0; COLUMNS];
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        for row in &rows {
            let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
            writeln!(f, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
        }
        for found in self.findings {
            writeln!(f, "\n{}: {}.", found.finding.label(), printable(&found.text))?;
            if let Some(remedy) = &found.remedy {
                writeln!(f, "    {remedy}.")?;
            }
        }
        Ok(())
    }
}

const COLUMNS: usize = 10;

const HEAD: [&str; COLUMNS] = [
    "hop", "software", "protocol", "Upgrade", "status", "Link", "103", "head", "end", "pushed",
];

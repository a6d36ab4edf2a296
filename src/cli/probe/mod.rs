//! Fetches a page as a client that accepts HTTP/2 push (`linkpush probe URL`), and prints which assets were pushed,
//! hinted, or only named.
//!
//! Reading order: `connect` (TCP, TLS, ALPN), `discover` (which assets a page names), `report` (the printed table, 103s
//! and sentence), `visit` (the page, its pushes and its assets).

mod connect;
mod discover;
mod report;
mod visit;

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use url::Url;

use self::connect::{ConnectError, Verification, connect};
use self::report::{ProbeOutcome, PushSetting, Report};
use self::visit::{FetchKind, Itinerary, visit};

/// Fetch a page and its assets over HTTP/2, accept pushes, and show when and how each asset came
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The page: http:// is HTTP/2 by prior knowledge, https:// is HTTP/2 by ALPN.
    #[arg(value_parser = page_url)]
    pub url: Url,
    /// Accept any certificate.
    #[arg(long)]
    pub insecure: bool,
    /// Refuse pushes (SETTINGS_ENABLE_PUSH=0), as every current browser does.
    #[arg(long)]
    pub no_push: bool,
    /// Ask for the page as a browser navigates (sec-fetch-mode: navigate), so that a 103 may come. The default.
    #[arg(long, overrides_with = "no_navigate")]
    pub navigate: bool,
    /// Ask for the page without a sec-fetch-mode.
    #[arg(long)]
    pub no_navigate: bool,
    /// Time limit of the whole probe, such as 500ms, 10s or 2m.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    pub timeout: Duration,
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
enum ProbeError {
    /// No connection to the server speaks HTTP/2.
    #[error("no HTTP/2 connection to {url}")]
    Connect {
        /// The page.
        url: Url,
        /// The cause.
        source: ConnectError,
    },
    /// There was no connection within the time limit.
    #[error("no HTTP/2 connection to {url} within {limit:?}")]
    ConnectTimeout {
        /// The page.
        url: Url,
        /// The time limit.
        limit: Duration,
    },
    /// The connection ended before HTTP/2 had begun.
    #[error("starting HTTP/2 with {url}")]
    Handshake {
        /// The page.
        url: Url,
        /// The cause.
        source: h2::Error,
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
    // One thread, since `visit` needs it.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(ProbeError::Runtime)?;
    let report = runtime.block_on(probe(args));
    // Does not wait for a name that may still be looked up on a thread of its own.
    runtime.shutdown_background();
    let report = report?;

    print!("{}", report.render());
    if report.has_page() {
        return Ok(ExitCode::SUCCESS);
    }
    let reason = match report.exchanges.first().map(|page| &page.outcome) {
        Some(ProbeOutcome::Failed(reason)) => reason.clone(),
        _ => format!("not complete within {:?}", args.timeout),
    };
    Err(ProbeError::Page {
        url: args.url.clone(),
        reason,
    }
    .into())
}

async fn probe(args: &Args) -> Result<Report, ProbeError> {
    let url = || args.url.clone();
    let itinerary = Itinerary {
        page: url(),
        push: if args.no_push {
            PushSetting::Refused
        } else {
            PushSetting::Accepted
        },
        fetch: if args.no_navigate {
            FetchKind::Unspecified
        } else {
            FetchKind::Navigation
        },
        deadline: Instant::now() + args.timeout,
    };
    let verification = if args.insecure {
        Verification::Skipped
    } else {
        Verification::System
    };

    let transport = timeout_at(itinerary.deadline, connect(&args.url, verification))
        .await
        .map_err(|_| ProbeError::ConnectTimeout {
            url: url(),
            limit: args.timeout,
        })?
        .map_err(|source| ProbeError::Connect { url: url(), source })?;
    visit(transport, &itinerary)
        .await
        .map_err(|source| ProbeError::Handshake { url: url(), source })
}

/// Parses the page's URL, and removes the fragment, which is never sent.
fn page_url(text: &str) -> Result<Url, String> {
    let mut url = Url::parse(text).map_err(|error| format!("{error}; an example is http://127.0.0.1:8080/"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("the scheme must be http or https, got {}", url.scheme()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a user name or a password is not sent".to_owned());
    }
    url.set_fragment(None);
    Ok(url)
}

/// Parses a duration with its unit.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|character: char| character.is_ascii_alphabetic());
    let unit = text.get(digits.len()..).unwrap_or_default();
    let milliseconds: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        _ => return Err("must be a number with ms, s or m, such as 10s".to_owned()),
    };
    let count: u64 = digits.parse().map_err(|_| format!("no whole number: {digits:?}"))?;
    match count.checked_mul(milliseconds) {
        Some(total @ 1..=LONGEST_PROBE_MS) => Ok(Duration::from_millis(total)),
        _ => Err("must be 1ms to 60m".to_owned()),
    }
}

/// Milliseconds of the longest time limit, one hour: far from overflowing a clock.
const LONGEST_PROBE_MS: u64 = 3_600_000;

#[cfg(test)]
mod tests;

//! The arguments of `probe`: the page, the client, and the way to the server.

use std::time::Duration;

use http::{HeaderName, HeaderValue};
use url::Url;

use crate::cli::probe::chain::HopArg;
use crate::cli::visit::{
    Itinerary, ProxyVersion, PushSetting, ServerAddress, Verification, VisitClient, Wire, page_url, request_field,
    with_host,
};

/// Fetch a page and its assets over HTTP/2, accept pushes, and show when and how each asset came
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The page: http:// is HTTP/2 by prior knowledge, https:// is HTTP/2 by ALPN. The first URL of a pasted text, such as
    /// a Link field, is taken.
    #[arg(value_parser = page_url)]
    pub(super) url: Url,
    /// A request field, such as 'cookie: a=b', in place of the client's own of that name.
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = request_field, allow_hyphen_values = true)]
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// The host to ask for, and the name for TLS, where the URL has the server's own address.
    #[arg(long, value_name = "HOST[:PORT]")]
    pub(super) host: Option<String>,
    /// The server to connect to, whatever the URL names.
    #[arg(long, value_name = "HOST:PORT", value_parser = ServerAddress::parse)]
    pub(super) connect_to: Option<ServerAddress>,
    /// Send a PROXY header first, as a load balancer does.
    #[arg(long, value_name = "VERSION", value_enum)]
    pub(super) proxy_protocol: Option<ProxyVersion>,
    /// Speak HTTP/1.1.
    #[arg(long, conflicts_with = "h2c_upgrade")]
    pub(super) http1: bool,
    /// Begin HTTP/2 by Upgrade: h2c, without TLS.
    #[arg(long)]
    pub(super) h2c_upgrade: bool,
    /// Ask as a browser: refuse pushes, and send a browser's fields of a navigation.
    #[arg(long, conflicts_with_all = ["navigate", "no_navigate"])]
    pub(super) as_browser: bool,
    /// Visit each of these hops, the outermost first, for the page's host and path, and say where push dies. Repeatable.
    #[arg(
        long = "hop",
        value_name = "NAME=URL",
        value_parser = HopArg::parse,
        conflicts_with_all = ["connect_to", "proxy_protocol", "http1", "h2c_upgrade", "as_browser", "no_push", "navigate", "no_navigate"]
    )]
    pub(super) hops: Vec<HopArg>,
    /// How to print.
    #[arg(long, value_enum, default_value = "text")]
    pub(super) format: ProbeFormat,
    /// Accept any certificate.
    #[arg(long)]
    pub(super) insecure: bool,
    /// Refuse pushes (SETTINGS_ENABLE_PUSH=0), as every current browser does.
    #[arg(long)]
    pub(super) no_push: bool,
    /// Ask for the page as a browser navigates (sec-fetch-mode: navigate), so that a 103 may come. The default.
    #[arg(long, overrides_with = "no_navigate")]
    pub(super) navigate: bool,
    /// Ask for the page without a sec-fetch-mode.
    #[arg(long)]
    pub(super) no_navigate: bool,
    /// Time limit of the whole probe, or of each visit of a hop, such as 500ms, 10s or 2m.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    pub(super) timeout: Duration,
}

impl Args {
    /// Returns the visit that the arguments describe.
    ///
    /// # Errors
    ///
    /// In words: arguments that do not go together.
    pub(super) fn itinerary(&self) -> Result<Itinerary, String> {
        let of_url = ServerAddress::of(&self.url).ok_or("the URL names no host")?;
        let page = match &self.host {
            Some(host) => with_host(&self.url, host).map_err(|problem| format!("--host: {problem}"))?,
            None => self.url.clone(),
        };
        if self.h2c_upgrade && page.scheme() == "https" {
            return Err("--h2c-upgrade: Upgrade: h2c is for http:// URLs; TLS chooses HTTP/2 by ALPN".to_owned());
        }
        let server = self.connect_to.clone().unwrap_or(of_url);
        Ok(Itinerary {
            proxy_header: self.proxy_protocol,
            wire: match (self.http1, self.h2c_upgrade) {
                (true, _) => Wire::Http1,
                (_, true) => Wire::Upgrade,
                _ => Wire::Http2,
            },
            verification: if self.insecure {
                Verification::Skipped
            } else {
                Verification::System
            },
            push: if self.no_push || self.as_browser || self.http1 {
                PushSetting::Refused
            } else {
                PushSetting::Accepted
            },
            client: match (self.as_browser, self.no_navigate) {
                (true, _) => VisitClient::Browser,
                (_, true) => VisitClient::Plain,
                _ => VisitClient::Navigation,
            },
            fields: self.headers.iter().cloned().collect(),
            ..Itinerary::new(page, server, self.timeout)
        })
    }
}

/// How the result is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(in crate::cli) enum ProbeFormat {
    /// Tables and sentences.
    Text,
    /// One JSON object.
    Json,
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

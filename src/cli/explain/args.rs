//! The arguments of `explain`.

use std::{ffi::OsString, os::unix::ffi::OsStrExt as _, path::PathBuf};

use anyhow::Context as _;
use clap::ValueEnum;
use http::HeaderMap;
use serde::Serialize;
#[cfg(feature = "probe")]
use url::Url;

use super::response::field;
#[cfg(feature = "probe")]
use crate::cli::visit::{ProxyVersion, ServerAddress, page_url};

/// Arguments of `explain`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    pub(super) config: PathBuf,
    /// How the client speaks: HTTP/2 with push, HTTP/2 without (browsers), or HTTP/1.x
    ///
    /// Push, if this is not given; each of the three with --fetch
    #[arg(long, value_enum)]
    pub(super) client: Option<ClientKind>,
    /// The document's method
    #[arg(long, default_value = "GET")]
    pub(super) method: String,
    /// The document's final status
    #[arg(long, default_value = "200")]
    pub(super) status: String,
    /// A request field, such as 'sec-fetch-mode: navigate'
    #[arg(long = "header", value_name = "NAME: VALUE", allow_hyphen_values = true)]
    pub(super) headers: Vec<OsString>,
    /// A link that the document had before, as a route with `learn: on` remembers it
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    pub(super) learned: Vec<OsString>,
    /// A Link field line of a 103 of the origin
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    pub(super) early: Vec<OsString>,
    /// A Link field line of the final response
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    pub(super) link: Vec<OsString>,
    /// The head of the final response, as `curl -I` prints it, or - for the standard input: its status and Link fields
    /// count, and whether it would be stored is told
    #[arg(long, value_name = "FILE", conflicts_with = "status")]
    pub(super) response: Option<PathBuf>,
    /// A Content-Security-Policy of the document: of its earlier responses, as a route with `learn: on` remembers it
    #[arg(long, value_name = "POLICY", allow_hyphen_values = true)]
    pub(super) csp: Vec<OsString>,
    /// The page's HTML without content coding, or - for the standard input: what its head makes a browser fetch is
    /// delivered as what the document had before, behind its links
    #[arg(long, value_name = "FILE")]
    pub(super) html: Option<PathBuf>,
    /// The document is itself a pushed response
    #[arg(long)]
    pub(super) pushed_parent: bool,
    /// How to print
    #[arg(long, value_enum, default_value = "text")]
    pub(super) format: Format,
    #[cfg(feature = "probe")]
    #[command(flatten)]
    pub(super) fetch: FetchArgs,
    /// The document's URL. With --fetch, that URL if none is given here
    #[arg(value_name = "URL")]
    pub(super) url: Option<String>,
}

/// How a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ClientKind {
    Push,
    Hint,
    Http1,
}

/// How an explanation is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    Text,
    Json,
}

/// Arguments that say what is fetched.
#[cfg(feature = "probe")]
#[derive(Debug, clap::Args)]
pub(super) struct FetchArgs {
    /// Asks this URL, of the origin or of any server, for the page and its assets, and says what each kind of client gets
    #[arg(
        long,
        value_name = "URL",
        value_parser = page_url,
        conflicts_with_all = ["method", "status", "learned", "early", "link", "response", "csp", "html", "pushed_parent"]
    )]
    pub(super) fetch: Option<Url>,
    /// The server to connect to, whatever the fetched URL names
    #[arg(long, value_name = "HOST:PORT", value_parser = ServerAddress::parse, requires = "fetch")]
    pub(super) connect_to: Option<ServerAddress>,
    /// Send a PROXY header first
    #[arg(long, value_name = "VERSION", value_enum, requires = "fetch")]
    pub(super) proxy_protocol: Option<ProxyVersion>,
    /// Accept any certificate
    #[arg(long, requires = "fetch")]
    pub(super) insecure: bool,
}

impl Args {
    /// Parses the request fields.
    pub(super) fn fields(&self) -> anyhow::Result<HeaderMap> {
        let fields = self.headers.iter();
        fields.map(|text| field(text.as_bytes()).context("--header")).collect()
    }
}

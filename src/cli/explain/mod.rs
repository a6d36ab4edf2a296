//! `linkpush explain`: what would be delivered for a response, and why not the rest; whether it would be stored. No
//! network.

mod html;
mod learned;
mod request;
mod response;
mod stored;

use std::{ffi::OsString, os::unix::ffi::OsStrExt, path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::{Context, bail};
use clap::ValueEnum;
use http::{HeaderValue, Method, StatusCode, Uri, header};
use serde::Serialize;

use self::{
    html::ParsedPage,
    learned::LearnedLimits,
    request::Request,
    response::{Response, field},
    stored::Stored,
};
use super::failure::USAGE;
use crate::{
    learn::{LearnPolicy, Learning},
    link::Document,
    push::{self, Csp, Facts, Plan, PushState, SkipReason, Source},
    route::{self, Route},
};

/// Arguments of `explain`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// How the client speaks: HTTP/2 with push, HTTP/2 without (browsers), or HTTP/1.x
    #[arg(long, value_enum, default_value = "push")]
    client: ClientKind,
    /// The document's method
    #[arg(long, default_value = "GET")]
    method: String,
    /// The document's final status
    #[arg(long, default_value = "200")]
    status: String,
    /// A request field, such as 'sec-fetch-mode: navigate'
    #[arg(long = "header", value_name = "NAME: VALUE", allow_hyphen_values = true)]
    headers: Vec<OsString>,
    /// A link that the document had before, as a route with `learn: on` remembers it
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    learned: Vec<OsString>,
    /// A Link field line of a 103 of the origin
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    early: Vec<OsString>,
    /// A Link field line of the final response
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    link: Vec<OsString>,
    /// The head of the final response, as `curl -I` prints it, or - for the standard input: its status and Link fields
    /// count, and whether it would be stored is told
    #[arg(long, value_name = "FILE", conflicts_with = "status")]
    response: Option<PathBuf>,
    /// A Content-Security-Policy of the document: of its earlier responses, as a route with `learn: on` remembers it
    #[arg(long, value_name = "POLICY", allow_hyphen_values = true)]
    csp: Vec<OsString>,
    /// The page's HTML without content coding, or - for the standard input: what its head makes a browser fetch is
    /// delivered as what the document had before, behind its links
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// The document is itself a pushed response
    #[arg(long)]
    pushed_parent: bool,
    /// How to print
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// The document's URL
    #[arg(value_name = "URL")]
    url: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ClientKind {
    Push,
    Hint,
    Http1,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let wrong = |e| {
        eprint!("{}", super::failure::report(&e));
        Ok(ExitCode::from(USAGE))
    };
    let mut request = match request(args) {
        Ok(request) => request,
        Err(e) => return wrong(e),
    };
    let Some(config) = super::configuration::configured(&args.config) else {
        return Ok(ExitCode::FAILURE);
    };
    let found = route::find(&config.routes, &request.method, &request.authority, request.uri.path());
    let route = found.map(|(_, route)| route);
    let of_learning = [("--learned", !args.learned.is_empty()), ("--html", args.html.is_some())];
    let used = of_learning.into_iter().find(|(_, is_used)| *is_used);
    let silent = route.filter(|route| route.learn.learning == Learning::Off);
    if let (Some((argument, _)), Some(route)) = (used, silent) {
        eprintln!(
            "{argument}: the route {} does not learn; it needs learn: on",
            route.name
        );
        return Ok(ExitCode::from(USAGE));
    }
    let head = request.response.as_ref().map(|response| &response.headers);
    let bytes = route.map_or_else(|| LearnPolicy::default().html_bytes, |route| route.learn.html_bytes);
    let page = args
        .html
        .as_deref()
        .map(|file| ParsedPage::read(file, &request.document, head, bytes));
    match page.transpose() {
        Ok(page) => request.page = page,
        Err(e) => return wrong(e),
    }
    let explanation = explain(args, &request, route, config.server.cache.object);
    match args.format {
        Format::Json => println!("{}", serde_json::to_string(&explanation)?),
        Format::Text => print!("{explanation}"),
    }
    Ok(ExitCode::SUCCESS)
}

fn request(args: &Args) -> anyhow::Result<Request> {
    let uri: Uri = args.url.parse().with_context(|| format!("URL {:?}", args.url))?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        bail!("URL {:?}: must be absolute, such as https://shop.example/", args.url);
    };
    let (scheme, authority) = (scheme.to_owned(), authority.to_string());
    let path_and_query = uri.path_and_query().map_or("/", |pq| pq.as_str());
    let document = Document::new(&scheme, &authority, path_and_query).with_context(|| format!("URL {:?}", args.url))?;
    let status: u16 = args
        .status
        .parse()
        .ok()
        .filter(|status| (200..600).contains(status))
        .with_context(|| format!("--status {}: must be a final status, 200 to 599", args.status))?;
    let response = args.response.as_deref().map(Response::read).transpose()?;
    let status = match &response {
        Some(response) => response.status,
        None => StatusCode::from_u16(status)?,
    };
    Ok(Request {
        scheme,
        authority,
        method: args
            .method
            .parse()
            .with_context(|| format!("--method {:?}", args.method))?,
        status,
        headers: args
            .headers
            .iter()
            .map(|text| field(text.as_bytes()).context("--header"))
            .collect::<anyhow::Result<_>>()?,
        response,
        page: None,
        document,
        uri,
    })
}

/// Link field lines of one source.
fn lines(source: Source, lines: &[OsString]) -> impl Iterator<Item = (Source, &[u8])> {
    lines.iter().map(move |line| (source, line.as_bytes()))
}

/// The explanation, as it is printed.
#[derive(Debug, Default, Serialize)]
struct Explanation {
    route: Option<String>,
    promises: Vec<ExplainedPromise>,
    hints: Vec<String>,
    skipped: Vec<ExplainedSkip>,
    /// Why the page's HTML teaches nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    html: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache: Option<Stored>,
}

#[derive(Debug, Serialize)]
struct ExplainedPromise {
    url: String,
    #[serde(rename = "as")]
    destination: Option<&'static str>,
    source: &'static str,
}

#[derive(Debug, Serialize)]
struct ExplainedSkip {
    target: String,
    reason: &'static str,
}

/// Goes through a response as the server does: what is known before the origin is asked, each 103, the final header.
/// `limit`: most bytes of content that the cache stores.
fn explain(args: &Args, request: &Request, route: Option<&Route>, limit: u32) -> Explanation {
    let mut explanation = Explanation {
        route: route.map(|r| r.name.to_string()),
        ..Explanation::default()
    };
    let Some(route) = route else { return explanation };
    let response = request.response.as_ref();
    explanation.cache = response.map(|response| Stored::of(request, response, route, limit));
    let client = Arc::new(PushState::new(usize::from(u16::MAX)));
    client.set_enable_push(args.client == ClientKind::Push);
    if request.method == Method::GET {
        let path_and_query = request.uri.path_and_query().map_or("/", |pq| pq.as_str());
        client.record_fetched(&request.scheme, &request.authority, path_and_query);
    }
    let mut sent = Vec::new();
    let configured = route
        .push
        .links
        .iter()
        .map(|link| (Source::Configured, link.as_bytes()));
    let page = request.page.as_ref();
    let of_page = page.into_iter().flat_map(|page| &page.links);
    let of_page = of_page.map(|value| (Source::Html, value.text()));
    let learned = lines(Source::Learned, &args.learned);
    let known = configured.chain(learned).chain(of_page).collect();
    explanation.add_page(page);
    let early = lines(Source::Early, &args.early).map(|line| (None, vec![line]));
    let from_response = response
        .into_iter()
        .flat_map(|response| response.headers.get_all(header::LINK));
    let from_response = from_response.map(|line| (Source::Response, line.as_bytes()));
    let last = lines(Source::Response, &args.link).chain(from_response).collect();
    let steps = std::iter::once((None, known))
        .chain(early)
        .chain(std::iter::once((Some(request.status), last)));
    let mut told: Option<Vec<HeaderValue>> = None;
    let of_meta = page
        .into_iter()
        .flat_map(|page| &page.policies)
        .map(|policy| policy.as_bytes());
    let csp = Csp::parse(args.csp.iter().map(|policy| policy.as_bytes()).chain(of_meta));
    for (status, fields) in steps {
        let mut mentions = push::mentions(fields);
        let promised = explanation.promises.len();
        let skipped = &mut explanation.skipped;
        let mut skip = |target: &[u8], reason: SkipReason| {
            skipped.push(ExplainedSkip {
                target: String::from_utf8_lossy(target).into_owned(),
                reason: reason.label(),
            });
        };
        let mut limits = LearnedLimits::default();
        mentions.retain(|mention| {
            limits
                .check(mention)
                .map_err(|(target, reason)| skip(target, reason))
                .is_ok()
        });
        let facts = Facts {
            method: &request.method,
            status,
            request: &request.headers,
            pushed_parent: args.pushed_parent,
            promised,
            hinted: explanation.hints.len(),
            told: told.as_deref().unwrap_or_default(),
            returning: route.learn.returning.skips(&request.headers),
            http2: None,
            is_bad: &|_| false,
            is_not_reusable: &|_| false,
            csp: csp.as_ref(),
        };
        let plan = match args.client {
            ClientKind::Http1 => push::plan(&route.push, &facts, &request.document, &mentions, &mut skip),
            ClientKind::Push | ClientKind::Hint => client.plan(|http2| {
                let facts = Facts {
                    http2: Some(*http2),
                    ..facts
                };
                push::plan(&route.push, &facts, &request.document, &mentions, &mut skip)
            }),
        };
        explanation.add(&plan);
        told.get_or_insert_with(|| plan.hints.clone());
        // Kept, so that the diary remembers as after a real promise.
        sent.push(plan);
    }
    explanation
}

impl Explanation {
    /// Tells which elements of a page are passed over, or why none is read.
    fn add_page(&mut self, page: Option<&ParsedPage>) {
        match page.map(|page| &page.found) {
            Some(Ok(found)) => self.skipped.extend(found.skipped.iter().map(|skipped| ExplainedSkip {
                target: skipped.target.to_string(),
                reason: skipped.reason.label(),
            })),
            Some(Err(reason)) => self.html = Some(reason.label()),
            None => {}
        }
    }

    fn add(&mut self, plan: &Plan) {
        self.promises
            .extend(plan.promises.iter().map(|promise| ExplainedPromise {
                url: promise.request.uri().to_string(),
                destination: promise.destination.map(push::Destination::name),
                source: promise.source.name(),
            }));
        let hints = plan.hints.iter();
        self.hints
            .extend(hints.map(|hint| String::from_utf8_lossy(hint.as_bytes()).into_owned()));
    }
}

impl std::fmt::Display for Explanation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(
            f,
            "route    {}",
            self.route.as_deref().unwrap_or("none: the answer is 404")
        )?;
        for promise in &self.promises {
            let destination = promise.destination.unwrap_or("-");
            writeln!(
                f,
                "promise  {}  as={destination} source={}",
                promise.url, promise.source
            )?;
        }
        for hint in &self.hints {
            writeln!(f, "hint     {hint}")?;
        }
        for skip in &self.skipped {
            writeln!(f, "skipped  {}  reason={}", skip.target.escape_debug(), skip.reason)?;
        }
        if let Some(reason) = self.html {
            writeln!(f, "html     teaches nothing  reason={reason}")?;
        }
        if self.promises.is_empty() && self.hints.is_empty() {
            writeln!(f, "nothing is promised or hinted; the Link header passes through")?;
        }
        if let Some(cache) = &self.cache {
            cache.fmt(f)?;
        }
        Ok(())
    }
}

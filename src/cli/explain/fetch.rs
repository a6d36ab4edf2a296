//! Explains a live response (`explain --fetch URL`): asks for the page as linkpush asks an origin, and says what each
//! kind of client gets, at the first visit and at later ones.

use std::{fmt, process::ExitCode, time::Duration, time::SystemTime};

use anyhow::{Context as _, anyhow};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde::Serialize;
use url::Url;

use super::{
    args::{Args, ClientKind, Format},
    explanation::{Explanation, NO_ROUTE},
    html::ParsedPage,
    lesson::{Lesson, lesson},
    request::Request,
    response::Response,
    scene::{Scene, explain},
    stored::Stored,
};
use crate::{
    cli::{
        configuration::configured,
        failure::{USAGE, report},
        pasted::url_in,
        visit::{
            Itinerary, PushSetting, ServerAddress, Verification, VisitClient, VisitOutcome, Visited, Wire, block_on,
            lines_of, visit, with_host,
        },
    },
    learn::{LearnPolicy, Learning},
    link::Target,
    proxy::reads_page,
    push::{Source, check_pushable, is_reusable},
    route::{self, Route},
};

/// Fetches the page and prints the explanations.
pub(super) fn run(args: &Args, url: &Url) -> anyhow::Result<ExitCode> {
    let (mut request, itinerary) = match described(args, url) {
        Ok(described) => described,
        Err(e) => {
            eprint!("{}", report(&e));
            return Ok(ExitCode::from(USAGE));
        }
    };
    let Some(config) = configured(&args.config) else {
        return Ok(ExitCode::FAILURE);
    };
    let visited = block_on(visit(&itinerary))?.with_context(|| format!("no page from {url}"))?;
    let page = match visited.exchanges.first().map(|page| &page.outcome) {
        Some(VisitOutcome::Complete(page)) => page,
        Some(VisitOutcome::Failed(reason)) => return Err(anyhow!("no page from {url}: {reason}")),
        _ => return Err(anyhow!("no page from {url}: not complete within {:?}", itinerary.limit)),
    };
    request.status = page.status;
    request.response = Some(Response {
        status: page.status,
        headers: page.headers.clone(),
    });
    let found = route::find(&config.routes, &request.method, &request.authority, request.uri.path());
    let route = found.map(|(_, route)| route);
    let bytes = route.map_or_else(|| LearnPolicy::default().html_bytes, |route| route.learn.html_bytes);
    let html = ParsedPage::of(&page.body, &request.document, Some(&page.headers), bytes);
    request.page = Some(html);
    let fetched = Fetched::of(url, &visited);
    let live = LiveExplanation {
        route: route.map(|route| route.name.to_string()),
        cache: route
            .zip(request.response.as_ref())
            .map(|(route, response)| Stored::of(&request, response, route, config.server.cache.object)),
        clients: route.map_or_else(Vec::new, |route| explained(args.client, &mut request, route, &visited)),
        fetched,
    };
    match args.format {
        Format::Json => println!("{}", serde_json::to_string(&live)?),
        Format::Text => print!("{live}"),
    }
    Ok(ExitCode::SUCCESS)
}

/// Makes the request that is explained, and the visit that fetches its response: with the document's host, and told of
/// its scheme as linkpush tells an origin.
fn described(args: &Args, url: &Url) -> anyhow::Result<(Request, Itinerary)> {
    let document = match args.url.as_deref() {
        Some(url) => url_in(url).map_err(|problem| anyhow!("URL: {problem}"))?,
        None => url.as_str(),
    };
    let mut request = Request::of(document)?;
    request.headers = args.fields()?;
    let address = ServerAddress::of(url).context("--fetch: the URL names no host")?;
    let page = if args.url.is_some() {
        with_host(url, &request.authority).map_err(|problem| anyhow!("URL: {problem}"))?
    } else {
        url.clone()
    };
    let server = args.fetch.connect_to.clone().unwrap_or(address);
    let mut sent = HeaderMap::new();
    for (name, value) in [
        ("x-forwarded-proto", request.scheme.as_str()),
        ("x-forwarded-host", request.authority.as_str()),
    ] {
        sent.insert(HeaderName::from_static(name), HeaderValue::from_str(value)?);
    }
    sent.extend(request.headers.clone());
    let itinerary = Itinerary {
        proxy_header: args.fetch.proxy_protocol,
        wire: Wire::Http1,
        verification: if args.fetch.insecure {
            Verification::Skipped
        } else {
            Verification::System
        },
        push: PushSetting::Refused,
        client: VisitClient::Browser,
        fields: sent,
        ..Itinerary::new(page, server, LIMIT)
    };
    Ok((request, itinerary))
}

/// Explains what each client gets.
fn explained(only: Option<ClientKind>, request: &mut Request, route: &Route, visited: &Visited) -> Vec<ClientVisit> {
    // The cache does not depend on the client, and is told once.
    let Some(response) = request.response.take() else {
        return Vec::new();
    };
    let early: Vec<Vec<&[u8]>> = visited.hints.iter().map(|hint| lines(&hint.headers)).collect();
    let fields = request.headers.clone();
    let mut visits = Vec::new();
    for client in [ClientKind::Push, ClientKind::Hint, ClientKind::Http1] {
        if only.is_some_and(|only| only != client) {
            continue;
        }
        request.headers.clone_from(&fields);
        if client == ClientKind::Hint {
            for (name, value) in [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")] {
                let name = HeaderName::from_static(name);
                request.headers.entry(name).or_insert(HeaderValue::from_static(value));
            }
        }
        let later = lesson(&route.learn, request, &response, &early);
        let no_lesson = Lesson::default();
        // The elements of a page are told where its HTML is what is learned from.
        let teaches_nothing = route.learn.learning == Learning::On
            && reads_page(&[], &route.learn, &response.headers)
            && lines(&response.headers).is_empty();
        // Nothing is delivered early to an HTTP/1.x client.
        let has_later = later.visitors > 0 && client != ClientKind::Http1;
        for lesson in std::iter::once(&no_lesson).chain(has_later.then_some(&later)) {
            let is_later = lesson.visitors > 0;
            let scene = Scene {
                client,
                pushed_parent: false,
                known: lesson
                    .links
                    .iter()
                    .map(|(source, link)| (*source, link.text()))
                    .collect(),
                early: early.clone(),
                last: lines(&response.headers),
                page: request
                    .page
                    .as_ref()
                    .filter(|_| is_of_html(lesson) || teaches_nothing && later.visitors == 0),
                csp: lesson.csp.as_deref(),
                is_bad: &|target| {
                    is_later
                        && asset(visited, target).is_some_and(|(status, headers)| {
                            check_pushable(status, headers, route.push.credentials).is_err()
                        })
                },
                is_not_reusable: &|target| {
                    is_later
                        && asset(visited, target).is_some_and(|(status, headers)| {
                            is_reusable(status, headers, &HeaderMap::new(), SystemTime::now()) == Some(false)
                        })
                },
                limit: 0,
            };
            let mut explanation = explain(&scene, request, Some(route));
            explanation.route = None;
            explanation.forget_delivered(&request.document);
            visits.push(ClientVisit {
                client,
                visitors: lesson.visitors,
                explanation,
            });
        }
    }
    request.headers = fields;
    visits
}

/// Returns whether a lesson was read in the page's HTML.
fn is_of_html(lesson: &Lesson) -> bool {
    lesson.links.iter().any(|(source, _)| *source == Source::Html)
}

fn lines(headers: &HeaderMap) -> Vec<&[u8]> {
    headers
        .get_all(header::LINK)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect()
}

/// Returns the head of a target's response, if the target was fetched. The scheme may differ: the origin is asked behind
/// the server that ends TLS.
fn asset<'v>(visited: &'v Visited, target: &Target) -> Option<(http::StatusCode, &'v HeaderMap)> {
    let is_it = |url: &Url| {
        &url[url::Position::BeforePath..url::Position::AfterQuery] == target.path_and_query()
            && url.host_str() == Some(target.host())
    };
    let mut assets = visited.exchanges.iter().skip(1);
    let exchange = assets.find(|exchange| exchange.url.as_ref().is_some_and(is_it))?;
    let response = exchange.response()?;
    Some((response.status, &response.headers))
}

/// The explanations of a live response, as they are printed.
#[derive(Debug, Serialize)]
struct LiveExplanation {
    fetched: Fetched,
    /// The route; `None` where no route matches.
    route: Option<String>,
    clients: Vec<ClientVisit>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache: Option<Stored>,
}

/// The response that was fetched.
#[derive(Debug, Serialize)]
struct Fetched {
    url: String,
    status: u16,
    /// Time of the response's head, in milliseconds.
    milliseconds: u128,
    link: Vec<String>,
    /// The `Link` lines of each 103.
    early: Vec<Vec<String>>,
    csp: Vec<String>,
    /// Bytes of content.
    bytes: u64,
    /// Assets that were fetched, too.
    assets: usize,
}

/// The deliveries to one kind of client at one visit.
#[derive(Debug, Serialize)]
struct ClientVisit {
    client: ClientKind,
    /// Visitors before this one, from whose responses linkpush learned; 0 for the first visit.
    visitors: usize,
    #[serde(flatten)]
    explanation: Explanation,
}

impl Fetched {
    fn of(url: &Url, visited: &Visited) -> Self {
        let page = visited.page();
        let headers = page.map(|page| &page.headers);
        let of_page = |name| headers.map_or_else(Vec::new, |headers| lines_of(headers, name));
        let hints = visited.hints.iter();
        Self {
            url: url.to_string(),
            status: page.map_or(0, |page| page.status.as_u16()),
            milliseconds: page.map_or(0, |page| page.head_at.as_millis()),
            link: of_page(header::LINK),
            early: hints.map(|hint| lines_of(&hint.headers, header::LINK)).collect(),
            csp: of_page(header::CONTENT_SECURITY_POLICY),
            bytes: page.map_or(0, |page| page.size),
            assets: visited.exchanges.len().saturating_sub(1),
        }
    }
}

impl fmt::Display for LiveExplanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fetched {
            url,
            status,
            milliseconds,
            bytes,
            assets,
            ..
        } = &self.fetched;
        writeln!(
            f,
            "fetched  {url} {status} in {milliseconds} ms, {bytes} bytes, {assets} assets"
        )?;
        for (name, value) in self.fetched.fields() {
            writeln!(f, "{name:<8} {}", value.escape_debug())?;
        }
        writeln!(f, "route    {}", self.route.as_deref().unwrap_or(NO_ROUTE))?;
        for visit in &self.clients {
            write!(f, "\n{visit}")?;
        }
        if let Some(cache) = &self.cache {
            write!(f, "\n{cache}")?;
        }
        Ok(())
    }
}

impl Fetched {
    /// Yields the fields that decide, with a word for each.
    fn fields(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let early = self.early.iter().flatten().map(|line| ("103", line.as_str()));
        let link = self.link.iter().map(|line| ("link", line.as_str()));
        let csp = self.csp.iter().map(|line| ("csp", line.as_str()));
        early.chain(link).chain(csp)
    }
}

impl fmt::Display for ClientVisit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let client = match self.client {
            ClientKind::Push => "HTTP/2 client that takes pushes",
            ClientKind::Hint => "browser, HTTP/2 without pushes",
            ClientKind::Http1 => "HTTP/1.x client",
        };
        match self.visitors {
            0 => writeln!(f, "{client}, first visit:")?,
            1 => writeln!(f, "{client}, once another visitor was there:")?,
            count => writeln!(f, "{client}, once {count} other visitors were there:")?,
        }
        self.explanation.fmt(f)
    }
}

/// Time limit of all that is fetched.
const LIMIT: Duration = Duration::from_secs(10);

//! Tells what would be delivered for a response, and why not the rest; whether it would be stored (`linkpush explain`).
//!
//! The response is described by arguments, or fetched (`fetch`). Reading order: `args`, `response` and `html` (what is
//! described in files), `request`, `stored`, `explanation` (what is printed), `learned` (the limits of learning), `scene`
//! (the server's rules for one client), `lesson` (what a fetched response teaches), `fetch`.

mod args;
mod explanation;
#[cfg(feature = "probe")]
mod fetch;
mod html;
mod learned;
#[cfg(feature = "probe")]
mod lesson;
mod request;
mod response;
mod scene;
mod stored;

use std::{ffi::OsString, os::unix::ffi::OsStrExt, process::ExitCode};

pub(in crate::cli) use self::args::Args;
use self::{
    args::{ClientKind, Format},
    explanation::Explanation,
    html::ParsedPage,
    request::Request,
    response::Response,
    scene::{Scene, explain},
};
use super::{
    failure::USAGE,
    pasted::{link_value, url_in},
};
use crate::{
    learn::{LearnPolicy, Learning},
    push::{Csp, Source},
    route::{self, Route},
};
use anyhow::{Context, anyhow};
use http::{HeaderValue, StatusCode, header};

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    #[cfg(feature = "probe")]
    if let Some(url) = &args.fetch.fetch {
        return fetch::run(args, url);
    }
    let wrong = |e| {
        eprint!("{}", super::failure::report(&e));
        Ok(ExitCode::from(USAGE))
    };
    let mut request = match described(args) {
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
    let page = args.html.as_deref();
    let page = page.map(|file| ParsedPage::read(file, &request.document, head, bytes));
    match page.transpose() {
        Ok(page) => request.page = page,
        Err(e) => return wrong(e),
    }
    let explanation = explain_described(args, &request, route, config.server.cache.object);
    match args.format {
        Format::Json => println!("{}", serde_json::to_string(&explanation)?),
        Format::Text => print!("{explanation}"),
    }
    Ok(ExitCode::SUCCESS)
}

/// Makes the request, and the response, that the arguments describe.
fn described(args: &Args) -> anyhow::Result<Request> {
    let url = args.url.as_deref().context("URL: the document's URL must be given")?;
    let status: u16 = args
        .status
        .parse()
        .ok()
        .filter(|status| (200..600).contains(status))
        .with_context(|| format!("--status {}: must be a final status, 200 to 599", args.status))?;
    let mut request = Request::of(url_in(url).map_err(|problem| anyhow!("URL: {problem}"))?)?;
    let response = args.response.as_deref().map(Response::read).transpose()?;
    request.status = match &response {
        Some(response) => response.status,
        None => StatusCode::from_u16(status)?,
    };
    request.response = response;
    request.method = args
        .method
        .parse()
        .with_context(|| format!("--method {:?}", args.method))?;
    request.headers = args.fields()?;
    Ok(request)
}

/// Explains the response that the arguments describe.
fn explain_described(args: &Args, request: &Request, route: Option<&Route>, limit: u32) -> Explanation {
    let page = request.page.as_ref();
    let of_page = page.into_iter().flat_map(|page| &page.links);
    let of_page = of_page.map(|value| (Source::Html, value.text()));
    let headers = request.response.iter().map(|response| &response.headers);
    let of_response = headers.flat_map(|headers| headers.get_all(header::LINK));
    let of_meta = page.into_iter().flat_map(|page| &page.policies);
    let of_meta = of_meta.map(|policy| policy.as_bytes());
    let csp = Csp::parse(args.csp.iter().map(|policy| policy.as_bytes()).chain(of_meta));
    let scene = Scene {
        client: args.client.unwrap_or(ClientKind::Push),
        pushed_parent: args.pushed_parent,
        known: lines(&args.learned)
            .map(|line| (Source::Learned, line))
            .chain(of_page)
            .collect(),
        early: lines(&args.early).map(|line| vec![line]).collect(),
        last: lines(&args.link)
            .chain(of_response.map(HeaderValue::as_bytes))
            .collect(),
        page,
        csp: csp.as_ref(),
        is_bad: &|_| false,
        is_not_reusable: &|_| false,
        limit,
    };
    explain(&scene, request, route)
}

/// Returns `Link` field lines, without the name of the field where it was pasted with its value.
fn lines(lines: &[OsString]) -> impl Iterator<Item = &[u8]> {
    lines.iter().map(|line| link_value(line.as_bytes()))
}

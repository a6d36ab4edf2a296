//! Visits a hop as several clients.

use std::time::Duration;

use http::{HeaderName, HeaderValue, header};
use url::Url;

use super::hop::HopArg;
use super::sight::{HopSight, Http2Way, PageSight};
use crate::cli::visit::{
    Follow, Itinerary, ProxyVersion, PushSetting, ServerAddress, VisitClient, VisitError, VisitOutcome, Visited, Wire,
    lines_of, visit, with_host,
};

/// Visits a hop: as a client that takes pushes, as a browser, and, without TLS, by `Upgrade: h2c`. `described` is the
/// visit of the page that all hops are asked for.
///
/// # Errors
///
/// In words: the page's host does not fit into the hop's URL.
pub(super) async fn observe(hop: &HopArg, described: &Itinerary) -> Result<HopSight, String> {
    let is_tls = hop.url.scheme() == "https";
    let mut itinerary = Itinerary {
        page: page_at(&hop.url, &described.page)?,
        server: ServerAddress::of(&hop.url).ok_or("the hop's URL names no host")?,
        wire: Wire::Http2,
        push: PushSetting::Accepted,
        client: VisitClient::Navigation,
        proxy_header: None,
        follow: Follow::Nothing,
        ..described.clone()
    };
    if !is_tls && described.page.scheme() == "https" {
        // As the hop in front would tell, else applications redirect to https.
        let name = HeaderName::from_static("x-forwarded-proto");
        let told = HeaderValue::from_static("https");
        itinerary.fields.entry(name).or_insert(told);
    }
    let mut result = visit(&itinerary).await;
    let mut proxy_header = None;
    if let Err(VisitError::ProxyHeaderRequired { version, .. }) = &result {
        itinerary.proxy_header = Some(if *version == "v2" {
            ProxyVersion::V2
        } else {
            ProxyVersion::V1
        });
        proxy_header = Some(*version);
        result = visit(&itinerary).await;
    }
    let http2 = match &result {
        Err(VisitError::AlpnWithoutHttp2 { .. }) => Http2Way::AlpnOnly,
        Err(_) => Http2Way::None,
        Ok(_) if is_tls => Http2Way::Alpn,
        Ok(_) => Http2Way::PriorKnowledge,
    };
    if matches!(
        &result,
        Err(VisitError::Alpn { .. } | VisitError::NoHttp2 { .. } | VisitError::AlpnWithoutHttp2 { .. })
    ) {
        itinerary.wire = Wire::Http1;
        result = visit(&itinerary).await;
    }
    let is_there = result.is_ok();
    let page = sight(result, itinerary.limit);
    let mut sight = HopSight {
        name: hop.name.clone(),
        http2,
        upgrade: None,
        proxy_header,
        browser: page.clone(),
        page,
    };
    if !is_there {
        return Ok(sight);
    }
    let browser = Itinerary {
        push: PushSetting::Refused,
        client: VisitClient::Browser,
        ..itinerary.clone()
    };
    sight.browser = self::sight(visit(&browser).await, browser.limit);
    if !is_tls {
        let upgrade = Itinerary {
            wire: Wire::Upgrade,
            ..itinerary
        };
        sight.upgrade = Some(visit(&upgrade).await.is_ok_and(|visited| visited.is_answered));
    }
    Ok(sight)
}

/// Returns the page's URL as a hop is asked for it: the hop's scheme, the page's host, path and query.
fn page_at(hop: &Url, page: &Url) -> Result<Url, String> {
    let authority = &page[url::Position::BeforeHost..url::Position::AfterPort];
    let mut at = with_host(hop, authority)?;
    at.set_path(page.path());
    at.set_query(page.query());
    Ok(at)
}

/// Returns what a visit saw.
fn sight(result: Result<Visited, VisitError>, limit: Duration) -> PageSight {
    let visited = match result {
        Ok(visited) => visited,
        Err(error) => {
            return PageSight {
                failure: Some(format!("{:#}", anyhow::Error::new(error))),
                ..PageSight::default()
            };
        }
    };
    let hints = visited.hints.iter();
    let targets = |is_delivered: bool| {
        let promises = visited.promises();
        let promises = promises.filter(|promise| promise.response().is_some() == is_delivered);
        promises.map(|promise| promise.target.clone()).collect()
    };
    let seen = PageSight {
        early: hints.map(|hint| lines_of(&hint.headers, header::LINK)).collect(),
        pushed: targets(true),
        withdrawn: targets(false),
        ..PageSight::default()
    };
    match visited.exchanges.first().map(|page| &page.outcome) {
        Some(VisitOutcome::Complete(page)) => PageSight {
            status: Some(page.status.as_u16()),
            links: lines_of(&page.headers, header::LINK),
            head_us: u64::try_from(page.head_at.as_micros()).unwrap_or(u64::MAX),
            end_us: u64::try_from(page.end.as_micros()).unwrap_or(u64::MAX),
            fields: page.headers.clone(),
            ..seen
        },
        Some(VisitOutcome::Failed(reason)) => PageSight {
            failure: Some(reason.clone()),
            ..seen
        },
        _ => PageSight {
            failure: Some(format!("not complete within {limit:?}")),
            ..seen
        },
    }
}

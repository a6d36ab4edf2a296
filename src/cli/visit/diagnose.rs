//! Visits a page, and finds the likely cause where there is none: asks once more in other ways, and says which of them
//! the server answers.

use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;
use url::Url;

use super::connect::{connect, upgrade};
use super::error::{Stage, VisitError};
use super::itinerary::{Follow, Itinerary, ProxyVersion, Verification, Wire};
use super::visited::{VisitOutcome, Visited};
use super::{http1, http2};

/// Visits a page.
///
/// Must run on a runtime of one thread, as the h2 crate drops interim responses otherwise.
///
/// # Errors
///
/// No response came, and the cause where another way of asking showed it. A page that broke off is a record, no error.
pub(in crate::cli) async fn visit(itinerary: &Itinerary) -> Result<Visited, VisitError> {
    let result = once(itinerary).await;
    let (is_suspect, speaks) = match &result {
        Err(error) => (error.is_unclear(), false),
        Ok(visited) => (is_suspect(itinerary, visited), visited.is_answered),
    };
    if !is_suspect {
        return result;
    }
    match cause(itinerary, speaks).await {
        Some(cause) => Err(cause),
        None => result,
    }
}

/// Visits a page in one way.
async fn once(itinerary: &Itinerary) -> Result<Visited, VisitError> {
    let deadline = Instant::now() + itinerary.limit;
    let mut transport = connect(itinerary, deadline).await?;
    if itinerary.wire == Wire::Http1 {
        return Ok(http1::visit(transport, itinerary, deadline).await);
    }
    if itinerary.wire == Wire::Upgrade {
        transport = upgrade(transport, itinerary, http2::STREAM_WINDOW, deadline).await?;
    }
    let visited = http2::visit(transport, itinerary, deadline).await;
    visited.map_err(|error| match error {
        Some(source) => VisitError::Handshake {
            address: itinerary.server.clone(),
            source,
        },
        None => VisitError::late(itinerary, Stage::Handshake),
    })
}

/// Returns whether a server may have been asked in the wrong way: it did not speak the protocol, or it refused the
/// request as malformed, as servers do with the bytes of a PROXY header, and with cleartext where they expect TLS.
fn is_suspect(itinerary: &Itinerary, visited: &Visited) -> bool {
    match visited.exchanges.first().map(|page| &page.outcome) {
        Some(VisitOutcome::Complete(page)) => {
            let is_cleartext = itinerary.page.scheme() == "http";
            page.status == StatusCode::BAD_REQUEST && (is_cleartext || itinerary.proxy_header.is_some())
        }
        _ => !visited.is_answered,
    }
}

/// Asks in other ways, all at once, and returns what the answers tell. `speaks`: the server is known to speak the version
/// of HTTP that it was asked with.
async fn cause(itinerary: &Itinerary, speaks: bool) -> Option<VisitError> {
    let plain = Itinerary {
        wire: Wire::Http1,
        follow: Follow::Nothing,
        limit: TRIAL.min(itinerary.limit),
        ..itinerary.clone()
    };
    let other_scheme = match itinerary.page.scheme() {
        "http" => "https",
        _ => "http",
    };
    let with_proxy_header = |proxy_header| Itinerary {
        proxy_header,
        ..plain.clone()
    };
    let first = match itinerary.proxy_header {
        Some(_) => None,
        None => Some(ProxyVersion::V1),
    };
    let (is_http1, with_other, with_second, is_other_scheme) = tokio::join!(
        answers(itinerary.wire != Wire::Http1 && !speaks, plain.clone()),
        answers(true, with_proxy_header(first)),
        answers(first.is_some(), with_proxy_header(Some(ProxyVersion::V2))),
        answers(true, with_scheme(plain.clone(), other_scheme)),
    );
    let address = itinerary.server.clone();
    if is_http1 {
        return Some(match (itinerary.wire, itinerary.page.scheme()) {
            (Wire::Upgrade, _) => return None,
            (_, "https") => VisitError::AlpnWithoutHttp2 { address },
            _ => VisitError::NoHttp2 { address },
        });
    }
    match (with_other, with_second, first) {
        (true, _, Some(_)) => Some(VisitError::ProxyHeaderRequired { address, version: "v1" }),
        (_, true, Some(_)) => Some(VisitError::ProxyHeaderRequired { address, version: "v2" }),
        (true, _, None) => Some(VisitError::ProxyHeaderUnexpected { address }),
        _ if is_other_scheme && other_scheme == "https" => Some(VisitError::TlsExpected { address }),
        _ if is_other_scheme => Some(VisitError::CleartextExpected { address }),
        _ => None,
    }
}

/// Returns whether a server answers a request, and not by calling it malformed.
async fn answers(is_tried: bool, itinerary: Itinerary) -> bool {
    if !is_tried {
        return false;
    }
    match once(&itinerary).await {
        Ok(visited) => visited
            .page()
            .is_some_and(|page| page.status != StatusCode::BAD_REQUEST),
        Err(_) => false,
    }
}

/// Changes the scheme. The port stays, and no certificate is verified: the question is whether TLS is spoken.
fn with_scheme(mut itinerary: Itinerary, scheme: &str) -> Itinerary {
    let rest = &itinerary.page[url::Position::AfterScheme..];
    if let Ok(page) = Url::parse(&format!("{scheme}{rest}")) {
        itinerary.page = page;
    }
    itinerary.verification = Verification::Skipped;
    itinerary
}

/// Time limit of the search for a cause.
const TRIAL: Duration = Duration::from_secs(3);

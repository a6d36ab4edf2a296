//! What the origin is told of the client, written into the request to it.
//!
//! Called after Pingora has removed what `Connection` names: a client cannot have our fields removed.
//! What is told is decided in `forwarded`.

use http::{HeaderMap, HeaderName, Version, request::Parts};
use pingora::{Result, http::RequestHeader};
use pingora_proxy::Session;

use super::{Context, request::Url};
use crate::forwarded::{ForwardedFacts, ForwardedField, Trust, is_foreign, tell};

/// Replaces, or appends to, what the request says of its client, and names us in Via.
///
/// # Errors
///
/// None that a request could cause.
pub(super) fn tell_origin(session: &Session, request: &mut RequestHeader, context: &Context) -> Result<()> {
    let url = Url::of(session.req_header(), context);
    if let Some(received) = &context.received {
        for (name, value) in received.fields_for(url.authority) {
            request.append_header(name, value.clone())?;
        }
    }
    let facts = facts(session.req_header(), &request.headers, context);
    let trust = facts.as_ref().map_or(Trust::Untrusted, |facts| facts.trust);
    let forwarded = context.route().map_or(ForwardedField::Off, |route| route.forwarded);
    let told = facts.map(|facts| tell(&facts, forwarded));
    let foreign: Vec<HeaderName> = request
        .headers
        .keys()
        .filter(|name| is_foreign(name.as_str(), trust))
        .cloned()
        .collect();
    for name in &foreign {
        request.remove_header(name);
    }
    if let Some(told) = told {
        // Names as text: of a `HeaderName`, Pingora makes two copies.
        request.insert_header("X-Forwarded-For", told.chain)?;
        request.insert_header("X-Forwarded-Proto", told.scheme)?;
        request.insert_header("X-Forwarded-Port", told.port)?;
        match told.host {
            Some(host) => request.insert_header("X-Forwarded-Host", host)?,
            None => {
                request.remove_header("x-forwarded-host");
            }
        }
        if let Some(forwarded) = told.forwarded {
            request.insert_header("Forwarded", forwarded)?;
        }
    }
    request.append_header("Via", via(session.req_header().version))?;
    Ok(())
}

/// What is known of who sent a client's request, and of the URL that it is for; `fields` are what it, or the request to the origin,
/// says of that.
pub(super) fn facts<'r>(client: &'r Parts, fields: &'r HeaderMap, context: &Context) -> Option<ForwardedFacts<'r>> {
    let peer = &context.connection.as_ref()?.peer;
    Some(ForwardedFacts {
        address: peer.address.ip(),
        trust: if peer.is_trusted {
            Trust::Trusted
        } else {
            Trust::Untrusted
        },
        scheme: context.scheme(client),
        authority: Url::of(client, context).authority,
        fields,
    })
}

/// Our element of Via (RFC 9110 section 7.6.3), by the protocol that the request came in.
const fn via(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "2.0 linkpush",
        Version::HTTP_10 => "1.0 linkpush",
        _ => "1.1 linkpush",
    }
}

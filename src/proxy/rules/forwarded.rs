//! Writes into the request to the origin what the origin is told of the client.
//!
//! Called after the fields that `Connection` names were removed: a client cannot have our fields removed. The values
//! are decided in `forwarded`.

use http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts};

use super::{
    head::{Fields, name},
    via,
};
use crate::{
    forwarded::{ForwardedFacts, ForwardedField, Trust, is_foreign, tell},
    proxy::exchange::Exchange,
};

/// Replaces, or appends to, what the client's request says of its client, and names us in Via. `to_origin` is the
/// request that is sent.
pub(in crate::proxy) fn tell_origin(request: &Parts, to_origin: &mut impl Fields, exchange: &Exchange) {
    if let Some(received) = &exchange.received {
        let url = exchange.url(request);
        for (name, value) in received.fields_for(url.authority) {
            to_origin.add_named(name, value.clone());
        }
    }
    let facts = facts(request, to_origin.fields(), exchange);
    let trust = facts.as_ref().map_or(Trust::Untrusted, |facts| facts.trust);
    let forwarded = exchange.route().map_or(ForwardedField::Off, |route| route.forwarded);
    let told = facts.map(|facts| tell(&facts, forwarded));
    let foreign: Vec<HeaderName> = to_origin
        .fields()
        .keys()
        .filter(|name| is_foreign(name.as_str(), trust))
        .cloned()
        .collect();
    for name in &foreign {
        to_origin.remove(name);
    }
    if let Some(told) = told {
        to_origin.set(&name::X_FORWARDED_FOR, told.chain);
        to_origin.set(&name::X_FORWARDED_PROTO, told.scheme);
        to_origin.set(&name::X_FORWARDED_PORT, told.port);
        match told.host {
            Some(host) => to_origin.set(&name::X_FORWARDED_HOST, host),
            None => to_origin.remove(name::X_FORWARDED_HOST.as_header()),
        }
        if let Some(forwarded) = told.forwarded {
            to_origin.set(&name::FORWARDED, forwarded);
        }
    }
    to_origin.add(&name::VIA, via::element(request.version));
}

/// Returns what is known of the client of a request, and of the URL that it is for; `fields` are what the request, or
/// the one to the origin, says of that.
pub(in crate::proxy) fn facts<'r>(
    request: &'r Parts,
    fields: &'r HeaderMap,
    exchange: &Exchange,
) -> Option<ForwardedFacts<'r>> {
    let peer = &exchange.connection.as_ref()?.peer;
    Some(ForwardedFacts {
        address: peer.address.ip(),
        trust: if peer.is_trusted {
            Trust::Trusted
        } else {
            Trust::Untrusted
        },
        scheme: exchange.scheme(request),
        authority: exchange.url(request).authority,
        fields,
    })
}

/// Joins the lines of Cookie: HTTP/2 clients may send several, HTTP/1.1 knows one (RFC 9113 section 8.2.3).
pub(in crate::proxy) fn join_cookies(to_origin: &mut impl Fields) {
    let cookies = || to_origin.fields().get_all(header::COOKIE).iter();
    if cookies().nth(1).is_none() {
        return;
    }
    let crumbs: Vec<&[u8]> = cookies().map(HeaderValue::as_bytes).collect();
    let cookie = crumbs.join(b"; ".as_slice());
    // Values with a separator between them are a value.
    if let Ok(cookie) = HeaderValue::try_from(cookie) {
        to_origin.set(&name::COOKIE, cookie);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_one_line() {
        for (lines, expected) in [
            (vec![], vec![]),
            (vec!["a=b"], vec!["a=b"]),
            (vec!["a=b", "c=d", "e"], vec!["a=b; c=d; e"]),
        ] {
            let mut fields = HeaderMap::new();
            for line in lines {
                fields.append(header::COOKIE, HeaderValue::from_static(line));
            }
            join_cookies(&mut fields);
            let joined: Vec<_> = fields.get_all(header::COOKIE).iter().collect();
            assert_eq!(joined, expected);
        }
    }
}

//! Ends stored responses before their time: another response of the origin, or a request that changes something
//! (RFC 9111 section 4.4).

use http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts};

use super::request::as_told;
use crate::{
    forwarded::ForwardedFacts,
    link::{Document, Target},
    proxy::{edge::Edge, exchange::Exchange, rules::forwarded, url::Url},
};

/// Forgets the stored responses of a URL after the response to a request that changes something, and those of the URLs
/// that this response names as changed.
pub(in crate::proxy) fn note(
    edge: &Edge,
    request: &Parts,
    (status, fields): (StatusCode, &HeaderMap),
    exchange: &Exchange,
) {
    if request.method.is_safe() || !(status.is_success() || status.is_redirection()) {
        return;
    }
    forget(edge, request, exchange);
    let named = [header::LOCATION, header::CONTENT_LOCATION].map(|name| fields.get(name));
    if named.iter().all(Option::is_none) {
        return;
    }
    let url = exchange.url(request);
    let facts = forwarded::facts(request, &request.headers, exchange);
    for value in named.into_iter().flatten() {
        if let Some(target) = of_same_origin(&url, facts.as_ref(), value) {
            forget_path(edge, request, &url, target.path_and_query(), exchange);
        }
    }
}

/// Forgets the stored responses of the URL of a request.
pub(in crate::proxy) fn forget(edge: &Edge, request: &Parts, exchange: &Exchange) {
    let url = exchange.url(request);
    forget_path(edge, request, &url, url.path_and_query, exchange);
}

/// Forgets the stored responses of another path at the place of the URL, of which a trusted peer says the same.
fn forget_path(edge: &Edge, request: &Parts, url: &Url<'_>, path_and_query: &str, exchange: &Exchange) {
    let store = edge.cache.store;
    let hash = store.hasher().url(url.scheme, url.authority, path_and_query);
    store.forget(as_told(store, hash, request, exchange).unwrap_or(hash));
}

/// Returns the URL that a field of the response names, if its origin is the one that the client asked: nobody may end
/// the stored responses of another site.
fn of_same_origin(url: &Url<'_>, facts: Option<&ForwardedFacts<'_>>, named: &HeaderValue) -> Option<Target> {
    let scheme = facts.map_or(url.scheme, |facts| facts.url_scheme().name());
    let host = facts.and_then(|facts| facts.url_host()?.to_str().ok());
    let document = Document::new(scheme, host.unwrap_or(url.authority), url.path_and_query).ok()?;
    let target = document.resolve(named.as_bytes().trim_ascii()).ok()?;
    document.is_same_origin(&target).then_some(target)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use http::HeaderMap;

    use super::*;
    use crate::{forwarded::Trust, peer::Scheme};

    /// The path of a URL of the same origin.
    fn path(trust: Trust, told: &[(&'static str, &'static str)], named: &'static str) -> Option<String> {
        let url = Url {
            scheme: "http",
            authority: "shop.example",
            path: "/cart/add",
            path_and_query: "/cart/add?q",
        };
        let mut fields = HeaderMap::new();
        for (name, value) in told {
            fields.append(*name, HeaderValue::from_static(value));
        }
        let facts = ForwardedFacts {
            address: Ipv4Addr::LOCALHOST.into(),
            trust,
            scheme: Scheme::Http,
            authority: url.authority,
            fields: &fields,
        };
        let target = of_same_origin(&url, Some(&facts), &HeaderValue::from_static(named))?;
        Some(target.path_and_query().to_owned())
    }

    #[test]
    fn only_urls_of_the_origin_that_was_asked_count() {
        for (named, expected) in [
            ("/b", Some("/b")),
            ("b?x#y", Some("/cart/b?x")),
            ("?y", Some("/cart/add?y")),
            ("../", Some("/")),
            ("http://shop.example/b", Some("/b")),
            ("http://SHOP.example:80/b", Some("/b")),
            ("//shop.example/b", Some("/b")),
            ("https://shop.example/b", None),
            ("http://shop.example:8080/b", None),
            ("http://www.shop.example/b", None),
            ("//evil.example/b", None),
            ("http://user@shop.example/b", None),
            ("ftp://shop.example/b", None),
            ("http:///b", None),
            ("/\\evil.example/b", None),
        ] {
            assert_eq!(path(Trust::Trusted, &[], named).as_deref(), expected, "{named}");
        }
    }

    #[test]
    fn a_trusted_peer_tells_which_origin_that_is() {
        const PROTO: (&str, &str) = ("x-forwarded-proto", "https");
        const HOST: (&str, &str) = ("x-forwarded-host", "www.example");
        let of = |trust, told: &[_], named| path(trust, told, named).is_some();
        assert!(of(Trust::Trusted, &[PROTO], "https://shop.example/b"));
        assert!(!of(Trust::Trusted, &[PROTO], "http://shop.example/b"));
        assert!(of(Trust::Trusted, &[PROTO, HOST], "https://www.example/b"));
        assert!(!of(Trust::Trusted, &[PROTO, HOST], "https://shop.example/b"));
        assert!(!of(Trust::Untrusted, &[PROTO], "https://shop.example/b"));
        assert!(!of(Trust::Untrusted, &[HOST], "http://www.example/b"));
        assert!(of(Trust::Untrusted, &[PROTO, HOST], "http://shop.example/b"));
    }
}

//! Lists the fields by which a request names another client, URL or method than its connection, target and method do.
//! Routing, cache, learning and forwarding share these lists. Pure.
//!
//! | | from a client | from a trusted peer | in the cache, and in learning |
//! |---|---|---|---|
//! | [`CLIENT`], X-Forwarded-For | removed | forwarded | ignored |
//! | [`URL`], other X-Forwarded-* | removed | forwarded | part of the key |
//! | `ANOTHER_URL` | removed | forwarded | the request is neither served from the cache, stored nor learned from |
//! | `ANOTHER_METHOD` | forwarded | forwarded | likewise |
//!
//! CGI, WSGI and PHP read underscores as hyphens (`X_Forwarded_For` and `X-Forwarded-For` are both
//! `HTTP_X_FORWARDED_FOR`), so both spellings count. A name of the first three rows that is spelt with an underscore is
//! removed even from a trusted peer.

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// Whether a peer's fields about its client are believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// The peer is a proxy of the operator.
    Trusted,
    /// The peer is a client.
    Untrusted,
}

pub(super) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(super) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub(super) const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
pub(super) const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");

/// Returns whether a peer's field must be removed, since origins would take it for linkpush's own. `name` is in lower
/// case.
#[must_use]
pub fn is_foreign(name: &str, trust: Trust) -> bool {
    match trust {
        Trust::Untrusted => is_of_family(name),
        Trust::Trusted => name.contains('_') && is_of_family(name),
    }
}

/// Passes each field line about the URL of a trusted peer's client to `tell`: an origin may respond by them, so they
/// belong to the cache key. Returns `false` if `Forwarded` has the URL's host or scheme, which cannot be separated from
/// the client's address.
#[must_use]
pub fn told_of_url(fields: &HeaderMap, tell: &mut dyn FnMut(&HeaderName, &HeaderValue)) -> bool {
    for (name, value) in fields {
        let text = name.as_str();
        let is_of_url = starts(text, X_FORWARDED) && !is_one_of(text, &[X_FORWARDED_FOR.as_str()])
            || is_one_of(text, &URL)
            || is_one_of(text, &ANOTHER_URL);
        if is_of_url {
            tell(name, value);
        } else if *name == header::FORWARDED {
            let value = value.as_bytes().to_ascii_lowercase();
            if [&b"host"[..], b"proto"]
                .iter()
                .any(|word| value.windows(word.len()).any(|part| part == *word))
            {
                return false;
            }
        }
    }
    true
}

/// Returns whether a request has fields of `ANOTHER_URL` or `ANOTHER_METHOD`: an application that obeys them
/// responds for another URL or method than the one that is routed, stored and learned from. True even for an untrusted
/// peer, whose fields of `ANOTHER_URL` are removed.
#[must_use]
pub fn ask_for_another(fields: &HeaderMap) -> bool {
    fields.keys().any(|name| {
        let name = name.as_str();
        // Rejects most names by one comparison.
        name.starts_with('x') && (is_one_of(name, &ANOTHER_URL) || is_one_of(name, &ANOTHER_METHOD))
    })
}

/// Returns whether a field is about the client or its URL: one of X-Forwarded-*, `CLIENT`, `URL` or `ANOTHER_URL`.
pub(super) fn is_of_family(name: &str) -> bool {
    starts(name, X_FORWARDED) || is_one_of(name, &CLIENT) || is_one_of(name, &URL) || is_one_of(name, &ANOTHER_URL)
}

fn is_one_of(name: &str, names: &[&str]) -> bool {
    names.iter().any(|of| name.len() == of.len() && starts(name, of))
}

/// Returns whether a name begins with `with`; underscores in the name count as hyphens.
fn starts(name: &str, with: &str) -> bool {
    name.len() >= with.len()
        && name
            .bytes()
            .zip(with.bytes())
            .all(|(byte, of)| byte == of || (byte == b'_' && of == b'-'))
}

const X_FORWARDED: &str = "x-forwarded";

/// Fields in which proxies and applications look for the client's address, apart from X-Forwarded-For.
const CLIENT: [&str; 19] = [
    "forwarded",
    "forwarded-for",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-original-forwarded-for",
    "x-originating-ip",
    "x-remote-ip",
    "x-remote-addr",
    "true-client-ip",
    "cf-connecting-ip",
    "fastly-client-ip",
    "client-ip",
    "x-true-client-ip",
    "wl-proxy-client-ip",
    "proxy-client-ip",
    "x-azure-clientip",
    "x-envoy-external-address",
    // CGI passes it as HTTP_PROXY, in which libraries look for the proxy to use ("httpoxy").
    "proxy",
];

/// Fields for the scheme of the client's URL, apart from X-Forwarded-*.
const URL: [&str; 5] = [
    "x-url-scheme",
    "x-scheme",
    "front-end-https",
    "cf-visitor",
    "cloudfront-forwarded-proto",
];

/// Fields that make applications and their servers respond for another URL: Symfony, Zend and IIS (X-Original-URL,
/// X-Rewrite-URL), Django and ASP.NET behind rewriting servers, Envoy, Next.js (x-middleware-subrequest skips its
/// middleware). Each must begin with `x`: see [`ask_for_another`].
const ANOTHER_URL: [&str; 17] = [
    "x-original-url",
    "x-rewrite-url",
    "x-original-uri",
    "x-rewrite-uri",
    "x-original-host",
    "x-host",
    "x-http-host-override",
    "x-host-override",
    "x-proxy-url",
    "x-envoy-original-path",
    "x-envoy-original-host",
    "x-middleware-subrequest",
    "x-original-forwarded-host",
    "x-backend-host",
    "x-override-url",
    "x-replaced-path",
    "x-http-destinationurl",
];

/// Fields that make frameworks treat a request as one with another method. Clients may send them: scripts in browsers
/// do, where a proxy blocks PUT. Each must begin with `x`, too.
const ANOTHER_METHOD: [&str; 4] = [
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-method",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(name: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_static("evil"))])
    }

    fn is_of_key(name: &'static str) -> bool {
        let mut is_told = false;
        assert!(told_of_url(&fields(name), &mut |_, _| is_told = true), "{name}");
        is_told
    }

    fn underscored(name: &str) -> &'static str {
        name.replace('-', "_").leak()
    }

    /// Checks each name of each list against every function.
    #[test]
    fn every_function_treats_a_name_by_its_list() {
        use Trust::{Trusted, Untrusted};
        for name in CLIENT.into_iter().chain(["x-forwarded-for"]) {
            assert!(is_foreign(name, Untrusted) && !is_foreign(name, Trusted), "{name}");
            assert!(!is_of_key(name) && !ask_for_another(&fields(name)), "{name}");
        }
        for name in URL.into_iter().chain(["x-forwarded-host", "x-forwarded-prefix"]) {
            assert!(is_foreign(name, Untrusted) && !is_foreign(name, Trusted), "{name}");
            assert!(is_of_key(name) && is_of_key(underscored(name)), "{name}");
            assert!(!ask_for_another(&fields(name)), "{name}");
        }
        for name in ANOTHER_URL {
            assert!(is_foreign(name, Untrusted) && !is_foreign(name, Trusted), "{name}");
            assert!(is_foreign(underscored(name), Trusted), "{name}");
            assert!(is_of_key(name) && name.starts_with('x'), "{name}");
            assert!(
                ask_for_another(&fields(name)) && ask_for_another(&fields(underscored(name))),
                "{name}"
            );
        }
        for name in ANOTHER_METHOD {
            assert!(!is_foreign(name, Untrusted) && !is_of_key(name), "{name}");
            assert!(name.starts_with('x') && ask_for_another(&fields(name)), "{name}");
            assert!(ask_for_another(&fields(underscored(name))), "{name}");
        }
        for name in ["accept", "x-requested-with", "x-hosts", "x-original-urls", "x-method"] {
            assert!(!is_foreign(name, Untrusted) && !is_of_key(name), "{name}");
            assert!(!ask_for_another(&fields(name)), "{name}");
        }
    }
}

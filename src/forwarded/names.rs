//! Fields by which a request says more than its target, method and connection do: one list, for all that match, store,
//! learn and forward.
//!
//! | | from a client | from a trusted peer | in the cache, and in learning |
//! |---|---|---|---|
//! | [`CLIENT`], X-Forwarded-For | goes no further | kept | says nothing of the answer |
//! | [`URL`], other X-Forwarded-* | goes no further | kept | part of the key |
//! | [`ANOTHER_URL`] | goes no further | kept | the request has no part in them |
//! | [`ANOTHER_METHOD`] | kept | kept | the request has no part in them |
//!
//! CGI, WSGI and PHP read underscores as hyphens (`X_Forwarded_For` and `X-Forwarded-For` are both
//! `HTTP_X_FORWARDED_FOR`), so they count as such here. From anybody, names of the first three rows with underscores go no
//! further.

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// Whether what a peer says of others is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// It is a proxy of the operator's.
    Trusted,
    /// It is a client.
    Untrusted,
}

pub(super) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(super) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub(super) const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
pub(super) const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");

/// Whether a field must not reach origins from such a peer, because they would take it for ours. `name` is in lower case.
#[must_use]
pub fn is_foreign(name: &str, trust: Trust) -> bool {
    match trust {
        Trust::Untrusted => is_of_family(name),
        Trust::Trusted => name.contains('_') && is_of_family(name),
    }
}

/// Hands over what the fields of a trusted peer say of the URL that its client asked for, line by line: an
/// origin may answer by it, so it belongs to what an answer is kept under. `false` if they say it together
/// with who asks, in `Forwarded`.
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

/// Whether a request asks for something else than its target and method say: an application that heeds these fields answers
/// for a URL or method that is not the one which is matched, learned of and stored. Whoever sends them: a client's
/// other URL goes no further, and still is no request that others are served by.
#[must_use]
pub fn ask_for_another(fields: &HeaderMap) -> bool {
    fields.keys().any(|name| {
        let name = name.as_str();
        // Most names end here.
        name.starts_with('x') && (is_one_of(name, &ANOTHER_URL) || is_one_of(name, &ANOTHER_METHOD))
    })
}

/// Whether a field speaks of the client on whose behalf a request is made, or of the URL that it is for.
pub(super) fn is_of_family(name: &str) -> bool {
    starts(name, X_FORWARDED) || is_one_of(name, &CLIENT) || is_one_of(name, &URL) || is_one_of(name, &ANOTHER_URL)
}

fn is_one_of(name: &str, names: &[&str]) -> bool {
    names.iter().any(|of| name.len() == of.len() && starts(name, of))
}

/// Underscores count as hyphens.
fn starts(name: &str, with: &str) -> bool {
    name.len() >= with.len()
        && name
            .bytes()
            .zip(with.bytes())
            .all(|(byte, of)| byte == of || (byte == b'_' && of == b'-'))
}

const X_FORWARDED: &str = "x-forwarded";

/// Who the client is, as proxies and applications read it, apart from X-Forwarded-For.
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
    // CGI makes HTTP_PROXY of it, which libraries take for the proxy that they are to use.
    "proxy",
];

/// What of its URL the target does not say: the scheme, apart from X-Forwarded-*.
const URL: [&str; 5] = [
    "x-url-scheme",
    "x-scheme",
    "front-end-https",
    "cf-visitor",
    "cloudfront-forwarded-proto",
];

/// By these applications and their servers are asked for another URL: Symfony, Zend and IIS (X-Original-URL,
/// X-Rewrite-URL), Django and ASP.NET behind rewriting servers, Envoy, Next.js (x-middleware-subrequest leaves out its
/// middleware). Each begins with `x`: see [`ask_for_another`].
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

/// By these frameworks are asked for another method than the request line has, which is the client's to say: browsers'
/// scripts do, where a proxy lets no PUT through.
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

    /// Each name in each use, so that none is forgotten in one of them.
    #[test]
    fn every_use_knows_every_name() {
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

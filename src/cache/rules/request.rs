//! Decides which requests the cache serves; others are passed to the origin, and their responses are not stored (RFC
//! 9111 section 3).

use http::{HeaderMap, HeaderName, Method, header};

use crate::forwarded::ask_for_another;

/// Why a request passes the cache: no stored response answers it, and its response is not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Passed {
    /// Its method is neither GET nor HEAD.
    #[error("its method is neither GET nor HEAD")]
    Method,
    /// It has content.
    #[error("it has content")]
    Content,
    /// It has `Authorization`: the response is for one client.
    #[error("it has Authorization")]
    Authorization,
    /// It has `If-Match` or `If-Unmodified-Since`, which only the origin can evaluate.
    #[error("it has a condition that only the origin can judge")]
    Condition,
    /// It asks for another protocol.
    #[error("it asks for another protocol")]
    Upgrade,
    /// It has a field by which an application may take another URL or method.
    #[error("it has a field that may ask for another URL or method")]
    AnotherUrl,
    /// The route stores assets only, and no document is known that preloads this URL.
    #[error("no page preloads it, and the route stores assets only")]
    NoAsset,
    /// A field of a trusted peer describes URL and client at once.
    #[error("what a trusted peer says of its URL is not clear")]
    Peer,
    /// It asks for a part, or with HEAD, of a response that is not stored: storing would mean to fetch all of it.
    #[error("it asks for a part of a response that is not stored")]
    Part,
}

impl Passed {
    /// Returns the name of the reason in the access line and in explanations.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::Content => "content",
            Self::Authorization => "authorization",
            Self::Condition => "condition",
            Self::Upgrade => "upgrade",
            Self::AnotherUrl => "another_url",
            Self::NoAsset => "no_asset",
            Self::Peer => "peer",
            Self::Part => "part",
        }
    }

    /// Checks whether the cache may serve a request with this method and these fields.
    ///
    /// `Cache-Control` of a request is ignored: its directives are advice (RFC 9111 section 5.2.1), and would let any
    /// client reach the origin at will.
    ///
    /// # Errors
    ///
    /// The first reason to pass the cache.
    pub fn check(method: &Method, fields: &HeaderMap) -> Result<(), Self> {
        if *method != Method::GET && *method != Method::HEAD {
            return Err(Self::Method);
        }
        fields.keys().try_for_each(Self::check_name)?;
        if ask_for_another(fields) {
            return Err(Self::AnotherUrl);
        }
        Ok(())
    }

    fn check_name(name: &HeaderName) -> Result<(), Self> {
        match *name {
            header::AUTHORIZATION => Err(Self::Authorization),
            header::IF_MATCH | header::IF_UNMODIFIED_SINCE => Err(Self::Condition),
            header::UPGRADE => Err(Self::Upgrade),
            _ => Ok(()),
        }
    }
}

/// Returns whether a request asks for a part of the response, or for its header alone.
#[must_use]
pub fn asks_for_less(method: &Method, fields: &HeaderMap) -> bool {
    *method == Method::HEAD || fields.contains_key(header::RANGE)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_get_and_head_without_authorization_conditions_or_overrides_use_the_cache() {
        let check = |method: &str, fields: &[(&'static str, &'static str)]| {
            let fields = fields
                .iter()
                .map(|&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
                .collect();
            Passed::check(&method.parse().expect("a method"), &fields)
        };
        assert_eq!(check("GET", &[]), Ok(()));
        assert_eq!(check("HEAD", &[("if-none-match", "\"a\""), ("cookie", "a=b")]), Ok(()));
        for wish in ["no-cache, max-age=0", "max-age=0, No-Store"] {
            assert_eq!(check("GET", &[("cache-control", wish)]), Ok(()), "{wish}");
        }
        for method in ["POST", "OPTIONS", "PURGE"] {
            assert_eq!(check(method, &[]), Err(Passed::Method), "{method}");
        }
        for (name, value, reason) in [
            ("authorization", "Basic x", Passed::Authorization),
            ("if-match", "\"a\"", Passed::Condition),
            ("if-unmodified-since", "x", Passed::Condition),
            ("upgrade", "websocket", Passed::Upgrade),
            ("x-original-url", "/admin", Passed::AnotherUrl),
            ("x-http-method-override", "PUT", Passed::AnotherUrl),
        ] {
            assert_eq!(check("GET", &[(name, value)]), Err(reason), "{name}");
        }
    }
}

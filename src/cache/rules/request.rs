//! Which requests have to do with what is kept, and why others have not.

use http::{HeaderMap, HeaderName, Method, header};

use crate::forwarded::ask_for_another;

/// Why a request is neither answered with what is kept, nor its answer kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Passed {
    /// It is neither GET nor HEAD.
    #[error("its method is neither GET nor HEAD")]
    Method,
    /// It has content.
    #[error("it has content")]
    Content,
    /// It has `Authorization`: the answer is for one client.
    #[error("it has Authorization")]
    Authorization,
    /// `If-Match` or `If-Unmodified-Since`, which only the origin can judge.
    #[error("it has a condition that only the origin can judge")]
    Condition,
    /// It asks for another protocol.
    #[error("it asks for another protocol")]
    Upgrade,
    /// A field by which an application may answer for another URL or method.
    #[error("it has a field that may ask for another URL or method")]
    AnotherUrl,
    /// The route keeps assets, and no page was seen that preloads this URL.
    #[error("no page preloads it, and the route keeps assets only")]
    NoAsset,
    /// A trusted peer says of its URL what cannot be told apart.
    #[error("what a trusted peer says of its URL is not clear")]
    Peer,
    /// It asks for a part, or for the header alone, of what is not kept: for the whole, all would have to be fetched.
    #[error("it asks for a part of what is not kept")]
    Part,
}

impl Passed {
    /// Its name in the access line and in explanations.
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

    /// Whether a request with this method and these fields could be answered with what is kept for others.
    ///
    /// A wish that nothing be kept is no more heeded than one that nothing kept be used: such wishes are advice (RFC 9111
    /// section 5.2.1), and would let any client ask the origin at will.
    ///
    /// # Errors
    ///
    /// The first reason why not.
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

/// Whether a part of the answer, or its header alone, is wanted.
#[must_use]
pub fn asks_for_less(method: &Method, fields: &HeaderMap) -> bool {
    *method == Method::HEAD || fields.contains_key(header::RANGE)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_what_anybody_may_ask_has_to_do_with_the_cache() {
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

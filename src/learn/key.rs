//! Decides which responses belong to the same document, by a keyed hash of scheme, authority, path, and the query
//! parameters and request fields that the route names.

use std::borrow::Cow;

use http::{HeaderMap, HeaderValue, header};
use serde::{Deserialize, Serialize};

use super::policy::{LearnKey, LearnPolicy};
use crate::{
    link::Spelled,
    url_hash::{Parts, UrlHasher},
};

/// The hash that identifies a document in a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DocumentKey(pub(super) u128);

impl DocumentKey {
    /// Makes a key from the parts that identify the document.
    pub(super) fn of(parts: Parts) -> Self {
        Self(u128::from_be_bytes(parts.finish().to_bytes()))
    }
}

/// A source of document keys, and of marks of visitors, under one secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyHasher(UrlHasher);

impl KeyHasher {
    /// Makes a hasher under this secret, which must be random and stay private.
    #[must_use]
    pub const fn new(secret: (u64, u64)) -> Self {
        Self(UrlHasher::new(secret))
    }

    /// The secret.
    #[must_use]
    pub const fn secret(&self) -> (u64, u64) {
        self.0.secret()
    }

    /// Returns the key of the document that a request is for. Host case and the scheme's default port make no
    /// difference.
    #[must_use]
    pub fn document(
        &self,
        policy: &LearnPolicy,
        (scheme, authority, path, query): (&str, &str, &str, Option<&str>),
        fields: &HeaderMap,
    ) -> DocumentKey {
        let mut parts = self.0.origin(scheme, authority);
        parts.add(path.as_bytes());
        match (&policy.key, query) {
            (LearnKey::PathAndQuery, Some(query)) => parts.add(query.as_bytes()),
            (LearnKey::Parameters(names), Some(query)) => {
                for name in names {
                    for pair in query.split('&').filter(|pair| is_named(pair, name)) {
                        parts.add(pair.as_bytes());
                    }
                    parts.add(b"");
                }
            }
            (LearnKey::Path, _) | (_, None) => {}
        }
        for name in &policy.vary {
            parts.add(name.as_str().as_bytes());
            for value in fields.get_all(name) {
                parts.add(value.as_bytes());
            }
        }
        DocumentKey::of(parts)
    }

    /// Begins a key with scheme and authority.
    pub(super) fn origin(&self, scheme: &str, authority: &str) -> Parts {
        self.0.origin(scheme, authority)
    }

    /// Begins a key.
    pub(super) fn parts(&self) -> Parts {
        self.0.parts()
    }

    /// Returns a hash of what shows a change of a response's content: `ETag`, `Last-Modified`, `Content-Length`, and the
    /// links of its `Link` fields.
    #[must_use]
    pub fn fingerprint(&self, response: &HeaderMap, links: &[Spelled]) -> u64 {
        let mut parts = self.0.parts();
        for link in links {
            parts.add(link.text());
        }
        for name in [header::ETAG, header::LAST_MODIFIED, header::CONTENT_LENGTH] {
            parts.add(response.get(name).map_or(&[][..], HeaderValue::as_bytes));
        }
        parts.finish().fold()
    }

    /// Returns a hash of the fields that name links, the policies for them and what else they depend on, byte for byte.
    #[must_use]
    pub fn of_links(&self, response: &HeaderMap) -> u64 {
        let mut parts = self.0.parts();
        for name in [header::LINK, header::CONTENT_SECURITY_POLICY, header::VARY] {
            for line in response.get_all(name) {
                parts.add(line.as_bytes());
            }
            parts.add(b"");
        }
        parts.finish().fold()
    }

    /// Returns a mark of a network, of a part of a query or of a link; `kind` says of which.
    pub(super) fn mark(&self, kind: u8, bytes: &[u8]) -> u64 {
        let mut parts = self.0.parts();
        parts.add(&[kind]);
        parts.add(bytes);
        parts.finish().fold()
    }
}

/// Returns the name in a pair of a query, as applications read it: `%70` is `p`, and `+` a space. A name that is no
/// UTF-8 stays as it is.
pub(super) fn name_of(pair: &str) -> Cow<'_, str> {
    let name = raw_name_of(pair);
    if !name.contains(['%', '+']) {
        return Cow::Borrowed(name);
    }
    let mut bytes = name.bytes();
    let mut decoded = Vec::with_capacity(name.len());
    while let Some(byte) = bytes.next() {
        let mut digits = bytes.clone();
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => match (hex(digits.next()), hex(digits.next())) {
                (Some(high), Some(low)) => {
                    bytes = digits;
                    high << 4 | low
                }
                _ => b'%',
            },
            _ => byte,
        });
    }
    String::from_utf8(decoded).map_or(Cow::Borrowed(name), Cow::Owned)
}

/// Returns whether a pair of a query has this name, spelled like it or decoded to it.
pub(super) fn is_named(pair: &str, name: &str) -> bool {
    raw_name_of(pair) == name || name_of(pair) == name
}

fn raw_name_of(pair: &str) -> &str {
    pair.split_once('=').map_or(pair, |(name, _)| name)
}

fn hex(digit: Option<u8>) -> Option<u8> {
    let digit = char::from(digit?).to_digit(16)?;
    u8::try_from(digit).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(policy: &LearnPolicy, authority: &str, path: &str, query: Option<&str>) -> DocumentKey {
        KeyHasher::new((1, 2)).document(policy, ("https", authority, path, query), &HeaderMap::new())
    }

    #[test]
    fn a_document_is_its_scheme_authority_and_path() {
        let policy = LearnPolicy::default();
        let here = key(&policy, "a.example", "/", None);
        assert_eq!(key(&policy, "A.example:443", "/", Some("q=1")), here);
        assert_ne!(key(&policy, "a.example:8443", "/", None), here);
        assert_ne!(key(&policy, "a.example", "/x", None), here);
        let http = KeyHasher::new((1, 2)).document(&policy, ("http", "a.example", "/", None), &HeaderMap::new());
        assert_ne!(http, here);
    }

    #[test]
    fn parameters_count_in_any_order_and_others_do_not() {
        let policy = LearnPolicy {
            key: LearnKey::Parameters(vec!["lang".into(), "v".into()]),
            ..LearnPolicy::default()
        };
        let of = |query| key(&policy, "a", "/", query);
        assert_eq!(of(Some("v=2&lang=de&utm=x")), of(Some("lang=de&v=2")));
        assert_ne!(of(Some("lang=de")), of(Some("lang=fr")));
        assert_ne!(of(Some("lang=v")), of(Some("v=lang")));
    }

    #[test]
    fn names_of_parameters_are_read_as_applications_read_them() {
        for (pair, name) in [
            ("p=1", "p"),
            ("p", "p"),
            ("=1", ""),
            ("%70=1", "p"),
            ("%70", "p"),
            ("%6cang=%70", "lang"),
            ("%6Cang=de", "lang"),
            ("a+b=1", "a b"),
            ("a%20b=1", "a b"),
            ("%C3%BC=1", "\u{fc}"),
            ("%=1", "%"),
            ("%7=1", "%7"),
            ("%zz=1", "%zz"),
            ("%%70=1", "%p"),
            ("%2570=1", "%70"),
            ("%ff=1", "%ff"),
        ] {
            assert_eq!(name_of(pair), name, "{pair}");
            assert!(is_named(pair, name), "{pair}");
        }
        assert!(is_named("a%20b=1", "a%20b"));
        assert!(!is_named("q=p", "p"));
        assert!(matches!(name_of("p=%70"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_parameter_counts_however_its_name_is_spelled() {
        let policy = LearnPolicy {
            key: LearnKey::Parameters(vec!["p".into()]),
            ..LearnPolicy::default()
        };
        let of = |query| key(&policy, "a", "/", query);
        assert_ne!(of(Some("%70=secret")), of(None));
        assert_ne!(of(Some("%70=secret")), of(Some("")));
    }

    #[test]
    fn requests_that_differ_in_a_vary_field_are_for_different_documents() {
        let policy = LearnPolicy {
            vary: vec![header::ACCEPT_LANGUAGE],
            ..LearnPolicy::default()
        };
        let of = |language: &'static str| {
            let fields = HeaderMap::from_iter([(header::ACCEPT_LANGUAGE, HeaderValue::from_static(language))]);
            KeyHasher::new((1, 2)).document(&policy, ("https", "a", "/", None), &fields)
        };
        assert_ne!(of("de"), of("fr"));
        assert_eq!(of("de"), of("de"));
    }
}

//! What an answer is found by: a keyed hash of scheme, authority, path and query, and of the request
//! fields that the answer varies by.
//!
//! 128 bits under a secret key of the process: nobody outside can make two URLs meet.

use std::hash::{BuildHasherDefault, Hash, Hasher};

use http::HeaderMap;
use siphasher::sip128::{Hasher128 as _, SipHasher13};

use crate::forwarded;

/// A URL as a store knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UrlHash(u128);

/// One of the answers of a URL: the first that came, or a variant of it (RFC 9111 section 4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cache) struct EntryKey {
    pub(in crate::cache) url: UrlHash,
    pub(in crate::cache) variance: Option<Variance>,
}

/// A hash of the request fields that an answer varies by, as Pingora keeps it.
pub(in crate::cache) type Variance = [u8; 16];

/// Makes hashes under one secret.
#[derive(Debug, Clone, Copy)]
pub struct UrlHasher {
    secret: (u64, u64),
}

/// Stands in no part of a URL or field, so that no two run together.
const SEPARATOR: u8 = 0xff;

impl UrlHash {
    /// Its bytes, as Pingora's keys have them.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// One of 65,536 places that all URLs share.
    pub(in crate::cache) const fn slot(self) -> u16 {
        let [.., high, low] = self.to_bytes();
        u16::from_be_bytes([high, low])
    }

    /// The hash of these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }
}

impl UrlHasher {
    /// A hasher under this secret, which must be random and stay private.
    #[must_use]
    pub const fn new(secret: (u64, u64)) -> Self {
        Self { secret }
    }

    /// The hash of a URL given in its parts. Host case and the scheme's default port make no difference.
    #[must_use]
    pub fn url(&self, scheme: &str, authority: &str, path_and_query: &str) -> UrlHash {
        let mut hasher = self.start();
        hasher.write(scheme.as_bytes());
        hasher.write_u8(SEPARATOR);
        write_lowercase(&mut hasher, without_default_port(scheme, authority).as_bytes());
        hasher.write_u8(SEPARATOR);
        hasher.write(path_and_query.as_bytes());
        UrlHash(hasher.finish128().as_u128())
    }

    /// The hash of a URL about which a trusted peer says more in these fields; `None` if it cannot be told apart
    /// from what they say of the client.
    #[must_use]
    pub fn as_told(&self, url: UrlHash, fields: &HeaderMap) -> Option<UrlHash> {
        let mut told: Option<KeyParts> = None;
        let is_clear = forwarded::told_of_url(fields, &mut |name, value| {
            let told = told.get_or_insert_with(|| {
                let mut parts = self.parts();
                parts.add(&url.to_bytes());
                parts
            });
            told.add(name.as_str().as_bytes());
            told.add(value.as_bytes());
        });
        is_clear.then(|| told.map_or(url, |told| UrlHash::from_bytes(told.finish())))
    }

    /// Begins a hash of parts.
    pub(in crate::cache) fn parts(&self) -> KeyParts {
        KeyParts(self.start())
    }

    fn start(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.secret.0, self.secret.1)
    }
}

/// A hash of parts in their order.
#[derive(Debug)]
pub(in crate::cache) struct KeyParts(SipHasher13);

impl KeyParts {
    pub(in crate::cache) fn add(&mut self, part: &[u8]) {
        self.0.write(part);
        self.0.write_u8(SEPARATOR);
    }

    pub(in crate::cache) fn finish(self) -> [u8; 16] {
        self.0.finish128().as_u128().to_be_bytes()
    }
}

/// The text of a URL as it is kept: host in lower case, without the scheme's default port.
#[must_use]
pub fn url_text(scheme: &str, authority: &str, path_and_query: &str) -> String {
    let authority = without_default_port(scheme, authority);
    let mut text = String::with_capacity(scheme.len() + 3 + authority.len() + path_and_query.len());
    text.push_str(scheme);
    text.push_str("://");
    text.extend(authority.chars().map(|c| c.to_ascii_lowercase()));
    text.push_str(path_and_query);
    text
}

fn without_default_port<'a>(scheme: &str, authority: &'a str) -> &'a str {
    let default_port = if scheme == "https" { ":443" } else { ":80" };
    authority.strip_suffix(default_port).unwrap_or(authority)
}

fn write_lowercase(hasher: &mut SipHasher13, text: &[u8]) {
    let mut lowercase = [0; 64];
    for part in text.chunks(lowercase.len()) {
        if let Some(lowercase) = lowercase.get_mut(..part.len()) {
            lowercase.copy_from_slice(part);
            lowercase.make_ascii_lowercase();
            hasher.write(lowercase);
        }
    }
}

impl Hash for UrlHash {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(fold(self.0));
    }
}

impl Hash for EntryKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let variance = self.variance.map_or(0, |variance| fold(u128::from_be_bytes(variance)));
        state.write_u64(fold(self.url.0) ^ variance);
    }
}

#[allow(clippy::cast_possible_truncation, reason = "both halves are taken")]
const fn fold(hash: u128) -> u64 {
    (hash >> 64) as u64 ^ hash as u64
}

/// For keys that are hashes already, and under a secret: they are taken as they are.
pub(in crate::cache) type TakeAsIs = BuildHasherDefault<AsIs>;

/// See [`TakeAsIs`].
#[derive(Debug, Default)]
pub(in crate::cache) struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(8) {
            let mut word = [0; 8];
            word.iter_mut().zip(part).for_each(|(to, from)| *to = *from);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = self.0.rotate_left(32) ^ word;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_case_and_default_port_make_no_difference_and_the_rest_does() {
        let hasher = UrlHasher::new((1, 2));
        let here = hasher.url("https", "shop.example", "/a.css?v=1");
        assert_eq!(hasher.url("https", "Shop.Example:443", "/a.css?v=1"), here);
        for other in [
            hasher.url("http", "shop.example", "/a.css?v=1"),
            hasher.url("https", "shop.example:80", "/a.css?v=1"),
            hasher.url("https", "shop.example", "/a.css?v=2"),
            hasher.url("https", "shop.example", "/A.css?v=1"),
            hasher.url("https", "shop.example/", "a.css?v=1"),
            UrlHasher::new((1, 3)).url("https", "shop.example", "/a.css?v=1"),
        ] {
            assert_ne!(other, here);
        }
        assert_eq!(UrlHash::from_bytes(here.to_bytes()), here);
    }

    #[test]
    fn long_authorities_are_hashed_to_their_end() {
        let hasher = UrlHasher::new((1, 2));
        let long = "a".repeat(200);
        assert_eq!(
            hasher.url("http", &long.to_uppercase(), "/"),
            hasher.url("http", &long, "/")
        );
        assert_ne!(
            hasher.url("http", &format!("{long}b"), "/"),
            hasher.url("http", &format!("{long}c"), "/")
        );
    }

    #[test]
    fn what_a_trusted_peer_says_of_the_url_counts() {
        let hasher = UrlHasher::new((1, 2));
        let url = hasher.url("http", "shop.example", "/");
        let told = |list: &[(&'static str, &'static str)]| {
            let field = |(name, value): &(&'static str, &'static str)| {
                (
                    http::HeaderName::from_static(name),
                    http::HeaderValue::from_static(value),
                )
            };
            hasher.as_told(url, &list.iter().map(field).collect())
        };
        assert_eq!(
            told(&[
                ("accept", "*/*"),
                ("x-forwarded-for", "192.0.2.1"),
                ("x-real-ip", "192.0.2.1")
            ]),
            Some(url)
        );
        assert_eq!(told(&[("forwarded", "for=192.0.2.1")]), Some(url));
        let https = told(&[("x-forwarded-proto", "https")]);
        assert_ne!(https, Some(url));
        assert_eq!(
            told(&[("x-forwarded-proto", "https"), ("x-forwarded-for", "192.0.2.7")]),
            https
        );
        assert_ne!(told(&[("x-forwarded-host", "https")]), https);
        assert_ne!(
            told(&[("x-forwarded-prefix", "/a")]),
            told(&[("x-forwarded-prefix", "/b")])
        );
        for unclear in ["for=192.0.2.1;Proto=https", "host=evil.example"] {
            assert_eq!(told(&[("forwarded", unclear)]), None, "{unclear}");
        }
    }

    #[test]
    fn the_text_is_what_the_hash_is_of() {
        assert_eq!(
            url_text("https", "Shop.Example:443", "/A?b"),
            "https://shop.example/A?b"
        );
        assert_eq!(url_text("http", "[::1]:8080", "/"), "http://[::1]:8080/");
    }
}

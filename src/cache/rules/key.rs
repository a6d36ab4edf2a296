//! Finds stored responses: by the hash of a URL, and of the request fields that the response varies by.

use std::hash::{BuildHasherDefault, Hash, Hasher};

use http::HeaderMap;

pub use crate::url_hash::{UrlHash, UrlHasher, url_text};
use crate::{forwarded, url_hash::Parts};

/// The key of one stored response: without `variance` the first one of its URL, else a variant (RFC 9111 section 4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cache) struct EntryKey {
    pub(in crate::cache) url: UrlHash,
    pub(in crate::cache) variance: Option<Variance>,
}

/// A hash of the request fields that a response varies by, in Pingora's form.
pub(in crate::cache) type Variance = [u8; 16];

impl UrlHasher {
    /// Hashes a URL together with the fields in which a trusted peer describes it, such as `X-Forwarded-Proto`; `None`
    /// if a field describes URL and client at once, so that the two cannot be told apart.
    #[must_use]
    pub fn as_told(&self, url: UrlHash, fields: &HeaderMap) -> Option<UrlHash> {
        let mut told: Option<Parts> = None;
        let is_clear = forwarded::told_of_url(fields, &mut |name, value| {
            let told = told.get_or_insert_with(|| {
                let mut parts = self.parts();
                parts.add(&url.to_bytes());
                parts
            });
            told.add(name.as_str().as_bytes());
            told.add(value.as_bytes());
        });
        is_clear.then(|| told.map_or(url, Parts::finish))
    }
}

impl Hash for EntryKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let variance = self.variance.map_or(0, |variance| UrlHash::from_bytes(variance).fold());
        state.write_u64(self.url.fold() ^ variance);
    }
}

/// Builds hashers for keys that are keyed hashes already: their words are used unchanged.
pub(in crate::cache) type TakeAsIs = BuildHasherDefault<AsIs>;

/// The hasher of [`TakeAsIs`].
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
    fn fields_in_which_a_trusted_peer_describes_the_url_change_its_hash() {
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
}

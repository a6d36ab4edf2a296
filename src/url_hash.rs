//! Hashes URLs under a secret: diaries, manifests and the cache store these hashes instead of URLs. Pure.
//!
//! Without the secret nobody can construct two URLs with the same hash. Two of ten thousand URLs collide by chance with
//! a probability below 10⁻³⁰, in the 64 bits that [`UrlHash::fold`] returns below 10⁻¹¹.

use std::hash::{BuildHasher as _, Hash, Hasher, RandomState};

use siphasher::sip128::{Hasher128 as _, SipHasher13};

/// The hash of a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UrlHash(u128);

/// A source of hashes under one secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UrlHasher {
    secret: (u64, u64),
}

/// An unfinished hash, to which parts are added in order.
#[derive(Debug)]
pub struct Parts(SipHasher13);

impl UrlHash {
    /// Returns the hash's bytes, big-endian, as Pingora's cache keys store them.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// Makes the hash that whose [`to_bytes`](Self::to_bytes) are these.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }

    /// Folds both halves into 64 bits, by exclusive or.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "both halves are taken")]
    pub const fn fold(self) -> u64 {
        (self.0 >> 64) as u64 ^ self.0 as u64
    }
}

impl Hash for UrlHash {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.fold());
    }
}

impl UrlHasher {
    /// Makes a hasher under this secret, which must be random and stay private.
    #[must_use]
    pub const fn new(secret: (u64, u64)) -> Self {
        Self { secret }
    }

    /// Makes a hasher under a new random secret.
    #[must_use]
    pub fn random() -> Self {
        Self::new(random_secret())
    }

    /// The secret.
    #[must_use]
    pub const fn secret(&self) -> (u64, u64) {
        self.secret
    }

    /// Hashes a URL given in its parts. Host case and the scheme's default port make no difference.
    #[must_use]
    pub fn url(&self, scheme: &str, authority: &str, path_and_query: &str) -> UrlHash {
        let mut parts = self.origin(scheme, authority);
        parts.add(path_and_query.as_bytes());
        parts.finish()
    }

    /// Begins a hash with scheme and authority.
    #[must_use]
    pub fn origin(&self, scheme: &str, authority: &str) -> Parts {
        let mut parts = self.parts();
        parts.add(scheme.as_bytes());
        parts.add_lowercase(without_default_port(scheme, authority).as_bytes());
        parts
    }

    /// Begins a hash.
    #[must_use]
    pub fn parts(&self) -> Parts {
        Parts(SipHasher13::new_with_keys(self.secret.0, self.secret.1))
    }
}

impl Parts {
    /// Adds a part and a separator, so that `ab`, `c` and `a`, `bc` give different hashes.
    pub fn add(&mut self, part: &[u8]) {
        self.0.write(part);
        self.0.write_u8(SEPARATOR);
    }

    fn add_lowercase(&mut self, text: &[u8]) {
        let mut lowercase = [0; 64];
        for part in text.chunks(lowercase.len()) {
            if let Some(lowercase) = lowercase.get_mut(..part.len()) {
                lowercase.copy_from_slice(part);
                lowercase.make_ascii_lowercase();
                self.0.write(lowercase);
            }
        }
        self.0.write_u8(SEPARATOR);
    }

    /// Returns the finished hash.
    #[must_use]
    pub fn finish(self) -> UrlHash {
        UrlHash(self.0.finish128().as_u128())
    }
}

/// Makes a secret from the system's random numbers, by way of the standard library's hash keys.
#[must_use]
pub fn random_secret() -> (u64, u64) {
    (RandomState::new().hash_one(0), RandomState::new().hash_one(1))
}

/// Returns the text of a URL in the form that is hashed: host in lower case, without the scheme's default port.
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

/// A byte that occurs in no part of a URL or field.
const SEPARATOR: u8 = 0xff;

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
            assert_ne!(other.fold(), here.fold());
        }
        assert_eq!(UrlHash::from_bytes(here.to_bytes()), here);
        assert_ne!(UrlHasher::random(), UrlHasher::random());
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
    fn the_text_of_a_url_has_a_lower_case_host_and_no_default_port() {
        assert_eq!(
            url_text("https", "Shop.Example:443", "/A?b"),
            "https://shop.example/A?b"
        );
        assert_eq!(url_text("http", "[::1]:8080", "/"), "http://[::1]:8080/");
    }
}

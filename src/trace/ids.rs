//! Makes ids that no client can guess: keyed hashes of a counter.

use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderValue;
use siphasher::sip128::SipHasher13;

use crate::url_hash::random_secret;

/// A source of ids.
#[derive(Debug)]
pub struct IdSource {
    secret: (u64, u64),
    made: AtomicU64,
}

impl Default for IdSource {
    fn default() -> Self {
        Self {
            secret: random_secret(),
            made: AtomicU64::new(0),
        }
    }
}

impl IdSource {
    /// Makes an id of 128 bits; never 0.
    pub fn make(&self) -> u128 {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let hasher = SipHasher13::new_with_keys(self.secret.0, self.secret.1);
        hasher.hash(&number.to_le_bytes()).as_u128().max(1)
    }

    /// Makes an id for the field of a request: 32 hexadecimal digits.
    pub fn request_id(&self) -> HeaderValue {
        let digits = hex(self.make().to_be_bytes());
        // Digits are a value.
        HeaderValue::from_bytes(&digits).unwrap_or(HeaderValue::from_static("-"))
    }
}

/// Returns the lower case hexadecimal digits of 16 bytes.
fn hex(bytes: [u8; 16]) -> [u8; 32] {
    let mut digits = [0; 32];
    for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes) {
        pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 0xf)]);
    }
    digits
}

const fn digit(nibble: u8) -> u8 {
    match nibble {
        0..10 => b'0' + nibble,
        _ => b'a' - 10 + nibble,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::trace::is_request_id;

    #[test]
    fn ids_differ_and_are_hexadecimal() {
        let source = IdSource::default();
        let ids: HashSet<HeaderValue> = (0..1000).map(|_| source.request_id()).collect();
        assert_eq!(ids.len(), 1000);
        for id in ids {
            assert!(is_request_id(&id), "{id:?}");
            assert!(id.as_bytes().iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')));
            assert_eq!(id.len(), 32);
        }
        assert_ne!(IdSource::default().make(), IdSource::default().make());
    }

    #[test]
    fn digits_are_those_of_the_standard_library() {
        let number = 0x0123_4567_89ab_cdef_fedc_ba98_7654_3210_u128;
        assert_eq!(
            hex(number.to_be_bytes()).as_slice(),
            format!("{number:032x}").as_bytes()
        );
    }
}

//! Copies values of fields out of the buffer that they were read into, and reads fields that may have only one line.
//!
//! The values of a parsed head are slices of the buffer that it was read into: 4 KiB, for a head of 200 to 500 bytes as
//! most responses have. One value that outlives the response, as in a stored response, keeps the whole buffer.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};

/// Most bytes of values that share one buffer. A value holds at most this much memory of others; separate allocations
/// for each would take more.
const TOGETHER: usize = 1024;

/// Copies the values into one buffer of exactly their size; each into its own if they exceed `TOGETHER` bytes.
pub fn compact(fields: &mut HeaderMap) {
    let length = fields.values().map(HeaderValue::len).sum();
    let mut rest = Bytes::new();
    if length <= TOGETHER {
        let mut buffer = BytesMut::with_capacity(length);
        for value in fields.values() {
            buffer.extend_from_slice(value.as_bytes());
        }
        rest = buffer.freeze();
    }
    for value in fields.values_mut() {
        let bytes = if length <= TOGETHER {
            rest.split_to(value.len())
        } else {
            Bytes::copy_from_slice(value.as_bytes())
        };
        // These bytes were a valid value before, so this never fails.
        if let Ok(mut copy) = HeaderValue::from_maybe_shared(bytes) {
            copy.set_sensitive(value.is_sensitive());
            *value = copy;
        }
    }
}

/// Returns the value of a field's only line, without white space round it; `None` for several lines, of which readers
/// would choose different ones.
pub(crate) fn only<'f>(fields: &'f HeaderMap, name: &HeaderName) -> Option<&'f [u8]> {
    let mut lines = fields.get_all(name).iter();
    let first = lines.next()?.as_bytes();
    lines.next().is_none().then(|| first.trim_ascii())
}

#[cfg(test)]
mod tests {
    use http::header;

    use super::*;

    #[test]
    fn a_value_does_not_hold_the_memory_of_a_long_one() {
        let mut fields = HeaderMap::new();
        fields.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(LONG));
        fields.insert(header::ETAG, HeaderValue::from_static("one"));
        let before = fields.clone();
        compact(&mut fields);
        assert_eq!(fields, before);
        let [long, etag] = [header::CONTENT_SECURITY_POLICY, header::ETAG]
            .map(|name| fields.get(name).map_or(0, |value| value.as_bytes().as_ptr().addr()));
        assert!(!(long..=long + LONG.len()).contains(&etag));
    }

    const LONG: &str = match str::from_utf8(&[b'a'; 2 * TOGETHER]) {
        Ok(long) => long,
        Err(_) => "",
    };

    #[test]
    fn compact_values_are_equal_and_release_their_buffer() {
        let buffer = Bytes::from([b"/a.css one two secret".as_slice(), &[b' '; 4000]].concat());
        let part = |range| HeaderValue::from_maybe_shared(buffer.slice(range)).expect("a value");
        let mut fields = HeaderMap::new();
        fields.insert(header::LOCATION, part(0..6));
        fields.append(header::VIA, part(7..10));
        fields.append(header::VIA, part(11..14));
        let mut secret = part(15..21);
        secret.set_sensitive(true);
        fields.insert(header::SET_COOKIE, secret);
        fields.insert(header::ETAG, HeaderValue::from_static(""));
        let before = fields.clone();
        compact(&mut fields);
        assert_eq!(fields, before);
        assert!(fields.get(header::SET_COOKIE).is_some_and(HeaderValue::is_sensitive));
        drop(before);
        assert!(buffer.is_unique());
    }
}

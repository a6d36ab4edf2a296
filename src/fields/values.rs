//! Values of fields: what one line may say alone, and values that hold no more memory than their own bytes.
//!
//! The values of a parsed header are parts of the buffer that it was read into, 4 KiB for the few hundred bytes of most
//! answers. Whoever keeps one value keeps all of it: a kept answer, and the table by which the h2 crate compresses
//! headers (RFC 7541 section 2.3.2), which would hold up to half a megabyte for a connection that way.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};

/// Bytes that are kept together: less than their own allocations would take.
const TOGETHER: usize = 1024;

/// Copies the values into one buffer that has just room for them; each into its own, where they are long.
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
        // What was a value is one.
        if let Ok(mut copy) = HeaderValue::from_maybe_shared(bytes) {
            copy.set_sensitive(value.is_sensitive());
            *value = copy;
        }
    }
}

/// The value of the only line of a field, without blanks round it: of several, nobody can tell which is meant.
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
    fn one_long_value_is_not_kept_for_the_sake_of_another() {
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
    fn values_are_the_same_and_let_go_of_what_they_were_part_of() {
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

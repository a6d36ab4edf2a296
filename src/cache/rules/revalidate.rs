//! Updates a stored response from a 304 (RFC 9111 sections 3.2, 4.3.3 and 4.3.4).
//!
//! A 304 means that the content has not changed; its fields replace the stored ones of the same names. Pingora takes
//! over only some of them (`docs/understand/pingora.md`), so linkpush updates them all.

use std::time::SystemTime;

use http::{HeaderMap, HeaderValue, header};
use pingora::http::ResponseHeader;

/// The fields of a 304 that a stored response takes over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    fields: HeaderMap,
}

/// A 304 that does not select the stored response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a 304 about another response than the stored one")]
pub struct OtherResponse;

/// Fields that describe the content or its transfer: a 304 has no content, so the stored values stay.
const OF_THE_CONTENT: [header::HeaderName; 4] = [
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::CONTENT_RANGE,
    header::TRANSFER_ENCODING,
];

impl Update {
    /// Reads a 304 with the fields `said`, the response to a validation of a response with the fields `stored`. The
    /// caller must have removed the fields of the origin's connection.
    ///
    /// # Errors
    ///
    /// The 304 has the validators of another response, so it must not change the stored one (RFC 9111 section 4.3.4).
    pub fn of(stored: &HeaderMap, mut said: HeaderMap) -> Result<Self, OtherResponse> {
        if !is_about(stored, &said) {
            return Err(OtherResponse);
        }
        for name in OF_THE_CONTENT {
            said.remove(name);
        }
        let keeps_etag = match (stored.get(header::ETAG), said.get(header::ETAG)) {
            // nginx, for one, sends a weak entity tag with content that it compresses, and the strong tag of the file
            // with a 304. The strong tag does not fit the compressed bytes that are stored.
            (Some(stored), Some(said)) => is_weak(stored) && !is_weak(said),
            _ => false,
        };
        if keeps_etag {
            said.remove(header::ETAG);
        }
        Ok(Self { fields: said })
    }

    /// Puts the fields into a header made from the stored one. `Date` and `Age` come from the 304 alone; without its
    /// own, `Date` is `now` and `Age` is removed.
    pub fn apply(&self, response: &mut ResponseHeader, now: SystemTime) {
        response.remove_header(&header::AGE);
        if !self.fields.contains_key(header::DATE) {
            // Cannot fail: a date is a valid value.
            let _ = response.insert_header(header::DATE, httpdate::fmt_http_date(now));
        }
        for name in self.fields.keys() {
            response.remove_header(name);
        }
        for (name, value) in &self.fields {
            // Cannot fail: name and value come from a header.
            let _ = response.append_header(name.clone(), value.clone());
        }
    }
}

/// Returns whether the validators of a 304 fit the stored response.
///
/// More lenient than RFC 9111 section 4.3.4 in two cases, in which the condition of linkpush's own request leaves no
/// doubt: the 304 has no validator, as with many origins, or a strong entity tag whose weak form is stored.
fn is_about(stored: &HeaderMap, said: &HeaderMap) -> bool {
    let same = |name: &header::HeaderName| Some((stored.get(name), said.get(name)?));
    if let Some((stored, said)) = same(&header::ETAG) {
        return stored.is_some_and(|stored| opaque(stored) == opaque(said));
    }
    match same(&header::LAST_MODIFIED) {
        Some((Some(stored), said)) => stored == said,
        _ => true,
    }
}

const WEAK: &[u8] = b"W/";

fn is_weak(etag: &HeaderValue) -> bool {
    etag.as_bytes().starts_with(WEAK)
}

/// Returns an entity tag without its mark of weakness.
fn opaque(etag: &HeaderValue) -> &[u8] {
    let etag = etag.as_bytes();
    etag.strip_prefix(WEAK).unwrap_or(etag)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Fields = &'static [(&'static str, &'static str)];

    fn fields(list: Fields) -> HeaderMap {
        let mut fields = HeaderMap::new();
        for (name, value) in list {
            fields.append(*name, HeaderValue::from_static(value));
        }
        fields
    }

    /// Returns the fields of the stored response after a 304, sorted.
    fn updated(stored: Fields, said: Fields) -> Result<Vec<(String, String)>, OtherResponse> {
        let update = Update::of(&fields(stored), fields(said))?;
        let mut response = ResponseHeader::build(200, None).expect("a header");
        for (name, value) in stored {
            response.append_header(*name, *value).expect("a field");
        }
        update.apply(&mut response, SystemTime::UNIX_EPOCH);
        let text = |value: &HeaderValue| value.to_str().expect("text").to_owned();
        let mut list: Vec<_> = response
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), text(value)))
            .collect();
        list.sort();
        Ok(list)
    }

    #[test]
    fn all_fields_of_a_304_replace_stored_ones_but_those_of_the_content() {
        const NOW: (&str, &str) = ("date", "Wed, 25 Nov 2026 07:00:00 GMT");
        let table: [(Fields, Fields, Fields); 6] = [
            (
                &[("link", "</old>"), ("x-a", "old"), ("x-b", "kept"), NOW],
                &[("link", "</new>"), ("x-a", "new"), ("x-c", "new"), NOW],
                &[NOW, ("link", "</new>"), ("x-a", "new"), ("x-b", "kept"), ("x-c", "new")],
            ),
            // All lines of a field replace all stored lines.
            (
                &[("link", "</1>"), ("link", "</2>"), ("via", "1"), NOW],
                &[("link", "</3>"), ("via", "2"), ("via", "3"), NOW],
                &[NOW, ("link", "</3>"), ("via", "2"), ("via", "3")],
            ),
            (
                &[("content-length", "9"), ("content-encoding", "gzip"), NOW],
                &[
                    ("content-length", "0"),
                    ("content-encoding", "br"),
                    ("content-range", "bytes 0-1/2"),
                    ("transfer-encoding", "chunked"),
                    ("content-type", "text/css"),
                    NOW,
                ],
                &[
                    ("content-encoding", "gzip"),
                    ("content-length", "9"),
                    ("content-type", "text/css"),
                    NOW,
                ],
            ),
            // The 304 came now: its Date and Age count, not the stored ones.
            (
                &[("age", "50"), ("date", "Wed, 25 Nov 2026 06:00:00 GMT")],
                &[],
                &[("date", "Thu, 01 Jan 1970 00:00:00 GMT")],
            ),
            (&[("age", "50"), NOW], &[("age", "5"), NOW], &[("age", "5"), NOW]),
            // The strong entity tag belongs to the content before its compression.
            (
                &[NOW, ("etag", "W/\"a\"")],
                &[NOW, ("etag", "\"a\"")],
                &[NOW, ("etag", "W/\"a\"")],
            ),
        ];
        for (stored, said, expected) in table {
            let expected: Vec<_> = expected
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect();
            assert_eq!(updated(stored, said), Ok(expected), "{stored:?} {said:?}");
        }
    }

    #[test]
    fn a_304_updates_only_a_response_with_its_validators() {
        const MODIFIED: &str = "last-modified";
        const ONE: &str = "Wed, 25 Nov 2026 07:00:00 GMT";
        const TWO: &str = "Wed, 25 Nov 2026 08:00:00 GMT";
        let table: [(Fields, Fields, bool); 14] = [
            (&[("etag", "\"a\"")], &[("etag", "\"a\"")], true),
            (&[("etag", "\"a\"")], &[("etag", "\"b\"")], false),
            (&[("etag", "\"a\"")], &[("etag", "W/\"a\"")], true),
            (&[("etag", "W/\"a\"")], &[("etag", "\"a\"")], true),
            (&[("etag", "W/\"a\"")], &[("etag", "W/\"a\"")], true),
            (&[("etag", "W/\"a\"")], &[("etag", "W/\"b\"")], false),
            (&[("etag", "\"a\"")], &[], true),
            // With an entity tag, Last-Modified does not count.
            (
                &[("etag", "\"a\""), (MODIFIED, ONE)],
                &[("etag", "\"a\""), (MODIFIED, TWO)],
                true,
            ),
            (
                &[("etag", "\"a\""), (MODIFIED, ONE)],
                &[("etag", "\"b\""), (MODIFIED, ONE)],
                false,
            ),
            (&[("etag", "\"a\""), (MODIFIED, ONE)], &[(MODIFIED, ONE)], true),
            (&[("etag", "\"a\""), (MODIFIED, ONE)], &[(MODIFIED, TWO)], false),
            (&[(MODIFIED, ONE)], &[(MODIFIED, TWO)], false),
            (&[(MODIFIED, ONE)], &[("etag", "\"a\"")], false),
            (&[], &[], true),
        ];
        for (stored, said, is_about) in table {
            assert_eq!(updated(stored, said).is_ok(), is_about, "{stored:?} {said:?}");
        }
    }
}

//! What a 304 says of the answer that is kept (RFC 9111 sections 3.2, 4.3.3 and 4.3.4).
//!
//! It says that the content has not changed, and what the fields are now: all that it has replace the kept ones of the same
//! names. Pingora takes over a few of them (`docs/understand/pingora.md`), so all is done here.

use std::time::SystemTime;

use http::{HeaderMap, HeaderValue, header};
use pingora::http::ResponseHeader;

/// The fields of a 304 that a kept answer has from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    fields: HeaderMap,
}

/// A 304 that says nothing of the answer that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a 304 about another answer than the one that is kept")]
pub struct OtherResponse;

/// Fields that describe how the content is kept or sent, which a 304 has not.
const OF_THE_CONTENT: [header::HeaderName; 4] = [
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::CONTENT_RANGE,
    header::TRANSFER_ENCODING,
];

impl Update {
    /// Reads a 304 that came for a kept answer with these fields. Fields of the origin's connection must have been removed.
    ///
    /// # Errors
    ///
    /// Its validators are those of another answer: it must change nothing of what is kept (RFC 9111 section 4.3.4).
    pub fn of(stored: &HeaderMap, mut said: HeaderMap) -> Result<Self, OtherResponse> {
        if !is_about(stored, &said) {
            return Err(OtherResponse);
        }
        for name in OF_THE_CONTENT {
            said.remove(name);
        }
        let keeps_etag = match (stored.get(header::ETAG), said.get(header::ETAG)) {
            // nginx, for one, sends a weak one with what it compresses and the strong one of the file with a 304. That one is
            // for other bytes than those that are kept.
            (Some(stored), Some(said)) => is_weak(stored) && !is_weak(said),
            _ => false,
        };
        if keeps_etag {
            said.remove(header::ETAG);
        }
        Ok(Self { fields: said })
    }

    /// Puts the fields into a header made from the kept one. `Date` and `Age` are told by the 304 alone, which came now.
    pub fn apply(&self, response: &mut ResponseHeader, now: SystemTime) {
        response.remove_header(&header::AGE);
        if !self.fields.contains_key(header::DATE) {
            // A date is a value.
            let _ = response.insert_header(header::DATE, httpdate::fmt_http_date(now));
        }
        for name in self.fields.keys() {
            response.remove_header(name);
        }
        for (name, value) in &self.fields {
            // What was a field is one.
            let _ = response.append_header(name.clone(), value.clone());
        }
    }
}

/// Whether the validators of a 304 are those of the kept answer.
///
/// More lenient than RFC 9111 section 4.3.4 in two cases, in which the condition of our own request leaves no doubt: no
/// validator at all, which many origins leave out, and a strong one whose weak form is kept.
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

/// What two entity tags have in common, be they weak or strong.
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

    /// What is kept after a 304, sorted.
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
    fn all_fields_follow_but_those_of_the_content() {
        const NOW: (&str, &str) = ("date", "Wed, 25 Nov 2026 07:00:00 GMT");
        let table: [(Fields, Fields, Fields); 6] = [
            (
                &[("link", "</old>"), ("x-a", "old"), ("x-b", "kept"), NOW],
                &[("link", "</new>"), ("x-a", "new"), ("x-c", "new"), NOW],
                &[NOW, ("link", "</new>"), ("x-a", "new"), ("x-b", "kept"), ("x-c", "new")],
            ),
            // Lines replace lines, however many there are.
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
            // It came now, from the origin itself or from another cache.
            (
                &[("age", "50"), ("date", "Wed, 25 Nov 2026 06:00:00 GMT")],
                &[],
                &[("date", "Thu, 01 Jan 1970 00:00:00 GMT")],
            ),
            (&[("age", "50"), NOW], &[("age", "5"), NOW], &[("age", "5"), NOW]),
            // A strong entity tag is for the bytes before they were compressed.
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
    fn validators_tell_which_answer_is_meant() {
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
            // The tag counts, whatever the date says.
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

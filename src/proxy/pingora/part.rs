//! Gives a client its part of a response in which the cache has a part: 304, 206, 416 or all of it (RFC 9110 section
//! 14).
//!
//! Pingora asks for this where it has taken conditions and ranges out of the request to the origin, or has not asked
//! the origin at all. Its own choice differs from RFC 9110: `docs/understand/pingora.md` says in what.

use http::{HeaderValue, StatusCode, header};
use pingora::{
    Result,
    http::{RequestHeader, ResponseHeader},
};
use pingora_proxy::{MultiRangeInfo, RangeType};

use crate::cache::{Part, TARGETED, announced_length, is_unchanged, part};

/// Returns whether the client's copy is what it would get.
pub(in crate::proxy) fn is_known(request: &RequestHeader, response: &ResponseHeader) -> bool {
    is_unchanged(&request.method, &request.headers, response.status, &response.headers)
}

/// Chooses the part that the client is given, which the response's head tells from here on.
pub(in crate::proxy) fn choose(request: &RequestHeader, response: &mut ResponseHeader) -> RangeType {
    let Some(length) = announced_length(&response.headers) else {
        return RangeType::None;
    };
    let part = part(
        &request.method,
        &request.headers,
        response.status,
        &response.headers,
        length,
    );
    let told = match &part {
        Part::Whole => return RangeType::None,
        Part::One(range) => {
            let content = format!("bytes {}-{}/{length}", range.start, range.end.saturating_sub(1));
            tell(response, StatusCode::PARTIAL_CONTENT, range.len(), Some(content))
        }
        Part::Nothing => {
            let of_content = [header::CONTENT_TYPE, header::CONTENT_ENCODING, header::CONTENT_LANGUAGE];
            // It is no response for the next client that asks for this URL.
            for name in of_content.iter().chain(&TARGETED) {
                response.remove_header(name);
            }
            response
                .insert_header(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))
                .and_then(|()| {
                    let content = format!("bytes */{length}");
                    tell(response, StatusCode::RANGE_NOT_SATISFIABLE, 0, Some(content))
                })
        }
        Part::Several(ranges) => {
            let mut parts = MultiRangeInfo::new(ranges.clone());
            parts.set_total_length(length);
            let kind = response.headers.get(header::CONTENT_TYPE);
            if let Some(kind) = kind.and_then(|kind| kind.to_str().ok()) {
                parts.set_content_type(kind.to_owned());
            }
            let kind = format!("multipart/byteranges; boundary={}", parts.boundary);
            let told = response.insert_header(header::CONTENT_TYPE, kind).and_then(|()| {
                tell(
                    response,
                    StatusCode::PARTIAL_CONTENT,
                    parts.calculate_multipart_length(),
                    None,
                )
            });
            return told.map_or(RangeType::None, |()| RangeType::Multi(parts));
        }
    };
    match (told, part) {
        (Ok(()), Part::One(range)) => RangeType::Single(range),
        (Ok(()), Part::Nothing) => RangeType::Invalid,
        _ => RangeType::None,
    }
}

fn tell(response: &mut ResponseHeader, status: StatusCode, length: usize, range: Option<String>) -> Result<()> {
    response.set_status(status)?;
    response.insert_header(header::CONTENT_LENGTH, length)?;
    match range {
        Some(range) => response.insert_header(header::CONTENT_RANGE, range)?,
        None => drop(response.remove_header(&header::CONTENT_RANGE)),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_tells_which_part_it_is() {
        let chosen = |range: &str| {
            let mut request = RequestHeader::build("GET", b"/", None).expect("a request");
            request.insert_header("range", range).expect("a field");
            let mut response = ResponseHeader::build(200, None).expect("a header");
            for (name, value) in [
                ("content-length", "10"),
                ("content-type", "text/css"),
                ("cache-control", "max-age=60"),
            ] {
                response.insert_header(name, value).expect("a field");
            }
            let kind = choose(&request, &mut response);
            let field = |name: &str| response.headers.get(name)?.to_str().ok().map(str::to_owned);
            let fields = ["content-length", "content-range", "content-type", "cache-control"].map(field);
            (kind, response.status.as_u16(), fields)
        };
        let fields = |fields: [Option<&str>; 4]| fields.map(|field| field.map(str::to_owned));
        let (css, fresh) = (Some("text/css"), Some("max-age=60"));
        assert_eq!(
            chosen("bytes=2-4"),
            (
                RangeType::Single(2..5),
                206,
                fields([Some("3"), Some("bytes 2-4/10"), css, fresh])
            )
        );
        assert_eq!(
            chosen("bytes=5-2"),
            (RangeType::None, 200, fields([Some("10"), None, css, fresh]))
        );
        assert_eq!(
            chosen("bytes=-0"),
            (
                RangeType::Invalid,
                416,
                fields([Some("0"), Some("bytes */10"), None, Some("no-store")])
            )
        );
        let (kind, status, [length, range, kind_of_content, _]) = chosen("bytes=0-0,-1");
        let RangeType::Multi(parts) = kind else {
            unreachable!("{kind:?}")
        };
        assert_eq!((parts.ranges.clone(), status, range), (vec![0..1, 9..10], 206, None));
        assert_eq!(length, Some(parts.calculate_multipart_length().to_string()));
        assert_eq!(
            kind_of_content,
            Some(format!("multipart/byteranges; boundary={}", parts.boundary))
        );
    }
}

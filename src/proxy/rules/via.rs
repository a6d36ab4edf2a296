//! Names this process in `Via` (RFC 9110 section 7.6.3), and finds requests that come back to it again and again.
//!
//! Each process has a name of its own, so that several in a chain are no loop.

use std::{
    hash::{BuildHasher as _, Hasher as _, RandomState},
    sync::LazyLock,
};

use http::{HeaderMap, HeaderValue, Version, header};

/// Most times that a request may have passed this process before. One is meant where a route leads through another hop
/// back to a listener of this process; a loop is ended by the next one.
const MAX_PASSES: usize = 1;

/// The elements of this process, for requests in HTTP/1.0, HTTP/1.1 and HTTP/2.
struct Names {
    received_by: String,
    elements: [HeaderValue; 3],
}

static NAMES: LazyLock<Names> = LazyLock::new(|| {
    // Any number that other processes do not have.
    let id = RandomState::new().build_hasher().finish() & u64::from(u32::MAX);
    let received_by = format!("linkpush-{id:08x}");
    let element = |version| {
        let text = format!("{version} {received_by}");
        HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("1.1 linkpush"))
    };
    Names {
        elements: ["1.0", "1.1", "2.0"].map(element),
        received_by,
    }
});

/// Returns our element of Via, by the protocol that the request came in.
pub(super) fn element(version: Version) -> HeaderValue {
    let [http10, http11, http2] = &NAMES.elements;
    match version {
        Version::HTTP_2 => http2,
        Version::HTTP_10 => http10,
        _ => http11,
    }
    .clone()
}

/// Returns whether a request has passed this process more often than any request should.
pub(super) fn is_loop(fields: &HeaderMap) -> bool {
    passes(fields) > MAX_PASSES
}

/// Counts the elements of this process in Via.
fn passes(fields: &HeaderMap) -> usize {
    let elements = fields
        .get_all(header::VIA)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    let is_ours = |element: &&[u8]| {
        let mut words = element
            .split(|byte| byte.is_ascii_whitespace())
            .filter(|word| !word.is_empty());
        words.nth(1) == Some(NAMES.received_by.as_bytes())
    };
    elements.filter(is_ours).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_elements_of_this_process_count() {
        let ours = [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2].map(element);
        let text = |value: &HeaderValue| value.to_str().expect("ASCII").to_owned();
        let [one, two, three] = ours.each_ref().map(text);
        assert!(
            one.starts_with("1.0 linkpush-") && three.starts_with("2.0 linkpush-"),
            "{one} {three}"
        );
        for (lines, expected) in [
            (vec![], 0),
            (
                vec![
                    "1.1 linkpush".to_owned(),
                    "1.1 linkpush-00000000x, 1.1 varnish".to_owned(),
                ],
                0,
            ),
            (vec![one.clone()], 1),
            (
                vec![format!("1.1 varnish,{two} (comment) ,1.0 fred"), format!(" {three}")],
                2,
            ),
            (vec![format!("HTTP/{one}, {one}x")], 1),
        ] {
            let mut fields = HeaderMap::new();
            for line in &lines {
                fields.append(header::VIA, HeaderValue::from_str(line).expect("a value"));
            }
            assert_eq!(passes(&fields), expected, "{lines:?}");
            assert_eq!(is_loop(&fields), expected > 1, "{lines:?}");
        }
    }
}

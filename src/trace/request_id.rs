//! Decides which `X-Request-ID` of a peer is taken.

use http::{HeaderName, HeaderValue};

/// The field that names a request.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Whether requests have an id.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RequestIdPolicy {
    /// The field is passed on as the client sent it.
    #[default]
    Off,
    /// A trusted peer's id is taken, for others one is made; the origin gets it.
    On,
    /// As `On`, and the response has the id, too.
    Respond,
}

/// Most bytes of an id that is taken from a peer.
const MAX_LENGTH: usize = 128;

/// Returns whether a trusted peer's value is an id: one word of graphic ASCII characters, at most 128.
#[must_use]
pub fn is_request_id(value: &HeaderValue) -> bool {
    let bytes = value.as_bytes();
    (1..=MAX_LENGTH).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_one_short_word() {
        let long = "x".repeat(MAX_LENGTH);
        for (value, expected) in [
            ("", false),
            ("a", true),
            ("7f0c-\"x\"/=", true),
            ("a b", false),
            ("a\t", false),
            (&*long, true),
            (&*format!("{long}x"), false),
        ] {
            let value = HeaderValue::from_str(value).expect("a value");
            assert_eq!(is_request_id(&value), expected, "{value:?}");
        }
        assert!(!is_request_id(&HeaderValue::from_bytes(b"\xff").expect("a value")));
    }
}

//! Reads dates of fields, as a cache must (RFC 9110 section 5.6.7, RFC 9111 section 4.2).
//!
//! All three formats are read, with the names of days, months and the zone in any case. A date in another zone than
//! GMT, or with the wrong day of the week, is invalid: it could mean more than one moment.

use std::time::SystemTime;

/// Reads the date in a field's value; `None` if it is invalid.
pub(in crate::cache) fn read(value: &[u8]) -> Option<SystemTime> {
    let value = value.trim_ascii();
    if value.len() > LONGEST || !value.is_ascii() {
        return None;
    }
    let mut text = String::with_capacity(value.len());
    for word in value.split_inclusive(|byte| !byte.is_ascii_alphabetic()) {
        // The last byte of `word` is the delimiter behind it, which has no case.
        let is_zone = word.eq_ignore_ascii_case(b"GMT");
        let capitals = if is_zone { word.len() } else { 1 };
        text.extend(word.iter().enumerate().map(|(at, byte)| {
            char::from(if at < capitals {
                byte.to_ascii_uppercase()
            } else {
                byte.to_ascii_lowercase()
            })
        }));
    }
    httpdate::parse_http_date(&text).ok()
}

/// `Wednesday, 25-Nov-26 07:00:00 GMT` has 33 bytes.
const LONGEST: usize = 40;

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn dates_of_all_formats_are_read_in_any_case() {
        let moment = UNIX_EPOCH + Duration::from_secs(1_795_590_000);
        for text in [
            "Wed, 25 Nov 2026 07:00:00 GMT",
            "wed, 25 nov 2026 07:00:00 gmt",
            "WED, 25 NOV 2026 07:00:00 Gmt",
            " Wed, 25 Nov 2026 07:00:00 GMT\t",
            "Wednesday, 25-Nov-26 07:00:00 GMT",
            "WEDNESDAY, 25-nov-26 07:00:00 gMT",
            "Wed Nov 25 07:00:00 2026",
            "wed nov 25 07:00:00 2026",
        ] {
            assert_eq!(read(text.as_bytes()), Some(moment), "{text}");
        }
        let sixth = UNIX_EPOCH + Duration::from_secs(784_111_777);
        for text in ["Sun, 06 Nov 1994 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            assert_eq!(read(text.as_bytes()), Some(sixth), "{text}");
        }
    }

    #[test]
    fn invalid_dates_are_not_read() {
        for text in [
            "",
            "0",
            "-1",
            "1795590000",
            "yesterday",
            "Wed, 25 Nov 2026 07:00:00",
            "Wed, 25 Nov 2026 07:00:00 UTC",
            "Wed, 25 Nov 2026 07:00:00 CET",
            "Wed, 25 Nov 2026 07:00:00 +0000",
            "Thu, 25 Nov 2026 07:00:00 GMT",
            "Wed, 25 Nov 2026 24:00:00 GMT",
            "Wed, 31 Nov 2026 07:00:00 GMT",
            "Wed, 25 Nov 26 07:00:00 GMT",
            "Wed,25 Nov 2026 07:00:00 GMT",
            "Wed, 25 Nov 2026 07:00:00 GMT, Wed, 25 Nov 2026 07:00:00 GMT",
            "W\u{e9}d, 25 Nov 2026 07:00:00 GMT",
        ] {
            assert_eq!(read(text.as_bytes()), None, "{text}");
        }
    }
}

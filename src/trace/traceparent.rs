//! Reads and writes `traceparent` (W3C Trace Context, section 3.2).

use http::{HeaderMap, HeaderName, HeaderValue};

/// The field that names the trace of a request, and the caller's span.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The field beside it, which means nothing without it.
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// A place in a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    /// The trace; not 0.
    pub trace: u128,
    /// The span of the caller; not 0.
    pub span: u64,
    /// Whether the caller records the trace.
    pub is_sampled: bool,
}

/// Bytes of the fields of version 00: `00-<32 digits>-<16 digits>-<2 digits>`.
const LENGTH: usize = 55;

impl TraceParent {
    /// Returns the place that a request names, if it has exactly one well-formed line.
    #[must_use]
    pub fn of(fields: &HeaderMap) -> Option<Self> {
        let mut lines = fields.get_all(TRACEPARENT).iter();
        match (lines.next(), lines.next()) {
            (Some(line), None) => Self::parse(line.as_bytes()),
            _ => None,
        }
    }

    /// Parses a value. A later version than 00 may have more behind the fields of version 00.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let (fields, rest) = value.split_at_checked(LENGTH)?;
        let [version, trace, span, flags] = {
            let mut parts = fields.split(|byte| *byte == b'-');
            [parts.next()?, parts.next()?, parts.next()?, parts.next()?]
        };
        if [version.len(), trace.len(), span.len(), flags.len()] != [2, 32, 16, 2] {
            return None;
        }
        let (version, flags) = (number(version)?, number(flags)?);
        let is_known = version == 0 && rest.is_empty();
        let is_later = (1..0xff).contains(&version) && matches!(rest.first(), None | Some(b'-'));
        let parsed = Self {
            trace: number(trace)?,
            span: u64::try_from(number(span)?).ok()?,
            is_sampled: flags & 1 == 1,
        };
        ((is_known || is_later) && parsed.trace != 0 && parsed.span != 0).then_some(parsed)
    }

    /// Returns the value of the field, in version 00.
    #[must_use]
    pub fn value(&self) -> HeaderValue {
        let (trace, span, flags) = (self.trace, self.span, u8::from(self.is_sampled));
        // Digits and hyphens are a value.
        HeaderValue::try_from(format!("00-{trace:032x}-{span:016x}-{flags:02x}"))
            .unwrap_or(HeaderValue::from_static("-"))
    }
}

/// Returns the number of lower case hexadecimal digits, at most 32.
fn number(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EXAMPLE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn the_example_of_the_specification_is_read_and_written() {
        let parsed = TraceParent::parse(EXAMPLE.as_bytes()).expect("well-formed");
        assert_eq!(parsed.trace, 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c);
        assert_eq!(parsed.span, 0xb7ad_6b71_6920_3331);
        assert!(parsed.is_sampled);
        assert_eq!(parsed.value(), EXAMPLE);
    }

    #[test]
    fn malformed_values_are_none() {
        for (value, is_good) in [
            ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", true),
            ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-ff", true),
            ("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", true),
            ("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-later", true),
            ("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01.later", false),
            ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-later", false),
            ("ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false),
            ("00-00000000000000000000000000000000-b7ad6b7169203331-01", false),
            ("00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", false),
            ("00-0AF7651916CD43DD8448EB211C80319C-B7AD6B7169203331-01", false),
            ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0", false),
            ("00-0af7651916cd43dd8448eb211c80319-cb7ad6b7169203331-01", false),
            ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331+01", false),
            ("00_0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331_01", false),
            ("", false),
            (" ", false),
        ] {
            assert_eq!(TraceParent::parse(value.as_bytes()).is_some(), is_good, "{value}");
        }
    }

    #[test]
    fn two_lines_are_none() {
        let mut fields = HeaderMap::new();
        assert_eq!(TraceParent::of(&fields), None);
        fields.append(TRACEPARENT, HeaderValue::from_static(EXAMPLE));
        assert!(TraceParent::of(&fields).is_some());
        fields.append(TRACEPARENT, HeaderValue::from_static(EXAMPLE));
        assert_eq!(TraceParent::of(&fields), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(value: Vec<u8>) {
            let _ = TraceParent::parse(&value);
        }

        #[test]
        fn written_places_are_read_again(trace in 1_u128.., span in 1_u64.., is_sampled: bool) {
            let place = TraceParent { trace, span, is_sampled };
            prop_assert_eq!(TraceParent::parse(place.value().as_bytes()), Some(place));
        }
    }
}

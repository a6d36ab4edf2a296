//! Parses Content-Length (RFC 9110 section 8.6), for every version of HTTP. Pure.

/// The greatest length: other servers use signed 64-bit integers, in which a greater length would be negative.
pub const MAX_LENGTH: u64 = i64::MAX as u64;

/// Parses the value of a Content-Length field: digits, or a list of equal lengths; `None` for anything else.
#[must_use]
pub fn read(value: &[u8]) -> Option<u64> {
    let mut lengths = value.split(|&byte| byte == b',').map(|element| {
        let element = element.trim_ascii();
        let is_number = !element.is_empty() && element.iter().all(u8::is_ascii_digit);
        let text = std::str::from_utf8(element).ok().filter(|_| is_number)?;
        text.parse().ok().filter(|length| *length <= MAX_LENGTH)
    });
    let first = lengths.next()?;
    first.filter(|_| lengths.all(|length| length == first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_digits_or_a_list_of_equal_lengths() {
        let table: [(&[u8], Option<u64>); 22] = [
            (b"0", Some(0)),
            (b"5", Some(5)),
            (b" 5\t", Some(5)),
            (b"005", Some(5)),
            (b"5,5", Some(5)),
            (b"5, 05 ,5", Some(5)),
            (b"9223372036854775807", Some(MAX_LENGTH)),
            (b"9223372036854775808", None),
            (b"18446744073709551621", None),
            (b"5,6", None),
            (b"5,", None),
            (b",5", None),
            (b"", None),
            (b" ", None),
            (b"+5", None),
            (b"-5", None),
            (b"0x5", None),
            (b"5 5", None),
            (b"5.0", None),
            (b"5_0", None),
            (b"\xef\xbc\x95", None),
            (b"\xff", None),
        ];
        for (value, expected) in table {
            assert_eq!(read(value), expected, "{}", value.escape_ascii());
        }
    }
}

//! Where the content of a request ends, as Content-Length says it (RFC 9110 section 8.6), in every version of HTTP. Pure.

/// The greatest length: other servers hold it in 63 bits, and what is greater turns negative there.
pub const MAX_LENGTH: u64 = i64::MAX as u64;

/// Reads the value of a Content-Length field. A list of the same length says it once; anything else but digits says none.
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
    fn a_length_is_digits_however_often() {
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

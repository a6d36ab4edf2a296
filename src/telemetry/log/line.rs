//! Writes one line of the log into a buffer of the thread, as text or as JSON, without an allocation.
//!
//! A value of a client stays one word of the text, whatever its bytes are, and makes valid JSON; it is cut at a limit
//! of bytes. Names of words and targets are ours, and need no escape.

use std::{
    cell::Cell,
    fmt::{self, Write as _},
    io::Write as _,
    net::{IpAddr, SocketAddr},
    time::{Duration, SystemTime},
};

use log::Level;

use super::{
    digits::{append_digits, append_number},
    policy::LogFormat,
    stamp::Stamp,
};

/// One line while it is written.
#[derive(Debug)]
pub(in crate::telemetry) struct LogLine<'b> {
    bytes: &'b mut Vec<u8>,
    format: LogFormat,
}

/// Buffers that a thread keeps from one line to the next.
#[derive(Debug, Default)]
struct Scratch {
    bytes: Vec<u8>,
    stamp: Stamp,
}

/// Bytes of a buffer above which it is not kept.
const MAX_KEPT: usize = 16 * 1024;

/// The end of a value that was cut.
const CUT: &[u8] = b"...";

thread_local! {
    static SCRATCH: Cell<Scratch> = Cell::default();
}

/// Begins a line with time, level and target, and passes it to `write`, which ends it and uses its bytes.
pub(in crate::telemetry) fn with_line<R>(
    format: LogFormat,
    level: Level,
    target: &str,
    write: impl FnOnce(&mut LogLine<'_>) -> R,
) -> R {
    // Taken, not borrowed: a value may log while it is displayed. At the end of a thread there is none to take.
    let Scratch { mut bytes, mut stamp } = SCRATCH.try_with(Cell::take).unwrap_or_default();
    bytes.clear();
    begin(&mut bytes, &mut stamp, format, level, target);
    let written = write(&mut LogLine {
        bytes: &mut bytes,
        format,
    });
    if bytes.capacity() > MAX_KEPT {
        bytes = Vec::new();
    }
    let _ = SCRATCH.try_with(|scratch| scratch.set(Scratch { bytes, stamp }));
    written
}

fn begin(bytes: &mut Vec<u8>, stamp: &mut Stamp, format: LogFormat, level: Level, target: &str) {
    let now = SystemTime::now();
    match format {
        LogFormat::Text => {
            bytes.push(b'[');
            stamp.append(bytes, now);
            bytes.push(b' ');
            bytes.extend_from_slice(level.as_str().as_bytes());
            if level.as_str().len() < 5 {
                bytes.push(b' ');
            }
            bytes.push(b' ');
            bytes.extend_from_slice(target.as_bytes());
            bytes.extend_from_slice(b"] ");
        }
        LogFormat::Json => {
            bytes.extend_from_slice(b"{\"timestamp\":\"");
            stamp.append(bytes, now);
            bytes.extend_from_slice(b"\",\"level\":\"");
            bytes.extend_from_slice(level.as_str().as_bytes());
            bytes.extend_from_slice(b"\",\"target\":\"");
            append_json(bytes, target.as_bytes());
            bytes.push(b'"');
        }
    }
}

impl LogLine<'_> {
    /// Returns the form of the line.
    pub(in crate::telemetry) const fn format(&self) -> LogFormat {
        self.format
    }

    /// Returns the bytes of the line.
    pub(in crate::telemetry) const fn bytes(&self) -> &[u8] {
        self.bytes.as_slice()
    }

    /// Ends the line.
    pub(in crate::telemetry) fn end(&mut self) {
        let end: &[u8] = match self.format {
            LogFormat::Text => b"\n",
            LogFormat::Json => b"}\n",
        };
        self.bytes.extend_from_slice(end);
    }

    /// Writes the message of a diagnostic line.
    pub(in crate::telemetry) fn message(&mut self, message: fmt::Arguments<'_>) {
        match self.format {
            // Writing to a vector fails only where a value cannot be displayed.
            LogFormat::Text => drop(self.bytes.write_fmt(message)),
            LogFormat::Json => {
                self.key("message");
                self.bytes.push(b'"');
                let _ = JsonText(self.bytes).write_fmt(message);
                self.bytes.push(b'"');
            }
        }
    }

    /// Writes the first words of a text, without names.
    pub(in crate::telemetry) fn bare(&mut self, word: &str) {
        self.bytes.extend_from_slice(word.as_bytes());
    }

    /// Writes a number without a name.
    pub(in crate::telemetry) fn bare_number(&mut self, number: u64) {
        append_number(self.bytes, number);
    }

    /// Writes a client's value without a name, percent-encoded.
    pub(in crate::telemetry) fn bare_value(&mut self, value: &[u8], limit: usize) {
        append_word(self.bytes, value, limit, self.format);
    }

    /// Begins a named word.
    pub(in crate::telemetry) fn key(&mut self, name: &str) {
        match self.format {
            LogFormat::Text => {
                self.bytes.push(b' ');
                self.bytes.extend_from_slice(name.as_bytes());
                self.bytes.push(b'=');
            }
            LogFormat::Json => {
                self.bytes.extend_from_slice(b",\"");
                self.bytes.extend_from_slice(name.as_bytes());
                self.bytes.extend_from_slice(b"\":");
            }
        }
    }

    /// Writes a word of ours, which needs no escape.
    pub(in crate::telemetry) fn word(&mut self, name: &str, word: &str) {
        self.key(name);
        self.quote();
        self.bytes.extend_from_slice(word.as_bytes());
        self.quote();
    }

    /// Writes a number.
    pub(in crate::telemetry) fn number(&mut self, name: &str, number: u64) {
        self.key(name);
        append_number(self.bytes, number);
    }

    /// Writes nothing as a value: `-`, or null.
    pub(in crate::telemetry) fn nothing(&mut self, name: &str) {
        self.key(name);
        self.bytes.extend_from_slice(match self.format {
            LogFormat::Text => b"-",
            LogFormat::Json => b"null",
        });
    }

    /// Writes a time in milliseconds with one decimal; in JSON the name has the unit.
    pub(in crate::telemetry) fn milliseconds(&mut self, name: &str, time: Duration) {
        let tenths = time.as_micros().saturating_add(50) / 100;
        let tenths = u64::try_from(tenths).unwrap_or(u64::MAX);
        match self.format {
            LogFormat::Text => self.key(name),
            LogFormat::Json => {
                self.bytes.extend_from_slice(b",\"");
                self.bytes.extend_from_slice(name.as_bytes());
                self.bytes.extend_from_slice(b"_ms\":");
            }
        }
        append_number(self.bytes, tenths / 10);
        self.bytes.push(b'.');
        append_digits::<1>(self.bytes, tenths % 10);
        if self.format == LogFormat::Text {
            self.bytes.extend_from_slice(b"ms");
        }
    }

    /// Writes an address.
    pub(in crate::telemetry) fn address(&mut self, name: &str, address: IpAddr) {
        self.key(name);
        self.quote();
        append_address(self.bytes, address);
        self.quote();
    }

    /// Writes an address with its port.
    pub(in crate::telemetry) fn socket(&mut self, name: &str, address: SocketAddr) {
        self.key(name);
        self.quote();
        match address {
            SocketAddr::V4(v4) => {
                append_address(self.bytes, IpAddr::V4(*v4.ip()));
                self.bytes.push(b':');
                append_number(self.bytes, u64::from(v4.port()));
            }
            // Writing to a vector never fails.
            SocketAddr::V6(v6) => drop(write!(self.bytes, "{v6}")),
        }
        self.quote();
    }

    /// Writes a client's value: in text percent-encoded, in JSON as it is.
    pub(in crate::telemetry) fn value(&mut self, name: &str, value: &[u8], limit: usize) {
        self.key(name);
        match self.format {
            LogFormat::Text if value.is_empty() => self.bytes.push(b'-'),
            LogFormat::Text => append_word(self.bytes, value, limit, self.format),
            LogFormat::Json => {
                let (kept, end) = cut(value, limit);
                self.bytes.push(b'"');
                append_json(self.bytes, kept);
                self.bytes.extend_from_slice(end);
                self.bytes.push(b'"');
            }
        }
    }

    /// Writes words in quotes.
    pub(in crate::telemetry) fn quoted(&mut self, name: &str, text: &str, limit: usize) {
        self.key(name);
        self.append_quoted(text, limit);
    }

    /// Writes a list of words in quotes.
    pub(in crate::telemetry) fn list<'t>(&mut self, name: &str, texts: impl Iterator<Item = &'t str>, limit: usize) {
        self.key(name);
        self.bytes.push(b'[');
        for (index, text) in texts.enumerate() {
            if index > 0 {
                self.bytes.push(b',');
            }
            self.append_quoted(text, limit);
        }
        self.bytes.push(b']');
    }

    fn append_quoted(&mut self, text: &str, limit: usize) {
        let (kept, end) = cut(text.as_bytes(), limit);
        self.bytes.push(b'"');
        append_json(self.bytes, kept);
        self.bytes.extend_from_slice(end);
        self.bytes.push(b'"');
    }

    /// Writes what surrounds a word in JSON.
    pub(in crate::telemetry) fn quote(&mut self) {
        if self.format == LogFormat::Json {
            self.bytes.push(b'"');
        }
    }
}

/// Writes displayed text into a JSON string.
struct JsonText<'b>(&'b mut Vec<u8>);

impl fmt::Write for JsonText<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        append_json(self.0, text.as_bytes());
        Ok(())
    }
}

/// Returns the bytes of a value within a limit, without half a character, and what stands for the rest.
fn cut(value: &[u8], limit: usize) -> (&[u8], &'static [u8]) {
    if value.len() <= limit {
        return (value, b"");
    }
    let mut end = limit;
    // A character has at most three bytes that continue it.
    for _ in 0..3 {
        if value.get(end).is_some_and(|byte| byte & 0xc0 == 0x80) {
            end = end.saturating_sub(1);
        }
    }
    (value.get(..end).unwrap_or_default(), CUT)
}

/// Appends a value with each byte percent-encoded that is no graphic ASCII character, so that a client cannot forge
/// other words of the line.
fn append_word(bytes: &mut Vec<u8>, value: &[u8], limit: usize, format: LogFormat) {
    let (mut rest, end) = cut(value, limit);
    let is_plain = |byte: u8| match format {
        LogFormat::Text => byte.is_ascii_graphic(),
        LogFormat::Json => byte.is_ascii_graphic() && byte != b'"' && byte != b'\\',
    };
    while let Some(at) = rest.iter().position(|byte| !is_plain(*byte)) {
        let (plain, after) = rest.split_at(at);
        bytes.extend_from_slice(plain);
        let Some((&byte, after)) = after.split_first() else {
            break;
        };
        if byte.is_ascii_graphic() {
            bytes.extend_from_slice(&[b'\\', byte]);
        } else {
            bytes.extend_from_slice(&[b'%', hex_digit(byte >> 4), hex_digit(byte & 0xf)]);
        }
        rest = after;
    }
    bytes.extend_from_slice(rest);
    bytes.extend_from_slice(end);
}

/// Appends text to a JSON string (RFC 8259 section 7). Bytes that are not UTF-8 become U+FFFD.
fn append_json(bytes: &mut Vec<u8>, text: &[u8]) {
    for chunk in text.utf8_chunks() {
        let mut rest = chunk.valid().as_bytes();
        while let Some(at) = rest.iter().position(|byte| needs_escape(*byte)) {
            let (plain, after) = rest.split_at(at);
            bytes.extend_from_slice(plain);
            let Some((&byte, after)) = after.split_first() else {
                break;
            };
            match byte {
                b'"' | b'\\' => bytes.extend_from_slice(&[b'\\', byte]),
                b'\n' => bytes.extend_from_slice(b"\\n"),
                other => {
                    bytes.extend_from_slice(b"\\u00");
                    bytes.extend_from_slice(&[hex_digit(other >> 4), hex_digit(other & 0xf)]);
                }
            }
            rest = after;
        }
        bytes.extend_from_slice(rest);
        if !chunk.invalid().is_empty() {
            bytes.extend_from_slice(b"\\ufffd");
        }
    }
}

/// Returns whether a byte of UTF-8 is escaped in a JSON string; DEL, too, which terminals may act on.
const fn needs_escape(byte: u8) -> bool {
    matches!(byte, 0..0x20 | b'"' | b'\\' | 0x7f)
}

const fn hex_digit(nibble: u8) -> u8 {
    match nibble {
        0..10 => b'0' + nibble,
        _ => b'A' - 10 + nibble,
    }
}

fn append_address(bytes: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            append_number(bytes, u64::from(a));
            for octet in [b, c, d] {
                bytes.push(b'.');
                append_number(bytes, u64::from(octet));
            }
        }
        // Writing to a vector never fails.
        IpAddr::V6(v6) => drop(write!(bytes, "{v6}")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(format: LogFormat, write: impl Fn(&mut LogLine<'_>)) -> String {
        let mut bytes = Vec::new();
        write(&mut LogLine {
            bytes: &mut bytes,
            format,
        });
        String::from_utf8(bytes).expect("UTF-8")
    }

    fn json(write: impl Fn(&mut LogLine<'_>)) -> serde_json::Value {
        let object = with_line(LogFormat::Json, Level::Info, "test", |line| {
            write(line);
            line.end();
            line.bytes().to_vec()
        });
        assert_eq!(object.iter().filter(|byte| **byte == b'\n').count(), 1);
        serde_json::from_slice(&object).expect("valid JSON")
    }

    #[test]
    fn text_of_a_client_is_one_word() {
        for (value, told) in [
            (&b""[..], " x=-"),
            (b"/a?b=%20\"c", " x=/a?b=%20\"c"),
            (b"a/ 200 route=admin", " x=a/%20200%20route=admin"),
            (b"/x\r\n\t\x7f", " x=/x%0D%0A%09%7F"),
            ("/é\u{85}".as_bytes(), " x=/%C3%A9%C2%85"),
            (b"\xff\\", " x=%FF\\"),
            (b"0123456789abcdefghijk", " x=0123456789abcdefghij..."),
            ("0123456789abcdefghé".as_bytes(), " x=0123456789abcdefgh%C3%A9"),
            ("0123456789abcdefghié".as_bytes(), " x=0123456789abcdefghi..."),
        ] {
            assert_eq!(written(LogFormat::Text, |line| line.value("x", value, 20)), told);
        }
    }

    #[test]
    fn words_in_quotes_end_at_their_quote() {
        for (text, told) in [
            ("a \"b\\", " x=\"a \\\"b\\\\\""),
            ("a\nb\u{1b}", " x=\"a\\nb\\u001B\""),
            ("ä", " x=\"ä\""),
        ] {
            assert_eq!(written(LogFormat::Text, |line| line.quoted("x", text, 100)), told);
        }
        let list = |line: &mut LogLine<'_>| line.list("x", ["a", "b\""].into_iter(), 100);
        assert_eq!(written(LogFormat::Text, list), " x=[\"a\",\"b\\\"\"]");
        assert_eq!(json(list).get("x"), Some(&serde_json::json!(["a", "b\""])));
    }

    #[test]
    fn numbers_and_times_have_all_their_digits() {
        for number in [0, 7, 10, 99, 1_000, 65_535, u64::MAX] {
            assert_eq!(
                written(LogFormat::Text, |line| line.number("n", number)),
                format!(" n={number}")
            );
            assert_eq!(json(|line| line.number("n", number)).get("n"), Some(&number.into()));
        }
        for (micros, text, number) in [
            (0, "0.0ms", 0.0),
            (12_345, "12.3ms", 12.3),
            (1_049_960, "1050.0ms", 1050.0),
        ] {
            let time = |line: &mut LogLine<'_>| line.milliseconds("time", Duration::from_micros(micros));
            assert_eq!(written(LogFormat::Text, time), format!(" time={text}"));
            assert_eq!(json(time).get("time_ms"), Some(&number.into()));
        }
    }

    #[test]
    fn addresses_are_as_the_standard_library_has_them() {
        for text in ["192.0.2.1:40000", "[2001:db8::1]:443", "[::ffff:192.0.2.1]:1"] {
            let address: SocketAddr = text.parse().expect("an address");
            let line = written(LogFormat::Text, |line| {
                line.socket("a", address);
                line.address("b", address.ip());
            });
            assert_eq!(line, format!(" a={address} b={}", address.ip()));
            assert_eq!(json(|line| line.socket("a", address)).get("a"), Some(&text.into()));
        }
    }

    #[test]
    fn a_message_is_escaped_in_json_alone() {
        let message = |line: &mut LogLine<'_>| line.message(format_args!("{}: \"{}\"\n", 1, "ü\u{7}"));
        assert_eq!(written(LogFormat::Text, message), "1: \"ü\u{7}\"\n");
        assert_eq!(json(message).get("message"), Some(&"1: \"ü\u{7}\"\n".into()));
    }

    #[test]
    fn a_line_within_a_line_has_a_buffer_of_its_own() {
        let outer = with_line(LogFormat::Text, Level::Warn, "outer", |outer| {
            let inner = with_line(LogFormat::Text, Level::Error, "inner", |inner| inner.bytes().to_vec());
            assert!(inner.ends_with(b" ERROR inner] "));
            outer.bytes().to_vec()
        });
        assert!(outer.ends_with(b" WARN  outer] "));
    }

    proptest! {
        #[test]
        fn any_bytes_make_valid_json(value: Vec<u8>, limit in 0..64_usize) {
            let object = json(|line| {
                line.value("value", &value, limit);
                line.key("url");
                line.bare("\"");
                line.bare_value(&value, limit);
                line.bare("\"");
            });
            let text_of = |key| object.get(key).and_then(|value| value.as_str()).expect("a string");
            let text = text_of("value");
            if value.len() <= limit {
                prop_assert_eq!(text, String::from_utf8_lossy(&value));
            }
            prop_assert!(text_of("url").bytes().all(|b| b.is_ascii_graphic()));
        }

        #[test]
        fn any_bytes_are_one_word_of_text(value: Vec<u8>) {
            let word = written(LogFormat::Text, |line| line.value("x", &value, 1000));
            prop_assert!(word.bytes().skip(1).all(|b| b.is_ascii_graphic()));
        }
    }
}

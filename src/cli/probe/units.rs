//! Writes times, sizes and text of servers for the terminal. Pure.

use std::time::Duration;

/// Formats a duration like nghttp2's `util::format_duration`: whole microseconds, or milliseconds or seconds with two
/// decimals.
pub(super) fn format_duration(duration: Duration) -> String {
    let micros = duration.as_micros();
    let (unit, divisor) = match micros {
        0..1_000 => return format!("{micros}us"),
        1_000..1_000_000 => ("ms", 1_000),
        _ => ("s", 1_000_000),
    };
    // Hundredths of the unit, rounded half up.
    let hundredths = (micros * 100 + divisor / 2) / divisor;
    format!("{}.{:02}{unit}", hundredths / 100, hundredths % 100)
}

/// Formats a size like nghttp2's `util::utos_unit`: whole powers of 1024 bytes, rounded down.
pub(super) fn format_size(bytes: u64) -> String {
    match bytes {
        0..0x400 => bytes.to_string(),
        0x400..0x10_0000 => format!("{}K", bytes >> 10),
        0x10_0000..0x4000_0000 => format!("{}M", bytes >> 20),
        _ => format!("{}G", bytes >> 30),
    }
}

/// Replaces control characters, by which a server's text could steer the terminal.
pub(super) fn printable(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_like_nghttp() {
        for (micros, text) in [
            (0, "0us"),
            (999, "999us"),
            (1_000, "1.00ms"),
            (1_005, "1.01ms"),
            (102_030, "102.03ms"),
            (999_999, "1000.00ms"),
            (1_000_000, "1.00s"),
            (61_500_000, "61.50s"),
        ] {
            assert_eq!(format_duration(Duration::from_micros(micros)), text);
        }
    }

    #[test]
    fn sizes_are_written_like_nghttp() {
        for (bytes, text) in [
            (0, "0"),
            (1_023, "1023"),
            (1_024, "1K"),
            (20_480, "20K"),
            (1 << 20, "1M"),
            (5 << 30, "5G"),
        ] {
            assert_eq!(format_size(bytes), text);
        }
    }
}

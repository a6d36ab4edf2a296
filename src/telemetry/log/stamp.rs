//! Writes the time of a line (RFC 3339, UTC, milliseconds). The seconds are written once for all lines of a second on
//! a thread.

use std::time::{SystemTime, UNIX_EPOCH};

use super::digits::{append_digits, append_number};

/// The text of the last second.
#[derive(Debug, Default)]
pub(super) struct Stamp {
    second: Option<u64>,
    /// `2026-11-26T22:12:21`.
    text: Vec<u8>,
}

impl Stamp {
    /// Appends the time.
    pub(super) fn append(&mut self, bytes: &mut Vec<u8>, now: SystemTime) {
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let second = since.as_secs();
        if self.second != Some(second) {
            self.second = Some(second);
            self.text.clear();
            append_second(&mut self.text, second);
        }
        bytes.extend_from_slice(&self.text);
        bytes.push(b'.');
        append_digits::<3>(bytes, u64::from(since.subsec_millis()));
        bytes.push(b'Z');
    }
}

/// Appends date and time of a second since 1970.
fn append_second(bytes: &mut Vec<u8>, second: u64) {
    let (year, month, day) = date(second / 86_400);
    append_number(bytes, year);
    for (separator, number) in [
        (b'-', month),
        (b'-', day),
        (b'T', second / 3600 % 24),
        (b':', second / 60 % 60),
        (b':', second % 60),
    ] {
        bytes.push(separator);
        append_digits::<2>(bytes, number);
    }
}

/// Returns year, month and day of a number of days since 1970. The year is taken to begin in March, so that the leap
/// day is its last (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`).
const fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        let mut stamp = Stamp::default();
        for (milliseconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_001, "2000-02-29T00:00:00.001Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (1_795_731_141_123, "2026-11-26T22:12:21.123Z"),
            (1_795_731_141_124, "2026-11-26T22:12:21.124Z"),
            (4_102_444_800_000, "2100-01-01T00:00:00.000Z"),
        ] {
            let mut bytes = Vec::new();
            stamp.append(&mut bytes, UNIX_EPOCH + Duration::from_millis(milliseconds));
            assert_eq!(String::from_utf8_lossy(&bytes), text);
        }
    }
}

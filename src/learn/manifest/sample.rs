//! Decides for which responses of a document the HTML is read: the first, then a sample, more often after a change.
//!
//! Reading takes time in proportion to the length of the head. Each reading that finds the same links doubles the
//! number of responses until the next reading, up to [`LONGEST`].

/// Which responses of one document are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::learn) struct Sample {
    /// Number of responses from one reading to the next.
    interval: u32,
    /// Number of responses since the last reading.
    passed: u32,
    /// The fingerprint of the last response's content.
    fingerprint: Option<u64>,
    /// Whether a response since then said something else.
    has_changed: bool,
}

/// Largest number of responses from one reading to the next.
const LONGEST: u32 = 64;

/// After a change of the content, the next reading is due after one in this many of the interval's responses, not at
/// once: a page that changes with each response is not read each time.
const SHARE_AFTER_CHANGE: u32 = 8;

impl Default for Sample {
    fn default() -> Self {
        Self {
            interval: 1,
            passed: 0,
            fingerprint: None,
            has_changed: false,
        }
    }
}

impl Sample {
    /// Counts a response; returns whether its HTML is to be read.
    pub(in crate::learn) fn is_due(&mut self, fingerprint: u64) -> bool {
        self.has_changed |= self.fingerprint.replace(fingerprint) != Some(fingerprint);
        self.passed += 1;
        let share = if self.has_changed { SHARE_AFTER_CHANGE } else { 1 };
        let is_due = self.passed.saturating_mul(share) >= self.interval;
        if is_due {
            self.passed = 0;
            self.has_changed = false;
        }
        is_due
    }

    /// Records the result of a reading.
    pub(in crate::learn) fn note(&mut self, taught: Taught) {
        self.interval = match taught {
            Taught::Something => 1,
            Taught::Nothing => (self.interval * 2).min(LONGEST),
        };
    }
}

/// The result of reading a response's HTML.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::learn) enum Taught {
    /// Other links than before, or links that wait for more visitors.
    Something,
    /// No other links than before.
    Nothing,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(sample: &mut Sample, responses: u32, fingerprint: impl Fn(u32) -> u64) -> u32 {
        let mut count = 0;
        for n in 0..responses {
            if sample.is_due(fingerprint(n)) {
                count += 1;
                sample.note(Taught::Nothing);
            }
        }
        count
    }

    #[test]
    fn each_reading_without_news_doubles_the_interval() {
        let mut sample = Sample::default();
        let reads: Vec<bool> = (0..8)
            .map(|_| {
                let is_due = sample.is_due(1);
                if is_due {
                    sample.note(Taught::Nothing);
                }
                is_due
            })
            .collect();
        assert_eq!(reads, [true, false, true, false, false, false, true, false]);
        assert!(read(&mut sample, 6400, |_| 1) <= 110);
    }

    #[test]
    fn a_page_that_changes_with_each_response_is_read_once_in_eight() {
        assert!(read(&mut Sample::default(), 6400, u64::from) <= 6400 / 8 + 10);
    }

    #[test]
    fn a_changed_page_is_read_within_eight_responses() {
        let mut sample = Sample::default();
        read(&mut sample, 1000, |_| 1);
        let until = (1..100)
            .find(|_| sample.is_due(2) || sample.is_due(3))
            .expect("read again");
        assert!(until <= 8, "{until}");
        sample.note(Taught::Something);
        assert!(sample.is_due(2));
    }
}

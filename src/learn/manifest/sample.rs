//! Decides of which responses the HTML is read: the first of a document, then a sample, and more often after a change.
//!
//! Reading costs as much as the head of the page is long. A document whose head said the same thing several times is read
//! again after twice as many responses each time, up to [`LONGEST`].

/// Which responses of one document are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sample {
    /// Responses from one that is read to the next.
    interval: u32,
    /// Responses since the last that was read.
    passed: u32,
    /// What the last response said of its content.
    fingerprint: Option<u64>,
}

/// Responses from one that is read to the next, at most.
const LONGEST: u32 = 64;

/// A change of the content makes the next reading due after this part of the interval: a page that is another one each time
/// is not read each time.
const SHARE_AFTER_CHANGE: u32 = 8;

impl Default for Sample {
    fn default() -> Self {
        Self {
            interval: 1,
            passed: 0,
            fingerprint: None,
        }
    }
}

impl Sample {
    /// Counts a response; returns whether it is to be read.
    pub(super) fn is_due(&mut self, fingerprint: u64) -> bool {
        let is_changed = self.fingerprint.replace(fingerprint) != Some(fingerprint);
        self.passed += 1;
        let share = if is_changed { SHARE_AFTER_CHANGE } else { 1 };
        let is_due = self.passed.saturating_mul(share) >= self.interval;
        if is_due {
            self.passed = 0;
        }
        is_due
    }

    /// Notes whether a response that was read had something to teach.
    pub(super) fn note(&mut self, taught: Taught) {
        self.interval = match taught {
            Taught::Something => 1,
            Taught::Nothing => (self.interval * 2).min(LONGEST),
        };
    }
}

/// What came of reading a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taught {
    /// Other links than before, or links that wait for more visitors.
    Something,
    /// The same links again.
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
    fn the_first_are_read_and_then_fewer_and_fewer() {
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
    fn a_page_that_is_another_each_time_is_not_read_each_time() {
        assert!(read(&mut Sample::default(), 6400, u64::from) <= 6400 / 8 + 10);
    }

    #[test]
    fn a_change_is_read_soon() {
        let mut sample = Sample::default();
        read(&mut sample, 1000, |_| 1);
        let until = (1..100)
            .find(|_| sample.is_due(2) || sample.is_due(3))
            .expect("read again");
        assert!(until <= 8, "{until}");
        sample.note(Taught::Something);
        assert!(sample.is_due(3));
    }
}

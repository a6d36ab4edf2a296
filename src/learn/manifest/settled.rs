//! Tells which responses of one document would change nothing, so that nobody reads their links.
//!
//! A document is settled once all links of a response have been there in [`PROVEN`] responses in a row. From then on a
//! response with the same fields, byte for byte, counts without being read; one in [`READ_EVERY`] is read all the same,
//! so that the uses of hints are judged.

use super::entry::PROVEN;

/// Whether a document is settled, and on what.
#[derive(Debug, Clone, Default)]
pub(in crate::learn) struct Settled {
    /// The hash of the fields of the response after which the document was settled.
    fields: Option<u64>,
    /// Number of responses since then that were not read.
    passed: u32,
}

/// One response of a settled document in this many is read.
const READ_EVERY: u32 = 32;

/// Number of responses in a row after which a link is settled.
pub(super) const ROW: u32 = PROVEN;

impl Settled {
    /// Settles the document on the fields of a response, by their hash.
    pub(in crate::learn) fn settle(&mut self, fields: u64) {
        *self = Self {
            fields: Some(fields),
            passed: 0,
        };
    }

    /// Ends it, as a response was read.
    pub(super) fn unsettle(&mut self) {
        self.fields = None;
    }

    /// Counts a response with these fields; returns whether it need not be read.
    pub(in crate::learn) fn passes(&mut self, fields: u64) -> bool {
        self.passed += 1;
        self.fields == Some(fields) && self.passed < READ_EVERY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_passes_by_its_fields_and_one_in_so_many_is_read() {
        let mut settled = Settled::default();
        assert!(!settled.passes(1));
        settled.settle(1);
        let passed = (0..100).take_while(|_| settled.passes(1)).count();
        assert_eq!(passed, 31);
        settled.settle(1);
        assert!(!settled.passes(2) && settled.passes(1));
        settled.unsettle();
        assert!(!settled.passes(1));
    }
}

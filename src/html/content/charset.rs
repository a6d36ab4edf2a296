//! Finds the character encoding of a document, and decodes its text to UTF-8.
//!
//! By the HTML standard, section 13.2.3: a byte order mark, else the `charset` of the header, else a `meta` within the
//! first [`PRESCAN`] bytes. Without any of these the browser guesses, and only ASCII characters are certain.

use encoding_rs::{Decoder, Encoding, WINDOWS_1252};

use super::prescan::prescan;

/// The encoding of a document, and whether every browser uses the same encoding.
#[derive(Debug, Clone, Copy)]
pub(in crate::html) struct Charset {
    pub(in crate::html) encoding: &'static Encoding,
    pub(in crate::html) is_sure: bool,
}

/// A decoder that first finds the encoding.
pub(in crate::html) struct DecodedText {
    of_header: Option<&'static Encoding>,
    /// The first bytes, until the encoding is known.
    held: Vec<u8>,
    decoder: Option<Decoder>,
}

impl std::fmt::Debug for DecodedText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DecodedText")
            .field("of_header", &self.of_header)
            .finish_non_exhaustive()
    }
}

/// Whether more content follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::html) enum Rest {
    Follows,
    None,
}

impl DecodedText {
    /// Makes a decoder; `label` is the `charset` of the header, if there is one.
    pub(in crate::html) fn new(label: Option<&[u8]>) -> Self {
        Self {
            of_header: label.and_then(Encoding::for_label),
            held: Vec::new(),
            decoder: None,
        }
    }

    /// Takes content until it suffices to find the encoding, and then returns the encoding, once: `None` before and
    /// after.
    pub(in crate::html) fn decide(&mut self, content: &mut &[u8], rest: Rest) -> Option<Charset> {
        if self.decoder.is_some() {
            return None;
        }
        let enough = if self.of_header.is_some() {
            LONGEST_MARK
        } else {
            PRESCAN
        };
        let taken = content.len().min(enough.saturating_sub(self.held.len()));
        let (head, tail) = content.split_at_checked(taken)?;
        self.held.extend_from_slice(head);
        *content = tail;
        if self.held.len() < enough && rest == Rest::Follows {
            return None;
        }
        let known = Encoding::for_bom(&self.held).map(|(encoding, _)| encoding);
        let known = known.or(self.of_header).or_else(|| prescan(&self.held));
        let charset = Charset {
            encoding: known.unwrap_or(WINDOWS_1252),
            is_sure: known.is_some(),
        };
        self.decoder = Some(charset.encoding.new_decoder_with_bom_removal());
        Some(charset)
    }

    /// Decodes content once the encoding is known, in pieces of bounded length.
    pub(in crate::html) fn decode(&mut self, content: &[u8], rest: Rest, mut to: impl FnMut(&[u8])) {
        let Some(decoder) = self.decoder.as_mut() else { return };
        let held = std::mem::take(&mut self.held);
        let mut piece = [0; PIECE];
        for (mut bytes, is_last) in [(&*held, false), (content, rest == Rest::None)] {
            loop {
                let (result, read, written, _) = decoder.decode_to_utf8(bytes, &mut piece, is_last);
                to(piece.get(..written).unwrap_or_default());
                bytes = bytes.get(read..).unwrap_or_default();
                if result == encoding_rs::CoderResult::InputEmpty {
                    break;
                }
            }
        }
    }
}

/// Bytes that are searched for a `meta` with the encoding, as the standard says.
const PRESCAN: usize = 1024;
const LONGEST_MARK: usize = 3;
/// Bytes of UTF-8 that one step of decoding may give.
const PIECE: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn decided(label: Option<&str>, content: &[u8]) -> (&'static str, bool, String) {
        let mut text = DecodedText::new(label.map(str::as_bytes));
        let mut rest = content;
        let charset = text.decide(&mut rest, Rest::None).expect("the end decides");
        let mut decoded = Vec::new();
        text.decode(rest, Rest::None, |piece| decoded.extend_from_slice(piece));
        let decoded = String::from_utf8(decoded).expect("UTF-8");
        (charset.encoding.name(), charset.is_sure, decoded)
    }

    #[test]
    fn a_mark_beats_the_header_which_beats_a_meta() {
        type Row<'a> = (Option<&'a str>, &'a [u8], &'a str, bool, &'a str);
        let table: &[Row<'_>] = &[
            (None, b"\xef\xbb\xbf\xc3\xa4", "UTF-8", true, "\u{e4}"),
            (Some("latin1"), b"\xef\xbb\xbf\xc3\xa4", "UTF-8", true, "\u{e4}"),
            (Some("utf-8"), b"\xff\xfea\0", "UTF-16LE", true, "a"),
            (
                Some("ISO-8859-1"),
                b"\xe4<meta charset=utf-8>",
                "windows-1252",
                true,
                "\u{e4}<meta charset=utf-8>",
            ),
            (Some("nonsense"), b"a", "windows-1252", false, "a"),
            (None, b"<", "windows-1252", false, "<"),
            (None, b"", "windows-1252", false, ""),
        ];
        for (label, content, encoding, is_sure, decoded) in table {
            let expected = (*encoding, *is_sure, (*decoded).to_owned());
            assert_eq!(
                decided(*label, content),
                expected,
                "{:?}",
                content.escape_ascii().to_string()
            );
        }
    }

    #[test]
    fn only_the_first_bytes_are_scanned() {
        let late = [&[b' '; PRESCAN][..], b"<meta charset=utf-8>"].concat();
        assert_eq!(decided(None, &late).0, "windows-1252");
    }
}

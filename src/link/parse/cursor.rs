//! Reads a field value from left to right, byte by byte, without knowledge of links.
//!
//! No function moves the cursor backwards, so that the grammar above stays linear.

use std::borrow::Cow;

use super::MalformedReason;

/// A position in a field value: the bytes not yet read.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'a> {
    pub(super) rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(super) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    pub(super) fn eat(&mut self, byte: u8) -> bool {
        match self.rest.split_first() {
            Some((&first, rest)) if first == byte => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// Takes the bytes before the first one for which `stops` is true, or all that are left.
    pub(super) fn take_until(&mut self, stops: impl Fn(u8) -> bool) -> &'a [u8] {
        let length = self.rest.iter().position(|&b| stops(b));
        let (taken, rest) = length
            .and_then(|length| self.rest.split_at_checked(length))
            .unwrap_or((self.rest, &[]));
        self.rest = rest;
        taken
    }

    pub(super) fn skip_white(&mut self) {
        self.take_until(|b| !is_white(b));
    }

    /// Takes a quoted value whose opening mark was just taken (RFC 8288, appendix B.4, without the unescaping).
    pub(super) fn quoted(&mut self) -> Result<ParameterValue<'a>, MalformedReason> {
        let inside = self.rest;
        let mut escaped = false;
        loop {
            self.take_until(|b| b == b'"' || b == b'\\');
            let text = before(inside, self.rest);
            if self.eat(b'"') {
                return Ok(ParameterValue { text, escaped });
            }
            let Some((_backslash, rest)) = self.rest.split_first() else {
                return Err(MalformedReason::UnclosedQuote);
            };
            escaped = true;
            self.rest = rest.split_first().map_or(rest, |(_escaped, rest)| rest);
        }
    }

    /// Moves to the next comma outside quotation marks, or to the end.
    pub(super) fn skip_to_comma(&mut self) {
        loop {
            self.take_until(|b| b == b',' || b == b'"');
            // An unclosed quoted value takes all bytes to the end.
            if !self.eat(b'"') || self.quoted().is_err() {
                return;
            }
        }
    }
}

/// A parameter's value as received, without its quotation marks.
#[derive(Clone, Copy, Default)]
pub(super) struct ParameterValue<'a> {
    pub(super) text: &'a [u8],
    pub(super) escaped: bool,
}

impl<'a> ParameterValue<'a> {
    pub(super) fn unescape(self) -> Cow<'a, [u8]> {
        if !self.escaped {
            return Cow::Borrowed(self.text);
        }
        let mut plain = Vec::with_capacity(self.text.len());
        let mut bytes = self.text.iter().copied();
        while let Some(b) = bytes.next() {
            plain.extend(if b == b'\\' { bytes.next() } else { Some(b) });
        }
        Cow::Owned(plain)
    }
}

/// Returns whether a byte is SP or HTAB, the optional and bad white space of RFC 9110, section 5.6.3.
pub(super) fn is_white(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

pub(super) fn trim_start(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = text {
        text = rest;
    }
    text
}

pub(super) fn trim_end(mut text: &[u8]) -> &[u8] {
    while let [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// Returns the part of `whole` before its suffix `rest`.
pub(super) fn before<'a>(whole: &'a [u8], rest: &[u8]) -> &'a [u8] {
    whole
        .len()
        .checked_sub(rest.len())
        .and_then(|length| whole.get(..length))
        .unwrap_or(whole)
}

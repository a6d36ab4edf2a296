//! Parses one `Link` field value into its links (RFC 8288, appendix B.2 to B.4).
//!
//! Total: any bytes parse. Linear: the grammar reads no byte more than twice. The parser allocates only for a `rel`,
//! `as`, `anchor` or `fetchpriority` that has a backslash escape.
//!
//! Appendix B accepts every link, and stops at the first text that is not a link. This parser does the opposite. A link
//! whose meaning would be a guess is [`Malformed`] (see its reasons), and parsing resumes after the next comma outside
//! quotation marks: one bad link never costs the other links, and text inside quotation marks never becomes a link. The
//! price is that an unclosed quotation mark swallows the rest of its field value.

mod cursor;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::iter::FusedIterator;

use self::cursor::{Cursor, ParameterValue, before, is_white, trim_end, trim_start};
use super::{Malformed, MalformedReason};

/// Parses the links of one `Link` field value, in order. Empty list elements are skipped.
#[must_use]
pub fn parse(field: &[u8]) -> Links<'_> {
    Links { rest: field }
}

/// Iterator over the links of one field value; made by [`parse()`].
#[derive(Debug, Clone)]
pub struct Links<'a> {
    rest: &'a [u8],
}

/// One well-formed link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link<'a> {
    /// The text between `<` and `>`, without white space at its ends. It need not be a valid URL.
    pub target: &'a [u8],
    /// The whole link from `<` to just before the comma, without white space at its ends.
    pub raw: &'a [u8],
    parameters: Parameters<'a>,
}

impl Link<'_> {
    /// Returns whether a word of the first `rel` is this relation type (RFC 8288, section 3.3), ASCII case ignored.
    #[must_use]
    pub fn has_relation(&self, name: &str) -> bool {
        self.relations().any(|word| word.eq_ignore_ascii_case(name.as_bytes()))
    }

    /// Yields the words of the first `rel`, in order.
    pub(super) fn relations(&self) -> impl Iterator<Item = &[u8]> {
        let list = self.parameters.relations.as_deref().unwrap_or_default();
        list.split(|&b| is_white(b)).filter(|word| !word.is_empty())
    }

    /// The first `as`; `None` if the first `as` is empty.
    #[must_use]
    pub fn destination(&self) -> Option<&[u8]> {
        filled(&self.parameters.destination)
    }

    /// Whether the link has a `nopush`, with a value or without.
    #[must_use]
    pub fn nopush(&self) -> bool {
        self.parameters.nopush
    }

    /// The first `anchor`, which may be empty: see [`Document::anchors_here`](super::Document::anchors_here).
    #[must_use]
    pub fn anchor(&self) -> Option<&[u8]> {
        self.parameters.anchor.as_deref()
    }

    /// The first `fetchpriority`; `None` if the first `fetchpriority` is empty.
    #[must_use]
    pub fn fetch_priority(&self) -> Option<&[u8]> {
        filled(&self.parameters.fetch_priority)
    }
}

impl<'a> Iterator for Links<'a> {
    type Item = Result<Link<'a>, Malformed<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut cursor = Cursor { rest: self.rest };
        cursor.take_until(|b| b != b',' && !is_white(b));
        let element = cursor.rest;
        if element.is_empty() {
            self.rest = element;
            return None;
        }
        let outcome = link(&mut cursor);
        if outcome.is_err() {
            cursor.skip_to_comma();
        }
        self.rest = cursor.rest;
        let raw = trim_end(before(element, cursor.rest));
        Some(match outcome {
            Ok((target, parameters)) => Ok(Link {
                target,
                raw,
                parameters,
            }),
            Err(reason) => Err(Malformed { raw, reason }),
        })
    }
}

impl FusedIterator for Links<'_> {}

/// Parses one link, up to the comma behind it or the end. After an error the cursor stands outside quotation marks.
fn link<'a>(cursor: &mut Cursor<'a>) -> Result<(&'a [u8], Parameters<'a>), MalformedReason> {
    if !cursor.eat(b'<') {
        return Err(MalformedReason::NoTarget);
    }
    let inside = *cursor;
    let target = cursor.take_until(|b| b == b'>' || b == b'<');
    if !cursor.eat(b'>') {
        // No URL contains `<`: this target lacks its `>`, and a well-formed link may begin at the second `<`.
        if cursor.peek().is_some() {
            *cursor = inside;
        }
        return Err(MalformedReason::UnclosedTarget);
    }
    let mut parameters = Parameters::default();
    cursor.skip_white();
    if !matches!(cursor.peek(), None | Some(b';' | b',')) {
        return Err(MalformedReason::NoSemicolon);
    }
    while cursor.eat(b';') {
        let (name, value) = parameter(cursor)?;
        parameters.record(name, value);
    }
    Ok((trim_end(trim_start(target)), parameters))
}

/// Yields the parameters of a well-formed link: names in the case received, values unquoted and unescaped.
pub(super) fn parameters(raw: &[u8]) -> impl Iterator<Item = (&[u8], Cow<'_, [u8]>)> {
    let mut cursor = Cursor { rest: raw };
    cursor.take_until(|b| b == b'>');
    cursor.eat(b'>');
    cursor.skip_white();
    std::iter::from_fn(move || {
        let (name, value) = cursor.eat(b';').then(|| parameter(&mut cursor).ok())??;
        Some((name, value.unescape()))
    })
}

/// Parses one parameter, which may be empty, up to the `;` or `,` behind it or the end.
fn parameter<'a>(cursor: &mut Cursor<'a>) -> Result<(&'a [u8], ParameterValue<'a>), MalformedReason> {
    cursor.skip_white();
    let name = cursor.take_until(|b| matches!(b, b'=' | b';' | b',' | b'"') || is_white(b));
    if cursor.peek() == Some(b'"') {
        return Err(MalformedReason::StrayQuote);
    }
    cursor.skip_white();
    if !cursor.eat(b'=') {
        return match cursor.peek() {
            None | Some(b';' | b',') => Ok((name, ParameterValue::default())),
            Some(_) => Err(MalformedReason::WhiteSpaceInName),
        };
    }
    cursor.skip_white();
    if cursor.eat(b'"') {
        let value = cursor.quoted()?;
        cursor.skip_white();
        return match cursor.peek() {
            None | Some(b';' | b',') => Ok((name, value)),
            Some(_) => Err(MalformedReason::TextAfterQuote),
        };
    }
    let text = trim_end(cursor.take_until(|b| matches!(b, b';' | b',' | b'"')));
    if cursor.peek() == Some(b'"') {
        return Err(MalformedReason::StrayQuote);
    }
    // Appendix B accepts `media=(min-width: 9em)`, whose meaning is clear. In `rel`, words behind white space would
    // become further relations.
    if text.iter().any(|&b| is_white(b)) && name.eq_ignore_ascii_case(b"rel") {
        return Err(MalformedReason::WhiteSpaceInRelation);
    }
    Ok((name, ParameterValue { text, escaped: false }))
}

/// The first occurrence of each parameter that [`Link`] gives access to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Parameters<'a> {
    relations: Option<Cow<'a, [u8]>>,
    destination: Option<Cow<'a, [u8]>>,
    anchor: Option<Cow<'a, [u8]>>,
    fetch_priority: Option<Cow<'a, [u8]>>,
    nopush: bool,
}

impl<'a> Parameters<'a> {
    fn record(&mut self, name: &[u8], value: ParameterValue<'a>) {
        let first = if name.eq_ignore_ascii_case(b"rel") {
            &mut self.relations
        } else if name.eq_ignore_ascii_case(b"as") {
            &mut self.destination
        } else if name.eq_ignore_ascii_case(b"anchor") {
            &mut self.anchor
        } else if name.eq_ignore_ascii_case(b"fetchpriority") {
            &mut self.fetch_priority
        } else {
            self.nopush |= name.eq_ignore_ascii_case(b"nopush");
            return;
        };
        first.get_or_insert_with(|| value.unescape());
    }
}

fn filled<'v>(value: &'v Option<Cow<'_, [u8]>>) -> Option<&'v [u8]> {
    value.as_deref().filter(|text| !text.is_empty())
}

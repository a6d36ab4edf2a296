//! What can be wrong with one link of a field value.

use std::fmt;

use thiserror::Error;

/// A piece of a `Link` field value that is not a link. The links around it stand.
#[derive(Clone, Copy, PartialEq, Eq, Error)]
#[error("{reason}")]
pub struct Malformed<'a> {
    /// The piece, up to the comma at which parsing starts anew, without white space at its ends.
    pub raw: &'a [u8],
    /// The first thing wrong with it.
    pub reason: MalformedReason,
}

impl fmt::Debug for Malformed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Malformed")
            .field("raw", &format_args!("\"{}\"", self.raw.escape_ascii()))
            .field("reason", &self.reason)
            .finish()
    }
}

/// Why a piece of a `Link` field value is not a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
pub enum MalformedReason {
    /// It does not begin with `<`.
    #[error("a link begins with `<`")]
    NoTarget,
    /// Its `<` is followed by the end, or by another `<`, before any `>`.
    #[error("the target is not closed by `>`")]
    UnclosedTarget,
    /// Something other than `;` stands behind the target: `</a.css> rel=preload`.
    #[error("no `;` between the target and its parameters")]
    NoSemicolon,
    /// A parameter name has white space inside: `rel pel=preload`.
    #[error("white space inside a parameter name")]
    WhiteSpaceInName,
    /// `rel` has several words without quotes: `rel=preload as=image`, where a `;` was lost.
    #[error("white space inside an unquoted rel")]
    WhiteSpaceInRelation,
    /// A quotation mark stands inside a name or an unquoted value.
    #[error("a quotation mark inside a parameter name or an unquoted value")]
    StrayQuote,
    /// A quoted value never ends. The rest of the field value belongs to it.
    #[error("a quoted value is not closed")]
    UnclosedQuote,
    /// A quoted value is followed by more text: `rel="preload"x`.
    #[error("text behind a quoted value")]
    TextAfterQuote,
}

//! Names the reasons why a piece of a `Link` field value is not a link.

use std::fmt;

use thiserror::Error;

/// A piece of a `Link` field value that is not a link. The links before and after it are still used.
#[derive(Clone, Copy, PartialEq, Eq, Error)]
#[error("{reason}")]
pub struct Malformed<'a> {
    /// The piece, up to the comma after which parsing resumes, without white space at its ends.
    pub raw: &'a [u8],
    /// The first error in the piece.
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
    /// The piece does not begin with `<`.
    #[error("a link begins with `<`")]
    NoTarget,
    /// The `<` is followed by the end of the field value, or by another `<`, before any `>`.
    #[error("the target is not closed by `>`")]
    UnclosedTarget,
    /// The target is followed by something other than `;`: `</a.css> rel=preload`.
    #[error("no `;` between the target and its parameters")]
    NoSemicolon,
    /// A parameter name has white space inside: `rel pel=preload`.
    #[error("white space inside a parameter name")]
    WhiteSpaceInName,
    /// `rel` has several words without quotes: `rel=preload as=image`, where a `;` is missing.
    #[error("white space inside an unquoted rel")]
    WhiteSpaceInRelation,
    /// A quotation mark stands inside a name or an unquoted value.
    #[error("a quotation mark inside a parameter name or an unquoted value")]
    StrayQuote,
    /// A quoted value never ends, so the rest of the field value belongs to this piece.
    #[error("a quoted value is not closed")]
    UnclosedQuote,
    /// A quoted value is followed by more text: `rel="preload"x`.
    #[error("text behind a quoted value")]
    TextAfterQuote,
}

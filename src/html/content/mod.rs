//! Turns a body in pieces into text for the tokenizer: `decode` (content codings), `charset` and `prescan` (the
//! character encoding, and its conversion to UTF-8), `source` (hands pushed text to a tokenizer that pulls).

mod charset;
mod decode;
mod prescan;
mod source;

pub(super) use charset::{Charset, DecodedText, Rest};
pub(super) use decode::{ContentDecoder, Decoded};
pub(super) use prescan::in_content;
pub(super) use source::{Feed, Starved, TextSource, pair};

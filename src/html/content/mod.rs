//! A body in pieces -> text for the tokenizer: `decode` (content codings), `charset` with `prescan` (which character encoding,
//! and to UTF-8), `source` (how a tokenizer that pulls is fed by pushes).

mod charset;
mod decode;
mod prescan;
mod source;

pub(super) use charset::{Charset, DecodedText, Rest};
pub(super) use decode::{ContentDecoder, Decoded};
pub(super) use prescan::in_content;
pub(super) use source::{Feed, Starved, TextSource, pair};

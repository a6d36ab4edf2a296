//! Tests HPACK: `appendix_c` (the RFC's examples), `decoder`, `encoder` and `huffman` (rules of each), `vectors`
//! (blocks of other encoders), `round_trip` (properties).

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test that fails panics")]

mod appendix_c;
mod decoder;
mod encoder;
mod huffman;
mod round_trip;
mod vectors;

use super::{DecodeError, Decoder, FieldSink, Name, Value};

/// A sink that collects fields, and refuses those above a size.
#[derive(Default)]
struct Fields {
    fields: Vec<(Name, Value)>,
    sizes: Vec<usize>,
    refuse_above: Option<usize>,
}

impl FieldSink for Fields {
    fn admit(&mut self, size: usize) -> bool {
        self.sizes.push(size);
        self.refuse_above.is_none_or(|most| size <= most)
    }

    fn field(&mut self, name: Name, value: Value) {
        self.fields.push((name, value));
    }
}

/// Decodes a block into names and values.
fn decode(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<(String, Vec<u8>)>, DecodeError> {
    let mut sink = Fields::default();
    decoder.decode(block, &mut sink)?;
    Ok(sink
        .fields
        .iter()
        .map(|(name, value)| (name_text(name), value_text(value)))
        .collect())
}

pub(super) fn name_text(name: &Name) -> String {
    match name {
        Name::Method => ":method",
        Name::Scheme => ":scheme",
        Name::Authority => ":authority",
        Name::Path => ":path",
        Name::Protocol => ":protocol",
        Name::Status => ":status",
        Name::Field(name) => name.as_str(),
        Name::Malformed => "<malformed>",
    }
    .to_owned()
}

pub(super) fn value_text(value: &Value) -> Vec<u8> {
    match value {
        Value::Field(value) => value.as_bytes().to_vec(),
        Value::Pseudo(value) => value.to_vec(),
        Value::Malformed => b"<malformed>".to_vec(),
    }
}

/// Parses hexadecimal digits, and ignores other characters.
fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<u32> = digits.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits
        .chunks(2)
        .map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap())
        .collect()
}

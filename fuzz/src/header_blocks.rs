//! Drives the codec by a fuzzer's bytes.

use bytes::BytesMut;
use http::{HeaderName, HeaderValue, StatusCode};

use crate::hpack::{Decoder, Encoder, FieldSink, Name, PseudoName, Value};

/// Takes fields as far as a budget goes, as a request does.
struct Sink {
    left: usize,
    fields: Vec<(Name, Value)>,
}

impl FieldSink for Sink {
    fn admit(&mut self, size: usize) -> bool {
        assert!(size >= 32);
        self.left = self.left.saturating_sub(size);
        self.left > 0
    }

    fn field(&mut self, name: Name, value: Value) {
        assert!(self.left > 0, "only what was admitted comes");
        self.fields.push((name, value));
    }
}

/// Decodes blocks, each behind its length.
pub fn decode(mut bytes: &[u8]) {
    let mut decoder = Decoder::new(4096);
    while let Some(([high, low], rest)) = bytes.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes([*high, *low])) % 20_000;
        let (block, rest) = rest.split_at(length.min(rest.len()));
        bytes = rest;
        let mut sink = Sink {
            left: 8192,
            fields: Vec::new(),
        };
        if decoder.decode(block, &mut sink).is_err() {
            return;
        }
        assert!(sink.fields.len() <= block.len());
    }
}

/// Encodes fields, decodes them, and compares.
pub fn round_trip(mut bytes: &[u8]) {
    let mut encoder = Encoder::new();
    let mut decoder = Decoder::new(4096);
    let mut take = |most: usize| {
        let (taken, rest) = bytes.split_at(most.min(bytes.len()));
        bytes = rest;
        taken
    };
    while let &[what, size] = take(2) {
        let mut out = BytesMut::new();
        let mut expected = Vec::new();
        match what % 8 {
            0 => {
                encoder.set_max_table_size(u32::from(size) * 32);
                continue;
            }
            1 => {
                let values = [&b"GET"[..], b"https", take(usize::from(size) % 32), b"/index.html"];
                let names = [
                    PseudoName::Method,
                    PseudoName::Scheme,
                    PseudoName::Authority,
                    PseudoName::Path,
                ];
                let decoded = [Name::Method, Name::Scheme, Name::Authority, Name::Path];
                for ((name, value), decoded) in names.into_iter().zip(values).zip(decoded) {
                    let is_text = value.iter().all(|byte| byte.is_ascii_graphic());
                    let value = if is_text { value } else { b"h" };
                    encoder.pseudo(name, value, &mut out);
                    expected.push((decoded, Value::Pseudo(value.to_vec().into())));
                }
            }
            _ => {
                let status = StatusCode::from_u16(100 + u16::from(size) * 3).unwrap_or(StatusCode::OK);
                encoder.status(status, &mut out);
                expected.push((Name::Status, Value::Pseudo(status.as_str().to_owned().into())));
            }
        }
        for _ in 0..what / 8 {
            let &[name, value] = take(2) else { break };
            let name = match name {
                0..24 => ["date", "server", "vary", "etag", "set-cookie", "link"][usize::from(name) % 6].to_owned(),
                _ => format!("x-{}", "n".repeat(usize::from(name) % 24)),
            };
            let name: HeaderName = name.parse().expect("a name");
            let length = match value {
                0..32 => usize::from(value) * 64,
                _ => usize::from(value) % 32,
            };
            let Ok(mut value) = HeaderValue::from_bytes(take(length).trim_ascii()) else {
                continue;
            };
            value.set_sensitive(length % 7 == 3);
            encoder.field(&name, &value, &mut out);
            expected.push((Name::Field(name), Value::Field(value)));
        }
        let mut sink = Sink {
            left: usize::MAX,
            fields: Vec::new(),
        };
        decoder.decode(&out, &mut sink).expect("a block of our own");
        assert_eq!(sink.fields, expected);
    }
}

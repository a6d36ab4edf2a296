//! Decodes blocks of the encoder, and arbitrary octets.

use bytes::BytesMut;
use http::{HeaderName, HeaderValue, StatusCode};
use proptest::prelude::*;

use super::{Fields, decode};
use crate::hpack::{Decoder, Encoder, Name, Value};

/// A command to an encoder.
#[derive(Debug, Clone)]
enum Step {
    Resize(u32),
    Block(u16, Vec<(String, Vec<u8>, bool)>),
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "date",
            "server",
            "vary",
            "etag",
            "set-cookie",
            "link",
            "content-type",
            "x-a",
            "x-b"
        ])
        .prop_map(str::to_owned),
        prop::collection::vec(
            prop::sample::select(&b"abcdefghijklmnopqrstuvwxyz0123456789-"[..]),
            1..30
        )
        .prop_map(|octets| String::from_utf8(octets).unwrap()),
    ]
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => prop::collection::vec(b'a'..=b'b', 0..3),
        2 => prop::collection::vec(b'!'..=b'~', 1..100),
        1 => (0..1500usize, b'!'..b'~').prop_map(|(length, octet)| vec![octet; length]),
        1 => prop::collection::vec(128..=255u8, 0..40),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => prop_oneof![Just(0), 0..200u32, 0..10_000u32].prop_map(Step::Resize),
        6 => (100..600u16, prop::collection::vec((name(), value(), prop::bool::weighted(0.1)), 0..12))
            .prop_map(|(status, fields)| Step::Block(status, fields)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_encoded_fields_are_decoded_unchanged(steps in prop::collection::vec(step(), 1..40)) {
        let mut encoder = Encoder::new();
        let mut decoder = Decoder::new(4096);
        for step in steps {
            match step {
                Step::Resize(size) => encoder.set_max_table_size(size),
                Step::Block(status, fields) => {
                    let mut out = BytesMut::new();
                    encoder.status(StatusCode::from_u16(status).unwrap(), &mut out);
                    let mut expected = vec![(Name::Status, Value::Pseudo(status.to_string().into()))];
                    for (name, value, sensitive) in fields {
                        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
                        let mut value = HeaderValue::from_bytes(&value).unwrap();
                        value.set_sensitive(sensitive);
                        encoder.field(&name, &value, &mut out);
                        expected.push((Name::Field(name), Value::Field(value)));
                    }
                    let mut sink = Fields::default();
                    prop_assert_eq!(decoder.decode(&out, &mut sink), Ok(()));
                    prop_assert_eq!(&sink.fields, &expected);
                    for ((_, sent), (name, came)) in expected.iter().zip(&sink.fields) {
                        if let (Name::Field(name), Value::Field(sent), Value::Field(came)) = (name, sent, came) {
                            let secret = *name == http::header::SET_COOKIE;
                            prop_assert_eq!(came.is_sensitive(), sent.is_sensitive() || secret);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn any_octets_are_decoded_or_refused(blocks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..10)) {
        let mut decoder = Decoder::new(4096);
        for block in blocks {
            let decoded = decode(&mut decoder, &block);
            let (contents, size) = decoder.table().contents();
            prop_assert!(size <= 4096 && contents.len() <= 128);
            // A field takes an octet at least.
            prop_assert!(decoded.is_err() || decoded.unwrap().len() <= block.len());
        }
    }
}

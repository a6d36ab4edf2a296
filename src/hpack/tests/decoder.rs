//! Tests what the decoder refuses, and how its table changes.

use http::HeaderValue;

use super::{Fields, decode, hex};
use crate::hpack::{DecodeError, Decoder, Name, Value};

/// Decodes a block with a new decoder.
fn error(block: &str) -> DecodeError {
    decode(&mut Decoder::new(4096), &hex(block)).unwrap_err()
}

fn owned(name: &str, value: &str) -> (String, Vec<u8>) {
    (name.to_owned(), value.as_bytes().to_vec())
}

#[test]
fn refuses_an_index_that_no_table_has() {
    for block in [
        "80",
        "be",
        "ff00",
        "ffffffff7f",
        "7e00",
        "7f0000",
        "0f2f00",
        "1f2f00",
        "4082 00",
    ] {
        assert!(
            matches!(error(block), DecodeError::Index | DecodeError::Truncated),
            "{block}"
        );
    }
    assert_eq!(error("80"), DecodeError::Index);
    assert_eq!(error("be"), DecodeError::Index);
    assert_eq!(error("7e00"), DecodeError::Index);
    assert_eq!(error("0f2f00"), DecodeError::Index);
    assert_eq!(error("4001 6101 62bf"), DecodeError::Index);
}

#[test]
fn refuses_a_block_that_ends_inside_a_field() {
    for block in [
        "40",
        "4001",
        "4001 61",
        "4001 6101",
        "44",
        "4402 61",
        "ff",
        "ff80",
        "3f",
        "3fe0",
        "0f",
        "1f80",
        "04ff80",
        "0481",
    ] {
        assert_eq!(error(block), DecodeError::Truncated, "{block}");
    }
}

#[test]
fn refuses_long_integers_and_lengths() {
    for block in [
        "ff80 8080 8000",
        "ffff ffff ffff",
        "7fff ffff ff0f",
        "3fff ffff ff0f",
        "047f ffff ffff 7f",
    ] {
        assert_eq!(error(block), DecodeError::Integer, "{block}");
    }
    // Leading zeros of an integer, in its last octets, are allowed.
    assert_eq!(error("ff80 8000"), DecodeError::Index);
    // Lengths beyond the end of the block.
    assert_eq!(error("047f ffff ff7f"), DecodeError::Truncated);
    assert_eq!(error("04ff ffff ff7f"), DecodeError::Truncated);
}

#[test]
fn refuses_broken_huffman_strings() {
    // EOS; padding of 8 bits; padding with a zero; padding that is the whole string.
    for block in [
        "0484 ffff ffff",
        "0484 ffff fffc",
        "0482 1fff",
        "0481 18",
        "0481 ff",
        "0482 ffff",
        "0481 00",
        "0482 07fe",
    ] {
        assert_eq!(error(block), DecodeError::Huffman, "{block}");
    }
    // In the name of a literal.
    assert_eq!(error("4081 ff00"), DecodeError::Huffman);
    // '0' and three ones; and no octets at all.
    let mut decoder = Decoder::new(4096);
    assert_eq!(decode(&mut decoder, &hex("0481 07")), Ok(vec![owned(":path", "0")]));
    assert_eq!(decode(&mut decoder, &hex("0480")), Ok(vec![owned(":path", "")]));
}

#[test]
fn refuses_size_updates_above_the_limit_or_after_a_field() {
    assert_eq!(error("3fe2 1f"), DecodeError::TableSize);
    assert_eq!(error("8220"), DecodeError::LateTableSize);
    assert_eq!(error("4001 6101 6220"), DecodeError::LateTableSize);
    let mut decoder = Decoder::new(4096);
    assert_eq!(
        decode(&mut decoder, &hex("3fe1 1f82")),
        Ok(vec![owned(":method", "GET")])
    );
    assert_eq!(decode(&mut decoder, &hex("203f e11f")), Ok(vec![]));
    assert_eq!(decode(&mut Decoder::new(8192), &hex("3fe1 3f")), Ok(vec![]));
    assert_eq!(decode(&mut Decoder::new(0), &hex("21")), Err(DecodeError::TableSize));
    assert_eq!(decode(&mut Decoder::new(0), &hex("20")), Ok(vec![]));
}

#[test]
fn a_size_update_evicts() {
    let mut decoder = Decoder::new(4096);
    decode(&mut decoder, &hex("4001 6101 6240 0163 0164")).unwrap();
    assert_eq!(decoder.table().contents(), (vec![owned("c", "d"), owned("a", "b")], 68));
    // 34 octets leave room for one entry.
    decode(&mut decoder, &hex("3f03")).unwrap();
    assert_eq!(decoder.table().contents(), (vec![owned("c", "d")], 34));
    decode(&mut decoder, &hex("20")).unwrap();
    assert_eq!(decoder.table().contents(), (vec![], 0));
}

#[test]
fn an_entry_larger_than_the_table_empties_it() {
    let mut decoder = Decoder::new(4096);
    // A table of 40 octets, an entry of 34, and one of 41.
    let block = hex("3f09 4001 6101 62be 4001 6108 6262 6262 6262 6262");
    let fields = vec![owned("a", "b"), owned("a", "b"), owned("a", "bbbbbbbb")];
    assert_eq!(decode(&mut decoder, &block), Ok(fields));
    assert_eq!(decoder.table().contents(), (vec![], 0));
    assert_eq!(decode(&mut decoder, &hex("be")), Err(DecodeError::Index));
}

#[test]
fn a_literal_may_take_its_name_from_the_entry_that_it_evicts() {
    let mut decoder = Decoder::new(4096);
    let block = hex("3f05 4003 616263 01 62 7e02 6262");
    assert_eq!(
        decode(&mut decoder, &block),
        Ok(vec![owned("abc", "b"), owned("abc", "bb")])
    );
    assert_eq!(decoder.table().contents(), (vec![], 0));
    let mut decoder = Decoder::new(4096);
    let block = hex("3f07 4003 616263 01 62 7e02 6262 be");
    assert_eq!(
        decode(&mut decoder, &block),
        Ok(vec![owned("abc", "b"), owned("abc", "bb"), owned("abc", "bb")])
    );
    assert_eq!(decoder.table().contents(), (vec![owned("abc", "bb")], 37));
}

#[test]
fn malformed_fields_reach_the_sink_as_malformed() {
    let mut decoder = Decoder::new(4096);
    let names = [
        "0000 00",
        "0001 41 00",
        "0002 3a61 00",
        "0001 20 00",
        "0001 c3 00",
        "0001 3a 00",
        "0008 3a6d 6574 686f 6458 00",
    ];
    for block in names {
        let mut sink = Fields::default();
        decoder.decode(&hex(block), &mut sink).unwrap();
        assert_eq!(sink.fields, [(Name::Malformed, Value::Malformed)], "{block}");
    }
    for (value, index) in [
        ("0100", "04"),
        ("010d", "0f 00"),
        ("010a", "0f 00"),
        ("0120", "0f 00"),
        ("0261 09", "04"),
        ("0220 61", "04"),
        ("017f", "0f 00"),
        ("0361 0162", "04"),
    ] {
        let mut sink = Fields::default();
        decoder.decode(&hex(&format!("{index}{value}")), &mut sink).unwrap();
        assert!(
            matches!(sink.fields[..], [(Name::Path | Name::Field(_), Value::Malformed)]),
            "{value}"
        );
    }
    // Spaces and tabs inside a value, and octets above 127, are allowed.
    let mut sink = Fields::default();
    decoder.decode(&hex("0f00 0561 2009 ff62"), &mut sink).unwrap();
    let value = HeaderValue::from_bytes(b"a \t\xffb").unwrap();
    assert_eq!(
        sink.fields,
        [(Name::Field(http::header::ACCEPT_CHARSET), Value::Field(value))]
    );
}

#[test]
fn a_malformed_entry_counts_its_octets_as_sent() {
    let mut decoder = Decoder::new(4096);
    let mut sink = Fields::default();
    decoder
        .decode(&hex("4003 4142 4302 6161 be 7e01 62"), &mut sink)
        .unwrap();
    assert_eq!(sink.sizes, [37, 37, 36]);
    assert_eq!(sink.fields, vec![(Name::Malformed, Value::Malformed); 3]);
    assert_eq!(decoder.table().contents().1, 73);
}

#[test]
fn a_refused_field_has_its_effect_on_the_table() {
    let mut decoder = Decoder::new(4096);
    let mut sink = Fields {
        refuse_above: Some(34),
        ..Fields::default()
    };
    decoder
        .decode(
            &hex("4001 6103 6262 6240 0161 0163 bf 0001 6105 6363 6363 63"),
            &mut sink,
        )
        .unwrap();
    assert_eq!(sink.sizes, [36, 34, 36, 38]);
    assert_eq!(sink.fields.len(), 1);
    assert_eq!(
        decoder.table().contents(),
        (vec![owned("a", "c"), owned("a", "bbb")], 70)
    );
}

#[test]
fn only_never_indexed_literals_are_sensitive() {
    let mut decoder = Decoder::new(4096);
    let mut sink = Fields::default();
    decoder
        .decode(
            &hex("1001 6101 62 0001 6101 62 4001 6101 62 be 7e01 62 1f2f 0162"),
            &mut sink,
        )
        .unwrap();
    let sensitive: Vec<bool> = sink
        .fields
        .iter()
        .map(|(_, value)| matches!(value, Value::Field(value) if value.is_sensitive()))
        .collect();
    assert_eq!(sensitive, [true, false, false, false, false, true]);
}

#[test]
fn pseudo_headers_are_known_by_name_and_by_index() {
    let mut decoder = Decoder::new(4096);
    let block = hex("0009 3a70 726f 746f 636f 6c09 7765 6273 6f63 6b65 74 81 84 86 88");
    let mut sink = Fields::default();
    decoder.decode(&block, &mut sink).unwrap();
    let names: Vec<&Name> = sink.fields.iter().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        [
            &Name::Protocol,
            &Name::Authority,
            &Name::Path,
            &Name::Scheme,
            &Name::Status
        ]
    );
    assert!(sink.fields.iter().all(|(_, value)| matches!(value, Value::Pseudo(_))));
}

#[test]
fn a_huge_string_is_decoded_on_the_heap() {
    let mut decoder = Decoder::new(4096);
    let mut block = hex("04ff e906");
    block.extend([0; 1000]);
    assert_eq!(
        decode(&mut decoder, &block),
        Ok(vec![owned(":path", &"0".repeat(1600))])
    );
}

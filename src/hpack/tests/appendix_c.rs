//! Decodes the examples of RFC 7541, appendix C.

use bytes::BytesMut;

use super::{Fields, decode, hex};
use crate::hpack::{Decoder, FieldSink, Name, Value, integer};

/// A block, its fields, and the dynamic table after the block, with the table's size.
struct Step {
    block: &'static str,
    fields: &'static [(&'static str, &'static str)],
    table: &'static [(&'static str, &'static str)],
    size: usize,
}

fn check(table_size: Option<u8>, steps: &[Step]) {
    let mut decoder = Decoder::new(4096);
    if let Some(size) = table_size {
        let mut update = BytesMut::new();
        integer::encode(0x20, 0x1f, usize::from(size), &mut update);
        assert_eq!(decode(&mut decoder, &update), Ok(vec![]));
    }
    for step in steps {
        let owned = |pairs: &[(&str, &str)]| -> Vec<(String, Vec<u8>)> {
            pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
                .collect()
        };
        assert_eq!(decode(&mut decoder, &hex(step.block)), Ok(owned(step.fields)));
        assert_eq!(decoder.table().contents(), (owned(step.table), step.size));
    }
}

#[test]
fn c_1_integers() {
    for (value, mask, encoded) in [(10, 0x1f, "0a"), (1337, 0x1f, "1f9a0a"), (42, 0xff, "2a")] {
        let mut out = BytesMut::new();
        integer::encode(0, mask, value, &mut out);
        assert_eq!(out[..], hex(encoded));
        let mut rest = &out[1..];
        assert_eq!(integer::decode(out[0], mask, &mut rest), Ok(value));
        assert!(rest.is_empty());
    }
}

#[test]
fn c_2_1_literal_with_indexing() {
    check(
        None,
        &[Step {
            block: "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
            fields: &[("custom-key", "custom-header")],
            table: &[("custom-key", "custom-header")],
            size: 55,
        }],
    );
}

#[test]
fn c_2_2_literal_without_indexing() {
    check(
        None,
        &[Step {
            block: "040c 2f73 616d 706c 652f 7061 7468",
            fields: &[(":path", "/sample/path")],
            table: &[],
            size: 0,
        }],
    );
}

#[test]
fn c_2_3_literal_never_indexed() {
    let block = hex("1008 7061 7373 776f 7264 0673 6563 7265 74");
    let mut decoder = Decoder::new(4096);
    let mut sink = Fields::default();
    decoder.decode(&block, &mut sink).unwrap();
    assert!(matches!(&sink.fields[..], [(Name::Field(name), Value::Field(value))]
        if name == "password" && value == "secret" && value.is_sensitive()));
    assert_eq!(decoder.table().contents(), (vec![], 0));
    assert!(sink.admit(0));
}

#[test]
fn c_2_4_indexed() {
    check(
        None,
        &[Step {
            block: "82",
            fields: &[(":method", "GET")],
            table: &[],
            size: 0,
        }],
    );
}

const REQUESTS: [[&[(&str, &str)]; 2]; 3] = [
    [
        &[
            (":method", "GET"),
            (":scheme", "http"),
            (":path", "/"),
            (":authority", "www.example.com"),
        ],
        &[(":authority", "www.example.com")],
    ],
    [
        &[
            (":method", "GET"),
            (":scheme", "http"),
            (":path", "/"),
            (":authority", "www.example.com"),
            ("cache-control", "no-cache"),
        ],
        &[("cache-control", "no-cache"), (":authority", "www.example.com")],
    ],
    [
        &[
            (":method", "GET"),
            (":scheme", "https"),
            (":path", "/index.html"),
            (":authority", "www.example.com"),
            ("custom-key", "custom-value"),
        ],
        &[
            ("custom-key", "custom-value"),
            ("cache-control", "no-cache"),
            (":authority", "www.example.com"),
        ],
    ],
];

fn check_three(
    table_size: Option<u8>,
    steps: [[&'static [(&'static str, &'static str)]; 2]; 3],
    sizes: [usize; 3],
    blocks: [&'static str; 3],
) {
    let steps: Vec<Step> = steps
        .into_iter()
        .zip(sizes)
        .zip(blocks)
        .map(|(([fields, table], size), block)| Step {
            block,
            fields,
            table,
            size,
        })
        .collect();
    check(table_size, &steps);
}

#[test]
fn c_3_requests_without_huffman() {
    check_three(
        None,
        REQUESTS,
        [57, 110, 164],
        [
            "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
            "8286 84be 5808 6e6f 2d63 6163 6865",
            "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
        ],
    );
}

#[test]
fn c_4_requests_with_huffman() {
    check_three(
        None,
        REQUESTS,
        [57, 110, 164],
        [
            "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
            "8286 84be 5886 a8eb 1064 9cbf",
            "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
        ],
    );
}

const DATE: &str = "Mon, 21 Oct 2013 20:13:21 GMT";
const LATER: &str = "Mon, 21 Oct 2013 20:13:22 GMT";
const LOCATION: &str = "https://www.example.com";
const COOKIE: &str = "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1";

const RESPONSES: [[&[(&str, &str)]; 2]; 3] = [
    [
        &[
            (":status", "302"),
            ("cache-control", "private"),
            ("date", DATE),
            ("location", LOCATION),
        ],
        &[
            ("location", LOCATION),
            ("date", DATE),
            ("cache-control", "private"),
            (":status", "302"),
        ],
    ],
    [
        &[
            (":status", "307"),
            ("cache-control", "private"),
            ("date", DATE),
            ("location", LOCATION),
        ],
        &[
            (":status", "307"),
            ("location", LOCATION),
            ("date", DATE),
            ("cache-control", "private"),
        ],
    ],
    [
        &[
            (":status", "200"),
            ("cache-control", "private"),
            ("date", LATER),
            ("location", LOCATION),
            ("content-encoding", "gzip"),
            ("set-cookie", COOKIE),
        ],
        &[("set-cookie", COOKIE), ("content-encoding", "gzip"), ("date", LATER)],
    ],
];

#[test]
fn c_5_responses_without_huffman_and_with_eviction() {
    check_three(
        Some(255),
        RESPONSES,
        [222, 222, 215],
        [
            "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120
             474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
            "4803 3330 37c1 c0bf",
            "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738
             666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33
             3630 303b 2076 6572 7369 6f6e 3d31",
        ],
    );
}

#[test]
fn c_6_responses_with_huffman_and_with_eviction() {
    check_three(
        Some(255),
        RESPONSES,
        [222, 222, 215],
        [
            "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718
             63c7 8f0b 97c8 e9ae 82ae 43d3",
            "4883 640e ffc1 c0bf",
            "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7
             b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
        ],
    );
}

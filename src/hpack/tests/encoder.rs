//! Tests the representations of fields, and which fields enter the encoder's table.

use bytes::BytesMut;
use http::{HeaderName, HeaderValue, StatusCode};

use super::{Fields, decode, hex};
use crate::hpack::{Decoder, Encoder, PseudoName};

/// Encodes regular fields as a block of their own.
fn block(encoder: &mut Encoder, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut out = BytesMut::new();
    for (name, value) in fields {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        encoder.field(&name, &HeaderValue::from_str(value).unwrap(), &mut out);
    }
    out.to_vec()
}

fn status(encoder: &mut Encoder, code: u16) -> Vec<u8> {
    let mut out = BytesMut::new();
    encoder.status(StatusCode::from_u16(code).unwrap(), &mut out);
    out.to_vec()
}

#[test]
fn a_response_costs_an_octet_for_each_field_that_came_before() {
    let mut encoder = Encoder::new();
    let mut decoder = Decoder::new(4096);
    let fields = [
        ("date", "Mon, 21 Oct 2013 20:13:21 GMT"),
        ("server", "linkpush"),
        ("content-type", "text/html; charset=utf-8"),
        ("vary", "accept-encoding"),
        ("cache-control", "public, max-age=3600"),
        ("x-custom", "some"),
    ];
    let first = block(&mut encoder, &fields);
    let owned: Vec<_> = fields
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
        .collect();
    assert_eq!(decode(&mut decoder, &first), Ok(owned.clone()));
    let second = block(&mut encoder, &fields);
    assert_eq!(second, hex("c3c2c1c0bfbe"));
    assert_eq!(decode(&mut decoder, &second), Ok(owned));
}

#[test]
fn statuses_are_static_entries_or_literals_that_are_not_inserted() {
    let mut encoder = Encoder::new();
    let known = [200, 204, 206, 304, 400, 404, 500]
        .map(|code| status(&mut encoder, code))
        .concat();
    assert_eq!(known, hex("88898a8b8c8d8e"));
    assert_eq!(status(&mut encoder, 103), hex("0803 3130 33"));
    assert_eq!(status(&mut encoder, 103), hex("0803 3130 33"));
}

#[test]
fn changing_and_secret_values_are_not_inserted() {
    for name in ["content-length", "etag", "last-modified", "location", "age", "expires"] {
        let mut encoder = Encoder::new();
        let first = block(&mut encoder, &[(name, "1234")]);
        assert_eq!(first[0] & 0xf0, 0, "{name}");
        assert_eq!(block(&mut encoder, &[(name, "1234")]), first);
    }
    for name in ["set-cookie", "cookie", "authorization", "proxy-authorization"] {
        let mut encoder = Encoder::new();
        let first = block(&mut encoder, &[(name, "1234")]);
        assert_eq!(first[0] & 0xf0, 0x10, "{name}");
        assert_eq!(block(&mut encoder, &[(name, "1234")]), first);
    }
    let mut encoder = Encoder::new();
    let mut value = HeaderValue::from_static("secret");
    block(&mut encoder, &[("x-token", "secret")]);
    value.set_sensitive(true);
    let mut out = BytesMut::new();
    encoder.field(&HeaderName::from_static("x-token"), &value, &mut out);
    assert_eq!(out[0], 0x10);
    let mut sink = Fields::default();
    Decoder::new(4096).decode(&out, &mut sink).unwrap();
    assert!(matches!(&sink.fields[0].1, super::Value::Field(value) if value.is_sensitive()));
}

#[test]
fn long_values_are_not_inserted() {
    let mut encoder = Encoder::new();
    let link = format!("</{}>; rel=preload", "a".repeat(200));
    assert_eq!(
        block(&mut encoder, &[("link", &link)]),
        block(&mut encoder, &[("link", &link)])
    );
    let policy = "a".repeat(1100);
    let first = block(&mut encoder, &[("content-security-policy", &policy)]);
    assert_eq!(block(&mut encoder, &[("content-security-policy", &policy)]), first);
    assert_eq!(block(&mut encoder, &[("link", "</a>; rel=preload")])[0], 0x40 | 45);
    assert_eq!(block(&mut encoder, &[("link", "</a>; rel=preload")]), hex("be"));
}

#[test]
fn another_value_of_a_name_is_inserted_when_it_comes_again() {
    let mut encoder = Encoder::new();
    assert_eq!(block(&mut encoder, &[("x-cache", "HIT")])[0], 0x40);
    // The value is not inserted; its name is in the table.
    assert_eq!(block(&mut encoder, &[("x-cache", "MISS")]), hex("0f2f 044d 4953 53"));
    assert_eq!(block(&mut encoder, &[("x-cache", "MISS")])[0], 0x40 | 62);
    assert_eq!(
        block(&mut encoder, &[("x-cache", "MISS"), ("x-cache", "HIT")]),
        hex("bebf")
    );
}

#[test]
fn each_new_date_is_inserted() {
    let mut encoder = Encoder::new();
    for second in 10..60 {
        let date = format!("Mon, 21 Oct 2013 20:13:{second} GMT");
        assert_eq!(block(&mut encoder, &[("date", &date)])[0], 0x40 | 33);
        assert_eq!(block(&mut encoder, &[("date", &date)]), hex("be"));
    }
}

#[test]
fn promises_share_their_authority() {
    let mut encoder = Encoder::new();
    let mut decoder = Decoder::new(4096);
    let mut request = |path: &str| {
        let mut out = BytesMut::new();
        encoder.pseudo(PseudoName::Method, b"GET", &mut out);
        encoder.pseudo(PseudoName::Scheme, b"https", &mut out);
        encoder.pseudo(PseudoName::Authority, b"www.example.com", &mut out);
        encoder.pseudo(PseudoName::Path, path.as_bytes(), &mut out);
        let fields = decode(&mut decoder, &out).unwrap();
        let values: Vec<&[u8]> = fields.iter().map(|(_, value)| &value[..]).collect();
        assert_eq!(values, [&b"GET"[..], b"https", b"www.example.com", path.as_bytes()]);
        out.to_vec()
    };
    assert_eq!(request("/"), hex("8287 418c f1e3 c2e5 f23a 6ba0 ab90 f4ff 84"));
    assert_eq!(request("/index.html"), hex("8287 be85"));
    assert_eq!(request("/a"), hex("8287 be04 022f 61"));
    assert_eq!(request("/a"), hex("8287 be04 022f 61"));
}

#[test]
fn other_pseudo_headers_are_literals() {
    let mut encoder = Encoder::new();
    let mut out = BytesMut::new();
    encoder.pseudo(PseudoName::Method, b"HEAD", &mut out);
    encoder.pseudo(PseudoName::Scheme, b"ws", &mut out);
    encoder.pseudo(PseudoName::Method, b"POST", &mut out);
    assert_eq!(out[..], hex("0204 4845 4144 0602 7773 83"));
}

#[test]
fn a_resized_table_is_announced_at_the_next_block() {
    let mut encoder = Encoder::new();
    let mut decoder = Decoder::new(4096);
    let mut check = |encoder: &mut Encoder, begins: &str, ends: &str| {
        let block = block(encoder, &[("server", "a")]);
        assert_eq!(block, [hex(begins), hex(ends)].concat());
        assert!(decode(&mut decoder, &block).is_ok());
    };
    check(&mut encoder, "", "7601 61");
    // The encoder uses 4,096 octets at most, so no size update is due.
    encoder.set_max_table_size(65_536);
    check(&mut encoder, "", "be");
    encoder.set_max_table_size(1000);
    check(&mut encoder, "3fc9 07", "be");
    check(&mut encoder, "", "be");
    // The smallest size, which evicted the entry, and then the last size.
    encoder.set_max_table_size(0);
    encoder.set_max_table_size(2000);
    check(&mut encoder, "203f b10f", "7601 61");
    encoder.set_max_table_size(0);
    check(&mut encoder, "20", "0f27 0161");
    check(&mut encoder, "", "0f27 0161");
    encoder.set_max_table_size(4096);
    encoder.set_max_table_size(0);
    encoder.set_max_table_size(4096);
    let mut out = BytesMut::new();
    encoder.status(StatusCode::OK, &mut out);
    assert_eq!(out[..], hex("203f e11f 88"));
}

#[test]
fn evicted_fields_are_sent_again() {
    let mut encoder = Encoder::new();
    let mut decoder = Decoder::new(4096);
    for round in 0..3 {
        for nth in 0..200 {
            let fields = [(format!("x-{nth}"), format!("value {nth} {}", "x".repeat(nth + 1)))];
            let borrowed: Vec<_> = fields
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect();
            let block = block(&mut encoder, &borrowed);
            let owned = vec![(fields[0].0.clone(), fields[0].1.clone().into_bytes())];
            assert_eq!(decode(&mut decoder, &block), Ok(owned), "{round} {nth}");
        }
    }
    assert!(decoder.table().contents().1 > 3800);
}

#[test]
fn the_static_pair_of_a_regular_field_is_used() {
    let mut encoder = Encoder::new();
    assert_eq!(block(&mut encoder, &[("accept-encoding", "gzip, deflate")]), hex("90"));
}

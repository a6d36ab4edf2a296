//! Tests bodies with a content coding.

use std::io::Write as _;

use flate2::{Compression, write};

use super::*;

const PAGE: &[u8] = b"<!doctype html><title>t</title><link rel=stylesheet href=/a><script src=/b></script>";

fn gzip(html: &[u8]) -> Vec<u8> {
    let mut encoder = write::GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(html).expect("a vector");
    encoder.finish().expect("a vector")
}

fn deflate(html: &[u8]) -> Vec<u8> {
    let mut encoder = write::DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(html).expect("a vector");
    encoder.finish().expect("a vector")
}

fn zlib(html: &[u8]) -> Vec<u8> {
    let mut encoder = write::ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(html).expect("a vector");
    encoder.finish().expect("a vector")
}

fn zstd(html: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 19).expect("an encoder");
    encoder.write_all(html).expect("a vector");
    encoder.finish().expect("a vector")
}

/// Wraps a body in uncompressed meta-blocks of at most 64 KiB (RFC 7932, section 9.2): no brotli encoder is a
/// dependency.
fn brotli(html: &[u8]) -> Vec<u8> {
    let mut bits: Vec<bool> = Vec::new();
    let push = |bits: &mut Vec<bool>, value: usize, count: u32| bits.extend((0..count).map(|n| value >> n & 1 == 1));
    // WBITS 22: 1, then 101.
    push(&mut bits, 0b1011, 4);
    for block in html.chunks(1 << 16) {
        // ISLAST 0, MNIBBLES 4, MLEN - 1, ISUNCOMPRESSED 1, then whole bytes.
        push(&mut bits, 0, 3);
        push(&mut bits, block.len() - 1, 16);
        push(&mut bits, 1, 1);
        bits.resize(bits.len().next_multiple_of(8), false);
        for byte in block {
            push(&mut bits, usize::from(*byte), 8);
        }
    }
    // ISLAST 1, ISLASTEMPTY 1.
    push(&mut bits, 3, 2);
    let byte = |bits: &[bool]| bits.iter().rev().fold(0, |byte, bit| byte << 1 | u8::from(*bit));
    bits.chunks(8).map(byte).collect()
}

type Encode = fn(&[u8]) -> Vec<u8>;

const CODINGS: [(&[u8], Encode); 6] = [
    (b"gzip", gzip),
    (b" X-GZIP ", gzip),
    (b"deflate", zlib),
    (b"deflate", deflate),
    (b"br", brotli),
    (b"zstd", zstd),
];

fn fields(content_encoding: &[u8]) -> ResponseFields<'_> {
    ResponseFields {
        content_encoding,
        ..HTML
    }
}

#[test]
fn each_coding_is_decoded_from_any_pieces() {
    let expected = read(PAGE);
    assert_eq!(expected.as_ref().map(|found| found.links.len()), Ok(2));
    for (coding, encode) in CODINGS {
        let body = encode(PAGE);
        for length in [1, 2, 7, body.len()] {
            let found = read_pieces(fields(coding), Limits::default(), body.chunks(length));
            assert_eq!(found, expected, "{} in pieces of {length}", coding.escape_ascii());
        }
    }
}

#[test]
fn a_truncated_or_changed_body_gives_no_links() {
    for (coding, encode) in CODINGS {
        let body = encode(PAGE);
        for length in 0..body.len() - 1 {
            let found = read_pieces(fields(coding), Limits::default(), body.get(..length));
            assert_eq!(
                found,
                Err(HtmlReason::Corrupt),
                "{} cut at {length}",
                coding.escape_ascii()
            );
        }
        let other = read_pieces(fields(coding), Limits::default(), [PAGE]);
        assert_eq!(other, Err(HtmlReason::Corrupt), "{} of nothing", coding.escape_ascii());
    }
}

#[test]
fn a_decompression_bomb_is_read_only_in_part() {
    let bomb = [b"<head>", &vec![b' '; 4 << 20][..]].concat();
    for (coding, encode) in CODINGS {
        let body = encode(&bomb);
        for length in [1, 4096, body.len()] {
            let mut reader = HtmlReader::new(Limits::default(), &page(), fields(coding));
            let wanted = body
                .chunks(length)
                .take_while(|piece| reader.feed(piece) == ReaderState::Reading);
            assert!(wanted.count() * length <= Limits::default().body_bytes);
            assert_eq!(
                reader.finish(End::Whole),
                Err(HtmlReason::TooLong),
                "{}",
                coding.escape_ascii()
            );
        }
    }
}

#[test]
fn a_head_in_front_of_a_decompression_bomb_is_read() {
    let page = [PAGE, b"</head>", &vec![b' '; 1 << 20][..]].concat();
    for (coding, encode) in CODINGS {
        let body = encode(&page);
        let found = read_pieces(fields(coding), Limits::default(), [&*body]);
        assert_eq!(found, read(PAGE), "{}", coding.escape_ascii());
    }
}

#[test]
fn windows_larger_than_memory_allows_are_refused() {
    // WBITS 24 is 1, then 111; the large window begins with 10001.
    for first in [0b1111, 0b1_0001] {
        let found = read_pieces(fields(b"br"), Limits::default(), [&[first, 0, 0, 0][..]]);
        assert_eq!(found, Err(HtmlReason::Corrupt));
    }
    // A frame header with a window of 2 GiB (RFC 8878, section 3.1.1.1.2).
    let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3, 0x01, 0x00, 0x00];
    let found = read_pieces(fields(b"zstd"), Limits::default(), [&frame[..]]);
    assert_eq!(found, Err(HtmlReason::Corrupt));
}

//! Tests the Huffman code.

use bytes::BytesMut;
use proptest::prelude::*;

use crate::hpack::huffman::{decode, encode, encoded_len, room};

/// The codes of all 256 octets in their order, then padding.
const ALL: &str = "
    ffc7 fffd 8fff ffe2 ffff fe3f ffff e4ff fffe 5fff ffe6 ffff fe7f ffff e8ff ffea ffff fff3 ffff fa7f ffff abff
    ffff dfff ffeb ffff fecf ffff edff fffe efff ffef ffff ff0f ffff f1ff ffff 2fff ffff bfff ffcf ffff fd3f ffff
    d7ff fffd bfff ffdf ffff fe3f ffff e7ff fffe bfff ffed 4fe3 f9ff affc abf1 febf afef e7fd fd2c bb00 0899 69b7
    1d79 fb9f 7fff 20ff bff3 ff50 ddbd 7f06 1c58 f265 cd9f 469d 5af6 6ddd bf87 1e5f 9cff 7ff7 fffc 3ff9 ffe4 5fff
    4719 242c b34e 6e9d 68a6 a3d7 dac4 26de fe3c faf7 fffb fe7f fbff dfff fffc fffe 6fff f4bf ff9f fffa 3fff d3ff
    ff53 fffd 5fff fb3f ffeb 7fff daff ffb7 ffff 73ff feef fffd efff febf fffb ffff fd9f fffd bfff ebff ffe0 ffff
    eeff ffc3 ffff 8bff ff1f fffe 4fff ee7f ffb1 ffff 97ff fd9f fffc dfff f9ff fffb ffff daff feef fff4 ffff b7ff
    fee7 fffe 8fff fd3f ffde ffff d5ff feef fffb dfff fe1f ffdf ffff 7fff ff5f fffe cfff f07f ff87 fffe 0fff f17f
    ffed ffff 87ff ff77 fffe ffff eaff ff8b fffe 3fff f93f fff8 7fff cbff ff37 ffff 1fff ff83 ffff e1ff febf ffe3
    ffff 3fff ff2f fffa 3fff fd9f ffff 17ff ffc7 ffff f27f fffd efff ffbf ffff f2ff fff8 ffff fb7f ff97 fff8 ffff
    fe6f ffff c1ff fff8 7fff fe7f ffff c5ff ffe5 fffe 4fff f2ff fffd 1fff ff4f ffff feff fffe 3fff ffc9 ffff f97f
    ffb3 ffff cfff fb7f ffcd ffff 4fff f9ff ffd1 ffff cfff feaf fffa ffff fddf fffe ffff ff4f ffff 5fff ffab ffff
    a7ff ffd7 ffff f9bf fffe cfff ffb7 ffff f3ff fffe 8fff ffd3 ffff fabf ffff 5fff ffff 7fff fecf ffff dbff fffb
    bfff ff7f ffff f0ff fffb bf";

fn encoded(plain: &[u8]) -> BytesMut {
    let mut out = BytesMut::new();
    encode(plain, &mut out);
    assert_eq!(out.len(), encoded_len(plain));
    out
}

fn decoded(encoded: &[u8]) -> Option<Vec<u8>> {
    let mut out = vec![0; room(encoded.len())];
    decode(encoded, &mut out).map(|length| out[..length].to_vec())
}

#[test]
fn codes_are_those_of_appendix_b() {
    let all: Vec<u8> = (0..=255).collect();
    assert_eq!(encoded(&all)[..], super::hex(ALL));
    assert_eq!(decoded(&super::hex(ALL)), Some(all));
}

#[test]
fn every_encoded_triple_of_octets_decodes_to_itself() {
    // Covers each length of a code at each bit offset, before each other length.
    for first in 0..=255 {
        assert_eq!(decoded(&encoded(&[first])), Some(vec![first]));
        for second in 0..=255 {
            let pair = [first, second];
            assert_eq!(decoded(&encoded(&pair)), Some(pair.to_vec()));
            for third in [b'0', b'!', 195, 10] {
                let triple = [first, second, third];
                assert_eq!(decoded(&encoded(&triple)), Some(triple.to_vec()));
            }
        }
    }
}

/// Decodes bit by bit.
fn slowly(encoded: &[u8]) -> Option<Vec<u8>> {
    let codes: std::collections::HashMap<(u32, u32), u8> = (0..=255u8)
        .map(|symbol| {
            let length = u32::from(crate::hpack::huffman::LENGTHS[usize::from(symbol)]);
            ((length, crate::hpack::huffman::CODES[usize::from(symbol)]), symbol)
        })
        .collect();
    let (mut code, mut length, mut plain) = (0, 0, vec![]);
    for bit in encoded
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |nth| u32::from(byte >> nth & 1)))
    {
        code = code << 1 | bit;
        length += 1;
        if let Some(symbol) = codes.get(&(length, code)) {
            plain.push(*symbol);
            (code, length) = (0, 0);
        }
        if length >= 30 {
            return None;
        }
    }
    (length < 8 && code == (1 << length) - 1).then_some(plain)
}

proptest! {
    #[test]
    fn any_encoded_string_decodes_to_itself(plain in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert_eq!(decoded(&encoded(&plain)), Some(plain));
    }

    #[test]
    fn any_encoded_text_decodes_to_itself(plain in "[ -~]{0,300}") {
        prop_assert_eq!(decoded(&encoded(plain.as_bytes())), Some(plain.into_bytes()));
    }

    #[test]
    fn any_octets_decode_as_bit_by_bit(encoded in proptest::collection::vec(any::<u8>(), 0..40)) {
        prop_assert_eq!(decoded(&encoded), slowly(&encoded));
    }

    #[test]
    fn octets_of_long_codes_decode_as_bit_by_bit(
        encoded in proptest::collection::vec(prop_oneof![Just(0xff), Just(0xfe), Just(0x7f), any::<u8>()], 0..20),
    ) {
        prop_assert_eq!(decoded(&encoded), slowly(&encoded));
    }
}

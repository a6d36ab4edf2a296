//! Header blocks that a server must not decode (RFC 7541).

use super::script::{COMPRESSION, Check, Expect::ConnectionError, HEADER_TABLE_SIZE, Step, check, expect};

/// `x-test` with Huffman coding, as a new name without indexing.
const NAME: &[u8] = b"\x00\x85\xf2\xb2\x4a\x84\xff";

fn undecodable(request: Step) -> Vec<Step> {
    vec![request, expect(ConnectionError(&[COMPRESSION]))]
}

/// A dynamic table size update (section 6.3).
fn resize(size: u32) -> Vec<u8> {
    let Some(mut rest) = size.checked_sub(31) else {
        return vec![0x20 | size as u8];
    };
    let mut bytes = vec![0x3f];
    while rest >= 128 {
        bytes.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
    bytes
}

pub const CHECKS: &[Check] = &[
    check("hpack/2.3.3/1", "an indexed field, index 70", |p| {
        undecodable(p.get_ending(b"\xc6"))
    }),
    check("hpack/2.3.3/2", "a literal field, index 70", |p| {
        undecodable(p.get_ending(b"\x7f\x07\x00"))
    }),
    check("hpack/4.2/1", "a size update at the end of the block", |p| {
        undecodable(p.get_ending(b"\x21"))
    }),
    check("hpack/5.2/1", "Huffman padding longer than 7 bits", |p| {
        undecodable(p.get_ending(&[NAME, b"\x84\x49\x50\x9f\xff"].concat()))
    }),
    check("hpack/5.2/2", "Huffman padding of zeros", |p| {
        undecodable(p.get_ending(&[NAME, b"\x83\x49\x50\x90"].concat()))
    }),
    check("hpack/5.2/3", "Huffman coding with EOS", |p| {
        undecodable(p.get_ending(&[NAME, b"\x87\x49\x51\xff\xff\xff\xfa\x7f"].concat()))
    }),
    check("hpack/6.1/1", "an indexed field, index 0", |p| {
        undecodable(p.get_ending(b"\x80"))
    }),
    check("hpack/6.3/1", "a size update above HEADER_TABLE_SIZE", |p| {
        undecodable(p.get_beginning(&resize(p.setting(HEADER_TABLE_SIZE, 4096) + 1)))
    }),
];

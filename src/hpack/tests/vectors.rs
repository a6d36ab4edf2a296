//! Decodes blocks that other encoders made of four requests, with size updates in between.

use super::{decode, hex};
use crate::hpack::Decoder;

/// Blocks by connection: a line `# encoder` begins a connection, `= block` a block, and `name value` is a field of it.
const VECTORS: &str = include_str!("vectors.txt");

#[test]
fn blocks_of_other_encoders_are_decoded() {
    let mut blocks = 0;
    for connection in VECTORS.split("# ").skip(1) {
        let mut decoder = Decoder::new(4096);
        for block in connection.split("\n= ").skip(1) {
            let mut lines = block.lines();
            let octets = hex(lines.next().unwrap());
            let fields: Vec<_> = lines
                .map(|line| line.split_once(' ').unwrap())
                .map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()))
                .collect();
            assert_eq!(decode(&mut decoder, &octets), Ok(fields));
            blocks += 1;
        }
    }
    assert_eq!(blocks, 18);
}

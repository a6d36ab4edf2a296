//! Blocks of any bytes, decoded; and any fields, encoded and decoded.

#![no_main]

use linkpush_fuzz::header_blocks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| match bytes.split_first() {
    Some((first, rest)) if first % 2 == 0 => header_blocks::decode(rest),
    Some((_, rest)) => header_blocks::round_trip(rest),
    None => {}
});

//! Blocks of any bytes, decoded; and any fields, encoded and decoded.

#![no_main]

use linkpush_fuzz::fields;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| match bytes.split_first() {
    Some((first, rest)) if first % 2 == 0 => fields::decode(rest),
    Some((_, rest)) => fields::round_trip(rest),
    None => {}
});

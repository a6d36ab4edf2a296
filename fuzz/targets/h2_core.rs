//! A client's bytes and an owner's commands, in any order.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| linkpush_fuzz::h2::drive::connection(bytes));

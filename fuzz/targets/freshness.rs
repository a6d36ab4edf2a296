//! What is kept, and for how long.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| linkpush_fuzz::freshness::freshness(bytes));

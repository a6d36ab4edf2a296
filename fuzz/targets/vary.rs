//! `Vary`, and requests that vary.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| linkpush_fuzz::cache::variants::variants(bytes));

//! Heads of HTTP/1.x requests.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| linkpush_fuzz::listen::request::head(bytes));

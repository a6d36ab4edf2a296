//! What the head of an HTML document makes a browser fetch.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| linkpush_fuzz::heads::heads(bytes));

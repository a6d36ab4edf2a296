//! The `Link` parser, and what targets resolve to.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| linkpush_fuzz::links::links(bytes));

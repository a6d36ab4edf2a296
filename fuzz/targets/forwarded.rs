//! What origins are told of clients.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| linkpush_fuzz::addresses::forwarded(bytes));

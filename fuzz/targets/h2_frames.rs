//! Frames, cut anywhere.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| linkpush_fuzz::h2::frames::frames(bytes));

//! Files of manifests.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| linkpush_fuzz::manifests::manifests(bytes));

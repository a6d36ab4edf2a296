//! PROXY headers, both versions.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| linkpush_fuzz::listen::proxied::proxy_header(bytes));

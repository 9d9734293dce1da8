//! Fuzz target: any bytes as a sandbox's name, a NUL, a `Host` header.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| amikad::promises::host(bytes));

//! Fuzz target: any bytes as amikad's arguments, a NUL between.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| amikad::promises::arguments(bytes));

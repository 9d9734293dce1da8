//! Fuzz target: any bytes as what is written to a log, and asked of it.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| amikad::promises::log(bytes));

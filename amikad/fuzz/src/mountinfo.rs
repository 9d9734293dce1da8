//! Fuzz target: any bytes as `/proc/self/mountinfo`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| amikad::promises::mountinfo(bytes));

//! Fuzz target: any bytes as what a program writes to a terminal.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| amikad::promises::terminal(bytes));

//! Fuzz target: any bytes as `/proc/PID/stat` and `/proc/PID/limits`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| amikad::promises::process_stat(bytes));

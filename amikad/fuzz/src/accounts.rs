//! Fuzz target: any bytes as `/etc/passwd`, `/etc/group` and `--user`, with a NUL between.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| amikad::promises::accounts(bytes));

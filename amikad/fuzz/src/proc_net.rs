//! Fuzz target: any bytes as two bytes of a port, then `/proc/net/tcp`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| amikad::promises::proc_net(bytes));

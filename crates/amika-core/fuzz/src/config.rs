//! Fuzz target: any bytes as `.amika/config.toml`.
#![no_main]

use libfuzzer_sys::fuzz_target;

mod promises;

fuzz_target!(|bytes: &[u8]| promises::config_promises(bytes));

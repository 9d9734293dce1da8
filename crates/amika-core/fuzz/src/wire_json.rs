//! Fuzz target: any bytes as what a sandbox's amikad answers.
#![no_main]

use libfuzzer_sys::fuzz_target;

mod wire_promises;

fuzz_target!(|bytes: &[u8]| wire_promises::wire_promises(bytes));

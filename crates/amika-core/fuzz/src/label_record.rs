//! Fuzz target: any bytes as the labels of a sandbox's container.
#![no_main]

use libfuzzer_sys::fuzz_target;

mod label_promises;

fuzz_target!(|bytes: &[u8]| label_promises::label_promises(bytes));

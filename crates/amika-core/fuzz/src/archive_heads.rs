//! Fuzz target: any bytes as a tar archive that comes out of a sandbox.
#![no_main]

use libfuzzer_sys::fuzz_target;

mod archive_promises;

fuzz_target!(|bytes: &[u8]| archive_promises::archive_promises(bytes));

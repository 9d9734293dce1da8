//! Fuzz target: any bytes as a file in git's configuration syntax.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[expect(dead_code, reason = "the other targets' promises stand there as well")]
mod git_promises;

fuzz_target!(|bytes: &[u8]| git_promises::git_config_promises(bytes));

//! Real repositories, made in temporary directories by the real git, copied and unpacked again: the copy
//! must be what the host has, and the host must be what it was.

#![allow(
    clippy::disallowed_methods,
    reason = "the tests are who calls: what they look for and mark is their own process's"
)]
#![allow(
    clippy::unwrap_used,
    clippy::wildcard_imports,
    reason = "a test fails by panicking, and every file uses the same few helpers"
)]

mod branches;
mod cached;
mod clean;
mod dirty;
mod failures;
mod forge;
mod hostile;
mod hostile_index;
mod hostile_names;
mod hostile_parts;
mod hostile_spellings;
mod lfs_servers;
mod local_urls;
mod modules;
mod programs;
mod shapes;
#[path = "../../amika-core/tests/shared/spellings.rs"]
mod spellings;
mod support;
mod traced;
mod traces;
mod urls;
mod users;

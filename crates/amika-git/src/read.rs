//! A hostile repository's own files, reached from a descriptor name by name, with no link followed.
#![cfg_attr(
    not(test),
    expect(
        dead_code,
        reason = "the generated git directory is what reads by them"
    )
)]

pub(super) mod dir;
pub(super) mod refs;

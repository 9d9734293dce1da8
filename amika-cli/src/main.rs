//! The `amika` program.

fn main() {}

//! The SHA-256 of a content that is passed on.

use std::io::{self, Read};

use sha2::{Digest as _, Sha256};

/// Passes on what it reads, and takes its SHA-256 meanwhile.
pub struct Hashing<R> {
    from: R,
    hash: Sha256,
}

impl<R: Read> Hashing<R> {
    /// Begins.
    pub fn new(from: R) -> Self {
        Self {
            from,
            hash: Sha256::new(),
        }
    }

    /// The SHA-256 of all that was read.
    pub fn finish(self) -> Vec<u8> {
        self.hash.finalize().to_vec()
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        self.hash.update(&buffer[..count]);
        Ok(count)
    }
}

//! Reading along what a remote program writes.

use bytes::Bytes;

use super::Target;

/// Sees each piece before it is written, and may hold it back.
pub(crate) trait Watch: Send {
    /// What is written in place of a piece.
    fn piece(&mut self, target: Target, bytes: Bytes) -> Bytes {
        let _ = target;
        bytes
    }

    /// What is written to standard output once the program ended.
    fn end(&mut self) -> Bytes {
        Bytes::new()
    }
}

/// Looks at nothing.
pub(crate) struct Unwatched;

impl Watch for Unwatched {}

//! What is sent while it is made: who failed first is told.

use std::io;
use std::time::Duration;

use amika_remote::Failure;

/// How long who makes an archive may take to tell what came of it, once its receiver is gone.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What became of what was packed: nothing where the server refused it, since that is what is told then.
///
/// # Errors
/// Why it could not be read, where that is why it was not sent.
pub(super) async fn packed<T, R>(
    sent: &Result<R, Failure>,
    report: impl Future<Output = io::Result<T>>,
) -> io::Result<Option<T>> {
    match sent {
        Ok(_) => report.await.map(Some),
        // Whoever packs may wait for standard input, which nobody needs any more.
        Err(Failure::Refused(_)) => Ok(None),
        Err(_) => match tokio::time::timeout(LAST_WORDS, report).await {
            Ok(Err(error)) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
            _ => Ok(None),
        },
    }
}

//! The end of an operation, as whoever asked for it may ask for it: a value that is waited on, never a drop.

use tokio::sync::watch;

/// Tells an operation how often its end was asked for. A copy of it is told the same.
#[derive(Clone, Debug)]
pub struct Cancel(watch::Receiver<u32>);

/// Asks for the end of the operations that have the other half.
#[derive(Debug)]
pub struct Canceler(watch::Sender<u32>);

/// Both halves.
pub fn new() -> (Canceler, Cancel) {
    let (sender, receiver) = watch::channel(0);
    (Canceler(sender), Cancel(receiver))
}

impl Canceler {
    /// Asks once more.
    pub fn ask(&self) {
        self.0.send_modify(|count| *count += 1);
    }
}

impl Cancel {
    /// Returns once the end was asked for, at once if it already was.
    pub async fn requested(&self) {
        self.requested_times(1).await;
    }

    /// Returns once the end was asked for that many times; never when nobody can ask any more.
    pub async fn requested_times(&self, times: u32) {
        let mut count = self.0.clone();
        if count.wait_for(|count| *count >= times).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn it_counts_and_whoever_dropped_the_other_half_asked_for_nothing() {
        let (canceler, cancel) = new();
        let soon = Duration::from_millis(20);
        assert!(
            tokio::time::timeout(soon, cancel.requested())
                .await
                .is_err()
        );
        canceler.ask();
        cancel.clone().requested().await;
        cancel.requested_times(1).await;
        drop(canceler);
        cancel.requested().await;
        assert!(
            tokio::time::timeout(soon, cancel.requested_times(2))
                .await
                .is_err()
        );
    }
}

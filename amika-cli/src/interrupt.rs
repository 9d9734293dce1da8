//! Ctrl-C, SIGTERM and a closed terminal, as something that a command can wait for.

use futures_util::StreamExt as _;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use tokio::sync::watch;

/// Tells how often the user asked for the end.
#[derive(Clone)]
pub struct Interrupt {
    count: watch::Receiver<u32>,
}

impl Interrupt {
    /// Takes the signals over from now on.
    ///
    /// # Errors
    /// When the system refuses to install the handlers.
    pub fn install() -> std::io::Result<Self> {
        let mut signals = signal_hook_tokio::Signals::new([SIGINT, SIGTERM, SIGHUP])?;
        let (sender, count) = watch::channel(0);
        tokio::spawn(async move {
            while signals.next().await.is_some() {
                sender.send_modify(|count| *count += 1);
            }
        });
        Ok(Self { count })
    }

    /// Returns once the end was asked for, at once if it already was.
    pub async fn requested(&self) {
        self.requested_times(1).await;
    }

    /// Returns once the end was asked for that many times.
    pub async fn requested_times(&self, times: u32) {
        let mut count = self.count.clone();
        if count.wait_for(|count| *count >= times).await.is_err() {
            // The signal task cannot end before the runtime does.
            std::future::pending::<()>().await;
        }
    }
}

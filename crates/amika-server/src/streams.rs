//! Streams that outlive the request that opened them: counted, and brought to their end with the server.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use tokio::sync::watch;

use crate::api::error::ApiError;

/// Streams of one user at once.
const OF_ONE: usize = 200;

/// Streams of all at once.
const OF_ALL: usize = 2000;

/// How long they may take for their end once the server is asked to end.
const DRAIN: Duration = Duration::from_secs(5);

/// Those that are open.
#[derive(Debug)]
pub struct Streams {
    open: Mutex<HashMap<String, usize>>,
    count: watch::Sender<usize>,
    ending: watch::Receiver<bool>,
}

/// A stream's place, for as long as it is open.
pub struct Place {
    streams: Arc<Streams>,
    user_id: String,
    end: watch::Receiver<bool>,
}

impl Streams {
    /// None yet; they end once `ending` turns true.
    pub fn new(ending: watch::Receiver<bool>) -> Self {
        Self {
            open: Mutex::default(),
            count: watch::Sender::new(0),
            ending,
        }
    }

    /// A place for one more stream of a user's.
    ///
    /// # Errors
    /// 429 where the user, or all together, have as many as may be.
    pub fn take(self: &Arc<Self>, user_id: &str) -> Result<Place, ApiError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let own = open.get(user_id).copied().unwrap_or_default();
        if own >= OF_ONE || open.values().sum::<usize>() >= OF_ALL {
            let message = format!("too many streams are open: {own} are yours");
            return Err(
                ApiError::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", message)
                    .retry_after(5),
            );
        }
        open.insert(user_id.to_owned(), own + 1);
        self.count.send_modify(|count| *count += 1);
        Ok(Place {
            streams: Arc::clone(self),
            user_id: user_id.to_owned(),
            end: self.ending.clone(),
        })
    }

    /// Waits for the end of all, for a while.
    pub async fn ended(&self) {
        let mut count = self.count.subscribe();
        let none = count.wait_for(|count| *count == 0);
        if tokio::time::timeout(DRAIN, none).await.is_err() {
            tracing::warn!("streams were cut off");
        }
    }
}

impl Place {
    /// Returns once the server ends.
    pub async fn over(&self) {
        over(self.end.clone()).await;
    }
}

/// Returns once the server ends.
pub async fn over(mut end: watch::Receiver<bool>) {
    if end.wait_for(|end| *end).await.is_err() {
        std::future::pending::<()>().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self
            .streams
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = open.get_mut(&self.user_id) {
            *own -= 1;
            if *own == 0 {
                open.remove(&self.user_id);
            }
        }
        self.streams.count.send_modify(|count| *count -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn places_are_bounded_given_back_and_end_with_the_server() {
        let ending = watch::Sender::new(false);
        let streams = Arc::new(Streams::new(ending.subscribe()));
        let taken: Vec<Place> = (0..OF_ONE)
            .map(|_| streams.take("ada").expect("a place"))
            .collect();
        let refused = streams.take("ada").err().expect("full");
        assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
        let other = streams.take("bob").expect("another user's");
        drop(taken);
        let again = streams.take("ada").expect("given back");
        ending.send_replace(true);
        again.over().await;
        other.over().await;
        drop((again, other));
        tokio::time::timeout(Duration::from_secs(1), streams.ended())
            .await
            .expect("none is left");
    }
}

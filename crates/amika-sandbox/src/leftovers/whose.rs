//! Whose an unfinished thing is: what somebody may be at work on is no leftover.

use amika_core::label::{Creator, Labels, key};

use crate::creator::{self, Life};

/// What is not there for so long, in seconds, nobody is making any more.
pub(super) const LONGEST_CREATE: u64 = 24 * 3600;

/// Whose an unfinished thing is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// Nobody's who lives: this user's, or that of an earlier amika.
    Left,
    /// Somebody is at work on it, or may be.
    InWork,
    /// Of somebody who cannot be seen from here, and too old to be in work.
    Others(String),
}

/// Tells whose a thing is that was made at a moment; both in seconds since the Unix epoch.
pub(super) fn whose(
    creator: Option<&Creator>,
    made: Option<u64>,
    now: u64,
    life: impl Fn(&Creator) -> Life,
) -> Whose {
    let Some(creator) = creator else {
        return Whose::Left;
    };
    match (life(creator), made) {
        (Life::Dead, _) => Whose::Left,
        (Life::Unseen, Some(made)) if made + LONGEST_CREATE <= now => {
            let user = creator
                .uid
                .map_or_else(String::new, |uid| format!("user {uid} "));
            let host = amika_core::untrusted::Untrusted::new(&creator.host);
            let age = (now - made) / 3600;
            Whose::Others(format!("{user}on {host}, {age} h ago"))
        }
        (Life::Alive | Life::Unseen, _) => Whose::InWork,
    }
}

/// [`whose`], of a volume or network of ours.
pub(super) fn whose_labels(labels: &Labels) -> Whose {
    let label = |key: &str| labels.get(key).map(String::as_str);
    let made = label(key::CREATED_AT).and_then(|at| at.parse::<u64>().ok());
    let now = amika_host::clock::now_millis() / 1000;
    let creator = Creator::from_labels(label);
    whose(
        creator.as_ref(),
        made.map(|at| at / 1000),
        now,
        creator::life,
    )
}

//! What happens, told to whoever follows: numbered, and kept for a while for those who come again.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::broadcast;

/// How much is kept: for who comes again, and for who reads slowly.
const KEPT: usize = 1024;

/// What something is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A sandbox is shown otherwise than before.
    Sandbox,
    /// A sandbox is no more.
    SandboxGone,
    /// A step of an operation.
    Step,
    /// How an operation ended.
    Operation,
}

impl Subject {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sandbox => "sandbox",
            Self::SandboxGone => "sandbox_gone",
            Self::Step => "step",
            Self::Operation => "operation",
        }
    }
}

/// Something that happened.
#[derive(Debug)]
pub struct Told {
    /// Counts up, from 1.
    pub number: u64,
    /// Whose it is; nobody's is the administrators'.
    pub owner: Option<String>,
    /// What it is about.
    pub subject: Subject,
    /// The id of the sandbox, or of the operation.
    pub id: String,
    /// The number of the step among all steps, where it is one.
    pub step: Option<i64>,
    /// One line of JSON.
    pub data: String,
}

/// Takes what happens and tells it on. It never waits for who follows.
#[derive(Debug)]
pub struct Bus {
    /// Tells this process's numbers from those of one before.
    run: String,
    kept: Mutex<Kept>,
    live: broadcast::Sender<Arc<Told>>,
}

#[derive(Debug, Default)]
struct Kept {
    last: u64,
    told: VecDeque<Arc<Told>>,
}

/// What follows for somebody.
pub struct Following {
    /// What he missed, where all of it is known.
    pub missed: Option<Vec<Arc<Told>>>,
    /// The number of the last thing that happened before.
    pub after: u64,
    /// What happens from now on.
    pub live: broadcast::Receiver<Arc<Told>>,
}

impl Default for Bus {
    fn default() -> Self {
        Self {
            run: amika_core::hex::hex(&rand::random::<[u8; 4]>()),
            kept: Mutex::default(),
            live: broadcast::Sender::new(KEPT),
        }
    }
}

impl Bus {
    /// Tells something.
    pub fn tell(
        &self,
        owner: Option<&str>,
        subject: Subject,
        id: &str,
        step: Option<i64>,
        data: String,
    ) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.last += 1;
        let told = Arc::new(Told {
            number: kept.last,
            owner: owner.map(str::to_owned),
            subject,
            id: id.to_owned(),
            step,
            data,
        });
        if kept.told.len() == KEPT {
            kept.told.pop_front();
        }
        kept.told.push_back(Arc::clone(&told));
        // Nobody may be following.
        let _ = self.live.send(told);
    }

    /// The id by which somebody comes again after this number.
    pub fn id(&self, number: u64) -> String {
        format!("{}-{number}", self.run)
    }

    /// What happens from now on, and what happened since the id that somebody was told last.
    pub fn follow(&self, last: Option<&str>) -> Following {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = last.and_then(|last| last.strip_prefix(&self.run)?.strip_prefix('-'));
        let seen = seen.and_then(|number| number.parse::<u64>().ok());
        let first = kept.told.front().map_or(kept.last + 1, |told| told.number);
        // What came right after it must still be known.
        let seen = seen.filter(|seen| (first - 1..=kept.last).contains(seen));
        Following {
            missed: seen.map(|seen| {
                let missed = kept.told.iter().filter(|told| told.number > seen);
                missed.cloned().collect()
            }),
            after: kept.last,
            live: self.live.subscribe(),
        }
    }
}

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;

    use super::*;

    fn tell(bus: &Bus, times: usize) {
        for _ in 0..times {
            bus.tell(None, Subject::Sandbox, "x", None, "{}".to_owned());
        }
    }

    fn missed(bus: &Bus, last: Option<&str>) -> Option<Vec<u64>> {
        let missed = bus.follow(last).missed?;
        Some(missed.iter().map(|told| told.number).collect())
    }

    #[test]
    fn who_comes_again_is_told_what_he_missed_or_that_it_begins_anew() {
        let bus = Bus::default();
        assert_eq!(missed(&bus, None), None);
        assert_eq!(missed(&bus, Some(&bus.id(0))), Some(vec![]));
        tell(&bus, 3);
        assert_eq!(missed(&bus, Some(&bus.id(1))), Some(vec![2, 3]));
        assert_eq!(missed(&bus, Some(&bus.id(3))), Some(vec![]));
        // Of another process, of the future, or nothing that was ever told.
        for id in [Bus::default().id(1), bus.id(4), "1".into(), "é-1".into()] {
            assert_eq!(missed(&bus, Some(&id)), None, "{id}");
        }
        tell(&bus, KEPT);
        assert_eq!(missed(&bus, Some(&bus.id(2))), None, "3 is forgotten");
        assert_eq!(
            missed(&bus, Some(&bus.id(3))).map(|it| it.len()),
            Some(KEPT)
        );
    }

    #[test]
    fn nothing_is_missed_between_what_was_and_what_comes_and_memory_has_a_bound() {
        let bus = Bus::default();
        tell(&bus, 2);
        let mut following = bus.follow(Some(&bus.id(1)));
        tell(&bus, 1);
        assert_eq!(following.missed.unwrap().len(), 1);
        assert_eq!(following.live.try_recv().unwrap().number, 3);
        tell(&bus, KEPT + 1);
        let late = following.live.try_recv();
        assert!(
            matches!(late, Err(broadcast::error::TryRecvError::Lagged(1))),
            "{late:?}"
        );
        assert_eq!(bus.kept.lock().unwrap().told.len(), KEPT);
    }
}

//! A list of tasks of one kind: bounded in those that run and in those that ended.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a list has to know of what it keeps.
pub(crate) trait Keeps {
    /// By what it is asked for.
    fn name(&self) -> &str;
    /// Whether it is over.
    fn has_ended(&self) -> bool;
}

/// Why nothing more is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// So many run.
    TooMany(usize),
    /// One of that name runs.
    NameTaken,
}

/// The tasks of one kind, the oldest first.
#[derive(Debug)]
pub(crate) struct Kept<T> {
    /// So many may run at a time.
    running: usize,
    /// So many that ended are kept.
    ended: usize,
    list: Mutex<Vec<Arc<T>>>,
    last: AtomicU64,
}

impl<T: Keeps> Kept<T> {
    /// None yet.
    pub(crate) const fn new(running: usize, ended: usize) -> Self {
        Self {
            running,
            ended,
            list: Mutex::new(Vec::new()),
            last: AtomicU64::new(0),
        }
    }

    /// A number that no other has.
    pub(crate) fn next_number(&self) -> u64 {
        self.last.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Takes one in. Those that it takes the place of are returned, since what they hold may take its time to be let
    /// go: one of its name that ended, and the oldest that did where there are too many.
    pub(crate) fn add(&self, one: Arc<T>) -> Result<Vec<Arc<T>>, Full> {
        let mut list = self.lock();
        if list.iter().filter(|other| !other.has_ended()).count() >= self.running {
            return Err(Full::TooMany(self.running));
        }
        let is_name_sake = |other: &Arc<T>| other.name() == one.name();
        if list
            .iter()
            .any(|other| is_name_sake(other) && !other.has_ended())
        {
            return Err(Full::NameTaken);
        }
        let others = list.iter().filter(|other| !is_name_sake(other));
        let ended = others.filter(|other| other.has_ended()).count();
        let mut surplus = ended.saturating_sub(self.ended);
        let mut gone = Vec::new();
        list.retain(|other| {
            let is_surplus = surplus > 0 && other.has_ended() && !is_name_sake(other);
            surplus -= usize::from(is_surplus);
            let goes = is_surplus || is_name_sake(other);
            if goes {
                gone.push(other.clone());
            }
            !goes
        });
        list.push(one);
        Ok(gone)
    }

    /// Takes one out that came to nothing.
    pub(crate) fn remove(&self, one: &Arc<T>) {
        self.lock().retain(|other| !Arc::ptr_eq(other, one));
    }

    /// All of them, the oldest first.
    pub(crate) fn all(&self) -> Vec<Arc<T>> {
        self.lock().clone()
    }

    /// The one of this name.
    pub(crate) fn find(&self, name: &str) -> Option<Arc<T>> {
        let list = self.lock();
        list.iter().find(|one| one.name() == name).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<T>>> {
        // A list that nobody reads any more would be worse than one that somebody panicked over.
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    #[derive(Debug)]
    struct One(String, AtomicBool);

    impl Keeps for One {
        fn name(&self) -> &str {
            &self.0
        }

        fn has_ended(&self) -> bool {
            self.1.load(Ordering::Relaxed)
        }
    }

    fn one(name: &str, ended: bool) -> Arc<One> {
        Arc::new(One(name.to_owned(), AtomicBool::new(ended)))
    }

    fn names(list: &[Arc<One>]) -> Vec<&str> {
        list.iter().map(|one| one.name()).collect()
    }

    #[test]
    fn so_many_run_and_no_more() {
        let kept = Kept::new(2, 2);
        let first = one("a", false);
        kept.add(first.clone()).unwrap();
        kept.add(one("b", false)).unwrap();
        assert_eq!(kept.add(one("c", false)).unwrap_err(), Full::TooMany(2));
        first.1.store(true, Ordering::Relaxed);
        assert!(kept.add(one("c", false)).unwrap().is_empty());
        assert_eq!(names(&kept.all()), ["a", "b", "c"]);
    }

    #[test]
    fn the_oldest_that_ended_go_and_those_that_run_stay() {
        let kept = Kept::new(9, 2);
        kept.add(one("runs", false)).unwrap();
        for name in ["a", "b", "c"] {
            assert!(kept.add(one(name, true)).unwrap().is_empty(), "{name}");
        }
        assert_eq!(names(&kept.add(one("d", false)).unwrap()), ["a"]);
        assert_eq!(names(&kept.all()), ["runs", "b", "c", "d"]);
    }

    #[test]
    fn a_name_is_free_again_once_its_bearer_ended() {
        let kept = Kept::new(9, 9);
        let first = one("main", false);
        kept.add(first.clone()).unwrap();
        assert_eq!(kept.add(one("main", false)).unwrap_err(), Full::NameTaken);
        assert!(Arc::ptr_eq(&kept.find("main").unwrap(), &first));
        first.1.store(true, Ordering::Relaxed);
        let second = one("main", false);
        assert_eq!(names(&kept.add(second.clone()).unwrap()), ["main"]);
        assert!(Arc::ptr_eq(&kept.find("main").unwrap(), &second));
        assert_eq!(kept.all().len(), 1);
        kept.remove(&second);
        assert!(kept.all().is_empty());
    }
}

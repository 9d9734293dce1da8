//! What an operation tells while it works: a sink that a door has, and the steps that are told to it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use amika_core::diagnostic::Diagnostic;

/// Something that an operation tells.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A step was begun.
    Begun {
        /// Its name.
        step: &'a str,
    },
    /// A line of output that belongs to the step under way, to keep.
    Line(&'a str),
    /// How far the step under way is: the next word takes the place of it.
    Progress(&'a str),
    /// A step came to its end.
    Ended {
        /// Its name.
        step: &'a str,
        /// What came of it; may be empty.
        result: &'a str,
        /// How long it took.
        took: Duration,
        /// Whether it did what it was for.
        succeeded: bool,
    },
    /// Something that must not be overlooked.
    Warning(&'a str),
    /// Something that may help.
    Note(&'a str),
    /// Something about a place in a file, which does not keep it from being used.
    Finding {
        /// The file.
        path: &'a str,
        /// What is in it.
        text: &'a str,
        /// The place, and what is to say of it.
        finding: &'a Diagnostic,
    },
}

/// Where a door shows what is told, or keeps it.
pub trait Progress: Send + Sync {
    /// Takes what is told. It may not wait for anybody.
    fn tell(&self, event: Event<'_>);

    /// Whether anybody is shown the steps and their lines.
    fn shows_steps(&self) -> bool;

    /// What a step is called where it is shown.
    fn title(&self, step: &str) -> String {
        step.to_owned()
    }
}

impl dyn Progress + '_ {
    /// Tells something that must not be overlooked.
    pub fn warn(&self, message: &str) {
        self.tell(Event::Warning(message));
    }

    /// Tells something that may help.
    pub fn note(&self, message: &str) {
        self.tell(Event::Note(message));
    }

    /// Tells something about a place in a file.
    pub fn finding(&self, path: &str, text: &str, finding: &Diagnostic) {
        self.tell(Event::Finding {
            path,
            text,
            finding,
        });
    }
}

/// Steps of an operation, one at a time, told as they begin and end, and how long each took.
pub struct Steps {
    to: Arc<dyn Progress>,
    current: Option<(String, Instant)>,
    finished: Vec<(String, u64)>,
}

impl Steps {
    /// No step yet.
    pub fn new(to: Arc<dyn Progress>) -> Self {
        Self {
            to,
            current: None,
            finished: Vec::new(),
        }
    }

    /// Whether anybody is shown them.
    pub fn are_shown(&self) -> bool {
        self.to.shows_steps()
    }

    /// What a step is called where it is shown.
    pub fn title(&self, step: &str) -> String {
        self.to.title(step)
    }

    /// Begins a step; one that is under way is finished first.
    pub fn begin(&mut self, step: &str) {
        if self.current.is_some() {
            self.finish("");
        }
        self.to.tell(Event::Begun { step });
        self.current = Some((step.to_owned(), Instant::now()));
    }

    /// Tells a line of output that belongs to the step under way.
    pub fn line(&mut self, text: &str) {
        self.to.tell(Event::Line(text));
    }

    /// Tells how far the step under way is, in place of what was told of that before.
    pub fn progress(&mut self, text: &str) {
        if self.current.is_some() {
            self.to.tell(Event::Progress(text));
        }
    }

    /// Ends the step under way, with what came of it.
    pub fn finish(&mut self, result: &str) {
        self.end(result, true, None);
    }

    /// Ends the step under way, of which others measured how long it took: what is watched from here may
    /// have begun earlier.
    pub fn finish_after(&mut self, result: &str, took: Duration) {
        self.end(result, true, Some(took));
    }

    /// Ends the step under way as failed.
    pub fn fail(&mut self, result: &str) {
        self.end(result, false, None);
    }

    /// The finished steps with their times in milliseconds.
    pub fn timings(&self) -> &[(String, u64)] {
        &self.finished
    }

    fn end(&mut self, result: &str, succeeded: bool, measured: Option<Duration>) {
        let Some((step, since)) = self.current.take() else {
            return;
        };
        let took = measured.unwrap_or_else(|| since.elapsed());
        self.to.tell(Event::Ended {
            step: &step,
            result,
            took,
            succeeded,
        });
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        self.finished.push((step, millis));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, PoisonError};

    use super::*;

    /// Keeps what it is told, in words.
    #[derive(Default)]
    struct Kept(Mutex<Vec<String>>);

    impl Progress for Kept {
        fn tell(&self, event: Event<'_>) {
            let word = match event {
                Event::Begun { step } => format!("begun {step}"),
                Event::Line(text) => format!("line {text}"),
                Event::Progress(text) => format!("progress {text}"),
                Event::Ended {
                    step,
                    result,
                    succeeded,
                    ..
                } => format!("ended {step} {result:?} {succeeded}"),
                Event::Warning(text) => format!("warning {text}"),
                Event::Note(text) => format!("note {text}"),
                Event::Finding { path, .. } => format!("finding {path}"),
            };
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            kept.push(word);
        }

        fn shows_steps(&self) -> bool {
            true
        }
    }

    #[test]
    fn each_step_that_begins_ends_once_whatever_comes_between() {
        let kept = Arc::new(Kept::default());
        let mut steps = Steps::new(Arc::<Kept>::clone(&kept));
        steps.progress("of nothing");
        steps.begin("image");
        steps.progress("50%");
        // The next one ends it.
        steps.begin("setup");
        steps.line("hello");
        steps.fail("no");
        steps.finish("twice");
        steps.begin("start");
        steps.finish_after("good", Duration::from_millis(7));
        let told = kept.0.lock().unwrap_or_else(PoisonError::into_inner);
        assert_eq!(
            *told,
            [
                "begun image",
                "progress 50%",
                "ended image \"\" true",
                "begun setup",
                "line hello",
                "ended setup \"no\" false",
                "begun start",
                "ended start \"good\" true",
            ]
        );
        let names: Vec<_> = steps.timings().iter().map(|(name, _)| &name[..]).collect();
        assert_eq!(names, ["image", "setup", "start"]);
        assert_eq!(steps.timings()[2].1, 7);
    }
}

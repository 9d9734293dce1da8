//! The last line of the terminal while a step is under way: what it is, and for how long already. Whoever else writes
//! there takes it away first ([`aside`]); it comes again below.
//!
//! A thread of its own draws it: a step may keep the only other one busy.

use std::io::{IsTerminal as _, Write as _};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anstyle::AnsiColor;
use unicode_width::UnicodeWidthChar as _;

/// From one picture to the next.
const FRAME: Duration = Duration::from_millis(100);
const FRAMES: [char; 10] = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
/// A step of less than this is over before anybody reads how long it takes.
const MOMENT: Duration = Duration::from_secs(1);

static STATE: Mutex<State> = Mutex::new(State {
    steps: Vec::new(),
    next: 0,
    frame: 0,
    is_drawn: false,
    is_still: false,
    has_thread: false,
});

/// What is under way.
pub(super) struct State {
    steps: Vec<Step>,
    next: u64,
    frame: usize,
    /// Whether the cursor stands behind the line.
    is_drawn: bool,
    /// Whether somebody is asked something: nothing is drawn over the question.
    is_still: bool,
    has_thread: bool,
}

struct Step {
    id: u64,
    title: String,
    /// How far it is.
    detail: String,
    since: Instant,
}

impl State {
    fn line(&self, room: usize) -> Option<String> {
        let step = self.steps.last()?;
        let others = match self.steps.len() {
            1 => String::new(),
            steps => format!(" (and {} more)", steps - 1),
        };
        let took = match step.since.elapsed() {
            took if took < MOMENT => String::new(),
            took => format!(" {} s", took.as_secs()),
        };
        let gap = if step.detail.is_empty() { "" } else { "  " };
        let line = format!("{}{others}{took}{gap}{}", step.title, step.detail);
        // The picture and its blank, and the last column: a line that wraps could not be taken away again.
        Some(cut(&line, room.saturating_sub(3)))
    }

    fn draw(&mut self) {
        let told = rustix::termios::tcgetwinsize(std::io::stderr());
        let room = told.map_or(0, |size| usize::from(size.ws_col));
        let Some(line) = self.line(room).filter(|_| !self.is_still) else {
            return;
        };
        let picture = FRAMES[self.frame % FRAMES.len()];
        self.frame += 1;
        self.clear();
        let cyan = AnsiColor::Cyan.on_default();
        let mut err = anstream::stderr().lock();
        let _ = write!(err, "{cyan}{picture}{cyan:#} {line}");
        let _ = err.flush();
        self.is_drawn = true;
    }

    fn clear(&mut self) {
        if std::mem::take(&mut self.is_drawn) {
            // Past what strips colours: NO_COLOR asks for no other stillness.
            let _ = write!(std::io::stderr().lock(), "\r\x1b[K");
        }
    }
}

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether standard error can show a line that the next takes the place of.
fn can_draw() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term != "dumb") && std::io::stderr().is_terminal()
}

/// Takes the line away for as long as the guard lives. It is asked for before a stream, as everywhere here: two that
/// wait for each other's would wait for ever.
pub(super) fn aside() -> MutexGuard<'static, State> {
    let mut state = state();
    state.clear();
    state
}

/// Takes the line away until a step begins or tells of itself: somebody is asked something.
pub(super) fn still() {
    aside().is_still = true;
}

/// Takes the line away for good: what follows is the last that is said.
pub(super) fn end() -> MutexGuard<'static, State> {
    let mut state = aside();
    state.steps.clear();
    state
}

/// A step that is under way; it is over with its guard.
pub(super) struct Spinning(u64);

impl Spinning {
    /// Shows a step, where that can be shown.
    pub(super) fn begin(title: &str) -> Option<Self> {
        if !can_draw() {
            return None;
        }
        let mut state = state();
        let id = state.next;
        state.next += 1;
        state.steps.push(Step {
            id,
            title: title.to_owned(),
            detail: String::new(),
            since: Instant::now(),
        });
        state.is_still = false;
        state.draw();
        if !std::mem::replace(&mut state.has_thread, true) {
            let drawing = std::thread::Builder::new().name("spinner".into());
            state.has_thread = drawing.spawn(go_on).is_ok();
        }
        Some(Self(id))
    }

    /// Tells how far the step is.
    pub(super) fn tell(&self, detail: &str) {
        let mut state = state();
        if let Some(step) = state.steps.iter_mut().find(|step| step.id == self.0) {
            detail.clone_into(&mut step.detail);
        }
        state.is_still = false;
        state.draw();
    }
}

impl Drop for Spinning {
    fn drop(&mut self) {
        let mut state = aside();
        state.steps.retain(|step| step.id != self.0);
        state.is_still = false;
    }
}

/// Draws until nothing is under way.
fn go_on() {
    loop {
        std::thread::sleep(FRAME);
        let mut state = state();
        if state.steps.is_empty() {
            state.has_thread = false;
            return;
        }
        state.draw();
    }
}

/// As much of a text as has room.
fn cut(text: &str, room: usize) -> String {
    let mut left = room;
    text.chars()
        .take_while(|found| match left.checked_sub(found.width().unwrap_or(0)) {
            Some(rest) => {
                left = rest;
                true
            }
            None => false,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_fits_its_room() {
        for (text, room, shown) in [
            ("50% (1/2)", 80, "50% (1/2)"),
            ("50% (1/2)", 3, "50%"),
            ("größe", 3, "grö"),
            ("世界", 3, "世"),
            ("50%", 0, ""),
        ] {
            assert_eq!(cut(text, room), shown);
        }
    }

    #[test]
    fn a_step_that_takes_longer_says_how_long_and_how_many_there_are() {
        let step = |title: &str, seconds, detail: &str| Step {
            id: 0,
            title: title.to_owned(),
            detail: detail.to_owned(),
            since: Instant::now()
                .checked_sub(Duration::from_secs(seconds))
                .expect("the machine is up for longer"),
        };
        let line = |steps: Vec<Step>, room| {
            let state = State {
                steps,
                next: 0,
                frame: 0,
                is_drawn: false,
                is_still: false,
                has_thread: false,
            };
            state.line(room)
        };
        assert_eq!(line(Vec::new(), 80), None);
        let short = line(vec![step("image", 0, "")], 80);
        assert_eq!(short.as_deref(), Some("image"));
        let two = vec![step("a: setup", 9, ""), step("b: setup", 12, "50%")];
        let told = line(two, 80);
        assert_eq!(told.as_deref(), Some("b: setup (and 1 more) 12 s  50%"));
        let narrow = line(vec![step("image", 12, "")], 10);
        assert_eq!(narrow.as_deref(), Some("image 1"));
    }
}

//! A model of what a terminal shows, so that whoever comes sees it, and a terminal that nobody looks at costs no more
//! than its cells.
//!
//! The model is `vt100`'s. What it does not have is lost to who comes later: pictures, tab stops, the region that
//! scrolls.

use std::num::NonZeroU16;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::Size;
use super::unfinished::Unfinished;
use crate::say::note;

/// Puts a terminal of any state into one from which the model's text leads to the model's state.
const RESET: &[u8] =
    b"\x1b[?1049l\x1b[!p\x1b[?9l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1005l\x1b[?1006l\x1b[?6l\
    \x1b[r\x1b[0 q\x1b[m";

/// What a terminal shows.
pub(crate) struct Screen {
    parser: vt100::Parser,
    unfinished: Unfinished,
}

impl Screen {
    /// An empty one.
    pub(crate) fn new(size: Size) -> Self {
        Self {
            parser: parser(size),
            unfinished: Unfinished::default(),
        }
    }

    /// Takes in what its program wrote.
    pub(crate) fn process(&mut self, bytes: &[u8]) {
        self.guarded(|screen| {
            screen.parser.process(bytes);
            screen.unfinished.take_in(bytes);
        });
    }

    /// Gives it another size.
    pub(crate) fn resize(&mut self, (columns, rows): Size) {
        self.guarded(|screen| screen.parser.set_size(cells(rows), cells(columns)));
    }

    /// Does `step`. What a program writes is hostile: what the model cannot bear costs the picture, and nothing else.
    fn guarded(&mut self, step: impl FnOnce(&mut Self)) {
        let (rows, columns) = self.parser.screen().size();
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| step(self))) {
            if cfg!(any(test, fuzzing)) {
                // Here it is to be found out.
                resume_unwind(panic);
            }
            note("a terminal's output could not be followed; its picture begins anew");
            *self = Self::new((columns.get(), rows.get()));
        }
    }

    /// What makes a terminal of the same size show it, whatever that showed before.
    pub(crate) fn picture(&self) -> Vec<u8> {
        let screen = self.parser.screen();
        let mut bytes = RESET.to_vec();
        if screen.alternate_screen() {
            // What comes back once the program leaves it.
            let (rows, columns) = screen.size();
            let mut main = parser((columns.get(), rows.get()));
            *main.screen_mut() = screen.clone();
            main.process(b"\x1b[?47l");
            bytes.extend(main.screen().contents_formatted().into_bytes());
            bytes.extend(b"\x1b[?1049h");
        }
        bytes.extend(screen.state_formatted().into_bytes());
        bytes.extend(self.unfinished.bytes());
        bytes
    }

    /// Its text, without empty lines at its end.
    pub(crate) fn text(&self) -> String {
        let text = self.parser.screen().contents();
        let mut text = text.trim_end().to_owned();
        text.push('\n');
        text
    }
}

fn parser((columns, rows): Size) -> vt100::Parser {
    vt100::Parser::new(cells(rows), cells(columns), 0)
}

fn cells(count: u16) -> NonZeroU16 {
    NonZeroU16::new(count).unwrap_or(NonZeroU16::MIN)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SIZE: Size = (20, 6);

    fn shown(bytes: &[u8]) -> Screen {
        let mut screen = Screen::new(SIZE);
        screen.process(bytes);
        screen
    }

    /// All that the model tells of itself.
    fn told(screen: &Screen) -> (String, (u16, u16), bool) {
        let screen = screen.parser.screen();
        (
            screen.state_formatted(),
            screen.cursor_position(),
            screen.alternate_screen(),
        )
    }

    #[test]
    fn who_comes_late_sees_what_is_there() {
        let screen = shown(b"one\r\n\x1b[31mtwo\x1b[m\r\nthree\x1b[2;2H\x1b[?2004h");
        assert_eq!(screen.text(), "one\ntwo\nthree\n");
        // Whatever was there before.
        let mut viewer = shown(b"\x1b[?1049h\x1b[?1003h\x1b[?6h\x1b[2;3r\x1b[4 q\x1b[7mother");
        viewer.process(&screen.picture());
        assert_eq!(told(&viewer), told(&screen));
    }

    #[test]
    fn a_program_that_has_the_whole_screen_gives_the_one_before_back() {
        let mut screen = shown(b"$ vi\r\n\x1b[?1049h\x1b[2J\x1b[Hthe file");
        let mut viewer = Screen::new(SIZE);
        viewer.process(&screen.picture());
        assert_eq!(viewer.text(), "the file\n");
        for one in [&mut screen, &mut viewer] {
            one.process(b"\x1b[?1049l$ ");
        }
        assert_eq!(viewer.text(), "$ vi\n$\n");
        assert_eq!(told(&viewer), told(&screen));
    }

    #[test]
    fn a_size_may_be_anything_at_any_time() {
        let mut screen = shown("wide 字字字字字字字字字字字\x1b[3;9H".as_bytes());
        for size in [(1, 1), (2, 1), (1, 300), (500, 300), (3, 2), SIZE] {
            screen.resize(size);
            screen.process("字é\u{301}x\r\n\x1b[2J\x1b[999;999H字".as_bytes());
            let _ = screen.picture();
        }
    }

    /// Bytes as programs write them, with others between.
    fn output() -> impl Strategy<Value = Vec<u8>> {
        let word = prop_oneof![
            6 => proptest::sample::select(vec![
                "text", " ", "\r", "\n", "\x08", "\t", "é", "字", "e\u{301}", "😀", "\x1b[m", "\x1b[1;31m", "\x1b[38;5;9m",
                "\x1b[48;2;1;2;3m", "\x1b[2J", "\x1b[K", "\x1b[1K", "\x1b[H", "\x1b[3;7H", "\x1b[9;99H", "\x1b[A",
                "\x1b[4B", "\x1b[9C", "\x1b[D", "\x1b[L", "\x1b[2M", "\x1b[3P", "\x1b[2@", "\x1b[X", "\x1b[?25l",
                "\x1b[?25h", "\x1b[?1049h", "\x1b[?1049l", "\x1b[?2004h", "\x1b[?1h", "\x1b[?1006h", "\x1b[?1002h",
                "\x1b=", "\x1b>", "\x1b]0;title\x07", "\x1bPq~\x1b\\", "\x1b[4 q", "\x1bM", "\x1b[2S", "\x1b[T",
            ]).prop_map(|word| word.as_bytes().to_vec()),
            1 => proptest::collection::vec(any::<u8>(), 0..4),
        ];
        proptest::collection::vec(word, 0..60).prop_map(|words| words.concat())
    }

    proptest! {
        #[test]
        fn any_output_is_shown_to_who_comes_at_any_moment(
            before in output(), written in output(), cut in 0_usize..400,
        ) {
            let (early, _) = written.split_at(cut.min(written.len()));
            let mut screen = shown(early);
            let mut viewer = shown(&before);
            // A sequence of its own that was not over is nothing that a picture could end.
            viewer.process(b"\x18");
            let before_rest = told(&screen);
            viewer.process(&screen.picture());
            prop_assert_eq!(told(&viewer), before_rest);
            // What follows ends what was not over, and is no text of its own.
            for one in [&mut screen, &mut viewer] {
                one.process(b"7m\x07\x1b\\");
            }
            prop_assert_eq!(viewer.text(), screen.text());
        }

        #[test]
        fn no_output_and_no_size_makes_it_fail(
            pieces in proptest::collection::vec((output(), 1_u16..30, 1_u16..12), 0..8),
        ) {
            let mut screen = Screen::new(SIZE);
            for (piece, columns, rows) in pieces {
                screen.resize((columns, rows));
                screen.process(&piece);
                let _ = (screen.picture(), screen.text());
            }
        }
    }
}

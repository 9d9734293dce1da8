//! A terminal with a program on it, and a test that types and reads.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

/// How long a program may take to end.
const LIMIT: Duration = Duration::from_mins(1);

/// A terminal with a program on it. Dropping it ends the program.
pub(crate) struct Terminal {
    keyboard: File,
    /// The program's side: it keeps the terminal's modes readable when the program is gone.
    line: File,
    screen: Arc<Mutex<Vec<u8>>>,
    seen: usize,
    child: Child,
}

impl Terminal {
    pub(super) fn start(mut command: Command, columns: u16) -> Self {
        let keyboard = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&keyboard).unwrap();
        unlockpt(&keyboard).unwrap();
        let name = ptsname(&keyboard, Vec::new()).unwrap();
        let line = File::options()
            .read(true)
            .write(true)
            .open(name.to_str().unwrap())
            .unwrap();
        let keyboard = File::from(keyboard);
        set_size(&keyboard, 24, columns);
        let child = command
            .stdin(line.try_clone().unwrap())
            .stdout(line.try_clone().unwrap())
            .stderr(line.try_clone().unwrap())
            .spawn()
            .unwrap();
        let screen = Arc::new(Mutex::new(Vec::new()));
        let (mut stream, shared) = (keyboard.try_clone().unwrap(), screen.clone());
        std::thread::spawn(move || {
            let mut buffer = vec![0; 16 * 1024];
            while let Ok(count @ 1..) = stream.read(&mut buffer) {
                shared.lock().unwrap().extend_from_slice(&buffer[..count]);
            }
        });
        Self {
            keyboard,
            line,
            screen,
            seen: 0,
            child,
        }
    }

    /// Types.
    pub(crate) fn types(&mut self, keys: &str) -> &mut Self {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
        self
    }

    /// Waits until `text` appears after what was seen before.
    pub(crate) fn shows(&mut self, text: &str) -> &mut Self {
        let found = |screen: &[u8], from: usize| {
            screen[from..]
                .windows(text.len())
                .position(|window| window == text.as_bytes())
                .map(|at| from + at + text.len())
        };
        let begun = Instant::now();
        loop {
            let end = found(&self.screen.lock().unwrap(), self.seen);
            if let Some(end) = end {
                self.seen = end;
                return self;
            }
            assert!(
                begun.elapsed() < super::PATIENCE,
                "{text:?} does not appear; the screen is {:?}",
                self.text()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// All that was ever shown.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.screen.lock().unwrap()).into_owned()
    }

    /// Whether all that was ever shown is text: no byte by itself steers a terminal of eight bits.
    pub(crate) fn is_text(&self) -> bool {
        std::str::from_utf8(&self.screen.lock().unwrap()).is_ok()
    }

    /// Waits until the program ended; returns its exit code, and all that was ever shown.
    pub(crate) fn end(&mut self) -> (i32, String) {
        // What is written behind the program's last words arrives after them.
        const END: &str = "\u{4}the test's own end\u{4}";
        let code = self.wait();
        self.line.write_all(END.as_bytes()).unwrap();
        self.shows(END);
        (code, self.text().replace(END, ""))
    }

    /// Changes the size of its window.
    pub(crate) fn resize(&mut self, rows: u16, columns: u16) -> &mut Self {
        set_size(&self.keyboard, rows, columns);
        self
    }

    /// Whether keys are shown and lines edited by the system: false in raw mode.
    pub(crate) fn is_cooked(&self) -> bool {
        let modes = tcgetattr(&self.keyboard).unwrap().local_modes;
        modes.contains(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG)
    }

    /// Sends the program itself a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Whether the program has ended by now.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits until the program ended; returns its exit code.
    pub(crate) fn wait(&mut self) -> i32 {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return super::command::code(status);
            }
            assert!(
                begun.elapsed() < LIMIT,
                "it does not end; the screen is {:?}",
                self.text()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Ended already: nothing is to be done.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn set_size(terminal: &File, rows: u16, columns: u16) {
    let size = Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(terminal, size).unwrap();
}

//! The terminal in raw mode, for as long as a guard lives.

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

/// Puts the terminal back into the mode it was in when it is dropped, also by a panic.
pub(crate) struct RawMode {
    before: Termios,
}

impl RawMode {
    /// Passes every key on as it is typed: no echo, no line editing, no signals.
    ///
    /// # Errors
    /// When standard input is no terminal.
    pub(crate) fn enter() -> std::io::Result<Self> {
        Self::with(Termios::make_raw)
    }

    /// Shows nothing of what is typed; lines and signals are as ever.
    fn without_echo() -> std::io::Result<Self> {
        Self::with(|mode| {
            mode.local_modes.remove(LocalModes::ECHO);
            mode.local_modes.insert(LocalModes::ECHONL);
        })
    }

    fn with(change: impl FnOnce(&mut Termios)) -> std::io::Result<Self> {
        let stdin = std::io::stdin();
        let before = tcgetattr(&stdin)?;
        let mut mode = before.clone();
        change(&mut mode);
        tcsetattr(&stdin, OptionalActions::Drain, &mode)?;
        Ok(Self { before })
    }
}

/// Asks for a line that is typed and not shown; it comes without its end.
///
/// # Errors
/// When standard input is no terminal, or cannot be read.
pub(crate) async fn hidden_line(ask: impl FnOnce()) -> std::io::Result<String> {
    // Here, not where it is read: whoever breaks off gets the terminal back as it was.
    let _mode = RawMode::without_echo()?;
    // Only now: whoever answers at once would see it.
    ask();
    let read = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).map(|_| line)
    });
    let line = read.await.map_err(std::io::Error::other)??;
    Ok(line.trim_end_matches(['\n', '\r']).to_owned())
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // A terminal that hung up has no mode to be put back into.
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Drain, &self.before);
    }
}

/// Reads standard input to its end, at most so many bytes of it. Whoever breaks off need not wait for it.
///
/// # Errors
/// When it cannot be read, or is no text.
pub(crate) async fn all_of_stdin(most: u64) -> std::io::Result<String> {
    let read = tokio::task::spawn_blocking(move || {
        let mut text = String::new();
        let mut from = std::io::Read::take(std::io::stdin(), most);
        std::io::Read::read_to_string(&mut from, &mut text).map(|_| text)
    });
    read.await.map_err(std::io::Error::other)?
}

/// Whether standard input is a terminal.
pub(crate) fn is_terminal() -> bool {
    std::io::IsTerminal::is_terminal(&std::io::stdin())
}

/// Rows and columns of the terminal; none where there is no telling.
pub(crate) fn size() -> Option<(u16, u16)> {
    let size = tcgetwinsize(std::io::stdin()).ok()?;
    (size.ws_row > 0 && size.ws_col > 0).then_some((size.ws_row, size.ws_col))
}

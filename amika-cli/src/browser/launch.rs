//! Opening the user's browser.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A program that finds no browser says so at once; one that is a browser stays, or hands over and ends well.
const FAILURE: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(20);

/// Opens an address with `$BROWSER`, else with what the system has for it. Returns once one of them took it,
/// which may be some seconds later: for a thread that may block.
///
/// # Errors
/// When none of them can be started, or each ends with a failure.
pub(crate) fn open(url: &str) -> std::io::Result<()> {
    let named = std::env::var("BROWSER").unwrap_or_default();
    let system = if cfg!(target_os = "macos") {
        "open"
    } else {
        "xdg-open"
    };
    let mut last = None;
    // The variable is a list, first choice first.
    for browser in named.split(':').chain([system]) {
        let Some(mut command) = command(browser, url) else {
            continue;
        };
        match command.spawn().and_then(|child| took(child, FAILURE)) {
            Ok(()) => return Ok(()),
            Err(error) => last = Some(format!("{}: {error}", command.get_program().display())),
        }
    }
    let reason = last.map_or_else(String::new, |error| format!(" ({error})"));
    Err(std::io::Error::other(format!(
        "no browser could be opened{reason}"
    )))
}

/// Waits until a program has had the time to fail, or ended.
fn took(mut child: Child, time: Duration) -> std::io::Result<()> {
    let begun = Instant::now();
    while begun.elapsed() < time {
        match child.try_wait()? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => return Err(std::io::Error::other(status.to_string())),
            None => std::thread::sleep(PAUSE),
        }
    }
    // Reaped when it ends; a browser may stay as long as it likes.
    std::thread::spawn(move || child.wait());
    Ok(())
}

/// The command of one choice: words, of which `%s` stands for the address. No shell is involved.
fn command(browser: &str, url: &str) -> Option<Command> {
    let mut words = browser.split_ascii_whitespace();
    let mut command = Command::new(words.next()?);
    let mut placed = false;
    for word in words {
        placed |= word.contains("%s");
        command.arg(word.replace("%s", url));
    }
    if !placed {
        command.arg(url);
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    Some(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_fails_opened_nothing() {
        let run = |script: &str| {
            let mut shell = Command::new("sh");
            // Nobody's output stays open when it outlives the test.
            shell.args(["-c", script]).stdout(Stdio::null());
            let child = shell.stderr(Stdio::null()).spawn();
            took(child.expect("a shell"), Duration::from_secs(1))
        };
        // What `xdg-open` ends with where there is no browser.
        let error = run("exit 3").expect_err("it failed");
        assert!(error.to_string().contains('3'), "{error}");
        run("exit 0").expect("it handed over");
        run("sleep 2").expect("it stays");
    }

    #[test]
    fn the_address_goes_where_the_choice_wants_it() {
        let words = |browser| {
            let command = command(browser, "http://x").expect("a command");
            let mut words = vec![command.get_program().to_owned()];
            words.extend(command.get_args().map(ToOwned::to_owned));
            words
        };
        assert_eq!(words("firefox"), ["firefox", "http://x"]);
        assert_eq!(
            words("b --new %s --end"),
            ["b", "--new", "http://x", "--end"]
        );
        assert!(command(" ", "http://x").is_none());
    }
}

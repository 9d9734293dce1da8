//! Opening the user's browser.

use std::process::{Command, Stdio};

/// Opens an address with `$BROWSER`, else with what the system has for it.
///
/// # Errors
/// When none of them can be started.
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
        match command(browser, url).map(|mut command| command.spawn()) {
            Some(Ok(mut child)) => {
                // Reaped when it ends; a browser may stay as long as it likes.
                std::thread::spawn(move || child.wait());
                return Ok(());
            }
            Some(Err(error)) => last = Some(error),
            None => {}
        }
    }
    let reason = last.map_or_else(String::new, |error| format!(" ({error})"));
    Err(std::io::Error::other(format!(
        "no browser can be started{reason}"
    )))
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

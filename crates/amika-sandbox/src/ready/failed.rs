//! The errors for a sandbox that did not come up, with the last of its words.

use amika_core::untrusted::Untrusted;
use amika_core::wire::BootRecord;

use crate::error::{Error, Kind};

/// The error for a sandbox whose CMD ended with another code than 0, as soon as it was started.
pub fn cmd_exited(name: &str, boot: &BootRecord, code: i64) -> Error {
    let cmd = &boot.status.cmd;
    let program = cmd.argv0.as_deref().unwrap_or_default();
    let how = match (cmd.signal, cmd.started_at, code) {
        (Some(signal), ..) => format!("was ended by signal {signal}"),
        // Amikad's own word for why one was not started.
        (None, None, 127) => {
            "was not found in the sandbox, and did not run (exit code 127)".to_owned()
        }
        (None, None, 126) => {
            "is nothing that can be executed, and did not run (exit code 126)".to_owned()
        }
        _ => format!("ended with exit code {code}"),
    };
    Error::new(
        Kind::CmdExited,
        format!("CMD of sandbox \"{name}\" (`{}`) {how}", Untrusted::new(program)),
    )
    .detail("sandbox", name)
    .detail("cmd", serde_json::to_value(cmd).unwrap_or_default())
    .hint(format!("`amika sandbox logs {name}` shows what it said"))
    .hint(format!("`amika sandbox start {name}` starts it again; `amika sandbox connect {name} --rescue` opens a shell without it"))
}

/// The last lines of setup's output that were not shown: all there are, if all of the output was not.
fn unshown_lines(tail: &[String], mut unshown: u64) -> &[String] {
    let mut from = tail.len();
    while from > 0 && unshown > 0 {
        from -= 1;
        unshown = unshown.saturating_sub(tail[from].len() as u64 + 1);
    }
    &tail[from..]
}

/// The error for a sandbox whose setup script failed: what, where, the last of its words that nobody saw
/// yet (`unshown` bytes), and the ways on.
pub fn setup_failed(name: &str, boot: &BootRecord, unshown: u64) -> Error {
    let setup = &boot.status.setup;
    let how = match (setup.signal, setup.exit_code) {
        (Some(signal), _) => format!("was ended by signal {signal}"),
        // 126 and 127 of a script that never began are amikad's word for why.
        (None, Some(code)) if setup.started_at.is_some() => format!("exited with code {code}"),
        (None, _) => "could not be run".to_owned(),
    };
    let place = setup
        .failed_line
        .map(|line| format!(" at line {line}"))
        .unwrap_or_default();
    let mut error = Error::new(
        Kind::SetupFailed,
        format!("the setup script of \"{name}\" {how}{place}; CMD did not run"),
    );
    // What is known of a script that ran stands in the first line already.
    if let Some(message) = setup
        .message
        .as_ref()
        .filter(|_| setup.started_at.is_none())
    {
        error = error.cause(message.clone());
    }
    let words = unshown_lines(&boot.setup_tail, unshown);
    error
        .last_output(words)
        .detail("sandbox", name)
        .detail("setup", serde_json::to_value(setup).unwrap_or_default())
        .detail("setup_tail", boot.setup_tail.clone())
        .hint(format!("read it all: `amika sandbox logs {name} --setup`"))
        .hint(format!("mend the script, then try again: `amika sandbox start {name}`"))
        .hint(format!("or with another script: `amika sandbox start {name} --setup-script FILE`; without: `amika sandbox start {name} --skip-setup`"))
        .hint(format!("or look inside: `amika sandbox connect {name} --rescue` (with `--root` as root)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_setups_last_words_those_that_were_shown_are_not_said_again() {
        let tail = ["one", "two", "three"].map(str::to_owned);
        assert_eq!(unshown_lines(&tail, u64::MAX), tail);
        assert_eq!(unshown_lines(&tail, 14), tail);
        assert_eq!(unshown_lines(&tail, 10), &tail[1..]);
        assert_eq!(unshown_lines(&tail, 6), &tail[2..]);
        assert_eq!(unshown_lines(&tail, 0), &tail[3..]);
    }
}

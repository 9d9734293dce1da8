//! `amika sandbox prompt`: the agent is given the prompt byte for byte, and its word is passed on.

use crate::support::{DEBIAN, Stage};

/// What Claude Code is given besides.
const FLAGS: &str = "--print --dangerously-skip-permissions --output-format json";

#[test]
fn a_prompt_reaches_the_agent_as_it_is() {
    let stage = Stage::new();
    // Says what it was given, in place of an agent that would need an account.
    let image = stage.image(&format!(
        "FROM {DEBIAN}\nRUN printf '#!/bin/sh\\necho \"$*\"; cat; exit 7\\n' >/usr/bin/claude && \
         chmod +x /usr/bin/claude\n"
    ));
    let sandbox = stage.sandbox(&image, &[]);
    let text = "--help \"$(id)\" `id` 'x' \\ \u{e9}\n\nlast";
    let given = sandbox.verb("prompt", &[text]).output();
    assert_eq!(given.code, 7, "{given:?}");
    assert_eq!(given.stdout_text(), format!("{FLAGS}\n{text}"));
    // It was given no sign-in, which may be why it failed.
    let hint = format!(
        "`amika credentials refresh {} --credentials claude`",
        sandbox.name
    );
    assert!(given.stderr_text().contains(&hint), "{given:?}");

    let read = sandbox.verb("prompt", &["-"]).input(text).output();
    assert_eq!(read.stdout_text(), format!("{FLAGS}\n{text}"), "{read:?}");

    // Longer than an argument may be.
    let long = "0123456789abcdef".repeat(100_000);
    let read = sandbox
        .verb("prompt", &["-", "--", "-c"])
        .input(long.clone())
        .output();
    assert_eq!(read.stdout_text(), format!("{FLAGS} -c\n{long}"));

    // Nothing to do is no prompt: the agent is not started.
    for (words, input) in [("-", ""), ("-", " \n\t\n"), ("", ""), (" \n", "")] {
        let empty = sandbox.verb("prompt", &[words, "-o", "json"]).input(input);
        let empty = empty.output();
        assert_eq!(empty.code, 125, "{empty:?}");
        assert_eq!(empty.json()["error"]["code"], "usage", "{empty:?}");
    }

    let missing = sandbox.verb("prompt", &["--agent", "codex", "hi"]).output();
    assert_eq!(missing.code, 127, "{missing:?}");
    assert!(
        missing.stderr_text().contains("`codex` installed"),
        "{missing:?}"
    );
}

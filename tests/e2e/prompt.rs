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
    let sandbox = stage.sandbox(&image, &["--env", "ANTHROPIC_API_KEY=none"]);
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

/// An image whose agents say how they were started, in place of agents that would need an account.
fn stand_ins(stage: &Stage) -> String {
    stage.image(&format!(
        "FROM {DEBIAN}\nRUN for name in claude codex opencode; do \
         printf '#!/bin/sh\\necho \"$0 $*\" | sed s,/usr/bin/,,; cat; exit 6\\n' >/usr/bin/$name && chmod +x /usr/bin/$name; done\n"
    ))
}

#[test]
fn an_agent_goes_on_tells_what_it_does_and_works_as_a_job() {
    let stage = Stage::new();
    let image = stand_ins(&stage);
    let keys = [
        "--env",
        "ANTHROPIC_API_KEY=none",
        "--env",
        "CODEX_API_KEY=none",
    ];
    let sandbox = stage.sandbox(&image, &keys);
    let claude = "claude --print --dangerously-skip-permissions";
    let codex = "codex exec --skip-git-repo-check --dangerously-bypass-approvals-and-sandbox";
    for (options, command) in [
        (
            &["--continue"][..],
            format!("{claude} --output-format json --continue"),
        ),
        (
            &["--events"],
            format!("{claude} --output-format stream-json --verbose"),
        ),
        (
            &["--agent", "codex", "--continue", "--events"],
            format!("{codex} --json resume --last -"),
        ),
        (
            &["--agent", "opencode", "--continue", "--events"],
            "opencode run --auto --format json --continue".into(),
        ),
    ] {
        let given = sandbox
            .verb("prompt", &[options, &["go on"]].concat())
            .output();
        assert_eq!(
            (given.code, given.stdout_text()),
            (6, format!("{command}\ngo on")),
            "{given:?}"
        );
    }
    // As a job its answer is what it prints by itself; what it reads need be no argument.
    let long = "0123456789abcdef".repeat(20_000);
    for (options, input, command) in [
        (
            &["-d", "--continue", "go on"][..],
            "go on",
            format!("{claude} --continue"),
        ),
        (
            &["--agent", "codex", "--detach", "-"],
            long.as_str(),
            format!("{codex} -"),
        ),
    ] {
        let started = sandbox.verb("prompt", options).input(input).output();
        started.ended(0, &[]);
        let id = started.stdout_text().trim_end().to_owned();
        sandbox
            .verb("wait", &["--for", &format!("job:{id}")])
            .output()
            .ended(6, &[]);
        let logged = sandbox.verb("logs", &["--job", &id]).output().stdout_text();
        assert_eq!(logged, format!("{command}\n{input}"));
    }
    let document = sandbox
        .verb("prompt", &["-d", "hi", "-o", "json"])
        .output()
        .json();
    assert_eq!(document["command"], claude);
    for (words, input) in [("-", " \n"), ("", "")] {
        let empty = sandbox.verb("prompt", &["-d", words]).input(input).output();
        empty.ended(125, &["empty"]);
    }
    let large = sandbox
        .verb("prompt", &["-d", "-"])
        .input("x".repeat(3 << 20));
    large.output().ended(125, &["more than 2 MiB"]);
}

#[test]
fn an_agent_without_a_sign_in_is_not_started_and_one_that_may_have_a_model_is() {
    let stage = Stage::new();
    let image = stand_ins(&stage);
    let sandbox = stage.sandbox(&image, &["--no-credentials"]);
    let asked = |options: &[&str]| {
        sandbox
            .verb("prompt", &[options, &["hi"]].concat())
            .output()
    };
    for (agent, inside) in [("claude", "claude /login"), ("codex", "codex login")] {
        let refresh = format!(
            "`amika credentials refresh {} --credentials {agent}`",
            sandbox.name
        );
        let refused = ["is not signed in", &refresh, inside, "--env", "`--agent`"];
        asked(&["--agent", agent]).ended(125, &refused);
        let job = asked(&["--agent", agent, "-d", "-o", "json"]);
        job.ended(125, &refused);
        assert_eq!(job.json()["error"]["code"], "not_signed_in");
    }
    let jobs = sandbox.verb("jobs", &["-o", "json"]).output().json();
    assert_eq!(jobs, serde_json::json!([]));
    // Its own provider has models for whoever comes.
    asked(&["--agent", "opencode"]).ended(6, &[]);
    // What the agent is told of a provider, it is to be asked for.
    for options in [
        &["--agent", "codex", "hi", "--", "--oss"][..],
        &["--agent", "claude", "hi", "--", "--settings={}"],
    ] {
        sandbox.verb("prompt", options).output().ended(6, &[]);
    }
    for (agent, place, text) in [
        (
            "claude",
            "$HOME/.claude/settings.json",
            r#"{"apiKeyHelper":"/bin/key"}"#,
        ),
        ("claude", "$HOME/.claude/.credentials.json", "{}"),
        (
            "codex",
            "$HOME/.codex/config.toml",
            "model_provider = \"mine\"",
        ),
        ("codex", "$HOME/.codex/auth.json", "{}"),
    ] {
        let put = "mkdir -p \"${0%/*}\" && cat >\"$0\"";
        let script = format!("set -- {place}; exec sh -c '{put}' \"$1\"");
        sandbox
            .exec(&["sh", "-c", &script])
            .input(text)
            .output()
            .ended(0, &[]);
        asked(&["--agent", agent]).ended(6, &[]);
        let script = format!("rm {place}");
        sandbox.exec(&["sh", "-c", &script]).output().ended(0, &[]);
        asked(&["--agent", agent]).ended(125, &["is not signed in"]);
    }
}

//! One repository and one sandbox that put what steers a terminal wherever they can, and every command that
//! shows something of them, on a terminal and as JSON.

mod server;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;

use crate::support::{DEBIAN, Stage, docker};

/// Sets the clipboard, makes a link, clears the screen twice (C0 and C1), writes over the line, and turns the
/// direction of writing.
pub(crate) const PAYLOAD: &str =
    "\u{1b}]52;c;cHduZWQ=\u{7}\u{1b}]8;;http://evil\u{7}\u{1b}[2J\u{9b}2J\u{85}\u{202e}\u{2028}";

/// What may stand in a file name and what git takes for a branch's.
const NAME: &str = "x\u{1b}[2J\u{7}\u{9b}2J\u{202e}y";
const BRANCH: &str = "b\u{9b}2J\u{202e}z";

/// A name with a line of its own.
pub(crate) const LINES: &str = "n\nhint: run evil";

/// Fails when any of it reached the terminal.
pub(crate) fn is_inert(what: &[&str], screen: &str) {
    let is_own = |line: &str| line.trim_start().starts_with("hint: run evil");
    assert!(
        !screen.lines().any(is_own),
        "{what:?} lets a line through: {screen:?}"
    );
    for part in [
        "\u{1b}]",
        "\u{1b}[2J",
        "\u{7}",
        "\u{9b}",
        "\u{85}",
        "\u{202e}",
        "\u{2028}",
    ] {
        assert!(
            !screen.contains(part),
            "{what:?} lets {part:?} through: {screen:?}"
        );
    }
}

/// What was tried, as the schemas name commands.
#[derive(Default)]
struct Tried(RefCell<BTreeSet<String>>);

impl Tried {
    /// Asserts that no command was forgotten.
    fn is_every_command(&self) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/schema/index.json");
        let index: serde_json::Value =
            serde_json::from_slice(&std::fs::read(root).unwrap()).unwrap();
        // These show nothing of a sandbox, a repository or an image.
        let own = ["completion", "generate ", "server", "auth ", "secret "];
        for command in index["success"].as_object().unwrap().keys() {
            let is_tried = self.0.borrow().contains(command);
            assert!(
                is_tried || own.iter().any(|start| command.starts_with(start)),
                "{command} was not tried"
            );
        }
    }

    fn note(&self, args: &[&str]) {
        let mut tried = self.0.borrow_mut();
        tried.insert(args[0].to_owned());
        tried.extend(args.get(1).map(|verb| format!("{} {verb}", args[0])));
    }
}

/// Runs a command on a terminal, as text and as JSON.
fn shown(stage: &Stage, tried: &Tried, args: &[&str]) -> Vec<String> {
    tried.note(args);
    let json: Vec<&str> = args.iter().copied().chain(["-o", "json"]).collect();
    [args.to_vec(), json]
        .into_iter()
        .map(|args| {
            let mut terminal = stage.on_terminal(&args);
            // For those that ask.
            let (_, screen) = terminal.types("y\n").end();
            is_inert(&args, &screen);
            screen
        })
        .collect()
}

#[test]
fn no_command_passes_on_what_steers_a_terminal() {
    let stage = Stage::new();
    let tried = Tried::default();
    let config = "[services.\"s\\u001b]52;c;eA==\\u0007\\u009b2J\\u202e\"]\nport = 4838\n\
                  [env]\n\"BAD\\u001b[2J\\u202e\" = \"x\"\n[sandbox]\nimage = \"no\\u009b\\u202e\"\n\
                  [lifecycle]\nsetup_script = \"setup.sh\"\n\"key\\u202e\\u009b\" = 1\n";
    let script = format!(
        "#!/bin/sh\nprintf '%s\\n' '{PAYLOAD}'\nprintf '%s\\n' '{PAYLOAD}' >&2\n\
         touch \"$AMIKA_AGENT_CWD/$(printf '{NAME}')\"\nexit 3\n"
    );
    let path = stage.repository(
        NAME,
        &[
            (".amika/config.toml", config),
            ("setup.sh", &script),
            (
                ".devcontainer/devcontainer.json",
                &format!(
                    "{{ \"name\": \"{PAYLOAD}\", \"k{PAYLOAD}\": 1, \"postCreateCommand\": \"echo '{PAYLOAD}'\" }}"
                ),
            ),
            ("package.json", &format!("{{ \"name\": {PAYLOAD} }}")),
        ],
    );
    let prepare = "chmod +x setup.sh && git add -A && git -c user.name=T -c user.email=t@e.org commit -qm \"$1\" \
                   && git checkout -q -b \"$2\"";
    let prepared = stage.shell(prepare, &[PAYLOAD, BRANCH]);
    prepared.dir(&path).output().ended(0, &[]);

    let failing = stage.adopt(stage.name());
    let create = |extra: &[&'static str]| -> Vec<String> {
        let flags = [
            "sandbox",
            "create",
            "--name",
            &failing.name,
            "--image",
            DEBIAN,
            "--git",
            &path,
        ];
        let all: Vec<&str> = flags.into_iter().chain(extra.iter().copied()).collect();
        all.into_iter().map(str::to_owned).collect()
    };

    for extra in [&["--dry-run"][..], &["--no-clean", "--dry-run"], &[]] {
        let all = create(extra);
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        let screens = shown(&stage, &tried, &all);
        if extra.is_empty() {
            assert!(screens[0].contains("setup"), "{screens:?}");
        }
    }
    let name = failing.name.as_str();
    for args in [
        &["config", "check", &path][..],
        &["init", "--dry-run", &path],
        &["config", "migrate", "devcontainer", "--dry-run", &path],
        &["sandbox", "start", name],
        &["sandbox", "wait", name],
        &["sandbox", "logs", name],
        &["sandbox", "logs", name, "--setup"],
        &["sandbox", "logs", name, "--amikad"],
        &["sandbox", "inspect", name],
        &["sandbox", "list"],
        &["sandbox", "list", "-l"],
        &["sandbox", "list", "--filter", &format!("state={PAYLOAD}")],
        &["sandbox", "list", "--filter", PAYLOAD],
        &["sandbox", "url", name],
        &["sandbox", "url", name, PAYLOAD],
        &["sandbox", "port", name],
        &["sandbox", "code", name],
        &["sandbox", "stats", "--no-stream"],
        &["service", "list"],
        &["service", "list", "--sandbox-name", name],
        &["service", "logs", name],
        &["service", "start", &format!("{name}/{PAYLOAD}")],
        &["service", "stop", name],
        &["service", "restart", name],
        &["volume", "list"],
        &["system", "df"],
        &["doctor"],
        &["credentials", "status"],
        &["image", "list"],
        &["sandbox", "create", "--image", &format!("no{PAYLOAD}")],
        &["sandbox", "create", "--git", &format!("{path}/{PAYLOAD}")],
        &[
            "sandbox",
            "create",
            "--dotfiles",
            &format!("{path}/{PAYLOAD}"),
        ],
        &["sandbox", "inspect", PAYLOAD],
        &["config", "get"],
        &["config", "set", "trusted", PAYLOAD],
        &["config", "unset", PAYLOAD],
        &["config", "unset", "trusted"],
        &["credentials", "list"],
        &["credentials", "pull", name],
        &["credentials", "refresh", name],
        &["events", "--since", "10m", "--until", "1s"],
        &["image", "build", PAYLOAD],
        &["image", "prune"],
        &["sandbox", "adopt", name],
        &["ls"],
        &["sandbox", "restart", name],
        &["volume", "prune", "--sandbox-name", "nobody"],
        &["volume", "delete", PAYLOAD],
    ] {
        shown(&stage, &tried, args);
    }
    let volumes = docker(&[
        "volume",
        "ls",
        "-q",
        "--filter",
        &format!("label={}", stage.label()),
    ]);
    for volume in volumes.stdout_text().lines() {
        shown(&stage, &tried, &["volume", "inspect", volume]);
    }

    let running = stage.sandbox(DEBIAN, &["--git", &path, "--no-setup"]);
    let name = running.name.as_str();
    let files = format!(
        "touch \"$(printf '{NAME}')\" \"$(printf '{LINES}')\"; mkdir -p \"d$(printf '{NAME}')/e\"; ls >/dev/null"
    );
    running.exec(&["sh", "-c", &files]).output().ended(0, &[]);
    let target = stage.home().join("out");
    let target = target.to_str().unwrap();
    for args in [
        &["sandbox", "inspect", name][..],
        &["sandbox", "list"],
        &["sandbox", "list", "-l"],
        &["sandbox", "url", name],
        &["sandbox", "url", name, PAYLOAD],
        &["sandbox", "port", name],
        &["sandbox", "code", name],
        &["sandbox", "exec", name, "--", &format!("/no/{PAYLOAD}")],
        &[
            "sandbox",
            "exec",
            name,
            "--workdir",
            &format!("/no/{PAYLOAD}"),
            "--",
            "true",
        ],
        &["sandbox", "cp", &format!("{name}:."), target],
        &["sandbox", "cp", &format!("{name}:/no/{PAYLOAD}"), target],
        &["sandbox", "pull", name, "--into", &path],
        &["sandbox", "diff", name],
        &["sandbox", "push", name, "--from", &path],
        &["sandbox", "diff", name, PAYLOAD],
        &["sandbox", "pull", name, PAYLOAD, "--into", &path],
        &["sandbox", "open", name],
        &["forward", name, PAYLOAD],
        &["sandbox", "forward", name, PAYLOAD],
        &["sandbox", "prompt", name, PAYLOAD],
        &["sandbox", "exec", "-d", name, "--", "echo", PAYLOAD],
        &["sandbox", "jobs", name],
        &["sandbox", "logs", name, "--job", PAYLOAD],
        &["sandbox", "wait", name, "--for", &format!("job:{PAYLOAD}")],
        &["sandbox", "rename", name, PAYLOAD],
        &["sandbox", "stop", name],
        // It does not run any more.
        &["sandbox", "connect", name],
    ] {
        shown(&stage, &tried, args);
    }

    let working = stage.sandbox(DEBIAN, &[]);
    working.exec(&["sh", "-c", &files]).output().ended(0, &[]);
    let screens = shown(&stage, &tried, &["sandbox", "delete", &working.name]);
    assert!(screens[0].contains("\\u{1b}[2J"), "{screens:?}");
    shown(&stage, &tried, &["rm", PAYLOAD]);
    tried.is_every_command();
}

/// A log has its colours on a terminal, and is byte by byte what was written everywhere else.
#[test]
fn a_log_on_a_terminal_has_its_colours_and_no_more() {
    let stage = Stage::new();
    let say = format!("printf '\\033[31mred\\033[0m %s\\n' '{PAYLOAD}'; exec sleep 4321");
    let sandbox = stage.sandbox(DEBIAN, &["--", "sh", "-c", &say]);
    sandbox.logs("red");
    let name = sandbox.name.as_str();
    let (code, screen) = stage.on_terminal(&["sandbox", "logs", name]).end();
    assert_eq!(code, 0, "{screen}");
    assert!(screen.contains("\u{1b}[31mred\u{1b}[0m"), "{screen:?}");
    is_inert(&["logs"], &screen);
    let (_, raw) = stage.on_terminal(&["sandbox", "logs", name, "--raw"]).end();
    assert!(raw.contains(PAYLOAD), "{raw:?}");
    let piped = stage.sandbox_verb(&["logs", name]);
    assert!(piped.stdout_text().contains(PAYLOAD), "{piped:?}");
}

//! Sign-ins: which are copied, that they show nowhere else, and how two copies are kept in step.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::support::{DEBIAN, Output, Sandbox, Stage, docker};

const FILES: [&str; 7] = [
    ".claude.json.api",
    ".claude.json",
    ".claude/.credentials.json",
    ".claude-oauth-credentials.json",
    ".codex/auth.json",
    ".local/share/opencode/auth.json",
    ".local/state/opencode/model.json",
];
const CLAUDE: &str = ".claude/.credentials.json";
/// An agent that is not root, with a shell.
const AGENT_IMAGE: &str = "FROM amika-test/debian\nUSER 1234:55";

fn put(stage: &Stage, path: &str, content: &str) {
    let path = stage.home().join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn host(stage: &Stage, path: &str) -> String {
    fs::read_to_string(stage.home().join(path)).unwrap_or_default()
}

/// Claude Code's sign-in, running out at a time.
fn claude(token: &str, expires: u64) -> String {
    format!(
        r#"{{"claudeAiOauth":{{"accessToken":"{token}","refreshToken":"r-{token}","expiresAt":{expires}}}}}"#
    )
}

fn inside(sandbox: &Sandbox<'_>, script: &str) -> String {
    let output = sandbox.exec(&["sh", "-c", script]).output();
    assert_eq!(output.code, 0, "{output:?}");
    output.stdout_text()
}

fn credentials(stage: &Stage, args: &[&str]) -> Output {
    let all: Vec<&str> = std::iter::once("credentials")
        .chain(args.iter().copied())
        .collect();
    stage.amika(&all).output()
}

#[test]
fn exactly_the_seven_files_are_copied_and_are_the_agents_alone() {
    let stage = Stage::new();
    for path in FILES {
        put(&stage, path, "{}");
    }
    for path in [
        ".claude/settings.json",
        ".codex/config.toml",
        ".claude.json.bak",
    ] {
        put(&stage, path, "no");
    }
    let image = stage.image(AGENT_IMAGE);
    let sandbox = stage.sandbox(&image, &[]);
    let found = inside(
        &sandbox,
        "cd && find .claude* .codex .local -type f | sort; stat -c '%a %u:%g' .claude .codex .local \
         .local/share .local/share/opencode .local/state/opencode | sort -u; \
         stat -c '%a %u:%g' .claude.json .codex/auth.json .local/state/opencode/model.json | sort -u",
    );
    let mut files = FILES;
    files.sort_unstable();
    assert_eq!(
        found,
        format!("{}\n700 1234:55\n600 1234:55\n", files.join("\n"))
    );
    // As agents renew their files: written beside, then renamed over.
    inside(
        &sandbox,
        "cd && for f in .claude.json .codex/auth.json; do echo new >$f.tmp && mv $f.tmp $f; done",
    );
    assert_eq!(host(&stage, ".codex/auth.json"), "{}");
    let inspected = sandbox.verb("inspect", &[]).output().stdout_text();
    assert!(
        inspected.contains("Credentials   claude, codex, opencode\n"),
        "{inspected}"
    );
}

#[test]
fn the_choice_is_the_users() {
    let stage = Stage::new();
    for path in FILES {
        put(&stage, path, "{}");
    }
    let list = "cd && ls -d .claude* .codex .local 2>/dev/null; true";
    let none = stage.sandbox(DEBIAN, &["--no-credentials"]);
    assert_eq!(inside(&none, list), "");
    let codex = stage.sandbox(DEBIAN, &["--credentials", "codex"]);
    assert_eq!(inside(&codex, list), ".codex\n");
    let unknown = stage
        .adopt(stage.name())
        .create(DEBIAN, &["--credentials", "gemini"]);
    assert_eq!(unknown.code, 2, "{unknown:?}");
}

#[test]
fn what_is_no_plain_file_is_a_warning_and_never_a_hang() {
    let stage = Stage::new();
    let pipe = stage
        .shell(
            "mkfifo \"$1\"",
            &[stage.home().join(".claude.json").to_str().unwrap()],
        )
        .output();
    assert_eq!(pipe.code, 0, "{pipe:?}");
    fs::create_dir_all(stage.home().join(".codex/auth.json")).unwrap();
    put(&stage, ".claude.json.api", "");
    let large = fs::File::options()
        .write(true)
        .open(stage.home().join(".claude.json.api"))
        .unwrap();
    large.set_len((16 << 20) + 1).unwrap();
    put(&stage, ".local/state/opencode/model.json", "{}");
    let sandbox = stage.adopt(stage.name());
    let created = sandbox.create(DEBIAN, &[]);
    assert_eq!(created.code, 0, "{created:?}");
    let words = created.stderr_text();
    for warning in [
        "~/.claude.json is not copied: it is not a regular file",
        "~/.codex/auth.json is not copied: it is a directory",
        "~/.claude.json.api is not copied: it has 16777217 bytes",
    ] {
        assert!(words.contains(warning), "{created:?}");
    }
    assert_eq!(
        inside(&sandbox, "cd && find . -name model.json"),
        "./.local/state/opencode/model.json\n"
    );
}

#[test]
fn an_explicit_mount_wins() {
    let stage = Stage::new();
    put(&stage, CLAUDE, "the host's sign-in");
    put(&stage, "other/.credentials.json", "mounted");
    let mount = format!(
        "{}:/home/amika/.claude:ro",
        stage.home().join("other").display()
    );
    let sandbox = stage.adopt(stage.name());
    let created = sandbox.create(DEBIAN, &["--mount", &mount]);
    assert_eq!(created.code, 0, "{created:?}");
    assert!(!created.stderr_text().contains("warning"), "{created:?}");
    assert_eq!(
        inside(&sandbox, "cat ~/.claude/.credentials.json"),
        "mounted"
    );
    assert_eq!(host(&stage, "other/.credentials.json"), "mounted");
}

#[test]
fn secrets_show_nowhere_but_in_the_sandboxs_home_and_state() {
    const CANARY: &str = "canary-c0ffee-sign-in";
    const PASSWORD: &str = "canary-c0ffee-password";
    let stage = Stage::new();
    put(&stage, CLAUDE, &claude(CANARY, 1));
    let sandbox = stage.adopt(stage.name());
    // Argument lists of all processes, for as long as the create runs.
    let over = AtomicBool::new(false);
    let (created, seen) = std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut seen = Vec::new();
            while !over.load(Ordering::Relaxed) {
                seen.extend(command_lines_with("canary-c0ffee"));
                std::thread::sleep(Duration::from_millis(2));
            }
            seen
        });
        let created = sandbox
            .create_run(DEBIAN, &["--env", "OPENCODE_SERVER_PASSWORD", "--debug"])
            .env("OPENCODE_SERVER_PASSWORD", PASSWORD)
            .output();
        over.store(true, Ordering::Relaxed);
        (created, watch.join().unwrap())
    });
    assert_eq!(created.code, 0, "{created:?}");
    assert_eq!(seen, Vec::<String>::new());
    assert!(inside(&sandbox, "cat ~/.claude/.credentials.json").contains(CANARY));
    assert!(inside(&sandbox, "cat /var/lib/amikad/opencode-password").contains(PASSWORD));
    let token = token(&stage, &sandbox);
    let secrets = [CANARY, PASSWORD, &token];
    let inspected = docker(&["inspect", &sandbox.name]).stdout_text();
    let logs = docker(&["logs", &sandbox.name]);
    let shown = [
        inspected,
        logs.stdout_text() + &logs.stderr_text(),
        created.stdout_text() + &created.stderr_text(),
        sandbox.verb("logs", &["--amikad"]).output().stdout_text(),
        inside(
            &sandbox,
            "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ | tr '\\0' '\\n'",
        ),
    ];
    for text in &shown {
        for secret in secrets {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
    // What is in the container's own files does show: so the search below can find things.
    let control = "control-c0ffee";
    inside(&sandbox, &format!("echo {control} >/etc/{control}"));
    let image = format!("amika-test/{}-commit", sandbox.name);
    let label = format!("LABEL dev.amika.test={}", sandbox.name);
    assert_eq!(
        docker(&["commit", "-c", &label, &sandbox.name, &image]).code,
        0
    );
    for command in [
        // The layers may be compressed.
        format!(
            "mkdir layers && docker save {image} | tar -xC layers && find layers -type f -exec zcat -f {{}} +; status=$?; rm -rf layers; (exit $status)"
        ),
        format!("docker export {}", sandbox.name),
    ] {
        for (text, shows) in secrets
            .map(|secret| (secret, false))
            .into_iter()
            .chain([(control, true)])
        {
            let script = format!(
                "set -o pipefail; ({command}) | grep -aFc -- \"$1\"; exit ${{PIPESTATUS[0]}}"
            );
            let found = stage
                .shell(&script, &[text])
                .dir(stage.home())
                .limit(Duration::from_mins(3))
                .output();
            assert_eq!(found.code, 0, "{command}: {found:?}");
            assert_eq!(found.stdout_text() != "0\n", shows, "{text} in {command}");
        }
    }
    assert_eq!(docker(&["rmi", &image]).code, 0);
    for secret in secrets {
        let places = [".local/share/amika", "run"].map(|dir| stage.home().join(dir));
        for place in places.iter().filter(|place| place.exists()) {
            let found = stage
                .shell(
                    "grep -raFl -- \"$1\" \"$2\"",
                    &[secret, place.to_str().unwrap()],
                )
                .output();
            assert_eq!(found.stdout_text(), "", "{secret}");
        }
    }
}

/// Argument lists of this machine's processes that have `text` in them.
fn command_lines_with(text: &str) -> Vec<String> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|process| fs::read(process.path().join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).into_owned())
        .filter(|line| line.contains(text))
        .collect()
}

/// The sandbox's token, made as `amika` makes it: HMAC-SHA256 (RFC 2104) of its id under the key.
fn token(stage: &Stage, sandbox: &Sandbox<'_>) -> String {
    let key = fs::read(stage.home().join(".local/share/amika/key")).unwrap();
    let id = docker(&[
        "inspect",
        "-f",
        "{{index .Config.Labels \"dev.amika.id\"}}",
        &sandbox.name,
    ]);
    let mut block = [0; 64];
    block[..key.len()].copy_from_slice(&key);
    let pad = |byte: u8| block.map(|key| key ^ byte);
    let inner = Sha256::new()
        .chain_update(pad(0x36))
        .chain_update(id.stdout_text().trim())
        .finalize();
    let outer = Sha256::new()
        .chain_update(pad(0x5c))
        .chain_update(inner)
        .finalize();
    let hex = |bytes: &[u8]| {
        let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        digits
            .filter_map(|digit| char::from_digit(digit.into(), 16))
            .collect::<String>()
    };
    let token = hex(&outer);
    let inspected = docker(&["inspect", &sandbox.name]).stdout_text();
    let digest = hex(&Sha256::digest(token.as_bytes()));
    assert!(inspected.contains(&digest), "the token is the sandbox's");
    token
}

#[test]
fn a_second_running_holder_is_warned_of() {
    let stage = Stage::new();
    put(&stage, CLAUDE, &claude("a", 1));
    let first = stage.sandbox(DEBIAN, &[]);
    let second = stage.adopt(stage.name());
    let created = second.create(DEBIAN, &[]);
    let warning = "your sign-in to claude is also in ";
    assert!(
        created.stderr_text().contains(warning) && created.stderr_text().contains(&first.name),
        "{created:?}"
    );
    let third = stage.adopt(stage.name());
    let planned = third.create(DEBIAN, &["--dry-run"]);
    planned.ended(0, &[]);
    assert_eq!(planned.stderr_text(), "");
    let created = third.create(DEBIAN, &["--credentials", "codex"]);
    assert!(!created.stderr_text().contains(warning), "{created:?}");
}

#[test]
fn a_sign_in_that_was_added_later_counts_like_the_first() {
    let stage = Stage::new();
    put(&stage, CLAUDE, &claude("a", 1));
    let tokens = r#"{"tokens":{"refresh_token":"r"},"last_refresh":"2026-01-01T00:00:00Z"}"#;
    put(&stage, ".codex/auth.json", tokens);
    let first = stage.sandbox(DEBIAN, &["--credentials", "claude"]);
    assert_eq!(
        first.inspect()["credentials"],
        serde_json::json!(["claude"])
    );
    let refresh = ["refresh", &first.name, "--credentials", "codex"];
    let refreshed = credentials(&stage, &refresh);
    assert_eq!(refreshed.code, 0, "{refreshed:?}");
    let both = serde_json::json!(["claude", "codex"]);
    assert_eq!(first.inspect()["credentials"], both);

    // Who makes another sandbox hears of it, and so does who copies it into one that is there.
    let warning = "your sign-in to codex is also in ";
    let second = stage.adopt(stage.name());
    let created = second.create(DEBIAN, &["--credentials", "codex"]);
    created.ended(0, &[warning, &first.name]);
    let third = stage.sandbox(DEBIAN, &["--no-credentials"]);
    let refreshed = credentials(&stage, &["refresh", &third.name, "--credentials", "codex"]);
    refreshed.ended(0, &[warning, &first.name, &second.name]);
    // Of its own accord a refresh takes what was given so far, also after a restart.
    first.verb("restart", &[]).output().ended(0, &[]);
    let again = credentials(&stage, &["refresh", &first.name]).stdout_text();
    assert_eq!(again, format!("~/{CLAUDE}\n~/.codex/auth.json\n"));
}

#[test]
fn list_shows_what_would_be_taken() {
    let stage = Stage::new();
    put(&stage, CLAUDE, &claude("a", 1));
    fs::create_dir_all(stage.home().join(".codex/auth.json")).unwrap();
    let listed = credentials(&stage, &["list"]).stdout_text();
    let line = |path: &str| {
        let line = listed
            .lines()
            .find(|line| line.starts_with(&format!("~/{path} ")));
        line.unwrap_or_else(|| panic!("{path} in {listed}"))
            .to_owned()
    };
    assert!(line(CLAUDE).contains("yes") && line(CLAUDE).contains("renews itself"));
    assert!(line(".codex/auth.json").contains("it is a directory"));
    assert!(line(".claude.json.api").contains("not there"));
    assert!(!listed.contains("r-a"), "tokens are never shown");
    let json = credentials(&stage, &["list", "-o", "json"]).json();
    assert_eq!(json.as_array().unwrap().len(), 7);
}

#[test]
fn the_status_of_all_has_a_line_for_each() {
    let stage = Stage::new();
    let far = 4_000_000_000_000;
    put(&stage, CLAUDE, &claude("a", far));
    let with = stage.sandbox(DEBIAN, &[]);
    let without = stage.sandbox(DEBIAN, &["--credentials", "codex"]);
    let text = credentials(&stage, &["status"]).stdout_text();
    let row = |name: &str| {
        let row = text.lines().find(|line| line.starts_with(name));
        row.unwrap_or_else(|| panic!("{text}")).to_owned()
    };
    assert!(row(&with.name).contains("the same"), "{text}");
    let only = "only this machine has one";
    assert!(row(&without.name).contains(only), "{text}");
    assert!(text.starts_with("SANDBOX"), "{text}");
    let all = credentials(&stage, &["status", "-o", "json"]).json();
    let files = |name: &str| {
        let mine = |one: &&serde_json::Value| one["sandbox"] == *name;
        let found = all.as_array().unwrap().iter().find(mine);
        found.unwrap()["files"].clone()
    };
    for sandbox in [&with, &without] {
        let one = credentials(&stage, &["status", &sandbox.name, "-o", "json"]).json();
        assert_eq!(files(&sandbox.name), one);
    }
}

fn state_of(stage: &Stage, sandbox: &Sandbox<'_>, path: &str) -> String {
    let json = credentials(stage, &["status", &sandbox.name, "-o", "json"]).json();
    let pair = json
        .as_array()
        .unwrap()
        .iter()
        .find(|pair| pair["path"] == path);
    pair.unwrap()["state"].as_str().unwrap().to_owned()
}

#[test]
fn the_newer_copy_goes_the_way_it_is_told_to_and_no_other() {
    let stage = Stage::new();
    put(&stage, CLAUDE, &claude("old", 1_000_000_000_000));
    let image = stage.image(AGENT_IMAGE);
    let sandbox = stage.sandbox(&image, &[]);
    let name = sandbox.name.as_str();
    assert_eq!(state_of(&stage, &sandbox, CLAUDE), "same");

    // The host renews: the sandbox gets the new one, running or stopped.
    for (round, running) in [(1, true), (2, false)] {
        let renewed = claude(&format!("host{round}"), 1_000_000_000_000 + round);
        put(&stage, CLAUDE, &renewed);
        assert_eq!(state_of(&stage, &sandbox, CLAUDE), "host_newer");
        if !running {
            assert_eq!(sandbox.verb("stop", &[]).output().code, 0);
        }
        let refreshed = credentials(&stage, &["refresh", name]);
        assert_eq!(refreshed.code, 0, "{refreshed:?}");
        assert_eq!(state_of(&stage, &sandbox, CLAUDE), "same");
    }
    assert_eq!(sandbox.verb("start", &[]).output().code, 0);
    assert_eq!(
        inside(
            &sandbox,
            "stat -c '%a %u:%g' ~/.claude ~/.claude/.credentials.json"
        ),
        "700 1234:55\n600 1234:55\n"
    );

    // The sandbox renews: the host's copy is spent, and must not go over the one that works.
    let theirs = claude("sandbox", 1_000_000_000_009);
    inside(
        &sandbox,
        &format!("cd ~/.claude && echo '{theirs}' >x && mv x .credentials.json"),
    );
    assert_eq!(state_of(&stage, &sandbox, CLAUDE), "sandbox_newer");
    let told = credentials(&stage, &["status", name]);
    assert!(
        told.stdout_text().contains("the sandbox's is newer"),
        "{told:?}"
    );
    assert!(
        told.stderr_text().contains("A refresh token serves once"),
        "{told:?}"
    );
    let refused = credentials(&stage, &["refresh", name]);
    assert_eq!(refused.code, 4, "{refused:?}");
    assert!(
        host(&stage, CLAUDE).contains("host2"),
        "nothing is taken unasked"
    );

    // Taken back: private, and through a link, which stays one.
    let link = stage.home().join(CLAUDE);
    fs::rename(&link, stage.home().join("real")).unwrap();
    std::os::unix::fs::symlink("../real", &link).unwrap();
    let pulled = credentials(&stage, &["pull", name, "--force"]);
    assert_eq!(
        (pulled.code, pulled.stdout_text()),
        (0, format!("~/{CLAUDE}\n")),
        "{pulled:?}"
    );
    assert!(link.symlink_metadata().unwrap().is_symlink());
    let real = stage.home().join("real");
    assert!(fs::read_to_string(&real).unwrap().contains("r-sandbox"));
    assert_eq!(real.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    // What was pulled is the same sign-in, though its bytes differ.
    is_the_same(&stage, &sandbox);
    let again = credentials(&stage, &["pull", name]);
    assert_eq!(
        (again.code, again.stdout_text().as_str()),
        (0, ""),
        "{again:?}"
    );

    // Settings beside the sign-in renew nothing.
    let beside = theirs.replacen('{', r#"{"mcpOAuth":{"refreshToken":"x","expiresAt":7},"#, 1);
    inside(
        &sandbox,
        &format!("cd ~/.claude && echo '{beside}' >x && mv x .credentials.json"),
    );
    is_the_same(&stage, &sandbox);
    let refreshed = credentials(&stage, &["refresh", name]);
    refreshed.ended(0, &[]);
}

/// Both sides have one sign-in, and nobody is told that a copy of it is spent.
fn is_the_same(stage: &Stage, sandbox: &Sandbox<'_>) {
    assert_eq!(state_of(stage, sandbox, CLAUDE), "same");
    let told = credentials(stage, &["status", &sandbox.name]);
    assert!(!told.stderr_text().contains("spent"), "{told:?}");
}

#[test]
fn a_single_file_copied_over_a_sign_ins_path_stays() {
    let stage = Stage::new();
    put(&stage, CLAUDE, &claude("host", 1_000_000_000_000));
    put(&stage, "mine.json", &claude("mounted", 1_000_000_000_009));
    let source = stage.home().join("mine.json").canonicalize().unwrap();
    let target = format!("/home/amika/{CLAUDE}");
    let sandbox = stage.adopt(stage.name());
    let mount = format!("{}:{target}", source.display());
    sandbox.create(DEBIAN, &["--mount", &mount]).ended(0, &[]);
    let name = sandbox.name.as_str();
    assert_eq!(state_of(&stage, &sandbox, CLAUDE), "mounted");
    let told = credentials(&stage, &["status", name]);
    assert!(
        told.stdout_text().contains("a mount is in its place"),
        "{told:?}"
    );
    for args in [
        &["refresh", name, "--credentials", "claude"][..],
        &["refresh", name, "--credentials", "claude", "--force"],
    ] {
        let refreshed = credentials(&stage, args);
        assert_eq!(refreshed.stdout_text(), "", "{refreshed:?}");
        assert!(inside(&sandbox, "cat ~/.claude/.credentials.json").contains("r-mounted"));
    }
    let shown = sandbox.verb("inspect", &[]).output().stdout_text();
    let line = format!("{} -> {target} (copy, rw)", source.display());
    assert!(shown.contains(&line), "{shown}");
}

#[test]
fn tokens_that_tell_no_account_wait_for_a_word() {
    const SETTINGS: &str = ".claude.json";
    let stage = Stage::new();
    put(&stage, CLAUDE, &claude("mine", 1_700_000_000_000));
    put(
        &stage,
        SETTINGS,
        r#"{"oauthAccount":{"accountUuid":"ada"}}"#,
    );
    let sandbox = stage.sandbox(DEBIAN, &[]);
    let name = sandbox.name.as_str();
    let theirs = claude("evil", 1_700_000_000_001);
    // The settings beside it were left as they are, so that all that can be compared is the same.
    inside(&sandbox, &format!("cd && echo '{theirs}' >{CLAUDE}"));
    assert_eq!(state_of(&stage, &sandbox, CLAUDE), "sandbox_newer");
    let told = credentials(&stage, &["status", name]);
    assert!(told.stdout_text().contains("`pull` asks"), "{told:?}");

    // Nobody can be asked.
    let pulled = credentials(&stage, &["pull", name]);
    pulled.ended(
        0,
        &[
            "cannot be seen in its tokens",
            &format!("pull {name} --force"),
        ],
    );
    assert_eq!(pulled.stdout_text(), "");
    let json = credentials(&stage, &["pull", name, "-o", "json"]).json();
    assert_eq!(json["taken"], serde_json::json!([]), "{json}");
    let answered = |answer: &str| {
        let mut terminal = stage.on_terminal_of(200, &[], &["credentials", "pull", name]);
        terminal.shows("Take it? [y/N]").types(answer);
        assert_eq!(terminal.end().0, 0);
    };
    answered("\n");
    assert_eq!(host(&stage, CLAUDE), claude("mine", 1_700_000_000_000));
    answered("y\n");
    assert!(host(&stage, CLAUDE).contains("r-evil"));
}

#[test]
fn nothing_hostile_comes_back() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &[]);
    inside(
        &sandbox,
        r#"mkdir -p ~/.claude ~/.codex/auth.json ~/.local/share/opencode && cd &&
        ln -s /etc/shadow .claude/.credentials.json && echo x >.codex/auth.json/file &&
        truncate -s 40M .claude-oauth-credentials.json &&
        echo '{"mcpServers":{"x":{"command":"sh"}}}' >.claude.json &&
        echo '{"https://evil.example":{"type":"wellknown","key":"LD_PRELOAD","token":"x"}}' \
            >.local/share/opencode/auth.json"#,
    );
    let pulled = credentials(&stage, &["pull", &sandbox.name, "-o", "json"]);
    assert_eq!(pulled.code, 0, "{pulled:?}");
    let json = pulled.json();
    assert_eq!(json["taken"], serde_json::json!([]), "{json}");
    assert_eq!(json["left"].as_array().unwrap().len(), 4, "{json}");
    for path in FILES {
        assert!(!stage.home().join(path).exists(), "{path}");
    }
    assert!(!Path::new(&stage.home().join(".claude")).exists());
}

#[test]
fn only_renewed_tokens_of_this_machine_s_accounts_come_back() {
    const CODEX: &str = ".codex/auth.json";
    const OPENCODE: &str = ".local/share/opencode/auth.json";
    let stage = Stage::new();
    let codex = |token: &str, account: &str, key: &str| {
        format!(
            r#"{{"OPENAI_API_KEY":{key},"tokens":{{"access_token":"{token}","refresh_token":"r-{token}","account_id":"{account}"}},"last_refresh":"2026-01-0{}T00:00:00Z"}}"#,
            if token == "old" { 1 } else { 2 }
        )
    };
    put(&stage, CODEX, &codex("old", "acct_1", "null"));
    let copilot =
        r#"{"github-copilot":{"type":"oauth","refresh":"r","access":"a","expires":1700000000000}}"#;
    put(&stage, OPENCODE, copilot);
    let sandbox = stage.sandbox(DEBIAN, &[]);
    let name = sandbox.name.as_str();
    let theirs = r#"{"github-copilot":{"type":"oauth","refresh":"evil","access":"evil","expires":1700000000001,"enterpriseUrl":"evil.example"},"openai":{"type":"oauth","refresh":"evil","access":"evil","expires":1700000000001}}"#;
    let other = codex("evil", "acct_ATTACKER", "\"sk-attacker\"");
    inside(
        &sandbox,
        &format!("cd && echo '{theirs}' >{OPENCODE} && echo '{other}' >{CODEX}"),
    );
    // What would be refused is not advised.
    let told = credentials(&stage, &["status", name]);
    assert!(!told.stderr_text().contains("credentials pull"), "{told:?}");
    assert_eq!(state_of(&stage, &sandbox, CODEX), "sandbox_refused");
    let pulled = credentials(&stage, &["pull", name]);
    pulled.ended(0, &["another account, acct_ATTACKER", "another server"]);
    assert_eq!(pulled.stdout_text(), "");
    assert!(!(host(&stage, CODEX) + &host(&stage, OPENCODE)).contains("evil"));

    // Who insists hears of the account, and gets no key.
    let forced = credentials(&stage, &["pull", name, "--force"]);
    forced.ended(
        0,
        &["of another account is taken, acct_ATTACKER, and this machine's was acct_1"],
    );
    let codex_file = host(&stage, CODEX);
    assert!(
        codex_file.contains("r-evil") && !codex_file.contains("sk-attacker"),
        "{codex_file}"
    );
    assert!(!host(&stage, OPENCODE).contains("evil"));
}

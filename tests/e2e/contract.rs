//! The contract for machines: every command, whatever becomes of it, ends with the exit code of
//! `docs/errors.md`, and with `-o json` prints exactly one document, of the schema in `docs/schema`.

use std::collections::BTreeSet;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{DEBIAN, Output, Run, Stage, docker};

/// A command that hangs fails its test, and says which it was.
const SOON: Duration = Duration::from_secs(45);

/// A command, and what it ends with.
struct Row {
    command: &'static str,
    /// `NAME` stands for a sandbox, `VOLUME` for its git volume, `REPO` for a repository on the
    /// host, `DIR` for a directory.
    args: &'static [&'static str],
    /// When all is well.
    ok: i32,
    /// When what it names is not there; none where it names nothing.
    missing: Option<i32>,
    /// When no engine answers; none where it needs none.
    engine_down: Option<i32>,
}

const fn row(command: &'static str, args: &'static [&'static str], ok: i32) -> Row {
    Row {
        command,
        args,
        ok,
        missing: Some(3),
        engine_down: Some(5),
    }
}

impl Row {
    /// What it names cannot be missing.
    const fn names_nothing(self) -> Self {
        Self {
            missing: None,
            ..self
        }
    }

    const fn needs_no_engine(self) -> Self {
        Self {
            engine_down: None,
            missing: None,
            ..self
        }
    }

    /// Its own failures are 125: the other codes are a program's.
    const fn passes_codes_through(self) -> Self {
        Self {
            missing: Some(125),
            engine_down: Some(125),
            ..self
        }
    }

    /// Its words, for `amika`, with what stands for something put in its place.
    fn words(&self, put: impl Fn(&'static str) -> String) -> Vec<String> {
        let words = self.command.split(' ').map(str::to_owned);
        words.chain(self.args.iter().map(|arg| put(arg))).collect()
    }
}

/// All commands, in the order of a sandbox's life.
const TABLE: &[Row] = &[
    row("completion", &["bash"], 0).needs_no_engine(),
    row("init", &["--dry-run", "REPO"], 0).needs_no_engine(),
    // The repository has none.
    row("config migrate", &["devcontainer", "REPO"], 3).needs_no_engine(),
    row("config check", &["REPO"], 0).needs_no_engine(),
    row("config set", &["trust", "ask"], 0).needs_no_engine(),
    row("config get", &["trust"], 0).needs_no_engine(),
    row("config unset", &["trust"], 0).needs_no_engine(),
    // Nobody is signed in to a server: what these do with one is the server's own tests'.
    row("auth login", &["http://192.0.2.1"], 2).needs_no_engine(),
    row("auth status", &[], 8).needs_no_engine(),
    row("auth logout", &[], 0).needs_no_engine(),
    row("secret list", &[], 8).needs_no_engine(),
    row("secret set", &["TOKEN"], 8).needs_no_engine(),
    row("secret delete", &["TOKEN"], 8).needs_no_engine(),
    row("secret push", &["--force"], 8).needs_no_engine(),
    row("credentials list", &[], 0).needs_no_engine(),
    row("generate api", &["DIR"], 0).needs_no_engine(),
    row("generate man", &["DIR"], 0).needs_no_engine(),
    row("generate schema", &["DIR"], 0).needs_no_engine(),
    // A server ends by a signal alone, and no data of one are here: its life is the server's own tests'.
    row("server", &["--listen", "192.0.2.1:80", "--data", "DIR"], 2).needs_no_engine(),
    row("server check", &["--data", "DIR"], 3).needs_no_engine(),
    row("server backup", &["--data", "DIR", "DIR"], 3).needs_no_engine(),
    row("server restore", &["--data", "DIR", "DIR"], 3).needs_no_engine(),
    row("server key create", &["--admin", "--data", "DIR"], 3).needs_no_engine(),
    row("doctor", &[], 0).names_nothing(),
    row("image list", &[], 0).names_nothing(),
    row("image build", &["coder"], 0).names_nothing(),
    // Of a test run it takes the run's own images, of which there are none here.
    row("image prune", &[], 0).names_nothing(),
    Row {
        missing: Some(6),
        ..row(
            "sandbox create",
            &["--name", "NAME", "--image", "IMAGE", "--git", "REPO"],
            0,
        )
    },
    row("sandbox list", &[], 0).names_nothing(),
    row("ls", &[], 0).names_nothing(),
    row("system df", &[], 0).names_nothing(),
    row("sandbox wait", &["NAME", "--for", "ready"], 0),
    row("sandbox inspect", &["NAME"], 0),
    // It has no services, and publishes nothing.
    row("sandbox url", &["NAME"], 3),
    row("sandbox port", &["NAME"], 0),
    row("sandbox code", &["NAME"], 0),
    row("sandbox stats", &["--no-stream", "NAME"], 0),
    row("sandbox cp", &["FILE", "DIR"], 0),
    row("sandbox rename", &["NAME", "NEW"], 0),
    row("sandbox rename", &["NEW", "NAME"], 0),
    row("sandbox adopt", &["NAME"], 0),
    // No git is in the image.
    row("sandbox diff", &["NAME"], 7),
    row("sandbox push", &["NAME", "--from", "REPO"], 7),
    row("sandbox pull", &["NAME", "--into", "REPO"], 7),
    row("events", &["--since", "1m", "--until", "1s"], 0).names_nothing(),
    row("sandbox logs", &["NAME"], 0),
    row("sandbox logs", &["NAME", "--job", "0"], 3),
    row("sandbox wait", &["NAME", "--for", "job:0"], 3),
    row("sandbox exec", &["NAME", "--", "true"], 0).passes_codes_through(),
    row("sandbox exec", &["-d", "NAME", "--", "true"], 0).passes_codes_through(),
    row("sandbox jobs", &["NAME"], 0),
    // No terminal is there.
    row("sandbox connect", &["NAME"], 125).passes_codes_through(),
    row("sandbox connect", &["NAME", "--session", "s"], 125).passes_codes_through(),
    // No agent is in the image, and no OpenCode.
    row("sandbox prompt", &["NAME", "hello"], 127).passes_codes_through(),
    row("sandbox prompt", &["NAME", "-d", "hello"], 0).passes_codes_through(),
    row("sandbox open", &["NAME"], 1),
    row("service list", &["--sandbox-name", "NAME"], 0),
    // No repository runs services in it.
    row("service logs", &["NAME"], 3),
    row("service start", &["NAME"], 3),
    row("service stop", &["NAME"], 3),
    row("service restart", &["NAME"], 3),
    row("credentials status", &["NAME"], 0),
    row("credentials status", &[], 0).names_nothing(),
    row("credentials refresh", &["NAME"], 0),
    row("credentials pull", &["NAME"], 0),
    row("sandbox stop", &["NAME"], 0),
    // It has no end of its own while the sandbox is there.
    row("sandbox forward", &["NAME", "3000"], 4),
    row("forward", &["NAME", "--all"], 4),
    row("sandbox start", &["NAME"], 0),
    row("sandbox restart", &["NAME"], 0),
    row("volume list", &[], 0).names_nothing(),
    row("volume inspect", &["VOLUME"], 0),
    row("volume inspect", &["VOLUME", "VOLUME"], 0),
    row("sandbox delete", &["--force", "NAME"], 0),
    // It is gone by then.
    row("rm", &["--force", "NAME"], 3),
    // It may hold work, and nobody is there to be asked.
    row("volume prune", &["--sandbox-name", "NAME"], 4).names_nothing(),
    row("volume delete", &["VOLUME"], 0),
    row("volume prune", &["--force", "--sandbox-name", "NAME"], 0).names_nothing(),
];

/// The schemas as they are committed.
struct Schemas {
    dir: PathBuf,
    index: Value,
}

impl Schemas {
    fn load() -> Self {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/schema");
        let index = read(&dir.join("index.json"));
        Self { dir, index }
    }

    fn check(&self, schema: &str, document: &Value, row: &Row, when: &str) {
        let validator = jsonschema::validator_for(&read(&self.dir.join(schema))).unwrap();
        let problems: Vec<String> = validator
            .iter_errors(document)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(
            problems.is_empty(),
            "{} {when}: {problems:?} {document:#}",
            row.command
        );
    }

    /// Asserts that standard output is what the command's schema says.
    fn hold(&self, row: &Row, output: &Output, when: &str) {
        let entry = &self.index["success"][row.command];
        let failed = output.code != 0;
        if let (Some(lines), false, None) =
            (entry["lines"].as_str(), failed, entry["document"].as_str())
        {
            for line in output.stdout.split(|byte| *byte == b'\n') {
                if !line.is_empty() {
                    let document = serde_json::from_slice(line).unwrap();
                    self.check(lines, &document, row, when);
                }
            }
            return;
        }
        let is_stream = !entry["stream"].is_null() && output.stdout.is_empty();
        let name = match entry["document"].as_str() {
            // A program that is waited for writes nothing here; one that is not is told of in a document.
            Some(_) if is_stream => return,
            Some(document) if !failed => document,
            // What a program writes is no document; these programs write nothing.
            None if !failed || output.stdout.is_empty() => {
                assert!(
                    output.stdout.is_empty(),
                    "{} {when}: {output:?}",
                    row.command
                );
                return;
            }
            _ => self.index["failure"].as_str().unwrap(),
        };
        let document = output.json();
        self.check(name, &document, row, when);
        if failed {
            assert_eq!(
                document["error"]["exit_code"], output.code,
                "{} {when}",
                row.command
            );
            assert!(
                !output.stderr.is_empty(),
                "{} {when}: nothing is said",
                row.command
            );
        }
    }
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Asks for JSON before the command or after it, turn by turn.
fn asking<'a>(words: &'a [String], turn: usize, command: &str) -> Vec<&'a str> {
    let mut all: Vec<&str> = words.iter().map(String::as_str).collect();
    let at = if turn.is_multiple_of(2) {
        0
    } else {
        command.split(' ').count()
    };
    all.splice(at..at, ["-o", "json"]);
    all
}

#[test]
fn every_command_is_in_the_table() {
    let index = Schemas::load().index;
    let described: BTreeSet<&str> = index["success"]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let tried: BTreeSet<&str> = TABLE.iter().map(|row| row.command).collect();
    assert_eq!(described, tried);
}

#[test]
fn failures_have_their_code_and_one_document() {
    let (stage, schemas) = (Stage::new(), Schemas::load());
    let repository = stage.repository("repo", &[("file", "x")]);
    let dir = stage.home().join("out");
    let no_such = |arg: &'static str| match arg {
        "NAME" | "VOLUME" => "no-such-thing",
        "NEW" => "no-such-thing-too",
        "FILE" => "no-such-thing:/etc/passwd",
        "IMAGE" => "amika-test/no-such-image",
        other => other,
    };
    let put = |arg: &'static str| match no_such(arg) {
        "REPO" => repository.clone(),
        "DIR" => dir.display().to_string(),
        other => other.to_owned(),
    };
    for (turn, row) in TABLE.iter().enumerate() {
        let words = row.words(put);
        let run = |words: &[String]| stage.amika(&asking(words, turn, row.command)).limit(SOON);
        if let Some(code) = row.missing {
            let output = run(&words).output();
            assert_eq!(output.code, code, "{}: {output:?}", row.command);
            schemas.hold(row, &output, "of nothing");
        }
        if let Some(code) = row.engine_down {
            let output = run(&words)
                .env("DOCKER_HOST", "unix:///no/such/socket")
                .output();
            assert_eq!(output.code, code, "{}: {output:?}", row.command);
            schemas.hold(row, &output, "without an engine");
        }
        let mut bad = words.clone();
        bad.insert(row.command.split(' ').count(), "--no-such-option".into());
        let output = run(&bad).output();
        let expected = if row.engine_down == Some(125) { 125 } else { 2 };
        assert_eq!(output.code, expected, "{}: {output:?}", row.command);
        schemas.hold(row, &output, "with a bad option");
    }
    stage.nothing_was_made();
}

#[test]
fn an_interrupt_ends_every_command_with_one_document() {
    let (stage, schemas) = (Stage::new(), Schemas::load());
    let repository = stage.repository("repo", &[("file", "x")]);
    // An engine that takes connections and never says a word.
    let socket = stage.home().join("silent.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let (sender, connections) = mpsc::channel();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            if sender.send(connection.unwrap()).is_err() {
                return;
            }
        }
    });
    let put = |arg: &'static str| match arg {
        "NAME" | "VOLUME" => "no-such-thing".to_owned(),
        "FILE" => "no-such-thing:/etc/passwd".to_owned(),
        "NEW" => "no-such-thing-too".to_owned(),
        "DIR" => stage.home().display().to_string(),
        "IMAGE" => DEBIAN.to_owned(),
        "REPO" => repository.clone(),
        other => other.to_owned(),
    };
    for (turn, row) in TABLE.iter().enumerate() {
        // Without a terminal it ends before it asks the engine.
        if row.engine_down.is_none() || row.command == "sandbox connect" {
            continue;
        }
        let running = stage
            .amika(&asking(&row.words(put), turn, row.command))
            .env("DOCKER_HOST", &format!("unix://{}", socket.display()))
            .limit(SOON)
            .start();
        let connection = connections.recv_timeout(SOON).expect(row.command);
        running.signal(Signal::INT);
        let output = running.wait();
        drop(connection);
        assert_eq!(output.code, 130, "{}: {output:?}", row.command);
        schemas.hold(row, &output, "interrupted");
        while connections.try_recv().is_ok() {}
    }
    stage.nothing_was_made();
}

#[test]
fn an_empty_name_is_a_bad_argument_wherever_one_is_wanted() {
    let (stage, schemas) = (Stage::new(), Schemas::load());
    for (turn, row) in TABLE.iter().enumerate() {
        if !row.args.iter().any(|arg| ["NAME", "VOLUME"].contains(arg)) {
            continue;
        }
        let words = row.words(|arg| match arg {
            "NAME" | "VOLUME" => String::new(),
            other => other.to_owned(),
        });
        let output = stage
            .amika(&asking(&words, turn, row.command))
            .limit(SOON)
            .output();
        let expected = if row.engine_down == Some(125) { 125 } else { 2 };
        assert_eq!(output.code, expected, "{}: {output:?}", row.command);
        schemas.hold(row, &output, "of an empty name");
        let error = &output.json()["error"];
        assert_ne!(error["message"], "", "{}: {output:?}", row.command);
    }
    stage.nothing_was_made();
}

#[test]
fn a_quiet_failure_has_no_hints_for_people() {
    let stage = Stage::new();
    for words in [&["sandbox", "inspect", "no-such-thing"][..], &["stop"]] {
        let loud = stage.amika(words).output();
        let quiet = stage.amika(&[words, &["-q"]].concat()).output();
        assert_eq!(loud.code, quiet.code, "{quiet:?}");
        let said = |output: &Output| {
            let text = output.stderr_text();
            ["hint:", "tip:"].iter().any(|word| text.contains(word))
        };
        assert!(said(&loud) && !said(&quiet), "{loud:?} {quiet:?}");
        assert!(quiet.stderr_text().starts_with("error: "), "{quiet:?}");
    }
}

/// How a command is started.
type Start = fn(&Stage, &[&str]) -> Run;

/// Goes through a sandbox's life, each command started this way.
fn life(start: Start, when: &str) {
    let (stage, schemas) = (Stage::new(), Schemas::load());
    let repository = stage.repository("repo", &[("file", "x"), (".amika/config.toml", "")]);
    let dir = stage.home().join("out");
    let sign_in = stage.home().join(".claude/.credentials.json");
    std::fs::create_dir(sign_in.parent().unwrap()).unwrap();
    std::fs::write(sign_in, r#"{"claudeAiOauth":{"expiresAt":1}}"#).unwrap();
    let sandbox = stage.adopt(stage.name());
    let mut volume = String::new();
    for (turn, row) in TABLE.iter().enumerate() {
        let put = |arg: &'static str| match arg {
            "NAME" => sandbox.name.clone(),
            "NEW" => format!("{}-b", sandbox.name),
            "FILE" => format!("{}:/etc/passwd", sandbox.name),
            "VOLUME" => volume.clone(),
            "IMAGE" => DEBIAN.to_owned(),
            "REPO" => repository.clone(),
            "DIR" => dir.display().to_string(),
            other => other.to_owned(),
        };
        let words = row.words(put);
        let output = start(&stage, &asking(&words, turn, row.command))
            .limit(SOON)
            .output();
        assert_eq!(output.code, row.ok, "{} {when}: {output:?}", row.command);
        schemas.hold(row, &output, when);
        if row.command == "sandbox create" {
            let kind = "label=dev.amika.kind=git";
            let own = format!("label={}", stage.label());
            let list = docker(&["volume", "ls", "-q", "--filter", kind, "--filter", &own]);
            list.stdout_text().trim().clone_into(&mut volume);
        }
    }
}

#[test]
fn all_is_well_with_standard_input_closed() {
    life(
        |stage, words| stage.shell("\"$0\" \"$@\" <&-", words),
        "with input closed",
    );
}

#[test]
fn all_is_well_without_a_terminal() {
    let start: Start = |stage, words| stage.shell("setsid -w \"$0\" \"$@\" </dev/null", words);
    life(start, "without a terminal");
}

#[test]
fn all_is_well_with_an_input_that_never_ends() {
    // A pipe whose other end stays open and silent until the command ended.
    let start: Start = |stage, words| {
        let script = "coproc exec sleep 60; \"$0\" \"$@\" <&\"${COPROC[0]}\"; code=$?; \
                      kill \"$COPROC_PID\"; exit $code";
        stage.shell(script, words)
    };
    life(start, "with an open input");
}

//! The texts that people read, whole: every help page, failures of each kind, tables, `doctor`, `--dry-run`
//! and `inspect`. A change of one is seen as such, in `texts/`; `INSTA_UPDATE=always` writes them anew.
//!
//! They are of an engine that nobody else uses, so that a list has the same rows each time.

use std::path::Path;

use crate::support::{DEBIAN, PrivateEngine, SCRATCH, Stage};

/// What differs from run to run, and what stands in its place. A number that may be longer or shorter takes
/// the spaces behind it along, since they depend on it.
const VARYING: &[(&str, &str)] = &[
    (r"[0-9a-f]{64}", "<id>"),
    (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "<uuid>"),
    (r"\b[0-9a-f]{40}\b", "<commit>"),
    (r"\b20\d{12}[0-9a-f]{4}\b", "<stamp>"),
    (
        r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z( \([^)]+ ago\))?",
        "<time>",
    ),
    (r"127\.0\.0\.1:\d+(->6099\d)", "127.0.0.1:<port>$1"),
    (r"http://(localhost|127\.0\.0\.1):\d+", "http://$1:<port>"),
    (r" +\d+\.\d s\b", " <took>"),
    (r"\b\d+(\.\d+)? ?(ms|s)\b( ago)?", "<age>"),
    (r"\b\d+(\.\d+)? (k|M|G|T)?i?B\b *", "<size>  "),
    (r"\bamikad-[0-9a-f]{8,}\b", "amikad-<hash>"),
    (r"(password +)\S+", "$1<password>"),
    (r"amika-e2e-engine-\w+", "<directory>"),
    (r"(amika/coder(-dind)?):[0-9a-f]{12}", "$1:<recipe>"),
    // What depends on the machine that the tests run on.
    (r"(. certificates ).*", "$1 <as this machine has them>"),
    (r"(. engine  ).* at <engine>, API.*", "$1 <as it is>"),
    (
        r"engine \S+ is older than 28",
        "engine <version> is older than 28",
    ),
    (r"-i \S+ -m", "-i <interface> -m"),
    (
        r"\(\S+ is where they come in",
        "(<interface> is where they come in",
    ),
    (r"(. runc  +)\S+ is older", "$1<version> is older"),
    (r"e2e-\d+-[a-z0-9]+", "<run>"),
];

/// A place to run `amika` where what it says is the same each time.
struct Reader<'a> {
    stage: &'a Stage,
    host: String,
    settings: insta::Settings,
}

impl<'a> Reader<'a> {
    fn new(stage: &'a Stage, host: String, varying: &[(&str, &str)]) -> Self {
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(Path::new("texts"));
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        let home = stage.home().to_str().unwrap().to_owned();
        settings.add_filter(&home, "<home>");
        settings.add_filter(&host, "<engine>");
        for (pattern, stands_in) in varying {
            settings.add_filter(pattern, *stands_in);
        }
        Self {
            stage,
            host,
            settings,
        }
    }

    /// Runs `amika` with these arguments and holds what it says to the text of this name.
    fn reads(&self, name: &str, code: i32, args: &[&str]) {
        self.reads_in(self.stage.home(), name, code, args);
    }

    fn reads_in(&self, dir: &Path, name: &str, code: i32, args: &[&str]) {
        let said = self
            .stage
            .amika(args)
            .env("DOCKER_HOST", &self.host)
            .dir(dir)
            .output();
        assert_eq!(said.code, code, "{args:?}: {said:?}");
        let mut text = format!("$ amika {}\n{}", args.join(" "), said.stdout_text());
        if !said.stderr.is_empty() {
            text.push_str("\n--- standard error\n");
            text.push_str(&said.stderr_text());
        }
        self.settings.bind(|| insta::assert_snapshot!(name, text));
    }
}

/// Names of the commands that a page of help lists.
fn listed(page: &str) -> Vec<String> {
    let lines = page.lines().skip_while(|line| *line != "Commands:").skip(1);
    let lines = lines.take_while(|line| !line.is_empty());
    lines
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_help_page_reads_as_it_was_seen() {
    let stage = Stage::new();
    let reader = Reader::new(&stage, "unix:///nowhere/docker.sock".to_owned(), &[]);
    let mut open = vec![Vec::<String>::new()];
    let mut pages = 0;
    while let Some(path) = open.pop() {
        let args: Vec<&str> = path.iter().map(String::as_str).chain(["--help"]).collect();
        let name = ["help"].into_iter().chain(path.iter().map(String::as_str));
        let name: Vec<&str> = name.collect();
        reader.reads(&name.join("_"), 0, &args);
        pages += 1;
        let page = stage.amika(&args).output().stdout_text();
        open.extend(listed(&page).into_iter().map(|below| {
            let mut path = path.clone();
            path.push(below);
            path
        }));
    }
    assert!(pages > 40, "{pages} pages of help were found");
}

#[test]
fn tables_plans_and_failures_read_as_they_were_seen() {
    let stage = Stage::new();
    let engine = PrivateEngine::start(&stage, &[DEBIAN, SCRATCH]);
    let reader = Reader::new(&stage, engine.host(), VARYING);
    let app = stage.repository(
        "app",
        &[(
            ".amika/config.toml",
            "[env]\nRUST_BACKTRACE = \"1\"\n[sandbox.limits]\nmemory = \"512m\"\n[services.api]\nport = 4897\nurl_scheme = \"http\"\n\
             [services.notes]\n",
        )],
    );
    let app = Path::new(&app);

    reader.reads("list_empty", 0, &["sandbox", "list"]);
    let create = [
        "sandbox",
        "create",
        "--name",
        "teal-tokyo",
        "--image",
        DEBIAN,
    ];
    let limits = [
        "--memory",
        "512m",
        "--pids",
        "300",
        "--env",
        "AMIKA_OPENCODE_WEB=0",
    ];
    let git = [&create[..], &limits, &["--git", "."]].concat();
    reader.reads_in(app, "dry_run", 0, &[&git[..], &["--dry-run"]].concat());
    reader.reads_in(app, "create", 0, &git);
    reader.reads("list", 0, &["sandbox", "list"]);
    reader.reads("inspect", 0, &["sandbox", "inspect", "teal-tokyo"]);
    reader.reads("service_list", 0, &["service", "list"]);
    reader.reads("volume_list", 0, &["volume", "list"]);
    reader.reads("image_list", 0, &["image", "list"]);
    reader.reads("credentials_list", 0, &["credentials", "list"]);
    reader.reads(
        "credentials_status",
        0,
        &["credentials", "status", "teal-tokyo"],
    );

    // A failure of each kind.
    reader.reads("error_usage", 2, &["sandbox", "create", "--port", "0:80"]);
    reader.reads("error_usage_flag", 2, &["sandbox", "create", "--nam", "x"]);
    reader.reads("error_name", 2, &["sandbox", "create", "--name", "b"]);
    reader.reads("error_not_found", 3, &["sandbox", "inspect", "teal-tokio"]);
    reader.reads("error_not_found_volume", 3, &["volume", "inspect", "nope"]);
    reader.reads("error_conflict_name", 4, &create);
    let port = [
        "sandbox",
        "create",
        "--image",
        DEBIAN,
        "--port",
        "4897:1",
        "--name",
        "blue-bern",
    ];
    reader.reads("error_conflict_port", 4, &port);
    reader.reads(
        "error_repository",
        7,
        &["sandbox", "create", "--git", "/usr"],
    );
    let setup = stage.script(
        "setup.sh",
        "#!/bin/sh\necho installing\necho no such package >&2\nexit 3\n",
    );
    let failing = [
        "sandbox",
        "create",
        "--name",
        "red-riga",
        "--image",
        DEBIAN,
        "--setup-script",
        &setup,
    ];
    reader.reads("error_setup_failed", 20, &failing);
    let slow = [
        "sandbox",
        "wait",
        "red-riga",
        "--for",
        "ready",
        "--timeout",
        "5s",
    ];
    reader.reads("error_wait_after_failed_setup", 20, &slow);
    reader.reads("list_failed", 0, &["sandbox", "list"]);
    reader.reads(
        "error_stopped",
        125,
        &["sandbox", "exec", "red-riga", "--", "true"],
    );
    reader.reads(
        "error_exec_failed",
        127,
        &["sandbox", "exec", "teal-tokyo", "--", "no-such-program"],
    );
    let file = "echo work >/home/amika/notes.txt";
    let write = [
        "sandbox",
        "exec",
        "--user",
        "root",
        "teal-tokyo",
        "--",
        "sh",
        "-c",
        file,
    ];
    let written = stage
        .amika(&write)
        .env("DOCKER_HOST", &engine.host())
        .output();
    written.ended(0, &[]);
    reader.reads("delete_refused", 4, &["sandbox", "delete", "teal-tokyo"]);
    reader.reads("doctor", 0, &["doctor"]);
    reader.reads("stop", 0, &["sandbox", "stop", "teal-tokyo"]);
    let both = [
        "sandbox",
        "delete",
        "--force",
        "--volumes",
        "teal-tokyo",
        "red-riga",
    ];
    reader.reads("delete", 0, &both);

    let nowhere = Reader::new(&stage, "unix:///nowhere/docker.sock".to_owned(), VARYING);
    nowhere.reads("error_engine_unreachable", 5, &["sandbox", "list"]);
}

//! `amika init` and `amika config migrate devcontainer`: what they write works at the first create.

use crate::support::{DEBIAN, Output, Sandbox, Stage, preset};

/// Writes the configuration of a repository, and commits it.
fn init(stage: &Stage, path: &str) {
    let written = stage.amika(&["init", "--yes", path]).output();
    written.ended(0, &["sandboxes get what is committed"]);
    commit(stage, path);
    let checked = stage.amika(&["config", "check", path]).output();
    checked.ended(0, &[]);
    assert!(checked.stdout_text().contains(": valid\n"), "{checked:?}");
}

fn commit(stage: &Stage, path: &str) {
    let commit = "git add -A && git -c user.name=T -c user.email=t@example.org commit -qm 'Set up sandboxes'";
    stage.shell(commit, &[]).dir(path).output().ended(0, &[]);
}

fn says(sandbox: &Sandbox<'_>, script: &str) -> String {
    let said = sandbox.exec(&["sh", "-c", script]).output();
    said.ended(0, &[]).stdout_text()
}

#[test]
fn what_init_writes_works_at_the_first_create() {
    const PACKAGE: &str = r#"{"name":"a","scripts":{"dev":"vite"},"dependencies":{"b":"file:b"}}"#;
    const LOCK: &str = r#"{"name":"a","lockfileVersion":3,"requires":true,"packages":{
        "":{"name":"a","dependencies":{"b":"file:b"}},"b":{"version":"1.0.0"},"node_modules/b":{"resolved":"b","link":true}}}"#;
    const B: &str = r#"{"name":"b","version":"1.0.0"}"#;
    const PNPM: &str = "lockfileVersion: '9.0'\n\nimporters:\n\n  .: {}\n";
    // Layouts that need nothing of a registry; (files, what then holds in the sandbox).
    let layouts: [(&[(&str, &str)], &str); 7] = [
        (&[("README.md", "x")], "test ! -e .amika/setup.sh"),
        (
            &[
                ("package.json", PACKAGE),
                ("package-lock.json", LOCK),
                ("b/package.json", B),
            ],
            "test -e node_modules/b/package.json && test -w node_modules",
        ),
        (
            &[("package.json", "{}"), ("pnpm-lock.yaml", PNPM)],
            "test -z \"$(git status --porcelain | grep -v node_modules)\"",
        ),
        (
            &[
                ("requirements.txt", "# nothing yet\n"),
                ("manage.py", "import django\n"),
            ],
            "grep -q 0.0.0.0:8000 .amika/config.toml",
        ),
        (
            &[
                ("web/package.json", PACKAGE),
                ("web/package-lock.json", LOCK),
                ("web/b/package.json", B),
                ("api/requirements.txt", ""),
            ],
            "test -e web/node_modules/b/package.json && grep -q 'cwd = \"web\"' .amika/config.toml",
        ),
        (
            &[("Makefile", "setup:\n\techo made > made\n")],
            "test -e made && test -w made",
        ),
        (
            &[("compose.yaml", "services:\n  db:\n    image: postgres:16\n")],
            "grep -q 'db (postgres:16)' .amika/config.toml",
        ),
    ];
    let stage = Stage::new();
    let image = preset(&stage);
    for (number, (files, holds)) in layouts.into_iter().enumerate() {
        let path = stage.repository(&format!("layout-{number}"), files);
        init(&stage, &path);
        let sandbox = stage.sandbox(&image, &["--git", &path]);
        let held = sandbox.exec(&["sh", "-c", holds]).output();
        assert_eq!(held.code, 0, "{files:?}: {held:?}");
        // A second start does nothing again.
        sandbox.verb("restart", &[]).output().ended(0, &[]);
    }
}

#[test]
fn a_tool_that_no_archive_has_is_said_and_the_sandbox_starts() {
    let stage = Stage::new();
    let path = stage.repository("app", &[("go.mod", "module example.com/x\n\ngo 1.22\n")]);
    init(&stage, &path);
    // Without a network nothing can be installed.
    let sandbox = stage.sandbox(DEBIAN, &["--git", &path, "--network", "none"]);
    let log = sandbox.verb("logs", &["--setup"]).output().stdout_text();
    assert!(log.contains("go cannot be installed: do it here"), "{log}");
}

#[test]
fn nothing_is_written_without_a_yes_nor_in_place_of_a_configuration() {
    let stage = Stage::new();
    let path = stage.repository("app", &[("Makefile", "setup:\n\ttrue\n")]);
    let is_there = || std::path::Path::new(&path).join(".amika").exists();
    let refused = stage.amika(&["init", &path]).output();
    refused.ended(4, &["nobody said yes; nothing was written", "--yes"]);
    assert!(
        refused.stdout_text().contains("    make setup\n"),
        "{refused:?}"
    );
    let refused = stage.amika(&["init", "-o", "json", &path]).output();
    let document = refused.ended(4, &[]).json();
    assert_eq!(document["error"]["files"][1]["path"], ".amika/config.toml");
    let (code, screen) = stage.on_terminal(&["init", &path]).types("n\n").end();
    assert!(
        code == 4 && screen.contains("Write this? [y/N]"),
        "{screen}"
    );
    let shown = stage
        .amika(&["init", "-o", "json", "--dry-run", &path])
        .output();
    assert_eq!(shown.ended(0, &[]).json()["written"], false);
    assert!(!is_there());
    let (code, screen) = stage.on_terminal(&["init", &path]).types("y\n").end();
    assert!(code == 0 && is_there(), "{screen}");
    let again = stage.amika(&["init", "--yes", &path]).output();
    again.ended(4, &[".amika/setup.sh is there already", "--force"]);
    let forced = stage
        .amika(&["init", "--yes", "--force", "-o", "json", &path])
        .output();
    assert_eq!(forced.ended(0, &[]).json()["written"], true);
    let home = stage.home().to_str().unwrap();
    let nowhere = stage.amika(&["init", "--yes", home]).output();
    nowhere.ended(7, &["is in no git repository", "git init"]);
}

#[test]
fn no_link_of_a_repository_leads_init_out_of_it() {
    let stage = Stage::new();
    let path = stage.repository("app", &[("file", "x")]);
    stage.file("outside/secret.json", "{\"name\": secret}");
    let links =
        "ln -s ../outside .amika && ln -s ../outside/secret.json package.json && mkfifo Makefile";
    stage.shell(links, &[]).dir(&path).output().ended(0, &[]);
    let shown = stage.amika(&["init", "--dry-run", &path]).output();
    assert!(
        !shown.ended(0, &[]).stderr_text().contains("secret"),
        "{shown:?}"
    );
    let refused = stage.amika(&["init", "--yes", "--force", &path]).output();
    refused.ended(1, &["cannot be written"]);
    let outside = std::fs::read_dir(stage.home().join("outside")).unwrap();
    assert_eq!(outside.count(), 1);
}

const DEVCONTAINER: &str = r#"// what editors use
{
    "name": "App",
    "image": "amika-test/debian",
    "forwardPorts": [4871, "db:5432",],
    "portsAttributes": { "4871": { "label": "Web App", "protocol": "http" } },
    "containerEnv": { "MODE": "it's \"dev\"", "HOST_HOME": "${localEnv:HOME}" },
    "postCreateCommand": {
        "text": "echo \"$MODE\" > made; echo ${containerWorkspaceFolder} >> made",
        "words": ["sh", "-c", "echo \"$1\" >> made", "-", "$(id) it's"],
    },
    "postStartCommand": "id -u >> started",
    "features": { "ghcr.io/devcontainers/features/node:1": {} },
    "remoteUser": "vscode", /* no equal */
}
"#;

/// Takes a devcontainer over.
fn migrate(stage: &Stage, args: &[&str]) -> Output {
    let args = [&["config", "migrate", "devcontainer"], args].concat();
    stage.amika(&args).output()
}

#[test]
fn a_devcontainer_is_taken_over_and_the_rest_is_named_with_its_place() {
    let stage = Stage::new();
    let file = ".devcontainer/devcontainer.json";
    let path = stage.repository("app", &[(file, DEVCONTAINER)]);
    let migrated = migrate(&stage, &[&path, "-o", "json"]);
    let document = migrated.ended(0, &[]).json();
    let rest = document["not_taken_over"].as_array().unwrap();
    let rest: Vec<String> = rest
        .iter()
        .map(|rest| format!("{}:{}", rest["line"], rest["key"].as_str().unwrap()))
        .collect();
    assert_eq!(
        rest,
        [
            "5:forwardPorts[1]",
            "7:containerEnv.HOST_HOME",
            "13:features.ghcr.io/devcontainers/features/node:1",
            "14:remoteUser",
        ]
    );
    migrated.ended(
        0,
        &["devcontainer.json:14:5", "set `USER` in its Dockerfile"],
    );
    commit(&stage, &path);
    let sandbox = stage.adopt(stage.name());
    let created = stage
        .amika(&["sandbox", "create", "--name", &sandbox.name, "--git", &path])
        .output();
    created.ended(0, &["web-app (4871/tcp)"]);
    let made = says(&sandbox, "cat made");
    assert_eq!(
        made,
        "it's \"dev\"\n/home/amika/workspace/app\n$(id) it's\n"
    );
    sandbox.verb("restart", &[]).output().ended(0, &[]);
    assert_eq!(says(&sandbox, "wc -l < made; wc -l < started"), "3\n2\n");

    // It is a repository's configuration like any other: who is not trusted runs nothing.
    let untrusted = stage.sandbox(DEBIAN, &["--git", &path, "--trust=never"]);
    assert_eq!(says(&untrusted, "test -e made || echo no"), "no\n");
}

#[test]
fn the_dockerfile_of_a_devcontainer_is_built() {
    let stage = Stage::new();
    let devcontainer =
        "{ \"build\": { \"dockerfile\": \"Dockerfile\", \"args\": { \"WHAT\": \"it\" } } }";
    let dockerfile = format!("FROM {DEBIAN}\nARG WHAT\nRUN echo \"$WHAT is built\" > /built\n");
    let files = [
        (".devcontainer/devcontainer.json", devcontainer),
        (".devcontainer/Dockerfile", dockerfile.as_str()),
    ];
    let path = stage.repository("app", &files);
    // By the file's own name too: what it names stands beside it.
    let from = format!("{path}/.devcontainer/devcontainer.json");
    for args in [&[&*path][..], &[&path, "--from", &from, "--force"]] {
        let migrated = migrate(&stage, &[args, &["-o", "json"]].concat());
        let document = migrated.ended(0, &[]).json();
        assert_eq!(document["not_taken_over"], serde_json::json!([]));
    }
    commit(&stage, &path);
    let sandbox = stage.adopt(stage.name());
    let create = ["sandbox", "create", "--name", &sandbox.name, "--git", &path];
    stage.amika(&create).output().ended(0, &[]);
    assert_eq!(says(&sandbox, "cat /built"), "it is built\n");
}

#[test]
fn a_devcontainer_that_cannot_be_read_or_chosen_says_so_with_its_place() {
    let stage = Stage::new();
    let path = stage.repository("app", &[("file", "x")]);
    migrate(&stage, &[&path]).ended(3, &["has no devcontainer.json", "amika init"]);
    stage.file(
        "app/.devcontainer/api/devcontainer.json",
        "{ \"image\": \"debian\"\n  \"x\": 1 }",
    );
    stage.file("app/.devcontainer/web/devcontainer.json", "[]");
    let several = migrate(&stage, &[&path]);
    several.ended(
        4,
        &[
            "there are 2 files",
            "/app/.devcontainer/web/devcontainer.json`",
        ],
    );
    let from = |name: &str| format!("{path}/.devcontainer/{name}/devcontainer.json");
    let broken = migrate(&stage, &[&path, "--from", &from("api")]);
    broken.ended(2, &["expected \",\" or \"}\"", "devcontainer.json:2:3"]);
    migrate(&stage, &[&path, "--from", &from("web")])
        .ended(2, &["expected an object, found a list"]);
    migrate(&stage, &[&path, "--from", &from("no")]).ended(3, &["does not exist"]);
    stage.file("app/.devcontainer.json", "{}");
    migrate(&stage, &[&path, "--dry-run"]).ended(0, &[]);
    migrate(&stage, &[&path]).ended(0, &[]);
    migrate(&stage, &[&path]).ended(4, &["is there already", "--force"]);
    migrate(&stage, &[&path, "--force"]).ended(0, &[]);
}

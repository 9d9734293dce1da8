//! Editors of this machine, which work in a sandbox's directory. What stands in for one notes what it is told.

use std::os::unix::fs::PermissionsExt as _;

use crate::support::{DEBIAN, Sandbox, Stage};

/// Puts programs of these names into a directory, and returns a PATH that begins with it.
fn editors(stage: &Stage, names: &[&str], text: &str) -> String {
    let place = stage.home().join("editors");
    std::fs::create_dir_all(&place).unwrap();
    for name in names {
        let file = place.join(name);
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    format!("{}:/usr/bin:/bin", place.display())
}

/// Where the editor is sent: the container, and the repository in it.
fn uri(sandbox: &Sandbox<'_>) -> String {
    let container = sandbox.engine_says("{{.Name}}");
    let authority = format!("{{\"containerName\":\"{container}\"}}");
    let hex = authority
        .bytes()
        .fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    format!("vscode-remote://attached-container+{hex}/home/amika/workspace/app")
}

#[test]
fn an_editor_opens_the_repository_in_the_sandbox() {
    let stage = Stage::new();
    let repository = stage.repository("app", &[("README", "hello\n")]);
    let sandbox = stage.sandbox(DEBIAN, &["--git", &repository]);
    let told = stage.home().join("told");
    let notes = format!(
        "#!/bin/sh\nprintf '%s\\n' \"${{0##*/}}\" \"$@\" > {}\necho noise\n",
        told.display()
    );
    let path = editors(&stage, &["code", "cursor"], &notes);
    for (args, program) in [(&[][..], "code"), (&["--editor", "cursor"], "cursor")] {
        let opened = sandbox.verb("code", args).env("PATH", &path).output();
        opened.ended(0, &[]);
        assert_eq!(opened.stdout_text(), "", "its words are no result");
        let said = std::fs::read_to_string(&told).unwrap();
        assert_eq!(
            said,
            format!("{program}\n--folder-uri\n{}\n", uri(&sandbox))
        );
    }
    // Whom the URI leads to, the engine knows by that name.
    let name = sandbox.engine_says("{{.Name}}");
    assert_eq!(
        crate::support::docker(&["inspect", "-f", "{{.State.Status}}", &name]).stdout_text(),
        "running\n"
    );
}

#[test]
fn without_the_editor_its_command_is_printed() {
    let stage = Stage::new();
    let repository = stage.repository("app", &[("README", "hello\n")]);
    let sandbox = stage.sandbox(DEBIAN, &["--git", &repository]);
    let path = editors(&stage, &[], "");
    let printed = sandbox
        .verb("code", &["--editor", "cursor"])
        .env("PATH", &path)
        .output();
    printed.ended(0, &["cursor is not on this machine's PATH"]);
    assert_eq!(
        printed.stdout_text(),
        format!("cursor --folder-uri {}\n", uri(&sandbox))
    );
    let document = sandbox
        .verb("code", &["-o", "json"])
        .env("PATH", &path)
        .output()
        .json();
    assert_eq!(document["opened"], false);
    assert_eq!(document["command"][0], "code");
    let path = editors(
        &stage,
        &["code"],
        "#!/bin/sh\necho no display >&2\nexit 4\n",
    );
    let failed = sandbox.verb("code", &[]).env("PATH", &path).output();
    failed.ended(
        1,
        &[
            "code cannot open the sandbox",
            "no display",
            "Dev Containers",
        ],
    );
    sandbox.verb("stop", &[]).output().ended(0, &[]);
    let stopped = sandbox.verb("code", &[]).env("PATH", &path).output();
    stopped.ended(4, &["is not running"]);
}

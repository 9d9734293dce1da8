//! `amika sandbox create`: what it prints, what it takes, and when it is done.

use std::collections::BTreeSet;

use crate::support::{DEBIAN, NO_SHELL, SCRATCH, Stage, docker, preset};

/// A setup script that counts its runs in the agent's home.
const COUNTING: &str = "#!/bin/sh\necho run >>/home/amika/runs\n";

#[test]
fn a_created_sandbox_is_ready_and_standard_output_is_its_name() {
    let stage = Stage::new();
    let sandbox = stage.adopt(stage.name());
    let script = stage.script("setup.sh", "#!/bin/sh\necho preparing\n");
    let created = sandbox.create(DEBIAN, &["--setup-script", &script]);
    created.ended(0, &["setup", "preparing", "amika sandbox connect"]);
    assert_eq!(created.stdout_text(), format!("{}\n", sandbox.name));
    let inspected = sandbox.inspect();
    assert_eq!(inspected["state"], "running");
    assert_eq!(inspected["status"]["phase"], "running");
    assert_eq!(inspected["status"]["setup"]["state"], "succeeded");
}

#[test]
fn a_made_up_name_is_a_colour_and_a_city() {
    let stage = Stage::new();
    let created = stage.sandbox_verb(&["create", "--image", SCRATCH]);
    created.ended(0, &[]);
    let sandbox = stage.adopt(created.stdout_text().trim().to_owned());
    let words: Vec<&str> = sandbox.name.split('-').collect();
    assert_eq!(words.len(), 2, "{}", sandbox.name);
    let lower = |word: &&str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase());
    assert!(words.iter().all(lower), "{}", sandbox.name);
    assert_eq!(sandbox.engine_says("{{.Config.Hostname}}"), sandbox.name);
}

#[test]
fn the_json_document_tells_what_was_made_and_how_long_each_step_took() {
    let stage = Stage::new();
    let sandbox = stage.adopt(stage.name());
    let script = stage.script("setup.sh", "#!/bin/sh\necho noise\necho more >&2\n");
    let created = sandbox.create(
        DEBIAN,
        &["-o", "json", "--setup-script", &script, "--port", "8080"],
    );
    created.ended(0, &[]);
    let document = created.json();
    assert_eq!(document["name"], sandbox.name);
    assert_eq!(document["state"], "running");
    assert_eq!(document["image"], DEBIAN);
    assert_eq!(document["ports"][0]["container_port"], 8080);
    let published = docker(&["port", &sandbox.name, "8080/tcp"]).stdout_text();
    let host_port = document["ports"][0]["host_port"].as_u64().unwrap();
    assert_eq!(published.trim(), format!("127.0.0.1:{host_port}"));
    let steps = document["steps"].as_array().unwrap();
    let names: Vec<&str> = steps.iter().map(|s| s["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["container", "setup"]);
    assert!(steps.iter().all(|step| step["duration_ms"].is_u64()));
}

#[test]
fn with_no_wait_create_returns_while_setup_runs() {
    let stage = Stage::new();
    let script = stage.script(
        "setup.sh",
        "#!/bin/sh\nwhile [ ! -e /tmp/go ]; do sleep 0.1; done\n",
    );
    let sandbox = stage.adopt(stage.name());
    let created = sandbox.create(
        DEBIAN,
        &["--no-wait", "--setup-script", &script, "-o", "json"],
    );
    created.ended(0, &[]);
    assert_eq!(created.json()["state"], "setup");
    assert_eq!(sandbox.inspect()["state"], "setup");
    sandbox.docker_exec(&["touch", "/tmp/go"]).ended(0, &[]);
    sandbox.verb("start", &[]).output().ended(0, &[]);
    assert_eq!(sandbox.inspect()["state"], "running");
}

#[test]
fn a_sandbox_that_is_not_ready_in_time_stays() {
    let stage = Stage::new();
    let script = stage.script(
        "setup.sh",
        "#!/bin/sh\necho begun\nwhile [ ! -e /tmp/go ]; do sleep 0.1; done\n",
    );
    let sandbox = stage.adopt(stage.name());
    let created = sandbox.create(DEBIAN, &["--timeout", "1s", "--setup-script", &script]);
    created.ended(21, &["not ready after 1", "amika sandbox logs -f"]);
    assert_eq!(created.stdout, b"");
    assert_eq!(sandbox.inspect()["state"], "setup");
    let waited = sandbox
        .verb("start", &["--timeout", "500ms", "-o", "json"])
        .output();
    assert_eq!(waited.code, 21, "{waited:?}");
    assert_eq!(waited.json()["error"]["code"], "not_ready");
    sandbox.docker_exec(&["touch", "/tmp/go"]).ended(0, &[]);
    sandbox.verb("start", &[]).output().ended(0, &[]);
}

#[test]
fn environment_comes_from_flags_the_shell_and_files() {
    let stage = Stage::new();
    let file = stage.file("env", "# comment\n\nFROM_FILE=a b=c\nBOTH=file\nHOST_TOO\n");
    let sandbox = stage.adopt(stage.name());
    let args = [
        "--env-file",
        &file,
        "--env",
        "GIVEN=x=y",
        "--env",
        "FROM_SHELL",
        "--env",
        "NOT_SET",
        "--env",
        "BOTH=flag",
        "--env",
        "EMPTY=",
        "--",
        "env",
    ];
    let created = sandbox
        .create_run(NO_SHELL, &args)
        .env("FROM_SHELL", "of the shell")
        .env("HOST_TOO", "host")
        .without_env("NOT_SET")
        .output();
    created.ended(
        0,
        &["warning: environment variable NOT_SET is left out: it is not set here\n"],
    );
    let warnings = created.stderr_text().matches("warning: ").count();
    assert_eq!(warnings, 1, "{created:?}");
    let log = sandbox.log();
    let variables: BTreeSet<&str> = log.lines().collect();
    for variable in [
        "FROM_FILE=a b=c",
        "HOST_TOO=host",
        "GIVEN=x=y",
        "FROM_SHELL=of the shell",
        "BOTH=flag",
        "EMPTY=",
        "AMIKA_AGENT_CWD=/home/amika/workspace",
        "HOME=/home/amika",
    ] {
        assert!(variables.contains(variable), "{variable}: {log}");
    }
    assert!(variables.contains(format!("AMIKA_SANDBOX_NAME={}", sandbox.name).as_str()));
    assert!(!log.contains("NOT_SET"), "{log}");
    assert!(!log.contains("AMIKA_TOKEN"), "{log}");
}

#[test]
fn replace_makes_the_sandbox_anew_and_its_git_volume_stays() {
    let stage = Stage::new();
    let repository = stage.repository("project", &[("file", "content\n")]);
    let sandbox = stage.sandbox(DEBIAN, &["--git", &repository]);
    let old = sandbox.engine_says("{{.Id}}");
    sandbox.exec(&["touch", "work"]).output().ended(0, &[]);
    sandbox
        .create(DEBIAN, &[])
        .ended(4, &["already exists", "--replace"]);
    let replaced = sandbox.create(DEBIAN, &["--replace"]);
    replaced.ended(0, &["stays"]);
    assert_ne!(sandbox.engine_says("{{.Id}}"), old);
    let [_, volumes, _] = stage.left();
    let git: Vec<&String> = volumes
        .iter()
        .filter(|volume| volume.starts_with(&format!("amika-git-{}-project-", sandbox.name)))
        .collect();
    assert_eq!(git.len(), 1, "{volumes:?}");
    // One home and one state volume: those of the old sandbox went with it.
    assert_eq!(volumes.len(), 3, "{volumes:?}");
    let work = sandbox_with_volume(&stage, git[0], "test -e /volume/work");
    assert_eq!(work, "0");
    docker(&["volume", "rm", git[0]]).ended(0, &[]);
}

/// Runs a shell's command in a container that has a volume at `/volume`; returns its exit code.
fn sandbox_with_volume(stage: &Stage, volume: &str, command: &str) -> String {
    let mount = format!("{volume}:/volume");
    let container = stage.stranger(&["-v", &mount], &[DEBIAN, "sh", "-c", command]);
    container.docker(&["start"]).ended(0, &[]);
    container.exit_code()
}

#[test]
fn a_replacement_that_cannot_be_made_leaves_the_old_sandbox_alone() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(SCRATCH, &[]);
    let old = sandbox.engine_says("{{.Id}}");
    sandbox
        .create(DEBIAN, &["--replace", "--git", "/nowhere"])
        .ended(7, &[]);
    sandbox
        .create("amika-test/none:none", &["--replace"])
        .ended(6, &[]);
    assert_eq!(sandbox.engine_says("{{.Id}}"), old);
    assert_eq!(sandbox.engine_state(), "running");
}

#[test]
fn a_dry_run_asks_the_engine_for_nothing_but_answers() {
    let stage = Stage::new();
    let proxy = stage.engine_proxy();
    let repository = stage.repository("project", &[("file", "content\n")]);
    let script = stage.script("setup.sh", COUNTING);
    let name = stage.name();
    let args = [
        "sandbox",
        "create",
        "--dry-run",
        "--name",
        &name,
        "--image",
        DEBIAN,
        "--git",
        &repository,
        "--setup-script",
        &script,
        "--env",
        "SECRET=hidden",
        "--port",
        "8080",
    ];
    let run = |more: &[&str]| {
        let all: Vec<&str> = args.iter().chain(more).copied().collect();
        stage.amika(&all).env("DOCKER_HOST", &proxy.host()).output()
    };
    let text = run(&[]);
    text.ended(0, &[]);
    for part in [name.as_str(), "amika-git-", "setup.sh", "8080/tcp"] {
        assert!(text.stdout_text().contains(part), "{part}: {text:?}");
    }
    assert!(!text.text().contains("hidden"), "{text:?}");
    let head = stage
        .shell("git rev-parse HEAD", &[])
        .dir(&repository)
        .output();
    let head = head.stdout_text().trim().to_owned();
    let cloned = "Repository  HERE -> /home/amika/workspace/project\nBranch      main\nCommit      COMMIT\n\
                  Content     what is committed\n";
    let cloned = cloned.replace("HERE", &repository).replace("COMMIT", &head);
    assert!(text.stdout_text().contains(&cloned), "{text:?}");
    stage.file("project/untracked", "");
    let json = run(&["-o", "json", "--new-branch", "try-it", "--no-clean"]);
    json.ended(0, &[]);
    assert_eq!(json.json()["name"], name);
    assert_eq!(
        json.json()["repository"],
        serde_json::json!({
            "name": "project",
            "source": repository,
            "target": "/home/amika/workspace/project",
            "branch": "try-it",
            "new_branch": true,
            "commit": head,
            "uncommitted_changes": true,
            "content": "work_tree",
        })
    );
    assert!(proxy.count() > 0);
    assert_eq!(proxy.changing(), Vec::<String>::new());
    stage.nothing_was_made();
}

#[test]
fn a_cmd_that_ended_with_0_is_a_success_and_another_code_is_none() {
    let stage = Stage::new();
    let done = stage.adopt(stage.name());
    let created = done.create(DEBIAN, &["--", "echo", "all done"]);
    created.ended(0, &[]);
    assert_eq!(created.stdout_text(), format!("{}\n", done.name));
    assert_eq!(docker(&["wait", &done.name]).stdout_text().trim(), "0");
    done.logs("all done");

    let failed = stage.adopt(stage.name());
    let created = failed.create(DEBIAN, &["--", "sh", "-c", "echo oh no; exit 7"]);
    created.ended(
        1,
        &[
            "CMD of sandbox",
            "(`sh`)",
            "exit code 7",
            "amika sandbox logs",
        ],
    );
    assert_eq!(created.stdout, b"");
    assert_eq!(docker(&["wait", &failed.name]).stdout_text().trim(), "7");
    let absent = stage.adopt(stage.name());
    let created = absent.create(SCRATCH, &["-o", "json", "--", "/no/such/program"]);
    created.ended(1, &[]);
    let error = &created.json()["error"];
    assert_eq!(error["code"], "cmd_exited");
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains("(`/no/such/program`) was not found"),
        "{message}"
    );
    assert_eq!(absent.engine_says("{{.State.ExitCode}}"), "127");
}

#[test]
fn a_cmd_that_dies_as_soon_as_it_was_started_is_named_with_its_code() {
    let stage = Stage::new();
    let sandbox = stage.adopt(stage.name());
    let script = stage.script("setup.sh", "#!/bin/sh\necho from setup\n");
    let dies = ["--", "sh", "-c", "sleep 0.1; echo oh no >&2; exit 5"];
    let args = [&["--setup-script", script.as_str()][..], &dies].concat();
    let told = [
        "CMD of sandbox",
        "(`sh`) ended with exit code 5",
        "amika sandbox logs",
        "setup      succeeded",
    ];
    let created = sandbox.create(DEBIAN, &args);
    created.ended(1, &told);
    let shown = created.stderr_text();
    assert_eq!(shown.matches("from setup").count(), 1, "{shown}");
    sandbox.verb("start", &[]).output().ended(1, &told);
    sandbox.verb("wait", &[]).output().ended(1, &told[..3]);
    let json = sandbox.verb("start", &["-o", "json"]).output();
    json.ended(1, &[]);
    let error = &json.json()["error"];
    assert_eq!(error["code"], "cmd_exited", "{error}");
    assert_eq!(error["cmd"]["exit_code"], 5, "{error}");
    // While it is started by another: `wait` looks on.
    sandbox.verb("start", &["--no-wait"]).output().ended(0, &[]);
    sandbox.verb("wait", &[]).output().ended(1, &told[..3]);
}

#[test]
fn an_editor_that_attaches_is_the_agent_whatever_an_image_says() {
    let stage = Stage::new();
    let image = stage.image(&format!(
        "FROM {DEBIAN}\nRUN useradd -u 4711 -m coder\nUSER coder\nLABEL devcontainer.metadata='[{{\"remoteUser\":\"root\"}}]'\n"
    ));
    let repository = stage.repository("project", &[("README", "hello\n")]);
    let sandbox = stage.sandbox(&image, &["--git", &repository]);
    let label = sandbox.engine_says("{{index .Config.Labels \"devcontainer.metadata\"}}");
    let told: serde_json::Value = serde_json::from_str(&label).unwrap();
    let right = serde_json::json!([{"remoteUser": "coder", "workspaceFolder": "/home/amika/workspace/project"}]);
    assert_eq!(told, right);
}

#[test]
fn cmd_with_its_arguments_stands_in_place_of_the_images() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(
        DEBIAN,
        &["--", "sh", "-c", r#"echo "<$0|$1>"; cat"#, "a b", "-x"],
    );
    sandbox.logs("<a b|-x>");
    assert_eq!(sandbox.engine_state(), "running");
}

#[test]
fn setup_once_skips_a_script_that_succeeded_until_it_changes() {
    let stage = Stage::new();
    let script = stage.script("setup.sh", COUNTING);
    let sandbox = stage.sandbox(DEBIAN, &["--setup-once", "--setup-script", &script]);
    let runs = || {
        let file = sandbox.docker_exec(&["cat", "/home/amika/runs"]);
        file.stdout_text().lines().count()
    };
    let restart = || {
        sandbox.verb("stop", &[]).output().ended(0, &[]);
        sandbox.verb("start", &[]).output().ended(0, &[]);
    };
    assert_eq!(runs(), 1);
    restart();
    assert_eq!(runs(), 1);
    stage.script("setup.sh", &format!("{COUNTING}# changed\n"));
    restart();
    assert_eq!(runs(), 2);
    restart();
    assert_eq!(runs(), 2);
}

#[test]
fn without_setup_once_the_script_runs_at_every_start() {
    let stage = Stage::new();
    let script = stage.script("setup.sh", COUNTING);
    let sandbox = stage.sandbox(DEBIAN, &["--setup-script", &script]);
    sandbox.verb("stop", &[]).output().ended(0, &[]);
    sandbox.verb("start", &[]).output().ended(0, &[]);
    let runs = sandbox.docker_exec(&["cat", "/home/amika/runs"]);
    assert_eq!(runs.stdout_text(), "run\nrun\n");
}

#[test]
fn no_setup_runs_neither_the_images_nor_the_repositorys_script() {
    let stage = Stage::new();
    let image = stage.image(
        "FROM amika-test/debian\nRUN mkdir -p /usr/local/etc/amikad/setup && printf '#!/bin/sh\\necho image >/home/amika/ran\\n' >/usr/local/etc/amikad/setup/setup.sh && chmod +x /usr/local/etc/amikad/setup/setup.sh\n",
    );
    let with = stage.sandbox(&image, &[]);
    let ran = with.docker_exec(&["cat", "/home/amika/ran"]);
    assert_eq!(ran.stdout_text(), "image\n");
    let repository = stage.repository(
        "project",
        &[(
            ".amika/config.toml",
            "[lifecycle]\nsetup_script = \"missing.sh\"\n",
        )],
    );
    let without = stage.sandbox(&image, &["--no-setup", "--git", &repository]);
    let ran = without.docker_exec(&["test", "-e", "/home/amika/ran"]);
    assert_eq!(ran.code, 1, "{ran:?}");
}

#[test]
fn a_clone_is_the_agents_and_git_works_in_it_for_everyone() {
    let stage = Stage::new();
    let image = git_image(&stage);
    let repository = stage.repository(
        "my project",
        &[("src/main.rs", "fn main() {}\n"), ("run.sh", "exit 0\n")],
    );
    stage.file("my project/untracked", "not to be taken along\n");
    let script = stage.script(
        "setup.sh",
        "#!/bin/bash -e\ngit status --porcelain\ngit log --format=%s\nid -u\npwd\ntouch made-by-setup\n",
    );
    let from_below = format!("{repository}/src");
    let sandbox = stage.sandbox(
        &image,
        &[
            "--git",
            &from_below,
            "--setup-script",
            &script,
            "--",
            "bash",
            "-c",
            r#"git -C "$AMIKA_AGENT_CWD" log --format=cmd:%s; exec cat"#,
        ],
    );
    let cwd = "/home/amika/workspace/my project";
    let setup = sandbox.verb("logs", &["--setup"]).output();
    assert_eq!(
        setup.stdout_text(),
        format!("first\n0\n{cwd}\n"),
        "{setup:?}"
    );
    sandbox.logs("cmd:first");

    let git = sandbox
        .exec(&[
            "sh",
            "-c",
            "pwd; id -un; git status --porcelain; git rev-parse --abbrev-ref HEAD; git remote",
        ])
        .output();
    git.ended(0, &[]);
    assert_eq!(
        git.stdout_text(),
        format!("{cwd}\nworker\n?? made-by-setup\nmain\n"),
        "{git:?}"
    );
    // The root of the repository too; what a mode keeps from others is no matter here.
    let foreign = sandbox.docker_exec(&["find", cwd, "!", "-user", "worker"]);
    assert_eq!(
        (foreign.code, foreign.stdout_text().as_str()),
        (0, ""),
        "{foreign:?}"
    );
    let commit = "git add -A && git -c user.name=A -c user.email=a@example.org commit -qm second && rm -rf .git/index src";
    sandbox.exec(&["sh", "-c", commit]).output().ended(0, &[]);
    let volume = sandbox.engine_says("{{range .Mounts}}{{.Name}} {{end}}");
    assert!(
        volume.contains(&format!("amika-git-{}-my-project-", sandbox.name)),
        "{volume}"
    );
}

/// An image with git and a user that is not root.
fn git_image(stage: &Stage) -> String {
    stage.image(&format!(
        "FROM {}\nUSER root\nRUN useradd --uid 1234 worker\nUSER worker\nENTRYPOINT []\n",
        preset(stage)
    ))
}

#[test]
fn git_without_a_path_clones_the_current_repository() {
    let stage = Stage::new();
    let repository = stage.repository("here", &[("deep/er/file", "content\n")]);
    let sandbox = stage.adopt(stage.name());
    let created = sandbox
        .create_run(DEBIAN, &["--git"])
        .dir(format!("{repository}/deep"))
        .output();
    created.ended(0, &["here", "clone"]);
    let file = sandbox.exec(&["cat", "deep/er/file"]).output();
    assert_eq!(file.stdout_text(), "content\n", "{file:?}");
    let listed = stage.sandbox_verb(&["list"]).stdout_text();
    let row = listed
        .lines()
        .find(|line| line.contains(&sandbox.name))
        .unwrap();
    assert!(row.contains("here") && row.contains("main"), "{row}");
}

#[test]
fn create_with_connect_ends_in_a_shell() {
    let stage = Stage::new();
    let name = stage.name();
    let _sandbox = stage.adopt(name.clone());
    let mut terminal = stage.on_terminal(&[
        "sandbox",
        "create",
        "--name",
        &name,
        "--image",
        DEBIAN,
        "--connect",
    ]);
    terminal.shows("container").shows(":~/workspace#");
    terminal.types("echo $((6*7)) $AMIKA_SANDBOX_NAME\r");
    terminal.shows(&format!("42 {name}"));
    terminal.types("exit 9\r");
    assert_eq!(terminal.wait(), 9);
}

#[test]
fn the_shell_of_create_with_connect_keeps_nobody_from_the_sandbox() {
    let stage = Stage::new();
    let (name, next) = (stage.name(), stage.name());
    let _sandbox = stage.adopt(name.clone());
    let renamed = stage.adopt(next.clone());
    let args = ["sandbox", "create", "--name", &name, "--image", DEBIAN];
    let mut terminal = stage.on_terminal(&[&args[..], &["--connect"]].concat());
    terminal.shows(":~/workspace#");
    let rename = stage.sandbox_verb(&["rename", &name, &next]);
    rename.ended(0, &[]);
    assert_eq!(renamed.engine_state(), "running");
    terminal.types("exit 0\r");
    assert_eq!(terminal.wait(), 0);
}

#[test]
fn create_with_connect_makes_nothing_where_no_shell_can_be() {
    let stage = Stage::new();
    let name = stage.name();
    let create = ["create", "--name", &name, "--image", DEBIAN, "--connect"];
    let text = stage.sandbox_verb(&create);
    text.ended(2, &["needs a terminal"]);
    let json = stage.sandbox_verb(&[&create[..], &["-o", "json"]].concat());
    assert_eq!(json.code, 2, "{json:?}");
    assert_eq!(json.json()["error"]["code"], "usage");
    assert_ne!(docker(&["container", "inspect", &name]).code, 0);
}

//! The setup script: shown as it runs, a gate before CMD, and told in full when it fails.

use crate::support::{DEBIAN, NO_SHELL, SCRATCH, Sandbox, Stage, docker, preset};

/// CMD of these tests: it tells that it ran.
const CMD: [&str; 4] = ["--", "sh", "-c", "echo CMD-RAN; exec cat"];

/// Makes a sandbox with a setup script of this text.
fn create<'a>(stage: &'a Stage, text: &str) -> (Sandbox<'a>, crate::support::Output) {
    let script = stage.script("setup.sh", text);
    let sandbox = stage.adopt(stage.name());
    let args: Vec<&str> = ["--setup-script", &script].into_iter().chain(CMD).collect();
    let created = sandbox.create(DEBIAN, &args);
    (sandbox, created)
}

/// Asserts that setup failed with a code, and that CMD did not run.
fn gated(sandbox: &Sandbox<'_>, code: &str) {
    assert_eq!(sandbox.engine_state(), "exited");
    assert_eq!(sandbox.engine_says("{{.State.ExitCode}}"), code);
    assert!(!sandbox.log().contains("CMD-RAN"), "{}", sandbox.log());
    assert_eq!(sandbox.inspect()["state"], "setup_failed");
}

#[test]
fn setups_output_is_shown_while_it_runs() {
    let stage = Stage::new();
    let script = stage.script(
        "setup.sh",
        "#!/bin/sh\necho step one\necho to stderr >&2\nwhile [ ! -e /tmp/go ]; do sleep 0.1; done\necho step two\n",
    );
    let sandbox = stage.adopt(stage.name());
    let creating = sandbox
        .create_run(DEBIAN, &["--setup-script", &script])
        .start();
    creating.warns("step one").warns("to stderr");
    let exec = sandbox.exec(&["touch", "/tmp/go"]).output();
    exec.ended(0, &[]);
    let created = creating.wait();
    created.ended(0, &["step two", "succeeded"]);
    assert_eq!(created.stdout_text(), format!("{}\n", sandbox.name));
    // All of it is in the container's log too.
    sandbox.logs("step one");
    sandbox.logs("step two");
}

#[test]
fn a_failed_script_is_told_with_its_code_line_last_output_and_the_ways_on() {
    let stage = Stage::new();
    let text = "#!/bin/bash\nset -e\nfor i in $(seq 100); do echo line $i; done\necho to stderr >&2\n(exit 3)\necho never\n";
    let (sandbox, created) = create(&stage, text);
    let name = &sandbox.name;
    created.ended(
        20,
        &[
            "exited with code 3 at line 5; CMD did not run",
            "line 100",
            "to stderr",
            &format!("`amika sandbox logs {name} --setup`"),
            &format!("`amika sandbox start {name}`"),
            &format!("`amika sandbox start {name} --setup-script FILE`"),
            &format!("`amika sandbox start {name} --skip-setup`"),
            &format!("`amika sandbox connect {name} --rescue`"),
        ],
    );
    assert_eq!(created.stdout, b"");
    // It was shown as it came: once is enough.
    let told = created.stderr_text();
    assert_eq!(told.matches("line 100").count(), 1, "{told}");
    gated(&sandbox, "3");
    // Who comes later saw nothing of it.
    let waited = sandbox.verb("wait", &[]).output();
    waited.ended(20, &["its last output was", "line 100", "to stderr"]);
    let log = sandbox.verb("logs", &["--setup"]).output();
    log.ended(0, &[]);
    assert!(log.stdout_text().starts_with("line 1\nline 2\n"), "{log:?}");
    assert!(
        log.stdout_text().ends_with("line 100\nto stderr\n"),
        "{log:?}"
    );
    let listed = stage.sandbox_verb(&["list"]).stdout_text();
    let row = listed.lines().find(|line| line.contains(name)).unwrap();
    assert!(row.contains("setup failed (3)"), "{row}");
}

#[test]
fn a_failed_script_is_one_json_document() {
    let stage = Stage::new();
    let script = stage.script("setup.sh", "#!/bin/bash\nset -e\necho last words\nfalse\n");
    let sandbox = stage.adopt(stage.name());
    let created = sandbox.create(DEBIAN, &["-o", "json", "--setup-script", &script]);
    created.ended(20, &[]);
    let error = &created.json()["error"];
    assert_eq!(error["code"], "setup_failed");
    assert_eq!(error["exit_code"], 20);
    assert_eq!(error["sandbox"], sandbox.name);
    assert_eq!(error["setup"]["exit_code"], 1);
    assert_eq!(error["setup"]["failed_line"], 4);
    assert_eq!(error["setup_tail"], serde_json::json!(["last words"]));
    assert!(error["hint"].as_str().unwrap().contains("--skip-setup"));
    let hints: Vec<&str> = error["hints"]
        .as_array()
        .unwrap()
        .iter()
        .map(|hint| hint.as_str().unwrap())
        .collect();
    assert_eq!(hints.join("\n"), error["hint"]);
    assert!(hints.len() > 2, "{hints:?}");
}

#[test]
fn of_two_thousand_lines_a_failures_last_words_are_shown_once() {
    let stage = Stage::new();
    let script = stage.script(
        "setup.sh",
        "#!/bin/sh\necho begun\nwhile [ ! -e /tmp/go ]; do sleep 0.1; done\nfor i in $(seq 2000); do echo line $i; done\nexit 3\n",
    );
    let sandbox = stage.adopt(stage.name());
    let creating = sandbox
        .create_run(DEBIAN, &["--setup-script", &script])
        .start();
    creating.warns("begun");
    sandbox.docker_exec(&["touch", "/tmp/go"]).ended(0, &[]);
    let created = creating.wait();
    created.ended(20, &["line 1\n"]);
    let told = created.stderr_text();
    for line in ["line 1\n", "line 1985\n", "line 2000\n"] {
        assert_eq!(told.matches(line).count(), 1, "{told}");
    }
    // Who was shown nothing is told the last of it.
    let quiet = sandbox.verb("start", &["--quiet"]).output();
    quiet.ended(20, &["its last output was", "line 2000"]);
    assert!(!quiet.stderr_text().contains("line 1\n"), "{quiet:?}");
}

#[test]
fn what_is_of_a_start_is_refused_where_there_is_none() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &[]);
    let name = &sandbox.name;
    let script = stage.script("setup.sh", "#!/bin/sh\ntouch /tmp/ran\n");
    for flags in [
        &["--setup-script", script.as_str()][..],
        &["--skip-setup"],
        &["--reassign-ports"],
    ] {
        let refused = sandbox.verb("start", flags).output();
        let hint = format!("`amika sandbox restart {name} {}`", flags.join(" "));
        refused.ended(4, &["runs already", &hint]);
        assert_eq!(refused.stdout, b"");
    }
    assert_ne!(sandbox.exec(&["test", "-e", "/tmp/ran"]).output().code, 0);
    sandbox
        .verb("restart", &["--setup-script", &script])
        .output()
        .ended(0, &[]);
    sandbox
        .exec(&["test", "-e", "/tmp/ran"])
        .output()
        .ended(0, &[]);
}

#[test]
fn each_way_to_fail_has_its_own_message_and_cmd_never_runs() {
    // (script, exit code of the container, what is told)
    let cases: [(&str, &str, &[&str]); 7] = [
        ("#!/bin/sh\nexit 42\n", "42", &["exited with code 42"]),
        ("#!/bin/sh\nkill -9 $$\n", "137", &["was ended by signal 9"]),
        (
            "#!/bin/sh\nkill -TERM $$\n",
            "143",
            &["was ended by signal 15"],
        ),
        (
            "#!/no/such/interpreter\ntrue\n",
            "127",
            &["could not be run", "/no/such/interpreter"],
        ),
        (
            "#!/bin/bash\r\ntrue\r\n",
            "127",
            &["could not be run", "CRLF"],
        ),
        (
            "echo no interpreter line\n",
            "126",
            &["could not be run", "#!"],
        ),
        ("", "126", &["could not be run", "#!"]),
    ];
    let stage = Stage::new();
    for (text, code, told) in cases {
        let (sandbox, created) = create(&stage, text);
        created.ended(20, told).ended(20, &["CMD did not run"]);
        gated(&sandbox, code);
    }
}

#[test]
fn a_script_for_bash_in_an_image_without_it_says_so() {
    let stage = Stage::new();
    let script = stage.script("setup.sh", "#!/bin/bash\ntrue\n");
    for image in [NO_SHELL, SCRATCH] {
        let sandbox = stage.adopt(stage.name());
        let created = sandbox.create(image, &["--setup-script", &script]);
        created.ended(20, &["could not be run", "/bin/bash"]);
        gated(&sandbox, "127");
    }
}

#[test]
fn a_script_in_the_image_that_is_not_executable_says_so() {
    let stage = Stage::new();
    let image = stage.image(
        "FROM amika-test/debian\nRUN mkdir -p /usr/local/etc/amikad/setup && echo '#!/bin/sh' >/usr/local/etc/amikad/setup/setup.sh\n",
    );
    let sandbox = stage.adopt(stage.name());
    let created = sandbox.create(&image, &CMD);
    created.ended(20, &["could not be run", "not executable", "chmod +x"]);
    gated(&sandbox, "126");
}

#[test]
fn start_tries_again_after_the_script_was_mended_on_the_host() {
    let stage = Stage::new();
    let (sandbox, created) = create(&stage, "#!/bin/sh\nexit 3\n");
    created.ended(20, &[]);
    let again = sandbox.verb("start", &[]).output();
    again.ended(20, &["exited with code 3", "--skip-setup"]);
    gated(&sandbox, "3");
    stage.script("setup.sh", "#!/bin/sh\necho mended\n");
    let mended = sandbox.verb("start", &[]).output();
    mended.ended(0, &["succeeded"]);
    assert_eq!(mended.stdout_text(), format!("{}\n", sandbox.name));
    sandbox.logs("CMD-RAN");
    assert_eq!(sandbox.inspect()["state"], "running");
}

#[test]
fn start_with_skip_setup_runs_cmd_without_the_script_this_once() {
    let stage = Stage::new();
    let (sandbox, created) = create(&stage, "#!/bin/sh\nexit 3\n");
    created.ended(20, &[]);
    let started = sandbox.verb("start", &["--skip-setup"]).output();
    started.ended(0, &[]);
    sandbox.logs("CMD-RAN");
    sandbox.verb("stop", &[]).output().ended(0, &[]);
    sandbox.verb("start", &[]).output().ended(20, &["code 3"]);
}

#[test]
fn start_with_another_script_uses_it() {
    let stage = Stage::new();
    let (sandbox, created) = create(&stage, "#!/bin/sh\nexit 3\n");
    created.ended(20, &[]);
    let other = stage.script("other.sh", "#!/bin/sh\necho the other\n");
    let started = sandbox.verb("start", &["--setup-script", &other]).output();
    started.ended(0, &["the other"]);
    sandbox.logs("CMD-RAN");
}

#[test]
fn a_script_that_is_gone_from_the_host_leaves_its_last_copy_with_a_warning() {
    let stage = Stage::new();
    let (sandbox, created) = create(&stage, "#!/bin/sh\necho once more\n");
    created.ended(0, &[]);
    sandbox.verb("stop", &[]).output().ended(0, &[]);
    std::fs::remove_file(stage.home().join("setup.sh")).unwrap();
    let started = sandbox.verb("start", &[]).output();
    started.ended(0, &["last copy is used"]);
    let runs = sandbox.log().matches("once more").count();
    assert_eq!(runs, 2);
}

#[test]
fn the_name_of_a_failed_sandbox_is_taken_with_the_ways_on() {
    let stage = Stage::new();
    let (sandbox, created) = create(&stage, "#!/bin/sh\nexit 3\n");
    created.ended(20, &[]);
    let again = sandbox.create(DEBIAN, &[]);
    again.ended(
        4,
        &[
            "setup script failed",
            &format!("`amika sandbox start {}`", sandbox.name),
            "--replace",
        ],
    );
    gated(&sandbox, "3");
    sandbox.create(DEBIAN, &["--replace"]).ended(0, &[]);
    assert_eq!(sandbox.engine_state(), "running");
}

#[test]
fn what_root_made_in_setup_is_the_agents_afterwards() {
    let stage = Stage::new();
    let image = stage.image("FROM amika-test/debian\nRUN useradd --uid 1234 worker\nUSER worker\n");
    let script = stage.script(
        "setup.sh",
        "#!/bin/sh\nset -e\nid -u\npwd\necho $HOME\nmkdir -p node_modules/a ~/.cache/x\ntouch node_modules/a/f ~/.cache/x/f\nln -s /etc/passwd link\ntouch /etc/of-root\n",
    );
    let sandbox = stage.sandbox(&image, &["--setup-script", &script, "--", "sleep", "4321"]);
    let log = sandbox.verb("logs", &["--setup"]).output();
    assert_eq!(log.stdout_text(), "0\n/home/amika/workspace\n/home/amika\n");
    let foreign = sandbox.docker_exec(&["find", "/home/amika", "!", "-user", "1234"]);
    assert_eq!(
        (foreign.code, foreign.stdout_text().as_str()),
        (0, ""),
        "{foreign:?}"
    );
    let owners = sandbox.docker_exec(&["stat", "-c", "%u", "/etc/passwd", "/etc/of-root"]);
    assert_eq!(owners.stdout_text(), "0\n0\n");
    sandbox
        .exec(&["rm", "-r", "node_modules", "/home/amika/.cache"])
        .output()
        .ended(0, &[]);
}

#[test]
fn a_background_child_of_setup_does_not_hold_cmd_back() {
    let stage = Stage::new();
    let (sandbox, created) = create(&stage, "#!/bin/sh\nsleep 4321 &\necho done\n");
    created.ended(0, &[]);
    assert_eq!(sandbox.inspect()["status"]["phase"], "running");
    // The image has no ps; `[4]321` keeps grep from finding itself.
    let alive = "grep -aqs 'sleep.[4]321' /proc/[0-9]*/cmdline";
    sandbox.docker_exec(&["sh", "-c", alive]).ended(0, &[]);
    let stopped = sandbox.verb("stop", &[]).output();
    stopped.ended(0, &[]);
    assert!(stopped.took.as_secs() < 10, "{stopped:?}");
}

#[test]
fn no_script_in_the_image_is_no_setup_and_the_log_says_so() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &CMD);
    assert_eq!(sandbox.inspect()["status"]["setup"]["state"], "absent");
    sandbox.logs("CMD-RAN");
    let own = sandbox.verb("logs", &["--amikad"]).output();
    assert!(own.stdout_text().contains("no setup script"), "{own:?}");
    let none = sandbox.verb("logs", &["--setup"]).output();
    assert_eq!((none.code, none.stdout.len()), (0, 0), "{none:?}");
}

/// As that of the presets, which does nothing: nobody who gave none is to think of one of theirs.
#[test]
fn an_images_own_script_is_told_of_when_it_says_something_or_takes_its_time() {
    for (script, is_told) in [
        ("sleep 0.3", false),
        ("echo from the image", true),
        ("sleep 1.5", true),
    ] {
        let stage = Stage::new();
        let file = "/usr/local/etc/amikad/setup/setup.sh";
        let image = stage.image(&format!(
            "FROM {DEBIAN}\nRUN mkdir -p $(dirname {file}) && printf '#!/bin/sh\\n{script}\\n' >{file} && chmod 0755 {file}\n"
        ));
        let sandbox = stage.adopt(stage.name());
        let created = sandbox.create(&image, &[]);
        created.ended(0, &[]);
        let told = created.stderr_text();
        assert_eq!(
            told.contains("setup      succeeded"),
            is_told,
            "{script}: {told}"
        );
        assert_eq!(
            told.contains("from the image"),
            script.contains("echo"),
            "{told}"
        );
    }
}

#[test]
fn a_repositorys_own_script_runs_from_its_clone() {
    let stage = Stage::new();
    let repository = stage.repository(
        "project",
        &[(
            ".amika/config.toml",
            "[lifecycle]\nsetup_script = \"scripts/setup.sh\"\n",
        )],
    );
    stage.file(
        "project/scripts/setup.sh",
        "#!/bin/sh\npwd\necho $0 >of-setup\n",
    );
    let commit = "chmod +x scripts/setup.sh && git add -A && git -c user.name=T -c user.email=t@example.org commit -qm setup";
    stage
        .shell(commit, &[])
        .dir(&repository)
        .output()
        .ended(0, &[]);
    let sandbox = stage.sandbox(DEBIAN, &["--git", &repository]);
    let log = sandbox.verb("logs", &["--setup"]).output();
    assert_eq!(
        log.stdout_text(),
        "/home/amika/workspace/project\n",
        "{log:?}"
    );
    let other = stage.script("other.sh", "#!/bin/sh\necho flag wins\n");
    let flag = stage.sandbox(DEBIAN, &["--git", &repository, "--setup-script", &other]);
    let log = flag.verb("logs", &["--setup"]).output();
    assert_eq!(log.stdout_text(), "flag wins\n", "{log:?}");
    let _ = docker(&["stop", "-t", "1", &flag.name]);
}

/// The row of a sandbox in the list for people.
fn row(sandbox: &Sandbox<'_>) -> String {
    let listed = sandbox.stage.sandbox_verb(&["list"]).stdout_text();
    let row = listed.lines().find(|line| line.starts_with(&sandbox.name));
    row.unwrap_or_else(|| panic!("{listed}")).to_owned()
}

#[test]
fn a_preset_that_is_given_a_script_later_is_listed_in_its_setup() {
    let stage = Stage::new();
    preset(&stage);
    let sandbox = stage.adopt(stage.name());
    let env = ["--env", "AMIKA_OPENCODE_WEB=0"];
    let mut create = vec!["create", "--name", &sandbox.name];
    create.extend(env);
    stage.sandbox_verb(&create).ended(0, &[]);
    assert!(row(&sandbox).contains("running"));
    // What the engine runs to tell whether it is healthy: those that are, the list does not ask.
    let check = sandbox.engine_says("{{join (slice .Config.Healthcheck.Test 1) \" \"}}");
    let check: Vec<&str> = check.split(' ').collect();
    assert_eq!(sandbox.docker_exec(&check).code, 0);
    sandbox.verb("stop", &[]).output().ended(0, &[]);
    let script = stage.script(
        "later.sh",
        "#!/bin/sh\necho begun\nwhile [ ! -e /tmp/go ]; do sleep 0.1; done\n",
    );
    let starting = sandbox.verb("start", &["--setup-script", &script]).start();
    starting.warns("begun");
    assert!(row(&sandbox).contains("setup"), "{}", row(&sandbox));
    assert_eq!(sandbox.docker_exec(&check).code, 1);
    let says = sandbox.engine_says("{{.State.Health.Status}}");
    assert_eq!(says, "starting");
    sandbox.exec(&["touch", "/tmp/go"]).output().ended(0, &[]);
    starting.wait().ended(0, &[]);
    assert!(row(&sandbox).contains("running"));
    assert_eq!(sandbox.docker_exec(&check).code, 0);
}

#[test]
fn a_start_of_what_runs_says_nothing_of_an_old_setup() {
    let stage = Stage::new();
    let (sandbox, created) = create(&stage, "#!/bin/sh\necho from setup\n");
    created.ended(0, &["from setup"]);
    let again = sandbox.verb("start", &[]).output();
    again.ended(0, &[]);
    assert_eq!(again.stderr_text(), "");
    assert_eq!(again.stdout_text(), format!("{}\n", sandbox.name));
    // What runs anew is told anew.
    let restarted = sandbox.verb("restart", &[]).output();
    restarted.ended(0, &["from setup", "succeeded"]);
}

#[test]
fn the_setup_of_several_is_told_with_their_names() {
    let stage = Stage::new();
    let script = stage.script("setup.sh", "#!/bin/sh\necho from setup\n");
    let args = ["--setup-script", &script];
    let pair = [stage.sandbox(DEBIAN, &args), stage.sandbox(DEBIAN, &args)];
    let names = [pair[0].name.as_str(), pair[1].name.as_str()];
    let restarted = stage.sandbox_verb(&["restart", names[0], names[1]]);
    restarted.ended(0, &[]);
    let told = restarted.stderr_text();
    for name in names {
        let has = |line: &str| told.lines().any(|told| told.starts_with(line));
        assert!(has(&format!("  {name} │ from setup")), "{told}");
        assert!(has(&format!("… {name}: setup")), "{told}");
        assert!(has(&format!("✓ {name}: setup")), "{told}");
    }
}

//! List, inspect, stop, start and delete.

use std::process::{Command, ExitStatus};

use crate::support::{DEBIAN, SCRATCH, Sandbox, Stage, docker, eventually};

#[test]
fn a_sandbox_is_listed_and_inspected_in_text_and_json() {
    let stage = Stage::new();
    let options = ["--port", "8080", "--memory", "256m", "--cpus", "0.5"];
    let sandbox = stage.sandbox(SCRATCH, &options);
    let text = stage.sandbox_verb(&["list"]);
    text.ended(0, &[]);
    let text = text.stdout_text();
    let header = text.lines().next().unwrap();
    for column in ["NAME", "STATE", "REPO", "BRANCH", "PORTS", "URL", "CREATED"] {
        assert!(header.contains(column), "{header}");
    }
    let row = text
        .lines()
        .find(|line| line.starts_with(&sandbox.name))
        .unwrap();
    assert!(
        row.contains("running") && row.contains("->8080/tcp"),
        "{row}"
    );
    let json = stage.sandbox_verb(&["ls", "-o", "json"]).json();
    let all = json.as_array().unwrap();
    let one = all.iter().find(|one| one["name"] == *sandbox.name).unwrap();
    assert_eq!(one["state"], "running");
    assert_eq!(one["image"], SCRATCH);

    let inspected = sandbox.inspect();
    assert_eq!(inspected["container"], sandbox.engine_says("{{.Id}}"));
    assert_eq!(inspected["agent_cwd"], "/home/amika/workspace");
    let text = sandbox.verb("inspect", &[]).output();
    text.ended(0, &[]);
    assert!(text.stdout_text().contains(&sandbox.name), "{text:?}");
    let limits = &inspected["limits"];
    assert_eq!(limits["memory_bytes"], 256 << 20, "{limits}");
    assert_eq!(limits["cpus"], 0.5, "{limits}");
    for words in [
        "Limits        0.5 CPUs (requested), 256 MiB memory (requested)",
        "Created       2",
    ] {
        assert!(text.stdout_text().contains(words), "{words}: {text:?}");
    }
}

/// A process that the kernel lets run no more, until the guard goes.
struct Frozen(String);

impl Frozen {
    fn signal(&self, signal: &str) -> bool {
        let sent = Command::new("kill").args([signal, &self.0]).status();
        sent.is_ok_and(|status| status.success())
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.signal("-CONT");
    }
}

#[test]
fn a_sandbox_whose_amikad_hangs_is_unresponsive_and_not_running() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &[]);
    let states = || {
        let text = stage.sandbox_verb(&["ls"]).stdout_text();
        let row = text.lines().find(|line| line.starts_with(&sandbox.name));
        let row = row.map(str::to_owned).unwrap_or_default();
        let list = stage.sandbox_verb(&["ls", "-o", "json"]).json();
        let mut list = list.as_array().unwrap().iter();
        let one = list.find(|one| one["name"] == *sandbox.name).unwrap();
        let told = one["state"].as_str().unwrap().to_owned();
        (row.split_whitespace().nth(1).unwrap().to_owned(), told)
    };
    let each = |state: &str| (state.to_owned(), state.to_owned());
    let frozen = Frozen(sandbox.engine_says("{{.State.Pid}}").trim().to_owned());
    assert!(frozen.signal("-STOP"), "it is a process of this machine");
    assert_eq!(states(), each("unresponsive"));
    let inspected = sandbox.inspect();
    assert_eq!(inspected["state"], "unresponsive", "{inspected}");
    assert_eq!(inspected["status"], serde_json::Value::Null, "{inspected}");
    drop(frozen);
    assert_eq!(states(), each("running"));
}

#[test]
fn a_sandbox_that_nobody_limited_cannot_take_the_machine_down() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &[]);
    let engine: i64 = docker(&["info", "--format", "{{.MemTotal}}"])
        .stdout_text()
        .trim()
        .parse()
        .unwrap();
    let memory = engine / 4 / (1 << 20) * 3 * (1 << 20);
    let template = "{{.HostConfig.Memory}} {{.HostConfig.MemorySwap}} {{.HostConfig.PidsLimit}} \
                    {{.HostConfig.OomScoreAdj}}";
    assert_eq!(
        sandbox.engine_says(template),
        format!("{memory} {memory} 4096 500")
    );
    let limits = &sandbox.inspect()["limits"];
    assert_eq!(limits["memory_bytes"], memory, "{limits}");
    assert_eq!(limits["pids"], 4096, "{limits}");
}

#[test]
fn limits_are_lifted_by_flags_and_shown_before_anything_is_made() {
    let stage = Stage::new();
    let sandbox = stage.adopt(stage.name());
    let lifted = ["--memory", "unlimited", "--pids", "unlimited"];
    let planned = sandbox.create(DEBIAN, &[&lifted[..], &["--dry-run"]].concat());
    assert!(
        planned.stdout_text().contains("Limits      none\n"),
        "{planned:?}"
    );
    let planned = sandbox.create(DEBIAN, &["--dry-run", "-o", "json"]).json();
    assert_eq!(planned["limits"]["pids"], 4096, "{planned}");
    sandbox.create(DEBIAN, &lifted).ended(0, &[]);
    let limits = sandbox.engine_says("{{.HostConfig.Memory}} {{.HostConfig.PidsLimit}}");
    assert!(
        ["0 0", "0 -1", "0 <nil>"].contains(&limits.as_str()),
        "{limits}"
    );
}

#[test]
fn an_agent_with_a_uid_of_its_own_shares_no_quota_and_owns_its_home_and_clone() {
    let stage = Stage::new();
    let repository = stage.repository("project", &[("file", "content\n")]);
    let sandbox = stage.adopt(stage.name());
    let created = stage.sandbox_verb(&[
        "create",
        "--name",
        &sandbox.name,
        "--own-uid",
        "--git",
        &repository,
    ]);
    created.ended(0, &[]);
    let script = "id -u; stat -c %u ~ ~/workspace/project/file; git -C ~/workspace/project status --porcelain; \
                  echo x >>~/workspace/project/file";
    let told = sandbox.exec(&["sh", "-c", script]).output();
    told.ended(0, &[]);
    let text = told.stdout_text();
    let numbers: Vec<&str> = text.lines().collect();
    assert_eq!(numbers.len(), 3, "{told:?}");
    assert!(
        numbers.iter().all(|number| *number == numbers[0]),
        "{numbers:?}"
    );
    assert!(
        numbers[0].parse::<u32>().unwrap() >= 1_900_000_000,
        "{numbers:?}"
    );
    let mount = format!("{}:/mnt/x:rw", stage.home().display());
    for args in [&["--image", DEBIAN][..], &["--mount", &mount]] {
        let refused = stage.sandbox_verb(&[&["create", "--own-uid"][..], args].concat());
        refused.ended(2, &["--own-uid"]);
    }
}

#[test]
fn an_idle_sandbox_stops_quickly_and_starts_again_with_its_files() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &[]);
    let write = "echo kept >~/file; echo kept >/etc/file";
    sandbox.exec(&["sh", "-c", write]).output().ended(0, &[]);
    let stopped = sandbox.verb("stop", &[]).output();
    stopped.ended(0, &[]);
    assert_eq!(stopped.stdout_text(), format!("{}\n", sandbox.name));
    // Docker's own patience with a container that ignores SIGTERM is ten seconds and more.
    assert!(stopped.took.as_secs() < 5, "{stopped:?}");
    assert_eq!(sandbox.inspect()["state"], "stopped");
    assert_eq!(sandbox.inspect()["last_boot"]["phase"], "exited");
    sandbox.verb("stop", &[]).output().ended(0, &[]);
    sandbox.verb("start", &[]).output().ended(0, &[]);
    let read = sandbox.exec(&["sh", "-c", "cat ~/file /etc/file"]).output();
    assert_eq!(read.stdout_text(), "kept\nkept\n", "{read:?}");
    // A start of what runs already changes nothing.
    let boot = sandbox.inspect()["status"]["boot_id"].clone();
    sandbox.verb("start", &[]).output().ended(0, &[]);
    assert_eq!(sandbox.inspect()["status"]["boot_id"], boot);
}

#[test]
fn stop_gives_programs_the_time_it_is_told() {
    let stage = Stage::new();
    let cmd = "trap '' TERM; echo deaf; while :; do sleep 1; done";
    let sandbox = stage.sandbox(DEBIAN, &["--", "sh", "-c", cmd]);
    sandbox.logs("deaf");
    let stopped = sandbox.verb("stop", &["--timeout", "1s"]).output();
    stopped.ended(0, &[]);
    assert!(stopped.took.as_millis() >= 900, "{stopped:?}");
    assert!(stopped.took.as_secs() < 10, "{stopped:?}");
    assert_eq!(sandbox.engine_state(), "exited");
}

#[test]
fn a_cmds_exit_code_is_kept_and_listed() {
    let stage = Stage::new();
    let sandbox = stage.adopt(stage.name());
    let cmd = ["--no-wait", "--", "sh", "-c", "exit 7"];
    sandbox.create(DEBIAN, &cmd).ended(0, &[]);
    eventually("it ended", || sandbox.engine_state() == "exited");
    assert_eq!(sandbox.inspect()["exit_code"], 7);
    assert_eq!(sandbox.inspect()["last_boot"]["cmd"]["exit_code"], 7);
    let text = stage.sandbox_verb(&["list"]).stdout_text();
    let row = text
        .lines()
        .find(|line| line.starts_with(&sandbox.name))
        .unwrap();
    assert!(row.contains("stopped (7)"), "{row}");
}

#[test]
fn delete_keeps_the_git_volume_unless_told() {
    let stage = Stage::new();
    let repository = stage.repository("project", &[("file", "content\n")]);
    let kept = stage.sandbox(DEBIAN, &["--git", &repository]);
    let gone = stage.sandbox(DEBIAN, &["--git", &repository]);
    let deleted = kept.verb("delete", &["--force"]).output();
    let volume = format!("amika-git-{}-project-", kept.name);
    deleted.ended(0, &[&volume, "stays"]);
    let json = gone
        .verb("delete", &["-f", "--volumes", "-o", "json"])
        .output();
    json.ended(0, &[]);
    assert_eq!(json.json()[0]["name"], gone.name);
    let [containers, volumes, _] = stage.left();
    assert!(containers.is_empty(), "{containers:?}");
    assert_eq!(volumes.len(), 1, "{volumes:?}");
    assert!(volumes[0].starts_with(&volume), "{volumes:?}");
    docker(&["volume", "rm", &volumes[0]]).ended(0, &[]);
}

/// A file that not even root may remove, until this goes: what the engine meets for a moment while another
/// of its calls looks into a container's files.
struct Immutable(String);

impl Immutable {
    fn in_files_of(sandbox: &Sandbox<'_>) -> Self {
        let upper = sandbox.engine_says("{{.GraphDriver.Data.UpperDir}}");
        let path = format!("{upper}/immutable");
        std::fs::write(&path, "").expect("only root may write into the engine's directories: run the tests as root, such as with `sudo -E make test`");
        assert!(chattr("+i", &path).success());
        Self(path)
    }
}

impl Drop for Immutable {
    fn drop(&mut self) {
        chattr("-i", &self.0);
    }
}

fn chattr(change: &str, path: &str) -> ExitStatus {
    let mut command = Command::new("chattr");
    command.args([change, path]).status().unwrap()
}

#[test]
fn a_removal_that_fails_for_a_moment_is_tried_again() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(SCRATCH, &[]);
    let immutable = Immutable::in_files_of(&sandbox);
    let delete = sandbox.verb("delete", &["--force"]).start();
    eventually("the engine fails to remove it", || {
        sandbox.engine_state() == "dead"
    });
    drop(immutable);
    delete.wait().ended(0, &[]);
    nothing_is_left(&stage);
}

#[test]
fn a_sandbox_whose_removal_failed_is_dead_and_goes_when_asked_again() {
    let stage = Stage::new();
    let (one, two) = (stage.sandbox(DEBIAN, &[]), stage.sandbox(DEBIAN, &[]));
    let immutable = [&one, &two].map(Immutable::in_files_of);
    // Work is in it when somebody removes it behind our back: its volumes are all that is left of it.
    one.exec(&["touch", "work"]).output().ended(0, &[]);
    for sandbox in [&one, &two] {
        let removed = docker(&["rm", "--force", &sandbox.name]);
        removed.ended(1, &["failed to remove root filesystem"]);
        let dead = |json: &serde_json::Value| assert_eq!(json["state"], "dead", "{json}");
        dead(&sandbox.inspect());
        let list = stage.sandbox_verb(&["list", "-o", "json"]).json();
        let list = list.as_array().unwrap();
        dead(list.iter().find(|it| it["name"] == *sandbox.name).unwrap());
    }
    let hint = format!("`amika sandbox delete {}`", one.name);
    for verb in ["start", "restart", "logs", "wait"] {
        let refused = one.verb(verb, &[]).output();
        refused.ended(4, &["is dead", &hint]);
    }
    one.exec(&["true"]).output().ended(125, &["is dead", &hint]);
    let again = one.create(DEBIAN, &[]);
    again.ended(4, &["already exists", &hint]);
    let refused = one.verb("delete", &[]).output();
    refused.ended(4, &["holds work that would be lost", "work"]);
    let failed = one.verb("delete", &["--force"]).output();
    failed.ended(1, &["failed to remove root filesystem"]);
    drop(immutable);

    one.verb("delete", &["--force"]).output().ended(0, &[]);
    let found = stage.amika(&["doctor", "--fix"]).output();
    assert!(found.text().contains(&two.name), "{found:?}");
    nothing_is_left(&stage);
}

fn nothing_is_left(stage: &Stage) {
    let [containers, volumes, _] = stage.left();
    assert!(
        containers.is_empty() && volumes.is_empty(),
        "{containers:?} {volumes:?}"
    );
}

#[test]
fn two_deletes_of_one_sandbox_leave_nothing() {
    let stage = Stage::new();
    for _ in 0..5 {
        let sandbox = stage.sandbox(SCRATCH, &[]);
        let both = [0, 1].map(|_| sandbox.verb("delete", &["--force"]).start());
        let codes = both.map(|delete| delete.wait().code);
        assert!(codes.contains(&0), "{codes:?}");
        assert!(codes.iter().all(|code| [0, 3].contains(code)), "{codes:?}");
        nothing_is_left(&stage);
    }
}

#[test]
fn a_sandbox_that_is_deleted_under_a_command_is_told_as_such() {
    let stage = Stage::new();
    let script = stage.script("setup.sh", "#!/bin/sh\n:\n");
    let proxy = stage.engine_proxy();
    // The request that is held, and the code: of `exec` all failures of its own have one.
    for (verb, args, request, code) in [
        ("start", &["--setup-script", &script][..], "/archive", 3),
        ("restart", &[], "/stop", 3),
        ("exec", &["--", "true"], "/exec", 125),
        ("rename", &["another-name"], "/rename", 3),
    ] {
        let sandbox = stage.sandbox(DEBIAN, &[]);
        if verb == "start" {
            sandbox.verb("stop", &["-t", "1s"]).output().ended(0, &[]);
        }
        proxy.hold(request);
        let mut words = vec!["-o", "json", "sandbox", verb, &sandbox.name];
        words.extend(args);
        let at_work = stage
            .amika(&words)
            .env("DOCKER_HOST", &proxy.host())
            .start();
        proxy.holds();
        // By the engine's own socket, beneath the command's hands; a rename holds the name's lock.
        let removed = docker(&["rm", "-f", "-v", &sandbox.name]);
        assert_eq!(removed.code, 0, "{removed:?}");
        proxy.let_go();
        let ended = at_work.wait();
        assert_eq!(ended.code, code, "{verb}: {ended:?}");
        let error = &ended.json()["error"];
        let message = format!("sandbox \"{}\" was deleted meanwhile", sandbox.name);
        assert_eq!(error["message"], *message, "{verb}: {ended:?}");
        assert_eq!(error["code"], "not_found", "{verb}: {ended:?}");
        // Its volumes are left.
        sandbox.verb("delete", &["--force"]).output().ended(0, &[]);
    }
}

#[test]
fn a_sandbox_that_is_deleted_or_renamed_in_its_setup_is_told_as_such() {
    let stage = Stage::new();
    let script = stage.script("setup.sh", "#!/bin/sh\necho begun\nexec sleep 4321\n");
    for verb in ["delete", "rename"] {
        let sandbox = stage.adopt(stage.name());
        let create = ["--setup-script", &script, "--no-wait"];
        sandbox.create(DEBIAN, &create).ended(0, &[]);
        let other = stage.adopt(stage.name());
        let waiting = sandbox.verb("wait", &[]).start();
        waiting.warns("begun");
        let word = if verb == "rename" {
            sandbox
                .verb("rename", &[&other.name])
                .output()
                .ended(0, &[]);
            // The wait goes by the name, and looks again once its connection is gone.
            other.verb("stop", &["-t", "1s"]).output().ended(0, &[]);
            "was renamed meanwhile"
        } else {
            sandbox.verb("delete", &["--force"]).output().ended(0, &[]);
            "was deleted meanwhile"
        };
        waiting.wait().ended(3, &[word]);
    }
}

#[test]
fn several_names_are_done_at_once_and_one_bad_name_spoils_no_other() {
    let stage = Stage::new();
    let (one, two) = (stage.sandbox(SCRATCH, &[]), stage.sandbox(SCRATCH, &[]));
    let stopped = stage.sandbox_verb(&["stop", &one.name, "no-such-name", &two.name]);
    stopped.ended(3, &["there is no sandbox \"no-such-name\""]);
    assert_eq!(
        stopped.stdout_text(),
        format!("{}\n{}\n", one.name, two.name)
    );
    assert_eq!(
        (one.engine_state(), two.engine_state()),
        ("exited".into(), "exited".into())
    );
    let started = stage.sandbox_verb(&["start", "-o", "json", &one.name, &two.name]);
    started.ended(0, &[]);
    assert_eq!(started.json()[1]["result"], "started");
    let json = stage.sandbox_verb(&["delete", "-f", "-o", "json", &one.name, "no-such-name"]);
    json.ended(3, &[]);
    let error = &json.json()["error"];
    assert_eq!(error["code"], "not_found");
    assert_eq!(error["results"][0]["result"], "deleted");
}

#[test]
fn a_name_that_is_nearly_right_is_offered() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(SCRATCH, &[]);
    let nearly = format!("{}x", sandbox.name);
    for verb in ["inspect", "stop", "start", "logs"] {
        let refused = stage.sandbox_verb(&[verb, &nearly]);
        refused.ended(3, &[&format!("did you mean `{}`?", sandbox.name)]);
    }
    // Nobody is to paste the end of another sandbox.
    let refused = stage.sandbox_verb(&["delete", &nearly]);
    refused.ended(3, &["nothing was deleted"]);
    assert!(
        !refused.stderr_text().contains("did you mean"),
        "{refused:?}"
    );
    let id = sandbox.engine_says("{{.Id}}");
    stage.sandbox_verb(&["stop", &id[..12]]).ended(3, &[]);
    assert_eq!(sandbox.engine_state(), "running");
}

#[test]
fn delete_on_a_terminal_asks_before_a_running_sandbox_goes() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(SCRATCH, &[]);
    let mut no = stage.on_terminal(&["sandbox", "delete", &sandbox.name]);
    no.shows("Delete? [y/N]").types("n\r");
    assert_eq!(no.wait(), 4);
    assert_eq!(sandbox.engine_state(), "running");
    let mut yes = stage.on_terminal(&["sandbox", "delete", &sandbox.name]);
    yes.shows("Delete? [y/N]").types("y\r");
    assert_eq!(yes.wait(), 0);
    stage.nothing_was_made();
}

#[test]
fn delete_on_a_terminal_says_what_becomes_of_the_work() {
    let stage = Stage::new();
    let repository = stage.repository("app", &[("file", "x")]);
    let sandbox = stage.sandbox(DEBIAN, &["--git", &repository]);
    let volume = format!("amika-git-{}-app-", sandbox.name);
    for (option, stays) in [(None, true), (Some("--volumes"), false)] {
        let mut args = vec!["sandbox", "delete", &sandbox.name];
        args.extend(option);
        let mut asked = stage.on_terminal_of(200, &[], &args);
        asked.shows("Delete? [y/N]");
        let text = asked.text();
        let line = text.lines().find(|line| line.contains(&volume));
        let line = line.unwrap_or_else(|| panic!("{text}"));
        assert!(line.contains("(running)"), "{text}");
        assert_eq!(line.contains(" stays"), stays, "{text}");
        assert_eq!(line.contains(" go, with the work in it"), !stays, "{text}");
        asked.types("n\r");
        assert_eq!(asked.wait(), 4);
    }
    let deleted = sandbox.verb("delete", &["--force", "--volumes"]).output();
    deleted.ended(0, &[]);
}

#[test]
fn a_sandbox_that_docker_stopped_or_started_is_told_as_it_is() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(SCRATCH, &[]);
    docker(&["stop", &sandbox.name]).ended(0, &[]);
    assert_eq!(sandbox.inspect()["state"], "stopped");
    docker(&["start", &sandbox.name]).ended(0, &[]);
    eventually("it runs", || {
        sandbox.inspect()["status"]["phase"] == "running"
    });
    docker(&["pause", &sandbox.name]).ended(0, &[]);
    let listed = stage.sandbox_verb(&["list", "-o", "json"]).json();
    let one = listed
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["name"] == *sandbox.name);
    assert_eq!(one.unwrap()["state"], "paused");
    let refused = sandbox.verb("start", &[]).output();
    assert_eq!(refused.code, 4, "{refused:?}");
    let unpause = format!("`docker unpause {}`", sandbox.name);
    assert!(refused.stderr_text().contains(&unpause), "{refused:?}");
    docker(&["unpause", &sandbox.name]).ended(0, &[]);
    docker(&["kill", &sandbox.name]).ended(0, &[]);
    eventually("it ended", || sandbox.engine_state() == "exited");
    assert_eq!(sandbox.inspect()["exit_code"], 137);
    sandbox.verb("start", &[]).output().ended(0, &[]);
}

#[test]
fn a_sandbox_that_is_not_complete_is_not_started() {
    let stage = Stage::new();
    let proxy = stage.engine_proxy();
    let sandbox = stage.adopt(stage.name());
    proxy.hold("/start");
    let creating = sandbox
        .create_run(DEBIAN, &[])
        .env("DOCKER_HOST", &proxy.host())
        .start();
    proxy.holds();
    sandbox
        .verb("start", &[])
        .output()
        .ended(4, &["is still being created"]);
    creating.signal(rustix::process::Signal::KILL);
    assert_eq!(creating.wait().code, 137);
    sandbox.verb("start", &[]).output().ended(
        4,
        &[
            "was interrupted: it is not complete",
            "the same `amika sandbox create",
        ],
    );
    assert_eq!(sandbox.engine_state(), "created");
}

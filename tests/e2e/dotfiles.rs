//! The user's dotfiles: installed once, by the agent, in front of the first setup.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::support::{DEBIAN, Output, Sandbox, Stage, preset};

/// A repository of dotfiles; what begins with `#!` may be executed.
fn dotfiles(stage: &Stage, files: &[(&str, &str)]) -> String {
    let path = stage.repository("my-dots", files);
    for (name, text) in files {
        if text.starts_with("#!") {
            let file = stage.home().join("my-dots").join(name);
            fs::set_permissions(file, PermissionsExt::from_mode(0o755)).unwrap();
        }
    }
    let script =
        "git -c user.name=T -c user.email=t@example.org commit -q -a --allow-empty -m modes";
    let commit = stage.shell(script, &[]).dir(&path).output();
    commit.ended(0, &[]);
    path
}

fn said(sandbox: &Sandbox<'_>, script: &str) -> String {
    let said = sandbox
        .exec(&["sh", "-c", &format!("cd; {script}")])
        .output();
    said.ended(0, &[]).stdout_text()
}

const SCRIPT: &str = "#!/bin/sh\necho \"as $(id -un) in $PWD\"\necho ran >> ~/.dots-ran\nln -s ~/dotfiles/vimrc ~/.vimrc\n";

/// Makes a sandbox with a setup script and these dotfiles.
fn create(sandbox: &Sandbox<'_>, setup: &str, dots: &str) -> Output {
    let create = [
        "sandbox",
        "create",
        "--name",
        &sandbox.name,
        "--opencode",
        "off",
        "--setup-script",
        setup,
        "--dotfiles",
        dots,
    ];
    sandbox.stage.amika(&create).output()
}

#[test]
fn the_agent_runs_their_script_before_setup_once_and_it_is_no_work() {
    let stage = Stage::new();
    preset(&stage);
    let dots = dotfiles(
        &stage,
        &[
            ("install.sh", SCRIPT),
            ("setup.sh", "#!/bin/sh\ntouch ~/.never\n"),
            ("vimrc", "set nu\n"),
            (".ignored", ""),
        ],
    );
    fs::write(stage.home().join("my-dots/secret"), "canary").unwrap();
    let setup = stage.script("setup", "#!/bin/sh\ncat /home/amika/.dots-ran > /seen\n");
    let sandbox = stage.adopt(stage.name());
    let created = create(&sandbox, &setup, &dots);
    created.ended(0, &["dotfiles"]);
    let log = sandbox
        .verb("logs", &["--setup"])
        .output()
        .ended(0, &[])
        .text();
    assert!(log.contains("as amika in /home/amika/dotfiles"), "{log}");
    assert_eq!(
        said(&sandbox, "cat .vimrc .dots-ran /seen"),
        "set nu\nran\nran\n"
    );
    assert_eq!(
        said(
            &sandbox,
            "stat -c %U dotfiles .dots-ran; ls .never .ignored dotfiles/secret 2>/dev/null; git -C dotfiles log --format=%s"
        ),
        "amika\namika\nmodes\nfirst\n"
    );
    // A later start does not run it again.
    for verb in ["stop", "start"] {
        sandbox.verb(verb, &[]).output().ended(0, &[]);
    }
    assert_eq!(said(&sandbox, "cat .dots-ran"), "ran\n");
    sandbox.verb("delete", &[]).output().ended(0, &[]);
}

#[test]
fn without_a_script_what_begins_with_a_dot_is_linked() {
    let stage = Stage::new();
    let dots = dotfiles(
        &stage,
        &[
            (".profile", "export A=b\n"),
            (".config/tool/rc", "rc\n"),
            (".gitignore", ""),
            ("README.md", ""),
        ],
    );
    let url = format!("file://{dots}");
    let sandbox = stage.sandbox(DEBIAN, &["--dotfiles", &url]);
    assert_eq!(
        said(
            &sandbox,
            "readlink /home/amika/.profile; cat /home/amika/.config/tool/rc; ls /home/amika/.gitignore 2>/dev/null; true"
        ),
        "/home/amika/dotfiles/.profile\nrc\n"
    );
    sandbox.verb("delete", &[]).output().ended(0, &[]);
}

#[test]
fn a_script_that_fails_is_told_of_and_ends_nothing() {
    let stage = Stage::new();
    let script = "#!/bin/sh\ntouch /home/amika/.half\necho no such tool\nexit 3\n";
    let dots = dotfiles(&stage, &[("bootstrap", script)]);
    let setup = stage.script("setup", "#!/bin/sh\necho setup ran\n");
    let sandbox = stage.adopt(stage.name());
    let options = ["--dotfiles", &dots, "--setup-script", &setup];
    let created = sandbox.create(DEBIAN, &options);
    created.ended(
        0,
        &["your dotfiles could not be installed as a whole: exited with 3; `amika sandbox logs --setup"],
    );
    let log = sandbox
        .verb("logs", &["--setup"])
        .output()
        .ended(0, &[])
        .text();
    assert!(
        log.contains("no such tool") && log.contains("setup ran"),
        "{log}"
    );
    sandbox.verb("delete", &[]).output().ended(0, &[]);
}

#[test]
fn a_setup_that_fails_behind_them_is_told_with_its_line() {
    let stage = Stage::new();
    preset(&stage);
    let dots = dotfiles(&stage, &[("install.sh", "#!/bin/bash\ntrue\n")]);
    let setup = stage.script("setup", "#!/bin/bash\nset -e\ntrue\nfalse\n");
    let sandbox = stage.adopt(stage.name());
    create(&sandbox, &setup, &dots).ended(20, &["at line 4"]);
}

#[test]
fn a_setting_asks_for_them_in_each_sandbox_of_what_is_trusted() {
    let stage = Stage::new();
    let dots = dotfiles(&stage, &[(".dotsrc", "")]);
    let set = ["config", "set", "dotfiles", "./my-dots"];
    let set = stage.amika(&set).dir(stage.home()).output();
    set.ended(0, &[]);
    let get = stage.amika(&["config", "get", "dotfiles"]).output();
    assert_eq!(get.ended(0, &[]).stdout_text().trim(), dots);
    // What is not there yet is a path all the same, of the directory that it was set in.
    let set = ["config", "set", "dotfiles", "later", "-o", "json"];
    let set = stage.amika(&set).dir(stage.home()).output();
    let later = stage.home().join("later").display().to_string();
    assert_eq!(set.ended(0, &[]).json()["settings"][0]["value"], later);
    // One that the file has begins at the home.
    stage.file(".config/amika/config.toml", "dotfiles = \"my-dots\"\n");
    let app = stage.repository("app", &[("file", "")]);
    let has = |args: &[&str]| {
        let sandbox = stage.sandbox(DEBIAN, args);
        let names = said(&sandbox, "ls -A /home/amika");
        names.lines().any(|name| name == ".dotsrc")
    };
    assert!(has(&["--git", &app]));
    assert!(!has(&["--git", &app, "--trust=never"]));
    assert!(has(&["--git", &app, "--trust=never", "--dotfiles", &dots]));
    assert!(!has(&["--dotfiles", "none"]));
}

#[test]
fn what_is_no_repository_of_its_own_is_refused_also_by_a_plan() {
    let stage = Stage::new();
    let dots = dotfiles(&stage, &[("vim/vimrc", ""), (".rc", "")]);
    let refused = |options: &[&str], code: i32, told: &str| {
        let sandbox = stage.adopt(stage.name());
        for plan in [&["--dry-run"][..], &[]] {
            let options = [options, plan].concat();
            sandbox.create(DEBIAN, &options).ended(code, &[told]);
        }
    };
    let inner = format!("{dots}/vim");
    let is_in = "it is no repository, but a directory in one";
    refused(&["--dotfiles", &inner], 2, is_in);
    let none = stage.home().join("nothing").display().to_string();
    refused(&["--dotfiles", &none], 7, "nothing");
    refused(&["--dotfiles", ""], 2, "names no repository");
    let mount = format!("{}:/home/amika/dotfiles:rw", stage.home().display());
    let in_the_way = "is in the way of your dotfiles";
    refused(&["--dotfiles", &dots, "--mount", &mount], 4, in_the_way);
    stage.nothing_was_made();
}

#[test]
fn a_plan_shows_where_they_come_from_and_asks_no_server() {
    let stage = Stage::new();
    let dots = dotfiles(&stage, &[(".rc", "")]);
    // Nobody could be asked there.
    let url = "https://ada:canary@nobody.invalid/dots";
    for (source, shown) in [(dots.as_str(), dots.as_str()), (url, "nobody.invalid/dots")] {
        let sandbox = stage.adopt(stage.name());
        let options = ["--dry-run", "--dotfiles", source];
        let plan = sandbox.create(DEBIAN, &options);
        let text = plan.ended(0, &[]).text();
        let line = text.lines().find(|line| line.starts_with("Dotfiles "));
        let line = line.unwrap_or_default();
        let told = line.contains(shown) && line.ends_with("-> /home/amika/dotfiles");
        assert!(told && !text.contains("canary"), "{text}");
        let options = [&options[..], &["-o", "json"]].concat();
        let plan = sandbox.create(DEBIAN, &options);
        let plan = &plan.ended(0, &[]).json()["dotfiles"];
        assert_eq!(plan["commit"].is_string(), source == dots, "{plan}");
        assert_eq!(plan["target"], "/home/amika/dotfiles");
    }
    stage.nothing_was_made();
}

#[test]
fn they_replace_nothing_that_was_mounted_copied_or_signed_in() {
    let stage = Stage::new();
    let names = [
        ".free",
        ".npmrc",
        ".toolrc",
        ".config/a",
        ".codex/auth.json",
        ".codex/other",
    ];
    let dots = dotfiles(&stage, &names.map(|name| (name, "theirs\n")));
    let copied = stage.file("npmrc", "mine\n");
    let mounted = stage.file("toolrc", "mine\n");
    let shared = stage.home().join("shared");
    fs::create_dir_all(&shared).unwrap();
    stage.file(".codex/auth.json", "{\"mine\":1}");
    let mounts = [
        format!("{copied}:/home/amika/.npmrc"),
        format!("{mounted}:/home/amika/.toolrc:rw"),
        format!("{}:/home/amika/.config:rw", shared.display()),
    ];
    let mounts: Vec<&str> = mounts.iter().flat_map(|it| ["--mount", it]).collect();
    let options = [&mounts[..], &["--dotfiles", &dots]].concat();
    let sandbox = stage.adopt(stage.name());
    sandbox.create(DEBIAN, &options).ended(
        0,
        &["your dotfiles could not be installed as a whole: exited with 1"],
    );
    assert_eq!(
        said(
            &sandbox,
            "cd /home/amika; cat .npmrc .toolrc .codex/auth.json; for it in .free .npmrc .toolrc .config/a .codex .codex/auth.json .codex/other; do test -h $it && echo $it; done; true"
        ),
        "mine\nmine\n{\"mine\":1}.free\n.codex/other\n"
    );
    assert_eq!(fs::read_dir(&shared).unwrap().count(), 0);
    assert_eq!(fs::read_to_string(&mounted).unwrap(), "mine\n");
    let log = sandbox.verb("logs", &["--setup"]).output();
    let log = log.ended(0, &[]).text();
    for stays in [".npmrc", ".toolrc", ".config", ".codex/auth.json"] {
        let told = format!("/home/amika/{stays} stays: the sandbox was made with it");
        assert!(log.contains(&told), "{stays}: {log}");
    }
    sandbox.verb("delete", &["--force"]).output().ended(0, &[]);
}

#[test]
fn who_did_not_wait_is_told_by_wait_and_by_the_log() {
    let stage = Stage::new();
    let dots = dotfiles(&stage, &[("install", "#!/bin/sh\nexit 3\n")]);
    let sandbox = stage.adopt(stage.name());
    let created = sandbox.create(DEBIAN, &["--dotfiles", &dots, "--no-wait"]);
    created.ended(0, &[]);
    let told = "your dotfiles could not be installed as a whole: exited with 3";
    sandbox.verb("wait", &[]).output().ended(0, &[told]);
    let log = sandbox.verb("logs", &["--setup"]).output();
    let log = log.ended(0, &[]).text();
    assert!(log.contains("dotfiles: exited with 3"), "{log}");
    sandbox.verb("delete", &[]).output().ended(0, &[]);
}

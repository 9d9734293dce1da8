//! Work that would be lost with a sandbox: `delete` tells it from what came from the host, and keeps it.

use std::fs;
use std::time::{Duration, SystemTime};

use crate::support::{DEBIAN, Output, Sandbox, Stage};

fn has(output: &Output, code: i32, words: &str) {
    assert_eq!(output.code, code, "{output:?}");
    assert!(output.stderr_text().contains(words), "{output:?}");
}

/// Runs a script of the sandbox's shell, in the agent's home directory.
fn run(sandbox: &Sandbox<'_>, script: &str) {
    let script = format!("cd ~ && {script}");
    sandbox.exec(&["sh", "-ec", &script]).output().ended(0, &[]);
}

/// Asserts that a delete is refused with these words, also of the stopped sandbox.
fn kept(sandbox: &Sandbox<'_>, words: &str) {
    has(&sandbox.verb("delete", &[]).output(), 4, words);
    sandbox
        .verb("stop", &["--timeout", "0s"])
        .output()
        .ended(0, &[]);
    has(&sandbox.verb("delete", &[]).output(), 4, words);
    let containers = sandbox.stage.containers();
    let is_helper = |name: &String| name.contains("-fill-");
    assert!(!containers.iter().any(is_helper), "{containers:?}");
}

#[test]
fn work_in_the_workspace_keeps_a_sandbox_from_being_deleted() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &[]);
    let made = sandbox
        .exec(&[
            "sh",
            "-c",
            "cd ~/workspace && mkdir project && echo x >project/file && echo y >notes",
        ])
        .output();
    assert_eq!(made.code, 0, "{made:?}");
    for running in [true, false] {
        if !running {
            assert_eq!(sandbox.verb("stop", &[]).output().code, 0);
        }
        has(
            &sandbox.verb("delete", &[]).output(),
            4,
            "in /home/amika/workspace: notes, project",
        );
    }
    let replaced = sandbox.create(DEBIAN, &["--replace"]);
    has(&replaced, 4, "holds work that would be lost");
    assert_eq!(sandbox.engine_state(), "exited");
    assert_eq!(sandbox.verb("delete", &["--force"]).output().code, 0);
}

#[test]
fn a_sandbox_without_work_is_deleted_at_once() {
    let stage = Stage::new();
    let source = stage.home().join("src");
    fs::create_dir_all(&source).unwrap();
    let file = fs::File::create(source.join("file")).unwrap();
    file.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(1_000_000_000))
        .unwrap();
    let mount = |rest: &str| format!("{}:/home/amika/workspace/{rest}", source.display());
    let sandbox = stage.sandbox(
        DEBIAN,
        &["--mount", &mount("bind/deep:rw"), "--mount", &mount("copy")],
    );
    assert_eq!(sandbox.verb("delete", &[]).output().code, 0);
    let sandbox = stage.sandbox(DEBIAN, &["--mount", &mount("copy")]);
    let made = sandbox
        .exec(&["sh", "-c", "echo changed >~/workspace/copy/file"])
        .output();
    assert_eq!(made.code, 0, "{made:?}");
    has(
        &sandbox.verb("delete", &[]).output(),
        4,
        "in /home/amika/workspace/copy: file",
    );
}

#[test]
fn a_workspace_that_was_moved_or_became_a_file_is_work() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &[]);
    run(
        &sandbox,
        "mv workspace w2 && ln -s w2 workspace && echo a >w2/a",
    );
    kept(&sandbox, "/home/amika/workspace is a link to w2");
    let sandbox = stage.sandbox(DEBIAN, &[]);
    run(&sandbox, "rmdir workspace && echo x >workspace");
    kept(&sandbox, "/home/amika/workspace is a file");
}

#[test]
fn a_file_that_was_copied_in_and_changed_is_work() {
    let stage = Stage::new();
    let notes = stage.file("notes.txt", "mine");
    for target in ["/home/amika/notes.txt", "/etc/notes.txt"] {
        let mount = format!("{notes}:{target}");
        let sandbox = stage.sandbox(DEBIAN, &["--mount", &mount]);
        sandbox.verb("delete", &[]).output().ended(0, &[]);
        let sandbox = stage.sandbox(DEBIAN, &["--mount", &mount]);
        run(&sandbox, &format!("echo theirs >{target}"));
        kept(&sandbox, &format!("{target} is a file with new content"));
    }
}

#[test]
fn what_a_copy_did_not_have_is_work_however_old_it_looks() {
    let stage = Stage::new();
    stage.file("data/a", "a");
    stage.file("data/b", "b");
    let mount = format!("{}:/data", stage.home().join("data").display());
    for (script, words) in [
        ("mv /data/a /data/c", "in /data: c"),
        ("touch -d 2001-01-01 x && cp -p x /data/x", "in /data: x"),
        ("echo c >/data/b", "in /data: b"),
        ("mkdir /data/deep && echo x >/data/deep/x", "in /data: deep"),
        ("ln -sf b /data/a", "in /data: a"),
    ] {
        let sandbox = stage.sandbox(DEBIAN, &["--mount", &mount]);
        run(&sandbox, script);
        kept(&sandbox, words);
    }
}

#[test]
fn what_an_image_keeps_in_volumes_of_its_own_is_work_once_it_is_written() {
    let stage = Stage::new();
    let inner = "/home/amika/workspace/kept";
    let cache = "/home/amika/.cache/tool";
    let image = stage.image(&format!(
        "FROM {DEBIAN}\nUSER root\nRUN for d in /data {inner} {cache}; do mkdir -p $d && echo x >$d/file && \
         ln $d/file $d/second && ln -s file $d/link && chmod -R a+rwX $d; done\nVOLUME /data {inner} {cache}\n"
    ));
    let sandbox = stage.sandbox(&image, &[]);
    run(
        &sandbox,
        &format!("cat /data/* {inner}/* && echo x >{cache}/new"),
    );
    sandbox.verb("restart", &[]).output().ended(0, &[]);
    sandbox.verb("delete", &[]).output().ended(0, &[]);
    for (script, words) in [
        ("echo x >/data/new", "in /data: new".to_owned()),
        (
            "touch -d 2001-01-01 x && cp -p x /data/x",
            "in /data: x".to_owned(),
        ),
        ("echo more >>/data/file", "in /data: file".to_owned()),
        (
            &format!("mkdir {inner}/deep && echo x >{inner}/deep/x"),
            format!("in {inner}: deep"),
        ),
    ] {
        let sandbox = stage.sandbox(&image, &[]);
        run(&sandbox, script);
        kept(&sandbox, &words);
        has(&sandbox.create(&image, &["--replace"]), 4, &words);
        sandbox.verb("delete", &["--force"]).output().ended(0, &[]);
    }
    // A volume of the user's in its place stays, and is nobody's to ask about.
    let name = format!("{}-data", image.replace('/', "-"));
    let sandbox = stage.sandbox(&image, &["--volume", &format!("{name}:/data")]);
    run(&sandbox, "echo x >/data/new");
    let deleted = sandbox.verb("delete", &[]).output();
    crate::support::docker(&["volume", "rm", &name]).ended(0, &[]);
    deleted.ended(0, &[]);
}

#[test]
fn copies_of_an_earlier_amika_are_told_by_their_times() {
    let stage = Stage::new();
    let file = stage.file("data/file", "x");
    let file = fs::File::options().write(true).open(file).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_hours(1))
        .unwrap();
    let mount = format!("{}:/data", stage.home().join("data").display());
    let sandbox = stage.sandbox(DEBIAN, &["--mount", &mount]);
    // It kept no list of what it copied.
    let forget = |sandbox: &Sandbox<'_>| {
        let forgotten = sandbox.docker_exec(&["rm", "-r", "/var/lib/amikad/copies"]);
        forgotten.ended(0, &[]);
    };
    forget(&sandbox);
    run(&sandbox, "echo x >/data/new");
    kept(&sandbox, "in /data: new");
    let sandbox = stage.sandbox(DEBIAN, &["--mount", &mount]);
    forget(&sandbox);
    sandbox.verb("delete", &[]).output().ended(0, &[]);
}

#[test]
fn what_came_from_the_host_is_no_work_however_young_it_is() {
    let stage = Stage::new();
    stage.file("data/now", "now");
    stage.file("data/later", "later");
    let later = fs::File::options()
        .write(true)
        .open(stage.home().join("data/later"));
    later
        .and_then(|file| file.set_modified(SystemTime::now() + Duration::from_hours(24 * 365)))
        .unwrap();
    let far = Duration::from_hours(24 * 365 * 300);
    let file = fs::File::create(stage.home().join("data/far")).unwrap();
    file.set_modified(SystemTime::now() + far).unwrap();
    std::os::unix::fs::symlink("now", stage.home().join("data/link")).unwrap();
    // Through the pipe, and through the engine.
    for files in [0, 4200] {
        for number in 0..files {
            stage.file(&format!("data/many/{number}"), "x");
        }
        let mount = format!("{}:/data", stage.home().join("data").display());
        let sandbox = stage.sandbox(DEBIAN, &["--mount", &mount]);
        run(
            &sandbox,
            "cat /data/now /data/later /data/link && mkdir /data/empty && rm /data/far",
        );
        sandbox.verb("delete", &[]).output().ended(0, &[]);
    }
}

#[test]
fn what_is_mounted_in_the_workspace_neither_hides_work_nor_is_looked_through() {
    let stage = Stage::new();
    // It takes no room, and an engine takes a minute and more to read it.
    fs::create_dir(stage.home().join("big")).unwrap();
    let big = fs::File::create(stage.home().join("big/file")).unwrap();
    big.set_len(64 << 30).unwrap();
    let mount = format!(
        "{}:/home/amika/workspace/big:rw",
        stage.home().join("big").display()
    );
    let sandbox = stage.sandbox(DEBIAN, &["--mount", &mount]);
    run(&sandbox, "echo x >workspace/zzz");
    kept(&sandbox, "in /home/amika/workspace: zzz");
    sandbox.verb("start", &[]).output().ended(0, &[]);
    run(&sandbox, "rm workspace/zzz");
    sandbox.verb("delete", &[]).output().ended(0, &[]);
}

#[test]
fn where_it_cannot_be_told_in_time_nothing_is_deleted() {
    let stage = Stage::new();
    let proxy = stage.engine_proxy();
    let sandbox = stage.sandbox(DEBIAN, &[]);
    proxy.hold("archive?path=%2Fhome%2Famika%2Fworkspace");
    let deleting = sandbox.verb("delete", &[]);
    let deleting = deleting.env("DOCKER_HOST", &proxy.host()).start();
    proxy.holds();
    let deleted = deleting.wait();
    proxy.let_go();
    has(&deleted, 4, "could not be looked through in 10 s");
    has(
        &deleted,
        4,
        &format!("`amika sandbox delete --force {}`", sandbox.name),
    );
    assert_eq!(sandbox.engine_state(), "running");
}

#[test]
fn what_is_beside_a_clone_is_work_and_what_setup_and_caches_put_there_is_not() {
    let stage = Stage::new();
    let repository = stage.repository("app", &[("file", "x")]);
    let script = "#!/bin/sh\nmkdir -p ~/bin ~/workspace/tools /home/amika/.cache\necho x >/home/amika/made\n\
         echo y >/home/amika/workspace/tools/z\n";
    let setup = stage.file("setup.sh", script);
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&setup, mode).unwrap();
    let sandbox = stage.sandbox(DEBIAN, &["--setup-script", &setup, "--git", &repository]);
    run(
        &sandbox,
        "mkdir -p .cache/x .claude/projects .npm && echo c >.cache/x/y && echo t >.claude/projects/1.jsonl",
    );
    // A start runs setup anew; what was there by then stays what it was.
    sandbox.verb("restart", &[]).output().ended(0, &[]);
    let clean = stage.sandbox(DEBIAN, &["--setup-script", &setup, "--git", &repository]);
    clean.verb("delete", &[]).output().ended(0, &[]);
    // Its clone stays.
    let clone = stage.volumes().into_iter();
    for clone in clone.filter(|volume| volume.contains(&format!("-git-{}-", clean.name))) {
        crate::support::docker(&["volume", "rm", &clone]).ended(0, &[]);
    }
    run(
        &sandbox,
        "mkdir -p workspace/lib && touch -d 2001-01-01 workspace/lib/x",
    );
    sandbox.verb("restart", &[]).output().ended(0, &[]);
    kept(&sandbox, "in /home/amika/workspace: lib");
    let sandbox = stage.sandbox(DEBIAN, &["--git", &repository]);
    run(&sandbox, "echo x >notes");
    kept(&sandbox, "in /home/amika: notes");
}

#[test]
fn what_is_left_of_a_sandbox_is_looked_through_before_it_goes() {
    let stage = Stage::new();
    stage.file("data/a", "a");
    let mount = format!("{}:/data", stage.home().join("data").display());
    // The youngest image there is: with it, one that keeps a volume in a home cannot be looked through.
    stage.image("FROM amika-test/debian\nVOLUME /home/amika/.cache/of-image\n");
    for script in ["echo x >workspace/notes", "echo b >/data/a"] {
        let sandbox = stage.sandbox(DEBIAN, &["--mount", &mount]);
        run(&sandbox, script);
        crate::support::docker(&["rm", "-f", &sandbox.name]).ended(0, &[]);
        let volumes = stage.volumes();
        has(
            &sandbox.verb("delete", &[]).output(),
            4,
            "holds work that would be lost with it",
        );
        let fixed = stage.amika(&["doctor", "--fix", "-o", "json"]).output();
        let kept = fixed.ended(0, &[]).json()["kept"].to_string();
        assert!(kept.contains("holds work"), "{kept}");
        assert!(kept.contains("delete --force"), "{kept}");
        assert_eq!(stage.volumes(), volumes);
        sandbox.verb("delete", &["--force"]).output().ended(0, &[]);
        assert!(stage.volumes().is_empty());
        let sandbox = stage.sandbox(DEBIAN, &["--mount", &mount]);
        crate::support::docker(&["rm", "-f", &sandbox.name]).ended(0, &[]);
        sandbox.verb("delete", &[]).output().ended(0, &[]);
        assert!(stage.volumes().is_empty());
    }
}

#[test]
fn a_clone_that_goes_too_is_told_of_in_gits_words() {
    let stage = Stage::new();
    let repository = stage.repository("app", &[("file", "x")]);
    let sandbox = stage.sandbox(DEBIAN, &["--git", &repository]);
    let clone = sandbox.exec(&["pwd"]).output().stdout_text();
    let has_git = sandbox.exec(&["git", "--version"]).output().code == 0;
    run(&sandbox, &format!("echo x >{}/new", clone.trim()));
    let words = if has_git {
        "1 changed file"
    } else {
        "cannot be told: there is no git"
    };
    let volumes = stage.volumes();
    for running in [true, false] {
        if !running {
            sandbox
                .verb("stop", &["--timeout", "0s"])
                .output()
                .ended(0, &[]);
        }
        let refused = sandbox.verb("delete", &["--volumes"]).output();
        has(&refused, 4, words);
        has(
            &refused,
            4,
            &format!("delete --force --volumes {}`", sandbox.name),
        );
    }
    assert_eq!(stage.volumes(), volumes);
    // Of a lost one the clone is named only where it goes.
    sandbox.verb("start", &[]).output().ended(0, &[]);
    run(&sandbox, "echo x >notes");
    crate::support::docker(&["rm", "-f", &sandbox.name]).ended(0, &[]);
    let clone = format!("-git-{}-", sandbox.name);
    let stays = sandbox.verb("delete", &[]).output();
    has(&stays, 4, "shows what is in a volume of");
    assert!(!stays.stderr_text().contains(&clone), "{stays:?}");
    has(&sandbox.verb("delete", &["--volumes"]).output(), 4, &clone);
    sandbox
        .verb("delete", &["--volumes", "--force"])
        .output()
        .ended(0, &[]);
    assert!(stage.volumes().is_empty());
}

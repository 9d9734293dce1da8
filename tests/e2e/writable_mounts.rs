//! `rw` mounts of the host: what a sandbox must not make of them.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::support::{DEBIAN, Output, Sandbox, Stage, docker};

/// The first use of a preset may build its image's last layers.
const BUILD: Duration = Duration::from_mins(8);

fn flag(source: impl AsRef<Path>, rest: &str) -> String {
    format!("{}:{rest}", source.as_ref().display())
}

/// A sandbox of the preset, whose agent is the owner of what is mounted at `/w`.
fn of_preset<'s>(stage: &'s Stage, source: &str, args: &[&str]) -> (Sandbox<'s>, Output) {
    let script = "chown -R 4242:4242 \"$1\"";
    stage.shell(script, &[source]).output().ended(0, &[]);
    let sandbox = stage.adopt(stage.name());
    let mount = flag(source, "/w:rw");
    let mut all = vec![
        "sandbox",
        "create",
        "--name",
        &sandbox.name,
        "--no-credentials",
        "--mount",
        &mount,
    ];
    all.extend(args);
    let created = stage.amika(&all).limit(BUILD).output();
    created.ended(0, &[]);
    (sandbox, created)
}

/// All files beneath a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| {
            let is_dir = path.symlink_metadata().unwrap().is_dir();
            let mut inner = if is_dir { files(&path) } else { Vec::new() };
            inner.push(path);
            inner
        })
        .collect()
}

/// Set-user-id files and devices beneath a directory.
fn dangerous(directory: &Path) -> Vec<PathBuf> {
    let mut all = files(directory);
    all.retain(|path| {
        let meta = path.symlink_metadata().unwrap();
        let kind = meta.file_type();
        (meta.mode() & 0o4000 != 0 && !meta.is_dir())
            || kind.is_char_device()
            || kind.is_block_device()
    });
    all
}

/// The overlays that `inspect` shows: target, role, writable.
fn overlays(sandbox: &Sandbox<'_>) -> Vec<(String, String, bool)> {
    let shown = sandbox.inspect();
    let mounts = shown["mounts"].as_array().unwrap().iter();
    mounts
        .filter_map(|mount| {
            let over = mount["over"].as_str()?.to_owned();
            Some((
                mount["target"].as_str().unwrap().to_owned(),
                over,
                mount["writable"].as_bool().unwrap(),
            ))
        })
        .collect()
}

#[test]
fn git_of_this_machine_runs_nothing_that_a_sandbox_put_into_a_writable_mount() {
    let stage = Stage::new();
    let source = stage.repository(
        "src",
        &[
            ("a.txt", "a\n"),
            (".envrc", "true\n"),
            (".gitattributes", "*.txt filter=evil\n"),
        ],
    );
    let (sandbox, created) = of_preset(&stage, &source, &[]);
    let said = created.stderr_text();
    for part in [
        "read-only in the sandbox: .envrc, .git (`git commit` needs `--writable-git`)",
        "not protected, since not there: .amika, .vscode, .idea",
        "`--allow-setid` lifts it",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let marker = stage.home().join("PWNED");
    let evil = format!("touch {}; cat", marker.display());
    // By the agent, by root, and past amika.
    let script = r#"cd /w
        printf '[core]\n\tfsmonitor = "%s"\n[filter "evil"]\n\tclean = "%s"\n' "$1" "$1" >>.git/config
        printf '#!/bin/sh\n%s\n' "$1" >.git/hooks/pre-commit
        mkfifo .git/inc
        mv .git .git2
        rm -rf .git
        rmdir .git
        ln -sfn /tmp .git
        git config filter.evil.clean "$1"
        echo "$1" >.envrc
        mv .envrc .envrc2
        umount .git
        mount -o remount,rw,bind .git
        echo changed >a.txt"#;
    let tried: [Output; 3] = [
        sandbox.exec(&["sh", "-c", script, "sh", &evil]).output(),
        sandbox
            .exec(&["sudo", "-n", "sh", "-c", script, "sh", &evil])
            .output(),
        sandbox.docker_exec(&["sh", "-c", script, "sh", &evil]),
    ];
    for tried in &tried {
        assert!(
            tried.stderr_text().contains("Read-only file system"),
            "{tried:?}"
        );
        assert!(
            tried.stderr_text().contains("Device or resource busy"),
            "{tried:?}"
        );
    }
    assert_eq!(
        fs::read_to_string(Path::new(&source).join("a.txt")).unwrap(),
        "changed\n"
    );
    assert_eq!(
        fs::read_to_string(Path::new(&source).join(".envrc")).unwrap(),
        "true\n"
    );
    let host = "touch a.txt; git -c safe.directory='*' status --porcelain && \
                git -c safe.directory='*' -c user.name=a -c user.email=a@b commit -qam second";
    let status = stage.shell(host, &[]).dir(&source).output();
    status.ended(0, &[]);
    assert!(status.stdout_text().contains(" M a.txt"), "{status:?}");
    assert!(
        !marker.exists(),
        "the sandbox's program ran on this machine"
    );
    let ready = stage.shell(
        "\"$0\" sandbox create --git . --dry-run --image amika-test/debian",
        &[],
    );
    let _ = ready.dir(&source).output();
    assert!(
        !marker.exists(),
        "the sandbox's program ran on this machine"
    );
}

#[test]
fn git_in_the_sandbox_reads_a_protected_repository_and_says_why_it_cannot_write() {
    let stage = Stage::new();
    let source = stage.repository("src", &[("a.txt", "a\n")]);
    let (sandbox, _) = of_preset(&stage, &source, &[]);
    // The index is older than the file now, and git would like to write it.
    fs::write(Path::new(&source).join("a.txt"), "a\n").unwrap();
    let git = |args: &[&str]| {
        let all: Vec<&str> = ["git", "-C", "/w"].iter().chain(args).copied().collect();
        sandbox.exec(&all).output()
    };
    let status = git(&["status", "--porcelain=v2", "--branch"]);
    status.ended(0, &[]);
    assert!(
        status.stdout_text().contains("# branch.head main"),
        "{status:?}"
    );
    assert_eq!(status.stderr_text(), "");
    for args in [
        &["diff"][..],
        &["log", "--oneline"],
        &["show", "--stat"],
        &["stash", "list"],
        &["branch", "-a"],
    ] {
        let read = git(args);
        read.ended(0, &[]);
        assert_eq!(read.stderr_text(), "", "{args:?}");
    }
    let commit = git(&[
        "-c",
        "user.name=a",
        "-c",
        "user.email=a@b",
        "commit",
        "--allow-empty",
        "-m",
        "x",
    ]);
    assert_eq!(commit.code, 128, "{commit:?}");
    assert!(
        commit.stderr_text().contains("Read-only file system"),
        "{commit:?}"
    );
}

#[test]
fn it_is_said_where_git_does_not_work_since_its_directory_is_elsewhere() {
    let stage = Stage::new();
    let source = stage.repository("src", &[("a.txt", "a\n")]);
    let add = "git -c safe.directory='*' worktree add -q ../linked -b linked";
    stage.shell(add, &[]).dir(&source).output().ended(0, &[]);
    let linked = Path::new(&source).with_file_name("linked");
    let said = |args: &[&str]| {
        let created =
            stage.amika(&[&["sandbox", "create", "--dry-run", "--image", DEBIAN], args].concat());
        let created = created.output();
        created.ended(0, &[]);
        created.stderr_text()
    };
    let told = "git does not work in /w: its git directory, ";
    for access in ["rw", "ro", "rwcopy"] {
        let text = said(&["--mount", &flag(&linked, &format!("/w:{access}"))]);
        assert!(text.contains(told), "{access}: {text}");
    }
    let alone = flag(&linked, "/w:rw");
    assert!(said(&["--mount", &alone, "--writable-git"]).contains(told));
    // At its own place on this machine it is found.
    let whole = flag(&source, &format!("{source}:ro"));
    let text = said(&["--mount", &alone, "--mount", &whole]);
    assert!(!text.contains("git does not work"), "{text}");
}

#[test]
fn writable_git_gives_the_repository_to_the_sandbox() {
    let stage = Stage::new();
    let source = stage.repository("src", &[("a.txt", "a\n"), (".envrc", "true\n")]);
    let (sandbox, created) = of_preset(&stage, &source, &["--writable-git"]);
    assert!(!created.stderr_text().contains("read-only"), "{created:?}");
    assert_eq!(overlays(&sandbox), []);
    let commit = "cd /w && echo b >a.txt && echo c >.envrc && git -c user.name=a -c user.email=a@b commit -qam inside";
    sandbox.exec(&["sh", "-c", commit]).output().ended(0, &[]);
    let log = stage
        .shell("git -c safe.directory='*' log -1 --format=%s", &[])
        .dir(&source)
        .output();
    assert_eq!(log.stdout_text(), "inside\n", "{log:?}");
}

#[test]
fn repositories_in_a_writable_mount_can_neither_be_changed_nor_moved_away() {
    let stage = Stage::new();
    stage.repository("src/vendor/lib", &[("x", "x")]);
    let source = stage.repository("src", &[("a.txt", "a\n")]);
    let sandbox = stage.sandbox(DEBIAN, &["--mount", &flag(&source, "/w:rw")]);
    let (protects, holds) = ("protects".to_owned(), "holds_in_place".to_owned());
    assert_eq!(
        overlays(&sandbox),
        [
            ("/w/.git".to_owned(), protects.clone(), false),
            ("/w/vendor".to_owned(), holds.clone(), true),
            ("/w/vendor/lib".to_owned(), holds, true),
            ("/w/vendor/lib/.git".to_owned(), protects, false),
        ]
    );
    let text = sandbox.verb("inspect", &[]).output().stdout_text();
    assert!(text.contains("-> /w/.git (protected, ro)"), "{text}");
    assert!(text.contains("-> /w/vendor (held in place, rw)"), "{text}");
    let script = r#"cd /w && touch vendor/lib/new vendor/new new
        for there in vendor vendor/lib vendor/lib/.git .git; do
            perl -e 'print "$!\n" unless rename $ARGV[0], "$ARGV[0]-moved"' $there
        done
        echo x >>vendor/lib/.git/config"#;
    let tried = sandbox.exec(&["sh", "-c", script]).output();
    assert_eq!(
        tried.stdout_text(),
        "Device or resource busy\n".repeat(4),
        "{tried:?}"
    );
    assert!(
        tried.stderr_text().contains("Read-only file system"),
        "{tried:?}"
    );
    assert!(Path::new(&source).join("vendor/lib/new").exists());
}

#[test]
fn a_mount_of_the_git_directory_itself_is_read_only_and_a_link_in_its_place_is_refused() {
    let stage = Stage::new();
    let source = PathBuf::from(stage.repository("src", &[("a.txt", "a\n")]));
    for part in [".git", ".git/hooks"] {
        let sandbox = stage.adopt(stage.name());
        let created = sandbox.create(DEBIAN, &["--mount", &flag(source.join(part), "/g:rw")]);
        created.ended(
            0,
            &[
                "read-only in the sandbox, for what is in it counts on this machine",
                "`--writable-git` lifts it",
            ],
        );
        let tried = sandbox
            .exec(&["sh", "-c", "echo x >/g/pre-commit"])
            .output();
        assert!(
            tried.stderr_text().contains("Read-only file system"),
            "{tried:?}"
        );
    }
    let linked = stage.home().join("linked");
    fs::create_dir(&linked).unwrap();
    symlink(source.join(".git"), linked.join(".git")).unwrap();
    let sandbox = stage.adopt(stage.name());
    let mount = flag(&linked, "/w:rw");
    let refused = sandbox.create(DEBIAN, &["--mount", &mount]);
    refused.ended(
        2,
        &[
            "linked/.git is a link, which cannot be made read-only",
            "`--writable-git`",
            ":rwcopy`",
        ],
    );
    assert_eq!(stage.containers(), [""; 0]);
    sandbox
        .create(DEBIAN, &["--mount", &mount, "--writable-git"])
        .ended(0, &[]);
}

#[test]
fn no_call_leaves_a_set_user_id_program_or_a_device_in_a_writable_mount() {
    let stage = Stage::new();
    let source = stage.home().join("src");
    fs::create_dir(&source).unwrap();
    let probe = source.join("setid");
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/test-setid.c");
    let mut compiler = Command::new("cc");
    compiler
        .args(["-static", "-no-pie", "-Os", "-o"])
        .arg(&probe)
        .arg(scripts);
    assert!(
        compiler.status().unwrap().success(),
        "install gcc and libc6-dev"
    );
    let sandbox = stage.sandbox(DEBIAN, &["--mount", &flag(&source, "/w:rw")]);
    assert_eq!(sandbox.inspect()["seccomp"], "no_setid");
    let text = sandbox.verb("inspect", &[]).output().stdout_text();
    assert!(
        text.contains("Seccomp       no set-user-id programs, no devices"),
        "{text}"
    );
    for (way, tried) in [
        (
            "by-amika",
            sandbox
                .exec(&["sh", "-c", "mkdir /w/by-amika && /w/setid /w/by-amika"])
                .output(),
        ),
        (
            "by-docker",
            sandbox.docker_exec(&["sh", "-c", "mkdir /w/by-docker && /w/setid /w/by-docker"]),
        ),
    ] {
        tried.ended(0, &[]);
        let said = tried.stdout_text();
        let mut tries = 0;
        for line in said.lines() {
            let (name, errno) = line.split_once(' ').unwrap();
            if name.starts_with("plain") {
                assert_eq!(errno, "0", "{way}: {line}");
                continue;
            }
            tries += 1;
            // ENOSYS for what a filter cannot see through, EPERM for the rest.
            let is_unseen = ["uring", "openat2", "fchmodat2"]
                .iter()
                .any(|part| name.contains(part));
            let expected: &[&str] = if is_unseen { &["38"] } else { &["1", "38"] };
            assert!(expected.contains(&errno), "{way}: {line}");
        }
        assert!(tries >= 10, "{said}");
        assert_eq!(dangerous(&source), [""; 0].map(PathBuf::from), "{way}");
    }
    let programs = "cd /w; cp -a /usr/bin/su a; install -m 4755 /usr/bin/id b; cp /usr/bin/id c; chmod u+s c; chmod 6755 c
        tar -C /usr/bin -c su | tar -xp; ln /usr/bin/su d; mv /usr/bin/su e; mknod f c 1 3; mknod g b 7 0
        install -m 2775 /usr/bin/id shared; mkfifo fifo; stat -c %a shared";
    let tried = sandbox.exec(&["sh", "-c", programs]).output();
    assert_eq!(dangerous(&source), [""; 0].map(PathBuf::from), "{tried:?}");
    // What databases and shared repositories need.
    assert!(tried.stdout_text().ends_with("2775\n"), "{tried:?}");
    let stopped = sandbox.verb("stop", &[]).output();
    stopped.ended(0, &[]);
    assert!(
        !stopped.stderr_text().contains("set-user-id"),
        "{stopped:?}"
    );
}

#[test]
fn with_allow_setid_programs_can_be_made_and_are_warned_of() {
    let stage = Stage::new();
    let source = stage.home().join("src");
    fs::create_dir(&source).unwrap();
    // Older than the sandbox: the user's own.
    fs::write(source.join("mine"), "x").unwrap();
    fs::set_permissions(source.join("mine"), fs::Permissions::from_mode(0o4755)).unwrap();
    std::thread::sleep(Duration::from_millis(1100));
    let sandbox = stage.adopt(stage.name());
    let created = sandbox.create(
        DEBIAN,
        &["--mount", &flag(&source, "/w:rw"), "--allow-setid"],
    );
    created.ended(0, &[]);
    assert!(
        !created.stderr_text().contains("set-user-id"),
        "{created:?}"
    );
    assert_eq!(sandbox.inspect()["seccomp"], "default");
    sandbox
        .exec(&["install", "-m", "4755", "/usr/bin/id", "/w/root id"])
        .output()
        .ended(0, &[]);
    let program = source.join("root id");
    assert_eq!(dangerous(&source).len(), 2);
    let remedy = format!("chmod u-s $'{}'", program.display());
    let told = format!("{} is a set-user-id program of root", program.display());
    let stopped = sandbox.verb("stop", &[]).output();
    stopped.ended(0, &[&told, &remedy]);
    assert!(!stopped.stderr_text().contains("mine"), "{stopped:?}");
    let checks = |name: &str| -> Vec<serde_json::Value> {
        let report = stage.amika(&["doctor", "-o", "json"]).output().json();
        let checks = report["checks"].as_array().unwrap().iter();
        checks
            .filter(|check| check["name"] == name)
            .cloned()
            .collect()
    };
    let found = checks("rw mounts");
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0]["result"], "warning");
    assert!(
        found[0]["message"].as_str().unwrap().contains(&told),
        "{found:?}"
    );
    assert_eq!(found[0]["hint"], format!("`{remedy}` ends that"));
    let says = |name: &str, words: &str| {
        let found = checks(name);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0]["message"].as_str().unwrap().contains(words),
            "{found:?}"
        );
    };
    says("users", "root in a sandbox is root on the engine's machine");
    says("set-user-id", "cannot be made in `rw` mounts");
    stage.shell(&remedy, &[]).output().ended(0, &[]);
    assert_eq!(checks("rw mounts")[0]["result"], "ok");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o4755)).unwrap();
    sandbox
        .verb("delete", &["--force"])
        .output()
        .ended(0, &[&told]);
}

#[test]
fn a_sandbox_without_a_writable_mount_keeps_the_engines_profile() {
    let stage = Stage::new();
    let source = stage.file("src/x", "x");
    let source = Path::new(&source).parent().unwrap().to_owned();
    let (ro, copy) = (flag(&source, "/ro:ro"), flag(&source, "/copy"));
    let sandbox = stage.sandbox(DEBIAN, &["--mount", &ro, "--mount", &copy]);
    assert_eq!(sandbox.inspect()["seccomp"], "default");
    assert_eq!(sandbox.engine_says("{{.HostConfig.SecurityOpt}}"), "[]");
    sandbox
        .exec(&["install", "-m", "4755", "/usr/bin/id", "/copy/id"])
        .output()
        .ended(0, &[]);
}

#[test]
fn a_plan_shows_what_is_protected() {
    let stage = Stage::new();
    let source = stage.repository("src", &[("a.txt", "a\n")]);
    let mount = flag(&source, "/w:rw");
    let create = [
        "sandbox",
        "create",
        "--image",
        DEBIAN,
        "--dry-run",
        "--mount",
        &mount,
    ];
    let shown = stage.amika(&create).output();
    shown.ended(0, &[]);
    let text = shown.stdout_text();
    assert!(
        text.contains(&format!("{source}/.git -> /w/.git (read-only)")),
        "{text}"
    );
    assert!(
        text.contains("Seccomp     no set-user-id programs, no devices"),
        "{text}"
    );
    let json: Vec<&str> = create.iter().copied().chain(["-o", "json"]).collect();
    assert_eq!(stage.amika(&json).output().json()["seccomp"], "no_setid");
}

#[test]
fn a_start_keeps_the_protection_and_follows_no_link_that_stands_there_now() {
    let stage = Stage::new();
    let source = PathBuf::from(stage.repository("src", &[("a.txt", "a\n"), (".envrc", "true\n")]));
    let port = TcpListener::bind(("127.0.0.1", 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let sandbox = stage.sandbox(
        DEBIAN,
        &[
            "--mount",
            &flag(&source, "/w:rw"),
            "--port",
            &format!("{port}:80"),
        ],
    );
    let mounts = "{{json .HostConfig.Mounts}} {{json .HostConfig.SecurityOpt}}";
    let before = sandbox.engine_says(mounts);
    assert_eq!(sandbox.verb("stop", &[]).output().code, 0);
    let thief = TcpListener::bind(("127.0.0.1", port)).unwrap();
    sandbox
        .verb("start", &["--reassign-ports"])
        .output()
        .ended(0, &[]);
    drop(thief);
    assert_eq!(sandbox.engine_says(mounts), before);
    sandbox.verb("restart", &[]).output().ended(0, &[]);
    let tried = sandbox.exec(&["sh", "-c", "echo x >/w/.envrc"]).output();
    assert!(
        tried.stderr_text().contains("Read-only file system"),
        "{tried:?}"
    );

    assert_eq!(sandbox.verb("stop", &[]).output().code, 0);
    let secret = stage.file("secret", "key\n");
    let envrc = source.join(".envrc");
    fs::remove_file(&envrc).unwrap();
    let gone = sandbox.verb("start", &[]).output();
    gone.ended(4, &[&format!("{} is gone", envrc.display()), "back"]);
    symlink(&secret, &envrc).unwrap();
    let link = sandbox.verb("start", &[]).output();
    link.ended(4, &["is a link now, which is not followed"]);
    fs::remove_file(&envrc).unwrap();
    fs::write(&envrc, "true\n").unwrap();
    sandbox.verb("start", &[]).output().ended(0, &[]);
    // What could not be started again is not stopped.
    fs::remove_file(&envrc).unwrap();
    let restarted = sandbox.verb("restart", &[]).output();
    restarted.ended(4, &[&format!("{} is gone", envrc.display())]);
    sandbox.exec(&["true"]).output().ended(0, &[]);
    fs::write(&envrc, "").unwrap();
    assert_eq!(
        docker(&["inspect", "-f", "{{.State.Running}}", &sandbox.name]).stdout_text(),
        "true\n"
    );
}

/// Runs `amika` without the right to read what its modes forbid, which root has besides.
const BOUND_BY_MODES: &str = "if [ \"$(id -u)\" = 0 ]; then \
     exec setpriv --bounding-set -dac_override,-dac_read_search \"$0\" \"$@\"; fi; exec \"$0\" \"$@\"";

#[test]
fn what_may_be_entered_and_not_listed_is_told_and_what_is_known_by_name_is_protected() {
    let stage = Stage::new();
    let prepare = "mkdir -p \"$1/closed/sub\" && cd \"$1/closed\" && git init -q . && git init -q sub && touch .envrc hook && \
                   rm -r .git/hooks && mkdir -p ../hooks && ln -s ../../hooks .git/hooks && chmod 0111 .git . ";
    let data = stage.home().join("data");
    let data = data.to_str().unwrap();
    stage.shell(prepare, &[data]).output().ended(0, &[]);
    for (source, closed, inside) in [
        (data.to_owned(), format!("{data}/closed"), "/data/closed"),
        // The mount itself is one.
        (format!("{data}/closed"), format!("{data}/closed"), "/data"),
    ] {
        let sandbox = stage.adopt(stage.name());
        let mount = format!("{source}:/data:rw");
        let args = [
            "sandbox",
            "create",
            "--name",
            &sandbox.name,
            "--image",
            DEBIAN,
            "--mount",
            &mount,
        ];
        let created = stage.shell(BOUND_BY_MODES, &args).output();
        let told = format!("{closed} cannot be listed: repositories in it");
        created.ended(0, &[&told]);
        let write = |path: &str| {
            let script = format!("echo x >>{inside}/{path}");
            let wrote = sandbox
                .exec_with(&["--user", "root"], &["sh", "-c", &script])
                .output();
            wrote.code == 0
        };
        for path in [".git/config", ".envrc", ".git/new"] {
            assert!(!write(path), "{path} of {source} was written");
        }
        // What the warning is about.
        assert!(write("sub/.git/config") && write("hook"), "{source}");
        if source == data {
            assert!(
                !write("../hooks/post-checkout"),
                "it is what a link in .git leads to"
            );
        }
    }
    stage
        .shell("chmod -R u+rwx \"$1\"", &[data])
        .output()
        .ended(0, &[]);
}

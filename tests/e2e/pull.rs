//! `amika sandbox pull`: commits of a sandbox, honest and hostile, into the repository of the host.

use std::path::{Path, PathBuf};

use crate::support::{DEBIAN, Output, Sandbox, Stage, docker, preset};

/// A stage with a repository, and a sandbox that was made from it.
fn made(stage: &Stage) -> (PathBuf, Sandbox<'_>) {
    let config =
        "[user]\n\tname = Ada\n\temail = ada@example.org\n[init]\n\tdefaultBranch = main\n";
    stage.file(".gitconfig", config);
    preset(stage);
    let repository = stage.home().join("app");
    std::fs::create_dir_all(&repository).unwrap();
    git(
        stage,
        &repository,
        "git init -q; echo one >file; git add .; git commit -qm one",
    );
    let sandbox = stage.adopt(stage.name());
    let args = [
        "sandbox",
        "create",
        "--name",
        &sandbox.name,
        "--git",
        "--env",
        "AMIKA_OPENCODE_WEB=0",
    ];
    let created = stage.amika(&args).dir(&repository).output();
    created.ended(0, &[]);
    (repository, sandbox)
}

/// Runs a script in a directory of the host.
fn git(stage: &Stage, at: &Path, script: &str) -> String {
    let output = stage
        .shell(&format!("set -e\n{script}"), &[])
        .dir(at)
        .output();
    assert_eq!(output.code, 0, "{script}: {output:?}");
    output.stdout_text().trim().to_owned()
}

/// Runs a script in the repository in the sandbox, as the agent.
fn inside(sandbox: &Sandbox<'_>, script: &str) -> String {
    let output = sandbox.exec(&["bash", "-ec", script]).output();
    assert_eq!(output.code, 0, "{script}: {output:?}");
    output.stdout_text().trim().to_owned()
}

fn pull(stage: &Stage, at: &Path, args: &[&str]) -> Output {
    let all = [&["sandbox", "pull"], args].concat();
    stage.amika(&all).dir(at).output()
}

#[test]
fn commits_come_as_refs_and_nothing_else_changes() {
    let stage = Stage::new();
    let (app, sandbox) = made(&stage);
    let name = sandbox.name.as_str();
    let tip = inside(
        &sandbox,
        "echo two >file; git commit -qam two; git branch side; echo three >new; git rev-parse HEAD",
    );
    let before = git(
        &stage,
        &app,
        "git rev-parse HEAD; git status --porcelain; cat .git/config",
    );
    let pulled = pull(&stage, &app, &[name, "-o", "json"]);
    pulled.ended(0, &["1 file is in the sandbox not committed"]);
    let json = pulled.json();
    assert_eq!(json["uncommitted"], 1);
    let branches = json["branches"].as_array().unwrap();
    let of = |number: usize, key: &str| {
        branches[number][key]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    assert_eq!(
        (of(0, "branch"), of(1, "branch")),
        ("main".into(), "side".into())
    );
    assert_eq!(of(0, "ref"), format!("refs/remotes/amika-{name}/main"));
    assert_eq!((of(0, "new"), of(0, "state")), (tip.clone(), "new".into()));
    let reference =
        format!("git rev-parse amika-{name}/main; git log -1 --format=%s amika-{name}/side");
    assert_eq!(git(&stage, &app, &reference), format!("{tip}\ntwo"));
    assert_eq!(
        git(
            &stage,
            &app,
            "git rev-parse HEAD; git status --porcelain; cat .git/config"
        ),
        before
    );
    git(&stage, &app, "git fsck --strict");

    // Again, from elsewhere, of one branch, after it was rewritten.
    inside(&sandbox, "git commit -q --amend -m rewritten");
    let repo = app.to_str().unwrap();
    let pulled = pull(&stage, stage.home(), &[name, "main", "--repo", repo]);
    pulled.ended(0, &[]);
    assert!(pulled.stdout_text().contains("forced"), "{pulled:?}");
    assert!(!pulled.stdout_text().contains("side"), "{pulled:?}");

    // Elsewhere, and of what does not run, it is refused with what to do.
    let other = stage.home().join("other");
    std::fs::create_dir_all(&other).unwrap();
    git(&stage, &other, "git init -q");
    pull(&stage, &other, &[name]).ended(4, &["was not made from", repo]);
    pull(&stage, stage.home(), &[name]).ended(7, &["is not in a git repository", "--repo"]);
    sandbox.verb("stop", &[]).output().ended(0, &[]);
    pull(&stage, &app, &[name]).ended(4, &["is not running", "sandbox start"]);
}

#[test]
fn another_repository_than_the_one_that_is_named_is_never_written_into() {
    let stage = Stage::new();
    let (app, sandbox) = made(&stage);
    let name = sandbox.name.as_str();
    inside(&sandbox, "echo two >file; git commit -qam two");
    let files = "find .git -type f -exec sha256sum {} + | sort; git for-each-ref";
    let before = git(&stage, &app, files);
    let other = stage.home().join("other");
    std::fs::create_dir_all(&other).unwrap();
    for script in [
        "echo 'gitdir: ../app/.git' >.git",
        "ln -s ../app/.git .git",
        "mkdir .git; echo 'ref: refs/heads/main' >.git/HEAD; echo ../../app/.git >.git/commondir",
    ] {
        git(&stage, &other, &format!("rm -rf .git; {script}"));
        let refused = pull(&stage, &other, &[name]);
        refused.ended(7, &["does not belong to", "--repo"]);
        assert_eq!(git(&stage, &app, files), before, "{script}");
    }
    // A work tree of its own is one that it knows.
    git(&stage, &app, "git worktree add -q ../linked");
    pull(&stage, &stage.home().join("linked"), &[name]).ended(0, &[]);
    git(
        &stage,
        &app,
        &format!("git rev-parse amika-{name}/main; git fsck --strict"),
    );
    // What another user owns is pulled into where `safe.directory` says so.
    let path = app.to_str().unwrap();
    let mount = format!("{path}:/app");
    let chown = [
        "run",
        "--rm",
        "-v",
        &mount,
        DEBIAN,
        "chown",
        "4321",
        "/app/.git",
    ];
    docker(&chown).ended(0, &[]);
    inside(&sandbox, "echo three >file; git commit -qam three");
    pull(&stage, &app, &[name]).ended(7, &["another user owns it", "safe.directory"]);
    let trust = format!("git config --global --add safe.directory '{path}'");
    git(&stage, stage.home(), &trust);
    pull(&stage, &app, &[name]).ended(0, &[]);
}

#[test]
fn a_sandbox_without_a_repository_has_no_commits() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &[]);
    pull(&stage, stage.home(), &[&sandbox.name]).ended(4, &["without a repository", "sandbox cp"]);
}

#[test]
fn an_agent_s_git_that_lies_gets_nothing_in() {
    let stage = Stage::new();
    let (app, sandbox) = made(&stage);
    let name = sandbox.name.as_str();
    let canary = stage.home().join("PWNED");
    // What its own configuration names runs inside, or not at all.
    inside(
        &sandbox,
        &format!(
            "echo two >file; git commit -qam two; git config core.fsmonitor 'touch {0}; false'; \
             git config uploadpack.packObjectsHook 'touch {0}'; git config core.sshCommand 'touch {0}'; \
             mkdir -p .git/hooks; printf '#!/bin/sh\\ntouch {0}' >.git/hooks/post-checkout; chmod +x .git/hooks/*",
            canary.display()
        ),
    );
    pull(&stage, &app, &[name]).ended(0, &[]);
    assert!(!canary.exists());

    // In front of the real one stands one that says anything.
    let real = inside(&sandbox, "command -v git");
    let tip = inside(&sandbox, "git rev-parse HEAD");
    let lies = [
        format!("for-each-ref) printf '{tip} refs/heads/../../config\\n'; exit;;"),
        format!("for-each-ref) printf '{tip} refs/heads/a\\033[2Jb\\n'; exit;;"),
        format!(
            "for-each-ref) printf '{} refs/heads/main\\n'; exit;;",
            "1".repeat(40)
        ),
        "for-each-ref) yes; exit;;".to_owned(),
        "pack-objects) yes garbage; exit;;".to_owned(),
        "pack-objects) cat /dev/zero; exit;;".to_owned(),
        "pack-objects) echo \"$(printf '\\033[2J')evil\" >&2; exit 9;;".to_owned(),
    ];
    let before = git(&stage, &app, "git for-each-ref; ls .git/objects/pack .git");
    for lie in &lies {
        inside(&sandbox, &format!("{real} commit -q --allow-empty -m more"));
        let script = format!("#!/bin/bash\ncase $1 in {lie} esac\nexec {real} \"$@\"\n");
        let path = "/usr/local/bin/git";
        let put = format!("cat >{path} <<'END'\n{script}END\nchmod 755 {path}; hash -r");
        let put = sandbox.docker_exec(&["bash", "-ec", &put]);
        assert_eq!(put.code, 0, "{put:?}");
        let refused = pull(&stage, &app, &[name, "--max-size", "20m"]);
        assert_eq!(refused.code, 7, "{lie}: {refused:?}");
        assert!(!refused.text().contains('\u{1b}'), "{refused:?}");
        sandbox.docker_exec(&["rm", path]);
        let after = git(&stage, &app, "git for-each-ref; ls .git/objects/pack .git");
        assert_eq!(after, before, "{lie}");
    }
    pull(&stage, &app, &[name]).ended(0, &[]);
    assert!(!canary.exists());
}

//! `amika sandbox pull`: commits of a sandbox, honest and hostile, into the repository of the host.

use std::path::{Path, PathBuf};

use crate::support::{DEBIAN, Output, Sandbox, Stage, docker, preset};

/// A stage with a repository, and a sandbox that was made from it.
pub(crate) fn made(stage: &Stage) -> (PathBuf, Sandbox<'_>) {
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
    let sandbox = made_of(stage, &repository);
    (repository, sandbox)
}

/// A sandbox of this repository.
pub(crate) fn made_of<'a>(stage: &'a Stage, repository: &Path) -> Sandbox<'a> {
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
    let created = stage.amika(&args).dir(repository).output();
    created.ended(0, &[]);
    sandbox
}

/// Runs a script in a directory of the host.
pub(crate) fn git(stage: &Stage, at: &Path, script: &str) -> String {
    let output = stage
        .shell(&format!("set -e\n{script}"), &[])
        .dir(at)
        .output();
    assert_eq!(output.code, 0, "{script}: {output:?}");
    output.stdout_text().trim().to_owned()
}

/// Runs a script in the repository in the sandbox, as the agent.
pub(crate) fn inside(sandbox: &Sandbox<'_>, script: &str) -> String {
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
    let pulled = pull(&stage, stage.home(), &[name, "main", "--into", repo]);
    pulled.ended(0, &[]);
    assert!(pulled.stdout_text().contains("forced"), "{pulled:?}");
    assert!(!pulled.stdout_text().contains("side"), "{pulled:?}");

    // Elsewhere, and of what does not run, it is refused with what to do.
    let other = stage.home().join("other");
    std::fs::create_dir_all(&other).unwrap();
    git(&stage, &other, "git init -q");
    let into = other.to_str().unwrap();
    pull(&stage, &app, &[name, "--into", into]).ended(4, &["was not made from", repo]);
    let nowhere = stage.home().to_str().unwrap();
    let none = pull(&stage, &app, &[name, "--into", nowhere]);
    none.ended(7, &["is not in a git repository", "--into"]);

    // Without one it is the repository that it was made from, also of a sandbox that does not run.
    inside(&sandbox, "git commit -q --allow-empty -m later");
    sandbox.verb("stop", &[]).output().ended(0, &[]);
    pull(&stage, &other, &[name]).ended(0, &[repo]);
    let last = format!("git log -1 --format=%s amika-{name}/main; git fsck --strict 2>&1");
    assert_eq!(git(&stage, &app, &last), "later");
    assert_eq!(git(&stage, &other, "git for-each-ref"), "");
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
        let into = other.to_str().unwrap();
        let refused = pull(&stage, &app, &[name, "--into", into]);
        refused.ended(7, &["does not belong to", "--into"]);
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

/// All that a repository consists of but its objects and refs, byte by byte.
const ELSE: &str = "find . -path ./.git/objects -prune -o -path ./.git/refs -prune -o -type f -exec sha256sum {} + | sort; git for-each-ref refs/heads refs/tags";

#[test]
fn what_is_not_committed_comes_as_a_commit_or_onto_the_work_tree() {
    let stage = Stage::new();
    let (app, sandbox) = made(&stage);
    let name = sandbox.name.as_str();
    inside(
        &sandbox,
        "echo two >file; git commit -qam two; echo three >file; mkdir sub; echo n >sub/new; echo 'ignored' >.gitignore; \
         printf 'a\\0b' >binary; touch ignored; git add binary; git tag v1",
    );
    let index = inside(&sandbox, "sha256sum .git/index; git status --porcelain");
    let before = git(&stage, &app, ELSE);
    let pulled = pull(&stage, &app, &[name, "--wip", "-o", "json"]);
    pulled.ended(0, &[]);
    let json = pulled.json();
    let reference = json["wip"]["ref"].as_str().unwrap().to_owned();
    assert!(
        reference.starts_with(&format!("refs/amika/{name}-")),
        "{json}"
    );
    assert!(reference.ends_with("/wip"), "{json}");
    let look = format!(
        "git show {reference}:file {reference}:sub/new {reference}:.gitignore; git ls-tree -r --name-only {reference}; git rev-parse {reference}^"
    );
    let tip = inside(&sandbox, "git rev-parse HEAD");
    let files = "three\nn\nignored\n.gitignore\nbinary\nfile\nsub/new";
    assert_eq!(git(&stage, &app, &look), format!("{files}\n{tip}"));
    assert_eq!(git(&stage, &app, ELSE), before, "nothing else changes");
    assert_eq!(
        git(&stage, &app, "git tag; git fsck --strict 2>/dev/null"),
        ""
    );
    let after = inside(
        &sandbox,
        "sha256sum .git/index; git status --porcelain; ls /tmp",
    );
    assert_eq!(after, index, "nor does anything inside");

    // Again it is the same; other work does not overwrite it, and that of a sandbox that does not run comes too.
    let again = pull(&stage, &app, &[name, "--wip", "-o", "json"]).json();
    assert_eq!(again["wip"]["unchanged"], true);
    inside(&sandbox, "echo four >file");
    sandbox.verb("stop", &[]).output().ended(0, &[]);
    let other = pull(&stage, &app, &[name, "--wip", "-o", "json"]);
    other.ended(0, &[]);
    assert_eq!(other.json()["wip"]["ref"], format!("{reference}-2"));

    // Where it does not fit, nothing of it is laid on; where it does, all of it.
    pull(&stage, &app, &[name, "--apply"]).ended(4, &["does not fit", "--wip"]);
    assert_eq!(git(&stage, &app, ELSE), before, "never half");
    git(&stage, &app, &format!("git merge -q amika-{name}/main"));
    git(&stage, &app, "echo mine >binary");
    pull(&stage, &app, &[name, "--apply"]).ended(4, &["does not fit", "binary"]);
    git(&stage, &app, "rm binary");
    let applied = pull(&stage, &app, &[name, "--apply", "-o", "json"]);
    applied.ended(0, &[]);
    assert_eq!(applied.json()["applied"], true);
    let status = git(&stage, &app, "cat file; git status --porcelain -uall");
    assert_eq!(
        status,
        "four\n M file\n?? .gitignore\n?? binary\n?? sub/new"
    );
}

#[test]
fn nothing_that_programs_here_act_on_comes_onto_the_work_tree_unseen() {
    let stage = Stage::new();
    let (app, sandbox) = made(&stage);
    let name = sandbox.name.as_str();
    let pwned = stage.home().join("PWNED");
    let config = format!(
        "mkdir -p docs/objects docs/refs/heads; touch docs/objects/k docs/refs/heads/k; \
         echo 'ref: refs/heads/main' >docs/HEAD; \
         printf '[core]\\n\\trepositoryformatversion = 0\\n\\tbare = false\\n\\tworktree = ..\\n\\tfsmonitor = \"touch {}; false\"\\n' >docs/config",
        pwned.display()
    );
    let before = git(&stage, &app, ELSE);
    for (script, said) in [
        (config.as_str(), "docs would be a git directory"),
        (
            "rm -rf docs; ln -s /etc out",
            "out is a link to /etc, out of the repository",
        ),
        (
            "rm out; mkdir sub; ln -s ../../x sub/up",
            "out of the repository",
        ),
        (
            "rm -rf sub; mkdir -p a/.hg; echo '[hooks]' >a/.hg/hgrc",
            "Mercurial",
        ),
    ] {
        inside(&sandbox, script);
        pull(&stage, &app, &[name, "--apply"]).ended(4, &[said, "nothing was changed"]);
        assert_eq!(git(&stage, &app, ELSE), before, "{said}");
    }
    let _ = stage.shell("cd docs && git status", &[]).dir(&app).output();
    assert!(!pwned.exists());

    // A pipe in the place of what git reads holds up nobody.
    inside(
        &sandbox,
        "rm -rf a; echo more >>file; echo 'use x' >.envrc; ln -s file link",
    );
    git(&stage, &app, "mkfifo .gitattributes");
    pull(&stage, &app, &[name, "--apply"]).ended(4, &[".gitattributes is neither a file"]);
    git(&stage, &app, "rm .gitattributes");
    let applied = pull(&stage, &app, &[name, "--apply"]);
    applied.ended(0, &["agents of this machine act on what came out: .envrc"]);
    assert_eq!(
        git(&stage, &app, "tail -n 1 link; cat .envrc"),
        "more\nuse x"
    );
}

#[test]
fn a_branch_of_one_s_own_goes_on_to_the_sandbox_s() {
    let stage = Stage::new();
    let (app, sandbox) = made(&stage);
    let name = sandbox.name.as_str();
    let tip = inside(
        &sandbox,
        "git switch -qc fix; echo two >file; git commit -qam two; git rev-parse HEAD",
    );
    let before = git(&stage, &app, "sha256sum .git/index .git/HEAD .git/config");
    let pulled = pull(&stage, &app, &[name, "--branch", "fix"]);
    pulled.ended(0, &["your other branches"]);
    assert_eq!(git(&stage, &app, "git rev-parse fix"), tip);
    let next = inside(
        &sandbox,
        "git commit -q --allow-empty -m next; git rev-parse HEAD",
    );
    pull(&stage, &app, &[name, "fix", "--branch", "fix"]).ended(0, &[]);
    assert_eq!(git(&stage, &app, "git rev-parse fix"), next);
    assert_eq!(
        git(&stage, &app, "sha256sum .git/index .git/HEAD .git/config"),
        before
    );

    // Not one that is worked on, nor one that has other commits.
    git(&stage, &app, "git worktree add -q ../linked fix");
    inside(&sandbox, "git commit -q --allow-empty -m more");
    let refused = pull(&stage, &app, &[name, "--branch", "fix"]);
    refused.ended(4, &["is checked out in", "linked"]);
    pull(&stage, &app, &[name, "main", "--branch", "main"]).ended(4, &["is checked out in"]);
    git(
        &stage,
        &app,
        "git worktree remove ../linked; git branch -f fix $(git commit-tree -m other HEAD^{tree})",
    );
    pull(&stage, &app, &[name, "--branch", "fix"]).ended(4, &["has commits here"]);
    // Of several branches none is meant by another name.
    pull(&stage, &app, &[name, "--branch", "new"]).ended(7, &["several others"]);
    pull(&stage, &app, &[name, "fix", "--branch", "new"]).ended(0, &[]);
    git(
        &stage,
        &app,
        &format!("test $(git rev-parse new) = $(git rev-parse amika-{name}/fix)"),
    );
}

#[test]
fn a_patch_is_written_and_nothing_else() {
    let stage = Stage::new();
    let (app, sandbox) = made(&stage);
    let name = sandbox.name.as_str();
    pull(&stage, &app, &[name, "--patch", "none.mbox"]).ended(0, &["nothing is new"]);
    assert!(!app.join("none.mbox").exists());
    inside(
        &sandbox,
        "echo two >file; git commit -qam two; echo x >new; git add new; git commit -qm x; echo left >left",
    );
    let all = "find .git -type f -exec sha256sum {} + | sort";
    let before = git(&stage, &app, all);
    pull(&stage, &app, &[name, "--patch", "../work.mbox"]).ended(0, &["written to"]);
    pull(&stage, &app, &[name, "--wip", "--patch", "../work.patch"]).ended(0, &[]);
    assert_eq!(git(&stage, &app, all), before);
    git(
        &stage,
        &app,
        "git apply --check ../work.patch; git am -q ../work.mbox",
    );
    assert_eq!(
        git(&stage, &app, "git log --format=%s; cat new"),
        "x\ntwo\none\nx"
    );
    pull(&stage, &app, &[name, "--patch", "/no/dir/x"]).ended(1, &["cannot be written"]);
}

#[test]
fn of_all_sandboxes_of_a_repository_it_is_told_who_is_ahead() {
    let stage = Stage::new();
    let (app, sandbox) = made(&stage);
    let name = sandbox.name.as_str();
    inside(
        &sandbox,
        "git commit -q --allow-empty -m a; git commit -q --allow-empty -m b; touch new",
    );
    let second = stage.adopt(stage.name());
    let args = [
        "sandbox",
        "create",
        "--name",
        &second.name,
        "--git",
        "--env",
        "AMIKA_OPENCODE_WEB=0",
    ];
    stage.amika(&args).dir(&app).output().ended(0, &[]);
    second.verb("stop", &[]).output().ended(0, &[]);
    let json = pull(&stage, &app, &["--all", "-o", "json"]).json();
    let rows = json["branches"].as_array().unwrap();
    let of = |name: &str| rows.iter().find(|row| row["sandbox"] == name).unwrap();
    assert_eq!(
        (&of(name)["ahead"], &of(name)["uncommitted"]),
        (&2.into(), &1.into())
    );
    assert_eq!(of(&second.name)["ahead"], 0);
    let text = pull(&stage, &app, &["--all"]);
    text.ended(0, &[]);
    assert!(text.stdout_text().contains("AHEAD"), "{text:?}");
    let other = stage.home().join("other");
    std::fs::create_dir_all(&other).unwrap();
    git(&stage, &other, "git init -q");
    pull(&stage, &other, &["--all"]).ended(3, &["no sandbox was made from"]);
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

//! `amika sandbox pull --remote` and `push --remote`: commits of a sandbox of a server's, and of a repository of this machine.

use serde_json::json;

use super::client::{Server, done};
use crate::pull::git;
use crate::support::{Stage, preset};

#[test]
fn commits_come_into_a_clone_of_what_the_sandbox_was_made_from_and_go_there_from_it() {
    let stage = Stage::new();
    preset(&stage);
    let config =
        "[user]\n\tname = Ada\n\temail = ada@example.org\n[init]\n\tdefaultBranch = main\n";
    stage.file(".gitconfig", config);
    let app = stage.home().join("app");
    std::fs::create_dir_all(&app).unwrap();
    let begin = "git init -q; git remote add origin https://forge.example/app.git; echo one >file; git add .; git commit -qm one";
    git(&stage, &app, begin);
    let server = Server::start(&stage, &[]);
    let name = stage.name();
    let path = app.to_str().unwrap();
    let create = [
        "sandbox",
        "create",
        "--name",
        &name,
        "--git",
        path,
        "--no-clean",
        "--opencode",
        "off",
        "-o",
        "json",
    ];
    let made = done(server.amika(&create)).json();
    let id = made["id"].as_str().unwrap().to_owned();
    let inside = |script: &str| {
        let exec = json!({ "cmd": ["bash", "-ec", script] });
        let said = server
            .post(&format!("/sandboxes/{id}/exec"), &exec)
            .expect(200);
        assert_eq!(said["exit_code"], 0, "{said}");
    };
    inside("git config --global user.name Agent; git config --global user.email agent@example.org");
    // More than one message each way.
    inside(
        "echo two >file; head -c 3000000 /dev/urandom >large; git add large; git commit -qam two; git checkout -qb side; echo 3 >three; git add three; git commit -qm three; echo mine >new",
    );
    let pull = |args: &[&str]| {
        let args = [&["sandbox", "pull", &name], args].concat();
        server.amika(&args).dir(&app).output()
    };
    let before = git(&stage, &app, "git status --porcelain; git rev-parse HEAD");
    let pulled = pull(&[]);
    pulled.ended(0, &["1 file is in the sandbox not committed"]);
    let mirror = format!("refs/remotes/amika-{name}");
    let log = git(
        &stage,
        &app,
        &format!("git log --format=%s {mirror}/side; git cat-file -s {mirror}/main:large"),
    );
    assert_eq!(log, "three\ntwo\none\n3000000");
    assert_eq!(
        git(&stage, &app, "git status --porcelain; git rev-parse HEAD"),
        before
    );

    let document = pull(&["side", "--branch", "work", "-o", "json"])
        .ended(0, &[])
        .json();
    assert_eq!(document["branches"][0]["state"], "unchanged", "{document}");
    assert_eq!(git(&stage, &app, "git log -1 --format=%s work"), "three");

    // What is not committed, as a commit and onto the work tree here.
    let document = pull(&["--wip", "-o", "json"]).ended(0, &[]).json();
    let wip = document["wip"]["commit"].as_str().unwrap();
    let shown = git(
        &stage,
        &app,
        &format!("git show {wip}:new; git show {wip}:file"),
    );
    assert_eq!(shown, "mine\ntwo");
    pull(&["--apply"]).ended(0, &["what is not committed is on"]);
    let applied = git(&stage, &app, "cat new; git status --porcelain; rm new");
    assert_eq!(applied, "mine\n?? new");

    // The other way, as a fetch inside.
    git(
        &stage,
        &app,
        "git checkout -qb for-agent; head -c 3000000 /dev/urandom >host; git add host; git commit -qm host",
    );
    let push = |args: &[&str]| {
        let args = [&["sandbox", "push", &name], args].concat();
        server.amika(&args).dir(&app).output()
    };
    push(&[]).ended(0, &["as they were"]);
    inside(
        "test \"$(git log -1 --format=%s amika-host/for-agent)\" = host; git cat-file -s amika-host/for-agent:host | grep -qx 3000000; test -e new",
    );
    push(&["--checkout"]).ended(4, &["work tree is not clean"]);
    inside("rm new");
    push(&["--checkout"]).ended(0, &[]);
    inside("test \"$(git branch --show-current)\" = for-agent; test -e host");
    push(&["no-such-branch"]).ended(7, &["no branch"]);

    // What cannot be asked for, and a repository that it is not of.
    let all = server
        .amika(&["sandbox", "pull", "--all"])
        .dir(&app)
        .output();
    all.ended(2, &["--all cannot be used with --remote"]);
    pull(&["no-such-branch"]).ended(7, &["no-such-branch"]);
    pull(&["--patch", "x"]).ended(2, &["sandbox diff --remote"]);
    // A clone of the same by another address is one.
    git(
        &stage,
        &app,
        "git remote set-url origin git@forge.example:app",
    );
    pull(&[]).ended(0, &[]);
    let other = stage.repository("other", &[("a", "b")]);
    pull(&["--into", &other]).ended(4, &["was not made from", "https://forge.example/app.git"]);
    done(server.amika(&["sandbox", "stop", &name]));
    pull(&[]).ended(4, &["is not running", "amika sandbox start --remote"]);
    push(&[]).ended(4, &["is not running"]);
    server.remove(&id);
}

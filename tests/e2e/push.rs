//! `amika sandbox push`: new commits of the host's repository, in a sandbox's.

use crate::pull::{git, inside, made};

#[test]
fn new_commits_come_in_and_the_work_tree_stays_as_it_is() {
    let stage = crate::support::Stage::new();
    let (app, sandbox) = made(&stage);
    let push = |args: &[&str]| {
        let all = [&["sandbox", "push", sandbox.name.as_str()], args].concat();
        stage.amika(&all).dir(&app).output()
    };
    let tip = git(
        &stage,
        &app,
        "echo two >file; git commit -qam two; git tag mine; git rev-parse HEAD",
    );
    let before = git(
        &stage,
        &app,
        "find .git -type f -exec sha256sum {} + | sort",
    );
    inside(&sandbox, "echo agent >new");
    let look = "git rev-parse HEAD; git status --porcelain; cat file; ls /tmp; git tag";
    let was = inside(&sandbox, look);
    let pushed = push(&["-o", "json"]);
    pushed.ended(0, &[]);
    assert_eq!(pushed.json()["ref"], "refs/remotes/amika-host/main");
    assert_eq!(inside(&sandbox, "git rev-parse amika-host/main"), tip);
    assert_eq!(inside(&sandbox, look), was);
    assert_eq!(
        git(
            &stage,
            &app,
            "find .git -type f -exec sha256sum {} + | sort"
        ),
        before
    );

    // Onto the work tree only where it is clean, and where nothing is left behind.
    push(&["--checkout"]).ended(4, &["not clean"]);
    inside(&sandbox, "rm new");
    push(&["main", "--checkout"]).ended(0, &[]);
    assert_eq!(
        inside(&sandbox, "git rev-parse HEAD; cat file"),
        format!("{tip}\ntwo")
    );
    git(
        &stage,
        &app,
        "git switch -qc side; git commit -q --allow-empty -m side",
    );
    push(&["side", "--checkout"]).ended(0, &[]);
    assert_eq!(
        inside(
            &sandbox,
            "git branch --show-current; git log -1 --format=%s"
        ),
        "side\nside"
    );
    inside(&sandbox, "git commit -q --allow-empty -m theirs");
    git(&stage, &app, "git commit -q --allow-empty -m ours");
    push(&["--checkout"]).ended(4, &["does not take", "amika-host/side"]);
    assert_eq!(
        inside(&sandbox, "git log -1 --format=%s amika-host/side"),
        "ours"
    );
    push(&["none"]).ended(7, &["has no branch"]);
    sandbox.verb("stop", &[]).output().ended(0, &[]);
    push(&[]).ended(4, &["is not running"]);
}

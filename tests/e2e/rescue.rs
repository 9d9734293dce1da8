//! `--rescue`: all work of a sandbox is stored on this machine before it goes.

use serde_json::Value;

use crate::pull::{git, inside, made};
use crate::support::{Stage, docker};

/// What a work tree and a configuration consist of, byte by byte.
const ELSE: &str = "sha256sum .git/index .git/HEAD .git/config file; git for-each-ref refs/heads refs/tags refs/remotes; git status --porcelain";
/// Work of each kind that git knows.
const WORK: &str = "git switch -qc fix; echo two >file; git commit -qam two; git tag v1; \
    echo s >file; git stash -q; git switch -q --detach; git commit -q --allow-empty -m loose; \
    echo three >file; echo new >new; echo kept.log >.gitignore; echo node_modules >>.gitignore; echo log >kept.log; \
    mkdir node_modules; echo x >node_modules/x";

fn refs(stage: &Stage, app: &std::path::Path) -> Vec<String> {
    let all = git(
        stage,
        app,
        "git for-each-ref --format='%(refname)' refs/amika",
    );
    all.lines().map(str::to_owned).collect()
}

#[test]
fn all_work_of_a_sandbox_is_stored_and_then_it_goes() {
    let stage = Stage::new();
    let (app, sandbox) = made(&stage);
    let name = sandbox.name.as_str();
    inside(&sandbox, WORK);
    inside(
        &sandbox,
        "mkdir -p ~/notes; echo plan >~/notes/plan.md; mkdir -p ~/.cache; echo c >~/.cache/c",
    );
    let before = git(&stage, &app, ELSE);
    // It is told what there is, and how it is kept.
    let refused = stage
        .amika(&["sandbox", "delete", "--volumes", name])
        .output();
    refused.ended(
        4,
        &[
            "commits",
            "stash",
            "changed files",
            "notes",
            "delete --rescue --volumes",
        ],
    );
    let args = [
        "sandbox",
        "delete",
        "--rescue",
        "--volumes",
        name,
        "-o",
        "json",
    ];
    let deleted = stage.amika(&args).output();
    deleted.ended(0, &["stored in", "refs/amika", "1 file in"]);
    let rescued = &deleted.json()[0]["rescued"];
    let refs = refs(&stage, &app);
    let named: Vec<&str> = refs
        .iter()
        .map(|name| name.splitn(4, '/').nth(3).unwrap())
        .collect();
    assert_eq!(
        named,
        ["head", "heads/fix", "stash/0", "tags/v1", "wip"],
        "{refs:?}"
    );
    let directory = refs[0].strip_suffix("/head").unwrap();
    assert!(
        directory.starts_with(&format!("refs/amika/{name}-")),
        "{directory}"
    );
    let files = git(
        &stage,
        &app,
        &format!(
            "git ls-tree -r --name-only {directory}/wip; git show {directory}/wip:file {directory}/wip:kept.log {directory}/stash/0:file"
        ),
    );
    assert_eq!(files, ".gitignore\nfile\nkept.log\nnew\nthree\nlog\ns");
    let archive = rescued["archive"].as_str().unwrap();
    let listed = git(
        &stage,
        &app,
        &format!("tar -tf {archive}; tar -xOf {archive}; stat -c %a {archive}"),
    );
    assert_eq!(listed, "home/amika/notes/plan.md\nplan\n600");
    assert_eq!(
        git(&stage, &app, ELSE),
        before,
        "nothing else of the repository changes"
    );
    git(&stage, &app, "git fsck --strict 2>&1");
    let gone = docker(&[
        "volume",
        "ls",
        "-q",
        "--filter",
        &format!("label=dev.amika.sandbox={name}"),
    ]);
    assert_eq!(gone.stdout_text(), "");
}

#[test]
fn where_not_all_can_be_stored_nothing_goes() {
    let stage = Stage::new();
    let (app, sandbox) = made(&stage);
    let name = sandbox.name.as_str();
    inside(&sandbox, "echo two >file; git commit -qam two");
    let nowhere = stage.home().to_str().unwrap();
    let args = ["sandbox", "delete", "--rescue", "--volumes", name];
    let refused = stage
        .amika(&[&args[..], &["--into", nowhere]].concat())
        .output();
    refused.ended(7, &["is not in a git repository", "nothing was deleted"]);
    let head = inside(&sandbox, "cat .git/HEAD; echo nonsense >.git/HEAD");
    stage
        .amika(&args)
        .output()
        .ended(7, &["inside, git", "nothing was deleted"]);
    inside(&sandbox, &format!("echo '{head}' >.git/HEAD; git fsck"));
    assert_eq!(refs(&stage, &app), [""; 0]);
    // One that stopped, with its index cut off, is stored all the same.
    inside(&sandbox, "echo three >file; truncate -s 20 .git/index");
    sandbox.verb("stop", &[]).output().ended(0, &[]);
    stage.amika(&args).output().ended(0, &["stored in"]);
    let refs = refs(&stage, &app);
    assert_eq!(refs.len(), 2, "{refs:?}");
    assert_eq!(
        git(&stage, &app, &format!("git show {}:file", refs[1])),
        "three"
    );
}

#[test]
fn what_is_in_volumes_alone_is_stored_too() {
    let stage = Stage::new();
    let (app, sandbox) = made(&stage);
    let name = sandbox.name.as_str();
    inside(
        &sandbox,
        "echo two >file; git commit -qam two; echo three >file; echo mine >~/mine",
    );
    // Its container was removed behind Amika's back.
    docker(&["rm", "-f", name]).ended(0, &[]);
    let deleted = stage
        .amika(&["sandbox", "delete", "--rescue", name])
        .dir(&app)
        .output();
    deleted.ended(0, &["stored in"]);
    let stored = refs(&stage, &app);
    assert_eq!(stored.len(), 2, "{stored:?}");
    let archives = git(&stage, &app, "tar -tf .git/amika/*.tar");
    assert!(
        archives.lines().any(|line| line == "home/amika/mine"),
        "{archives}"
    );
    // The git volume stayed; another rescue overwrites nothing, and what is here already is not stored again.
    let volumes = stage
        .amika(&["volume", "list", "-o", "json"])
        .output()
        .json();
    let of_it = |volume: &&Value| volume["made_for"] == name;
    let volume = volumes.as_array().unwrap().iter().find(of_it).unwrap();
    let volume = volume["name"].as_str().unwrap();
    let deleted = stage
        .amika(&["volume", "delete", "--rescue", volume])
        .dir(&app)
        .output();
    deleted.ended(0, &[]);
    let again = refs(&stage, &app);
    assert!(
        again.len() >= stored.len() && stored.iter().all(|name| again.contains(name)),
        "{again:?}"
    );
    let prune = stage
        .amika(&["volume", "prune", "--sandbox-name", name, "--rescue"])
        .dir(&app);
    prune.output().ended(0, &[]);
}

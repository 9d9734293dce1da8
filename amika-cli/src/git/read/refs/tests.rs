use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use super::*;

const SHA1: ObjectFormat = ObjectFormat::Sha1;

/// A repository with a commit, made by git, and its git directory.
fn repository() -> (tempfile::TempDir, Dir) {
    let top = tempfile::tempdir().expect("a directory");
    git(top.path(), &["init", "-q", "-b", "main"]);
    git(top.path(), &["commit", "-q", "--allow-empty", "-m", "one"]);
    let dir = Dir::open(&top.path().join(".git")).expect("a git directory");
    (top, dir)
}

fn git(at: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=a", "-c", "user.email=a@example.com"])
        .args(args)
        .current_dir(at)
        .env_clear()
        .env("PATH", env!("PATH"))
        .env("HOME", at)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .expect("git runs");
    assert!(output.status.success(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

fn symbolic(name: &str) -> Target {
    Target::Symbolic(RefName::new(name.as_bytes()).expect("a ref"))
}

#[test]
fn refs_are_those_that_git_lists() {
    let (top, dir) = repository();
    let at = top.path();
    git(at, &["tag", "-m", "a tag", "v1"]);
    git(at, &["branch", "packed/one"]);
    git(at, &["pack-refs", "--all"]);
    git(at, &["branch", "loose/one"]);
    git(at, &["update-ref", "refs/odd/x", "HEAD"]);
    git(
        at,
        &[
            "symbolic-ref",
            "refs/remotes/origin/HEAD",
            "refs/heads/main",
        ],
    );
    std::fs::write(at.join(".git/refs/heads/x.lock"), "").expect("write");
    let packed = packed(&dir, SHA1).expect("git made it");
    let loose = loose(&dir, SHA1).expect("git made it");
    assert_eq!(loose.skipped, []);
    assert_eq!(
        head(&dir, SHA1).expect("git made it"),
        Some(symbolic("refs/heads/main"))
    );
    let mut ours: Vec<String> = packed
        .iter()
        .map(|one| {
            let peeled = one.peeled.map(|oid| oid.to_string()).unwrap_or_default();
            format!("{} {} {peeled}", one.name, one.oid)
        })
        .collect();
    let main = git(at, &["rev-parse", "HEAD"]);
    for one in &loose.refs {
        let oid = match &one.target {
            Target::Object(oid) => oid.to_string(),
            Target::Symbolic(to) => {
                assert_eq!(to.as_bytes(), b"refs/heads/main");
                main.trim().to_owned()
            }
        };
        ours.push(format!("{} {oid} ", one.name));
    }
    ours.sort();
    let theirs = git(
        at,
        &[
            "for-each-ref",
            "--format=%(refname) %(objectname) %(*objectname)",
        ],
    );
    assert_eq!(ours, theirs.lines().collect::<Vec<_>>());
    git(at, &["checkout", "-q", "--detach"]);
    let detached = head(&dir, SHA1).expect("git made it");
    assert!(matches!(detached, Some(Target::Object(oid)) if oid.to_string() == main.trim()));
}

#[test]
fn what_is_no_ref_is_left_out_with_a_word() {
    let (top, dir) = repository();
    let refs = top.path().join(".git/refs");
    std::fs::write(refs.join("heads/empty"), "").expect("write");
    std::fs::write(refs.join("heads/out"), "ref: ../../secret\n").expect("write");
    std::fs::write(refs.join("heads/a b"), "x").expect("write");
    std::fs::write(
        refs.join(std::ffi::OsStr::from_bytes(b"heads/\x1b[2J")),
        "x",
    )
    .expect("write");
    std::fs::write(refs.join("heads/.hidden"), "x").expect("write");
    std::fs::create_dir(refs.join("git~1")).expect("a directory");
    let found = loose(&dir, SHA1).expect("the rest is read");
    let skipped: Vec<&str> = found.skipped.iter().map(|one| one.place.as_str()).collect();
    assert_eq!(
        skipped,
        [
            "refs/git~1",
            r"refs/heads/\u{1b}[2J",
            "refs/heads/a b",
            "refs/heads/empty",
            "refs/heads/out"
        ]
    );
    assert_eq!(found.refs.len(), 1);
}

#[test]
fn links_and_pipes_among_refs_are_refused_by_name() {
    let fifo = |path: &Path| {
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        let kind = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, path, kind, mode, 0).expect("a pipe");
    };
    for place in [
        "refs/heads/x",
        "refs/x",
        "refs/tags",
        "refs",
        "HEAD",
        "packed-refs",
    ] {
        for pipe in [false, true] {
            let (top, dir) = repository();
            let path = top.path().join(".git").join(place);
            match path.symlink_metadata() {
                Ok(found) if found.is_dir() => std::fs::remove_dir_all(&path).expect("remove"),
                Ok(_) => std::fs::remove_file(&path).expect("remove"),
                Err(_) => {}
            }
            if pipe {
                fifo(&path);
            } else {
                symlink("../../../etc", &path).expect("a link");
            }
            let read = || -> Result<(), RefsError> {
                head(&dir, SHA1)?;
                packed(&dir, SHA1)?;
                loose(&dir, SHA1)?;
                Ok(())
            };
            let error = read().expect_err(place).to_string();
            assert!(error.starts_with(&format!("{place} is a ")), "{error}");
        }
    }
}

#[test]
fn files_that_are_too_large_or_too_deep_are_refused_by_name() {
    let (top, dir) = repository();
    let refs = top.path().join(".git/refs");
    std::fs::write(refs.join("heads/large"), vec![b'a'; MAX_REF_FILE + 1]).expect("write");
    let error = loose(&dir, SHA1).expect_err("it is large").to_string();
    assert_eq!(error, "refs/heads/large is larger than 4096 bytes");
    std::fs::remove_file(refs.join("heads/large")).expect("remove");
    std::fs::create_dir_all(refs.join("d/".repeat(MAX_DEPTH))).expect("directories");
    let error = loose(&dir, SHA1).expect_err("it is deep").to_string();
    assert!(error.ends_with("is deeper than 64 directories"), "{error}");
}

//! What is refused, what breaks on the way, and that the host stays as it was.

use std::path::Path;

use amika_git::{Copy, GitError, Request};
use pretty_assertions::assert_eq;

use crate::support::*;

#[test]
fn a_path_must_exist_and_be_in_a_repository() {
    let host = Host::new();
    let path = host.simple("repo");
    std::fs::create_dir(host.path("plain")).unwrap();
    let fails = |path: &Path| open(request(path, Copy::Clean)).err().expect("refused");
    assert!(matches!(
        fails(&path.join("src/missing")),
        GitError::NoSuchPath { .. }
    ));
    assert!(matches!(
        fails(&host.path("plain")),
        GitError::NotARepository { .. }
    ));
    for inside in ["src", "src/b.txt", ".git", ".git/refs"] {
        let repository = open(request(&path.join(inside), Copy::Clean)).expect(inside);
        assert_eq!(
            repository.facts().root.as_deref(),
            Some(path.as_path()),
            "{inside}"
        );
    }
}

#[test]
fn no_clean_needs_a_work_tree() {
    let host = Host::new();
    let path = host.simple("repo");
    git(
        &host.path(""),
        &["clone", "-q", "--bare", "repo", "bare.git"],
    );
    for spec in [
        host.path("bare.git").display().to_string(),
        format!("file://{}", path.display()),
    ] {
        let asked = Request {
            spec: Some(spec),
            copy: DIRTY,
            ..Request::default()
        };
        assert!(matches!(open(asked), Err(GitError::NoWorkTree { .. })));
    }
}

#[test]
fn a_missing_object_breaks_the_stream() {
    let host = Host::new();
    let path = host.simple("repo");
    let blob = git(&path, &["rev-parse", "HEAD:src/b.txt"]);
    let object = path.join(".git/objects").join(&blob[..2]).join(&blob[2..]);
    std::fs::remove_file(object).unwrap();
    let repository = open(request(&path, Copy::Clean)).unwrap();
    let error = archive(&repository).expect_err("must not look whole");
    assert!(
        error.to_string().contains("src/b.txt") || error.to_string().contains(&blob),
        "{error}"
    );
}

#[test]
fn a_damaged_index_matters_to_a_dirty_copy_only() {
    let host = Host::new();
    let path = host.simple("repo");
    let index = path.join(".git/index");
    let mut content = std::fs::read(&index).unwrap();
    content[0] = b'X';
    std::fs::write(&index, content).unwrap();
    let copied = copy(request(&path, Copy::Clean));
    assert_eq!(copied.git(&["status", "--porcelain"]), "");
    let warnings = &copied.repository.facts().warnings;
    assert!(
        warnings
            .iter()
            .any(|said| said.contains("index is not understood: it does not begin with")),
        "{warnings:?}"
    );
    let error = open(request(&path, DIRTY)).err().expect("refused");
    let said = error.to_string();
    assert!(
        said.contains("/.git/index is not understood: it does not begin with"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn a_reader_that_leaves_ends_the_writing_and_nothing_stays_behind() {
    let host = Host::new();
    let path = host.simple("repo");
    write(&path, "large", vec![7; 20 * 1024 * 1024]);
    commit_all(&path, "large");
    let before = fingerprint(&path);
    let repository = open(request(&path, Copy::Clean)).unwrap();
    let (reader, mut writer) = std::io::pipe().unwrap();
    drop(reader);
    let error = repository.write_tar(OWNER, "", &mut writer).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
    drop(repository);
    assert_eq!(fingerprint(&path), before);
}

#[test]
fn a_tree_that_would_write_into_git_is_refused() {
    let host = Host::new();
    let path = host.simple("repo");
    let blob = git(&path, &["rev-parse", "HEAD:a.txt"]);
    for name in [".git", "..", ".GIT"] {
        // `git mktree` takes any name.
        let line = format!(
            "040000 tree {}\t{name}\n",
            git(&path, &["rev-parse", "HEAD:src"])
        );
        let tree = piped(&path, &["mktree"], &line);
        let commit = git(&path, &["commit-tree", "-m", "evil", &tree]);
        git(&path, &["update-ref", "refs/heads/evil", &commit]);
        let asked = Request {
            branch: Some("evil".into()),
            ..request(&path, Copy::Clean)
        };
        assert!(
            matches!(open(asked), Err(GitError::BadPath { .. })),
            "{name} {blob}"
        );
    }
}

fn piped(directory: &Path, arguments: &[&str], input: &str) -> String {
    use std::io::Write as _;
    let mut child = git_command(directory, arguments)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

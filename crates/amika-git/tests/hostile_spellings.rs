//! Every spelling of a path that leads elsewhere, in trees and in `.gitmodules`, as every kind of entry.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use amika_git::{Copy, GitError, Request};

use crate::spellings::{BACKSLASHES, CONTROLS, refused, steers};
use crate::support::*;

const SECRET: &str = "this is nobody else's business";

/// An object as it is, whatever git thinks of it.
fn object(repository: &Path, kind: &str, content: &[u8]) -> String {
    let arguments = ["hash-object", "-t", kind, "-w", "--stdin", "--literally"];
    let mut child = git_command(repository, &arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(content).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A tree of entries with names as they are.
fn tree_of(repository: &Path, entries: &[(&str, &[u8], &str)]) -> String {
    let mut content = Vec::new();
    for (mode, name, oid) in entries {
        content.extend_from_slice(mode.as_bytes());
        content.push(b' ');
        content.extend_from_slice(name);
        content.push(0);
        for at in (0..oid.len()).step_by(2) {
            content.push(u8::from_str_radix(&oid[at..at + 2], 16).unwrap());
        }
    }
    object(repository, "tree", &content)
}

/// A branch whose tree has one entry at a path: as one name, or with a tree for each directory.
fn branch_with(repository: &Path, name: &str, mode: &str, path: &str, oid: &str, is_nested: bool) {
    let parts: Vec<&str> = if is_nested {
        path.split('/').collect()
    } else {
        vec![path]
    };
    let mut below = (mode, oid.to_owned());
    for part in parts.iter().rev() {
        let tree = tree_of(repository, &[(below.0, part.as_bytes(), &below.1)]);
        below = ("40000", tree);
    }
    let commit = git(repository, &["commit-tree", "-m", "hostile", &below.1]);
    git(
        repository,
        &["update-ref", &format!("refs/heads/{name}"), &commit],
    );
}

/// `repo`, and `private` beside it, with a secret.
fn beside_a_secret(host: &Host) -> (PathBuf, PathBuf) {
    let path = host.simple("repo");
    let private = host.simple("private");
    write(&private, "secret", SECRET);
    commit_all(&private, "private");
    (path, private)
}

fn of_branch(path: &Path, name: &str) -> Request {
    Request {
        branch: Some(name.to_owned()),
        ..request(path, Copy::Clean)
    }
}

/// The error names the path in a form that can be shown.
fn is_refused(opened: Result<amika_git::Repository, GitError>, shown: &str) {
    match opened {
        Err(error @ GitError::BadPath { .. }) => {
            assert!(!steers(&error.to_string()), "{shown}: {error:?}");
        }
        Err(error) => panic!("{shown}: {error}"),
        Ok(_) => panic!("{shown} is copied"),
    }
}

/// Does something with each of a list, in three threads.
fn each<T: Sync>(all: &[T], act: impl Fn(usize, &T) + Sync) {
    std::thread::scope(|scope| {
        let third = all.len().div_ceil(3);
        for (part, some) in all.chunks(third).enumerate() {
            let act = &act;
            scope.spawn(move || {
                for (number, one) in some.iter().enumerate() {
                    act(part * third + number, one);
                }
            });
        }
    });
}

#[test]
fn a_tree_names_nothing_but_what_is_beneath_it_as_whatever_entry() {
    let host = Host::new();
    let directory = host.path("");
    let directory = directory.to_str().unwrap().trim_end_matches('/');
    // A NUL ends a name in a tree, and begins what is no object's name.
    let all = refused(directory);
    let all: Vec<&String> = all.iter().filter(|path| !path.contains('\0')).collect();
    each(&all, |number, spelling| {
        let host = Host::new();
        let (path, private) = beside_a_secret(&host);
        let blob = git(&path, &["rev-parse", "HEAD:a.txt"]);
        let tree = git(&path, &["rev-parse", "HEAD:src"]);
        let commit = git(&private, &["rev-parse", "HEAD"]);
        let kinds = [
            ("100644", &blob),
            ("100755", &blob),
            ("120000", &blob),
            ("160000", &commit),
            ("40000", &tree),
        ];
        for (place, (mode, oid)) in kinds.into_iter().enumerate() {
            // In one name, and as directories: in turn, so that each spelling has both.
            let forms = [(place + number) % 2 == 0, !spelling.contains('/')];
            let is_nested = forms[0] && !forms[1];
            let name = format!("b{place}");
            branch_with(&path, &name, mode, spelling, oid, is_nested);
            let shown = format!("{mode} {} {is_nested}", spelling.escape_debug());
            is_refused(open(of_branch(&path, &name)), &shown);
        }
    });
}

#[test]
fn a_hostile_tree_stays_without_effect_where_the_work_tree_is_copied() {
    let host = Host::new();
    let (path, _) = beside_a_secret(&host);
    let blob = git(&path, &["rev-parse", "HEAD:a.txt"]);
    for (number, spelling) in ["../private/secret", ".GIT/config", "..", ""]
        .iter()
        .enumerate()
    {
        let name = format!("b{number}");
        branch_with(&path, &name, "100644", spelling, &blob, false);
        git(
            &path,
            &["symbolic-ref", "HEAD", &format!("refs/heads/{name}")],
        );
        let before = fingerprint(&host.path("private"));
        for mode in [DIRTY, ALL] {
            // What is copied is on the disk, and in an index that is all right.
            match open(request(&path, mode)) {
                Ok(repository) => {
                    let bytes = archive(&repository).unwrap();
                    assert!(
                        !bytes
                            .windows(SECRET.len())
                            .any(|part| part == SECRET.as_bytes())
                    );
                }
                Err(error) => assert!(!steers(&error.to_string()), "{spelling}: {error:?}"),
            }
        }
        assert_eq!(fingerprint(&host.path("private")), before);
    }
}

#[test]
fn a_submodules_tree_is_held_to_the_same() {
    let host = Host::new();
    let directory = host.path("");
    let directory = directory.to_str().unwrap().trim_end_matches('/');
    let (path, _) = beside_a_secret(&host);
    let module = host.simple("module");
    let url = module.to_str().unwrap();
    git(&path, &["submodule", "--quiet", "add", url, "sub"]);
    commit_all(&path, "submodule");
    let blob = git(&module, &["rev-parse", "HEAD:a.txt"]);
    let sub = path.join("sub");
    // One of each kind: the rule itself is the other test's.
    let all = refused(directory);
    for (number, spelling) in all
        .iter()
        .filter(|one| !one.contains('\0'))
        .step_by(9)
        .enumerate()
    {
        let name = format!("b{number}");
        // In the submodule's own object store, which is where it is looked for.
        git(&sub, &["fetch", "-q"]);
        branch_with(&sub, &name, "100644", spelling, &blob, number % 2 == 0);
        let commit = git(&sub, &["rev-parse", &name]);
        let info = format!("160000,{commit},sub");
        git(&path, &["update-index", "--cacheinfo", &info]);
        let tree = git(&path, &["write-tree"]);
        let commit = git(&path, &["commit-tree", "-m", "hostile", &tree]);
        git(&path, &["update-ref", "HEAD", &commit]);
        let shown = format!("sub: {}", spelling.escape_debug());
        is_refused(open(request(&path, Copy::Clean)), &shown);
    }
}

/// A value or a subsection, in quotes as git has them.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(c);
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    // A line end is written in a value, and cannot be in a name.
    quoted
}

#[test]
fn submodules_are_listed_at_no_other_place_and_under_no_name_that_is_one() {
    let host = Host::new();
    let directory = host.path("");
    let directory = directory.to_str().unwrap().trim_end_matches('/');
    let (path, private) = beside_a_secret(&host);
    let commit = git(&private, &["rev-parse", "HEAD"]);
    git(
        &path,
        &[
            "update-index",
            "--add",
            "--cacheinfo",
            &format!("160000,{commit},sub"),
        ],
    );
    std::fs::create_dir(path.join("sub")).unwrap();
    let mut listed = Vec::new();
    for spelling in refused(directory) {
        // A slash at the end is one of git's own.
        let is_path = !spelling.is_empty() && spelling.ends_with('/') && {
            let stem = &spelling[..spelling.len() - 1];
            !stem.is_empty() && !stem.ends_with(['/', '.'])
        };
        if !is_path {
            let value = quoted(&spelling);
            listed.push(format!("[submodule \"m\"]\n\tpath = {value}\n\turl = x\n"));
        }
        listed.push(format!(
            "[submodule {}]\n\tpath = sub\n\turl = x\n",
            quoted(&spelling)
        ));
    }
    for name in BACKSLASHES {
        listed.push(format!(
            "[submodule {}]\n\tpath = sub\n\turl = x\n",
            quoted(name)
        ));
    }
    let all: Vec<(usize, String)> = listed.into_iter().enumerate().collect();
    let mut modes = [Copy::Clean, DIRTY, ALL].into_iter().cycle();
    for (number, content) in all {
        write(&path, ".gitmodules", &content);
        // By what does not look into it.
        git(&path, &["update-index", "--add", ".gitmodules"]);
        let tree = git(&path, &["write-tree"]);
        let commit = git(&path, &["commit-tree", "-m", "hostile", &tree]);
        git(&path, &["update-ref", "HEAD", &commit]);
        let mode = modes.next().unwrap();
        let shown = format!("{number} {mode:?} {}", content.escape_debug());
        match open(request(&path, mode)) {
            Err(error @ (GitError::BadPath { .. } | GitError::NotUnderstood { .. })) => {
                assert!(!steers(&error.to_string()), "{shown}: {error:?}");
            }
            Err(error) => panic!("{shown}: {error}"),
            Ok(_) => panic!("{shown} is copied"),
        }
    }
}

#[test]
fn what_is_odd_and_leads_nowhere_is_a_path_like_any_other() {
    let host = Host::new();
    let path = host.simple("repo");
    let odd = [
        ".gitx",
        "git~2",
        ".git_",
        "x.git",
        "..a",
        "...",
        "a..",
        ".github/x",
        "a\\b",
        " ",
        "-x",
        "~",
        "$(x)",
    ];
    for name in odd.iter().chain(&CONTROLS) {
        write(&path, format!("odd/{name}"), "x\n");
    }
    commit_all(&path, "odd");
    for mode in [Copy::Clean, ALL] {
        let copied = copy(request(&path, mode));
        assert_eq!(tree(&copied.path()), tree(&path));
        assert_eq!(copied.git(&["status", "--porcelain"]), "");
    }
}

//! Every spelling of a path that leads elsewhere, in trees and in `.gitmodules`, as every kind of entry.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use amika_git::{Copy, GitError, Request};
use sha2::{Digest as _, Sha256};

use crate::spellings::{BACKSLASHES, CONTROLS, refused, steers};
use crate::support::*;

const SECRET: &str = "this is nobody else's business";
/// What is made by hand is named by it.
const FORMAT: &[&str] = &["--object-format=sha256"];

/// An object as it is, whatever git thinks of it, in a git directory.
fn object(git_dir: &Path, kind: &str, content: &[u8]) -> String {
    let mut bytes = format!("{kind} {}\0", content.len()).into_bytes();
    bytes.extend_from_slice(content);
    let oid = Sha256::digest(&bytes)
        .iter()
        .fold(String::new(), |mut oid, byte| {
            write!(oid, "{byte:02x}").unwrap();
            oid
        });
    let packed = miniz_oxide::deflate::compress_to_vec_zlib(&bytes, 1);
    let place = format!("objects/{}/{}", &oid[..2], &oid[2..]);
    crate::support::write(git_dir, place, packed);
    oid
}

/// A tree of entries with names as they are.
fn tree_of(git_dir: &Path, entries: &[(&str, &[u8], &str)]) -> String {
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
    object(git_dir, "tree", &content)
}

/// A branch of one commit with such a tree.
fn branch_of(git_dir: &Path, name: &str, tree: &str) -> String {
    let who = "Me <me@example.com> 1000000000 +0000";
    let content = format!("tree {tree}\nauthor {who}\ncommitter {who}\n\nhostile\n");
    let commit = object(git_dir, "commit", content.as_bytes());
    let place = format!("refs/heads/{name}");
    crate::support::write(git_dir, place, format!("{commit}\n"));
    commit
}

/// A branch whose tree has one entry at a path: as one name, or with a tree for each directory.
fn branch_with(
    git_dir: &Path,
    name: &str,
    mode: &str,
    path: &str,
    oid: &str,
    is_nested: bool,
) -> String {
    let parts: Vec<&str> = if is_nested {
        path.split('/').collect()
    } else {
        vec![path]
    };
    let mut below = (mode, oid.to_owned());
    for part in parts.iter().rev() {
        let tree = tree_of(git_dir, &[(below.0, part.as_bytes(), &below.1)]);
        below = ("40000", tree);
    }
    branch_of(git_dir, name, &below.1)
}

/// As [`Host::simple`].
fn simple(host: &Host, name: &str) -> PathBuf {
    let path = host.empty(name, FORMAT);
    write(&path, "a.txt", "one\n");
    write(&path, "src/b.txt", "two\n");
    commit_all(&path, "first");
    path
}

/// `repo`, and `private` beside it, with a secret.
fn beside_a_secret(host: &Host) -> (PathBuf, PathBuf) {
    let path = simple(host, "repo");
    let private = simple(host, "private");
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

/// Does something with a number of things, in a few threads, each of which has repositories of its own.
fn each<T: Sync>(all: &[T], act: impl Fn(&Host, &[T]) + Sync) {
    std::thread::scope(|scope| {
        for some in all.chunks(all.len().div_ceil(4)) {
            let act = &act;
            scope.spawn(move || act(&Host::new(), some));
        }
    });
}

/// A kind of entry: its mode, and what it names.
#[derive(Clone, Copy)]
enum Entry {
    File(&'static str),
    Module,
    Directory,
}

/// Holds a tree to all spellings, each as an entry of each of these kinds.
fn no_tree_has_such_a_name(kinds: &[Entry]) {
    // A NUL ends a name in a tree, and begins what is no object's name.
    let all = refused("DIR");
    let all = all.iter().filter(|path| !path.contains('\0'));
    let all: Vec<(usize, &String)> = all.enumerate().collect();
    each(&all, |host, some| {
        let directory = host.path("");
        let directory = directory.to_str().unwrap().trim_end_matches('/');
        let (path, private) = beside_a_secret(host);
        let blob = git(&path, &["rev-parse", "HEAD:a.txt"]);
        let tree = git(&path, &["rev-parse", "HEAD:src"]);
        let commit = git(&private, &["rev-parse", "HEAD"]);
        for (number, spelling) in some {
            let spelling = spelling.replace("DIR", directory);
            for (place, kind) in kinds.iter().enumerate() {
                let (mode, oid) = match kind {
                    Entry::File(mode) => (*mode, &blob),
                    Entry::Module => ("160000", &commit),
                    Entry::Directory => ("40000", &tree),
                };
                // In one name, and as directories: in turn, so that each spelling has both.
                let is_nested = spelling.contains('/') && (place + number) % 2 == 0;
                branch_with(&path.join(".git"), "b", mode, &spelling, oid, is_nested);
                let shown = format!("{mode} {} {is_nested}", spelling.escape_debug());
                is_refused(open(of_branch(&path, "b")), &shown);
            }
        }
    });
}

#[test]
fn a_tree_names_no_file_or_link_but_what_is_beneath_it() {
    no_tree_has_such_a_name(&[Entry::File("100644"), Entry::File("120000")]);
}

#[test]
fn a_tree_names_no_directory_or_repository_but_what_is_beneath_it() {
    no_tree_has_such_a_name(&[Entry::Module, Entry::Directory]);
}

#[test]
fn a_tree_names_no_program_but_what_is_beneath_it() {
    no_tree_has_such_a_name(&[Entry::File("100755")]);
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
        branch_with(&path.join(".git"), &name, "100644", spelling, &blob, false);
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
    let module = simple(&host, "module");
    let url = module.to_str().unwrap();
    git(&path, &["submodule", "--quiet", "add", url, "sub"]);
    commit_all(&path, "submodule");
    let blob = git(&module, &["rev-parse", "HEAD:a.txt"]);
    let store = path.join(".git/modules/sub");
    // One of each kind: the rule itself is the other test's.
    let all = refused(directory);
    for (number, spelling) in all
        .iter()
        .filter(|one| !one.contains('\0'))
        .step_by(9)
        .enumerate()
    {
        // In the submodule's own object store, which is where it is looked for.
        let is_nested = spelling.contains('/') && number % 2 == 0;
        let commit = branch_with(&store, "b", "100644", spelling, &blob, is_nested);
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
    let mut all = Vec::new();
    for spelling in refused("DIR") {
        // A slash at the end is one of git's own.
        let is_path = spelling
            .strip_suffix('/')
            .is_some_and(|stem| !stem.is_empty() && !stem.ends_with(['/', '.']));
        if !is_path {
            let value = quoted(&spelling);
            all.push(format!("[submodule \"m\"]\n\tpath = {value}\n\turl = x\n"));
        }
        let name = quoted(&spelling);
        all.push(format!("[submodule {name}]\n\tpath = sub\n\turl = x\n"));
    }
    for name in BACKSLASHES {
        let name = quoted(name);
        all.push(format!("[submodule {name}]\n\tpath = sub\n\turl = x\n"));
    }
    let all: Vec<(usize, String)> = all.into_iter().enumerate().collect();
    each(&all, |host, some| {
        let directory = host.path("");
        let directory = directory.to_str().unwrap().trim_end_matches('/');
        let (path, private) = beside_a_secret(host);
        let commit = git(&private, &["rev-parse", "HEAD"]);
        write(&path, ".gitmodules", "");
        let info = format!("160000,{commit},sub");
        git(
            &path,
            &["update-index", "--add", "--cacheinfo", &info, ".gitmodules"],
        );
        std::fs::create_dir(path.join("sub")).unwrap();
        for (number, content) in some {
            let content = content.replace("DIR", directory);
            write(&path, ".gitmodules", &content);
            let git_dir = path.join(".git");
            let blob = object(&git_dir, "blob", content.as_bytes());
            let entries = [
                ("100644", b".gitmodules".as_slice(), &*blob),
                ("160000", b"sub", &*commit),
            ];
            branch_of(&git_dir, "main", &tree_of(&git_dir, &entries));
            let mode = [Copy::Clean, DIRTY, ALL][number % 3];
            let shown = format!("{number} {mode:?} {}", content.escape_debug());
            match open(request(&path, mode)) {
                Err(error @ (GitError::BadPath { .. } | GitError::NotUnderstood { .. })) => {
                    assert!(!steers(&error.to_string()), "{shown}: {error:?}");
                }
                Err(error) => panic!("{shown}: {error}"),
                Ok(_) => panic!("{shown} is copied"),
            }
        }
    });
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

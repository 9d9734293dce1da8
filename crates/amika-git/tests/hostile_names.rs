//! Line ends, and what steers a terminal, in every kind of name that a repository supplies. Each ends the copy with
//! the name escaped, or comes through as it is and does nothing.

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use amika_git::{Copy, GitError};

use crate::spellings::{CONTROLS, steers};
use crate::support::*;

/// A kind of name, and what gives a repository of one commit such a name; `false` where none can have it.
type Kind = (&'static str, fn(&Host, &Path, &str) -> bool);

/// All that a repository has names for.
const KINDS: [Kind; 26] = [
    ("a file", |_, path, name| {
        write(path, name, "x\n");
        commit_all(path, "odd");
        true
    }),
    ("a file that is not committed", |_, path, name| {
        write(path, name, "x\n");
        true
    }),
    ("a directory", |_, path, name| {
        write(path, format!("{name}/file"), "x\n");
        commit_all(path, "odd");
        true
    }),
    ("a link's target", |_, path, name| {
        std::os::unix::fs::symlink(name, path.join("link")).unwrap();
        commit_all(path, "odd");
        true
    }),
    ("a branch", |_, path, name| packed(path, "heads", name)),
    ("a branch in a file of its own", |_, path, name| {
        loose(path, "heads", name)
    }),
    ("a tag", |_, path, name| packed(path, "tags", name)),
    ("a branch of a remote", |_, path, name| {
        packed(path, "remotes/origin", name)
    }),
    ("the branch that HEAD is on", |_, path, name| {
        packed(path, "heads", name);
        write(path, ".git/HEAD", format!("ref: refs/heads/{name}\n"));
        true
    }),
    ("what a symbolic ref follows", |_, path, name| {
        write(
            path,
            ".git/refs/remotes/origin/HEAD",
            format!("ref: refs/remotes/origin/{name}\n"),
        );
        true
    }),
    ("a remote", |_, path, name| {
        section(path, "remote", name, "url = https://example.com/a")
    }),
    ("a remote's URL", |_, path, name| {
        value(
            path,
            "[remote \"origin\"]\n\turl",
            &format!("https://example.com/{name}"),
        )
    }),
    ("a remote's branches", |_, path, name| {
        value(path, "[remote \"origin\"]\n\tfetch", name)
    }),
    ("a branch's section", |_, path, name| {
        section(path, "branch", name, "remote = origin")
    }),
    ("a branch's upstream", |_, path, name| {
        value(path, "[branch \"main\"]\n\tmerge", name)
    }),
    ("a branch's description", |_, path, name| {
        value(path, "[branch \"main\"]\n\tdescription", name)
    }),
    ("who commits", |_, path, name| {
        value(path, "[user]\n\tname", name)
    }),
    ("a submodule", |_, path, name| {
        gitlink(path, "sub");
        let head = subsection(name);
        modules(
            path,
            &format!("[submodule {head}]\n\tpath = sub\n\turl = https://example.com/a\n"),
        )
    }),
    ("a submodule's path", |_, path, name| {
        gitlink(path, name);
        let value = escaped_value(name);
        modules(
            path,
            &format!("[submodule \"m\"]\n\tpath = {value}\n\turl = https://example.com/a\n"),
        )
    }),
    ("a submodule's URL", |_, path, name| {
        gitlink(path, "sub");
        let value = escaped_value(name);
        modules(
            path,
            &format!("[submodule \"m\"]\n\tpath = sub\n\turl = {value}\n"),
        )
    }),
    ("a submodule that is there", |host, path, name| {
        let module = host.simple("module");
        let url = module.to_str().unwrap();
        git(
            path,
            &["submodule", "--quiet", "add", "--name", "m", url, "sub"],
        );
        std::fs::rename(path.join("sub"), path.join(name)).unwrap();
        git(path, &["rm", "-q", "--cached", "sub"]);
        let commit = git(&module, &["rev-parse", "HEAD"]);
        let git_dir = "../.git/modules/m\n";
        std::fs::write(path.join(name).join(".git"), format!("gitdir: {git_dir}")).unwrap();
        git(
            path,
            &[
                "config",
                "--file",
                ".git/modules/m/config",
                "--unset",
                "core.worktree",
            ],
        );
        git(
            path,
            &[
                "update-index",
                "--add",
                "--cacheinfo",
                "160000",
                &commit,
                name,
            ],
        );
        let value = escaped_value(name);
        modules(
            path,
            &format!("[submodule \"m\"]\n\tpath = {value}\n\turl = {url}\n"),
        )
    }),
    (
        "a repository inside that is no submodule",
        |host, path, name| {
            host.simple("other");
            std::fs::rename(host.path("other"), path.join(name)).unwrap();
            true
        },
    ),
    ("an author", |_, path, name| {
        raw_commit(path, name, "message")
    }),
    ("a message", |_, path, name| raw_commit(path, "Me", name)),
    ("a filter", |_, path, name| {
        write(path, ".gitattributes", format!("*.x filter={name}\n"));
        write(path, "a.x", "x\n");
        commit_all(path, "filter");
        section(path, "filter", name, "clean = cat")
    }),
    ("an LFS pointer", |_, path, name| {
        write(path, ".gitattributes", "*.bin filter=lfs\n");
        let oid = "ab".repeat(32);
        let pointer = format!(
            "version https://git-lfs.github.com/spec/{name}\noid sha256:{oid}{name}\nsize 3{name}\n"
        );
        write(path, "a.bin", pointer);
        commit_all(path, "lfs");
        true
    }),
];

/// A ref by hand: git itself makes none of that name.
fn packed(path: &Path, below: &str, name: &str) -> bool {
    let commit = git(path, &["rev-parse", "main"]);
    let line = format!("{commit} refs/{below}/{name}\n");
    write(
        path,
        ".git/packed-refs",
        format!("# pack-refs with: peeled fully-peeled sorted \n{line}"),
    );
    true
}

fn loose(path: &Path, below: &str, name: &str) -> bool {
    let commit = git(path, &["rev-parse", "main"]);
    write(
        path,
        format!(".git/refs/{below}/{name}"),
        format!("{commit}\n"),
    );
    true
}

fn append(path: &Path, text: &str) -> bool {
    let file = path.join(".git/config");
    let mut config = std::fs::read(&file).unwrap();
    config.extend_from_slice(text.as_bytes());
    std::fs::write(file, config).unwrap();
    true
}

fn section(path: &Path, section: &str, name: &str, setting: &str) -> bool {
    append(
        path,
        &format!("[{section} {}]\n\t{setting}\n", subsection(name)),
    )
}

fn value(path: &Path, before: &str, name: &str) -> bool {
    append(path, &format!("{before} = {}\n", escaped_value(name)))
}

/// A subsection, in which a line end can only stand as it is.
fn subsection(name: &str) -> String {
    format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
}

fn escaped_value(name: &str) -> String {
    let name = name.replace('\\', "\\\\").replace('"', "\\\"");
    let name = name
        .replace('\n', "\\n")
        .replace('\t', "\\t")
        .replace('\u{8}', "\\b");
    format!("\"{name}\"")
}

fn gitlink(path: &Path, name: &str) {
    let commit = git(path, &["rev-parse", "HEAD"]);
    git(
        path,
        &[
            "update-index",
            "--add",
            "--cacheinfo",
            "160000",
            &commit,
            name,
        ],
    );
    std::fs::create_dir(path.join(name)).unwrap();
}

fn modules(path: &Path, content: &str) -> bool {
    write(path, ".gitmodules", content);
    git(path, &["update-index", "--add", ".gitmodules"]);
    let tree = git(path, &["write-tree"]);
    let commit = git(path, &["commit-tree", "-m", "modules", &tree]);
    git(path, &["update-ref", "refs/heads/main", &commit]);
    true
}

/// A commit whose lines are as they are.
fn raw_commit(path: &Path, author: &str, message: &str) -> bool {
    let tree = git(path, &["rev-parse", "HEAD^{tree}"]);
    let who = format!("{author} <me@example.com> 1000000000 +0000");
    let content = format!("tree {tree}\nauthor {who}\ncommitter {who}\n\n{message}\n");
    let mut child = git_command(
        path,
        &[
            "hash-object",
            "-t",
            "commit",
            "-w",
            "--stdin",
            "--literally",
        ],
    )
    .stdin(Stdio::piped())
    .stdout(Stdio::piped())
    .spawn()
    .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(content.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let commit = String::from_utf8(output.stdout).unwrap();
    git(path, &["update-ref", "refs/heads/main", commit.trim()]);
    true
}

/// All words of an error, as whoever shows it has them.
fn words(error: &GitError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

#[test]
fn no_name_of_any_kind_ends_a_line_or_steers_a_terminal() {
    let all: Vec<(&Kind, &str)> = KINDS
        .iter()
        .flat_map(|kind| CONTROLS.iter().map(move |name| (kind, *name)))
        .collect();
    std::thread::scope(|scope| {
        for some in all.chunks(all.len().div_ceil(3)) {
            scope.spawn(move || {
                for ((what, make), name) in some {
                    let host = Host::new();
                    let path = host.simple("repo");
                    if !make(&host, &path, name) {
                        continue;
                    }
                    for mode in [Copy::Clean, ALL] {
                        is_harmless(&format!("{what} {mode:?} {name:?}"), &path, mode);
                    }
                }
            });
        }
    });
}

fn is_harmless(what: &str, path: &Path, mode: Copy) {
    let repository = match open(request(path, mode)) {
        Err(error) => {
            let told = words(&error);
            assert!(!steers(&told), "{what}: {told:?}");
            return;
        }
        Ok(repository) => repository,
    };
    for warning in &repository.facts().warnings {
        assert!(!steers(warning), "{what}: {warning:?}");
    }
    let bytes = match block_on(repository.snapshot()).map(|_| archive(&repository)) {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(error)) => {
            assert!(!steers(&error.to_string()), "{what}: {error:?}");
            return;
        }
        Err(error) => {
            assert!(!steers(&words(&error)), "{what}: {error:?}");
            return;
        }
    };
    // What the sandbox has is a repository whose git says the same.
    let copied = unpack_anywhere(&bytes);
    let there = copied.path();
    let same = |arguments: &[&str]| {
        let here = git_command(path, arguments).output().unwrap();
        // What git here does not read is no measure of what it reads there.
        if here.status.success() {
            let here = String::from_utf8_lossy(&here.stdout).trim_end().to_owned();
            assert_eq!(
                git(there, arguments).trim_end(),
                here,
                "{what}: {arguments:?}"
            );
        }
    };
    same(&[
        "for-each-ref",
        "--format=%(objectname) %(refname) %(symref)",
        "refs/heads",
        "refs/tags",
    ]);
    same(&["ls-files", "-s", "-z"]);
    same(&["log", "--format=%H %an %s", "HEAD"]);
    if mode == ALL {
        assert_eq!(tree(there), tree(path), "{what}");
    }
    // No line of its configuration came out of a name.
    let listed = git(there, &["config", "--local", "--list", "--name-only", "-z"]);
    for key in listed.split('\0').filter(|key| !key.is_empty()) {
        let section = key.split('.').next().unwrap();
        let known = [
            "core",
            "user",
            "remote",
            "branch",
            "submodule",
            "filter",
            "extensions",
            "diff",
            "status",
        ];
        assert!(known.contains(&section), "{what}: {key:?}");
    }
}

fn unpack_anywhere(bytes: &[u8]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    unpack(bytes, directory.path());
    directory
}

#[test]
fn a_linked_work_tree_of_an_odd_name_is_copied_or_refused_by_its_name() {
    for name in CONTROLS {
        let host = Host::new();
        let path = host.simple("repo");
        git(&path, &["worktree", "add", "-q", "--detach", "../linked"]);
        let kept = path.join(".git/worktrees");
        std::fs::rename(kept.join("linked"), kept.join(name)).unwrap();
        let linked = host.path("linked");
        let git_dir = kept.join(name);
        write(
            &linked,
            ".git",
            format!("gitdir: {}\n", git_dir.to_str().unwrap()),
        );
        for mode in [Copy::Clean, ALL] {
            is_harmless(&format!("worktree {mode:?} {name:?}"), &linked, mode);
        }
        // And the work tree itself.
        let odd = host.path(name);
        std::fs::rename(&path, &odd).unwrap();
        for mode in [Copy::Clean, ALL] {
            is_harmless(&format!("directory {mode:?} {name:?}"), &odd, mode);
        }
    }
}

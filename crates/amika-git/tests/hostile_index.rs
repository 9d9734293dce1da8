//! Indexes that somebody wrote by hand: no name in one leads out of the work tree, whatever is asked for.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use amika_git::{Copy, GitError};

use crate::spellings::{refused, steers};
use crate::support::*;

const SECRET: &str = "this is nobody else's business";
const MODES: [Copy; 3] = [Copy::Clean, DIRTY, ALL];

/// An index of version 2, its checksum left away.
fn index(entries: &[(u32, &str, &[u8])]) -> Vec<u8> {
    let mut file = b"DIRC\0\0\0\x02".to_vec();
    file.extend_from_slice(&u32::try_from(entries.len()).unwrap().to_be_bytes());
    for (mode, oid, path) in entries {
        let begun = file.len();
        file.extend_from_slice(&[0; 24]);
        file.extend_from_slice(&mode.to_be_bytes());
        file.extend_from_slice(&[0; 12]);
        for at in 0..20 {
            file.push(u8::from_str_radix(&oid[2 * at..2 * at + 2], 16).unwrap());
        }
        file.extend_from_slice(&u16::try_from(path.len()).unwrap().to_be_bytes());
        file.extend_from_slice(path);
        let length = file.len() - begun;
        file.resize(begun + ((length + 8) & !7), 0);
    }
    file.extend_from_slice(&[0; 20]);
    file
}

/// `repo`, and `private` beside it: a directory with a secret that is a repository with one more.
fn beside_a_secret(host: &Host) -> (PathBuf, PathBuf) {
    let path = host.simple("repo");
    let private = host.simple("private");
    write(&private, "secret", SECRET);
    write(&private, "committed", SECRET);
    git(&private, &["add", "committed"]);
    git(&private, &["commit", "-q", "-m", "private"]);
    (path, private)
}

fn is_without_secret(copied: &Copied) {
    let found = std::process::Command::new("grep")
        .args(["-r", SECRET])
        .arg(copied.path())
        .output()
        .expect("grep runs");
    assert_eq!(found.status.code(), Some(1), "{found:?}");
    assert!(!copied.has(".git/modules"));
}

/// No copy is made of it, in no mode, and the error names the path.
fn is_refused(path: &Path, named: &str) {
    for mode in MODES {
        let refused = open(request(path, mode)).err().expect("refused");
        assert!(
            matches!(&refused, GitError::BadPath { why, .. } if why.contains(named)),
            "{mode:?} {named}: {refused}"
        );
    }
}

#[test]
fn an_index_names_nothing_but_what_is_beneath_the_work_tree() {
    let host = Host::new();
    let (path, private) = beside_a_secret(&host);
    let blob = git(&path, &["rev-parse", "HEAD:a.txt"]);
    let commit = git(&private, &["rev-parse", "HEAD"]);
    let directory = host.path("");
    let directory = directory.to_str().unwrap().trim_end_matches('/');
    let modes = MODES.into_iter().cycle();
    let kinds = [(0o100_644, &blob), (0o120_000, &blob), (0o160_000, &commit)];
    // Each kind of entry in one mode, each spelling in all of them.
    for (spelling, first) in refused(directory).iter().zip(0..) {
        for ((kind, oid), mode) in kinds.into_iter().zip(modes.clone().skip(first)) {
            write(
                &path,
                ".git/index",
                index(&[(kind, oid, spelling.as_bytes())]),
            );
            let is_damage = spelling.ends_with('/') || spelling.contains('\0');
            let shown = format!("{mode:?} {kind:o} {}", spelling.escape_debug());
            match open(request(&path, mode)) {
                Err(error @ GitError::BadPath { .. }) => {
                    assert!(!steers(&error.to_string()), "{shown}: {error:?}");
                }
                // With a slash at its end it is a directory, which such an index has none of, and with a NUL
                // its length is another: it is damaged, which a clean copy can do without.
                Err(GitError::NotUnderstood { .. }) if is_damage => {}
                Ok(_) if is_damage && mode == Copy::Clean => {}
                Err(error) => panic!("{shown}: {error}"),
                Ok(_) => panic!("{shown}"),
            }
        }
    }
}

#[test]
fn the_error_names_the_path() {
    let host = Host::new();
    let (path, _) = beside_a_secret(&host);
    let blob = git(&path, &["rev-parse", "HEAD:a.txt"]);
    let content = index(&[(0o100_644, &blob, b"../private/secret")]);
    write(&path, ".git/index", content);
    is_refused(&path, "\"../private/secret\"");
}

#[test]
fn a_gitlink_leads_to_no_repository_beside_this_one() {
    let host = Host::new();
    let (path, private) = beside_a_secret(&host);
    let commit = git(&private, &["rev-parse", "HEAD"]);
    let blob = git(&path, &["rev-parse", "HEAD:a.txt"]);
    // The last name is a link, or one before it; the git directory is one, or a file that leads there.
    symlink("../private", path.join("link")).unwrap();
    symlink("..", path.join("up")).unwrap();
    std::fs::create_dir_all(path.join("by-file")).unwrap();
    write(&path, "by-file/.git", "gitdir: ../../private/.git\n");
    std::fs::create_dir_all(path.join("by-link")).unwrap();
    symlink("../../private/.git", path.join("by-link/.git")).unwrap();
    std::fs::create_dir_all(path.join("by-commondir/.git/refs")).unwrap();
    write(&path, "by-commondir/.git/HEAD", "ref: refs/heads/main\n");
    write(
        &path,
        "by-commondir/.git/commondir",
        "../../../private/.git\n",
    );
    for name in ["by-commondir", "by-file", "by-link", "link", "up/private"] {
        let modules = format!("[submodule \"m\"]\n\tpath = {name}\n\turl = x\n");
        write(&path, ".gitmodules", &modules);
        let listed = index(&[
            (0o100_644, &blob, b"a.txt"),
            (0o160_000, &commit, name.as_bytes()),
        ]);
        write(&path, ".git/index", listed);
        // Committed as well, for the clean copy.
        git(&path, &["update-index", "--add", ".gitmodules"]);
        git(&path, &["commit", "-q", "-m", name]);
        for mode in MODES {
            match open(request(&path, mode)) {
                Ok(_) => is_without_secret(&copy(request(&path, mode))),
                Err(refused) => assert!(
                    matches!(
                        refused,
                        GitError::Foreign { .. } | GitError::NotUnderstood { .. }
                    ),
                    "{mode:?} {name}: {refused}"
                ),
            }
        }
    }
}

#[test]
fn every_form_of_index_is_held_to_the_same() {
    let host = Host::new();
    let (path, _) = beside_a_secret(&host);
    for number in 0..40 {
        write(&path, format!("many/{number}"), "x");
    }
    commit_all(&path, "many");
    let forms: [&[&str]; 3] = [
        &["update-index", "--index-version", "4"],
        &["update-index", "--split-index"],
        &["sparse-checkout", "set", "--cone", "--sparse-index", "src"],
    ];
    for form in forms {
        let host = Host::new();
        let (path, _) = beside_a_secret(&host);
        write(&path, "z/file", "x");
        commit_all(&path, "z");
        git(&path, form);
        // The name is changed where it stands, in the index or in the one that it builds on.
        let mut changed = 0;
        for entry in std::fs::read_dir(path.join(".git")).unwrap() {
            let file = entry.unwrap().path();
            let name = file.file_name().unwrap().to_str().unwrap().to_owned();
            if name != "index" && !name.starts_with("sharedindex") {
                continue;
            }
            let mut content = std::fs::read(&file).unwrap();
            let length = content.len();
            for at in 0..length - 8 {
                // In version 4 only the rest of a path stands there.
                for (from, to) in [
                    (&b"src/b.txt"[..], &b"../b/.txt"[..]),
                    (b"z/file", b"../fil"),
                ] {
                    if content[at..].starts_with(from) {
                        content[at..at + to.len()].copy_from_slice(to);
                        changed += 1;
                    }
                }
            }
            content[length - 20..].fill(0);
            std::fs::write(&file, content).unwrap();
        }
        assert!(changed > 0, "{form:?}");
        for mode in MODES {
            let opened = open(request(&path, mode));
            match opened {
                // Some are out of order by then, which a clean copy can do without.
                Err(GitError::BadPath { .. } | GitError::NotUnderstood { .. }) => {}
                Ok(_) if mode == Copy::Clean => {}
                Err(error) => panic!("{form:?} {mode:?}: {error}"),
                Ok(_) => panic!("{form:?} {mode:?}"),
            }
        }
    }
}

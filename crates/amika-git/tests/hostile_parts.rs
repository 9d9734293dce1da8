//! Git directories of which each part may be something else than git makes of it: a FIFO that nobody writes
//! to, a link that leads elsewhere, an object that is another. Nothing waits, and nothing of elsewhere comes
//! along without a word.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use amika_git::{Copy, GitError};

use crate::support::*;

const SECRET: &str = "this is nobody else's business";
const MODES: [Copy; 3] = [Copy::Clean, DIRTY, ALL];
/// Longer than anything takes that does not wait for ever.
const HUNG: Duration = Duration::from_mins(5);

fn fifo(path: &Path) {
    if path.is_dir() {
        std::fs::remove_dir_all(path).unwrap();
    } else {
        let _ = std::fs::remove_file(path);
    }
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let made = std::process::Command::new("mkfifo").arg(path).status();
    assert!(made.unwrap().success());
}

/// Does all that `create` does with a repository; says how it ended, which it must.
fn ends(path: &Path, mode: Copy) -> Result<Vec<u8>, String> {
    let (tell, told) = mpsc::channel();
    let asked = request(path, mode);
    std::thread::spawn(move || {
        let opened = open(asked).map_err(|error| error.to_string());
        let ended = opened.and_then(|repository| {
            let _ = block_on(repository.config_toml());
            let _ = block_on(repository.snapshot());
            archive(&repository).map_err(|error| error.to_string())
        });
        let _ = tell.send(ended);
    });
    told.recv_timeout(HUNG).expect("it hangs")
}

/// A repository with one of everything that git keeps, and what git calls each.
fn full(host: &Host) -> PathBuf {
    let path = host.simple("repo");
    write(&path, ".gitignore", "ignored\n");
    write(&path, ".gitattributes", "*.bin -text\n");
    write(&path, ".amika/config.toml", "");
    commit_all(&path, "second");
    git(&path, &["gc", "-q"]);
    git(&path, &["commit-graph", "write", "--reachable"]);
    git(&path, &["multi-pack-index", "write"]);
    write(&path, "a.txt", "third\n");
    commit_all(&path, "third");
    git(&path, &["config", "extensions.worktreeConfig", "true"]);
    host.simple("repo/embedded");
    path
}

fn pack(path: &Path, kind: &str) -> PathBuf {
    let packs = std::fs::read_dir(path.join(".git/objects/pack")).unwrap();
    let mut packs = packs.map(|entry| entry.unwrap().path());
    packs
        .find(|path| path.extension().is_some_and(|found| found == kind))
        .unwrap()
}

#[test]
fn a_fifo_in_any_place_is_not_waited_for() {
    let places = [
        ".git/HEAD",
        ".git/config",
        ".git/config.worktree",
        ".git/commondir",
        ".git/index",
        ".git/packed-refs",
        ".git/refs",
        ".git/refs/heads/main",
        ".git/refs/heads/pipe",
        ".git/shallow",
        ".git/info",
        ".git/info/exclude",
        ".git/info/attributes",
        ".git/info/grafts",
        ".git/info/sparse-checkout",
        ".git/objects",
        ".git/objects/pack",
        ".git/objects/info/alternates",
        ".git/objects/info/commit-graph",
        ".git/objects/pack/multi-pack-index",
        ".git/MERGE_MSG",
        ".git/MERGE_HEAD",
        ".git/rebase-merge/done",
        ".git/logs/refs/stash",
        ".git/hooks/post-checkout",
        "PACK.idx",
        "PACK.pack",
        "LOOSE",
        ".gitmodules",
        ".gitignore",
        ".gitattributes",
        ".amika/config.toml",
        "src/.gitignore",
        "src/.gitattributes",
        "new/deep/.gitignore",
        "embedded/.git/HEAD",
        "embedded/.git/commondir",
        "embedded/.git/config",
        "embedded/.git/index",
    ];
    let first = Host::new();
    let template = &full(&first);
    std::thread::scope(|scope| {
        for half in places.chunks(places.len().div_ceil(3)) {
            scope.spawn(move || {
                for place in half {
                    let host = Host::new();
                    let path = host.path("repo");
                    let mut copy = std::process::Command::new("cp");
                    let made = copy.arg("-a").arg(template).arg(&path).status();
                    assert!(made.unwrap().success());
                    let at = match *place {
                        "PACK.idx" => pack(&path, "idx"),
                        "PACK.pack" => pack(&path, "pack"),
                        "LOOSE" => {
                            let oid = git(&path, &["rev-parse", "HEAD:a.txt"]);
                            path.join(".git/objects").join(&oid[..2]).join(&oid[2..])
                        }
                        place => path.join(place),
                    };
                    fifo(&at);
                    for mode in MODES {
                        let ended = ends(&path, mode);
                        // What git itself has to open it cannot do without.
                        let is_gits = place.ends_with("ignore") || *place == "LOOSE";
                        assert!(!is_gits || ended.is_err(), "{place} {mode:?}");
                        // What git waited for is named, and is not only guessed at.
                        if let Err(said) = ended {
                            let is_named = said.contains(at.to_str().unwrap());
                            let is_of_tree = *place != "LOOSE" && is_gits;
                            assert!(is_named || !is_of_tree, "{place} {mode:?}: {said}");
                            let is_guessed = said.contains("did not answer");
                            assert!(!is_guessed, "{place} {mode:?}: {said}");
                        }
                    }
                }
            });
        }
    });
}

#[test]
fn what_git_passes_over_is_passed_over() {
    let host = Host::new();
    let path = full(&host);
    std::fs::remove_file(path.join(".gitignore")).unwrap();
    std::fs::remove_file(path.join(".gitattributes")).unwrap();
    let _listener = std::os::unix::net::UnixListener::bind(path.join(".gitignore")).unwrap();
    symlink("/dev/zero", path.join(".gitattributes")).unwrap();
    fifo(&path.join("pipe"));
    symlink("../pipe", path.join("src/.gitignore")).unwrap();
    for mode in MODES {
        let ended = ends(&path, mode);
        assert!(ended.is_ok(), "{mode:?}: {ended:?}");
    }
}

#[test]
fn a_fifo_that_the_configuration_names_is_not_waited_for() {
    for key in [
        "include.path",
        "core.excludesFile",
        "core.attributesFile",
        "diff.orderFile",
    ] {
        let host = Host::new();
        let path = host.simple("repo");
        fifo(&path.join("pipe"));
        let named = if key == "include.path" {
            "../pipe"
        } else {
            "pipe"
        };
        git(&path, &["config", "core.bare", "false"]);
        let mut config = std::fs::read_to_string(path.join(".git/config")).unwrap();
        let (section, variable) = key.split_once('.').unwrap();
        for part in ["[", section, "]\n\t", variable, " = ", named, "\n"] {
            config.push_str(part);
        }
        write(&path, ".git/config", config);
        for mode in MODES {
            let ended = ends(&path, mode);
            assert!(ended.is_ok(), "{key} {mode:?}: {ended:?}");
        }
    }
}

/// A repository of somebody's, with a secret that is committed, and one that is not.
fn private(host: &Host) -> PathBuf {
    let private = host.simple("private");
    write(&private, "committed", SECRET);
    let lfs = "4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393";
    let stored = format!(".git/lfs/objects/4d/7a/{lfs}");
    commit_all(&private, "private");
    write(&private, "uncommitted", SECRET);
    write(&private, ".git/info/exclude", SECRET);
    write(&private, ".git/info/attributes", format!("# {SECRET}\n"));
    write(&private, stored, SECRET);
    private
}

/// No file of a copy has the secret, nor any object of it.
fn is_without_secret(copied: &Copied) {
    let found = std::process::Command::new("grep")
        .args(["-r", SECRET])
        .arg(copied.path())
        .output()
        .expect("grep runs");
    assert_eq!(found.status.code(), Some(1), "{found:?}");
    let all = copied.git(&[
        "cat-file",
        "--batch-all-objects",
        "--batch-check=%(objectname)",
    ]);
    for oid in all.lines() {
        assert!(!copied.git(&["cat-file", "-p", oid]).contains(SECRET));
    }
}

#[test]
fn links_in_a_git_directory_lead_nowhere() {
    for (name, target) in [
        ("info", "../../private/.git/info"),
        ("objects/pack", "../../../private/.git/objects/pack"),
        ("objects/info", "../../../private/.git/objects/info"),
        ("objects", "../../private/.git/objects"),
        ("refs", "../../private/.git/refs"),
        ("refs/remotes", "../../../private/.git/refs/heads"),
        (
            "refs/heads/other",
            "../../../../private/.git/refs/heads/main",
        ),
        ("packed-refs", "../../private/.git/packed-refs"),
        ("HEAD", "../../private/.git/HEAD"),
        ("index", "../../private/.git/index"),
        ("config", "../../private/.git/config"),
        ("modules", "../../private/.git/modules"),
        ("lfs", "../../private/.git/lfs"),
        ("lfs/objects", "../../../private/.git/lfs/objects"),
        ("logs/refs/stash", "../../../../private/uncommitted"),
        ("shallow", "../../private/uncommitted"),
        ("info/sparse-checkout", "../../../private/uncommitted"),
        ("rebase-merge/message", "../../../private/uncommitted"),
    ] {
        let host = Host::new();
        let private = private(&host);
        git(&private, &["gc", "-q"]);
        let path = host.simple("repo");
        let lfs = "4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393";
        let size = SECRET.len();
        let pointer =
            format!("version https://git-lfs.github.com/spec/v1\noid sha256:{lfs}\nsize {size}\n");
        write(&path, ".gitattributes", "*.bin filter=lfs\n");
        write(&path, "x.bin", pointer);
        commit_all(&path, "lfs");
        let place = path.join(".git").join(name);
        let _ = std::fs::remove_file(&place);
        let _ = std::fs::remove_dir_all(&place);
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        symlink(target, &place).unwrap();
        for mode in MODES {
            match open(request(&path, mode)) {
                Ok(_) => is_without_secret(&copy(request(&path, mode))),
                Err(refused) => {
                    let said = format!("{refused}: {:?}", std::error::Error::source(&refused));
                    let last = name.rsplit('/').next().unwrap();
                    assert!(
                        said.contains(last) || said.contains("repository"),
                        "{name}: {said}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_store_of_lfs_that_the_repository_names_is_its_own() {
    let host = Host::new();
    let private = private(&host);
    let path = host.simple("repo");
    let lfs = "4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393";
    let size = SECRET.len();
    write(&path, ".gitattributes", "*.bin filter=lfs\n");
    write(
        &path,
        "x.bin",
        format!("version https://git-lfs.github.com/spec/v1\noid sha256:{lfs}\nsize {size}\n"),
    );
    commit_all(&path, "lfs");
    let absolute = private.join(".git/lfs");
    for storage in [
        absolute.to_str().unwrap(),
        "../../private/.git/lfs",
        "x/../../../private/.git/lfs",
    ] {
        git(&path, &["config", "lfs.storage", storage]);
        for mode in MODES {
            is_without_secret(&copy(request(&path, mode)));
        }
    }
    write(
        &path,
        format!(".git/kept/objects/4d/7a/{lfs}"),
        "x".repeat(size),
    );
    git(&path, &["config", "lfs.storage", "kept"]);
    let copied = copy(request(&path, Copy::Clean));
    assert_eq!(copied.read("x.bin"), "x".repeat(size));
}

#[test]
fn of_what_is_borrowed_only_that_comes_which_refs_reach() {
    let host = Host::new();
    let private = private(&host);
    let shared = git(&private, &["rev-parse", "HEAD~1"]);
    for is_packed in [false, true] {
        if is_packed {
            git(&private, &["gc", "-q"]);
        }
        let path = host.simple(if is_packed { "packed" } else { "loose" });
        // Of the first commit, which it does not have itself.
        git(&path, &["config", "core.bare", "false"]);
        write(
            &path,
            ".git/objects/info/alternates",
            "../../../private/.git/objects\n",
        );
        git(&path, &["update-ref", "refs/heads/borrowed", &shared]);
        for mode in MODES {
            let copied = copy(request(&path, mode));
            is_without_secret(&copied);
            assert_eq!(copied.git(&["rev-parse", "borrowed"]), shared);
            assert_eq!(copied.git(&["show", "borrowed:a.txt"]), "one");
            let place = private.join(".git/objects");
            let warnings = &copied.repository.facts().warnings;
            assert!(
                warnings
                    .iter()
                    .any(|said| said.contains(place.to_str().unwrap())),
                "{warnings:?}"
            );
            assert!(!copied.has(".git/objects/info/alternates"));
        }
    }
}

#[test]
fn a_git_directory_elsewhere_must_know_the_work_tree() {
    let host = Host::new();
    let private = private(&host);
    git(&private, &["worktree", "add", "-q", "--detach", "../other"]);
    git(&private, &["clone", "-q", "--bare", ".", "../bare.git"]);
    let bare = host.path("bare.git");
    for target in [
        private.join(".git"),
        private.join(".git/worktrees/other"),
        bare.clone(),
    ] {
        for is_link in [false, true] {
            let path = host.path("claimer");
            let _ = std::fs::remove_dir_all(&path);
            write(&path, "a.txt", "x");
            if is_link {
                symlink(&target, path.join(".git")).unwrap();
            } else {
                write(&path, ".git", format!("gitdir: {}\n", target.display()));
            }
            for mode in MODES {
                let refused = open(request(&path, mode)).err().expect("refused");
                assert!(
                    matches!(refused, GitError::Foreign { .. }),
                    "{} {is_link} {mode:?}: {refused}",
                    target.display()
                );
            }
        }
    }
    // The work tree that it does know is copied, and so is one that nothing else has.
    assert!(copy(request(&host.path("other"), DIRTY)).has("committed"));
    let path = host.path("tree");
    std::fs::create_dir(&path).unwrap();
    git(
        &path,
        &["init", "-q", "-b", "main", "--separate-git-dir=../apart"],
    );
    write(&path, "a.txt", "one\n");
    commit_all(&path, "first");
    // Git does not note there whose it is: it could be anybody's that a file in some directory leads to.
    let borrower = host.path("borrower");
    std::fs::create_dir(&borrower).unwrap();
    write(&borrower, ".git", "gitdir: ../apart\n");
    for mode in MODES {
        for tree in [&path, &borrower] {
            let refused = open(request(tree, mode)).err().expect("it is nobody's");
            assert!(matches!(refused, GitError::Foreign { .. }), "{refused}");
        }
    }
    git(&path, &["config", "core.worktree", "../tree"]);
    for mode in MODES {
        let copied = copy(request(&path, mode));
        assert_eq!(copied.read("a.txt"), "one\n");
        assert_eq!(copied.git(&["status", "--porcelain"]), "");
    }
    let refused = open(request(&borrower, DIRTY))
        .err()
        .expect("it is another's");
    assert!(matches!(refused, GitError::Foreign { .. }), "{refused}");
}

#[test]
fn an_object_that_is_another_decides_nothing() {
    let host = Host::new();
    let path = host.simple("repo");
    write(&path, ".amika/config.toml", "# the true one\n");
    write(&path, ".gitattributes", "*.txt text\n");
    write(&path, ".gitmodules", "# none\n");
    commit_all(&path, "config");
    let oid = |name: &str| git(&path, &["rev-parse", name]);
    let place = |oid: &str| path.join(".git/objects").join(&oid[..2]).join(&oid[2..]);
    write(&path, "lie", "# the false one\n");
    let lie = git(&path, &["hash-object", "-w", "lie"]);
    let other = git(&path, &["rev-parse", "HEAD~1"]);
    let tree = git(&path, &["rev-parse", "HEAD~1^{tree}"]);
    std::fs::remove_file(path.join("lie")).unwrap();
    for (name, by) in [
        ("HEAD:.amika/config.toml", &lie),
        ("HEAD:.gitattributes", &lie),
        ("HEAD", &other),
        ("HEAD^{tree}", &tree),
        ("HEAD:src", &tree),
    ] {
        let at = place(&oid(name));
        let kept = std::fs::read(&at).unwrap();
        std::fs::remove_file(&at).unwrap();
        std::fs::copy(place(by), &at).unwrap();
        let opened = open(request(&path, Copy::Clean));
        let refused = match opened {
            Err(refused) => refused,
            Ok(repository) => block_on(repository.config_toml()).expect_err(name),
        };
        assert!(matches!(refused, GitError::Lie { .. }), "{name}: {refused}");
        std::fs::remove_file(&at).unwrap();
        std::fs::write(&at, kept).unwrap();
    }
    assert!(open(request(&path, Copy::Clean)).is_ok());
}

#[test]
fn a_few_objects_that_stand_for_millions_of_files_are_refused() {
    let host = Host::new();
    let path = host.simple("repo");
    let blob = git(&path, &["rev-parse", "HEAD:a.txt"]);
    let mut below = (String::from("100644 blob"), blob);
    for _ in 0..7 {
        let lines: Vec<String> = (0..10)
            .map(|number| format!("{} {}\tf{number}\n", below.0, below.1))
            .collect();
        let lines = lines.concat();
        let mut child = git_command(&path, &["mktree"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        std::io::Write::write_all(&mut stdin, lines.as_bytes()).unwrap();
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        let tree = String::from_utf8(output.stdout).unwrap().trim().to_owned();
        below = (String::from("040000 tree"), tree);
    }
    let commit = git(&path, &["commit-tree", "-m", "bomb", &below.1]);
    git(&path, &["update-ref", "refs/heads/bomb", &commit]);
    let asked = amika_git::Request {
        branch: Some("bomb".into()),
        ..request(&path, Copy::Clean)
    };
    let refused = open(asked).err().expect("refused");
    assert!(
        matches!(refused, GitError::TooManyFiles { .. }),
        "{refused}"
    );
}

#[test]
fn a_format_that_is_not_known_is_refused_by_name() {
    for (text, named) in [
        ("[core]\n\trepositoryformatversion = 2\n", "version 2"),
        (
            "[core]\n\trepositoryformatversion = 1\n[extensions]\n\tsurprise = true\n",
            "extensions.surprise",
        ),
        (
            "[core]\n\trepositoryformatversion = 1\n[extensions]\n\tobjectFormat = sha512\n",
            "sha512",
        ),
        (
            "[core]\n\trepositoryformatversion = 0\n[extensions]\n\tobjectFormat = sha256\n",
            "version 0",
        ),
        (
            "[core]\n\trepositoryformatversion = 1\n[extensions]\n\tobjectFormat = sha256\n",
            "packed-refs",
        ),
        (
            "[core]\n\trepositoryformatversion = 1\n[extensions]\n\trefStorage = reftable\n",
            "reftable",
        ),
        ("[core\n", "line 1"),
        ("[core]\n\tautocrlf = sh\n", "core.autocrlf"),
    ] {
        let host = Host::new();
        let path = host.simple("repo");
        git(&path, &["pack-refs", "--all"]);
        git(&path, &["checkout", "-q", "-b", "unborn-like"]);
        write(&path, ".git/config", text);
        for mode in MODES {
            let refused = open(request(&path, mode)).err().expect(text);
            assert!(
                matches!(refused, GitError::NotUnderstood { .. }),
                "{text}: {refused}"
            );
            assert!(refused.to_string().contains(named), "{text}: {refused}");
        }
    }
}

#[test]
fn a_mail_map_of_a_repository_with_a_table_of_refs_is_not_waited_for() {
    let host = Host::new();
    let path = host.empty("repo", &["--ref-format=reftable"]);
    write(&path, "a.txt", "one\n");
    commit_all(&path, "first");
    write(&path, "a.txt", "stashed\n");
    git(&path, &["stash", "-q"]);
    fifo(&path.join(".mailmap"));
    for mode in MODES {
        let ended = ends(&path, mode);
        assert!(ended.is_ok(), "{mode:?}: {ended:?}");
    }
}

#[test]
fn a_linked_work_tree_with_a_table_of_refs_is_copied() {
    let host = Host::new();
    let path = host.empty("repo", &["--ref-format=reftable"]);
    write(&path, "a.txt", "one\n");
    commit_all(&path, "first");
    git(
        &path,
        &["worktree", "add", "-q", "../linked", "-b", "linked"],
    );
    let linked = host.path("linked");
    write(&linked, "a.txt", "two\n");
    let copied = copy(request(&linked, DIRTY));
    assert_eq!(status(&copied.path()), status(&linked));
    assert_eq!(copied.git(&["branch", "--show-current"]), "linked");
}

#[test]
fn what_the_users_configuration_includes_for_a_place_holds_there() {
    let config = "[user]\n\tname = Everywhere\n\temail = e@example.com\n\
        [includeIf \"gitdir:**/work/**\"]\n\tpath = ~/work.inc\n\
        [includeIf \"hasconfig:remote.*.url:https://example.com/**\"]\n\tpath = ~/remote.inc\n";
    let this = "hostile_parts::what_the_users_configuration_includes_for_a_place_holds_there";
    let files = [
        (".gitconfig", config),
        (
            "work.inc",
            "[user]\n\tname = At Work\n[filter \"up\"]\n\tsmudge = tr a-z A-Z\n",
        ),
        ("remote.inc", "[user]\n\temail = r@example.com\n"),
    ];
    if !is_user_with(this, &files) {
        return;
    }
    let host = Host::new();
    for (name, expected, content) in [
        ("home/repo", "Everywhere", "one\n"),
        ("work/repo", "At Work", "ONE\n"),
    ] {
        let path = host.simple(name);
        git(&path, &["config", "--remove-section", "user"]);
        git(
            &path,
            &["config", "remote.origin.url", "https://example.com/a.git"],
        );
        write(&path, ".gitattributes", "*.txt filter=up\n");
        commit_all(&path, "attributes");
        let copied = copy(request(&path, Copy::Clean));
        assert_eq!(copied.git(&["config", "--local", "user.name"]), expected);
        assert_eq!(
            copied.git(&["config", "--local", "user.email"]),
            "r@example.com"
        );
        assert_eq!(copied.read("a.txt"), content);
    }
}

#[test]
fn a_user_who_trusts_no_bare_repository_that_is_found_can_copy_all() {
    let config =
        "[safe]\n\tbareRepository = explicit\n[user]\n\tname = Me\n\temail = me@example.com\n";
    let this = "hostile_parts::a_user_who_trusts_no_bare_repository_that_is_found_can_copy_all";
    if !is_user_with(this, &[(".gitconfig", config)]) {
        return;
    }
    let host = Host::new();
    let path = host.simple("repo");
    git(&path, &["clone", "-q", "--bare", ".", "../bare.git"]);
    let url = format!("file://{}", host.path("bare.git").display());
    let asked = amika_git::Request {
        spec: Some(url),
        ..amika_git::Request::default()
    };
    assert_eq!(copy(asked).read("a.txt"), "one\n");
    for place in [path, host.path("bare.git")] {
        assert_eq!(copy(request(&place, Copy::Clean)).read("a.txt"), "one\n");
    }
}

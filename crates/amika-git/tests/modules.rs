//! Submodules, repositories inside repositories, and LFS.

use amika_git::{Copy, Kind};
use pretty_assertions::assert_eq;

use crate::support::*;

/// `repo` with the submodule `lib` (named `the lib`), which has the submodule `deep`.
fn nested(host: &Host) -> std::path::PathBuf {
    let deep = host.simple("deep");
    let lib = host.simple("lib");
    git(
        &lib,
        &[
            "submodule",
            "--quiet",
            "add",
            deep.to_str().unwrap(),
            "vendor/deep",
        ],
    );
    commit_all(&lib, "deep");
    let path = host.simple("repo");
    git(
        &path,
        &[
            "submodule",
            "--quiet",
            "add",
            "--name",
            "the lib",
            lib.to_str().unwrap(),
            "ext/lib",
        ],
    );
    git(
        &path,
        &["submodule", "--quiet", "update", "--init", "--recursive"],
    );
    git(
        &path.join("ext/lib/vendor/deep"),
        &["config", "user.name", "Deep User"],
    );
    commit_all(&path, "lib");
    path
}

#[test]
fn files_of_submodules_are_found_by_their_paths() {
    let host = Host::new();
    let path = nested(&host);
    for mode in [Copy::Clean, DIRTY] {
        let repository = open(request(&path, mode)).unwrap();
        let kind = |path| block_on(repository.entry(path)).unwrap().map(|it| it.kind);
        let file = Some(Kind::File { executable: false });
        assert_eq!(kind("ext/lib/vendor/deep/src/b.txt"), file, "{mode:?}");
        assert_eq!(kind("ext/lib/a.txt"), file, "{mode:?}");
        for directory in [
            "ext",
            "ext/lib",
            "ext/lib/vendor/deep",
            "ext/lib/vendor/deep/src",
        ] {
            assert_eq!(
                kind(directory),
                Some(Kind::Directory),
                "{mode:?} {directory}"
            );
        }
        for missing in [
            "ext/lib/nope",
            "ext/li",
            "ext/lib/vendor/deep/src/b",
            "ext/lib/.git",
        ] {
            assert_eq!(kind(missing), None, "{mode:?} {missing}");
        }
    }
}

#[test]
fn submodules_are_filled_at_every_depth() {
    let host = Host::new();
    let path = nested(&host);
    for mode in [Copy::Clean, DIRTY] {
        let copied = copy(request(&path, mode));
        assert_eq!(tree(&copied.path()), tree(&path), "{mode:?}");
        assert_eq!(copied.git(&["status", "--porcelain"]), "", "{mode:?}");
        assert_eq!(
            copied.git(&["submodule", "status", "--recursive"]),
            git(&path, &["submodule", "status", "--recursive"])
        );
        let inner = copied.path().join("ext/lib/vendor/deep");
        assert_eq!(git(&inner, &["status", "--porcelain"]), "");
        assert_eq!(
            git(&inner, &["config", "--local", "user.name"]),
            "Deep User"
        );
        assert!(
            copied
                .path()
                .join(".git/modules/the lib/modules/vendor/deep/HEAD")
                .exists()
        );
    }
}

#[test]
fn a_changed_submodule_shows_as_on_the_host() {
    let host = Host::new();
    let path = nested(&host);
    write(&path, "ext/lib/a.txt", "changed\n");
    write(&path, "ext/lib/untracked", "untracked\n");
    let moved = path.join("ext/lib/vendor/deep");
    write(&moved, "a.txt", "new commit\n");
    commit_all(&moved, "moved");
    let copied = copy(request(&path, DIRTY));
    assert_eq!(status(&copied.path()), status(&path));
    assert_eq!(
        status(&copied.path().join("ext/lib")),
        status(&path.join("ext/lib"))
    );
    // Clean means what is recorded, whatever is checked out.
    let clean = copy(request(&path, Copy::Clean));
    assert_eq!(clean.git(&["status", "--porcelain"]), "");
    assert_eq!(clean.read("ext/lib/a.txt"), "one\n");
}

#[test]
fn a_submodule_that_the_host_lacks_is_an_empty_directory_and_a_warning() {
    let host = Host::new();
    let path = nested(&host);
    git(
        &path,
        &["submodule", "--quiet", "deinit", "--all", "--force"],
    );
    std::fs::remove_dir_all(path.join(".git/modules")).unwrap();
    let copied = copy(request(&path, Copy::Clean));
    assert_eq!(
        std::fs::read_dir(copied.path().join("ext/lib"))
            .unwrap()
            .count(),
        0
    );
    assert_eq!(copied.git(&["status", "--porcelain"]), "");
    let warnings = &copied.repository.facts().warnings;
    assert!(
        warnings.iter().any(|warning| warning.contains("ext/lib")),
        "{warnings:?}"
    );
}

#[test]
fn submodules_of_a_url_are_for_the_sandbox_to_fetch() {
    let host = Host::new();
    let path = nested(&host);
    let asked = amika_git::Request {
        spec: Some(format!("file://{}", path.display())),
        ..amika_git::Request::default()
    };
    let copied = copy(asked);
    let warnings = &copied.repository.facts().warnings;
    let said = warnings.iter().find(|said| said.contains("ext/lib"));
    assert!(
        said.is_some_and(|said| said.contains("in the sandbox") && !said.contains("machine")),
        "{warnings:?}"
    );
    copied.git(&["submodule", "--quiet", "update", "--init"]);
    assert_eq!(copied.read("ext/lib/a.txt"), "one\n");
}

#[test]
fn a_submodule_comes_from_a_linked_work_tree_too() {
    let host = Host::new();
    let path = nested(&host);
    git(
        &path,
        &["worktree", "add", "-q", "../linked", "-b", "linked"],
    );
    let copied = copy(request(&host.path("linked"), Copy::Clean));
    assert_eq!(copied.read("ext/lib/vendor/deep/a.txt"), "one\n");
    assert_eq!(copied.git(&["status", "--porcelain"]), "");
}

#[test]
fn a_repository_that_is_no_submodule_comes_with_uncommitted_work() {
    let host = Host::new();
    let path = host.simple("repo");
    let inner = host.simple("repo/inner");
    write(&inner, "a.txt", "changed\n");
    git(
        &inner,
        &["config", "remote.origin.url", "https://TOKEN@example.com/a"],
    );
    let copied = copy(request(&path, DIRTY));
    assert_eq!(status(&copied.path()), status(&path));
    assert_eq!(
        git(&copied.path().join("inner"), &["status", "--porcelain"]),
        " M a.txt"
    );
    assert!(!copied.read("inner/.git/config").contains("TOKEN"));
}

#[test]
fn lfs_content_that_the_host_has_is_in_the_copy() {
    let host = Host::new();
    let path = host.empty("repo", &[]);
    git(&path, &["lfs", "install", "--local", "--skip-repo"]);
    git(&path, &["lfs", "track", "--", "*.bin"]);
    write(&path, "here.bin", vec![1; 100_000]);
    write(&path, "twice.bin", vec![1; 100_000]);
    write(&path, "gone.bin", "content that is nowhere\n");
    commit_all(&path, "lfs");
    let oid = git(
        &path,
        &["lfs", "ls-files", "--long", "--include", "gone.bin"],
    );
    let oid = oid.split(' ').next().unwrap();
    std::fs::remove_file(path.join(format!(
        ".git/lfs/objects/{}/{}/{oid}",
        &oid[..2],
        &oid[2..4]
    )))
    .unwrap();
    let copied = copy(request(&path, Copy::Clean));
    assert_eq!(
        std::fs::read(copied.path().join("here.bin")).unwrap(),
        vec![1; 100_000]
    );
    assert_eq!(
        std::fs::read(copied.path().join("twice.bin")).unwrap(),
        vec![1; 100_000]
    );
    assert!(
        copied
            .read("gone.bin")
            .starts_with("version https://git-lfs")
    );
    assert_eq!(copied.git(&["status", "--porcelain"]), "");
    assert!(copied.git(&["lfs", "ls-files"]).contains("* here.bin"));
    let warnings = &copied.repository.facts().warnings;
    assert!(
        warnings
            .iter()
            .any(|warning| warning.contains("1 LFS file")),
        "{warnings:?}"
    );

    write(&path, "here.bin", vec![2; 50]);
    let copied = copy(request(&path, DIRTY));
    assert_eq!(status(&copied.path()), status(&path));
    assert_eq!(tree(&copied.path()), tree(&path));
}

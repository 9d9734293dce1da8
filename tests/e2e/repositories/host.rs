//! Repositories of the host, made by the real git, and what is told of them there and in a sandbox.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::support::{Sandbox, Stage};

/// What the user is called on the host.
pub(super) const USER: &str = "Host User <host@example.org>";
/// A password in the URL of a remote.
pub(super) const TOKEN: &str = "ghp_s3cretTOKEN";

/// Git's word and the file system's on a repository: files by content, links by target, the
/// executable bit, state, place, tracking branches, and the user.
const FACTS: &str = r#"
export LC_ALL=C GIT_OPTIONAL_LOCKS=0
files() { find . -name .git -prune -o "$@" -print0 | sort -z; }
lines() { tr '\n\0' '\001\n'; }
echo == state;      git status --porcelain=v2 --branch --untracked-files=all -z | lines
echo == content;    files -type f | xargs -0 -r sha256sum -z | lines
echo == links;      find . -name .git -prune -o -type l -printf '%p -> %l\0' | sort -z | lines
echo == executable; files -type f -perm -u+x | lines
echo == head;       git symbolic-ref -q HEAD || echo detached; git rev-parse -q --verify HEAD; git rev-list --count --all
echo == shallow;    git rev-parse --is-shallow-repository
echo == remotes;    git remote -v; git for-each-ref --format='%(refname) %(objectname)' refs/remotes refs/tags
echo == submodules; git submodule status --recursive
echo == lfs;        git lfs ls-files 2>/dev/null
echo == user;       git config user.name; git config user.email
"#;

/// What must hold of every copy; prints what does not.
const SOUND: &str = r#"
[ "$(id -un)" = amika ] || echo "not the agent: $(id)"
find . ! -user amika -o ! -group amika | head -n 3 | sed 's/^/not the agent'"'"'s: /'
git fsck --full --strict --no-progress 2>&1 | grep -v '^notice: '
git submodule foreach -q --recursive 'git fsck --full --no-progress' 2>&1 | grep -v '^notice: '
grep -rl "$1" .git | sed 's/^/holds the token: /'
git commit -q --allow-empty -m inside 2>&1
[ "$(git log -1 --format='%an <%ae> %cn <%ce> %s')" = "$2 $2 inside" ] || git log -1 --format='committed by %an <%ae>'
"#;

/// Tells the stage's git who the user is, as a person's own configuration does.
pub(super) fn introduce(stage: &Stage) {
    let config = "[user]\n\tname = Host User\n\temail = host@example.org\n[init]\n\tdefaultBranch = main\n[protocol \"file\"]\n\tallow = always\n[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n[advice]\n\tdetachedHead = false\n";
    stage.file(".gitconfig", config);
}

/// Runs a script in a directory of the host; it must succeed.
pub(super) fn run(stage: &Stage, dir: &Path, script: &str) -> String {
    let script = format!("set -euo pipefail\n{script}");
    let output = stage.shell(&script, &[]).dir(dir).output();
    assert_eq!(output.code, 0, "{output:?}\n{script}");
    output.stdout_text()
}

/// What git and the file system tell of a repository of the host, as a copy has it: a password in a
/// URL is no part of that.
pub(super) fn facts(stage: &Stage, repository: &Path) -> Vec<String> {
    let told = stage.shell(FACTS, &[]).dir(repository).output();
    lines(&told.stdout_text().replace(&format!("me:{TOKEN}@"), ""))
}

/// The same of the repository in a sandbox.
pub(super) fn facts_inside(sandbox: &Sandbox<'_>) -> Vec<String> {
    lines(&sandbox.exec(&["bash", "-c", FACTS]).output().stdout_text())
}

fn lines(text: &str) -> Vec<String> {
    assert!(text.ends_with("host@example.org\n"), "{text}");
    text.lines().map(str::to_owned).collect()
}

/// Asserts that the copy is whole and the agent's, holds no password, and takes a commit of the
/// host's user.
pub(super) fn is_sound(sandbox: &Sandbox<'_>) {
    let script = ["bash", "-c", SOUND, "sound", TOKEN, USER];
    let checked = sandbox.exec(&script).output();
    assert_eq!(checked.text(), "", "{checked:?}");
}

/// All that the file system tells of a path and that reading does not change.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    mode: u32,
    owner: (u32, u32),
    inode: u64,
    links: u64,
    /// Seconds and nanoseconds of the last change of the content, and of the inode.
    times: [(i64, i64); 2],
    content: Vec<u8>,
}

/// Every path beneath a directory, `.git` included.
pub(super) fn fingerprint(root: &Path) -> BTreeMap<PathBuf, Entry> {
    let mut found = BTreeMap::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        found.insert(directory.clone(), entry(&directory));
        for child in std::fs::read_dir(&directory).unwrap() {
            let path = child.unwrap().path();
            if path.symlink_metadata().unwrap().is_dir() {
                directories.push(path);
            } else {
                found.insert(path.clone(), entry(&path));
            }
        }
    }
    found
}

fn entry(path: &Path) -> Entry {
    use std::os::unix::ffi::OsStringExt as _;
    let meta = path.symlink_metadata().unwrap();
    let content = if meta.is_file() {
        std::fs::read(path).unwrap()
    } else if meta.is_symlink() {
        path.read_link().unwrap().into_os_string().into_vec()
    } else {
        Vec::new()
    };
    Entry {
        mode: meta.mode(),
        owner: (meta.uid(), meta.gid()),
        inode: meta.ino(),
        links: meta.nlink(),
        times: [
            (meta.mtime(), meta.mtime_nsec()),
            (meta.ctime(), meta.ctime_nsec()),
        ],
        content,
    }
}

/// Asserts that nothing beneath a directory is other than it was.
pub(super) fn is_untouched(root: &Path, before: &BTreeMap<PathBuf, Entry>) {
    let now = fingerprint(root);
    let paths = before.keys().chain(now.keys());
    let changed: Vec<&PathBuf> = paths
        .filter(|path| before.get(*path) != now.get(*path))
        .collect();
    assert_eq!(changed, Vec::<&PathBuf>::new());
}

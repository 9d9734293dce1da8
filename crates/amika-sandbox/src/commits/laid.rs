//! What a difference out of a sandbox brings to a work tree here, and which of it git and other programs of this machine
//! would act on by themselves.
//!
//! Git looks at the lines of a patch alone. But a directory with `HEAD`, `objects` and `refs` is a git directory to it,
//! whatever it is called, and it runs what its configuration names as soon as somebody is in it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::FileType;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use amika_core::archive_name::stays_beneath;

use super::name::Oid;
use super::shown;
use crate::cp::inert;

/// What makes a directory one of git's, as git spells it.
const SPELLED: [&str; 4] = ["HEAD", "objects", "refs", "commondir"];
/// Mode of a symbolic link in a tree.
const LINK: &[u8] = b"120000";
const NONE: &[u8] = b"000000";

/// An entry that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub path: PathBuf,
    /// The content of a symbolic link.
    pub link: Option<Oid>,
    /// Whether it is not there any more once the difference is laid on.
    pub is_gone: bool,
}

/// Reads `git diff-tree -r -z --raw --no-renames`; none where it is no such thing.
pub(super) fn entries(raw: &[u8]) -> Option<Vec<Entry>> {
    let mut fields = raw.split(|byte| *byte == 0);
    let mut found = Vec::new();
    while let Some(head) = fields.next().filter(|head| !head.is_empty()) {
        let path = fields.next()?;
        let words: Vec<&[u8]> = head.strip_prefix(b":")?.split(|it| *it == b' ').collect();
        let &[_, mode, _, content, _] = words.as_slice() else {
            return None;
        };
        let link = match mode {
            LINK => Some(Oid::of_any(content)?),
            _ => None,
        };
        found.push(Entry {
            path: PathBuf::from(OsStr::from_bytes(path)),
            link,
            is_gone: mode == NONE,
        });
    }
    Some(found)
}

/// Why a difference is not laid on a work tree: what of it is what, in words for an error.
pub(super) fn refused(
    entries: &[Entry],
    targets: &BTreeMap<Oid, Vec<u8>>,
    tree: &dyn Fn(&Path) -> Option<FileType>,
) -> Option<String> {
    let named = |path: &Path| shown(path.as_os_str().as_bytes());
    for entry in entries {
        if let Some(why) = inert::foreign(&entry.path, entry.link.is_some()) {
            return Some(format!("{}: {why}", named(&entry.path)));
        }
        let Some(link) = &entry.link else { continue };
        let target = targets.get(link).map(Vec::as_slice).unwrap_or_default();
        if !stays(&entry.path, target, tree) {
            return Some(format!(
                "{} is a link to {}, out of the repository",
                named(&entry.path),
                shown(target)
            ));
        }
    }
    if let Some(directory) = git_directory(entries, tree) {
        let place = match named(&directory) {
            here if here.is_empty() => ".".to_owned(),
            place => place,
        };
        return Some(format!(
            "{place} would be a git directory, whose configuration names programs that git here runs"
        ));
    }
    // Git reads these before it writes, and waits for whoever would write into a pipe.
    let read = entries.iter().flat_map(|entry| {
        let above = entry.path.ancestors().skip(1);
        let attributes = above.map(|directory| directory.join(".gitattributes"));
        attributes.chain([entry.path.clone()])
    });
    let read: BTreeSet<PathBuf> = read.collect();
    read.iter()
        .find(|path| tree(path).is_some_and(is_odd))
        .map(|path| {
            format!(
                "{} is neither a file, a link nor a directory here",
                named(path)
            )
        })
}

/// Whether a link leads to a place of the repository, which is neither git's own nor behind a link that is here already.
fn stays(path: &Path, target: &[u8], tree: &dyn Fn(&Path) -> Option<FileType>) -> bool {
    let depth = path.iter().count().saturating_sub(1);
    if !stays_beneath(target, depth) {
        return false;
    }
    let mut at = path.parent().unwrap_or(Path::new("")).to_owned();
    for part in Path::new(OsStr::from_bytes(target)) {
        match part.as_bytes() {
            b"." => continue,
            b".." => {
                at.pop();
                continue;
            }
            _ if inert::fold(part) == ".git" => return false,
            _ => at.push(part),
        }
        if tree(&at).is_some_and(|kind| kind.is_symlink()) {
            return false;
        }
    }
    true
}

/// Paths on which direnv, editors or agents of this machine act.
pub(super) fn acted_on(entries: &[Entry]) -> Vec<PathBuf> {
    let is_acted_on = |path: &Path| {
        let parents = path.parent().unwrap_or(Path::new(""));
        path.file_name()
            .is_some_and(|name| inert::is_acted_on(parents, name))
    };
    let found = entries.iter().filter(|entry| is_acted_on(&entry.path));
    found.map(|entry| entry.path.clone()).collect()
}

/// A directory that something comes into and that is a git directory afterwards, however its names are spelled.
fn git_directory(entries: &[Entry], tree: &dyn Fn(&Path) -> Option<FileType>) -> Option<PathBuf> {
    let mut names: BTreeMap<String, (PathBuf, BTreeSet<String>)> = BTreeMap::new();
    for entry in entries.iter().filter(|entry| !entry.is_gone) {
        let mut path = entry.path.as_path();
        while let (Some(directory), Some(name)) = (path.parent(), path.file_name()) {
            let folded: Vec<String> = directory.iter().map(inert::fold).collect();
            let (_, of) = names
                .entry(folded.join("/"))
                .or_insert_with(|| (directory.to_owned(), BTreeSet::new()));
            of.insert(inert::fold(name));
            path = directory;
        }
    }
    let parts = || SPELLED.iter().map(|name| inert::fold(OsStr::new(name)));
    names.into_values().find_map(|(directory, mut of)| {
        let is_touched = of.contains("config") || parts().any(|part| of.contains(&part));
        // The repository itself is found by its `.git`, before what is around it.
        if !is_touched || directory.as_os_str().is_empty() {
            return None;
        }
        let there = SPELLED
            .iter()
            .filter(|name| tree(&directory.join(name)).is_some());
        of.extend(there.map(|name| inert::fold(OsStr::new(name))));
        let has = |name: &str| of.contains(name);
        let is_gits = has("head") && inert::keeps_objects(has);
        is_gits.then_some(directory)
    })
}

fn is_odd(kind: FileType) -> bool {
    kind.is_fifo() || kind.is_socket() || kind.is_char_device() || kind.is_block_device()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OID: &str = "1111111111111111111111111111111111111111";

    fn files(paths: &[&str]) -> Vec<Entry> {
        let entry = |path: &&str| Entry {
            path: PathBuf::from(path),
            link: None,
            is_gone: false,
        };
        paths.iter().map(entry).collect()
    }

    fn why(paths: &[&str], there: &[&str]) -> Option<String> {
        let kind = std::fs::metadata("/").expect("a root").file_type();
        let there: Vec<PathBuf> = there.iter().map(PathBuf::from).collect();
        let tree = |path: &Path| there.iter().any(|it| it == path).then_some(kind);
        refused(&files(paths), &BTreeMap::new(), &tree)
    }

    #[test]
    fn what_differs_is_read_and_links_are_told_apart() {
        let raw = format!(
            ":000000 100644 {OID} {OID} A\0a b\0:120000 120000 {OID} {OID} M\0l\0:100644 000000 {OID} {OID} D\0gone\0"
        );
        let found = entries(raw.as_bytes()).expect("entries");
        let [file, link, gone] = found.as_slice() else {
            panic!("{found:?}")
        };
        assert_eq!((file.path.as_path(), &file.link), (Path::new("a b"), &None));
        assert_eq!(link.path, Path::new("l"));
        assert!(link.link.is_some());
        assert_eq!((file.is_gone, gone.is_gone), (false, true));
        for broken in ["x\0y\0", ":1 2 3\0y\0", ":000000 100644 a b A"] {
            assert_eq!(entries(broken.as_bytes()), None, "{broken}");
        }
    }

    #[test]
    fn no_directory_becomes_gits_by_any_spelling_or_in_two_steps() {
        for (paths, there) in [
            (
                &["docs/HEAD", "docs/objects/k", "docs/refs/heads/k"][..],
                &[][..],
            ),
            (&["a/HEAD", "A/Objects/k", "a/ReFs/k"], &[]),
            (&["a/b/head.", "a/b/objects", "a/b/refs"], &[]),
            (&["a/HEAD", "a/commondir"], &[]),
            (&["a/HEAD"], &["a/objects", "a/refs"]),
            (&["a/objects/info/x"], &["a/HEAD", "a/refs"]),
            (&["a/config"], &["a/HEAD", "a/objects", "a/refs"]),
            (&["a/commondir"], &["a/HEAD"]),
        ] {
            let why = why(paths, there).unwrap_or_default();
            assert!(why.contains("would be a git directory"), "{paths:?}: {why}");
        }
        for (paths, there) in [
            (&["HEAD", "objects/k", "refs/k"][..], &[][..]),
            (&["a/HEAD", "b/objects/k", "b/refs/k"], &[]),
            (&["a/readme"], &["a/HEAD", "a/objects", "a/refs"]),
            (&["a/config", "a/refs/x"], &[]),
        ] {
            assert_eq!(why(paths, there), None, "{paths:?}");
        }
    }

    #[test]
    fn what_other_systems_keep_and_links_that_lead_out_do_not_come() {
        for path in [
            ".hg/hgrc",
            "a/.jj/repo/x",
            ".SVN/entries",
            "a/.git/config",
            ".git",
        ] {
            assert!(why(&[path], &[]).is_some(), "{path}");
        }
        let link = |path: &str, target: &str| {
            let oid = Oid::of_any(OID.as_bytes()).expect("an oid");
            let entry = Entry {
                path: PathBuf::from(path),
                link: Some(oid.clone()),
                is_gone: false,
            };
            let targets = BTreeMap::from([(oid, target.as_bytes().to_vec())]);
            // A link of this machine is there already.
            let dir = tempfile::tempdir().expect("a directory");
            std::os::unix::fs::symlink("/", dir.path().join("here")).expect("a link");
            let tree = |path: &Path| {
                let found = std::fs::symlink_metadata(dir.path().join(path));
                found.ok().map(|found| found.file_type())
            };
            refused(&[entry], &targets, &tree)
        };
        for (path, target) in [
            ("out", "/etc"),
            ("up", "../x"),
            ("a/b", "../../x"),
            ("a", "b/../c"),
            ("e", ""),
            ("out", ".git/hooks"),
            ("a/out", "../.GIT"),
            ("out", "here/x"),
        ] {
            let why = link(path, target).unwrap_or_default();
            assert!(why.contains("out of the repository"), "{path}: {why}");
        }
        for (path, target) in [("in", "a/b"), ("a/b", "../c"), ("a", "./b")] {
            assert_eq!(link(path, target), None, "{path}");
        }
    }

    #[test]
    fn a_pipe_that_git_would_read_is_named() {
        let dir = tempfile::tempdir().expect("a directory");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            dir.path().join(".gitattributes"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RWXU,
            0,
        )
        .expect("a pipe");
        let tree = |path: &Path| {
            let found = std::fs::symlink_metadata(dir.path().join(path));
            found.ok().map(|found| found.file_type())
        };
        let why = refused(&files(&["a/b"]), &BTreeMap::new(), &tree).unwrap_or_default();
        assert!(why.starts_with(".gitattributes is neither"), "{why}");
    }

    #[test]
    fn what_programs_here_act_on_is_told() {
        let found = acted_on(&files(&["src/a.rs", ".envrc", "a/.vscode/tasks.json"]));
        let names: Vec<_> = found
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        assert_eq!(names, [".envrc", "a/.vscode/tasks.json"]);
    }
}

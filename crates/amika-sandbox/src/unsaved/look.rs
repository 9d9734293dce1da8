//! Whether the archive of a place in a sandbox holds work: pure, whatever the archive comes from.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use amika_core::contract::path;
use amika_core::work;
use tar::{Entry, EntryType};

use amika_core::manifest::Manifest;
use amika_host::archive::{self, Hashing};

/// How many things in a place are named; one more is found, to know that there are more.
pub(super) const NAMED: usize = 5;

/// What is work in a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// All that is there.
    Everything,
    /// What the copy did not have, as its manifest tells.
    NotCopied(Manifest),
    /// What the home did not have when setup was done, as its manifest tells, less what is a cache. The place lies at
    /// this path in the home.
    NotBegun(Arc<Manifest>, PathBuf),
    /// What was written since that second: of copies that no manifest was made of.
    WrittenSince(u64),
}

/// A place to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Look {
    /// Where it is.
    pub place: PathBuf,
    /// What is mounted beneath it: that is looked at by itself, or is no work.
    pub beneath: Vec<PathBuf>,
    /// What counts.
    pub rule: Rule,
    /// Whether it is a copy of host files.
    pub is_copy: bool,
}

/// What an engine makes of a file's time in an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Times {
    /// The second in which it was written.
    Kept,
    /// The nearest second, which may be the one after it: Podman's.
    Rounded,
}

impl Times {
    /// When a file may have been written, by its time in an archive.
    fn of(self, told: i64) -> impl Iterator<Item = i64> + Clone {
        let second = (self == Self::Rounded).then(|| told.saturating_sub(1));
        std::iter::once(told).chain(second)
    }
}

/// What was seen there.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// The first names in it that hold work.
    pub names: BTreeSet<String>,
    /// What the place itself is, where that holds work and is no directory.
    pub itself: Option<String>,
    /// Whether the archive was read to its end, or to enough.
    pub is_whole: bool,
}

impl Seen {
    /// Adds a name of the place, in which `inner` is work. Of one that is hidden it is told what is in it: by itself
    /// `.config` says nothing.
    fn note(&mut self, first: &str, inner: &Path) {
        let is_known = |name: &String| Path::new(name).starts_with(first);
        if self.names.iter().any(is_known) {
            return;
        }
        self.names.insert(if first.starts_with('.') {
            inner.to_string_lossy().into_owned()
        } else {
            first.to_owned()
        });
    }

    /// Whether there is work.
    pub(super) fn is_work(&self) -> bool {
        self.itself.is_some() || !self.names.is_empty()
    }
}

impl Look {
    /// Looks through an archive of the place, as the engine makes it: each name begins with the place's
    /// own.
    pub(super) fn through(&self, archive: impl Read, times: Times) -> Seen {
        let mut seen = Seen::default();
        seen.is_whole = self.read(archive, times, &mut seen).is_ok();
        seen
    }

    fn read(&self, archive: impl Read, times: Times, seen: &mut Seen) -> io::Result<()> {
        for entry in tar::Archive::new(archive).entries()? {
            let mut entry = entry?;
            let path = entry.path()?.into_owned();
            let inner: PathBuf = path.components().skip(1).collect();
            if !self.is_work(&mut entry, &inner, times)? {
                continue;
            }
            match inner.components().next() {
                Some(first) => {
                    let first = first.as_os_str().to_string_lossy();
                    seen.note(&first, &inner);
                }
                None => seen.itself = Some(what(&entry)),
            }
            if seen.names.len() > NAMED {
                break;
            }
        }
        Ok(())
    }

    /// Whether this is a cache, which only the home has: a copy of a host's files is that of a person.
    fn is_cache(&self, inner: &Path) -> bool {
        let place = self.place.join(inner);
        let in_home = place.strip_prefix(path::HOME);
        !self.is_copy && in_home.is_ok_and(work::is_cache)
    }

    fn is_work<R: Read>(
        &self,
        entry: &mut Entry<'_, R>,
        inner: &Path,
        times: Times,
    ) -> io::Result<bool> {
        let place = self.place.join(inner);
        if !inner.as_os_str().is_empty() && self.beneath.iter().any(|at| place.starts_with(at)) {
            return Ok(false);
        }
        let kind = entry.header().entry_type();
        let is_place = inner.as_os_str().is_empty();
        match &self.rule {
            // A directory may be there for what is mounted in it.
            Rule::Everything if kind.is_dir() => {
                Ok(!is_place && !self.beneath.iter().any(|at| at.starts_with(&place)))
            }
            Rule::Everything => Ok(true),
            _ if kind.is_dir() => Ok(false),
            Rule::WrittenSince(made) => {
                let made = i64::try_from(*made).unwrap_or(i64::MAX);
                Ok(!self.is_cache(inner) && archive::modified(entry)? >= made)
            }
            Rule::NotCopied(manifest) => is_new(entry, kind, inner, manifest, times),
            Rule::NotBegun(manifest, at) => {
                let in_home = at.join(inner);
                Ok(!self.is_cache(inner)
                    && match settings(entry, kind, &in_home)? {
                        Some(content) => is_set(entry, &content, &in_home, manifest, times)?,
                        None => is_new(entry, kind, &in_home, manifest, times)?,
                    })
            }
        }
    }
}

/// The content of settings that a program makes by itself, where this is such a file.
fn settings<R: Read>(
    entry: &mut Entry<'_, R>,
    kind: EntryType,
    in_home: &Path,
) -> io::Result<Option<Vec<u8>>> {
    let is_small = entry.size() <= work::EMPTY_SETTINGS_LIMIT;
    if !kind.is_file() || !is_small || !work::may_be_empty_settings(in_home) {
        return Ok(None);
    }
    let mut content = Vec::new();
    entry.read_to_end(&mut content)?;
    Ok(Some(content))
}

/// Whether such settings are somebody's.
fn is_set<R: Read>(
    entry: &mut Entry<'_, R>,
    content: &[u8],
    in_home: &Path,
    manifest: &Manifest,
    times: Times,
) -> io::Result<bool> {
    if work::are_empty_settings(content) {
        return Ok(false);
    }
    let mut hash = Hashing::new(content);
    io::copy(&mut hash, &mut io::sink())?;
    let (size, content) = (entry.size(), hash.finish());
    let mut times = times.of(archive::modified(entry)?);
    Ok(!times.any(|modified| manifest.has_file(in_home, size, modified, Some(&content))))
}

/// Whether a copy did not have this.
fn is_new<R: Read>(
    entry: &mut Entry<'_, R>,
    kind: EntryType,
    inner: &Path,
    manifest: &Manifest,
    times: Times,
) -> io::Result<bool> {
    if kind == EntryType::Symlink {
        let target = entry.link_name_bytes().unwrap_or_default().into_owned();
        return Ok(!manifest.has_link(inner, &target));
    }
    if !kind.is_file() {
        // A second name for a file is new, unless the image has it; a pipe or device holds nothing.
        return Ok(kind == EntryType::Link && !manifest.has_link(inner, &second_name(entry)));
    }
    let (size, modified) = (entry.size(), archive::modified(entry)?);
    let times = times.of(modified);
    let is_listed = |content: Option<&[u8]>| {
        let mut times = times.clone();
        times.any(|modified| manifest.has_file(inner, size, modified, content))
    };
    if is_listed(None) {
        return Ok(false);
    }
    if !manifest.needs_content(modified) {
        return Ok(true);
    }
    let mut hash = Hashing::new(entry);
    io::copy(&mut hash, &mut io::sink())?;
    Ok(!is_listed(Some(&hash.finish())))
}

/// How a list has the first name of a file that has two: no symbolic link leads to such a target. What archives call the
/// place itself is no part of it: Podman calls that of a container that does not run by no name.
fn second_name<R: Read>(entry: &Entry<'_, R>) -> Vec<u8> {
    let first = entry.link_name_bytes().unwrap_or_default();
    let first = Path::new(std::ffi::OsStr::from_bytes(&first));
    let inner: PathBuf = first.components().skip(1).collect();
    [b"\0", inner.as_os_str().as_bytes()].concat()
}

/// The list of what is in an archive of a place, as the engine makes it; whatever is written from that second on, since
/// 1970, is told by its content.
///
/// # Errors
/// When the archive breaks off.
pub(super) fn list(archive: impl Read, since: u64) -> io::Result<Manifest> {
    let mut manifest = Manifest::begin(since);
    for entry in tar::Archive::new(archive).entries()? {
        let mut entry = entry?;
        let inner: PathBuf = entry.path()?.components().skip(1).collect();
        match entry.header().entry_type() {
            EntryType::Symlink => {
                let target = entry.link_name_bytes().unwrap_or_default().into_owned();
                manifest.add_link(&inner, &target);
            }
            EntryType::Link => manifest.add_link(&inner, &second_name(&entry)),
            kind if kind.is_file() => {
                let (size, modified) = (entry.size(), archive::modified(&mut entry)?);
                let content = if manifest.needs_content(modified) {
                    let mut hash = Hashing::new(&mut entry);
                    io::copy(&mut hash, &mut io::sink())?;
                    Some(hash.finish())
                } else {
                    None
                };
                manifest.add_file(&inner, size, modified, content.as_deref());
            }
            _ => {}
        }
    }
    manifest.close();
    Ok(manifest)
}

fn what<R: Read>(entry: &Entry<'_, R>) -> String {
    match entry.link_name_bytes() {
        Some(target) if entry.header().entry_type() == EntryType::Symlink => {
            let target = Path::new(std::ffi::OsStr::from_bytes(&target));
            format!("a link to {}", archive::shown(target))
        }
        _ => "a file with new content".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;
    use sha2::{Digest as _, Sha256};

    use super::*;

    /// An entry: name, time, and content; a link's is its target.
    type Of<'a> = (&'a str, u64, &'a str);

    fn archive(entries: &[Of<'_>]) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for (path, written, content) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_mode(0o644);
            header.set_mtime(*written);
            header.set_size(0);
            if let Some(target) = content.strip_prefix("-> ") {
                header.set_entry_type(EntryType::Symlink);
                archive.append_link(&mut header, path, target)
            } else if path.ends_with('/') {
                header.set_entry_type(EntryType::Directory);
                archive.append_data(&mut header, path, io::empty())
            } else {
                header.set_size(content.len() as u64);
                archive.append_data(&mut header, path, content.as_bytes())
            }
            .expect("an entry");
        }
        archive.into_inner().expect("an archive")
    }

    fn look(rule: Rule, beneath: &[&str]) -> Look {
        Look {
            place: "/home/amika/workspace".into(),
            beneath: beneath.iter().map(PathBuf::from).collect(),
            rule,
            is_copy: false,
        }
    }

    fn names(look: &Look, entries: &[Of<'_>]) -> Vec<String> {
        let seen = look.through(archive(entries).as_slice(), Times::Kept);
        assert_eq!((seen.is_whole, seen.itself), (true, None));
        seen.names.into_iter().collect()
    }

    #[test]
    fn files_and_directories_of_the_workspace_are_work() {
        let look = look(Rule::Everything, &[]);
        assert!(names(&look, &[("workspace/", 200, "")]).is_empty());
        let entries = [
            ("workspace/", 1, ""),
            ("workspace/a/", 1, ""),
            ("workspace/a/x", 1, "x"),
            ("workspace/b", 1, "y"),
        ];
        assert_eq!(names(&look, &entries), ["a", "b"]);
    }

    #[test]
    fn an_archive_that_breaks_off_tells_only_what_was_seen() {
        let entries = [("workspace/", 1, ""), ("workspace/a", 1, "x")];
        let mut cut = archive(&entries);
        cut.truncate(2 * 512 + 100);
        let seen = look(Rule::Everything, &[]).through(cut.as_slice(), Times::Kept);
        assert_eq!((seen.is_whole, seen.names.len()), (false, 1));
        let seen = look(Rule::WrittenSince(2), &[]).through(cut.as_slice(), Times::Kept);
        assert_eq!((seen.is_whole, seen.is_work()), (false, false));
        let seen = look(Rule::Everything, &[]).through(&b"garbage"[..], Times::Kept);
        assert_eq!((seen.is_whole, seen.is_work()), (false, false));
    }

    #[test]
    fn a_workspace_that_is_something_else_now_is_work() {
        let look = look(Rule::Everything, &[]);
        for (content, itself) in [("-> w2", "a link to w2"), ("x", "a file with new content")] {
            let seen = look.through(
                archive(&[("workspace", 1, content)]).as_slice(),
                Times::Kept,
            );
            assert_eq!(seen.itself.as_deref(), Some(itself));
            assert!(seen.is_work() && seen.is_whole);
        }
    }

    #[test]
    fn what_is_mounted_beneath_is_no_work_of_the_place() {
        let entries = [
            ("workspace/", 1, ""),
            ("workspace/deep/", 200, ""),
            ("workspace/deep/src/", 200, ""),
            ("workspace/deep/src/x", 200, "x"),
        ];
        let mount = "/home/amika/workspace/deep/src";
        assert!(names(&look(Rule::Everything, &[mount]), &entries).is_empty());
        assert_eq!(names(&look(Rule::Everything, &[]), &entries), ["deep"]);
    }

    #[test]
    fn of_an_old_copy_what_was_written_since_is_work() {
        let look = look(Rule::WrittenSince(100), &[]);
        let old = [("workspace/", 200, ""), ("workspace/x", 99, "x")];
        assert!(names(&look, &old).is_empty());
        assert_eq!(names(&look, &[("workspace/x", 100, "x")]), ["x"]);
    }

    #[test]
    fn of_a_copy_what_it_did_not_have_is_work() {
        let mut manifest = Manifest::begin(amika_host::clock::now_millis() / 1000);
        let young = i64::from(u32::MAX);
        let written = u64::from(u32::MAX);
        let content = Sha256::digest(b"ab");
        manifest.add_file(Path::new("d/old"), 2, 9, None);
        manifest.add_file(Path::new("young"), 2, young, Some(&content));
        manifest.add_link(Path::new("link"), b"target");
        let (_, manifest) = Manifest::from_file(&manifest.into_file("/x")).expect("a manifest");
        let look = look(Rule::NotCopied(manifest), &[]);
        let same = [
            ("workspace/", 200, ""),
            ("workspace/d/old", 9, "ab"),
            ("workspace/new/", 200, ""),
            ("workspace/link", 200, "-> target"),
            ("workspace/young", written, "ab"),
        ];
        assert!(names(&look, &same).is_empty());
        for (changed, name) in [
            (("workspace/d/old", 9, "abc"), "d"),
            (("workspace/d/old", 10, "ab"), "d"),
            (("workspace/d/moved", 9, "ab"), "d"),
            (("workspace/young", written, "ac"), "young"),
            (("workspace/link", 200, "-> other"), "link"),
            (("workspace/link", 200, "target"), "link"),
        ] {
            assert_eq!(names(&look, &[changed]), [name], "{changed:?}");
        }
    }

    #[test]
    fn a_file_that_was_copied_is_told_from_one_that_was_written() {
        let mut manifest = Manifest::begin(amika_host::clock::now_millis() / 1000);
        manifest.add_file(Path::new(""), 2, 9, None);
        let (_, manifest) = Manifest::from_file(&manifest.into_file("/x")).expect("a manifest");
        let look = look(Rule::NotCopied(manifest), &[]);
        assert!(names(&look, &[("workspace", 9, "ab")]).is_empty());
        let seen = look.through(archive(&[("workspace", 10, "ab")]).as_slice(), Times::Kept);
        assert_eq!(seen.itself.as_deref(), Some("a file with new content"));
    }

    #[test]
    fn what_an_image_has_in_its_volume_is_no_work_and_the_rest_is() {
        let hard = |name: &str, first: &str| {
            let mut archive = tar::Builder::new(Vec::new());
            let mut header = tar::Header::new_gnu();
            header.set_size(0);
            header.set_mtime(9);
            header.set_entry_type(EntryType::Link);
            archive
                .append_link(&mut header, name, first)
                .expect("an entry");
            archive.into_inner().expect("an archive")
        };
        let entries = [
            ("workspace/", 9, ""),
            ("workspace/d/old", 9, "ab"),
            ("workspace/young", 100, "ab"),
            ("workspace/link", 9, "-> target"),
        ];
        let of = |archive: Vec<u8>| {
            let manifest = list(archive.as_slice(), 100).expect("a list");
            look(Rule::NotBegun(Arc::new(manifest), PathBuf::new()), &[])
        };
        let look = of(archive(&entries));
        assert!(names(&look, &entries).is_empty());
        for (changed, name) in [
            (("workspace/forged", 1, "x"), "forged"),
            (("workspace/d/old", 10, "ab"), "d"),
            (("workspace/young", 100, "ac"), "young"),
            (("workspace/link", 9, "-> other"), "link"),
        ] {
            assert_eq!(names(&look, &[changed]), [name], "{changed:?}");
        }
        let look = of(hard("workspace/b", "workspace/a"));
        let seen = |name, first| {
            look.through(hard(name, first).as_slice(), Times::Kept)
                .is_work()
        };
        assert!(!seen("workspace/b", "workspace/a"));
        assert!(!seen("data/b", "data/a") && seen("data/b", "data/c"));
        assert!(seen("workspace/b", "workspace/c") && seen("workspace/c", "workspace/a"));
        let cut = &archive(&entries)[..1500];
        assert!(list(cut, 100).is_err());
    }

    #[test]
    fn a_time_that_was_rounded_up_makes_no_work_and_hides_none() {
        let mut manifest = Manifest::begin(100);
        manifest.add_file(Path::new("old"), 2, 50, None);
        // Written in the second before the copy was begun: of the file with that time the content is asked for.
        manifest.add_file(Path::new("young"), 2, 99, Some(&Sha256::digest(b"ab")));
        manifest.close();
        let look = look(Rule::NotCopied(manifest), &[]);
        let is_work =
            |entry: Of<'_>, times| look.through(archive(&[entry]).as_slice(), times).is_work();
        for (path, told, content, kept, rounded) in [
            ("workspace/old", 50, "ab", false, false),
            ("workspace/old", 51, "ab", true, false),
            ("workspace/old", 49, "ab", true, true),
            ("workspace/old", 52, "ab", true, true),
            ("workspace/old", 51, "abc", true, true),
            ("workspace/young", 99, "ab", false, false),
            ("workspace/young", 100, "ab", true, false),
            // Written anew, with the same size, as soon as the copy was there.
            ("workspace/young", 100, "cd", true, true),
        ] {
            let entry = (path, told, content);
            assert_eq!(is_work(entry, Times::Kept), kept, "{entry:?}");
            assert_eq!(is_work(entry, Times::Rounded), rounded, "{entry:?}");
        }
    }

    #[test]
    fn a_long_list_is_cut() {
        let entries: Vec<String> = (0..100).map(|n| format!("workspace/{n}")).collect();
        let entries: Vec<Of<'_>> = entries.iter().map(|path| (path.as_str(), 1, "")).collect();
        assert_eq!(
            names(&look(Rule::Everything, &[]), &entries).len(),
            NAMED + 1
        );
    }
}

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

    /// The paths in the place of all that is work.
    ///
    /// # Errors
    /// When the archive breaks off.
    pub(super) fn all(
        &self,
        archive: impl Read,
        times: Times,
    ) -> io::Result<std::collections::HashSet<PathBuf>> {
        let mut all = std::collections::HashSet::new();
        for entry in tar::Archive::new(archive).entries()? {
            let mut entry = entry?;
            let inner: PathBuf = entry.path()?.components().skip(1).collect();
            if self.is_work(&mut entry, &inner, times)? {
                all.insert(inner);
            }
        }
        Ok(all)
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
mod tests;

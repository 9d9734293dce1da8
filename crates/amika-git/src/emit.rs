//! Writes a planned copy as a tar archive: the git directory, the work tree, then the repositories inside.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::attributes::Conversion;
use super::blobs::{BlobError, Blobs};
use super::command::Git;
use super::dir::{At, is_another_kind};
use super::error::GitError;
use super::index::{Entry, Mode};
use super::lfs::Object;
use super::objects::{self, Walk};
use super::plan::{Plan, Tree, beneath, components};
use super::source::join;
use super::worktree::{Found, Reader, seconds};
use super::writer::TarWriter;
use amika_host::archive::{self, Report};
use amika_host::regular_file::{self, Links};

/// Files that git converts at once; they lie in a temporary directory until they are written.
const CONVERTED_AT_ONCE: usize = 256;
/// The longest target of a symbolic link on Linux.
const LINK_LIMIT: u64 = 4096;

/// Writes the whole archive; returns how many files the work trees have, and what of them changed meanwhile.
pub(super) fn archive(plan: &Plan, tar: &mut TarWriter<'_>) -> io::Result<Report> {
    tar.directory(b"", plan.mtime)?;
    let mut report = Report::default();
    repository(plan, tar, &mut report)?;
    Ok(report)
}

fn repository(plan: &Plan, tar: &mut TarWriter<'_>, report: &mut Report) -> io::Result<()> {
    let stores = plan.location.stores();
    let store = &stores.own;
    // The walk runs beside the writing of what it does not decide.
    let clean = matches!(plan.tree, Tree::Committed { .. });
    let mut tips: Vec<String> = plan.refs.iter().map(|one| one.oid.clone()).collect();
    tips.extend(plan.head.commit().map(str::to_owned));
    let walk = if clean && !store.loose.is_empty() {
        Some(Walk::start(&plan.git, &tips, plan.partial)?)
    } else {
        None
    };
    let loose = std::thread::scope(|scope| {
        let loose = walk.map(|walk| scope.spawn(|| walk.reached(&store.loose)));
        git_files(plan, tar)?;
        packs(plan, tar)?;
        if !stores.borrowed.is_empty() {
            borrowed(plan, &tips, tar)?;
        }
        match &plan.tree {
            Tree::Committed {
                entries,
                conversions,
                scratch,
            } => {
                let converted = Converted::new(plan, entries, &conversions.of, scratch);
                committed(plan, entries, &conversions.of, converted, tar, report)?;
            }
            Tree::Disk { .. } => disk(plan, &|_| true, tar, report)?,
        }
        match loose {
            Some(loose) => match loose.join() {
                Ok(reached) => Ok(Some(reached?)),
                Err(_) => Err(io::Error::other("the walk over the objects broke off")),
            },
            None => Ok(None),
        }
    })?;
    for (oid, object) in &store.loose {
        if loose.as_ref().is_none_or(|reached| reached.contains(oid)) {
            let place = format!("objects/{}/{}", &oid[..2], &oid[2..]);
            let place = beneath(&plan.place.git_dir, place.as_bytes());
            store.read_loose(object, |size, mut content| {
                tar.file_from(&place, 0o444, plan.mtime, size, &mut content)
                    .map_err(|error| changed(error, &plan.location.common_dir))
            })?;
        }
    }
    let mut written: Vec<_> = plan.lfs.values().collect();
    written.sort_by(|a, b| a.place.cmp(&b.place));
    written.dedup_by(|a, b| a.place == b.place);
    for object in written {
        let place = beneath(&plan.place.git_dir, object.place.as_bytes());
        lfs(tar, &place, 0o444, plan.mtime, object)?;
    }
    for child in &plan.children {
        repository(child, tar, report)?;
    }
    Ok(())
}

/// Writes those files of the work trees that `keep` wants, by their paths from the root, and nothing of git's own.
pub(super) fn files(
    plan: &Plan,
    keep: &dyn Fn(&[u8]) -> bool,
    tar: &mut TarWriter<'_>,
) -> io::Result<()> {
    let mut report = Report::default();
    match &plan.tree {
        Tree::Committed {
            entries,
            conversions,
            scratch,
        } => {
            let (mut kept, mut of) = (Vec::new(), HashMap::new());
            for (position, entry) in entries.iter().enumerate() {
                if keep(&beneath(&plan.place.tree, &entry.path)) {
                    if let Some(conversion) = conversions.of.get(&position) {
                        of.insert(kept.len(), *conversion);
                    }
                    kept.push(entry.clone());
                }
            }
            let converted = Converted::new(plan, &kept, &of, scratch);
            committed(plan, &kept, &of, converted, tar, &mut report)?;
        }
        Tree::Disk { .. } => disk(plan, keep, tar, &mut report)?,
    }
    for child in &plan.children {
        files(child, keep, tar)?;
    }
    Ok(())
}

/// Everything of the git directory that is no object.
fn git_files(plan: &Plan, tar: &mut TarWriter<'_>) -> io::Result<()> {
    let at = |name: &str| beneath(&plan.place.git_dir, name.as_bytes());
    let mtime = plan.mtime;
    for directory in [
        "objects/info",
        "objects/pack",
        "refs/heads",
        "refs/tags",
        "info",
    ] {
        tar.directory(&at(directory), mtime)?;
    }
    tar.file(&at("HEAD"), 0o644, mtime, plan.head.file().as_bytes())?;
    tar.file(&at("config"), 0o644, mtime, &plan.config)?;
    for (name, content) in &plan.made {
        tar.file(&at(name), 0o644, mtime, content)?;
    }
    let mut packed = String::from("# pack-refs with: sorted \n");
    for one in plan.refs.iter().filter(|one| one.follows.is_none()) {
        for part in [&one.oid, " ", &one.name, "\n"] {
            packed.push_str(part);
        }
    }
    tar.file(&at("packed-refs"), 0o644, mtime, packed.as_bytes())?;
    for one in &plan.refs {
        if let Some(target) = &one.follows {
            tar.file(
                &at(&one.name),
                0o644,
                mtime,
                format!("ref: {target}\n").as_bytes(),
            )?;
        }
    }
    if let Some(index) = &plan.index {
        let mut file = File::open(index)?;
        let meta = file.metadata()?;
        // Racy entries are told by the index's own age, so it keeps it.
        let age = match &plan.tree {
            Tree::Committed { .. } => mtime,
            Tree::Disk { .. } => seconds(&meta),
        };
        tar.file_from(&at("index"), 0o644, age, meta.len(), &mut file)?;
    }
    for extra in &plan.extra {
        let place = beneath(&plan.place.git_dir, &extra.name);
        tar.file(&place, 0o644, extra.mtime, &extra.content)?;
    }
    if plan.place.git_dir != beneath(&plan.place.tree, b".git") {
        let up = "../".repeat(components(&plan.place.tree));
        let link = [b"gitdir: ", up.as_bytes(), &plan.place.git_dir, b"\n"].concat();
        tar.file(&beneath(&plan.place.tree, b".git"), 0o644, mtime, &link)?;
    }
    Ok(())
}

fn packs(plan: &Plan, tar: &mut TarWriter<'_>) -> io::Result<()> {
    for (name, (path, file)) in &plan.location.stores().own.packs {
        let meta = file.metadata()?;
        let place = beneath(
            &plan.place.git_dir,
            format!("objects/pack/{name}").as_bytes(),
        );
        tar.file_from(
            &place,
            0o444,
            seconds(&meta),
            meta.len(),
            &mut At::start(file),
        )
        .map_err(|error| changed(error, path))?;
    }
    Ok(())
}

/// What refs reach of objects that are elsewhere, as one pack.
fn borrowed(plan: &Plan, tips: &[String], tar: &mut TarWriter<'_>) -> io::Result<()> {
    for (name, path) in objects::borrowed(&plan.git, tips, plan.partial, &plan.borrowed)? {
        let place = beneath(
            &plan.place.git_dir,
            format!("objects/pack/{name}").as_bytes(),
        );
        copy(tar, &place, 0o444, plan.mtime, &path)?;
    }
    Ok(())
}

/// Copies a file that this program made, or gave to git.
fn copy(
    tar: &mut TarWriter<'_>,
    place: &[u8],
    mode: u32,
    mtime: i64,
    path: &Path,
) -> io::Result<()> {
    let file = File::open(path).map_err(GitError::io("read", path))?;
    let size = file.metadata()?.len();
    tar.file_from(place, mode, mtime, size, &mut &file)
        .map_err(|error| changed(error, path))
}

/// A content that the host's LFS store has.
fn lfs(
    tar: &mut TarWriter<'_>,
    place: &[u8],
    mode: u32,
    mtime: i64,
    object: &Object,
) -> io::Result<()> {
    let path = object.path();
    let mut file = object.open().map_err(GitError::io("read", &path))?;
    tar.file_from(place, mode, mtime, object.size, &mut file)
        .map_err(|error| changed(error, &path))
}

/// An early end of a file means that it is not what it was when it was opened.
fn changed(error: io::Error, path: &Path) -> io::Error {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        GitError::Changed {
            path: path.to_owned(),
        }
        .into()
    } else {
        error
    }
}

/// Whether something vanished since it was listed, or another kind of thing took its place.
fn is_gone(error: &io::Error) -> bool {
    let kinds = [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory];
    kinds.contains(&error.kind()) || is_another_kind(error)
}

/// A path of the work tree, for a report.
fn shown(path: &[u8]) -> PathBuf {
    join(Path::new(""), path)
}

fn permission(executable: bool) -> u32 {
    if executable { 0o755 } else { 0o644 }
}

/// The work tree of a commit.
fn committed(
    plan: &Plan,
    entries: &[Entry],
    conversions: &HashMap<usize, Conversion>,
    mut converted: Converted,
    tar: &mut TarWriter<'_>,
    report: &mut Report,
) -> io::Result<()> {
    let from_git = |position: usize, entry: &Entry| match conversions.get(&position) {
        Some(Conversion::Checkout) => false,
        Some(Conversion::Lfs) => !plan.lfs.contains_key(&*entry.oid),
        None => entry.mode != Mode::Gitlink,
    };
    let wanted: Vec<bool> = entries
        .iter()
        .enumerate()
        .map(|(position, entry)| from_git(position, entry))
        .collect();
    let asked = entries.iter().zip(&wanted).filter(|(_, wanted)| **wanted);
    let asked = asked.map(|(entry, _)| &*entry.oid);
    std::thread::scope(|scope| {
        let mut blobs = Blobs::start(scope, &plan.git, asked)?;
        for (position, entry) in entries.iter().enumerate() {
            let place = beneath(&plan.place.tree, &entry.path);
            let mode = permission(entry.mode == Mode::Executable);
            if entry.mode == Mode::Gitlink {
                tar.directory(&place, plan.mtime)?;
                continue;
            }
            report.files += 1;
            if converted.has(position) {
                let path = converted.file(position)?;
                let (mut file, meta) = regular_file::open(&path, Links::Refused)
                    .map_err(GitError::io("read", &path))?;
                tar.file_from(&place, mode, plan.mtime, meta.len(), &mut file)
                    .map_err(|error| changed(error, &path))?;
                continue;
            }
            if !wanted[position] {
                if let Some(object) = plan.lfs.get(&*entry.oid) {
                    lfs(tar, &place, mode, plan.mtime, object)?;
                }
                continue;
            }
            let size = blobs.next(&entry.oid).map_err(|error| match error {
                BlobError::Missing => GitError::MissingObject {
                    oid: entry.oid.to_string(),
                    path: String::from_utf8_lossy(&entry.path).into_owned(),
                    root: plan.location.root().to_owned(),
                }
                .into(),
                BlobError::Broken(error) => error,
            })?;
            if entry.mode == Mode::Symlink {
                if size > LINK_LIMIT {
                    return Err(GitError::TooLarge {
                        path: String::from_utf8_lossy(&entry.path).into_owned(),
                        limit: LINK_LIMIT,
                    }
                    .into());
                }
                let target = blobs.small(size)?;
                tar.symlink(&place, &target, plan.mtime)?;
            } else {
                tar.file_from(&place, mode, plan.mtime, size, blobs.content())
                    .map_err(|error| match error.kind() {
                        io::ErrorKind::UnexpectedEof => {
                            io::Error::other("`git cat-file` broke off")
                        }
                        _ => error,
                    })?;
                blobs.after()?;
            }
        }
        Ok(())
    })
}

/// Files that git itself checks out, into a temporary directory, a few at a time.
struct Converted<'a> {
    git: Option<Git>,
    entries: &'a [Entry],
    /// Positions, in order.
    positions: Vec<usize>,
    /// How many of them have been checked out so far.
    done: usize,
    directory: PathBuf,
    all: HashSet<usize>,
}

impl<'a> Converted<'a> {
    fn new(
        plan: &Plan,
        entries: &'a [Entry],
        of: &HashMap<usize, Conversion>,
        scratch: &Path,
    ) -> Self {
        let mut positions: Vec<usize> = of
            .iter()
            .filter(|(_, conversion)| **conversion == Conversion::Checkout)
            .map(|(position, _)| *position)
            .collect();
        positions.sort_unstable();
        let empty = scratch.with_file_name("empty");
        Self {
            git: plan
                .index
                .as_ref()
                .map(|index| plan.git.with_work_tree(&empty).with_index(index)),
            entries,
            all: positions.iter().copied().collect(),
            positions,
            done: 0,
            directory: scratch.to_owned(),
        }
    }

    fn has(&self, position: usize) -> bool {
        self.all.contains(&position)
    }

    /// The file with the converted content; asked for in order.
    fn file(&mut self, position: usize) -> io::Result<PathBuf> {
        let batch = self.positions[self.done..].iter().take(CONVERTED_AT_ONCE);
        let path = join(&self.directory, &self.entries[position].path);
        if self.done == 0
            || self.positions[..self.done]
                .last()
                .is_some_and(|last| *last < position)
        {
            let mut list = Vec::new();
            let mut count = 0;
            for next in batch {
                list.extend_from_slice(&self.entries[*next].path);
                list.push(0);
                count += 1;
            }
            self.remove()?;
            let prefix = format!("--prefix={}/", self.directory.display());
            if let Some(git) = &self.git {
                git.filter(
                    &["checkout-index", "-z", "--stdin", "--force", &prefix],
                    list,
                )?;
            }
            self.done += count;
        }
        Ok(path)
    }

    fn remove(&self) -> io::Result<()> {
        match std::fs::remove_dir_all(&self.directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

impl Drop for Converted<'_> {
    fn drop(&mut self) {
        // The whole temporary directory goes with the repository; this only gives its space back sooner.
        let _ = self.remove();
    }
}

/// The work tree as it is on the host's disk.
///
/// Programs may be at work in it: what is gone since it was listed is not there, and what is written to
/// has some state between.
fn disk(
    plan: &Plan,
    keep: &dyn Fn(&[u8]) -> bool,
    tar: &mut TarWriter<'_>,
    report: &mut Report,
) -> io::Result<()> {
    let Tree::Disk {
        paths,
        modes_from_index,
    } = &plan.tree
    else {
        return Ok(());
    };
    let Some(root) = plan.location.tree() else {
        return Ok(());
    };
    let mut reader = Reader::new(root);
    let mut around: &[u8] = b"";
    for (path, tracked) in &paths.files {
        let place = beneath(&plan.place.tree, path);
        if !keep(&place) {
            continue;
        }
        let full = root.place(path);
        let found = match reader.find(path) {
            Err(error) if is_gone(&error) => Found::Nothing,
            other => other.map_err(GitError::io("read", &full))?,
        };
        if !modes_from_index && !matches!(found, Found::Nothing) {
            directories(plan, &reader, around, path, tar)?;
            around = path;
        }
        match found {
            Found::Directory if *tracked == Some(Mode::Gitlink) => {
                if !modes_from_index && let Ok(mode) = reader.directory_mode(path) {
                    tar.set_mode(&place, mode);
                }
                tar.directory(&place, plan.mtime)?;
            }
            // What git knows may have been deleted long ago; others were there a moment ago.
            Found::Nothing if tracked.is_none() => report.change(&shown(path), archive::GONE),
            // A directory where a file was lists what it holds by itself.
            Found::Nothing | Found::Directory => {}
            Found::Symlink { target, mtime } => tar.symlink(&place, &target, mtime)?,
            Found::File {
                file,
                size,
                mode,
                mtime,
            } => {
                report.files += 1;
                let mode = match tracked {
                    Some(known) if *modes_from_index => permission(*known == Mode::Executable),
                    None if *modes_from_index => permission(mode & 0o100 != 0),
                    // As git has it, and for nobody who may not read it on the host.
                    Some(_) => permission(mode & 0o100 != 0) & mode,
                    None => mode,
                };
                let mut content =
                    archive::open_content(file, size).map_err(GitError::io("read", &full))?;
                tar.file_from(&place, mode, mtime, content.size(), &mut content)?;
                if content.was_cut() {
                    report.change(&shown(path), archive::CUT);
                }
            }
        }
    }
    if !modes_from_index {
        // The directories of repositories inside, and those around them, which may hold nothing else.
        for child in &plan.children {
            let inner = child.place.tree.strip_prefix(plan.place.tree.as_slice());
            let inner = inner.unwrap_or_default();
            let inner = inner.strip_prefix(b"/").unwrap_or(inner);
            directories(plan, &reader, b"", &[inner, b"/"].concat(), tar)?;
        }
    }
    Ok(())
}

/// Says which permissions the directories have that a path is in, but for those that the path before it
/// is in as well.
fn directories(
    plan: &Plan,
    reader: &Reader<'_>,
    before: &[u8],
    path: &[u8],
    tar: &mut TarWriter<'_>,
) -> io::Result<()> {
    let common = path.iter().zip(before).take_while(|(a, b)| a == b).count();
    let new = (common..path.len()).filter(|&at| path[at] == b'/');
    for directory in new.map(|at| &path[..at]) {
        let mode = match reader.directory_mode(directory) {
            // It went away with what is in it, or became something else.
            Err(error) if is_gone(&error) => continue,
            other => other,
        };
        let mode = mode.map_err(GitError::io("read", join(plan.location.root(), directory)))?;
        tar.set_mode(&beneath(&plan.place.tree, directory), mode);
    }
    Ok(())
}

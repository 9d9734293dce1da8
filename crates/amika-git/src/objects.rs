//! The object files that go into the sandbox: packs as they are, and the loose objects that are needed.
//!
//! Packs are copied whole, also when they hold something that nothing refers to any more; looking into
//! them would cost what `git gc` costs. Loose objects are what a person did lately, and among them may be
//! a file that was added and taken back, or a stash: of a clean copy only those go along that a ref that
//! goes along reaches.

//!
//! Each is opened here, once, beneath the object directory and through no link: git reads it by that
//! descriptor, and so is what is sent. What the repository borrows from elsewhere (`info/alternates`) git
//! may read as well, but of it only that goes along which refs reach.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use amika_core::git_files::oid::ObjectFormat;
use rustix::fs::FileType;

use super::blobs::enlarge;
use super::children::Running;
use super::command::Git;
use super::dir::{At, Dir, give};
use super::discover::Found;
use super::error::GitError;
use super::generated::{Generated, shown};
use super::loose::{Kept, Packer, Shelf, Taken};

/// Packs of one repository, at most: each is held open.
const MAX_PACKS: usize = 4000;
/// Loose objects that are held open, at most; further large ones are copied.
const MAX_OPEN: usize = 1000;
/// How often the packs are listed while they change.
const ATTEMPTS: usize = 5;
/// Bytes of the file of a loose object that is packed.
const SMALL: u64 = 64 * 1024;
/// Object directories that borrow from each other, at most; git itself follows five, one after the other.
const MAX_BORROWED: usize = 64;
/// Bytes of a list of them.
const MAX_ALTERNATES: u64 = 1 << 20;

/// All object directories of a repository.
#[derive(Debug, Default)]
pub(super) struct Stores {
    /// Its own.
    pub(super) own: Store,
    /// Those that it borrows from.
    pub(super) borrowed: Vec<Store>,
}

/// What an object directory holds.
#[derive(Debug, Default)]
pub(super) struct Store {
    /// Files of packs, by their names; open, since a `git gc` may remove them at any time.
    pub(super) packs: BTreeMap<String, (PathBuf, File)>,
    /// Loose objects, by their names. Sorted, so that directories stay together.
    pub(super) loose: BTreeMap<String, Loose>,
    /// How many of them are open.
    open: usize,
    /// Files of small ones.
    shelf: Option<Shelf>,
}

/// A loose object.
#[derive(Debug)]
pub(super) enum Loose {
    /// One of few bytes.
    Kept(Kept),
    /// One that is open.
    Open(File),
    /// One that was copied to where git reads it.
    Copied(PathBuf),
}

/// Files that belong to a pack and say something without the host's other files: not `.keep`, not
/// bitmaps, of which git uses one only.
const PACK_FILES: [&str; 4] = ["idx", "rev", "promisor", "mtimes"];

impl Stores {
    /// Opens what is there now, and gives it to git.
    pub(super) fn open(
        found: &Found,
        format: ObjectFormat,
        generated: &Generated,
        warnings: &mut Vec<String>,
    ) -> Result<Self, GitError> {
        raise_open_files();
        let place = found.common.place(b"objects");
        let objects = found
            .common
            .dir(b"objects")
            .map_err(GitError::io("read", &place))?
            .ok_or_else(|| GitError::NotUnderstood {
                place,
                why: "it is not there".into(),
            })?;
        let mut stores = Self::default();
        if found.is_unclaimed || found.is_served {
            let store = Store::open(&objects, &generated.borrowed, format)?;
            stores.borrowed.push(store);
        } else {
            stores.own = Store::open(&objects, &generated.objects, format)?;
        }
        for directory in borrowed_directories(objects)? {
            warnings.push(format!(
                "objects of {} come along, as far as refs reach them: the repository borrows from there",
                shown(directory.path())
            ));
            let store = Store::open(&directory, &generated.borrowed, format)?;
            stores.borrowed.push(store);
        }
        Ok(stores)
    }
}

impl Store {
    fn open(objects: &Dir, to: &Path, format: ObjectFormat) -> Result<Self, GitError> {
        // Loose objects first: what is packed meanwhile is in a pack by the time that they go.
        let mut store = Self::default();
        let mut packer = Packer::new(&to.join("pack"), format)?;
        let rest = 2 * format.length() - 2;
        let failed = |path: &[u8]| GitError::io("read", objects.place(path));
        for (name, kind) in objects.names().map_err(failed(b""))? {
            let Some(name) = text(&name).filter(|name| name.len() == 2 && hexadecimal(name)) else {
                continue;
            };
            if kind == FileType::RegularFile {
                continue;
            }
            let found = objects
                .dir(name.as_bytes())
                .map_err(failed(name.as_bytes()))?;
            let Some(directory) = found else { continue };
            for (inner, _) in directory.names().map_err(failed(name.as_bytes()))? {
                let Some(inner) = text(&inner).filter(|it| it.len() == rest && hexadecimal(it))
                else {
                    continue;
                };
                let oid = format!("{name}{inner}");
                if let Some(taken) = store.take_loose(&directory, inner, &oid, to, &mut packer)? {
                    store.loose.insert(oid, taken);
                }
            }
        }
        store.shelf = Some(packer.finish()?);
        for attempt in 1.. {
            match store.open_packs(objects, &to.join("pack")) {
                // A pack that goes has been replaced by another.
                Err(GitError::Changed { .. }) if attempt < ATTEMPTS => {}
                Err(error) => return Err(error),
                Ok(()) => break,
            }
        }
        Ok(store)
    }

    /// Takes a loose object; `None` when it went meanwhile, or is not what its name says.
    fn take_loose(
        &mut self,
        from: &Dir,
        name: &str,
        oid: &str,
        to: &Path,
        packer: &mut Packer,
    ) -> Result<Option<Loose>, GitError> {
        let failed = || GitError::io("read", from.place(name.as_bytes()));
        // One that went meanwhile was packed.
        let Some((file, meta)) = from.file(name.as_bytes()).map_err(failed())? else {
            return Ok(None);
        };
        let mut content = Vec::new();
        if meta.len() <= SMALL {
            content.reserve_exact(usize::try_from(meta.len()).unwrap_or(0) + 1);
            let mut limited = At::start(&file).take(SMALL + 1);
            limited.read_to_end(&mut content).map_err(failed())?;
            match packer.take(oid, &content)? {
                Taken::Packed(kept) => return Ok(Some(Loose::Kept(kept))),
                Taken::Damaged => return Ok(None),
                Taken::Large => {}
            }
        }
        let directory = to.join(&oid[..2]);
        make_directory(&directory)?;
        let place = directory.join(name);
        let write = || GitError::io("write", &place);
        if self.open < MAX_OPEN {
            return match give(&file, &place) {
                Ok(()) => {
                    self.open += 1;
                    Ok(Some(Loose::Open(file)))
                }
                // It was borrowed from elsewhere already.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
                Err(error) => Err(write()(error)),
            };
        }
        let mut copy = File::create(&place).map_err(write())?;
        io::copy(&mut At::start(&file), &mut copy).map_err(write())?;
        Ok(Some(Loose::Copied(place)))
    }

    /// Hands over the file of a loose object, and its size.
    pub(super) fn read_loose(
        &self,
        loose: &Loose,
        take: impl FnOnce(u64, &mut dyn io::Read) -> io::Result<()>,
    ) -> io::Result<()> {
        match (loose, &self.shelf) {
            (Loose::Kept(kept), Some(files)) => {
                let content = files.read(*kept)?;
                take(kept.length, &mut &*content)
            }
            (Loose::Kept(_), None) => Err(io::ErrorKind::NotFound.into()),
            (Loose::Open(file), _) => take(file.metadata()?.len(), &mut At::start(file)),
            (Loose::Copied(place), _) => {
                let file = File::open(place)?;
                take(file.metadata()?.len(), &mut &file)
            }
        }
    }

    fn open_packs(&mut self, objects: &Dir, to: &Path) -> Result<(), GitError> {
        let failed = |path: &[u8]| GitError::io("read", objects.place(path));
        let Some(directory) = objects.dir(b"pack").map_err(failed(b"pack"))? else {
            return Ok(());
        };
        let names = directory.names().map_err(failed(b"pack"))?;
        let all: HashSet<&str> = names.iter().filter_map(|(name, _)| text(name)).collect();
        let mut stems: Vec<&str> = all
            .iter()
            .filter_map(|name| name.strip_suffix(".pack"))
            .filter(|stem| all.contains(format!("{stem}.idx").as_str()))
            .collect();
        stems.sort_unstable();
        if stems.len() > MAX_PACKS {
            return Err(GitError::TooManyPacks {
                place: directory.path().to_owned(),
                found: stems.len(),
                most: MAX_PACKS,
            });
        }
        for stem in stems {
            let pack = format!("{stem}.pack");
            if self.packs.contains_key(&pack) {
                continue;
            }
            let files = PACK_FILES.iter().map(|suffix| format!("{stem}.{suffix}"));
            let files = files.filter(|file| all.contains(file.as_str()));
            let mut opened = Vec::new();
            for name in files.chain([pack]) {
                let path = directory.place(name.as_bytes());
                let open = directory.file(name.as_bytes());
                match open.map_err(GitError::io("read", &path))? {
                    Some((file, _)) => opened.push((name, path, file)),
                    None => return Err(GitError::Changed { path }),
                }
            }
            for (name, path, file) in opened {
                let place = to.join(&name);
                match give(&file, &place) {
                    Ok(()) => {}
                    // It was borrowed from elsewhere already.
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                    Err(error) => return Err(GitError::io("write", place)(error)),
                }
                self.packs.insert(name, (path, file));
            }
        }
        Ok(())
    }
}

fn make_directory(place: &Path) -> Result<(), GitError> {
    match std::fs::create_dir(place) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(GitError::io("write", place)(error))
        }
        _ => Ok(()),
    }
}

fn text(name: &[u8]) -> Option<&str> {
    std::str::from_utf8(name).ok()
}

/// Lets this program hold as many files open as the system lets it: one for each file of each pack.
fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let limit = getrlimit(Resource::Nofile);
        let _ = setrlimit(
            Resource::Nofile,
            Rlimit {
                current: limit.maximum,
                maximum: limit.maximum,
            },
        );
    });
}

/// The object directories that one borrows from, the nearest first.
fn borrowed_directories(objects: Dir) -> Result<Vec<Dir>, GitError> {
    let mut directories = vec![objects];
    let mut next = 0;
    while next < directories.len() {
        let directory = &directories[next];
        next += 1;
        let place = directory.place(b"info/alternates");
        let listed = directory
            .read(b"info/alternates", MAX_ALTERNATES)
            .map_err(GitError::io("read", &place))?
            .unwrap_or_default();
        let mut further: Vec<PathBuf> = Vec::new();
        for line in listed.split(|&byte| byte == b'\n') {
            if line.is_empty() || line[0] == b'#' {
                continue;
            }
            // Git goes on without one that is gone, and so do we.
            if let Ok(borrowed) = directory.place(&unquoted(line)).canonicalize() {
                further.push(borrowed);
            }
        }
        for place in further {
            let Ok(borrowed) = Dir::open(&place) else {
                continue;
            };
            let mut is_known = false;
            for known in &directories {
                is_known |= known.is(&borrowed).map_err(GitError::io("read", &place))?;
            }
            if is_known {
                continue;
            }
            if directories.len() > MAX_BORROWED {
                return Err(GitError::NotUnderstood {
                    place: directories[0].place(b"info/alternates"),
                    why: format!("it leads to more than {MAX_BORROWED} object directories"),
                });
            }
            directories.push(borrowed);
        }
    }
    directories.remove(0);
    Ok(directories)
}

/// A line of `alternates`, which git quotes as C does when it begins with a quotation mark.
fn unquoted(line: &[u8]) -> Vec<u8> {
    let Some(inner) = line
        .strip_prefix(b"\"")
        .and_then(|rest| rest.strip_suffix(b"\""))
    else {
        return line.to_vec();
    };
    let mut plain = Vec::new();
    let mut bytes = inner.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match (byte, bytes.peek()) {
            (b'\\', Some(b'0'..=b'3')) => {
                let mut value = 0_u8;
                for digit in bytes.by_ref().take(3) {
                    value = value.wrapping_mul(8).wrapping_add(digit.wrapping_sub(b'0'));
                }
                plain.push(value);
            }
            (b'\\', Some(_)) => plain.push(match bytes.next() {
                Some(b'n') => b'\n',
                Some(b't') => b'\t',
                Some(other) => other,
                None => b'\\',
            }),
            _ => plain.push(byte),
        }
    }
    plain
}

fn hexadecimal(text: &str) -> bool {
    text.bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// A running walk from some commits to all that they reach.
pub(super) struct Walk {
    running: Running,
}

impl Walk {
    /// Starts at these objects. In a partial clone anything may be missing.
    pub(super) fn start(git: &Git, tips: &[String], partial: bool) -> Result<Self, GitError> {
        let mut arguments = vec!["rev-list", "--objects", "--no-object-names", "--stdin"];
        if partial {
            arguments.push("--missing=allow-any");
        }
        let mut running = Running::start(
            git.command(&arguments)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped()),
        )
        .map_err(GitError::NoGit)?;
        let stdin = running.stdin();
        let tips = tips.join("\n") + "\n";
        std::thread::spawn(move || {
            if let Some(mut stdin) = stdin {
                // A walk that ended early says why by its exit code.
                let _ = stdin.write_all(tips.as_bytes());
            }
        });
        Ok(Self { running })
    }

    /// Hands over each object that is reached, until `take` wants no more.
    pub(super) fn each(mut self, mut take: impl FnMut(&str) -> bool) -> Result<(), GitError> {
        let stdout = self.running.stdout();
        if let Some(stdout) = &stdout {
            enlarge(stdout.pipe());
        }
        let mut lines = stdout.map(|stdout| BufReader::with_capacity(256 * 1024, stdout));
        let mut line = String::new();
        loop {
            line.clear();
            let read = match &mut lines {
                Some(lines) => lines.read_line(&mut line),
                None => Ok(0),
            };
            if read.map_err(GitError::NoGit)? == 0 {
                return self.ended();
            }
            if !take(line.trim_end()) {
                return Ok(());
            }
        }
    }

    /// Keeps of the loose objects those that are reached. Ends as soon as all of them are.
    pub(super) fn reached(
        self,
        loose: &BTreeMap<String, Loose>,
    ) -> Result<HashSet<String>, GitError> {
        let mut reached = HashSet::new();
        if loose.is_empty() {
            return Ok(reached);
        }
        self.each(|oid| {
            if loose.contains_key(oid) {
                reached.insert(oid.to_owned());
            }
            reached.len() < loose.len()
        })?;
        Ok(reached)
    }

    fn ended(&mut self) -> Result<(), GitError> {
        let mut stderr = String::new();
        if let Some(mut output) = self.running.stderr() {
            let _ = output.read_to_string(&mut stderr);
        }
        let status = self.running.wait().map_err(GitError::NoGit)?;
        let arguments = ["rev-list", "--objects"];
        Git::in_time(&self.running, &arguments)?;
        if status.success() {
            Ok(())
        } else {
            Err(Git::failed(&arguments, stderr.trim()))
        }
    }
}

/// Packs what the refs reach of objects that are elsewhere, in a directory of ours: the files of that pack.
pub(super) fn borrowed(
    git: &Git,
    tips: &[String],
    partial: bool,
    to: &Path,
) -> Result<Vec<(String, PathBuf)>, GitError> {
    let mut reached = Vec::new();
    Walk::start(git, tips, partial)?.each(|oid| {
        reached.extend_from_slice(oid.as_bytes());
        reached.push(b'\n');
        true
    })?;
    // What its own objects are it says without the others.
    let own = git.with_borrowed(None);
    let checked = own.filter(&["cat-file", "--batch-check", "--buffer"], reached)?;
    let mut wanted = Vec::new();
    for line in checked.split(|&byte| byte == b'\n') {
        if let Some(oid) = line.strip_suffix(b" missing") {
            wanted.extend_from_slice(oid);
            wanted.push(b'\n');
        }
    }
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    make_directory(to)?;
    let stem = to.join("pack");
    let stem = stem.to_string_lossy().into_owned();
    let mut arguments = vec!["pack-objects", "-q"];
    if partial {
        arguments.push("--missing=allow-any");
    }
    arguments.push(&stem);
    git.filter(&arguments, wanted)?;
    let mut files = Vec::new();
    let listed = std::fs::read_dir(to).map_err(GitError::io("read", to))?;
    for entry in listed {
        let entry = entry.map_err(GitError::io("read", to))?;
        if let Ok(name) = entry.file_name().into_string() {
            files.push((name, entry.path()));
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn quoted_alternates_are_read_as_git_writes_them() {
        assert_eq!(unquoted(b"../x y/objects"), b"../x y/objects");
        assert_eq!(
            unquoted(br#""/a\"b\\c\n\303\244""#),
            "/a\"b\\c\n\u{e4}".as_bytes()
        );
    }

    #[test]
    fn a_ring_of_alternates_ends() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["a", "b"] {
            std::fs::create_dir_all(directory.path().join(name).join("info")).unwrap();
        }
        let root = directory.path().canonicalize().unwrap();
        std::fs::write(root.join("a/info/alternates"), "../b\n# none\n/gone\n").unwrap();
        std::fs::write(
            root.join("b/info/alternates"),
            format!("{}\n", root.join("a").display()),
        )
        .unwrap();
        let borrowed = borrowed_directories(Dir::open(&root.join("a")).unwrap()).unwrap();
        let places: Vec<_> = borrowed.iter().map(Dir::path).collect();
        assert_eq!(places, [root.join("b")]);
    }
}

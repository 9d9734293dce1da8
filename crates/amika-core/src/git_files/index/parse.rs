//! The parser of index files.

use super::{Entry, EntryProblem, Index, InvalidIndex, MAX_ENTRIES, MAX_FILE, Mode, Stat, split};
use crate::git_files::oid::{ObjectFormat, Oid};
use crate::repo_path::{RepoPath, escaped, is_dot_gitmodules};

const ASSUME_VALID: u16 = 0x8000;
const EXTENDED: u16 = 0x4000;
const NAME_LENGTH: u16 = 0x0fff;
const SKIP_WORKTREE: u16 = 0x4000;
const INTENT_TO_ADD: u16 = 0x2000;

/// Reads an index. `shared` gives the bytes of `sharedindex.<name>` beside it, which only a split one needs.
///
/// # Errors
/// With the first thing that is not understood, and beyond the limits.
pub fn parse(
    bytes: &[u8],
    format: ObjectFormat,
    shared: impl FnOnce(Oid) -> Option<Vec<u8>>,
) -> Result<Index, InvalidIndex> {
    let file = file(bytes, format)?;
    let entries = match file.link {
        None => file.entries,
        Some(link) => {
            let name = link.base;
            let bytes = shared(name).ok_or(InvalidIndex::NoShared(name))?;
            let base = shared_entries(&bytes, format, name).map_err(|why| {
                let why = Box::new(why);
                InvalidIndex::Shared { name, why }
            })?;
            split::merge(base, file.entries, &link)?
        }
    };
    let entries = named(entries)?;
    check_order(&entries)?;
    Ok(Index { format, entries })
}

fn shared_entries(
    bytes: &[u8],
    format: ObjectFormat,
    name: Oid,
) -> Result<Vec<Parsed>, InvalidIndex> {
    let file = file(bytes, format)?;
    if file.link.is_some() {
        return Err(InvalidIndex::SplitTwice);
    }
    // Its name is its checksum: another file in its place is no base of this index.
    if format.hash(&bytes[..bytes.len() - format.length()]) != name {
        return Err(InvalidIndex::Checksum(format));
    }
    Ok(file.entries)
}

/// An entry before a split index is merged: without a name it takes that of the shared one.
#[derive(Clone, Debug)]
pub(super) struct Parsed {
    pub(super) name: Vec<u8>,
    /// Which of its file, counted from 1.
    number: usize,
    mode: u32,
    oid: Oid,
    pub(super) stage: u8,
    stat: Stat,
    flags: (u16, u16),
}

/// What a split index says of its shared one.
pub(super) struct Link<'a> {
    base: Oid,
    /// The bitmaps; nothing when there are none.
    pub(super) bitmaps: &'a [u8],
}

struct File<'a> {
    entries: Vec<Parsed>,
    link: Option<Link<'a>>,
}

/// Bytes that are read from the front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], InvalidIndex> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(InvalidIndex::Cut)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], InvalidIndex> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(InvalidIndex::Cut)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn u32(&mut self) -> Result<u32, InvalidIndex> {
        self.array().map(u32::from_be_bytes)
    }

    fn u16(&mut self) -> Result<u16, InvalidIndex> {
        self.array().map(u16::from_be_bytes)
    }

    /// A number in the encoding of pack offsets: seven bits a byte, each that goes on counts one more.
    fn varint(&mut self) -> Result<usize, InvalidIndex> {
        let [mut byte] = self.array()?;
        let mut value = usize::from(byte & 0x7f);
        while byte & 0x80 != 0 {
            [byte] = self.array()?;
            // No name is so long, and nothing overflows.
            if value > MAX_FILE {
                return Err(InvalidIndex::Cut);
            }
            value = ((value + 1) << 7) | usize::from(byte & 0x7f);
        }
        Ok(value)
    }

    fn until_nul(&mut self) -> Result<&'a [u8], InvalidIndex> {
        let end = self.0.iter().position(|&byte| byte == 0);
        let taken = self.take(end.ok_or(InvalidIndex::Cut)?)?;
        self.take(1)?;
        Ok(taken)
    }
}

fn file(bytes: &[u8], format: ObjectFormat) -> Result<File<'_>, InvalidIndex> {
    if bytes.len() > MAX_FILE {
        return Err(InvalidIndex::Large { size: bytes.len() });
    }
    let end = bytes.len().checked_sub(format.length());
    let (content, checksum) = bytes.split_at(end.ok_or(InvalidIndex::Cut)?);
    let mut reader = Reader(content);
    if reader.take(4)? != b"DIRC" {
        return Err(InvalidIndex::Signature);
    }
    let version = reader.u32()?;
    if !(2..=4).contains(&version) {
        return Err(InvalidIndex::Version(version));
    }
    // Zero with `index.skipHash`.
    if checksum.iter().any(|byte| *byte != 0) && format.hash(content).as_bytes() != checksum {
        return Err(InvalidIndex::Checksum(format));
    }
    let count = reader.u32()?;
    let most = usize::try_from(count).unwrap_or(usize::MAX);
    if most > MAX_ENTRIES {
        return Err(InvalidIndex::Many(u64::from(count)));
    }
    // An entry takes at least so much: what the head says is not believed.
    let smallest = 40 + format.length() + 2 + 1;
    if reader.0.len() / smallest < most {
        return Err(InvalidIndex::Cut);
    }
    let mut entries: Vec<Parsed> = Vec::with_capacity(most);
    let mut names = 0;
    for number in 1..=most {
        let before = entries.last().map_or(&[][..], |last| &last.name);
        let entry = entry(&mut reader, version, format, number, before)?;
        // Version 4 writes names short that are long in memory.
        names += entry.name.len();
        if names > MAX_FILE {
            return Err(InvalidIndex::Names);
        }
        entries.push(entry);
    }
    let extensions = extensions(reader, format)?;
    if let Some(found) = entries
        .iter()
        .find(|one| !extensions.sparse && one.mode == Mode::Tree.bits())
    {
        return Err(InvalidIndex::Entry {
            number: found.number,
            problem: EntryProblem::Directory(escaped(&found.name)),
        });
    }
    Ok(File {
        entries,
        link: extensions.link,
    })
}

fn entry(
    reader: &mut Reader<'_>,
    version: u32,
    format: ObjectFormat,
    number: usize,
    before: &[u8],
) -> Result<Parsed, InvalidIndex> {
    let at = |problem| InvalidIndex::Entry { number, problem };
    let start = reader.0.len();
    let ctime = (reader.u32()?, reader.u32()?);
    let mtime = (reader.u32()?, reader.u32()?);
    let (dev, ino, mode) = (reader.u32()?, reader.u32()?, reader.u32()?);
    let (uid, gid, size) = (reader.u32()?, reader.u32()?, reader.u32()?);
    let oid = Oid::from_bytes(format, reader.take(format.length())?).ok_or(InvalidIndex::Cut)?;
    let flags = reader.u16()?;
    let extended = if flags & EXTENDED == 0 {
        0
    } else {
        reader.u16()?
    };
    let name = if version == 4 {
        let kept = before.len().checked_sub(reader.varint()?);
        let kept = kept.ok_or_else(|| at(EntryProblem::NameLength))?;
        let name = [&before[..kept], reader.until_nul()?].concat();
        // One byte may otherwise stand for a name of any length.
        if name.len() > crate::repo_path::MAX_PATH + 1 {
            return Err(at(EntryProblem::NameLength));
        }
        name
    } else {
        let name = reader.until_nul()?;
        let taken = start - reader.0.len();
        let padding = reader.take(taken.next_multiple_of(8) - taken)?;
        if padding.iter().any(|byte| *byte != 0) {
            return Err(at(EntryProblem::NameLength));
        }
        name.to_vec()
    };
    let said = flags & NAME_LENGTH;
    if usize::from(said) != name.len().min(usize::from(NAME_LENGTH)) {
        return Err(at(EntryProblem::NameLength));
    }
    let unknown = extended & !(SKIP_WORKTREE | INTENT_TO_ADD) != 0;
    if unknown || (version == 2 && flags & EXTENDED != 0) {
        return Err(at(EntryProblem::Flags(escaped(&name))));
    }
    Ok(Parsed {
        name,
        number,
        mode,
        oid,
        stage: u8::try_from((flags >> 12) & 3).unwrap_or_default(),
        stat: Stat {
            ctime,
            mtime,
            dev,
            ino,
            uid,
            gid,
            size,
        },
        flags: (flags, extended),
    })
}

#[derive(Default)]
struct Extensions<'a> {
    sparse: bool,
    link: Option<Link<'a>>,
}

fn extensions(
    mut reader: Reader<'_>,
    format: ObjectFormat,
) -> Result<Extensions<'_>, InvalidIndex> {
    let mut found = Extensions::default();
    while !reader.0.is_empty() {
        let signature = reader.array::<4>()?;
        let size = usize::try_from(reader.u32()?).map_err(|_| InvalidIndex::Cut)?;
        let content = reader.take(size)?;
        match &signature {
            b"sdir" => found.sparse = true,
            b"link" => {
                let malformed = || InvalidIndex::Malformed("link");
                if found.link.is_some() {
                    return Err(malformed());
                }
                let parts = content.split_at_checked(format.length());
                let (base, bitmaps) = parts.ok_or_else(malformed)?;
                let base = Oid::from_bytes(format, base).ok_or_else(malformed)?;
                // Git writes the name of nothing for an index that is not split any more.
                if !base.is_null() {
                    found.link = Some(Link { base, bitmaps });
                }
            }
            // Only hints, which a fresh index does without: TREE, REUC, UNTR, FSMN, EOIE, IEOT.
            [b'A'..=b'Z', ..] => {}
            other => return Err(InvalidIndex::Extension(escaped(other))),
        }
    }
    Ok(found)
}

/// Checks names and modes, once a split index is whole.
fn named(parsed: Vec<Parsed>) -> Result<Vec<Entry>, InvalidIndex> {
    let mut entries = Vec::with_capacity(parsed.len());
    for one in parsed {
        let number = one.number;
        let at = |problem| InvalidIndex::Entry { number, problem };
        let shown = || escaped(&one.name);
        let mode = Mode::from_bits(one.mode).ok_or_else(|| {
            let (path, mode) = (shown(), one.mode);
            at(EntryProblem::Mode { path, mode })
        })?;
        let name = match (mode, one.name.strip_suffix(b"/")) {
            (Mode::Tree, Some(name)) => name,
            (Mode::Tree, None) => return Err(at(EntryProblem::Directory(shown()))),
            _ => &one.name,
        };
        let path = RepoPath::new(name).map_err(|path| InvalidIndex::Path { number, path })?;
        if mode == Mode::Symlink && is_dot_gitmodules(path.name()) {
            return Err(at(EntryProblem::ModulesLink(shown())));
        }
        let (flags, extended) = one.flags;
        entries.push(Entry {
            path,
            mode,
            oid: one.oid,
            stage: one.stage,
            stat: one.stat,
            assume_valid: flags & ASSUME_VALID != 0,
            skip_worktree: extended & SKIP_WORKTREE != 0,
            intent_to_add: extended & INTENT_TO_ADD != 0,
        });
    }
    Ok(entries)
}

/// An entry's name as git sorts it.
pub(super) fn sorted_by(entry: &Entry) -> impl Iterator<Item = u8> {
    let slash = (entry.mode == Mode::Tree).then_some(b'/');
    entry.path.as_bytes().iter().copied().chain(slash)
}

/// Each entry is behind the one before it, a name is whole or in conflict, and no file is a directory, too.
fn check_order(entries: &[Entry]) -> Result<(), InvalidIndex> {
    // The files that a name could be beneath: each is a prefix of the next.
    let mut files: Vec<&Entry> = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let at = |problem| InvalidIndex::Entry {
            number: index + 1,
            problem,
        };
        if let Some(before) = index.checked_sub(1).map(|index| &entries[index]) {
            let order = before.path.as_bytes().cmp(entry.path.as_bytes());
            let order = if before.mode == Mode::Tree || entry.mode == Mode::Tree {
                sorted_by(before).cmp(sorted_by(entry))
            } else {
                order
            };
            let follows = match order {
                std::cmp::Ordering::Less => true,
                std::cmp::Ordering::Equal => before.stage != 0 && before.stage < entry.stage,
                std::cmp::Ordering::Greater => false,
            };
            if !follows {
                return Err(at(EntryProblem::Order(entry.path.to_string())));
            }
        }
        let name = entry.path.as_bytes();
        while files
            .last()
            .is_some_and(|file| !name.starts_with(file.path.as_bytes()))
        {
            files.pop();
        }
        // A conflict may be of a file and a directory.
        let beneath = |file: &&Entry| {
            file.stage == entry.stage && entry.path != file.path && entry.path.is_within(&file.path)
        };
        if entry.stage == 0 && files.iter().any(beneath) {
            return Err(at(EntryProblem::Beneath(entry.path.to_string())));
        }
        files.push(entry);
    }
    Ok(())
}

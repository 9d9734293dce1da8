//! Git's index file (`git help gitformat-index`): read under limits, and written anew without extensions.

use std::io;

use amika_core::git_files::oid::{ObjectFormat, Oid};

/// Bytes of an index.
pub(super) const MAX_FILE: u64 = 512 << 20;
/// Entries of one.
const MAX_ENTRIES: usize = 5_000_000;
/// The longest path.
const MAX_NAME: usize = 4096;
/// Bytes of stat data before mode, which lies in it, and object.
const STAT: usize = 40;
/// A directory as one entry, of a sparse index.
const TREE: u32 = 0o040_000;

const EXTENDED: u16 = 0x4000;
const STAGE: u16 = 0x3000;
const NAME: u16 = 0x0fff;
const ASSUME_VALID: u16 = 0x8000;
/// Skip-worktree and intent-to-add; the highest bit is reserved.
const EXTENDED_KNOWN: u16 = 0x6000;

/// Why an index is not understood.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Damaged(pub(super) String);

/// What an index holds.
#[derive(Clone, Debug)]
pub(super) struct Parsed {
    pub(super) format: ObjectFormat,
    pub(super) entries: Vec<Entry>,
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Times, device, inode, mode, owner, size, as they are in the file.
    stat: [u8; STAT],
    pub(super) mode: u32,
    pub(super) oid: Oid,
    /// Assume-valid and stage.
    flags: u16,
    extended: u16,
    pub(super) path: Box<[u8]>,
}

impl Entry {
    /// One of which nothing is known of the disk.
    pub(super) fn new(mode: u32, oid: Oid, path: Box<[u8]>) -> Self {
        let mut stat = [0; STAT];
        stat[24..28].copy_from_slice(&mode.to_be_bytes());
        Self {
            stat,
            mode,
            oid,
            flags: 0,
            extended: 0,
            path,
        }
    }

    /// Its path, of a directory without the slash at its end.
    pub(super) fn name(&self) -> &[u8] {
        if self.mode == TREE {
            self.path.strip_suffix(b"/").unwrap_or(&self.path)
        } else {
            &self.path
        }
    }

    /// Whether it is the commit of a repository inside.
    pub(super) fn is_gitlink(&self) -> bool {
        self.mode == 0o160_000
    }

    /// Says that it is as on the disk, so that git does not look.
    pub(super) fn assume_valid(&mut self) {
        self.flags |= ASSUME_VALID;
    }

    fn stage(&self) -> u16 {
        (self.flags & STAGE) >> 12
    }
}

impl Parsed {
    /// Whether it holds whole directories as one entry each.
    pub(super) fn is_sparse(&self) -> bool {
        self.entries.iter().any(|entry| entry.mode == TREE)
    }
}

/// Reads an index; `shared` reads the one that a split index builds on.
pub(super) fn parse(
    bytes: &[u8],
    format: ObjectFormat,
    shared: impl FnOnce(Oid) -> io::Result<Option<Vec<u8>>>,
) -> Result<Parsed, Damaged> {
    let (mut parsed, link) = one_file(bytes, format, true)?;
    if let Some(link) = link.filter(|link| !link.base.is_null()) {
        let base = shared(link.base)
            .map_err(|error| Damaged(error.to_string()))?
            .ok_or_else(|| Damaged(format!("sharedindex.{} is not there", link.base)))?;
        let (base, further) = one_file(&base, format, false)?;
        if further.is_some_and(|further| !further.base.is_null()) {
            return damaged("a shared index builds on another");
        }
        parsed.entries = merged(base.entries, parsed.entries, &link)?;
    }
    in_order(&parsed.entries)?;
    Ok(parsed)
}

fn damaged<T>(why: &str) -> Result<T, Damaged> {
    Err(Damaged(why.to_owned()))
}

/// What a split index says of the one that it builds on.
struct Link {
    base: Oid,
    deleted: Vec<u32>,
    replaced: Vec<u32>,
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Damaged> {
        let end = self
            .at
            .checked_add(length)
            .filter(|&end| end <= self.bytes.len());
        let Some(end) = end else {
            return damaged("it ends too early");
        };
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn u16(&mut self) -> Result<u16, Damaged> {
        let taken = self.take(2)?;
        Ok(u16::from_be_bytes([taken[0], taken[1]]))
    }

    fn u32(&mut self) -> Result<u32, Damaged> {
        let taken = self.take(4)?;
        Ok(u32::from_be_bytes([taken[0], taken[1], taken[2], taken[3]]))
    }

    fn u64(&mut self) -> Result<u64, Damaged> {
        Ok(u64::from(self.u32()?) << 32 | u64::from(self.u32()?))
    }

    fn oid(&mut self, format: ObjectFormat) -> Result<Oid, Damaged> {
        let taken = self.take(format.length())?;
        Oid::from_bytes(format, taken).ok_or_else(|| Damaged("it has no object's name".into()))
    }
}

fn one_file(
    bytes: &[u8],
    format: ObjectFormat,
    may_be_split: bool,
) -> Result<(Parsed, Option<Link>), Damaged> {
    if bytes.len() < 12 + format.length() {
        return damaged("it is too short for an index");
    }
    let (content, sum) = bytes.split_at(bytes.len() - format.length());
    // A sum of zeros says that none was made (`index.skipHash`).
    if sum.iter().any(|&byte| byte != 0) && format.hash(content).as_bytes() != sum {
        return damaged("its checksum is another");
    }
    let mut cursor = Cursor {
        bytes: content,
        at: 0,
    };
    if cursor.take(4)? != b"DIRC" {
        return damaged("it does not begin as an index does");
    }
    let version = cursor.u32()?;
    if !(2..=4).contains(&version) {
        return Err(Damaged(format!("it is of version {version}")));
    }
    let count = cursor.u32()? as usize;
    if count > MAX_ENTRIES || count > content.len() / (STAT + format.length()) {
        return Err(Damaged(format!("it has {count} entries")));
    }
    let mut entries: Vec<Entry> = Vec::with_capacity(count);
    for _ in 0..count {
        let last = entries.last().map_or(&b""[..], |entry| &entry.path);
        let entry = entry(&mut cursor, version, format, last)?;
        entries.push(entry);
    }
    let mut link = None;
    while cursor.at < content.len() {
        let name = cursor.take(4)?;
        let size = cursor.u32()? as usize;
        let inner = cursor.take(size)?;
        match name {
            b"link" if may_be_split => link = Some(parse_link(inner, format)?),
            // Its entries of directories are what it says.
            b"sdir" => {}
            // One that need not be understood.
            [b'A'..=b'Z', ..] => {}
            other => {
                return Err(Damaged(format!(
                    "it has the extension \"{}\"",
                    other.escape_ascii()
                )));
            }
        }
    }
    Ok((Parsed { format, entries }, link))
}

fn entry(
    cursor: &mut Cursor<'_>,
    version: u32,
    format: ObjectFormat,
    last: &[u8],
) -> Result<Entry, Damaged> {
    let begun = cursor.at;
    let mut stat = [0; STAT];
    stat.copy_from_slice(cursor.take(STAT)?);
    let mode = u32::from_be_bytes([stat[24], stat[25], stat[26], stat[27]]);
    let mode = match mode {
        0o120_000 | 0o160_000 | TREE => mode,
        // As git has it: only whether its owner may run it counts.
        regular if regular & 0o170_000 == 0o100_000 => {
            if regular & 0o100 != 0 {
                0o100_755
            } else {
                0o100_644
            }
        }
        other => return Err(Damaged(format!("an entry has the mode {other:o}"))),
    };
    let oid = cursor.oid(format)?;
    let flags = cursor.u16()?;
    let mut extended = 0;
    if flags & EXTENDED != 0 {
        if version < 3 {
            return damaged("it has the flags of a later version");
        }
        extended = cursor.u16()?;
        if extended & !EXTENDED_KNOWN != 0 {
            return damaged("an entry has flags that are not known");
        }
    }
    let path = if version == 4 {
        let strip = variable_length(cursor)?;
        let kept = last.len().checked_sub(strip);
        let Some(kept) = kept else {
            return damaged("a path is cut by more than it has");
        };
        let rest = until_zero(cursor)?;
        [&last[..kept], rest].concat()
    } else {
        let path = until_zero(cursor)?;
        // Filled with zeros, one at least, to a multiple of eight.
        let length = cursor.at - 1 - begun;
        let padded = (length + 8) & !7;
        cursor.take(padded - length - 1)?;
        path.to_vec()
    };
    let length = usize::from(flags & NAME);
    if length < usize::from(NAME) && path.len() != length {
        return damaged("a path is not as long as it says");
    }
    if path.len() > MAX_NAME {
        return Err(Damaged(format!("a path is longer than {MAX_NAME} bytes")));
    }
    if (mode == TREE) != path.ends_with(b"/") {
        return damaged("an entry's path and mode do not fit");
    }
    Ok(Entry {
        stat,
        mode,
        oid,
        flags: flags & (ASSUME_VALID | STAGE),
        extended,
        path: path.into(),
    })
}

fn until_zero<'a>(cursor: &mut Cursor<'a>) -> Result<&'a [u8], Damaged> {
    let rest = &cursor.bytes[cursor.at..];
    let length = rest.iter().take(MAX_NAME + 1).position(|&byte| byte == 0);
    let Some(length) = length else {
        return damaged("a path does not end");
    };
    let path = cursor.take(length)?;
    cursor.take(1)?;
    Ok(path)
}

/// A number as packs have it for offsets.
fn variable_length(cursor: &mut Cursor<'_>) -> Result<usize, Damaged> {
    let mut byte = cursor.take(1)?[0];
    let mut value = usize::from(byte & 0x7f);
    while byte & 0x80 != 0 {
        if value > MAX_FILE as usize {
            return damaged("a path is cut by more than it has");
        }
        byte = cursor.take(1)?[0];
        value = ((value + 1) << 7) | usize::from(byte & 0x7f);
    }
    Ok(value)
}

fn parse_link(bytes: &[u8], format: ObjectFormat) -> Result<Link, Damaged> {
    let mut cursor = Cursor { bytes, at: 0 };
    let base = cursor.oid(format)?;
    let (mut deleted, mut replaced) = (Vec::new(), Vec::new());
    if cursor.at < bytes.len() {
        deleted = bitmap(&mut cursor)?;
        replaced = bitmap(&mut cursor)?;
        if cursor.at < bytes.len() {
            return damaged("there is more in its link than git writes");
        }
    }
    Ok(Link {
        base,
        deleted,
        replaced,
    })
}

/// The positions that a compressed bitmap (EWAH) has.
fn bitmap(cursor: &mut Cursor<'_>) -> Result<Vec<u32>, Damaged> {
    let bits = cursor.u32()?;
    if bits as usize > MAX_ENTRIES {
        return damaged("a bitmap is larger than an index");
    }
    let words = cursor.u32()?;
    let mut positions = Vec::new();
    let mut at: u64 = 0;
    let mut left = words;
    while left > 0 {
        // How many words of only this bit follow, and how many as they are.
        let marker = cursor.u64()?;
        left -= 1;
        let run = (marker >> 1) & 0xffff_ffff;
        let literal = marker >> 33;
        let end = at + run * 64;
        if end > u64::from(bits) + 64 || literal > u64::from(left) {
            return damaged("a bitmap is longer than it says");
        }
        if marker & 1 == 1 {
            positions
                .extend((at..end.min(u64::from(bits))).filter_map(|bit| u32::try_from(bit).ok()));
        }
        at = end;
        for _ in 0..literal {
            let word = cursor.u64()?;
            left -= 1;
            for bit in 0..64 {
                if word >> bit & 1 == 1 {
                    if at + bit >= u64::from(bits) {
                        return damaged("a bitmap is longer than it says");
                    }
                    positions.extend(u32::try_from(at + bit).ok());
                }
            }
            at += 64;
        }
    }
    // Where the last marker is.
    cursor.u32()?;
    Ok(positions)
}

/// The entries of a shared index with those of the one that is split from it.
fn merged(base: Vec<Entry>, own: Vec<Entry>, link: &Link) -> Result<Vec<Entry>, Damaged> {
    let mut base: Vec<Option<Entry>> = base.into_iter().map(Some).collect();
    let mut own = own.into_iter();
    let outside = || Damaged("its bitmaps name entries that the shared index does not have".into());
    for &position in &link.replaced {
        let replaced = base.get_mut(position as usize).ok_or_else(outside)?;
        let (Some(old), Some(mut new)) = (replaced.as_ref(), own.next()) else {
            return Err(outside());
        };
        if !new.path.is_empty() {
            return damaged("an entry that replaces another has a path");
        }
        new.path.clone_from(&old.path);
        *replaced = Some(new);
    }
    for &position in &link.deleted {
        let deleted = base.get_mut(position as usize).ok_or_else(outside)?;
        *deleted = None;
    }
    let mut all: Vec<Entry> = base.into_iter().flatten().collect();
    // Those that are new, or in the place of one of another stage.
    for new in own {
        if new.path.is_empty() {
            return damaged("an entry has no path");
        }
        all.push(new);
    }
    all.sort_by(|a, b| (&a.path, a.stage()).cmp(&(&b.path, b.stage())));
    Ok(all)
}

/// Entries are in the order of their paths and stages, and none is there twice, nor as a file and a
/// directory at once.
fn in_order(entries: &[Entry]) -> Result<(), Damaged> {
    for pair in entries.windows(2) {
        let (one, two) = (&pair[0], &pair[1]);
        let is_after = (&one.path, one.stage()) < (&two.path, two.stage());
        let is_unmerged = one.path == two.path && one.stage() == 0;
        if !is_after || is_unmerged {
            return Err(Damaged(format!(
                "its entries are not in order at \"{}\"",
                amika_core::repo_path::escaped(&two.path)
            )));
        }
    }
    Ok(())
}

/// Writes an index of version 2, or 3 where flags need it, without extensions but the one that says that
/// there are whole directories.
pub(super) fn write(parsed: &Parsed) -> Vec<u8> {
    let is_extended = parsed.entries.iter().any(|entry| entry.extended != 0);
    let version: u32 = if is_extended { 3 } else { 2 };
    let mut file = Vec::with_capacity(parsed.entries.len() * 100 + 64);
    file.extend_from_slice(b"DIRC");
    file.extend_from_slice(&version.to_be_bytes());
    let count = u32::try_from(parsed.entries.len()).unwrap_or(u32::MAX);
    file.extend_from_slice(&count.to_be_bytes());
    for entry in &parsed.entries {
        let begun = file.len();
        file.extend_from_slice(&entry.stat[..24]);
        file.extend_from_slice(&entry.mode.to_be_bytes());
        file.extend_from_slice(&entry.stat[28..]);
        file.extend_from_slice(entry.oid.as_bytes());
        let length = u16::try_from(entry.path.len()).unwrap_or(NAME).min(NAME);
        let mut flags = entry.flags | length;
        if entry.extended != 0 {
            flags |= EXTENDED;
        }
        file.extend_from_slice(&flags.to_be_bytes());
        if entry.extended != 0 {
            file.extend_from_slice(&entry.extended.to_be_bytes());
        }
        file.extend_from_slice(&entry.path);
        let length = file.len() - begun;
        file.resize(begun + ((length + 8) & !7), 0);
    }
    if parsed.is_sparse() {
        file.extend_from_slice(b"sdir\0\0\0\0");
    }
    let sum = parsed.format.hash(&file);
    file.extend_from_slice(sum.as_bytes());
    file
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::path::Path;
    use std::process::Command;

    use pretty_assertions::assert_eq;

    use super::*;

    fn git(directory: &Path, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .current_dir(directory)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .args(["-c", "user.name=Me", "-c", "user.email=me@example.com"])
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// A repository with an index of that form, and what is in it.
    fn index(format: &str, form: &[&[&str]]) -> (tempfile::TempDir, Vec<u8>) {
        let root = tempfile::tempdir().unwrap();
        let path = root.path();
        git(path, &["init", "-q", &format!("--object-format={format}")]);
        for number in 0..40 {
            let directory = path.join(format!("d{}/e", number % 3));
            std::fs::create_dir_all(&directory).unwrap();
            std::fs::write(
                directory.join(format!("file-{number}")),
                format!("{number}"),
            )
            .unwrap();
        }
        git(path, &["add", "-A"]);
        git(path, &["commit", "-q", "-m", "first"]);
        std::fs::write(path.join("later"), "x").unwrap();
        for arguments in form {
            git(path, arguments);
        }
        let bytes = std::fs::read(path.join(".git/index")).unwrap();
        (root, bytes)
    }

    fn parse_in(root: &Path, format: ObjectFormat, bytes: &[u8]) -> Result<Parsed, Damaged> {
        parse(bytes, format, |oid| {
            std::fs::read(root.join(format!(".git/sharedindex.{oid}"))).map(Some)
        })
    }

    const FORMS: [&[&[&str]]; 7] = [
        &[],
        &[&["update-index", "--index-version", "4"]],
        &[&["update-index", "--split-index"]],
        &[
            &["update-index", "--split-index"],
            &["add", "later"],
            &["rm", "-q", "--cached", "d0/e/file-3", "d1/e/file-4"],
            &["update-index", "--chmod=+x", "d2/e/file-5"],
        ],
        &[
            &["add", "-N", "later"],
            &["update-index", "--skip-worktree", "d0/e/file-0"],
            &["update-index", "--assume-unchanged", "d0/e/file-3"],
        ],
        &[&["sparse-checkout", "set", "--cone", "--sparse-index", "d1"]],
        &[&["update-index", "--force-untracked-cache"]],
    ];

    #[test]
    fn what_is_written_is_what_git_wrote() {
        for (name, format) in [
            ("sha1", ObjectFormat::Sha1),
            ("sha256", ObjectFormat::Sha256),
        ] {
            for form in FORMS {
                let (root, bytes) = index(name, form);
                let listed = || {
                    git(
                        root.path(),
                        &["ls-files", "--stage", "--debug", "--sparse", "-v"],
                    )
                };
                let before = listed();
                let parsed = parse_in(root.path(), format, &bytes).unwrap();
                std::fs::write(root.path().join(".git/index"), write(&parsed)).unwrap();
                assert_eq!(listed(), before, "{name} {form:?}");
            }
        }
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let mut seed: u64 = 0x2545_f491_4f6c_dd1d;
        let mut random = move || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            usize::try_from(seed >> 16).unwrap()
        };
        for form in [FORMS[0], FORMS[1], FORMS[3], FORMS[5]] {
            let (root, bytes) = index("sha1", form);
            for _ in 0..3000 {
                let mut changed = bytes.clone();
                for _ in 0..=random() % 4 {
                    let at = random() % changed.len();
                    changed[at] = u8::try_from(random() & 0xff).unwrap();
                }
                if random() % 4 == 0 {
                    changed.truncate(random() % changed.len());
                }
                // Without its checksum all of it is looked at.
                let length = changed.len();
                if length > 20 {
                    changed[length - 20..].fill(0);
                }
                if let Ok(parsed) = parse_in(root.path(), ObjectFormat::Sha1, &changed) {
                    let again = parse_in(root.path(), ObjectFormat::Sha1, &write(&parsed));
                    assert_eq!(again.unwrap().entries, parsed.entries);
                }
            }
        }
    }
}

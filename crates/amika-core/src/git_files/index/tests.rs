#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "only git knows what git writes and reads; the crate itself does neither"
)]

use std::fs;
use std::path::Path;
use std::process::Command;

use proptest::prelude::*;

use super::*;

const SHA1: ObjectFormat = ObjectFormat::Sha1;

/// A repository that git made, with its files committed.
struct Repository {
    top: tempfile::TempDir,
    format: ObjectFormat,
}

impl Repository {
    fn new(format: ObjectFormat) -> Self {
        let top = tempfile::tempdir().expect("a directory");
        let made = Self { top, format };
        let object_format = format!("--object-format={}", format.name());
        made.git(&["init", "-q", "-b", "main", &object_format]);
        for name in ["a", "a.txt", "b/c", "b/d/e", "b.x", "line\nbreak", "run"] {
            let path = made.path().join(name);
            fs::create_dir_all(path.parent().expect("a directory")).expect("directories");
            fs::write(path, name).expect("write");
        }
        let rights = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(made.path().join("run"), rights).expect("chmod");
        std::os::unix::fs::symlink("a", made.path().join("link")).expect("a link");
        made.git(&["add", "."]);
        made.git(&["commit", "-qm", "one"]);
        let head = made.git(&["rev-parse", "HEAD"]);
        let gitlink = format!("160000,{},sub", head.trim());
        made.git(&["update-index", "--add", "--cacheinfo", &gitlink]);
        made
    }

    fn path(&self) -> &Path {
        self.top.path()
    }

    fn index(&self) -> Vec<u8> {
        fs::read(self.path().join(".git/index")).expect("git made it")
    }

    fn parse(&self) -> Result<Index, InvalidIndex> {
        parse(&self.index(), self.format, |name| {
            fs::read(self.path().join(format!(".git/sharedindex.{name}"))).ok()
        })
    }

    fn git(&self, args: &[&str]) -> String {
        self.git_on(".git/index", args)
    }

    fn git_on(&self, index: &str, args: &[&str]) -> String {
        let output = Command::new("git")
            .args(["-c", "user.name=a", "-c", "user.email=a@example.com"])
            .args(args)
            .current_dir(self.path())
            .env_clear()
            .env("PATH", env!("PATH"))
            .env("HOME", self.path())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_INDEX_FILE", index)
            .output()
            .expect("git runs");
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// What git reads of an index: modes, names, stages, stat data and flags.
    fn seen_by_git(&self, index: &str, sparse: bool) -> String {
        let mut seen = String::new();
        for how in [["--stage", "--debug"], ["-v", "-t"]] {
            let mut args = vec!["ls-files"];
            args.extend(how);
            if sparse {
                args.push("--sparse");
            }
            seen += &self.git_on(index, &args);
        }
        // What git keeps in memory alone is told there as well; the bits of the file are the low ones.
        let lines = seen.lines().map(|line| match line.split_once("flags: ") {
            Some((stat, flags)) => {
                let flags = u32::from_str_radix(flags, 16).expect("hexadecimal");
                format!("{stat}flags: {:x}\n", flags & 0x6000_b000)
            }
            None => format!("{line}\n"),
        });
        lines.collect()
    }

    /// Reads the index, writes it anew, and lets git say that both are the same.
    fn round_trip(&self, version: u32) -> Index {
        let index = self.index();
        assert_eq!(index[4..8], version.to_be_bytes());
        let read = self.parse().expect("git made it");
        let fresh = read.write();
        fs::write(self.path().join(".git/fresh"), &fresh).expect("write");
        let sparse = read.entries.iter().any(|entry| entry.mode == Mode::Tree);
        assert_eq!(
            self.seen_by_git(".git/fresh", sparse),
            self.seen_by_git(".git/index", sparse)
        );
        let again = parse(&fresh, self.format, |_| None).expect("we made it");
        assert_eq!(again, read);
        read
    }
}

fn names(index: &Index) -> Vec<String> {
    let names = index.entries.iter();
    names
        .map(|entry| {
            format!(
                "{}{}",
                entry.path,
                ["", ":1", ":2", ":3"][usize::from(entry.stage)]
            )
        })
        .collect()
}

#[test]
fn git_reads_a_fresh_index_as_the_one_that_it_wrote() {
    for format in [SHA1, ObjectFormat::Sha256] {
        let repository = Repository::new(format);
        let read = repository.round_trip(2);
        assert_eq!(
            names(&read),
            [
                "a",
                "a.txt",
                "b.x",
                "b/c",
                "b/d/e",
                r"line\nbreak",
                "link",
                "run",
                "sub"
            ]
        );
        let modes: Vec<Mode> = read.entries[5..].iter().map(|one| one.mode).collect();
        assert_eq!(
            modes,
            [
                Mode::Regular,
                Mode::Symlink,
                Mode::Executable,
                Mode::Gitlink
            ]
        );
        repository.git(&["update-index", "--assume-unchanged", "a"]);
        assert!(repository.round_trip(2).entries[0].assume_valid);
        fs::write(repository.path().join("new"), "new").expect("write");
        repository.git(&["add", "-N", "new"]);
        repository.git(&["update-index", "--skip-worktree", "b/c"]);
        let read = repository.round_trip(3);
        assert!(read.entries[3].skip_worktree && read.entries[7].intent_to_add);
        repository.git(&["update-index", "--index-version", "4"]);
        assert_eq!(repository.round_trip(4), read);
    }
}

#[test]
fn long_names_are_read_and_written() {
    let repository = Repository::new(SHA1);
    let long = format!("{}x", "directory/".repeat(409));
    let blob = repository.git(&["hash-object", "-w", "a"]);
    let info = format!("100644,{},{long}", blob.trim());
    repository.git(&["update-index", "--add", "--cacheinfo", &info]);
    for version in [2, 4] {
        repository.git(&["update-index", "--index-version", &version.to_string()]);
        let read = parse(&repository.index(), SHA1, |_| None).expect("git made it");
        let found = read
            .entries
            .iter()
            .find(|one| one.path.as_bytes() == long.as_bytes());
        assert!(found.is_some());
        assert_eq!(parse(&read.write(), SHA1, |_| None), Ok(read));
    }
}

#[test]
fn a_conflict_keeps_its_stages() {
    let repository = Repository::new(SHA1);
    repository.git(&["reset", "-q", "--hard"]);
    repository.git(&["checkout", "-qb", "other"]);
    for (branch, content) in [("other", "theirs"), ("main", "ours")] {
        repository.git(&["checkout", "-q", branch]);
        fs::write(repository.path().join("a"), content).expect("write");
        repository.git(&["commit", "-qam", content]);
    }
    let tree = |name| repository.git(&["rev-parse", name]).trim().to_owned();
    let (base, ours, theirs) = (
        tree("main~^{tree}"),
        tree("main^{tree}"),
        tree("other^{tree}"),
    );
    repository.git(&["read-tree", "-m", &base, &ours, &theirs]);
    let read = repository.round_trip(2);
    assert_eq!(names(&read)[..4], ["a:1", "a:2", "a:3", "a.txt"]);
}

#[test]
fn a_split_index_is_made_whole() {
    for format in [SHA1, ObjectFormat::Sha256] {
        let repository = Repository::new(format);
        repository.git(&["config", "splitIndex.maxPercentChange", "100"]);
        repository.git(&["update-index", "--split-index"]);
        let whole = repository.round_trip(2);
        assert_eq!(whole.entries.len(), 9);
        // One of each: replaced, deleted, added.
        fs::write(repository.path().join("b.x"), "changed").expect("write");
        fs::write(repository.path().join("between"), "new").expect("write");
        repository.git(&["add", "b.x", "between"]);
        repository.git(&["rm", "-q", "--cached", "b/c", "link"]);
        repository.git(&["update-index", "--skip-worktree", "run"]);
        let before = repository.index();
        assert!(before.windows(4).any(|four| four == b"link"), "it is split");
        let read = repository.round_trip(3);
        assert_eq!(
            names(&read),
            [
                "a",
                "a.txt",
                "b.x",
                "b/d/e",
                "between",
                r"line\nbreak",
                "run",
                "sub"
            ]
        );
        let missing = parse(&repository.index(), format, |_| None);
        assert!(matches!(missing, Err(InvalidIndex::NoShared(_))));
        let own = repository.index();
        let twice = parse(&own, format, |_| Some(own.clone()));
        assert!(
            matches!(twice, Err(InvalidIndex::Shared { .. })),
            "{twice:?}"
        );
        // The shared one is as a fresh one would be: another takes its place only by its hash.
        let mut less = whole.clone();
        less.entries.pop();
        let other = parse(&own, format, |_| Some(less.write()));
        assert!(
            matches!(other, Err(InvalidIndex::Shared { .. })),
            "{other:?}"
        );
    }
}

#[test]
fn a_sparse_index_keeps_its_directories() {
    let repository = Repository::new(SHA1);
    repository.git(&["reset", "-q", "--hard"]);
    repository.git(&["sparse-checkout", "set", "--cone", "--sparse-index", "none"]);
    let read = repository.round_trip(3);
    let found = read.entries.iter().find(|one| one.mode == Mode::Tree);
    assert_eq!(found.expect("a directory").path.as_bytes(), b"b");
    // Behind `b.x`, since its name is `b/` in the order.
    assert_eq!(names(&read)[2..4], ["b.x", "b"]);
}

#[test]
fn extensions_that_are_hints_are_left_out() {
    let repository = Repository::new(SHA1);
    repository.git(&["config", "index.threads", "2"]);
    repository.git(&["config", "core.untrackedCache", "true"]);
    repository.git(&["update-index", "--force-untracked-cache"]);
    repository.git(&["status", "--porcelain"]);
    let index = repository.index();
    assert!(index.windows(4).any(|four| four == b"UNTR"));
    assert!(index.windows(4).any(|four| four == b"TREE"));
    let fresh = repository.round_trip(2).write();
    assert!(
        !fresh
            .windows(4)
            .any(|four| four == b"UNTR" || four == b"TREE")
    );
}

#[test]
fn an_index_without_a_checksum_is_read() {
    let repository = Repository::new(SHA1);
    repository.git(&["-c", "index.skipHash=true", "add", "--renormalize", "."]);
    repository.git(&[
        "-c",
        "index.skipHash=true",
        "update-index",
        "--force-write-index",
    ]);
    assert!(repository.index().ends_with(&[0; 20]), "git left it out");
    repository.round_trip(2);
}

/// An index of entries whose names nobody checked.
fn crafted(names: &[(&[u8], u32, u8)]) -> Vec<u8> {
    with_extension(names, b"")
}

fn with_extension(names: &[(&[u8], u32, u8)], extension: &[u8]) -> Vec<u8> {
    let count = u32::try_from(names.len()).expect("few");
    let mut bytes = [
        b"DIRC".as_slice(),
        &2_u32.to_be_bytes(),
        &count.to_be_bytes(),
    ]
    .concat();
    for (name, mode, stage) in names {
        let begin = bytes.len();
        bytes.extend([0; 24]);
        bytes.extend(mode.to_be_bytes());
        bytes.extend([0; 12]);
        bytes.extend([1; 20]);
        let length = u16::try_from(name.len().min(0xfff)).expect("cut");
        bytes.extend((length | u16::from(*stage) << 12).to_be_bytes());
        bytes.extend(*name);
        let padded = (bytes.len() - begin + 1).next_multiple_of(8);
        bytes.resize(begin + padded, 0);
    }
    bytes.extend(extension);
    bytes.extend(SHA1.hash(&bytes).as_bytes());
    bytes
}

const FILE: u32 = 0o100_644;

#[test]
fn names_that_git_would_believe_are_refused_in_every_mode() {
    for name in [
        b"../../etc/hostname".as_slice(),
        b"/etc/hostname",
        b"a/../../b",
        b".git/config",
        b".GIT/hooks/x",
        b"a/.git/config",
        b"git~1/config",
        ".g\u{200c}it/config".as_bytes(),
        b".git::$INDEX_ALLOCATION/config",
        b"a//b",
        b"./a",
        b"a/",
        b"",
    ] {
        for mode in [FILE, 0o100_755, 0o120_000, 0o160_000] {
            let found = parse(&crafted(&[(name, mode, 0)]), SHA1, |_| None);
            assert!(
                matches!(found, Err(InvalidIndex::Path { number: 1, .. })),
                "{}: {found:?}",
                name.escape_ascii()
            );
        }
        let tree = [name, b"/"].concat();
        let sparse = with_extension(&[(&tree, 0o040_000, 0)], b"sdir\0\0\0\0");
        assert!(
            parse(&sparse, SHA1, |_| None).is_err(),
            "{}",
            name.escape_ascii()
        );
    }
    let error = parse(
        &crafted(&[(b"ok", FILE, 0), (b"x/../\x1b", FILE, 0)]),
        SHA1,
        |_| None,
    );
    assert_eq!(
        error.expect_err("it climbs").to_string(),
        r#"entry 2 "x/../\u{1b}" leads out of its directory by "..""#
    );
}

#[test]
fn what_is_not_understood_is_refused() {
    let refused = |bytes: &[u8]| {
        let error = parse(bytes, SHA1, |_| None).expect_err("it is refused");
        error.to_string()
    };
    for (entries, message) in [
        (
            vec![(b"a".as_slice(), 0o100_666, 0)],
            "entry 1 (a) has the unknown mode 100666",
        ),
        (
            vec![(b"a", 0o040_000, 0)],
            "entry 1 (a) is a directory in an index that is not sparse, or no directory with a directory's name",
        ),
        (
            vec![(b".GITMODULES ", 0o120_000, 0)],
            "entry 1 (.GITMODULES ) is a symbolic link in the place of .gitmodules",
        ),
        (
            vec![(b"b", FILE, 0), (b"a", FILE, 0)],
            "entry 2 (a) is not behind the one before it, or the same again",
        ),
        (
            vec![(b"a", FILE, 0), (b"a", FILE, 0)],
            "entry 2 (a) is not behind the one before it, or the same again",
        ),
        (
            vec![(b"a", FILE, 0), (b"a", FILE, 1)],
            "entry 2 (a) is not behind the one before it, or the same again",
        ),
        (
            vec![(b"a", FILE, 2), (b"a", FILE, 1)],
            "entry 2 (a) is not behind the one before it, or the same again",
        ),
        (
            vec![(b"a", 0o120_000, 0), (b"a.b", FILE, 0), (b"a/b", FILE, 0)],
            "entry 3 (a/b) is beneath another entry, which is no directory",
        ),
    ] {
        assert_eq!(refused(&crafted(&entries)), message);
    }
    let one = [(b"a".as_slice(), FILE, 0)];
    assert_eq!(
        refused(&with_extension(&one, b"xtra\0\0\0\0")),
        "its extension \"xtra\" is not known, and must be"
    );
    assert_eq!(
        refused(&with_extension(&one, b"TREE\0\0\0\x09")),
        "it is cut short"
    );
    assert_eq!(refused(&with_extension(&one, b"TREE")), "it is cut short");
    assert_eq!(
        refused(&with_extension(&one, b"link\0\0\0\x03abc")),
        "its extension \"link\" is not well formed"
    );
    let mut wrong = crafted(&one);
    wrong[20] ^= 1;
    assert_eq!(
        refused(&wrong),
        "its checksum is wrong for a repository of sha1 objects"
    );
    let sha256 = parse(&crafted(&one), ObjectFormat::Sha256, |_| None);
    assert_eq!(sha256, Err(InvalidIndex::Checksum(ObjectFormat::Sha256)));
    assert!(parse(b"", SHA1, |_| None).is_err());
}

#[test]
fn what_a_head_says_is_not_believed() {
    let unhashed = |version: u32, count: u32| {
        let head = [
            b"DIRC".as_slice(),
            &version.to_be_bytes(),
            &count.to_be_bytes(),
        ];
        [head.concat(), vec![0; 20]].concat()
    };
    let read = |bytes: Vec<u8>| parse(&bytes, SHA1, |_| None);
    assert_eq!(read(unhashed(2, 0)).map(|index| index.entries.len()), Ok(0));
    assert_eq!(read(unhashed(5, 0)), Err(InvalidIndex::Version(5)));
    assert_eq!(read(unhashed(2, 5_000_000)), Err(InvalidIndex::Cut));
    assert_eq!(
        read(unhashed(2, u32::MAX)),
        Err(InvalidIndex::Many(u64::from(u32::MAX)))
    );
}

/// One of each version, without a checksum, so that changes of bytes reach the parser.
fn seeds() -> Vec<Vec<u8>> {
    let repository = Repository::new(SHA1);
    repository.git(&["update-index", "--skip-worktree", "a"]);
    let three = repository.index();
    repository.git(&["update-index", "--index-version", "4"]);
    let four = repository.index();
    repository.git(&["update-index", "--split-index"]);
    repository.git(&["rm", "-q", "--cached", "b/c"]);
    let mut seeds = vec![
        three,
        four,
        repository.index(),
        crafted(&[(b"a/b", FILE, 0)]),
    ];
    for seed in &mut seeds {
        let end = seed.len() - 20;
        seed[end..].fill(0);
    }
    seeds
}

#[test]
fn an_index_with_changed_bytes_is_read_or_refused() {
    let seeds = seeds();
    let shared = crafted(&[(b"a", FILE, 0), (b"b", FILE, 0)]);
    let changes = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..5);
    let cut = any::<prop::sample::Index>();
    let strategy = (0..seeds.len(), changes, prop::option::weighted(0.2, cut));
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(3000));
    runner
        .run(&strategy, |(seed, changes, cut)| {
            let mut bytes = seeds[seed].clone();
            let end = bytes.len() - 20;
            for (at, byte) in changes {
                bytes[at.index(end)] = byte;
            }
            if let Some(cut) = cut {
                bytes.drain(cut.index(end)..end);
            }
            if let Ok(index) = parse(&bytes, SHA1, |_| Some(shared.clone())) {
                prop_assert_eq!(parse(&index.write(), SHA1, |_| None), Ok(index));
            }
            Ok(())
        })
        .expect("each is read or refused");
}

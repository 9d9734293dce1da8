//! Hostile archives, made by hand: what an engine never sends, a sandbox's engine may.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;

use tar::{Builder, EntryType, Header};

use super::*;

mod bounds;
mod git;
mod spellings;
#[path = "../../../../amika-core/tests/shared/spellings.rs"]
mod table;

/// An archive of entries with names as they are, honest or not.
struct Hostile(Builder<Vec<u8>>);

impl Hostile {
    fn new() -> Self {
        Self(Builder::new(Vec::new()))
    }

    fn entry(mut self, kind: EntryType, name: &str, link: &str, mode: u32, content: &[u8]) -> Self {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_mtime(1_000_000_000);
        header.set_size(content.len() as u64);
        let gnu = header.as_gnu_mut().unwrap();
        gnu.name[..name.len()].copy_from_slice(name.as_bytes());
        gnu.linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_cksum();
        self.0.append(&header, content).unwrap();
        self
    }

    fn directory(self, name: &str) -> Self {
        self.entry(EntryType::Directory, name, "", 0o755, b"")
    }

    fn file(self, name: &str, content: &str) -> Self {
        self.entry(EntryType::Regular, name, "", 0o644, content.as_bytes())
    }

    fn link(self, name: &str, target: &str) -> Self {
        self.entry(EntryType::Symlink, name, target, 0o777, b"")
    }

    fn unpack(self, names: Names, beneath: &Path) -> io::Result<Report> {
        let archive = self.0.into_inner().unwrap();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let root = rustix::fs::open(beneath, flags, Mode::empty()).unwrap();
        unpack(archive.as_slice(), names, root, Git::Inert)
    }

    fn unpack_as_is(self, names: Names, beneath: &Path) -> io::Result<Report> {
        let archive = self.0.into_inner().unwrap();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let root = rustix::fs::open(beneath, flags, Mode::empty()).unwrap();
        unpack(archive.as_slice(), names, root, Git::AsIs)
    }
}

/// A directory `in` to unpack in, beside a file that nobody may touch.
fn stage() -> (tempfile::TempDir, PathBuf) {
    let stage = tempfile::tempdir().unwrap();
    std::fs::write(stage.path().join("outside"), "safe").unwrap();
    let beneath = stage.path().join("in");
    std::fs::create_dir(&beneath).unwrap();
    (stage, beneath)
}

fn outside(stage: &tempfile::TempDir) -> String {
    std::fs::read_to_string(stage.path().join("outside")).unwrap()
}

#[test]
fn names_that_lead_out_break_the_copy_off() {
    for name in [
        "/tmp/amika-hostile",
        "../outside",
        "dir/../../outside",
        "dir/../x",
    ] {
        let (stage, beneath) = stage();
        let result = Hostile::new()
            .directory("dir")
            .file(name, "hostile")
            .unpack(Names::kept(), &beneath);
        let error = result.unwrap_err().to_string();
        assert!(error.contains("leads out of it"), "{name}: {error}");
        assert_eq!(outside(&stage), "safe");
        assert!(!Path::new("/tmp/amika-hostile").exists());
    }
}

#[test]
fn nothing_is_written_through_a_link() {
    let (stage, beneath) = stage();
    // One of the archive's own, which stays beneath, and ones that stood there before.
    symlink(stage.path().join("outside"), beneath.join("old-file")).unwrap();
    symlink(stage.path(), beneath.join("old-dir")).unwrap();
    let replaced = Hostile::new()
        .file("old-file", "new")
        .unpack(Names::kept(), &beneath)
        .unwrap();
    assert_eq!(replaced.files, 1);
    assert_eq!(outside(&stage), "safe");
    assert!(!beneath.join("old-file").is_symlink());

    for through in ["old-dir/outside", "own/outside"] {
        let error = Hostile::new()
            .directory("real")
            .link("own", "real")
            .file(through, "hostile")
            .unpack(Names::kept(), &beneath)
            .unwrap_err()
            .to_string();
        assert!(error.contains("not a directory"), "{through}: {error}");
        assert_eq!(outside(&stage), "safe");
    }
}

#[test]
fn links_that_could_lead_out_are_left_out() {
    let (stage, beneath) = stage();
    let report = Hostile::new()
        .directory("a")
        .directory("a/b")
        .link("a/b/up", "../..")
        .link("chain", "a/b/up/..")
        .link("absolute", "/etc/passwd")
        .link("parent", "../outside")
        .link("a/fine", "b/x")
        .link("a/b/fine", "../fine")
        .unpack(Names::kept(), &beneath)
        .unwrap();
    let skipped: Vec<&str> = report.skipped.iter().map(|one| one.path.as_str()).collect();
    assert_eq!(skipped, ["chain", "absolute", "parent"]);
    assert!(beneath.join("a/b/fine").is_symlink());
    assert_eq!(outside(&stage), "safe");
}

#[test]
fn a_copy_with_a_name_of_its_own_ends_there() {
    let (_stage, beneath) = stage();
    std::fs::write(beneath.join("neighbour"), "mine").unwrap();
    let report = Hostile::new()
        .directory("./")
        .link("./beside", "../neighbour")
        .link("./self", "..")
        .link("./inside", "other")
        .unpack(Names::rooted(Some("copy".into())), &beneath)
        .unwrap();
    let skipped: Vec<&str> = report.skipped.iter().map(|one| one.path.as_str()).collect();
    assert_eq!(skipped, ["copy/beside", "copy/self"]);
    assert!(beneath.join("copy/inside").is_symlink());
    let error = Hostile::new()
        .file("name", "")
        .file("other", "")
        .unpack(Names::rooted(Some("copy2".into())), &beneath)
        .unwrap_err();
    assert!(error.to_string().contains("leads out"), "{error}");
    // A copy that turns out to be a link would be one into the user's own directory.
    let link = Hostile::new()
        .link("name", "neighbour")
        .unpack(Names::rooted(Some("copy3".into())), &beneath)
        .unwrap();
    assert_eq!(link.skipped_count, 1);
    assert!(!beneath.join("copy3").is_symlink());
}

#[test]
fn devices_pipes_and_borrowed_rights_do_not_come_along() {
    let (_stage, beneath) = stage();
    let report = Hostile::new()
        .entry(EntryType::Char, "null", "", 0o666, b"")
        .entry(EntryType::Block, "disk", "", 0o666, b"")
        .entry(EntryType::Fifo, "pipe", "", 0o666, b"")
        .entry(EntryType::Regular, "tool", "", 0o6755, b"#!")
        .entry(EntryType::Directory, "sticky", "", 0o7755, b"")
        .unpack(Names::kept(), &beneath)
        .unwrap();
    assert_eq!(report.skipped_count, 3);
    for name in ["tool", "sticky"] {
        let mode = beneath.join(name).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o7000, 0, "{name}: {mode:o}");
        assert_eq!(mode & 0o700, 0o700, "{name}: {mode:o}");
    }
    assert_eq!(std::fs::read_dir(&beneath).unwrap().count(), 2);
}

#[test]
fn hard_links_join_files_of_the_copy_only() {
    let (stage, beneath) = stage();
    let hard = |archive: Hostile, name: &str, target: &str| {
        archive.entry(EntryType::Link, name, target, 0o644, b"")
    };
    let archive = Hostile::new().directory("root").file("root/file", "x");
    let archive = hard(archive, "root/again", "root/file");
    let archive = hard(archive, "root/file", "root/file");
    let archive = hard(archive, "root/bad", "/etc/passwd");
    let archive = hard(archive, "root/worse", "../outside");
    let archive = hard(archive, "root/none", "root/missing");
    let report = archive
        .unpack(Names::rooted(Some("copy".into())), &beneath)
        .unwrap();
    assert_eq!(report.skipped_count, 4, "{:?}", report.skipped);
    let inode = |name: &str| beneath.join(name).metadata().unwrap().ino();
    assert_eq!(inode("copy/file"), inode("copy/again"));
    assert_eq!(outside(&stage), "safe");
}

#[test]
fn directories_get_their_mode_and_time_when_they_are_full() {
    let (_stage, beneath) = stage();
    Hostile::new()
        .entry(EntryType::Directory, "locked", "", 0o500, b"")
        .file("locked/file", "x")
        .file("after", "y")
        .unpack(Names::kept(), &beneath)
        .unwrap();
    let locked = beneath.join("locked").metadata().unwrap();
    assert_eq!(locked.permissions().mode() & 0o777, 0o500);
    assert_eq!(locked.mtime(), 1_000_000_000);
    assert_eq!(
        beneath.join("after").metadata().unwrap().mtime(),
        1_000_000_000
    );
    std::fs::set_permissions(
        beneath.join("locked"),
        std::fs::Permissions::from_mode(0o700),
    )
    .unwrap();
}

#[test]
fn a_directory_and_a_file_do_not_replace_each_other() {
    let (_stage, beneath) = stage();
    std::fs::create_dir(beneath.join("dir")).unwrap();
    std::fs::write(beneath.join("file"), "x").unwrap();
    let onto_directory = Hostile::new()
        .file("dir", "x")
        .unpack(Names::kept(), &beneath);
    assert!(onto_directory.is_err());
    let onto_file = Hostile::new()
        .directory("file")
        .unpack(Names::kept(), &beneath);
    assert!(onto_file.is_err());
    assert_eq!(std::fs::read(beneath.join("file")).unwrap(), b"x");
}

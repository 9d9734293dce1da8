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

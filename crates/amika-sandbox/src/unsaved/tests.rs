//! What was packed by Amika is told from what was written since.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use amika_core::manifest::Manifest;
use amika_host::archive::{Modes, TarOut, Top, pack_noting};

use pretty_assertions::assert_eq;

use super::look::{Look, Rule, Times};

/// Packs what is at a path as the copy of this name.
fn packed(source: &Path, name: &str) -> (Vec<u8>, Manifest) {
    let (mut archive, mut manifest) = (
        Vec::new(),
        Manifest::begin(amika_host::clock::now_millis() / 1000),
    );
    let tar = TarOut::new(&mut archive, (7, 8), Modes::Kept, "");
    let top = Top::Named(Path::new(name));
    pack_noting(source, top, tar, &mut manifest).expect("an archive");
    let file = manifest.into_file("/x");
    let (_, manifest) = Manifest::from_file(&file).expect("a manifest");
    (archive, manifest)
}

#[test]
#[allow(
    clippy::disallowed_methods,
    reason = "files are made older than the clock says"
)]
fn in_what_was_packed_there_is_no_work_and_in_what_changed_there_is() {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("data");
    fs::create_dir_all(data.join("deep")).expect("made");
    for (name, age) in [("deep/old", 5000), ("young", 0), ("mine", 5000)] {
        fs::write(data.join(name), name).expect("written");
        let file = fs::File::options().write(true).open(data.join(name));
        let file = file.expect("opened");
        file.set_modified(SystemTime::now() - Duration::from_secs(age))
            .expect("aged");
    }
    std::os::unix::fs::symlink("nowhere", data.join("link")).expect("linked");
    let (archive, manifest) = packed(&data, "data");
    let look = Look {
        place: "/data".into(),
        beneath: Vec::new(),
        rule: Rule::NotCopied(manifest),
        is_copy: true,
    };
    let untouched = look.through(archive.as_slice(), Times::Kept);
    assert!(untouched.is_whole && !untouched.is_work(), "{untouched:?}");

    // In the very second, and as large as it was.
    let at = data.join("young").metadata().and_then(|it| it.modified());
    fs::write(data.join("young"), "YOUNG").expect("written");
    let file = fs::File::options().write(true).open(data.join("young"));
    let modified = at.expect("a time");
    file.and_then(|file| file.set_modified(modified))
        .expect("set");
    fs::rename(data.join("deep/old"), data.join("old")).expect("moved");
    fs::remove_file(data.join("link")).expect("removed");
    let (archive, _) = packed(&data, "data");
    let changed = look.through(archive.as_slice(), Times::Kept);
    let names = ["old", "young"].map(str::to_owned);
    assert_eq!(changed.names, BTreeSet::from(names));
}

#[test]
fn a_single_file_is_known_by_its_place() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("notes");
    fs::write(&file, "x").expect("written");
    let (_, manifest) = packed(&file, "etc/notes.txt");
    let look = Look {
        place: "/etc/notes.txt".into(),
        beneath: Vec::new(),
        rule: Rule::NotCopied(manifest),
        is_copy: true,
    };
    let (archive, _) = packed(&file, "notes.txt");
    assert!(!look.through(archive.as_slice(), Times::Kept).is_work());
    fs::write(&file, "y").expect("written");
    let (archive, _) = packed(&file, "notes.txt");
    assert!(
        look.through(archive.as_slice(), Times::Kept)
            .itself
            .is_some()
    );
}

//! Archives that would take all descriptors, the whole disk or for ever.

use super::*;

#[test]
fn a_copy_is_refused_beyond_a_depth_and_the_message_is_short() {
    let (_stage, beneath) = stage();
    // Names of two letters, since a plain header has room for a hundred.
    let mut builder = Builder::new(Vec::new());
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Directory);
    header.set_mode(0o755);
    header.set_size(0);
    for depth in 1..=1500 {
        let path = "d/".repeat(depth);
        builder.append_data(&mut header, path, &b""[..]).unwrap();
    }
    let error = Hostile(builder)
        .unpack(Names::kept(), &beneath)
        .unwrap_err()
        .to_string();
    assert!(error.contains("more than 200 directories"), "{error}");
    assert!(error.chars().count() < 300, "{error}");
}

#[test]
fn a_deep_copy_works_up_to_the_bound() {
    let (_stage, beneath) = stage();
    let mut builder = Builder::new(Vec::new());
    let mut header = Header::new_gnu();
    header.set_mode(0o644);
    header.set_size(1);
    let path = "d/".repeat(199) + "file";
    builder.append_data(&mut header, &path, &b"x"[..]).unwrap();
    Hostile(builder).unpack(Names::kept(), &beneath).unwrap();
    assert!(beneath.join(path).exists());
}

#[test]
fn what_is_larger_than_the_room_is_refused_before_it_is_read() {
    for kind in [EntryType::Regular, EntryType::Fifo, EntryType::new(b'?')] {
        let (_stage, beneath) = stage();
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_size(15 << 40);
        header.set_path("sparse").unwrap();
        header.set_cksum();
        let zeros = io::repeat(0);
        let stream = io::Cursor::new(header.as_bytes().to_vec()).chain(zeros);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let root = rustix::fs::open(&beneath, flags, Mode::empty()).unwrap();
        let error = unpack(stream, Names::kept(), root, Git::AsIs).unwrap_err();
        let error = error.to_string();
        assert!(
            error.contains("sparse: it has 16.5 TB, holes counted"),
            "{error}"
        );
        assert_eq!(std::fs::read_dir(&beneath).unwrap().count(), 0);
    }
}

#[test]
fn many_that_fit_each_by_itself_have_to_fit_together() {
    let (_stage, beneath) = stage();
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let root = rustix::fs::open(&beneath, flags, Mode::empty()).unwrap();
    let mut unpacker = Unpacker {
        root,
        open: Vec::new(),
        late: Vec::new(),
        guard: None,
        before: Before::Nothing,
        room: Some(100),
        report: Report::default(),
    };
    assert!(unpacker.bounded(&[], 60).is_ok());
    assert!(unpacker.bounded(&[], 40).is_ok());
    assert!(unpacker.bounded(&[], 0).is_ok());
    assert!(unpacker.bounded(&[], 1).is_err());
}

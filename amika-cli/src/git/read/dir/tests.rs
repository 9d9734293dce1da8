use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

use super::*;

fn path(text: &str) -> RepoPath {
    text.parse().expect("a path")
}

fn fifo(path: &Path) {
    let mode = Mode::RUSR | Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, path, FileType::Fifo, mode, 0).expect("a pipe");
}

/// A directory beside a secret, with every way to it that links give.
fn hostile() -> (tempfile::TempDir, Dir) {
    let top = tempfile::tempdir().expect("a directory");
    let root = top.path().join("root");
    std::fs::create_dir_all(root.join("a/b")).expect("directories");
    std::fs::create_dir(top.path().join("outside")).expect("a directory");
    std::fs::write(top.path().join("outside/secret"), "secret").expect("write");
    std::fs::write(root.join("a/b/file"), "four").expect("write");
    symlink("../outside", root.join("link")).expect("a link");
    symlink("a", root.join("inner")).expect("a link");
    symlink("../../../outside/secret", root.join("a/b/last")).expect("a link");
    fifo(&root.join("pipe"));
    let _ = UnixListener::bind(root.join("socket")).expect("a socket");
    let dir = Dir::open(&root).expect("it is there");
    (top, dir)
}

#[test]
fn a_file_beneath_is_read_up_to_its_limit() {
    let (_top, dir) = hostile();
    let read = |limit| dir.read(&path("a/b/file"), limit);
    assert_eq!(read(4).expect("small enough"), Some(b"four".to_vec()));
    assert_eq!(
        read(3).expect_err("larger").to_string(),
        "a/b/file is larger than 3 bytes"
    );
    for nothing in ["none", "a/none", "none/at/all"] {
        assert!(dir.read(&path(nothing), 9).expect("nothing").is_none());
        assert!(dir.dir(&path(nothing)).expect("nothing").is_none());
        assert!(dir.stat(&path(nothing)).expect("nothing").is_none());
        assert!(dir.read_link(&path(nothing)).expect("nothing").is_none());
    }
    let beneath = dir
        .dir(&path("a/b"))
        .expect("it opens")
        .expect("it is there");
    assert!(beneath.read(&path("file"), 4).expect("it opens").is_some());
}

#[test]
fn no_link_is_followed_at_any_place_and_nothing_is_waited_for() {
    let (_top, dir) = hostile();
    for (place, message) in [
        ("link/secret", "link is a symbolic link, not a directory"),
        ("inner/b/file", "inner is a symbolic link, not a directory"),
        (
            "a/b/last",
            "a/b/last is a symbolic link, not a regular file",
        ),
        ("a/b/file/x", "a/b/file is a file, not a directory"),
        (
            "pipe",
            "pipe is a pipe, socket or device, not a regular file",
        ),
        (
            "pipe/x",
            "pipe is a pipe, socket or device, not a directory",
        ),
        (
            "socket",
            "socket is a pipe, socket or device, not a regular file",
        ),
        ("a", "a is a directory, not a regular file"),
    ] {
        let error = dir.read(&path(place), 100).expect_err(place);
        assert_eq!(error.to_string(), message);
    }
    for place in ["link", "inner", "a/b/last", "pipe", "socket", "a/b/file"] {
        assert!(dir.dir(&path(place)).is_err(), "{place}");
    }
    let last = dir.read_link(&path("a/b/last")).expect("a link");
    assert_eq!(last, Some(b"../../../outside/secret".to_vec()));
    let error = dir.read_link(&path("a/b/file")).expect_err("no link");
    assert_eq!(error.to_string(), "a/b/file is a file, not a symbolic link");
    assert!(dir.read_link(&path("link/secret")).is_err());
    assert!(dir.stat(&path("link/secret")).is_err());
    let kind = dir
        .stat(&path("a/b/last"))
        .expect("it is there")
        .expect("it is there")
        .0;
    assert_eq!(kind, Kind::Link);
}

#[test]
fn a_directory_that_is_a_link_itself_is_not_opened() {
    let (top, _) = hostile();
    assert!(Dir::open(&top.path().join("root/link")).is_err());
    assert!(Dir::open(&top.path().join("root/a/b/file")).is_err());
}

#[test]
fn a_list_is_sorted_bounded_and_tells_what_stands_where() {
    let (_top, dir) = hostile();
    let list = |limit| dir.list(limit);
    let kinds: Vec<(Vec<u8>, Kind)> = list(5)
        .expect("five names")
        .into_iter()
        .map(|one| (one.name, one.kind))
        .collect();
    assert_eq!(
        kinds,
        [
            (b"a".to_vec(), Kind::Directory),
            (b"inner".to_vec(), Kind::Link),
            (b"link".to_vec(), Kind::Link),
            (b"pipe".to_vec(), Kind::Special),
            (b"socket".to_vec(), Kind::Special),
        ]
    );
    assert_eq!(list(5).expect("again").len(), 5);
    assert_eq!(
        list(4).expect_err("too many").to_string(),
        ". has more than 4 entries"
    );
}

#[test]
fn a_directory_stays_the_same_when_its_name_leads_elsewhere() {
    let (top, dir) = hostile();
    std::fs::rename(top.path().join("root"), top.path().join("moved")).expect("rename");
    symlink("outside", top.path().join("root")).expect("a link");
    assert!(dir.read(&path("secret"), 9).expect("not there").is_none());
    assert!(dir.read(&path("a/b/file"), 9).expect("there").is_some());
    // A child of ours, not this process itself.
    let seen = std::process::Command::new("cat")
        .arg(dir.proc_path().expect("a path").join("a/b/file"))
        .output()
        .expect("cat runs");
    assert_eq!(seen.stdout, b"four");
}

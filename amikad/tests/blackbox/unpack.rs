//! `amikad unpack`: an archive through a pipe, whole or not at all said to be.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use nix::mount::{MsFlags, mount, umount};
use nix::sys::stat::Mode;
use tar::{Builder, EntryType, Header};

fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap()
}

fn command(pipe: &Path, boot_id: &str, directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_amikad"));
    command
        .arg("unpack")
        .arg(pipe)
        .arg(boot_id.trim())
        .arg(directory);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Writes `archive` into a pipe from which it is unpacked into `directory`.
fn unpack(archive: &[u8], directory: &Path) -> Output {
    let temporary = tempfile::tempdir().unwrap();
    let pipe = temporary.path().join("pipe");
    nix::unistd::mkfifo(&pipe, Mode::S_IRWXU).unwrap();
    let child = command(&pipe, &boot_id(), directory).spawn().unwrap();
    let mut writer = OpenOptions::new().write(true).open(&pipe).unwrap();
    // It may have failed half way.
    let _ = writer.write_all(archive);
    drop(writer);
    child.wait_with_output().unwrap()
}

fn header(kind: EntryType, mode: u32, mtime: u64, size: usize) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(1234);
    header.set_gid(4321);
    header.set_mtime(mtime);
    header.set_size(size as u64);
    header
}

fn file(archive: &mut Builder<Vec<u8>>, path: &str, mode: u32, content: &[u8]) {
    let mut header = header(EntryType::Regular, mode, 1_000_000_000, content.len());
    archive.append_data(&mut header, path, content).unwrap();
}

fn directory(archive: &mut Builder<Vec<u8>>, path: &str, mode: u32, mtime: u64) {
    let mut header = header(EntryType::Directory, mode, mtime, 0);
    archive.append_data(&mut header, path, &[][..]).unwrap();
}

#[test]
fn all_of_an_archive_is_as_it_says() {
    let root = tempfile::tempdir().unwrap();
    let long = "l".repeat(180);
    let mut archive = Builder::new(Vec::new());
    // The library refuses this name for the directory itself, which engines know.
    let mut itself = header(EntryType::Directory, 0o750, 1_100_000_000, 0);
    itself.as_gnu_mut().unwrap().name[0] = b'/';
    itself.set_cksum();
    archive.append(&itself, &[][..]).unwrap();
    directory(&mut archive, "a", 0o555, 1_200_000_000);
    file(&mut archive, "a/read-only", 0o444, b"one");
    file(&mut archive, "set-user-id", 0o4755, b"two");
    file(&mut archive, &format!("a/{long}"), 0o644, &vec![7; 300_000]);
    file(&mut archive, "a/odd \n\"name", 0o600, b"");
    let mut link = header(EntryType::Symlink, 0o777, 1_300_000_000, 0);
    archive
        .append_link(&mut link, "a/link", "../nowhere")
        .unwrap();
    let mut hard = header(EntryType::Link, 0o644, 0, 0);
    archive
        .append_link(&mut hard, "hard", "a/read-only")
        .unwrap();
    // The later entry of a name counts.
    file(&mut archive, "twice", 0o644, b"first");
    file(&mut archive, "twice", 0o640, b"second");
    let output = unpack(&archive.into_inner().unwrap(), root.path());
    assert_eq!(output.status.code(), Some(0), "{output:?}");

    let stat = |path: &str| root.path().join(path).symlink_metadata().unwrap();
    let mode = |path: &str| stat(path).permissions().mode() & 0o7777;
    for path in ["", "a", "a/read-only", "a/link", &format!("a/{long}")] {
        assert_eq!((stat(path).uid(), stat(path).gid()), (1234, 4321), "{path}");
    }
    assert_eq!((mode(""), stat("").mtime()), (0o750, 1_100_000_000));
    assert_eq!((mode("a"), stat("a").mtime()), (0o555, 1_200_000_000));
    assert_eq!(mode("a/read-only"), 0o444);
    assert_eq!(stat("a/read-only").mtime(), 1_000_000_000);
    assert_eq!(mode("set-user-id"), 0o4755);
    assert_eq!(stat(&format!("a/{long}")).len(), 300_000);
    assert_eq!(stat("a/odd \n\"name").len(), 0);
    assert_eq!(
        fs::read_link(root.path().join("a/link")).unwrap(),
        Path::new("../nowhere")
    );
    assert_eq!(stat("a/link").mtime(), 1_300_000_000);
    assert_eq!(stat("hard").ino(), stat("a/read-only").ino());
    assert_eq!(fs::read(root.path().join("twice")).unwrap(), b"second");
    assert_eq!(mode("twice"), 0o640);
}

#[test]
fn an_archive_that_breaks_off_is_a_failure_wherever_it_does() {
    let mut archive = Builder::new(Vec::new());
    file(&mut archive, "a", 0o644, &[1; 1000]);
    file(&mut archive, "b", 0o644, &[2; 1000]);
    let archive = archive.into_inner().unwrap();
    // Nothing, within a header, within a content, between two entries, before the end mark.
    for length in [0, 100, 700, 1536, 3072] {
        let root = tempfile::tempdir().unwrap();
        let output = unpack(&archive[..length], root.path());
        assert_eq!(output.status.code(), Some(1), "{length}: {output:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("broke off"), "{length}: {said}");
    }
}

#[test]
fn a_pipe_that_is_not_the_hosts_is_told_at_once() {
    let root = tempfile::tempdir().unwrap();
    let pipe = root.path().join("pipe");
    nix::unistd::mkfifo(&pipe, Mode::S_IRWXU).unwrap();
    let regular = root.path().join("regular");
    fs::write(&regular, "").unwrap();
    let here = boot_id();
    for (pipe, boot_id) in [
        (pipe.as_path(), "00000000-0000-0000-0000-000000000000"),
        (&regular, here.as_str()),
        (Path::new("/nowhere/pipe"), here.as_str()),
    ] {
        let output = command(pipe, boot_id, root.path()).output().unwrap();
        assert_eq!(output.status.code(), Some(3), "{pipe:?}: {output:?}");
    }
}

#[test]
fn nothing_is_written_outside_the_directory() {
    let root = tempfile::tempdir().unwrap();
    let inside = root.path().join("inside");
    let outside = root.path().join("outside");
    for path in [&inside, &outside] {
        fs::create_dir(path).unwrap();
    }
    let through_link = |archive: &mut Builder<Vec<u8>>| {
        let mut link = header(EntryType::Symlink, 0o777, 0, 0);
        archive.append_link(&mut link, "way", "../outside").unwrap();
        file(archive, "way/file", 0o644, b"x");
    };
    let by_name = |archive: &mut Builder<Vec<u8>>| {
        let mut header = header(EntryType::Regular, 0o644, 0, 1);
        // The library refuses such a name.
        header.as_gnu_mut().unwrap().name[..15].copy_from_slice(b"../outside/file");
        header.set_cksum();
        archive.append(&header, &b"x"[..]).unwrap();
    };
    let hard = |archive: &mut Builder<Vec<u8>>| {
        let mut link = header(EntryType::Link, 0o644, 0, 0);
        archive
            .append_link(&mut link, "hard", "../outside/../x")
            .unwrap();
    };
    // The target of a hard link, through a link of the archive's own: the file outside would have a name inside.
    let secret = root.path().join("secret");
    fs::write(&secret, "x").unwrap();
    let hard_through_link = |archive: &mut Builder<Vec<u8>>| {
        let mut link = header(EntryType::Symlink, 0o777, 0, 0);
        archive.append_link(&mut link, "up", "..").unwrap();
        let mut link = header(EntryType::Link, 0o644, 0, 0);
        archive
            .append_link(&mut link, "taken", "up/secret")
            .unwrap();
    };
    let mut archives = [(); 4].map(|()| Builder::new(Vec::new()));
    through_link(&mut archives[0]);
    by_name(&mut archives[1]);
    hard(&mut archives[2]);
    hard_through_link(&mut archives[3]);
    for (number, archive) in archives.into_iter().enumerate() {
        let output = unpack(&archive.into_inner().unwrap(), &inside);
        assert_eq!(output.status.code(), Some(1), "{number}: {output:?}");
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0, "{number}");
    }
    assert_eq!(fs::metadata(&secret).unwrap().nlink(), 1);
}

#[test]
fn a_device_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let mut archive = Builder::new(Vec::new());
    let mut device = header(EntryType::Char, 0o666, 0, 0);
    archive.append_data(&mut device, "null", &[][..]).unwrap();
    let output = unpack(&archive.into_inner().unwrap(), root.path());
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let made = fs::read_dir(root.path()).unwrap().flatten();
    assert!(
        made.into_iter()
            .all(|entry| !entry.file_type().unwrap().is_char_device())
    );
}

#[test]
fn a_full_disk_is_named_with_the_file() {
    let root = tempfile::tempdir().unwrap();
    mount(
        Some("tmpfs"),
        root.path(),
        Some("tmpfs"),
        MsFlags::empty(),
        Some("size=64k"),
    )
    .unwrap();
    let mut archive = Builder::new(Vec::new());
    file(&mut archive, "small", 0o644, b"x");
    file(&mut archive, "large", 0o644, &vec![1; 1 << 20]);
    let output = unpack(&archive.into_inner().unwrap(), root.path());
    umount(root.path()).unwrap();
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("large: No space left on device"), "{said}");
}

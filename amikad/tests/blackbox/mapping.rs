//! The agent takes on the numbers that the environment asks for, and its home follows.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown};

use crate::support::Builder;

/// A sandbox whose home is the image's: uid 1000's, with something of root's and of others in it.
fn with_home() -> Builder {
    let builder = Builder::new()
        .env("AMIKA_AGENT_UID", "4242")
        .env("AMIKA_AGENT_GID", "77")
        .file("/home/amika/dir/mine", "", 0o640)
        .file("/home/amika/others", "", 0o644)
        .link("/etc/passwd", "/home/amika/link");
    for (path, id) in [
        ("home/amika", 1000),
        ("home/amika/dir", 1000),
        ("home/amika/dir/mine", 1000),
        ("home/amika/link", 1000),
        ("home/amika/others", 2000),
    ] {
        lchown(builder.root().join(path), Some(id), Some(id)).unwrap();
    }
    builder
}

#[test]
fn cmd_runs_with_the_numbers_and_its_home_is_its_own() {
    let mut sandbox = with_home().start("id; touch ~/made; stat -c '%u %g' ~/made; exit 3");
    let end = sandbox.wait();
    assert_eq!(end.code, 3, "{end:?}");
    assert!(
        end.stdout.contains("uid=4242(amika) gid=77(amika)"),
        "{end:?}"
    );
    assert!(end.stdout.ends_with("4242 77\n"), "{end:?}");
    let owner = |path: &str| {
        let data = sandbox.path(path).symlink_metadata().unwrap();
        (data.uid(), data.gid())
    };
    for path in [
        "/home/amika",
        "/home/amika/dir",
        "/home/amika/dir/mine",
        "/home/amika/link",
    ] {
        assert_eq!(owner(path), (4242, 77), "{path}");
    }
    assert_eq!(owner("/home/amika/others"), (2000, 2000));
    assert_eq!(owner("/etc/passwd"), (0, 0), "a link is never followed");
    let passwd = fs::metadata(sandbox.path("/etc/passwd")).unwrap();
    assert_eq!(passwd.permissions().mode() & 0o777, 0o644);
    assert!(sandbox.read("/etc/passwd").contains("\namika:x:4242:77:"));
    assert!(sandbox.read("/etc/group").contains("\namika:x:77:\n"));
    assert!(!sandbox.path("/etc/passwd.amikad").exists());
}

#[test]
fn groups_by_name_stay_the_agents() {
    let mut sandbox = with_home().start("id -G; exit 3");
    let end = sandbox.wait();
    assert_eq!((end.code, end.stdout.as_str()), (3, "77 900\n"), "{end:?}");
}

#[test]
fn numbers_that_are_none_are_told_and_nothing_changes() {
    for uid in ["0", "-1", "x", "", "4294967295"] {
        let mut sandbox = Builder::new()
            .env("AMIKA_AGENT_UID", uid)
            .start("id -u; exit 3");
        let end = sandbox.wait();
        assert_eq!(
            (end.code, end.stdout.as_str()),
            (3, "1000\n"),
            "{uid}: {end:?}"
        );
        assert!(
            end.stderr.contains("not a number above 0"),
            "{uid}: {end:?}"
        );
    }
}

#[test]
fn an_etc_that_cannot_be_written_leaves_the_agent_as_it_is() {
    let mut sandbox = with_home().read_only().start("id -u; exit 3");
    let end = sandbox.wait();
    assert_eq!((end.code, end.stdout.as_str()), (3, "1000\n"), "{end:?}");
    assert!(
        end.stderr.contains("/etc/group cannot be replaced"),
        "{end:?}"
    );
}

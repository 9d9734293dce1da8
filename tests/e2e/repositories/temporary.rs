//! Where temporary files of a copy go when `TMPDIR` is no place for them.

use super::host::introduce;
use crate::support::{DEBIAN, Stage};

#[test]
fn where_tmpdir_cannot_be_used_another_directory_is_and_that_is_told() {
    let stage = Stage::new();
    introduce(&stage);
    let file = stage.file("file", "");
    let path = stage.repository("repo", &[("a", "one\n")]);
    for place in ["/nope", &file, "relative"] {
        let sandbox = stage.adopt(stage.name());
        let args = [
            "sandbox",
            "create",
            "--name",
            &sandbox.name,
            "--image",
            DEBIAN,
            "--git",
            &path,
            "--dry-run",
        ];
        let made = stage.amika(&args).env("TMPDIR", place).output();
        let told = [place, "temporary files are in /tmp/"];
        made.ended(0, &[&["TMPDIR cannot be used"][..], &told].concat());
    }
    // All of it, with the pipe that a large one goes through.
    let sandbox = stage.adopt(stage.name());
    let files = "cd \"$1\" && mkdir d && for i in $(seq 4200); do echo $i > d/$i; done && git add . && \
                 git -c user.name=T -c user.email=t@e.org commit -qm more";
    stage.shell(files, &[&path]).output().ended(0, &[]);
    let args = [
        "sandbox",
        "create",
        "--name",
        &sandbox.name,
        "--image",
        DEBIAN,
        "--git",
        &path,
    ];
    let made = stage.amika(&args).env("TMPDIR", "/nope").output();
    made.ended(0, &["TMPDIR cannot be used"]);
    let count = sandbox.exec(&["sh", "-c", "ls /home/amika/workspace/repo/d | wc -l"]);
    assert_eq!(count.output().stdout_text(), "4200\n");
}

#[test]
fn where_no_directory_is_for_temporary_files_that_is_the_error() {
    let stage = Stage::new();
    introduce(&stage);
    let path = stage.repository("repo", &[("a", "one\n")]);
    // The stage stays as it is: it is in one of them.
    let script = r#"exec unshare --mount sh -c '
        mount --bind "$HOME" "$HOME" && for place in /tmp /var/tmp; do
            mount --rbind "$place" "$place" && mount -o remount,bind,ro "$place" || exit 99
        done; exec "$@"' sh "$0" "$@""#;
    let name = stage.name();
    let args = [
        "sandbox", "create", "--name", &name, "--image", DEBIAN, "--git", &path,
    ];
    let refused = stage.shell(script, &args).env("TMPDIR", "/nope").output();
    refused.ended(
        7,
        &[
            "no temporary directory can be made",
            "/nope: no such file or directory",
            "/tmp: read-only file system",
            "/var/tmp: read-only file system",
            "set TMPDIR to a directory that is there",
        ],
    );
    stage.nothing_was_made();
}

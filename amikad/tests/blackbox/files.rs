//! What amikad prepares, hands over and leaves.

use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use crate::support::{Builder, Sandbox, one_answer};

#[test]
fn what_setup_made_as_root_is_given_to_the_agent() {
    let mut sandbox = Builder::new()
        .file("/etc/untouched", "", 0o644)
        .setup(
            "#!/bin/sh\nmkdir -p ~/cache/deep node_modules\necho x > ~/cache/deep/file\n\
                ln -s /etc/untouched ~/link\nchown 2000 ~/cache\n",
        )
        .start("rm -r node_modules ~/cache/deep/file && echo removed");
    assert_eq!(sandbox.wait().stdout, "removed\n");
    let owner = |path: &str| sandbox.path(path).symlink_metadata().unwrap().uid();
    assert_eq!(owner("/home/amika/cache/deep"), 1000);
    assert_eq!(owner("/home/amika/link"), 1000, "the link itself");
    assert_eq!(owner("/etc/untouched"), 0, "never what a link points to");
    assert_eq!(owner("/home/amika/cache"), 2000, "only what root owned");
}

#[test]
fn what_is_mounted_beneath_the_home_is_not_given_away() {
    let mut sandbox = Builder::new()
        .setup("#!/bin/sh\nmkdir -p ~/mnt /srv/host; touch /srv/host/file ~/own\nmount --bind /srv/host ~/mnt\n")
        .start("stat -c %u ~/mnt/file ~/own");
    assert_eq!(sandbox.wait().stdout, "0\n1000\n");
}

#[test]
fn the_no_op_script_leaves_everything_as_it_is() {
    let mut sandbox = Builder::new()
        .file("/home/amika/roots", "", 0o644)
        .setup("#!/bin/sh\n# Amika: no setup.\nexit 0\n")
        .start("stat -c %u ~/roots");
    assert_eq!(sandbox.wait().stdout, "0\n");
    assert_eq!(sandbox.record()["setup"]["state"], "succeeded");
}

#[test]
fn home_and_agent_directory_are_made_and_gaps_filled_from_the_skeleton() {
    let mut sandbox = Builder::new()
        .file("/etc/skel-amika/.zshrc", "skeleton\n", 0o640)
        .file("/etc/skel-amika/.config/tool/rc", "rc\n", 0o600)
        .file("/etc/skel-amika/.profile", "skeleton\n", 0o644)
        .file("/home/amika/.profile", "mine\n", 0o644)
        .env("AMIKA_AGENT_CWD", "/home/amika/workspace/new repo")
        .start("pwd; cat ~/.zshrc ~/.config/tool/rc ~/.profile; stat -c %u ~ ~/.config/tool ~/.zshrc .; touch ok");
    let end = sandbox.wait();
    assert_eq!(
        end.stdout,
        "/home/amika/workspace/new repo\nskeleton\nrc\nmine\n1000\n1000\n1000\n1000\n"
    );
    assert_eq!(end.code, 0);
}

#[test]
fn directories_that_an_engine_made_for_a_mount_point_are_the_agents() {
    let mut sandbox = Builder::new()
        .file("/home/amika/workspace/repo/kept", "", 0o644)
        .env("AMIKA_AGENT_CWD", "/home/amika/workspace/repo")
        .start("stat -c %u ~/workspace ~/workspace/repo kept");
    assert_eq!(sandbox.wait().stdout, "1000\n1000\n0\n");
}

#[test]
fn nothing_of_an_earlier_boot_survives_in_run() {
    let mut sandbox = Builder::new()
        .file("/run/amikad/opencode-web.port", "60998", 0o644)
        .file("/run/amikad/exec/old", "5 5\n", 0o600)
        .start("ls /run/amikad/opencode-web.port /run/amikad/exec/old");
    assert_eq!(sandbox.wait().stdout, "");
}

#[test]
fn a_token_is_made_at_start_when_nobody_gave_one() {
    let sandbox = Builder::new().start("sleep 60");
    sandbox.connect();
    let token = sandbox.read("/var/lib/amikad/token");
    assert_eq!(token.len(), 64);
    let mode = sandbox
        .path("/var/lib/amikad/token")
        .metadata()
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(status_by(&sandbox, &token), 200);
}

#[test]
fn a_token_file_that_others_could_read_is_not_trusted() {
    let token = "0123456789abcdef".repeat(4);
    let sandbox = Builder::new()
        .file("/var/lib/amikad/token", &token, 0o644)
        .start("sleep 60");
    sandbox.connect();
    assert_ne!(sandbox.read("/var/lib/amikad/token"), token);
    assert_eq!(status_by(&sandbox, &token), 401);
}

/// What who proves that it knows `token` is answered.
fn status_by(sandbox: &Sandbox, token: &str) -> u16 {
    let (mut stream, proof) = sandbox.prove_by(token);
    let request = format!("GET /v1/status HTTP/1.1\r\nHost: localhost\r\n{proof}\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    one_answer(&mut stream).status
}

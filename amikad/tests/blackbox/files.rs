//! What amikad prepares, hands over and leaves.

use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use crate::support::{Builder, Sandbox, eventually, one_answer};

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

#[test]
fn a_home_that_was_half_made_when_the_machine_went_down_is_made_whole() {
    let large = "x".repeat(100 << 20);
    let first = Builder::new()
        .file("/etc/skel-amika/.cache/large", &large, 0o640)
        .file("/etc/skel-amika/.config/tool/rc", "rc\n", 0o600)
        .start("true");
    let half = "/home/amika/.cache/large";
    eventually("half a file", || {
        let length = std::fs::metadata(first.path(half)).ok()?.len();
        (length > 0).then_some(())
    });
    let builder = first.crash();
    // Whether or not that hit the middle of it: the other two moments at which it may have been, as they are left.
    let at = |path: &str| builder.root().join(path.trim_start_matches('/'));
    std::fs::create_dir_all(at("/home/amika/.config")).unwrap();
    std::os::unix::fs::chown(at("/home/amika/.config"), Some(0), Some(0)).unwrap();
    std::fs::set_permissions(at("/home/amika/.config"), Permissions::from_mode(0o700)).unwrap();
    std::fs::create_dir_all(at("/home/amika/.local")).unwrap();
    std::fs::write(at("/home/amika/.half"), "ha").unwrap();
    std::fs::set_permissions(at("/home/amika/.half"), Permissions::from_mode(0o200)).unwrap();
    std::fs::write(at("/home/amika/.whole"), "whole\n").unwrap();
    std::fs::write(at("/home/amika/.kept"), "root's own\n").unwrap();
    std::fs::hard_link(at("/home/amika/.kept"), at("/home/amika/.kept-too")).unwrap();
    let mut second = builder
        .file("/etc/skel-amika/.half", "half and half\n", 0o644)
        .file("/etc/skel-amika/.whole", "whole\n", 0o644)
        .file("/etc/skel-amika/.kept", "another\n", 0o644)
        .start("wc -c <~/.cache/large; cat ~/.config/tool/rc ~/.half ~/.whole ~/.kept; stat -c '%u %a' ~ ~/.cache ~/.cache/large ~/.config ~/.config/tool ~/.half ~/.whole ~/.kept");
    let end = second.wait();
    let told = [
        format!("{}", large.len()),
        "rc\nhalf and half\nwhole\nroot's own".to_owned(),
        "1000 755\n1000 755\n1000 640\n1000 755\n1000 755\n1000 644\n1000 644\n0 644\n".to_owned(),
    ];
    assert_eq!(end.stdout, told.join("\n"), "{end:?}");
}

#[test]
fn a_part_of_a_volume_is_the_agent_s_home_and_a_directory_of_the_host_is_not() {
    let home = |kept: &str| {
        let builder = Builder::new().file("/etc/skel-amika/.profile", "skeleton\n", 0o644);
        std::fs::create_dir_all(builder.root().join("host").join(kept)).unwrap();
        let script =
            format!("mkdir -p /home/amika; mount --bind /host/{kept} /home/amika; exec \"$@\"");
        let mut sandbox = builder
            .wrapped(&["sh", "-c", &script, "sh"])
            .start("stat -c %u ~; cat ~/.profile 2>/dev/null || echo none");
        sandbox.wait().stdout
    };
    for ours in [
        "docker/volumes/amika-home-x/_data",
        "docker/volumes/amika-home-x/_data/sub",
        "kubelet/pods/7f/volumes/kubernetes.io~empty-dir/scratch",
    ] {
        assert_eq!(home(ours), "1000\nskeleton\n", "{ours}");
    }
    assert_eq!(home("ada/home"), "0\nnone\n", "the host's");
}

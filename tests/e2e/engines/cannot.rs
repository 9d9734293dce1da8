//! What an engine cannot do, in its own words, and what happens instead: a test for each row of the table in
//! docs/engines.md. `scripts/test-engines` runs those of a module on the engine of that name; `make test` runs none.

use crate::support::{DEBIAN, Sandbox, Stage, docker};

/// The engines' words in the table, as they are asserted below.
pub(super) const WORDS: [&str; 5] = [
    LAYERS,
    "none: its address on that network is reached",
    "Operation not permitted, Permission denied",
    CAP_DROP,
    "connection refused",
];

const LAYERS: &str = "Some layer tarfiles are missing in the tarball";
const CAP_DROP: &str = "invalid CapDrop: capability not supported by your kernel or not available in the current environment";

/// A sandbox with a service whose port was taken by another program while it was stopped cannot have others there.
fn new_ports_are_refused_and_the_sandbox_stays() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &["--port", "8080", "--", "sleep", "infinity"]);
    let id = sandbox.engine_says("{{.Id}}");
    let template = r#"{{(index (index .HostConfig.PortBindings "8080/tcp") 0).HostPort}}"#;
    let port = sandbox.engine_says(template).parse().unwrap();
    sandbox.verb("stop", &[]).output().ended(0, &[]);
    let _thief = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let refused = sandbox.verb("start", &["--reassign-ports"]).output();
    refused.ended(1, &["stays as it is", LAYERS, "--replace"]);
    assert_eq!(sandbox.engine_says("{{.Id}}"), id);
    assert_eq!(stage.containers().len(), 1);
}

/// Podman's internal networks keep nobody from the machine's own address on them, nor neighbours from each other.
fn an_internal_network_still_reaches_this_machine() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(
        DEBIAN,
        &["--network", "internal", "--", "sleep", "infinity"],
    );
    let listener = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let subnet = "{{range .NetworkSettings.Networks}}{{.Gateway}} {{.IPAddress}}{{end}}";
    let addresses = sandbox.engine_says(subnet);
    // An internal network names no gateway; the machine has its first address.
    let own = addresses.split_whitespace().last().unwrap();
    let gateway = format!("{}.1", own.rsplit_once('.').unwrap().0);
    let reach = format!("echo >/dev/tcp/{gateway}/{port}");
    let reached = sandbox.exec(&["bash", "-c", &reach]).output();
    assert_eq!(reached.code, 0, "{reached:?}");
    let out = sandbox
        .exec(&["bash", "-c", "echo >/dev/tcp/192.0.2.1/80"])
        .output();
    assert!(
        out.stderr_text().contains("Network is unreachable"),
        "{out:?}"
    );
}

/// Files of this machine are not mounted by an engine that does not see them, and ports not reached.
fn mounts_are_refused_and_the_relay_is_used() {
    let stage = Stage::new();
    let source = stage.home().join("source");
    std::fs::create_dir(&source).unwrap();
    let mount = |mode: &str| format!("{}:/x:{mode}", source.display());
    for mode in ["rw", "ro"] {
        let sandbox = stage.adopt(stage.name());
        let refused = sandbox.create(DEBIAN, &["--mount", &mount(mode)]);
        refused.ended(2, &["the engine is on another machine", "rwcopy"]);
    }
    let args = ["--mount", &mount("rwcopy"), "--port", "8080"];
    let sandbox = stage.sandbox(DEBIAN, &[&args[..], &["--", "sleep", "infinity"]].concat());
    let template = r#"{{(index (index .NetworkSettings.Ports "8080/tcp") 0).HostPort}}"#;
    let port: u16 = sandbox.engine_says(template).parse().unwrap();
    let refusal = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap_err();
    assert_eq!(refusal.kind(), std::io::ErrorKind::ConnectionRefused);
    let found = sandbox.exec(&["ls", "-d", "/x"]).output();
    assert_eq!(found.stdout_text(), "/x\n", "{found:?}");
    sandbox.verb("wait", &[]).output().ended(0, &[]);
}

fn root_cannot(sandbox: &Sandbox<'_>, script: &str, words: &str) {
    let refused = sandbox.exec(&["sh", "-c", script]).output();
    assert_ne!(refused.code, 0, "{refused:?}");
    assert!(refused.stderr_text().contains(words), "{refused:?}");
}

mod podman_4 {
    #[test]
    fn other_ports_for_a_sandbox() {
        super::new_ports_are_refused_and_the_sandbox_stays();
    }

    #[test]
    fn a_network_without_a_way_to_this_machine() {
        super::an_internal_network_still_reaches_this_machine();
    }
}

mod podman_5 {
    #[test]
    fn other_ports_for_a_sandbox() {
        super::new_ports_are_refused_and_the_sandbox_stays();
    }

    #[test]
    fn a_network_without_a_way_to_this_machine() {
        super::an_internal_network_still_reaches_this_machine();
    }
}

mod docker_userns {
    use super::*;

    #[test]
    fn device_files_with_the_right_to_make_them() {
        let stage = Stage::new();
        let sandbox = stage.sandbox(DEBIAN, &["--cap-add", "MKNOD", "--", "sleep", "infinity"]);
        root_cannot(&sandbox, "mknod /null c 1 3", "Operation not permitted");
    }

    #[test]
    fn writing_what_belongs_to_root_of_this_machine() {
        let stage = Stage::new();
        let source = stage.home().join("source");
        std::fs::create_dir(&source).unwrap();
        let mount = format!("{}:/x:rw", source.display());
        let sandbox = stage.adopt(stage.name());
        let created = sandbox.create(DEBIAN, &["--mount", &mount, "--", "sleep", "infinity"]);
        created.ended(0, &["the engine maps users", "subordinate users"]);
        root_cannot(&sandbox, "echo >/x/file", "Permission denied");
    }
}

mod docker_26 {
    use super::*;

    /// On a machine that has it not; elsewhere it is taken away.
    #[test]
    fn taking_away_a_right_that_the_machine_has_not() {
        let stage = Stage::new();
        let name = stage.name();
        let told = docker(&[
            "create",
            "--name",
            &name,
            "--cap-drop",
            "SYS_RESOURCE",
            DEBIAN,
        ]);
        if told.code == 0 {
            docker(&["rm", &name]).ended(0, &[]);
        } else {
            told.ended(1, &[CAP_DROP]);
        }
        let sandbox = stage.sandbox(DEBIAN, &["--cap-add", "ALL", "--", "sleep", "infinity"]);
        let has = "echo $((0x$(grep CapBnd /proc/1/status | cut -f 2) >> 24 & 1))";
        let read = sandbox.exec(&["sh", "-c", has]).output();
        assert_eq!(read.stdout_text(), "0\n", "{read:?}");
    }
}

mod docker_mounted {
    #[test]
    fn mounts_of_host_files_and_published_ports() {
        super::mounts_are_refused_and_the_relay_is_used();
    }
}

mod docker_forwarded {
    #[test]
    fn mounts_of_host_files_and_published_ports() {
        super::mounts_are_refused_and_the_relay_is_used();
    }
}

mod docker_ssh {
    #[test]
    fn mounts_of_host_files_and_published_ports() {
        super::mounts_are_refused_and_the_relay_is_used();
    }
}

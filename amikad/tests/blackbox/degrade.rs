//! Less than a usual container: it degrades with a message, never hangs, never lies about the end.

use crate::support::{Builder, eventually};

const SETUP: &str = "#!/bin/sh\necho setup\n";

#[test]
fn a_read_only_root_keeps_logs_in_memory() {
    let mut sandbox = Builder::new()
        .with_token()
        .read_only()
        .setup(SETUP)
        .start("sleep 60");
    eventually("readiness", || {
        (sandbox.get("/readyz").status == 200).then_some(())
    });
    assert_eq!(sandbox.api("/v1/logs/setup").body, "setup\n");
    sandbox.signal(15);
    let end = sandbox.wait();
    assert_eq!((end.code, end.stdout.as_str()), (143, "setup\n"));
    assert!(end.stderr.contains("cannot make /run/amikad"), "{end:?}");
}

#[test]
fn a_random_user_gets_setup_and_cmd_as_itself() {
    let mut sandbox = Builder::new()
        .wrapped(&["setpriv", "--reuid=54321", "--regid=0", "--clear-groups"])
        .setup("#!/bin/sh\nid -u\n")
        .start("id -u; exit 3");
    let end = sandbox.wait();
    assert_eq!((end.code, end.stdout.as_str()), (3, "54321\n54321\n"));
    // What it cannot keep is told once, with what to do.
    let of_its_own = |line: &&str| line.contains("/amikad");
    let told: Vec<&str> = end.stderr.lines().filter(of_its_own).collect();
    assert_eq!(told.len(), 1, "{end:?}");
    assert!(
        told[0].contains("user 54321 may not write /run/amikad"),
        "{end:?}"
    );
}

#[test]
fn no_capabilities_and_no_new_privileges_do_no_harm() {
    let mut sandbox = Builder::new()
        .wrapped(&[
            "setpriv",
            "--bounding-set=-all",
            "--inh-caps=-all",
            "--no-new-privs",
        ])
        .setup(SETUP)
        .start("id -u; exit 3");
    let end = sandbox.wait();
    assert_eq!(
        (end.code, end.stdout.as_str()),
        (3, "setup\n0\n"),
        "{end:?}"
    );
    assert!(
        end.stderr
            .contains("not permitted to become the agent user"),
        "{end:?}"
    );
}

#[test]
fn hidden_processes_change_nothing() {
    let mut sandbox = Builder::new()
        .proc_options("hidepid=2")
        .setup(SETUP)
        .start("(trap '' TERM; sleep 60) & exit 3");
    let end = sandbox.wait();
    assert_eq!((end.code, end.stdout.as_str()), (3, "setup\n"));
}

#[test]
fn a_fork_that_is_refused_is_amikads_own_failure() {
    let mut sandbox = Builder::new()
        .wrapped(&[
            "setpriv",
            "--reuid=54322",
            "--regid=0",
            "--clear-groups",
            "prlimit",
            "--nproc=1",
            "--",
        ])
        .start("echo cmd");
    let end = sandbox.wait();
    assert_eq!((end.code, end.stdout.as_str()), (70, ""));
    assert!(
        end.stderr.contains("cannot make a process for `sh`"),
        "{end:?}"
    );
}

#[test]
fn a_missing_thread_costs_the_api_and_not_cmd() {
    // Room for CMD, which does not fork, but not for a thread beside it.
    let mut sandbox = Builder::new()
        .wrapped(&[
            "setpriv",
            "--reuid=54323",
            "--regid=0",
            "--clear-groups",
            "prlimit",
            "--nproc=2",
            "--",
        ])
        .start_words(&["sh", "-c", "read -t 1 x; exit 4"]);
    let end = sandbox.wait();
    assert!(end.stderr.contains("not available"), "{end:?}");
    assert!([2, 4].contains(&end.code), "CMD's own: {end:?}");
}

#[test]
fn garbage_in_the_state_directory_is_survived() {
    let mut sandbox = Builder::new()
        .file("/var/lib/amikad/next-boot.json", "{", 0o600)
        .file("/var/lib/amikad/boot.json/x", "", 0o600)
        .env("AMIKA_TOKEN_SHA256", "nonsense")
        .start("exit 3");
    let end = sandbox.wait();
    assert_eq!(end.code, 3);
    assert!(end.stderr.contains("is not understood"), "{end:?}");
    assert!(
        end.stderr.contains("AMIKA_TOKEN_SHA256 is no SHA-256"),
        "{end:?}"
    );
}

#[test]
fn without_proc_and_without_a_file_of_random_numbers_no_secret_is_known_beforehand() {
    let secrets = || {
        let hide = "umount -l /proc; umount /dev/urandom; rm /dev/urandom; exec \"$@\"";
        let mut sandbox = Builder::new()
            .wrapped(&["sh", "-c", hide, "sh"])
            .start("exit 3");
        let end = sandbox.wait();
        assert_eq!(end.code, 3, "{end:?}");
        [
            sandbox.read("/var/lib/amikad/token"),
            sandbox.record()["boot_id"].to_string(),
        ]
    };
    let (one, other) = (secrets(), secrets());
    // What SHA-256 makes of nothing.
    assert!(!one[0].contains("e3b0c44298fc1c14"), "{one:?}");
    for (one, other) in one.iter().zip(&other) {
        assert!(one.len() >= 32, "{one}");
        assert_ne!(one, other);
    }
}

/// Begins amikad in a group of its own of the kernel's second version, of which its namespace shows it the root.
const IN_A_GROUP: &str = "set -e; mkdir -p /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup\n\
    [ ! -e /sys/fs/cgroup/cgroup.events ]; [ -e /sys/fs/cgroup/cgroup.controllers ]\n\
    own=/sys/fs/cgroup/amikad-blackbox-$(cat /proc/sys/kernel/random/uuid); mkdir $own; echo 0 >$own/cgroup.procs\n\
    printf '%s' $own >/tmp/own; mount --bind /sys/fs/cgroup /mnt; exec unshare --cgroup sh -c '\n\
    umount /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup; [ -e /sys/fs/cgroup/cgroup.events ] || exit 99; exec \"$@\"' sh \"$@\"";

/// Of the kernel's own files, and not of some that a test wrote: which of them tell a root from a group, in a namespace and
/// without one, and that what no controller is there for is no limit.
#[test]
fn control_groups_of_the_second_version_are_read_as_the_kernel_has_them() {
    let builder = Builder::new().with_token();
    std::fs::create_dir_all(builder.root().join("mnt")).unwrap();
    let mut sandbox = builder.wrapped(&["sh", "-c", IN_A_GROUP, "sh"]).start(
        "cat /proc/self/cgroup | grep ^0:; ls /sys/fs/cgroup; env; echo end; until [ -e /tmp/go ]; do sleep 0.02; done",
    );
    sandbox.until_phase("running");
    let status = sandbox.api("/v1/status").json();
    assert_eq!(status["out_of_memory"]["kills"], 0, "{status}");
    // The group's own limits, as far as the kernel gives the controller to this version at all.
    let own = |file: &str| {
        let group = sandbox
            .read("/tmp/own")
            .replacen("/sys/fs/cgroup", "/mnt", 1);
        let words = ["cat".to_owned(), format!("{group}/{file}")];
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let output = sandbox.exec(&words).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(own("cgroup.procs").lines().count() >= 1, "it is in there");
    let has_limit = |file: &str| {
        own(file)
            .split(' ')
            .next()
            .is_some_and(|limit| limit.trim().parse::<u64>().is_ok())
    };
    let (cpu, memory) = (has_limit("cpu.max"), has_limit("memory.max"));
    std::fs::write(sandbox.path("/tmp/go"), "").unwrap();
    let end = sandbox.wait();
    assert_eq!(end.code, 0, "{end:?}");
    assert!(end.stdout.starts_with("0::/\n"), "{end:?}");
    assert!(end.stdout.contains("cgroup.events"), "{end:?}");
    assert_eq!(end.stdout.contains("GOMAXPROCS="), cpu, "{end:?}");
    assert_eq!(end.stdout.contains("GOMEMLIMIT="), memory, "{end:?}");
}

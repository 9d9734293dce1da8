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

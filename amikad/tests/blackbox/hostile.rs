//! Files and scripts that mean harm, or are merely odd.

use std::fs;
use std::os::unix::fs::MetadataExt;

use crate::support::{Builder, PROOF, Sandbox, eventually};

fn owner(sandbox: &Sandbox, path: &str) -> u32 {
    sandbox.path(path).symlink_metadata().unwrap().uid()
}

/// Words that do `script` as root inside, before amikad becomes PID 1 in the shell's place.
fn first(script: &str) -> [String; 4] {
    ["sh", "-c", &format!("{script}; exec \"$@\""), "sh"].map(str::to_owned)
}

fn prepared(script: &str) -> Builder {
    let words = first(script);
    Builder::new().wrapped(&words.each_ref().map(String::as_str))
}

#[test]
fn a_link_that_the_agent_laid_leads_root_nowhere() {
    let mut sandbox = Builder::new()
        .link("/etc", "/home/amika/workspace")
        .link("/etc", "/home/amika/.config")
        .file("/etc/skel-amika/.config/tool/rc", "rc\n", 0o644)
        .env("AMIKA_AGENT_CWD", "/home/amika/workspace/cron.d/repo")
        .options(&["--workdir", "/home/amika/workspace/elsewhere"])
        .start("exit 4");
    let end = sandbox.wait();
    assert_eq!(end.code, 4);
    for made in ["/etc/cron.d", "/etc/elsewhere", "/etc/tool"] {
        assert!(!sandbox.path(made).exists(), "{made}");
    }
    assert!(end.stderr.contains("cannot make /home/amika"), "{end:?}");
}

#[test]
fn a_link_of_the_image_is_followed() {
    let mut sandbox = Builder::new()
        .file("/data/kept", "", 0o644)
        .link("/data", "/srv")
        .options(&["--workdir", "/srv/new/deep"])
        .start("pwd -P; stat -c %u . /srv/kept");
    assert_eq!(sandbox.wait().stdout, "/data/new/deep\n1000\n0\n");
}

#[test]
fn a_file_with_a_name_elsewhere_is_not_given_away_and_one_with_all_names_here_is() {
    let mut sandbox = Builder::new()
        .file("/etc/secret", "x", 0o600)
        .setup(
            "#!/bin/sh\nln /etc/secret ~/stolen\nmkdir ~/store ~/project\necho x > ~/store/a\n\
             ln ~/store/a ~/project/a\n",
        )
        .start("cat ~/stolen; echo more >> ~/project/a && stat -c %u ~/store/a");
    let end = sandbox.wait();
    assert_eq!(end.stdout, "1000\n", "{end:?}");
    assert_eq!(owner(&sandbox, "/etc/secret"), 0);
}

#[test]
fn directories_swapped_during_the_hand_over_lead_root_nowhere() {
    // The agent's own process swaps a directory for a link to /etc, and back, all the while.
    let swap = "import os\nos.setuid(1000)\nopen('/tmp/up', 'w').close()\n\
                while not os.path.exists('/tmp/stop'):\n os.rename('d', 'real'); os.symlink('/etc', 'd'); \
                os.unlink('d'); os.rename('real', 'd')\n";
    let mut sandbox = Builder::new()
        .file("/swap.py", swap, 0o644)
        .setup(
            "#!/bin/sh\nset -e\ncd ~\nmkdir d; for n in $(seq 300); do mkdir d/$n; : > d/$n/f; done\n\
             mkdir /etc/1; : > /etc/1/f; : > /etc/f; chown 1000 . d\npython3 /swap.py &\n\
             until [ -e /tmp/up ]; do sleep 0.01; done\n",
        )
        .start("touch /tmp/stop");
    assert_eq!(sandbox.wait().code, 0);
    for path in ["/etc", "/etc/1", "/etc/1/f", "/etc/f", "/etc/passwd"] {
        assert_eq!(owner(&sandbox, path), 0, "{path}");
    }
}

#[test]
fn orders_that_are_no_file_are_no_orders() {
    for (script, said) in [
        (
            "mkfifo /var/lib/amikad/next-boot.json",
            "not a regular file",
        ),
        ("mkdir /var/lib/amikad/next-boot.json", "not a regular file"),
        (
            "ln -s /dev/zero /var/lib/amikad/next-boot.json",
            "not a regular file",
        ),
        (
            "truncate -s 1G /var/lib/amikad/next-boot.json",
            "larger than",
        ),
    ] {
        let mut sandbox = prepared(&format!("mkdir -p /var/lib/amikad; {script}")).start("exit 6");
        let end = sandbox.wait();
        assert_eq!(end.code, 6, "{script}: {end:?}");
        assert!(end.stderr.contains(said), "{script}: {end:?}");
    }
}

#[test]
fn a_setup_script_that_is_a_pipe_fails_with_a_message() {
    let setup = "/usr/local/etc/amikad/setup/setup.sh";
    let mut sandbox = prepared(&format!("mkfifo -m 755 {setup}"))
        .env("AMIKA_SETUP_ONCE", "1")
        .start("echo cmd");
    let end = sandbox.wait();
    assert_eq!((end.code, end.stdout.as_str()), (126, ""), "{end:?}");
    assert!(end.stderr.contains("is no regular file"), "{end:?}");
}

#[test]
fn full_disks_cost_logs_and_records_and_nothing_else() {
    let full = "for d in /run /var/lib/amikad /var/log/amikad; do mkdir -p $d; \
                mount -t tmpfs -o size=16k,nr_inodes=32 tmpfs $d; done; \
                echo '{\"boot_id\":\"old\"}' > /var/lib/amikad/boot.json; \
                for d in /run /var/lib/amikad /var/log/amikad; do cat /dev/zero > $d/fill 2>/dev/null; done; true";
    let sandbox = prepared(full)
        .with_token()
        .program("/usr/local/bin/opencode", "#!/bin/sh\nexec sleep 60\n")
        .setup("#!/bin/bash\nseq 200000; echo done\n")
        .start("echo cmd; until [ -e /tmp/go ]; do sleep 0.02; done; exit 5");
    assert_eq!(sandbox.api("/v1/status").status, 200);
    sandbox.until_status("CMD", |status| status["phase"] == "running");
    let status = sandbox.api("/v1/status").json();
    assert_eq!(status["setup"]["state"], "succeeded");
    assert_eq!(sandbox.api("/v1/logs/setup?tail=5").status, 200);
    let mut record = sandbox.exec(&["cat", "/var/lib/amikad/boot.json"]);
    let record = String::from_utf8(record.output().unwrap().stdout).unwrap();
    assert!(!record.contains("\"old\""), "an earlier boot's: {record}");
    let mut sandbox = sandbox;
    fs::write(sandbox.path("/tmp/go"), "").unwrap();
    let end = sandbox.wait();
    assert_eq!(end.code, 5, "{end:?}");
    assert!(
        end.stdout.ends_with("done\ncmd\n"),
        "the container's log has it all"
    );
}

#[test]
fn a_setup_that_would_leave_its_process_group_is_stopped_all_the_same() {
    // It leads a session, which no process can leave for another group; its children can, and ignore the signal.
    let script = "#!/usr/bin/env python3\nimport os, signal, time\ndef child():\n pid = os.fork()\n \
                  if pid: return pid\n signal.signal(15, signal.SIG_IGN); time.sleep(600)\n\
                  child(); other = child(); os.setpgid(other, other)\ntry: os.setpgid(0, other)\n\
                  except PermissionError: pass\n\
                  open('/tmp/up', 'w').close(); time.sleep(600)\n";
    let mut sandbox = Builder::new().setup(script).start("echo cmd");
    eventually("setup", || sandbox.path("/tmp/up").exists().then_some(()));
    sandbox.signal(15);
    let end = sandbox.wait();
    assert_eq!((end.code, end.stdout.as_str()), (143, ""), "{end:?}");
}

#[test]
fn a_setup_that_stopped_itself_is_ended_by_a_stop() {
    let mut sandbox = Builder::new()
        .setup("#!/bin/sh\ntouch /tmp/up\nkill -STOP $$\necho woke\n")
        .start("echo cmd");
    eventually("setup", || sandbox.path("/tmp/up").exists().then_some(()));
    sandbox.signal(15);
    assert_eq!(sandbox.wait().code, 143);
}

#[test]
fn a_setup_that_shuffles_its_descriptors_and_leaves_daemons_is_only_a_script() {
    let mut sandbox = Builder::new()
        .setup(
            "#!/bin/bash\nfor fd in $(seq 3 200); do eval \"exec $fd>&-\"; done\nexec 1>&- 2>&- 0<&-\n\
             for n in 1 2 3; do setsid sh -c 'trap \"\" TERM HUP; sleep 600 & sleep 600' & done\nexit 0\n",
        )
        .start("exit 12");
    assert_eq!(sandbox.wait().code, 12);
}

#[test]
fn a_hundred_megabytes_without_a_line_end_are_output_like_any_other() {
    let sandbox = Builder::new()
        .with_token()
        .setup("#!/bin/sh\nhead -c 100000000 /dev/zero | tr '\\0' x\n")
        .start("sleep 60");
    sandbox.until_status("CMD", |status| status["phase"] == "running");
    let status = sandbox.api("/v1/status").json();
    assert_eq!(status["setup"]["log_bytes"], 100_000_000);
    assert!(sandbox.api("/v1/logs/setup?tail=1").body.len() < 6 << 20);
    let events = sandbox.request(
        "GET",
        "/v1/logs/setup?tail=1",
        &[PROOF, "Accept: text/event-stream"],
        "",
    );
    assert!(events.body.starts_with("id: "), "{}", &events.body[..100]);
}

#[test]
fn odd_accounts_are_read_as_far_as_they_go() {
    let long = "x".repeat(1 << 20);
    let passwd = format!(
        "root:x:0:0::/root:/bin/sh\n{long}\n{long}:x:5:5::/:/bin/sh\nevil:x:4294967295:0::/:/bin/sh\n\
         amika:x:1000:1000::/home/amika:/bin/sh\namika:x:0:0::/:/bin/sh\nlast:x:77:78::/:/bin/sh"
    );
    let sandbox = Builder::new()
        .file("/etc/passwd", &passwd, 0o644)
        .start("id -u > /tmp/who; sleep 60");
    sandbox.until_file_has("/tmp/who", "1000\n");
    let id = |user: &str| {
        let words = ["/amikad", "exec-as", "--user", user, "--", "id", "-u"];
        let output = sandbox.exec(&words).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        (output.status.code().unwrap(), text)
    };
    assert_eq!(id("last"), (0, "77\n".to_owned()), "no line end");
    assert_eq!(id("amika"), (0, "1000\n".to_owned()), "the first counts");
    for nobody in ["evil", "4294967295", "0:4294967295", "+0", ""] {
        assert_eq!(id(nobody), (125, String::new()), "{nobody}");
    }
}

#[test]
fn a_directory_with_a_way_up_is_not_taken_and_gives_nothing_away() {
    let climbing = "/home/amika/../../srv/x/../..";
    let mut sandbox = prepared("mkdir /srv")
        .env("AMIKA_AGENT_CWD", climbing)
        .start("pwd");
    let end = sandbox.wait();
    assert_eq!(end.stdout, "/home/amika/workspace\n", "{end:?}");
    assert!(end.stderr.contains("without `..`"), "{end:?}");
    for path in ["/", "/home", "/srv"] {
        assert_eq!(owner(&sandbox, path), 0, "{path}");
    }
    let mut refused = Builder::new()
        .options(&["--workdir", climbing])
        .start("pwd");
    let end = refused.wait();
    assert_eq!((end.code, end.stdout.as_str()), (2, ""), "{end:?}");
    assert!(end.stderr.contains("without `..`"), "{end:?}");
}

#[test]
fn a_pipe_in_the_place_of_amikads_own_files_holds_up_nothing() {
    let mut sandbox = prepared(
        "mkdir -p /var/lib/amikad; cd /var/lib/amikad; mkfifo setup-done boot.new setup-done.new",
    )
    .env("AMIKA_SETUP_ONCE", "1")
    .setup("#!/bin/sh\necho setup\n")
    .start("echo cmd");
    let end = sandbox.wait();
    assert_eq!(
        (end.code, end.stdout.as_str()),
        (0, "setup\ncmd\n"),
        "{end:?}"
    );
    assert_eq!(sandbox.record()["container_exit_code"], 0);
    assert_eq!(sandbox.read("/var/lib/amikad/setup-done").len(), 64);
}

#[test]
fn a_link_in_the_place_of_a_file_that_is_about_to_be_written_is_not_written_through() {
    let mut sandbox = prepared(
        "mkdir -p /var/lib/amikad; echo kept > /etc/kept; ln -s /etc/kept /var/lib/amikad/boot.new",
    )
    .start("exit 3");
    assert_eq!(sandbox.wait().code, 3);
    assert_eq!(sandbox.read("/etc/kept"), "kept\n");
    assert_eq!(sandbox.record()["container_exit_code"], 3);
}

#[test]
fn a_way_to_the_agents_directory_that_leads_elsewhere_gives_nothing_away_and_setup_does_not_run_there()
 {
    let mut sandbox = prepared(
        "mkdir -p /etc/cron.d /agent; touch /etc/cron.d/job; ln -s /etc /agent/x; chown -h 1000 /agent /agent/x",
    )
    .env("AMIKA_AGENT_CWD", "/agent/x/cron.d")
    .setup("#!/bin/sh\npwd -P; : > here\n")
    .start("true");
    let end = sandbox.wait();
    assert_eq!((end.code, end.stdout.as_str()), (0, "/agent\n"), "{end:?}");
    assert!(end.stderr.contains("starting in /agent"), "{end:?}");
    for path in ["/etc", "/etc/cron.d", "/etc/cron.d/job"] {
        assert_eq!(owner(&sandbox, path), 0, "{path}");
    }
    assert!(!sandbox.path("/etc/cron.d/here").exists());
}

#[test]
fn a_link_of_roots_that_the_agent_could_have_moved_there_is_not_followed() {
    for make in [
        "mkdir -m 777 /agent",
        "mkdir -m 775 /agent; chgrp 900 /agent; chmod 775 /agent",
    ] {
        let mut sandbox = prepared(&format!("{make}; mkdir /etc/cron.d; ln -s /etc /agent/x"))
            .env("AMIKA_AGENT_CWD", "/agent/x/cron.d")
            .setup("#!/bin/sh\n: > /tmp/ran\n")
            .start("true");
        let end = sandbox.wait();
        assert_eq!(end.code, 0, "{end:?}");
        assert_eq!(owner(&sandbox, "/etc/cron.d"), 0, "{make}");
    }
}

#[test]
fn what_a_host_brought_in_stays_its_own_where_the_home_is_reached_through_a_link() {
    let mut sandbox = prepared(
        "rmdir /home; mkdir -p /var/home/amika/src /host; touch /host/file /var/home/amika/single; \
         ln -s var/home /home; mount --bind /host /var/home/amika/src; \
         mount --bind /host/file /var/home/amika/single",
    )
    .env("AMIKA_AGENT_CWD", "/home/amika/src")
    .setup("#!/bin/sh\ntouch /home/amika/src/by-setup /home/amika/own\n")
    .start("stat -c '%n %u' ~ ~/own ~/src ~/src/file ~/src/by-setup ~/single");
    let end = sandbox.wait();
    assert_eq!(
        end.stdout,
        "/home/amika 1000\n/home/amika/own 1000\n/home/amika/src 0\n/home/amika/src/file 0\n\
         /home/amika/src/by-setup 0\n/home/amika/single 0\n",
        "{end:?}"
    );
    for path in ["/host", "/host/file", "/host/by-setup"] {
        assert_eq!(owner(&sandbox, path), 0, "{path}");
    }
}

#[test]
fn another_number_for_the_agent_changes_nothing_of_the_hosts_behind_a_link_either() {
    let mut sandbox = prepared(
        "rmdir /home; mkdir -p /var/home/amika/src /host; touch /host/file /var/home/amika/own; \
         chown -R 1000 /var/home/amika /host; ln -s var/home /home; mount --bind /host /var/home/amika/src",
    )
    .env("AMIKA_AGENT_UID", "4242")
    .start("stat -c '%u' ~ ~/own ~/src/file");
    let end = sandbox.wait();
    assert_eq!(end.stdout, "4242\n4242\n1000\n", "{end:?}");
    assert_eq!(owner(&sandbox, "/host"), 1000);
}

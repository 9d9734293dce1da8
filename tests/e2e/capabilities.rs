//! Which of root's rights a sandbox has, and that what is installed in sandboxes works without the others.

use std::time::Duration;

use crate::support::{DEBIAN, Run, SCRATCH, Sandbox, Stage};

/// How long installing packages may take.
const INSTALL: Duration = Duration::from_mins(4);

/// What `/proc/PID/status` says of the bounding set of a sandbox's programs, as a mask.
fn bounding_set(sandbox: &Sandbox<'_>) -> u64 {
    let read = ["grep", "CapBnd", "/proc/self/status"];
    let text = sandbox.exec_with(&["--user", "0"], &read).output();
    let text = text.stdout_text();
    let (_, mask) = text.split_once('\t').unwrap_or_else(|| panic!("{text}"));
    u64::from_str_radix(mask.trim(), 16).unwrap()
}

const FSETID: u64 = 1 << 4;
const NET_ADMIN: u64 = 1 << 12;
const NET_RAW: u64 = 1 << 13;
const SYS_RESOURCE: u64 = 1 << 24;
const MKNOD: u64 = 1 << 27;
const SETFCAP: u64 = 1 << 31;

#[test]
fn rights_are_those_of_the_flags_and_mounts_and_told() {
    let stage = Stage::new();
    let dir = stage.home().join("dir");
    std::fs::create_dir(&dir).unwrap();
    let dir = dir.to_str().unwrap();
    let (rw, ro, copy) = (
        format!("{dir}:/mnt/x:rw"),
        format!("{dir}:/mnt/x:ro"),
        format!("{dir}:/mnt/x"),
    );
    let all = NET_RAW | MKNOD | SETFCAP | FSETID;
    for (args, has, added, dropped) in [
        (&[][..], SETFCAP | FSETID, "", "MKNOD, NET_RAW"),
        (&["--mount", &ro], SETFCAP | FSETID, "", "MKNOD, NET_RAW"),
        (&["--mount", &copy], SETFCAP | FSETID, "", "MKNOD, NET_RAW"),
        (&["--mount", &rw], 0, "", "FSETID, MKNOD, NET_RAW, SETFCAP"),
        (
            &[
                "--mount",
                &rw,
                "--cap-add",
                "cap_setfcap",
                "--cap-add=mknod",
            ],
            SETFCAP | MKNOD,
            "MKNOD, SETFCAP",
            "FSETID, NET_RAW",
        ),
        (
            &["--cap-add", "all"],
            all | NET_ADMIN,
            "ALL",
            "SYS_RESOURCE",
        ),
    ] {
        let sandbox = stage.adopt(stage.name());
        let planned = [args, &["--dry-run"]].concat();
        let planned = sandbox.create(DEBIAN, &planned);
        planned.ended(0, &[]);
        let told = |text: &str, width: usize| {
            let line = |label: &str| {
                let line = text.lines().find(|line| line.starts_with(label));
                line.map_or("", |line| &line[width..]).to_owned()
            };
            (line("Cap added"), line("Cap dropped"))
        };
        let expected = (added.to_owned(), dropped.to_owned());
        assert_eq!(told(&planned.stdout_text(), 12), expected, "{args:?}");
        sandbox.create(DEBIAN, args).ended(0, &[]);
        let mask = bounding_set(&sandbox);
        assert_eq!(mask & (all | NET_ADMIN), has, "{args:?}: {mask:x}");
        let inspected = sandbox.verb("inspect", &[]).output().stdout_text();
        let (has_added, has_dropped) = told(&inspected, 14);
        // What the engine gives everybody or nobody, or has not, it does not always tell: Podman, and Docker from 23.0 on.
        for (told, expected) in [(has_added, added), (has_dropped, dropped)] {
            for name in told.split(", ").filter(|name| !name.is_empty()) {
                assert!(expected.contains(name), "{inspected}");
            }
        }
        assert_eq!(mask & SYS_RESOURCE, 0, "{args:?}: {mask:x}");
        sandbox.verb("delete", &["--force"]).output().ended(0, &[]);
    }
}

#[test]
fn a_capability_that_there_is_not_is_2_with_the_nearest() {
    let stage = Stage::new();
    for (name, hint) in [
        ("NET_RAWW", "did you mean `--cap-add NET_RAW`?"),
        ("cap_sys_amdin", "did you mean `--cap-add SYS_ADMIN`?"),
        ("", "`man 7 capabilities`"),
        ("NET_RAW MKNOD and more", "`man 7 capabilities`"),
    ] {
        let refused = stage.sandbox_verb(&["create", "--image", SCRATCH, "--cap-add", name]);
        refused.ended(2, &["--cap-add: there is no capability", hint]);
    }
    stage.nothing_was_made();
}

#[test]
fn no_repository_gives_its_sandbox_rights() {
    let stage = Stage::new();
    for (name, config) in [
        ("key", "[sandbox]\ncap_add = [\"ALL\"]\n"),
        ("odd", "[sandbox]\ncap-add = [\"NET_RAW\"]\n"),
        ("table", "[capabilities]\nadd = [\"ALL\"]\n"),
        (
            "network",
            "[sandbox]\nprivileged = true\nnetwork = \"host\"\n",
        ),
    ] {
        let repository = stage.repository(name, &[(".amika/config.toml", config)]);
        let args = ["--git", &repository, "--dry-run", "-o", "json"];
        let planned = stage.adopt(stage.name()).create(SCRATCH, &args);
        planned.ended(0, &["unknown"]);
        let plan = planned.json();
        assert_eq!(plan["cap_added"], serde_json::json!([]), "{plan}");
        assert_eq!(plan["cap_dropped"], serde_json::json!(["MKNOD", "NET_RAW"]));
        assert_eq!(plan["network"], "amika");
    }
}

#[test]
fn a_file_that_demands_a_capability_says_which_one_is_missing() {
    let stage = Stage::new();
    // What `setcap cap_net_raw+ep` and `setcap cap_net_raw+p` write.
    let image = stage.image(&format!(
        "FROM {DEBIAN}\n\
         RUN cp /usr/bin/true /usr/bin/demanding && cp /usr/bin/true /usr/bin/modest && \
         printf '#!/usr/bin/demanding\\n' >/usr/bin/script && chmod +x /usr/bin/script && \
         perl -e 'for ([demanding => 1], [modest => 0]) {{ my ($name, $effective) = @$_; \
           my $value = pack \"V5\", 2 << 24 | $effective, 1 << 13, 0, 0, 0; my $file = \"/usr/bin/$name\"; \
           my $key = \"security.capability\"; \
           syscall(188, $file, $key, $value, length $value, 0) == 0 or die $! }}'\n"
    ));
    let sandbox = stage.sandbox(&image, &[]);
    for user in ["0", "nobody"] {
        let run = |program: &str| {
            let run: Run = sandbox.exec_with(&["--user", user], &[program]);
            run.output()
        };
        for program in ["demanding", "script"] {
            let why = [
                "demanding carries file capabilities",
                "(NET_RAW)",
                "--cap-add NET_RAW",
            ];
            run(program).ended(126, &why);
        }
        run("modest").ended(0, &[]);
    }
    sandbox.verb("delete", &["--force"]).output().ended(0, &[]);
    // As CMD, and with what it demands.
    let refused = stage.adopt(stage.name());
    let created = refused.create(&image, &["--", "demanding"]);
    assert_ne!(created.code, 0, "{created:?}");
    assert!(
        refused.log().contains("--cap-add NET_RAW"),
        "{}",
        refused.log()
    );
    let given = stage.sandbox(&image, &["--cap-add", "NET_RAW"]);
    given.exec(&["demanding"]).output().ended(0, &[]);
    given.verb("delete", &["--force"]).output().ended(0, &[]);
}

#[test]
fn what_people_install_works_without_the_dropped_rights() {
    let stage = Stage::new();
    let setup = stage.script(
        "setup.sh",
        "#!/bin/bash\nset -eux\nexport DEBIAN_FRONTEND=noninteractive\napt-get -qq update\n\
         apt-get -qq install -y --no-install-recommends sudo cron iputils-ping nginx postgresql >/dev/null\n\
         useradd --create-home agent\necho 'agent ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/agent\n\
         service cron start\nservice nginx start\nservice postgresql start\n",
    );
    let sandbox = stage.adopt(stage.name());
    let created = sandbox
        .create_run(DEBIAN, &["--setup-script", &setup])
        .limit(INSTALL)
        .output();
    created.ended(0, &[]);
    let check = |user: &str, script: &str| {
        let run = sandbox.exec_with(&["--user", user], &["bash", "-ec", script]);
        run.output().ended(0, &[]);
    };
    check("agent", "ping -c 1 -W 5 127.0.0.1");
    check("0", "ping -c 1 -W 5 127.0.0.1");
    check("agent", "test \"$(sudo id -u)\" = 0");
    check("0", "service cron status");
    check(
        "0",
        "su postgres -c 'psql -tAc \"select 6 * 7\"' | grep -qx 42",
    );
    check(
        "agent",
        "exec 3<>/dev/tcp/127.0.0.1/80; printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; grep -q nginx <&3",
    );
    sandbox.verb("delete", &["--force"]).output().ended(0, &[]);
}

#[test]
fn packages_install_beside_files_of_the_host_too() {
    let stage = Stage::new();
    let dir = stage.home().join("dir");
    std::fs::create_dir(&dir).unwrap();
    let mount = format!("{}:/mnt/x:rw", dir.to_str().unwrap());
    let setup = stage.script(
        "setup.sh",
        "#!/bin/bash\nset -eux\nexport DEBIAN_FRONTEND=noninteractive\napt-get -qq update\n\
         apt-get -qq install -y --no-install-recommends cron iputils-ping nginx >/dev/null\n\
         useradd --create-home agent\nservice nginx start\n",
    );
    let sandbox = stage.adopt(stage.name());
    let created = sandbox
        .create_run(DEBIAN, &["--mount", &mount, "--setup-script", &setup])
        .limit(INSTALL)
        .output();
    created.ended(0, &[]);
    let ping = ["ping", "-c", "1", "-W", "5", "127.0.0.1"];
    let pinged = sandbox.exec_with(&["--user", "agent"], &ping).output();
    pinged.ended(0, &[]);
    // What a file of the host could be given that counts there.
    for script in [
        "mknod /mnt/x/null c 1 3",
        "cp /usr/bin/true /mnt/x/true && perl -e '$f = \"/mnt/x/true\"; $k = \"security.capability\"; \
         $v = pack \"V5\", 2 << 24 | 1, 1 << 13, 0, 0, 0; \
         syscall(188, $f, $k, $v, length $v, 0) == 0 or die \"$!\\n\"'",
    ] {
        let tried = sandbox.exec_with(&["--user", "0"], &["bash", "-ec", script]);
        let tried = tried.output();
        assert_ne!(tried.code, 0, "{tried:?}");
        assert!(tried.text().contains("not permitted"), "{tried:?}");
    }
    sandbox.verb("delete", &["--force"]).output().ended(0, &[]);
}

#[test]
fn a_right_that_the_engine_cannot_give_is_named_and_nothing_is_left() {
    let stage = Stage::new();
    let name = stage.name();
    let args = ["create", "--image", DEBIAN, "--name", &name];
    let created = stage.sandbox_verb(&[&args[..], &["--cap-add", "SYS_RESOURCE"]].concat());
    let status = std::fs::read_to_string("/proc/1/status").unwrap();
    let (_, mask) = status.split_once("CapBnd:\t").unwrap();
    let mask = u64::from_str_radix(mask.lines().next().unwrap(), 16).unwrap();
    if mask & 1 << 24 != 0 {
        // This machine has it to give.
        created.ended(0, &[]);
        return;
    }
    created.ended(1, &["no right to give it SYS_RESOURCE", "--cap-add"]);
    stage.nothing_was_made();
}

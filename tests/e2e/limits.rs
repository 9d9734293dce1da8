//! Limits that the agent can see, and memory that runs out.

use std::time::Duration;

use serde_json::Value;

use crate::support::{DEBIAN, Sandbox, Stage, eventually, eventually_within};

/// What tools read, of a number of processors.
const OF_PROCESSORS: [&str; 6] = [
    "OMP_NUM_THREADS",
    "GOMAXPROCS",
    "PYTHON_CPU_COUNT",
    "CARGO_BUILD_JOBS",
    "JULIA_CPU_THREADS",
    "NUMBA_NUM_THREADS",
];
/// Takes all the memory that there is.
const GREEDY: &str = "tail /dev/zero";

/// The value of a variable in the text of `env`.
fn value<'a>(env: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = env.lines();
    lines.find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
}

#[test]
fn setup_cmd_services_and_exec_are_told_the_limits_unless_somebody_chose() {
    let stage = Stage::new();
    let image = stage.image(&format!(
        "FROM {DEBIAN}\nRUN printf '#!/bin/sh\\nenv >/tmp/opencode; exec sleep 1000\\n' >/usr/bin/opencode && \
         chmod +x /usr/bin/opencode\nENV GOMAXPROCS=7\n"
    ));
    let setup = stage.script("setup.sh", "#!/bin/sh\nenv >/tmp/setup\n");
    let options = [
        "--cpus",
        "0.5",
        "--memory",
        "200m",
        "--setup-script",
        &setup,
    ];
    let cmd = ["--", "sh", "-c", "env >/tmp/cmd; exec sleep 1000"];
    let sandbox = stage.sandbox(
        &image,
        &[&options[..], &["--env", "PYTHON_CPU_COUNT=3"], &cmd].concat(),
    );
    let read = |file: &str| {
        let mut text = String::new();
        eventually(file, || {
            text = sandbox.docker_exec(&["cat", file]).stdout_text();
            text.ends_with('\n')
        });
        text
    };
    let exec = sandbox.exec(&["env"]).output().stdout_text();
    for env in [
        read("/tmp/setup"),
        read("/tmp/cmd"),
        read("/tmp/opencode"),
        exec,
    ] {
        for name in OF_PROCESSORS {
            let told = match name {
                "GOMAXPROCS" => "7",
                "PYTHON_CPU_COUNT" => "3",
                _ => "1",
            };
            assert_eq!(value(&env, name), Some(told), "{name}: {env}");
        }
        let memory = (200 << 20) / 10 * 9;
        assert_eq!(value(&env, "GOMEMLIMIT"), Some(memory.to_string().as_str()));
    }
    let chosen = ["--env", "OMP_NUM_THREADS=9"];
    let chosen = sandbox.exec_with(&chosen, &["env"]).output().stdout_text();
    assert_eq!(value(&chosen, "OMP_NUM_THREADS"), Some("9"), "{chosen}");
}

#[test]
fn the_default_limits_are_told_and_lifted_ones_are_not() {
    let stage = Stage::new();
    let usual = stage.sandbox(DEBIAN, &[]);
    let env = usual.exec(&["env"]).output().stdout_text();
    let memory = usual.inspect()["limits"]["memory_bytes"].as_u64().unwrap();
    let told = (memory / 10 * 9).to_string();
    assert_eq!(value(&env, "GOMEMLIMIT"), Some(told.as_str()), "{env}");
    let lifted = stage.sandbox(DEBIAN, &["--memory", "unlimited"]);
    let env = lifted.exec(&["env"]).output().stdout_text();
    for name in OF_PROCESSORS.iter().chain(&["GOMEMLIMIT"]) {
        assert_eq!(value(&env, name), None, "{name}: {env}");
    }
}

fn kills(sandbox: &Sandbox<'_>) -> u64 {
    let status = &sandbox.inspect()["status"];
    status["out_of_memory"]["kills"].as_u64().unwrap()
}

#[test]
fn out_of_memory_is_told_by_exec_inspect_and_events_and_amikad_outlives_it() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &["--memory", "48m"]);
    let boot = sandbox.inspect()["status"]["boot_id"].clone();
    assert_eq!(kills(&sandbox), 0);
    let text = sandbox.verb("inspect", &[]).output().stdout_text();
    assert!(!text.contains("Out of memory"), "{text}");

    let ended = sandbox
        .exec(&["sh", "-c", &format!("exec {GREEDY}")])
        .output();
    ended.ended(
        137,
        &[
            "ran out of memory while the program ran",
            "its limit is 48 MiB",
        ],
    );
    // A child of it was ended, and the program says no in its own way.
    let script = format!("{GREEDY}; exit 3");
    let ended = sandbox.exec(&["sh", "-c", &script]).output();
    ended.ended(3, &["ran out of memory"]);
    // What was before the program is not told of it, and neither is another end by the same signal.
    let killed = sandbox.exec(&["sh", "-c", "kill -9 $$"]).output();
    assert_eq!(killed.code, 137, "{killed:?}");
    assert!(!killed.stderr_text().contains("memory"), "{killed:?}");

    assert_eq!(kills(&sandbox), 2);
    let inspected = sandbox.inspect();
    assert_eq!(inspected["status"]["boot_id"], boot, "amikad is the same");
    let at = &inspected["status"]["out_of_memory"]["last_at"];
    assert!(at.as_u64().unwrap() > 1_700_000_000_000, "{at}");
    let text = sandbox.verb("inspect", &[]).output().stdout_text();
    assert!(
        text.contains("Out of memory the kernel ended 2 processes in this boot, last at 2"),
        "{text}"
    );
    let log = sandbox.verb("logs", &["--amikad"]).output().stdout_text();
    assert!(
        log.contains("ran out of memory: the kernel ended a process"),
        "{log}"
    );
    let events = ["-o", "json", "events", "--since", "10m", "--until", "0"];
    let events = stage
        .amika(&[&events[..], &[&sandbox.name]].concat())
        .output();
    assert!(
        events.stdout_text().contains("\"event\":\"oom\""),
        "{events:?}"
    );
}

#[test]
fn a_cmd_that_takes_all_memory_ends_137_and_the_last_boot_tells_why() {
    let stage = Stage::new();
    let script = format!("while [ ! -e /tmp/go ]; do sleep 0.1; done; exec {GREEDY}");
    let options = ["--memory", "48m", "--", "sh", "-c", &script];
    let sandbox = stage.sandbox(DEBIAN, &options);
    sandbox.exec(&["touch", "/tmp/go"]).output();
    eventually_within(Duration::from_mins(1), "it ended", || {
        sandbox.engine_state() == "exited"
    });
    assert_eq!(sandbox.engine_says("{{.State.ExitCode}}"), "137");
    let last: Value = sandbox.inspect()["last_boot"].clone();
    assert_eq!(last["out_of_memory"]["kills"], 1, "{last}");
    assert_eq!(last["cmd"]["signal"], 9, "{last}");
    let text = sandbox.verb("inspect", &[]).output().stdout_text();
    assert!(
        text.contains("Out of memory the kernel ended a process"),
        "{text}"
    );
}

#[test]
fn what_runs_in_a_sandbox_goes_before_amikad_when_memory_is_short() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &["--", "sleep", "1000"]);
    let script = "for pid in /proc/[0-9]*; do \
                      [ \"$(cat $pid/comm)\" = sleep ] && cmd=$pid; \
                  done; cat /proc/1/oom_score_adj /proc/self/oom_score_adj $cmd/oom_score_adj";
    let told = sandbox
        .exec_with(&["--user", "root"], &["sh", "-c", script])
        .output();
    told.ended(0, &[]);
    assert_eq!(told.stdout_text(), "500\n800\n800\n");
}

/// Processes that each start two more, as many as there may be, and wait; the program tells how many there are.
const FORK_BOMB: &str = r#"
sub bomb { for (1..2) { my $child = fork(); bomb() if defined $child && !$child; } sleep 600; }
my $first = fork();
bomb() unless $first;
my ($before, $now) = (-1, 0);
for (1..200) {
    select(undef, undef, undef, 0.1);
    ($before, $now) = ($now, scalar(() = glob '/proc/[0-9]*'));
    last if $now > 100 && $now == $before;
}
print "$now\n";
"#;

#[test]
fn a_fork_bomb_and_a_glutton_stay_within_what_inspect_tells() {
    let stage = Stage::new();
    let limits = ["--memory", "64m", "--pids", "200"];
    let planned = stage.adopt(stage.name());
    let planned = planned.create(DEBIAN, &[&limits[..], &["--dry-run"]].concat());
    let told = "64 MiB memory (requested), 200 processes (requested)";
    assert!(planned.stdout_text().contains(told), "{planned:?}");
    let sandbox = stage.sandbox(DEBIAN, &limits);
    let text = sandbox.verb("inspect", &[]).output().stdout_text();
    assert!(text.contains(told), "{text}");
    let unlimited = stage.adopt(stage.name()).create(DEBIAN, &["--dry-run"]);
    let text = unlimited.stdout_text();
    let line = text.lines().find(|line| line.starts_with("Limits "));
    assert!(
        line.unwrap()
            .ends_with("iB memory (default), 4096 processes (default)"),
        "{text}"
    );

    // The kernel's own numbers, as the sandbox sees them: version 2 of control groups, or 1.
    let seen = "cat /sys/fs/cgroup/pids.max /sys/fs/cgroup/memory.max 2>/dev/null || \
                cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/memory/memory.limit_in_bytes; cat /proc/self/oom_score_adj";
    let seen = sandbox.exec(&["sh", "-c", seen]).output().stdout_text();
    assert_eq!(seen, format!("200\n{}\n800\n", 64 << 20));

    let glutton = "my $eaten = 'a' x (512 << 20); print length $eaten";
    let glutton = sandbox.exec(&["perl", "-e", glutton]).output();
    glutton.ended(137, &["its limit is 64 MiB"]);
    assert_eq!(glutton.stdout, b"");

    let bombed = sandbox.exec(&["perl", "-e", FORK_BOMB]).output();
    let count: u32 = bombed.stdout_text().trim().parse().unwrap();
    assert!((150..=200).contains(&count), "{bombed:?}");
    // What amika needs of the sandbox goes on, and the end of it is the end of them.
    assert_eq!(sandbox.inspect()["status"]["phase"], "running");
    sandbox
        .verb("stop", &["--timeout", "1s"])
        .output()
        .ended(0, &[]);
    sandbox.verb("start", &[]).output().ended(0, &[]);
    let left = sandbox
        .exec(&["sh", "-c", "ls -d /proc/[0-9]* | wc -l"])
        .output();
    assert!(
        left.stdout_text().trim().parse::<u32>().unwrap() < 20,
        "{left:?}"
    );
}

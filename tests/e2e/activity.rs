//! Whether anything goes on in a sandbox: each reason, and what is none, by the real load.
//!
//! Vite, Next, `PostgreSQL` and a forgotten browser tab are in `scripts/idle-test`, which has a network.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{DEBIAN, Sandbox, Stage, preset};

/// Some samples, on a machine with other work.
const PATIENCE: Duration = Duration::from_mins(2);
/// A sample is taken every 10 s, so that two of them are in this.
const TWO_SAMPLES: u64 = 22_000;
/// `inspect` is a process of its own each time.
const PAUSE: Duration = Duration::from_millis(500);

fn activity(sandbox: &Sandbox<'_>) -> Value {
    sandbox.inspect()["activity"].clone()
}

fn reasons(sandbox: &Sandbox<'_>) -> Vec<String> {
    let activity = activity(sandbox);
    let reasons = activity["active_because"].as_array().unwrap().iter();
    let reasons = reasons.map(|reason| reason.as_str().unwrap().to_owned());
    reasons.collect()
}

fn wait(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < PATIENCE, "it never came true: {what}");
        std::thread::sleep(PAUSE);
    }
}

fn is_active_because(sandbox: &Sandbox<'_>, reason: &str) {
    wait(reason, || {
        reasons(sandbox).iter().any(|told| told == reason)
    });
}

/// Waits until two samples in a row found nothing.
fn goes_idle(sandbox: &Sandbox<'_>) {
    let begun = Instant::now();
    loop {
        let last = activity(sandbox);
        if last["idle_ms"].as_u64().unwrap() >= TWO_SAMPLES {
            assert_eq!(last["active_because"], json!([]), "{last}");
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "it never went idle: {last}");
        std::thread::sleep(PAUSE);
    }
}

#[test]
fn a_sandbox_in_which_nothing_happens_is_idle_and_told_so() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &[]);
    let first = activity(&sandbox);
    assert!(first["idle_ms"].as_u64().unwrap() < 10_000, "{first}");
    goes_idle(&sandbox);
    let told = activity(&sandbox);
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let since = told["last_active_at"].as_u64().unwrap() + told["idle_ms"].as_u64().unwrap();
    assert!(
        u128::from(since).abs_diff(now.as_millis()) < 5_000,
        "{told}"
    );
    let text = sandbox.verb("inspect", &[]).output().stdout_text();
    assert!(text.contains("\nActivity      idle for "), "{text}");
    // Our own looks are no activity: many of them, by the engine's way and by the published port.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(12) {
        sandbox
            .docker_exec(&["/usr/local/lib/amikad/amikad", "health"])
            .ended(0, &[]);
        sandbox.verb("inspect", &[]).output().ended(0, &[]);
        stage.sandbox_verb(&["list"]).ended(0, &[]);
    }
    assert_eq!(activity(&sandbox)["active_because"], json!([]));
}

#[test]
fn a_silent_cargo_build_is_active_and_stops_being_so() {
    let stage = Stage::new();
    preset(&stage);
    // The very compiler that built this test.
    let root = Command::new("rustc")
        .args(["--print", "sysroot"])
        .output()
        .unwrap();
    let root = String::from_utf8(root.stdout).unwrap();
    let mount = format!("{}:/opt/rust:ro", root.trim());
    let sandbox = stage.adopt(stage.name());
    let mut create = vec!["create", "--name", &sandbox.name, "--mount", &mount];
    create.extend(["--no-credentials", "--env", "AMIKA_OPENCODE_WEB=0"]);
    stage.sandbox_verb(&create).ended(0, &[]);
    goes_idle(&sandbox);
    let script = "PATH=/opt/rust/bin:$PATH; cd $(mktemp -d) && cargo init -q --vcs none --name slow . && \
                  for i in $(seq 4000); do \
                      echo \"pub fn f$i(x: &[String]) -> Vec<String> { let mut v = x.to_vec(); v.sort(); v.dedup(); v }\"; \
                  done >src/lib.rs && while :; do touch src/lib.rs; cargo build -q --release --offline --lib || exit 1; done";
    let building = sandbox.exec(&["sh", "-c", script]).start();
    is_active_because(&sandbox, "cpu");
    let text = sandbox.verb("inspect", &[]).output().stdout_text();
    assert!(
        text.contains("Activity      active: ") && text.contains("use the processor"),
        "{text}"
    );
    building.signal(rustix::process::Signal::TERM);
    building.wait();
    goes_idle(&sandbox);
}

/// Sends 3 MB/s to whoever connects, until it is told to stop.
fn serve(listener: TcpListener, stop: Arc<AtomicBool>) {
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let piece = vec![7; 300_000];
            while !stop.load(Ordering::Relaxed) && stream.write_all(&piece).is_ok() {
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    });
}

#[test]
fn a_download_of_three_megabytes_a_second_is_active() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &[]);
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let stop = Arc::new(AtomicBool::new(false));
    serve(listener, stop.clone());
    goes_idle(&sandbox);
    let template = "{{range .NetworkSettings.Networks}}{{.Gateway}}{{end}}";
    let gateway = sandbox.engine_says(template);
    let script = format!("exec cat </dev/tcp/{gateway}/{port} >/dev/null");
    let loading = sandbox.exec(&["bash", "-c", &script]).start();
    is_active_because(&sandbox, "network");
    stop.store(true, Ordering::Relaxed);
    loading.wait().ended(0, &[]);
    goes_idle(&sandbox);
}

#[test]
fn a_prompt_is_an_agent_s_turn_however_quiet_it_is() {
    let stage = Stage::new();
    // Waits for its model, which says nothing for long.
    let image = stage.image(&format!(
        "FROM {DEBIAN}\nRUN printf '#!/bin/sh\\nenv >/tmp/turn; exec sleep 1000\\n' >/usr/bin/claude && \
         chmod +x /usr/bin/claude\n"
    ));
    let sandbox = stage.sandbox(&image, &["--env", "ANTHROPIC_API_KEY=none"]);
    let turn = sandbox
        .verb("prompt", &["think", "--agent", "claude"])
        .start();
    is_active_because(&sandbox, "turn");
    // The prompt itself was input; then nothing happens but the turn.
    wait("nothing but the turn", || reasons(&sandbox) == ["turn"]);
    let env = sandbox.exec(&["cat", "/tmp/turn"]).output().stdout_text();
    assert!(!env.contains("AMIKA_EXEC"), "{env}");
    turn.signal(rustix::process::Signal::TERM);
    turn.wait();
    goes_idle(&sandbox);
    // So it is when nobody waits for it.
    sandbox
        .verb("prompt", &["think", "-d"])
        .output()
        .ended(0, &[]);
    is_active_because(&sandbox, "job");
}

/// A model that begins an answer and never ends it.
const SILENT_MODEL: &str = r#"
import http from "node:http";
http.createServer((request, response) => {
  request.resume();
  request.on("end", () => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    const message = { id: "m", type: "message", role: "assistant", model: "x", content: [], stop_reason: null,
      stop_sequence: null, usage: { input_tokens: 1, output_tokens: 1 } };
    response.write(`event: message_start\ndata: ${JSON.stringify({ type: "message_start", message })}\n\n`);
  });
}).listen(8099, "127.0.0.1", () => console.log("listens"));
"#;

#[test]
fn opencode_says_itself_whether_a_turn_runs_in_any_directory() {
    let stage = Stage::new();
    preset(&stage);
    let config = json!({
        "model": "anthropic/claude-sonnet-4-5",
        "provider": {"anthropic": {"options": {"baseURL": "http://127.0.0.1:8099/v1", "apiKey": "none"}}},
    });
    let setup = stage.script(
        "setup.sh",
        &format!(
            "#!/bin/sh -e\nmkdir -p /home/amika/.config/opencode /srv/elsewhere\nchown 1000 /srv/elsewhere\n\
             cat >/home/amika/.config/opencode/opencode.json <<'END'\n{config}\nEND\n\
             cat >/srv/model.mjs <<'END'\n{SILENT_MODEL}\nEND\n"
        ),
    );
    let sandbox = stage.adopt(stage.name());
    let mut create = vec!["create", "--name", &sandbox.name, "--setup-script", &setup];
    create.extend([
        "--no-credentials",
        "--env",
        "OPENCODE_DISABLE_MODELS_FETCH=1",
    ]);
    create.extend(["--env", "OPENCODE_SERVER_PASSWORD=p"]);
    create.extend(["--", "node", "/srv/model.mjs"]);
    stage.sandbox_verb(&create).ended(0, &[]);
    wait("OpenCode is ready", || {
        sandbox.inspect()["status"]["services"]["opencode"]["state"] == "ready"
    });
    // What it does by itself at its start is over.
    goes_idle(&sandbox);
    let script = "set -e; api=http://127.0.0.1:60998; at='directory=%2Fsrv%2Felsewhere'
        post() { curl -sS -m 30 -u opencode:p -H 'content-type: application/json' -d \"$2\" \"$api$1?$at\"; }
        id=$(post /session '{}' | jq -r .id)
        post /session/$id/prompt_async '{\"parts\":[{\"type\":\"text\",\"text\":\"hi\"}]}'
        echo $id";
    let begun = sandbox.exec(&["sh", "-c", script]).output();
    begun.ended(0, &[]);
    let id = begun.stdout_text().trim().to_owned();
    assert!(id.starts_with("ses_"), "{begun:?}");
    is_active_because(&sandbox, "turn");
    // It stays so while nothing else happens.
    std::thread::sleep(Duration::from_secs(25));
    is_active_because(&sandbox, "turn");
    assert!(activity(&sandbox)["idle_ms"].as_u64().unwrap() < 10_000);
    let script = "curl -sS -m 30 -u opencode:p -X POST \
                  \"http://127.0.0.1:60998/session/$0/abort?directory=%2Fsrv%2Felsewhere\"";
    sandbox
        .exec(&["sh", "-c", script, &id])
        .output()
        .ended(0, &[]);
    goes_idle(&sandbox);
}

#[test]
fn an_idle_shell_and_a_top_left_open_are_idle_and_a_key_is_not() {
    let stage = Stage::new();
    preset(&stage);
    let sandbox = stage.adopt(stage.name());
    let mut create = vec!["create", "--name", &sandbox.name, "--no-credentials"];
    create.extend(["--env", "AMIKA_OPENCODE_WEB=0"]);
    stage.sandbox_verb(&create).ended(0, &[]);
    let mut shell = stage.on_terminal(&["sandbox", "connect", &sandbox.name]);
    shell.types("echo $((40+2))is here\r").shows("42is here");
    let mut top = stage.on_terminal(&["sandbox", "exec", "-t", &sandbox.name, "--", "top"]);
    top.shows("PID");
    goes_idle(&sandbox);
    // A new size is nobody who types.
    shell.resize(30, 90);
    std::thread::sleep(Duration::from_secs(12));
    assert_eq!(activity(&sandbox)["active_because"], json!([]));
    shell.types("\r");
    is_active_because(&sandbox, "input");
    goes_idle(&sandbox);
    top.types("q").wait();
    shell.types("exit\r").wait();
}

#[test]
fn what_is_written_to_a_program_s_standard_input_counts() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &[]);
    let (reader, mut writer) = std::io::pipe().unwrap();
    let running = sandbox.exec(&["cat"]).stdin(reader).start();
    writer.write_all(b"first\n").unwrap();
    running.says("first");
    goes_idle(&sandbox);
    writer.write_all(b"second\n").unwrap();
    running.says("second");
    is_active_because(&sandbox, "input");
    drop(writer);
    running.wait().ended(0, &[]);
}

/// Opens a tunnel to a port by the socket of root, and sends so many bytes through it each second.
const TUNNEL: &str = r#"
use Socket;
my ($port, $bytes) = @ARGV;
socket(my $s, PF_UNIX, SOCK_STREAM, 0) or die; connect($s, pack_sockaddr_un("/run/amikad/amikad.sock")) or die;
$s->autoflush(1);
print $s "POST /v1/ports/$port/tunnel HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";
my $line = <$s>; die $line unless $line =~ / 101 /;
print "open\n"; STDOUT->flush();
while (1) { print $s "x" x $bytes; sleep 1; }
"#;

#[test]
fn a_tunnel_is_active_by_what_it_carries_inwards() {
    let stage = Stage::new();
    let server = "use Socket; socket(my $s, PF_INET, SOCK_STREAM, 0); \
                  bind($s, sockaddr_in(7000, INADDR_LOOPBACK)) or die; listen($s, 9); print \"listens\\n\"; \
                  while (accept(my $c, $s)) { if (!fork) { while (sysread($c, my $b, 65536)) {} exit } }";
    let sandbox = stage.sandbox(DEBIAN, &["--", "perl", "-e", &format!("$|=1; {server}")]);
    sandbox.logs("listens");
    let open = |bytes: &str| {
        let mut args = vec!["exec", &sandbox.name, "perl", "-MIO::Handle", "-e", TUNNEL];
        args.extend(["7000", bytes]);
        let mut command = Command::new("docker");
        command.args(args).stdout(std::process::Stdio::piped());
        let mut tunnel = command.spawn().unwrap();
        let mut line = [0; 5];
        tunnel
            .stdout
            .as_mut()
            .unwrap()
            .read_exact(&mut line)
            .unwrap();
        tunnel
    };
    // Keep-alives, of some bytes each second.
    let mut quiet = open("20");
    goes_idle(&sandbox);
    let mut busy = open("500");
    is_active_because(&sandbox, "tunnel");
    for tunnel in [&mut quiet, &mut busy] {
        tunnel.kill().unwrap();
        tunnel.wait().unwrap();
    }
}

#[test]
fn nothing_is_measured_until_somebody_asks_and_a_variable_asks_at_the_start() {
    let stage = Stage::new();
    let early = stage.sandbox(DEBIAN, &["--env", "AMIKA_ACTIVITY=1"]);
    let late = stage.sandbox(DEBIAN, &[]);
    std::thread::sleep(Duration::from_secs(45));
    let idle = |sandbox: &Sandbox<'_>| activity(sandbox)["idle_ms"].as_u64().unwrap();
    assert!(idle(&late) < 10_000, "it was not known before");
    assert!(idle(&early) >= TWO_SAMPLES, "{}", activity(&early));
}

#[test]
fn a_stopped_sandbox_has_no_activity() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &[]);
    sandbox.verb("stop", &[]).output().ended(0, &[]);
    assert_eq!(activity(&sandbox), Value::Null);
}

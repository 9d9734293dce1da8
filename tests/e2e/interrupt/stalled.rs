//! An engine that answers some requests and then none any more, while it keeps its connections open.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::{DEBIAN, Stage, Terminal, engine_socket};

/// How many requests are answered before; what asks for less has ended by itself.
const ANSWERED: [usize; 4] = [0, 1, 3, 6];
/// Who sends SIGTERM sends SIGKILL after this.
const LIMIT: Duration = Duration::from_secs(10);
/// How long a command is given to ask what is not answered.
const PATIENCE: Duration = Duration::from_secs(8);

/// An engine that stalls.
struct Stalling {
    host: String,
    stalls: Arc<AtomicBool>,
}

impl Stalling {
    fn start(socket: &Path, answered: usize) -> Self {
        let listener = UnixListener::bind(socket).unwrap();
        let stalls = Arc::new(AtomicBool::new(false));
        let asked = Arc::new(AtomicUsize::new(0));
        let is_over = Arc::clone(&stalls);
        std::thread::spawn(move || {
            for mut client in listener.incoming().flatten() {
                let (asked, stalls) = (Arc::clone(&asked), Arc::clone(&is_over));
                let mut engine = UnixStream::connect(engine_socket()).unwrap();
                let (mut from, mut to) = (engine.try_clone().unwrap(), client.try_clone().unwrap());
                let is_over = Arc::clone(&stalls);
                std::thread::spawn(move || {
                    let mut buffer = vec![0; 64 * 1024];
                    while let Ok(count @ 1..) = from.read(&mut buffer) {
                        if is_over.load(Ordering::SeqCst) || to.write_all(&buffer[..count]).is_err()
                        {
                            break;
                        }
                    }
                    if is_over.load(Ordering::SeqCst) {
                        // The connection stays open.
                        std::thread::park();
                    }
                    let _ = to.shutdown(std::net::Shutdown::Both);
                });
                std::thread::spawn(move || {
                    let mut buffer = vec![0; 64 * 1024];
                    while let Ok(count @ 1..) = client.read(&mut buffer) {
                        let is_request = buffer[..count]
                            .windows(11)
                            .any(|window| window == b" HTTP/1.1\r\n");
                        if is_request && asked.fetch_add(1, Ordering::SeqCst) >= answered {
                            stalls.store(true, Ordering::SeqCst);
                        }
                        if !stalls.load(Ordering::SeqCst)
                            && engine.write_all(&buffer[..count]).is_err()
                        {
                            break;
                        }
                    }
                });
            }
        });
        Self {
            host: format!("unix://{}", socket.display()),
            stalls,
        }
    }
}

/// Every command that asks the engine something, on two sandboxes and a repository: what it reads, and what it changes.
fn commands<'a>(read: &'a str, changed: &'a str, new: &'a str, path: &'a str) -> Vec<Vec<&'a str>> {
    let lines = [
        format!("sandbox create --image {DEBIAN} --name {new} --git {path}"),
        format!("sandbox create --image {DEBIAN} --name {new} --dotfiles {path}"),
        format!("sandbox inspect {read}"),
        "sandbox list".into(),
        "ls".into(),
        "sandbox list --watch --long".into(),
        format!("sandbox url {read}"),
        format!("sandbox port {read}"),
        format!("sandbox code {read}"),
        format!("sandbox logs {read}"),
        format!("sandbox logs {read} --setup"),
        format!("sandbox exec {read} -- sleep 600"),
        format!("sandbox connect {read}"),
        format!("sandbox prompt {read} hello"),
        format!("sandbox prompt -d {read} hello"),
        format!("sandbox exec -d {read} -- sleep 600"),
        format!("sandbox jobs {read}"),
        format!("sandbox logs {read} --job 0"),
        format!("sandbox wait {read} --for job:0"),
        format!("sandbox open {read}"),
        format!("sandbox forward {read} 3000"),
        format!("forward {read} 3000"),
        format!("sandbox wait {read} --condition stopped"),
        "sandbox stats".into(),
        format!("sandbox cp {read}:/etc/passwd {path}/out"),
        format!("sandbox diff {read}"),
        format!("sandbox push {changed} --from {path}"),
        format!("sandbox pull {read} --into {path}"),
        format!("sandbox start {read}"),
        format!("sandbox restart {changed}"),
        format!("sandbox stop {changed}"),
        format!("sandbox rename {changed} {changed}"),
        format!("sandbox adopt {changed}"),
        format!("sandbox delete {changed}"),
        format!("rm {changed}"),
        "service list".into(),
        format!("service logs {read}"),
        format!("service start {changed}"),
        format!("service stop {changed}"),
        format!("service restart {changed}"),
        "image list".into(),
        "image build coder".into(),
        "image prune".into(),
        format!("credentials status {read}"),
        format!("credentials pull {read}"),
        format!("credentials refresh {read}"),
        "volume list".into(),
        "volume inspect nobody".into(),
        "volume delete nobody".into(),
        "volume prune --sandbox-name nobody".into(),
        "system df".into(),
        "events".into(),
        "doctor".into(),
    ];
    let leak = |line: String| -> &'static str { Box::leak(line.into_boxed_str()) };
    lines
        .into_iter()
        .map(|line| leak(line).split(' ').collect())
        .collect()
}

/// Asserts that no command was forgotten that asks the engine.
fn is_every_command(tried: &[Vec<&str>]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/schema/index.json");
    let index: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let tried: BTreeSet<String> = tried
        .iter()
        .flat_map(|args| [args[0].to_owned(), args[..args.len().min(2)].join(" ")])
        .collect();
    // These ask no engine; a server ends with 0 once it is told to, as its own tests show.
    let own = [
        "completion",
        "config ",
        "init",
        "generate ",
        "credentials list",
        "server",
        "auth ",
        "secret ",
    ];
    for command in index["success"].as_object().unwrap().keys() {
        let is_own = own.iter().any(|start| command.starts_with(start));
        assert!(is_own || tried.contains(command), "{command} was not tried");
    }
}

/// Tells a command to end once it waits for the engine; whether it came to that.
fn is_ended(what: &str, terminal: &mut Terminal, engine: &Stalling) -> bool {
    let begun = Instant::now();
    while !engine.stalls.load(Ordering::SeqCst) && begun.elapsed() < PATIENCE {
        if terminal.has_ended() {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    // What listens to one long answer asks for nothing more.
    engine.stalls.store(true, Ordering::SeqCst);
    if terminal.has_ended() {
        return false;
    }
    terminal.signal(Signal::TERM);
    let told = Instant::now();
    let code = terminal.wait();
    assert!(
        told.elapsed() < LIMIT,
        "{what}: {:?}, {}",
        told.elapsed(),
        terminal.text()
    );
    assert_ne!(code, 0, "{what}: {}", terminal.text());
    true
}

#[test]
fn sigterm_ends_every_command_wherever_the_engine_stops_to_answer() {
    let stage = Stage::new();
    let path = stage.repository("project", &[("file", "content\n")]);
    let (read, changed) = (stage.sandbox(DEBIAN, &[]), stage.sandbox(DEBIAN, &[]));
    let all = commands(&read.name, &changed.name, "", &path);
    is_every_command(&all);
    for answered in ANSWERED {
        let new = stage.name();
        let mut all = commands(&read.name, &changed.name, &new, &path);
        // It would remove images of others.
        all.retain(|args| answered == 0 || args[..] != ["image", "prune"]);
        std::thread::scope(|scope| {
            let running: Vec<_> = all
                .iter()
                .enumerate()
                .map(|(at, args)| {
                    let stage = &stage;
                    scope.spawn(move || {
                        let socket = stage.home().join(format!("{answered}-{at}.sock"));
                        let engine = Stalling::start(&socket, answered);
                        let what = format!("{args:?} after {answered}");
                        let variables =
                            [("DOCKER_HOST", engine.host.as_str()), ("BROWSER", "true")];
                        let mut terminal = stage.on_terminal_of(80, &variables, args);
                        is_ended(&what, &mut terminal, &engine)
                    })
                })
                .collect();
            let ended: Vec<bool> = running.into_iter().map(|one| one.join().unwrap()).collect();
            let count = ended.iter().filter(|ended| **ended).count();
            // All of them ask once, nearly all twice.
            let least = if answered < 2 {
                ended.len() * 9 / 10
            } else {
                1
            };
            assert!(
                count >= least,
                "{answered}: {count} of {}, {ended:?}",
                ended.len()
            );
        });
        stage.amika(&["doctor", "--fix"]).output().ended(0, &[]);
    }
}

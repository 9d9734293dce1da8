//! Host ports that others want too: taken before, taken in between, taken while a sandbox is stopped.

mod proxy;

use std::net::{TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::services::{Repository, free_ports};
use crate::support::{DEBIAN, Run, Sandbox, Stage, docker, eventually};
use proxy::{Proxy, Verdict};

/// The host ports of a sandbox's container ports, as they were asked for.
fn host_ports(sandbox: &str) -> Value {
    let inspected = docker(&[
        "inspect",
        "-f",
        "{{json .HostConfig.PortBindings}}",
        sandbox,
    ]);
    serde_json::from_slice(&inspected.stdout).unwrap()
}

fn host_port(sandbox: &str, port: &str) -> u16 {
    let ports = host_ports(sandbox);
    let text = ports[port][0]["HostPort"].as_str();
    text.unwrap_or_else(|| panic!("no {port}: {ports}"))
        .parse()
        .unwrap()
}

fn inspect(sandbox: &str, format: &str) -> String {
    let output = docker(&["inspect", "-f", format, sandbox]);
    assert_eq!(output.code, 0, "{output:?}");
    output.stdout_text().trim().to_owned()
}

/// Every port that a container is to be started with, bound here first.
fn steal(container: &str) -> Vec<TcpListener> {
    let ports = host_ports(container);
    ports
        .as_object()
        .unwrap()
        .values()
        .filter_map(|bindings| bindings[0]["HostPort"].as_str()?.parse::<u16>().ok())
        .filter_map(|port| TcpListener::bind(("127.0.0.1", port)).ok())
        .collect()
}

/// The container of a request that starts one.
fn started(request: &str) -> Option<&str> {
    request
        .strip_prefix("POST /containers/")?
        .strip_suffix("/start")
}

#[test]
fn a_service_whose_port_is_taken_gets_another() {
    let stage = Stage::new();
    let [tcp, everywhere, udp, free] = free_ports();
    let _thieves = (
        TcpListener::bind(("127.0.0.1", tcp)).unwrap(),
        TcpListener::bind(("0.0.0.0", everywhere)).unwrap(),
        UdpSocket::bind(("127.0.0.1", udp)).unwrap(),
    );
    let repository = Repository::new(
        &stage,
        &format!(
            "[services.a]\nports = [{tcp}, {everywhere}, \"{udp}/udp\", {free}, \"{free}/udp\"]\n"
        ),
    );
    let sandbox = stage.adopt(stage.name());
    let created = repository.create(&sandbox, &[], &[]);
    assert_eq!(created.code, 0, "{created:?}");
    for (port, moved) in [
        (format!("{tcp}/tcp"), true),
        (format!("{everywhere}/tcp"), true),
        (format!("{udp}/udp"), true),
        (format!("{free}/tcp"), false),
        (format!("{free}/udp"), false),
    ] {
        let host = host_port(&sandbox.name, &port);
        assert_eq!(
            format!("{host}/{}", &port[port.len() - 3..]) != port,
            moved,
            "{port} at {host}"
        );
    }
}

#[test]
fn a_flag_s_port_that_is_taken_is_refused_with_its_holder() {
    let stage = Stage::new();
    let [port] = free_ports();
    let thief = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let flag = format!("{port}:80");
    let sandbox = stage.adopt(stage.name());
    let refused = sandbox.create(DEBIAN, &["--port", &flag]);
    assert_eq!(refused.code, 4, "{refused:?}");
    let said = refused.stderr_text();
    let holder = format!("(pid {})", std::process::id());
    for part in [
        &format!("127.0.0.1:{port}/tcp"),
        &format!("--port {flag}"),
        &holder,
    ] {
        assert!(said.contains(part.as_str()), "{part}: {said}");
    }
    drop(thief);
    // A container as the holder is told by its name.
    let created = sandbox.create(DEBIAN, &["--port", &flag]);
    assert_eq!(created.code, 0, "{created:?}");
    let other = stage.adopt(stage.name());
    let refused = other.create(
        DEBIAN,
        &["-o", "json", "--port", &format!("0.0.0.0:{port}:81")],
    );
    assert_eq!(refused.code, 4, "{refused:?}");
    let error = &refused.json()["error"];
    assert_eq!(error["holder"]["name"], *sandbox.name, "{error}");
    assert_eq!(error["host_port"], port, "{error}");
}

#[test]
fn an_ipv6_address_of_the_host_is_published_on() {
    let stage = Stage::new();
    let [port] = free_ports();
    let sandbox = stage.adopt(stage.name());
    let created = sandbox.create(DEBIAN, &["--port", &format!("[::1]:{port}:80")]);
    assert_eq!(created.code, 0, "{created:?}");
    let bound = TcpListener::bind(("::1", port)).is_err();
    assert!(bound, "nothing listens on [::1]:{port}");
}

#[test]
fn a_port_below_1024_falls_back_for_a_user() {
    let stage = Stage::new();
    let low = (600..1000)
        .find(|port| TcpListener::bind(("0.0.0.0", *port)).is_ok() || !is_root())
        .unwrap();
    let repository = Repository::new(&stage, &format!("[services.low]\nport = {low}\n"));
    let sandbox = stage.adopt(stage.name());
    // Root without the capability is what a user is: it may speak to the engine, and bind no such port.
    let create = repository.args(&sandbox.name, &[], &[]);
    let created = if is_root() {
        let drop = "setpriv --bounding-set=-net_bind_service --inh-caps=-net_bind_service";
        let args: Vec<&str> = create.iter().map(String::as_str).collect();
        stage.shell(&format!("exec {drop} \"$0\" \"$@\""), &args)
    } else {
        stage.amika(&create)
    }
    .output();
    assert_eq!(created.code, 0, "{created:?}");
    assert!(host_port(&sandbox.name, &format!("{low}/tcp")) > 1023);
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn a_port_taken_between_probe_and_start_is_given_up() {
    let stage = Stage::new();
    let [port, flag] = free_ports();
    let repository = Repository::new(&stage, &format!("[services.api]\nport = {port}\n"));
    let stolen = Arc::new(Mutex::new(Vec::new()));
    let (loot, rounds) = (Arc::clone(&stolen), AtomicUsize::new(0));
    let proxy = Proxy::start(stage.home(), move |request| {
        if let Some(container) = started(request)
            && rounds.fetch_add(1, Ordering::Relaxed) < 3
        {
            // The flag's port stays free: only the service is raced.
            let taken = steal(container);
            let taken = taken
                .into_iter()
                .filter(|it| it.local_addr().unwrap().port() != flag);
            loot.lock().unwrap().extend(taken);
        }
        Verdict::Forward
    });
    let sandbox = stage.adopt(stage.name());
    let created = repository
        .create_run(&sandbox, &["--port", &format!("{flag}:80")], &[])
        .env("DOCKER_HOST", &proxy.address())
        .output();
    assert_eq!(created.code, 0, "{created:?}");
    let stolen: Vec<u16> = stolen
        .lock()
        .unwrap()
        .iter()
        .map(|it| it.local_addr().unwrap().port())
        .collect();
    assert_eq!(stolen.len(), 3, "{stolen:?}");
    assert_eq!(stolen[0], port, "the declared number is tried first");
    assert!(!stolen.contains(&host_port(&sandbox.name, &format!("{port}/tcp"))));
    assert_eq!(host_port(&sandbox.name, "80/tcp"), flag);
}

#[test]
fn a_flag_s_port_taken_between_probe_and_start_is_refused() {
    let stage = Stage::new();
    let [port] = free_ports();
    let stolen = Arc::new(Mutex::new(Vec::new()));
    let loot = Arc::clone(&stolen);
    let proxy = Proxy::start(stage.home(), move |request| {
        if let Some(container) = started(request) {
            loot.lock().unwrap().extend(steal(container));
        }
        Verdict::Forward
    });
    let sandbox = stage.adopt(stage.name());
    let refused = sandbox
        .create_run(DEBIAN, &["--port", &format!("{port}:80")])
        .env("DOCKER_HOST", &proxy.address())
        .output();
    assert_eq!(refused.code, 4, "{refused:?}");
    let said = refused.stderr_text();
    assert!(said.contains(&format!("--port {port}:80")), "{said}");
    assert!(
        said.contains(&format!("(pid {})", std::process::id())),
        "{said}"
    );
    assert_eq!(docker(&["inspect", &sandbox.name]).code, 1);
}

#[test]
fn whoever_takes_every_port_is_not_run_after_for_ever() {
    let stage = Stage::new();
    let [port] = free_ports();
    let repository = Repository::new(&stage, &format!("[services.api]\nport = {port}\n"));
    let stolen = Arc::new(Mutex::new(Vec::new()));
    let loot = Arc::clone(&stolen);
    let proxy = Proxy::start(stage.home(), move |request| {
        if let Some(container) = started(request) {
            loot.lock().unwrap().extend(steal(container));
        }
        Verdict::Forward
    });
    let sandbox = stage.adopt(stage.name());
    let refused = repository
        .create_run(&sandbox, &[], &[])
        .env("DOCKER_HOST", &proxy.address())
        .output();
    assert_eq!(refused.code, 4, "{refused:?}");
    assert_eq!(stolen.lock().unwrap().len(), 20);
    assert_eq!(docker(&["inspect", &sandbox.name]).code, 1);
}

/// A stopped sandbox with one service, its port, and something in its own layer, home and clone.
fn stopped<'a>(stage: &'a Stage, args: &[&str]) -> (Sandbox<'a>, u16) {
    let [port] = free_ports();
    let repository = Repository::new(
        stage,
        &format!("[services.api]\nport = {port}\nurl_scheme = \"http\"\n"),
    );
    let sandbox = stage.adopt(stage.name());
    let created = repository.create(&sandbox, args, &[]);
    assert_eq!(created.code, 0, "{created:?}");
    let written = sandbox.docker_exec(&[
        "sh",
        "-c",
        "for dir in /opt /home/amika /home/amika/workspace/app; do echo work >$dir/kept; done",
    ]);
    assert_eq!(written.code, 0, "{written:?}");
    let output = sandbox.verb("stop", &[]).output();
    assert_eq!(output.code, 0, "{output:?}");
    (sandbox, port)
}

fn keeps_its_files(sandbox: &Sandbox<'_>) {
    let kept = sandbox.docker_exec(&[
        "cat",
        "/opt/kept",
        "/home/amika/kept",
        "/home/amika/workspace/app/kept",
    ]);
    assert_eq!(kept.stdout_text(), "work\nwork\nwork\n", "{kept:?}");
}

#[test]
fn a_port_taken_while_stopped_is_named_and_nothing_is_changed() {
    let stage = Stage::new();
    let (sandbox, port) = stopped(&stage, &[]);
    let before = inspect(&sandbox.name, "{{.Id}} {{json .State}}");
    let thief = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let refused = sandbox.verb("start", &[]).output();
    assert_eq!(refused.code, 4, "{refused:?}");
    let said = refused.stderr_text();
    for part in [
        format!("127.0.0.1:{port}/tcp"),
        "service \"api\"".to_owned(),
        format!("(pid {})", std::process::id()),
        format!("amika sandbox start --reassign-ports {}", sandbox.name),
    ] {
        assert!(said.contains(&part), "{part}: {said}");
    }
    assert_eq!(inspect(&sandbox.name, "{{.Id}} {{json .State}}"), before);
    drop(thief);
    let started = sandbox.verb("start", &[]).output();
    assert_eq!(started.code, 0, "{started:?}");
    assert_eq!(host_port(&sandbox.name, &format!("{port}/tcp")), port);
}

#[test]
fn another_sandbox_that_took_a_port_is_named() {
    let stage = Stage::new();
    let (sandbox, port) = stopped(&stage, &[]);
    let other = stage.sandbox(DEBIAN, &["--port", &format!("{port}:80")]);
    let refused = sandbox.verb("start", &["-o", "json"]).output();
    assert_eq!(refused.code, 4, "{refused:?}");
    let error = &refused.json()["error"];
    assert_eq!(error["holder"]["kind"], "container", "{error}");
    assert_eq!(error["holder"]["name"], *other.name, "{error}");
    assert_eq!(sandbox.engine_state(), "exited");
}

#[test]
fn new_ports_cost_no_file_and_keep_no_secret() {
    let stage = Stage::new();
    let (sandbox, port) = stopped(
        &stage,
        &[
            "--env",
            "API_KEY=CANARY",
            "--port",
            "4711",
            "--memory",
            "256m",
        ],
    );
    let name = &sandbox.name;
    let identity = "{{index .Config.Labels \"dev.amika.id\"}} {{.HostConfig.Memory}} {{json .Config.Env}} {{json .HostConfig.Mounts}}";
    let before = inspect(name, identity);
    let any = host_port(name, "4711/tcp");
    let first = inspect(name, "{{.Id}}");
    let _thief = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let started = sandbox
        .verb("start", &["--reassign-ports", "-o", "json"])
        .output();
    assert_eq!(started.code, 0, "{started:?}");
    let moved = &started.json()[0]["moved_ports"];
    let now = host_port(name, &format!("{port}/tcp"));
    assert_ne!(now, port);
    assert_eq!(moved[0]["to"]["host_port"], now, "{moved}");
    assert_eq!(moved[0]["to"]["url"], format!("http://localhost:{now}"));
    assert_eq!(
        moved.as_array().unwrap().len(),
        1,
        "only what was taken moves: {moved}"
    );
    assert_eq!(host_port(name, "4711/tcp"), any);
    assert_eq!(inspect(name, identity), before);
    keeps_its_files(&sandbox);
    assert_eq!(
        docker(&["inspect", &first]).code,
        1,
        "the old container is gone"
    );

    let image = inspect(name, "{{.Config.Image}}");
    let config = docker(&["image", "inspect", &image]).stdout_text();
    assert!(!config.contains("CANARY"), "{config}");
    let printed = sandbox.exec(&["printenv", "API_KEY"]).output();
    assert_eq!(printed.stdout_text().trim(), "CANARY");
    let images = stage.amika(&["image", "list"]).output().stdout_text();
    assert!(!images.contains(&image), "{images}");

    // Numbers stay from here on; and the same can be done again.
    sandbox.verb("stop", &[]).output();
    let again = sandbox.verb("start", &[]).output();
    assert_eq!(again.code, 0, "{again:?}");
    assert_eq!(host_port(name, &format!("{port}/tcp")), now);
    sandbox.verb("stop", &[]).output();
    let _other_thief = TcpListener::bind(("127.0.0.1", now)).unwrap();
    let again = sandbox.verb("start", &["--reassign-ports"]).output();
    assert_eq!(again.code, 0, "{again:?}");
    keeps_its_files(&sandbox);
    assert_eq!(
        docker(&["image", "inspect", &image]).code,
        1,
        "one image is enough"
    );
    let image = inspect(name, "{{.Config.Image}}");
    let deleted = sandbox.verb("delete", &["--force", "--volumes"]).output();
    assert_eq!(deleted.code, 0, "{deleted:?}");
    assert_eq!(
        docker(&["image", "inspect", &image]).code,
        1,
        "it goes with the sandbox"
    );
}

#[test]
fn a_volume_without_a_name_comes_along() {
    let stage = Stage::new();
    let [port] = free_ports();
    let image = stage.image(&format!("FROM {DEBIAN}\nVOLUME /data\n"));
    let sandbox = stage.adopt(stage.name());
    let created = sandbox.create(&image, &["--port", &format!("{port}:80")]);
    assert_eq!(created.code, 0, "{created:?}");
    sandbox.docker_exec(&["sh", "-c", "echo work >/data/kept"]);
    sandbox.verb("stop", &[]).output();
    let volume = "{{range .Mounts}}{{if eq .Destination \"/data\"}}{{.Name}}{{end}}{{end}}";
    let before = inspect(&sandbox.name, volume);
    let _thief = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let started = sandbox.verb("start", &["--reassign-ports"]).output();
    assert_eq!(started.code, 0, "{started:?}");
    assert_eq!(inspect(&sandbox.name, volume), before);
    let kept = sandbox.docker_exec(&["cat", "/data/kept"]);
    assert_eq!(kept.stdout_text(), "work\n");
    let deleted = sandbox.verb("delete", &["--force"]).output();
    assert_eq!(deleted.code, 0, "{deleted:?}");
    assert_eq!(
        docker(&["volume", "inspect", &before]).code,
        1,
        "it goes with the sandbox"
    );
}

/// Starts with new ports, and is killed when it is about to change the engine for the `at`th time.
/// Whether it got that far is returned.
fn killed_at(stage: &Stage, sandbox: &Sandbox<'_>, at: usize) -> bool {
    let (pid, seen) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicUsize::new(0)));
    let (victim, count) = (Arc::clone(&pid), Arc::clone(&seen));
    let proxy = Proxy::start(stage.home(), move |request| {
        let changes = !request.starts_with("GET") && !request.starts_with("HEAD");
        if !changes || count.fetch_add(1, Ordering::SeqCst) != at {
            return Verdict::Forward;
        }
        eventually("the victim is known", || victim.load(Ordering::SeqCst) != 0);
        let pid = i32::try_from(victim.load(Ordering::SeqCst)).unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        Verdict::Drop
    });
    let start: Run = sandbox
        .verb("start", &["--reassign-ports"])
        .env("DOCKER_HOST", &proxy.address());
    let running = start.start();
    let id = running.proc_status("Pid").unwrap();
    pid.store(u32::try_from(id).unwrap(), Ordering::SeqCst);
    let output = running.wait();
    let killed = output.code == 128 + 9;
    assert!(killed || output.code == 0, "{output:?}");
    killed
}

/// A container that is on its way, or was replaced, is told of as what it is: with the id of a
/// sandbox, `doctor --fix` must not take it for an unfinished one whose volumes go too.
fn doctor_finds_what_is_left(stage: &Stage, id: &str) {
    let filter = format!("label=dev.amika.id={id}");
    let names = docker(&["ps", "-a", "--filter", &filter, "--format", "{{.Names}}"]);
    let report = stage.amika(&["doctor", "-o", "json"]).output().json();
    let leftovers = report["leftovers"].as_array();
    let leftovers = leftovers.or_else(|| report["error"]["report"]["leftovers"].as_array());
    for name in names.stdout_text().lines().filter(|it| it.contains('.')) {
        let found = leftovers.unwrap().iter().find(|it| it["name"] == name);
        let reason = found.map(|it| it["reason"].as_str().unwrap());
        assert!(
            reason.is_some_and(|reason| reason.contains("--reassign-ports")),
            "{name}: {report}"
        );
    }
}

#[test]
fn a_reassignment_killed_at_any_moment_is_mended_by_the_next_start() {
    let stage = Stage::new();
    let (sandbox, port) = stopped(&stage, &[]);
    let name = &sandbox.name;
    let container_port = format!("{port}/tcp");
    let id = inspect(name, "{{index .Config.Labels \"dev.amika.id\"}}");
    let mut moments = 0;
    loop {
        let thief = TcpListener::bind(("127.0.0.1", host_port(name, &container_port))).unwrap();
        let killed = killed_at(&stage, &sandbox, moments);
        // Nobody takes what is left for a sandbox of its own, and its volumes are safe.
        let listed = stage
            .amika(&["sandbox", "list", "-o", "json"])
            .output()
            .json();
        let of_this = listed.as_array().unwrap().iter();
        let of_this: Vec<&Value> = of_this.filter(|it| it["id"] == *id).collect();
        assert!(!of_this.is_empty(), "moment {moments}: {listed}");
        doctor_finds_what_is_left(&stage, &id);
        let started = sandbox.verb("start", &["--reassign-ports"]).output();
        // Where all was done before the kill it runs, and there is nothing to reassign.
        let runs_already = started.code == 4 && started.stderr_text().contains("runs already");
        assert!(
            started.code == 0 || runs_already,
            "moment {moments}: {started:?}"
        );
        keeps_its_files(&sandbox);
        let filter = format!("label=dev.amika.id={id}");
        let containers = docker(&["ps", "-a", "--filter", &filter, "--format", "{{.Names}}"]);
        assert_eq!(containers.stdout_text().trim(), *name, "moment {moments}");
        drop(thief);
        if !killed {
            break;
        }
        moments += 1;
        let stopped = sandbox.verb("stop", &[]).output();
        assert_eq!(stopped.code, 0, "{stopped:?}");
    }
    let filter = format!("label=dev.amika.id={id}");
    let images = docker(&["image", "ls", "-q", "--filter", &filter]).stdout_text();
    assert_eq!(images.lines().count(), 1, "{images}");
    // Commit, create, start, two renames and the removal of container and image.
    assert!(moments >= 6, "{moments}");
}

#[test]
fn a_sandbox_that_is_deleted_while_its_ports_are_reassigned_is_gone_whole() {
    // Before the second container is there, before it starts, and while it takes over.
    for moment in ["/containers/create", "/start", "/rename"] {
        let stage = Stage::new();
        let (sandbox, port) = stopped(&stage, &[]);
        let thief = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let proxy = stage.engine_proxy();
        proxy.hold(moment);
        let start = sandbox
            .verb("start", &["--reassign-ports"])
            .env("DOCKER_HOST", &proxy.host())
            .start();
        proxy.holds();
        let args = ["--force", "--volumes"];
        let deleted = sandbox.verb("delete", &args).output();
        proxy.let_go();
        let started = start.wait();
        deleted.ended(0, &[]);
        assert_ne!(started.code, 0, "{moment}: {started:?}");
        let left = stage.left();
        let nothing = [const { Vec::<String>::new() }; 3];
        assert_eq!(left, nothing, "{moment}: {started:?}");
        drop(thief);
    }
}

#[test]
fn a_reassignment_that_is_interrupted_leaves_the_sandbox_and_nothing_else() {
    let stage = Stage::new();
    let (sandbox, port) = stopped(&stage, &[]);
    let before = (inspect(&sandbox.name, "{{.Id}}"), stage.left());
    let thief = TcpListener::bind(("127.0.0.1", port)).unwrap();
    // The engine goes on with what it was asked for, although nobody waits for its answer.
    let proxy = stage.engine_proxy();
    for moment in ["/commit", "/containers/create"] {
        proxy.hold(moment);
        let start = sandbox
            .verb("start", &["--reassign-ports"])
            .env("DOCKER_HOST", &proxy.host())
            .start();
        proxy.holds();
        start.signal(rustix::process::Signal::INT);
        std::thread::sleep(std::time::Duration::from_millis(200));
        proxy.let_go();
        start.wait().ended(130, &["is as it was"]);
        let after = (inspect(&sandbox.name, "{{.Id}}"), stage.left());
        assert_eq!(after, before, "{moment}");
    }
    drop(thief);
}

#[test]
fn a_start_that_fails_leaves_no_order_for_the_next_one() {
    let stage = Stage::new();
    let [port] = free_ports();
    let script = stage.script("setup.sh", "#!/bin/sh\necho once >>/home/amika/runs\n");
    let publish = format!("{port}:80");
    let sandbox = stage.sandbox(DEBIAN, &["--setup-script", &script, "--port", &publish]);
    sandbox.verb("stop", &[]).output().ended(0, &[]);
    // Taken after it was looked at: the order to skip setup is there already.
    let stolen = Arc::new(Mutex::new(Vec::new()));
    let loot = Arc::clone(&stolen);
    let proxy = Proxy::start(stage.home(), move |request| {
        if let Some(container) = started(request) {
            loot.lock().unwrap().extend(steal(container));
        }
        Verdict::Forward
    });
    let refused = sandbox.verb("start", &["--skip-setup"]);
    let refused = refused.env("DOCKER_HOST", &proxy.address()).output();
    refused.ended(4, &[]);
    stolen.lock().unwrap().clear();
    sandbox.verb("start", &[]).output().ended(0, &[]);
    let runs = sandbox.docker_exec(&["cat", "/home/amika/runs"]);
    assert_eq!(runs.stdout_text(), "once\nonce\n");
}

#[test]
fn a_create_that_failed_leaves_no_lock_file() {
    let stage = Stage::new();
    let [port] = free_ports();
    let runtime = stage.home().join("runtime");
    std::fs::create_dir(&runtime).unwrap();
    let stolen = Arc::new(Mutex::new(Vec::new()));
    let loot = Arc::clone(&stolen);
    let proxy = Proxy::start(stage.home(), move |request| {
        if let Some(container) = started(request) {
            loot.lock().unwrap().extend(steal(container));
        }
        Verdict::Forward
    });
    let publish = format!("{port}:80");
    let args = ["sandbox", "create", "--image", DEBIAN, "--port", &publish];
    let refused = stage.amika(&args).env("DOCKER_HOST", &proxy.address());
    let refused = refused.env("XDG_RUNTIME_DIR", runtime.to_str().unwrap());
    refused.output().ended(4, &[]);
    // It had made the container, under a name of its own making.
    assert!(!stolen.lock().unwrap().is_empty());
    stage.nothing_was_made();
    let locks = std::fs::read_dir(runtime.join("amika/locks")).unwrap();
    let left: Vec<_> = locks.map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.is_empty(), "{left:?}");
}

//! Networks that are removed under a stopped sandbox: it starts again once they are there, and until then
//! is told which one is missing.

use crate::support::{PrivateEngine, SCRATCH, Stage, docker};

/// A network that goes with the test.
struct Network(String);

impl Network {
    fn new(stage: &Stage) -> Self {
        let network = Self(format!("net-{}", stage.name()));
        network.make();
        network
    }

    fn make(&self) {
        let made = docker(&["network", "create", &self.0]);
        assert_eq!(made.code, 0, "{made:?}");
    }

    fn remove(&self) {
        let removed = docker(&["network", "rm", &self.0]);
        assert_eq!(removed.code, 0, "{removed:?}");
    }
}

/// The network that a sandbox is on. The mode alone would not do: to Podman most are `bridge`.
fn network_of(sandbox: &crate::support::Sandbox<'_>) -> String {
    let joined =
        sandbox.engine_says("{{range $name, $_ := .NetworkSettings.Networks}}{{$name}}{{end}}");
    if joined.is_empty() {
        sandbox.engine_says("{{.HostConfig.NetworkMode}}")
    } else {
        joined
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        docker(&["network", "rm", &self.0]);
    }
}

#[test]
fn a_sandbox_starts_on_a_network_that_was_made_again() {
    let stage = Stage::new();
    let network = Network::new(&stage);
    let sandbox = stage.sandbox(SCRATCH, &["--network", &network.0, "--port", "8080"]);
    let stopped = sandbox.verb("stop", &[]).output();
    assert_eq!(stopped.code, 0, "{stopped:?}");
    network.remove();

    for options in [&[][..], &["--reassign-ports"]] {
        let refused = sandbox.verb("start", options).output();
        assert_eq!(refused.code, 4, "{refused:?}");
        let told = refused.stderr_text();
        assert!(
            told.contains(&format!("network \"{}\"", network.0)),
            "{told}"
        );
        let command = format!("docker network create {}", network.0);
        assert!(told.contains(&command), "{told}");
    }
    let told = stage.amika(&["-o", "json", "doctor"]).output().json();
    let checks = told["checks"]
        .as_array()
        .or(told["error"]["report"]["checks"].as_array());
    let warned = checks.unwrap().iter().any(|check| {
        check["name"] == "networks"
            && check["result"] == "warning"
            && check["message"].to_string().contains(&sandbox.name)
            && check["hint"].to_string().contains(&network.0)
    });
    assert!(warned, "{told}");

    network.make();
    let started = sandbox.verb("start", &[]).output();
    assert_eq!(started.code, 0, "{started:?}");
    let joined = "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}";
    assert_eq!(sandbox.engine_says(joined).trim(), network.0);
    let port = "{{(index .NetworkSettings.Ports \"8080/tcp\" 0).HostPort}}";
    assert_ne!(sandbox.engine_says(port).trim(), "");
    let deleted = sandbox.verb("delete", &["--force"]).output();
    assert_eq!(deleted.code, 0, "{deleted:?}");
}

#[test]
fn the_network_of_all_sandboxes_is_made_again_at_start() {
    let stage = Stage::new();
    let engine = PrivateEngine::start(&stage, &[SCRATCH]);
    let name = stage.name();
    let run = |args: &[&str]| {
        stage
            .amika(args)
            .env("DOCKER_HOST", &engine.host())
            .output()
    };
    let done = |args: &[&str]| {
        let output = run(args);
        assert_eq!(output.code, 0, "{args:?}: {output:?}");
    };
    // Ports of an engine in a network namespace of its own are not this one's: nothing is ready from here.
    done(&[
        "sandbox",
        "create",
        "--no-wait",
        "--image",
        SCRATCH,
        "--name",
        &name,
    ]);
    let network = |template: &str| {
        let told = engine.docker(&["network", "inspect", "--format", template, "amika"]);
        assert_eq!(told.code, 0, "{told:?}");
        told.stdout_text()
    };
    let settings = "{{.Driver}} {{json .Options}} {{json .Labels}}";
    let before = network(settings);
    for verb in ["start", "restart"] {
        done(&["sandbox", "stop", &name]);
        let pruned = engine.docker(&["network", "prune", "--force"]);
        assert!(pruned.stdout_text().contains("amika"), "{pruned:?}");
        done(&["sandbox", verb, "--no-wait", &name]);
        let inspected = engine.docker(&["inspect", "--format", "{{.State.Status}}", &name]);
        assert_eq!(inspected.stdout_text().trim(), "running", "{inspected:?}");
        assert_eq!(network(settings), before);
    }
    done(&["sandbox", "delete", "--force", &name]);
}

/// What `docker network inspect` says of a network.
fn network_says(network: &str, template: &str) -> String {
    let said = docker(&["network", "inspect", "--format", template, network]);
    assert_eq!(said.code, 0, "{said:?}");
    said.stdout_text().trim().to_owned()
}

const ADDRESSES: &str = "{{(index .IPAM.Config 0).Subnet}}";

#[test]
fn networks_of_one_sandbox_are_made_side_by_side_and_go_with_it() {
    let stage = Stage::new();
    let sandboxes: Vec<_> = (0..3).map(|_| stage.adopt(stage.name())).collect();
    let creating: Vec<_> = sandboxes
        .iter()
        .map(|sandbox| {
            let rights = ["--cap-add", "net_admin"];
            sandbox.create_run(SCRATCH, &rights).start()
        })
        .collect();
    for creating in creating {
        creating.wait().ended(0, &[]);
    }
    let mut addresses = std::collections::BTreeSet::new();
    for sandbox in &sandboxes {
        let network = network_of(sandbox);
        assert_eq!(network, format!("amika-{}", sandbox.name));
        let subnet = network_says(&network, ADDRESSES);
        assert!(subnet.ends_with("/29"), "{subnet}");
        assert!(
            subnet.starts_with("172.16.") || subnet.starts_with("10.213."),
            "{subnet}"
        );
        addresses.insert(subnet);
        let id = sandbox.inspect()["id"].as_str().unwrap().to_owned();
        let label = "{{index .Labels \"dev.amika.id\"}}";
        assert_eq!(network_says(&network, label), id);
    }
    assert_eq!(addresses.len(), 3, "{addresses:?}");
    let names: Vec<&str> = sandboxes.iter().map(|it| it.name.as_str()).collect();
    let mut delete = vec!["delete", "--force"];
    delete.extend(&names);
    stage.sandbox_verb(&delete).ended(0, &[]);
    assert_eq!(stage.networks(), Vec::<String>::new());
}

#[test]
fn a_network_of_its_own_is_on_no_addresses_of_another_network() {
    let stage = Stage::new();
    // An engine of its own: on the other, sandboxes of other tests have addresses there.
    let engine = PrivateEngine::start(&stage, &[SCRATCH]);
    for (name, subnet) in [("low", "172.16.192.0/19"), ("high", "172.16.224.0/19")] {
        let made = engine.docker(&["network", "create", "--internal", "--subnet", subnet, name]);
        made.ended(0, &[]);
    }
    let name = stage.name();
    let run = |args: &[&str]| {
        let run = stage.amika(args).env("DOCKER_HOST", &engine.host());
        run.output().ended(0, &[]);
    };
    let create = ["sandbox", "create", "--no-wait", "--image", SCRATCH];
    run(&[&create[..], &["--cap-add", "NET_RAW", "--name", &name]].concat());
    let network = format!("amika-{name}");
    let told = engine.docker(&["network", "inspect", "--format", ADDRESSES, &network]);
    let subnet = told.stdout_text();
    assert!(subnet.starts_with("10.213."), "{told:?}");
    run(&["sandbox", "delete", "--force", &name]);
    let left = engine.docker(&["network", "ls", "--format", "{{.Name}}"]);
    assert!(!left.stdout_text().contains(&network), "{left:?}");
}

#[test]
fn a_network_of_its_own_stays_with_a_sandbox_that_is_renamed_moved_and_started() {
    let stage = Stage::new();
    let rights = ["--cap-add", "NET_RAW", "--cap-add", "SYS_PTRACE"];
    let args = [&rights[..], &["--port", "8080"]].concat();
    let mut sandbox = stage.sandbox(SCRATCH, &args);
    let first = sandbox.name.clone();
    let new = stage.name();
    sandbox.verb("rename", &[&new]).output().ended(0, &[]);
    sandbox.name.clone_from(&new);
    let capabilities = |sandbox: &crate::support::Sandbox<'_>| {
        let view = sandbox.inspect();
        (view["capabilities"].clone(), view["network"].clone())
    };
    let (own, network) = capabilities(&sandbox);
    assert_eq!(
        own["added"],
        serde_json::json!(["NET_RAW", "SYS_PTRACE"]),
        "{own}"
    );
    // Podman gives nobody that one, and tells of no difference.
    let dropped = &own["dropped"];
    assert!(
        *dropped == serde_json::json!(["MKNOD"]) || *dropped == serde_json::json!([]),
        "{own}"
    );
    assert_eq!(network, format!("amika-{first}"));

    // The name is free again, and so is that of a network, but for the one that is there.
    let second = stage.adopt(first.clone());
    second.create(SCRATCH, &rights).ended(0, &[]);
    let (_, other) = capabilities(&second);
    let other = other.as_str().unwrap().to_owned();
    assert!(other.starts_with(&format!("amika-{first}.")), "{other}");
    second.verb("delete", &["--force"]).output().ended(0, &[]);
    assert_eq!(stage.networks(), [format!("amika-{first}")]);

    // Made anew on another port, it has what it had.
    sandbox.verb("stop", &[]).output().ended(0, &[]);
    let port = "{{(index .HostConfig.PortBindings \"8080/tcp\" 0).HostPort}}";
    let port: u16 = sandbox.engine_says(port).parse().unwrap();
    let holder = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let moved = sandbox.verb("start", &["--reassign-ports"]).output();
    moved.ended(0, &[]);
    drop(holder);
    assert_eq!(capabilities(&sandbox), (own.clone(), network.clone()));

    // Its network went while it was stopped: nothing is missing to a start.
    sandbox.verb("stop", &[]).output().ended(0, &[]);
    docker(&["network", "rm", &format!("amika-{first}")]).ended(0, &[]);
    let doctor = stage.amika(&["doctor", "-o", "json"]).output().json();
    assert!(
        !doctor
            .to_string()
            .contains(&format!("network create amika-{first}"))
    );
    sandbox.verb("start", &[]).output().ended(0, &[]);
    assert_eq!(capabilities(&sandbox), (own, network));
    assert_eq!(stage.networks(), [format!("amika-{first}")]);

    // Whoever removes the container himself leaves the network to doctor.
    docker(&["rm", "-f", &sandbox.name]).ended(0, &[]);
    let fixed = stage.amika(&["doctor", "--fix", "-o", "json"]).output();
    fixed.ended(0, &[]);
    let removed = fixed.json()["removed"].to_string();
    assert!(removed.contains(&format!("\"amika-{first}\"")), "{removed}");
    assert_eq!(stage.networks(), Vec::<String>::new());
}

#[test]
fn a_create_that_ends_early_leaves_no_network() {
    let stage = Stage::new();
    let rights = ["--cap-add", "NET_RAW"];
    // The engine refuses a file in the place of a directory, once the network is there.
    let file = stage.file("file", "text");
    let mount = format!("{file}:/usr/local/lib:ro");
    let sandbox = stage.adopt(stage.name());
    let failed = sandbox.create(
        crate::support::DEBIAN,
        &[&rights[..], &["--mount", &mount]].concat(),
    );
    assert_ne!(failed.code, 0, "{failed:?}");
    stage.nothing_was_made();

    // Killed before there is a container, and before it was started.
    for moment in ["/containers/create", "/start"] {
        for by_doctor in [true, false] {
            // What it asked for last is never carried out.
            let stage = Stage::new();
            let sandbox = stage.adopt(stage.name());
            let proxy = stage.engine_proxy();
            proxy.hold(moment);
            let creating = sandbox
                .create_run(SCRATCH, &rights)
                .env("DOCKER_HOST", &proxy.host())
                .start();
            proxy.holds();
            creating.signal(rustix::process::Signal::KILL);
            assert_eq!(creating.wait().code, 137);
            let network = format!("amika-{}", sandbox.name);
            assert_eq!(stage.networks(), [network.as_str()], "{moment}");
            if by_doctor {
                let fixed = stage.amika(&["doctor", "--fix", "-o", "json"]).output();
                fixed.ended(0, &[]);
                stage.nothing_was_made();
            } else {
                // The next create of that name clears up first, and has the name of the network as well.
                sandbox.create(SCRATCH, &rights).ended(0, &[]);
                assert_eq!(sandbox.inspect()["network"], network);
                assert_eq!(stage.networks(), [network]);
                sandbox.verb("delete", &["--force"]).output().ended(0, &[]);
            }
        }
    }
}

#[test]
fn a_sandbox_without_a_way_out_is_reached_from_inside() {
    let stage = Stage::new();
    // A service of the host that listens everywhere.
    let host = std::net::TcpListener::bind(("0.0.0.0", 0)).unwrap();
    let port = host.local_addr().unwrap().port();
    let neighbour = stage.sandbox(crate::support::DEBIAN, &["--network", "internal"]);
    let ways: [&[&str]; 3] = [
        &["--network", "none"],
        &["--network", "internal"],
        &["--network", "internal", "--cap-add", "NET_RAW"],
    ];
    for way in ways {
        let sandbox = stage.adopt(stage.name());
        let args = [way, &["--port", "8080"]].concat();
        let created = sandbox.create(crate::support::DEBIAN, &args);
        created.ended(0, &["no port is published", "from inside"]);
        assert_eq!(
            created
                .stderr_text()
                .matches("no port is published")
                .count(),
            1
        );
        let inspected = sandbox.inspect();
        assert_eq!(inspected["status"]["phase"], "running", "{inspected}");
        assert_eq!(inspected["ports"], serde_json::json!([]));
        let echo = sandbox.exec(&["echo", "inside"]).output();
        assert_eq!(echo.stdout_text(), "inside\n");
        sandbox.verb("logs", &["--amikad"]).output().ended(0, &[]);
        for verb in ["stop", "start"] {
            sandbox.verb(verb, &[]).output().ended(0, &[]);
        }

        // Neither the host, by any address that it has, nor another sandbox, nor the world.
        let on_network = neighbour
            .engine_says("{{(index .NetworkSettings.Networks \"amika-internal\").IPAddress}}");
        let addresses = stage.shell("hostname -I", &[]).output().stdout_text();
        let mut targets: Vec<(String, u16)> = addresses
            .split_ascii_whitespace()
            .filter(|address| address.contains('.'))
            .map(|address| (address.to_owned(), port))
            .collect();
        assert_ne!(targets, []);
        targets.push((
            network_says("bridge", "{{(index .IPAM.Config 0).Gateway}}"),
            port,
        ));
        let own = network_of(&sandbox);
        if own != "none" {
            let subnet = network_says(&own, ADDRESSES);
            let (base, _) = subnet.split_once('/').unwrap();
            let base: std::net::Ipv4Addr = base.parse().unwrap();
            let gateway = std::net::Ipv4Addr::from_bits(base.to_bits() + 1);
            targets.push((gateway.to_string(), port));
        }
        targets.push((on_network, 60999));
        targets.push(("169.254.169.254".to_owned(), 80));
        // All at once: each waits in vain.
        let script = "for target; do (timeout 3 bash -c \"echo >/dev/tcp/$target\" 2>/dev/null && echo \"reached $target\") & done; wait; echo done";
        let places: Vec<String> = targets
            .iter()
            .map(|(it, port)| format!("{it}/{port}"))
            .collect();
        let mut program = vec!["bash", "-c", script, "bash"];
        program.extend(places.iter().map(String::as_str));
        let reached = sandbox.exec(&program).output();
        assert_eq!(reached.stdout_text(), "done\n", "{way:?}: {reached:?}");
        if own != "none" {
            // The engine asks no name server on its behalf.
            assert_eq!(
                sandbox.engine_says("{{json .HostConfig.Dns}}"),
                "[\"127.0.0.1\"]"
            );
        }
        sandbox.verb("delete", &["--force"]).output().ended(0, &[]);
    }
    // The shared one outlives its sandboxes, as the other does.
    let settings = "{{.Internal}} {{index .Options \"com.docker.network.bridge.enable_icc\"}}";
    assert_eq!(network_says("amika-internal", settings), "true false");
}

#[test]
fn a_network_that_is_named_is_the_one_and_is_warned_of() {
    let stage = Stage::new();
    let network = Network::new(&stage);
    let sandbox = stage.adopt(stage.name());
    let args = ["--network", network.0.as_str(), "--cap-add", "ALL"];
    let warning = format!(
        "answer for every other container on network \"{}\"",
        network.0
    );
    sandbox.create(SCRATCH, &args).ended(0, &[&warning]);
    assert_eq!(network_of(&sandbox), network.0);
    assert_eq!(stage.networks(), Vec::<String>::new());
    sandbox.verb("delete", &["--force"]).output().ended(0, &[]);
}

#[test]
fn a_shared_network_is_the_same_by_its_id_and_anothers_is_none() {
    let stage = Stage::new();
    let first = stage.sandbox(SCRATCH, &["--cap-add", "NET_RAW"]);
    let own = network_of(&first);
    let shared = stage.sandbox(SCRATCH, &[]);
    let id = network_says(&network_of(&shared), "{{.Id}}");
    // Whose programs could speak for others has a network of its own, however the shared one is named.
    for given in ["amika", &id, &id[..12]] {
        let apart = stage.sandbox(SCRATCH, &["--network", given, "--cap-add", "NET_RAW"]);
        assert_eq!(
            network_of(&apart),
            format!("amika-{}", apart.name),
            "{given}"
        );
        let plain = stage.sandbox(SCRATCH, &["--network", given]);
        assert_eq!(network_of(&plain), "amika", "{given}");
    }
    let container = format!("container:{}", shared.name);
    for (given, said) in [
        (own.as_str(), "is a sandbox's own"),
        ("host", "no sandbox is on the network of another"),
        (&container, "another container's network"),
    ] {
        let refused = stage.adopt(stage.name());
        let args = ["--network", given];
        refused.create(SCRATCH, &args).ended(2, &[said]);
    }
}

#[test]
fn sandboxes_have_the_mtu_and_ipv6_of_the_engines_own_network() {
    let stage = Stage::new();
    let engine = PrivateEngine::start_with_ipv6(&stage, &[SCRATCH]);
    let on = |args: &[&str]| {
        stage
            .amika(args)
            .env("DOCKER_HOST", &engine.host())
            .output()
    };
    let warned = || {
        let report = on(&["doctor", "-o", "json"]).json();
        let checks = report["checks"].as_array().unwrap().iter();
        let checks = checks.filter(|check| check["name"] == "networks");
        checks
            .map(|check| check["message"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
            .join("\n")
    };
    // One that was made before the engine was told so.
    let label = "dev.amika.kind=network";
    engine
        .docker(&["network", "create", "--label", label, "amika"])
        .ended(0, &[]);
    let told = warned();
    assert!(
        told.contains("MTU of 1500") && told.contains("own 1400"),
        "{told}"
    );
    assert!(told.contains("no IPv6"), "{told}");
    engine.docker(&["network", "rm", "amika"]).ended(0, &[]);

    let shared = stage.name();
    let alone = stage.name();
    on(&["sandbox", "create", "--name", &shared, "--image", SCRATCH]).ended(0, &[]);
    let args = [
        "sandbox",
        "create",
        "--name",
        &alone,
        "--image",
        SCRATCH,
        "--cap-add",
        "NET_RAW",
    ];
    on(&args).ended(0, &[]);
    for (sandbox, network) in [
        (&shared, "amika".to_owned()),
        (&alone, format!("amika-{alone}")),
    ] {
        let format = "{{.EnableIPv6}} {{index .Options \"com.docker.network.driver.mtu\"}} {{json .IPAM.Config}}";
        let says = engine
            .docker(&["network", "inspect", "-f", format, &network])
            .stdout_text();
        assert!(
            says.starts_with("true 1400 ") && says.contains("\"fd"),
            "{network}: {says}"
        );
        let format =
            "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{.GlobalIPv6Address}}{{end}}";
        let says = engine
            .docker(&["inspect", "-f", format, sandbox])
            .stdout_text();
        let (ipv4, ipv6) = says.trim().split_once(' ').unwrap();
        assert!(
            ipv4.contains('.') && ipv6.starts_with("fd"),
            "{sandbox}: {says}"
        );
    }
    // Nor is there a way for IPv6 where there is none.
    let inside = stage.name();
    let args = [
        "sandbox",
        "create",
        "--name",
        &inside,
        "--image",
        SCRATCH,
        "--network",
        "internal",
    ];
    on(&args).ended(0, &[]);
    let says = engine.docker(&[
        "network",
        "inspect",
        "-f",
        "{{.EnableIPv6}}",
        "amika-internal",
    ]);
    assert_eq!(says.stdout_text().trim(), "false");
    let told = warned();
    assert!(!told.contains("MTU") && !told.contains("IPv6"), "{told}");
    let report = on(&["doctor", "-o", "json"]).json();
    assert!(
        report["checks"].to_string().contains("\"ipv6\""),
        "{report}"
    );
}

//! The preset `coder-dind`: a Docker Engine inside a sandbox, and what the agent does with it.

use std::time::Duration;

use serde_json::json;

use crate::support::{DEBIAN, Output, Run, Sandbox, Stage, dind_preset, docker, eventually};

/// How long a create, and building and composing inside, may take on a busy machine.
const LIMIT: Duration = Duration::from_mins(3);

/// Makes two images from one static program, and runs them.
const BUILD_AND_RUN: &str = r#"
set -eux
mkdir -p ~/w/ctx && cd ~/w
cp /usr/local/lib/amikad/amikad ctx/program
printf 'FROM scratch\nCOPY program /bin/program\n' > ctx/Dockerfile
tar -C ctx -c program | docker import - inner >/dev/null
docker run --rm inner /program --version
docker run --rm --memory 64m --cpus 0.5 --pids-limit 50 -v vol:/v --user 1000 inner /program --version
printf '#include <stdio.h>\nint main(int n, char **wanted) { FILE *f = fopen("/v/f", "a"); return !f || fputc(120, f) < 0 || ftell(f) != wanted[1][0] - 48; }\n' |
    gcc -static -x c -o ctx/longer -
tar -C ctx -c longer | docker import - longer >/dev/null
docker volume create named
# Its exit code says so: the engine loses now and then what a program prints that ends at once.
for length in 1 2; do docker run --rm -v named:/v longer /longer $length; done
DOCKER_BUILDKIT=0 docker build -q -t classic ctx
docker build -q -t buildkit ctx
docker buildx build -q --load -t buildx ctx
for image in classic buildkit buildx; do docker run --rm $image /bin/program --version; done
"#;

/// Two services, of which one waits until the other is healthy.
const COMPOSE: &str = r#"
set -eux
cd ~/w
cat > compose.yaml <<'END'
services:
  first:
    build: ctx
    command: ["/bin/program", "run"]
    ports: ["127.0.0.1:8088:60999"]
    healthcheck: {test: ["CMD", "/bin/program", "health"], interval: 1s}
  second:
    image: inner
    command: ["/program", "run"]
    depends_on: {first: {condition: service_healthy}}
END
docker compose up -d --wait
curl -sSf --max-time 10 http://127.0.0.1:8088/livez
docker compose down -t 2
docker-compose version
"#;

fn agent(sandbox: &Sandbox<'_>, script: &str) -> Output {
    let output = sandbox.exec(&["bash", "-c", script]).limit(LIMIT).output();
    assert_eq!(output.code, 0, "{output:?}");
    output
}

fn dockerd(sandbox: &Sandbox<'_>) -> serde_json::Value {
    sandbox.inspect()["status"]["services"]["dockerd"].clone()
}

/// A create on a host that trusts certificates of its own.
fn create_with_certificates(stage: &Stage, name: &str, args: &[&str]) -> Run {
    let bundle = stage.file("bundle.pem", "# certificates of this host\n");
    let create = [
        "sandbox",
        "create",
        "--preset",
        "coder-dind",
        "--name",
        name,
    ];
    stage
        .amika(&[&create[..], args].concat())
        .env("SSL_CERT_FILE", &bundle)
        .limit(LIMIT)
}

#[test]
fn the_agent_builds_runs_and_composes_and_all_of_it_outlives_a_stop() {
    let stage = Stage::new();
    dind_preset(&stage);
    let sandbox = stage.adopt(stage.name());
    // Setup may use the engine, as root.
    let setup = stage.script(
        "setup.sh",
        "#!/bin/bash\nset -eux\ndocker version --format '{{.Server.Version}}' > /var/tmp/engine\n",
    );
    let setup = ["--setup-script", &setup];
    create_with_certificates(&stage, &sandbox.name, &setup)
        .output()
        .ended(0, &[]);

    // The rights are the least that work, and told.
    let inspected = sandbox.inspect();
    let rights = &inspected["capabilities"];
    assert_eq!(rights["added"], json!(["NET_ADMIN", "SYS_ADMIN"]));
    assert_eq!(rights["dropped"], json!([]));
    assert_eq!(inspected["network"], format!("amika-{}", sandbox.name));
    assert_eq!(sandbox.engine_says("{{.HostConfig.Privileged}}"), "false");
    let mounts = inspected["mounts"].as_array().unwrap();
    let mount = mounts
        .iter()
        .find(|mount| mount["target"] == "/var/lib/docker")
        .unwrap();
    let volume = mount["source"].as_str().unwrap();
    let prefix = format!("amika-docker-{}-20", sandbox.name);
    assert!(volume.starts_with(&prefix), "{volume}");
    assert_eq!(mount["holds"], "docker");

    // It is a service like any other.
    let status = dockerd(&sandbox);
    assert_eq!(status["state"], "ready", "{status}");
    assert_eq!(status["restarts"], 0);
    assert!(
        agent(&sandbox, "cat /var/tmp/engine")
            .stdout_text()
            .contains('.')
    );
    let parents = agent(&sandbox, "ps -o ppid= -C dockerd; ps -o user= -C dockerd");
    let parents = parents.stdout_text();
    let words: Vec<&str> = parents.split_whitespace().collect();
    assert_eq!(words, ["1", "root"], "no shell in between");
    let log = sandbox.verb("logs", &["--dockerd"]).output();
    log.ended(0, &[]);
    assert!(log.stdout_text().contains("API listen on"), "{log:?}");
    let shown = sandbox.verb("inspect", &[]).output();
    assert!(
        shown.stdout_text().contains("Docker inside ready"),
        "{shown:?}"
    );

    agent(&sandbox, BUILD_AND_RUN);
    let composed = agent(&sandbox, COMPOSE);
    assert!(composed.stdout_text().contains("\"phase\""), "{composed:?}");
    let driver = agent(&sandbox, "docker info --format '{{.Driver}}'");
    assert_eq!(driver.stdout_text().trim(), "overlay2");

    // A dead one is started again, and nothing else ends with it.
    sandbox
        .exec_with(&["--user", "0"], &["pkill", "-KILL", "-x", "dockerd"])
        .output()
        .ended(0, &[]);
    eventually("it is up again", || {
        let status = dockerd(&sandbox);
        status["state"] == "ready" && status["restarts"] == 1
    });

    // The end is a graceful one for its containers too.
    agent(&sandbox, "docker run -d --name kept inner /program run");
    sandbox.verb("stop", &[]).output().ended(0, &[]);
    assert_eq!(sandbox.engine_says("{{.State.ExitCode}}"), "143");
    let log = sandbox.verb("logs", &["--dockerd"]).output();
    assert!(
        log.stdout_text().contains("Daemon shutdown complete"),
        "{log:?}"
    );
    sandbox
        .verb("start", &[])
        .limit(LIMIT)
        .output()
        .ended(0, &[]);
    let images = agent(&sandbox, "docker image ls --format '{{.Repository}}'").stdout_text();
    for image in ["inner", "classic", "buildkit", "buildx"] {
        assert!(images.lines().any(|line| line == image), "{images}");
    }
    let how = agent(
        &sandbox,
        "docker inspect kept --format '{{.State.ExitCode}}'",
    );
    assert_eq!(how.stdout_text().trim(), "143", "it was asked to end");
    agent(
        &sandbox,
        "docker start kept && docker exec kept /program health",
    );

    // A sandbox that is killed leaves files behind that say that an engine runs.
    docker(&["kill", &sandbox.name]).ended(0, &[]);
    sandbox
        .verb("start", &[])
        .limit(LIMIT)
        .output()
        .ended(0, &[]);
    let status = dockerd(&sandbox);
    assert_eq!(
        (&status["state"], &status["restarts"]),
        (&json!("ready"), &json!(0))
    );
    agent(&sandbox, "docker run --rm inner /program --version");

    // Nobody is asked about what commands made, and it goes with the sandbox.
    let volume = volume.to_owned();
    assert!(stage.volumes().contains(&volume));
    sandbox.verb("delete", &["--force"]).output().ended(0, &[]);
    assert!(!stage.volumes().contains(&volume));
    assert_eq!(stage.networks(), Vec::<String>::new());
}

#[test]
fn it_starts_where_the_host_trusts_no_certificates_of_its_own() {
    let stage = Stage::new();
    dind_preset(&stage);
    let sandbox = stage.adopt(stage.name());
    // The directories of such certificates, hidden from this one command.
    let script = r#"for dir in /usr/local/share/ca-certificates /etc/pki/ca-trust/source/anchors; do
        if [ -d "$dir" ]; then mount -t tmpfs none "$dir"; fi
    done
    exec "$@""#;
    let amika = std::env::var("AMIKA").unwrap();
    let create = ["sandbox", "create", "--preset", "coder-dind", "--name"];
    let hide = ["unshare", "-m", "sh", "-euc", script, "sh", &amika];
    let words = [&hide[..], &create[..], &[&sandbox.name]].concat();
    stage
        .shell("exec \"$@\"", &words)
        .without_env("SSL_CERT_FILE")
        .limit(LIMIT)
        .output()
        .ended(0, &[]);
    let mounts = sandbox.inspect()["mounts"].to_string();
    assert!(!mounts.contains("/usr/local/lib/amikad"), "{mounts}");
    assert_eq!(dockerd(&sandbox)["state"], "ready");
    agent(&sandbox, "docker info >/dev/null");
}

#[test]
fn where_a_right_is_missing_it_is_named_and_nothing_is_left() {
    let stage = Stage::new();
    dind_preset(&stage);
    // An engine that gives something else than it was asked for.
    let proxy = stage.engine_proxy();
    for (right, asked, given) in [
        ("SYS_ADMIN", "SYS_ADMIN", "SYS_PACCT"),
        ("NET_ADMIN", "NET_ADMIN", "SYS_PACCT"),
        (
            "seccomp=unconfined",
            "seccomp=unconfined",
            "label=level:s0:c10",
        ),
        ("systempaths=unconfined", "ReadonlyPaths", "OtherROfPaths"),
    ] {
        proxy.replace(asked, given);
        let name = stage.name();
        let created = create_with_certificates(&stage, &name, &[])
            .env("DOCKER_HOST", &proxy.host())
            .output();
        let told = format!("{right} missing");
        created.ended(1, &["did not start", &told, "--preset coder"]);
        stage.nothing_was_made();
        // A setup that fails for want of the engine is not what went wrong.
        let setup = stage.script("setup.sh", "#!/bin/sh\nexec docker info\n");
        let created = create_with_certificates(&stage, &name, &["--setup-script", &setup])
            .env("DOCKER_HOST", &proxy.host())
            .output();
        created.ended(1, &["did not start", &told]);
        stage.nothing_was_made();
    }
}

#[test]
fn privileged_is_asked_of_the_engine_as_such_and_for_this_preset_alone() {
    let stage = Stage::new();
    dind_preset(&stage);
    let create = |preset: &str| {
        let name = stage.name();
        let args = [
            "-o",
            "json",
            "sandbox",
            "create",
            "--dry-run",
            "--privileged",
        ];
        let args = [&args[..], &["--preset", preset, "--name", &name]].concat();
        stage.amika(&args).limit(LIMIT).output()
    };
    let planned = create("coder-dind").json();
    assert_eq!(planned["privileged"], true);
    assert_eq!(planned["cap_added"], json!(["ALL"]));
    assert_eq!(planned["own_network"], true);
    create("coder").ended(2, &["--privileged", "coder-dind"]);
}

#[test]
fn an_engine_inside_that_is_not_up_is_told_of_at_create_and_at_start() {
    let stage = Stage::new();
    let image = stage.image(&format!(
        "FROM {DEBIAN}\nENV AMIKA_DOCKERD=1\nRUN printf '#!/bin/sh\\nexec sleep 600\\n' >/usr/bin/dockerd && chmod 0755 /usr/bin/dockerd\n"
    ));
    let sandbox = stage.adopt(stage.name());
    let logs = format!("`amika sandbox logs {} --dockerd`", sandbox.name);
    // Without the preset's rights it cannot start.
    let told = [
        "warning: the Docker Engine inside did not start",
        "SYS_ADMIN",
        &logs,
    ];
    sandbox
        .create(&image, &["--", "sleep", "600"])
        .ended(0, &told);
    sandbox.verb("restart", &[]).output().ended(0, &told);
}

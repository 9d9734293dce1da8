//! Services beside a sandbox: `[services.db] image = "postgres:17"`.

use serde_json::{Value, json};

use crate::repositories::server::Server as Forge;
use crate::server::client::Server;
use crate::support::{Output, Sandbox, Stage, docker, eventually};

/// A database's server and a cache's, as images of that name have them, and a shell with what asks them something.
const POSTGRES: &str = "amika-test/postgres";
const REDIS: &str = "amika-test/redis";
const CLIENTS: &str = "amika-test/clients";

/// A database with a volume, a cache, and a program that wants the database; setup uses both.
fn shop() -> String {
    format!(
        "[lifecycle]\nsetup_script = \"setup.sh\"\n\
         [env]\nPGHOST = \"db\"\nPGUSER = \"postgres\"\nPGPASSWORD = \"secret\"\n\
         [services.db]\nimage = \"{POSTGRES}\"\nenv = {{ POSTGRES_PASSWORD = \"secret\" }}\n\
         volumes = [\"data:/var/lib/postgresql/data\"]\n\
         [services.cache]\nimage = \"{REDIS}\"\n\
         [services.web]\ncommand = \"psql -c 'select 1' && exec sleep 1000\"\nready = \"log:1 row\"\ndepends_on = [\"db\"]\n"
    )
}

const SETUP: &str = "#!/bin/bash\nset -e\npsql -qc 'create table if not exists starts (at timestamptz)'\n\
    psql -qc 'insert into starts values (now())'\nredis-cli -h cache set by setup\n";

fn repository(stage: &Stage, config: &str) -> String {
    let files = [(".amika/config.toml", config), ("setup.sh", SETUP)];
    let app = stage.repository("app", &files);
    let script =
        "chmod +x setup.sh && git -c user.name=T -c user.email=t@example.org commit -qam run";
    let run = stage.shell(script, &[]).dir(&app);
    run.output().ended(0, &[]);
    app
}

fn create(sandbox: &Sandbox<'_>, app: &str, options: &[&str]) -> Output {
    sandbox.create(CLIENTS, &[&["--git", app], options].concat())
}

fn said(sandbox: &Sandbox<'_>, script: &str) -> String {
    let said = sandbox.exec(&["bash", "-c", script]).output();
    said.ended(0, &[]).stdout_text()
}

/// How often setup ran, as the database has it.
fn starts(sandbox: &Sandbox<'_>) -> String {
    said(sandbox, "psql -Atc 'select count(*) from starts'")
}

/// A service of the sandbox, as `service list` has it.
fn service(sandbox: &Sandbox<'_>, name: &str) -> Value {
    let listed = sandbox.services();
    let all = listed.as_array().unwrap().iter();
    let mut found = all.filter(|it| it["service"] == name);
    found.next().unwrap_or_else(|| panic!("{listed}")).clone()
}

/// The containers of the stage's services: each has its own name for it.
fn beside(stage: &Stage) -> Vec<String> {
    let mut all = stage.containers();
    all.retain(|name| name.starts_with("amika-service-"));
    all.sort();
    all
}

fn volumes(stage: &Stage) -> Vec<String> {
    let mut all = stage.volumes();
    all.retain(|name| name.starts_with("amika-service-"));
    all
}

fn running(container: &str) -> bool {
    docker(&["inspect", "-f", "{{.State.Running}}", container]).stdout_text() == "true\n"
}

#[test]
fn a_database_and_a_cache_are_there_before_setup_and_for_this_sandbox_alone() {
    let stage = Stage::new();
    let app = repository(&stage, &shop());
    let sandbox = stage.adopt(stage.name());
    create(&sandbox, &app, &[]).ended(
        0,
        &[
            &format!("db of image {POSTGRES}"),
            &format!("cache of image {REDIS}"),
        ],
    );
    assert_eq!(starts(&sandbox), "1\n");
    assert_eq!(said(&sandbox, "redis-cli -h cache get by"), "setup\n");
    let containers = beside(&stage);
    assert_eq!(containers.len(), 2, "{containers:?}");
    for name in ["db", "cache"] {
        let found = service(&sandbox, name);
        assert_eq!(found["run"]["state"], "ready", "{found}");
        assert_eq!(found["ports"], json!([]), "nothing is published");
    }
    // Neither by its name nor by its address.
    let address = said(&sandbox, "getent hosts db | cut -d' ' -f1");
    let other = stage.sandbox(CLIENTS, &[]);
    for host in ["db", address.trim()] {
        let script = format!(
            "PGPASSWORD=secret PGCONNECT_TIMEOUT=2 psql -h {host} -U postgres -c 'select 1'"
        );
        let refused = other.exec(&["bash", "-c", &script]).output();
        assert_ne!(refused.code, 0, "{host}: {refused:?}");
    }
    // They have nothing of the sandbox's, and no right that its programs have not.
    let of_db = docker(&[
        "inspect",
        "-f",
        "{{json .Config.Env}} {{json .HostConfig.CapDrop}}",
        &containers[1],
    ]);
    let of_db = of_db.stdout_text();
    assert!(
        of_db.contains("NET_RAW") && !of_db.contains("PGHOST") && !of_db.contains("AMIKA_"),
        "{of_db}"
    );

    let log = stage
        .amika(&["service", "logs", &format!("{}/db", sandbox.name)])
        .output();
    let log = log.ended(0, &[]);
    let all = log.stdout_text() + &log.stderr_text();
    assert!(all.contains("ready to accept connections"), "{all}");
    let db = format!("{}/db", sandbox.name);
    stage
        .amika(&["service", "stop", &db])
        .output()
        .ended(0, &[]);
    assert_eq!(service(&sandbox, "db")["run"]["state"], "stopped");
    stage
        .amika(&["service", "restart", &db])
        .output()
        .ended(0, &[]);
    eventually("the database to answer", || {
        sandbox.exec(&["psql", "-Atc", "select 1"]).output().code == 0
    });

    sandbox.verb("stop", &[]).output().ended(0, &[]);
    assert!(!containers.iter().any(|it| running(it)), "{containers:?}");
    // What somebody took away is made again; what is in the volume is still there.
    docker(&["rm", &containers[1]]).ended(0, &[]);
    sandbox.verb("start", &[]).output().ended(0, &[]);
    assert_eq!(starts(&sandbox), "2\n");
    let moved = stage.name();
    sandbox.verb("rename", &[&moved]).output().ended(0, &[]);
    let renamed = stage.adopt(moved);
    renamed.verb("restart", &[]).output().ended(0, &[]);
    assert_eq!(starts(&renamed), "3\n");

    let kept = volumes(&stage);
    assert_eq!(kept.len(), 1, "{kept:?}");
    let deleted = renamed.verb("delete", &[]).output();
    deleted.ended(0, &["data of its services stays", &kept[0]]);
    assert_eq!(
        (beside(&stage), volumes(&stage)),
        (Vec::new(), kept.clone())
    );
    assert!(stage.networks().is_empty(), "{:?}", stage.networks());
    // The clone's volume stays too.
    let mut left = stage.volumes();
    left.retain(|name| name.starts_with("amika-git-") || *name == kept[0]);
    for volume in left {
        let gone = stage.amika(&["volume", "delete", &volume]).output();
        gone.ended(0, &[]);
    }
}

#[test]
fn one_that_does_not_come_up_is_told_with_its_last_words() {
    let stage = Stage::new();
    let config = format!(
        "[services.broken]\nimage = \"{REDIS}\"\ncommand = \"echo no such luck >&2; exit 3\"\n\
         [services.deaf]\nimage = \"{REDIS}\"\nready = \"tcp:81\"\nready_timeout = 1\n"
    );
    let app = stage.repository("app", &[(".amika/config.toml", &config)]);
    let sandbox = stage.adopt(stage.name());
    let created = create(&sandbox, &app, &[]);
    created.ended(
        21,
        &[
            "service \"broken\"",
            "exit code 3",
            "no such luck",
            "service logs",
        ],
    );
    assert_eq!(service(&sandbox, "broken")["run"]["state"], "failed");
    let away = ["--volumes", "--force"];
    sandbox.verb("delete", &away).output().ended(0, &[]);

    let one = config.split_once("[services.deaf]").unwrap().1;
    let app = stage.repository(
        "deaf",
        &[(".amika/config.toml", &format!("[services.deaf]{one}"))],
    );
    let deaf = stage.adopt(stage.name());
    create(&deaf, &app, &[]).ended(21, &["service \"deaf\""]);
    // Without waiting for them it is as it is.
    deaf.verb("restart", &["--no-wait"]).output().ended(0, &[]);
}

#[test]
fn what_a_broken_off_create_or_a_removed_container_leaves_goes() {
    let stage = Stage::new();
    let app = repository(&stage, &shop());
    let sandbox = stage.adopt(stage.name());
    let proxy = stage.engine_proxy();
    proxy.hold_one("/start");
    let creating = sandbox
        .create_run(CLIENTS, &["--git", &app])
        .env("DOCKER_HOST", &proxy.host())
        .start();
    proxy.holds();
    creating.signal(rustix::process::Signal::INT);
    proxy.let_go();
    creating.wait().ended(130, &["nothing was left behind"]);
    stage.nothing_was_made();

    create(&sandbox, &app, &[]).ended(0, &[]);
    let (kept, containers) = (volumes(&stage), beside(&stage));
    docker(&["rm", "-f", &sandbox.name]).ended(0, &[]);
    let found = stage.amika(&["doctor"]).output();
    assert!(found.stdout_text().contains(&containers[0]), "{found:?}");
    sandbox.verb("delete", &["--force"]).output().ended(0, &[]);
    assert_eq!(
        (beside(&stage), volumes(&stage)),
        (Vec::new(), kept.clone())
    );
    assert!(stage.networks().is_empty(), "{:?}", stage.networks());
    for volume in stage.volumes() {
        stage
            .amika(&["volume", "delete", &volume])
            .output()
            .ended(0, &[]);
    }
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_made() {
    let stage = Stage::new();
    let app = repository(&stage, &shop());
    let sandbox = stage.adopt(stage.name());
    let same = stage.adopt(stage.name());
    let config = format!("[services.{}]\nimage = \"{REDIS}\"\n", same.name);
    let alike = stage.repository("alike", &[(".amika/config.toml", &config)]);
    create(&same, &alike, &[]).ended(2, &["would answer to the name of its sandbox"]);
    for network in ["none", "bridge"] {
        create(&sandbox, &app, &["--network", network])
            .ended(2, &["network of the sandbox's own", "--no-setup"]);
    }
    let without = create(&sandbox, &app, &["--no-setup", "--dry-run", "-o", "json"]);
    let services = &without.ended(0, &[]).json()["services"];
    assert!(!services.to_string().contains(POSTGRES), "{services}");
    let missing = "[services.db]\nimage = \"amika-test/nowhere\"\n";
    let nowhere = stage.repository("nowhere", &[(".amika/config.toml", missing)]);
    create(&sandbox, &nowhere, &["--dry-run"]).ended(6, &["amika-test/nowhere", "service \"db\""]);
    stage.nothing_was_made();
}

#[test]
fn a_server_saves_one_for_all_and_lets_members_name_none() {
    let stage = Stage::new();
    let declared = format!("[services.db]\nimage = \"{REDIS}\"\n");
    for (name, config) in [("saved", ""), ("declared", declared.as_str())] {
        stage.repository(
            &format!("forge/public/{name}"),
            &[(".amika/config.toml", config)],
        );
    }
    let forge = Forge::start(&stage.home().join("forge"));
    let server = Server::start(&stage, &["--allow-private-git"]);
    let [saved_url, declared_url] =
        ["saved", "declared"].map(|name| forge.url("", &format!("public/{name}/.git")));
    let cache = json!({ "repo_url": saved_url, "name": "cache", "image": REDIS, "volumes": ["data:/data"] });
    let saved = server.post("/services", &cache).expect(201);
    assert_eq!(
        (&saved["image"], &saved["volumes"]),
        (&json!(REDIS), &json!(["data:/data"]))
    );
    let wrong = json!({ "repo_url": saved_url, "name": "other", "image": REDIS, "ports": [{ "port": 80 }] });
    let wrong = server.post("/services", &wrong).expect(400);
    assert!(wrong.to_string().contains("has an image"), "{wrong}");

    let member = server.member("grace");
    let ask = |url: &str, more: Value| {
        let mut body = json!({ "repo_url": url, "name": stage.name() });
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        server.ask(&member, "POST", "/sandboxes?wait=60", Some(&body))
    };
    let setup = "#!/bin/sh\nexec 3<>/dev/tcp/cache/6379\n".replace("/bin/sh", "/bin/bash");
    let made = ask(&saved_url, json!({ "setup_script_text": setup })).expect(202);
    assert_eq!(made["state"], "started", "{made}");
    let id = made["id"].as_str().unwrap();
    let standing = server.get(&format!("/sandboxes/{id}/services")).expect(200);
    assert_eq!(standing["items"][0]["run"]["state"], "ready", "{standing}");
    let refused = ask(&declared_url, json!({})).expect(202);
    assert!(
        refused.to_string().contains("only administrators"),
        "{refused}"
    );
    for sandbox in [&made, &refused] {
        server.remove(sandbox["id"].as_str().unwrap());
    }
    assert_eq!(beside(&stage), Vec::<String>::new());
    for volume in stage.volumes() {
        let gone = server.delete(&format!("/volumes/{volume}?force=true"));
        assert!(gone.status < 300, "{gone:?}");
    }
}

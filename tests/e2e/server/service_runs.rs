//! Services that Amika runs in sandboxes of a server: told of, asked for, read, waited for, and saved.

use serde_json::{Value, json};

use super::client::{Server, done};
use crate::services::{Repository, free_ports};
use crate::support::{DEBIAN, Stage, eventually};

/// Makes a sandbox of a working copy.
fn create(name: &str, git: &str, more: &[&str]) -> Vec<String> {
    let args = [
        "sandbox",
        "create",
        "--name",
        name,
        "--image",
        DEBIAN,
        "--git",
        git,
        "--no-clean",
    ];
    let args = args.iter().chain(more).map(|arg| (*arg).to_owned());
    args.collect()
}

fn services(server: &Server<'_>, id: &str) -> Vec<Value> {
    let answer = server.get(&format!("/sandboxes/{id}/services")).expect(200);
    answer["items"].as_array().unwrap().clone()
}

fn state(server: &Server<'_>, id: &str, service: &str) -> Value {
    let all = services(server, id);
    let found = all.into_iter().find(|it| it["name"] == service).unwrap();
    found["run"]["state"].clone()
}

#[test]
fn services_of_a_file_are_up_when_a_create_returns_and_are_told_of_and_asked_for() {
    let stage = Stage::new();
    let server = Server::start(&stage, &[]);
    let [web, lazy, plain] = free_ports();
    let repository = Repository::new(
        &stage,
        &format!(
            "[services.db]\ncommand = \"sleep 0.3; echo up with $KIND; exec sleep 1000\"\nenv = {{ KIND = \"care\" }}\nready = \"log:^up\"\n\
             [services.web]\nport = {web}\nurl_scheme = \"http\"\ncommand = [\"perl\", \"serve.pl\", \"http:{web}\"]\n\
             ready = \"http:/\"\ndepends_on = [\"db\"]\n\
             [services.lazy]\nport = {lazy}\ncommand = \"exec perl serve.pl http:{lazy}\"\nstart = \"on-demand\"\n\
             [services.plain]\nport = {plain}\n"
        ),
    );
    let name = stage.name();
    let amika = |args: &[&str]| server.amika(args);
    let made = create(&name, &repository.path(), &[]);
    let made: Vec<&str> = made.iter().map(String::as_str).collect();
    done(amika(&made));
    let id = server.get(&format!("/sandboxes/{name}")).expect(200)["id"].clone();
    let id = id.as_str().unwrap();

    let all = services(&server, id);
    let told: Vec<(&str, Option<&str>, usize)> = all
        .iter()
        .map(|it| {
            let ports = it["ports"].as_array().unwrap().len();
            (it["name"].as_str().unwrap(), it["state"].as_str(), ports)
        })
        .collect();
    assert_eq!(
        told,
        [
            ("db", Some("running"), 0),
            ("lazy", Some("on demand"), 1),
            ("plain", None, 1),
            ("web", Some("listening"), 1),
        ]
    );
    assert_eq!(all[0]["run"]["ready"], "log:^up");
    assert_eq!(all[1]["run"]["start"], "on-demand");
    assert_eq!(all[2]["run"], Value::Null);
    assert!(all[3]["run"]["pid"].as_i64().unwrap() > 1);
    let listed = done(amika(&["service", "list", "--sandbox-name", &name])).stdout_text();
    let rows: Vec<Vec<&str>> = listed
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(rows[0], ["SERVICE", "SANDBOX", "PORTS", "URL", "STATE"]);
    assert_eq!(rows[1], ["db", &name, "-", "-", "running"], "{listed}");
    assert_eq!(rows[4].last(), Some(&"listening"), "{listed}");
    let document = done(amika(&["-o", "json", "service", "list"])).json();
    assert_eq!(document[3]["sandbox"], *name, "{document}");

    // Who listens, also where no service says so.
    let exec =
        json!({ "cmd": ["sh", "-c", "setsid perl serve.pl http:7321 >/dev/null 2>&1 & sleep 1"] });
    server
        .post(&format!("/sandboxes/{id}/exec"), &exec)
        .expect(200);
    let all = done(amika(&[
        "service",
        "list",
        "--all",
        "--sandbox-name",
        &name,
    ]))
    .stdout_text();
    let row = |port: String| {
        all.lines()
            .find(|line| line.contains(&port))
            .unwrap_or_default()
    };
    assert!(row(format!("{web}/tcp")).contains("perl (pid "), "{all}");
    assert!(row(format!("{plain}/tcp")).contains("nothing"), "{all}");
    let undeclared = row("7321/tcp".to_owned());
    assert!(
        undeclared.starts_with('-') && undeclared.contains("perl"),
        "{all}"
    );
    let document = done(amika(&["-o", "json", "service", "list", "--all"])).json();
    let ports: Vec<&Value> = document
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|it| it["ports"].as_array().unwrap())
        .collect();
    let of = |port: u16| ports.iter().find(|it| it["port"] == port).unwrap();
    assert_eq!(of(web)["listening"]["program"], "perl");
    assert_eq!(of(7321)["listening"]["program"], "perl");
    assert_eq!(of(plain)["listening"]["state"], "nothing");

    // Asked for by the command line and by the API, one or all.
    let target = |service: &str| format!("{name}/{service}");
    let log = done(amika(&["service", "logs", &target("db")])).stdout_text();
    assert_eq!(log, "up with care\n");
    amika(&["service", "logs", &name])
        .output()
        .ended(2, &["runs several services: db, lazy, web"]);
    done(amika(&["service", "stop", &target("web")]));
    eventually("web to be stopped", || {
        state(&server, id, "web") == "stopped"
    });
    let path = format!("/sandboxes/{id}/services");
    server
        .post(&format!("{path}/web/start"), &json!({}))
        .expect(202);
    eventually("web to be ready", || state(&server, id, "web") == "ready");
    let all = done(amika(&["service", "restart", &name])).stdout_text();
    assert_eq!(all, format!("{name}/db\n{name}/lazy\n{name}/web\n"));
    eventually("db to be up again", || {
        let log = done(amika(&["service", "logs", &target("db")])).stdout_text();
        log == "up with care\nup with care\n"
    });
    let following = amika(&["service", "logs", "-f", &target("db")]).start();
    following.says("up with care\nup with care\n");
    following.signal(rustix::process::Signal::INT);
    assert_eq!(following.wait().code, 130);

    // What cannot be asked for.
    for (service, verb, status) in [
        ("plain", "stop", 404),
        ("no-such", "restart", 404),
        ("a%2Fb", "start", 404),
        ("web", "halt", 404),
    ] {
        let answer = server.post(&format!("{path}/{service}/{verb}"), &json!({}));
        assert_eq!(answer.status, status, "{service} {verb}: {answer:?}");
    }
    amika(&["service", "restart", &target("wep")])
        .output()
        .ended(3, &["has no service"]);
    amika(&["service", "logs", &target("plain")])
        .output()
        .ended(3, &["has neither command nor image"]);
    let read = server.key(&["read"]);
    let body = json!({});
    let refused = server.ask(&read, "POST", &format!("{path}/web/stop"), Some(&body));
    assert_eq!(refused.status, 403);
    let ada = server.member("ada");
    assert_eq!(server.ask(&ada, "GET", &path, None).status, 404);
    assert_eq!(
        server
            .ask(&ada, "POST", &format!("{path}/web/stop"), Some(&body))
            .status,
        404
    );

    // Of one that does not run nothing is told but what is kept.
    done(amika(&["sandbox", "stop", &name]));
    assert_eq!(services(&server, id)[3]["state"], Value::Null);
    let log = done(amika(&["service", "logs", &target("db")])).stdout_text();
    assert!(log.contains("up with care"), "{log}");
    let refused = server.post(&format!("{path}/web/start"), &json!({}));
    assert_eq!(refused.status, 409, "{refused:?}");
    done(amika(&["sandbox", "start", &name]));
    assert_eq!(
        state(&server, id, "web"),
        "ready",
        "a start waits for it too"
    );
    assert_eq!(state(&server, id, "lazy"), "listening");
    server.remove(id);
}

#[test]
fn a_create_says_which_service_is_not_up_with_its_last_words_unless_it_does_not_wait() {
    let stage = Stage::new();
    let server = Server::start(&stage, &[]);
    let repository = Repository::new(
        &stage,
        "[services.web]\ncommand = \"echo no such module: left-pad >&2; exit 3\"\nready = \"log:never\"\nrestart = \"no\"\n",
    );
    let name = stage.name();
    let made = create(&name, &repository.path(), &[]);
    let made: Vec<&str> = made.iter().map(String::as_str).collect();
    let failed = server.amika(&made).output();
    failed.ended(
        21,
        &[
            &format!("service \"web\" of sandbox \"{name}\" is not up"),
            "no such module: left-pad",
            &format!("amika service logs --remote {name}/web"),
        ],
    );
    let shown = server.get(&format!("/sandboxes/{name}")).expect(200);
    assert_eq!(shown["state"], "started", "the sandbox runs");
    server.remove(shown["id"].as_str().unwrap());
    let name = stage.name();
    let made = create(&name, &repository.path(), &["--no-wait-services"]);
    let made: Vec<&str> = made.iter().map(String::as_str).collect();
    done(server.amika(&made));
    eventually("web to have failed", || {
        state(&server, &name, "web") == "failed"
    });
    assert_eq!(services(&server, &name)[0]["state"], "failed (3)");
    let restart = ["sandbox", "restart", &name];
    let failed = server.amika(&restart).output();
    failed.ended(21, &["is not up", "no such module: left-pad"]);
    let restart = [&restart[..], &["--no-wait-services"]].concat();
    done(server.amika(&restart));
    server.remove(&name);
}

#[test]
fn saved_services_are_run_as_those_of_the_file_are() {
    let stage = Stage::new();
    let server = Server::start(&stage, &[]);
    let url = "https://example.com/o/r.git";
    let [web] = free_ports();
    let save = |body: Value| server.post("/services", &body);
    let db = json!({ "repo_url": url, "name": "db", "command": "echo \"it's\" $KIND; exec sleep 1000",
        "env": { "KIND": "saved" }, "ready": "log:saved" });
    let db = save(db).expect(201);
    assert_eq!(db["command"], "echo \"it's\" $KIND; exec sleep 1000");
    let body = json!({ "repo_url": url, "name": "web", "ports": [{ "port": web, "url_scheme": "http" }],
        "command": ["perl", "serve.pl", format!("http:{web}")], "ready": "http:", "depends_on": ["db"] });
    let saved = save(body).expect(201);
    assert_eq!(saved["ready"], format!("http:{web}/"));
    for (body, field) in [
        (json!({ "name": "x", "command": "" }), "/command"),
        (json!({ "name": "x", "cwd": "a" }), "/cwd"),
        (
            json!({ "name": "x", "command": "a", "depends_on": ["nobody"] }),
            "/depends_on",
        ),
        (json!({ "name": "setup", "command": "a" }), "/name"),
        (json!({ "name": "x", "comand": "a" }), "/comand"),
    ] {
        let mut body = body;
        body["repo_url"] = url.into();
        let refused = save(body.clone()).expect(400);
        assert_eq!(refused["details"][0]["field"], field, "{body}: {refused}");
    }
    // What another waits for stays, and stays what it is called.
    let path = |it: &Value| format!("/services/{}", it["id"].as_str().unwrap());
    assert_eq!(server.delete(&path(&db)).status, 409);
    let renamed = json!({ "name": "data" });
    let renamed = server.ask(&server.admin, "PUT", &path(&db), Some(&renamed));
    assert_eq!(renamed.status, 400, "{renamed:?}");
    let quiet = json!({ "restart": "always" });
    let quiet = server
        .ask(&server.admin, "PUT", &path(&db), Some(&quiet))
        .expect(200);
    assert_eq!(
        (&quiet["restart"], &quiet["command"]),
        (&json!("always"), &db["command"])
    );

    let repository = Repository::new(&stage, "[services.other]\ncommand = \"exit 1\"\n");
    let git = repository.path();
    let mut command = std::process::Command::new("git");
    command.args(["-C", &git, "remote", "add", "origin", url]);
    assert!(command.status().unwrap().success());
    let name = stage.name();
    let made = create(&name, &git, &[]);
    let made: Vec<&str> = made.iter().map(String::as_str).collect();
    done(server.amika(&made));
    let names: Vec<Value> = services(&server, &name)
        .iter()
        .map(|it| it["name"].clone())
        .collect();
    assert_eq!(names, ["db", "web"]);
    assert_eq!(state(&server, &name, "web"), "ready");
    let target = format!("{name}/db");
    let log = done(server.amika(&["service", "logs", &target])).stdout_text();
    assert_eq!(log, "it's saved\n");
    // A command that is taken away leaves a port.
    let none = json!({ "command": [] });
    let none = server
        .ask(&server.admin, "PUT", &path(&saved), Some(&none))
        .expect(200);
    assert_eq!(none.get("command"), None, "{none}");
    assert_eq!(none["ports"][0]["port"], web);
    assert_eq!(server.delete(&path(&db)).status, 204);
    server.remove(&name);
}

//! Services whose sandbox a request at the port route starts.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use super::client::{Answer, Server, done};
use crate::services::{Repository, free_ports};
use crate::support::{DEBIAN, Stage};

/// Makes a sandbox of a working copy; its id.
fn create(stage: &Stage, server: &Server<'_>, key: &str, config: &str) -> String {
    let repository = Repository::new(stage, config);
    let name = stage.name();
    let git = repository.path();
    let args = [
        "sandbox",
        "create",
        "--name",
        &name,
        "--image",
        DEBIAN,
        "--git",
        &git,
        "--no-clean",
        "--no-wait-services",
        "-o",
        "json",
    ];
    let made = done(server.amika_as(key, &args));
    made.json()["id"].as_str().unwrap().to_owned()
}

fn stop(server: &Server<'_>, id: &str) {
    let path = format!("/sandboxes/{id}/stop");
    server.post(&path, &json!({})).expect(202);
}

/// How often it was started after it was made.
fn starts(server: &Server<'_>, id: &str) -> usize {
    let events = server.get(&format!("/sandboxes/{id}/lifecycle-events"));
    let events = events.expect(200)["events"].clone();
    let is_begin = |it: &&Value| {
        it["run_kind"] == "start" && it["step"] == "start" && it["status"] == "succeeded"
    };
    events.as_array().unwrap().iter().filter(is_begin).count()
}

/// Asks the server with any key.
fn ask(server: &Server<'_>, key: &str, path: &str) -> Answer {
    server.ask(key, "GET", path, None)
}

#[test]
fn a_request_starts_a_stopped_sandbox_once_for_all_who_ask_and_waits_for_its_service() {
    let stage = Stage::new();
    let server = Server::start(&stage, &[]);
    let [web, lazy, still] = free_ports();
    let ada = server.admin("ada");
    let id = create(
        &stage,
        &server,
        &ada,
        &format!(
            "[services.web]\nport = {web}\nurl_scheme = \"http\"\ncommand = \"sleep 1; exec perl serve.pl http:{web}\"\nready = \"http:\"\nwake = true\n\
             [services.lazy]\nport = {lazy}\ncommand = \"exec perl serve.pl http:{lazy}\"\nstart = \"on-demand\"\nwake = true\n\
             [services.still]\nport = {still}\ncommand = \"exec perl serve.pl http:{still}\"\n"
        ),
    );
    let name = server.get(&format!("/sandboxes/{id}")).expect(200)["name"].clone();
    let name = name.as_str().unwrap();
    let port = |port: u16| format!("/sandboxes/{id}/ports/{port}/");
    stop(&server, &id);
    server.until(&id, "stopped");

    // Who may not, and what does not say so, starts nothing.
    let read = server.key(&["read"]);
    assert_eq!(ask(&server, &read, &port(web)).status, 403);
    let bob = server.member("bob");
    assert_eq!(ask(&server, &bob, &port(web)).status, 404);
    let refused = ask(&server, &ada, &port(still));
    assert_eq!(refused.status, 503, "{refused:?}");
    assert_eq!(
        ask(&server, &ada, "/sandboxes/no-such/ports/80/").status,
        404
    );
    assert_eq!(
        server.get(&format!("/sandboxes/{id}")).expect(200)["state"],
        "stopped"
    );

    let (path, key) = (port(web), &ada);
    std::thread::scope(|scope| {
        let asking: Vec<_> = (0..12)
            .map(|_| scope.spawn(|| ask(&server, key, &path)))
            .collect();
        for asked in asking {
            let answer = asked.join().unwrap();
            assert_eq!(
                (answer.status, answer.body.as_str()),
                (200, name),
                "{answer:?}"
            );
        }
    });
    assert_eq!(starts(&server, &id), 1);
    assert_eq!(ask(&server, &ada, &port(lazy)).body, name);

    // One that is being stopped is stopped, and then started; also by one who does not stay.
    stop(&server, &id);
    let mut leaves = TcpStream::connect(server.address()).unwrap();
    let head = format!(
        "GET /api/v0beta1{} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {ada}\r\n\r\n",
        port(lazy),
        server.address()
    );
    leaves.write_all(head.as_bytes()).unwrap();
    leaves
        .set_read_timeout(Some(Duration::from_millis(50)))
        .unwrap();
    let _ = leaves.read(&mut [0; 1]);
    drop(leaves);
    let answer = ask(&server, &ada, &port(lazy));
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (200, name),
        "{answer:?}"
    );
    assert_eq!(starts(&server, &id), 2);
    server.remove(&id);
}

#[test]
fn a_request_is_told_why_what_it_woke_does_not_answer() {
    let stage = Stage::new();
    let server = Server::start(&stage, &[]);
    let [web] = free_ports();
    let key = server.admin.clone();
    let id = create(
        &stage,
        &server,
        &key,
        &format!(
            "[services.web]\nport = {web}\ncommand = \"test -e /tmp/up || exit 3; exec perl serve.pl http:{web}\"\nready = \"tcp\"\nrestart = \"no\"\nwake = true\n"
        ),
    );
    stop(&server, &id);
    server.until(&id, "stopped");
    let path = format!("/sandboxes/{id}/ports/{web}/");
    let answer = ask(&server, &key, &path);
    assert_eq!(answer.status, 502, "{answer:?}");
    let told = answer.json();
    assert_eq!(
        told["message"], "service \"web\" is not up: exit code 3",
        "{told}"
    );
    assert!(
        told["hints"][0]
            .as_str()
            .unwrap()
            .contains("source=service:web"),
        "{told}"
    );
    // It runs now: what is asked next is told that nothing listens.
    assert_eq!(
        server.get(&format!("/sandboxes/{id}")).expect(200)["state"],
        "started"
    );
    assert_eq!(ask(&server, &key, &path).status, 502);
    server.remove(&id);
    assert_eq!(ask(&server, &key, &path).status, 404);
}

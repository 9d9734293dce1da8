//! Services that are added to a sandbox while it runs.

use serde_json::{Value, json};

use super::client::Server;
use crate::support::{DEBIAN, Stage};

#[test]
fn a_service_is_added_to_a_running_sandbox_changed_and_removed() {
    let stage = Stage::new();
    let mut server = Server::start(&stage, &[]);
    let made = server.create(DEBIAN, json!({}));
    let id = made["id"].as_str().unwrap();
    let path = format!("/sandboxes/{id}/services");
    let services = |server: &Server<'_>| {
        let one = server.get(&format!("/sandboxes/{id}")).expect(200)["services"].clone();
        let all = server.get("/sandboxes").expect(200)[0]["services"].clone();
        assert_eq!(one, all);
        one
    };
    assert_eq!(services(&server), json!([]));
    let web = json!({ "name": "web", "port": 3000, "url_scheme": "http" });
    let added = server.post(&path, &web).expect(201);
    let port = server.address().rsplit_once(':').unwrap().1;
    let url = format!("http://3000-{id}.localhost:{port}");
    assert_eq!(
        (&added["url"], &added["source"], &added["kind"]),
        (&json!(url), &json!("table"), &json!("user"))
    );
    let plain = json!({ "name": "db", "port": 5432 });
    assert_eq!(server.post(&path, &plain).expect(201)["url"], Value::Null);
    let shown = json!([
        { "name": "db", "url": "", "hostPort": 5432, "containerPort": 5432, "protocol": "tcp" },
        { "name": "web", "url": url, "hostPort": 3000, "containerPort": 3000, "protocol": "tcp" },
    ]);
    assert_eq!(services(&server), shown);
    for (body, status) in [
        (json!({ "name": "web", "port": 1 }), 409),
        (json!({ "name": "a.b", "port": 1 }), 400),
        (json!({ "name": "x", "port": 60999 }), 400),
        (json!({ "name": "x", "port": 0 }), 400),
        (json!({ "name": "x", "port": 1, "url_scheme": "ftp" }), 400),
    ] {
        assert_eq!(server.post(&path, &body).status, status, "{body}");
    }
    let put = |server: &Server<'_>, which: &str, body: Value| {
        server.ask(
            &server.admin,
            "PUT",
            &format!("{path}/{which}"),
            Some(&body),
        )
    };
    let web_id = added["id"].as_str().unwrap();
    assert_eq!(put(&server, "web?by=id", json!({ "port": 1 })).status, 404);
    assert_eq!(put(&server, "db", json!({ "name": "web" })).status, 409);
    let by_id = format!("{web_id}?by=id");
    assert_eq!(
        put(&server, &by_id, json!({ "port": 3001 })).expect(200)["port"],
        3001
    );
    let renamed = put(&server, "web?by=name", json!({ "name": "site" })).expect(200);
    assert_eq!(
        (&renamed["port"], &renamed["id"]),
        (&json!(3001), &json!(web_id))
    );

    // It is kept over a restart of the server, and of another user's sandbox nobody sees it.
    server.signal(rustix::process::Signal::TERM);
    server.again();
    let list = format!("/sandbox-services?sandbox_ref={id}");
    let items = server.get(&list).expect(200)["items"].clone();
    let names: Vec<&str> = items
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["db", "site"]);
    let ada = server.member("ada");
    assert_eq!(server.ask(&ada, "GET", &list, None).status, 404);
    // Without a sandbox it is all of one's own, as the command line lists them.
    let all = "/sandbox-services";
    assert_eq!(server.get(all).expect(200)["items"], items);
    let none = server.ask(&ada, "GET", all, None).expect(200);
    assert_eq!(none["items"], json!([]));
    let listed = stage
        .amika(&["service", "list", "--remote"])
        .env("AMIKA_API_URL", &server.url())
        .env("AMIKA_API_KEY", &server.admin)
        .output();
    let rows: Vec<Vec<String>> = listed
        .stdout_text()
        .lines()
        .map(|line| line.split_whitespace().map(str::to_owned).collect())
        .collect();
    let name = made["name"].as_str().unwrap();
    assert_eq!(rows[0], ["SERVICE", "SANDBOX", "PORTS", "URL"]);
    assert_eq!(rows[1], ["db", name, "5432/tcp", "-"], "{listed:?}");
    assert_eq!(rows[2][..3], ["site", name, "3001/tcp"], "{listed:?}");
    assert_eq!(server.ask(&ada, "POST", &path, Some(&web)).status, 404);
    assert_eq!(server.delete(&format!("{path}/site")).status, 204);
    assert_eq!(server.delete(&format!("{path}/site")).status, 404);
    server
        .post(&format!("/sandboxes/{id}/stop"), &json!({}))
        .expect(202);
    server.until(id, "stopped");
    assert_eq!(server.post(&path, &web).status, 409, "it does not run");
    server.remove(id);
}

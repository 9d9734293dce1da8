//! What happens, as it is told to those who follow.

use rustix::process::Signal;
use serde_json::json;

use super::client::{Happened, Server};
use crate::support::{DEBIAN, Stage};

fn is(name: &'static str) -> impl Fn(&Happened) -> bool {
    move |happened| happened.name == name
}

#[test]
fn an_operation_is_told_step_by_step_also_to_who_comes_late_and_ends_with_how_it_ended() {
    let stage = Stage::new();
    let server = Server::start(&stage, &[]);
    let name = stage.name();
    let body =
        json!({ "image": DEBIAN, "name": name, "setup_script_text": "#!/bin/sh\nsleep 2\n" });
    let made = server.post("/sandboxes", &body).expect(202);
    let path = format!("/operations/{}", made["operation_id"].as_str().unwrap());
    let live: Vec<Happened> = server.follow(&server.admin, &path, None).collect();
    let late: Vec<Happened> = server.follow(&server.admin, &path, None).collect();
    let told =
        |all: &[Happened]| -> Vec<String> { all.iter().map(|it| it.data.to_string()).collect() };
    assert_eq!(told(&live), told(&late));
    let (end, steps) = live.split_last().unwrap();
    assert_eq!(
        (end.name.as_str(), &end.data["state"]),
        ("operation", &json!("succeeded"))
    );
    assert!(
        steps.len() > 3 && steps.iter().all(|it| it.name == "step"),
        "{steps:?}"
    );
    let numbers: Vec<i64> = steps
        .iter()
        .map(|it| it.data["id"].as_i64().unwrap())
        .collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    let second = steps[1].id.as_deref();
    let rest: Vec<Happened> = server.follow(&server.admin, &path, second).collect();
    assert_eq!(told(&rest), told(&live[2..]));
    assert_eq!(server.get(&path).expect(200), end.data);
    server
        .delete(&format!("/sandboxes/{name}?force=true"))
        .expect(200);
    stage.nothing_was_made();
}

#[test]
fn everybody_is_told_of_what_is_his_administrators_of_all_and_who_comes_again_misses_nothing() {
    let stage = Stage::new();
    let settings = stage.file("server.toml", "[members]\nimage = true\n");
    let mut server = Server::start(&stage, &["--config", &settings]);
    let (ada, bob) = (server.member("ada"), server.member("bob"));
    let mut all = server.follow(&server.admin, "/events", None);
    let mut hers = server.follow(&ada, "/events", None);
    let mut his = server.follow(&bob, "/events", None);
    for following in [&mut all, &mut hers, &mut his] {
        assert_eq!(following.next().unwrap().data, json!({ "resumed": false }));
    }
    let body = json!({ "image": DEBIAN, "name": stage.name() });
    let made = server
        .ask(&ada, "POST", "/sandboxes?wait=60", Some(&body))
        .expect(202);
    assert_eq!(made["state"], "started", "{made}");
    let path = format!("/sandboxes/{}", made["id"].as_str().unwrap());
    // Steps of its operation are told beside it, in no order with it.
    let begun = hers.until(|it| it.name == "sandbox").unwrap();
    assert_eq!(begun.data["state"], "initializing");
    let is_ready = |it: &Happened| it.name == "sandbox" && it.data["state"] == "started";
    let ready = hers.until(is_ready).unwrap();
    assert_eq!(ready.data["id"], made["id"]);
    all.until(is_ready).unwrap();

    // What somebody else does by the engine alone is told too (how soon, `make bench-server` says).
    crate::support::docker(&["kill", made["name"].as_str().unwrap()]);
    let killed = hers
        .until(|it| it.name == "sandbox" && it.data["state"] == "stopped")
        .unwrap();
    server
        .ask(&ada, "DELETE", &format!("{path}?force=true"), None)
        .expect(200);
    hers.until(is("sandbox_gone")).unwrap();
    let mut again = server.follow(&ada, "/events", killed.id.as_deref());
    assert_eq!(again.next().unwrap().data, json!({ "resumed": true }));
    let missed = again.until(is("sandbox_gone")).unwrap();
    assert_eq!(missed.data["id"], made["id"]);

    // The end of the server ends them all; of the other one's sandbox nothing was told.
    assert_eq!(server.signal(Signal::TERM).code, 0);
    assert_eq!(his.collect::<Vec<_>>().len(), 0);
    server.again();
    let mut anew = server.follow(&ada, "/events", missed.id.as_deref());
    assert_eq!(anew.next().unwrap().data, json!({ "resumed": false }));
    stage.nothing_was_made();
}

#[test]
fn who_loses_the_right_to_follow_follows_no_more() {
    let stage = Stage::new();
    let server = Server::start(&stage, &[]);
    let ada = server.member("ada");
    let mut following = server.follow(&ada, "/events", None);
    following.next().unwrap();
    let me = server.ask(&ada, "GET", "/me", None).expect(200);
    let out = json!({ "disabled": true });
    let path = format!("/users/{}", me["id"].as_str().unwrap());
    server
        .ask(&server.admin, "PATCH", &path, Some(&out))
        .expect(200);
    assert_eq!(following.count(), 0, "it ends at the next sign of life");
    assert_eq!(server.ask(&ada, "GET", "/events", None).status, 401);
}

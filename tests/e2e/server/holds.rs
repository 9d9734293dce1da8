//! How long an answer is held, and what goes on once it was given.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::client::Server;
use crate::support::{DEBIAN, Stage, eventually};

/// An image with an agent that takes its time.
fn with_agent(stage: &Stage) -> String {
    stage.image(&format!(
        "FROM {DEBIAN}\nRUN printf '%s\\n' '#!/bin/sh' 'said=$(cat)' 'sleep 4' \
         'echo \"{{\\\"type\\\":\\\"result\\\",\\\"result\\\":\\\"heard $said\\\",\\\"is_error\\\":false}}\"' \
         >/usr/local/bin/claude && chmod 755 /usr/local/bin/claude\n"
    ))
}

/// A server that holds the answer to one of what takes long for a second.
fn hurried<'a>(stage: &'a Stage, held: &str) -> Server<'a> {
    let config = stage.file("server.toml", &format!("[holds]\n{held} = 1\n"));
    Server::start(stage, &["--config", &config])
}

/// What the agent of a sandbox was told and answered first.
fn first_messages(server: &Server<'_>, sandbox: &str) -> Vec<Value> {
    let latest = server.get(&format!("/sandboxes/{sandbox}/sessions/latest"));
    if latest.status == 404 {
        return Vec::new();
    }
    let latest = latest.expect(200);
    let path = format!("/agent-sessions/{}", latest["id"].as_str().unwrap());
    let session = server.get(&path).expect(200);
    let messages = session["messages"].as_array().unwrap().iter();
    messages.map(|it| it["content"].clone()).collect()
}

#[test]
fn a_wait_ends_when_its_time_is_up_and_the_create_goes_on() {
    let stage = Stage::new();
    let server = Server::start(&stage, &[]);
    let body = json!({ "name": stage.name(), "image": DEBIAN, "setup_script_text": "#!/bin/sh\nsleep 6\n" });
    let made = server.post("/sandboxes?wait=1", &body).expect(202);
    assert_eq!(made["state"], "initializing", "{made}");
    let id = made["id"].as_str().unwrap();
    server.until(id, "started");
    server.remove(id);
}

#[test]
fn a_turn_that_takes_longer_than_its_answer_is_held_goes_on_as_a_job() {
    let stage = Stage::new();
    let server = hurried(&stage, "agent_send");
    let made = server.create(&with_agent(&stage), json!({}));
    let id = made["id"].as_str().unwrap();
    let send = json!({ "message": "hello", "agent": "claude" });
    let late = server
        .post(&format!("/sandboxes/{id}/agent-send"), &send)
        .expect(504);
    assert_eq!(late["code"], "agent_timeout", "{late}");
    let message = late["message"].as_str().unwrap();
    let job = message.rsplit_once("job ").unwrap().1;
    let path = format!("/sandboxes/{id}/agent-send-jobs/{job}");
    eventually("the job ends", || {
        server.get(&path).expect(200)["state"] == "completed"
    });
    assert_eq!(server.get(&path).expect(200)["result_text"], "heard hello");
    let send = json!({ "message": "again", "agent": "claude", "sandbox_id": id });
    let late = server.post("/agent-sessions", &send).expect(504);
    assert_eq!(late["code"], "agent_timeout", "{late}");
    server.remove(id);
}

#[test]
fn a_deletion_is_answered_before_its_end_where_that_takes_long() {
    let stage = Stage::new();
    let mut server = hurried(&stage, "delete");
    let proxy = stage.engine_proxy();
    server.signal(Signal::TERM);
    server.again_with(&[("DOCKER_HOST", &proxy.host())]);
    let made = server.create(DEBIAN, json!({}));
    let path = format!("/sandboxes/{}", made["id"].as_str().unwrap());
    proxy.hold_one("DELETE /");
    let answered = server.delete(&path).expect(200);
    assert_eq!(answered, json!({ "ok": true, "kept_volumes": [] }));
    proxy.holds();
    assert_eq!(server.get(&path).expect(200)["state"], "deleting");
    proxy.let_go();
    eventually("it is deleted", || server.get(&path).status == 404);
    stage.nothing_was_made();
}

#[test]
fn a_first_message_outlives_a_server_that_is_killed_before_it_was_given() {
    let stage = Stage::new();
    let mut server = Server::start(&stage, &[]);
    let image = with_agent(&stage);
    let body = json!({
        "image": image, "initial_prompt": "begin", "agent": "claude",
        "setup_script_text": "#!/bin/sh\nsleep 5\n",
    });
    let create = |server: &Server<'_>, name: &str, more: Value| -> String {
        let mut body = body.clone();
        body["name"] = name.into();
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let made = server.post("/sandboxes", &body).expect(202);
        made["id"].as_str().unwrap().to_owned()
    };
    let told = create(&server, &stage.name(), json!({}));
    let failed = create(
        &server,
        &stage.name(),
        json!({ "setup_script_text": "#!/bin/sh\nsleep 5; exit 3\n" }),
    );
    for id in [&told, &failed] {
        eventually("setup runs", || {
            let seen = server.get(&format!("/sandboxes/{id}")).expect(200);
            seen["setup_status"] == "setup-running"
        });
    }
    server.signal(Signal::KILL);
    server.again();
    eventually("the agent answers", || {
        first_messages(&server, &told).len() == 2
    });
    assert_eq!(first_messages(&server, &told), ["begin", "heard begin"]);
    // A setup that failed has nobody to be told.
    server.until(&failed, "failed");

    // It is told once, however often the server ends.
    for signal in [Signal::KILL, Signal::TERM] {
        server.signal(signal);
        server.again();
    }
    std::thread::sleep(Duration::from_secs(3));
    let sessions =
        |id: &str| server.get(&format!("/sandboxes/{id}/sessions")).expect(200)["total"].clone();
    assert_eq!((sessions(&told), sessions(&failed)), (json!(1), json!(0)));
    server.remove(&told);
    server.remove(&failed);
}

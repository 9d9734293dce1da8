//! The real agents of the preset in a sandbox of the server's, with a stand-in of the models' services beside them: no
//! account, and no service but that one.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::client::{Answer, Server};
use crate::support::{DEBIAN, Stage, preset};

const PORT: &str = "8099";
const FILES: &str = "/tmp/standin";
/// What the agents write.
const WRITTEN: &str = "/home/amika/workspace/written";
const ANSWER: &str = "It is written.";

/// The stand-in, started by the setup script, with configurations in which the agents know no other service.
fn setup() -> String {
    let model = include_str!("../../standin/model.mjs");
    let base = format!("http://127.0.0.1:{PORT}");
    let codex = format!(
        "model_provider = \"standin\"\n[model_providers.standin]\nname = \"stand-in\"\n\
         base_url = \"{base}/v1\"\nwire_api = \"responses\"\nrequires_openai_auth = true\n"
    );
    let opencode = json!({
        "model": "anthropic/claude-sonnet-4-5",
        "provider": {"anthropic": {"options": {"baseURL": format!("{base}/v1")}}},
    });
    format!(
        "#!/bin/sh\nset -e\ncat >/tmp/model.mjs <<'END-OF-FILE'\n{model}\nEND-OF-FILE\n\
         mkdir -p /home/amika/.codex /home/amika/.config/opencode {FILES}\n\
         cat >/home/amika/.codex/config.toml <<'END-OF-FILE'\n{codex}\nEND-OF-FILE\n\
         cat >/home/amika/.config/opencode/opencode.json <<'END-OF-FILE'\n{opencode}\nEND-OF-FILE\n\
         cat >{FILES}/script.json <<'END-OF-FILE'\n{}\nEND-OF-FILE\n\
         chmod -R a+rwX {FILES}\n\
         setsid node /tmp/model.mjs {PORT} {FILES} </dev/null >/tmp/model.log 2>&1 &\n\
         for _ in $(seq 100); do grep -q listens /tmp/model.log && exit 0; sleep 0.1; done; exit 1\n",
        json!({"turns": [{"text": "Hello first."}]})
    )
}

fn server(stage: &Stage) -> Server<'_> {
    let base = format!("http://127.0.0.1:{PORT}");
    let config = stage.file(
        "server.toml",
        &format!(
            "[agent_env]\nANTHROPIC_BASE_URL = \"{base}\"\nCLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC = \"1\"\n\
             OPENCODE_DISABLE_MODELS_FETCH = \"1\"\n"
        ),
    );
    let server = Server::start(stage, &["--config", &config]);
    for (kind, value) in [
        ("claude", "CANARY-claude".to_owned()),
        ("codex", "CANARY-codex".to_owned()),
        (
            "opencode-auth",
            json!({"anthropic": {"type": "api", "key": "CANARY-opencode"}}).to_string(),
        ),
    ] {
        let body = json!({ "name": "key", "type": "api_key", "value": value });
        server.post(&format!("/secrets/{kind}"), &body).expect(201);
    }
    server
}

fn sandbox(stage: &Stage, server: &Server<'_>, more: &Value) -> String {
    preset(stage);
    let mut body = json!({
        "preset": "coder",
        "name": stage.name(),
        "setup_script_text": setup(),
        "amika_opencode_web": "0",
        "agent_credentials": [{ "kind": "claude" }, { "kind": "codex" }, { "kind": "opencode" }],
    });
    let members = body.as_object_mut().unwrap();
    members.extend(more.as_object().unwrap().clone());
    let made = server.post("/sandboxes?wait=90", &body).expect(202);
    assert_eq!(made["state"], "started", "{made}");
    made["id"].as_str().unwrap().to_owned()
}

fn said(server: &Server<'_>, id: &str, script: &str, input: &str) -> String {
    let exec = json!({ "cmd": ["sh", "-c", script], "stdin": input });
    let ran = server.post(&format!("/sandboxes/{id}/exec"), &exec);
    ran.expect(200)["stdout"].as_str().unwrap().to_owned()
}

/// What the model answers from now on, turn by turn.
fn script(server: &Server<'_>, id: &str, turns: &Value) {
    let put = format!("cat >{FILES}/script.json; rm -f {FILES}/*.jsonl {WRITTEN}");
    said(server, id, &put, &json!({ "turns": turns }).to_string());
}

#[track_caller]
fn nothing_was_refused(server: &Server<'_>, id: &str) {
    let refused = said(
        server,
        id,
        &format!("cat {FILES}/refused.jsonl 2>&- || :"),
        "",
    );
    assert_eq!(refused, "", "the stand-in knows no such request");
}

/// A whole turn with a tool, and a second one that knows the first.
fn a_turn_and_the_next(agent: &str, call: &Value) {
    let stage = Stage::new();
    let server = server(&stage);
    let id = sandbox(&stage, &server, &json!({}));
    let of = |rest: &str| format!("/sandboxes/{id}{rest}");
    script(&server, &id, &json!([call, {"text": ANSWER}]));
    let message = "write it \"$(id)\" --help";
    let body = json!({ "message": message, "agent": agent });
    let first = server.post(&of("/agent-send"), &body).expect(200);
    nothing_was_refused(&server, &id);
    assert_eq!(first["response"], ANSWER, "{first}");
    assert_eq!(
        (&first["is_error"], &first["is_new_session"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(
        said(
            &server,
            &id,
            &format!("cat {WRITTEN}; stat -c %U {WRITTEN}"),
            ""
        ),
        "hello\namika\n"
    );
    let its_id = first["agent_session_id"].as_str().unwrap().to_owned();
    let requests = said(&server, &id, &format!("cat {FILES}/requests.jsonl"), "");
    assert!(
        requests.contains(&format!("CANARY-{agent}")),
        "it signs in with what is kept"
    );

    let session = first["session_id"].as_str().unwrap();
    let shown = server.get(&of("")).expect(200);
    assert_eq!(shown["current_session_id"], session);
    // The last session goes on, as a job that nobody waits for.
    said(&server, &id, &format!("rm {FILES}/requests.jsonl"), "");
    let body = json!({ "message": "and again" });
    let job = server.post(&of("/agent-send-jobs"), &body).expect(202);
    assert_eq!(job["state"], "running");
    let path = of(&format!(
        "/agent-send-jobs/{}",
        job["job_id"].as_str().unwrap()
    ));
    let begun = Instant::now();
    let ended = loop {
        let job = server.get(&path).expect(200);
        if job["state"] != "running" {
            break job;
        }
        assert!(begun.elapsed() < Duration::from_mins(1), "{job}");
        std::thread::sleep(Duration::from_millis(200));
    };
    nothing_was_refused(&server, &id);
    assert_eq!(
        (&ended["state"], &ended["result_text"], &ended["is_error"]),
        (&json!("completed"), &json!(ANSWER), &json!(false)),
        "{ended}"
    );
    assert_eq!(
        (
            &ended["session_id"],
            &ended["agent_session_id"],
            &ended["is_new_session"]
        ),
        (&json!(session), &json!(its_id), &json!(false))
    );
    let requests = said(&server, &id, &format!("cat {FILES}/requests.jsonl"), "");
    for earlier in ["write it", "--help", ANSWER, "and again"] {
        assert!(
            requests.contains(earlier),
            "the model is told what was said before: {earlier}"
        );
    }
    let detail = server
        .get(&format!("/agent-sessions/{session}"))
        .expect(200);
    let told: Vec<(&str, &str)> = detail["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| {
            (
                it["role"].as_str().unwrap(),
                it["content"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("user", message),
            ("assistant", ANSWER),
            ("user", "and again"),
            ("assistant", ANSWER)
        ]
    );
    // What agents are given of the configuration nobody else is.
    assert_eq!(
        said(&server, &id, "echo ${ANTHROPIC_BASE_URL-unset}", ""),
        "unset\n"
    );
    server.delete(&of("?force=true")).expect(200);
    assert_eq!(detail["sandbox_id"], *id);
}

#[test]
fn claude_code_does_a_turn_and_remembers_it_in_the_next() {
    let input = json!({"file_path": WRITTEN, "content": "hello\n"});
    a_turn_and_the_next("claude", &json!({"tool": "Write", "input": input}));
}

#[test]
fn codex_does_a_turn_and_remembers_it_in_the_next() {
    let script = format!("text(await tools.exec_command({{cmd: 'echo hello >{WRITTEN}'}}))");
    a_turn_and_the_next(
        "codex",
        &json!({"tool": "exec", "custom": true, "input": script}),
    );
}

#[test]
fn opencode_does_a_turn_and_remembers_it_in_the_next() {
    let input = json!({"filePath": WRITTEN, "content": "hello\n"});
    a_turn_and_the_next("opencode", &json!({"tool": "write", "input": input}));
}

/// Events of a stream: name and data.
fn events(answer: &Answer) -> Vec<(String, Value)> {
    assert_eq!(answer.status, 200, "{answer:?}");
    let mut events = Vec::new();
    let mut name = String::new();
    for line in answer.body.lines() {
        if let Some(event) = line.strip_prefix("event: ") {
            event.clone_into(&mut name);
        }
        if let Some(data) = line.strip_prefix("data: ") {
            events.push((name.clone(), serde_json::from_str(data).unwrap()));
        }
    }
    events
}

#[test]
fn a_first_message_is_given_after_setup_and_a_conversation_is_read_along() {
    let stage = Stage::new();
    let mut server = server(&stage);
    let id = sandbox(
        &stage,
        &server,
        &json!({ "initial_prompt": "begin", "agent": "claude" }),
    );
    let of = |rest: &str| format!("/sandboxes/{id}{rest}");
    let begun = Instant::now();
    let latest = loop {
        let latest = server.get(&of("/sessions/latest"));
        if latest.status == 200 {
            break latest.expect(200);
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{latest:?}");
        std::thread::sleep(Duration::from_millis(100));
    };
    assert_eq!(
        (&latest["agent_name"], &latest["status"]),
        (&json!("claude"), &json!("active"))
    );
    let session = latest["id"].as_str().unwrap();
    let path = format!("/agent-sessions/{session}");
    let begun = Instant::now();
    let messages = loop {
        let messages = server.get(&path).expect(200)["messages"].clone();
        if messages.as_array().unwrap().len() == 2 {
            break messages;
        }
        assert!(begun.elapsed() < Duration::from_mins(1), "{messages}");
        std::thread::sleep(Duration::from_millis(200));
    };
    assert_eq!(
        (&messages[0]["content"], &messages[1]["content"]),
        (&json!("begin"), &json!("Hello first."))
    );

    let body = json!({ "message": "go on", "session_id": session });
    let told = events(&server.post("/agent-sessions/stream", &body));
    let names: Vec<&str> = told.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names.first(), Some(&"status"), "{told:?}");
    assert_eq!(told[0].1["sandbox_id"], *id);
    assert!(
        told.iter()
            .any(|(name, data)| name == "delta" && data["text"] == "Hello first."),
        "{told:?}"
    );
    let (name, done) = told.last().unwrap();
    assert_eq!(
        (name.as_str(), &done["response"], &done["is_new_session"]),
        ("done", &json!("Hello first."), &json!(false)),
        "{done}"
    );

    let words = json!({ "metadata": { "a": 1 } });
    let path = of(&format!("/sessions/{session}"));
    let changed = server
        .ask(&server.admin, "PATCH", &path, Some(&words))
        .expect(200);
    assert_eq!(changed["metadata"], json!({ "a": 1 }));
    let listed = server
        .get(&of("/sessions?status=active&limit=1"))
        .expect(200);
    assert_eq!(
        (&listed["total"], &listed["sessions"][0]["id"]),
        (&json!(1), &json!(session))
    );
    assert_eq!(
        server.get(&of("/sessions?status=failed")).expect(200)["total"],
        0
    );

    // A turn outlives the server that began it.
    let slow = "#!/bin/sh\ncat >/dev/null; sleep 4\necho '{\"type\":\"result\",\"result\":\"slow\",\"is_error\":false}'\n";
    let put = "at=$(command -v claude); rm \"$at\"; cat >\"$at\"; chmod 755 \"$at\"";
    let put = json!({ "cmd": ["sh", "-c", put], "stdin": slow, "root": true });
    let put = server.post(&of("/exec"), &put).expect(200);
    assert_eq!(put["exit_code"], 0, "{put}");
    let body = json!({ "message": "slowly", "new_session": true, "agent": "claude" });
    let job = server.post(&of("/agent-send-jobs"), &body).expect(202);
    let busy = json!({ "message": "at once", "session_id": job["session_id"] });
    assert_eq!(server.post(&of("/agent-send"), &busy).status, 409);
    std::thread::sleep(Duration::from_secs(1));
    server.signal(rustix::process::Signal::KILL);
    server.again();
    let path = of(&format!(
        "/agent-send-jobs/{}",
        job["job_id"].as_str().unwrap()
    ));
    let begun = Instant::now();
    loop {
        let job = server.get(&path).expect(200);
        if job["state"] == "completed" {
            assert_eq!(job["result_text"], "slow", "{job}");
            break;
        }
        assert_eq!(job["state"], "running", "{job}");
        assert!(begun.elapsed() < Duration::from_secs(30), "{job}");
        std::thread::sleep(Duration::from_millis(200));
    }
    server.delete(&of("?force=true")).expect(200);
}

#[test]
fn an_agent_that_is_signed_out_or_not_there_is_told_as_such() {
    let stage = Stage::new();
    let image = stage.image(&format!(
        "FROM {DEBIAN}\nRUN printf '%s\\n' '#!/bin/sh' 'cat >/dev/null' \
         'echo \"{{\\\"type\\\":\\\"assistant\\\",\\\"error\\\":\\\"authentication_failed\\\"}}\"' \
         'echo \"{{\\\"type\\\":\\\"result\\\",\\\"is_error\\\":true,\\\"result\\\":\\\"Not logged in\\\"}}\"' 'exit 1' >/usr/bin/claude && \
         chmod +x /usr/bin/claude\n"
    ));
    let server = Server::start(&stage, &[]);
    let made = server.create(&image, json!({}));
    let id = made["id"].as_str().unwrap();
    let path = format!("/sandboxes/{id}/agent-send");
    let out = server.post(&path, &json!({ "message": "hi" })).expect(502);
    assert_eq!(
        (&out["code"], &out["error_code"]),
        (&json!("agent_auth"), &json!("agent_auth")),
        "{out}"
    );
    let details: Value = serde_json::from_str(out["details"].as_str().unwrap()).unwrap();
    assert_eq!(
        details,
        json!({ "is_error": true, "result": "authentication_error: Not logged in" })
    );
    // The command line asks before it starts one in vain.
    let name = made["name"].as_str().unwrap();
    for more in [&[][..], &["-d"]] {
        let prompt = [&["sandbox", "prompt", name, "hi"], more].concat();
        let refused = server.amika(&prompt).output();
        refused.ended(
            125,
            &["claude in sandbox", "is not signed in", "secret push"],
        );
    }
    let whole = json!({ "message": "hi", "sandbox_id": id });
    let whole = server.post("/agent-sessions", &whole).expect(200);
    assert_eq!(
        (&whole["is_error"], &whole["created_sandbox"]),
        (&json!(true), &json!(false)),
        "{whole}"
    );
    // What was said is its user's.
    let bob = server.member("bob");
    let session = whole["session_id"].as_str().unwrap();
    for own in [
        format!("/agent-sessions/{session}"),
        format!("/sandboxes/{id}/sessions/{session}"),
    ] {
        server.get(&own).expect(200);
        assert_eq!(server.ask(&bob, "GET", &own, None).status, 404, "{own}");
    }
    let message = json!({ "message": "hi", "session_id": session });
    for own in ["/agent-sessions", &path] {
        let refused = server.ask(&bob, "POST", own, Some(&message));
        assert_eq!(refused.status, 404, "{own}");
    }
    let missing = server
        .post(&path, &json!({ "message": "hi", "agent": "codex" }))
        .expect(200);
    assert_eq!(missing["is_error"], true);
    assert!(
        missing["response"]
            .as_str()
            .unwrap()
            .contains("`codex` not found"),
        "{missing}"
    );
    server
        .post(&format!("/sandboxes/{id}/stop"), &json!({}))
        .expect(202);
    server.until(id, "stopped");
    let stopped = server.post(&path, &json!({ "message": "hi" }));
    assert_eq!(stopped.status, 409, "{stopped:?}");
    server
        .delete(&format!("/sandboxes/{id}?force=true"))
        .expect(200);
}

//! The real agents of the preset, with a stand-in of the models' services beside them: no network, no account.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Output, Sandbox, Stage, preset};

/// Where the stand-in listens in the sandbox, and keeps its files.
const PORT: &str = "8099";
const FILES: &str = "/tmp/standin";
/// What the agents write, beneath the directory that they start in.
const WRITTEN: &str = "/home/amika/workspace/written";
const ANSWER: &str = "It is written.";
/// How long an agent may take beside three others.
const PATIENCE: Duration = Duration::from_mins(3);

/// A sandbox of the preset without a network, in which the stand-in is CMD and the agents know no other
/// service. What else they would look for (versions, lists of models, usage reports) is off.
fn sandbox(stage: &Stage) -> Sandbox<'_> {
    preset(stage);
    let base = format!("http://127.0.0.1:{PORT}");
    let standin = concat!(env!("CARGO_MANIFEST_DIR"), "/standin:/standin:ro");
    let sandbox = stage.adopt(stage.name());
    let anthropic = format!("ANTHROPIC_BASE_URL={base}");
    let mut args = vec!["create", "--name", &sandbox.name, "--network", "none"];
    args.extend(["--no-credentials", "--mount", standin]);
    for variable in [
        anthropic.as_str(),
        "ANTHROPIC_API_KEY=none",
        "OPENAI_API_KEY=none",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1",
        "OPENCODE_DISABLE_MODELS_FETCH=1",
        "AMIKA_OPENCODE_WEB=0",
    ] {
        args.extend(["--env", variable]);
    }
    args.extend(["--", "node", "/standin/model.mjs", PORT, FILES]);
    stage.sandbox_verb(&args).ended(0, &[]);
    sandbox
        .verb("wait", &["--for", &format!("port:{PORT}")])
        .output()
        .ended(0, &[]);
    let codex = format!(
        "model_provider = \"standin\"\n[model_providers.standin]\nname = \"stand-in\"\n\
         base_url = \"{base}/v1\"\nwire_api = \"responses\"\nenv_key = \"OPENAI_API_KEY\"\n"
    );
    put(&sandbox, "/home/amika/.codex/config.toml", &codex);
    let opencode = json!({
        "model": "anthropic/claude-sonnet-4-5",
        "provider": {"anthropic": {"options": {"baseURL": format!("{base}/v1"), "apiKey": "none"}}},
    });
    put(
        &sandbox,
        "/home/amika/.config/opencode/opencode.json",
        &opencode.to_string(),
    );
    sandbox
}

fn put(sandbox: &Sandbox<'_>, path: &str, text: &str) {
    let script = "mkdir -p \"$(dirname \"$0\")\" && cat >\"$0\"";
    let put = sandbox.exec(&["sh", "-c", script, path]).input(text);
    put.output().ended(0, &[]);
}

/// Gives the agent a prompt, upon which the model calls this tool, and then answers.
fn prompted(sandbox: &Sandbox<'_>, agent: &str, options: &[&str], call: &Value) -> Output {
    let script = json!({"turns": [call, {"text": ANSWER}]});
    put(
        sandbox,
        &format!("{FILES}/script.json"),
        &script.to_string(),
    );
    sandbox.exec(&["rm", "-f", WRITTEN]).output().ended(0, &[]);
    let mut args = vec!["write it", "--agent", agent];
    args.extend(options);
    let output = sandbox.verb("prompt", &args).output();
    let refused = sandbox
        .exec(&[
            "sh",
            "-c",
            "cat \"$0\" 2>&- || :",
            &format!("{FILES}/refused.jsonl"),
        ])
        .output()
        .stdout_text();
    assert_eq!(
        refused, "",
        "the stand-in knows no such request: {output:?}"
    );
    output
}

fn written(sandbox: &Sandbox<'_>) -> Option<String> {
    let read = sandbox.exec(&["cat", WRITTEN]).output();
    (read.code == 0).then(|| read.stdout_text())
}

/// In the sandbox the agent may write; with `--ask` it may not, and that is no success.
fn writes_unless_it_is_to_ask(agent: &str, call: &Value) {
    let stage = Stage::new();
    let sandbox = sandbox(&stage);
    let allowed = prompted(&sandbox, agent, &[], call);
    allowed.ended(0, &[]);
    assert_eq!(allowed.stdout_text().trim_end(), ANSWER, "{allowed:?}");
    assert_eq!(written(&sandbox).as_deref(), Some("hello\n"), "{allowed:?}");

    let asking = prompted(&sandbox, agent, &["--ask"], call);
    asking.ended(1, &["was refused", "`--ask`"]);
    assert_eq!(written(&sandbox), None, "{asking:?}");
}

#[test]
fn claude_code_writes_a_file_unless_it_is_to_ask() {
    let input = json!({"file_path": WRITTEN, "content": "hello\n"});
    writes_unless_it_is_to_ask("claude", &json!({"tool": "Write", "input": input}));
}

#[test]
fn codex_writes_a_file_unless_it_is_to_ask() {
    let script = format!("text(await tools.exec_command({{cmd: 'echo hello >{WRITTEN}'}}))");
    let call = json!({"tool": "exec", "custom": true, "input": script});
    writes_unless_it_is_to_ask("codex", &call);
}

#[test]
fn opencode_writes_a_file_unless_it_is_to_ask() {
    let input = json!({"filePath": WRITTEN, "content": "hello\n"});
    writes_unless_it_is_to_ask("opencode", &json!({"tool": "write", "input": input}));
}

/// Asserts that the model was once asked in a conversation that has both.
fn are_of_one_conversation(sandbox: &Sandbox<'_>, words: [&str; 2]) {
    let file = format!("{FILES}/requests.jsonl");
    let requests = sandbox.exec(&["cat", &file]).output().stdout_text();
    let has_both = |line: &str| words.iter().all(|word| line.contains(word));
    assert!(requests.lines().any(has_both), "{words:?}: {requests}");
}

/// The second prompt goes on with the first one's session, its events are lines of JSON, and as a job it answers just so.
fn goes_on_and_tells(agent: &str) {
    let stage = Stage::new();
    let sandbox = sandbox(&stage);
    let prompted = |prompt: &str, options: &[&str]| {
        let script = json!({"turns": [{"text": ANSWER}]}).to_string();
        put(&sandbox, &format!("{FILES}/script.json"), &script);
        let output = sandbox
            .verb("prompt", &[&[prompt, "--agent", agent], options].concat())
            .limit(PATIENCE)
            .output();
        output.ended(0, &[]);
        output.stdout_text()
    };
    assert_eq!(prompted("the first word", &[]).trim_end(), ANSWER);
    let told = prompted("the second word", &["--continue", "--events"]);
    let events: Vec<Value> = told
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(events.len() > 1 && told.contains(ANSWER), "{told}");
    are_of_one_conversation(&sandbox, ["the first word", "the second word"]);
    let job = prompted("the third word", &["--continue", "-d"]);
    let job = job.trim_end();
    sandbox
        .verb("wait", &["--for", &format!("job:{job}")])
        .limit(PATIENCE)
        .output()
        .ended(0, &[]);
    let log = sandbox.verb("logs", &["--job", job]).output().stdout_text();
    assert!(log.contains(ANSWER), "{log}");
    are_of_one_conversation(&sandbox, ["the first word", "the third word"]);
}

#[test]
fn claude_code_goes_on_with_its_session_and_tells_what_it_does() {
    goes_on_and_tells("claude");
}

#[test]
fn codex_goes_on_with_its_session_and_tells_what_it_does() {
    goes_on_and_tells("codex");
}

#[test]
fn opencode_goes_on_with_its_session_and_tells_what_it_does() {
    goes_on_and_tells("opencode");
}

#[test]
fn the_stand_in_answers_500_to_what_the_agents_do_not_send() {
    let stage = Stage::new();
    let sandbox = sandbox(&stage);
    put(
        &sandbox,
        &format!("{FILES}/script.json"),
        r#"{"turns":[{"text":"hi"}]}"#,
    );
    let body = json!({"model": "m", "max_tokens": 1, "system": [], "messages": [], "stream": true});
    let with = |key: &str, value: Value| {
        let mut body = body.clone();
        body[key] = value;
        body.to_string()
    };
    let asked = |agent: &str, path: &str, body: &str| {
        let url = format!("http://127.0.0.1:{PORT}{path}");
        let program = format!("User-Agent: {agent}");
        let curl = [
            "curl",
            "-sS",
            "-m",
            "10",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
            "-H",
            &program,
            "-H",
            "x-api-key: none",
            "-H",
            "anthropic-version: 2023-06-01",
            "-d",
            body,
            &url,
        ];
        sandbox.exec(&curl).output().stdout_text()
    };
    let right = body.to_string();
    assert_eq!(asked("opencode/1", "/v1/messages", &right), "200");
    let wrong = [
        ("curl/8", "/v1/messages", right.clone()),
        ("opencode/1", "/v1/messages?beta=true", right.clone()),
        ("claude-cli/2", "/v1/models", right.clone()),
        ("opencode/1", "/v1/messages", with("stream", json!(false))),
        ("opencode/1", "/v1/messages", with("new", json!(1))),
        ("opencode/1", "/v1/messages", "no json".to_owned()),
    ];
    for (agent, path, body) in &wrong {
        assert_eq!(asked(agent, path, body), "500", "{agent} {path} {body}");
    }
    let recorded = sandbox
        .exec(&["cat", &format!("{FILES}/refused.jsonl")])
        .output();
    assert_eq!(
        recorded.stdout_text().lines().count(),
        wrong.len(),
        "{recorded:?}"
    );
}

use pretty_assertions::assert_eq;
use proptest::prelude::*;
use serde_json::json;

use super::*;

const HOME: &str = "/home/ada";

fn of(path: &str) -> (Format, &'static Rule) {
    let item = ITEMS
        .iter()
        .find(|item| item.path == path)
        .expect("an item");
    match item.kind {
        Kind::Settings(format, rule) => (format, rule),
        other => panic!("{other:?}"),
    }
}

/// What is kept of a text, as a value, and what is left out.
fn kept(path: &str, text: &str) -> (Value, Vec<String>) {
    let (format, rule) = of(path);
    let kept = keep(format, rule, text, HOME).expect("a text");
    let value = kept.text.map_or(Value::Null, |text| match format {
        Format::Json => serde_json::from_str(&text).expect("json"),
        Format::Toml => toml::from_str(&text).expect("toml"),
    });
    (value, kept.left)
}

#[test]
fn settings_of_claude_come_along_without_programs_and_secrets() {
    let text = r#"{
        "model": "opus", "env": { "ANTHROPIC_API_KEY": "k" }, "apiKeyHelper": "/home/ada/key.sh",
        "hooks": {}, "statusLine": { "type": "command", "command": "~/x" },
        "permissions": { "allow": ["Bash(npm:*)", "Read(//home/ada/notes/**)"], "additionalDirectories": ["/srv"], "defaultMode": "plan" },
        "unheard": 1
    }"#;
    let (value, left) = kept(".claude/settings.json", text);
    assert_eq!(
        value,
        json!({ "model": "opus", "permissions": { "allow": ["Bash(npm:*)"], "defaultMode": "plan" } })
    );
    assert_eq!(
        left,
        [
            "apiKeyHelper",
            "env",
            "hooks",
            "permissions.additionalDirectories",
            "permissions.allow",
            "statusLine",
            "unheard",
        ]
    );
}

#[test]
fn commands_that_were_allowed_once_bring_no_secret_along() {
    let text = r#"{ "permissions": { "allow": ["Bash(PGPASSWORD=x psql)", "Bash(curl -H 'Authorization: Bearer x')", "Read(~/notes/**)", "Bash(ls:*)"] } }"#;
    let (value, left) = kept(".claude/settings.json", text);
    assert_eq!(value, json!({ "permissions": { "allow": ["Bash(ls:*)"] } }));
    assert_eq!(left, ["permissions.allow"]);
}

#[test]
fn a_model_of_a_provider_that_stays_here_does_too_and_nobody_shares_unasked() {
    let text = r#"{ "model": "mine/m", "small_model": "other/m", "provider": { "mine": {} }, "share": "auto",
        "permission": { "bash": { "rm *": "deny", "/home/ada/x": "allow" } },
        "agent": { "a": { "prompt": "{file:./p.md}", "mode": "subagent" } } }"#;
    let (value, left) = kept(".config/opencode/opencode.json", text);
    assert_eq!(
        value,
        json!({
            "small_model": "other/m",
            "permission": { "bash": { "rm *": "deny" } },
            "agent": { "a": { "mode": "subagent" } },
        })
    );
    let expected = [
        "agent.a.prompt",
        "model",
        "permission.bash./home/ada/x",
        "provider",
        "share",
    ];
    assert_eq!(left, expected);
    let text = "model = \"llama\"\nmodel_provider = \"ollama\"\n";
    let (value, left) = kept(".codex/config.toml", text);
    assert_eq!(value, Value::Null);
    assert_eq!(left, ["model", "model_provider"]);
}

#[test]
fn of_claudes_state_only_servers_come_along() {
    let text = r#"{ "projects": { "/home/ada/x": { "history": [] } }, "oauthAccount": { "emailAddress": "a@b" },
        "mcpServers": { "docs": { "type": "http", "url": "https://mcp.example/docs", "headers": { "Authorization": "Bearer x" } } } }"#;
    let (value, left) = kept(CLAUDE_STATE, text);
    let docs = json!({ "type": "http", "url": "https://mcp.example/docs" });
    assert_eq!(value, json!({ "mcpServers": { "docs": docs } }));
    assert_eq!(left, ["mcpServers.docs.headers"]);
    assert_eq!(
        kept(CLAUDE_STATE, r#"{ "projects": {} }"#),
        (Value::Null, vec![])
    );
}

#[test]
fn settings_of_codex_and_opencode_come_along() {
    let text = "model = \"m\"\nnotify = [\"x\"]\n[projects.\"/home/ada/x\"]\ntrust_level = \"trusted\"\n\
                [mcp_servers.files]\ncommand = \"npx\"\nargs = [\"-y\", \"files\"]\nstartup_timeout_sec = 5\n[mcp_servers.files.env]\nKEY = \"k\"\n";
    let (value, left) = kept(".codex/config.toml", text);
    let files = json!({ "command": "npx", "args": ["-y", "files"], "startup_timeout_sec": 5 });
    assert_eq!(
        value,
        json!({ "model": "m", "mcp_servers": { "files": files } })
    );
    assert_eq!(left, ["mcp_servers.files.env", "notify", "projects"]);

    let text = "{ // mine\n \"theme\": \"x\", \"provider\": { \"p\": { \"options\": { \"apiKey\": \"k\" } } },\n\
                \"instructions\": [\"style.md\", \"/home/ada/style.md\"],\n\
                \"agent\": { \"review\": { \"prompt\": \"look at /api/users\" } },\n\
                \"mcp\": { \"x\": { \"type\": \"local\", \"command\": [\"bun\", \"x\"], \"environment\": {} } }, }";
    let (value, left) = kept(".config/opencode/opencode.jsonc", text);
    assert_eq!(
        value,
        json!({
            "theme": "x",
            "instructions": ["style.md"],
            "agent": { "review": { "prompt": "look at /api/users" } },
            "mcp": { "x": { "type": "local", "command": ["bun", "x"] } },
        })
    );
    assert_eq!(left, ["instructions", "mcp.x.environment", "provider"]);
}

#[test]
fn a_server_that_is_of_this_machine_or_holds_a_secret_stays() {
    for (server, is_kept) in [
        (json!({ "command": "npx", "args": ["-y", "x@1"] }), true),
        (json!({ "command": "npx -y x" }), true),
        (json!({ "command": ["uvx", "x"] }), true),
        (json!({ "command": "/usr/local/bin/x" }), false),
        (json!({ "command": "./x" }), false),
        (
            json!({ "command": "npx", "args": ["x", "/srv/data"] }),
            false,
        ),
        (json!({ "command": "npx", "args": ["x", "~/notes"] }), false),
        (
            json!({ "command": "npx", "args": ["x", "--dir=/home/ada/notes"] }),
            false,
        ),
        (
            json!({ "command": "npx", "args": ["x", "--api-key", "k"] }),
            false,
        ),
        (
            json!({ "command": "npx", "args": ["x", "API_TOKEN=k"] }),
            false,
        ),
        (json!({ "command": "npx", "args": ["x", 1] }), false),
        (json!({ "command": {} }), false),
        (json!({ "args": ["x"] }), false),
        (json!({ "url": "https://mcp.example/a" }), true),
        (json!({ "url": "https://mcp.example/a?key=k" }), false),
        (json!({ "url": "https://u:p@mcp.example/" }), false),
        (
            json!({ "url": "https://mcp.example/s/Zm9vYmFyYmF6cXV4MTIz/mcp" }),
            false,
        ),
        (json!({ "url": "https://mcp.example/a#k" }), false),
        (json!({ "url": "http://[::1]/mcp" }), false),
        (json!({ "url": "http://LOCALHOST./mcp" }), false),
        (
            json!({ "url": "http://host.docker.internal:3000/mcp" }),
            false,
        ),
        (json!({ "command": "npx x --api-key k" }), false),
        (
            json!({ "command": "npx", "args": ["x", "--dir=/srv/x"] }),
            false,
        ),
        (json!({ "command": "npx", "args": ["x", "$HOME/x"] }), false),
        (
            json!({ "command": "npx", "args": ["pg", "postgresql://u:p@db/x"] }),
            false,
        ),
        (
            json!({ "command": "npx", "args": ["x", "--header", "X-Team: a"] }),
            false,
        ),
        (json!({ "url": "http://localhost:3000/mcp" }), false),
        (json!({ "url": "http://127.0.0.1:3000/mcp" }), false),
        (json!({ "url": "unix:/x" }), false),
        (json!({ "url": 1 }), false),
        (json!("npx"), false),
    ] {
        let text = json!({ "mcpServers": { "it": server } }).to_string();
        let (value, left) = kept(CLAUDE_STATE, &text);
        assert_eq!(value != Value::Null, is_kept, "{text}");
        assert_eq!(left.is_empty(), is_kept, "{text}: {left:?}");
    }
}

#[test]
fn what_is_no_settings_says_so() {
    let (format, rule) = of(".codex/config.toml");
    assert!(keep(format, rule, "a = ", HOME).is_err());
    let (format, rule) = of(".claude/settings.json");
    assert!(keep(format, rule, "[]", HOME).is_err());
    assert!(keep(format, rule, "{", HOME).is_err());
    assert_eq!(keep(format, rule, "{}", HOME), Ok(Kept::default()));
}

#[test]
fn no_file_of_secrets_or_histories_is_taken() {
    for name in [
        ".env",
        ".env.local",
        "auth.json",
        ".credentials.json",
        "history.jsonl",
        "server.PEM",
        "id_rsa",
        ".git",
        "x.sqlite",
        "client_secret_1.json",
        "prod.env",
        ".npmrc",
        ".claude.json.api",
    ] {
        assert!(is_left_out(name), "{name}");
    }
    for name in [
        "SKILL.md",
        "run.sh",
        "keynote.md",
        "environment.md",
        "history-of-x",
    ] {
        assert!(!is_left_out(name), "{name}");
    }
    // What holds a sign-in is no item, but for the state of which servers alone are kept.
    for file in crate::credential::FILES {
        let is_item = ITEMS.iter().any(|item| item.path == file.path);
        assert_eq!(is_item, file.path == CLAUDE_STATE, "{}", file.path);
    }
}

proptest! {
    /// Whatever settings say, nothing that is kept names the home of this machine.
    #[test]
    fn no_place_of_this_machine_comes_along(
        keys in prop::collection::vec("(model|permissions|mcpServers|allow|agent|mcp|instructions|[a-z]{1,4})", 1..5),
        word in "[ a-z(=:]{0,4}",
    ) {
        let mut value = json!([format!("{word}{HOME}/x"), "y"]);
        for key in keys {
            value = json!({ key: value });
        }
        for item in ITEMS {
            if let Kind::Settings(Format::Json, rule) = item.kind {
                let kept = keep(Format::Json, rule, &value.to_string(), HOME).expect("an object");
                prop_assert!(!kept.text.unwrap_or_default().contains(HOME));
            }
        }
    }
}

//! The agents' own settings in a sandbox: what comes along is what the agents there read.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::support::{DEBIAN, Sandbox, Stage};

fn put(stage: &Stage, path: &str, content: &str) {
    let path = stage.home().join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn inside(sandbox: &Sandbox<'_>, script: &str) -> String {
    let output = sandbox
        .exec(&["sh", "-c", &format!("cd; {script}")])
        .output();
    assert_eq!(output.code, 0, "{output:?}");
    output.stdout_text()
}

fn fill(stage: &Stage) {
    put(
        stage,
        ".claude/settings.json",
        r#"{ "model": "opus", "env": { "KEY": "canary" }, "hooks": {} }"#,
    );
    put(stage, ".claude/CLAUDE.md", "be brief\n");
    put(
        stage,
        ".claude/skills/tidy/SKILL.md",
        "---\nname: tidy\n---\n",
    );
    put(
        stage,
        ".claude/skills/tidy/run.sh",
        "#!/bin/sh\necho tidy\n",
    );
    let run = stage.home().join(".claude/skills/tidy/run.sh");
    fs::set_permissions(run, PermissionsExt::from_mode(0o755)).unwrap();
    put(stage, ".claude/history.jsonl", "canary\n");
    put(
        stage,
        ".codex/config.toml",
        "model_reasoning_effort = \"low\"\nnotify = [\"canary\"]\n[mcp_servers.docs]\nurl = \"https://mcp.example/docs\"\n\
         [mcp_servers.mine]\ncommand = \"/opt/canary\"\n",
    );
    put(
        stage,
        ".config/opencode/opencode.json",
        r#"{ "mcp": { "docs": { "type": "remote", "url": "https://mcp.example/docs", "headers": { "A": "canary" }, "enabled": false } } }"#,
    );
}

#[test]
fn the_agents_have_the_settings_of_this_machine_and_none_of_its_secrets() {
    let stage = Stage::new();
    fill(&stage);
    let sandbox = stage.adopt(stage.name());
    let created = stage
        .amika(&[
            "sandbox",
            "create",
            "--name",
            &sandbox.name,
            "--opencode",
            "off",
            "--agent-config",
        ])
        .output();
    created.ended(
        0,
        &[
            "left out of ~/.claude/settings.json, since they may be of this machine or secret: env, hooks",
            "left out of ~/.codex/config.toml, since they may be of this machine or secret: mcp_servers.mine, notify",
            "copied in: claude (4 files), codex (1 file), opencode (1 file)",
        ],
    );
    assert_eq!(
        inside(
            &sandbox,
            "cat .claude/CLAUDE.md; .claude/skills/tidy/run.sh"
        ),
        "be brief\ntidy\n"
    );
    assert_eq!(
        inside(
            &sandbox,
            "stat -c '%U %a' .claude/settings.json .claude/skills .claude/skills/tidy/run.sh"
        ),
        "amika 600\namika 700\namika 700\n"
    );
    // The agents themselves read them.
    let codex = inside(&sandbox, "codex mcp list");
    assert!(
        codex.contains("https://mcp.example/docs") && !codex.contains("mine"),
        "{codex}"
    );
    let opencode = inside(&sandbox, "timeout 60 opencode debug config");
    assert!(opencode.contains("https://mcp.example/docs"), "{opencode}");
    assert_eq!(inside(&sandbox, "grep -rl canary . || true"), "");
}

#[test]
fn a_setting_asks_for_them_in_each_sandbox_of_what_is_trusted() {
    let stage = Stage::new();
    fill(&stage);
    let set = stage
        .amika(&["config", "set", "agent_config", "claude"])
        .output();
    set.ended(0, &[]);
    let get = stage.amika(&["config", "get", "agent_config"]).output();
    assert_eq!(get.ended(0, &[]).stdout_text(), "claude\n");
    let path = stage.repository("app", &[("file", "x")]);
    let there = |args: &[&str]| {
        let sandbox = stage.sandbox(DEBIAN, args);
        inside(&sandbox, "ls -A | tr '\\n' ' '")
    };
    let has = |names: String, name: &str| names.split(' ').any(|it| it == name);
    let names = there(&["--git", &path]);
    assert!(has(names.clone(), ".claude") && !has(names, ".codex"));
    // Who is not trusted is given nothing that was not asked for.
    assert!(!has(there(&["--git", &path, "--trust=never"]), ".claude"));
    assert!(has(
        there(&["--git", &path, "--trust=never", "--agent-config=codex"]),
        ".codex"
    ));
    assert!(!has(there(&["--agent-config=none"]), ".claude"));
    let wrong = stage
        .amika(&["sandbox", "create", "--agent-config=gemini"])
        .output();
    wrong.ended(2, &["unknown agent \"gemini\""]);
}

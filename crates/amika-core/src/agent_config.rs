//! Which of an agent's own ways come along into a sandbox: settings, skills, commands, memory files and lists of MCP servers,
//! each by an allow-list. Never histories, sign-ins, programs of this machine or places on it.

mod rule;
mod secret;
mod server;

use serde_json::{Map, Value};

use crate::credential::Agent;
use crate::jsonc;
use rule::{Choice, Rule, keep_by};

/// The largest file that is taken, in bytes.
pub const MAX_FILE: u64 = 1 << 20;
/// The most files of one directory.
pub const MAX_FILES: usize = 1000;
/// The most bytes of all files together.
pub const MAX_BYTES: u64 = 16 << 20;
/// How deep a directory is looked through.
pub const MAX_DEPTH: usize = 8;

/// Something of an agent's that is looked for.
#[derive(Clone, Copy, Debug)]
pub struct Item {
    /// Whose it is.
    pub agent: Agent,
    /// The path relative to the home directory, the same on the host and in the sandbox.
    pub path: &'static str,
    /// What is taken of it.
    pub kind: Kind,
}

/// What is taken of an item.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A file, as it is.
    Text,
    /// The files of a directory, as they are.
    Directory,
    /// Of a file of settings what [`keep`] keeps.
    Settings(Format, &'static Rule),
}

/// How settings are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// JSON, with comments where the agent reads such.
    Json,
    /// TOML
    Toml,
}

const CLAUDE: Rule = Rule::Keys(&[
    ("$schema", Rule::Plain),
    ("alwaysThinkingEnabled", Rule::Plain),
    ("attribution", Rule::Plain),
    ("autoCompactEnabled", Rule::Plain),
    ("cleanupPeriodDays", Rule::Plain),
    ("effortLevel", Rule::Plain),
    ("includeCoAuthoredBy", Rule::Plain),
    ("language", Rule::Plain),
    ("model", Rule::Plain),
    ("outputStyle", Rule::Plain),
    (
        "permissions",
        Rule::Keys(&[
            ("allow", Rule::Plain),
            ("ask", Rule::Plain),
            ("defaultMode", Rule::Plain),
            ("disableBypassPermissionsMode", Rule::Plain),
            ("deny", Rule::Plain),
        ]),
    ),
    ("respectGitignore", Rule::Plain),
    ("showTurnDuration", Rule::Plain),
    ("spinnerTipsEnabled", Rule::Plain),
    ("theme", Rule::Plain),
    ("verbose", Rule::Plain),
]);

/// All else in that file is state and history, and not even named.
const CLAUDE_SERVERS: Rule = Rule::Only("mcpServers", &Rule::Each(&Rule::Server));

const CODEX: Rule = Rule::Keys(&[
    ("analytics", Rule::Plain),
    ("check_for_update_on_startup", Rule::OneOf(&[Choice::No])),
    ("feedback", Rule::Plain),
    ("features", Rule::Plain),
    ("file_opener", Rule::Plain),
    ("hide_agent_reasoning", Rule::Plain),
    ("mcp_servers", Rule::Each(&Rule::Server)),
    ("model", Rule::Plain),
    ("model_reasoning_effort", Rule::Plain),
    ("model_reasoning_summary", Rule::Plain),
    ("model_verbosity", Rule::Plain),
    ("personality", Rule::Plain),
    ("project_doc_max_bytes", Rule::Plain),
    ("show_raw_agent_reasoning", Rule::Plain),
    ("tui", Rule::Plain),
    ("web_search", Rule::Plain),
]);

const OPENCODE: Rule = Rule::Keys(&[
    ("$schema", Rule::Plain),
    ("agent", Rule::Each(&Rule::Plain)),
    ("autoupdate", Rule::OneOf(&[Choice::No])),
    ("command", Rule::Each(&Rule::Plain)),
    ("default_agent", Rule::Plain),
    ("instructions", Rule::Plain),
    ("keybinds", Rule::Plain),
    ("mcp", Rule::Each(&Rule::Server)),
    ("model", Rule::Plain),
    ("permission", Rule::Plain),
    // Whoever shares by itself here does not ask for it there.
    (
        "share",
        Rule::OneOf(&[Choice::Word("disabled"), Choice::Word("manual")]),
    ),
    ("small_model", Rule::Plain),
    ("theme", Rule::Plain),
    ("tools", Rule::Plain),
    ("tui", Rule::Plain),
]);

const fn item(agent: Agent, path: &'static str, kind: Kind) -> Item {
    Item { agent, path, kind }
}

/// Every place that is looked at, and no other.
pub const ITEMS: &[Item] = &[
    item(Agent::Claude, ".claude/CLAUDE.md", Kind::Text),
    item(Agent::Claude, ".claude/keybindings.json", Kind::Text),
    item(Agent::Claude, ".claude/agents", Kind::Directory),
    item(Agent::Claude, ".claude/commands", Kind::Directory),
    item(Agent::Claude, ".claude/output-styles", Kind::Directory),
    item(Agent::Claude, ".claude/rules", Kind::Directory),
    item(Agent::Claude, ".claude/skills", Kind::Directory),
    item(
        Agent::Claude,
        ".claude/settings.json",
        Kind::Settings(Format::Json, &CLAUDE),
    ),
    item(
        Agent::Claude,
        CLAUDE_STATE,
        Kind::Settings(Format::Json, &CLAUDE_SERVERS),
    ),
    item(Agent::Codex, ".codex/AGENTS.md", Kind::Text),
    item(Agent::Codex, ".codex/AGENTS.override.md", Kind::Text),
    item(Agent::Codex, ".codex/prompts", Kind::Directory),
    item(Agent::Codex, ".codex/rules", Kind::Directory),
    item(Agent::Codex, ".codex/skills", Kind::Directory),
    item(Agent::Codex, ".agents/skills", Kind::Directory),
    item(
        Agent::Codex,
        ".codex/config.toml",
        Kind::Settings(Format::Toml, &CODEX),
    ),
    item(Agent::OpenCode, ".config/opencode/AGENTS.md", Kind::Text),
    item(Agent::OpenCode, ".config/opencode/agent", Kind::Directory),
    item(Agent::OpenCode, ".config/opencode/agents", Kind::Directory),
    item(Agent::OpenCode, ".config/opencode/command", Kind::Directory),
    item(
        Agent::OpenCode,
        ".config/opencode/commands",
        Kind::Directory,
    ),
    item(Agent::OpenCode, ".config/opencode/skill", Kind::Directory),
    item(Agent::OpenCode, ".config/opencode/skills", Kind::Directory),
    item(Agent::OpenCode, ".config/opencode/themes", Kind::Directory),
    item(
        Agent::OpenCode,
        ".config/opencode/opencode.json",
        Kind::Settings(Format::Json, &OPENCODE),
    ),
    item(
        Agent::OpenCode,
        ".config/opencode/opencode.jsonc",
        Kind::Settings(Format::Json, &OPENCODE),
    ),
];

/// Where Claude Code keeps its state, and the MCP servers of all projects in it. It comes along with a sign-in as it is.
pub const CLAUDE_STATE: &str = ".claude.json";

/// Names of files and directories that are never taken, wherever they stand: what is nobody's way, and what keys and sign-ins
/// are called.
pub fn is_left_out(name: &str) -> bool {
    const NAMES: [&str; 22] = [
        ".aws",
        ".docker",
        ".ds_store",
        ".git",
        ".git-credentials",
        ".gnupg",
        ".kube",
        ".netrc",
        ".npmrc",
        ".pypirc",
        ".ssh",
        ".venv",
        "__pycache__",
        "auth.json",
        "credentials.json",
        "history",
        "node_modules",
        "secrets.json",
        "token.json",
        "id_rsa",
        "id_ecdsa",
        "id_ed25519",
    ];
    const BEGINNINGS: [&str; 7] = [
        ".claude.json",
        ".claude-oauth",
        ".credentials",
        ".env",
        "client_secret",
        "history.json",
        "service-account",
    ];
    const ENDS: [&str; 11] = [
        ".pem", ".key", ".p12", ".pfx", ".jks", ".env", ".db", ".log", ".sqlite", ".sqlite3",
        "_history",
    ];
    let name = name.to_ascii_lowercase();
    NAMES.contains(&name.as_str())
        || BEGINNINGS.iter().any(|begin| name.starts_with(begin))
        || ENDS.iter().any(|end| name.ends_with(end))
}

/// What was kept of settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// The text that says it; none where nothing is left.
    pub text: Option<String>,
    /// Keys of what was left out, each with those of what it stands in.
    pub left: Vec<String>,
}

/// Keeps of settings what may come along. `home` is the home directory on this machine.
///
/// # Errors
/// Why the text is none of that format.
pub fn keep(format: Format, rule: &Rule, text: &str, home: &str) -> Result<Kept, String> {
    let value = match format {
        Format::Json => json(&jsonc::parse(text).map_err(|problem| problem.title().to_string())?),
        Format::Toml => toml::from_str(text).map_err(|error| error.message().to_owned())?,
    };
    if !value.is_object() {
        return Err("it is no object".to_owned());
    }
    let mut left = Vec::new();
    let value = without_models(value, &mut left);
    let kept = keep_by(rule, value, "", home, &mut left);
    let text = kept.map(|value| match format {
        Format::Json => serde_json::to_string_pretty(&value)
            .map(|text| text + "\n")
            .map_err(|error| error.to_string()),
        Format::Toml => toml::to_string(&value).map_err(|error| error.to_string()),
    });
    left.sort();
    Ok(Kept {
        text: text.transpose()?,
        left,
    })
}

/// Takes out models of a provider that does not come along: with the name alone an agent asks another one for it.
fn without_models(mut value: Value, left: &mut Vec<String>) -> Value {
    let is_other = value.get("model_provider").is_some();
    let own = value.get("provider").and_then(Value::as_object);
    let own: Vec<String> = own
        .into_iter()
        .flat_map(|own| own.keys().cloned())
        .collect();
    for key in ["model", "small_model"] {
        let Some(model) = value.get(key).and_then(Value::as_str) else {
            continue;
        };
        let of_own = model
            .split_once('/')
            .is_some_and(|(provider, _)| own.iter().any(|it| it == provider));
        if (is_other || of_own || model.starts_with("arn:"))
            && let Some(members) = value.as_object_mut()
        {
            members.remove(key);
            left.push(key.to_owned());
        }
    }
    value
}

/// The same value without its places.
fn json(node: &jsonc::Node) -> Value {
    match &node.value {
        jsonc::Value::Null => Value::Null,
        jsonc::Value::Bool(is) => Value::Bool(*is),
        jsonc::Value::Number(text) => serde_json::from_str(text).unwrap_or(Value::Null),
        jsonc::Value::String(text) => Value::String(text.clone()),
        jsonc::Value::Array(items) => items.iter().map(json).collect(),
        jsonc::Value::Object(members) => {
            let members = members
                .iter()
                .map(|member| (member.key.clone(), json(&member.node)));
            Value::Object(members.collect::<Map<_, _>>())
        }
    }
}

#[cfg(test)]
mod tests;

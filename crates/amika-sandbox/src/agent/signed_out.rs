//! Whether an agent in a sandbox has nothing to sign in with: told before it is started, where that is certain.
//!
//! An agent is asked for in vain only where none of the ways is there by which it could have a model: its own sign-in, a
//! key in a variable, and a provider that its configuration names, which may need none. So each of these counts without a
//! look at whether it is of any use: that only the agent finds out.

use std::time::Duration;

use amika_core::credential::Agent;
use bytes::Bytes;

use crate::cancel;
use crate::exec::ExecRequest;
use crate::sandboxes::Sandboxes;

/// What the look ends with where there is nothing.
pub const NOTHING: i64 = 3;
/// How long it may take: the agent is started without it then.
pub const LIMIT: Duration = Duration::from_secs(2);

/// Claude Code: its variables, its sign-in, and settings that name a key's helper, a service or variables of its own.
const CLAUDE: &str = r#"command -v claude >/dev/null || exit 0
env | grep -Eq '^(ANTHROPIC_|CLAUDE_CODE_(OAUTH|USE_|API_|SKIP_|CLIENT_)|AWS_BEARER_)[A-Z0-9_]*=.' && exit 0
dir=${CLAUDE_CONFIG_DIR:-$HOME/.claude}
[ -s "$dir/.credentials.json" ] && exit 0
for file in "$dir"/settings*.json .claude/settings*.json /etc/claude-code/*.json /etc/claude-code/*/*.json \
    "$HOME/.claude.json" "$dir/.claude.json"; do
    [ -r "$file" ] && grep -Eq 'apiKeyHelper|primaryApiKey|ANTHROPIC_|CLAUDE_CODE_' "$file" && exit 0
done
exit 3
"#;

/// Codex: its variables, its sign-in, and a configuration that names a provider.
const CODEX: &str = r#"command -v codex >/dev/null || exit 0
env | grep -Eq '^(OPENAI_|CODEX_[A-Z_]*(KEY|TOKEN)|AZURE_OPENAI_)[A-Z0-9_]*=.' && exit 0
dir=${CODEX_HOME:-$HOME/.codex}
[ -s "$dir/auth.json" ] && exit 0
for file in "$dir"/*.toml .codex/*.toml /etc/codex/*.toml; do
    [ -r "$file" ] && grep -Eq 'model_provider|oss_provider|profile|_base_url|keyring' "$file" && exit 0
done
exit 3
"#;

/// Arguments of the agents that name another provider or other settings, or ask for no answer at all.
const ARGUMENTS: [&str; 12] = [
    "--settings",
    "--bare",
    "--help",
    "-h",
    "--version",
    "-v",
    "-V",
    "--oss",
    "--local-provider",
    "--profile",
    "-p",
    "--config",
];

/// What a shell is asked in a sandbox, as its agent: it exits with [`NOTHING`] where the agent cannot have a model, whatever it is
/// asked. None where that is never certain: of `OpenCode`, whose own provider has models for whoever comes, and where `args`
/// name a model's place.
pub fn question(agent: Agent, args: &[String]) -> Option<&'static str> {
    let names_another = |arg: &String| {
        let word = arg.split_once('=').map_or(arg.as_str(), |(word, _)| word);
        ARGUMENTS.contains(&word) || word.starts_with("-c")
    };
    let script = match agent {
        Agent::Claude => CLAUDE,
        Agent::Codex => CODEX,
        Agent::OpenCode => return None,
    };
    (!args.iter().any(names_another)).then_some(script)
}

/// Whether an agent cannot have a model there, whatever it is asked. No is the answer wherever that is not certain: of a
/// sandbox that cannot be looked into, and of `OpenCode`, whose own provider has models for whoever comes.
pub async fn is_signed_out(
    engine: &Sandboxes,
    name: &str,
    user: Option<&str>,
    agent: Agent,
    args: &[String],
) -> bool {
    let Some(script) = question(agent, args) else {
        return false;
    };
    let request = ExecRequest {
        command: ["sh", "-c", script].map(str::to_owned).to_vec(),
        env: Vec::new(),
        workdir: None,
        user: user.map(str::to_owned),
        input: Bytes::new(),
        most: 0,
    };
    let (_nobody, never) = cancel::new();
    let looked = tokio::time::timeout(LIMIT, engine.exec(name, request, &never)).await;
    matches!(looked, Ok(Ok(executed)) if executed.exit_code == NOTHING)
}

//! Sign-ins for a sandbox: which of those that its user has, and where in it an agent reads them.

use std::collections::BTreeMap;

use amika_core::credential::{CredentialFile, FILES, SignIn};
use amika_sandbox::given::{Given, GivenSignIn};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::request::AgentCredential;
use crate::store::Secret;

/// What somebody may be signed in to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Claude Code.
    Claude,
    /// Codex.
    Codex,
    /// GitHub.
    Github,
    /// `OpenCode`.
    OpenCode,
}

impl Kind {
    /// All.
    pub const ALL: [Self; 4] = [Self::Claude, Self::Codex, Self::Github, Self::OpenCode];

    /// Its word in requests.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Claude => "claude",
            Self::Codex => "codex",
            Self::Github => "github",
            Self::OpenCode => "opencode",
        }
    }

    /// Its word in the store, where `opencode` is another thing's.
    pub fn in_store(self) -> &'static str {
        match self {
            Self::OpenCode => "opencode-auth",
            other => other.as_str(),
        }
    }

    /// Reads its word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// What came of a sign-in that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ResolvedAgentCredential {
    /// `claude`, `codex`, `github`, `opencode`.
    pub kind: String,
    /// Whether it is in the sandbox.
    pub outcome: Outcome,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `oauth` or `api_key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r#type: Option<String>,
    /// Whose it is: `user` or `org`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Why it is not: `request:none`, `no_user_credential`, `expired`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Whether a sign-in is in a sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is.
    Resolved,
    /// It is not.
    Skipped,
}

impl ResolvedAgentCredential {
    /// One that is in the sandbox.
    pub fn resolved(kind: Kind, secret: &Secret) -> Self {
        let source = if secret.is_org { "org" } else { "user" };
        Self {
            kind: kind.as_str().to_owned(),
            outcome: Outcome::Resolved,
            name: Some(secret.name.clone()),
            r#type: secret.r#type.clone(),
            source: Some(source.to_owned()),
            reason: None,
        }
    }

    /// One that is not.
    pub fn skipped(kind: Kind, reason: &str) -> Self {
        Self {
            kind: kind.as_str().to_owned(),
            outcome: Outcome::Skipped,
            name: None,
            r#type: None,
            source: None,
            reason: Some(reason.to_owned()),
        }
    }
}

/// Which of the sign-ins of a kind is meant: the one that is named, or of the type; of several one by `oauth` before
/// a key, one's own before everybody's.
///
/// # Errors
/// Why none is.
pub fn choose<'s>(asked: &AgentCredential, have: &'s [Secret]) -> Result<&'s Secret, &'static str> {
    if asked.none {
        return Err("request:none");
    }
    let is_meant = |secret: &&Secret| {
        (asked.name.as_ref()).is_none_or(|name| *name == secret.name)
            && (asked.r#type.as_ref()).is_none_or(|it| Some(it) == secret.r#type.as_ref())
    };
    let rank = |secret: &&Secret| {
        let is_oauth = secret.r#type.as_deref() == Some("oauth");
        (!is_oauth, secret.is_org, secret.name.clone())
    };
    let meant = have.iter().filter(is_meant).min_by_key(rank);
    meant.ok_or("no_user_credential")
}

/// Whether a sign-in has run out and cannot renew itself; `now` in milliseconds since the Unix epoch.
pub fn has_expired(kind: Kind, value: &str, now: i64) -> bool {
    // What Codex writes down is when it was renewed, and not until when it holds.
    let tells = matches!(kind, Kind::Claude | Kind::OpenCode);
    let sign_in = SignIn::read(value.as_bytes());
    let until = sign_in.freshness.and_then(|at| i64::try_from(at).ok());
    tells && !sign_in.renews_itself && until.is_some_and(|until| until < now)
}

/// Adds a sign-in where its agent reads it.
pub fn put(given: &mut Given, kind: Kind, secret: &Secret, value: &str) {
    let is_document = serde_json::from_str::<serde_json::Map<String, Value>>(value).is_ok();
    let is_oauth = secret.r#type.as_deref() == Some("oauth");
    let variables = &mut given.variables.everybody;
    let mut variable = |name: &str| {
        variables.insert(name.to_owned(), value.trim().to_owned());
    };
    let file = match (kind, is_oauth, is_document) {
        (Kind::Claude, true, true) => (".claude/.credentials.json", value.to_owned()),
        // What `claude setup-token` prints.
        (Kind::Claude, true, false) => return variable("CLAUDE_CODE_OAUTH_TOKEN"),
        (Kind::Claude, false, _) => return variable("ANTHROPIC_API_KEY"),
        (Kind::Codex, _, true) => (".codex/auth.json", value.to_owned()),
        (Kind::Codex, _, false) => {
            let document = json!({ "auth_mode": "apikey", "OPENAI_API_KEY": value.trim() });
            (".codex/auth.json", document.to_string())
        }
        (Kind::OpenCode, _, true) => (".local/share/opencode/auth.json", value.to_owned()),
        (Kind::OpenCode, _, false) => {
            let document = json!({ "opencode": { "type": "api", "key": value.trim() } });
            (".local/share/opencode/auth.json", document.to_string())
        }
        (Kind::Github, ..) => return variable("GH_TOKEN"),
    };
    let (path, content) = file;
    if let Some(file) = FILES.into_iter().find(|file| file.path == path) {
        let modified = u64::try_from(secret.updated_at / 1000).unwrap_or(0);
        given.sign_ins.push(sign_in(file, content, modified));
    }
}

fn sign_in(file: CredentialFile, content: String, modified: u64) -> GivenSignIn {
    GivenSignIn {
        file,
        content: content.into_bytes(),
        modified,
    }
}

/// The agent that is meant where nobody named one: the first that is signed in.
pub fn first_agent(credentials: &[ResolvedAgentCredential]) -> Option<&str> {
    let mut resolved = credentials
        .iter()
        .filter(|it| it.outcome == Outcome::Resolved && it.kind != Kind::Github.as_str());
    resolved.next().map(|it| it.kind.as_str())
}

/// What sandboxes are given of variables by name, without what they are.
pub fn secret_names(secret_env: &BTreeMap<String, String>) -> Vec<String> {
    let names: std::collections::BTreeSet<&String> = secret_env.values().collect();
    names.into_iter().cloned().collect()
}

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;

    use super::*;

    fn secret(name: &str, r#type: &str, is_org: bool) -> Secret {
        Secret {
            id: name.to_owned(),
            user_id: String::new(),
            kind: "claude".to_owned(),
            is_org,
            name: name.to_owned(),
            description: None,
            r#type: Some(r#type.to_owned()),
            created_at: 0,
            updated_at: 5000,
        }
    }

    fn asked(name: Option<&str>, r#type: Option<&str>, none: bool) -> AgentCredential {
        AgentCredential {
            kind: "claude".to_owned(),
            name: name.map(str::to_owned),
            r#type: r#type.map(str::to_owned),
            none,
        }
    }

    #[test]
    fn none_over_name_over_type_over_oauth_before_key_and_own_before_everybodys() {
        let all = [
            secret("a", "api_key", false),
            secret("b", "oauth", true),
            secret("c", "oauth", false),
            secret("d", "api_key", true),
        ];
        let chosen = |name, r#type, none| {
            choose(&asked(name, r#type, none), &all).map(|it| it.name.as_str())
        };
        assert_eq!(chosen(None, None, false), Ok("c"));
        assert_eq!(chosen(None, Some("api_key"), false), Ok("a"));
        assert_eq!(chosen(Some("b"), None, false), Ok("b"));
        assert_eq!(chosen(Some("d"), Some("api_key"), false), Ok("d"));
        assert_eq!(
            chosen(Some("d"), Some("oauth"), false),
            Err("no_user_credential")
        );
        assert_eq!(chosen(Some("x"), None, false), Err("no_user_credential"));
        assert_eq!(chosen(Some("a"), None, true), Err("request:none"));
        assert_eq!(
            choose(&asked(None, None, false), &[]).err(),
            Some("no_user_credential")
        );
    }

    #[test]
    fn each_is_put_where_its_agent_reads_it() {
        let put = |kind, r#type: &str, value: &str| {
            let mut given = Given::default();
            put(&mut given, kind, &secret("s", r#type, false), value);
            let variables = given.variables.everybody.into_iter();
            let variables = variables.map(|(name, value)| format!("{name}={value}"));
            let files = given.sign_ins.into_iter().map(|it| {
                assert_eq!(it.modified, 5);
                let content = String::from_utf8(it.content).unwrap();
                format!("{} {content}", it.file.path)
            });
            variables.chain(files).collect::<Vec<_>>().join("; ")
        };
        assert_eq!(
            put(Kind::Claude, "oauth", "{}"),
            ".claude/.credentials.json {}"
        );
        assert_eq!(
            put(Kind::Claude, "oauth", "sk-ant-oat-x\n"),
            "CLAUDE_CODE_OAUTH_TOKEN=sk-ant-oat-x"
        );
        assert_eq!(put(Kind::Claude, "api_key", "k"), "ANTHROPIC_API_KEY=k");
        assert_eq!(
            put(Kind::Codex, "api_key", "k"),
            r#".codex/auth.json {"OPENAI_API_KEY":"k","auth_mode":"apikey"}"#
        );
        assert_eq!(
            put(Kind::Codex, "oauth", r#"{"tokens":{}}"#),
            r#".codex/auth.json {"tokens":{}}"#
        );
        assert_eq!(
            put(Kind::OpenCode, "api_key", "k"),
            r#".local/share/opencode/auth.json {"opencode":{"key":"k","type":"api"}}"#
        );
        assert_eq!(put(Kind::Github, "api_key", "k"), "GH_TOKEN=k");
    }

    #[test]
    fn a_sign_in_that_ran_out_and_cannot_renew_itself_is_none() {
        let of = |refresh: &str| {
            format!(
                r#"{{"claudeAiOauth":{{"expiresAt":1700000000000,"refreshToken":"{refresh}"}}}}"#
            )
        };
        assert!(has_expired(Kind::Claude, &of(""), 1_700_000_000_001));
        assert!(!has_expired(Kind::Claude, &of(""), 1_699_999_999_999));
        assert!(!has_expired(Kind::Claude, &of("r"), 1_700_000_000_001));
        assert!(!has_expired(Kind::Claude, "sk-ant", 1_700_000_000_001));
        let renewed = r#"{"last_refresh":"2020-01-01T00:00:00Z"}"#;
        assert!(!has_expired(Kind::Codex, renewed, 1_700_000_000_001));
    }
}

//! What may be taken out of a sandbox's copy of a sign-in: renewed tokens of the account that is there.
//!
//! A program in the sandbox may have written anything. So this machine's file keeps its shape, and only the
//! values of known fields change: tokens and the times at which they run out. Never an API key, a provider or
//! the address of a server; another account only when the user insists. Whose a refresh token is nobody can see
//! in it: where no name that stays this machine's goes with each request, the user has to say so, too.

use serde_json::{Map, Value};

use super::sign_in::rfc3339_millis;
use super::{Agent, CredentialFile};

mod jwt;

use jwt::Claims;

/// Characters of a token, at most.
const MAX_TOKEN: usize = 32 * 1024;
const DAY: u64 = 24 * 60 * 60 * 1000;
/// How far ahead a token may run out, in milliseconds.
const MAX_AHEAD: u64 = 366 * DAY;
/// How far ahead the sandbox's clock may be, in milliseconds.
const MAX_SKEW: u64 = DAY;
/// September 2001 in milliseconds: what is less is in another unit.
const MIN_MILLIS: u64 = 1_000_000_000_000;
/// Characters of a foreign name that are shown.
const MAX_SHOWN: usize = 80;

/// What holds for the taking.
#[derive(Clone, Copy, Debug, Default)]
pub struct Taking<'t> {
    /// The time, in milliseconds since the Unix epoch.
    pub now: u64,
    /// Whether another account's tokens are taken too.
    pub force: bool,
    /// Whether tokens are taken whose account cannot be told.
    pub unknown: bool,
    /// Claude Code's settings of this machine, which name the account.
    pub host_settings: Option<&'t [u8]>,
    /// Those in the sandbox.
    pub sandbox_settings: Option<&'t [u8]>,
}

/// What of a sandbox's sign-in is taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// The new content of this machine's file, where something is taken.
    pub content: Option<Vec<u8>>,
    /// Other accounts whose tokens are in it, which only [`Taking::force`] takes.
    pub accounts: Vec<OtherAccount>,
    /// The providers or agents whose tokens are in it though nothing tells their account, which only
    /// [`Taking::unknown`] takes; escaped and cut as those of [`OtherAccount`].
    pub unknown: Vec<String>,
    /// What could have been taken and is not.
    pub left: Vec<Left>,
}

/// An account that is not this machine's; names are cut, and what steers terminals in them is escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherAccount {
    /// The provider, or the agent.
    pub of: String,
    /// This machine's.
    pub ours: String,
    /// The sandbox's.
    pub theirs: String,
}

/// A sign-in that is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// The provider, or the agent; escaped and cut as that of [`OtherAccount`].
    pub of: String,
    /// Why.
    pub why: Untaken,
}

/// Why a sign-in is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Untaken {
    /// It holds settings: those can name programs, which would then run on the host.
    #[error("it holds settings, not a sign-in")]
    Settings,
    /// It is no JSON object.
    #[error("it is no JSON object")]
    NoObject,
    /// It holds no token to renew.
    #[error("no sign-in is in it that renews this machine's")]
    Empty,
    /// This machine has none that it would renew.
    #[error("this machine has no such sign-in that it would renew: sign in here")]
    NotHere,
    /// It signs in otherwise.
    #[error("it signs in in another way than this machine's")]
    OtherType,
    /// Its tokens are for another server.
    #[error("it is for another server than this machine's")]
    OtherServer,
    /// It is of another account.
    #[error("it is of another account, {theirs}, and this machine's is {ours}: `--force` takes it")]
    OtherAccount {
        /// This machine's.
        ours: String,
        /// The sandbox's.
        theirs: String,
    },
    /// Nothing tells whose it is.
    #[error("whose account it is cannot be seen in its tokens: `--force` takes it")]
    UnknownAccount,
    /// A field is missing, or is no token.
    #[error("its \"{0}\" is no token")]
    NoToken(&'static str),
    /// A field is missing, or no time.
    #[error("its \"{0}\" is no time as the agent writes it")]
    NoTime(&'static str),
    /// A time is further ahead than any token runs out.
    #[error("its \"{0}\" is too far ahead to be believed")]
    TooFarAhead(&'static str),
    /// It is not newer.
    #[error("it is no newer than this machine's")]
    NotNewer,
    /// Both are the same.
    #[error("both are the same")]
    Same,
}

/// The fields of a sign-in that count.
struct Shape {
    /// They are taken.
    tokens: &'static [&'static str],
    /// When a token runs out, in milliseconds; they are taken.
    expiries: &'static [&'static str],
    /// They name the account.
    accounts: &'static [&'static str],
    /// One of these, which goes with each request: tokens of another account do not work beside it.
    sent: &'static [&'static str],
    /// They name the server, and are equal or both missing.
    servers: &'static [&'static str],
}

const CLAUDE: Shape = Shape {
    tokens: &["accessToken", "refreshToken"],
    expiries: &["expiresAt", "refreshTokenExpiresAt"],
    accounts: &["accountUuid", "organizationUuid"],
    sent: &[],
    servers: &[],
};
const CODEX: Shape = Shape {
    tokens: &["id_token", "access_token", "refresh_token"],
    expiries: &[],
    accounts: &["account_id"],
    sent: &["account_id"],
    servers: &[],
};
const OPENCODE: Shape = Shape {
    tokens: &["refresh", "access"],
    expiries: &["expires"],
    accounts: &["accountId"],
    sent: &["accountId"],
    servers: &["enterpriseUrl", "url", "baseURL"],
};

/// Takes what a sandbox renewed into this machine's file.
///
/// # Errors
/// Why nothing of it can be taken.
pub fn take(
    file: &CredentialFile,
    host: Option<&[u8]>,
    sandbox: &[u8],
    taking: &Taking<'_>,
) -> Result<Taken, Untaken> {
    if !file.is_sign_in() {
        return Err(Untaken::Settings);
    }
    let theirs = object(sandbox).ok_or(Untaken::NoObject)?;
    let ours = host.and_then(object).ok_or(Untaken::NotHere)?;
    let mut renewed = ours.clone();
    let mut taken = Taken::default();
    match file.agent {
        Agent::OpenCode => {
            let signs_in = |entry: &Value| entry.get("type").is_some_and(|kind| kind == "oauth");
            for (provider, entry) in &theirs {
                let mine = ours.get(provider);
                // A key that stays as it is, and what never was a sign-in, is not worth a word.
                if !signs_in(entry) && !mine.is_some_and(signs_in) {
                    continue;
                }
                let result = match (mine, entry) {
                    (None, _) => Err(Untaken::NotHere),
                    (Some(Value::Object(mine)), Value::Object(theirs))
                        if signs_in(entry) && mine.get("type") == theirs.get("type") =>
                    {
                        opencode(mine, theirs, taking)
                    }
                    _ => Err(Untaken::OtherType),
                };
                if let Some(part) = taken.note(&shown(provider), result) {
                    renewed.insert(provider.clone(), Value::Object(part));
                }
            }
        }
        Agent::Codex => {
            if let Some(all) = taken.note("codex", codex(&ours, &theirs, taking)) {
                renewed = all;
            }
        }
        Agent::Claude => {
            if let Some(all) = taken.note("claude", claude(&ours, &theirs, taking)) {
                renewed = all;
            }
        }
    }
    if renewed != ours {
        // A map with string keys always serialises.
        taken.content = serde_json::to_vec_pretty(&renewed).ok();
        return Ok(taken);
    }
    match &taken.left[..] {
        [] => Err(Untaken::Empty),
        // Of one sign-in its reason is the file's.
        [one] => Err(one.why.clone()),
        _ => Ok(taken),
    }
}

impl Taken {
    /// Notes what came of one sign-in; returns what stands in its place now.
    fn note(&mut self, of: &str, result: Result<Renewed, Untaken>) -> Option<Map<String, Value>> {
        match result {
            Ok(Renewed {
                part,
                account,
                is_known,
            }) => {
                if account.is_none() && !is_known {
                    self.unknown.push(of.to_owned());
                }
                self.accounts
                    .extend(account.map(|(ours, theirs)| OtherAccount {
                        of: of.to_owned(),
                        ours,
                        theirs,
                    }));
                Some(part)
            }
            Err(why) => {
                let of = of.to_owned();
                self.left.push(Left { of, why });
                None
            }
        }
    }
}

/// A sign-in with new tokens.
struct Renewed {
    part: Map<String, Value>,
    /// This machine's account and the sandbox's, where they differ.
    account: Option<(String, String)>,
    /// Whether it is told at all.
    is_known: bool,
}

impl Renewed {
    /// Refuses another account, and one that nothing tells, unless the user insists.
    fn allowed(self, taking: &Taking<'_>) -> Result<Self, Untaken> {
        match &self.account {
            Some((ours, theirs)) if !taking.force => Err(Untaken::OtherAccount {
                ours: ours.clone(),
                theirs: theirs.clone(),
            }),
            None if !self.is_known && !taking.unknown => Err(Untaken::UnknownAccount),
            _ => Ok(self),
        }
    }
}

fn opencode(
    ours: &Map<String, Value>,
    theirs: &Map<String, Value>,
    taking: &Taking<'_>,
) -> Result<Renewed, Untaken> {
    let renewed = renew(&OPENCODE, ours, theirs, taking)?;
    let expires = |of: &Map<String, Value>| of.get("expires").and_then(Value::as_u64);
    // Each provider has an age of its own.
    if expires(theirs) <= expires(ours) {
        return Err(Untaken::NotNewer);
    }
    renewed.allowed(taking)
}

fn codex(
    ours: &Map<String, Value>,
    theirs: &Map<String, Value>,
    taking: &Taking<'_>,
) -> Result<Renewed, Untaken> {
    let mode = |of: &Map<String, Value>| of.get("auth_mode").filter(|it| !it.is_null()).cloned();
    if let (Some(ours), Some(theirs)) = (mode(ours), mode(theirs))
        && ours != theirs
    {
        return Err(Untaken::OtherType);
    }
    let Some(Value::Object(mine)) = ours.get("tokens") else {
        return Err(Untaken::NotHere);
    };
    let Some(Value::Object(other)) = theirs.get("tokens") else {
        return Err(Untaken::Empty);
    };
    let tokens = renew(&CODEX, mine, other, taking)?;
    let mut part = ours.clone();
    part.insert("tokens".into(), Value::Object(tokens.part.clone()));
    if ours.get("last_refresh").is_some_and(Value::is_string) {
        const KEY: &str = "last_refresh";
        let time = theirs.get(KEY).and_then(Value::as_str);
        let at = time.and_then(rfc3339_millis).ok_or(Untaken::NoTime(KEY))?;
        if at < MIN_MILLIS {
            return Err(Untaken::NoTime(KEY));
        }
        if at > taking.now.saturating_add(MAX_SKEW) {
            return Err(Untaken::TooFarAhead(KEY));
        }
        // As it is read, so that nothing else is in it.
        part.insert(KEY.into(), Value::from(time.unwrap_or_default()));
    }
    Renewed { part, ..tokens }.allowed(taking)
}

fn claude(
    ours: &Map<String, Value>,
    theirs: &Map<String, Value>,
    taking: &Taking<'_>,
) -> Result<Renewed, Untaken> {
    const KEY: &str = "claudeAiOauth";
    let mut renewed = if let Some(Value::Object(mine)) = ours.get(KEY) {
        let Some(Value::Object(other)) = theirs.get(KEY) else {
            return Err(Untaken::Empty);
        };
        let renewed = renew(&CLAUDE, mine, other, taking)?;
        let mut part = ours.clone();
        part.insert(KEY.into(), Value::Object(renewed.part.clone()));
        Renewed { part, ..renewed }
    } else {
        // The other file has the same without a name around it.
        renew(&CLAUDE, ours, theirs, taking)?
    };
    // The tokens say nothing of their account. The settings beside them do, which the sandbox writes as well:
    // another name there is another account, and the same name proves nothing.
    let uuid = |settings: Option<&[u8]>| {
        let account = object(settings?)?
            .get("oauthAccount")?
            .get("accountUuid")?
            .clone();
        Some(account)
    };
    let (mine, other) = (uuid(taking.host_settings), uuid(taking.sandbox_settings));
    if mine.is_some() && mine != other {
        let names = || (named(mine.as_ref()), named(other.as_ref()));
        renewed.account = renewed.account.or_else(|| Some(names()));
    }
    renewed.allowed(taking)
}

/// Puts the tokens of one sign-in into another; its keys stay those of `ours`. Whether that may be,
/// [`Renewed::allowed`] says.
fn renew(
    shape: &Shape,
    ours: &Map<String, Value>,
    theirs: &Map<String, Value>,
    taking: &Taking<'_>,
) -> Result<Renewed, Untaken> {
    if shape
        .servers
        .iter()
        .any(|key| ours.get(*key) != theirs.get(*key))
    {
        return Err(Untaken::OtherServer);
    }
    let mut part = ours.clone();
    let mut account = None;
    for key in shape.accounts {
        let (mine, other) = (ours.get(*key), theirs.get(*key));
        if mine != other {
            account = account.or_else(|| Some((named(mine), named(other))));
            // With another account's tokens its name has to come, or neither works.
            if let (Some(Value::String(_)), Some(Value::String(other))) = (mine, other)
                && is_token(other)
            {
                part.insert((*key).to_owned(), Value::from(other.as_str()));
            }
        }
    }
    let mut has_token = false;
    let mut differs = false;
    for key in shape.tokens {
        let Some(mine) = ours
            .get(*key)
            .and_then(Value::as_str)
            .filter(|it| !it.is_empty())
        else {
            continue;
        };
        let other = theirs.get(*key).and_then(Value::as_str);
        let other = other
            .filter(|it| is_token(it))
            .ok_or(Untaken::NoToken(key))?;
        let found = tokens(key, mine, other, taking)?;
        account = account.or(found);
        has_token = true;
        differs |= mine != other;
        part.insert((*key).to_owned(), Value::from(other));
    }
    if !has_token {
        return Err(Untaken::NotHere);
    }
    if !differs {
        return Err(Untaken::Same);
    }
    for key in shape.expiries {
        if !ours.contains_key(*key) {
            continue;
        }
        let at = theirs.get(*key).and_then(Value::as_u64);
        let at = at
            .filter(|at| *at >= MIN_MILLIS)
            .ok_or(Untaken::NoTime(key))?;
        if at > taking.now.saturating_add(MAX_AHEAD) {
            return Err(Untaken::TooFarAhead(key));
        }
        part.insert((*key).to_owned(), Value::from(at));
    }
    let is_name = |value: &Value| value.as_str().is_some_and(|name| !name.is_empty());
    let is_known = |key: &&str| ours.get(*key).is_some_and(is_name);
    Ok(Renewed {
        part,
        account,
        is_known: shape.sent.iter().any(is_known),
    })
}

/// Compares what two tokens say of themselves; returns the accounts where they differ.
fn tokens(
    key: &'static str,
    ours: &str,
    theirs: &str,
    taking: &Taking<'_>,
) -> Result<Option<(String, String)>, Untaken> {
    if endpoint(ours) != endpoint(theirs) {
        return Err(Untaken::OtherServer);
    }
    let (mine, other) = (Claims::of(ours), Claims::of(theirs));
    if let Some(other) = &other {
        let expiry = other.expiry().map_err(|()| Untaken::NoTime(key))?;
        if expiry.is_some_and(|at| at > taking.now.saturating_add(MAX_AHEAD)) {
            return Err(Untaken::TooFarAhead(key));
        }
    }
    let Some(mine) = mine else {
        return Ok(None);
    };
    let other = other.ok_or(Untaken::NoToken(key))?;
    if mine.issuer() != other.issuer() {
        return Err(Untaken::OtherServer);
    }
    let account = mine.other_account(&other);
    Ok(account.map(|(ours, theirs)| (named(ours), named(theirs))))
}

/// The server that Copilot's tokens name.
fn endpoint(token: &str) -> Option<&str> {
    let rest = token.split("proxy-ep=").nth(1)?;
    rest.split(';').next()
}

/// Whether a text can stand in the head of a request and nowhere else.
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= MAX_TOKEN
        && text.bytes().all(|byte| byte.is_ascii_graphic())
        && !text.contains("://")
}

fn object(content: &[u8]) -> Option<Map<String, Value>> {
    match serde_json::from_slice(content) {
        Ok(Value::Object(object)) => Some(object),
        _ => None,
    }
}

/// The name of an account, as it can be shown.
fn named(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "one without a name".to_owned(),
        Some(Value::String(name)) => shown(name),
        Some(other) => shown(&other.to_string()),
    }
}

/// A foreign name: cut, and with what steers terminals escaped.
fn shown(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(MAX_SHOWN)
        .flat_map(|found| {
            let is_plain = found.is_ascii_graphic() || found == ' ' || found.is_alphanumeric();
            let escaped = (!is_plain).then(|| found.escape_unicode());
            let plain = is_plain.then_some(found);
            escaped.into_iter().flatten().chain(plain)
        })
        .collect();
    if text.chars().nth(MAX_SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests;

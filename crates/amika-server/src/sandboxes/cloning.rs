//! With what a repository is cloned: the sign-in of whoever asks, the copy that is kept of it, and a machine on which
//! git has nothing else.

use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use amika_core::hex::hex;
use amika_core::text::shell_quote;
use amika_host::machine::Machine;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::source::{self, Place, Scheme};
use crate::api::encoded;
use crate::api::error::{ApiError, Result};
use crate::api::secrets::opened;
use crate::state::App;
use amika_core::canonical::canonical;

/// Kind of the secrets that are tokens of git hosts.
pub const TOKEN: &str = "git-token";
/// Kind of those that are SSH keys.
pub const SSH_KEY: &str = "git-ssh-key";

/// How long a host may take to show its key.
const SHOWN: Duration = Duration::from_secs(15);

/// The most that is kept of repositories, in bytes, and for how long those that nobody uses.
const CACHE: u64 = 10 << 30;
const UNUSED: Duration = Duration::from_hours(30 * 24);

/// What a sign-in of a git host holds, sealed.
#[derive(Serialize, Deserialize)]
pub struct Kept {
    /// The token or key.
    pub value: String,
    /// Lines of `known_hosts`.
    #[serde(default)]
    pub known_hosts: String,
}

/// All that a clone is made with.
pub struct Cloning {
    /// The machine that git runs on.
    pub machine: Machine,
    /// The URL, with the sign-in in it that it needs: the library gives it to git apart from its arguments.
    pub url: Option<String>,
    /// Where what is there is kept for the next time.
    pub cache: Option<PathBuf>,
    /// A key while it is used, which no file has.
    pub keys: Option<Keys>,
}

/// A key and the hosts that are known with it: files in this process's memory.
pub struct Keys {
    key: std::fs::File,
    known_hosts: std::fs::File,
}

impl Keys {
    fn new(kept: &Kept) -> std::io::Result<Self> {
        let held = |text: &str| {
            let flags = rustix::fs::MemfdFlags::CLOEXEC;
            let mut file = std::fs::File::from(rustix::fs::memfd_create("amika", flags)?);
            // ssh uses no key that others could read.
            rustix::fs::fchmod(&file, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)?;
            file.write_all(text.as_bytes())?;
            if !text.ends_with('\n') {
                file.write_all(b"\n")?;
            }
            Ok::<_, std::io::Error>(file)
        };
        Ok(Self {
            key: held(&kept.value)?,
            known_hosts: held(&kept.known_hosts)?,
        })
    }

    /// ssh with this key and nothing of this machine's user, to the address that was looked at.
    fn words(&self, place: &Place, address: &str) -> Vec<String> {
        let own =
            |file: &std::fs::File| format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
        let mut words = vec!["ssh".to_owned(), "-F".to_owned(), "/dev/null".to_owned()];
        let alias = match place.port {
            22 => place.host.clone(),
            port => format!("[{}]:{port}", place.host),
        };
        for option in [
            "BatchMode=yes".to_owned(),
            "IdentitiesOnly=yes".to_owned(),
            "IdentityAgent=none".to_owned(),
            "ForwardAgent=no".to_owned(),
            "UpdateHostKeys=no".to_owned(),
            "StrictHostKeyChecking=yes".to_owned(),
            "GlobalKnownHostsFile=/dev/null".to_owned(),
            format!("UserKnownHostsFile={}", own(&self.known_hosts)),
            format!("IdentityFile={}", own(&self.key)),
            format!("HostName={address}"),
            format!("HostKeyAlias={alias}"),
            format!("ConnectTimeout={}", SHOWN.as_secs()),
        ] {
            words.extend(["-o".to_owned(), option]);
        }
        words
    }
}

/// Whether a text names a host as sign-ins do: in small letters, with its port where that is not the usual one.
pub fn is_host(text: &str) -> bool {
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (text, None),
    };
    let inner = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'));
    let is_plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    let is_plain_name = |name: &str| {
        !name.is_empty() && !name.starts_with(['-', '.']) && name.bytes().all(is_plain)
    };
    let is_name = inner.map_or_else(
        || is_plain_name(name),
        |address| address.parse::<std::net::Ipv6Addr>().is_ok(),
    );
    text.len() <= 255 && is_name && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

/// The directory of all kept repositories.
fn root(app: &App) -> PathBuf {
    app.config.data.join("cache/git")
}

/// Removes kept repositories that nobody uses, and those that are too many.
pub async fn tidy(app: &App) {
    let root = root(app);
    let tidied = tokio::task::spawn_blocking(move || amika_git::tidy_cache(&root, CACHE, UNUSED));
    if let Ok(Err(error)) = tidied.await {
        tracing::warn!(%error, "kept repositories are not tidied");
    }
}

/// With what a user clones a URL.
///
/// # Errors
/// 400 for a URL that may not be cloned, for SSH without a key, and for a host that is not known, with its
/// fingerprint.
pub async fn cloning(app: &App, user_id: &str, url: Option<&str>) -> Result<Cloning> {
    let machine = app.engines.machine();
    let Some(url) = url else {
        let machine = source::machine_for(None, machine, &app.config.data);
        return Ok(Cloning {
            machine,
            url: None,
            cache: None,
            keys: None,
        });
    };
    let allow = app.config.allow_private_git;
    let place = source::place(url, allow)?;
    let addresses = source::addresses(&place, allow).await?;
    let machine = source::machine_for(Some((&place, &addresses)), machine, &app.config.data);
    let cache = canonical(url).ok().map(|name| {
        let key = Sha256::digest(format!("{name}\n{user_id}"));
        root(app).join(hex(&key))
    });
    if place.scheme == Scheme::Ssh {
        let address = addresses
            .first()
            .map(ToString::to_string)
            .unwrap_or_default();
        let keys = keys(app, user_id, &place).await?;
        let words = keys.words(&place, &address);
        must_be_known(&machine, &place, &words).await?;
        let quoted: Vec<String> = words.iter().map(|word| shell_quote(word)).collect();
        let command = quoted.join(" ");
        let variables = [
            ("GIT_SSH_COMMAND", command.as_str()),
            ("GIT_SSH_VARIANT", "ssh"),
        ];
        let variables = variables.map(|(name, value)| (name, Some(value.as_ref())));
        return Ok(Cloning {
            machine: machine.with_variables(variables),
            url: Some(url.to_owned()),
            cache,
            keys: Some(keys),
        });
    }
    let url = match token(app, user_id, &place).await? {
        // What stands in the URL is meant.
        Some(token) if !place.has_user => with_token(url, &token),
        _ => url.to_owned(),
    };
    Ok(Cloning {
        machine,
        url: Some(url),
        cache,
        keys: None,
    })
}

async fn kept(app: &App, user_id: &str, kind: &str, host: &str) -> Result<Option<Kept>> {
    let all = app.store.secrets(user_id, kind).await?;
    // One's own stand before everybody's.
    let Some(secret) = all.iter().find(|secret| secret.name == host) else {
        return Ok(None);
    };
    let kept = serde_json::from_str(&opened(app, secret).await?);
    kept.map(Some).map_err(|_| ApiError::internal())
}

/// `USER:TOKEN` for a host.
async fn token(app: &App, user_id: &str, place: &Place) -> Result<Option<String>> {
    let mut found = kept(app, user_id, TOKEN, &place.named())
        .await?
        .map(|kept| kept.value);
    if found.is_none() && place.scheme == Scheme::Https && place.named() == "github.com" {
        let all = app.store.secrets(user_id, "github").await?;
        if let Some(secret) = all.first() {
            found = Some(opened(app, secret).await?.trim().to_owned());
        }
    }
    Ok(found.map(|token| {
        if token.contains(':') {
            token
        } else {
            format!("x-access-token:{token}")
        }
    }))
}

fn with_token(url: &str, token: &str) -> String {
    let (user, token) = token.split_once(':').unwrap_or_default();
    match url.split_once("://") {
        Some((scheme, rest)) => format!("{scheme}://{}:{}@{rest}", encoded(user), encoded(token)),
        None => url.to_owned(),
    }
}

async fn keys(app: &App, user_id: &str, place: &Place) -> Result<Keys> {
    let kept = kept(app, user_id, SSH_KEY, &place.named()).await?;
    let kept = kept.ok_or_else(|| {
        let message = format!("you keep no SSH key for {}", place.named());
        ApiError::field("/repo_url", message)
            .hint("keep one as a git sign-in, or give an https:// URL")
    })?;
    Keys::new(&kept).map_err(|error| {
        tracing::error!(%error, "a key cannot be held in memory");
        ApiError::internal()
    })
}

/// Refuses a host whose key is not known, with its fingerprint: who kept the SSH key is to compare it.
async fn must_be_known(machine: &Machine, place: &Place, words: &[String]) -> Result<()> {
    let mut ssh = tokio::process::Command::new("ssh");
    ssh.env_clear()
        .env("PATH", machine.variable("PATH").unwrap_or_default())
        .args(&words[1..])
        .args(["-v", "-o", "PreferredAuthentications=none", "-T", "-p"])
        .arg(place.port.to_string())
        .args(["--", &place.host, "true"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let shown = tokio::time::timeout(SHOWN + SHOWN, ssh.output()).await;
    let Ok(Ok(shown)) = shown else {
        // git says why.
        return Ok(());
    };
    let said = String::from_utf8_lossy(&shown.stderr);
    if !said.contains("Host key verification failed") {
        return Ok(());
    }
    let fingerprint = said
        .lines()
        .find_map(|line| line.split_once("Server host key: "))
        .map_or("none", |(_, key)| key.trim());
    let fingerprint: String = fingerprint.chars().take(200).collect();
    let message = format!(
        "the host key of {} is not the one that is known: {}",
        place.named(),
        fingerprint.escape_debug()
    );
    Err(ApiError::field("/repo_url", message)
        .hint("compare the fingerprint with the one that the host's owner names, and keep the key with known_hosts"))
}

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;

    use super::*;

    #[test]
    fn a_token_stands_in_the_url_with_all_its_characters() {
        assert_eq!(
            with_token("https://example.com/o/r", "x-access-token:a/b@c:d%"),
            "https://x-access-token:a%2Fb%40c%3Ad%25@example.com/o/r"
        );
    }

    #[test]
    fn hosts_are_named_as_sign_ins_name_them() {
        for good in [
            "example.com",
            "example.com:2222",
            "127.0.0.1:80",
            "[::1]",
            "[::1]:22",
        ] {
            assert!(is_host(good), "{good}");
        }
        for bad in [
            "", "-x", "a b", "a/b", "A.com", "a:x", "a:99999", "u@h", "[x]", ".a",
        ] {
            assert!(!is_host(bad), "{bad}");
        }
    }
}

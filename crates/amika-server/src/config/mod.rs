//! How the server is configured: flag over environment over file over default, each setting by itself.

mod network;
mod rules;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use amika_host::machine::Machine;
use serde::Deserialize;

pub use network::{Cidr, PublicUrl};
pub use rules::{Holds, HoldsLayer, Members, MembersLayer, Quota, Rates, RatesLayer};

/// The port where nobody chose another.
pub const DEFAULT_PORT: u16 = 8080;

/// Beginning of the names of the environment's variables.
const PREFIX: &str = "AMIKA_SERVER_";

/// What one source says; absent where it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layer {
    /// Addresses to listen on.
    pub listen: Option<Vec<SocketAddr>>,
    /// The data directory.
    pub data: Option<PathBuf>,
    /// File of the TLS certificate chain, PEM.
    pub tls_cert: Option<PathBuf>,
    /// File of the certificate's key, PEM.
    pub tls_key: Option<PathBuf>,
    /// Whether plain HTTP may be spoken on addresses beyond loopback.
    pub insecure_http: Option<bool>,
    /// Whether repositories may be at `http://` and at private addresses.
    pub allow_private_git: Option<bool>,
    /// A domain name of this server.
    pub domain: Option<String>,
    /// The address that people use.
    pub public_url: Option<String>,
    /// Networks whose `X-Forwarded-*` is believed.
    pub trusted_proxy: Option<Vec<Cidr>>,
    /// Variables of agents; the file alone says them.
    pub agent_env: Option<BTreeMap<String, String>>,
    /// What members may do.
    pub members: MembersLayer,
    /// How much may be asked.
    pub rates: RatesLayer,
    /// How long an answer is held.
    pub holds: HoldsLayer,
}

/// A setting that cannot hold, in one sentence.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ConfigError {
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl ConfigError {
    fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: None,
        }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// The keys of the TOML file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    listen: Option<OneOrMore>,
    data: Option<PathBuf>,
    tls_cert: Option<PathBuf>,
    tls_key: Option<PathBuf>,
    insecure_http: Option<bool>,
    allow_private_git: Option<bool>,
    domain: Option<String>,
    public_url: Option<String>,
    trusted_proxy: Option<OneOrMore>,
    agent_env: Option<BTreeMap<String, String>>,
    #[serde(default)]
    members: MembersLayer,
    #[serde(default)]
    rates: RatesLayer,
    #[serde(default)]
    holds: HoldsLayer,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl OneOrMore {
    fn parse<T: FromStr>(self, key: &str) -> Result<Vec<T>, ConfigError>
    where
        T::Err: std::fmt::Display,
    {
        let texts = match self {
            Self::One(text) => vec![text],
            Self::More(texts) => texts,
        };
        texts.iter().map(|text| parse(key, text)).collect()
    }
}

fn parse<T: FromStr>(key: &str, text: &str) -> Result<T, ConfigError>
where
    T::Err: std::fmt::Display,
{
    let text = text.trim();
    text.parse().map_err(|error: T::Err| {
        ConfigError::new(format!("{key}: \"{}\": {error}", text.escape_debug()))
    })
}

impl Layer {
    /// What the TOML file says; it is the operator's own, so an unknown key is an error.
    ///
    /// # Errors
    /// With the first thing that is wrong.
    pub fn of_file(text: &str) -> Result<Self, ConfigError> {
        let file: File = toml::from_str(text)
            .map_err(|error| ConfigError::new(error.to_string().trim_end().to_owned()))?;
        Ok(Self {
            listen: file.listen.map(|it| it.parse("listen")).transpose()?,
            data: file.data,
            tls_cert: file.tls_cert,
            tls_key: file.tls_key,
            insecure_http: file.insecure_http,
            allow_private_git: file.allow_private_git,
            domain: file.domain,
            public_url: file.public_url,
            trusted_proxy: file
                .trusted_proxy
                .map(|it| it.parse("trusted_proxy"))
                .transpose()?,
            agent_env: file.agent_env,
            members: file.members,
            rates: file.rates,
            holds: file.holds,
        })
    }

    /// What the environment says, in `AMIKA_SERVER_…`; lists have commas, and an empty value says nothing.
    ///
    /// # Errors
    /// With the first thing that is wrong.
    pub fn of_environment(machine: &Machine) -> Result<Self, ConfigError> {
        let get = |name: &str| {
            let value = machine.variable(format!("{PREFIX}{name}"));
            value.filter(|value| !value.is_empty())
        };
        let text = |name: &str| match get(name).map(|value| value.to_str()) {
            None => Ok(None),
            Some(Some(text)) => Ok(Some(text)),
            Some(None) => Err(ConfigError::new(format!("{PREFIX}{name} is not UTF-8"))),
        };
        let number = |name: &str| match text(name)? {
            None => Ok(None),
            Some(text) => parse::<u32>(&format!("{PREFIX}{name}"), text).map(Some),
        };
        let flag = |name: &str| match text(name)? {
            None => Ok(None),
            Some("1" | "true") => Ok(Some(true)),
            Some("0" | "false") => Ok(Some(false)),
            Some(other) => Err(ConfigError::new(format!(
                "{PREFIX}{name} is \"{}\": use 1 or 0",
                other.escape_debug()
            ))),
        };
        Ok(Self {
            listen: text("LISTEN")?
                .map(|text| list(&format!("{PREFIX}LISTEN"), text))
                .transpose()?,
            data: get("DATA").map(PathBuf::from),
            tls_cert: get("TLS_CERT").map(PathBuf::from),
            tls_key: get("TLS_KEY").map(PathBuf::from),
            insecure_http: flag("INSECURE_HTTP")?,
            allow_private_git: flag("ALLOW_PRIVATE_GIT")?,
            domain: text("DOMAIN")?.map(str::to_owned),
            public_url: text("PUBLIC_URL")?.map(str::to_owned),
            trusted_proxy: text("TRUSTED_PROXY")?
                .map(|text| list(&format!("{PREFIX}TRUSTED_PROXY"), text))
                .transpose()?,
            agent_env: None,
            members: MembersLayer {
                image: flag("MEMBERS_IMAGE")?,
                host_ports: flag("MEMBERS_HOST_PORTS")?,
                coder_dind: flag("MEMBERS_CODER_DIND")?,
                max_sandboxes: number("MEMBERS_MAX_SANDBOXES")?,
                max_cpus: number("MEMBERS_MAX_CPUS")?,
                max_memory: text("MEMBERS_MAX_MEMORY")?.map(str::to_owned),
            },
            rates: RatesLayer {
                per_key: number("RATES_PER_KEY")?,
                per_address: number("RATES_PER_ADDRESS")?,
            },
            holds: HoldsLayer {
                agent_send: number("HOLDS_AGENT_SEND")?,
                delete: number("HOLDS_DELETE")?,
            },
        })
    }

    /// This, and where it says nothing what `other` says.
    #[must_use]
    pub fn over(self, other: Self) -> Self {
        Self {
            listen: self.listen.or(other.listen),
            data: self.data.or(other.data),
            tls_cert: self.tls_cert.or(other.tls_cert),
            tls_key: self.tls_key.or(other.tls_key),
            insecure_http: self.insecure_http.or(other.insecure_http),
            allow_private_git: self.allow_private_git.or(other.allow_private_git),
            domain: self.domain.or(other.domain),
            public_url: self.public_url.or(other.public_url),
            trusted_proxy: self.trusted_proxy.or(other.trusted_proxy),
            agent_env: self.agent_env.or(other.agent_env),
            members: self.members.over(other.members),
            rates: self.rates.over(other.rates),
            holds: self.holds.over(other.holds),
        }
    }
}

fn list<T: FromStr>(key: &str, text: &str) -> Result<Vec<T>, ConfigError>
where
    T::Err: std::fmt::Display,
{
    text.split(',').map(|part| parse(key, part)).collect()
}

/// A configuration that can hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Addresses to listen on; with `None` both loopback ones, of which one may be missing.
    pub listen: Option<Vec<SocketAddr>>,
    /// The data directory.
    pub data: PathBuf,
    /// Certificate and key, PEM files.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Whether repositories may be at `http://` and at private addresses.
    pub allow_private_git: bool,
    /// A domain name of this server.
    pub domain: Option<String>,
    /// The address that people use.
    pub public_url: Option<PublicUrl>,
    /// Networks whose `X-Forwarded-*` is believed.
    pub trusted_proxy: Vec<Cidr>,
    /// Variables that agents are given, and nobody else in a sandbox.
    pub agent_env: BTreeMap<String, String>,
    /// What members may do.
    pub members: Members,
    /// How much may be asked.
    pub rates: Rates,
    /// How long an answer is held.
    pub holds: Holds,
}

impl Config {
    /// Takes what was said; `default_data` is the data directory where nobody chose one.
    ///
    /// # Errors
    /// For settings that do not go together, and for plain HTTP beyond loopback that nobody allowed.
    pub fn new(said: Layer, default_data: PathBuf) -> Result<Self, ConfigError> {
        let tls = match (said.tls_cert, said.tls_key) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            (Some(_), None) => return Err(ConfigError::new("tls_cert needs tls_key")),
            (None, Some(_)) => return Err(ConfigError::new("tls_key needs tls_cert")),
        };
        if said.listen.as_ref().is_some_and(Vec::is_empty) {
            return Err(ConfigError::new("listen names no address"));
        }
        let open = said.listen.iter().flatten();
        let mut open = open.filter(|address| !address.ip().to_canonical().is_loopback());
        if let (Some(address), None, false) =
            (open.next(), &tls, said.insecure_http.unwrap_or(false))
        {
            return Err(ConfigError::new(format!(
                "listening on {address} without TLS would send keys in the clear"
            ))
            .hint(
                "give a certificate (`--tls-cert`, `--tls-key`), or `--insecure-http` behind something \
                 that speaks TLS",
            ));
        }
        if let Some(domain) = &said.domain
            && !is_host_name(domain)
        {
            return Err(ConfigError::new(format!(
                "domain \"{}\" is no host name",
                domain.escape_debug()
            )));
        }
        let agent_env = said.agent_env.unwrap_or_default();
        for (name, value) in &agent_env {
            let checked = amika_core::env::check_name(name)
                .and_then(|()| amika_core::env::check_value(name, value));
            checked.map_err(|error| ConfigError::new(format!("agent_env: {error}")))?;
        }
        Ok(Self {
            listen: said.listen,
            data: said.data.unwrap_or(default_data),
            tls,
            allow_private_git: said.allow_private_git.unwrap_or(false),
            domain: said.domain.map(|domain| domain.to_ascii_lowercase()),
            public_url: said.public_url.map(|url| url.parse()).transpose()?,
            trusted_proxy: said.trusted_proxy.unwrap_or_default(),
            agent_env,
            members: said.members.settled()?,
            rates: said.rates.settled(),
            holds: said.holds.settled(),
        })
    }

    /// The addresses to listen on, each with whether it may be missing.
    pub fn addresses(&self) -> Vec<(SocketAddr, bool)> {
        match &self.listen {
            Some(addresses) => addresses.iter().map(|it| (*it, false)).collect(),
            None => vec![
                ((Ipv4Addr::LOCALHOST, DEFAULT_PORT).into(), false),
                ((Ipv6Addr::LOCALHOST, DEFAULT_PORT).into(), true),
            ],
        }
    }

    /// Whether nobody but this machine is listened to.
    pub fn is_loopback_only(&self) -> bool {
        let mut addresses = self.listen.iter().flatten();
        addresses.all(|address| address.ip().to_canonical().is_loopback())
    }
}

/// Whether a name could be a host's (RFC 1123, section 2.1).
fn is_host_name(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;

    use super::*;

    fn config(said: Layer) -> Result<Config, String> {
        Config::new(said, "/data".into()).map_err(|error| error.message)
    }

    fn listening(text: &str) -> Layer {
        Layer::of_file(&format!("listen = \"{text}\"")).unwrap()
    }

    #[test]
    fn each_setting_is_decided_by_itself() {
        let flags = Layer {
            domain: Some("flag.example".into()),
            ..Layer::default()
        };
        let environment = Layer {
            domain: Some("env.example".into()),
            allow_private_git: Some(true),
            ..Layer::default()
        };
        let file =
            Layer::of_file("domain = \"f.example\"\nallow_private_git = false\ndata = \"/d\"");
        let config = config(flags.over(environment).over(file.unwrap())).unwrap();
        assert_eq!(config.domain.as_deref(), Some("flag.example"));
        assert!(config.allow_private_git);
        assert_eq!(config.data, PathBuf::from("/d"));
    }

    #[test]
    fn keys_go_over_loopback_or_tls_unless_somebody_says_otherwise() {
        assert!(config(listening("127.0.0.1:80")).is_ok());
        assert!(config(listening("[::1]:80")).is_ok());
        assert!(config(listening("[::ffff:127.0.0.1]:80")).is_ok());
        assert!(config(Layer::default()).unwrap().is_loopback_only());
        for open in ["0.0.0.0:80", "[::]:80", "10.0.0.1:80"] {
            let refused = config(listening(open)).unwrap_err();
            assert!(refused.contains("in the clear"), "{refused}");
            let allowed = Layer {
                insecure_http: Some(true),
                ..listening(open)
            };
            assert!(!config(allowed).unwrap().is_loopback_only());
            let tls = Layer {
                tls_cert: Some("c".into()),
                tls_key: Some("k".into()),
                ..listening(open)
            };
            assert!(config(tls).is_ok());
        }
    }

    #[test]
    fn what_cannot_hold_is_refused_with_its_name() {
        for (text, message) in [
            (
                "listen = \"8080\"",
                "listen: \"8080\": invalid socket address syntax",
            ),
            (
                "trusted_proxy = [\"10.0.0.0/33\"]",
                "trusted_proxy: \"10.0.0.0/33\": the prefix is a number from 0 to 32",
            ),
        ] {
            assert_eq!(Layer::of_file(text).unwrap_err().message, message);
        }
        let unknown = Layer::of_file("listn = \"x\"").unwrap_err().message;
        assert!(unknown.contains("unknown field `listn`"), "{unknown}");
        for (text, message) in [
            ("tls_cert = \"c\"", "tls_cert needs tls_key"),
            ("listen = []", "listen names no address"),
            (
                "[agent_env]\nAMIKA_SANDBOX_NAME = \"x\"",
                "agent_env: environment variable AMIKA_SANDBOX_NAME is set by Amika",
            ),
            ("domain = \"a b\"", "domain \"a b\" is no host name"),
            (
                "public_url = \"https://h/x\"",
                "public_url \"https://h/x\" has a path: the server must be at the root",
            ),
            (
                "public_url = \"ftp://h\"",
                "public_url \"ftp://h\" is neither http nor https",
            ),
            (
                "public_url = \"https://u@h\"",
                "public_url \"https://u@h\" has a user",
            ),
        ] {
            assert_eq!(
                config(Layer::of_file(text).unwrap()),
                Err(message.to_owned())
            );
        }
    }
}

//! What a repository declares as its services, and where their ports stand on the host.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::port::ContainerPort;

mod resolve;
mod run;
pub mod sidecar;

pub use run::{
    MAX_READY_TIMEOUT_S, READY_TIMEOUT_S, RESERVED_NAMES, Ready, Restart, Run, START_SCRIPT, Start,
    add_start_script, circle,
};

pub use sidecar::{MAX_SIDECARS, Sidecar, SidecarVolume, has_sidecars, sidecars};

pub use resolve::{
    Availability, Binding, HostPort, MAX_ROUNDS, Origin, PortProbe, ResolveError, Unprobed,
    check_merge, resolve, url,
};

/// A named part of a repository's program that listens on ports, or is only mentioned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Service {
    /// The name, as the configuration has it: any text.
    pub name: String,
    /// The declared ports, in the order of their declaration.
    pub ports: Vec<ServicePort>,
    /// How its program is run; none where the repository runs it in its own way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Run>,
    /// The container that it is, beside the sandbox; none for a part of the repository's own program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sidecar: Option<Sidecar>,
}

impl Service {
    /// Whether Amika runs it, in the sandbox or beside it.
    pub fn is_run(&self) -> bool {
        self.run.is_some() || self.sidecar.is_some()
    }
}

/// A port of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ServicePort {
    /// The port in the container.
    #[serde(flatten)]
    pub container: ContainerPort,
    /// The scheme of the URL to show, where one is wanted. Kept on UDP ports too, which get no URL.
    pub url_scheme: Option<Scheme>,
    /// Line of the declaration (1-based); 0 where the service was not read from a file.
    #[serde(skip)]
    pub line: usize,
}

/// Scheme of a service's URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// `http`
    Http,
    /// `https`
    Https,
}

impl Scheme {
    /// Returns the scheme as it stands in a URL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

impl FromStr for Scheme {
    type Err = InvalidScheme;

    fn from_str(text: &str) -> Result<Self, InvalidScheme> {
        match text {
            "http" => Ok(Self::Http),
            "https" => Ok(Self::Https),
            _ => Err(InvalidScheme {
                text: text.to_owned(),
            }),
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A URL scheme other than `http` and `https`, in exactly this spelling.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown URL scheme \"{}\": use http or https", .text.escape_debug())]
pub struct InvalidScheme {
    /// What was given.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes_are_read_in_one_spelling() {
        for scheme in [Scheme::Http, Scheme::Https] {
            assert_eq!(scheme.as_str().parse(), Ok(scheme));
        }
        for text in ["", "HTTP", "ftp", "http ", "http://", "ws\n"] {
            assert_eq!(
                text.parse::<Scheme>(),
                Err(InvalidScheme {
                    text: text.to_owned()
                })
            );
        }
        assert_eq!(
            "ws\n".parse::<Scheme>().unwrap_err().to_string(),
            "unknown URL scheme \"ws\\n\": use http or https"
        );
    }

    #[test]
    fn json_is_flat_and_leaves_the_line_out() {
        let service = Service {
            name: "api".to_owned(),
            ports: vec![ServicePort {
                container: "4838/tcp".parse().unwrap(),
                url_scheme: Some(Scheme::Http),
                line: 0,
            }],
            run: None,
            sidecar: None,
        };
        let json = serde_json::to_string(&service).unwrap();
        assert_eq!(
            json,
            r#"{"name":"api","ports":[{"port":4838,"protocol":"tcp","url_scheme":"http"}]}"#
        );
        assert_eq!(serde_json::from_str::<Service>(&json).unwrap(), service);
    }
}

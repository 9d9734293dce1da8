//! Sign-ins for registries, from where `docker login` keeps them.

use std::collections::HashMap;
use std::io::Write as _;
use std::process::{Command, Stdio};

use base64::Engine as _;
use serde::Deserialize;

use crate::engine::RegistryLogin;

/// Docker Hub's name in docker's configuration.
const HUB: &str = "https://index.docker.io/v1/";

#[derive(Default, Deserialize)]
#[serde(default)]
struct Config {
    auths: HashMap<String, Auth>,
    #[serde(rename = "credsStore")]
    store: Option<String>,
    #[serde(rename = "credHelpers")]
    helpers: HashMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Auth {
    auth: Option<String>,
    identitytoken: Option<String>,
}

#[derive(Deserialize)]
struct HelperAnswer {
    #[serde(rename = "Username")]
    username: String,
    #[serde(rename = "Secret")]
    secret: String,
}

/// The sign-in for the registry of an image, if docker has one.
///
/// A helper that fails counts as no sign-in: the registry then says what it wants.
pub fn login_for(image: &str) -> Option<RegistryLogin> {
    let path = crate::host::docker_config_dir().join("config.json");
    let config: Config = serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()?;
    let server = server_of(image);
    let helper = config.helpers.get(&server).or(config.store.as_ref());
    if let Some(login) = helper.and_then(|helper| ask_helper(helper, &server)) {
        return Some(login);
    }
    from_file(&config, &server)
}

/// The registry's name as docker's configuration has it.
fn server_of(image: &str) -> String {
    match image.split_once('/') {
        // Docker's rule: the first part is a host if it has a dot or a port, or is `localhost`.
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => {
            if host == "docker.io" || host == "index.docker.io" {
                HUB.into()
            } else {
                host.into()
            }
        }
        _ => HUB.into(),
    }
}

fn from_file(config: &Config, server: &str) -> Option<RegistryLogin> {
    let bare = |name: &str| {
        let name = name
            .strip_prefix("https://")
            .or(name.strip_prefix("http://"))
            .unwrap_or(name);
        name.split('/').next().unwrap_or_default().to_owned()
    };
    let auth = config.auths.get(server).or_else(|| {
        config
            .auths
            .iter()
            .find(|(name, _)| bare(name) == bare(server))
            .map(|(_, auth)| auth)
    })?;
    let decoded = auth.auth.as_ref().and_then(|text| {
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(text)
            .ok()?;
        let text = String::from_utf8(bytes).ok()?;
        let (user, password) = text.split_once(':')?;
        Some((user.to_owned(), password.trim_end_matches('\0').to_owned()))
    });
    let (username, password) = decoded.unzip();
    if username.is_none() && auth.identitytoken.is_none() {
        return None;
    }
    Some(RegistryLogin {
        username,
        password,
        identity_token: auth.identitytoken.clone(),
        server: server.to_owned(),
    })
}

fn ask_helper(helper: &str, server: &str) -> Option<RegistryLogin> {
    let mut child = Command::new(format!("docker-credential-{helper}"))
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    child.stdin.take()?.write_all(server.as_bytes()).ok()?;
    let output = child.wait_with_output().ok()?;
    if !output.status.success() {
        return None;
    }
    let answer: HelperAnswer = serde_json::from_slice(&output.stdout).ok()?;
    let server = server.to_owned();
    // The helpers' protocol: this user name marks the secret as an identity token.
    Some(if answer.username == "<token>" {
        RegistryLogin {
            identity_token: Some(answer.secret),
            server,
            ..RegistryLogin::default()
        }
    } else {
        RegistryLogin {
            username: Some(answer.username),
            password: Some(answer.secret),
            identity_token: None,
            server,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_are_told_by_dockers_rule() {
        let cases = [
            ("debian", HUB),
            ("library/debian:trixie", HUB),
            ("docker.io/library/debian", HUB),
            ("ghcr.example/a/b:1", "ghcr.example"),
            ("localhost/a", "localhost"),
            ("localhost:5000/a", "localhost:5000"),
        ];
        for (image, server) in cases {
            assert_eq!(server_of(image), server, "{image}");
        }
    }

    #[test]
    fn a_login_file_entry_is_decoded() {
        let json = r#"{"auths":{"https://r.example/v2/":{"auth":"bWU6cDpx"}}}"#;
        let config: Config = serde_json::from_str(json).expect("json");
        let login = from_file(&config, "r.example").expect("a login");
        assert_eq!(login.username.as_deref(), Some("me"));
        assert_eq!(login.password.as_deref(), Some("p:q"));
        assert!(from_file(&config, "other.example").is_none());
    }
}

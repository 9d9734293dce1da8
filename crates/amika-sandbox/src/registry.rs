//! Sign-ins for registries, from where `docker login` keeps them.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use serde::Deserialize;

use amika_engine::RegistryLogin;
use amika_host::machine::Machine;

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

/// How long a helper may take: one that asks its user on a screen waits for him.
const LONGEST: Duration = Duration::from_mins(2);
/// Between two looks at whether it ended.
const PAUSE: Duration = Duration::from_millis(5);

/// As [`login_for`], beside whatever else is going on: Ctrl-C is heard while a helper thinks.
pub async fn find_login(machine: &Machine, image: &str) -> Option<RegistryLogin> {
    let (machine, image) = (machine.clone(), image.to_owned());
    let found = tokio::task::spawn_blocking(move || login_for(&machine, &image));
    found.await.ok().flatten()
}

/// The sign-in for the registry of an image, if docker has one.
///
/// A helper that fails counts as no sign-in: the registry then says what it wants.
fn login_for(machine: &Machine, image: &str) -> Option<RegistryLogin> {
    let path = machine.docker_config_dir().join("config.json");
    let config: Config = serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()?;
    let server = server_of(image);
    let helper = config.helpers.get(&server).or(config.store.as_ref());
    if let Some(login) = helper.and_then(|helper| ask_helper(helper, &server, LONGEST)) {
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

fn ask_helper(helper: &str, server: &str, longest: Duration) -> Option<RegistryLogin> {
    ask_program(&format!("docker-credential-{helper}"), server, longest)
}

fn ask_program(helper: &str, server: &str, longest: Duration) -> Option<RegistryLogin> {
    let mut child = Command::new(helper)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    // One that does not read, or whose child holds the pipe, must not hold us up: others wait on its pipes.
    let (mut stdin, mut stdout) = (child.stdin.take()?, child.stdout.take()?);
    let question = server.to_owned();
    std::thread::spawn(move || stdin.write_all(question.as_bytes()));
    let (sender, said) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut answer = Vec::new();
        let read = stdout.read_to_end(&mut answer);
        sender.send(read.map(|_| answer))
    });
    let end = Instant::now() + longest;
    let status = loop {
        match child.try_wait().ok()? {
            Some(status) => break status,
            None if Instant::now() >= end => {
                tracing::debug!(helper, "the credential helper takes too long");
                // It may have ended meanwhile.
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
            None => std::thread::sleep(PAUSE),
        }
    };
    if !status.success() {
        return None;
    }
    let left = end.saturating_duration_since(Instant::now());
    let answer = said.recv_timeout(left).ok()?.ok()?;
    let answer: HelperAnswer = serde_json::from_slice(&answer).ok()?;
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
    fn a_helper_that_does_not_answer_is_not_waited_for() {
        let directory = tempfile::tempdir().expect("a directory");
        for (name, script) in [
            ("asleep", "exec sleep 600"),
            // What it left behind holds its output open.
            ("haunted", "sleep 600 & exit 0"),
        ] {
            let path = directory.path().join(format!("docker-credential-{name}"));
            std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("written");
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(&path, mode).expect("executable");
            let program = path.to_str().expect("a path");
            let login = ask_program(program, "r.example", Duration::from_millis(300));
            assert!(login.is_none(), "{name}");
        }
    }

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

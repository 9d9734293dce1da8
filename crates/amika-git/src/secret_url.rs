//! A URL that has a secret in it, given to git without it.
//!
//! Git passes the URL on to its transport as an argument, and `ps` shows those of all users' processes. So
//! the user and the password of an HTTP URL go by the environment, as configuration.

use std::process::Command;

use amika_host::machine::Machine;

use super::environment;

/// Who signs in, as it stands in a URL.
#[derive(Debug, PartialEq, Eq)]
struct SignIn<'a> {
    /// Scheme, host and port, for which alone it is.
    at: String,
    user: &'a str,
    password: Option<&'a str>,
}

/// The variables in which the helper finds both.
const USER: &str = "AMIKA_GIT_USER";
const PASSWORD: &str = "AMIKA_GIT_PASSWORD";
/// Answers git's question with what is in the environment: it has no secret in it itself.
const HELPER: &str = "!f() { test \"$1\" = get && printf 'username=%s\\npassword=%s\\n' \"$AMIKA_GIT_USER\" \"$AMIKA_GIT_PASSWORD\"; }; f";

/// The URL for git's arguments, after the command got what was taken out of it.
pub(super) fn take_out(machine: &Machine, command: &mut Command, url: &str) -> String {
    let (plain, sign_in) = split(url);
    let Some(SignIn { at, user, password }) = sign_in else {
        return plain;
    };
    // A line end would be another line of the answer.
    let clean = |text: &str| decoded(text).filter(|text| !text.contains(['\n', '\r', '\0']));
    let (Some(user), Some(password)) = (
        clean(user),
        password.map_or(Some(None), |it| clean(it).map(Some)),
    ) else {
        return url.to_owned();
    };
    let mut settings = vec![(format!("credential.{at}.username"), user.clone())];
    if let Some(password) = password {
        command.env(USER, &user).env(PASSWORD, password);
        // Those of the user are not asked, as they are not for a URL with a password.
        settings.push((format!("credential.{at}.helper"), String::new()));
        settings.push((format!("credential.{at}.helper"), HELPER.to_owned()));
        // A server that asks for no sign-in may show something else.
        settings.push((format!("http.{at}.proactiveAuth"), "basic".to_owned()));
    }
    let settings: Vec<_> = settings
        .into_iter()
        .map(|(key, value)| (key.into(), value.into()))
        .collect();
    let before = machine.variable(environment::PARAMETERS);
    let all = environment::parameters(before, &settings);
    command.env(environment::PARAMETERS, all);
    plain
}

fn split(url: &str) -> (String, Option<SignIn<'_>>) {
    let none = || (url.to_owned(), None);
    let Some((scheme, rest)) = url.split_once("://") else {
        return none();
    };
    if !["http", "https"].contains(&scheme.to_ascii_lowercase().as_str()) {
        return none();
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let Some((who, host)) = authority.rsplit_once('@') else {
        return none();
    };
    let (user, password) = match who.split_once(':') {
        Some((user, password)) => (user, Some(password)),
        None => (who, None),
    };
    let at = format!("{scheme}://{host}");
    let sign_in = SignIn {
        at: at.clone(),
        user,
        password,
    };
    (format!("{at}{path}"), Some(sign_in))
}

/// A part of a URL with its `%41` resolved; `None` where that is no text.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let byte = hex
            .filter(|hex| *first == b'%' && hex.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = byte.map_or(after, |_| &after[2..]);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn filled(url: &str) -> (String, String) {
        use std::io::Write as _;
        let mut git = Command::new("git");
        git.env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env_remove("GIT_ASKPASS")
            .env_remove("SSH_ASKPASS")
            .current_dir("/")
            .args(["credential", "fill"]);
        let plain = take_out(&Machine::of_process(), &mut git, url);
        git.stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null());
        let mut child = git.spawn().unwrap();
        let asked = format!("url={plain}\n\n");
        child
            .stdin
            .take()
            .unwrap()
            .write_all(asked.as_bytes())
            .unwrap();
        let output = child.wait_with_output().unwrap();
        (plain, String::from_utf8(output.stdout).unwrap())
    }

    #[test]
    fn git_signs_in_with_what_was_in_the_url_and_its_arguments_have_nothing_of_it() {
        for (url, plain, lines) in [
            (
                "https://me:s3cret@example.com:8443/a.git",
                "https://example.com:8443/a.git",
                ["username=me", "password=s3cret"],
            ),
            (
                "https://me:a%20b'!%40c@example.com/a.git",
                "https://example.com/a.git",
                ["username=me", "password=a b'!@c"],
            ),
            (
                "http://token:@example.com/a",
                "http://example.com/a",
                ["username=token", "password="],
            ),
        ] {
            let (found, answer) = filled(url);
            assert_eq!(found, plain);
            for line in lines {
                assert!(answer.lines().any(|it| it == line), "{url}: {answer}");
            }
        }
    }

    #[test]
    fn what_has_no_secret_is_as_it_was() {
        for url in [
            "https://example.com/a@b:c",
            "git@example.com:me/a.git",
            "ssh://git@example.com/a",
            "/srv/a",
            "file:///srv/a",
        ] {
            let mut command = Command::new("git");
            assert_eq!(take_out(&Machine::of_process(), &mut command, url), url);
            assert_eq!(command.get_envs().count(), 0, "{url}");
        }
        let mut command = Command::new("git");
        let plain = take_out(
            &Machine::of_process(),
            &mut command,
            "https://token@example.com/a",
        );
        assert_eq!(plain, "https://example.com/a");
    }
}

//! `amika config get|set|unset`: the user's own settings, from the command line to the file and back.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Output};

use pretty_assertions::assert_eq;
use serde_json::{Value, json};

/// A user's directory for settings.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("config/amika/config.toml")
    }

    fn write(&self, text: &str) {
        std::fs::create_dir_all(self.file().parent().unwrap()).unwrap();
        std::fs::write(self.file(), text).unwrap();
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_amika"));
        command
            .args(args)
            .current_dir(self.0.path())
            .env("HOME", self.0.path())
            .env("XDG_CONFIG_HOME", self.0.path().join("config"))
            .env("XDG_RUNTIME_DIR", self.0.path())
            .env("DOCKER_HOST", "unix:///nowhere/docker.sock")
            .env_remove("AMIKA_TRUST");
        command
    }

    fn run(&self, args: &[&str]) -> (i32, String, String) {
        told(&self.command(args).output().unwrap())
    }

    fn get(&self, key: &str) -> Value {
        let (code, out, err) = self.run(&["-o", "json", "config", "get", key]);
        assert_eq!(code, 0, "{err}");
        let document: Value = serde_json::from_str(&out).unwrap();
        document["settings"][0].clone()
    }
}

fn told(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code().unwrap(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

#[test]
fn a_setting_is_written_read_and_taken_back() {
    let home = Home::new();
    let unset = json!({"key": "trust", "value": null, "origin": "default"});
    assert_eq!(home.get("trust"), unset);
    // The value alone on standard output: what it stands for is said beside it.
    let (code, out, err) = home.run(&["config", "get", "trust"]);
    assert_eq!((code, out.as_str()), (0, "default\n"), "{err}");
    assert!(
        err.contains("trust is not set: auto for paths, ask for URLs"),
        "{err}"
    );
    assert_eq!(home.run(&["config", "get", "trusted"]).1, "");
    assert!(!home.file().exists());
    assert_eq!(home.run(&["config", "set", "trust", "never"]).0, 0);
    assert_eq!(
        home.get("trust"),
        json!({"key": "trust", "value": "never", "origin": "file"})
    );
    assert_eq!(home.run(&["config", "get", "trust"]).1, "never\n");
    let mode = home.file().metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    assert_eq!(home.run(&["config", "unset", "trust"]).0, 0);
    assert_eq!(home.get("trust"), unset);
    assert_eq!(home.run(&["config", "set", "trust", "never"]).0, 0);
    assert_eq!(home.run(&["config", "set", "trust", "default"]).0, 0);
    assert_eq!(home.get("trust"), unset);
}

#[test]
fn sources_are_listed_in_their_one_spelling() {
    let home = Home::new();
    std::fs::create_dir(home.0.path().join("here")).unwrap();
    let here = home.0.path().canonicalize().unwrap().join("here");
    let (code, _, err) = home.run(&[
        "config",
        "set",
        "trusted",
        "git@Example.com:o/r.git",
        "./here",
    ]);
    assert_eq!(code, 0, "{err}");
    let listed = home.run(&["config", "get", "trusted"]).1;
    let written = format!("ssh://git@example.com/~/o/r\n{}\n", here.display());
    assert_eq!(listed, written);
    let (code, _, err) = home.run(&["config", "set", "trusted", "nothing"]);
    assert_eq!(code, 2, "{err}");
    assert_eq!(home.run(&["config", "get", "trusted"]).1, listed);
}

#[test]
fn the_environment_wins_over_the_file_and_must_make_sense() {
    let home = Home::new();
    home.write("trust = \"ask\"\n");
    let with = |value: &str| {
        let mut command = home.command(&["config", "get", "trust"]);
        told(&command.env("AMIKA_TRUST", value).output().unwrap())
    };
    assert_eq!(with("never").1, "never\n");
    assert_eq!(with("").1, "ask\n");
    let (code, _, err) = with("maybe");
    assert_eq!(code, 2);
    assert!(err.contains("AMIKA_TRUST: trust is"), "{err}");
}

#[test]
fn a_broken_file_is_2_with_its_place_and_is_not_written_over() {
    let home = Home::new();
    for (text, place) in [
        ("trust = \n", ":1:"),
        ("\ntrust = 1\n", ":2:9: trust must be a string"),
        ("trusted = [\"x\"]\n", ":1:12: entry \"x\" of trusted"),
    ] {
        home.write(text);
        for args in [
            &["config", "get"][..],
            &["config", "set", "trust", "auto"],
            &["config", "unset", "trusted"],
        ] {
            let (code, _, err) = home.run(args);
            assert_eq!(code, 2, "{text}: {err}");
            assert!(err.contains(&format!("config.toml{place}")), "{err}");
        }
        assert_eq!(std::fs::read_to_string(home.file()).unwrap(), text);
    }
}

#[test]
fn unknown_keys_are_warned_of_in_the_file_and_refused_as_arguments() {
    let home = Home::new();
    home.write("# mine\ntrustedd = 1\n");
    let (code, _, err) = home.run(&["config", "set", "trust", "ask"]);
    assert_eq!(code, 0);
    assert!(err.contains("did you mean \"trusted\"?"), "{err}");
    let text = std::fs::read_to_string(home.file()).unwrap();
    assert_eq!(text, "# mine\ntrustedd = 1\ntrust = \"ask\"\n");
    let (code, _, err) = home.run(&["config", "get", "no_such_setting"]);
    assert_eq!(code, 2);
    assert!(err.contains("trust, trusted, default"), "{err}");
}

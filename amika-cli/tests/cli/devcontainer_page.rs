//! `docs/devcontainer.md`: its example is run, and its tables name what the program takes and what it does not.

use std::path::Path;
use std::process::Command;

use pretty_assertions::assert_eq;
use serde_json::{Map, Value};

const PAGE: &str = include_str!("../../../docs/devcontainer.md");
const FILE: &str = ".devcontainer/devcontainer.json";

/// The block of code behind a line.
fn block(line: &str) -> String {
    let (_, rest) = PAGE.split_once(&format!("\n{line}\n\n")).unwrap();
    let lines = rest
        .lines()
        .take_while(|line| line.is_empty() || line.starts_with("    "));
    let text: Vec<&str> = lines
        .map(|line| line.strip_prefix("    ").unwrap_or(line))
        .collect();
    format!("{}\n", text.join("\n").trim_end())
}

fn migrate(root: &Path, content: &str, args: &[&str]) -> std::process::Output {
    std::fs::create_dir_all(root.join(".git")).unwrap();
    std::fs::create_dir_all(root.join(".devcontainer")).unwrap();
    std::fs::write(root.join(FILE), content).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_amika"))
        .args(["config", "migrate", "devcontainer"])
        .args(args)
        .current_dir(root)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    output
}

#[test]
fn the_example_is_what_the_program_does() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    let output = migrate(&root, &block(&format!("`{FILE}`:")), &[]);
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    let said = said.replace(root.to_str().unwrap(), "/home/ada/src/shop");
    let line = "The command writes three files, and names everything that it does not take over with its line:";
    let shown = block(line);
    assert_eq!(
        shown,
        format!("$ amika config migrate devcontainer\n{said}")
    );
    for path in [".amika/config.toml", ".amika/setup.sh", ".amika/start.sh"] {
        let written = std::fs::read_to_string(root.join(path)).unwrap();
        assert_eq!(block(&format!("`{path}`:")), written);
    }
}

/// The keys of a section's table.
fn keys(heading: &str) -> Vec<&str> {
    let (_, rest) = PAGE.split_once(heading).unwrap();
    let section = rest.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.flat_map(|row| {
        row.split(" | ")
            .next()
            .unwrap()
            .split('`')
            .skip(1)
            .step_by(2)
    })
    .collect()
}

#[test]
fn every_key_of_the_tables_is_taken_over_or_named_as_they_say() {
    let content = |keys: &[&str]| {
        let object: Map<String, Value> = keys
            .iter()
            .map(|key| ((*key).to_owned(), Value::from("x")))
            .collect();
        Value::Object(object).to_string()
    };
    let reasons = |keys: &[&str]| {
        let dir = tempfile::tempdir().unwrap();
        let output = migrate(dir.path(), &content(keys), &["--dry-run", "-o", "json"]);
        let document: Value = serde_json::from_slice(&output.stdout).unwrap();
        let rest = document["not_taken_over"].as_array().unwrap().clone();
        let named = rest.into_iter().map(|rest| {
            let [key, reason] = ["key", "reason"].map(|it| rest[it].as_str().unwrap().to_owned());
            assert!(!reason.contains("does not know it"), "{key}");
            key
        });
        named.collect::<Vec<String>>()
    };
    let (taken, not) = (keys("## What is taken over"), keys("## What is not"));
    assert!(taken.len() > 10 && not.len() > 20, "{taken:?} {not:?}");
    assert_eq!(reasons(&not).len(), not.len());
    // Where one is no text, what is wrong with it is said, and not that it has no equal.
    reasons(&taken);
}

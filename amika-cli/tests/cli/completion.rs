//! The scripts for shells, as people put them into files.

use std::io::Write as _;
use std::process::{Command, Stdio};

fn printed(args: &[&str]) -> String {
    let amika = Command::new(env!("CARGO_BIN_EXE_amika"));
    let output = { amika }.args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_script_is_printed_byte_by_byte_as_it_was_made() {
    for shell in ["bash", "zsh", "fish"] {
        let text = printed(&["completion", shell]);
        let json = printed(&["completion", shell, "-o", "json"]);
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["script"], text, "{shell}");
        assert!(text.contains("amika"), "{shell}: {text}");
    }
}

#[test]
fn bash_can_read_its_script() {
    let mut bash = Command::new("bash")
        .arg("-n")
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let script = printed(&["completion", "bash"]);
    bash.stdin
        .take()
        .unwrap()
        .write_all(script.as_bytes())
        .unwrap();
    let read = bash.wait_with_output().unwrap();
    assert!(read.status.success() && read.stderr.is_empty(), "{read:?}");
}

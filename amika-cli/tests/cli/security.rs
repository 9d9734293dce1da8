//! `docs/security.md` names for each of its claims the test that shows it.

use std::collections::BTreeSet;
use std::path::Path;

/// The files of a directory and of those beneath it that are Rust's.
fn sources(directory: &Path, found: &mut String) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn each_claim_about_security_names_a_test_that_there_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = std::fs::read_to_string(root.join("docs/security.md")).unwrap();
    let mut code = String::new();
    for place in ["crates", "amika-cli", "amikad", "tests/e2e"] {
        sources(&root.join(place), &mut code);
    }
    let named: BTreeSet<&str> = page
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|word| word.contains("::"))
        .collect();
    assert!(named.len() > 30, "{}", named.len());
    for name in named {
        let function = name.rsplit("::").next().unwrap_or_default();
        assert!(code.contains(&format!("fn {function}()")), "{name}");
    }
    // Each row of a table of what somebody cannot do names one.
    let mut is_claim = false;
    for line in page.lines() {
        if line.contains("| shown by |") {
            is_claim = true;
        } else if !line.starts_with('|') {
            is_claim = false;
        } else if is_claim && !line.starts_with("|---") {
            assert!(line.contains("::"), "{line}");
        }
    }
}

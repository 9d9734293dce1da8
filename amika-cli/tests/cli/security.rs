//! `docs/security.md` names for each of its claims the tests that show it.

use std::collections::BTreeSet;
use std::path::Path;

/// Where tests stand.
const PLACES: [&str; 4] = ["crates", "amika-cli", "amikad", "tests/e2e"];

/// The tests of a file and of those beneath it, each as `::` and its path: package, modules, name.
fn tests_in(path: &Path, place: &str, found: &mut BTreeSet<String>) {
    if path.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if name == "target" {
                continue;
            }
            let name = name.strip_suffix(".rs").unwrap_or(&name);
            // Neither is a module.
            let inner = match name {
                "src" | "mod" | "lib" | "main" => place.to_owned(),
                name => format!("{place}::{}", name.replace('-', "_")),
            };
            tests_in(&path, &inner, found);
        }
    } else if path.extension().is_some_and(|extension| extension == "rs") {
        let text = std::fs::read_to_string(path).unwrap();
        found.extend(tests_of(&text).map(|test| format!("{place}::{test}")));
    }
}

/// The names of a file's tests, behind the module that they stand in where that is not the file's own.
fn tests_of(text: &str) -> impl Iterator<Item = String> {
    let (mut module, mut is_test) = (String::new(), false);
    text.lines().filter_map(move |line| {
        let code = line.trim_start();
        if let Some(inner) = line
            .strip_prefix("mod ")
            .and_then(|rest| rest.strip_suffix(" {"))
        {
            module = format!("{inner}::");
        } else if line == "}" {
            module.clear();
        }
        if code.starts_with("#[test]") || code.starts_with("#[tokio::test") {
            is_test = true;
            return None;
        }
        let function = code.strip_prefix("async ").unwrap_or(code);
        let name = function.strip_prefix("fn ")?.split('(').next()?;
        std::mem::take(&mut is_test).then(|| format!("{module}{name}"))
    })
}

#[test]
fn tests_are_known_by_their_whole_path() {
    let text = "#[test]\nfn a() {\n    fn no() {}\n}\n\nfn helper() {}\n\nmod inner {\n    #[tokio::test]\n    #[cfg(x)]\n    \
                async fn b() {}\n    proptest! {\n        #[test]\n        fn c(x in y) {}\n    }\n}\n#[test]\nfn d() {}\n";
    let found: Vec<String> = tests_of(text).collect();
    assert_eq!(found, ["a", "inner::b", "inner::c", "d"]);
}

#[test]
fn each_claim_about_security_names_tests_that_there_are() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = std::fs::read_to_string(root.join("docs/security.md")).unwrap();
    let mut tests = BTreeSet::new();
    for place in PLACES {
        tests_in(&root.join(place), "", &mut tests);
    }
    assert!(tests.len() > 1000, "{}", tests.len());
    let named: BTreeSet<&str> = page
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|word| word.contains("::") && !word.contains([' ', '/']))
        .collect();
    assert!(named.len() > 90, "{}", named.len());
    let is_there = |name: &&str| {
        tests
            .iter()
            .any(|test| test.ends_with(&format!("::{name}")))
    };
    let missing: Vec<&str> = named.into_iter().filter(|name| !is_there(name)).collect();
    assert_eq!(missing, [""; 0], "there are no such tests");
}

/// Beside the tables there is only what they are about, who is who, and how to report; so no sentence claims
/// what no test shows.
#[test]
fn no_claim_about_security_stands_without_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = std::fs::read_to_string(root.join("docs/security.md")).unwrap();
    let claims = page.split("\n## A repository\n").nth(1).unwrap();
    let claims = claims
        .split("\n## Report a vulnerability\n")
        .next()
        .unwrap();
    let mut is_claim = false;
    for line in claims.lines() {
        if line.ends_with("| shown by |") {
            is_claim = true;
        } else if !line.starts_with('|') {
            is_claim = false;
        }
        let is_rule = line.starts_with("|---") || line.ends_with("| shown by |");
        if is_claim && !is_rule {
            // Where nothing is held, nothing is shown, and that is said.
            let is_shown = line.contains("::") || line.ends_with("nothing is held | none |");
            assert!(is_shown, "names no test: {line}");
        }
        // The one table of values is itself held to the code by a test that the page names.
        let is_value = line.starts_with("| `") || line.starts_with("| key |");
        let is_heading = line.is_empty() || line.starts_with('#');
        let is_introduction =
            line == "A repository may have come from anywhere, its git directory with it.";
        assert!(
            is_claim || is_value || is_rule || is_heading || is_introduction,
            "stands beside the tables: {line}"
        );
    }
}

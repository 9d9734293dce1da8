//! No module leads back to itself by what it uses: whoever follows a call never climbs back up.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|it| it == "rs") {
            found.push(path);
        }
    }
}

/// Those whose sources are held to it, of all crates but these: in amikad, amika-git and amika-server some lead in a circle.
const HELD: [&str; 7] = [
    "amika-cli",
    "crates/amika-core",
    "crates/amika-engine",
    "crates/amika-host",
    "crates/amika-remote",
    "crates/amika-sandbox",
    "crates/amika-tunnel",
];

/// The modules of the first floor that a source names, which itself is so many floors below the crate.
fn named(text: &str, depth: usize) -> BTreeSet<String> {
    let up = "super::".repeat(depth);
    // Tests may look anywhere.
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    let mut names = BTreeSet::new();
    for line in text.lines().filter(|line| !line.trim().starts_with("//")) {
        let from_crate = line.match_indices("crate::").map(|(at, it)| at + it.len());
        let from_below = line.match_indices(&up).map(|(at, it)| at + it.len());
        let from_below = from_below.filter(|_| depth > 0);
        for at in from_crate.chain(from_below) {
            let rest = &line[at..];
            // `use crate::{a, b::C};`
            let group = rest.strip_prefix('{').and_then(|it| it.split('}').next());
            for part in group
                .unwrap_or(rest)
                .split(',')
                .take(if group.is_some() { 99 } else { 1 })
            {
                let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
                let name: String = part.trim().chars().take_while(|c| is_name(*c)).collect();
                names.insert(name);
            }
        }
    }
    names
}

/// What each module of a crate's first floor uses.
fn uses(source: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let mut files = Vec::new();
    sources(source, &mut files);
    let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in files {
        let place = file.strip_prefix(source).unwrap().with_extension("");
        let parts: Vec<&str> = place.iter().map(|part| part.to_str().unwrap()).collect();
        if parts.contains(&"tests") {
            continue;
        }
        let depth = match (parts[0], parts[parts.len() - 1]) {
            ("lib" | "main", _) => 0,
            (_, "mod") => parts.len() - 1,
            _ => parts.len(),
        };
        let text = std::fs::read_to_string(&file).unwrap();
        let module = uses.entry(parts[0].to_owned()).or_default();
        module.extend(named(&text, depth));
    }
    let modules: BTreeSet<String> = uses.keys().cloned().collect();
    for (module, used) in &mut uses {
        used.retain(|name| name != module && modules.contains(name));
    }
    uses
}

/// The modules that lead in a circle, or to one.
fn circles(mut uses: BTreeMap<String, BTreeSet<String>>) -> BTreeMap<String, BTreeSet<String>> {
    // Whoever uses none but those that are gone goes too.
    loop {
        let last: Vec<String> = (uses.iter())
            .filter(|(_, used)| used.iter().all(|name| !uses.contains_key(name)))
            .map(|(module, _)| module.clone())
            .collect();
        if last.is_empty() {
            break;
        }
        uses.retain(|module, _| !last.contains(module));
    }
    let kept: BTreeSet<String> = uses.keys().cloned().collect();
    for used in uses.values_mut() {
        used.retain(|name| kept.contains(name));
    }
    uses
}

#[test]
fn no_module_uses_one_that_uses_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for of_crate in HELD {
        let uses = uses(&root.join(of_crate).join("src"));
        if of_crate == "crates/amika-sandbox" {
            assert!(uses.len() > 40, "{}", uses.len());
            assert!(uses["create"].contains("networks"), "{uses:?}");
        }
        let found = circles(uses);
        assert!(
            found.is_empty(),
            "{of_crate}: these lead in a circle, or to one: {found:#?}"
        );
    }
}

#[test]
fn a_circle_is_found_whichever_way_it_is_written() {
    let uses = |one: &str, other: &str| {
        BTreeMap::from([
            ("one".to_owned(), named(one, 1)),
            ("other".to_owned(), named(other, 2)),
        ])
    };
    let found = circles(uses(
        "use crate::{a, other::B};",
        "fn f() { super::super::one::g() }",
    ));
    assert_eq!(found.len(), 2, "{found:?}");
    let found = circles(uses(
        "use super::other::B;",
        "use super::one::C; // one beside it",
    ));
    assert!(found.is_empty(), "{found:?}");
}

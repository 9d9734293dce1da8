//! No module of the library leads back to itself by what it uses: whoever follows a call never climbs back up.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

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

/// The modules of the first floor that a source names.
fn named(text: &str) -> BTreeSet<String> {
    // Tests may look anywhere.
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    let mut names = BTreeSet::new();
    for line in text.lines().filter(|line| !line.trim().starts_with("//")) {
        for (at, _) in line.match_indices("crate::") {
            let rest = &line[at + "crate::".len()..];
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

#[test]
fn no_module_uses_one_that_uses_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in files {
        let place = file.strip_prefix(&root).unwrap().with_extension("");
        let parts: Vec<&str> = place.iter().map(|part| part.to_str().unwrap()).collect();
        if parts.contains(&"tests") {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap();
        uses.entry(parts[0].to_owned())
            .or_default()
            .extend(named(&text));
    }
    let modules: BTreeSet<String> = uses.keys().cloned().collect();
    for (module, used) in &mut uses {
        used.retain(|name| name != module && modules.contains(name));
    }
    assert!(uses.len() > 40, "{}", uses.len());
    assert!(uses["create"].contains("networks"), "{uses:?}");
    // Whoever uses none but those that are gone goes too: what stays leads in a circle.
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
    assert!(
        uses.is_empty(),
        "these lead in a circle, or to one: {uses:#?}"
    );
}

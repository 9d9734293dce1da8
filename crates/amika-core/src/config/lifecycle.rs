//! `[lifecycle]`: the setup script, which may not leave the repository.

use toml::de::DeTable;

use super::read::{Section, quoted};
use super::{Lifecycle, SetupScript};

const KEYS: [&str; 1] = ["setup_script"];

pub(super) fn read(section: &mut Section<'_>, table: &DeTable<'_>) -> Lifecycle {
    section.unknown_keys(table, "[lifecycle]", &KEYS);
    let Some(value) = table.get("setup_script") else {
        return Lifecycle::default();
    };
    let Some(path) = section.string(value, "setup_script") else {
        return Lifecycle::default();
    };
    let setup_script = match why_refused(path) {
        Some(reason) => {
            let message = format!("setup_script {} {reason}", quoted(path));
            let help = "name a file of the repository, relative to its root";
            SetupScript::Refused(section.error(value.span(), message).with_help(help))
        }
        None => SetupScript::Path(section.locate(value.span(), path.to_owned())),
    };
    Lifecycle {
        setup_script: Some(setup_script),
    }
}

/// A cloned repository must never be able to name a file of the host.
fn why_refused(path: &str) -> Option<&'static str> {
    if path.is_empty() {
        Some("is empty")
    } else if path.starts_with('/') {
        Some("is absolute: it must stand in the repository")
    } else if path.split('/').any(|part| part == "..") {
        Some("has \"..\" in it: it must stand in the repository")
    } else if path.chars().any(char::is_control) {
        Some("has control characters in it")
    } else if path.split('/').all(|part| part.is_empty() || part == ".") {
        Some("names a directory")
    } else if path
        .split('/')
        .any(|part| part.eq_ignore_ascii_case(".git"))
    {
        // What stands there is no part of the repository's content.
        Some("stands in \".git\"")
    } else {
        None
    }
}

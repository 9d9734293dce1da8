//! `[lifecycle]`: scripts of the repository, which none of them may leave.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::place::{self, why_refused};
use super::read::{Section, quoted};
use super::{Lifecycle, MAX_ONCE_FILES, RepoFile, ScriptKey, SetupOnce};

const KEYS: [&str; 3] = ["setup_script", "setup_once", "start_script"];

pub(super) fn read(section: &mut Section<'_>, table: &DeTable<'_>) -> Lifecycle {
    section.unknown_keys(table, "[lifecycle]", &KEYS);
    Lifecycle {
        setup_script: script(section, table, ScriptKey::Setup),
        setup_once: table
            .get("setup_once")
            .and_then(|value| once(section, value)),
        start_script: script(section, table, ScriptKey::Start),
    }
}

fn script(section: &mut Section<'_>, table: &DeTable<'_>, key: ScriptKey) -> Option<RepoFile> {
    let key = key.as_str();
    let value = table.get(key)?;
    let path = section.string(value, key)?;
    Some(place::file(section, value, key, path))
}

/// `true`, a file whose change runs the script again, or several.
fn once(section: &mut Section<'_>, value: &Spanned<DeValue<'_>>) -> Option<SetupOnce> {
    let files: Vec<&Spanned<DeValue<'_>>> = match value.get_ref() {
        DeValue::Boolean(once) => return once.then(SetupOnce::default),
        DeValue::String(_) => vec![value],
        DeValue::Array(files) => files.iter().collect(),
        _ => {
            section.wrong_type(value, "setup_once", "true, a file or a list of files");
            return None;
        }
    };
    if files.len() > MAX_ONCE_FILES {
        let message = format!("setup_once has more than {MAX_ONCE_FILES} files");
        section.problem(value.span(), message);
        return None;
    }
    let read = files.into_iter().map(|file| {
        let path = section.string(file, "a file of setup_once")?;
        if let Some(reason) = why_refused(path) {
            let message = format!("setup_once: {} {reason}", quoted(path));
            section.problem(file.span(), message);
            return None;
        }
        Some(path.to_owned())
    });
    let read: Vec<Option<String>> = read.collect();
    let files = read.into_iter().collect::<Option<_>>()?;
    Some(SetupOnce { files })
}

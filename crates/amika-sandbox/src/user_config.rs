//! The user's own settings, in `$XDG_CONFIG_HOME/amika/config.toml`: read, overridden, and written.

use std::path::{Path, PathBuf};

use amika_core::config::user::{self, Place, UserConfig};
use amika_core::credential::AgentNames;
use amika_core::dotfiles::DotfilesSource;
use amika_core::trust::{Trust, Trusted};
use toml_edit::{Array, DocumentMut, Item, Value};

use crate::error::{Error, Kind, Result};
use crate::lock::Locks;
use crate::progress::Progress;
use amika_host::machine::Machine;
use amika_host::private_file;
use amika_host::regular_file::{self, Links};

/// Environment variable that wins over the file's `default`.
pub const DEFAULT: &str = "AMIKA_DEFAULT";

/// Environment variable that wins over the file's `trust`.
pub const TRUST: &str = "AMIKA_TRUST";

/// Where the file is, whether there is one or not.
pub fn path(machine: &Machine) -> PathBuf {
    machine.config_dir().join("config.toml")
}

/// Reads the settings; without a file there are none. What looks odd is warned of.
///
/// # Errors
/// [`Kind::Invalid`] with the place of what is wrong, and for a file that cannot be read.
pub fn read(machine: &Machine, out: &dyn Progress) -> Result<UserConfig> {
    let path = path(machine);
    let text = text(&path)?;
    let (config, warnings) = parse(&path, &text)?;
    for warning in &warnings {
        out.finding(&path.display().to_string(), &text, warning);
    }
    Ok(config)
}

/// Where commands work that are not told; whatever else is wrong with the file is for others to tell.
///
/// # Errors
/// As [`read`], for this setting alone.
pub fn default(machine: &Machine) -> Result<Place> {
    let path = path(machine);
    let text = text(&path)?;
    let default =
        user::parse_default(&text).map_err(|problems| refusal(&path, &text, &problems))?;
    Ok(default.unwrap_or_default())
}

/// Whose own ways come along into each sandbox; whatever else is wrong with the file is for others to tell.
///
/// # Errors
/// As [`read`], for this setting alone.
pub fn agent_config(machine: &Machine) -> Result<Option<AgentNames>> {
    let path = path(machine);
    let text = text(&path)?;
    user::parse_agent_config(&text).map_err(|problems| refusal(&path, &text, &problems))
}

/// Which dotfiles are installed in each sandbox; whatever else is wrong with the file is for others to tell.
///
/// # Errors
/// As [`read`], for this setting alone.
pub fn dotfiles(machine: &Machine) -> Result<Option<DotfilesSource>> {
    let path = path(machine);
    let text = text(&path)?;
    user::parse_dotfiles(&text).map_err(|problems| refusal(&path, &text, &problems))
}

/// What the environment says of `trust`.
///
/// # Errors
/// [`Kind::Invalid`] when it says nothing that can be meant.
pub fn trust_of_environment(machine: &Machine) -> Result<Option<Trust>> {
    word_of_environment(machine, TRUST)
}

/// What the environment says of `default`.
///
/// # Errors
/// [`Kind::Invalid`] when it says nothing that can be meant.
pub fn default_of_environment(machine: &Machine) -> Result<Option<Place>> {
    word_of_environment(machine, DEFAULT)
}

fn word_of_environment<T>(machine: &Machine, variable: &str) -> Result<Option<T>>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    let Some(value) = machine.variable(variable).filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let word = value.to_string_lossy().parse::<T>();
    word.map(Some).map_err(|error| {
        Error::new(Kind::Invalid, format!("{variable}: {error}"))
            .hint(format!("use one of these words, or `unset {variable}`"))
    })
}

/// A change of the file.
pub enum Change<'a> {
    /// Sets `trust`, or takes it out.
    Trust(Option<Trust>),
    /// Sets `default`, or takes it out.
    Default(Option<Place>),
    /// Sets `agent_config`, or takes it out.
    AgentConfig(Option<&'a AgentNames>),
    /// Sets `dotfiles`, or takes it out.
    Dotfiles(Option<&'a DotfilesSource>),
    /// Puts these in place of all of `trusted`, or takes it out.
    Trusted(Option<&'a [Trusted]>),
    /// Adds one to `trusted`, in place of what stands there of the same source.
    Trusting(&'a Trusted),
}

/// Changes the file, which is made if need be. Comments, and what is not changed, stay as they are.
///
/// # Errors
/// [`Kind::Invalid`] when the file there is broken, [`Kind::Failure`] when it cannot be written.
pub async fn change(machine: &Machine, change: Change<'_>) -> Result<()> {
    // Two that read before either wrote would lose one's change.
    let _lock = Locks::new(machine).wait("settings").await?;
    let path = path(machine);
    let text = text(&path)?;
    parse(&path, &text)?;
    let failed = |error: &dyn std::error::Error| {
        let message = format!("{} cannot be written", path.display());
        Error::new(Kind::Failure, message).caused_by(error)
    };
    let changed = edit(&text, &change).map_err(|error| failed(&error))?;
    if changed == text {
        return Ok(());
    }
    replace(&path, changed.as_bytes()).map_err(|error| failed(&error))
}

fn text(path: &Path) -> Result<String> {
    let failed = |error: &dyn std::error::Error| {
        let message = format!("{} cannot be read", path.display());
        Error::new(Kind::Invalid, message).caused_by(error)
    };
    match regular_file::read(path, Links::Followed, user::MAX_BYTES as u64) {
        Ok((bytes, _)) => String::from_utf8(bytes).map_err(|error| failed(&error)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(failed(&error)),
    }
}

type Parsed = (UserConfig, Vec<amika_core::diagnostic::Diagnostic>);

fn parse(path: &Path, text: &str) -> Result<Parsed> {
    user::parse(text).map_err(|problems| refusal(path, text, &problems))
}

fn refusal(path: &Path, text: &str, problems: &[amika_core::diagnostic::Diagnostic]) -> Error {
    crate::finding::refusal(&path.display().to_string(), text, problems)
        .hint("these are your own settings: mend the file")
}

/// The text with a change made.
fn edit(text: &str, change: &Change<'_>) -> Result<String, toml_edit::TomlError> {
    let mut document: DocumentMut = text.parse()?;
    match change {
        Change::Trust(None) => drop(document.remove("trust")),
        Change::Trust(Some(trust)) => set(&mut document, "trust", trust.as_str().into()),
        Change::Default(None) => drop(document.remove("default")),
        Change::Default(Some(place)) => set(&mut document, "default", place.as_str().into()),
        Change::AgentConfig(None) => drop(document.remove("agent_config")),
        Change::AgentConfig(Some(names)) => {
            set(&mut document, "agent_config", names.to_string().into());
        }
        Change::Dotfiles(None) => drop(document.remove("dotfiles")),
        Change::Dotfiles(Some(source)) => {
            set(&mut document, "dotfiles", source.to_string().into());
        }
        Change::Trusted(None) => drop(document.remove("trusted")),
        Change::Trusted(Some(entries)) => {
            let mut list = Array::new();
            entries.iter().for_each(|entry| push(&mut list, entry));
            set(&mut document, "trusted", Value::Array(list));
        }
        Change::Trusting(entry) => {
            let item = document
                .entry("trusted")
                .or_insert_with(|| Item::Value(Value::Array(Array::new())));
            if let Some(list) = item.as_array_mut() {
                list.retain(|old| {
                    let old = old.as_str().and_then(|text| text.parse::<Trusted>().ok());
                    old.is_none_or(|old| old.source != entry.source)
                });
                push(list, entry);
            }
        }
    }
    Ok(document.to_string())
}

/// Sets a key's value; what stands around the old one stays.
fn set(document: &mut DocumentMut, key: &str, mut value: Value) {
    match document.get_mut(key).and_then(Item::as_value_mut) {
        Some(old) => {
            *value.decor_mut() = old.decor().clone();
            *old = value;
        }
        None => drop(document.insert(key, Item::Value(value))),
    }
}

/// Adds an entry, on a line of its own.
fn push(list: &mut Array, entry: &Trusted) {
    let mut value = Value::from(entry.to_string());
    value.decor_mut().set_prefix("\n    ");
    list.push_formatted(value);
    list.set_trailing_comma(true);
    list.set_trailing("\n");
}

/// Replaces the file by rename, with mode 0600; a link stays one, and what it leads to is replaced.
fn replace(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let path = match path.canonicalize() {
        Ok(real) => real,
        Err(_) if path.is_symlink() => {
            return Err(std::io::Error::other("it is a link that leads nowhere"));
        }
        Err(_) => path.to_owned(),
    };
    private_file::staged(&path, content)?.persist(&path)?;
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use pretty_assertions::assert_eq;

    use super::*;

    fn entry(text: &str) -> Trusted {
        text.parse().unwrap()
    }

    #[test]
    fn a_change_leaves_comments_and_all_else_as_they_are() {
        let text = "# mine\ntrust = \"ask\" # for now\n\nother = 1\ntrusted = [\n    # work\n    \"/a\",\n]\n";
        for (change, changed) in [
            (
                Change::Trust(Some(Trust::Never)),
                text.replace("\"ask\"", "\"never\""),
            ),
            (
                Change::Trusting(&entry("host/r")),
                text.replace("\"/a\",\n", "\"/a\",\n    \"host/r\",\n"),
            ),
            (
                Change::Trusted(Some(&[entry("/b"), entry("/c")])),
                text.replace("    # work\n    \"/a\",\n", "    \"/b\",\n    \"/c\",\n"),
            ),
            (
                Change::Trusted(None),
                "# mine\ntrust = \"ask\" # for now\n\nother = 1\n".to_owned(),
            ),
        ] {
            assert_eq!(edit(text, &change).unwrap(), changed);
        }
    }

    #[test]
    fn a_file_is_begun_and_a_source_stands_in_it_once() {
        let digest = |c: &str| format!("sha256:{}", c.repeat(64));
        let first = entry(&format!("host/r {}", digest("1")));
        let text = edit("", &Change::Trusting(&first)).unwrap();
        assert_eq!(text, format!("trusted = [\n    \"{first}\",\n]\n"));
        let second = entry(&format!("host/r {}", digest("2")));
        let text = edit(&text, &Change::Trusting(&second)).unwrap();
        assert_eq!(text, format!("trusted = [\n    \"{second}\",\n]\n"));
        assert_eq!(edit("", &Change::Trust(None)).unwrap(), "");
        // Keys of the file stand before its first table.
        let text = edit("[later]\nx = 1\n", &Change::Trust(Some(Trust::Auto))).unwrap();
        assert!(
            user::parse(&text).unwrap().0.trust == Some(Trust::Auto),
            "{text}"
        );
    }

    #[test]
    fn the_file_is_the_users_alone_and_a_link_stays_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("amika/config.toml");
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        replace(&path, b"a").unwrap();
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        let real = dir.path().join("dotfiles");
        std::fs::rename(&path, &real).unwrap();
        std::os::unix::fs::symlink(&real, &path).unwrap();
        replace(&path, b"b").unwrap();
        assert!(path.is_symlink());
        assert_eq!(std::fs::read(&real).unwrap(), b"b");
        std::fs::remove_file(&real).unwrap();
        assert!(replace(&path, b"c").is_err());
        assert_eq!(
            std::fs::read_dir(path.parent().unwrap()).unwrap().count(),
            1
        );
    }
}

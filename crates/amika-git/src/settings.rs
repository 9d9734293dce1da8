//! What git is told by configuration: the user's, and what the repository's own files say. The latter is
//! data: what of it decides anything is chosen where it is used.

use std::collections::BTreeMap;

use amika_core::git_files::config::Entry;
use amika_core::repo_path::escaped;

use super::config::fetch_url;
use super::users::Users;

/// Settings in the order in which they count: the last value of a key is the one that does.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    entries: Vec<Setting>,
}

#[derive(Clone, Debug)]
struct Setting {
    /// Section and variable in lower case.
    key: Vec<u8>,
    value: Vec<u8>,
    /// From the repository's own files, not from the user's or the system's.
    own: bool,
}

impl Settings {
    /// The settings of the user's files, then the repository's own, then those of the environment.
    pub(super) fn new(users: &Users, own: &[Entry]) -> Self {
        let users = |by_environment: bool| {
            let some = users.settings().iter();
            let some = some.filter(move |one| one.is_environments == by_environment);
            some.map(|one| Setting {
                key: one.key.clone(),
                value: one.value.clone().unwrap_or_else(|| b"true".to_vec()),
                own: false,
            })
        };
        let own = own.iter().map(Setting::of_entry);
        Self {
            entries: users(false).chain(own).chain(users(true)).collect(),
        }
    }

    /// The settings of one file.
    pub(super) fn of_file(entries: &[Entry]) -> Self {
        Self {
            entries: entries.iter().map(Setting::of_entry).collect(),
        }
    }

    /// The settings of a clone: the user's own, and those of its one remote, `origin`. What `bare` says of
    /// remotes and branches is only about the temporary copy.
    pub(super) fn of_clone(bare: &Self, url: &str) -> Self {
        let temporary = |key: &[u8]| key.starts_with(b"remote.") || key.starts_with(b"branch.");
        let mut entries: Vec<Setting> = bare
            .entries
            .iter()
            .filter(|setting| !temporary(&setting.key))
            .cloned()
            .collect();
        for (variable, value) in [
            ("url", url),
            ("fetch", "+refs/heads/*:refs/remotes/origin/*"),
        ] {
            entries.push(Setting {
                key: format!("remote.origin.{variable}").into_bytes(),
                value: value.into(),
                own: true,
            });
        }
        Self { entries }
    }

    /// The value that counts.
    pub(super) fn bytes(&self, key: &str) -> Option<&[u8]> {
        self.named(key.as_bytes())
    }

    /// The value that counts of a key that may hold anything.
    pub(super) fn named(&self, key: &[u8]) -> Option<&[u8]> {
        let found = self.entries.iter().rev().find(|one| one.key == key)?;
        Some(&found.value)
    }

    /// The value that counts, where it is text.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        std::str::from_utf8(self.bytes(key)?).ok()
    }

    /// The value that would count without the repository's own files.
    pub(super) fn users(&self, key: &[u8]) -> Option<&[u8]> {
        let mut users = self.entries.iter().rev().filter(|one| !one.own);
        Some(&users.find(|one| one.key == key)?.value)
    }

    /// The value that counts, where it is one of the repository's own files.
    pub(super) fn own(&self, key: &str) -> Option<&[u8]> {
        let mut all = self.entries.iter().rev();
        let counts = all.find(|one| one.key == key.as_bytes())?;
        counts.own.then_some(&counts.value)
    }

    /// Whether a boolean is on, or off; `None` when unset.
    pub(super) fn boolean(&self, key: &str) -> Option<bool> {
        let value = self.bytes(key)?.to_ascii_lowercase();
        Some(!matches!(
            value.as_slice(),
            b"false" | b"no" | b"off" | b"0" | b""
        ))
    }

    /// Subsection, variable and value of all keys of a section that have a subsection.
    pub(super) fn section<'a>(
        &'a self,
        section: &'a str,
    ) -> impl Iterator<Item = (&'a [u8], &'a str, &'a [u8])> {
        self.entries.iter().filter_map(|one| one.within(section))
    }

    /// The same of the repository's own files alone.
    pub(super) fn own_section<'a>(
        &'a self,
        section: &'a str,
    ) -> impl Iterator<Item = (&'a [u8], &'a str, &'a [u8])> {
        let own = self.entries.iter().filter(|one| one.own);
        own.filter_map(|one| one.within(section))
    }

    /// The same of the user's alone.
    pub(super) fn users_section<'a>(
        &'a self,
        section: &'a str,
    ) -> impl Iterator<Item = (&'a [u8], &'a str, &'a [u8])> {
        let users = self.entries.iter().filter(|one| !one.own);
        users.filter_map(|one| one.within(section))
    }

    /// The remotes' names and URLs, without secrets; of those that are text.
    pub(super) fn remotes(&self) -> BTreeMap<String, String> {
        let mut remotes = BTreeMap::new();
        for (remote, variable, value) in self.section("remote") {
            let (Ok(remote), Ok(value)) = (std::str::from_utf8(remote), std::str::from_utf8(value))
            else {
                continue;
            };
            if variable == "url" {
                remotes.insert(remote.to_owned(), fetch_url(self, value));
            }
        }
        remotes
    }

    /// The URLs of the remotes as they are written.
    pub(super) fn urls(&self) -> Vec<Vec<u8>> {
        self.section("remote")
            .filter(|(_, variable, _)| *variable == "url")
            .map(|(_, _, value)| value.to_vec())
            .collect()
    }

    /// What of remotes, branches and the user stays behind since it is no text: nothing could show it.
    pub(super) fn left_behind(&self) -> Vec<String> {
        let carried = |key: &[u8]| {
            [&b"remote."[..], b"branch.", b"user.", b"submodule."]
                .iter()
                .any(|section| key.starts_with(section))
        };
        let mut keys: Vec<String> = Vec::new();
        for one in self.entries.iter().filter(|one| carried(&one.key)) {
            let is_text = |bytes: &[u8]| std::str::from_utf8(bytes).is_ok();
            if !is_text(&one.key) || !is_text(&one.value) {
                let key = escaped(&one.key);
                if !keys.contains(&key) {
                    keys.push(key);
                }
            }
        }
        keys
    }
}

impl Setting {
    fn of_entry(entry: &Entry) -> Self {
        Self {
            key: entry.key(),
            // A key without a value is a boolean that is on.
            value: entry.value.clone().unwrap_or_else(|| b"true".to_vec()),
            own: true,
        }
    }

    /// Subsection, variable and value, when the key is one of that section and has a subsection.
    fn within(&self, section: &str) -> Option<(&[u8], &str, &[u8])> {
        let rest = self.key.strip_prefix(section.as_bytes())?;
        let rest = rest.strip_prefix(b".")?;
        let dot = rest.iter().rposition(|&byte| byte == b'.')?;
        let variable = std::str::from_utf8(&rest[dot + 1..]).ok()?;
        Some((&rest[..dot], variable, self.value.as_slice()))
    }
}

/// Settings for tests: keys with their values, `|` between them.
#[cfg(test)]
pub(super) fn sample(listed: &str, own: bool) -> Settings {
    let entries = listed.split('|').filter(|entry| !entry.is_empty());
    let entries = entries.map(|entry| {
        let (key, value) = entry.split_once('\n').unwrap_or((entry, "true"));
        Setting {
            key: key.into(),
            value: value.into(),
            own,
        }
    });
    Settings {
        entries: entries.collect(),
    }
}

/// One after the other.
#[cfg(test)]
pub(super) fn joined(first: Settings, second: Settings) -> Settings {
    Settings {
        entries: first.entries.into_iter().chain(second.entries).collect(),
    }
}

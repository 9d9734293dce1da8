//! The `.git/config` of the sandbox: what is carried over from the host's, made safe, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use super::command::Git;
use super::error::GitError;
use super::rewrite;
use super::trust;
use super::url::without_secrets;

/// Settings as git lists them: section and variable lower case, the last value of a key is the one that
/// counts.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    entries: Vec<Setting>,
}

#[derive(Clone, Debug)]
struct Setting {
    key: String,
    value: String,
    /// From the repository's own files, not from the user's or the system's.
    own: bool,
}

impl Settings {
    /// All that git would use in this repository, from all files.
    pub(super) fn read(git: &Git) -> Result<Self, GitError> {
        let listed = git.output(&["config", "--list", "--show-scope", "-z"])?;
        Ok(Self::parse_scoped(&listed))
    }

    /// Parses what `git config --list --show-scope -z` prints. What amika itself told git is left out.
    pub(super) fn parse_scoped(listed: &[u8]) -> Self {
        let parts: Vec<&[u8]> = listed.split(|&byte| byte == 0).collect();
        let entries = parts
            .chunks_exact(2)
            .filter(|pair| pair[0] != b"command")
            .map(|pair| Setting {
                own: !matches!(pair[0], b"global" | b"system"),
                ..Setting::parse(pair[1])
            })
            .collect();
        Self { entries }
    }

    /// Parses what `git config --list -z` prints of one file.
    pub(super) fn parse(listed: &[u8]) -> Self {
        let entries = listed
            .split(|&byte| byte == 0)
            .filter(|entry| !entry.is_empty())
            .map(Setting::parse)
            .collect();
        Self { entries }
    }

    /// The settings of a clone: the user's own, and those of its one remote, `origin`. What `bare` says of
    /// remotes and branches is only about the temporary copy.
    pub(super) fn of_clone(bare: &Self, url: &str) -> Self {
        let temporary = |key: &str| key.starts_with("remote.") || key.starts_with("branch.");
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
                key: format!("remote.origin.{variable}"),
                value: value.to_owned(),
                own: true,
            });
        }
        Self { entries }
    }

    /// The value that counts.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        let found = self.entries.iter().rev().find(|one| one.key == key)?;
        Some(&found.value)
    }

    /// The value that would count without the repository's own files.
    pub(super) fn users(&self, key: &str) -> Option<&str> {
        let mut users = self.entries.iter().rev().filter(|one| !one.own);
        Some(&users.find(|one| one.key == key)?.value)
    }

    /// Whether a boolean is on, or off; `None` when unset.
    pub(super) fn boolean(&self, key: &str) -> Option<bool> {
        let value = self.get(key)?.to_ascii_lowercase();
        Some(!matches!(value.as_str(), "false" | "no" | "off" | "0" | ""))
    }

    /// Subsection, variable and value of all keys of a section that have a subsection.
    pub(super) fn section<'a>(
        &'a self,
        section: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a str, &'a str)> {
        self.entries.iter().filter_map(|one| one.within(section))
    }

    /// The same of the repository's own files alone.
    pub(super) fn own_section<'a>(
        &'a self,
        section: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a str, &'a str)> {
        let own = self.entries.iter().filter(|one| one.own);
        own.filter_map(|one| one.within(section))
    }

    /// The remotes' names and URLs, without secrets.
    pub(super) fn remotes(&self) -> BTreeMap<String, String> {
        let mut remotes = BTreeMap::new();
        for (remote, variable, value) in self.section("remote") {
            if variable == "url" {
                remotes.insert(remote.to_owned(), fetch_url(self, value));
            }
        }
        remotes
    }
}

impl Setting {
    /// Parses one entry of a list.
    fn parse(entry: &[u8]) -> Self {
        let entry = String::from_utf8_lossy(entry);
        // A key without a value is a boolean that is on.
        let (key, value) = entry.split_once('\n').unwrap_or((&entry, "true"));
        Self {
            key: key.to_owned(),
            value: value.to_owned(),
            own: true,
        }
    }

    /// Subsection, variable and value, when the key is one of that section and has a subsection.
    fn within(&self, section: &str) -> Option<(&str, &str, &str)> {
        let rest = self.key.strip_prefix(section)?.strip_prefix('.')?;
        let (subsection, variable) = rest.rsplit_once('.')?;
        Some((subsection, variable, self.value.as_str()))
    }
}

/// What else decides the generated file.
pub(super) struct Wanted<'a> {
    /// Object names are SHA-256.
    pub(super) sha256: bool,
    /// The work tree, seen from the git directory, where it is not its parent.
    pub(super) work_tree: Option<String>,
    /// The file with the user's attributes, seen from the work tree.
    pub(super) attributes: Option<String>,
    /// Names of the filter drivers that attributes use.
    pub(super) filters: &'a BTreeSet<String>,
    /// A copy of the host's work tree: what decides how that is read comes too.
    pub(super) dirty: bool,
    /// Names and URLs of the submodules that are filled.
    pub(super) submodules: &'a BTreeMap<String, String>,
    /// The branch made for the sandbox, its remote and the branch there.
    pub(super) upstream: Option<(&'a str, &'a str, &'a str)>,
}

/// What decides which changes `git status` shows, and as what. None of it names a file or a program.
const SHOWN: [(&str, &[&str]); 2] = [
    ("diff", &["ignoresubmodules", "renames", "renamelimit"]),
    (
        "status",
        &[
            "showuntrackedfiles",
            "renames",
            "renamelimit",
            "aheadbehind",
        ],
    ),
];

/// Writes the file.
pub(super) fn generate(host: &Settings, wanted: &Wanted) -> String {
    let mut file = File::default();
    let partial = host.get("extensions.partialclone");
    let version = if wanted.sha256 || partial.is_some() {
        "1"
    } else {
        "0"
    };
    file.set("core", "", "repositoryformatversion", version);
    file.set("core", "", "filemode", "true");
    file.set("core", "", "bare", "false");
    file.set("core", "", "logallrefupdates", "true");
    if let Some(work_tree) = &wanted.work_tree {
        file.set("core", "", "worktree", work_tree);
    }
    // These decide the bytes of a checked-out file.
    let mut core = vec!["autocrlf", "eol"];
    if wanted.dirty {
        core.extend([
            "symlinks",
            "sparsecheckout",
            "sparsecheckoutcone",
            "quotepath",
        ]);
    }
    for variable in core {
        if let Some(value) = host.get(&format!("core.{variable}")) {
            file.set("core", "", variable, value);
        }
    }
    if let Some(attributes) = &wanted.attributes {
        file.set("core", "", "attributesfile", attributes);
    }
    if wanted.dirty {
        for (section, variables) in SHOWN {
            for variable in variables {
                if let Some(value) = host.get(&format!("{section}.{variable}")) {
                    file.set(section, "", variable, value);
                }
            }
        }
    }
    if wanted.sha256 {
        file.set("extensions", "", "objectformat", "sha256");
    }
    if let Some(remote) = partial {
        file.set("extensions", "", "partialclone", remote);
    }
    for variable in ["name", "email"] {
        if let Some(value) = host.get(&format!("user.{variable}")) {
            file.set("user", "", variable, value);
        }
    }
    remotes(&mut file, host);
    for (branch, variable, value) in host.section("branch") {
        match variable {
            "remote" | "pushremote" => {
                file.set("branch", branch, variable, &fetch_url(host, value));
            }
            "merge" | "rebase" | "description" => file.set("branch", branch, variable, value),
            _ => {}
        }
    }
    if let Some((branch, remote, merge)) = wanted.upstream {
        file.set("branch", branch, "remote", remote);
        file.set("branch", branch, "merge", merge);
    }
    for (name, url) in wanted.submodules {
        file.set("submodule", name, "active", "true");
        file.set("submodule", name, "url", &fetch_url(host, url));
    }
    for (name, variable, value) in host.section("submodule") {
        if wanted.dirty && variable == "ignore" {
            file.set("submodule", name, variable, value);
        }
    }
    for name in wanted.filters {
        filter(&mut file, host, name);
    }
    file.text
}

/// A URL as git on the host understands it, which is not for the sandbox to know how, without secrets.
fn fetch_url(host: &Settings, url: &str) -> String {
    without_secrets(&rewrite::fetched(host, url))
}

/// The remotes, with URLs that mean the same without the settings by which the host rewrites them.
fn remotes(file: &mut File, host: &Settings) {
    if let Some(remote) = host.get("remote.pushdefault") {
        file.set("remote", "", "pushdefault", &fetch_url(host, remote));
    }
    for (remote, variable, value) in host.section("remote") {
        match variable {
            "url" => {
                file.set("remote", remote, variable, &fetch_url(host, value));
                let is_said = host.get(&format!("remote.{remote}.pushurl")).is_some();
                if let Some(url) = rewrite::pushed(host, value).filter(|_| !is_said) {
                    file.set("remote", remote, "pushurl", &without_secrets(&url));
                }
            }
            "pushurl" => file.set("remote", remote, variable, &fetch_url(host, value)),
            "fetch" | "push" | "tagopt" | "promisor" | "partialclonefilter" | "prune" => {
                file.set("remote", remote, variable, value);
            }
            _ => {}
        }
    }
}

/// A filter driver that attributes use: without it every such file would show as changed. `required` stays
/// behind, so that a program that the sandbox does not have is a message and not the end of `git status`.
fn filter(file: &mut File, host: &Settings, name: &str) {
    for variable in trust::PROGRAMS {
        let set = host.get(&format!("filter.{name}.{variable}"));
        let lfs = trust::lfs(variable).filter(|_| name == "lfs");
        if let Some(value) = lfs.or(set) {
            file.set("filter", name, variable, value);
        }
    }
}

/// A configuration file as it is written.
#[derive(Default)]
struct File {
    text: String,
    header: String,
}

impl File {
    fn set(&mut self, section: &str, subsection: &str, variable: &str, value: &str) {
        let header = if subsection.is_empty() {
            format!("[{section}]\n")
        } else {
            format!("[{section} \"{}\"]\n", escape(subsection))
        };
        if self.header != header {
            self.text.push_str(&header);
            self.header = header;
        }
        let value = escape(value).replace('\n', r"\n").replace('\t', r"\t");
        for part in ["\t", variable, " = \"", &value, "\"\n"] {
            self.text.push_str(part);
        }
    }
}

fn escape(text: &str) -> String {
    text.replace('\\', r"\\").replace('"', "\\\"")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn generated(listed: &str, filters: &[&str]) -> String {
        let host = Settings::parse(listed.replace('|', "\0").as_bytes());
        let filters = filters.iter().map(|name| (*name).to_owned()).collect();
        generate(
            &host,
            &Wanted {
                sha256: false,
                work_tree: None,
                attributes: None,
                filters: &filters,
                dirty: false,
                submodules: &BTreeMap::new(),
                upstream: None,
            },
        )
    }

    #[test]
    fn only_what_is_known_to_be_safe_is_carried_over() {
        let file = generated(
            "user.name\nMe|credential.helper\nstore|http.https://x/.extraheader\nA: B|\
             remote.origin.url\nhttps://me:tok@example.com/a|remote.origin.fetch\n+refs/heads/*:refs/remotes/origin/*|\
             remote.origin.uploadpack\nevil|branch.a.b.remote\norigin|core.sshcommand\nevil|core.hookspath\n/x|\
             url.https://tok@example.com/.insteadof\nx:|filter.lfs.required\ntrue|alias.x\n!evil",
            &[],
        );
        assert_eq!(
            file,
            "[core]\n\trepositoryformatversion = \"0\"\n\tfilemode = \"true\"\n\tbare = \"false\"\n\
             \tlogallrefupdates = \"true\"\n[user]\n\tname = \"Me\"\n[remote \"origin\"]\n\
             \turl = \"https://example.com/a\"\n\tfetch = \"+refs/heads/*:refs/remotes/origin/*\"\n\
             [branch \"a.b\"]\n\tremote = \"origin\"\n"
        );
    }

    #[test]
    fn odd_values_survive_and_cannot_start_a_section() {
        let file = generated("user.name\na\"b\\c\n[core]\n\tsshcommand = evil", &[]);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config");
        std::fs::write(&path, file).unwrap();
        let git = Git::in_directory(directory.path());
        let file = path.to_str().unwrap();
        let name = git
            .output(&["config", "-f", file, "-z", "user.name"])
            .unwrap();
        assert_eq!(name, b"a\"b\\c\n[core]\n\tsshcommand = evil\0");
        assert_eq!(
            git.answer(&["config", "-f", file, "core.sshcommand"])
                .unwrap(),
            None
        );
    }

    #[test]
    fn a_filter_comes_only_when_it_is_used() {
        let listed = "filter.up.clean\ntr A-Z a-z|filter.up.required\ntrue|filter.other.clean\nx";
        let file = generated(listed, &["up", "lfs"]);
        assert!(
            file.contains("[filter \"up\"]\n\tclean = \"tr A-Z a-z\"\n"),
            "{file}"
        );
        assert!(
            file.contains("process = \"git-lfs filter-process\""),
            "{file}"
        );
        assert!(
            !file.contains("other") && !file.contains("required"),
            "{file}"
        );
    }
}

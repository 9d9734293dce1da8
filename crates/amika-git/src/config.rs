//! The `.git/config` of the sandbox: what is carried over from the host's, made safe, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use super::drivers;
use super::rewrite;
use super::settings::Settings;
use super::url::without_secrets;

/// What else decides the generated file.
pub(super) struct Wanted<'a> {
    /// Object names are SHA-256.
    pub(super) sha256: bool,
    /// The work tree, seen from the git directory, where it is not its parent.
    pub(super) work_tree: Option<Vec<u8>>,
    /// The file with the user's attributes, seen from the work tree.
    pub(super) attributes: Option<Vec<u8>>,
    /// Names of the filter drivers that attributes use.
    pub(super) filters: &'a BTreeSet<Vec<u8>>,
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
pub(super) fn generate(host: &Settings, wanted: &Wanted) -> Vec<u8> {
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
        file.put("core", b"", "worktree", work_tree);
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
        file.put("core", b"", "attributesfile", attributes);
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
    for (branch, variable, value) in texts(host, "branch") {
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
    for (name, variable, value) in texts(host, "submodule") {
        if wanted.dirty && variable == "ignore" {
            file.set("submodule", name, variable, value);
        }
    }
    for name in wanted.filters {
        filter(&mut file, host, name);
    }
    file.text
}

/// Subsection, variable and value of a section, of those that are text: of the others is a warning.
fn texts<'a>(
    host: &'a Settings,
    section: &'a str,
) -> impl Iterator<Item = (&'a str, &'a str, &'a str)> {
    host.section(section).filter_map(|(name, variable, value)| {
        let (name, value) = (std::str::from_utf8(name), std::str::from_utf8(value));
        Some((name.ok()?, variable, value.ok()?))
    })
}

/// A URL as git on the host understands it, which is not for the sandbox to know how, without secrets.
pub(super) fn fetch_url(host: &Settings, url: &str) -> String {
    without_secrets(&rewrite::fetched(host, url))
}

/// The remotes, with URLs that mean the same without the settings by which the host rewrites them.
fn remotes(file: &mut File, host: &Settings) {
    if let Some(remote) = host.get("remote.pushdefault") {
        file.set("remote", "", "pushdefault", &fetch_url(host, remote));
    }
    for (remote, variable, value) in texts(host, "remote") {
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
fn filter(file: &mut File, host: &Settings, name: &[u8]) {
    for variable in drivers::PROGRAMS {
        let set = host.named(&drivers::key(name, variable));
        let lfs = drivers::lfs(variable).filter(|_| name == b"lfs");
        if let Some(value) = lfs.map(str::as_bytes).or(set) {
            file.put("filter", name, variable, value);
        }
    }
}

/// A configuration file as it is written.
#[derive(Default)]
pub(super) struct File {
    pub(super) text: Vec<u8>,
    header: Vec<u8>,
}

impl File {
    /// Adds a setting; `subsection` may be empty.
    pub(super) fn set(&mut self, section: &str, subsection: &str, variable: &str, value: &str) {
        self.put(section, subsection.as_bytes(), variable, value.as_bytes());
    }

    /// The same of bytes.
    pub(super) fn put(&mut self, section: &str, subsection: &[u8], variable: &str, value: &[u8]) {
        let header = if subsection.is_empty() {
            format!("[{section}]\n").into_bytes()
        } else {
            let name = escape(subsection);
            [b"[", section.as_bytes(), b" \"", &name[..], b"\"]\n"].concat()
        };
        if self.header != header {
            self.text.extend_from_slice(&header);
            self.header = header;
        }
        let mut plain = Vec::new();
        for byte in escape(value) {
            match byte {
                b'\n' => plain.extend_from_slice(br"\n"),
                b'\t' => plain.extend_from_slice(br"\t"),
                byte => plain.push(byte),
            }
        }
        for part in [b"\t", variable.as_bytes(), b" = \"", &plain, b"\"\n"] {
            self.text.extend_from_slice(part);
        }
    }
}

fn escape(text: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(text.len());
    for &byte in text {
        if matches!(byte, b'\\' | b'"') {
            escaped.push(b'\\');
        }
        escaped.push(byte);
    }
    escaped
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::super::command::Git;
    use super::super::settings::sample;
    use super::*;
    use amika_host::machine::Machine;

    fn generated(listed: &str, filters: &[&str]) -> String {
        let host = sample(listed, true);
        let filters = filters
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        let file = generate(
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
        );
        String::from_utf8(file).unwrap()
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
        let git = Git::on(&Machine::of_process(), directory.path(), None);
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

//! Files kept in Git LFS: taken from the host's own store, never downloaded.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use amika_core::repo_path::escaped;

use super::blobs::{BlobError, Blobs};
use super::dir::Dir;
use super::error::GitError;
use super::index::Entry;
use super::local_url;
use super::rewrite;
use super::settings::Settings;
use super::source::Location;
use super::url;

/// A pointer is a short text; larger content is no pointer.
const POINTER_LIMIT: u64 = 1024;

/// Where content may be had from, for the words on what is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Lfs {
    /// Only what this machine has.
    OfThisMachine,
    /// What the URL's server, or one that the repository names, gave.
    OfUrl,
    /// It was not asked for yet.
    Waits,
    /// It is on servers that only the repository names, and nobody trusts it.
    Untrusted(Vec<String>),
}

impl Lfs {
    /// What a person should know of files whose content is missing.
    pub(super) fn missing(&self, files: usize) -> Option<String> {
        let why = match self {
            _ if files == 0 => return None,
            Self::Waits => return None,
            Self::OfThisMachine => {
                "their content is not on this machine (`git lfs fetch` brings it)".to_owned()
            }
            Self::OfUrl => {
                "their content could not be fetched (`git lfs pull` in the sandbox brings it)"
                    .to_owned()
            }
            Self::Untrusted(servers) => {
                let servers: Vec<String> =
                    servers.iter().map(|one| escaped(one.as_bytes())).collect();
                format!(
                    "their content is at {}, which the repository names and you did not (`git lfs pull` in the sandbox brings it)",
                    servers.join(", ")
                )
            }
        };
        Some(format!("{files} LFS file(s) stay pointers: {why}"))
    }
}

/// What a pointer says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pointer {
    oid: String,
    size: u64,
}

/// A content that the host has.
#[derive(Clone, Debug)]
pub(super) struct Object {
    /// The store that has it, held open.
    store: Arc<Dir>,
    /// Its place beneath `.git/`.
    pub(super) place: String,
    /// Bytes.
    pub(super) size: u64,
}

/// The contents that a tree needs.
#[derive(Debug, Default)]
pub(super) struct Objects {
    /// By the pointer's object name in git.
    pub(super) of: HashMap<String, Object>,
    /// Files whose content the host does not have: their pointers are all there is.
    pub(super) missing: usize,
}

impl Object {
    /// Where it is on the host, for messages.
    pub(super) fn path(&self) -> PathBuf {
        self.store.place(self.beneath())
    }

    /// Opens it, never through a link.
    pub(super) fn open(&self) -> io::Result<File> {
        let found = self.store.file(self.beneath())?;
        found
            .map(|(file, _)| file)
            .ok_or(io::ErrorKind::NotFound.into())
    }

    fn beneath(&self) -> &[u8] {
        let place = self.place.as_bytes();
        place.strip_prefix(b"lfs/").unwrap_or(place)
    }
}

/// The store: where the user's configuration says, else where the repository's does if that is in its git
/// directory, else the usual place.
fn store(location: &Location, settings: &Settings) -> io::Result<Option<Dir>> {
    let (_, common) = location.directories();
    if let Some(own) = settings.own("lfs.storage") {
        let own = match Path::new(OsStr::from_bytes(own)).strip_prefix(common.path()) {
            Ok(inside) => inside.as_os_str().as_bytes(),
            Err(_) => own,
        };
        return match common.real_dir(own) {
            // It names another place.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(None),
            found => found,
        };
    }
    match settings.users(b"lfs.storage") {
        // It is the repository's, whoever names it.
        Some(users) if !users.starts_with(b"/") => match common.real_dir(users) {
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(None),
            found => found,
        },
        Some(users) => Ok(Dir::open(&common.place(users)).ok()),
        None => common.real_dir(b"lfs"),
    }
}

/// The file by which a repository says where its LFS server is.
pub(super) const CONFIGURATION: &str = ".lfsconfig";

/// How often what `insteadOf` made of a URL is looked at again: git-lfs rewrites some of them twice.
const REWRITES: usize = 4;

/// The servers that such a file names, without secrets, but for the one of the repository's own URL. `None` where one
/// of them may be on this machine: git-lfs would fetch from another repository here as well, by running git in it.
/// What counts is what the user's `insteadOf` makes of a URL.
pub(super) fn servers(
    configuration: &[u8],
    address: &str,
    settings: &Settings,
) -> Option<Vec<String>> {
    let entries = amika_core::git_files::config::parse(configuration).ok()?;
    let mut all = Vec::new();
    for entry in &entries {
        // What it includes is not known.
        if [&b"include"[..], b"includeif"].contains(&&entry.section[..]) {
            return None;
        }
        if ![&b"url"[..], b"pushurl", b"lfsurl", b"lfspushurl"].contains(&&entry.variable[..]) {
            continue;
        }
        let url = std::str::from_utf8(entry.value.as_deref().unwrap_or_default()).ok()?;
        if !is_elsewhere(url, settings, REWRITES) {
            return None;
        }
        let is_rewritten = |url| !rewrite::all(settings, url).is_empty();
        let is_own = url::server(url).is_some() && url::server(url) == url::server(address);
        if !is_own || is_rewritten(url) || is_rewritten(address) {
            all.push(url::without_secrets(url));
        }
    }
    Some(all)
}

/// Whether a URL, and all that may be made of it, leads to another machine.
fn is_elsewhere(url: &str, settings: &Settings, rewrites: usize) -> bool {
    is_remote(url)
        && (rewrites == 0
            || rewrite::all(settings, url).iter().all(|made| {
                // One that makes a URL of itself is no further one.
                made == url || is_elsewhere(made, settings, rewrites - 1)
            }))
}

/// Whether a URL, as it is, leads to another machine.
fn is_remote(url: &str) -> bool {
    if let Some((scheme, _)) = url.split_once("://") {
        let known = ["http", "https", "ssh", "git+ssh", "ssh+git", "git"];
        return known.contains(&scheme.to_ascii_lowercase().as_str());
    }
    let is_scheme = url.trim_start().to_ascii_lowercase().starts_with("file:");
    !is_scheme && !url.contains("::") && local_url::path(url).is_none()
}

/// Finds the contents for pointers among the entries.
pub(super) fn find(
    location: &Location,
    settings: &Settings,
    entries: &[&Entry],
) -> Result<Objects, GitError> {
    let mut objects = Objects::default();
    if entries.is_empty() {
        return Ok(objects);
    }
    let common_dir = &location.common_dir;
    let git = &location.git_in(None);
    let store = store(location, settings).map_err(GitError::io("read", common_dir))?;
    let store = store.map(Arc::new);
    let oids = entries.iter().map(|entry| &*entry.oid);
    std::thread::scope(|scope| {
        let mut blobs = Blobs::start(scope, git, oids)?;
        for entry in entries {
            let size = match blobs.next(&entry.oid) {
                Ok(size) => size,
                // The copy itself says so, with the file's name.
                Err(BlobError::Missing) => continue,
                Err(BlobError::Broken(error)) => {
                    return Err(GitError::io("read", common_dir)(error));
                }
            };
            let read = GitError::io("read", common_dir);
            if size > POINTER_LIMIT {
                blobs.skip(size).map_err(read)?;
                continue;
            }
            let Some(pointer) = parse(&blobs.small(size).map_err(read)?) else {
                continue;
            };
            let place = format!(
                "objects/{}/{}/{}",
                &pointer.oid[..2],
                &pointer.oid[2..4],
                pointer.oid
            );
            let has = |store: &&Arc<Dir>| {
                let found = store.file(place.as_bytes());
                matches!(found, Ok(Some((_, meta))) if meta.len() == pointer.size)
            };
            if let Some(store) = store.as_ref().filter(has) {
                let object = Object {
                    store: Arc::clone(store),
                    place: format!("lfs/{place}"),
                    size: pointer.size,
                };
                objects.of.insert(entry.oid.to_string(), object);
            } else if pointer.size > 0 {
                objects.missing += 1;
            }
        }
        Ok(objects)
    })
}

fn parse(content: &[u8]) -> Option<Pointer> {
    let text = std::str::from_utf8(content).ok()?;
    let mut lines = text.lines();
    lines
        .next()?
        .strip_prefix("version https://git-lfs.github.com/spec/")?;
    let (mut oid, mut size) = (None, None);
    for line in lines {
        if let Some(hash) = line.strip_prefix("oid sha256:") {
            let hexadecimal = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
            oid = hexadecimal.then(|| hash.to_ascii_lowercase());
        } else if let Some(bytes) = line.strip_prefix("size ") {
            size = bytes.parse().ok();
        }
    }
    Some(Pointer {
        oid: oid?,
        size: size?,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_server_on_this_machine_is_told() {
        for (text, is_other) in [
            ("", true),
            (
                "[lfs]\n\turl = https://example.com/lfs\n\tfetchinclude = /a\n",
                true,
            ),
            ("[lfs]\n\turl = git@example.com:a/b\n", true),
            (
                "[remote \"origin\"]\n\tlfsurl = ssh://example.com/a\n",
                true,
            ),
            ("[lfs]\n\turl = file:///home/ada/private\n", false),
            ("[lfs]\n\turl = FILE:///home/ada/private\n", false),
            ("[lfs]\n\turl = file:/home/ada/private\n", false),
            ("[lfs]\n\turl = /home/ada/private\n", false),
            ("[lfs]\n\turl = ../private\n", false),
            ("[lfs]\n\turl\n", false),
            ("[remote \"origin\"]\n\tlfsurl = file:///x\n", false),
            ("[lfs]\n\tpushurl = file:///x\n", false),
            ("[lfs]\n\turl = x::/home/ada/private\n", false),
            ("[include]\n\tpath = /home/ada/private\n", false),
            ("[lfs\n", false),
        ] {
            let found = servers(text.as_bytes(), "https://other.com/a", &Settings::default());
            assert_eq!(found.is_some(), is_other, "{text}");
        }
    }

    #[test]
    fn what_insteadof_makes_of_a_server_is_told() {
        let listed = "url.file:///home/ada/.insteadof\nhttps://corp.invalid/|\
             url./home/ada/.insteadof\ngit@corp.invalid:|\
             url.https://corp.invalid/.insteadof\ncorp:|\
             url.file:///pushed/.pushinsteadof\nhttps://push.invalid/|\
             url.https://mirror.invalid/.insteadof\nhttps://public.invalid/|\
             url.https://loop.invalid/.insteadof\nhttps://loop.invalid/|\
             url.https://same.invalid/.insteadof\nhttps://two.invalid/|\
             url.file:///two/.insteadof\nhttps://two.invalid/";
        for own in [true, false] {
            let settings = super::super::settings::sample(listed, own);
            for (url, is_other) in [
                ("https://example.com/lfs", true),
                ("https://public.invalid/a", true),
                ("https://loop.invalid/a", true),
                ("https://corp.invalid/private", false),
                ("git@corp.invalid:private", false),
                ("corp:private", false),
                ("https://push.invalid/private", false),
                // Which of two equal ones counts, git and git-lfs need not agree on.
                ("https://two.invalid/private", false),
            ] {
                for key in [
                    "lfs]\n\turl",
                    "lfs]\n\tpushurl",
                    "remote \"origin\"]\n\tlfsurl",
                ] {
                    let text = format!("[{key} = {url}\n");
                    let found = servers(text.as_bytes(), "https://other.com/a", &settings);
                    assert_eq!(found.is_some(), is_other, "{text}");
                }
            }
        }
    }

    #[test]
    fn servers_are_told_from_that_of_the_repositorys_own_url() {
        let own = "https://me:secret@Example.com/a/b.git";
        for (named, is_own) in [
            ("https://example.com/lfs", true),
            ("HTTPS://you@example.com/a/b/info/lfs", true),
            ("https://example.com:443/lfs", true),
            ("http://example.com/lfs", false),
            ("https://example.com:8443/lfs", false),
            ("https://example.com.evil.example/lfs", false),
            ("https://example.com@evil.example/lfs", false),
            ("https://evil.example/example.com", false),
            ("https://evil.example\\@example.com/lfs", false),
            ("https://evil.example#@example.com/lfs", false),
            ("https://evil.example?@example.com/lfs", false),
            ("ssh://git@example.com/lfs", false),
            ("git@example.com:a/b", false),
        ] {
            let text = format!("[lfs]\n\turl = \"{}\"\n", named.replace('\\', "\\\\"));
            let found = servers(text.as_bytes(), own, &Settings::default()).unwrap();
            assert_eq!(found.is_empty(), is_own, "{text}: {found:?}");
        }
        let settings = "url.https://evil.example/.insteadof\nhttps://example.com/lfs";
        let settings = super::super::settings::sample(settings, false);
        let named = b"[lfs]\n\turl = https://example.com/lfs\n";
        assert_eq!(servers(named, own, &settings).unwrap().len(), 1);
    }

    #[test]
    fn a_pointer_is_read_and_nothing_else_is_one() {
        let oid = "4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393";
        let text =
            format!("version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize 12345\n");
        let pointer = parse(text.as_bytes()).unwrap();
        assert_eq!((pointer.oid.as_str(), pointer.size), (oid, 12345));
        assert_eq!(parse(text.replace(oid, "../../x").as_bytes()), None);
        assert_eq!(parse(text.replace("12345", "-1").as_bytes()), None);
        assert_eq!(parse(b"hello"), None);
    }
}

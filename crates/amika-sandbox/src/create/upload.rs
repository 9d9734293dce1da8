//! Files that are put into a container that does not run: one call for each place they go to.

use std::collections::BTreeSet;
use std::path::Path;

use amika_core::contract::path;
use amika_core::service::Service;
use amika_core::wire::{Dotfiles, GivenVariables, NextBoot};

/// Whose a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Root's.
    Root,
    /// The agent's.
    Agent,
}

/// Files for one place in the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// The directory that the files go beneath: the root of a volume, or `/`.
    pub at: &'static str,
    /// The files.
    pub files: Vec<File>,
}

/// One file of an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Path relative to the upload's directory.
    pub path: String,
    /// What it is.
    pub content: Content,
    /// Permission bits.
    pub mode: u32,
    /// Whose it is.
    pub owner: Owner,
}

/// What a file is.
#[derive(Clone, PartialEq, Eq)]
pub enum Content {
    /// A regular file.
    Bytes(Vec<u8>),
    /// A symbolic link.
    Link(String),
    /// A directory.
    Directory,
}

/// Contents may be secret.
impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
            Self::Link(target) => write!(f, "-> {target}"),
            Self::Directory => f.write_str("directory"),
        }
    }
}

impl Upload {
    /// A setup script over the image's own.
    pub fn setup_script(content: Vec<u8>) -> Self {
        Self::setup(Content::Bytes(content))
    }

    /// A setup script that is read from the sandbox itself at each start.
    pub fn setup_link(target: &str) -> Self {
        Self::setup(Content::Link(target.to_owned()))
    }

    fn setup(content: Content) -> Self {
        let path = path::SETUP_SCRIPT.trim_start_matches('/').to_owned();
        Self {
            at: "/",
            files: vec![File {
                path,
                content,
                mode: 0o755,
                owner: Owner::Root,
            }],
        }
    }

    /// Files of the agent's for its home, each with its path from there and its mode, and the directories that they are in.
    pub fn agents(files: Vec<(String, Vec<u8>, u32)>) -> Self {
        let entry = |path, content, mode| File {
            path,
            content,
            mode,
            owner: Owner::Agent,
        };
        let parents: BTreeSet<String> = files
            .iter()
            .flat_map(|(path, _, _)| Path::new(path).ancestors().skip(1))
            .filter_map(|parent| parent.to_str().filter(|parent| !parent.is_empty()))
            .map(str::to_owned)
            .collect();
        // A set is in the order of its paths: a directory comes before what is in it.
        let parents = parents
            .into_iter()
            .map(|parent| entry(parent, Content::Directory, 0o700));
        let contents = files
            .into_iter()
            .map(|(path, bytes, mode)| entry(path, Content::Bytes(bytes), mode));
        Self {
            at: path::HOME,
            files: parents.chain(contents).collect(),
        }
    }

    /// The OpenCode password that the user gave.
    pub fn opencode_password(password: &str) -> Self {
        Self::state(path::OPENCODE_PASSWORD_FILE, password.as_bytes().to_vec())
    }

    /// Instructions for the next start.
    pub fn next_boot(next: &NextBoot) -> Self {
        // A struct of booleans always serialises.
        Self::state(
            path::NEXT_BOOT,
            serde_json::to_vec(next).unwrap_or_default(),
        )
    }

    /// The sandbox's own services, which amikad runs.
    pub fn services(services: &[Service]) -> Self {
        // Plain values always serialise.
        let json = serde_json::to_vec(services).unwrap_or_default();
        Self::state(path::SERVICES, json)
    }

    /// Variables for the next boot.
    pub fn given_variables(given: &GivenVariables) -> Self {
        // Maps of texts always serialise.
        let json = serde_json::to_vec(given).unwrap_or_default();
        Self::state(path::NEXT_SECRETS_ENV, json)
    }

    /// The state of the repository at creation: later work is told from it.
    pub fn git_snapshot(snapshot: Vec<u8>) -> Self {
        Self::state(path::GIT_SNAPSHOT, snapshot)
    }

    /// What a copy of host files was made of; `number` tells it from the others.
    pub fn copied(number: usize, manifest: Vec<u8>) -> Self {
        let mut upload = Self::state(&format!("{}/{number}", path::COPIES), manifest);
        let directory = File {
            path: beneath_state(path::COPIES),
            content: Content::Directory,
            mode: 0o700,
            owner: Owner::Root,
        };
        upload.files.insert(0, directory);
        upload
    }

    /// That dotfiles wait to be installed, and the agent's directory for them.
    pub fn dotfiles(note: &Dotfiles) -> [Self; 2] {
        // A struct of plain values always serialises.
        let json = serde_json::to_vec(note).unwrap_or_default();
        let name = path::DOTFILES.strip_prefix(path::HOME).unwrap_or_default();
        let directory = File {
            path: name.trim_start_matches('/').to_owned(),
            content: Content::Directory,
            mode: 0o755,
            owner: Owner::Agent,
        };
        let home = Self {
            at: path::HOME,
            files: vec![directory],
        };
        [Self::state(path::DOTFILES_NOTE, json), home]
    }

    /// Agents whose sign-ins were copied in since the sandbox was made.
    pub fn added_credentials(note: &crate::sign_ins::Added) -> Self {
        let json = serde_json::to_vec(note).unwrap_or_default();
        Self::state(path::ADDED_CREDENTIALS, json)
    }

    fn state(absolute: &str, content: Vec<u8>) -> Self {
        let path = beneath_state(absolute);
        let content = Content::Bytes(content);
        Self {
            at: path::STATE_DIR,
            files: vec![File {
                path,
                content,
                mode: 0o600,
                owner: Owner::Root,
            }],
        }
    }

    /// Joins uploads for the same place, so that each place costs one call.
    pub fn merge(uploads: Vec<Self>) -> Vec<Self> {
        let mut merged: Vec<Self> = Vec::new();
        for upload in uploads {
            match merged.iter_mut().find(|other| other.at == upload.at) {
                Some(other) => other.files.extend(upload.files),
                None => merged.push(upload),
            }
        }
        merged
    }

    /// Whether any of it belongs to the agent.
    pub fn needs_agent(&self) -> bool {
        self.files.iter().any(|file| file.owner == Owner::Agent)
    }

    /// The tar archive; `agent` is the agent's user and group.
    ///
    /// # Errors
    /// When a path or link cannot be written down.
    pub fn archive(&self, agent: (u32, u32)) -> std::io::Result<Vec<u8>> {
        let mut archive = tar::Builder::new(Vec::new());
        for file in &self.files {
            let mut header = tar::Header::new_gnu();
            header.set_mode(file.mode);
            header.set_mtime(amika_host::clock::now_millis() / 1000);
            let (uid, gid) = match file.owner {
                Owner::Root => (0, 0),
                Owner::Agent => agent,
            };
            header.set_uid(uid.into());
            header.set_gid(gid.into());
            match &file.content {
                Content::Bytes(bytes) => {
                    header.set_size(bytes.len() as u64);
                    archive.append_data(&mut header, &file.path, bytes.as_slice())?;
                }
                Content::Link(target) => {
                    header.set_entry_type(tar::EntryType::Symlink);
                    header.set_size(0);
                    archive.append_link(&mut header, &file.path, target)?;
                }
                Content::Directory => {
                    header.set_entry_type(tar::EntryType::Directory);
                    header.set_size(0);
                    archive.append_data(&mut header, &file.path, std::io::empty())?;
                }
            }
        }
        archive.into_inner()
    }
}

/// A path in the state directory, relative to it.
fn beneath_state(absolute: &str) -> String {
    let relative = absolute.strip_prefix(path::STATE_DIR).unwrap_or(absolute);
    relative.trim_start_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uploads_for_one_place_are_one_call() {
        let merged = Upload::merge(vec![
            Upload::setup_script(b"a".to_vec()),
            Upload::opencode_password("secret"),
            Upload::next_boot(&NextBoot::default()),
        ]);
        assert_eq!(
            merged
                .iter()
                .map(|upload| (upload.at, upload.files.len()))
                .collect::<Vec<_>>(),
            [("/", 1), (path::STATE_DIR, 2)]
        );
    }

    #[test]
    fn a_password_is_never_shown() {
        assert!(!format!("{:?}", Upload::opencode_password("canary")).contains("canary"));
    }
}

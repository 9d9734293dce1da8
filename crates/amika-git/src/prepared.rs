//! What is decided about a repository before its copy is planned: which branch, which refs, what LFS content.

use super::command::Git;
use super::error::GitError;
use super::lfs;
use super::refs::{self, Refs};
use super::selection::{self, Selection};
use super::settings::Settings;
use super::source::Location;
use super::{Facts, Request};

/// What is decided about a repository before its copy is planned.
pub(super) struct Prepared {
    pub(super) location: Location,
    pub(super) settings: Settings,
    pub(super) refs: Refs,
    pub(super) selection: Selection,
    /// Of a URL's whose files LFS has: the servers of other machines that it names for them, none where they are
    /// at that URL. `None` where nothing is to be fetched.
    pub(super) lfs_servers: Option<Vec<String>>,
}

impl Prepared {
    /// Decides which branch it is.
    pub(super) fn select(
        request: &Request,
        location: Location,
        settings: Settings,
        refs: Refs,
    ) -> Result<Self, GitError> {
        let git = location.git();
        for name in [&request.branch, &request.new_branch].into_iter().flatten() {
            refs::check_name(&git, name)?;
        }
        let remotes: Vec<String> = settings.remotes().into_keys().collect();
        let selection = selection::select(
            &refs,
            &remotes,
            request.branch.as_deref(),
            request.new_branch.as_deref(),
            |name| refs::resolve(&git, name),
        )?;
        Ok(Self {
            location,
            settings,
            refs,
            selection,
            lfs_servers: None,
        })
    }

    /// Of a repository that a URL leads to.
    pub(super) fn of_url(
        request: &Request,
        location: Location,
        address: &str,
    ) -> Result<Self, GitError> {
        let git = location.git();
        let settings = Settings::of_clone(location.settings(), address);
        let refs = Refs::read(&git, false)?.into_clone_of("origin");
        let default = refs.head.branch().map(str::to_owned);
        let mut prepared = match Self::select(request, location, settings, refs) {
            Err(GitError::NoSuchBranch { name, near, .. }) => {
                return Err(GitError::NoSuchBranch {
                    name,
                    at_url: true,
                    near,
                });
            }
            other => other?,
        };
        if let Some(branch) = prepared.selection.head.branch()
            && default.as_deref() == Some(branch)
            && prepared.selection.upstream.is_none()
        {
            prepared.selection.upstream = Some(("origin".into(), format!("refs/heads/{branch}")));
        }
        if let Some(commit) = prepared.selection.head.commit() {
            prepared.lfs_servers = lfs_servers(&git, commit, address, &prepared.settings)?;
        }
        Ok(prepared)
    }

    /// What is known of it so far.
    pub(super) fn facts(&self) -> Facts {
        Facts {
            name: self.location.name(),
            root: Some(self.location.root().to_owned()),
            source: self.location.root().display().to_string(),
            branch: self.selection.head.branch().map(str::to_owned),
            commit: self.selection.head.commit().map(str::to_owned),
            remotes: self.settings.remotes(),
            is_dirty: false,
            warnings: Vec::new(),
        }
    }
}

/// The servers that a commit of a URL's repository names for its LFS content; `None` where it has none, and where
/// they cannot be told from this machine.
fn lfs_servers(
    git: &Git,
    commit: &str,
    address: &str,
    settings: &Settings,
) -> Result<Option<Vec<String>>, GitError> {
    let blob = |name: &str| {
        let found = git.try_output(&["cat-file", "blob", name])?;
        Ok::<_, GitError>(found.unwrap_or_default())
    };
    let attributes = blob(&format!("{commit}:.gitattributes"))?;
    if !attributes.windows(10).any(|part| part == b"filter=lfs") {
        return Ok(None);
    }
    let mut all = Vec::new();
    // Git-lfs reads the one of HEAD here.
    for of in ["HEAD", commit] {
        let named = blob(&format!("{of}:{}", lfs::CONFIGURATION))?;
        match lfs::servers(&named, address, settings) {
            Some(servers) => all.extend(servers),
            None => return Ok(None),
        }
    }
    all.sort_unstable();
    all.dedup();
    Ok(Some(all))
}

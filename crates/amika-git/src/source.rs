//! Which repository a `--git` value means, and where its parts are on this machine.

use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use amika_core::git_files::oid::ObjectFormat;
use amika_host::machine::Machine;

use super::command::{Git, Override};
use super::dir::Dir;
use super::discover::{self, Found};
use super::error::GitError;
use super::extra::{self, Rules};
use super::generated::{self, Format, Generated};
use super::index::HostIndex;
use super::objects::Stores;
use super::programs;
use super::settings::Settings;
use super::url;
use super::users::Facts;
use super::workshop::Workshop;

/// What `--git` names.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// Something that `git clone` fetches.
    Url(String),
    /// The repository that contains this directory.
    Directory(PathBuf),
}

/// A repository that was read: its parts, and the directory that git runs on in its place.
#[derive(Clone)]
pub(super) struct Location {
    /// Where its git directory is, for people. Of a linked work tree, `.git/worktrees/<name>`.
    pub(super) git_dir: PathBuf,
    /// Where the one is that all work trees share.
    pub(super) common_dir: PathBuf,
    /// `None` for a bare repository.
    pub(super) work_tree: Option<PathBuf>,
    /// Object names are SHA-256.
    pub(super) sha256: bool,
    parts: Arc<Parts>,
}

/// What of a repository was read, once.
struct Parts {
    found: Found,
    format: Format,
    settings: Settings,
    rules: Rules,
    index: Result<Option<HostIndex>, String>,
    stores: Stores,
    generated: Generated,
    includes: Vec<PathBuf>,
    /// Settings by which nothing is run or read that the user's configuration names relative to the repository.
    programs: Vec<Override>,
    /// An empty directory.
    nowhere: PathBuf,
    machine: Machine,
    warnings: Vec<String>,
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Location")
            .field("git_dir", &self.git_dir)
            .field("work_tree", &self.work_tree)
            .finish_non_exhaustive()
    }
}

impl Source {
    /// Reads a `--git` value; without one it is the directory of the call.
    pub(super) fn read(spec: Option<&str>, cwd: &Path) -> Result<Self, GitError> {
        let Some(spec) = spec else {
            return Ok(Self::Directory(cwd.to_owned()));
        };
        let path = amika_host::path::clean(&cwd.join(spec));
        match std::fs::metadata(&path) {
            Ok(found) if found.is_dir() => Ok(Self::Directory(path)),
            Ok(_) => Ok(Self::Directory(path.parent().unwrap_or(cwd).to_owned())),
            Err(_) if url::is_url(spec) => Ok(Self::Url(spec.to_owned())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(GitError::NoSuchPath { path })
            }
            Err(source) => Err(GitError::Io {
                action: "read",
                path,
                source,
            }),
        }
    }
}

impl Location {
    /// Finds the repository that contains a directory.
    pub(super) fn of(directory: &Path, workshop: &Workshop) -> Result<Self, GitError> {
        let found = discover::repository(directory, workshop.users())?;
        Self::read(found, workshop)
    }

    /// The repository of this machine that a URL leads to, as whoever clones it would have it.
    pub(super) fn served(path: &Path, url: &str, workshop: &Workshop) -> Result<Self, GitError> {
        let found = match discover::served(path, workshop.users()) {
            Err(GitError::NotARepository { path }) => {
                return Err(GitError::Clone {
                    url: url::without_secrets(url),
                    stderr: format!("{} is no git repository", generated::shown(&path)),
                    causes: Vec::new(),
                });
            }
            found => found?,
        };
        Self::read(found, workshop)
    }

    /// A git directory that amika itself made, without a work tree.
    pub(super) fn of_clone(git_dir: &Path, workshop: &Workshop) -> Result<Self, GitError> {
        let git = Dir::open(git_dir).map_err(GitError::io("read", git_dir))?;
        Self::read(discover::of_git_dir(git)?, workshop)
    }

    /// The repository that is checked out at a path of this one's work tree; not one around it, and not
    /// one that a link leads to.
    pub(super) fn at_path(
        &self,
        path: &[u8],
        workshop: &Workshop,
    ) -> Result<Option<Self>, GitError> {
        let Some(tree) = self.tree() else {
            return Ok(None);
        };
        let failed = || GitError::io("read", tree.place(path));
        let Some(inner) = tree.real_dir(path).map_err(failed())? else {
            return Ok(None);
        };
        let Some(found) =
            discover::at_root(inner, Some(&self.parts.found.common), workshop.machine())?
        else {
            return Ok(None);
        };
        match &found.tree {
            Some(root) if root.path() == tree.place(path) => Self::read(found, workshop).map(Some),
            _ => Ok(None),
        }
    }

    /// A submodule's repository that is kept in this one's git directory; `None` where there is none.
    pub(super) fn module(&self, name: &[u8], workshop: &Workshop) -> Result<Vec<Self>, GitError> {
        let mut modules = Vec::new();
        for parent in [&self.parts.found.git, &self.parts.found.common] {
            let path = [b"modules/", name].concat();
            let failed = || GitError::io("read", parent.place(&path));
            if let Some(git) = parent.real_dir(&path).map_err(failed())?
                && discover::is_git_dir(&git).map_err(failed())?
            {
                modules.push(Self::read(discover::of_git_dir(git)?, workshop)?);
            }
        }
        Ok(modules)
    }

    /// Reads a repository, once, and makes what git runs on in its place.
    fn read(found: Found, workshop: &Workshop) -> Result<Self, GitError> {
        let place = [
            found.git.path(),
            found.tree.as_ref().map_or(Path::new(""), Dir::path),
        ];
        let place: PathBuf = place
            .map(Path::as_os_str)
            .join(std::ffi::OsStr::new("\0"))
            .into();
        if let Some(known) = workshop.known(&place) {
            return Ok(known);
        }
        let mut warnings = Vec::new();
        let format = generated::format(&found)?;
        let own = Settings::of_file(&found.config);
        let includes = workshop.users().included(&Facts {
            git_dir: found.git.path(),
            urls: &own.urls(),
        });
        let users = workshop.users_with(&includes)?;
        let settings = Settings::new(&users, &found.config);
        let rules = extra::rules(workshop.machine(), &found, &settings, &mut warnings)?;
        let index = if found.is_served {
            Ok(None)
        } else {
            match HostIndex::read(&found.git, format.objects) {
                Ok(index) => Ok(index),
                // A copy of what is committed needs none. What names something outside needs no copy.
                Err(GitError::NotUnderstood { why, .. }) => Err(why),
                Err(error) => return Err(error),
            }
        };
        let root = workshop.place("git");
        let generated = generated::make(
            &root,
            &generated::Parts {
                found: &found,
                format,
                settings: &settings,
                rules: &rules,
                index: index.as_ref().ok().and_then(Option::as_ref),
            },
            &mut warnings,
        )?;
        let mut programs = programs::settings(&settings);
        programs.extend(generated::named_rules(&root, &rules));
        let stores = Stores::open(&found, format.objects, &generated, &mut warnings)?;
        if found.is_unclaimed {
            let tree = found.tree.as_ref().map_or(found.git.path(), Dir::path);
            warnings.push(format!(
                "the git directory of {} is {}, which does not say so itself: of its objects those come along that its refs reach",
                generated::shown(tree),
                generated::shown(found.git.path()),
            ));
        }
        let includes_files =
            own.own("include.path").is_some() || own.own_section("includeif").next().is_some();
        if includes_files {
            warnings.push(
                "what the repository's own configuration includes is not read (`git config --global` may include it)"
                    .to_owned(),
            );
        }
        for key in settings.left_behind() {
            warnings.push(format!(
                "{key} of the configuration stays behind: it is not UTF-8"
            ));
        }
        let path = |dir: &Dir| dir.path().to_owned();
        let location = Self {
            git_dir: path(&found.git),
            common_dir: path(&found.common),
            work_tree: found.tree.as_ref().map(path),
            sha256: format.objects == ObjectFormat::Sha256,
            parts: Arc::new(Parts {
                found,
                format,
                settings,
                rules,
                index,
                stores,
                generated,
                includes,
                programs,
                machine: workshop.machine().clone(),
                nowhere: workshop.nowhere().to_owned(),
                warnings,
            }),
        };
        workshop.keep(&place, &location);
        Ok(location)
    }

    /// Git for this repository.
    pub(super) fn git(&self) -> Git {
        self.git_in(self.work_tree.as_deref())
    }

    /// Git for this repository and another work tree, or none.
    pub(super) fn git_in(&self, work_tree: Option<&Path>) -> Git {
        let Parts {
            generated,
            stores,
            includes,
            programs,
            nowhere,
            machine,
            ..
        } = &*self.parts;
        let borrows = !stores.borrowed.is_empty();
        Git::on(machine, &generated.git_dir, work_tree)
            .with_includes(includes)
            .with_programs(programs, nowhere)
            .with_borrowed(borrows.then_some(generated.borrowed.as_path()))
    }

    /// The settings that hold in this repository.
    pub(super) fn settings(&self) -> &Settings {
        &self.parts.settings
    }

    /// What a person should know of what was read.
    pub(super) fn warnings(&self) -> &[String] {
        &self.parts.warnings
    }

    /// The root of the work tree, held open.
    pub(super) fn tree(&self) -> Option<&Dir> {
        self.parts.found.tree.as_ref()
    }

    /// The git directory, held open, and the one that all work trees share.
    pub(super) fn directories(&self) -> (&Dir, &Dir) {
        (&self.parts.found.git, &self.parts.found.common)
    }

    /// Its index, as it was when it was read; `None` where there is none.
    ///
    /// # Errors
    /// When it is not understood.
    pub(super) fn index(&self) -> Result<Option<&HostIndex>, GitError> {
        match &self.parts.index {
            Ok(index) => Ok(index.as_ref()),
            Err(why) => Err(GitError::NotUnderstood {
                place: self.git_dir.join("index"),
                why: why.clone(),
            }),
        }
    }

    /// The hash of its objects.
    pub(super) fn format(&self) -> ObjectFormat {
        self.parts.format.objects
    }

    /// Whether its refs are in a table.
    pub(super) fn has_table(&self) -> bool {
        self.parts.format.is_table
    }

    /// The rules that files of it have beside those of the tree.
    pub(super) fn rules(&self) -> &Rules {
        &self.parts.rules
    }

    /// Its objects.
    pub(super) fn stores(&self) -> &Stores {
        &self.parts.stores
    }

    /// What git runs on.
    pub(super) fn generated(&self) -> &Generated {
        &self.parts.generated
    }

    /// Whether files may have attributes that no file of the tree gives them.
    pub(super) fn has_attributes(&self) -> bool {
        !self.parts.rules.users_attributes.is_empty() || !self.parts.rules.attributes.is_empty()
    }

    /// What a person calls this repository's place.
    pub(super) fn root(&self) -> &Path {
        self.work_tree.as_deref().unwrap_or(&self.git_dir)
    }

    /// The name of its directory; a linked work tree has the name of the repository it belongs to.
    pub(super) fn name(&self) -> String {
        let around = self.common_dir.parent();
        let is_project =
            around.is_some_and(|around| discover::leads_to(around, &self.parts.found.common));
        name_of(
            &self.git_dir,
            &self.common_dir,
            self.work_tree.as_deref(),
            is_project,
        )
    }
}

/// Names of directories that say what they are and not what is in them.
const MEANINGLESS: [&str; 3] = ["bare", "git", "repo"];

/// `is_project`: the directory around the one that all work trees share has a `.git` that leads to it.
fn name_of(
    git_dir: &Path,
    common_dir: &Path,
    work_tree: Option<&Path>,
    is_project: bool,
) -> String {
    let linked = git_dir != common_dir;
    if let Some(work_tree) = work_tree.filter(|_| !linked) {
        let name = work_tree.file_name().unwrap_or_default();
        return url::directory_name(&name.to_string_lossy());
    }
    let around = common_dir.parent();
    // `git worktree add` beside a bare repository in a directory of the project's.
    let is_beside = linked
        && work_tree.is_some_and(|tree| around.is_some_and(|around| tree.starts_with(around)));
    let names = common_dir.ancestors().filter_map(Path::file_name);
    let mut names = names.map(|name| name.to_string_lossy());
    let mut found = names.next().unwrap_or_default();
    let stem = url::without_dot_git(&found);
    // What is hidden is a part of what is around it, as far as anything says so.
    let is_part = found.starts_with('.') || MEANINGLESS.contains(&stem);
    if is_project || is_beside && is_part || url::is_hidden_part(&found) {
        // In turn, as in `.git/.bare`.
        let around = names.find(|name| !url::is_hidden_part(name));
        found = around.unwrap_or(found);
    }
    url::directory_name(url::without_dot_git(&found).trim_start_matches('.'))
}

/// A path of a tree beneath a directory of this machine, for messages: it is never opened.
pub(super) fn join(root: &Path, path: &[u8]) -> PathBuf {
    root.join(std::ffi::OsStr::from_bytes(path))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_the_repositorys_own() {
        for (git_dir, work_tree, is_project, name) in [
            ("/r/a/.git", Some("/r/a"), true, "a"),
            ("/r/a/.git/worktrees/w", Some("/r/w"), true, "a"),
            ("/r/a/.git", None, false, "a"),
            ("/r/a.git", None, false, "a"),
            ("/r/a.git/worktrees/w", Some("/r/w"), false, "a"),
            ("/r/a.git/.git", Some("/r/a.git"), true, "a.git"),
            ("/r/.dotfiles/.git", Some("/r/.dotfiles"), true, ".dotfiles"),
            // A bare repository with work trees beside it.
            ("/r/a/.bare", None, true, "a"),
            ("/r/a/.bare", None, false, "a"),
            ("/r/a/.bare/worktrees/w", Some("/r/a/w"), true, "a"),
            ("/r/a/.bare/worktrees/w", Some("/elsewhere/w"), false, "a"),
            ("/r/a/.bare.git/worktrees/w", Some("/r/a/w"), false, "a"),
            ("/r/a/.git/.bare/worktrees/w", Some("/r/a/w"), false, "a"),
            ("/r/a/bare/worktrees/w", Some("/r/a/w"), false, "a"),
            ("/r/a/bare.git/worktrees/w", Some("/r/a/w"), false, "a"),
            ("/r/a/git/worktrees/w", Some("/r/a/w"), false, "a"),
            ("/r/a/anything/worktrees/w", Some("/r/a/w"), true, "a"),
            ("/r/a/b.git/worktrees/w", Some("/r/a/w"), false, "b"),
            ("/srv/bare", None, false, "bare"),
            ("/.bare", None, true, "bare"),
            ("/home/ada/.dotfiles", None, false, "dotfiles"),
            ("/r/a/.store/worktrees/w", Some("/r/a/w"), false, "a"),
        ] {
            let git_dir = Path::new(git_dir);
            let is_linked = git_dir.parent().unwrap().ends_with("worktrees");
            let common_dir = git_dir.ancestors().nth(if is_linked { 2 } else { 0 });
            let git_dir_name = git_dir.display();
            let found = name_of(
                git_dir,
                common_dir.unwrap(),
                work_tree.map(Path::new),
                is_project,
            );
            assert_eq!(found, name, "{git_dir_name}");
        }
    }

    #[test]
    fn a_path_that_exists_wins_over_a_url_and_a_missing_one_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let cwd = directory.path();
        std::fs::create_dir(cwd.join("host:a")).unwrap();
        std::fs::write(cwd.join("file"), "").unwrap();
        let read = |spec| Source::read(Some(spec), cwd);
        assert_eq!(
            read("host:a").unwrap(),
            Source::Directory(cwd.join("host:a"))
        );
        assert_eq!(read("host:b").unwrap(), Source::Url("host:b".into()));
        assert_eq!(read("file").unwrap(), Source::Directory(cwd.into()));
        assert!(matches!(read("missing"), Err(GitError::NoSuchPath { .. })));
        assert!(matches!(read("./host:b"), Err(GitError::NoSuchPath { .. })));
    }
}

//! All that is decided about a copy before its first byte is written: one [`Plan`] for a repository, and
//! one for each repository inside it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;

use amika_core::repo_path::escaped;

use super::attributes::{self, Conversions};
use super::command::Git;
use super::config::{self, Wanted};
use super::drivers;
use super::error::GitError;
use super::extra::{self, Extra};
use super::index::{self, Entry, HostIndex, Mode};
use super::lfs::{self, Lfs};
use super::refs::{Head, Ref, Refs};
use super::selection::Selection;
use super::settings::Settings;
use super::source::Location;
use super::submodule::{self, Submodule};
use super::tree;
use super::waits;
use super::workshop::Workshop;
use super::worktree::Paths;

/// Where a repository stands in the archive. Both without a slash at the end; empty for the root.
#[derive(Clone, Debug, Default)]
pub(super) struct Place {
    /// Its work tree.
    pub(super) tree: Vec<u8>,
    /// Its git directory.
    pub(super) git_dir: Vec<u8>,
}

/// A copy to be made.
pub(super) struct Plan {
    pub(super) location: Location,
    pub(super) git: Git,
    pub(super) place: Place,
    pub(super) head: Head,
    pub(super) refs: Vec<Ref>,
    pub(super) config: Vec<u8>,
    /// The index to put in, once there is one.
    pub(super) index: Option<PathBuf>,
    pub(super) tree: Tree,
    /// Files go through a filter that does not run here.
    pub(super) is_filtered: bool,
    pub(super) lfs: HashMap<String, lfs::Object>,
    /// Further files of the git directory.
    pub(super) extra: Vec<Extra>,
    /// And those that are put together: their place, and what is in them.
    pub(super) made: Vec<(String, Vec<u8>)>,
    pub(super) partial: bool,
    /// Repositories inside this one.
    pub(super) children: Vec<Plan>,
    /// The tree of its commit.
    pub(super) committed_tree: Option<String>,
    /// Where what is borrowed from elsewhere is packed for a moment.
    pub(super) borrowed: PathBuf,
    /// Unix seconds, for what has no time of its own.
    pub(super) mtime: i64,
}

/// The work tree's content.
pub(super) enum Tree {
    /// Of a commit.
    Committed {
        entries: Vec<Entry>,
        conversions: Conversions,
        /// Where git writes converted files for a moment.
        scratch: PathBuf,
    },
    /// From the host's disk.
    Disk {
        paths: Paths,
        /// `core.filemode=false` on the host: the disk's permissions mean nothing.
        modes_from_index: bool,
    },
}

/// What makes plans.
pub(super) struct Planner<'a> {
    pub(super) workshop: &'a Workshop,
    /// `None` for committed state; else whether ignored files come too.
    pub(super) dirty: Option<bool>,
    /// Where LFS content may be had from.
    lfs: Lfs,
    pub(super) warnings: Vec<String>,
}

/// Where the user's attributes stand in a git directory. Not in `info/attributes`, which counts before the
/// tree's own, as the user's do not.
const USERS_ATTRIBUTES: &str = "info/user-attributes";

/// Submodules in submodules, at most.
pub(super) const DEPTH: usize = 16;

impl<'a> Planner<'a> {
    /// A planner that keeps its temporary files in a workshop.
    pub(super) fn new(workshop: &'a Workshop, dirty: Option<bool>, lfs: Lfs) -> Self {
        Self {
            workshop,
            dirty,
            lfs,
            warnings: Vec::new(),
        }
    }

    /// Whether the repository is a copy of a URL's, and nothing more is on this machine.
    fn is_of_url(&self) -> bool {
        self.lfs != Lfs::OfThisMachine
    }

    /// Tells something, once.
    fn warn(&mut self, warning: String) {
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    /// Plans a repository and all inside it.
    pub(super) fn plan(
        &mut self,
        location: Location,
        settings: &Settings,
        refs: &Refs,
        selection: &Selection,
        place: Place,
        depth: usize,
    ) -> Result<Plan, GitError> {
        for name in &refs.left_out {
            self.warn(format!("{name} stays behind: its name is not UTF-8"));
        }
        for warning in location.warnings() {
            self.warn(warning.clone());
        }
        let git = location.git();
        let commit = match selection.head.commit() {
            Some(oid) => Some(tree::commit(&git, oid, location.format())?),
            None => None,
        };
        let mtime = commit
            .as_ref()
            .map_or(0, |commit| i64::try_from(commit.time).unwrap_or(i64::MAX));
        let committed_tree = commit.map(|commit| commit.tree);
        let prepared = match self.dirty {
            None => self.committed(&location, settings, committed_tree.as_deref())?,
            Some(ignored) => Self::disk(&location, settings, ignored)?,
        };
        let Prepared {
            index,
            entries,
            conversions,
            paths,
        } = prepared;

        let lfs_entries: Vec<&Entry> = conversions
            .of
            .iter()
            .filter(|(_, conversion)| **conversion == attributes::Conversion::Lfs)
            .filter_map(|(position, _)| entries.get(*position))
            .collect();
        let found = lfs::find(&location, settings, &lfs_entries)?;
        if self.dirty.is_none() {
            self.warnings.extend(self.lfs.missing(found.missing));
        }
        let mut drivers: BTreeSet<Vec<u8>> = conversions.drivers.clone();
        if found.of.is_empty() && self.dirty.is_none() {
            drivers.remove(&b"lfs"[..]);
        }
        let denied: Vec<Vec<u8>> = drivers
            .iter()
            .filter(|driver| {
                drivers::is_own(settings, driver) || drivers::relative(settings, driver).is_some()
            })
            .cloned()
            .collect();
        for driver in &denied {
            self.denied(settings, driver);
            if self.dirty.is_none() {
                drivers.remove(driver);
            }
        }

        let mut filled = BTreeMap::new();
        let children = self.children(
            &location,
            settings,
            &place,
            &entries,
            paths.as_ref(),
            depth,
            &mut filled,
        )?;

        let mut all: BTreeMap<String, Ref> = refs.all.clone();
        if let Head::Branch {
            name,
            commit: Some(commit),
        } = &selection.head
        {
            let name = format!("refs/heads/{name}");
            all.entry(name.clone()).or_insert(Ref {
                name,
                oid: commit.clone(),
                follows: None,
            });
        }
        let upstream = selection.head.branch().zip(selection.upstream.as_ref());
        let below_parent = place.git_dir == beneath(&place.tree, b".git");
        let attributes = location.rules().users_attributes.clone();
        // Seen from the root of the work tree, which is where git goes first.
        let to_git_dir = {
            let up = "../".repeat(components(&place.tree));
            [up.as_bytes(), &place.git_dir].concat()
        };
        let config = config::generate(
            settings,
            &Wanted {
                sha256: location.sha256,
                work_tree: (!below_parent).then(|| {
                    let up = "../".repeat(components(&place.git_dir));
                    [up.as_bytes(), &place.tree].concat()
                }),
                attributes: (!attributes.is_empty())
                    .then(|| [&to_git_dir[..], b"/", USERS_ATTRIBUTES.as_bytes()].concat()),
                filters: &drivers,
                dirty: self.dirty.is_some(),
                submodules: &filled,
                upstream: upstream
                    .map(|(branch, (remote, merge))| (branch, remote.as_str(), merge.as_str())),
            },
        );
        let mut left_out = Vec::new();
        let extra = extra::files(&location, self.dirty.is_some(), &mut left_out)?;
        for warning in left_out {
            self.warn(warning);
        }
        let mut made = Vec::new();
        if self.dirty.is_some() {
            made = extra::from_table(&git, &location)?;
            made.push(("info/exclude".into(), extra::excludes(location.rules())));
        }
        made.push((USERS_ATTRIBUTES.into(), attributes));
        made.retain(|(_, content)| !content.is_empty());
        let tree = match paths {
            Some(paths) => Tree::Disk {
                paths,
                modes_from_index: settings.boolean("core.filemode") == Some(false),
            },
            None => Tree::Committed {
                entries,
                conversions,
                scratch: self.workshop.place("checkout"),
            },
        };
        Ok(Plan {
            git,
            place,
            head: selection.head.clone(),
            refs: all.into_values().collect(),
            config,
            index,
            tree,
            is_filtered: !denied.is_empty(),
            lfs: found.of,
            extra,
            made,
            partial: settings.bytes("extensions.partialclone").is_some()
                || settings
                    .section("remote")
                    .any(|(_, variable, _)| variable == "promisor"),
            children,
            committed_tree,
            borrowed: self.workshop.place("borrowed"),
            mtime,
            location,
        })
    }

    /// Tells, once, of a filter driver that is not run.
    fn denied(&mut self, settings: &Settings, driver: &[u8]) {
        let program = drivers::relative(settings, driver);
        let driver_name = escaped(driver);
        let why = match program.filter(|_| !drivers::is_own(settings, driver)) {
            Some(program) => format!(
                "your configuration has it run {}, which would be one of the repository's (give its whole path)",
                escaped(program.as_bytes())
            ),
            None => "the repository's own configuration names its program (`git config --global` is for those that you trust)".to_owned(),
        };
        self.warn(format!(
            "filter \"{driver_name}\" is not run on this machine: {why}"
        ));
    }

    fn committed(
        &self,
        location: &Location,
        settings: &Settings,
        committed_tree: Option<&str>,
    ) -> Result<Prepared, GitError> {
        let Some(committed_tree) = committed_tree else {
            return Ok(Prepared::default());
        };
        let entries = tree::entries(&location.git_in(None), committed_tree, location.format())?;
        let file = self.workshop.place("index");
        let content = index::of_tree(&entries, location.format())?;
        std::fs::write(&file, content).map_err(GitError::io("write", &file))?;
        // An empty work tree, so that `.gitattributes` of the commit count and not those on the disk.
        let empty = self.workshop.scratch().join("empty");
        std::fs::create_dir_all(&empty).map_err(GitError::io("write", &empty))?;
        let git = location.git_in(Some(&empty)).with_index(&file);
        attributes::hold(&git, &entries, location.format())?;
        let further = location.has_attributes();
        let conversions = attributes::conversions(&git, settings, &entries, true, further)?;
        Ok(Prepared {
            index: Some(file),
            entries,
            conversions,
            paths: None,
        })
    }

    fn disk(location: &Location, settings: &Settings, ignored: bool) -> Result<Prepared, GitError> {
        let index = location.index()?;
        if let Some(tree) = location.tree() {
            waits::none_in(tree, index)?;
        }
        let file = location.generated().index.clone();
        let entries = index.map(HostIndex::entries).unwrap_or_default();
        let git = location.git();
        let further = location.has_attributes();
        let conversions = attributes::conversions(&git, settings, &entries, false, further)?;
        let paths = Paths::list(&git, &entries, ignored)?;
        Ok(Prepared {
            index: index.map(|_| file),
            entries,
            conversions,
            paths: Some(paths),
        })
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "all of it is what a plan knows of itself by then"
    )]
    fn children(
        &mut self,
        location: &Location,
        settings: &Settings,
        place: &Place,
        entries: &[Entry],
        paths: Option<&Paths>,
        depth: usize,
        filled: &mut BTreeMap<String, String>,
    ) -> Result<Vec<Plan>, GitError> {
        let mut children = Vec::new();
        let gitlinks: Vec<&Entry> = entries
            .iter()
            .filter(|entry| entry.mode == Mode::Gitlink)
            .collect();
        let embedded = paths.map_or(&[][..], |paths| &paths.embedded);
        if gitlinks.is_empty() && embedded.is_empty() {
            return Ok(children);
        }
        let known = submodule::list(location, entries, paths.is_some())?;
        for entry in gitlinks {
            let module = known.iter().find(|one| *one.path.as_bytes() == *entry.path);
            let found = match (paths.is_some(), module) {
                (true, _) => location.at_path(&entry.path, self.workshop)?,
                // What it has of them in its git directory is not cloned.
                (false, _) if self.is_of_url() => None,
                (false, Some(module)) => {
                    submodule::with_commit(location, module, &entry.oid, self.workshop)?
                }
                (false, None) => None,
            };
            let Some(found) = found.filter(|_| depth < DEPTH) else {
                if paths.is_none() {
                    let path = escaped(&entry.path);
                    let commit = &entry.oid[..entry.oid.len().min(12)];
                    self.warnings.push(if self.is_of_url() {
                        format!("submodule {path} is left empty: a URL is cloned without them (`git submodule update --init` in the sandbox brings it)")
                    } else {
                        format!("submodule {path} is left empty: commit {commit} is not on this machine (`git submodule update --init` brings it)")
                    });
                }
                continue;
            };
            if let Some(module) = module {
                filled.insert(module.name.clone(), registered_url(settings, module));
            }
            let at = Head::Detached(entry.oid.to_string());
            let place = inside(place, &entry.path, module);
            children.push(self.child(found, place, Some(at), depth)?);
        }
        for path in embedded {
            match location.at_path(path, self.workshop)? {
                Some(found) if depth < DEPTH => {
                    children.push(self.child(found, inside(place, path, None), None, depth)?);
                }
                _ => self.warnings.push(format!(
                    "{} is left out: a repository that git cannot read",
                    escaped(path)
                )),
            }
        }
        Ok(children)
    }

    fn child(
        &mut self,
        location: Location,
        place: Place,
        commit: Option<Head>,
        depth: usize,
    ) -> Result<Plan, GitError> {
        let git = location.git();
        let settings = location.settings().clone();
        let refs = Refs::read(&git, self.dirty.is_some())?;
        let head = match (self.dirty, commit) {
            (None, Some(head)) => head,
            _ => refs.head.clone(),
        };
        let selection = Selection {
            head,
            upstream: None,
        };
        self.plan(location, &settings, &refs, &selection, place, depth + 1)
    }
}

/// What a mode of copying found out about the index.
#[derive(Default)]
struct Prepared {
    index: Option<PathBuf>,
    entries: Vec<Entry>,
    conversions: Conversions,
    paths: Option<Paths>,
}

/// The place of a repository inside another: a submodule's git directory stands in its parent's, as git
/// puts it; any other has its own.
fn inside(parent: &Place, path: &[u8], module: Option<&Submodule>) -> Place {
    let tree = beneath(&parent.tree, path);
    let git_dir = match module {
        Some(module) => beneath(
            &beneath(&parent.git_dir, b"modules"),
            module.name.as_bytes(),
        ),
        None => beneath(&tree, b".git"),
    };
    Place { tree, git_dir }
}

/// Joins two paths of the archive.
pub(super) fn beneath(parent: &[u8], name: &[u8]) -> Vec<u8> {
    if parent.is_empty() {
        return name.to_vec();
    }
    [parent, b"/", name].concat()
}

/// The number of names in a path of the archive.
pub(super) fn components(path: &[u8]) -> usize {
    path.split(|&byte| byte == b'/')
        .filter(|name| !name.is_empty())
        .count()
}

fn registered_url(settings: &Settings, module: &Submodule) -> String {
    settings
        .get(&format!("submodule.{}.url", module.name))
        .unwrap_or(&module.url)
        .to_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;

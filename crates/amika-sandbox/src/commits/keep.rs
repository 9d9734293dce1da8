//! Commits that are kept under names of their own, below `refs/amika/`: nothing there is ever overwritten.

use super::Tip;
use super::name::{BranchName, Oid};
use super::refs::{Existing, Update};

/// Where they are kept.
const TOP: &str = "refs/amika/";
/// Digits of a sandbox's id in a name.
const ID: usize = 8;

/// What is to be kept of a sandbox.
#[derive(Clone, Debug)]
pub struct Keep {
    /// Its directory, as [`directory_of`] names it.
    pub directory: String,
    /// The names in that, and where they lead to.
    pub refs: Vec<(BranchName, Oid)>,
    /// Whether they belong together: where one of that directory is there already, all go into another.
    pub is_whole: bool,
}

/// What is kept.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The full name of its ref.
    pub name: Vec<u8>,
    /// Where it leads to.
    pub commit: Oid,
    /// Whether it was there already.
    pub is_old: bool,
}

/// The directory of a sandbox's: names are used again, ids are not.
pub fn directory_of(sandbox: &str, id: &str) -> String {
    let id: String = id.chars().take(ID).collect();
    format!("{sandbox}-{id}")
}

/// The name of what is not committed, in such a directory.
pub fn wip_name() -> BranchName {
    BranchName::known("wip")
}

impl Keep {
    /// Finds names that are free, or lead there already.
    pub(super) fn plan(&self, before: &Existing) -> Vec<Kept> {
        let numbered = |name: &[u8], number: u32| match number {
            1 => name.to_owned(),
            number => [name, format!("-{number}").as_bytes()].concat(),
        };
        if self.is_whole {
            let is_free = |directory: &Vec<u8>| {
                let within = [&directory[..], b"/"].concat();
                before.below(&within).next().is_none()
            };
            let base = format!("{TOP}{}", self.directory).into_bytes();
            let directory = (1..=u32::MAX)
                .map(|number| numbered(&base, number))
                .find(is_free);
            let directory = directory.unwrap_or(base);
            let kept = |(name, commit): &(BranchName, Oid)| Kept {
                name: [&directory[..], b"/", name.as_bytes()].concat(),
                commit: commit.clone(),
                is_old: false,
            };
            return self.refs.iter().map(kept).collect();
        }
        let mut all = Vec::new();
        for (name, commit) in &self.refs {
            let directory = format!("{TOP}{}/", self.directory);
            let base = [directory.as_bytes(), name.as_bytes()].concat();
            for number in 1.. {
                let name = numbered(&base, number);
                let there = before.at(&name);
                if there.is_none() || there.flatten() == Some(commit) {
                    all.push(Kept {
                        is_old: there.is_some(),
                        commit: commit.clone(),
                        name,
                    });
                    break;
                }
            }
        }
        all
    }
}

impl Kept {
    /// What is written; nothing where it is there.
    pub(super) fn update(&self) -> Option<Update> {
        (!self.is_old).then(|| Update {
            name: self.name.clone(),
            tip: self.commit.clone(),
            expected: Some(None),
        })
    }

    /// The commit that has to come.
    pub(super) fn tip(&self) -> Tip {
        Tip {
            what: super::shown(&self.name),
            commit: self.commit.clone(),
        }
    }
}

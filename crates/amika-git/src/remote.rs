//! What a repository at a URL has, without a copy of it.

use std::collections::BTreeMap;

use amika_host::machine::Machine;

use super::command::{Git, network_git};
use super::error::GitError;
use super::{blocking, secret_url, url, workshop};

/// The most branches that are told.
const MOST: usize = 10_000;

/// What git is asked.
const QUESTION: [&str; 3] = ["ls-remote", "--symref", "--"];

/// The branches of a repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Branches {
    /// The one that a clone begins with; none where its `HEAD` leads to none.
    pub default: Option<String>,
    /// Each with its commit, by name.
    pub commits: BTreeMap<String, String>,
}

/// Asks the server of a URL for its branches, with the user's own git and credentials.
///
/// # Errors
/// [`GitError::Clone`] where it does not tell, and [`GitError::Held`] where it takes too long.
pub async fn branches(machine: &Machine, address: &str) -> Result<Branches, GitError> {
    let (machine, address) = (machine.clone(), address.to_owned());
    blocking(move || {
        let scratch = workshop::scratch(&machine)?;
        let mut command = network_git(&machine);
        let plain = secret_url::take_out(&machine, &mut command, &address);
        command
            .current_dir(workshop::nowhere(scratch.path())?)
            .args(QUESTION)
            .arg(plain)
            .args(["HEAD", "refs/heads/*"]);
        let output = Git::run(&mut command, &QUESTION, Vec::new())?;
        if output.status.success() {
            return Ok(read(&String::from_utf8_lossy(&output.stdout)));
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let said: Vec<&str> = said.lines().collect();
        Err(GitError::Clone {
            url: url::without_secrets(&address),
            stderr: url::without_secrets(&said.join("; ")),
            causes: Vec::new(),
        })
    })
    .await
}

/// Reads what `git ls-remote --symref` prints. A name that is no text is not told.
fn read(text: &str) -> Branches {
    let mut branches = Branches::default();
    for line in text.lines() {
        let Some((what, name)) = line.split_once('\t') else {
            continue;
        };
        if let (Some(target), "HEAD") = (what.strip_prefix("ref: refs/heads/"), name) {
            branches.default = Some(target.to_owned());
        } else if let Some(branch) = name.strip_prefix("refs/heads/")
            && branches.commits.len() < MOST
        {
            branches.commits.insert(branch.to_owned(), what.to_owned());
        }
    }
    branches
}

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;

    use super::*;

    #[test]
    fn branches_are_read_as_git_prints_them() {
        let text =
            "ref: refs/heads/main\tHEAD\n1111\tHEAD\n1111\trefs/heads/main\n2222\trefs/heads/a/b\n";
        let branches = read(text);
        assert_eq!(branches.default.as_deref(), Some("main"));
        let commits: Vec<(&str, &str)> = branches
            .commits
            .iter()
            .map(|(name, commit)| (name.as_str(), commit.as_str()))
            .collect();
        assert_eq!(commits, [("a/b", "2222"), ("main", "1111")]);
        assert_eq!(read(""), Branches::default());
    }
}

//! Where a sandbox's refs lead to that a repository has no ref to, and what its branches are ahead.

use std::collections::HashSet;

use super::host::Host;
use super::name::{BranchName, Oid};
use super::{MAX_LIST, PACK, Source, list, refs, scratch, shown};
use crate::error::{Error, Kind, Result};

/// All commits of a sandbox's that this repository has no ref to, by what leads to them there: branches, tags, what is
/// checked out where no branch leads to it, and stashes.
///
/// # Errors
/// [`Kind::Repository`] where the sandbox's git cannot tell.
pub async fn all_tips<S: Source>(host: &Host, source: &S) -> Result<Vec<(BranchName, Oid)>> {
    let before = refs::Existing::read(host, "refs")?;
    let known: HashSet<&Oid> = before.all().collect();
    let mut tips: Vec<(Vec<u8>, Oid)> = Vec::new();
    for branch in list(source, host).await? {
        tips.push(([b"heads/", branch.name.as_bytes()].concat(), branch.tip));
    }
    let ask = async |arguments: &[&str]| {
        let told = source.git(arguments, Vec::new(), MAX_LIST).await?;
        Ok::<_, Error>(if told.code == 0 {
            told.stdout
        } else {
            Vec::new()
        })
    };
    let tags = [
        "for-each-ref",
        "--format=%(*objecttype)%(objecttype) %(*objectname) %(objectname) %(refname:strip=2)",
        "refs/tags",
    ];
    for line in ask(&tags).await?.split(|byte| *byte == b'\n') {
        let mut words = line.splitn(4, |byte| *byte == b' ');
        let kind = words.next().unwrap_or_default();
        let (peeled, itself) = (words.next(), words.next());
        let commit = match kind {
            b"commit" => itself,
            b"committag" => peeled,
            _ => None,
        };
        let commit = commit.and_then(|oid| Oid::read(oid, host.format));
        if let (Some(commit), Some(name)) = (commit, words.next()) {
            tips.push(([b"tags/", name].concat(), commit));
        }
    }
    let stashes = ask(&["rev-list", "--walk-reflogs", "refs/stash", "--"]).await?;
    for (number, oid) in stashes.split(|byte| *byte == b'\n').enumerate() {
        if let Some(oid) = Oid::read(oid, host.format) {
            tips.push((format!("stash/{number}").into_bytes(), oid));
        }
    }
    let head = ask(&["rev-parse", "--verify", "-q", "HEAD^{commit}"]).await?;
    if let Some(oid) = Oid::read(head.trim_ascii(), host.format)
        && tips.iter().all(|(_, other)| *other != oid)
    {
        tips.push((b"head".to_vec(), oid));
    }
    tips.retain(|(_, oid)| !known.contains(oid));
    let named = tips
        .into_iter()
        .map(|(name, oid)| match BranchName::new(&name) {
            Ok(name) => Ok((name, oid)),
            Err(why) => Err(Error::new(
                Kind::Repository,
                format!("the sandbox's git tells of a ref that is none: {why}"),
            )
            .cause(shown(&name))),
        });
    named.collect()
}

/// How many commits each of these has that no branch of the repository's own has. All are there.
///
/// # Errors
/// [`Kind::Repository`] where git cannot count them.
pub async fn ahead(host: &Host, tips: &[Oid]) -> Result<Vec<u64>> {
    let before = refs::Existing::read(host, "refs")?;
    let heads = before.below(b"refs/heads/").filter_map(|name| {
        let name = [b"refs/heads/", name].concat();
        before.at(&name).flatten()
    });
    let heads: String = heads.flat_map(|oid| ["^", oid.as_str(), "\n"]).collect();
    let scratch = scratch::Scratch::of(host).await?;
    let mut counts = Vec::new();
    for tip in tips {
        let input = format!("{}\n{heads}", tip.as_str()).into_bytes();
        let count = ["rev-list", "--count", "--ignore-missing", "--stdin"];
        let output = scratch.run(&count, input, PACK).await?;
        let number = String::from_utf8_lossy(&output.stdout).trim().parse().ok();
        let number = number.filter(|_| output.status.success());
        counts.push(number.ok_or_else(|| {
            scratch::failed("the commits of the repository cannot be counted", &output)
        })?);
    }
    Ok(counts)
}

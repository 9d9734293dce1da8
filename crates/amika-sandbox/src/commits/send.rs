//! The other way: commits of this machine's repository into a sandbox, as a fetch inside. Nothing but the branch that was
//! named goes in, and nothing of the sandbox's work tree is written unless that is asked for and it is clean.

use std::fmt::Write as _;
use std::io::{Seek as _, Write as _};

use super::host::Host;
use super::name::{BranchName, Format, Oid};
use super::receive;
use super::refs::Existing;
use super::scratch::Scratch;
use super::{MAX_LIST, PACK, Sink, Source, shown};
use crate::error::{Error, Kind, Result};

/// Where the branches of this machine are in the sandbox.
const REMOTE: &str = "refs/remotes/amika-host/";
/// Takes a bundle from its standard input and fetches from it what its argument says. Git hands the arguments of such an alias
/// to its last word.
const FETCH: &str = r#"f() { t=$(mktemp) && cat >"$t" || exit 1
git fetch -q --no-tags --no-write-fetch-head "$t" "$1"
code=$?
rm -f "$t"
exit $code
}; f"#;

/// What went in.
#[derive(Clone, Debug)]
pub struct Sent {
    /// The branch.
    pub branch: BranchName,
    /// Its ref in the sandbox.
    pub name: String,
    /// The commit that it led to there.
    pub old: Option<Oid>,
    /// The commit that it leads to now.
    pub new: Oid,
}

/// Brings a branch into a sandbox, without one the one that is checked out here; with `checkout` onto its work tree.
///
/// # Errors
/// [`Kind::Repository`] where there is no such branch, or the sandbox's git does not take it; [`Kind::Conflict`] where its
/// work tree is not clean, or its own branch has other commits.
pub async fn push<S: Sink>(
    host: &Host,
    inside: &S,
    branch: Option<&BranchName>,
    checkout: bool,
) -> Result<Sent> {
    let before = Existing::read(host, "refs")?;
    let branch = match branch {
        Some(branch) => branch.clone(),
        None => checked_out(host)?,
    };
    let full = [b"refs/heads/", branch.as_bytes()].concat();
    let Some(tip) = before.at(&full).flatten().cloned() else {
        return Err(Error::new(
            Kind::Repository,
            format!("{} has no branch \"{branch}\"", host.top.display()),
        )
        .hint("`git branch` there lists them"));
    };
    if checkout {
        must_be_clean(inside).await?;
    }
    let name = format!("{REMOTE}{}", String::from_utf8_lossy(branch.as_bytes()));
    let told = inside
        .git(
            &["rev-parse", "--verify", "-q", &name],
            Vec::new(),
            MAX_LIST,
        )
        .await?;
    let old = Oid::read(told.stdout.trim_ascii(), host.format).filter(|_| told.code == 0);
    if old.as_ref() != Some(&tip) {
        send(host, inside, &before, &branch, &tip, &name).await?;
    }
    if checkout {
        check_out(inside, &branch, &name).await?;
    }
    Ok(Sent {
        branch,
        name: shown(name.as_bytes()),
        old,
        new: tip,
    })
}

/// The branch that the work tree here is on.
fn checked_out(host: &Host) -> Result<BranchName> {
    let head = host.repository.head().map_err(|error| {
        Error::new(Kind::Repository, "HEAD of the repository cannot be read").caused_by(&error)
    })?;
    let head = head.unwrap_or_default();
    let name = head.trim_ascii().strip_prefix(b"ref: refs/heads/");
    name.and_then(|name| BranchName::new(name).ok())
        .ok_or_else(|| {
            Error::new(
                Kind::Repository,
                format!("{} is on no branch", host.top.display()),
            )
            .hint("name the one that is to go in")
        })
}

/// Makes a bundle of what the sandbox has not, and lets its git fetch from it.
async fn send<S: Sink>(
    host: &Host,
    inside: &S,
    before: &Existing,
    branch: &BranchName,
    tip: &Oid,
    name: &str,
) -> Result<()> {
    let scratch = Scratch::of(host).await?;
    let shared = receive::shared_with(&scratch, inside, before, host.format).await?;
    let unwritten = |error: std::io::Error| {
        Error::new(Kind::Failure, "the commits cannot be packed").caused_by(&error)
    };
    let (path, mut file) = scratch.file("bundle").map_err(unwritten)?;
    let mut head = match host.format {
        Format::Sha1 => "# v2 git bundle\n".to_owned(),
        Format::Sha256 => "# v3 git bundle\n@object-format=sha256\n".to_owned(),
    };
    for oid in &shared {
        let _ = writeln!(head, "-{}", oid.as_str());
    }
    let mut head = head.into_bytes();
    head.extend_from_slice(tip.as_str().as_bytes());
    head.extend_from_slice(b" refs/heads/");
    head.extend_from_slice(branch.as_bytes());
    head.extend_from_slice(b"\n\n");
    file.write_all(&head).map_err(unwritten)?;
    let mut input = format!("{}\n", tip.as_str());
    for oid in &shared {
        let _ = writeln!(input, "^{}", oid.as_str());
    }
    let make = [
        "pack-objects",
        "--revs",
        "--thin",
        "--stdout",
        "--delta-base-offset",
        "-q",
    ];
    let pack = file.try_clone().map_err(unwritten)?;
    scratch
        .run_into(&make, input.into_bytes(), pack, PACK)
        .await?;
    file.rewind().map_err(unwritten)?;
    drop(path);
    let refspec = [b"+refs/heads/", branch.as_bytes(), b":", name.as_bytes()].concat();
    let refspec = String::from_utf8(refspec).map_err(|_| {
        Error::new(
            Kind::Invalid,
            "a branch whose name is not UTF-8 cannot be sent",
        )
    })?;
    let alias = format!("alias.amika=!{FETCH}");
    let told = inside
        .feed(&["-c", &alias, "amika", &refspec], file)
        .await?;
    if told.code == 0 {
        return Ok(());
    }
    Err(untaken(told.code, &told.stderr))
}

async fn must_be_clean<S: Source>(inside: &S) -> Result<()> {
    let status = ["status", "--porcelain=v1", "-z"];
    let told = inside.git(&status, Vec::new(), MAX_LIST).await?;
    if told.code != 0 {
        return Err(untaken(told.code, &told.stderr));
    }
    if told.stdout.is_empty() {
        return Ok(());
    }
    Err(Error::new(
        Kind::Conflict,
        "the sandbox's work tree is not clean: nothing was sent",
    )
    .hint("without `--checkout` the commits come beside it, and its agent merges them"))
}

/// Brings the sandbox's own branch of that name onto its work tree, and on to the commit.
async fn check_out<S: Source>(inside: &S, branch: &BranchName, name: &str) -> Result<()> {
    let branch = String::from_utf8_lossy(branch.as_bytes()).into_owned();
    let own = format!("refs/heads/{branch}");
    let told = inside
        .git(&["rev-parse", "--verify", "-q", &own], Vec::new(), MAX_LIST)
        .await?;
    let steps: [&[&str]; 2] = if told.code == 0 {
        [
            &["switch", "-q", &branch],
            &["merge", "-q", "--ff-only", name],
        ]
    } else {
        [
            &["switch", "-q", "--no-track", "-c", &branch, name],
            &["status", "-z"],
        ]
    };
    for step in steps {
        let told = inside.git(step, Vec::new(), MAX_LIST).await?;
        if told.code != 0 {
            let mut error = untaken(told.code, &told.stderr);
            error.kind = Kind::Conflict;
            return Err(error.hint(format!(
                "the commits are there, as {}",
                shown(name.as_bytes())
            )));
        }
    }
    Ok(())
}

fn untaken(code: i64, said: &[u8]) -> Error {
    Error::new(
        Kind::Repository,
        "the sandbox's git does not take the commits",
    )
    .cause(format!("inside, git ended with {code}: {}", shown(said)))
}

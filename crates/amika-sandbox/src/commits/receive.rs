//! Receiving a pack: apart from the repository's objects until it is known to be whole.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::io::AsyncWriteExt as _;

use super::host::Host;
use super::name::{Format, Oid};
use super::refs::Existing;
use super::scratch::{Scratch, failed, too_long};
use super::{ANSWER, Bounds, PACK, Piece, Source, Tip, Told, shown};
use crate::error::{Error, Kind, Result};
use amika_core::text::human_size;

/// Commits of this machine that the sandbox is asked about.
const MAX_HAVES: usize = 4000;
/// Bytes of the answer.
const MAX_ANSWER: usize = 1 << 20;

/// What was received, and is not in the repository yet.
pub(super) struct Received {
    pub(super) scratch: Scratch,
}

/// Receives what branches need that the repository does not have.
///
/// # Errors
/// [`Kind::Repository`] when it is not whole, larger or slower than it may be, or nothing that git accepts.
pub(super) async fn receive<S: Source>(
    host: &Host,
    source: &S,
    existing: &Existing,
    wanted: &[Tip],
    bounds: Bounds,
) -> Result<Received> {
    let scratch = Scratch::of(host).await?;
    let tips: Vec<&Oid> = wanted.iter().map(|tip| &tip.commit).collect();
    let haves: Vec<&Oid> = existing.all().take(MAX_HAVES).collect();
    let all = tips.iter().chain(&haves).copied();
    let present = present(&scratch, all, host.format).await?;
    let haves: Vec<&Oid> = haves
        .into_iter()
        .filter(|oid| present.contains(*oid))
        .collect();
    let missing: Vec<&Oid> = tips
        .iter()
        .filter(|oid| !present.contains(**oid))
        .copied()
        .collect();
    if !missing.is_empty() {
        let shared = shared(source, &haves, host.format).await?;
        take_pack(&scratch, source, &missing, &shared, bounds).await?;
    }
    are_commits(&scratch, wanted).await?;
    are_whole(&scratch, &tips, &haves, host).await?;
    Ok(Received { scratch })
}

impl Received {
    /// Whether a commit is among the ancestors of another.
    ///
    /// # Errors
    /// When git cannot be run.
    pub(super) async fn goes_on_from(&self, old: &Oid, new: &Oid) -> Result<bool> {
        let arguments = ["merge-base", "--is-ancestor", old.as_str(), new.as_str()];
        let output = self.scratch.run(&arguments, Vec::new(), ANSWER).await?;
        Ok(output.status.success())
    }

    /// Moves packs into the repository; each comes whole or not at all.
    ///
    /// # Errors
    /// When it cannot be written to.
    pub(super) fn keep(&self) -> Result<()> {
        let moved = (|| {
            let (store, to) = (self.scratch.store(), self.scratch.host_packs()?);
            for name in store.packs()? {
                store.give(&name, &to)?;
            }
            Ok::<(), io::Error>(())
        })();
        moved.map_err(|error| {
            let place = self.scratch.place_of_packs();
            Error::new(
                Kind::Repository,
                format!("{} cannot be written to", place.display()),
            )
            .caused_by(&error)
        })
    }
}

fn lines<'o>(oids: impl IntoIterator<Item = &'o Oid>, before: &str) -> String {
    let mut text = String::new();
    for oid in oids {
        let _ = writeln!(text, "{before}{}", oid.as_str());
    }
    text
}

/// Those that the repository has.
async fn present<'o>(
    scratch: &Scratch,
    oids: impl Iterator<Item = &'o Oid>,
    format: Format,
) -> Result<HashSet<Oid>> {
    let arguments = ["cat-file", "--batch-check=%(objectname) %(objecttype)"];
    let output = scratch
        .run(&arguments, lines(oids, "").into_bytes(), PACK)
        .await?;
    if !output.status.success() {
        return Err(failed("the repository's objects cannot be read", &output));
    }
    Ok(known(&output.stdout, format))
}

/// Objects that `cat-file --batch-check` knows.
fn known(answer: &[u8], format: Format) -> HashSet<Oid> {
    answer
        .split(|byte| *byte == b'\n')
        .filter_map(|line| {
            let blank = line.iter().position(|byte| *byte == b' ')?;
            let is_kind = matches!(&line[blank + 1..], b"commit" | b"tag" | b"tree" | b"blob");
            Oid::read(&line[..blank], format).filter(|_| is_kind)
        })
        .collect()
}

/// Those of this machine that the sandbox says it has, so that the pack is small. What it says decides
/// nothing else.
async fn shared<'h, S: Source>(
    source: &S,
    haves: &[&'h Oid],
    format: Format,
) -> Result<Vec<&'h Oid>> {
    if haves.is_empty() {
        return Ok(Vec::new());
    }
    let arguments = ["cat-file", "--batch-check=%(objectname) %(objecttype)"];
    let input = lines(haves.iter().copied(), "").into_bytes();
    let told = source.git(&arguments, input, MAX_ANSWER).await?;
    let known = known(&told.stdout, format);
    Ok(haves
        .iter()
        .filter(|oid| known.contains(**oid))
        .copied()
        .collect())
}

/// Those of this machine's commits that the repository has and the sandbox says it has, too.
pub(super) async fn shared_with<S: Source>(
    scratch: &Scratch,
    source: &S,
    existing: &Existing,
    format: Format,
) -> Result<Vec<Oid>> {
    let haves: Vec<&Oid> = existing.all().take(MAX_HAVES).collect();
    let arguments = ["cat-file", "--batch-check=%(objectname) %(objecttype)"];
    let input = lines(haves.iter().copied(), "").into_bytes();
    let output = scratch.run(&arguments, input, PACK).await?;
    let commits: HashSet<&[u8]> = (output.stdout.split(|byte| *byte == b'\n'))
        .filter_map(|line| line.strip_suffix(b" commit"))
        .collect();
    let haves: Vec<&Oid> = haves
        .into_iter()
        .filter(|oid| commits.contains(oid.as_str().as_bytes()))
        .collect();
    let shared = shared(source, &haves, format).await?;
    Ok(shared.into_iter().cloned().collect())
}

/// Lets the sandbox make a pack, and git receive it.
async fn take_pack<S: Source>(
    scratch: &Scratch,
    source: &S,
    missing: &[&Oid],
    shared: &[&Oid],
    bounds: Bounds,
) -> Result<()> {
    let Bounds {
        max_size,
        silent,
        total,
    } = bounds;
    let make = [
        "pack-objects",
        "--revs",
        "--thin",
        "--stdout",
        "--delta-base-offset",
        "-q",
    ];
    let input = lines(missing.iter().copied(), "") + &lines(shared.iter().copied(), "^");
    let mut stream = source.stream(&make, input.into_bytes()).await?;
    let limit = format!("--max-input-size={max_size}");
    let receive = [
        "index-pack",
        "--stdin",
        "--fix-thin",
        "--strict",
        limit.as_str(),
    ];
    let mut running = scratch.start(&receive, total)?;
    let mut stdin = running.child.stdin.take();
    let feed = async move {
        let (mut told, mut size) = (Told::default(), 0_u64);
        loop {
            let Ok(piece) = tokio::time::timeout(silent, stream.next()).await else {
                return Err(sends_nothing(silent));
            };
            let Some(piece) = piece else { break };
            match piece? {
                Piece::End(end) => told = end,
                Piece::Data(bytes) => {
                    size = size.saturating_add(bytes.len() as u64);
                    if size > max_size {
                        return Err(too_large(max_size));
                    }
                    let Some(pipe) = &mut stdin else { continue };
                    // Git that ends early breaks the pipe; its exit code tells why.
                    if pipe.write_all(&bytes).await.is_err() {
                        return Ok(told);
                    }
                }
            }
        }
        Ok(told)
    };
    let both = async {
        // With the feeding, whatever ends it, the input ends.
        let (told, output) = tokio::join!(feed, running.end());
        Ok::<_, Error>((told?, output?))
    };
    let (told, output) = match tokio::time::timeout(total, both).await {
        Ok(both) => both?,
        Err(_) => return Err(too_long(&receive, total)),
    };
    if running.was_ended() {
        return Err(too_long(&receive, total));
    }
    if output.status.success() && told.code == 0 {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("exceeds maximum allowed size") {
        return Err(too_large(max_size));
    }
    let mut error = failed("the sandbox's git sent nothing that git accepts", &output);
    if told.code != 0 {
        error = error.cause(format!(
            "inside, git ended with {}: {}",
            told.code,
            shown(&told.stderr)
        ));
    }
    Err(error.hint(
        "nothing was taken; `amika sandbox exec NAME -- git fsck` looks through its repository",
    ))
}

fn sends_nothing(time: Duration) -> Error {
    Error::new(
        Kind::Repository,
        format!(
            "the sandbox's git sent nothing for {} minutes",
            time.as_secs() / 60
        ),
    )
    .hint("nothing was taken; look inside with `amika sandbox connect NAME`")
}

fn too_large(max_size: u64) -> Error {
    Error::new(
        Kind::Repository,
        format!(
            "what the sandbox sends is larger than {}",
            human_size(max_size)
        ),
    )
    .hint("if it may be: `--max-size` allows more; nothing was taken")
}

/// Whether what branches lead to is there, and a commit.
async fn are_commits(scratch: &Scratch, wanted: &[Tip]) -> Result<()> {
    let arguments = ["cat-file", "--batch-check=%(objectname) %(objecttype)"];
    let input = lines(wanted.iter().map(|tip| &tip.commit), "");
    let output = scratch.run(&arguments, input.into_bytes(), PACK).await?;
    if !output.status.success() {
        return Err(failed("what was received cannot be read", &output));
    }
    let mut answers = output.stdout.split(|byte| *byte == b'\n');
    for tip in wanted {
        let expected = format!("{} commit", tip.commit.as_str());
        if answers.next() != Some(expected.as_bytes()) {
            return Err(Error::new(
                Kind::Repository,
                format!("the sandbox did not send the commit of {}", tip.what),
            )
            .hint("nothing was taken"));
        }
    }
    Ok(())
}

/// Whether everything is there that commits lead to, down to what the repository's own refs lead to.
async fn are_whole(scratch: &Scratch, tips: &[&Oid], haves: &[&Oid], host: &Host) -> Result<()> {
    let arguments = ["rev-list", "--objects", "--quiet", "--stdin"];
    let input = lines(tips.iter().copied(), "") + &lines(haves.iter().copied(), "^");
    let output = scratch.run(&arguments, input.into_bytes(), PACK).await?;
    if output.status.success() {
        return Ok(());
    }
    let mut error = failed(
        "the sandbox did not send all that its commits lead to",
        &output,
    );
    if host.repository.shallow().is_some() {
        error = error.hint("this repository is shallow: `git fetch --unshallow` here may help");
    }
    Err(error.hint(
        "nothing was taken; a repository in the sandbox that is shallow or partial is pulled after `git fetch --unshallow` inside",
    ))
}

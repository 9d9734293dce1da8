//! The agents' sign-ins: found on the host, copied into the sandbox's home.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use amika_core::contract::path;
use amika_core::credential::{CredentialFile, CredentialPlan, Found, MAX_BYTES, Selection, plan};
use amika_core::mount::Mount;

use super::upload::{Content, File, Owner, Upload};
use crate::output::Printer;

/// Decides what is taken from a home directory.
pub fn find(home: &Path, selection: &Selection, mounts: &[Mount]) -> CredentialPlan {
    plan(selection, mounts, |file| look(&home.join(file.path)))
}

/// Reads the files to take. What cannot be read any more is left out with a warning.
pub fn read(home: &Path, plan: &CredentialPlan, out: &Printer) -> Option<Upload> {
    for (file, why) in &plan.skipped {
        if why.is_warning() {
            out.warn(&format!("~/{} is not copied: {why}", file.path));
        }
    }
    let mut files = Vec::new();
    for credential in &plan.take {
        match content(&home.join(credential.path)) {
            Ok(bytes) => files.push((credential, bytes)),
            Err(error) => out.warn(&format!("~/{} is not copied: {error}", credential.path)),
        }
    }
    (!files.is_empty()).then(|| upload(files))
}

fn upload(files: Vec<(&CredentialFile, Vec<u8>)>) -> Upload {
    let entry = |path: String, content, mode| File {
        path,
        content,
        mode,
        owner: Owner::Agent,
    };
    let parents: BTreeSet<String> = files
        .iter()
        .flat_map(|(file, _)| Path::new(file.path).ancestors().skip(1))
        .filter_map(|parent| parent.to_str().filter(|parent| !parent.is_empty()))
        .map(str::to_owned)
        .collect();
    // A set is in the order of its paths: a directory comes before what is in it.
    let parents = parents
        .into_iter()
        .map(|parent| entry(parent, Content::Directory, 0o700));
    let contents = files
        .into_iter()
        .map(|(file, bytes)| entry(file.path.to_owned(), Content::Bytes(bytes), 0o600));
    Upload {
        at: path::HOME,
        files: parents.chain(contents).collect(),
    }
}

fn look(path: &Path) -> Found {
    let Ok(meta) = path.metadata() else {
        // A file below a directory that may not be entered is there or not: nobody can tell.
        return if path.symlink_metadata().is_ok() {
            Found::Unreadable
        } else {
            Found::Missing
        };
    };
    if meta.is_dir() {
        Found::Directory
    } else if !meta.is_file() {
        Found::Special
    } else if open(path).is_err() {
        Found::Unreadable
    } else {
        Found::File { size: meta.len() }
    }
}

/// Opens without waiting: a pipe put in a file's place must not make this hang.
fn open(path: &Path) -> std::io::Result<std::fs::File> {
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)
}

fn content(path: &Path) -> std::io::Result<Vec<u8>> {
    let file = open(path)?;
    if !file.metadata()?.is_file() {
        return Err(std::io::Error::other("it is no regular file any more"));
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(std::io::Error::other("it grew too large"));
    }
    Ok(bytes)
}

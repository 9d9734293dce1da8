//! The repository of a create: by its URL and branch, since a server clones it itself.

use std::path::Path;

use amika_core::text::shell_quote;
use amika_git as git;

use crate::App;
use crate::args::sandbox::CreateArgs;
use crate::commands::remote::unsupported::option;
use crate::error::{Error, Kind, Result};

/// What a server is asked to clone.
pub(super) struct Wanted {
    /// Its URL.
    pub(super) url: Option<String>,
    /// Its branch.
    pub(super) branch: Option<String>,
    /// A working copy that was sent.
    pub(super) upload_id: Option<String>,
}

/// The repository that the flags ask for, if any.
///
/// # Errors
/// [`Kind::Repository`] for one that has no URL.
pub(super) async fn wanted(args: &CreateArgs, app: &App) -> Result<Option<Wanted>> {
    let Some(spec) = &args.git else {
        return Ok(None);
    };
    if args.no_clean {
        return Err(option(
            "--no-clean",
            "commit and push, and the server clones it",
        ));
    }
    if !Path::new(spec).exists() {
        return Ok(Some(Wanted {
            url: Some(spec.clone()),
            branch: args.branch.clone(),
            upload_id: None,
        }));
    }
    let request = git::Request {
        spec: Some(spec.clone()),
        branch: args.branch.clone(),
        ..git::Request::default()
    };
    let directory = app.machine.directory().map_err(|error| {
        Error::new(Kind::Failure, "the working directory cannot be found").caused_by(&error)
    })?;
    let repository = git::open(&app.machine, request, directory, &|_| {}).await?;
    let facts = repository.facts();
    let remote = facts
        .remotes
        .get("origin")
        .or_else(|| match facts.remotes.len() {
            1 => facts.remotes.values().next(),
            _ => None,
        });
    let Some(url) = remote else {
        let message = format!(
            "{} has no remote that a server could clone",
            shell_quote(spec)
        );
        return Err(Error::new(Kind::Repository, message)
            .hint("`git remote add origin URL` and push, or name the URL: `--git URL`"));
    };
    if facts.is_dirty {
        app.out.warn(&format!(
            "what is not pushed does not come along: the server clones {url}"
        ));
    }
    Ok(Some(Wanted {
        url: Some(url.clone()),
        branch: args.branch.clone().or_else(|| facts.branch.clone()),
        upload_id: None,
    }))
}

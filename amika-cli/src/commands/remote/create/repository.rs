//! The repository of a create: by its URL and branch, which a server clones itself, or a working copy that is sent.

use std::path::Path;

use amika_core::text::shell_quote;
use amika_git::{self as git, Facts, Repository};
use amika_remote::client::Call;
use amika_sandbox::bridge;
use amika_sandbox::progress::Steps;
use serde_json::Value;

use crate::App;
use crate::args::sandbox::CreateArgs;
use crate::commands::remote::Server;
use crate::commands::remote::failure::told;
use crate::commands::remote::upload;
use crate::error::{Error, Kind, Result};

/// What a sandbox is made of.
pub(super) struct Wanted {
    /// The repository's URL.
    pub(super) url: Option<String>,
    /// Its branch.
    pub(super) branch: Option<String>,
    /// A working copy that was sent.
    pub(super) upload_id: Option<String>,
}

/// The repository that the flags ask for, if any; a working copy is sent, which is a step of its own.
///
/// # Errors
/// [`Kind::Repository`] for one that has no URL; those of git and of the server.
pub(super) async fn wanted(
    args: &CreateArgs,
    server: &Server,
    steps: &mut Steps,
    app: &App,
) -> Result<Option<Wanted>> {
    let Some(spec) = &args.git else {
        return Ok(None);
    };
    let is_here = Path::new(spec).exists();
    if !is_here && !args.no_clean {
        return Ok(Some(Wanted {
            url: Some(spec.clone()),
            branch: args.branch.clone(),
            upload_id: None,
        }));
    }
    let copy = if args.no_clean {
        git::Copy::Dirty {
            include_ignored: args.include_ignored,
        }
    } else {
        git::Copy::Clean
    };
    let request = git::Request {
        spec: Some(spec.clone()),
        branch: args.branch.clone(),
        copy,
        ..git::Request::default()
    };
    let directory = app.machine.directory().map_err(|error| {
        Error::new(Kind::Failure, "the working directory cannot be found").caused_by(&error)
    })?;
    let repository = git::open(&app.machine, request, directory, &|_| {}).await?;
    let facts = repository.facts();
    let url = remote(facts).cloned();
    if args.no_clean && !args.dry_run {
        for warning in &facts.warnings {
            app.out.warn(warning);
        }
        steps.begin("send");
        let id = send(&repository, server).await?;
        steps.finish(&facts.name);
        return Ok(Some(Wanted {
            url,
            branch: None,
            upload_id: Some(id),
        }));
    }
    if args.no_clean {
        app.out.warn(&unsent(url.as_deref()));
        return Ok(Some(Wanted {
            url,
            branch: None,
            upload_id: None,
        }));
    }
    let Some(url) = url else {
        let message = format!(
            "{} has no remote that a server could clone",
            shell_quote(spec)
        );
        return Err(Error::new(Kind::Repository, message).hint(
            "`git remote add origin URL` and push; or `--no-clean`, which sends the working copy",
        ));
    };
    if facts.is_dirty {
        app.out.warn(&format!(
            "what is not pushed does not come along: the server clones {url}; `--no-clean` sends the working copy"
        ));
    }
    Ok(Some(Wanted {
        url: Some(url),
        branch: args.branch.clone().or_else(|| facts.branch.clone()),
        upload_id: None,
    }))
}

/// What a plan is without, since it would be sent, and nothing is.
fn unsent(url: Option<&str>) -> String {
    match url {
        Some(url) => format!(
            "a dry run sends nothing: this is the plan for {url}, not for the working copy and its configuration"
        ),
        None => {
            "a dry run sends nothing: the plan is without the working copy and its configuration"
                .to_owned()
        }
    }
}

/// The URL of `origin`, or of the only remote that there is.
fn remote(facts: &Facts) -> Option<&String> {
    let only = || match facts.remotes.len() {
        1 => facts.remotes.values().next(),
        _ => None,
    };
    facts.remotes.get("origin").or_else(only)
}

/// Sends a working copy; its id on the server.
async fn send(repository: &Repository, server: &Server) -> Result<String> {
    let source = repository.clone();
    let owner = git::Owner { uid: 0, gid: 0 };
    // Beneath the directory that it is unpacked in, which is the server's own.
    let (archive, thread) = bridge::produce(move |to| source.write_tar(owner, ".", to));
    let call = Call::post(&["uploads"]).with("name", &repository.facts().name);
    let sent = server.client.upload(call, "application/x-tar", archive);
    let sent = sent.await;
    let report = async move { bridge::joined(thread.await) };
    upload::packed(&sent, report).await.map_err(|error| {
        Error::new(Kind::Repository, "the working copy cannot be read").caused_by(&error)
    })?;
    let sent: Value = sent.map_err(told)?;
    Ok(sent["id"].as_str().unwrap_or_default().to_owned())
}

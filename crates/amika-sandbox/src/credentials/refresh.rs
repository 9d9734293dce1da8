//! This machine's sign-ins, copied into a sandbox anew.

use std::collections::BTreeSet;
use std::sync::Arc;

use amika_core::contract::path;
use amika_core::credential::{Agent, CredentialPlan, Newer, Selection};
use schemars::JsonSchema;
use serde::Serialize;

use crate::create::{self, Upload};
use crate::error::{Error, Kind, Result};
use crate::progress::Progress;
use crate::sandbox::Sandbox;
use crate::sandboxes::{Sandboxes, to_its_end};
use crate::sign_ins::{self, Added, Pair};

/// Which sign-ins are copied.
#[derive(Clone, Debug, Default)]
pub struct RefreshRequest {
    /// Those of these agents; else those that the sandbox was given.
    pub selection: Option<Selection>,
    /// Whether newer sign-ins of the sandbox are overwritten.
    pub force: bool,
}

/// What `refresh` did.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Refreshed {
    /// The sandbox.
    pub name: String,
    /// Files that were copied, relative to the home directory.
    pub copied: Vec<&'static str>,
}

impl Sandboxes {
    /// Copies this machine's sign-ins into a sandbox anew; it may run.
    ///
    /// # Errors
    /// [`Kind::NotFound`], also where this machine has no such sign-in; [`Kind::Conflict`] where the sandbox is not
    /// made, has newer ones, or only says itself which it was given; and those of the engine.
    pub async fn refresh_credentials(
        &self,
        name: &str,
        request: RefreshRequest,
        progress: Arc<dyn Progress>,
    ) -> Result<Refreshed> {
        let (engine, name) = (self.clone(), name.to_owned());
        to_its_end(async move { refresh(&engine, &name, request, &*progress).await }).await
    }
}

async fn refresh(
    engine: &Sandboxes,
    name: &str,
    request: RefreshRequest,
    out: &dyn Progress,
) -> Result<Refreshed> {
    let sandbox = Sandbox::find_made(engine, name).await?;
    let name = sandbox.name.clone();
    let is_foreign = !sandbox.trust(engine)?.follows_host_paths();
    // What the sandbox and its labels say is no reason to copy a sign-in that it was never given.
    let given = sign_ins::agents_given(engine, &sandbox).await?;
    if request.selection.is_none() {
        let said = sign_ins::agents(engine, &sandbox.container.id, &sandbox.record).await;
        let unproven: BTreeSet<Agent> = said.difference(&given).copied().collect();
        if given.is_empty() && !unproven.is_empty() {
            return Err(unproven_error(&name, &unproven, is_foreign));
        }
        if !unproven.is_empty() {
            out.warn(&format!(
                "sandbox \"{name}\" says that it was given the sign-ins of {}, which is not signed with your key: \
                 they are not copied; `--credentials` names those that are to be",
                join(&unproven)
            ));
        }
    }
    let selection = request
        .selection
        .unwrap_or_else(|| Selection::of(given.iter().copied()));
    let home = engine.machine().home_dir();
    let found = create::find_credentials(&home, &selection, &[]);
    let pairs = sign_ins::read_both(engine, &sandbox, &home).await?;
    let pair = |file| pairs.iter().find(|pair| pair.file == file);
    // Overwriting the one sign-in that still works would sign the agent out everywhere.
    let would_lose: Vec<&Pair> = found
        .take
        .iter()
        .filter_map(|file| pair(*file))
        .filter(|pair| pair.file.is_sign_in() && !pair.mounted && !request.force)
        .filter(|pair| pair.newer() == Some(Newer::Sandbox))
        .filter(|pair| pair.tokens().is_some_and(|tokens| tokens.only_second))
        .collect();
    if !would_lose.is_empty() {
        let paths: Vec<&str> = would_lose.iter().map(|pair| pair.file.path).collect();
        let spent = would_lose
            .iter()
            .any(|pair| pair.tokens().is_some_and(|tokens| tokens.differ));
        return Err(Error::new(
            Kind::Conflict,
            format!(
                "sandbox \"{name}\" has newer sign-ins: {}",
                paths.join(", ")
            ),
        )
        .cause(if spent {
            "a refresh token serves once: this machine's copy is spent"
        } else {
            "this machine has no copy of them"
        })
        .hint(way_on(&name, &would_lose, &pairs)));
    }
    let plan = CredentialPlan {
        take: found
            .take
            .into_iter()
            .filter(|file| pair(*file).is_none_or(|pair| !pair.mounted))
            .collect(),
        skipped: found.skipped,
    };
    let Some(taken) = create::read_credentials(&home, &plan, out) else {
        let has = create::find_credentials(&home, &Selection::all(), &[]).take;
        let has: BTreeSet<Agent> = has
            .into_iter()
            .filter(|file| file.is_sign_in() && !selection.contains(file.agent))
            .map(|file| file.agent)
            .collect();
        return Err(no_sign_in(&name, &has));
    };
    sign_ins::warn_of_other_copies(engine, &name, &taken.renewing, out).await?;
    let owner = crate::owner::of(engine, &sandbox).await?;
    let archive = taken.upload.archive(owner).map_err(|error| {
        Error::new(Kind::Failure, "the sign-ins cannot be packed").caused_by(&error)
    })?;
    engine
        .put_archive(&sandbox.container.id, path::HOME, archive)
        .await?;
    let added: BTreeSet<Agent> = (given.into_iter().chain(taken.agents))
        .filter(|agent| is_foreign || !sandbox.record.credentials.contains(agent))
        .collect();
    if !added.is_empty() {
        let note = Added::sign(added, &sandbox.record.id, &engine.record_key()?);
        let note = Upload::added_credentials(&note);
        let archive = note.archive(owner).map_err(|error| {
            Error::new(Kind::Failure, "the note of the sign-ins cannot be packed").caused_by(&error)
        })?;
        engine
            .put_archive(&sandbox.container.id, note.at, archive)
            .await?;
    }
    Ok(Refreshed {
        name,
        copied: plan.take.iter().map(|file| file.path).collect(),
    })
}

/// The error where only the sandbox itself says which sign-ins it was given.
fn unproven_error(sandbox: &str, agents: &BTreeSet<Agent>, is_foreign: bool) -> Error {
    let error = Error::new(
        Kind::Conflict,
        format!(
            "which sign-ins sandbox \"{sandbox}\" was given is not signed with your key: nothing was copied"
        ),
    )
    .cause(format!("it names {}", join(agents)))
    .hint(format!(
        "`amika credentials refresh {sandbox} --credentials {}` copies them",
        join(agents).replace(", ", ",")
    ));
    if !is_foreign {
        return error;
    }
    error.hint(format!(
        "`amika sandbox adopt {sandbox}` trusts its record from now on"
    ))
}

fn join(agents: &BTreeSet<Agent>) -> String {
    let names: Vec<&str> = agents.iter().map(|agent| agent.as_str()).collect();
    names.join(", ")
}

/// What to do about newer sign-ins of a sandbox: to pull them only where that would take them.
fn way_on(name: &str, would_lose: &[&Pair], pairs: &[Pair]) -> String {
    let taking = sign_ins::taking(pairs, false);
    let can_be_pulled = would_lose.iter().any(|pair| {
        let taken = pair.taken(&taking);
        taken.is_some_and(|taken| taken.is_ok_and(|taken| taken.content.is_some()))
    });
    let pull = if can_be_pulled {
        format!("`amika credentials pull {name}` takes them")
    } else {
        format!("`amika credentials status {name}` tells why they cannot be pulled")
    };
    format!(
        "{pull}; `--force` overwrites them; `--credentials` names the agents whose sign-ins are to be copied"
    )
}

/// The error where this machine has no sign-in of the agents that are meant; `has` are those it has one of.
fn no_sign_in(sandbox: &str, has: &BTreeSet<Agent>) -> Error {
    let error = Error::new(Kind::NotFound, "there is no sign-in to copy")
        .hint("`amika credentials list` shows what is looked for");
    if has.is_empty() {
        return error;
    }
    let agents: Vec<String> = has.iter().map(ToString::to_string).collect();
    error.hint(format!(
        "`amika credentials refresh {sandbox} --credentials {}` copies what this machine has",
        agents.join(",")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agents_that_this_machine_has_are_named() {
        let has = BTreeSet::from([Agent::Claude, Agent::Codex]);
        let hints = no_sign_in("box", &has).hints;
        assert!(
            hints[1].contains("refresh box --credentials claude,codex`"),
            "{hints:?}"
        );
        assert_eq!(no_sign_in("box", &BTreeSet::new()).hints.len(), 1);
    }
}

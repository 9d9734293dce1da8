//! What a sandbox is given beside its environment and labels, as files that are put into it.

use amika_core::credential::{Copy, MAX_BYTES, Newer, SignIn, newer};

use super::credentials::files;
use super::upload::Upload;
use crate::error::Result;
use crate::given::{Given, GivenSignIn};
use crate::sandbox::Sandbox;
use crate::sandboxes::Sandboxes;
use amika_engine::EngineError;

/// For a sandbox that is new.
pub(super) fn uploads(given: &Given) -> Vec<Upload> {
    put(given, given.sign_ins.iter())
}

/// For one that is there: of a sign-in that renews itself the newer copy stays, which may be the sandbox's.
///
/// # Errors
/// Those of the engine.
pub async fn renewing(engine: &Sandboxes, sandbox: &Sandbox, given: &Given) -> Result<Vec<Upload>> {
    let mut older_inside = Vec::new();
    for ours in &given.sign_ins {
        if !is_newer_inside(engine, sandbox, ours).await? {
            older_inside.push(ours);
        }
    }
    Ok(put(given, older_inside.into_iter()))
}

fn put<'a>(given: &Given, sign_ins: impl Iterator<Item = &'a GivenSignIn>) -> Vec<Upload> {
    let sign_ins = files(sign_ins.map(|it| (it.file, it.content.clone())));
    let variables = Upload::given_variables(&given.variables);
    let has_files = !sign_ins.files.is_empty();
    [Some(variables), has_files.then_some(sign_ins)]
        .into_iter()
        .flatten()
        .collect()
}

async fn is_newer_inside(
    engine: &Sandboxes,
    sandbox: &Sandbox,
    ours: &GivenSignIn,
) -> Result<bool> {
    let limit = usize::try_from(MAX_BYTES).unwrap_or(usize::MAX);
    let target = ours.file.target();
    let theirs = engine.read_regular_file(&sandbox.container.id, &target, limit);
    let theirs = match theirs.await {
        Ok(Some(file)) => file,
        // What is no file there is not to be kept.
        Ok(None) | Err(EngineError::Broken(_)) => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    let host = Copy {
        content: &ours.content,
        modified: ours.modified,
    };
    let inside = Copy {
        content: &theirs.content,
        modified: theirs.modified,
    };
    Ok(SignIn::read(&theirs.content).renews_itself
        && newer(&ours.file, host, inside) == Newer::Sandbox)
}

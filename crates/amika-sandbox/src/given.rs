//! What a sandbox is given that no variable of its container and no label tells: secrets as variables, and sign-ins
//! that are not this machine's. It is renewed at each start by whoever knows it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use amika_core::credential::{Agent, CredentialFile};
use amika_core::wire::GivenVariables;
use futures_util::future::BoxFuture;

use crate::error::Result;

/// What a sandbox is given at a start.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Given {
    /// Variables.
    pub variables: GivenVariables,
    /// Files of agents' sign-ins, for the home.
    pub sign_ins: Vec<GivenSignIn>,
}

/// One of those files.
#[derive(Clone, PartialEq, Eq)]
pub struct GivenSignIn {
    /// Which.
    pub file: CredentialFile,
    /// What it holds.
    pub content: Vec<u8>,
    /// When it was changed last, in seconds since the Unix epoch.
    pub modified: u64,
}

/// What is given may be secret.
impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files = self.sign_ins.iter().map(|it| it.file.path);
        f.debug_struct("Given")
            .field("variables", &self.variables)
            .field("sign_ins", &files.collect::<Vec<_>>())
            .finish()
    }
}

/// Who knows secrets.
pub trait Secrets: Send + Sync {
    /// What a sandbox is given, in which each of these variables is the secret with that name. It is asked once, before
    /// anything is made; a variable whose secret is not there is left out.
    ///
    /// # Errors
    /// Where nothing can be said of any.
    fn given<'a>(&'a self, wanted: &'a BTreeMap<String, String>) -> BoxFuture<'a, Result<Given>>;
}

impl Given {
    /// Agents whose sign-ins are in it.
    pub(crate) fn agents(&self) -> Vec<Agent> {
        let agents: BTreeSet<Agent> = self.sign_ins.iter().map(|it| it.file.agent).collect();
        agents.into_iter().collect()
    }
}

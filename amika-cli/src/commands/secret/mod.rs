//! `amika secret …`: secrets on the server, for its sandboxes.

mod delete;
mod list;
mod push;
mod set;

use amika_remote::client::Call;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::remote::{Server, told};
use super::schema::{Output, document};
use crate::App;
use crate::args::place::Place;
use crate::args::secret::{Command, Scope};
use crate::error::{Error, Kind, Result};

/// A secret, without what it is.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
pub(super) struct SecretView {
    /// Its id on the server.
    id: String,
    /// Its name.
    name: String,
    /// What it is for.
    description: Option<String>,
    /// Who may use it: `user` (you alone) or `org` (everybody on the server).
    scope: String,
    /// When it was made (RFC 3339).
    created_at: String,
    /// When it was changed last (RFC 3339).
    updated_at: String,
}

/// What the verbs print with `-o json`.
pub(super) fn outputs() -> Vec<(&'static str, Output)> {
    vec![
        ("list", document::<Vec<SecretView>>()),
        ("set", document::<SecretView>()),
        ("delete", document::<Vec<delete::Deleted>>()),
        ("push", document::<Vec<push::Pushed>>()),
    ]
}

pub(super) async fn run(command: Command, place: Place, app: &App) -> Result<()> {
    if place.local {
        let error = Error::new(Kind::Invalid, "secrets are a server's: --local has none");
        return Err(
            error.hint("`create --env` and `--credentials` give a sandbox here what it needs")
        );
    }
    let server = Server::signed_in(app)?;
    match command {
        Command::List => list::run(&server, app).await,
        Command::Set(args) => set::run(&args, &server, app).await,
        Command::Delete(args) => delete::run(&args, &server, app).await,
        Command::Push(args) => push::run(&args, &server, app).await,
    }
}

impl Server {
    /// All secrets that the user sees.
    async fn secrets(&self) -> Result<Vec<SecretView>> {
        self.client()
            .ask(Call::get(&["secrets"]))
            .await
            .map_err(told)
    }

    /// One by its name.
    async fn secret(&self, name: &str, scope: Scope) -> Result<Option<SecretView>> {
        let all = self.secrets().await?;
        Ok(all
            .into_iter()
            .find(|secret| secret.name == name && secret.scope == scope.as_str()))
    }
}

//! `amika secret delete`.

use amika_remote::client::Call;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::App;
use crate::args::secret::DeleteArgs;
use crate::commands::remote::{Server, told};
use crate::error::{Error, Kind, Result};

/// A secret that was deleted.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Deleted {
    /// Its name.
    name: String,
    /// `user` or `org`.
    scope: &'static str,
}

pub(super) async fn run(args: &DeleteArgs, server: &Server, app: &App) -> Result<()> {
    // All are looked for first: of several, none goes where one is not there.
    let mut found = Vec::new();
    for name in &args.names {
        match server.secret(name, args.scope).await? {
            Some(secret) => found.push(secret),
            None => {
                return Err(Error::new(
                    Kind::NotFound,
                    format!(
                        "there is no secret \"{name}\" of scope {}",
                        args.scope.as_str()
                    ),
                )
                .hint("`amika secret list` shows the secrets"));
            }
        }
    }
    let mut deleted = Vec::new();
    for secret in found {
        let path = ["secrets", secret.id.as_str()];
        let _: Value = server
            .client()
            .ask(Call::delete(&path))
            .await
            .map_err(told)?;
        deleted.push(Deleted {
            name: secret.name,
            scope: args.scope.as_str(),
        });
    }
    app.out.result(&deleted, |out| {
        deleted
            .iter()
            .try_for_each(|it| writeln!(out, "{}", it.name))
    })
}

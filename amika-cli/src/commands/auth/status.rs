//! `amika auth status`.

use amika_remote::Account;
use amika_remote::client::Call;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::App;
use crate::commands::remote::{self, Origin, told};
use crate::error::{Error, Kind, Result};

/// As whom one is signed in.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct AccountView {
    /// The server.
    pub(super) address: String,
    /// The user's name there.
    pub(super) user: String,
    /// `admin` or `member`.
    role: String,
    /// What may be done with the key.
    scopes: Vec<String>,
    /// Who says so: `file` or `environment`.
    origin: &'static str,
    /// The file that address and key are kept in, whether there is one or not.
    file: String,
}

#[derive(Deserialize)]
struct Me {
    name: String,
    role: String,
    scopes: Vec<String>,
}

pub(super) async fn run(app: &App) -> Result<()> {
    let Some((account, origin)) = remote::account(app)? else {
        return Err(
            Error::new(Kind::NotSignedIn, "you are not signed in to a server")
                .hint("`amika auth login URL` signs you in"),
        );
    };
    let view = look(&account, origin, app).await?;
    app.out.result(&view, |out| {
        writeln!(out, "Server  {}", view.address)?;
        writeln!(out, "User    {} ({})", view.user, view.role)?;
        writeln!(out, "Key     {}", view.scopes.join(", "))?;
        match origin {
            Origin::File => writeln!(out, "Kept    {}", view.file),
            Origin::Environment => writeln!(out, "Kept    in this shell's variables"),
        }
    })
}

/// Asks the server who one is.
///
/// # Errors
/// [`Kind::NotSignedIn`] where the key does not hold.
pub(super) async fn look(account: &Account, origin: Origin, app: &App) -> Result<AccountView> {
    let client = remote::client(account, app)?;
    let me: Me = client.ask(Call::get(&["me"])).await.map_err(told)?;
    Ok(AccountView {
        address: account.address.to_string(),
        user: me.name,
        role: me.role,
        scopes: me.scopes,
        origin: match origin {
            Origin::File => "file",
            Origin::Environment => "environment",
        },
        file: remote::file(&app.machine).display().to_string(),
    })
}

//! The verbs of sandboxes, services and volumes on a server: what `--remote` has it do.

mod account;
mod cp;
mod create;
mod delete;
mod diff;
mod each;
pub(super) mod events;
mod failure;
mod forward;
mod git;
mod inspect;
mod jobs;
mod list;
mod logs;
mod open;
mod operation;
mod port;
mod ports;
mod program;
mod prompt;
mod pull;
mod push;
mod rename;
pub(super) mod sandbox;
mod served;
pub(super) mod service;
mod session;
mod spoken;
mod stats;
mod tunnel;
mod unsupported;
mod upload;
mod url;
pub(super) mod volume;
mod wait;

pub(super) use account::{Origin, account, client, file, forget, keep, proxy};
pub(super) use failure::told;
pub(super) use list::age;

use amika_core::config::user::Place as Default;
use amika_remote::Client;

use crate::App;
use crate::args::place::Place;
use crate::error::{Error, Kind, Result};
use crate::user_config;

/// A server, and as whom it is asked.
pub(super) struct Server {
    client: Client,
}

/// The server that a command is to work with; none where it works with this machine's engine.
///
/// # Errors
/// [`Kind::NotSignedIn`], and [`Kind::Invalid`] for settings that cannot be read.
pub(super) fn chosen(place: Place, app: &App) -> Result<Option<Server>> {
    let is_remote = match place {
        Place { remote: true, .. } => true,
        Place { local: true, .. } => false,
        Place { .. } => by_default(app)? == Default::Remote,
    };
    if !is_remote {
        return Ok(None);
    }
    Server::signed_in(app).map(Some)
}

fn by_default(app: &App) -> Result<Default> {
    if let Some(place) = user_config::default_of_environment(&app.machine)? {
        return Ok(place);
    }
    user_config::default(&app.machine)
}

/// Of what is not here: that it may be on the server that the user is signed in to.
pub(super) fn may_be_there(error: Error, app: &App) -> Error {
    if error.kind != Kind::NotFound {
        return error;
    }
    match account(app) {
        Ok(Some((account, _))) => error.hint(format!(
            "you are signed in to {}: `--remote` looks there",
            account.address
        )),
        _ => error,
    }
}

impl Server {
    /// The one that the user is signed in to.
    ///
    /// # Errors
    /// [`Kind::NotSignedIn`]
    pub(super) fn signed_in(app: &App) -> Result<Self> {
        let Some((account, _)) = account(app)? else {
            return Err(
                Error::new(Kind::NotSignedIn, "you are not signed in to a server")
                    .hint("`amika auth login URL` signs you in; `amika server` is one of your own"),
            );
        };
        let client = client(&account, app)?;
        Ok(Self { client })
    }

    /// What asks it.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }
}

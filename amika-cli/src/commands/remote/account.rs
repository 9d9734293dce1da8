//! As whom a server is asked: the environment over what `amika auth login` kept.

use std::path::PathBuf;

use amika_core::text::shell_quote;
use amika_host::machine::Machine;
use amika_remote::{Account, Address, Client, account as kept};

use super::failure::told;
use crate::App;
use crate::error::{Error, Kind, Result};

/// Name of the file, beside the user's settings.
const FILE: &str = "auth.json";
/// Variable that names the server.
const URL: &str = "AMIKA_API_URL";
/// Variable that holds the key.
const KEY: &str = "AMIKA_API_KEY";

/// Who says as whom one is signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::commands) enum Origin {
    /// What was kept.
    File,
    /// Variables.
    Environment,
}

/// Where it is kept.
pub(in crate::commands) fn file(machine: &Machine) -> PathBuf {
    machine.config_dir().join(FILE)
}

/// As whom the user is signed in, if at all, and who says so.
///
/// # Errors
/// [`Kind::Invalid`] for variables or a file that cannot be meant.
pub(in crate::commands) fn account(app: &App) -> Result<Option<(Account, Origin)>> {
    let machine = &app.machine;
    let given = |name| machine.text(name).filter(|value| !value.is_empty());
    let file = file(machine);
    let kept = || {
        kept::kept(&file).map_err(|error| {
            Error::new(Kind::Invalid, format!("{} cannot be read", file.display()))
                .caused_by(&error)
                .hint("`amika auth login URL` writes it anew")
        })
    };
    let (address, key) = match (given(URL), given(KEY)) {
        (None, None) => return Ok(kept()?.map(|account| (account, Origin::File))),
        (Some(url), key) => (Some(parse(url)?), key),
        (None, key) => (None, key),
    };
    let kept = match (&address, key) {
        (Some(_), Some(_)) => None,
        _ => kept()?,
    };
    // A key that was kept is for its own server alone.
    let key = key.map(str::to_owned).or_else(|| {
        let kept = kept.as_ref()?;
        (Some(&kept.address) == address.as_ref()).then(|| kept.key.clone())
    });
    let address = address.or_else(|| kept.map(|kept| kept.address));
    match (address, key) {
        (Some(_), Some(key)) if !key.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Err(Error::new(
                Kind::Invalid,
                format!("{KEY} is no key: one begins with amk_"),
            ))
        }
        (Some(address), Some(key)) => Ok(Some((Account { address, key }, Origin::Environment))),
        (Some(address), None) => Err(Error::new(
            Kind::NotSignedIn,
            format!("{URL} is set, and there is no key for {address}"),
        )
        .hint(format!(
            "set {KEY} too, or `amika auth login {}`",
            shell_quote(&address.to_string())
        ))),
        (None, _) => Err(Error::new(
            Kind::NotSignedIn,
            format!("{KEY} is set, and no server is named"),
        )
        .hint(format!("set {URL} too"))),
    }
}

fn parse(url: &str) -> Result<Address> {
    let refused = |message: String| Error::new(Kind::Invalid, format!("{URL}: {message}"));
    let address: Address = url.parse().map_err(|error| refused(format!("{error}")))?;
    if address.is_readable_by_others() {
        return Err(refused(format!(
            "{address} is plain HTTP: others can read the key on its way"
        ))
        .hint("use https://; or `amika auth login URL --insecure-http`, without the variable"));
    }
    Ok(address)
}

/// Who asks as an account.
///
/// # Errors
/// [`Kind::Failure`] where no connection can be made ready.
pub(in crate::commands) fn client(account: &Account, app: &App) -> Result<Client> {
    Client::new(account, proxy(&app.machine, &account.address).as_deref()).map_err(told)
}

/// The proxy to go through, as curl chooses it.
pub(in crate::commands) fn proxy(machine: &Machine, address: &Address) -> Option<String> {
    let names: &[&str] = if address.is_plain() {
        &["http_proxy", "all_proxy", "ALL_PROXY"]
    } else {
        &["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]
    };
    let without = machine
        .text("no_proxy")
        .or_else(|| machine.text("NO_PROXY"));
    let host = address.host();
    let is_left_out = without
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
        .any(|name| {
            let name = name.trim_start_matches('.');
            name == "*" || !name.is_empty() && (host == name || host.ends_with(&format!(".{name}")))
        });
    if is_left_out {
        return None;
    }
    let found = names.iter().find_map(|name| machine.text(name));
    found.filter(|proxy| !proxy.is_empty()).map(str::to_owned)
}

/// Keeps an account.
///
/// # Errors
/// [`Kind::Failure`] where it cannot be written.
pub(in crate::commands) fn keep(app: &App, account: &Account) -> Result<()> {
    let file = file(&app.machine);
    kept::keep(&file, account).map_err(|error| {
        Error::new(
            Kind::Failure,
            format!("{} cannot be written", file.display()),
        )
        .caused_by(&error)
    })
}

/// Forgets it; whether there was one.
///
/// # Errors
/// [`Kind::Failure`] where it cannot be removed.
pub(in crate::commands) fn forget(app: &App) -> Result<bool> {
    let file = file(&app.machine);
    kept::forget(&file).map_err(|error| {
        Error::new(
            Kind::Failure,
            format!("{} cannot be removed", file.display()),
        )
        .caused_by(&error)
    })
}

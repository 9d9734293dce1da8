//! `amika auth login`.

use amika_core::text::shell_quote;
use amika_remote::address::NotAnAddress;
use amika_remote::client::Call;
use amika_remote::{Account, Address, Client};
use serde::Deserialize;
use serde_json::json;

use super::status::look;
use crate::App;
use crate::args::auth::LoginArgs;
use crate::commands::remote::{self, Origin, told};
use crate::error::{Error, Kind, Result};

/// The longest key that is read, in bytes.
const LONGEST: u64 = 4096;

#[derive(Deserialize)]
struct Made {
    value: String,
}

pub(super) async fn run(args: &LoginArgs, app: &App) -> Result<()> {
    let (address, token) = Address::parse(&args.url).map_err(refused)?;
    if address.is_readable_by_others() && !args.insecure_http {
        let message = format!("{address} is plain HTTP: others can read the key on its way");
        return Err(Error::new(Kind::Invalid, message).hint(
            "use https://, or pass `--insecure-http` where something else protects the way",
        ));
    }
    let key = match (token, &args.key) {
        (Some(token), None) => made(&address, &token, app).await?,
        (Some(_), Some(_)) => {
            return Err(Error::new(
                Kind::Invalid,
                "the address is a link that makes a key: leave `--key -` out",
            ));
        }
        (None, Some(_)) => read().await?,
        (None, None) => ask(&address, app).await?,
    };
    let account = Account { address, key };
    let view = look(&account, Origin::File, app).await?;
    remote::keep(app, &account)?;
    app.out.result(&view, |_| Ok(()))?;
    app.out
        .note(&format!("signed in to {} as {}", view.address, view.user));
    Ok(())
}

fn refused(error: NotAnAddress) -> Error {
    let refused = Error::new(Kind::Invalid, error.to_string());
    match error {
        NotAnAddress::HasPath(address) => refused.hint(format!(
            "`amika auth login {}`",
            shell_quote(&address.to_string())
        )),
        NotAnAddress::NoUrl => refused,
    }
}

/// A key that a link's session makes.
async fn made(address: &Address, token: &str, app: &App) -> Result<String> {
    let proxy = remote::proxy(&app.machine, address);
    let client = Client::anonymous(address, proxy.as_deref()).map_err(told)?;
    let (cookie, second) = client.sign_in(token).await.map_err(told)?;
    let host = rustix::system::uname();
    let name = format!("amika on {}", host.nodename().to_string_lossy());
    let page = (cookie.as_str(), second.as_str());
    // As much as the user may do himself.
    for scopes in [["read", "write", "admin"].as_slice(), &["read", "write"]] {
        let body = json!({ "name": name, "scopes": scopes });
        match client
            .send_as_page::<Made>(Call::post(&["api-keys"]), &body, page)
            .await
        {
            Ok(made) => return Ok(made.value),
            Err(failure) if matches!(failure.status(), Some(400 | 403)) && scopes.len() == 3 => {}
            Err(failure) => return Err(told(failure)),
        }
    }
    Err(Error::new(Kind::NotSignedIn, "the server made no key"))
}

async fn ask(address: &Address, app: &App) -> Result<String> {
    if !app.out.can_ask() {
        return Err(
            Error::new(Kind::Invalid, "there is nobody to ask for a key")
                .hint("`--key -` reads it from standard input"),
        );
    }
    let ask = || {
        app.out
            .ask(&[], &format!("Key of {address} (amk_…, not shown): "));
    };
    let typed = crate::terminal::hidden_line(ask).await.map_err(|error| {
        Error::new(Kind::Failure, "the key cannot be read from the terminal").caused_by(&error)
    })?;
    whole(&typed)
}

async fn read() -> Result<String> {
    let read = crate::terminal::all_of_stdin(LONGEST).await;
    let text = read
        .map_err(|error| Error::new(Kind::Invalid, "the key cannot be read").caused_by(&error))?;
    whole(&text)
}

fn whole(text: &str) -> Result<String> {
    let key = text.trim();
    if key.starts_with("amk_") && key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(key.to_owned());
    }
    Err(
        Error::new(Kind::Invalid, "that is no key: one begins with amk_")
            .hint("`amika server key create --admin`, where the server is, makes one"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_in_a_hint_can_be_pasted_whatever_its_host_is_called() {
        let hints = |text| refused(Address::parse(text).expect_err("more than an origin")).hints;
        assert_eq!(
            hints("https://a.example/sandboxes"),
            ["`amika auth login https://a.example`"]
        );
        assert_eq!(
            hints("https://a$(id).example/x"),
            ["`amika auth login 'https://a$(id).example'`"]
        );
    }
}

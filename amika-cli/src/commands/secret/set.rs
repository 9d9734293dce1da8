//! `amika secret set`.

use amika_remote::client::Call;
use serde_json::json;

use super::SecretView;
use crate::App;
use crate::args::secret::SetArgs;
use crate::commands::remote::{Server, told};
use crate::error::{Error, Kind, Result};
use crate::host_path;

/// So many bytes are too many, with the line's end: the server takes 64 KiB.
const LONGEST: u64 = (64 << 10) + 3;

pub(super) async fn run(args: &SetArgs, server: &Server, app: &App) -> Result<()> {
    let value = value(args, app).await?;
    let client = server.client();
    let old = server.secret(&args.name, args.scope).await?;
    let kept = if let Some(old) = old {
        let body = json!({ "value": value, "description": args.description });
        let path = ["secrets", old.id.as_str()];
        client.send(Call::put(&path), &body).await
    } else {
        let body = json!({
            "name": args.name,
            "value": value,
            "description": args.description,
            "scope": args.scope.as_str(),
        });
        client.send(Call::post(&["secrets"]), &body).await
    };
    let secret: SecretView = kept.map_err(told)?;
    app.out.result(&secret, |_| Ok(()))?;
    app.out.note(&format!(
        "{} is kept; sandboxes have it from their next start on",
        secret.name
    ));
    Ok(())
}

async fn value(args: &SetArgs, app: &App) -> Result<String> {
    let unreadable = |error: std::io::Error| {
        Error::new(Kind::Invalid, "the value cannot be read").caused_by(&error)
    };
    if let Some(file) = &args.file {
        let text = std::fs::read_to_string(file);
        return text.map_err(|error| host_path::unreadable(Kind::Invalid, "--file ", file, &error));
    }
    if app.out.can_ask() {
        let ask = || {
            app.out
                .ask(&[], &format!("Value of {} (not shown): ", args.name));
        };
        let typed = crate::terminal::hidden_line(ask).await;
        return typed.map_err(unreadable);
    }
    let text = crate::terminal::all_of_stdin(LONGEST)
        .await
        .map_err(unreadable)?;
    if text.len() as u64 >= LONGEST {
        return Err(Error::new(Kind::Invalid, "the value is longer than 64 KiB"));
    }
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

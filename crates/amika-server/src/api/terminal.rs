//! A terminal that stays when nobody looks at it: a WebSocket to amikad's.

use std::sync::Arc;

use amika_core::terminal::{FromTerminal, FromViewer, Kind, bounded};
use amika_core::wire::TerminalRequest;
use amika_sandbox::terminal::Attached;
use amika_tunnel::terminal::{read_frame, write_frame};
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket};
use axum::response::Response;
use futures_util::{SinkExt as _, StreamExt as _};
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use utoipa::IntoParams;

use super::error::{ApiError, Failures, Result};
use super::extract::Path;
use super::sandboxes::find;
use super::socket::{self, Close, Hears, Sends, Upgrade};
use crate::auth::caller::Writer;
use crate::state::App;
use crate::streams::Place;

/// Bytes of a frame at most: what is larger goes in several.
const FRAME: usize = 32 << 10;

/// Which terminal.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct TerminalQuery {
    /// Its name, 1 to 64 of letters, digits, `-` and `_`: one that runs is looked at again, else it is made and stays
    /// when nobody looks. Without a name it ends with the socket.
    session: Option<String>,
    /// How many columns can be seen; with `rows`.
    columns: Option<u16>,
    /// How many rows can be seen; with `columns`.
    rows: Option<u16>,
    /// Program and arguments, once for each word; left out: the login shell. One that runs keeps its own.
    #[serde(default)]
    #[param(rename = "cmd", explode)]
    cmd: Vec<String>,
    /// Directory; left out: the agent's.
    cwd: Option<String>,
    /// Whether it runs as root; wants the scope `admin`.
    #[serde(default)]
    root: bool,
}

/// A terminal: a WebSocket. Binary messages are its bytes, both ways. Text is `{"resize":[columns,rows]}` from who looks;
/// `{"size":[columns,rows]}` at first and after each change, and `{"exit_code":n}` as the last one from the server. Who looks
/// again is shown the last screen. It is closed with 1000 when the program ended, 4000 when the connection broke, 1001 when
/// the server ends. Who is too slow misses output and is shown the screen anew.
#[utoipa::path(get, path = "/sandboxes/{ref}/terminal", tag = "sandboxes",
    params(("ref" = String, Path, description = "Id or name."), TerminalQuery),
    responses((status = 101, description = "A WebSocket."), (status = 426, body = super::error::ErrorBody), Failures))]
pub async fn terminal(
    State(app): State<Arc<App>>,
    caller: Writer,
    Path(reference): Path<String>,
    uri: axum::http::Uri,
    upgrade: Result<Upgrade>,
) -> Result<Response> {
    let query = read(uri.query().unwrap_or_default())?;
    if query.root && !caller.is_admin() {
        return Err(ApiError::forbidden(
            "only administrators run programs as root, with a key of scope admin",
        ));
    }
    let found = find(&app, &caller, &reference).await?;
    let upgrade = upgrade?;
    let place = app.streams.take(&caller.user.id)?;
    let size = size(&query)?;
    let is_kept = query.session.is_some();
    let request = TerminalRequest {
        name: query.session,
        columns: size.map(|it| it.0),
        rows: size.map(|it| it.1),
        cmd: (!query.cmd.is_empty()).then_some(query.cmd),
        cwd: query.cwd,
        user: query.root.then(|| "0".to_owned()),
        ..TerminalRequest::default()
    };
    let engine = app.engines.get().await?;
    let attached = engine.terminal(found.there()?, request, size).await?;
    Ok(upgrade
        .0
        .on_upgrade(move |socket| show(socket, attached, is_kept, place)))
}

/// Reads the query: `cmd` may come several times.
fn read(query: &str) -> Result<TerminalQuery> {
    let mut read = TerminalQuery::default();
    let number = |name: &str, value: &str| {
        let number = value.parse::<u16>().ok().filter(|number| *number > 0);
        number.ok_or_else(|| ApiError::field(name, format!("{name} is a number from 1 on")))
    };
    let pairs: Vec<(String, String)> = axum::extract::Query::try_from_uri(
        &format!("/?{query}")
            .parse()
            .map_err(|_| ApiError::usage("the query cannot be read"))?,
    )
    .map_err(|_| ApiError::usage("the query cannot be read"))?
    .0;
    for (name, value) in pairs {
        match name.as_str() {
            "session" => read.session = Some(value),
            "columns" => read.columns = Some(number("columns", &value)?),
            "rows" => read.rows = Some(number("rows", &value)?),
            "cmd" => read.cmd.push(value),
            "cwd" => read.cwd = Some(value),
            "root" => {
                read.root = value
                    .parse()
                    .map_err(|_| ApiError::field("root", "root is true or false"))?;
            }
            _ => {
                let shown: String = name.chars().take(60).collect();
                let message = format!("unknown parameter \"{}\"", shown.escape_debug());
                return Err(ApiError::usage(message));
            }
        }
    }
    Ok(read)
}

fn size(query: &TerminalQuery) -> Result<Option<(u16, u16)>> {
    match (query.columns, query.rows) {
        (None, None) => Ok(None),
        (Some(columns), Some(rows)) => Ok(Some(bounded(columns, rows))),
        _ => Err(ApiError::field(
            "columns",
            "columns and rows go together, or neither is given",
        )),
    }
}

async fn show(socket: WebSocket, attached: Attached, is_kept: bool, place: Place) {
    let Attached { frames, terminal } = attached;
    let (mut to, mut from) = socket.split();
    let (from_amikad, mut to_amikad) = tokio::io::split(frames);
    let from_amikad = BufReader::with_capacity(FRAME, from_amikad);
    let close = tokio::select! {
        close = outwards(from_amikad, &mut to) => close,
        close = inwards(&mut from, &mut to_amikad) => close,
        () = place.over() => Close::going(),
    };
    let _ = to_amikad.shutdown().await;
    if !is_kept {
        terminal.end().await;
    }
    socket::close(to, from, close).await;
}

fn gone() -> Close {
    Close::new(socket::RESET, "the connection to the terminal broke")
}

/// What it shows, until its program ended.
async fn outwards(mut from: impl AsyncRead + Unpin, to: &mut Sends) -> Close {
    let mut has_ended = false;
    loop {
        let mut content = Vec::new();
        let reading = read_frame(&mut from, &mut content);
        let Ok(kind) = socket::pinging(to, reading).await else {
            return gone();
        };
        let sent = match kind {
            Ok(Kind::Bytes) => to.send(Message::Binary(content.into())).await,
            // Its words are those of the socket; what is none of them goes no further.
            Ok(Kind::Control) => match serde_json::from_slice::<FromTerminal>(&content) {
                Ok(word) => {
                    has_ended |= matches!(word, FromTerminal::ExitCode(_));
                    socket::say(to, &word).await
                }
                Err(_) => return gone(),
            },
            Err(_) if has_ended => return Close::new(socket::OVER, "the program ended"),
            Err(_) => return gone(),
        };
        if sent.is_err() {
            return gone();
        }
    }
}

/// What is typed and said, until who looks left.
async fn inwards(from: &mut Hears, to: &mut (impl AsyncWrite + Unpin)) -> Close {
    while let Some(message) = from.next().await {
        let sent = match message {
            Ok(Message::Binary(bytes)) => typed(to, &bytes).await,
            Ok(Message::Text(text)) => {
                let Ok(word) = serde_json::from_str::<FromViewer>(&text) else {
                    let told = "a text message is {\"resize\":[columns,rows]}";
                    return Close::new(socket::NOT_UNDERSTOOD, told);
                };
                let word = serde_json::to_vec(&word).unwrap_or_default();
                write_frame(to, Kind::Control, &word).await
            }
            Ok(Message::Ping(_) | Message::Pong(_)) => Ok(()),
            Ok(Message::Close(_)) | Err(_) => break,
        };
        if sent.is_err() {
            return gone();
        }
    }
    Close::new(socket::OVER, "the other side left")
}

async fn typed(to: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> std::io::Result<()> {
    for piece in bytes.chunks(FRAME) {
        write_frame(to, Kind::Bytes, piece).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_program_come_one_by_one_and_nothing_unknown_is_overlooked() {
        let query = read("session=a&cmd=sh&cmd=-c&cmd=echo%20a%26b&columns=120&rows=40").unwrap();
        assert_eq!(query.cmd, ["sh", "-c", "echo a&b"]);
        assert_eq!(query.session.as_deref(), Some("a"));
        assert_eq!(size(&query).unwrap(), Some((120, 40)));
        assert_eq!(size(&read("").unwrap()).unwrap(), None);
        for bad in ["columns=0", "rows=x", "root=yes", "env=A"] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert!(size(&read("rows=4").unwrap()).is_err());
    }
}

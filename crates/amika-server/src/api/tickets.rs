//! Tickets for what a page opens without a header of its own.

use std::net::Ipv4Addr;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::{ApiError, Failures, Result};
use super::extract::Body;
use super::sandboxes::find;
use super::tunnel::open_port;
use crate::auth::caller::Writer;
use crate::auth::tickets::{LIFE, Purpose};
use crate::clock::shown;
use crate::ports::name::{self, PortName};
use crate::ports::own::NoPort;
use crate::sandboxes::snapshot::Live;
use crate::state::App;

/// What is to be opened: a web socket's path, or a sandbox and a port.
#[derive(Debug, Deserialize, ToSchema)]
pub struct CreateTicket {
    /// The path of a web socket, as `/sandboxes/fix/terminal`.
    path: Option<String>,
    /// Id or name of a sandbox.
    sandbox: Option<String>,
    /// A port of it, for its own origin.
    #[schema(minimum = 1)]
    port: Option<u16>,
    /// Whether that has a listening port of its own: where its host name leads nowhere.
    #[serde(default)]
    own_port: bool,
}

/// A ticket, good once.
#[derive(Debug, Serialize, ToSchema)]
pub struct TicketCreated {
    /// For a web socket: one of its protocols, beside `amika`.
    ticket: String,
    /// For a port: what a browser opens.
    url: Option<String>,
    expires_at: String,
}

/// Makes a ticket, good once and for 30 seconds: a page opens a web socket with the protocols `amika` and the ticket, or a
/// port at `url`.
#[utoipa::path(post, path = "/tickets", tag = "session", request_body = CreateTicket,
    responses((status = 200, body = TicketCreated), Failures))]
pub async fn create(
    State(app): State<Arc<App>>,
    caller: Writer,
    Body(body): Body<CreateTicket>,
) -> Result<Json<TicketCreated>> {
    let (purpose, origin) = match (body.path, body.sandbox, body.port) {
        (Some(path), None, None) if path.starts_with('/') && path.len() < 1000 => {
            (Purpose::Socket(path), None)
        }
        (None, Some(reference), Some(port)) => {
            open_port(port)?;
            let sandbox_id = find(&app, &caller, &reference).await?.id();
            let origin = if body.own_port {
                own_origin(&app, &sandbox_id, port).await?
            } else {
                name::origin(&app.config, &app.address, &sandbox_id, port)
            };
            (Purpose::Port { sandbox_id, port }, Some(origin))
        }
        _ => {
            return Err(ApiError::usage(
                "give one of both: path, which begins with a slash, or sandbox and port",
            ));
        }
    };
    let now = app.clock.now();
    let ticket = app.tickets.make(&caller, purpose, now);
    let ticket = ticket.ok_or_else(|| {
        let message = "too many tickets wait to be used";
        ApiError::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", message).retry_after(30)
    })?;
    Ok(Json(TicketCreated {
        url: origin.map(|origin| format!("{origin}/.amika/open#{}", ticket.reveal())),
        ticket: ticket.reveal().to_owned(),
        expires_at: shown(now + LIFE),
    }))
}

/// Where a port is found that has a listening port of its own.
async fn own_origin(app: &App, sandbox_id: &str, port: u16) -> Result<String> {
    let (scheme, authority) = app.address.split_once("://").unwrap_or_default();
    if (scheme == "https") != app.config.tls.is_some() {
        let message = "something before this server speaks TLS, and leads to no other port of it";
        return Err(ApiError::field("/own_port", message).hint(
            "whoever runs the server gives its ports a domain: domain in its configuration",
        ));
    }
    let (host, _) = name::split_port(authority);
    let name = PortName {
        port,
        sandbox_id: sandbox_id.to_owned(),
    };
    let all = Live::get(app).await?;
    let is_there = |id: &str| all.find(id, |_| true).is_some();
    let listening = app.config.addresses().into_iter().next();
    let address = listening.map_or(Ipv4Addr::LOCALHOST.into(), |(address, _)| address.ip());
    let opened = app.ports.own.open(name, address, is_there).await;
    let own = opened.map_err(|error| match error {
        NoPort::Full => {
            let message = "too many ports have a listening port of their own";
            ApiError::rate_limited(message, 60)
        }
        NoPort::System(error) => {
            tracing::warn!(%error, "a port of a sandbox gets no listening port");
            ApiError::internal()
        }
    })?;
    Ok(format!("{scheme}://{host}:{own}"))
}

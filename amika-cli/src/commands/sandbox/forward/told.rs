//! What is told of ports that are forwarded: a line for people once, and each event as JSON.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use amika_core::port::{HostIp, Port, Protocol};
use amika_core::untrusted::Untrusted;
use schemars::JsonSchema;
use serde::Serialize;

use crate::error::{Error, Result};
use crate::forward::{Complain, Failure, Key, MOST};
use crate::output::Printer;

/// Something that happened to a port that is forwarded, or to the sandbox: a line of `forward -o json`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(in crate::commands) struct ForwardEvent {
    /// When, in milliseconds since the Unix epoch.
    time: u64,
    /// What.
    event: Event,
    /// The sandbox.
    sandbox: String,
    /// Port in the sandbox.
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    /// `tcp` or `udp`.
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol: Option<Protocol>,
    /// Address on this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    host_ip: Option<String>,
    /// Port on this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    host_port: Option<u16>,
    /// The program that has the port inside, where it was seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    program: Option<String>,
    /// Why, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::commands) enum Event {
    /// The port is reached at this address from now on.
    Forwarding,
    /// The sandbox publishes the port at the same number already.
    Published,
    /// With `--all`: the number is taken on this machine.
    Taken,
    /// With `--all`: nothing listens there any more.
    Closed,
    /// With `--all`: there are more ports than are forwarded; told once.
    TooMany,
    /// Somebody came, and could not be brought there; told once for each reason.
    Failed,
    /// The sandbox stopped.
    Stopped,
    /// It runs again.
    Started,
    /// It was deleted: this is the end.
    Deleted,
}

/// What is printed, each line of text once.
#[derive(Clone)]
pub(in crate::commands) struct Teller {
    out: Printer,
    sandbox: String,
    told: Arc<Mutex<BTreeSet<String>>>,
}

impl Teller {
    /// For the ports of a sandbox.
    pub(in crate::commands) fn new(out: &Printer, sandbox: &str) -> Self {
        Self {
            out: out.clone(),
            sandbox: sandbox.to_owned(),
            told: Arc::default(),
        }
    }

    /// Who is told of those who were not brought to a port.
    pub(in crate::commands) fn complain(&self) -> Complain {
        let tell = self.clone();
        Arc::new(move |key, failure: &Failure| tell.complaint(key, failure))
    }

    pub(in crate::commands) fn event(&self, event: Event) -> ForwardEvent {
        ForwardEvent {
            time: amika_host::clock::now_millis(),
            event,
            sandbox: self.sandbox.clone(),
            port: None,
            protocol: None,
            host_ip: None,
            host_port: None,
            program: None,
            message: None,
        }
    }

    pub(in crate::commands) fn of_port(&self, event: Event, (port, protocol): Key) -> ForwardEvent {
        ForwardEvent {
            port: Some(port.get()),
            protocol: Some(protocol),
            ..self.event(event)
        }
    }

    /// Whether a line was not told before.
    fn is_new(&self, line: &str) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.insert(line.to_owned())
    }

    /// Where a port is reached, in a line of the result.
    pub(in crate::commands) fn place(
        &self,
        event: Event,
        key: Key,
        local: Port,
        program: Option<&str>,
    ) -> Result<()> {
        let (port, protocol) = key;
        let host_ip = HostIp::LOCALHOST.addr().to_string();
        let line = format!("{host_ip}:{local} -> {port}/{protocol}");
        let by = program.map(|program| format!("  ({})", Untrusted::new(program)));
        let published = if event == Event::Published {
            "  (published)"
        } else {
            ""
        };
        let told = ForwardEvent {
            host_ip: Some(host_ip),
            host_port: Some(local.get()),
            program: program.map(str::to_owned),
            ..self.of_port(event, key)
        };
        let is_new = self.is_new(&line);
        if !is_new && !self.out.is_json() {
            self.out
                .note(&format!("{port}/{protocol} is listened on again"));
        }
        self.tell(&told, |out| {
            if is_new {
                writeln!(out, "{line}{}{published}", by.unwrap_or_default())
            } else {
                Ok(())
            }
        })
    }

    /// Says that a port is not forwarded, since this machine's is taken.
    pub(in crate::commands) fn taken(&self, key: Key, error: &Error) -> Result<()> {
        let (port, protocol) = key;
        let event = ForwardEvent {
            message: Some(error.message.clone()),
            ..self.of_port(Event::Taken, key)
        };
        let (why, hint) = (&error.message, error.hints.join("; "));
        self.note(
            &event,
            &format!("{port}/{protocol} is not forwarded: {why}; {hint}"),
        )
    }

    /// Something that people are told beside the result.
    pub(in crate::commands) fn note(&self, event: &ForwardEvent, text: &str) -> Result<()> {
        if !self.out.is_json() {
            self.out.note(text);
        }
        self.tell(event, |_| Ok(()))
    }

    /// What is no event, and only for people.
    pub(super) fn aside(&self, text: &str) {
        self.out.note(text);
    }

    fn tell(
        &self,
        event: &ForwardEvent,
        human: impl FnOnce(&mut crate::output::Page<'_>) -> std::io::Result<()>,
    ) -> Result<()> {
        // A reader that left does not end what others use.
        self.out.item(event, human).map(|_| ())
    }

    /// Says that there are more ports than are forwarded.
    pub(super) fn too_many(&self) -> Result<()> {
        let text = format!("more than {MOST} ports are listened on: the others are not forwarded");
        if !self.is_new(&text) {
            return Ok(());
        }
        self.out.warn(&text);
        let event = ForwardEvent {
            message: Some(text),
            ..self.event(Event::TooMany)
        };
        self.tell(&event, |_| Ok(()))
    }

    /// Says why somebody who came was not brought there.
    fn complaint(&self, (port, protocol): Key, failure: &Failure) {
        let message = match failure {
            Failure::Stopped => format!("sandbox \"{}\" does not run", self.sandbox),
            Failure::Nobody(message) | Failure::Other(message) => message.clone(),
        };
        if !self.is_new(&format!("{port}/{protocol}: {failure:?}")) {
            return;
        }
        let event = ForwardEvent {
            message: Some(message.clone()),
            ..self.of_port(Event::Failed, (port, protocol))
        };
        if self.out.is_json() {
            let _ = self.tell(&event, |_| Ok(()));
        } else {
            let message = Untrusted::new(&message);
            self.out
                .warn(&format!("{port}/{protocol} was not reached: {message}"));
        }
    }
}

//! How a service is run, as the API has it: the keys of the repository's file, each a member.

use std::collections::BTreeMap;

use amika_core::service::{Ready, Restart, Run, Service, Sidecar, Start};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::quoted;

/// A command: a line for `sh -c`, or its words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Command {
    /// A line for `sh -c`.
    Line(String),
    /// Its words.
    Words(Vec<String>),
}

impl Command {
    /// As it was written.
    fn of(words: &[String]) -> Self {
        match words {
            [sh, c, line] if sh == "sh" && c == "-c" => Self::Line(line.clone()),
            words => Self::Words(words.to_vec()),
        }
    }

    /// Whether there is nothing to run.
    pub fn is_nothing(&self) -> bool {
        matches!(self, Self::Words(words) if words.is_empty())
    }
}

/// How a service is run; nothing of it for one that the repository runs in its own way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunDefinition {
    /// The image of the container that it is, beside the sandbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Volumes of that container, each as `NAME:/path`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volumes: Option<Vec<String>>,
    /// What Amika runs, or its container does: a line for `sh -c`, or a list of words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Command>,
    /// The directory that it is started in, relative to the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// Variables of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<BTreeMap<String, String>>,
    /// How one sees that it is up: `http:[PORT]/path`, `tcp[:PORT]` or `log:REGEX`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<String>,
    /// Seconds that it may take to be up, 1 to 3600.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 3600)]
    pub ready_timeout: Option<i64>,
    /// What follows its end: `on-failure`, `always` or `no`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart: Option<String>,
    /// When it is started: `auto` or `on-demand`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// Whether a request at its port route starts its sandbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wake: Option<bool>,
    /// Services that must be up before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depends_on: Option<Vec<String>>,
}

impl RunDefinition {
    /// The definition of what is saved, or declared by a file.
    pub fn of(service: &Service) -> Self {
        match (&service.run, &service.sidecar) {
            (Some(run), _) => Self::of_run(run),
            (None, Some(sidecar)) => Self::of_sidecar(sidecar),
            (None, None) => Self::default(),
        }
    }

    fn of_sidecar(sidecar: &Sidecar) -> Self {
        let volumes = sidecar.volumes.iter();
        let volumes = volumes.map(|volume| format!("{}:{}", volume.name, volume.target));
        Self {
            image: Some(sidecar.image.clone()),
            volumes: Some(volumes.collect()).filter(|all: &Vec<_>| !all.is_empty()),
            command: (!sidecar.command.is_empty()).then(|| Command::of(&sidecar.command)),
            env: Some(sidecar.env.clone()).filter(|env| !env.is_empty()),
            ready: sidecar.ready.as_ref().map(ready_text),
            ready_timeout: Some(i64::from(sidecar.ready_timeout_s)),
            ..Self::default()
        }
    }

    fn of_run(run: &Run) -> Self {
        let restart = match run.restart {
            Restart::OnFailure => "on-failure",
            Restart::Always => "always",
            Restart::No => "no",
        };
        Self {
            image: None,
            volumes: None,
            command: Some(Command::of(&run.command)),
            cwd: run.cwd.clone(),
            env: Some(run.env.clone()).filter(|env| !env.is_empty()),
            ready: run.ready.as_ref().map(ready_text),
            ready_timeout: Some(i64::from(run.ready_timeout_s)),
            restart: Some(restart.to_owned()),
            start: Some(start_text(run.start).to_owned()),
            wake: Some(run.wake),
            depends_on: Some(run.depends_on.clone()).filter(|names| !names.is_empty()),
        }
    }

    /// This one changed by another: an image or a command replaces all that is said, an empty list of words takes it away,
    /// and without one each member that is given is put in place of the old. A command of one that has an image is such a member.
    #[must_use]
    pub fn changed(self, by: Self) -> Self {
        let is_nothing = by.command.as_ref().is_some_and(Command::is_nothing);
        if by.image.is_some() {
            return by;
        }
        if self.image.is_none() && by.command.is_some() {
            return if is_nothing { Self::default() } else { by };
        }
        // Of one with an image it is the image's own again.
        let command = by.command.or(self.command).filter(|_| !is_nothing);
        Self {
            image: self.image,
            volumes: by.volumes.or(self.volumes),
            command,
            cwd: by.cwd.or(self.cwd),
            env: by.env.or(self.env),
            ready: by.ready.or(self.ready),
            ready_timeout: by.ready_timeout.or(self.ready_timeout),
            restart: by.restart.or(self.restart),
            start: by.start.or(self.start),
            wake: by.wake.or(self.wake),
            depends_on: by.depends_on.or(self.depends_on),
        }
    }

    /// What is said, as lines of the file, each with the place of its member.
    pub(super) fn lines(&self) -> Vec<(&'static str, String)> {
        let mut lines = Vec::new();
        let mut put = |place: &'static str, value: Option<String>| {
            if let Some(value) = value {
                lines.push((place, format!("{} = {value}", &place[1..])));
            }
        };
        let text = |text: &Option<String>| text.as_deref().map(quoted);
        let list = |words: &Vec<String>| {
            let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
            format!("[{}]", words.join(", "))
        };
        put("/image", text(&self.image));
        put("/volumes", self.volumes.as_ref().map(list));
        put(
            "/command",
            self.command.as_ref().map(|command| match command {
                Command::Line(line) => quoted(line),
                Command::Words(words) => list(words),
            }),
        );
        put("/cwd", text(&self.cwd));
        put(
            "/env",
            self.env.as_ref().map(|env| {
                let pairs = env.iter();
                let pairs =
                    pairs.map(|(key, value)| format!("{} = {}", quoted(key), quoted(value)));
                format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", "))
            }),
        );
        put("/ready", text(&self.ready));
        put(
            "/ready_timeout",
            self.ready_timeout.map(|it| it.to_string()),
        );
        put("/restart", text(&self.restart));
        put("/start", text(&self.start));
        put("/wake", self.wake.map(|it| it.to_string()));
        put("/depends_on", self.depends_on.as_ref().map(list));
        lines
    }
}

/// When one is started, as the file writes it.
pub fn start_text(start: Start) -> &'static str {
    match start {
        Start::Auto => "auto",
        Start::OnDemand => "on-demand",
    }
}

/// How one sees that it is up, as the file writes it.
pub fn ready_text(ready: &Ready) -> String {
    match ready {
        Ready::Http { port, path } => format!("http:{port}{path}"),
        Ready::Tcp { port } => format!("tcp:{port}"),
        Ready::Log { matches } => format!("log:{matches}"),
        // Of a start script, which no file declares as a service.
        Ready::Done => "done".to_owned(),
    }
}

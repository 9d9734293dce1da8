//! Sandboxes as the engine has them: finding one by name, listing all, and telling its state.

use amika_core::label::{Kind, LabelError, Reading, Repository, SandboxId, SandboxRecord, key};
use amika_core::wire::{BootRecord, Outcome, Phase};
use schemars::JsonSchema;
use serde::Serialize;

use crate::daemon::Client;
use crate::error::{self, Error, Result};
use crate::sandboxes::Sandboxes;
use crate::trust::Trust;
use amika_core::text::shell_quote;
use amika_engine::{ContainerFacts, ContainerState, ContainerSummary};

/// A sandbox.
#[derive(Clone, Debug)]
pub struct Sandbox {
    /// Its name, which is the container's.
    pub name: String,
    /// What its labels say. Whether that is to be believed, [`Sandbox::trust`] tells.
    pub record: SandboxRecord,
    /// Those of its labels that cannot be read, and why; the record is without them.
    pub problems: Vec<LabelError>,
    /// Its container.
    pub container: ContainerFacts,
}

/// What a sandbox does, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Its `create` is under way.
    Creating,
    /// Its `create` was broken off; the next one of that name, or `doctor --fix`, removes it.
    Interrupted,
    /// Its setup script runs.
    Setup,
    /// CMD runs.
    Running,
    /// Its container runs, and its amikad does not answer: what it does is not known.
    Unresponsive,
    /// It is being stopped.
    Stopping,
    /// Frozen by the engine.
    Paused,
    /// Its setup script failed; CMD did not run.
    SetupFailed,
    /// Ended.
    Stopped,
    /// The engine has a word for it that is not known here, or none: nothing is ever deleted because of it.
    Unknown,
    /// Its removal failed half-way: it can be deleted, and nothing else.
    Dead,
    /// Its container was removed behind Amika's back; volumes of it are left.
    Lost,
}

/// What amikad says of a sandbox whose container runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It was not asked.
    NotAsked,
    /// It was asked and is silent, or what answers is not it.
    None,
    /// Where it is in its life.
    Phase(Phase),
}

impl Answer {
    /// The answer of one that was asked.
    pub fn of(status: Option<&amika_core::wire::Status>) -> Self {
        status.map_or(Self::None, |status| Self::Phase(status.phase))
    }
}

impl State {
    /// All there are.
    pub const ALL: [Self; 12] = [
        Self::Creating,
        Self::Interrupted,
        Self::Setup,
        Self::Running,
        Self::Unresponsive,
        Self::Stopping,
        Self::Paused,
        Self::SetupFailed,
        Self::Stopped,
        Self::Unknown,
        Self::Dead,
        Self::Lost,
    ];

    /// The word in JSON.
    pub fn key(self) -> &'static str {
        match self {
            Self::Interrupted => "interrupted",
            Self::SetupFailed => "setup_failed",
            other => other.word(),
        }
    }

    /// The word for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Interrupted => "creating (interrupted)",
            Self::Setup => "setup",
            Self::Running => "running",
            Self::Unresponsive => "unresponsive",
            Self::Stopping => "stopping",
            Self::Paused => "paused",
            Self::SetupFailed => "setup failed",
            Self::Stopped => "stopped",
            Self::Unknown => "unknown",
            Self::Dead => "dead",
            Self::Lost => "lost",
        }
    }

    /// Tells the state from what the engine says, and from what amikad says or left behind.
    pub fn tell(
        container: ContainerState,
        record: &SandboxRecord,
        answer: Answer,
        last_boot: Option<&BootRecord>,
    ) -> Self {
        match container {
            ContainerState::Created => match &record.creator {
                Some(creator) if crate::creator::may_be_making(creator) => Self::Creating,
                _ => Self::Interrupted,
            },
            ContainerState::Running | ContainerState::Restarting => match answer {
                Answer::Phase(Phase::Starting | Phase::Setup) => Self::Setup,
                Answer::Phase(Phase::Stopping | Phase::Exited) => Self::Stopping,
                Answer::Phase(Phase::Running) | Answer::NotAsked => Self::Running,
                Answer::None => Self::Unresponsive,
            },
            ContainerState::Paused => Self::Paused,
            ContainerState::Stopping | ContainerState::Removing => Self::Stopping,
            ContainerState::Exited => match last_boot.and_then(|boot| boot.status.outcome) {
                Some(Outcome::SetupFailed) => Self::SetupFailed,
                _ => Self::Stopped,
            },
            ContainerState::Dead => Self::Dead,
            ContainerState::Unknown => Self::Unknown,
        }
    }
}

impl Sandbox {
    /// The repository that it was made with.
    ///
    /// # Errors
    /// [`error::Kind::Conflict`] where it was made without one; [`error::Kind::Failure`] where its labels name no directory.
    pub fn repository(&self) -> Result<&Repository> {
        let name = &self.name;
        let Some(repository) = &self.record.repository else {
            return Err(Error::new(
                error::Kind::Conflict,
                format!("sandbox \"{name}\" was made without a repository"),
            )
            .hint(format!(
                "`amika sandbox cp {name}:PATH .` copies files out of it"
            )));
        };
        let is_plain = !repository.name.is_empty()
            && !repository.name.contains('/')
            && !matches!(repository.name.as_str(), "." | "..");
        if !is_plain {
            return Err(Error::new(
                error::Kind::Failure,
                format!("the labels of sandbox \"{name}\" name no repository's directory"),
            ));
        }
        Ok(repository)
    }

    /// Finds a sandbox by name.
    ///
    /// # Errors
    /// [`error::Kind::NotFound`] when there is none, also when the name is a stranger's container.
    /// [`error::Kind::Failure`] when its labels do not tell which sandbox it is.
    pub async fn find(engine: &Sandboxes, name: &str) -> Result<Self> {
        let sandbox = Self::find_any(engine, name).await?;
        if sandbox.is_identified() {
            return Ok(sandbox);
        }
        let mut error = Error::new(
            error::Kind::Failure,
            format!("the labels of sandbox \"{name}\" cannot be read"),
        );
        for problem in &sandbox.problems {
            error = error.cause(problem.to_string());
        }
        Err(error
            .hint(format!(
                "`amika sandbox inspect {name}` shows what can be read of it"
            ))
            .hint(format!("`amika sandbox delete {name}` removes it")))
    }

    /// Finds a sandbox by name, whatever its labels hold.
    ///
    /// # Errors
    /// [`error::Kind::NotFound`] when there is none, also when the name is a stranger's container.
    pub async fn find_any(engine: &Sandboxes, name: &str) -> Result<Self> {
        match engine.inspect_container(name).await {
            Ok(container) if container.name == name => {
                let label = |key: &str| container.labels.get(key).map(String::as_str);
                if label(key::KIND) != Some(Kind::Sandbox.as_str()) {
                    return Err(Error::new(
                        error::Kind::NotFound,
                        format!("container \"{name}\" is not a sandbox of amika; it is left alone"),
                    )
                    .hint("`amika sandbox list` shows the sandboxes"));
                }
                Ok(Self::of(container))
            }
            // The engine also finds containers by a prefix of their id: that is no name.
            Ok(_) => Err(Box::pin(unknown(engine, name)).await),
            Err(error) if error.is_not_found() => Err(Box::pin(unknown(engine, name)).await),
            Err(error) => Err(error.into()),
        }
    }

    /// The sandbox that a container is, whatever its labels hold.
    pub fn of(container: ContainerFacts) -> Self {
        let Reading { record, problems } = read(&container.labels);
        Self {
            name: container.name.clone(),
            record,
            problems,
            container,
        }
    }

    /// Whether its labels tell which sandbox it is. The record's id is nobody's where they do not.
    pub fn is_identified(&self) -> bool {
        // The same rule as for what a list shows.
        let problems = self.problems.clone();
        let record = self.record.clone();
        Reading { record, problems }.is_identified()
    }

    /// Whose its record is: whether what it says of files of this machine may be followed.
    ///
    /// # Errors
    /// When the user's key cannot be read.
    pub fn trust(&self, engine: &Sandboxes) -> Result<Trust> {
        Ok(engine.record_key()?.trust(&self.container))
    }

    /// Finds a sandbox whose files are there: one that is not [`State::Dead`].
    ///
    /// # Errors
    /// As [`Sandbox::find`]; [`error::Kind::Conflict`] when it is dead.
    pub async fn find_whole(engine: &Sandboxes, name: &str) -> Result<Self> {
        let sandbox = Self::find(engine, name).await?;
        if sandbox.is_dead() {
            return Err(Error::new(
                error::Kind::Conflict,
                format!("sandbox \"{name}\" is dead: the engine removed it half-way and failed"),
            )
            .hint(format!(
                "`amika sandbox delete {name}` removes the rest of it but for a git volume"
            )));
        }
        Ok(sandbox)
    }

    /// Finds a sandbox that is made to the end: its clone and copies are there.
    ///
    /// # Errors
    /// As [`Sandbox::find_whole`]; [`error::Kind::Conflict`] when its create is under way, or was
    /// interrupted.
    pub async fn find_made(engine: &Sandboxes, name: &str) -> Result<Self> {
        let sandbox = Self::find_whole(engine, name).await?;
        sandbox.must_be_made()?;
        Ok(sandbox)
    }

    /// Whether its create is under way or was interrupted; `None` once it was made.
    pub fn state_of_making(&self) -> Option<State> {
        let state = State::tell(self.container.state, &self.record, Answer::NotAsked, None);
        matches!(state, State::Creating | State::Interrupted).then_some(state)
    }

    /// Refuses a sandbox that never was started: it is not complete, its clone or copies may be missing.
    ///
    /// # Errors
    /// [`error::Kind::Conflict`], with what to do.
    pub fn must_be_made(&self) -> Result<()> {
        let name = &self.name;
        match self.state_of_making() {
            None => Ok(()),
            Some(State::Creating) => Err(Error::new(
                error::Kind::Conflict,
                format!("sandbox \"{name}\" is still being created"),
            )
            .hint(format!(
                "`amika sandbox wait {name}` waits until it is ready"
            ))),
            Some(_) => Err(Error::new(
                error::Kind::Conflict,
                format!("the create of sandbox \"{name}\" was interrupted: it is not complete"),
            )
            .hint("the same `amika sandbox create …` makes it anew")
            .hint("`amika doctor --fix` removes what is there of it")),
        }
    }

    /// A client of its amikad, by the way that is open.
    ///
    /// # Errors
    /// When the user's key cannot be read.
    pub fn client(&self, engine: &Sandboxes) -> Result<Client> {
        let token = engine.user_key()?.token(self.record.id.as_str());
        let container = &self.container;
        let warnings = engine.warnings();
        let client = Client::new(engine, &container.id, &container.ports, &token, warnings);
        Ok(match self.trust(engine)? {
            Trust::Foreign => client.foreign(),
            Trust::Signed | Trust::Adopted => client,
        })
    }

    /// Whether its container runs.
    pub fn is_running(&self) -> bool {
        matches!(
            self.container.state,
            ContainerState::Running | ContainerState::Restarting
        )
    }

    /// Whether its removal failed half-way; the engine shows no file of it any more.
    pub fn is_dead(&self) -> bool {
        self.container.state == ContainerState::Dead
    }

    /// Refuses a sandbox that does not run.
    ///
    /// # Errors
    /// [`error::Kind::Conflict`], with how to start it.
    pub fn must_run(&self) -> Result<()> {
        self.must_be_made()?;
        let name = &self.name;
        match self.container.state {
            ContainerState::Running | ContainerState::Restarting => Ok(()),
            ContainerState::Paused => Err(Error::new(
                error::Kind::Conflict,
                format!("sandbox \"{name}\" is paused"),
            )
            .hint(format!("`docker unpause {name}`"))),
            _ => Err(Error::new(
                error::Kind::Conflict,
                format!("sandbox \"{name}\" is not running"),
            )
            .hint(format!("`amika sandbox start {name}`; or `amika sandbox connect --rescue {name}` when its setup fails"))),
        }
    }
}

/// Reads a container's labels, whatever they hold. Without a readable id it gets one that nothing else
/// bears.
fn read(labels: &std::collections::BTreeMap<String, String>) -> Reading {
    let label = |key: &str| labels.get(key).map(String::as_str);
    SandboxRecord::read(label, SandboxId::from_random(rand::random()))
}

/// All sandboxes, by name, as the engine lists them, with what their labels say.
///
/// A container whose labels cannot be read is listed too. One that is on its way to take a sandbox's
/// place, or was replaced, is not.
pub async fn list(engine: &Sandboxes) -> Result<Vec<(ContainerSummary, Reading)>> {
    let mut all = list_all(engine).await?;
    let names: std::collections::BTreeSet<String> = all
        .iter()
        .map(|(container, _)| container.name.clone())
        .collect();
    all.retain(|(container, _)| {
        // Without its sandbox it is all there is left of it, and shown.
        crate::passing::passing(&container.name).is_none_or(|of| !names.contains(of))
    });
    Ok(all)
}

/// All containers that are a sandbox, or are about to be one.
pub async fn list_all(engine: &Sandboxes) -> Result<Vec<(ContainerSummary, Reading)>> {
    let filter = format!("{}={}", key::KIND, Kind::Sandbox);
    let mut containers = engine.list_containers(&filter).await?;
    containers.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(containers
        .into_iter()
        .map(|container| {
            let reading = read(&container.labels);
            (container, reading)
        })
        .collect())
}

/// What a failure of a command on these sandboxes is told as. Where it is the engine that refused, and one
/// of them is not there any more, or on its way out, that is what there is to be known.
pub async fn looked_at_again(engine: &Sandboxes, error: Error, names: &[&str]) -> Error {
    if !error.is_engines {
        return error;
    }
    for name in names {
        let is_there = match engine.inspect_container(name).await {
            Ok(container) => container.name == *name && container.state != ContainerState::Removing,
            Err(missing) => !missing.is_not_found(),
        };
        if !is_there {
            return deleted_meanwhile(name);
        }
    }
    error
}

/// The error for a sandbox that was there when the command began.
pub fn deleted_meanwhile(name: &str) -> Error {
    Error::new(
        error::Kind::NotFound,
        format!("sandbox \"{name}\" was deleted meanwhile"),
    )
    .hint("`amika sandbox list` shows the sandboxes")
}

async fn unknown(engine: &Sandboxes, name: &str) -> Error {
    let is_lost = crate::lost::of(engine, name).await;
    if is_lost.is_ok_and(|lost| !lost.is_empty()) {
        return Error::new(
            error::Kind::NotFound,
            format!("sandbox \"{name}\" is lost: its container was removed, volumes of it are left"),
        )
        .hint(format!(
            "`amika sandbox delete {}` removes what is left but for a git volume; `amika volume list` shows it",
            shell_quote(name)
        ))
        .hint("`amika sandbox create` makes a sandbox of this name again");
    }
    let error = Error::new(
        error::Kind::NotFound,
        format!("there is no sandbox \"{}\"", name.escape_debug()),
    );
    let names: Vec<String> = match list(engine).await {
        Ok(list) => list
            .into_iter()
            .map(|(container, _)| container.name)
            .collect(),
        Err(_) => Vec::new(),
    };
    match amika_core::nearest::nearest(name, names.iter().map(String::as_str)) {
        Some(near) => error.hint(format!("did you mean `{}`?", shell_quote(near))),
        None => error.hint("`amika sandbox list` shows the sandboxes"),
    }
}

#[cfg(test)]
mod tests {
    use amika_core::label::Creator;
    use pretty_assertions::assert_eq;

    use super::*;

    #[test]
    fn a_state_s_word_in_json_is_its_key() {
        for state in State::ALL {
            let json = serde_json::to_value(state).expect("a word");
            assert_eq!(json, state.key());
        }
    }

    #[test]
    fn a_state_is_told_from_the_engine_and_nothing_unknown_counts_as_never_started() {
        use ContainerState as Is;
        let record = |creator: Option<Creator>| SandboxRecord {
            creator,
            ..SandboxRecord::new(SandboxId::from_random([7; 16]))
        };
        let here = crate::creator::this_process();
        let dead = Creator {
            started: here.started + 1,
            ..here.clone()
        };
        let far = Creator {
            host: "elsewhere".into(),
            ..here.clone()
        };
        let (unasked, silent) = (Answer::NotAsked, Answer::None);
        let phase = Answer::Phase;
        for (container, creator, answer, state) in [
            (Is::Created, None, unasked, State::Interrupted),
            (Is::Created, Some(&dead), unasked, State::Interrupted),
            // It lives, and makes nothing.
            (Is::Created, Some(&here), unasked, State::Interrupted),
            (Is::Created, Some(&far), unasked, State::Creating),
            (Is::Unknown, Some(&dead), unasked, State::Unknown),
            (Is::Unknown, None, phase(Phase::Running), State::Unknown),
            (Is::Stopping, Some(&dead), silent, State::Stopping),
            (Is::Removing, Some(&dead), unasked, State::Stopping),
            (Is::Paused, Some(&dead), silent, State::Paused),
            (Is::Exited, Some(&dead), silent, State::Stopped),
            (Is::Dead, Some(&dead), unasked, State::Dead),
            (Is::Running, None, unasked, State::Running),
            // It may run as well as hang: neither is known.
            (Is::Running, None, silent, State::Unresponsive),
            (Is::Restarting, None, silent, State::Unresponsive),
            (Is::Running, None, phase(Phase::Running), State::Running),
            (Is::Running, None, phase(Phase::Setup), State::Setup),
            (Is::Running, None, phase(Phase::Starting), State::Setup),
            (Is::Running, None, phase(Phase::Stopping), State::Stopping),
            (Is::Running, None, phase(Phase::Exited), State::Stopping),
            (Is::Restarting, None, phase(Phase::Running), State::Running),
        ] {
            let told = State::tell(container, &record(creator.cloned()), answer, None);
            assert_eq!(told, state, "{container:?} {creator:?} {answer:?}");
        }
        let directory = tempfile::tempdir().expect("a directory");
        let told = || State::tell(Is::Created, &record(Some(here.clone())), unasked, None);
        let name = crate::lock::FileLock::at(&directory.path().join("locks/sandbox-box"));
        assert_eq!(told(), State::Creating, "a create holds its name");
        drop(name.expect("a lock"));
        assert_eq!(told(), State::Interrupted);
    }
}

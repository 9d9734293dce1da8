//! The container engine: connected to when it is first needed, and asked for again while it is away.

use std::sync::Arc;
use std::time::Duration;

use amika_engine::{Caller, Endpoint, Engine};
use amika_host::machine::Machine;
use amika_sandbox::error::{Error, Kind, Result};
use amika_sandbox::progress::{Event, Progress};
use amika_sandbox::sandboxes::{Sandboxes, User};
use tokio::sync::Mutex;

/// How long it may take to answer whether it is there.
const ANSWER: Duration = Duration::from_secs(5);

/// The engine that the process's environment and docker's configuration name.
pub struct Engines {
    user: Arc<User>,
    current: Mutex<Option<Sandboxes>>,
}

impl Engines {
    /// The one for this user's sandboxes.
    pub fn new(user: Arc<User>) -> Self {
        Self {
            user,
            current: Mutex::default(),
        }
    }

    /// This machine, as the server's user has it.
    pub fn machine(&self) -> &Machine {
        self.user.machine()
    }

    /// What operations are done with.
    ///
    /// # Errors
    /// [`Kind::EngineUnreachable`] while it does not answer.
    pub async fn get(&self) -> Result<Sandboxes> {
        let mut current = self.current.lock().await;
        if let Some(sandboxes) = &*current {
            return Ok(sandboxes.clone());
        }
        let machine = self.user.machine();
        let env = |key: &str| machine.text(key).map(str::to_owned);
        let endpoint = Endpoint::discover(&env, &machine.docker_config_dir())?;
        let caller = Caller {
            can_answer: false,
            temporary: machine.temporary().to_owned(),
        };
        let engine = Engine::connect(endpoint, &caller).await?;
        let sandboxes = Sandboxes::new(engine, &self.user);
        *current = Some(sandboxes.clone());
        Ok(sandboxes)
    }

    /// Whether it answers.
    ///
    /// # Errors
    /// [`Kind::EngineUnreachable`] while it does not.
    pub async fn answers(&self) -> Result<()> {
        let asked = async {
            let sandboxes = self.get().await?;
            sandboxes.must_answer().await?;
            Ok(())
        };
        let late = || {
            Error::new(
                Kind::EngineUnreachable,
                "the container engine does not answer in time",
            )
        };
        tokio::time::timeout(ANSWER, asked)
            .await
            .unwrap_or_else(|_| Err(late()))
    }
}

/// Somebody who is told and says nothing.
struct Silent;

impl Progress for Silent {
    fn tell(&self, _: Event<'_>) {}

    fn shows_steps(&self) -> bool {
        false
    }
}

/// A sink for what nobody is there to hear.
pub fn silent() -> Arc<dyn Progress> {
    Arc::new(Silent)
}

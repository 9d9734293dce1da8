//! What operations are done with, and where: an engine, this machine, and what belongs to its user.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::{Arc, Once, OnceLock};

use crate::progress::Progress;
use amika_engine::Engine;
use amika_host::machine::Machine;

use crate::daemon::{KEY_LENGTH, UserKey};
use crate::error::Result;
use crate::lock::Locks;
use crate::trust::RecordKey;

/// Environment variable that marks all that is made with the label `dev.amika.test`.
const TEST_RUN: &str = "AMIKA_TEST_RUN";

/// An engine, with this machine and its user's locks and keys. A door makes it; a copy of it costs nothing.
///
/// It is the engine to whoever only asks that one.
#[derive(Clone)]
pub struct Sandboxes {
    engine: Engine,
    user: Arc<User>,
}

/// This machine's user, with locks and keys: the same for all engines.
pub struct User {
    machine: Machine,
    /// Where it is told what must not be overlooked.
    warnings: Arc<dyn Progress>,
    told: Once,
    /// The key where no place for one can be had.
    passing: OnceLock<[u8; KEY_LENGTH]>,
}

impl User {
    /// The user whom this process is of; what must not be overlooked is told to `warnings`.
    pub fn new(machine: Machine, warnings: Arc<dyn Progress>) -> Self {
        Self {
            machine,
            warnings,
            told: Once::new(),
            passing: OnceLock::new(),
        }
    }

    /// What the process was given.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// The user's key, which is made at first use. Where the home has no place for it, one of this boot is
    /// taken, else one of this value: sandboxes are then reached through the engine.
    ///
    /// # Errors
    /// When there is a file that is not a key.
    pub fn key(&self) -> Result<UserKey> {
        let warn = |message: &str| self.told.call_once(|| self.warnings.warn(message));
        let passing = || *self.passing.get_or_init(rand::random);
        UserKey::load(&self.machine, warn, passing)
    }

    /// The keys by which this user's records are known.
    ///
    /// # Errors
    /// As [`User::key`].
    pub fn record_key(&self) -> Result<RecordKey> {
        let adopted = self.machine.data_dir().join("adopted");
        Ok(RecordKey::of(&self.key()?, adopted))
    }
}

/// Does something to its end, also when whoever asked for it waits no longer: only a
/// [`crate::cancel::Cancel`] ends an operation.
pub(crate) fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> impl Future<Output = T> + Send {
    let task = tokio::spawn(work);
    async {
        match task.await {
            Ok(result) => result,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime goes down: nobody waits for the result any more.
                Err(_) => std::future::pending().await,
            },
        }
    }
}

impl Deref for Sandboxes {
    type Target = Engine;

    fn deref(&self) -> &Engine {
        &self.engine
    }
}

impl Sandboxes {
    /// Those of an engine, for a user.
    pub fn new(engine: Engine, user: &Arc<User>) -> Self {
        Self {
            engine,
            user: Arc::clone(user),
        }
    }

    /// The same, for one operation: what it breaks off it waits for alone, and not for what others are at.
    pub(crate) fn for_one_operation(&self) -> Self {
        Self {
            engine: self.engine.for_one_operation(),
            user: Arc::clone(&self.user),
        }
    }

    /// The engine alone.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// What the process was given.
    pub fn machine(&self) -> &Machine {
        &self.user.machine
    }

    /// Where it is told what must not be overlooked.
    pub fn warnings(&self) -> Arc<dyn Progress> {
        Arc::clone(&self.user.warnings)
    }

    /// The locks of this machine's user.
    pub fn locks(&self) -> Locks {
        Locks::new(&self.user.machine)
    }

    /// The user's key.
    ///
    /// # Errors
    /// As [`User::key`].
    pub fn user_key(&self) -> Result<UserKey> {
        self.user.key()
    }

    /// The keys by which this user's records are known.
    ///
    /// # Errors
    /// As [`User::key`].
    pub fn record_key(&self) -> Result<RecordKey> {
        self.user.record_key()
    }

    /// Name of the test run that all this belongs to.
    pub fn test_run(&self) -> Option<String> {
        let name = self.machine().text(TEST_RUN);
        name.filter(|name| !name.is_empty()).map(str::to_owned)
    }

    /// Label of the test run that all this belongs to.
    pub fn test_run_label(&self) -> Option<(String, String)> {
        let name = self.test_run()?;
        Some((amika_core::label::key::TEST.to_owned(), name))
    }

    /// Whether what bears these labels is this user's to tidy away: a test run tidies up after itself alone, so
    /// that runs go on side by side.
    pub fn may_tidy(&self, labels: &BTreeMap<String, String>) -> bool {
        let run = self.test_run();
        run.is_none_or(|run| labels.get(amika_core::label::key::TEST) == Some(&run))
    }
}

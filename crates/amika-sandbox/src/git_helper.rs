//! Git of a sandbox that does not run: the agent's, in a container of the sandbox's image that has the clone, cannot write
//! it, has no network, and ends by itself. Git of this machine never opens a sandbox's repository.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use amika_core::contract::path;
use amika_core::label::{Kind, ResourceRecord, SandboxId, key};
use amika_core::text::shell_quote;
use amika_engine::{ContainerSpec, EngineError, MountFacts, MountSpec, VolumeFacts};

use crate::commits::Inside;
use crate::error::{self, Error, Result};
use crate::preset::Preset;
use crate::sandbox::Sandbox;
use crate::sandboxes::Sandboxes;

/// How long such a container lives beyond what it is wanted for: it takes its time to start.
const MORE: Duration = Duration::from_secs(30);
/// How long one lives in which commits are brought out.
const PULL: Duration = Duration::from_mins(75);

/// Such a container.
pub(crate) struct GitHelper {
    id: String,
}

/// What one is made for.
struct Wanted<'w> {
    name: &'w str,
    id: Option<SandboxId>,
    image: &'w str,
    user: Option<String>,
    mounts: Vec<&'w MountFacts>,
}

impl GitHelper {
    /// Starts one, which ends by itself some time after `life`.
    ///
    /// # Errors
    /// Those of the engine.
    pub(crate) async fn start(
        engine: &Sandboxes,
        sandbox: &Sandbox,
        clone: &MountFacts,
        life: Duration,
    ) -> Result<Self, EngineError> {
        let program = sandbox.container.mounts.iter();
        let program = program.filter(|mount| mount.target == path::AMIKAD_DIR);
        let wanted = Wanted {
            name: &sandbox.name,
            id: Some(sandbox.record.id.clone()),
            image: &sandbox.container.image,
            user: sandbox.record.user.clone(),
            mounts: std::iter::once(clone).chain(program).collect(),
        };
        Self::made(engine, wanted, life).await
    }

    async fn made(
        engine: &Sandboxes,
        wanted: Wanted<'_>,
        life: Duration,
    ) -> Result<Self, EngineError> {
        let labels = ResourceRecord {
            id: wanted.id,
            creator: Some(crate::creator::this_process()),
            test: engine.test_run(),
            ..ResourceRecord::new(Kind::Amikad)
        };
        let volume = |mount: &MountFacts| MountSpec::Volume {
            name: mount.source.clone(),
            target: mount.target.clone(),
            read_only: true,
            labels: BTreeMap::new(),
            no_copy: true,
        };
        let spec = ContainerSpec {
            name: format!("sandbox-{}-fill-{:08x}", wanted.name, rand::random::<u32>()),
            image: wanted.image.to_owned(),
            entrypoint: Some(vec!["sleep".into()]),
            cmd: Some(vec![life.saturating_add(MORE).as_secs().to_string()]),
            labels: labels.to_labels(),
            user: wanted.user,
            network: "none".into(),
            mounts: wanted.mounts.into_iter().map(volume).collect(),
            bound_log: true,
            ..ContainerSpec::default()
        };
        let helper = Self {
            id: engine.create_container(&spec).await?,
        };
        match engine.start_container(&helper.id).await {
            Ok(()) => Ok(helper),
            Err(error) => {
                helper.end(engine).await;
                Err(error)
            }
        }
    }

    /// The container's id.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Removes it.
    pub(crate) async fn end(self, engine: &Sandboxes) {
        if let Err(error) = engine.remove_container(&self.id).await {
            tracing::debug!(%error, "a helper stays");
        }
    }
}

/// Where a sandbox's git is asked: in the sandbox, or in such a container.
pub struct GitPlace {
    /// Its repository there.
    pub inside: Inside,
    engine: Sandboxes,
    helper: Option<GitHelper>,
}

impl GitPlace {
    /// That of a directory of a sandbox.
    ///
    /// # Errors
    /// [`error::Kind::Conflict`] where the sandbox does not run and the directory is in no volume; those of the engine.
    pub async fn of(engine: &Sandboxes, sandbox: &Sandbox, directory: &str) -> Result<Self> {
        let inside = Inside::new(engine, sandbox, directory);
        if sandbox.is_running() {
            return Ok(Self {
                inside,
                engine: engine.clone(),
                helper: None,
            });
        }
        let mounts = sandbox.container.mounts.iter();
        let holder = mounts
            .filter(|mount| Path::new(directory).starts_with(&mount.target))
            .max_by_key(|mount| mount.target.len());
        let Some(holder) = holder.filter(|mount| mount.kind == "volume") else {
            sandbox.must_run()?;
            return Err(crate::sandbox::deleted_meanwhile(&sandbox.name));
        };
        let helper = GitHelper::start(engine, sandbox, holder, PULL).await;
        let helper = helper.map_err(|failed| {
            let name = shell_quote(&sandbox.name);
            let mut error = Error::new(
                error::Kind::Conflict,
                format!(
                    "sandbox \"{}\" does not run, and no container can be made to look at its repository in",
                    sandbox.name
                ),
            );
            error = error.cause(failed.to_string());
            error.hint(format!("`amika sandbox start {name}` starts it"))
        })?;
        Ok(Self {
            inside: inside.of_container(helper.id()),
            engine: engine.clone(),
            helper: Some(helper),
        })
    }

    /// That of a git volume of which no sandbox is left, in a container of a preset's image, which has git.
    ///
    /// # Errors
    /// [`error::Kind::Conflict`] where there is no such image; those of the engine.
    pub(crate) async fn of_volume(
        engine: &Sandboxes,
        volume: &VolumeFacts,
        repository: &str,
    ) -> Result<Self> {
        // Images of ours that are no preset's need not have git, nor anything else: they have the label too, and nothing in it.
        let mut images = engine.list_images(key::PRESET).await?;
        images.retain(|image| {
            let preset = image.labels.get(key::PRESET);
            preset.is_some_and(|preset| Preset::parse(preset).is_some())
        });
        let Some(image) = images
            .into_iter()
            .find_map(|image| image.tags.into_iter().next())
        else {
            return Err(Error::new(
                error::Kind::Conflict,
                "there is no image with git to look at the volume in",
            )
            .hint("`amika image build coder` makes one"));
        };
        let label = |key: &str| volume.labels.get(key).map(String::as_str);
        let mount = MountFacts {
            kind: "volume".into(),
            source: volume.name.clone(),
            target: format!("{}/{repository}", path::WORKSPACE),
            writable: false,
        };
        let wanted = Wanted {
            name: label(key::SANDBOX).unwrap_or("volume"),
            id: label(key::ID).and_then(|id| id.parse().ok()),
            image: &image,
            user: None,
            mounts: vec![&mount],
        };
        let helper = GitHelper::made(engine, wanted, PULL).await?;
        Ok(Self {
            inside: Inside::of_helper(engine, helper.id(), &mount.target),
            engine: engine.clone(),
            helper: Some(helper),
        })
    }

    /// Removes what was made for it.
    pub async fn end(self) {
        if let Some(helper) = self.helper {
            helper.end(&self.engine).await;
        }
    }
}

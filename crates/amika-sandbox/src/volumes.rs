//! The volumes of sandboxes: looking at them, and removing them.

use std::collections::BTreeMap;

use amika_core::label::{Kind, Labels, ResourceRecord, key};
use schemars::JsonSchema;
use serde::Serialize;

use crate::error::{self, Error, Result};
use crate::sandbox;
use crate::sandboxes::Sandboxes;
use amika_core::text::shell_quote;
use amika_engine::{EngineError, VolumeFacts};

/// A volume of Amika.
#[derive(Debug, Serialize, JsonSchema)]
pub struct VolumeView {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub kind: Kind,
    /// The sandbox that it belongs to; none when that is gone.
    pub sandbox: Option<String>,
    /// That sandbox's name when the volume was made.
    pub made_for: Option<String>,
    /// Name of the repository in it.
    pub repository: Option<String>,
    /// The host path that it is a copy of.
    pub source: Option<String>,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_at: Option<u64>,
    /// Names of sandboxes that mount it, its own included.
    pub used_by: Vec<String>,
    /// The driver that holds it.
    pub driver: String,
    /// Where the driver holds it, on the engine's machine.
    pub mountpoint: String,
    /// What a server stamped it with.
    #[serde(skip)]
    pub stamp: Labels,
}

impl Sandboxes {
    /// All volumes of sandboxes, by kind and name. Those of amikad's own program are no concern of users.
    pub async fn volumes(&self) -> Result<Vec<VolumeView>> {
        let volumes = self.list_volumes(key::KIND).await?;
        let users = Users::list(self).await?;
        let mut views: Vec<VolumeView> = volumes
            .into_iter()
            .filter_map(|volume| users.view(volume))
            .filter(|view| view.kind != Kind::Amikad)
            .collect();
        views.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
        Ok(views)
    }

    /// Finds one volume.
    ///
    /// # Errors
    /// [`error::Kind::NotFound`] when there is none, also when the name is a stranger's volume.
    pub async fn volume(&self, name: &str) -> Result<VolumeView> {
        let Some(volume) = self.inspect_volume(name).await? else {
            let error = Error::new(
                error::Kind::NotFound,
                format!("there is no volume \"{}\"", name.escape_debug()),
            );
            let names: Vec<String> = self
                .volumes()
                .await?
                .into_iter()
                .map(|view| view.name)
                .collect();
            return Err(
                match amika_core::nearest::nearest(name, names.iter().map(String::as_str)) {
                    Some(near) => error.hint(format!("did you mean `{}`?", shell_quote(near))),
                    None => error.hint("`amika volume list` shows the volumes"),
                },
            );
        };
        let users = Users::list(self).await?;
        users.view(volume).ok_or_else(|| {
            Error::new(
                error::Kind::NotFound,
                format!("volume \"{name}\" is not amika's; it is left alone"),
            )
            .hint("`amika volume list` shows amika's")
            .hint(format!(
                "`docker volume rm {}` removes it, also one that `--volume` made",
                shell_quote(name)
            ))
        })
    }

    /// Deletes a volume that no sandbox uses, with what is in it.
    ///
    /// # Errors
    /// [`error::Kind::NotFound`] as [`Sandboxes::volume`]; [`error::Kind::Conflict`] where it is in use; those of the engine.
    pub async fn delete_volume(&self, name: &str) -> Result<()> {
        refuse_used(&self.volume(name).await?)?;
        self.remove_unused_volume(name).await
    }

    /// Git volumes whose sandbox is gone; with a name, those that were made for a sandbox of that name.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn orphaned_git_volumes(&self, made_for: Option<&str>) -> Result<Vec<String>> {
        let volumes = self.volumes().await?.into_iter();
        Ok(volumes
            .filter(|volume| volume.kind == Kind::Git && volume.sandbox.is_none())
            .filter(|volume| volume.used_by.is_empty())
            .filter(|volume| made_for.is_none() || volume.made_for.as_deref() == made_for)
            .map(|volume| volume.name)
            .collect())
    }

    /// As [`Sandboxes::delete_volume`], of one that was looked at just before.
    ///
    /// # Errors
    /// [`error::Kind::Conflict`] where it is in use; those of the engine.
    pub async fn remove_unused_volume(&self, name: &str) -> Result<()> {
        self.engine()
            .remove_volume(name)
            .await
            .map_err(|error| match error {
                EngineError::Conflict(message) => Error::new(
                    error::Kind::Conflict,
                    format!("volume \"{name}\" is in use"),
                )
                .cause(message)
                .hint(format!(
                    "`docker ps -a --filter {}` shows by what",
                    shell_quote(&format!("volume={name}"))
                )),
                other => other.into(),
            })
    }
}

pub(crate) fn refuse_used(volume: &VolumeView) -> Result<()> {
    let Some(user) = volume.used_by.first() else {
        return Ok(());
    };
    Err(Error::new(
        error::Kind::Conflict,
        format!(
            "volume \"{}\" is in use by sandbox {}",
            volume.name,
            volume.used_by.join(", ")
        ),
    )
    .hint(format!(
        "`amika sandbox delete {}` first",
        shell_quote(user)
    )))
}

/// Sandboxes by id and by the volumes that they mount.
struct Users {
    by_id: BTreeMap<String, String>,
    /// Those that were given one in place of a clone.
    given: BTreeMap<String, String>,
    by_volume: BTreeMap<String, Vec<String>>,
}

impl Users {
    async fn list(engine: &Sandboxes) -> Result<Self> {
        let mut users = Self {
            by_id: BTreeMap::new(),
            given: BTreeMap::new(),
            by_volume: BTreeMap::new(),
        };
        for (container, reading) in sandbox::list(engine).await? {
            if let Some(volume) = reading.record.from_volume {
                users.given.insert(volume, container.name.clone());
            }
            if let Some(id) = container.labels.get(key::ID) {
                users.by_id.insert(id.clone(), container.name.clone());
            }
            for (volume, _) in container.volumes {
                let names = users.by_volume.entry(volume).or_default();
                names.push(container.name.clone());
            }
        }
        Ok(users)
    }

    fn view(&self, volume: VolumeFacts) -> Option<VolumeView> {
        let label = |key: &str| volume.labels.get(key).map(String::as_str);
        let record = ResourceRecord::from_labels(label).ok()?;
        let id = record.id.map(|id| id.to_string());
        let own = id.and_then(|id| self.by_id.get(&id));
        Some(VolumeView {
            kind: record.kind,
            sandbox: own.or_else(|| self.given.get(&volume.name)).cloned(),
            made_for: record.sandbox.map(|name| name.to_string()),
            repository: record.repository,
            source: record.source,
            created_at: record.created_at,
            used_by: self
                .by_volume
                .get(&volume.name)
                .cloned()
                .unwrap_or_default(),
            stamp: amika_core::label::stamp(&volume.labels),
            driver: volume.driver,
            mountpoint: volume.mountpoint,
            name: volume.name,
        })
    }
}

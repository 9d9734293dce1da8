//! Containers in which nothing runs, to look at volumes in.

use std::path::Path;

use amika_core::label::{Kind, ResourceRecord};
use amika_engine::{ContainerSpec, EngineError, MountFacts, MountSpec};

use crate::error::Result;
use crate::sandboxes::Sandboxes;

/// What containers are made to run in which nothing runs.
const NO_PROGRAM: &str = "/amika-runs-nothing";

/// Containers in which nothing ever runs, to look at volumes in: where something is mounted beneath a place, which may be
/// as large as a host's disk, the place is looked at where that is not. What a killed `amika` leaves of them is found
/// as that which fills a volume is.
pub(crate) struct Helpers<'a> {
    engine: &'a Sandboxes,
    sandbox: String,
    id: String,
    made: Vec<(String, String)>,
}

impl<'a> Helpers<'a> {
    pub(crate) fn new(engine: &'a Sandboxes, sandbox: String, id: &str) -> Self {
        Self {
            engine,
            sandbox,
            id: id.to_owned(),
            made: Vec::new(),
        }
    }

    /// One with this volume alone; none where its image is gone, while the sandbox lives on.
    pub(crate) async fn alone(
        &mut self,
        image: &str,
        holder: &MountFacts,
    ) -> Result<Option<String>> {
        let mut made = self.made.iter();
        if let Some((_, helper)) = made.find(|(volume, _)| *volume == holder.source) {
            return Ok(Some(helper.clone()));
        }
        match self.with(image, std::slice::from_ref(holder)).await {
            Ok(helper) => Ok(Some(helper)),
            Err(EngineError::NotFound(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// One with these volumes, of whichever image there is that puts none of its own among them; none without any.
    pub(crate) async fn of_any_image(&mut self, mounts: &[MountFacts]) -> Result<Option<String>> {
        let mut refused = None;
        for image in self.engine.all_images().await? {
            let facts = self.engine.inspect_image(&image).await?;
            if facts.is_none_or(|facts| meet(&facts.volumes, mounts)) {
                continue;
            }
            match self.with(&image, mounts).await {
                Ok(helper) => return Ok(Some(helper)),
                // Somebody removed it since, or it is being removed, or made.
                Err(EngineError::NotFound(_)) => {}
                Err(error @ (EngineError::Refused { .. } | EngineError::Conflict(_))) => {
                    refused = Some(error);
                }
                Err(error) => return Err(error.into()),
            }
        }
        refused.map_or(Ok(None), |error| Err(error.into()))
    }

    /// One with these volumes.
    pub(crate) async fn with(
        &mut self,
        image: &str,
        mounts: &[MountFacts],
    ) -> Result<String, EngineError> {
        let labels = ResourceRecord {
            id: self.id.parse().ok(),
            creator: Some(crate::creator::this_process()),
            test: self.engine.test_run(),
            ..ResourceRecord::new(Kind::Amikad)
        };
        let volume = |mount: &MountFacts| MountSpec::Volume {
            name: mount.source.clone(),
            target: mount.target.clone(),
            read_only: true,
            labels: std::collections::BTreeMap::new(),
            no_copy: true,
        };
        let spec = ContainerSpec {
            name: format!(
                "sandbox-{}-fill-{:08x}",
                self.sandbox,
                rand::random::<u32>()
            ),
            image: image.to_owned(),
            entrypoint: Some(vec![NO_PROGRAM.into()]),
            cmd: Some(Vec::new()),
            labels: labels.to_labels(),
            network: "none".into(),
            mounts: mounts.iter().map(volume).collect(),
            ..ContainerSpec::default()
        };
        let helper = self.engine.create_container(&spec).await?;
        let volume = mounts.first().map(|mount| mount.source.clone());
        self.made.push((volume.unwrap_or_default(), helper.clone()));
        Ok(helper)
    }

    pub(crate) async fn remove(self) -> Result<()> {
        for (_, helper) in self.made {
            match self.engine.remove_container(&helper).await {
                Err(error) if !error.is_not_found() => return Err(error.into()),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Whether a volume of an image's own lies in one of these, or hides one: an engine makes its place in what is mounted
/// read-only, and fails.
fn meet(own: &[String], mounts: &[MountFacts]) -> bool {
    own.iter().any(|own| {
        let own = Path::new(own);
        let places = mounts.iter().map(|mount| Path::new(&mount.target));
        places
            .into_iter()
            .any(|at| own.starts_with(at) || at.starts_with(own))
    })
}

#[cfg(test)]
mod tests {
    use amika_core::contract::path;

    use super::*;

    #[test]
    fn a_volume_of_an_image_may_lie_beside_what_is_looked_at_only() {
        let mount = |target: &str| MountFacts {
            kind: "volume".into(),
            source: "home".into(),
            target: target.into(),
            writable: false,
        };
        let mounts = [mount(path::HOME), mount("/data/1")];
        for (own, expected) in [
            ("/home/amika/.cache", true),
            ("/home/amika", true),
            ("/home", true),
            ("/data/1/x", true),
            ("/data/10", false),
            ("/home/amikad", false),
            ("/var/lib/postgresql", false),
        ] {
            assert_eq!(meet(&[own.to_owned()], &mounts), expected, "{own}");
        }
        assert!(!meet(&[], &mounts));
    }
}

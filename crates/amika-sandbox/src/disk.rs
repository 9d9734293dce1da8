//! What is Amika's on the engine, and what it takes.

use std::collections::BTreeSet;

use amika_core::label::{Kind, key};
use schemars::JsonSchema;
use serde::Serialize;

use crate::error::Result;
use crate::sandboxes::Sandboxes;
use crate::{inject, sandbox};
use amika_engine::ContainerState;

/// What all takes.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DiskView {
    /// Sums, one for each kind.
    pub totals: Vec<Total>,
    /// Each by itself.
    pub items: Vec<Item>,
}

/// The sum of one kind.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Total {
    /// `images`, `sandboxes`, or a kind of volume: `git`, `home`, `state`, `rwcopy`, `amikad`.
    pub kind: Group,
    /// How many there are.
    pub count: usize,
    /// How many are in use: images and volumes that a container uses, sandboxes that run.
    pub in_use: usize,
    /// Bytes of all whose size is known.
    pub size_bytes: u64,
    /// Bytes of those that are not in use.
    pub unused_bytes: u64,
}

/// Kinds, in the order in which they are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "its documented schema is one list of words")]
pub enum Group {
    Images,
    Sandboxes,
    Git,
    Named,
    Home,
    State,
    RwCopy,
    Docker,
    Amikad,
}

/// One image, sandbox or volume.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Item {
    /// What it is.
    pub kind: Group,
    /// Its name.
    pub name: String,
    /// The sandbox that it was made for, by its name then.
    pub sandbox: Option<String>,
    /// Whether a container uses it; of a sandbox, whether it runs.
    pub in_use: bool,
    /// Bytes: of an image with all its layers, of a sandbox what it wrote beside its volumes. None
    /// when the engine cannot tell.
    pub size_bytes: Option<u64>,
}

impl Sandboxes {
    /// What is Amika's on the engine, each by itself and in sums. The engine counts what sandboxes wrote: it takes longer
    /// than a list.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn disk_usage(&self) -> Result<DiskView> {
        let sandboxes_label = format!("{}={}", key::KIND, Kind::Sandbox);
        let images_label = format!("{}={}", key::KIND, Kind::Image);
        let (containers, sizes, images, volumes, usage) = tokio::try_join!(
            sandbox::list_all(self),
            async { Ok(self.container_sizes(&sandboxes_label).await?) },
            async { Ok(self.list_images(&images_label).await?) },
            async { Ok(self.list_volumes(key::KIND).await?) },
            async { Ok(self.volume_usage().await?) },
        )?;
        let used_images: BTreeSet<&str> = containers
            .iter()
            .map(|(container, _)| container.image.as_str())
            .collect();
        let mut all: Vec<Item> = Vec::new();
        for image in &images {
            let used = used_images.contains(image.id.as_str())
                || image
                    .tags
                    .iter()
                    .any(|tag| used_images.contains(tag.as_str()));
            all.push(Item {
                kind: Group::Images,
                name: image.tags.first().unwrap_or(&image.id).clone(),
                sandbox: None,
                in_use: used,
                size_bytes: u64::try_from(image.size).ok(),
            });
        }
        for (container, _) in &containers {
            all.push(Item {
                kind: Group::Sandboxes,
                name: container.name.clone(),
                sandbox: Some(container.name.clone()),
                in_use: matches!(
                    container.state,
                    ContainerState::Running | ContainerState::Paused | ContainerState::Restarting
                ),
                size_bytes: sizes.get(&container.id).copied(),
            });
        }
        for volume in volumes {
            let Some(kind) = volume
                .labels
                .get(key::KIND)
                .and_then(|kind| Group::of(kind))
            else {
                continue;
            };
            let usage = usage.get(&volume.name);
            all.push(Item {
                kind,
                sandbox: volume.labels.get(key::SANDBOX).cloned(),
                in_use: usage.is_some_and(|usage| usage.used),
                size_bytes: usage.and_then(|usage| usage.size),
                name: volume.name,
            });
        }
        all.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
        leave_marks_out(&mut all);
        Ok(DiskView {
            totals: sum(&all),
            items: all,
        })
    }
}

impl Group {
    const ALL: [Self; 9] = [
        Self::Images,
        Self::Sandboxes,
        Self::Git,
        Self::Named,
        Self::Home,
        Self::State,
        Self::RwCopy,
        Self::Docker,
        Self::Amikad,
    ];

    /// The group of a volume's kind.
    fn of(kind: &str) -> Option<Self> {
        match kind.parse().ok()? {
            Kind::Git => Some(Self::Git),
            Kind::Named => Some(Self::Named),
            Kind::Home => Some(Self::Home),
            Kind::State => Some(Self::State),
            Kind::RwCopy => Some(Self::RwCopy),
            Kind::Docker => Some(Self::Docker),
            Kind::Amikad => Some(Self::Amikad),
            Kind::Sandbox | Kind::Service | Kind::Network | Kind::Image => None,
        }
    }
}

/// Leaves out the empty volumes that tell that another one is complete; one that is alone is shown.
fn leave_marks_out(items: &mut Vec<Item>) {
    let names: BTreeSet<String> = items.iter().map(|item| item.name.clone()).collect();
    items.retain(|item| {
        item.kind != Group::Amikad
            || inject::marked(&item.name).is_none_or(|marked| !names.contains(marked))
    });
}

fn sum(items: &[Item]) -> Vec<Total> {
    Group::ALL
        .into_iter()
        .map(|kind| {
            let of_kind = || items.iter().filter(move |item| item.kind == kind);
            let bytes = |item: &Item| item.size_bytes.unwrap_or_default();
            Total {
                kind,
                count: of_kind().count(),
                in_use: of_kind().filter(|item| item.in_use).count(),
                size_bytes: of_kind().map(bytes).sum(),
                unused_bytes: of_kind().filter(|item| !item.in_use).map(bytes).sum(),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_no_volume_of_its_own_beside_what_it_marks() {
        let item = |kind, name: &str| Item {
            kind,
            name: name.into(),
            sandbox: None,
            in_use: false,
            size_bytes: None,
        };
        let mut items = vec![
            item(Group::Amikad, "amikad-1"),
            item(Group::Amikad, "amikad-1-complete"),
            item(Group::Amikad, "amikad-2-complete"),
            item(Group::Git, "x"),
            item(Group::Git, "x-complete"),
        ];
        leave_marks_out(&mut items);
        let names: Vec<&str> = items.iter().map(|item| item.name.as_str()).collect();
        assert_eq!(names, ["amikad-1", "amikad-2-complete", "x", "x-complete"]);
    }

    #[test]
    fn sums_tell_what_could_go() {
        let item = |in_use, size_bytes| Item {
            kind: Group::Git,
            name: "v".into(),
            sandbox: None,
            in_use,
            size_bytes,
        };
        let totals = sum(&[item(true, Some(5)), item(false, Some(7)), item(false, None)]);
        let git = totals.iter().find(|total| total.kind == Group::Git);
        assert_eq!(
            git,
            Some(&Total {
                kind: Group::Git,
                count: 3,
                in_use: 1,
                size_bytes: 12,
                unused_bytes: 7,
            })
        );
        assert_eq!(totals.len(), Group::ALL.len());
    }
}

//! What a preset image is built from, and the fingerprint that tells when to build it again.

use std::collections::HashMap;

use amika_core::hex::hex;
use sha2::{Digest as _, Sha256};

include!(concat!(env!("OUT_DIR"), "/recipes.rs"));

/// Label of a preset image: the preset's name.
pub const LABEL_PRESET: &str = amika_core::label::key::PRESET;
/// Label of a preset image: the fingerprint of the recipe it was built from.
pub const LABEL_RECIPE: &str = amika_core::label::key::RECIPE;

/// The files of one preset.
pub(super) struct Recipe {
    preset: &'static str,
    files: &'static [RecipeFile],
}

/// A file of the build context.
pub(super) struct RecipeFile {
    /// Path in the context.
    pub(super) path: &'static str,
    /// Whether it is executable.
    pub(super) executable: bool,
    /// Its content.
    pub(super) content: &'static [u8],
}

/// A preset image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// The agents and what they build software with.
    Coder,
    /// `Coder` with a container engine of its own inside.
    CoderDind,
}

impl Preset {
    /// All presets.
    pub const ALL: [Self; 2] = [Self::Coder, Self::CoderDind];

    /// Finds a preset by name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|preset| preset.name() == name)
    }

    /// The name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Coder => "coder",
            Self::CoderDind => "coder-dind",
        }
    }

    /// The preset that this one is built on; none is built on a base image.
    pub fn parent(self) -> Option<Self> {
        match self {
            Self::Coder => None,
            Self::CoderDind => Some(Self::Coder),
        }
    }

    pub(super) fn files(self) -> &'static [RecipeFile] {
        RECIPES
            .iter()
            .find(|recipe| recipe.preset == self.name())
            .map_or(&[], |r| r.files)
    }

    /// Fingerprint of all that goes into the image but the base: 12 hexadecimal digits. `amikad` is
    /// the daemon's own.
    pub fn fingerprint(self, amikad: &str) -> String {
        let mut digest = Sha256::new();
        if let Some(parent) = self.parent() {
            digest.update(parent.fingerprint(amikad));
        }
        for file in self.files() {
            digest.update(file.path);
            digest.update([0, u8::from(file.executable)]);
            digest.update((file.content.len() as u64).to_le_bytes());
            digest.update(file.content);
        }
        digest.update(VERSIONS);
        digest.update(amikad);
        hex(&digest.finalize())[..12].to_owned()
    }

    /// Reference of the image of a fingerprint.
    pub fn reference(self, fingerprint: &str) -> String {
        format!("amika/{}:{fingerprint}", self.name())
    }
}

impl std::fmt::Display for Preset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// The pinned versions as build arguments.
pub(super) fn version_args() -> HashMap<String, String> {
    VERSIONS
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_has_a_dockerfile() {
        for preset in Preset::ALL {
            assert!(
                preset.files().iter().any(|file| file.path == "Dockerfile"),
                "{preset}"
            );
        }
    }

    #[test]
    fn the_contract_knows_the_presets_by_name() {
        let names = Preset::ALL.map(Preset::name);
        assert_eq!(names, amika_core::contract::PRESETS);
    }

    #[test]
    fn a_new_daemon_is_a_new_recipe() {
        assert_ne!(
            Preset::Coder.fingerprint("one"),
            Preset::Coder.fingerprint("two")
        );
        assert_ne!(
            Preset::Coder.fingerprint("one"),
            Preset::CoderDind.fingerprint("one")
        );
    }

    #[test]
    fn versions_are_build_arguments() {
        let args = version_args();
        assert!(args.contains_key("OPENCODE_VERSION"));
        assert!(
            args.keys()
                .all(|key| key.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
        );
    }
}

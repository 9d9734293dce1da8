//! Which images somebody may have who does not rule the machine: for the members of a server.

use amika_core::config;
use amika_core::service::sidecars;
use amika_core::settings::Origin;

use super::request::Image;
use super::settings::Settings;
use crate::error::{Error, Kind, Result};
use crate::preset::Preset;

/// Which images may be chosen beside the preset `coder`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// Those that are no preset, and those that are built of a Dockerfile: that takes of the engine's machine what nobody measures.
    pub any_image: bool,
    /// The preset whose programs have nearly all rights of root on the engine's kernel.
    pub nested_engine: bool,
    /// Whether what is saved for a repository is its administrator's word: not where the content is somebody else's who only
    /// says what it was copied of.
    pub saved: bool,
}

impl Allowed {
    /// All of them.
    pub const ALL: Self = Self {
        any_image: true,
        nested_engine: true,
        saved: true,
    };

    /// Refuses an image that is not allowed, whoever named it: a request, or the repository's own file, which is as good as a
    /// request of who writes it. What is saved for a repository is an administrator's choice, for all.
    ///
    /// # Errors
    /// [`Kind::Invalid`].
    pub(super) fn check(self, settings: &Settings) -> Result<()> {
        self.check_sidecars(settings)?;
        let (is_allowed, what, word) = match &settings.image {
            Image::Preset(Preset::Coder) => return Ok(()),
            Image::Preset(Preset::CoderDind) => (
                self.nested_engine,
                format!("the preset {}", Preset::CoderDind),
                "coder_dind",
            ),
            Image::Other(image) => (
                self.any_image,
                format!("the image \"{}\"", image.escape_debug()),
                "image",
            ),
            Image::Dockerfile(_) => (self.any_image, "a dockerfile".to_owned(), "image"),
        };
        let origin = settings.origins.image;
        if is_allowed || (self.saved && origin == Origin::Saved) {
            return Ok(());
        }
        Err(refused(origin, &what).hint(format!(
            "name a preset in its place, as `--preset {}` does; {}",
            Preset::Coder,
            lets(word)
        )))
    }

    /// An image is one, whatever runs of it.
    fn check_sidecars(self, settings: &Settings) -> Result<()> {
        let origin = settings.origins.services;
        let Some((service, sidecar)) = sidecars(&settings.services).next() else {
            return Ok(());
        };
        if self.any_image || (self.saved && origin == Origin::Saved) {
            return Ok(());
        }
        let image = sidecar.image.escape_debug();
        let what = format!("the image \"{image}\" of service \"{service}\"");
        Err(refused(origin, &what).hint(lets("image")))
    }
}

fn refused(origin: Origin, what: &str) -> Error {
    let by = match origin {
        Origin::File => config::PATH,
        Origin::Saved => "what is saved for the repository",
        _ => "the request",
    };
    let message = format!("{by} names {what}, which only administrators may have here");
    Error::new(Kind::Invalid, message)
}

fn lets(word: &str) -> String {
    format!("`{word} = true` of the server's `[members]` lets all members have it")
}

#[cfg(test)]
mod tests {
    use amika_core::config::RepoConfig;
    use amika_core::settings::Layer;
    use pretty_assertions::assert_eq;

    use super::super::settings::tests::request;
    use super::super::settings::{SettingsLayer, merge};
    use super::super::source::Scripts;
    use super::*;

    const NONE: Allowed = Allowed {
        any_image: false,
        nested_engine: false,
        saved: true,
    };

    /// What is refused of a file of a repository.
    fn refused(allowed: Allowed, file: &str, saved: SettingsLayer) -> Option<String> {
        let config = amika_core::config::parse(file).expect("a file").config;
        let settings = merge(&request(), saved, &config, Scripts::default()).expect("settings");
        allowed.check(&settings).err().map(|error| error.message)
    }

    #[test]
    fn a_repository_chooses_nothing_that_its_member_may_not() {
        let saved = || Layer {
            image: Some(Ok(Image::Preset(Preset::CoderDind))),
            ..Layer::silent()
        };
        for (line, what, allowing) in [
            (
                "preset = \"coder-dind\"",
                "the preset coder-dind",
                Allowed {
                    nested_engine: true,
                    ..NONE
                },
            ),
            (
                "image = \"debian\"",
                "the image \"debian\"",
                Allowed {
                    any_image: true,
                    ..NONE
                },
            ),
            (
                "dockerfile = \"Dockerfile\"",
                "a dockerfile",
                Allowed {
                    any_image: true,
                    ..NONE
                },
            ),
        ] {
            let file = format!("[sandbox]\n{line}\n");
            let message =
                format!(".amika/config.toml names {what}, which only administrators may have here");
            assert_eq!(refused(NONE, &file, Layer::silent()), Some(message));
            assert_eq!(refused(allowing, &file, Layer::silent()), None);
            assert_eq!(
                refused(NONE, &file, saved()),
                None,
                "an administrator chose"
            );
        }
        let sent = Allowed {
            saved: false,
            ..NONE
        };
        let message = "what is saved for the repository names the preset coder-dind, which only administrators may have here";
        assert_eq!(refused(sent, "", saved()).as_deref(), Some(message));
        assert_eq!(
            refused(NONE, "[sandbox]\npreset = \"coder\"\n", Layer::silent()),
            None
        );
        assert_eq!(refused(NONE, "", Layer::silent()), None);
    }

    #[test]
    fn a_request_is_held_to_it_too() {
        let mut request = request();
        request.image = Some(Image::Preset(Preset::CoderDind));
        let settings = merge(
            &request,
            Layer::silent(),
            &RepoConfig::default(),
            Scripts::default(),
        );
        let settings = settings.expect("settings");
        assert!(NONE.check(&settings).is_err());
        assert!(Allowed::ALL.check(&settings).is_ok());
    }
}

//! Which labels an image may bring. An engine puts an image's labels on each container of it, beside
//! those of the container itself: what an image says would be taken for what Amika wrote.

use super::{Kind, Labels, key};

/// Whether a label's key is one that only Amika writes, or could be taken for one: whatever its case,
/// and with blanks around it.
pub fn is_under_prefix(key: &str) -> bool {
    let key = key.trim().to_lowercase();
    key.starts_with(key::PREFIX) || key == key::PREFIX.trim_end_matches('.')
}

/// Returns the keys of an image's labels that no image may bring: all under Amika's prefix but the
/// six that an image has which `amika` built, a preset's or one of a repository's Dockerfile, and which an image that is
/// made from it has too, and the mark of a test run. They say what the image is, and nothing of a
/// sandbox.
pub fn not_an_images(labels: &Labels) -> Vec<&str> {
    labels
        .iter()
        .filter(|(key, value)| match key.as_str() {
            key::KIND => value.as_str() != Kind::Image.as_str(),
            key::VERSION | key::PRESET | key::RECIPE | key::BASE | key::BUILT_OF | key::TEST => {
                false
            }
            key => is_under_prefix(key),
        })
        .map(|(key, _)| key.as_str())
        .collect()
}

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;

    use super::*;

    fn refused(key: &str, value: &str) -> bool {
        let labels = Labels::from([(key.to_owned(), value.to_owned())]);
        !not_an_images(&labels).is_empty()
    }

    #[test]
    fn a_preset_brings_what_it_was_built_with_and_no_image_anything_else() {
        for key in key::ALL {
            let own = [
                key::KIND,
                key::VERSION,
                key::PRESET,
                key::RECIPE,
                key::BASE,
                key::BUILT_OF,
                key::TEST,
            ];
            assert_eq!(refused(key, "image"), !own.contains(&key), "{key}");
        }
        for kind in Kind::ALL {
            assert_eq!(refused(key::KIND, kind.as_str()), kind != Kind::Image);
        }
        assert!(refused(key::KIND, ""));
    }

    #[test]
    fn no_spelling_of_the_prefix_passes() {
        for key in [
            "dev.amika.future",
            "dev.amika.",
            "dev.amika",
            "Dev.Amika.Id",
            "DEV.AMIKA.SETUP.HOST-PATH",
            "dev.amika.KIND",
            " dev.amika.id",
            "dev.amika.id ",
            "\tdev.amika.id",
            // The sign of the unit Kelvin, of which the lower case is a k.
            "dev.ami\u{212a}a.id",
        ] {
            assert!(refused(key, "x"), "{key:?}");
            assert!(refused(key, ""), "{key:?}");
        }
        for key in ["maintainer", "dev.amikado.id", "com.dev.amika.id", "", "."] {
            assert!(!refused(key, "x"), "{key:?}");
        }
    }

    #[test]
    fn all_of_them_are_named() {
        let labels = ["dev.amika.repo.name", "dev.amika.id", "x"]
            .map(|key| (key.to_owned(), "v".to_owned()))
            .into();
        assert_eq!(
            not_an_images(&labels),
            ["dev.amika.id", "dev.amika.repo.name"]
        );
    }
}

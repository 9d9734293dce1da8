//! A place in the container that a user may mount something at.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::contract::path;

/// Places of Amika itself: nothing may be mounted at or beneath them.
const OWN: [&str; 5] = [
    path::RUN_DIR,
    path::LOG_DIR,
    path::STATE_DIR,
    path::AMIKAD_DIR,
    SETUP_DIR,
];

/// Directory of the setup script.
const SETUP_DIR: &str = "/usr/local/etc/amikad";

/// Places that a mount above them would hide, and with them what makes a sandbox start.
const HIDDEN: [&str; 2] = [path::AMIKAD_DIR, SETUP_DIR];

/// A name that nearly every image has for `/run`, by a link that the engine follows.
const RUN_ALIAS: &str = "/var/run";

/// File systems of the kernel: what is mounted there breaks the container, or runc refuses it.
const KERNEL: [&str; 3] = ["/proc", "/sys", "/dev"];

/// An absolute path without `.`, `..`, doubled or trailing slashes, which is none of Amika's own and
/// none of the kernel's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(transparent))]
pub struct Target(String);

impl Target {
    /// Returns the path.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Serialize for Target {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Target {
    type Err = InvalidTarget;

    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        let owned = || text.to_owned();
        if !text.starts_with('/') {
            return Err(InvalidTarget::Relative { target: owned() });
        }
        if let Some(found) = text
            .chars()
            .find(|found| found.is_control() || *found == ':')
        {
            return Err(InvalidTarget::Character {
                target: owned(),
                found,
            });
        }
        let mut normal = String::new();
        for part in text.split('/') {
            match part {
                "" | "." => {}
                ".." => return Err(InvalidTarget::Parent { target: owned() }),
                part => {
                    normal.push('/');
                    normal.push_str(part);
                }
            }
        }
        if normal.is_empty() {
            return Err(InvalidTarget::Root);
        }
        if normal == path::HOME {
            return Err(InvalidTarget::Home);
        }
        let place = behind_link(&normal);
        if let Some(own) = OWN.into_iter().find(|own| is_at_or_below(&place, own)) {
            return Err(InvalidTarget::Own {
                target: normal,
                own,
            });
        }
        if let Some(own) = HIDDEN.into_iter().find(|own| is_at_or_below(own, &normal)) {
            return Err(InvalidTarget::Hides {
                target: normal,
                own,
            });
        }
        let in_kernel = |kernel: &&str| is_at_or_below(&normal, kernel);
        if KERNEL.iter().any(in_kernel) && !is_at_or_below(&normal, "/dev/shm") {
            return Err(InvalidTarget::Kernel { target: normal });
        }
        Ok(Self(normal))
    }
}

/// The place that a mount at a normalised path has where `/var/run` is a link to `/run`.
pub(super) fn behind_link(path: &str) -> Cow<'_, str> {
    match path.strip_prefix(RUN_ALIAS) {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => format!("/run{rest}").into(),
        _ => path.into(),
    }
}

/// Whether a normalised path is another one or stands beneath it.
pub(super) fn is_at_or_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Why nothing can be mounted at a place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTarget {
    /// It does not begin with a slash.
    #[error("target \"{}\" is not absolute", .target.escape_debug())]
    Relative {
        /// The place.
        target: String,
    },
    /// It has `..` in it.
    #[error("target \"{}\" has \"..\" in it", .target.escape_debug())]
    Parent {
        /// The place.
        target: String,
    },
    /// It has a character in it that no engine takes.
    #[error("target \"{}\" may not contain '{}'", .target.escape_debug(), .found.escape_debug())]
    Character {
        /// The place.
        target: String,
        /// The character.
        found: char,
    },
    /// It is the root directory.
    #[error("target \"/\" is the sandbox's root directory")]
    Root,
    /// It is the agent's home.
    #[error(
        "target \"{}\" is the agent's home, which is a volume of its own: name a directory in it",
        path::HOME
    )]
    Home,
    /// It is one of Amika's own places.
    #[error("target \"{}\" is in {own}, which Amika uses itself", .target.escape_debug())]
    Own {
        /// The place.
        target: String,
        /// Amika's place.
        own: &'static str,
    },
    /// It would hide one of Amika's own places.
    #[error("target \"{}\" would hide {own}, without which the sandbox cannot start", .target.escape_debug())]
    Hides {
        /// The place.
        target: String,
        /// Amika's place.
        own: &'static str,
    },
    /// It is the kernel's.
    #[error("target \"{}\" is a file system of the kernel", .target.escape_debug())]
    Kernel {
        /// The place.
        target: String,
    },
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_are_normalised() {
        for (text, path) in [
            ("/data", "/data"),
            ("/data/", "/data"),
            ("//data/./x//y/.", "/data/x/y"),
            ("/home/amika/workspace", "/home/amika/workspace"),
            ("/home", "/home"),
            ("/usr/local/bin", "/usr/local/bin"),
            ("/usr/local/lib/amikadx", "/usr/local/lib/amikadx"),
            ("/dev/shm/x", "/dev/shm/x"),
            ("/process", "/process"),
            ("/var/lib", "/var/lib"),
            ("/var/run/docker.sock", "/var/run/docker.sock"),
            ("/var/running", "/var/running"),
            ("/etc/hosts", "/etc/hosts"),
            ("/größe mit blank", "/größe mit blank"),
        ] {
            assert_eq!(
                text.parse::<Target>()
                    .map(|target| target.to_string())
                    .as_deref(),
                Ok(path)
            );
        }
    }

    #[test]
    fn places_that_belong_to_somebody_are_refused() {
        for (text, message) in [
            ("", "target \"\" is not absolute"),
            ("data", "target \"data\" is not absolute"),
            ("./data", "target \"./data\" is not absolute"),
            ("~/data", "target \"~/data\" is not absolute"),
            ("/", "target \"/\" is the sandbox's root directory"),
            ("//.", "target \"/\" is the sandbox's root directory"),
            ("/a/../b", "target \"/a/../b\" has \"..\" in it"),
            ("/a\nb", "target \"/a\\nb\" may not contain '\\n'"),
            (
                "/home/amika/",
                "target \"/home/amika\" is the agent's home, which is a volume of its own: name a \
                 directory in it",
            ),
            (
                "/run/amikad/x",
                "target \"/run/amikad/x\" is in /run/amikad, which Amika uses itself",
            ),
            (
                "/var/run/amikad/x",
                "target \"/var/run/amikad/x\" is in /run/amikad, which Amika uses itself",
            ),
            (
                "/var/lib/amikad",
                "target \"/var/lib/amikad\" is in /var/lib/amikad, which Amika uses itself",
            ),
            (
                "/usr/local/etc/amikad/setup/setup.sh",
                "target \"/usr/local/etc/amikad/setup/setup.sh\" is in /usr/local/etc/amikad, which \
                 Amika uses itself",
            ),
            (
                "/usr",
                "target \"/usr\" would hide /usr/local/lib/amikad, without which the sandbox cannot \
                 start",
            ),
            (
                "/usr/local/etc",
                "target \"/usr/local/etc\" would hide /usr/local/etc/amikad, without which the \
                 sandbox cannot start",
            ),
            (
                "/proc/1",
                "target \"/proc/1\" is a file system of the kernel",
            ),
            ("/dev", "target \"/dev\" is a file system of the kernel"),
        ] {
            assert_eq!(text.parse::<Target>().unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn the_setup_script_stands_in_its_directory() {
        assert!(is_at_or_below(path::SETUP_SCRIPT, SETUP_DIR));
        assert!(is_at_or_below(path::AMIKAD, path::AMIKAD_DIR));
    }

    proptest! {
        #[test]
        fn normal_forms_stay_as_they_are(text in "/[a-c./]{0,12}|\\PC{0,12}") {
            if let Ok(target) = text.parse::<Target>() {
                prop_assert!(target.as_str().starts_with('/') && !target.as_str().ends_with('/'));
                prop_assert!(!target.as_str().contains("//"));
                prop_assert_eq!(target.as_str().parse(), Ok(target.clone()));
            }
        }
    }
}

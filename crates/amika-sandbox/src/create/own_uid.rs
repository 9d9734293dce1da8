//! `--own-uid`: an agent with a number that no other sandbox, and nobody of the host, has.
//!
//! Some of the kernel's quotas are counted by user and not by container: inotify instances, keys, pending
//! signals, message queues, pipe pages. The agent of each sandbox is uid 1000, and so may be who sits at
//! the host: what one of them uses up, all of them lack.

use std::ops::Range;

use amika_core::label::SandboxId;
use sha2::{Digest as _, Sha256};

use super::request::Image;
use crate::error::{Error, Kind, Result};
use amika_engine::SystemFacts;

/// Above what systemd gives to containers (524288 to 1879048191), below its range for foreign images
/// (from 2147352576): nobody hands these out.
const RANGE: Range<u32> = 1_900_000_000..2_147_000_000;

/// The number of a sandbox's agent. Two sandboxes have the same one in a case of 250 million.
pub(super) fn of(id: &SandboxId) -> u32 {
    let digest = Sha256::digest(id.as_str());
    let number = digest.iter().take(8).fold(0u64, |number, byte| {
        number.wrapping_mul(256).wrapping_add(u64::from(*byte))
    });
    let within = number % u64::from(RANGE.end - RANGE.start);
    RANGE.start + u32::try_from(within).unwrap_or_default()
}

/// Refuses `--own-uid` where the agent cannot have it, or where it would be in the way.
///
/// # Errors
/// [`Kind::Invalid`].
pub(super) fn refuse(image: &Image, has_writable_mount: bool, system: &SystemFacts) -> Result<()> {
    let (why, hint) = if let Image::Other(_) | Image::Dockerfile(_) = image {
        (
            "the image is no preset, and its own user runs in it",
            "leave it out, or choose a preset with `--preset`",
        )
    } else if has_writable_mount {
        (
            "what the agent makes in a `rw` mount must belong to the owner of its source",
            "leave one of them out, or take a copy (`:rwcopy`)",
        )
    } else if system.rootless || system.user_namespaces {
        (
            "the engine maps users, and has no such number",
            "leave it out: uid 1000 in a sandbox is nobody's on this host already",
        )
    } else {
        return Ok(());
    };
    Err(Error::new(Kind::Invalid, format!("--own-uid: {why}")).hint(hint))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::preset::Preset;

    #[test]
    fn each_sandbox_has_a_number_of_its_own_that_stays() {
        let (a, b) = (
            SandboxId::from_random([1; 16]),
            SandboxId::from_random([2; 16]),
        );
        assert!(RANGE.contains(&of(&a)) && RANGE.contains(&of(&b)));
        assert_ne!(of(&a), of(&b));
        assert_eq!(of(&a), of(&a.clone()));
    }

    #[test]
    fn it_is_refused_where_it_cannot_be_had() {
        let preset = Image::Preset(Preset::Coder);
        let plain = SystemFacts::default();
        assert!(refuse(&preset, false, &plain).is_ok());
        assert!(refuse(&preset, true, &plain).is_err());
        assert!(refuse(&Image::Other("debian".into()), false, &plain).is_err());
        let mapped = SystemFacts {
            user_namespaces: true,
            ..SystemFacts::default()
        };
        assert!(refuse(&preset, false, &mapped).is_err());
    }
}

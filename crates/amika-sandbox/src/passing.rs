//! The names that containers have only while a sandbox's ports are reassigned ([`crate::reassign`]).

/// What the name of the container that takes over ends with, until it has taken over.
pub(crate) const NEXT: &str = ".reassign";
/// What the name of the container that was replaced ends with, until it is removed.
pub(crate) const OLD: &str = ".replaced";

/// The sandbox that a container belongs to which is named so only while ports are reassigned.
pub fn passing(name: &str) -> Option<&str> {
    name.strip_suffix(NEXT).or_else(|| name.strip_suffix(OLD))
}

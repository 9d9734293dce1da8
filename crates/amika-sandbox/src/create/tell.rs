//! What is said of a create while it is prepared, beside its steps.

use std::collections::BTreeMap;

use amika_core::config;
use amika_core::name::SandboxName;

use super::settings::Settings;
use super::taken::TakenView;
use crate::given::Given;
use crate::networks::Choice;
use crate::progress::Progress;

/// Says what does not go without saying of the network that it will be on.
pub(super) fn tell_of_network(
    name: &SandboxName,
    settings: &Settings,
    network: &Choice,
    out: &dyn Progress,
) {
    if settings.capabilities().can_speak_for_others()
        && let Some(warning) = network.shared_with_others()
    {
        out.warn(&warning);
    }
    if let Some(note) = network.without_ports(name.as_str()) {
        // What was asked for by name is missed.
        if settings.publish.is_empty() && settings.services.is_empty() {
            out.note(&note);
        } else {
            out.warn(&note);
        }
    }
}

/// Says what holds of a repository's configuration: whoever cloned it may not know.
pub(super) fn say_what_is_taken(taken: &TakenView, out: &dyn Progress) {
    let lines = taken.taken.lines();
    if !lines.is_empty() {
        out.note(&format!("  from the repository's {}:", config::PATH));
    }
    for line in lines {
        out.note(&line);
    }
}

/// Says which variables are left out, since nobody knows the secrets that they are.
pub(super) fn tell_of_missing(
    wanted: &BTreeMap<String, String>,
    given: Option<&Given>,
    out: &dyn Progress,
) {
    for (variable, secret) in wanted {
        let why = match given {
            Some(given) if given.variables.everybody.contains_key(variable) => continue,
            Some(_) => format!("there is no secret \"{secret}\""),
            None => "secrets are a server's, and no server makes this sandbox".to_owned(),
        };
        out.warn(&format!(
            "the variable {variable} is left out: it is to be the secret \"{secret}\" ({why})"
        ));
    }
}

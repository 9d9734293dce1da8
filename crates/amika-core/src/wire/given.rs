//! Variables that a sandbox is given beside its container's environment.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Variables that neither the container's environment nor a label holds: they stand in a file of root's, and
/// what amikad starts gets them.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenVariables {
    /// For setup, CMD, services, agents and what is run in the sandbox from outside.
    #[serde(default)]
    pub everybody: BTreeMap<String, String>,
    /// For agents alone: their turns, and the `OpenCode` web server.
    #[serde(default)]
    pub agents: BTreeMap<String, String>,
}

impl GivenVariables {
    /// The largest file of them, in bytes: more than a process takes.
    pub const LIMIT: u64 = 4 << 20;

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.everybody.is_empty() && self.agents.is_empty()
    }

    /// All, as an agent gets them.
    pub fn of_agents(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = self.everybody.iter().chain(&self.agents);
        all.map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// Values are secrets.
impl fmt::Debug for GivenVariables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GivenVariables")
            .field("everybody", &self.everybody.keys())
            .field("agents", &self.agents.keys())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_never_shown() {
        let given = GivenVariables {
            everybody: [("KEY".to_owned(), "canary".to_owned())].into(),
            agents: BTreeMap::new(),
        };
        let shown = format!("{given:?}");
        assert!(
            shown.contains("KEY") && !shown.contains("canary"),
            "{shown}"
        );
    }
}

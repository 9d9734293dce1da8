//! How a service's program is run, where the repository says: amikad supervises it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Service;

/// A service's program, and what is to be made of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Run {
    /// The words of its command, at least one. What was written as one text is given to `sh -c`.
    pub command: Vec<String>,
    /// The directory that it is started in, relative to the agent's; none for that itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// Variables beside those that everything of the agent's has.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// How one sees that it is up; none where that it runs is all there is to see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<Ready>,
    /// How long it may take to be up, in seconds: 1 to [`MAX_READY_TIMEOUT_S`].
    #[serde(default = "ready_timeout_s")]
    pub ready_timeout_s: u32,
    /// What follows its end.
    #[serde(default)]
    pub restart: Restart,
    /// When it is started.
    #[serde(default)]
    pub start: Start,
    /// Whether a server starts its sandbox when somebody asks for one of its ports by the port route.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub wake: bool,
    /// Services that must be up before it is started.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<String>,
}

/// How one sees that a service is up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Ready {
    /// A GET of `path` at this port is answered with a status below 400.
    Http {
        /// The port, on the container's loopback.
        port: u16,
        /// The path, which begins with `/`.
        path: String,
    },
    /// This port of the container's loopback takes a connection.
    Tcp {
        /// The port.
        port: u16,
    },
    /// A line of its output matches this regular expression.
    Log {
        /// The expression, in the syntax of Rust's `regex`.
        matches: String,
    },
    /// It ended with 0, however long that took: what a script does that runs once.
    Done,
}

/// What follows a service's end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// It is started again unless it exited with 0.
    #[default]
    OnFailure,
    /// It is started again.
    Always,
    /// Nothing.
    No,
}

/// When a service is started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// By itself, once setup succeeded.
    #[default]
    Auto,
    /// When somebody connects to one of its ports, which amikad holds until then.
    OnDemand,
}

/// How long a service may take to be up where nothing is said, in seconds.
pub const READY_TIMEOUT_S: u32 = 60;

/// The most that may be said of that.
pub const MAX_READY_TIMEOUT_S: u32 = 3_600;

pub(super) fn ready_timeout_s() -> u32 {
    READY_TIMEOUT_S
}

/// Names that no service with a command may have: words of amikad's API, and its own services.
pub const RESERVED_NAMES: [&str; 10] = [
    "amikad",
    "at",
    "cmd",
    "container",
    "dockerd",
    "opencode",
    "phase",
    "seq",
    "setup",
    START_SCRIPT,
];

/// The service that runs `lifecycle.start_script`.
pub const START_SCRIPT: &str = "start-script";

/// Adds the service that runs a script of the repository at each start, by its path from the agent's directory. All
/// that has a command waits for its end.
pub fn add_start_script(services: &mut Vec<Service>, path: &str) {
    for run in services
        .iter_mut()
        .filter_map(|service| service.run.as_mut())
    {
        run.depends_on.push(START_SCRIPT.to_owned());
    }
    let run = Some(Run {
        // With a slash it is no name that is looked for in PATH.
        command: vec![format!("./{path}")],
        cwd: None,
        env: BTreeMap::new(),
        ready: Some(Ready::Done),
        ready_timeout_s: READY_TIMEOUT_S,
        restart: Restart::No,
        start: Start::Auto,
        wake: false,
        depends_on: Vec::new(),
    });
    let script = Service {
        name: START_SCRIPT.to_owned(),
        ports: Vec::new(),
        run,
        sidecar: None,
    };
    // Before those that wait for it: of two that are not up it is the reason.
    services.insert(0, script);
}

/// The services that stand in a circle of `depends_on`, in its order; none where there is no circle. Names that nobody
/// has are passed over.
pub fn circle(depends_on: &BTreeMap<&str, &[String]>) -> Option<Vec<String>> {
    /// Walks on from the last of `path`.
    fn walk<'a>(
        graph: &BTreeMap<&'a str, &'a [String]>,
        path: &mut Vec<&'a str>,
        done: &mut Vec<&'a str>,
    ) -> Option<Vec<String>> {
        let last = *path.last()?;
        for next in graph.get(last).copied().unwrap_or_default() {
            let Some((&next, _)) = graph.get_key_value(next.as_str()) else {
                continue;
            };
            if let Some(at) = path.iter().position(|name| *name == next) {
                return Some(path[at..].iter().map(|&name| name.to_owned()).collect());
            }
            if done.contains(&next) {
                continue;
            }
            path.push(next);
            let found = walk(graph, path, done);
            path.pop();
            if found.is_some() {
                return found;
            }
        }
        done.push(last);
        None
    }
    let mut done = Vec::new();
    depends_on.keys().find_map(|&name| {
        let is_new = !done.contains(&name);
        is_new
            .then(|| walk(depends_on, &mut vec![name], &mut done))
            .flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_circle_is_found_wherever_it_is_entered() {
        let list =
            |names: &str| -> Vec<String> { names.split_whitespace().map(str::to_owned).collect() };
        for (graph, found) in [
            (vec![("a", "b"), ("b", "")], None),
            (vec![("a", "a")], Some("a")),
            (vec![("a", "b"), ("b", "c"), ("c", "b")], Some("b c")),
            (vec![("a", "b c"), ("b", "d"), ("c", "d"), ("d", "")], None),
            (vec![("a", "nobody")], None),
        ] {
            let lists: Vec<(&str, Vec<String>)> = graph
                .into_iter()
                .map(|(name, on)| (name, list(on)))
                .collect();
            let graph = lists
                .iter()
                .map(|(name, on)| (*name, on.as_slice()))
                .collect();
            assert_eq!(circle(&graph), found.map(list), "{lists:?}");
        }
    }

    #[test]
    fn what_is_not_said_is_as_the_document_has_it() {
        let run: Run = serde_json::from_str(r#"{"command":["true"]}"#).unwrap();
        assert_eq!(run.ready_timeout_s, 60);
        assert_eq!((run.restart, run.start), (Restart::OnFailure, Start::Auto));
        assert!(run.ready.is_none() && run.depends_on.is_empty());
    }
}

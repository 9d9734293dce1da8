//! What a `devcontainer.json` says, as far as Amika has an equal: the rule behind `amika config migrate devcontainer`.
//!
//! The keys are those of <https://containers.dev/implementors/json_reference/>. Whatever is not taken over is named with
//! its place and what to do instead.

mod build;
mod commands;
mod ports;
mod variables;

use std::ops::Range;

use crate::config::steering;
use crate::diagnostic::{Diagnostic, Places, Severity};
use crate::draft::{Draft, Image};
use crate::env::{check_name, check_value};
use crate::image::check_reference;
use crate::jsonc::{self, Member, Node, Value};
use crate::{budget, exec_limit};

/// The files that are looked for, in this order.
pub const PATHS: [&str; 2] = [".devcontainer/devcontainer.json", ".devcontainer.json"];
/// The name of the file below a directory of its own in [`DIRECTORY`], where there are several.
pub const NAME: &str = "devcontainer.json";
/// Where those directories are.
pub const DIRECTORY: &str = ".devcontainer";

/// The largest file that is read, in bytes.
pub const MAX_BYTES: u64 = 256 << 10;

/// The most findings of one file.
const MAX_REST: usize = 200;

/// What came of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Migration {
    /// What is to be written.
    pub draft: Draft,
    /// What is not taken over, in the order of the file.
    pub rest: Vec<Rest>,
}

/// Something that is not taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rest {
    /// Its key, with those of what it stands in.
    pub key: String,
    /// Why, and what to do instead.
    pub reason: String,
    /// The same with its place.
    pub diagnostic: Diagnostic,
}

/// Reads the text of a file. `directory` is where it stands, from the repository's root, where that is in the repository: paths in
/// it begin there.
///
/// # Errors
/// Returns what is wrong with its place, when it is no object in JSON with comments.
pub fn migrate(text: &str, directory: Option<&str>) -> Result<Migration, Box<Diagnostic>> {
    let root = jsonc::parse(text)?;
    if !matches!(root.value, Value::Object(_)) {
        let message = format!("expected an object, found {}", root.kind());
        return Err(Box::new(Diagnostic::new(
            Severity::Error,
            message,
            text,
            root.span,
        )));
    }
    let mut work = Work {
        draft: Draft {
            by: "amika config migrate devcontainer",
            ..Draft::default()
        },
        rest: Vec::new(),
        places: Places::new(text),
        root: &root,
        directory: directory.map(str::to_owned),
        env_bytes: 0,
    };
    for member in root.members() {
        // Of a name that is there twice the last one counts.
        if root.get(&member.key).map(|node| &node.span) == Some(&member.node.span) {
            work.take(member);
        } else {
            work.rest(
                &member.key,
                member.key_span.clone(),
                "it is there again below",
            );
        }
    }
    work.setup();
    work.build();
    // What is for the agent alone wins.
    for key in ["containerEnv", "remoteEnv"] {
        if let Some(node) = root.get(key) {
            work.env(key, node);
        }
    }
    let Work {
        draft, mut rest, ..
    } = work;
    rest.sort_by_key(|rest| rest.diagnostic.span.start);
    Ok(Migration { draft, rest })
}

struct Work<'a> {
    draft: Draft,
    rest: Vec<Rest>,
    places: Places<'a>,
    root: &'a Node,
    /// Where the file stands.
    directory: Option<String>,
    env_bytes: usize,
}

impl Work<'_> {
    fn take(&mut self, member: &Member) {
        let node = &member.node;
        match member.key.as_str() {
            "image" => self.image(node),
            "forwardPorts" | "appPort" => self.ports(&member.key, node),
            "portsAttributes" => self.ports_attributes(node),
            "postStartCommand" => {
                let steps = self.command(&member.key, node);
                self.draft.start.extend(steps);
            }
            // These are taken over in an order of their own, not in that of the file: `setup`, `build`, `env`. Editors check
            // the file with its schema, and amikad is an init in every sandbox.
            "onCreateCommand"
            | "updateContentCommand"
            | "postCreateCommand"
            | "containerEnv"
            | "remoteEnv"
            | "build"
            | "dockerFile"
            | "context"
            | "$schema"
            | "init" => {}
            "name" => match node.as_str() {
                Some(name) => {
                    let remark = format!("The devcontainer is called \"{name}\".");
                    self.draft.remarks.push(remark);
                }
                None => self.wrong("name", node, "a string"),
            },
            "privileged" if node.value == Value::Bool(false) => {}
            "features" | "customizations" => self.each(&member.key, node),
            "mounts" | "runArgs" | "capAdd" | "securityOpt" => self.items(&member.key, node),
            key => self.rest(key, member.key_span.clone(), why_not(key)),
        }
    }

    fn rest(&mut self, key: &str, span: Range<usize>, reason: &str) {
        if self.rest.len() == MAX_REST {
            return;
        }
        let name: String = key.chars().take(100).collect();
        let message = format!("\"{}\" is not taken over: {reason}", name.escape_debug());
        let diagnostic = Diagnostic::at(Severity::Warning, message, &self.places, span);
        self.rest.push(Rest {
            key: key.to_owned(),
            reason: reason.to_owned(),
            diagnostic: diagnostic.with_label("not taken over"),
        });
    }

    /// Each entry of an object, none of which has an equal.
    fn each(&mut self, key: &str, node: &Node) {
        for member in node.members() {
            let name = format!("{key}.{}", member.key);
            self.rest(&name, member.key_span.clone(), why_not(key));
        }
        if !matches!(node.value, Value::Object(_)) {
            self.wrong(key, node, "an object");
        }
    }

    /// Each entry of a list, none of which has an equal.
    fn items(&mut self, key: &str, node: &Node) {
        for (at, item) in node.items().iter().enumerate() {
            self.rest(&format!("{key}[{at}]"), item.span.clone(), why_not(key));
        }
        if !matches!(node.value, Value::Array(_)) {
            self.wrong(key, node, "a list");
        }
    }

    fn wrong(&mut self, key: &str, node: &Node, wanted: &str) {
        let reason = format!("it must be {wanted}, and is {}", node.kind());
        self.rest(key, node.span.clone(), &reason);
    }

    fn image(&mut self, node: &Node) {
        let Some(image) = node.as_str() else {
            return self.wrong("image", node, "a string");
        };
        let odd = |found: char| found.is_control() || found.is_whitespace();
        match check_reference(image) {
            Ok(()) if !image.starts_with('-') && !image.contains(odd) => {
                self.draft.image = Some(Image::Named(image.to_owned()));
            }
            Ok(()) => self.rest("image", node.span.clone(), "it names no image"),
            Err(error) => {
                let reason = format!("it names no image: {error}");
                self.rest("image", node.span.clone(), &reason);
            }
        }
    }

    fn env(&mut self, key: &str, node: &Node) {
        if !matches!(node.value, Value::Object(_)) {
            return self.wrong(key, node, "an object");
        }
        for member in node.members() {
            let path = format!("{key}.{}", member.key);
            if let Err(reason) = self.variable(&member.key, &member.node) {
                self.rest(&path, member.key_span.clone(), &reason);
            }
        }
    }

    fn variable(&mut self, name: &str, node: &Node) -> Result<(), String> {
        let value = node
            .as_str()
            .ok_or_else(|| format!("it must be a string, and is {}", node.kind()))?;
        if let Some(why) = steering::why_not(name) {
            return Err(format!(
                "no repository may set it, since it {why}; `--env` may"
            ));
        }
        check_name(name).map_err(|error| error.to_string())?;
        check_value(name, value).map_err(|error| error.to_string())?;
        if let Some(variable) = variables::first(value) {
            return Err(variable.why_not_in_env());
        }
        self.env_bytes += name.len() + 2 + value.len();
        let env = &mut self.draft.env;
        if let Some((_, of)) = env.iter_mut().find(|(other, _)| other == name) {
            value.clone_into(of);
            return Ok(());
        }
        if env.len() == budget::VARIABLES || self.env_bytes > exec_limit::TOGETHER / 2 {
            return Err("there are too many variables".to_owned());
        }
        env.push((name.to_owned(), value.to_owned()));
        Ok(())
    }
}

/// Why a key is not taken over, and what to do instead.
fn why_not(key: &str) -> &'static str {
    match key {
        "features" => "install what it brings in .amika/setup.sh",
        "customizations" => "it is for editors and other tools",
        "build" => "`[sandbox] dockerfile` has `build_args` beside it and no more",
        "dockerComposeFile" | "service" | "runServices" => {
            "`[services.NAME]` with an `image` is a container beside the sandbox, and with `preset = \"coder-dind\"` it has an engine for Compose"
        }
        "remoteUser" | "containerUser" => {
            "the agent is the user that the image runs as: set `USER` in its Dockerfile"
        }
        "mounts" => {
            "`[sandbox] mounts` has volumes and copies of the repository, `amika sandbox create --mount` the host's files"
        }
        "runArgs" | "capAdd" | "securityOpt" | "privileged" => {
            "no repository gives rights, flags of `amika sandbox create` do"
        }
        "workspaceFolder" | "workspaceMount" => {
            "the repository is in a volume, at /home/amika/workspace/NAME"
        }
        "initializeCommand" => "it runs on this machine, where nothing of a repository is run",
        "postAttachCommand" => {
            "nothing runs when somebody connects; postStartCommand is taken over"
        }
        "waitFor" => "everything waits for setup, services wait for the start script",
        "overrideCommand" => "a sandbox without a command behind `--` stays up by itself",
        "shutdownAction" => "a sandbox runs until `amika sandbox stop`",
        "userEnvProbe" => "what agents read is the container's environment",
        "updateRemoteUserUID" => "see `--own-uid` of `amika sandbox create`",
        "hostRequirements" => "`[sandbox.limits]` says the most, not the least",
        "otherPortsAttributes" => "each port of a service is named",
        "secrets" => "`{ secret = \"NAME\" }` in [env] takes one from a server",
        "overrideFeatureInstallOrder" => "there are no features",
        _ => "Amika does not know it",
    }
}

#[cfg(test)]
mod tests;

//! What a repository's files tell of how its sandboxes are made: the rule behind `amika init`.
//!
//! Only files of known names are looked at, and of what is in them only words of a narrow alphabet get into what is
//! written. What is doubtful is a remark and no setting: what is written is to work at the first create.

mod compose;
mod node;
mod others;
mod python;

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnostic::{Diagnostic, Severity};
use crate::draft::{Draft, Service, Step, service_name, shell_word};
use crate::port::{ContainerPort, Port, Protocol};
use crate::service::Scheme;

/// Files that are looked at in the repository's root and in the directories in it.
pub const NAMES: [&str; 33] = [
    "package.json",
    "package-lock.json",
    "npm-shrinkwrap.json",
    "pnpm-lock.yaml",
    "yarn.lock",
    "bun.lock",
    "bun.lockb",
    "pyproject.toml",
    "uv.lock",
    "poetry.lock",
    "pdm.lock",
    "Pipfile",
    "Pipfile.lock",
    "requirements.txt",
    "requirements-dev.txt",
    "setup.py",
    "manage.py",
    "Cargo.toml",
    "Cargo.lock",
    "rust-toolchain",
    "rust-toolchain.toml",
    "go.mod",
    "go.sum",
    "go.work",
    "Gemfile",
    "Gemfile.lock",
    "bin/rails",
    "Makefile",
    "compose.yaml",
    "compose.yml",
    "docker-compose.yaml",
    "docker-compose.yml",
    ".devcontainer/devcontainer.json",
];

/// So much of a file is read, in bytes; of a larger one only that it is there.
pub const MAX_BYTES: u64 = 256 << 10;

/// So many directories of the root are looked at.
pub const MAX_DIRECTORIES: usize = 16;

/// What is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The files by their path from the root; without a content what cannot be read, is too large or is no text.
    pub files: BTreeMap<String, Option<String>>,
}

/// What is to be written, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// What is to be written.
    pub draft: Draft,
    /// What was recognized, a sentence each.
    pub found: Vec<String>,
    /// Files that could not be read as what they are, with the place.
    pub findings: Vec<Finding>,
}

/// A file that is not what its name says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Its path from the root.
    pub path: String,
    /// What is wrong.
    pub diagnostic: Diagnostic,
}

/// Whether a directory of the root is looked at.
pub fn is_looked_into(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let is_named = name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.len() <= 64;
    // Of others, or made by tools.
    let foreign = ["node_modules", "vendor", "target", "dist", "build", "venv"];
    is_named && name.chars().all(plain) && !foreign.contains(&name)
}

/// Says what is to be written of a repository.
pub fn plan(facts: &Facts) -> Plan {
    let mut work = Work {
        plan: Plan::default(),
        ports: BTreeSet::new(),
    };
    work.plan.draft.by = "amika init";
    let root = Directory { facts, path: "" };
    let below: BTreeSet<&str> = facts
        .files
        .keys()
        .filter_map(|path| path.split_once('/').map(|(first, _)| first))
        .filter(|name| is_looked_into(name))
        .collect();
    let below: Vec<Directory<'_>> = below
        .into_iter()
        .map(|path| Directory { facts, path })
        .collect();
    for look in [
        node::look,
        python::look,
        others::rust,
        others::go,
        others::ruby,
    ] {
        // A project in the root sees to what is below it: workspaces, packages.
        if !look(root, &mut work) {
            for directory in &below {
                look(*directory, &mut work);
            }
        }
    }
    others::make(root, &mut work);
    compose::look(root, &mut work);
    if root.has(".devcontainer/devcontainer.json") {
        work.found(".devcontainer/devcontainer.json: `amika config migrate devcontainer` takes it over instead");
    }
    work.plan
}

/// A directory of the repository.
#[derive(Clone, Copy)]
struct Directory<'a> {
    facts: &'a Facts,
    /// Its name; empty for the root.
    path: &'a str,
}

impl Directory<'_> {
    fn place(&self, name: &str) -> String {
        match self.path {
            "" => name.to_owned(),
            path => format!("{path}/{name}"),
        }
    }

    fn has(&self, name: &str) -> bool {
        self.facts.files.contains_key(&self.place(name))
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.facts.files.get(&self.place(name))?.as_deref()
    }

    /// Those of some files that are there, by their paths.
    fn those(&self, names: &[&str]) -> Vec<String> {
        let there = names.iter().filter(|name| self.has(name));
        there.map(|name| self.place(name)).collect()
    }

    /// A command that runs in it.
    fn within(&self, command: &str) -> String {
        match self.path {
            "" => command.to_owned(),
            path => {
                // A name of a narrow alphabet is a word.
                let word = shell_word(path).unwrap_or_default();
                format!("(cd {word} && {command})")
            }
        }
    }

    /// What a service in it is called.
    fn service(&self) -> String {
        service_name(self.path).unwrap_or_else(|| "web".to_owned())
    }
}

/// What is being planned.
struct Work {
    plan: Plan,
    ports: BTreeSet<u16>,
}

impl Work {
    fn found(&mut self, what: impl Into<String>) {
        self.plan.found.push(what.into());
    }

    /// Sets something up, again whenever one of these files changes.
    fn step(&mut self, why: String, text: String, needs_tool: bool, once: Vec<String>) {
        self.plan.found.push(why.clone());
        self.plan.draft.once.extend(once);
        self.plan.draft.setup.push(Step {
            why,
            text,
            needs_tool,
        });
    }

    /// Adds a server that is started by the first connection.
    fn serve(&mut self, directory: Directory<'_>, port: u16, command: Vec<String>) {
        let port = Port::new(port).map(|port| ContainerPort::new(port, Protocol::Tcp));
        let (Some(Ok(port)), name) = (port, directory.service()) else {
            return;
        };
        let services = &self.plan.draft.services;
        let is_taken = services.iter().any(|service| service.name == name);
        if is_taken || !self.ports.insert(port.port().get()) {
            let command = command.join(" ");
            let remark =
                format!("Left out, since port {port} or its name is used above: `{command}`.");
            self.plan.draft.remarks.push(remark);
            return;
        }
        self.found(format!("{name}: `{}` on port {port}", command.join(" ")));
        self.plan.draft.services.push(Service {
            name,
            port,
            scheme: Some(Scheme::Http),
            command: Some(command),
            cwd: (!directory.path.is_empty()).then(|| directory.path.to_owned()),
        });
    }

    fn finding(&mut self, directory: Directory<'_>, name: &str, mut diagnostic: Diagnostic) {
        diagnostic.severity = Severity::Warning;
        let path = directory.place(name);
        self.plan.findings.push(Finding { path, diagnostic });
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[cfg(test)]
mod tests;

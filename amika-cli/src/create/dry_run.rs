//! What `--dry-run` shows of a plan.

use std::io::Write;

use schemars::JsonSchema;
use serde::Serialize;

use super::plan::Plan;
use super::upload::Content;
use crate::engine::MountSpec;

/// A plan, for people and programs. Values of environment variables are left out: they may be
/// secret.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PlanView {
    /// Name of the sandbox.
    name: String,
    /// Image reference.
    image: String,
    /// ENTRYPOINT in place of the image's.
    entrypoint: Option<Vec<String>>,
    /// CMD in place of the image's.
    cmd: Option<Vec<String>>,
    /// Names of environment variables.
    env: Vec<String>,
    /// Published ports.
    ports: Vec<String>,
    /// Mounts.
    mounts: Vec<String>,
    /// Files put in before the first start.
    files: Vec<String>,
    /// Network.
    network: String,
    /// Labels.
    labels: std::collections::BTreeMap<String, String>,
}

impl PlanView {
    /// The view of a plan.
    pub fn of(plan: &Plan) -> Self {
        let container = &plan.container;
        Self {
            name: plan.name.to_string(),
            image: container.image.clone(),
            entrypoint: container.entrypoint.clone(),
            cmd: container.cmd.clone(),
            env: container
                .env
                .iter()
                .map(|entry| entry.split('=').next().unwrap_or_default().to_owned())
                .collect(),
            ports: container
                .ports
                .iter()
                .map(|port| {
                    let host = port
                        .host_port
                        .map_or_else(|| "(any)".to_owned(), |port| port.to_string());
                    format!(
                        "{}:{host}->{}/{}",
                        port.host_ip,
                        port.container_port,
                        port.protocol.as_str()
                    )
                })
                .collect(),
            mounts: container.mounts.iter().map(mount).collect(),
            files: plan
                .uploads
                .iter()
                .flat_map(|upload| upload.files.iter().map(move |file| (upload.at, file)))
                .map(|(at, file)| {
                    let path = format!("{}/{}", at.trim_end_matches('/'), file.path);
                    match &file.content {
                        Content::Link(target) => format!("{path} -> {target}"),
                        Content::Directory => format!("{path}/"),
                        Content::Bytes(bytes) => format!("{path} ({} bytes)", bytes.len()),
                    }
                })
                .collect(),
            network: container.network.clone(),
            labels: container.labels.clone(),
        }
    }

    /// Writes it for people.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write(&self, out: &mut dyn Write) -> std::io::Result<()> {
        let words = |words: &Option<Vec<String>>| words.as_ref().map(|words| words.join(" "));
        writeln!(out, "{:<12}{}", "Name", self.name)?;
        writeln!(out, "{:<12}{}", "Image", self.image)?;
        for (label, value) in [
            ("Entrypoint", words(&self.entrypoint)),
            ("Command", words(&self.cmd)),
        ] {
            if let Some(value) = value {
                writeln!(out, "{label:<12}{value}")?;
            }
        }
        for (label, values) in [
            ("Environment", &self.env),
            ("Port", &self.ports),
            ("Mount", &self.mounts),
            ("File", &self.files),
        ] {
            for value in values {
                writeln!(out, "{label:<12}{value}")?;
            }
        }
        writeln!(out, "{:<12}{}", "Network", self.network)?;
        writeln!(out, "\nNothing was made.")
    }
}

fn mount(mount: &MountSpec) -> String {
    let (source, target, read_only) = match mount {
        MountSpec::Volume {
            name,
            target,
            read_only,
            ..
        } => (name, target, read_only),
        MountSpec::Bind {
            source,
            target,
            read_only,
        } => (source, target, read_only),
    };
    format!(
        "{source} -> {target}{}",
        if *read_only { " (read-only)" } else { "" }
    )
}

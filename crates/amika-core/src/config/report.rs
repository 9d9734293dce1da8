//! The document that `amika config check -o json` prints.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{ImageChoice, Limits, Parsed, RepoFile};
use crate::diagnostic::Diagnostic;
use crate::opencode::OpenCodeStart;
use crate::service::Service;

/// What a configuration means, and what is wrong with it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Report {
    /// Whether all of it applies: the exit code is 0, otherwise 2.
    pub valid: bool,
    /// `[lifecycle]`
    pub lifecycle: LifecycleReport,
    /// `[sandbox]`
    pub sandbox: SandboxReport,
    /// `[env]`
    pub env: BTreeMap<String, String>,
    /// Variables that are secrets, each with the secret's name; a server has them.
    pub secret_env: BTreeMap<String, String>,
    /// `[services]`, sorted by name; empty when they are invalid.
    pub services: Vec<Service>,
    /// What is wrong, or looks odd.
    pub warnings: Vec<WarningReport>,
}

/// `[lifecycle]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LifecycleReport {
    /// Path of the setup script, relative to the repository's root.
    pub setup_script: Option<String>,
    /// Files of the repository whose change runs a setup script again that succeeded, where it is skipped until it
    /// changes itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub setup_once: Option<Vec<String>>,
    /// Path of the script that the agent runs at each start, relative to the repository's root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_script: Option<String>,
}

/// `[sandbox]`
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SandboxReport {
    /// Name of the preset.
    pub preset: Option<String>,
    /// Reference of the image.
    pub image: Option<String>,
    /// Path of the Dockerfile that the image is built of, relative to the repository's root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dockerfile: Option<String>,
    /// What the Dockerfile's ARG lines are given.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub build_args: BTreeMap<String, String>,
    /// When OpenCode is started: `auto`, `on-demand` or `off`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opencode: Option<&'static str>,
    /// What is mounted, each as `SOURCE:TARGET:MODE`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<String>,
    /// `[sandbox.limits]`
    pub limits: LimitsReport,
}

/// `[sandbox.limits]`
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LimitsReport {
    /// Number of processors.
    #[cfg_attr(feature = "schema", schemars(with = "Option<f64>"))]
    pub cpus: Option<crate::limit::Cpus>,
    /// Memory in bytes.
    pub memory: Option<crate::limit::Memory>,
    /// Processes and threads.
    pub pids: Option<i64>,
}

/// A finding in the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WarningReport {
    /// The finding; one line for each problem when there are several.
    pub message: String,
    /// Its line, counted from 1.
    pub line: usize,
    /// Its column in characters, counted from 1.
    pub column: usize,
}

impl Report {
    /// Returns the report on what [`super::parse`] returned.
    pub fn new(parsed: &Result<Parsed, Vec<Diagnostic>>) -> Self {
        let parsed = match parsed {
            Ok(parsed) => parsed,
            Err(errors) => {
                let warnings = errors.iter().map(WarningReport::from).collect();
                return Self {
                    warnings,
                    ..Self::default()
                };
            }
        };
        let config = &parsed.config;
        let (mut preset, mut image) = (None, None);
        match config.sandbox.image.as_ref().map(|located| &located.value) {
            Some(ImageChoice::Preset(name)) => preset = Some(name.clone()),
            Some(ImageChoice::Image(reference)) => image = Some(reference.clone()),
            Some(ImageChoice::Dockerfile(_)) | None => {}
        }
        let dockerfile = config.sandbox.dockerfile();
        let Limits { cpus, memory, pids } = config.sandbox.limits;
        Self {
            valid: parsed.valid(),
            lifecycle: LifecycleReport {
                setup_script: path(config.lifecycle.setup_script.as_ref()),
                setup_once: (config.lifecycle.setup_once.as_ref()).map(|once| once.files.clone()),
                start_script: path(config.lifecycle.start_script.as_ref()),
            },
            sandbox: SandboxReport {
                preset,
                image,
                dockerfile: path(dockerfile.map(|it| &it.file)),
                build_args: dockerfile.map(|it| it.args.clone()).unwrap_or_default(),
                opencode: config.sandbox.opencode.map(OpenCodeStart::as_str),
                mounts: (config.sandbox.mounts.iter())
                    .filter_map(|mount| Some(mount.mount()?.to_string()))
                    .collect(),
                limits: LimitsReport { cpus, memory, pids },
            },
            env: config.env.clone(),
            secret_env: config.secret_env.clone(),
            services: config.services.clone(),
            warnings: parsed.warnings.iter().map(WarningReport::from).collect(),
        }
    }

    /// Adds a finding that makes the configuration invalid, such as a setup script that is missing.
    pub fn refuse(&mut self, diagnostic: &Diagnostic) {
        self.valid = false;
        self.warnings.push(diagnostic.into());
        self.warnings
            .sort_by_key(|warning| (warning.line, warning.column));
    }
}

fn path(script: Option<&RepoFile>) -> Option<String> {
    match script {
        Some(RepoFile::Path(path)) => Some(path.value.clone()),
        Some(RepoFile::Refused(_)) | None => None,
    }
}

impl From<&Diagnostic> for WarningReport {
    fn from(diagnostic: &Diagnostic) -> Self {
        let Diagnostic {
            message,
            line,
            column,
            ..
        } = diagnostic;
        Self {
            message: message.clone(),
            line: *line,
            column: *column,
        }
    }
}

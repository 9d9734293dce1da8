//! `.amika/config.toml`: what a repository asks for.
//!
//! The file comes from a repository that may be hostile. A text that is no TOML is refused as a
//! whole; a section that breaks a rule is ignored as a whole, with one warning that names every
//! problem in it, and the other sections apply.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::de::DeTable;

use crate::diagnostic::{Diagnostic, Places, Problem, Severity};
use crate::limit::{Cpus, Memory};
use crate::mount::FileMount;
use crate::opencode::OpenCodeStart;
use crate::service::Service;

mod env;
mod lifecycle;
mod mounts;
mod place;
mod read;
pub mod report;
mod run;
mod sandbox;
mod services;
mod sidecar;
pub mod steering;
pub mod user;

use read::Section;

/// Where the file stands, relative to the repository's root.
pub use crate::contract::REPO_CONFIG as PATH;
pub(crate) use place::why_refused;

/// The largest file that is read, in bytes.
pub const MAX_BYTES: usize = 1 << 20;

/// Sections of the file.
const SECTIONS: [&str; 4] = ["lifecycle", "sandbox", "env", "services"];

/// What a repository asks for; what it does not mention is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RepoConfig {
    /// `[lifecycle]`
    pub lifecycle: Lifecycle,
    /// `[sandbox]`
    pub sandbox: Sandbox,
    /// `[env]`: plain values by name.
    pub env: BTreeMap<String, String>,
    /// `[env]`: variables that are secrets, each with the secret's name.
    pub secret_env: BTreeMap<String, String>,
    /// `[services]`, sorted by name.
    pub services: Vec<Service>,
}

/// `[lifecycle]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lifecycle {
    /// The script that must exit 0 before CMD starts.
    pub setup_script: Option<RepoFile>,
    /// That this script is skipped once it succeeded, until something changes.
    pub setup_once: Option<SetupOnce>,
    /// A script that the agent runs at each start, after setup.
    pub start_script: Option<RepoFile>,
}

/// One of the scripts that a repository may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScriptKey {
    /// `lifecycle.setup_script`
    Setup,
    /// `lifecycle.start_script`
    Start,
}

impl ScriptKey {
    /// The key in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Setup => "setup_script",
            Self::Start => "start_script",
        }
    }
}

impl Lifecycle {
    /// The scripts, those that are named.
    pub fn scripts(&self) -> impl Iterator<Item = (ScriptKey, &RepoFile)> {
        let setup = self.setup_script.iter().map(|it| (ScriptKey::Setup, it));
        let start = self.start_script.iter().map(|it| (ScriptKey::Start, it));
        setup.chain(start)
    }
}

/// `lifecycle.setup_once`: what a script that succeeded is run again for, beside a change of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SetupOnce {
    /// Files of the repository, relative to its root, whose change is reason enough; 0 to [`MAX_ONCE_FILES`].
    pub files: Vec<String>,
}

/// So many files may be watched for a change.
pub const MAX_ONCE_FILES: usize = 32;

/// A file of the repository: `lifecycle.setup_script`, `lifecycle.start_script`, `sandbox.dockerfile`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RepoFile {
    /// A path relative to the repository's root, without `..`. Whether such a file stands there, and no
    /// symbolic link leads to it from elsewhere, is for the caller to find out.
    Path(Located<String>),
    /// A path that may not be used; an error unless a flag names another.
    Refused(Diagnostic),
}

/// A value with its place in the file, for messages about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// The place, in bytes of the text.
    pub span: Range<usize>,
    /// Line of the place, counted from 1.
    pub line: usize,
    /// Column of the place in characters, counted from 1.
    pub column: usize,
}

/// `[sandbox]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sandbox {
    /// The image to use.
    pub image: Option<Located<ImageChoice>>,
    /// When its OpenCode web server is started.
    pub opencode: Option<OpenCodeStart>,
    /// What is mounted, in the order of the file.
    pub mounts: Vec<ConfiguredMount>,
    /// `[sandbox.limits]`
    pub limits: Limits,
}

/// An entry of `sandbox.mounts`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfiguredMount {
    /// One that stays with the repository, as far as its words tell. Whether such a path is there, and no symbolic link
    /// leads to it from elsewhere, is for the caller to find out.
    Mount(Located<FileMount>),
    /// One that reaches for what is not the repository's; an error unless a flag says that nothing of it is wanted.
    Refused(Diagnostic),
}

impl ConfiguredMount {
    /// What is mounted, unless it is refused.
    pub fn mount(&self) -> Option<&FileMount> {
        match self {
            Self::Mount(mount) => Some(&mount.value),
            Self::Refused(_) => None,
        }
    }
}

impl Sandbox {
    /// What its image is built of, where it is.
    pub fn dockerfile(&self) -> Option<&Dockerfile> {
        match &self.image.as_ref()?.value {
            ImageChoice::Dockerfile(dockerfile) => Some(dockerfile),
            ImageChoice::Preset(_) | ImageChoice::Image(_) => None,
        }
    }
}

/// `sandbox.preset`, `sandbox.image` or `sandbox.dockerfile`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageChoice {
    /// Name of a preset.
    Preset(String),
    /// Reference of an image.
    Image(String),
    /// `sandbox.dockerfile`: what an image is built of.
    Dockerfile(Dockerfile),
}

/// `sandbox.dockerfile` with `sandbox.build_args`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dockerfile {
    /// The file.
    pub file: RepoFile,
    /// What its ARG lines are given.
    pub args: BTreeMap<String, String>,
}

/// `[sandbox.limits]`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Processors.
    pub cpus: Option<Cpus>,
    /// Memory.
    pub memory: Option<Memory>,
    /// Processes and threads.
    pub pids: Option<i64>,
}

/// A file that is TOML, whatever else is wrong with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    /// What applies of it.
    pub config: RepoConfig,
    /// What does not, and what looks odd, in the order of the file.
    pub warnings: Vec<Diagnostic>,
    /// Names of the sections that are ignored.
    pub ignored: Vec<&'static str>,
    /// Names of variables that are left out of `[env]`, since a repository may not set them.
    pub left_out: Vec<String>,
}

impl Parsed {
    /// Whether all of the file applies.
    pub fn valid(&self) -> bool {
        self.ignored.is_empty() && self.left_out.is_empty() && self.refused().next().is_none()
    }

    /// Returns the errors that stop a create, each unless a flag says that its file is not wanted.
    pub fn refused(&self) -> impl Iterator<Item = &Diagnostic> {
        let scripts = self.config.lifecycle.scripts().map(|(_, script)| script);
        let dockerfile = self.config.sandbox.dockerfile().map(|it| &it.file);
        let files = scripts.chain(dockerfile).filter_map(|file| match file {
            RepoFile::Refused(diagnostic) => Some(diagnostic),
            RepoFile::Path(_) => None,
        });
        let mounts = self.config.sandbox.mounts.iter();
        files.chain(mounts.filter_map(|mount| match mount {
            ConfiguredMount::Refused(diagnostic) => Some(diagnostic),
            ConfiguredMount::Mount(_) => None,
        }))
    }
}

/// Reads the bytes of a file.
///
/// # Errors
///
/// Returns at least one finding when they are too many, are no UTF-8, or are no TOML.
pub fn parse_bytes(bytes: &[u8]) -> Result<Parsed, Vec<Diagnostic>> {
    if bytes.len() > MAX_BYTES {
        let message = format!(
            "file has {} bytes, at most {MAX_BYTES} are allowed",
            bytes.len()
        );
        return Err(vec![Diagnostic::new(Severity::Error, message, "", 0..0)]);
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => parse(text),
        Err(error) => {
            let end = error.valid_up_to();
            let text = String::from_utf8_lossy(&bytes[..end]);
            Err(vec![Diagnostic::new(
                Severity::Error,
                "file is not UTF-8",
                &text,
                end..end,
            )])
        }
    }
}

/// Reads the text of a file.
///
/// # Errors
///
/// Returns at least one finding when the text is no TOML.
pub fn parse(text: &str) -> Result<Parsed, Vec<Diagnostic>> {
    let (document, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return Err(syntax_errors(text, &errors));
    }
    let document = document.get_ref();
    let mut parsed = Parsed::default();
    let places = &Places::new(text);
    let mut root = Section::new(places);
    root.unknown_keys(document, PATH, &SECTIONS);
    parsed.warnings.append(&mut root.remarks);

    parsed.config.lifecycle = section(places, document, &mut parsed, "lifecycle", lifecycle::read);
    parsed.config.sandbox = section(places, document, &mut parsed, "sandbox", sandbox::read);
    let env = section(places, document, &mut parsed, "env", env::read);
    (parsed.config.env, parsed.config.secret_env) = (env.values, env.secrets);
    parsed.config.services = section(places, document, &mut parsed, "services", services::read);
    let refused: Vec<Diagnostic> = parsed.refused().cloned().collect();
    parsed.warnings.extend(refused);
    parsed.warnings.sort_by_key(|warning| warning.span.start);
    Ok(parsed)
}

/// Reads one section, which is absent when it breaks a rule.
fn section<T: Default>(
    places: &Places<'_>,
    document: &DeTable<'_>,
    parsed: &mut Parsed,
    name: &'static str,
    read: fn(&mut Section<'_>, &DeTable<'_>) -> T,
) -> T {
    let Some(value) = document.get(name) else {
        return T::default();
    };
    let mut section = Section::new(places);
    let found = section
        .table(value, name)
        .map(|table| read(&mut section, table));
    let Section {
        mut problems,
        mut remarks,
        mut left_out,
        ..
    } = section;
    if problems.is_empty() {
        parsed.warnings.append(&mut remarks);
        parsed.left_out.append(&mut left_out);
        return found.unwrap_or_default();
    }
    // One warning for all that is to be said of a section which does not apply.
    problems.extend(remarks.into_iter().map(|remark| Problem {
        message: remark.message,
        span: remark.span,
        line: remark.line,
        column: remark.column,
    }));
    let title = format!("[{name}] is ignored");
    parsed
        .warnings
        .extend(Diagnostic::of_problems(Severity::Warning, &title, problems));
    parsed.ignored.push(name);
    T::default()
}

/// The most syntax errors that are told of: after the first, the parser's guesses get worse.
const MAX_SYNTAX_ERRORS: usize = 10;

fn syntax_errors(text: &str, errors: &[toml::de::Error]) -> Vec<Diagnostic> {
    let places = Places::new(text);
    let mut found: Vec<Diagnostic> = errors
        .iter()
        .map(|error| {
            let span = error.span().unwrap_or(0..0);
            let message = escape_controls(error.message());
            Diagnostic::at(
                Severity::Error,
                format!("invalid TOML: {message}"),
                &places,
                span,
            )
        })
        .collect();
    found.sort_by_key(|diagnostic| diagnostic.span.start);
    found.truncate(MAX_SYNTAX_ERRORS);
    found
}

/// Returns a text that cannot move a terminal's cursor.
fn escape_controls(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for found in text.chars() {
        if found.is_control() {
            escaped.extend(found.escape_debug());
        } else {
            escaped.push(found);
        }
    }
    escaped
}

//! What a command failed with: the sentence, its causes, what to do next, and the exit code.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::output::{Lines, plain_words};

/// Exit codes of `amika`; see `docs/errors.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitCode {
    /// Anything that has no code of its own.
    Failure = 1,
    /// A bad flag, value or configuration; nothing was done.
    Usage = 2,
    /// No such sandbox, volume or service.
    NotFound = 3,
    /// A name, port, mount or unsaved work is in the way.
    Conflict = 4,
    /// The container engine cannot be reached.
    Engine = 5,
    /// The image could not be built or found, or does not fit.
    Image = 6,
    /// The repository could not be read or cloned.
    Repository = 7,
    /// The setup script failed; CMD did not run.
    SetupFailed = 20,
    /// Not ready in time; the sandbox stays.
    NotReady = 21,
    /// `exec` and `connect` failed themselves; every other code there is the remote program's.
    Remote = 125,
    /// Interrupted; what a create had made was unmade.
    Interrupted = 130,
}

impl ExitCode {
    /// The stable word for programs, the `code` of the JSON error.
    pub fn word(self) -> &'static str {
        match self {
            Self::Failure => "failure",
            Self::Usage => "usage",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::Engine => "engine_unreachable",
            Self::Image => "image",
            Self::Repository => "repository",
            Self::SetupFailed => "setup_failed",
            Self::NotReady => "not_ready",
            Self::Remote => "exec_failed",
            Self::Interrupted => "interrupted",
        }
    }
}

/// Failures that share an exit code with others, and have a word of their own in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// CMD ended with another code than 0, as soon as it was started.
    CmdExited,
    /// An agent was refused something, and ended with 0.
    AgentRefused,
    /// The engine could not give a sandbox a right that it needs or was to have.
    RightMissing,
}

impl Kind {
    /// The stable word for programs.
    pub fn word(self) -> &'static str {
        match self {
            Self::CmdExited => "cmd_exited",
            Self::AgentRefused => "agent_refused",
            Self::RightMissing => "right_missing",
        }
    }
}

/// A failed command, ready to be shown.
#[derive(Debug)]
pub struct CommandError {
    /// Decides the exit code, and the word in JSON unless `kind` does.
    pub code: ExitCode,
    /// The word in JSON, where the exit code has no failure of its own.
    pub kind: Option<Kind>,
    /// What was tried and what was wrong: one sentence, lower case, no full stop.
    pub message: String,
    /// The lines of a file that it is about, with a mark under each place.
    pub excerpt: Option<Box<Lines>>,
    /// Why, outermost first.
    pub causes: Vec<String>,
    /// The last lines that a program wrote, where they tell why.
    pub last_output: Option<Box<Lines>>,
    /// What to do next; commands stand in backticks and can be pasted.
    pub hints: Vec<String>,
    /// Further members of the JSON error.
    pub details: Map<String, Value>,
    /// Whether these are the engine's own words for why it does not do what it was asked: what they are
    /// about may have been removed meanwhile.
    pub is_engines: bool,
}

/// What commands return.
pub type Result<T, E = CommandError> = std::result::Result<T, E>;

impl CommandError {
    /// An error with a message and nothing else.
    pub fn new(code: ExitCode, message: impl Into<String>) -> Self {
        Self {
            code,
            kind: None,
            message: message.into(),
            excerpt: None,
            causes: Vec::new(),
            last_output: None,
            hints: Vec::new(),
            details: Map::new(),
            is_engines: false,
        }
    }

    /// Says what kind of failure it is, where others have the same exit code.
    #[must_use]
    pub fn kind(mut self, kind: Kind) -> Self {
        self.kind = Some(kind);
        self
    }

    /// Adds what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Adds the lines of a file that it is about.
    #[must_use]
    pub fn excerpt(mut self, excerpt: Lines) -> Self {
        self.excerpt = Some(Box::new(excerpt));
        self
    }

    /// Adds why it happened.
    #[must_use]
    pub fn cause(mut self, cause: impl Into<String>) -> Self {
        self.causes.push(cause.into());
        self
    }

    /// Adds the last lines that a program wrote, as one more cause behind the others; none add none.
    #[must_use]
    pub fn last_output(mut self, lines: Lines) -> Self {
        self.last_output = (!lines.is_empty()).then(|| Box::new(lines));
        self
    }

    /// Adds an error and all its sources as causes.
    #[must_use]
    pub fn caused_by(mut self, error: &dyn std::error::Error) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            let text = error.to_string();
            if self.causes.last() != Some(&text) {
                self.causes.push(text);
            }
            next = error.source();
        }
        self
    }

    /// Adds one more cause.
    #[must_use]
    pub fn because(mut self, cause: impl Into<String>) -> Self {
        self.causes.push(cause.into());
        self
    }

    /// Adds a member to the JSON error.
    #[must_use]
    pub fn detail(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.details.insert(key.to_owned(), value.into());
        self
    }

    /// The document that `-o json` prints: `{"error":{"code","message","causes","hint","hints",…}}`.
    pub fn document(&self) -> ErrorDocument {
        let mut details = self.details.clone();
        // `exec` and `connect` end with another code than the error's kind would have.
        let last_output = self.last_output.as_ref();
        let last_output =
            last_output.map(|lines| format!("its last output was:\n{}", lines.text()));
        let exit_code = details.remove("exit_code").and_then(|code| code.as_i64());
        ErrorDocument {
            error: ErrorView {
                code: self.kind.map_or(self.code.word(), Kind::word),
                exit_code: exit_code.unwrap_or(self.code as i64),
                message: plain_words(&self.message),
                excerpt: self.excerpt.as_ref().map(|lines| lines.text().into()),
                causes: self.causes().chain(last_output).collect(),
                hints: self.hints.clone(),
                hint: (!self.hints.is_empty()).then(|| self.hints.join("\n")),
                details,
            },
        }
    }

    /// Why, as it is said.
    pub fn causes(&self) -> impl Iterator<Item = String> {
        self.causes.iter().map(|cause| plain_words(cause))
    }

    /// [`CommandError::document`] as JSON.
    pub fn to_json(&self) -> Value {
        // Text, numbers and JSON always serialise.
        serde_json::to_value(self.document()).unwrap_or_default()
    }
}

/// What a failed command prints with `-o json`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ErrorDocument {
    error: ErrorView,
}

/// What it failed with.
#[derive(Debug, Serialize, JsonSchema)]
struct ErrorView {
    /// The kind of failure; `docs/errors.md` lists them.
    code: &'static str,
    /// What the command exits with.
    exit_code: i64,
    /// What was tried and what was wrong: one sentence.
    message: String,
    /// The lines of a file that it is about, with a mark under each place.
    #[serde(skip_serializing_if = "Option::is_none")]
    excerpt: Option<Box<str>>,
    /// Why, outermost first.
    causes: Vec<String>,
    /// What to do next, in lines: all of `hints`.
    hint: Option<String>,
    /// What to do next, one entry a way.
    hints: Vec<String>,
    /// What else is known of this kind of failure.
    #[serde(flatten)]
    details: Map<String, Value>,
}

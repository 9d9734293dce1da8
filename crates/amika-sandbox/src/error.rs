//! What an operation failed with: its kind, the sentence, its causes, and what to do next.

use amika_core::diagnostic::Diagnostic;
use serde_json::{Map, Value};

/// Kinds of failure. A door has an exit code, or another number, for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Anything that has no kind of its own.
    Failure,
    /// A bad value or configuration; nothing was done.
    Invalid,
    /// No such sandbox, volume, service or job.
    NotFound,
    /// A name, port, mount or unsaved work is in the way.
    Conflict,
    /// The container engine cannot be reached.
    EngineUnreachable,
    /// The image could not be built or found, or does not fit.
    Image,
    /// The repository could not be read or cloned.
    Repository,
    /// The setup script failed; CMD did not run.
    SetupFailed,
    /// Not ready in time; the sandbox stays.
    NotReady,
    /// A program could not be run in a sandbox.
    ExecFailed,
    /// Whoever asked for it asked for its end; what a create had made was unmade.
    Canceled,
    /// CMD ended with another code than 0, as soon as it was started.
    CmdExited,
    /// An agent was refused something, and ended with 0.
    AgentRefused,
    /// The engine could not give a sandbox a right that it needs or was to have.
    RightMissing,
    /// Whoever asks is not known to a server, or may not do that there; or an agent has nothing to sign in with.
    NotSignedIn,
}

impl Kind {
    /// All there are.
    pub const ALL: [Self; 15] = [
        Self::Failure,
        Self::Invalid,
        Self::NotFound,
        Self::Conflict,
        Self::EngineUnreachable,
        Self::Image,
        Self::Repository,
        Self::SetupFailed,
        Self::NotReady,
        Self::ExecFailed,
        Self::Canceled,
        Self::CmdExited,
        Self::AgentRefused,
        Self::RightMissing,
        Self::NotSignedIn,
    ];

    /// The stable word for programs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Failure => "failure",
            Self::Invalid => "usage",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::EngineUnreachable => "engine_unreachable",
            Self::Image => "image",
            Self::Repository => "repository",
            Self::SetupFailed => "setup_failed",
            Self::NotReady => "not_ready",
            Self::ExecFailed => "exec_failed",
            Self::Canceled => "interrupted",
            Self::CmdExited => "cmd_exited",
            Self::AgentRefused => "agent_refused",
            Self::RightMissing => "right_missing",
            Self::NotSignedIn => "not_signed_in",
        }
    }
}

/// What of a request a failure is about, where its own words do not say it: a door has another word for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// The setup script.
    Setup,
    /// That setup is skipped.
    SkipSetup,
    /// That ports may move.
    ReassignPorts,
}

/// A failed operation, ready to be shown.
#[derive(Debug)]
pub struct Error {
    /// What kind of failure it is.
    pub kind: Kind,
    /// What was tried and what was wrong: one sentence, lower case, no full stop.
    pub message: String,
    /// What of the request it is about.
    pub field: Option<Field>,
    /// The file that it is about, and the places in it.
    pub findings: Option<Box<Findings>>,
    /// Why, outermost first.
    pub causes: Vec<String>,
    /// The last lines that a program wrote, where they tell why.
    pub last_output: Option<Box<LastOutput>>,
    /// What to do next, one entry a way; what can be pasted stands in backticks.
    pub hints: Vec<String>,
    /// What else is known, for programs.
    pub details: Map<String, Value>,
    /// Whether these are the engine's own words for why it does not do what it was asked: what they are
    /// about may have been removed meanwhile.
    pub is_engines: bool,
}

/// A file, and what is wrong in it.
#[derive(Clone, Debug)]
pub struct Findings {
    /// The file.
    pub path: String,
    /// What is in it.
    pub text: String,
    /// The places, that of the error's own sentence first.
    pub problems: Vec<Diagnostic>,
}

/// The last that a program wrote.
#[derive(Clone, Debug)]
pub struct LastOutput {
    /// Its lines, of which each may be anybody's.
    pub lines: Vec<String>,
}

/// What operations return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error with a message and nothing else.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            field: None,
            findings: None,
            causes: Vec::new(),
            last_output: None,
            hints: Vec::new(),
            details: Map::new(),
            is_engines: false,
        }
    }

    /// Adds what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Adds what of the request it is about.
    #[must_use]
    pub fn field(mut self, field: Field) -> Self {
        self.field = Some(field);
        self
    }

    /// Adds the file that it is about.
    #[must_use]
    pub fn findings(mut self, findings: Findings) -> Self {
        self.findings = Some(Box::new(findings));
        self
    }

    /// Adds why it happened.
    #[must_use]
    pub fn cause(mut self, cause: impl Into<String>) -> Self {
        self.causes.push(cause.into());
        self
    }

    /// Adds the last lines that a program wrote, as one more cause after the others; none add none.
    #[must_use]
    pub fn last_output(mut self, lines: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let lines: Vec<String> = lines.into_iter().map(Into::into).collect();
        self.last_output = (!lines.is_empty()).then(|| Box::new(LastOutput { lines }));
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

    /// Adds something that programs may want to know.
    #[must_use]
    pub fn detail(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.details.insert(key.to_owned(), value.into());
        self
    }
}

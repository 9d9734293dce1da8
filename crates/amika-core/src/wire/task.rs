//! Programs that are started by request and run beside CMD: jobs, and the programs of terminals.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::exec_limit;

/// Body of `POST /v1/jobs`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct JobRequest {
    /// The program and its arguments; this or [`JobRequest::shell`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cmd: Option<Vec<String>>,
    /// A line for `sh -c`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell: Option<String>,
    /// Where it runs: as for `exec --workdir`, from the agent's directory on where it is relative.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// Variables that win over those of the sandbox.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Whom it runs as, in the words of `--user`; the agent without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// All that it reads; nothing without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
}

/// The largest body of a [`JobRequest`], in bytes.
pub const JOB_BODY: usize = 2 << 20;

/// Body of `POST /v1/terminals`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct TerminalRequest {
    /// What it is called: 1 to 64 of letters, digits, `-` and `_`. One is made up without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its width until somebody looks at it, 1 to [`crate::terminal::MAX_COLUMNS`]; 80 without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<u16>,
    /// Its height until then, 1 to [`crate::terminal::MAX_ROWS`]; 24 without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u16>,
    /// The program and its arguments; the user's login shell without it and [`TerminalRequest::shell`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cmd: Option<Vec<String>>,
    /// A line for `sh -c`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell: Option<String>,
    /// As [`JobRequest::cwd`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// As [`JobRequest::env`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// As [`JobRequest::user`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

/// What is to be started, once a request was found to be good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its words, the name first; none for the user's login shell.
    pub words: Option<Vec<String>>,
    /// As [`JobRequest::cwd`].
    pub cwd: Option<String>,
    /// As [`JobRequest::env`].
    pub env: BTreeMap<String, String>,
    /// As [`JobRequest::user`].
    pub user: Option<String>,
    /// As [`JobRequest::input`].
    pub input: Option<String>,
}

/// Why a request asks for nothing that can be started.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRequest {
    /// Neither.
    #[error("`cmd` (the program and its arguments) or `shell` (a line for sh) is needed")]
    NoProgram,
    /// Both.
    #[error("`cmd` and `shell` are two programs; give one of them")]
    TwoPrograms,
    /// One of its texts cannot be given to a process.
    #[error("`{field}` is empty or has a NUL byte in it")]
    BadText {
        /// Which one.
        field: &'static str,
    },
    /// A variable's name is none.
    #[error("`env`: a name is not empty and has no `=` and no NUL byte")]
    BadVariable,
    /// More than a process takes.
    #[error(transparent)]
    TooLarge(#[from] exec_limit::Unfit),
    /// A name that a terminal cannot have.
    #[error("`name`: 1 to 64 of letters, digits, `-` and `_`")]
    BadName,
    /// A size that a terminal cannot have.
    #[error(
        "`columns` are 1 to {}, `rows` 1 to {}",
        crate::terminal::MAX_COLUMNS,
        crate::terminal::MAX_ROWS
    )]
    BadSize,
}

impl JobRequest {
    /// What it asks for.
    ///
    /// # Errors
    /// [`BadRequest`].
    pub fn program(self) -> Result<Program, BadRequest> {
        let Self {
            cmd,
            shell,
            cwd,
            env,
            user,
            input,
        } = self;
        let words = words(cmd, shell)?.ok_or(BadRequest::NoProgram)?;
        let program = Program::checked(Some(words), cwd, env, user)?;
        Ok(Program { input, ..program })
    }
}

impl TerminalRequest {
    /// What it asks for.
    ///
    /// # Errors
    /// [`BadRequest`].
    pub fn program(self) -> Result<Program, BadRequest> {
        let Self {
            name,
            columns,
            rows,
            cmd,
            shell,
            cwd,
            env,
            user,
        } = self;
        if name.is_some_and(|name| !is_terminal_name(&name)) {
            return Err(BadRequest::BadName);
        }
        let fits = |value: Option<u16>, most| value.is_none_or(|value| (1..=most).contains(&value));
        if !fits(columns, crate::terminal::MAX_COLUMNS) || !fits(rows, crate::terminal::MAX_ROWS) {
            return Err(BadRequest::BadSize);
        }
        Program::checked(words(cmd, shell)?, cwd, env, user)
    }
}

impl Program {
    fn checked(
        words: Option<Vec<String>>,
        cwd: Option<String>,
        env: BTreeMap<String, String>,
        user: Option<String>,
    ) -> Result<Self, BadRequest> {
        let is_text = |text: &str| !text.is_empty() && !text.contains('\0');
        for (field, text) in [("cwd", &cwd), ("user", &user)] {
            if text.as_deref().is_some_and(|text| !is_text(text)) {
                return Err(BadRequest::BadText { field });
            }
        }
        for (name, value) in &env {
            if !is_text(name) || name.contains('=') {
                return Err(BadRequest::BadVariable);
            }
            if value.contains('\0') {
                return Err(BadRequest::BadText { field: "env" });
            }
        }
        let variables = env
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        exec_limit::check(words.as_deref().unwrap_or_default(), variables)?;
        Ok(Self {
            words,
            cwd,
            env,
            user,
            input: None,
        })
    }

    /// What it is called in a list: its words in one line of at most [`COMMAND`] characters. Never a variable.
    pub fn command(&self) -> String {
        let Some(words) = &self.words else {
            return "login shell".to_owned();
        };
        // The shell's own two words say nothing.
        let words = match words.as_slice() {
            [sh, c, line] if sh == "sh" && c == "-c" => std::slice::from_ref(line),
            words => words,
        };
        let line = words.join(" ");
        let mut shown: String = line.chars().take(COMMAND).collect();
        if shown.len() < line.len() {
            shown.pop();
            shown.push('…');
        }
        shown
    }
}

/// Characters of a command that are shown at most.
pub const COMMAND: usize = 256;

fn words(
    cmd: Option<Vec<String>>,
    shell: Option<String>,
) -> Result<Option<Vec<String>>, BadRequest> {
    match (cmd, shell) {
        (Some(_), Some(_)) => Err(BadRequest::TwoPrograms),
        (Some(words), None) if words.is_empty() => Err(BadRequest::NoProgram),
        (Some(words), None) => Ok(Some(words)),
        (None, Some(line)) => Ok(Some(vec!["sh".to_owned(), "-c".to_owned(), line])),
        (None, None) => Ok(None),
    }
}

/// Whether a terminal can be called so.
pub fn is_terminal_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    (1..=64).contains(&name.len()) && name.bytes().all(plain)
}

/// How a program that was started by request fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum TaskState {
    /// Its process lives.
    Running,
    /// It ended.
    Ended,
}

/// How it fares, in both kinds of records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Task {
    /// Whether it runs.
    pub state: TaskState,
    /// What was started, in one line of at most [`COMMAND`] characters; `login shell` for that.
    pub command: String,
    /// Its process id in the container, while it runs.
    pub pid: Option<i32>,
    /// Its exit code, once it exited by itself; 126 and 127 where it could not be run, 125 where what it needs could
    /// not be had, as `exec` has them.
    pub exit_code: Option<i32>,
    /// Number of the signal that ended it.
    pub signal: Option<i32>,
    /// When it was started.
    pub started_at: u64,
    /// When it ended.
    pub ended_at: Option<u64>,
    /// Processes of the sandbox that the kernel ended for want of memory while it ran.
    pub out_of_memory_kills: u64,
}

/// An entry of `GET /v1/jobs`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Job {
    /// By what it is asked for.
    pub id: String,
    /// How it fares.
    #[serde(flatten)]
    pub task: Task,
    /// Bytes of output so far, whether kept or not.
    pub log_bytes: u64,
    /// Whether some of the output was dropped from the middle of the log.
    pub log_truncated: bool,
}

/// An entry of `GET /v1/terminals`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Terminal {
    /// By what it is asked for.
    pub name: String,
    /// How its program fares.
    #[serde(flatten)]
    pub task: Task,
    /// Its width.
    pub columns: u16,
    /// Its height.
    pub rows: u16,
    /// How many look at it.
    pub viewers: u32,
}

/// Body of `POST /v1/jobs/{id}/signal`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SignalRequest {
    /// A name with or without `SIG`, or a number from 1 to 64.
    pub signal: String,
}

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;

    use super::*;

    fn job(text: &str) -> Result<Program, String> {
        let request: JobRequest = serde_json::from_str(text).map_err(|error| error.to_string())?;
        request.program().map_err(|error| error.to_string())
    }

    fn terminal(text: &str) -> Result<Program, String> {
        let request: TerminalRequest =
            serde_json::from_str(text).map_err(|error| error.to_string())?;
        request.program().map_err(|error| error.to_string())
    }

    #[test]
    fn a_program_is_words_or_a_line_for_the_shell_and_a_terminal_has_one_of_its_own() {
        let words = |program: Program| program.words.unwrap_or_default();
        let both = r#"{"cmd":["make","all"],"cwd":"src","user":"root","env":{"A":"b=c"}}"#;
        let program = job(both).expect("good");
        assert_eq!(program.command(), "make all");
        assert_eq!(program.env["A"], "b=c");
        assert_eq!(words(program), ["make", "all"]);
        let line = job(r#"{"shell":"cd x && make | tee log"}"#).expect("good");
        assert_eq!(line.command(), "cd x && make | tee log");
        assert_eq!(words(line), ["sh", "-c", "cd x && make | tee log"]);
        let login = terminal("{}").expect("good");
        assert_eq!(
            (login.command().as_str(), login.words),
            ("login shell", None)
        );
        assert!(terminal(r#"{"name":"main_2-b","columns":500,"rows":1,"cmd":["top"]}"#).is_ok());
    }

    #[test]
    fn what_cannot_be_started_is_refused_with_the_reason() {
        let long = format!(r#"{{"cmd":["{}"]}}"#, "x".repeat(200_000));
        for (text, why) in [
            ("{}", "is needed"),
            (r#"{"cmd":[]}"#, "is needed"),
            (r#"{"cmd":["a"],"shell":"b"}"#, "two programs"),
            (r#"{"cmd":[""]}"#, "empty word"),
            (r#"{"cmd":["a\u0000b"]}"#, "NUL"),
            (r#"{"cmd":["a"],"cwd":""}"#, "`cwd` is empty"),
            (r#"{"cmd":["a"],"user":"x\u0000"}"#, "`user`"),
            (r#"{"cmd":["a"],"env":{"":"x"}}"#, "`env`: a name"),
            (r#"{"cmd":["a"],"env":{"A=B":"x"}}"#, "`env`: a name"),
            (r#"{"cmd":["a"],"env":{"A":"\u0000"}}"#, "`env` is empty or"),
            (r#"{"cmd":["a"],"tty":true}"#, "unknown field `tty`"),
            (r#"{"cmd":"a"}"#, "expected a sequence"),
            ("[]", "is needed"),
            ("{", "EOF"),
            (&long, "too long"),
        ] {
            let told = job(text).expect_err(text);
            assert!(told.contains(why), "{text}: {told}");
        }
        for (text, why) in [
            (r#"{"name":""}"#, "`name`"),
            (r#"{"name":"a/b"}"#, "`name`"),
            (r#"{"columns":0}"#, "`columns`"),
            (r#"{"rows":301}"#, "`rows`"),
            (r#"{"rows":-1}"#, "invalid value"),
            (r#"{"cmd":[]}"#, "is needed"),
        ] {
            let told = terminal(text).expect_err(text);
            assert!(told.contains(why), "{text}: {told}");
        }
    }

    #[test]
    fn a_long_command_is_shown_cut() {
        let program = job(&format!(r#"{{"cmd":["a","{}"]}}"#, "é".repeat(300))).expect("good");
        let shown = program.command();
        assert_eq!(shown.chars().count(), COMMAND);
        assert!(shown.ends_with("éé…"), "{shown}");
    }
}

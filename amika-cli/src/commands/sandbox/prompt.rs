//! `amika sandbox prompt`: a prompt for the agent in a sandbox, which answers and ends.
//!
//! The prompt is the agent's standard input: no shell sees it, no argument list holds it, and its
//! length has no limit.

pub(in crate::commands) mod detached;
mod reading;

use amika_core::text::shell_quote;
use amika_core::untrusted::Untrusted;
use amika_core::{contract, credential, exec_limit};
pub(in crate::commands) use amika_sandbox::agent::launch;
use amika_sandbox::agent::{Form, Manner, Session, is_signed_out};
pub(in crate::commands) use reading::Reading;

use super::exec::{find_running, install_signals, interrupted, own_failure};
use super::out_of_memory;
use crate::App;
use crate::args::agent::{Agent, PromptArgs};
use crate::commands::interruptible;
use crate::error::{Error, Kind, Result};
use crate::sandbox::Sandbox;
use crate::sandboxes::Sandboxes;
use crate::sign_ins;
use crate::terminal::{self, Input, Known, Remote, Signals, Streams};

/// What a program that is not there ends with.
const NOT_FOUND: u8 = 127;
/// Stands for standard input in place of a prompt.
const STDIN: &str = "-";

pub(super) async fn run(args: &PromptArgs, app: &App) -> Result<u8> {
    own_failure(app, &args.name, attempt(args, app).await).await
}

async fn attempt(args: &PromptArgs, app: &App) -> Result<u8> {
    check(args)?;
    if args.detach {
        return interruptible(app, detached::start(args, app)).await;
    }
    let mut signals = install_signals(app)?;
    let (engine, sandbox) = find_running(app, &args.name, &mut signals).await?;
    let agent = tokio::select! {
        agent = agent(args, &engine, &sandbox) => agent?,
        () = interrupted(&mut signals) => return Err(Error::new(Kind::Canceled, "interrupted")),
    };
    let launch = launch(of_sign_in(agent), manner(args));
    // amikad keeps it for itself: while a turn runs the sandbox is at work, however quiet it is.
    let turn = (contract::env::EXEC_TURN.to_owned(), "1".to_owned());
    let remote = Remote {
        verb: "exec-as",
        user: sandbox.record.user.clone(),
        workdir: None,
        env: [launch.env, vec![turn]].concat(),
        command: launch.command,
        streams: Streams::Separate,
    };
    let input = input(&args.prompt, &mut signals).await?;
    let container = &sandbox.container.id;
    let mut reading = Reading::new(launch.unwrap);
    let known = Known::new(&engine, &sandbox);
    let code = terminal::run_as(
        &engine,
        container,
        &known,
        &remote,
        Some(input),
        &mut signals,
        &mut reading,
    )
    .await?;
    out_of_memory::tell(&engine, &sandbox, &known.id, code, app).await;
    if ![0, NOT_FOUND].contains(&code) {
        let has = sign_ins::agents(&engine, container, &sandbox.record).await;
        let own = of_sign_in(agent);
        if !has.contains(&own) {
            app.out.note(&without_sign_in(&args.name, own));
        }
    }
    Ok(ended(args, code, &remote.command[0], reading, app))
}

/// Refuses what no agent can be asked.
///
/// # Errors
/// [`Kind::Invalid`]
pub(in crate::commands) fn check(args: &PromptArgs) -> Result<()> {
    if args.prompt.trim().is_empty() {
        return Err(nothing_to_do("the prompt is empty"));
    }
    let checked = exec_limit::check(&args.args, []);
    checked.map_err(|error| Error::new(Kind::Invalid, error.to_string()))
}

/// How the agent is to work.
pub(in crate::commands) fn manner(args: &PromptArgs) -> Manner<'_> {
    Manner {
        ask: args.ask,
        form: match args {
            PromptArgs { events: true, .. } => Form::Events,
            // Nobody reads along: what is kept is to be the answer.
            PromptArgs { detach: true, .. } => Form::Plain,
            PromptArgs { .. } => Form::Answer,
        },
        session: if args.goes_on {
            Session::Last
        } else {
            Session::New
        },
        args: &args.args,
    }
}

/// The agent that is asked.
///
/// # Errors
/// [`Kind::NotSignedIn`] where it cannot have a model.
async fn agent(args: &PromptArgs, engine: &Sandboxes, sandbox: &Sandbox) -> Result<Agent> {
    let agent = match args.agent {
        Some(agent) => agent,
        None => signed_in(engine, sandbox).await,
    };
    let own = of_sign_in(agent);
    // What it was made with need not be looked for.
    if sandbox.record.credentials.contains(&own) {
        return Ok(agent);
    }
    let user = sandbox.record.user.as_deref();
    if is_signed_out(engine, &args.name, user, own, &args.args).await {
        return Err(signed_out(&args.name, own));
    }
    Ok(agent)
}

/// How an agent is signed in inside, and the variable that its key is in.
pub(in crate::commands) fn ways(agent: credential::Agent) -> (&'static str, &'static str) {
    match agent {
        credential::Agent::Claude => ("claude /login", "ANTHROPIC_API_KEY"),
        credential::Agent::Codex => ("codex login --device-auth", "CODEX_API_KEY"),
        credential::Agent::OpenCode => ("opencode auth login", "OPENCODE_API_KEY"),
    }
}

/// The error for an agent that nothing is there for by which it could have a model.
fn signed_out(name: &str, agent: credential::Agent) -> Error {
    let (inside, key) = ways(agent);
    let quoted = shell_quote(name);
    Error::new(
        Kind::NotSignedIn,
        format!("{agent} in sandbox \"{name}\" is not signed in, and was given no key"),
    )
    .hint(format!(
        "`amika credentials refresh {quoted} --credentials {agent}` brings this machine's sign-in"
    ))
    .hint(format!(
        "`amika sandbox exec -it {quoted} -- {inside}` signs in inside it"
    ))
    .hint(format!(
        "`amika sandbox create --env {key}` makes a sandbox with the key of this shell; `--agent` names another agent"
    ))
}

/// Says what a code means, and what was refused; returns the command's own code.
pub(in crate::commands) fn ended(
    args: &PromptArgs,
    code: u8,
    program: &str,
    reading: Reading,
    app: &App,
) -> u8 {
    if code == NOT_FOUND {
        app.out.note(&not_installed(program, &args.name));
    }
    match reading.found() {
        Some(what) if code == 0 => {
            app.out.error(&refused(args, program, &what));
            crate::output::exit_code(Kind::AgentRefused)
        }
        _ => code,
    }
}

/// What may help an agent that failed and has no sign-in.
fn without_sign_in(name: &str, agent: credential::Agent) -> String {
    format!(
        "hint: sandbox \"{}\" has no sign-in of {agent} that Amika gave it; `amika credentials refresh {} --credentials {agent}` brings this machine's, and `--agent` names another agent",
        Untrusted::new(name),
        shell_quote(name)
    )
}

/// What may help where the agent's program is not there.
fn not_installed(program: &str, name: &str) -> String {
    format!(
        "hint: is `{program}` installed in \"{}\"? The preset images have it; `--agent` names another one",
        Untrusted::new(name)
    )
}

/// The error for an agent that was not let do something, and ended as if all were well.
fn refused(args: &PromptArgs, program: &str, what: &str) -> Error {
    let error = Error::new(
        Kind::AgentRefused,
        format!(
            "`{program}` in \"{}\" was refused: {}",
            args.name,
            Untrusted::new(what)
        ),
    );
    if args.ask {
        error.hint("nobody can be asked here: leave `--ask` away, or allow it in the agent's own configuration")
    } else {
        error.hint("the agent's own configuration, or an argument of its, refuses it")
    }
}

/// What the agent reads. An agent that is given nothing would still be asked for an answer.
pub(in crate::commands) async fn input(prompt: &str, signals: &mut Signals) -> Result<Input> {
    let cannot = |error: std::io::Error| {
        Error::new(Kind::Failure, "standard input cannot be read").caused_by(&error)
    };
    if prompt != STDIN {
        return Input::of(prompt.as_bytes().to_vec()).map_err(cannot);
    }
    let mut input = Input::start().map_err(cannot)?;
    let says_something = tokio::select! {
        says = input.says_something() => says,
        () = interrupted(signals) => {
            return Err(Error::new(Kind::Canceled, "interrupted"));
        }
    };
    if says_something {
        Ok(input)
    } else {
        Err(nothing_to_do("the prompt on standard input is empty"))
    }
}

fn nothing_to_do(message: &str) -> Error {
    Error::new(Kind::Invalid, message)
        .hint("write what the agent is to do: `amika sandbox prompt NAME \"…\"`, or `-` and standard input")
}

/// The agent whose sign-ins these are.
pub(in crate::commands) fn of_sign_in(agent: Agent) -> credential::Agent {
    match agent {
        Agent::Claude => credential::Agent::Claude,
        Agent::Codex => credential::Agent::Codex,
        Agent::OpenCode => credential::Agent::OpenCode,
    }
}

async fn signed_in(engine: &Sandboxes, sandbox: &Sandbox) -> Agent {
    // The labels tell it at no cost, unless the sign-in came later.
    let first = match sandbox.record.credentials.first() {
        Some(first) => Some(*first),
        None => sign_ins::agents(engine, &sandbox.container.id, &sandbox.record)
            .await
            .into_iter()
            .next(),
    };
    match first {
        Some(credential::Agent::Codex) => Agent::Codex,
        Some(credential::Agent::OpenCode) => Agent::OpenCode,
        Some(credential::Agent::Claude) | None => Agent::Claude,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_can_be_pasted_and_steer_nothing_whatever_the_sandbox_is_called() {
        let hint = without_sign_in("box", credential::Agent::Claude);
        assert!(
            hint.contains("`amika credentials refresh box --credentials claude`"),
            "{hint}"
        );
        let hint = without_sign_in("a b;$(id)\u{1b}[2J", credential::Agent::Codex);
        assert!(
            hint.contains("`amika credentials refresh $'a b;$(id)\\033[2J' --credentials codex`"),
            "{hint}"
        );
        for hint in [hint, not_installed("codex", "a\u{1b}[2J\nb")] {
            assert!(!hint.contains(char::is_control), "{hint}");
        }
    }
}

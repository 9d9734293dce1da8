//! How each agent is started for one prompt: its words, its variables, and where it tells of a refusal.
//!
//! The prompt is its standard input: no shell sees it, and no argument list holds it.

use amika_core::credential::Agent;

/// A program that reads a prompt from standard input, answers it, and ends.
#[derive(Debug, PartialEq, Eq)]
pub struct Launch {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Variables besides those of the sandbox.
    pub env: Vec<(String, String)>,
    /// Whether Claude's JSON stands in place of its answer, which is to be taken out of it.
    pub unwrap: bool,
}

/// What an agent writes to standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Its answer, of Claude in a document that tells also what it was refused.
    Answer,
    /// Its answer as it prints it by itself.
    Plain,
    /// All that it does, an event a line, in JSON.
    Events,
}

/// The conversation that a prompt is a part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Session<'a> {
    /// A new one.
    New,
    /// The last one in the directory.
    Last,
    /// The one that the agent calls so.
    Named(&'a str),
}

/// How an agent is to work.
#[derive(Clone, Copy, Debug)]
pub struct Manner<'a> {
    /// Whether it may do only what it may by its own configuration, where nobody is there to be asked. It may do anything
    /// else.
    pub ask: bool,
    /// What it writes.
    pub form: Form,
    /// What it goes on with.
    pub session: Session<'a>,
    /// Its further arguments. What they say of any of that holds instead, since the agents take it only once.
    pub args: &'a [String],
}

/// The agent for one prompt.
pub fn launch(agent: Agent, manner: Manner<'_>) -> Launch {
    let Manner {
        ask,
        form,
        session,
        args,
    } = manner;
    let mut command: Vec<&str> = Vec::new();
    let mut end: Vec<&str> = Vec::new();
    let mut env: Vec<(&str, &str)> = Vec::new();
    let mut unwrap = false;
    match agent {
        Agent::Claude => {
            command.extend(["claude", "--print"]);
            if !ask
                && !given(
                    args,
                    &["--permission-mode", "--dangerously-skip-permissions"],
                )
            {
                command.push("--dangerously-skip-permissions");
                // As root it wants to be told that a sandbox is around it.
                env.push(("IS_SANDBOX", "1"));
            }
            let is_free = !given(
                args,
                &["--output-format", "--help", "-h", "--version", "-v"],
            );
            match form {
                Form::Answer if is_free => {
                    // The only form in which it tells what it was refused.
                    command.extend(["--output-format", "json"]);
                    unwrap = true;
                }
                Form::Events if is_free => {
                    command.extend(["--output-format", "stream-json", "--verbose"]);
                }
                _ => {}
            }
            match session {
                Session::New => {}
                Session::Last => end.push("--continue"),
                Session::Named(name) => end.extend(["--resume", name]),
            }
        }
        Agent::Codex => {
            // The sandbox is what makes a directory without a repository safe to work in.
            command.extend(["codex", "exec", "--skip-git-repo-check"]);
            let own = [
                "--sandbox",
                "-s",
                "--dangerously-bypass-approvals-and-sandbox",
                "--approve-for-me",
            ];
            if !ask && !given(args, &own) {
                command.push("--dangerously-bypass-approvals-and-sandbox");
            }
            if form == Form::Events && !given(args, &["--json"]) {
                command.push("--json");
            }
            match session {
                Session::New => {}
                Session::Last => end.extend(["resume", "--last"]),
                Session::Named(name) => end.extend(["resume", name]),
            }
            end.push("-");
        }
        Agent::OpenCode => {
            command.extend(["opencode", "run"]);
            if ask {
                // Else it asks for what lies outside its directory alone.
                env.push((
                    "OPENCODE_PERMISSION",
                    r#"{"edit":"ask","bash":"ask","webfetch":"ask"}"#,
                ));
            } else if !given(args, &["--auto"]) {
                command.push("--auto");
            }
            if form == Form::Events && !given(args, &["--format"]) {
                command.extend(["--format", "json"]);
            }
            match session {
                Session::New => {}
                Session::Last => end.push("--continue"),
                Session::Named(name) => end.extend(["--session", name]),
            }
        }
    }
    let own =
        |words: &[&str]| -> Vec<String> { words.iter().map(|word| (*word).to_owned()).collect() };
    Launch {
        command: [own(&command), args.to_vec(), own(&end)].concat(),
        env: env
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        unwrap,
    }
}

/// The agent for a turn of a conversation of which another program reads along: all that it does stands in lines of
/// JSON. `session` is what the agent calls the conversation that goes on; none begins one.
pub fn turn(agent: Agent, session: Option<&str>) -> Launch {
    let manner = Manner {
        ask: false,
        form: Form::Events,
        session: session.map_or(Session::New, Session::Named),
        args: &[],
    };
    launch(agent, manner)
}

/// Whether one of these options is among the arguments, with its value in the same word or not.
fn given(args: &[String], options: &[&str]) -> bool {
    args.iter().any(|arg| {
        let name = arg.split_once('=').map_or(arg.as_str(), |(name, _)| name);
        options.contains(&name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launched(agent: Agent, ask: bool, args: &[&str]) -> Launch {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let manner = Manner {
            ask,
            form: Form::Answer,
            session: Session::New,
            args: &args,
        };
        launch(agent, manner)
    }

    fn line(agent: Agent, ask: bool, args: &[&str]) -> String {
        launched(agent, ask, args).command.join(" ")
    }

    #[test]
    fn an_agent_may_work_unless_it_is_to_ask() {
        assert_eq!(
            line(Agent::Claude, false, &[]),
            "claude --print --dangerously-skip-permissions --output-format json"
        );
        assert_eq!(
            line(Agent::Claude, true, &[]),
            "claude --print --output-format json"
        );
        assert_eq!(
            line(Agent::Codex, false, &[]),
            "codex exec --skip-git-repo-check --dangerously-bypass-approvals-and-sandbox -"
        );
        assert_eq!(
            line(Agent::Codex, true, &[]),
            "codex exec --skip-git-repo-check -"
        );
        assert_eq!(line(Agent::OpenCode, false, &[]), "opencode run --auto");
        assert_eq!(line(Agent::OpenCode, true, &[]), "opencode run");
        let asking = launched(Agent::OpenCode, true, &[]);
        assert_eq!(asking.env[0].0, "OPENCODE_PERMISSION");
    }

    #[test]
    fn what_the_user_gives_the_agent_holds() {
        assert_eq!(
            line(Agent::Claude, false, &["--permission-mode=plan", "-c"]),
            "claude --print --output-format json --permission-mode=plan -c"
        );
        let own = launched(Agent::Claude, false, &["--output-format", "text"]);
        assert!(!own.unwrap, "{own:?}");
        assert_eq!(
            own.command.join(" "),
            "claude --print --dangerously-skip-permissions --output-format text"
        );
        assert_eq!(
            line(Agent::Codex, false, &["--sandbox", "workspace-write"]),
            "codex exec --skip-git-repo-check --sandbox workspace-write -"
        );
        assert_eq!(
            line(Agent::OpenCode, false, &["--auto"]),
            "opencode run --auto"
        );
    }

    #[test]
    fn a_turn_goes_on_where_the_last_one_ended() {
        let turn = |agent, session| turn(agent, session).command.join(" ");
        assert_eq!(
            turn(Agent::Claude, Some("a")),
            "claude --print --dangerously-skip-permissions --output-format stream-json --verbose --resume a"
        );
        assert_eq!(
            turn(Agent::Codex, None),
            "codex exec --skip-git-repo-check --dangerously-bypass-approvals-and-sandbox --json -"
        );
        assert_eq!(
            turn(Agent::Codex, Some("b")),
            "codex exec --skip-git-repo-check --dangerously-bypass-approvals-and-sandbox --json resume b -"
        );
        assert_eq!(
            turn(Agent::OpenCode, Some("c")),
            "opencode run --auto --format json --session c"
        );
    }

    #[test]
    fn the_last_conversation_goes_on_and_the_users_arguments_stand_before_that() {
        let model = ["--model".to_owned(), "m".to_owned()];
        let last = |agent, form| {
            let manner = Manner {
                ask: false,
                form,
                session: Session::Last,
                args: &model,
            };
            launch(agent, manner).command.join(" ")
        };
        assert_eq!(
            last(Agent::Claude, Form::Plain),
            "claude --print --dangerously-skip-permissions --model m --continue"
        );
        assert_eq!(
            last(Agent::Codex, Form::Answer),
            "codex exec --skip-git-repo-check --dangerously-bypass-approvals-and-sandbox --model m resume --last -"
        );
        assert_eq!(
            last(Agent::OpenCode, Form::Events),
            "opencode run --auto --format json --model m --continue"
        );
    }
}

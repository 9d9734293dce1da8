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

/// The agent with what it may do: anything, or with `ask` what it may by its own configuration, where
/// nobody is there to be asked. What `args` say of that holds instead, since the agents take it only once.
pub fn launch(agent: Agent, ask: bool, args: &[String]) -> Launch {
    let mut command: Vec<&str> = Vec::new();
    let mut end: &[&str] = &[];
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
            if !given(
                args,
                &["--output-format", "--help", "-h", "--version", "-v"],
            ) {
                // The only form in which it tells what it was refused.
                command.extend(["--output-format", "json"]);
                unwrap = true;
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
            end = &["-"];
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
        }
    }
    let own =
        |words: &[&str]| -> Vec<String> { words.iter().map(|word| (*word).to_owned()).collect() };
    Launch {
        command: [own(&command), args.to_vec(), own(end)].concat(),
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
    let words = |words: &[&str]| words.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
    let mut args = match agent {
        Agent::Claude => words(&["--output-format", "stream-json", "--verbose"]),
        Agent::Codex => words(&["--json"]),
        Agent::OpenCode => words(&["--format", "json"]),
    };
    match (agent, session) {
        (_, None) => {}
        (Agent::Claude, Some(session)) => args.extend(words(&["--resume", session])),
        (Agent::Codex, Some(session)) => args.extend(words(&["resume", session])),
        (Agent::OpenCode, Some(session)) => args.extend(words(&["--session", session])),
    }
    launch(agent, false, &args)
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

    fn line(agent: Agent, ask: bool, args: &[&str]) -> String {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        launch(agent, ask, &args).command.join(" ")
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
        let asking = launch(Agent::OpenCode, true, &[]);
        assert_eq!(asking.env[0].0, "OPENCODE_PERMISSION");
    }

    #[test]
    fn what_the_user_gives_the_agent_holds() {
        assert_eq!(
            line(Agent::Claude, false, &["--permission-mode=plan", "-c"]),
            "claude --print --output-format json --permission-mode=plan -c"
        );
        let own = launch(
            Agent::Claude,
            false,
            &["--output-format".into(), "text".into()],
        );
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
}

//! What is said of a command line that cannot be parsed: clap's words, with better advice.

use std::ffi::OsString;
use std::process::ExitCode;

use amika_core::untrusted::{Untrusted, steers};
use clap::CommandFactory as _;
use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::args::{self, Cli};
use crate::error::{self, Error};
use crate::output::Printer;

/// Prints what clap found. Help and version are no errors; the rest is, also in JSON.
pub(crate) fn not_parsed(mut error: clap::Error) -> ExitCode {
    if !error.use_stderr() {
        // A closed pipe has nobody left to read it.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let typed: Vec<OsString> = std::env::args_os().skip(1).collect();
    // There every other code is a program's.
    let kind = if args::ends_with_a_programs_code(typed.clone()) {
        error::Kind::ExecFailed
    } else {
        error::Kind::Invalid
    };
    let code = crate::output::exit_code(kind);
    let quiet = args::asks_for_quiet(typed.clone());
    keep_in_line(&mut error);
    advise(&mut error, &typed);
    if args::asks_for_json(typed.clone()) {
        let command_error = usage_error(&error, &typed).detail("exit_code", code);
        Printer::new(true, quiet).error(&command_error);
    } else {
        if quiet {
            for kind in ADVICE {
                error.remove(kind);
            }
        }
        // A word of the command line may be somebody else's: pasted, or from a script.
        crate::output::coloured(&error.render().ansi().to_string());
    }
    ExitCode::from(code)
}

/// Makes words of the command line, which clap repeats as they are, stay in their line.
fn keep_in_line(error: &mut clap::Error) {
    let inert = |(kind, value): (ContextKind, &ContextValue)| match value {
        ContextValue::String(word) if word.chars().any(steers) => {
            let word = Untrusted::new(word).to_string();
            Some((kind, ContextValue::String(word)))
        }
        _ => None,
    };
    let words: Vec<_> = error.context().filter_map(inert).collect();
    for (kind, word) in words {
        error.insert(kind, word);
    }
}

/// What clap's error has besides what was wrong.
const ADVICE: [ContextKind; 4] = [
    ContextKind::Suggested,
    ContextKind::SuggestedArg,
    ContextKind::SuggestedSubcommand,
    ContextKind::SuggestedValue,
];

/// What clap says as one message and its hints, without the layout that is made for a terminal.
fn usage_error(error: &clap::Error, typed: &[OsString]) -> Error {
    let no_command = matches!(
        error.kind(),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand
    );
    if no_command {
        let (path, _) = found(typed);
        return Error::new(error::Kind::Invalid, "no command was given")
            .hint(format!("`{path} --help` lists them"));
    }
    let text = error.to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let (message, rest) = text.split_once("\n\n").unwrap_or((text, ""));
    let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
    let usage_error = Error::new(error::Kind::Invalid, message);
    rest.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("For more information"))
        .fold(usage_error, |error, line| {
            error.hint(line.strip_prefix("tip: ").unwrap_or(line))
        })
}

/// Puts better advice in the place of clap's.
fn advise(error: &mut clap::Error, typed: &[OsString]) {
    match error.kind() {
        ErrorKind::InvalidSubcommand => advise_on_command(error, typed),
        ErrorKind::InvalidValue => advise_on_empty_name(error, typed),
        ErrorKind::UnknownArgument => advise_on_flag(error, typed),
        _ => {}
    }
}

/// Clap also knows hidden commands, and shows all that are somehow alike, the best one last.
fn advise_on_command(error: &mut clap::Error, typed: &[OsString]) {
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand).cloned()
    else {
        return;
    };
    let (path, command) = found(typed);
    let alike = match error.remove(ContextKind::SuggestedSubcommand) {
        Some(ContextValue::Strings(alike)) => alike,
        Some(ContextValue::String(alike)) => vec![alike],
        _ => Vec::new(),
    };
    let known = visible(&command);
    let best = alike.into_iter().rev().find(|word| known.contains(word));
    let verbs = command.find_subcommand("sandbox").map(visible);
    let verb = |near: &str| {
        let verbs = verbs.iter().flatten().map(String::as_str);
        amika_core::nearest::nearest(near, verbs).map(str::to_owned)
    };
    let tip = match (verb(&word), best) {
        _ if word == "version" && path == "amika" => StyledStr::from("use `amika --version`"),
        // What somebody types who leaves the noun out.
        (Some(verb), best) if verb == word || best.is_none() => {
            StyledStr::from(format!("use `{path} sandbox {verb} …`"))
        }
        (_, Some(best)) => {
            let best = ContextValue::Strings(vec![best]);
            error.insert(ContextKind::SuggestedSubcommand, best);
            return;
        }
        (_, None) => return,
    };
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip]));
}

/// Clap does not see that two letters were swapped in a short word, and also tells how to hand a
/// misspelt flag to the sandbox's program, which nobody meant who is shown the right one.
fn advise_on_flag(error: &mut clap::Error, typed: &[OsString]) {
    let Some(ContextValue::String(flag)) = error.get(ContextKind::InvalidArg).cloned() else {
        return;
    };
    if let Some(word) = flag.strip_prefix("--") {
        let (_, command) = found(typed);
        let root = Cli::command();
        let flags: Vec<&str> = command
            .get_arguments()
            .chain(root.get_arguments().filter(|arg| arg.is_global_set()))
            .filter(|arg| !arg.is_hide_set())
            .filter_map(clap::Arg::get_long)
            .chain(["help"])
            .collect();
        if let Some(near) = amika_core::nearest::nearest(word, flags) {
            let near = ContextValue::String(format!("--{near}"));
            error.insert(ContextKind::SuggestedArg, near);
        }
    }
    if error.get(ContextKind::SuggestedArg).is_some() {
        error.remove(ContextKind::Suggested);
    }
}

/// An unset variable of a script, most often.
fn advise_on_empty_name(error: &mut clap::Error, typed: &[OsString]) {
    let is_empty = matches!(error.get(ContextKind::InvalidValue), Some(ContextValue::String(value)) if value.is_empty());
    let is_name = matches!(error.get(ContextKind::InvalidArg), Some(ContextValue::String(arg)) if arg.contains("NAME") || arg.contains("OLD"));
    if !is_empty || !is_name {
        return;
    }
    let (path, _) = found(typed);
    let list = if path == "amika volume" || path.starts_with("amika volume ") {
        "amika volume list"
    } else {
        "amika sandbox list"
    };
    let tip = StyledStr::from(format!("`{list}` shows the names"));
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip]));
}

/// The command that the words lead to, as far as they do, and its full name.
fn found(typed: &[OsString]) -> (String, clap::Command) {
    let mut command = Cli::command();
    let mut path = command.get_name().to_owned();
    for word in args::words(typed.iter().cloned()) {
        let Some(next) = command.find_subcommand(&word).cloned() else {
            break;
        };
        path = format!("{path} {}", next.get_name());
        command = next;
    }
    (path, command)
}

/// The words for a command's subcommands, without hidden ones.
fn visible(command: &clap::Command) -> Vec<String> {
    command
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
        .flat_map(|command| {
            std::iter::once(command.get_name()).chain(command.get_visible_aliases())
        })
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    fn of(words: &[&str]) -> Error {
        let all = std::iter::once(&"amika").chain(words);
        let mut error = Cli::try_parse_from(all).unwrap_err();
        let typed: Vec<OsString> = words.iter().map(OsString::from).collect();
        advise(&mut error, &typed);
        usage_error(&error, &typed)
    }

    #[test]
    fn a_word_of_the_command_line_begins_no_line_of_what_is_said() {
        for typed in [
            &["amika", "sandbox", "x\nhint: run evil"][..],
            &["amika", "ls", "--x\nhint: run evil"],
            &["amika", "ls", "-o", "x\nhint: run evil"],
        ] {
            let mut error = Cli::try_parse_from(typed).unwrap_err();
            keep_in_line(&mut error);
            let said = error.to_string();
            assert!(!said.contains("\nhint: run evil"), "{said}");
        }
    }

    #[test]
    fn what_clap_says_becomes_a_message_and_hints() {
        let typo = of(&["sandbox", "create", "--replac"]);
        assert_eq!(typo.message, "unexpected argument '--replac' found");
        assert_eq!(typo.hints[0], "a similar argument exists: '--replace'");
        assert!(typo.hints.last().unwrap().starts_with("Usage: amika"));
        let both = of(&["sandbox", "create", "--no-wait", "--connect"]);
        assert!(both.message.contains("cannot be used with"));
        // All arguments that are missing, in one line.
        let missing = of(&["sandbox", "exec"]);
        assert!(missing.message.contains("<NAME>") && !missing.message.contains('\n'));
    }

    #[test]
    fn a_misspelt_flag_is_answered_with_the_right_one_alone() {
        for (words, near) in [
            (&["sandbox", "create", "--gti"][..], "--git"),
            (&["sandbox", "create", "--gti=."], "--git"),
            (&["sandbox", "create", "--evn", "A"], "--env"),
            (&["sandbox", "create", "--brnch", "x"], "--branch"),
            (&["sandbox", "create", "--enviro", "A"], "--env"),
            (&["sandbox", "delete", "--focre", "x"], "--force"),
            (&["sandbox", "list", "--quite"], "--quiet"),
            (&["--hlep"], "--help"),
        ] {
            let hints = of(words).hints;
            assert_eq!(
                hints[0],
                format!("a similar argument exists: '{near}'"),
                "{words:?}: {hints:?}"
            );
            assert!(hints[1].starts_with("Usage: "), "{words:?}: {hints:?}");
        }
        let far = of(&["sandbox", "create", "--frobnicate"]).hints;
        assert!(!far.concat().contains("similar"), "{far:?}");
        assert!(far[0].contains("-- --frobnicate"), "{far:?}");
    }

    #[test]
    fn without_a_command_the_help_of_what_was_typed_is_named() {
        for (words, help) in [
            (&[][..], "amika --help"),
            (&["sandbox"], "amika sandbox --help"),
            (&["-o", "json", "sb"], "amika sandbox --help"),
            (&["volume", "-q"], "amika volume --help"),
        ] {
            let error = of(words);
            assert_eq!(error.message, "no command was given", "{words:?}");
            assert_eq!(error.hints, [format!("`{help}` lists them")], "{words:?}");
        }
    }

    #[test]
    fn unknown_commands_have_one_piece_of_advice_and_none_is_hidden() {
        for (words, advice) in [
            (&["stop"][..], "use `amika sandbox stop …`"),
            (&["create"], "use `amika sandbox create …`"),
            (&["logs"], "use `amika sandbox logs …`"),
            (&["inspect", "teal-tokyo"], "use `amika sandbox inspect …`"),
            (&["conect"], "use `amika sandbox connect …`"),
            (&["version"], "use `amika --version`"),
            (&["sandbx"], "a similar subcommand exists: 'sandbox'"),
            (&["volumes"], "a similar subcommand exists: 'volume'"),
            (&["sandbox", "lst"], "a similar subcommand exists: 'list'"),
            (
                &["sandbox", "delte"],
                "a similar subcommand exists: 'delete'",
            ),
        ] {
            let hints = of(words).hints;
            assert_eq!(hints[0], advice, "{words:?}: {hints:?}");
            assert!(hints[1].starts_with("Usage: "), "{words:?}: {hints:?}");
        }
        for hidden in ["generat", "sbb"] {
            let hints = of(&[hidden]).hints;
            let told = hints
                .iter()
                .any(|hint| hint.contains("generate") || hint.contains("'sb'"));
            assert!(!told, "{hints:?}");
        }
    }

    #[test]
    fn an_empty_name_is_refused_with_where_names_are() {
        let sandbox = "`amika sandbox list` shows the names";
        let volume = "`amika volume list` shows the names";
        for (words, hint) in [
            (&["sandbox", "inspect", ""][..], sandbox),
            (&["sandbox", "stop", "a", ""], sandbox),
            (&["sandbox", "rename", "", "b"], sandbox),
            (&["credentials", "pull", ""], sandbox),
            (&["volume", "prune", "--sandbox-name", ""], volume),
            (&["volume", "inspect", ""], volume),
            (&["volume", "rm", ""], volume),
        ] {
            let error = of(words);
            assert!(error.message.contains("a value is required"), "{error:?}");
            assert_eq!(error.hints[0], hint, "{words:?}");
        }
    }
}

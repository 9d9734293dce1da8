//! What a terminal is shown: colours where they are wanted (no-color.org), tables that fit.

use crate::support::{DEBIAN, Output, Stage};

/// The beginning of a colour.
const ESCAPE: char = '\u{1b}';
/// Commands that show colours: a result, and a failure that is ours and one of the argument parser's.
const COMMANDS: [&[&str]; 3] = [&["doctor"], &["sandbox", "list"], &["no-such-command"]];
/// Where no engine is: each of the commands says so, in red.
const NOWHERE: (&str, &str) = ("DOCKER_HOST", "unix:///nonexistent/docker.sock");

/// What a command shows on a terminal with these variables.
fn shown(stage: &Stage, args: &[&str], env: &[(&str, &str)]) -> String {
    let env: Vec<_> = env.iter().copied().chain([NOWHERE]).collect();
    let mut terminal = stage.on_terminal_of(80, &env, args);
    let (code, text) = terminal.end();
    assert!(code != 0 && text.contains("error:"), "{args:?}: {text:?}");
    text
}

fn piped(stage: &Stage, args: &[&str], env: &[(&str, &str)]) -> Output {
    let run = stage.amika(args).env(NOWHERE.0, NOWHERE.1);
    env.iter()
        .fold(run, |run, (name, value)| run.env(name, value))
        .output()
}

#[test]
fn a_terminal_has_colours_unless_no_color_is_set() {
    let stage = Stage::new();
    for args in COMMANDS {
        let plain = shown(&stage, args, &[("NO_COLOR", "1")]);
        assert!(!plain.contains(ESCAPE), "{args:?}: {plain:?}");
        for env in [&[][..], &[("NO_COLOR", "")]] {
            let coloured = shown(&stage, args, env);
            // Red, by number or by name, is the first thing about an error.
            assert!(coloured.contains(ESCAPE), "{args:?} {env:?}: {coloured:?}");
            assert_eq!(without_colours(&coloured), plain, "{args:?} {env:?}");
        }
    }
}

#[test]
fn a_dumb_terminal_and_a_pipe_have_none() {
    let stage = Stage::new();
    for args in COMMANDS {
        let dumb = shown(&stage, args, &[("TERM", "dumb")]);
        assert!(!dumb.contains(ESCAPE), "{args:?}: {dumb:?}");
        for env in [&[][..], &[("NO_COLOR", "")]] {
            let piped = piped(&stage, args, env).text();
            assert!(piped.contains("error:"), "{args:?}: {piped}");
            assert!(!piped.contains(ESCAPE), "{args:?} {env:?}: {piped:?}");
        }
    }
}

/// A text without its colours.
fn without_colours(text: &str) -> String {
    let mut parts = text.split(ESCAPE);
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (_, rest) = part.split_once('m').unwrap_or((part, ""));
        plain.push_str(rest);
    }
    plain
}

#[test]
fn a_table_fits_the_terminal() {
    let stage = Stage::new();
    let repository = stage.repository("a-repository-with-a-long-name", &[("file", "x")]);
    let sandbox = stage.sandbox(DEBIAN, &["--git", &repository, "--port", "3000"]);
    for columns in [60, 100] {
        for args in [
            &["ls"][..],
            &["ls", "--long"],
            &["service", "list"],
            &["volume", "list"],
        ] {
            let mut terminal = stage.on_terminal_of(columns, &[("COLUMNS", "200")], args);
            let (code, text) = terminal.end();
            assert_eq!(code, 0, "{text}");
            for line in text.lines() {
                let width = without_colours(line.trim_end_matches('\r')).chars().count();
                // A label and a word that does not fit: whole, it can be copied.
                let is_one_word = line.split_whitespace().count() <= 2;
                assert!(
                    width <= usize::from(columns) || is_one_word,
                    "{width} in {columns}:\n{text}"
                );
            }
            // No word is broken, least of all what people copy.
            let is_listed = args[0] != "service";
            assert!(!is_listed || text.contains(&sandbox.name), "{text}");
        }
    }
    // Whoever reads a pipe wants one line a sandbox.
    let piped = stage.amika(&["ls"]).output().stdout_text();
    let row = piped.lines().find(|line| line.starts_with(&sandbox.name));
    assert!(
        row.unwrap().contains("a-repository-with-a-long-name"),
        "{piped}"
    );
}

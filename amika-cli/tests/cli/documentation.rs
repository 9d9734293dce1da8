//! The documentation names commands, flags, files, sections and messages that there are.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;

/// A page of the documentation.
struct Page {
    /// Its path, from the repository's root.
    path: String,
    text: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn page(path: &str) -> Page {
    let text = std::fs::read_to_string(root().join(path)).unwrap();
    Page {
        path: path.to_owned(),
        text,
    }
}

/// All pages.
fn pages() -> Vec<Page> {
    let mut paths: Vec<String> = [
        "README.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "images/README.md",
    ]
    .map(str::to_owned)
    .to_vec();
    for entry in std::fs::read_dir(root().join("docs")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if Path::new(&name).extension().is_some_and(|it| it == "md") {
            paths.push(format!("docs/{name}"));
        }
    }
    paths.iter().map(|path| page(path)).collect()
}

/// The files of the repository that are Rust's, with their paths from its root.
fn sources() -> Vec<Page> {
    let mut found = Vec::new();
    let mut open = ["amika-cli", "amikad", "crates", "tests"]
        .map(PathBuf::from)
        .to_vec();
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(root().join(&directory)).unwrap() {
            let path = directory.join(entry.unwrap().file_name());
            if root().join(&path).is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(page(path.to_str().unwrap()));
            }
        }
    }
    found
}

/// A page's lines with their numbers, and whether each is one of a code block.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str, bool)> {
    let mut is_fenced = false;
    text.lines().enumerate().map(move |(number, line)| {
        if line.trim_start().starts_with("```") {
            is_fenced = !is_fenced;
            return (number + 1, "", false);
        }
        (number + 1, line, is_fenced || line.starts_with("    "))
    })
}

/// What stands between backticks in a line.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// A command of `amika` as a page has it.
#[derive(Debug)]
struct Typed<'a> {
    text: &'a str,
    /// Whether it is typed as it is; else it may be a mention that leaves arguments out.
    is_whole: bool,
}

/// The commands of `amika` in a line.
fn commands(line: &str, is_code: bool) -> Vec<Typed<'_>> {
    let typed = line.trim_start();
    let typed = typed.strip_prefix("$ ").unwrap_or(typed);
    let mut found: Vec<Typed<'_>> = quoted(line)
        .filter(|quoted| quoted.starts_with("amika "))
        // A synopsis is no command.
        .filter(|quoted| !quoted.contains(['[', '|']) && !quoted.contains(" --NAME"))
        .map(|text| Typed {
            text,
            is_whole: false,
        })
        .collect();
    if is_code && typed.starts_with("amika ") {
        found.push(Typed {
            text: typed,
            is_whole: true,
        });
    }
    found
}

/// Splits a command as a shell does; what follows it, or explains it behind two blanks, is left out.
fn words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut characters = command.chars().peekable();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some(open), _) if character == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None, ' ') => {
                words.extend(word.take());
                if matches!(characters.peek(), Some(' ' | '#')) {
                    break;
                }
            }
            (None, '|' | '<' | '>' | ';' | '&') => break,
            (Some(_) | None, _) => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    words
}

/// Puts something in the place of what a reader is to replace, and takes a synopsis's brackets away.
fn filled(word: &str) -> String {
    if word == "…" {
        return "x".into();
    }
    let word = word.trim_matches(['[', ']']).replace('…', "");
    if word.starts_with('-') {
        return word;
    }
    let mut filled = word;
    for (placeholder, value) in [
        ("NAME", "teal-tokyo"),
        ("SANDBOX", "teal-tokyo"),
        ("LOCAL", "8080"),
        ("PORT", "3000"),
    ] {
        filled = filled.replace(placeholder, value);
    }
    filled
}

/// Why clap does not take a command; none where it does, or shows help.
fn refusal(command: &Typed<'_>) -> Option<String> {
    let words = words(command.text).into_iter().map(|word| filled(&word));
    let words: Vec<String> = words.filter(|word| !word.is_empty()).collect();
    let error = amika_cli::command().try_get_matches_from(words).err()?;
    let is_well = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => true,
        ErrorKind::MissingRequiredArgument
        | ErrorKind::MissingSubcommand
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => !command.is_whole,
        _ => false,
    };
    (!is_well).then(|| error.to_string())
}

#[test]
fn every_command_in_the_documentation_can_be_typed() {
    let mut tried = 0;
    let mut refused = Vec::new();
    for page in pages() {
        for (number, line, is_code) in lines(&page.text) {
            for command in commands(line, is_code) {
                tried += 1;
                if let Some(why) = refusal(&command) {
                    let text = command.text;
                    refused.push(format!("{}:{number}: {text}\n{why}", page.path));
                }
            }
        }
    }
    assert!(tried > 200, "only {tried} commands were found");
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}

#[test]
fn a_flag_that_there_is_not_is_found_in_a_transcript() {
    assert_eq!(
        words("amika sandbox exec a -- sh -c 'a  b' \"c\"  # why"),
        [
            "amika", "sandbox", "exec", "a", "--", "sh", "-c", "a  b", "c"
        ]
    );
    for (line, is_code, is_refused) in [
        ("    $ amika sandbox create --git", true, false),
        ("    $ amika sandbox create --gti", true, true),
        ("    amika sandbox stop --all    all that run", true, false),
        ("    hint: `amika sandbox strat shop` starts it", true, true),
        ("see `amika sandbox logs NAME --nothing`", false, true),
        ("see `amika sandbox wait NAME --timeout 2m`", false, false),
        ("see `amika sandbox logs`", false, false),
        ("    $ amika sandbox logs", true, true),
        (
            "    amika volume prune [--sandbox-name SANDBOX]",
            true,
            false,
        ),
    ] {
        let commands = commands(line, is_code);
        let [command] = commands.as_slice() else {
            panic!("{line}: {commands:?}");
        };
        assert_eq!(refusal(command).is_some(), is_refused, "{line}");
    }
}

/// The anchor that a heading has on a page.
fn anchor(heading: &str) -> String {
    heading
        .trim_start_matches('#')
        .trim()
        .to_lowercase()
        .chars()
        .filter(|it| it.is_alphanumeric() || matches!(it, ' ' | '-' | '_'))
        .map(|it| if it == ' ' { '-' } else { it })
        .collect()
}

#[test]
fn every_link_leads_to_a_file_and_a_section() {
    let mut followed = 0;
    for page in pages() {
        let directory = Path::new(&page.path).parent().unwrap();
        for (number, line, is_code) in lines(&page.text) {
            if is_code {
                continue;
            }
            for link in line.split("](").skip(1) {
                let target = link.split(')').next().unwrap_or_default();
                if target.contains("://") {
                    continue;
                }
                followed += 1;
                let place = format!("{}:{number}: {target}", page.path);
                let (file, section) = target.split_once('#').unwrap_or((target, ""));
                let file = match file {
                    "" => PathBuf::from(&page.path),
                    file => directory.join(file),
                };
                let file = root().join(file);
                assert!(file.exists(), "{place}");
                if section.is_empty() {
                    continue;
                }
                let text = std::fs::read_to_string(&file).unwrap();
                let is_there = lines(&text)
                    .filter(|(_, line, is_code)| !is_code && line.starts_with('#'))
                    .any(|(_, line, _)| anchor(line) == section);
                assert!(is_there, "{place}: no such section");
            }
        }
    }
    assert!(followed > 50, "only {followed} links were found");
}

#[test]
fn every_file_that_contributors_are_sent_to_is_there() {
    let guide = page("CONTRIBUTING.md");
    let mut files: BTreeSet<String> = sources().into_iter().map(|page| page.path).collect();
    for directory in [
        "docs",
        "docs/schema",
        "scripts",
        "images",
        "images/coder",
        ".",
    ] {
        for entry in std::fs::read_dir(root().join(directory)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            files.insert(format!("{directory}/{name}"));
        }
    }
    let mut named = 0;
    for (number, line, _) in lines(&guide.text) {
        for name in quoted(line) {
            let is_file = name.contains('/') && !name.contains([' ', '*', '<', '$', '~', '='])
                || Path::new(name).extension().is_some_and(|it| it == "rs") && !name.contains(' ');
            // A name in capitals is the reader's to choose.
            if !is_file
                || name.contains("NAME")
                || name.contains("VERB")
                || name.starts_with(['.', '/'])
            {
                continue;
            }
            named += 1;
            let whole = root().join(name).exists();
            let end = format!("/{name}");
            assert!(
                whole || files.iter().any(|file| file.ends_with(&end)),
                "CONTRIBUTING.md:{number}: {name}"
            );
        }
    }
    assert!(named > 30, "only {named} files were found");
}

/// The text of string literals, as far as a reader may meet it: escaped quotes are quotes, and lines that are
/// continued are one.
fn literals(source: &str) -> String {
    let mut text = String::new();
    for (number, part) in source.split("\\\n").enumerate() {
        text.push_str(if number == 0 { part } else { part.trim_start() });
    }
    text.replace("\\\"", "\"")
}

#[test]
fn troubleshooting_quotes_messages_that_there_are() {
    let said: Vec<String> = sources().iter().map(|page| literals(&page.text)).collect();
    let page = page("docs/troubleshooting.md");
    let exit_codes = page
        .text
        .split("\n## ")
        .find(|section| section.starts_with("By exit code"))
        .unwrap();
    let mut quotations = 0;
    for line in exit_codes.lines().filter(|line| line.starts_with("| ")) {
        let seen = line.split(" | ").next().unwrap_or_default();
        for part in quoted(seen).flat_map(|message| message.split('…')) {
            let part = part.trim();
            if part.len() < 6 || part.starts_with("amika ") {
                continue;
            }
            quotations += 1;
            assert!(
                said.iter().any(|source| source.contains(part)),
                "no message has {part:?}: {line}"
            );
        }
    }
    assert!(quotations > 25, "only {quotations} quotations were found");
}

#[test]
fn troubleshooting_has_every_exit_code() {
    let troubleshooting = page("docs/troubleshooting.md").text;
    let reference = page("docs/errors.md").text;
    let mut rows = 0;
    for line in reference.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, code, word, ..] = cells.as_slice() else {
            continue;
        };
        if code.parse::<u8>().is_err() || word.is_empty() {
            continue;
        }
        rows += 1;
        let heading = format!("### {code} {word}");
        assert!(troubleshooting.lines().any(|it| it == heading), "{heading}");
    }
    assert!(rows > 12, "only {rows} exit codes were found");
}

#[test]
fn troubleshooting_has_every_row_of_doctor() {
    let troubleshooting = page("docs/troubleshooting.md").text;
    let mut names = BTreeSet::new();
    for source in sources() {
        let is_doctors = source.path.contains("/src/") && source.path.contains("doctor");
        let code = source.text.split("#[cfg(test)]").next().unwrap_or_default();
        for start in [".add(", ".fail(", "name: ", "const NAME: &str = "] {
            for rest in code.split(start).skip(1).filter(|_| is_doctors) {
                let name = rest.trim_start().strip_prefix('"');
                names.extend(
                    name.and_then(|name| name.split('"').next())
                        .map(str::to_owned),
                );
            }
        }
    }
    assert!(names.len() > 18, "{names:?}");
    for name in names {
        let row = format!("| `{name}` |");
        assert!(troubleshooting.contains(&row), "{row}");
    }
}

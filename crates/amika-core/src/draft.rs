//! A configuration that is about to be written: what is known of it, and the files that say it.
//!
//! What goes into it comes from a repository that may be hostile. So every word of the repository's is quoted where it
//! is a value, of TOML or of a shell, and one line without control characters where it is a comment.

use std::fmt::Write as _;

use crate::config;
use crate::port::{ContainerPort, Protocol};
use crate::service::Scheme;
use crate::untrusted::{Untrusted, steers};

/// Where the setup script is written, relative to the repository's root.
pub const SETUP: &str = ".amika/setup.sh";
/// Where the start script is written, relative to the repository's root.
pub const START: &str = ".amika/start.sh";

/// A line of a comment has at most so many characters of foreign text.
const COMMENT: usize = 300;

/// What a repository's configuration is to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Draft {
    /// What made it, as it is typed: `amika init`.
    pub by: &'static str,
    /// What is to be known of it and has no key: a comment each.
    pub remarks: Vec<String>,
    /// What the setup script does, in this order; nothing makes no script.
    pub setup: Vec<Step>,
    /// Files whose change runs setup again; none says `true`.
    pub once: Vec<String>,
    /// What the start script does.
    pub start: Vec<Step>,
    /// `[sandbox]`
    pub image: Option<Image>,
    /// `[env]`
    pub env: Vec<(String, String)>,
    /// `[services]`
    pub services: Vec<Service>,
}

/// Of which image sandboxes are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Image {
    /// `image`: its reference.
    Named(String),
    /// `dockerfile` and `build_args`.
    Built {
        /// Its path from the repository's root.
        dockerfile: String,
        /// Names as ARG lines have them, and values without control characters.
        args: Vec<(String, String)>,
    },
}

/// A part of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Why it is there: a comment.
    pub why: String,
    /// The shell's text, of which foreign words are quoted.
    pub text: String,
    /// Whether it needs the function [`TOOL`].
    pub needs_tool: bool,
}

/// A service with one port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its name: see [`service_name`].
    pub name: String,
    /// Where it listens.
    pub port: ContainerPort,
    /// What a browser says to it.
    pub scheme: Option<Scheme>,
    /// What starts it with the first connection; none is started by hand.
    pub command: Option<Vec<String>>,
    /// The directory that it starts in, relative to the repository's root.
    pub cwd: Option<String>,
}

/// A file that is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its path, relative to the repository's root.
    pub path: &'static str,
    /// All of it.
    pub content: String,
    /// Whether it is a program.
    pub is_executable: bool,
}

/// The shell function `tool`, for steps whose tool the image may lack.
pub const TOOL: &str = "\
# Whether a program is there. One that the image lacks comes from its distribution; where that fails it is said,
# and what needs the program is left out.
tool() {
    program=$1
    shift
    command -v \"$program\" >/dev/null && return
    echo \"$program is not in this image: installing $*\"
    if command -v apt-get >/dev/null && apt-get -qq update &&
        DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends \"$@\" >/dev/null; then
        return
    fi
    echo \"$program cannot be installed: do it here, or name an image that has it in .amika/config.toml\" >&2
    return 1
}
";

impl Draft {
    /// The files that say it, the configuration last: whoever finds that one finds what it names.
    pub fn files(&self) -> Vec<File> {
        let mut files = Vec::new();
        for (path, steps, what) in [
            (SETUP, &self.setup, SETUP_HEAD),
            (START, &self.start, START_HEAD),
        ] {
            if !steps.is_empty() {
                files.push(File {
                    path,
                    content: script(steps, what, self.by),
                    is_executable: true,
                });
            }
        }
        files.push(File {
            path: config::PATH,
            content: self.config(),
            is_executable: false,
        });
        files
    }

    fn config(&self) -> String {
        let mut text = format!(
            "# How sandboxes of this repository are made. Written by `{}`; yours to change.\n\
             # `amika config check` says what it means, docs/configuration.md what else there is.\n",
            self.by
        );
        if !self.remarks.is_empty() {
            text.push_str("#\n");
        }
        for remark in &self.remarks {
            comment(&mut text, remark);
        }
        if !(self.setup.is_empty() && self.start.is_empty()) {
            text.push_str("\n[lifecycle]\n");
        }
        if !self.setup.is_empty() {
            line(&mut text, "setup_script", &quoted(SETUP));
            line(&mut text, "setup_once", &self.once());
        }
        if !self.start.is_empty() {
            line(&mut text, "start_script", &quoted(START));
        }
        if let Some(image) = &self.image {
            image.write(&mut text);
        }
        if !self.env.is_empty() {
            text.push_str("\n[env]\n");
        }
        for (name, value) in &self.env {
            line(&mut text, &quoted_key(name), &quoted(value));
        }
        for service in &self.services {
            service.write(&mut text);
        }
        text
    }

    fn once(&self) -> String {
        if self.once.is_empty() {
            return "true".to_owned();
        }
        let files = self.once.iter().take(config::MAX_ONCE_FILES);
        list(files.map(String::as_str))
    }
}

const SETUP_HEAD: &str = "Sets a sandbox of this repository up: as root, in its directory, before anything else runs in it.";
const START_HEAD: &str =
    "Runs at each start of a sandbox, once it is set up: as the agent, in the repository.";

fn script(steps: &[Step], what: &str, by: &str) -> String {
    let mut text = format!(
        "#!/bin/sh\n# {what}\n# Written by `{by}`; yours to change. The first command that fails ends it.\nset -eu\n"
    );
    if steps.iter().any(|step| step.needs_tool) {
        text.push('\n');
        text.push_str(TOOL);
    }
    for step in steps {
        text.push('\n');
        comment(&mut text, &step.why);
        text.push_str(&step.text);
        text.push('\n');
    }
    text
}

impl Image {
    fn write(&self, text: &mut String) {
        text.push_str("\n[sandbox]\n");
        match self {
            Self::Named(image) => line(text, "image", &quoted(image)),
            Self::Built { dockerfile, args } => {
                line(text, "dockerfile", &quoted(dockerfile));
                if !args.is_empty() {
                    text.push_str("\n[sandbox.build_args]\n");
                }
                for (name, value) in args {
                    line(text, &quoted_key(name), &quoted(value));
                }
            }
        }
    }
}

impl Service {
    fn write(&self, text: &mut String) {
        // Writing to a string does not fail.
        let _ = write!(text, "\n[services.{}]\n", quoted_key(&self.name));
        let port = match self.port.protocol() {
            Protocol::Tcp => self.port.port().to_string(),
            Protocol::Udp => quoted(&self.port.to_string()),
        };
        line(text, "port", &port);
        if let Some(scheme) = self.scheme {
            line(text, "url_scheme", &quoted(scheme.as_str()));
        }
        if let Some(command) = &self.command {
            line(text, "command", &list(command.iter().map(String::as_str)));
            if let Some(cwd) = &self.cwd {
                line(text, "cwd", &quoted(cwd));
            }
            line(text, "start", &quoted("on-demand"));
        }
    }
}

fn line(text: &mut String, key: &str, value: &str) {
    let _ = writeln!(text, "{key} = {value}");
}

fn list<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let words: Vec<String> = words.map(quoted).collect();
    format!("[{}]", words.join(", "))
}

/// A comment of one line, in TOML and in a shell's text.
fn comment(text: &mut String, what: &str) {
    let _ = writeln!(text, "# {}", Untrusted::new(what).within(COMMENT));
}

/// A string of TOML that means this text, whatever is in it.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for found in text.chars() {
        match found {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            found if found.is_control() || steers(found) => {
                let _ = write!(quoted, "\\U{:08X}", u32::from(found));
            }
            found => quoted.push(found),
        }
    }
    quoted.push('"');
    quoted
}

/// A key of TOML: bare where it can be.
fn quoted_key(name: &str) -> String {
    let bare = |found: char| found.is_ascii_alphanumeric() || "_-".contains(found);
    if !name.is_empty() && name.chars().all(bare) {
        name.to_owned()
    } else {
        quoted(name)
    }
}

/// A word of a shell that means this text, whatever is in it; a text with a NUL is none.
pub fn shell_word(text: &str) -> Option<String> {
    let plain = |found: char| found.is_ascii_alphanumeric() || "/._-+@:,".contains(found);
    if text.contains('\0') {
        None
    } else if !text.is_empty() && text.chars().all(plain) {
        Some(text.to_owned())
    } else {
        Some(format!("'{}'", text.replace('\'', r"'\''")))
    }
}

/// A service's name made of a label, if it has letters or digits.
pub fn service_name(label: &str) -> Option<String> {
    let mut name = String::new();
    for found in label.chars() {
        if found.is_ascii_alphanumeric() {
            name.push(found.to_ascii_lowercase());
        } else if !name.ends_with('-') {
            name.push('-');
        }
    }
    name.truncate(40);
    let name = name.trim_matches('-');
    let is_taken = crate::service::RESERVED_NAMES.contains(&name);
    (!name.is_empty() && !is_taken).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;
    use proptest::prelude::*;

    use super::*;
    use crate::port::Port;

    fn step(text: &str) -> Step {
        Step {
            why: text.to_owned(),
            text: format!("true {}", shell_word(text).unwrap_or_default()),
            needs_tool: true,
        }
    }

    fn draft(words: &[String], port: u16) -> Draft {
        let word = |at: usize| words[at % words.len()].clone();
        Draft {
            by: "amika init",
            remarks: words.to_vec(),
            setup: words.iter().map(|word| step(word)).collect(),
            once: Vec::new(),
            start: vec![step(&word(0))],
            image: Some(Image::Named("debian:trixie".to_owned())),
            env: vec![("A_B".to_owned(), word(0))],
            services: vec![Service {
                name: "web".to_owned(),
                port: ContainerPort::new(Port::new(port).unwrap(), Protocol::Tcp).unwrap(),
                scheme: Some(Scheme::Http),
                command: Some(vec!["echo".to_owned(), word(1)]),
                cwd: Some("a b".to_owned()),
            }],
        }
    }

    #[test]
    fn a_configuration_says_what_is_known() {
        let words = ["x \"y\" \\ \u{202e}\n[env]".to_owned()];
        let files = draft(&words, 3000).files();
        let paths: Vec<&str> = files.iter().map(|file| file.path).collect();
        assert_eq!(paths, [SETUP, START, config::PATH]);
        assert_eq!(
            files[2].content,
            "# How sandboxes of this repository are made. Written by `amika init`; yours to change.\n\
             # `amika config check` says what it means, docs/configuration.md what else there is.\n\
             #\n# x \"y\" \\ \\u{202e}\\n[env]\n\n[lifecycle]\nsetup_script = \".amika/setup.sh\"\nsetup_once = true\n\
             start_script = \".amika/start.sh\"\n\n[sandbox]\nimage = \"debian:trixie\"\n\n\
             [env]\nA_B = \"x \\\"y\\\" \\\\ \\U0000202E\\n[env]\"\n\n[services.web]\nport = 3000\nurl_scheme = \"http\"\n\
             command = [\"echo\", \"x \\\"y\\\" \\\\ \\U0000202E\\n[env]\"]\ncwd = \"a b\"\nstart = \"on-demand\"\n"
        );
        assert_eq!(
            Draft {
                by: "amika init",
                ..Draft::default()
            }
            .files()
            .len(),
            1
        );
    }

    #[test]
    fn names_of_services_are_made_of_labels() {
        for (label, name) in [
            ("Web App", Some("web-app")),
            (" API (v2)! ", Some("api-v2")),
            ("…", None),
            ("cmd", None),
            ("-\n-", None),
        ] {
            assert_eq!(service_name(label).as_deref(), name, "{label:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_means_what_was_known(words in prop::collection::vec("[^\0]{0,12}", 1..4), port in 1_u16..60000) {
            let draft = draft(&words, port);
            let files = draft.files();
            let parsed = config::parse(&files[2].content).unwrap();
            prop_assert!(parsed.valid(), "{:?}", parsed.warnings);
            prop_assert_eq!(&parsed.warnings, &Vec::new());
            prop_assert_eq!(parsed.config.env.get("A_B"), Some(&words[0]));
            let run = parsed.config.services[0].run.clone().unwrap();
            prop_assert_eq!(Some(run.command), draft.services[0].command.clone());
            // No word gets out of its line: each is one word behind `true`.
            for file in &files[..2] {
                let own = file.content.lines().filter(|line| line.starts_with("# ") || line.starts_with("true "));
                prop_assert!(own.count() > 2);
            }
        }
    }
}

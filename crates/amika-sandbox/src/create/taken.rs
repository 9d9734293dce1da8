//! What a sandbox takes from its repository's configuration, for people and programs.

use amika_core::config::{ImageChoice, RepoConfig, RepoFile};
use amika_core::contract::env::OPENCODE_WEB;
use amika_core::mount::FileMount;
use amika_core::service::{Service, Sidecar};
use amika_core::settings::{Origin, Sourced};
use amika_core::trust::{Decision, Trust};
use amika_core::untrusted::Untrusted;
use schemars::JsonSchema;
use serde::Serialize;

use super::settings::{Settings, heeds_once};
use super::source::Scripts;

/// What a repository's configuration says, or what of it holds; values of variables are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Taken {
    /// The setup script, relative to the repository's root.
    pub script: Option<String>,
    /// What makes it run again once it succeeded, where it is not run at each start: files of the repository, or nothing
    /// but a change of itself.
    pub setup_once: Option<Vec<String>>,
    /// The script that the agent runs at each start, relative to the repository's root.
    pub start_script: Option<String>,
    /// The preset.
    pub preset: Option<String>,
    /// The image, where it is no preset.
    pub image: Option<String>,
    /// The Dockerfile that the image is built of, relative to the repository's root.
    pub dockerfile: Option<String>,
    /// What its ARG lines are given, each as `NAME=VALUE`.
    pub build_args: Vec<String>,
    /// When OpenCode is started: `auto`, `on-demand` or `off`.
    pub opencode: Option<String>,
    /// What is mounted, each as `SOURCE:TARGET:MODE`.
    pub mounts: Vec<String>,
    /// Limits.
    pub limits: Vec<String>,
    /// Names of environment variables.
    pub env: Vec<String>,
    /// Services, with their ports.
    pub services: Vec<String>,
}

/// What of a repository goes into its sandbox, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TakenView {
    /// What of its configuration holds; flags win over it.
    #[serde(flatten)]
    pub taken: Taken,
    /// Why that, and why the sign-ins that go in.
    pub trust: TrustView,
}

/// How it was decided what of a repository goes into its sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TrustView {
    /// What was decided.
    #[schemars(with = "DecisionView")]
    #[serde(serialize_with = "word")]
    pub decision: Decision,
    /// The setting by which it was decided: `auto`, `ask` or `never`.
    #[schemars(with = "String")]
    #[serde(serialize_with = "setting")]
    pub setting: Trust,
    /// The repository, as `amika config get trusted` would have it.
    pub source: String,
    /// Whether it is on that list, with what it holds now.
    pub remembered: bool,
    /// Whether somebody said that it is trusted: see [`amika_core::trust::Question::is_trusted`].
    #[serde(skip)]
    pub is_trusted: bool,
}

/// Decisions, in words.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
#[allow(dead_code, reason = "it describes what `word` writes")]
enum DecisionView {
    /// Its configuration holds, and sign-ins go in.
    All,
    /// It is asked about first.
    Ask,
    /// Its configuration holds, and sign-ins stay behind.
    WithoutSignIns,
    /// Its configuration does not hold, and sign-ins stay behind.
    Nothing,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn word<S: serde::Serializer>(decision: &Decision, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(decision.as_str())
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn setting<S: serde::Serializer>(trust: &Trust, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(trust.as_str())
}

impl Taken {
    /// All that a configuration says. `scripts` are its scripts, once they were found to be usable.
    pub fn of(config: &RepoConfig, scripts: &Scripts<String>) -> Self {
        let (mut preset, mut image) = (None, None);
        match config.sandbox.image.as_ref().map(|image| &image.value) {
            Some(ImageChoice::Preset(name)) => preset = Some(name.clone()),
            Some(ImageChoice::Image(reference)) => image = Some(reference.clone()),
            Some(ImageChoice::Dockerfile(_)) | None => {}
        }
        let dockerfile = config.sandbox.dockerfile();
        let args = dockerfile.iter().flat_map(|it| &it.args);
        let limits = &config.sandbox.limits;
        let limits = [
            limits.cpus.map(|cpus| format!("cpus {cpus}")),
            limits.memory.map(|memory| format!("memory {memory}")),
            limits.pids.map(|pids| format!("processes {pids}")),
        ];
        Self {
            script: scripts.setup.clone(),
            setup_once: (config.lifecycle.setup_once.as_ref()).map(|once| once.files.clone()),
            start_script: scripts.start.clone(),
            preset,
            image,
            dockerfile: dockerfile.and_then(|it| match &it.file {
                RepoFile::Path(path) => Some(path.value.clone()),
                RepoFile::Refused(_) => None,
            }),
            build_args: args
                .map(|(name, value)| format!("{name}={value}"))
                .collect(),
            opencode: config.sandbox.opencode.map(|start| start.to_string()),
            mounts: (config.sandbox.mounts.iter())
                .filter_map(|mount| Some(mount.mount()?.to_string()))
                .collect(),
            limits: limits.into_iter().flatten().collect(),
            env: config.env.keys().cloned().collect(),
            services: config.services.iter().map(service).collect(),
        }
    }

    /// What of a configuration decides: flags and saved settings win over it.
    pub fn beside(settings: &Settings, config: &RepoConfig, scripts: &Scripts<String>) -> Self {
        let origins = &settings.origins;
        let mut config = config.clone();
        if origins.image != Origin::File {
            config.sandbox.image = None;
        }
        let is_mounted =
            |mount: &FileMount| origins.mounts.get(mount.target.as_str()) == Some(&Origin::File);
        let mounts = &mut config.sandbox.mounts;
        mounts.retain(|mount| mount.mount().is_some_and(is_mounted));
        let (limits, asked) = (&mut config.sandbox.limits, &settings.asked);
        limits.cpus = limits.cpus.filter(|_| is_of_file(asked.cpus));
        limits.memory = limits.memory.filter(|_| is_of_file(asked.memory));
        limits.pids = limits.pids.filter(|_| is_of_file(asked.pids));
        let is_files = |name: &String| origins.env.get(name) == Some(&Origin::File);
        config.env.retain(|name, _| is_files(name));
        if !is_files(&OPENCODE_WEB.to_owned()) {
            config.sandbox.opencode = None;
        }
        if origins.services != Origin::File {
            config.services.clear();
        }
        if !heeds_once(origins) {
            config.lifecycle.setup_once = None;
        }
        let mut scripts = scripts.clone();
        if origins.setup_script != Origin::File {
            scripts.setup = None;
        }
        Self::of(&config, &scripts)
    }

    /// Whether it is nothing at all.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// A line for each kind of thing, without what would steer a terminal.
    ///
    /// Every name is there, however many there are: somebody decides by them.
    pub fn lines(&self) -> Vec<String> {
        let one = |value: &Option<String>| value.iter().cloned().collect::<Vec<_>>();
        let again = match &self.setup_once {
            None => Vec::new(),
            Some(files) if files.is_empty() => vec!["until the script changes".to_owned()],
            Some(files) => vec![format!("until the script changes, or {}", files.join(", "))],
        };
        [
            ("script", &one(&self.script)),
            ("once", &again),
            ("start", &one(&self.start_script)),
            ("preset", &one(&self.preset)),
            ("image", &one(&self.image)),
            ("built of", &one(&self.dockerfile)),
            ("args", &self.build_args),
            ("opencode", &one(&self.opencode)),
            ("mounts", &self.mounts),
            ("limits", &self.limits),
            ("variables", &self.env),
            ("services", &self.services),
        ]
        .into_iter()
        .filter(|(_, values)| !values.is_empty())
        .map(|(label, values)| {
            let listed: Vec<String> = values.iter().map(|value| shortened(value)).collect();
            format!("    {label:<10}{}", listed.join(", "))
        })
        .collect()
    }
}

fn is_of_file<T>(asked: Option<Sourced<T>>) -> bool {
    asked.is_some_and(|asked| asked.origin == Origin::File)
}

/// A service with its ports.
fn service(service: &Service) -> String {
    let ports = service.ports.iter().map(|port| port.container.to_string());
    let ports: Vec<String> = ports.collect();
    let listed = if ports.is_empty() {
        service.name.clone()
    } else {
        format!("{} ({})", service.name, ports.join(", "))
    };
    match (&service.run, &service.sidecar) {
        (Some(run), _) => format!("{listed} runs `{}`", command(&run.command)),
        (None, Some(sidecar)) if sidecar.command.is_empty() => {
            format!("{listed} of image {}", sidecar.image)
        }
        (
            None,
            Some(Sidecar {
                image,
                command: words,
                ..
            }),
        ) => {
            format!("{listed} of image {image} runs `{}`", command(words))
        }
        (None, None) => listed,
    }
}

/// A command as it was written.
fn command(words: &[String]) -> String {
    match words {
        [sh, c, line] if sh == "sh" && c == "-c" => line.clone(),
        words => words.join(" "),
    }
}

/// A word of somebody else's, as a line can have it.
fn shortened(text: &str) -> String {
    const LONGEST: usize = 100;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", Untrusted::new(&text[..end])),
        None => Untrusted::new(text).to_string(),
    }
}

/// The first lines of a script, as a terminal may show them, and how many lines more there are.
pub(super) fn beginning(script: &[u8]) -> Vec<String> {
    const LINES: usize = 12;
    let text = String::from_utf8_lossy(script);
    let mut lines: Vec<String> = text.lines().take(LINES).map(shortened).collect();
    if let Some(more @ 1..) = text.lines().count().checked_sub(LINES) {
        lines.push(format!("… and {more} lines more"));
    }
    lines
}

impl TrustView {
    /// Whether sign-ins go in.
    pub fn lets_sign_ins_in(&self) -> bool {
        matches!(self.decision, Decision::All | Decision::Ask)
    }

    /// Whether the user's own settings go in, where a setting says so for all sandboxes.
    pub fn lets_own_ways_in(&self) -> bool {
        self.is_trusted || self.decision == Decision::Ask
    }

    /// What was decided, in a few words.
    pub fn sentence(&self) -> String {
        let setting = self.setting;
        match self.decision {
            Decision::All if self.remembered => "all of it: on your list of trusted sources".into(),
            Decision::All => format!("all of it (trust is {setting})"),
            Decision::Ask => "you are asked first; this is what a yes makes".into(),
            Decision::WithoutSignIns => {
                format!("its configuration, and no sign-ins (trust is {setting})")
            }
            Decision::Nothing => {
                format!("neither its configuration nor sign-ins (trust is {setting})")
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use pretty_assertions::assert_eq;

    use super::*;

    fn config(text: &str) -> RepoConfig {
        amika_core::config::parse(text).unwrap().config
    }

    #[test]
    fn each_kind_of_thing_is_one_line() {
        let config = config(
            "[lifecycle]\nsetup_once = \"x.lock\"\n[sandbox]\nimage = \"debian\"\nopencode = \"off\"\nmounts = [\"v1:/v\", \"./a:/b\"]\n[sandbox.limits]\ncpus = 2\npids = 9\n[env]\nB = 1\nA = \"s3cret\"\n\
             [services.api]\nport = 4838\n[services.\"x\\u001b[2J\"]\n",
        );
        let scripts = Scripts {
            setup: Some("a.sh".to_owned()),
            start: Some("b.sh".to_owned()),
        };
        let taken = Taken::of(&config, &scripts);
        assert_eq!(
            taken.lines(),
            [
                "    script    a.sh",
                "    once      until the script changes, or x.lock",
                "    start     b.sh",
                "    image     debian",
                "    opencode  off",
                "    mounts    v1:/v:rw, ./a:/b:rwcopy",
                "    limits    cpus 2, processes 9",
                "    variables A, B",
                "    services  api (4838/tcp), x\\u{1b}[2J",
            ]
        );
        assert!(Taken::of(&RepoConfig::default(), &Scripts::default()).is_empty());
        assert_eq!(Taken::default().lines(), [""; 0]);
    }

    #[test]
    fn long_lists_are_whole_and_long_words_are_cut() {
        let names: Vec<String> = (10..30).map(|n| format!("V{n} = 1\n")).collect();
        let names = names.concat();
        let long = "x".repeat(500);
        let config = config(&format!("[env]\n{names}[services.{long}]\nport = 1\n"));
        let lines = Taken::of(&config, &Scripts::default()).lines();
        assert!(lines[0].contains(" V10, V11, "), "{lines:?}");
        assert!(lines[0].ends_with(" V28, V29"), "{lines:?}");
        assert!(lines[1].len() < 130, "{lines:?}");
    }

    #[test]
    fn a_script_is_shown_by_its_first_lines_and_steers_nothing() {
        let script = format!("#!/bin/sh\n\u{1b}[2Jrm\n{}", "echo\n".repeat(30));
        let lines = beginning(script.as_bytes());
        assert_eq!(lines.len(), 13);
        assert_eq!(lines[1], "\\u{1b}[2Jrm");
        assert_eq!(lines[12], "… and 20 lines more");
        assert_eq!(beginning(b"one"), ["one"]);
    }
}

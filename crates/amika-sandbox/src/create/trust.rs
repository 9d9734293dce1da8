//! Whether a repository is trusted: decided by the user's settings, and asked where they say so.

use std::collections::BTreeSet;
use std::sync::Arc;

use amika_core::config::user::UserConfig;
use amika_core::config::{RepoConfig, RepoFile, ScriptKey};
use amika_core::credential::Agent;
use amika_core::hex::hex;
use amika_core::mount::FileSource;
use amika_core::trust::{Answer, Decision, Question, Trust, Trusted, decide};
use amika_core::untrusted::Untrusted;
use futures_util::future::BoxFuture;
use sha2::{Digest as _, Sha256};

use super::build::DOCKERFILE_LIMIT;
use super::credentials::find as find_credentials;
use super::request::{OwnWays, Request};
use super::source::{Contents, Scripts, Source};
use super::taken::{Taken, TrustView, beginning};
use crate::error::{Error, Kind, Result};
use crate::progress::Progress;
use crate::user_config::{self, Change};
use amika_git::GitError;
use amika_host::machine::Machine;

/// The largest setup script whose content can be trusted, in bytes.
const SCRIPT_LIMIT: u64 = 16 << 20;

/// Who can be asked about a repository.
pub trait Ask: Send + Sync {
    /// Shows these lines, which say what there is to know, and asks whether the repository is trusted. Whoever
    /// cannot be reached says no.
    fn is_trusted<'a>(&'a self, lines: &'a [String]) -> BoxFuture<'a, Answer>;
}

/// By what it is decided whether a repository is trusted.
#[derive(Clone)]
pub enum Trusting {
    /// By this alone, and nobody is asked: a setting that asks is a no to the sign-ins.
    Setting(Trust),
    /// By the settings of this machine's user.
    User {
        /// What wins over them.
        setting: Option<Trust>,
        /// Who can be asked; none where nobody can.
        ask: Option<Arc<dyn Ask>>,
    },
}

/// What decides beside the repository.
#[derive(Clone)]
pub(super) struct TrustRequest {
    /// By what it is decided.
    pub by: Trusting,
    /// Whether it was said whose sign-ins are to go in: these go in wherever nobody can be asked.
    pub sign_ins_named: bool,
    /// Whether only a plan is wanted, for which nobody is asked.
    pub only_plan: bool,
}

/// Decides what of a repository goes into its sandbox, and whether sign-ins do. Asks if need be, though
/// not for a dry run. A configuration that does not hold is taken out of the source.
///
/// # Errors
/// [`Kind::Invalid`] for broken settings, [`Kind::Failure`] where the answer is no.
pub(super) async fn settle(
    asked_for: &TrustRequest,
    request: &Request,
    machine: &Machine,
    source: &mut Source,
    out: &dyn Progress,
) -> Result<TrustView> {
    let (config, said, ask) = match &asked_for.by {
        Trusting::Setting(setting) => (UserConfig::default(), Some(*setting), None),
        Trusting::User { setting, ask } => {
            let config = user_config::read(machine, out)?;
            let said = match setting {
                Some(trust) => Some(*trust),
                None => user_config::trust_of_environment(machine)?,
            };
            (config, said, ask.as_deref())
        }
    };
    // Who says "never" now means this source too, whatever stands on the list.
    let is_list_heeded = said != Some(Trust::Never);
    let setting = said.or(config.trust);
    let setting = setting.unwrap_or_else(|| source.default_trust());
    let canonical = source.origin.canonical();
    let agents = sign_ins(machine, request);
    let asked = Taken::of(&source.config, &source.scripts);
    let servers = source.lfs_servers().to_vec();
    let mut question = Question {
        trust: setting,
        remembered: false,
        can_ask: ask.is_some(),
        credentials_asked: asked_for.sign_ins_named,
        asks_for_anything: !asked.is_empty() || !servers.is_empty(),
        has_sign_ins: !agents.is_empty(),
    };
    let mut decision = decide(question);
    let mut content = None;
    let mut files = Files::default();
    let brings_ways = !request.own_ways.is_asked && request.own_ways != OwnWays::none();
    let brings_dotfiles = request.dotfiles.as_ref().is_some_and(|it| !it.is_asked);
    if decision != Decision::All || !servers.is_empty() || brings_ways || brings_dotfiles {
        (files, content) = content_of(source).await?;
        let mut listed = config.trusted.iter();
        question.remembered =
            is_list_heeded && listed.any(|entry| entry.covers(&canonical, content.as_deref()));
        decision = decide(question);
    }
    let mut is_answered = false;
    let shown = Untrusted::new(source.named()).to_string();
    match decision {
        Decision::All => {}
        Decision::Ask if asked_for.only_plan => {}
        Decision::Ask => {
            let knew_it = config
                .trusted
                .iter()
                .any(|entry| entry.source == canonical);
            let why = if knew_it {
                "has changed since you trusted it"
            } else {
                "is not trusted yet"
            };
            let headline = format!("{shown} {why}.");
            let lines = question_text(&headline, &asked, &files, &servers, &agents);
            let answer = match ask {
                Some(ask) => ask.is_trusted(&lines).await,
                None => Answer::No,
            };
            match answer {
                Answer::Yes => {}
                Answer::Always => remember(machine, canonical.clone(), content, out).await,
                Answer::No => {
                    return Err(Error::new(
                        Kind::Failure,
                        format!("nothing was made: {shown} is not trusted"),
                    )
                    .hint(
                        "`--trust=never` makes the sandbox without its configuration and without sign-ins",
                    ));
                }
            }
            is_answered = true;
            decision = Decision::All;
        }
        Decision::WithoutSignIns => out.warn(&format!(
            "your sign-ins to {} stay behind, since {shown} is not trusted and nobody can be asked: \
             `--credentials` copies them in, `--trust` trusts it this once",
            names(&agents),
        )),
        Decision::Nothing => {
            out.warn(&left_out(&shown, &asked, &servers, &agents));
            source.config = RepoConfig::default();
            source.scripts = Scripts::default();
        }
    }
    let is_trusted = question.is_trusted(is_answered);
    if brings_ways && !is_trusted && !asked_for.only_plan {
        out.note(&format!(
            "your agents' own settings stay behind, since {shown} is not trusted: `--agent-config` copies them in"
        ));
    }
    if brings_dotfiles && !is_trusted && !asked_for.only_plan {
        out.note(&format!(
            "your dotfiles stay behind, since {shown} is not trusted: `--dotfiles` installs them"
        ));
    }
    Ok(TrustView {
        decision,
        setting,
        source: canonical,
        remembered: question.remembered,
        is_trusted,
    })
}

/// Whose sign-ins would go in.
fn sign_ins(machine: &Machine, request: &Request) -> BTreeSet<Agent> {
    let home = machine.home_dir();
    let plan = find_credentials(&home, &request.credentials, &request.mounts);
    plan.take.iter().map(|file| file.agent).collect()
}

/// The content of the files that a configuration names, and that are trusted with it.
#[derive(Default)]
struct Files {
    scripts: Scripts<Vec<u8>>,
    dockerfile: Option<Vec<u8>>,
}

/// These files, and a digest of all that is trusted with the repository: what applies of its configuration, and
/// what they hold. None where one of them is too large for that.
async fn content_of(source: &Source) -> Result<(Files, Option<String>)> {
    let mut dockerfile = None;
    let scripts = match &source.contents {
        Contents::Copied(repository) => {
            let mut scripts = Scripts::default();
            let named = [
                (ScriptKey::Setup, &source.scripts.setup),
                (ScriptKey::Start, &source.scripts.start),
            ];
            for (key, path) in named {
                let Some(path) = path else { continue };
                match repository.file(path, SCRIPT_LIMIT).await {
                    Ok(Some(script)) => scripts.put(key, script),
                    Ok(None) => {}
                    Err(GitError::TooLarge { .. }) => return Ok((Files::default(), None)),
                    Err(error) => return Err(error.into()),
                }
            }
            let built_of = source.config.sandbox.dockerfile().map(|it| &it.file);
            if let Some(RepoFile::Path(path)) = built_of {
                match repository.file(&path.value, DOCKERFILE_LIMIT).await {
                    Ok(found) => dockerfile = found,
                    Err(GitError::TooLarge { .. }) => return Ok((Files::default(), None)),
                    // That nothing can be built of it is said where it is to be.
                    Err(GitError::Outside { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            scripts
        }
        Contents::Kept(kept) => kept.scripts.clone(),
    };
    let servers = source.lfs_servers();
    let files = Files {
        scripts,
        dockerfile,
    };
    // What is copied to places of its own may be anything by the next time: it is asked for each time.
    let mut mounts = source.config.sandbox.mounts.iter();
    let copies = mounts
        .any(|it| matches!(it.mount(), Some(mount) if matches!(mount.source, FileSource::Path(_))));
    let digest = digest(source.bytes.as_deref(), &files, servers);
    Ok((files, (!copies).then_some(digest)))
}

/// A digest in which nothing of one part can stand for something of the other.
fn digest(config: Option<&[u8]>, files: &Files, servers: &[String]) -> String {
    let Files {
        scripts,
        dockerfile,
    } = files;
    let mut digest = Sha256::new();
    let setup = scripts.setup.as_deref();
    for part in [config, setup] {
        match part {
            Some(part) => {
                digest.update([1]);
                crate::digest::add(&mut digest, part);
            }
            None => digest.update([0]),
        }
    }
    // Nothing for none, as it was before they were part of it.
    let servers = servers.iter().map(|server| (2, server.as_bytes()));
    let start = scripts.start.as_deref().map(|script| (3, script));
    let dockerfile = dockerfile.as_deref().map(|file| (4, file));
    for (kind, part) in servers.chain(start).chain(dockerfile) {
        digest.update([kind]);
        crate::digest::add(&mut digest, part);
    }
    format!("sha256:{}", hex(&digest.finalize()))
}

/// What is asked.
fn question_text(
    headline: &str,
    asked: &Taken,
    files: &Files,
    servers: &[String],
    agents: &BTreeSet<Agent>,
) -> Vec<String> {
    let mut lines = vec![headline.to_owned()];
    if !asked.is_empty() {
        lines.push("  its .amika/config.toml asks for:".to_owned());
    }
    for line in asked.lines() {
        let (file, what) = if line.starts_with("    script ") {
            let when = if asked.setup_once.is_some() {
                "until it succeeds"
            } else {
                "at every start"
            };
            (&files.scripts.setup, format!("runs as root {when}"))
        } else if line.starts_with("    start ") {
            let when = "runs as the agent at every start".to_owned();
            (&files.scripts.start, when)
        } else if line.starts_with("    built of ") {
            let when = "the engine builds an image of".to_owned();
            (&files.dockerfile, when)
        } else {
            lines.push(line);
            continue;
        };
        lines.push(line);
        lines.push(format!("              which {what}, and begins with"));
        let script = file.as_deref().map(beginning).unwrap_or_default();
        lines.extend(script.iter().map(|line| format!("              │ {line}")));
    }
    if !servers.is_empty() {
        lines.push(format!(
            "  it names servers for its LFS files, where git signs in as you: {}",
            listed(servers)
        ));
    }
    if !agents.is_empty() {
        lines.push(format!("  sign-ins that would go in: {}", names(agents)));
    }
    lines
}

/// Puts a source on the list. Where that fails the sandbox is made all the same, and is asked about
/// again.
async fn remember(machine: &Machine, source: String, content: Option<String>, out: &dyn Progress) {
    // Without its content it would be trusted whatever it holds.
    let Some(content) = content else {
        out.warn("a script of it is too large to be remembered: you will be asked again");
        return;
    };
    let entry = Trusted {
        source,
        content: Some(content),
    };
    if let Err(error) = user_config::change(machine, Change::Trusting(&entry)).await {
        let mut said = vec!["you will be asked again".to_owned(), error.message];
        said.extend(error.causes);
        out.warn(&said.join(": "));
    }
}

/// What is said where neither configuration nor sign-ins go in.
fn left_out(shown: &str, asked: &Taken, servers: &[String], agents: &BTreeSet<Agent>) -> String {
    let mut what = Vec::new();
    if !asked.is_empty() {
        what.push("its .amika/config.toml is not applied".to_owned());
    }
    if !servers.is_empty() {
        what.push(format!("nothing is fetched from {}", listed(servers)));
    }
    if !agents.is_empty() {
        what.push(format!("your sign-ins to {} stay behind", names(agents)));
    }
    let what = what.join(", and ");
    format!("{shown} is not trusted (trust is never): {what}; `--trust` trusts it this once")
}

/// Servers that a repository names, as a line can have them.
fn listed(servers: &[String]) -> String {
    let all = servers
        .iter()
        .map(|one| Untrusted::new(one).within(200).to_string());
    all.collect::<Vec<_>>().join(", ")
}

fn names(agents: &BTreeSet<Agent>) -> String {
    let names: Vec<&str> = agents.iter().map(|agent| agent.as_str()).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;

    use super::*;

    #[test]
    fn a_digest_tells_every_part_from_every_other() {
        type Part = Option<&'static [u8]>;
        let parts: [(Part, Part, Part); 11] = [
            (None, None, None),
            (Some(b""), None, None),
            (None, Some(b""), None),
            (None, None, Some(b"")),
            (Some(b""), Some(b""), None),
            (Some(b"ab"), None, None),
            (Some(b"a"), Some(b"b"), None),
            (Some(b"a"), None, Some(b"b")),
            (None, Some(b"ab"), None),
            (None, None, Some(b"ab")),
            (Some(b"ab"), Some(b""), None),
        ];
        let digest =
            |(config, setup, start): &(Part, Part, Part), dockerfile: Part, servers: &[String]| {
                let scripts = Scripts {
                    setup: setup.map(<[u8]>::to_vec),
                    start: start.map(<[u8]>::to_vec),
                };
                let files = Files {
                    scripts,
                    dockerfile: dockerfile.map(<[u8]>::to_vec),
                };
                digest(*config, &files, servers)
            };
        let mut digests: BTreeSet<String> =
            parts.iter().map(|part| digest(part, None, &[])).collect();
        let servers: [&[&str]; 4] = [&["a"], &["b"], &["a", "b"], &["ab"]];
        for servers in servers {
            let servers: Vec<String> = servers.iter().map(|&one| one.to_owned()).collect();
            digests.extend(parts.iter().map(|part| digest(part, None, &servers)));
        }
        for dockerfile in [&b""[..], b"a", b"ab"] {
            digests.extend(parts.iter().map(|part| digest(part, Some(dockerfile), &[])));
        }
        assert_eq!(digests.len(), 8 * parts.len());
        for digest in digests {
            let entry: Trusted = format!("host/r {digest}").parse().expect("an entry");
            assert!(entry.covers("host/r", Some(&digest)));
        }
    }

    #[test]
    fn the_question_shows_the_script_names_and_sign_ins() {
        let taken = Taken {
            script: Some("setup.sh".to_owned()),
            start_script: Some("up".to_owned()),
            dockerfile: Some("Dockerfile".to_owned()),
            build_args: vec!["V=1".to_owned()],
            env: vec!["A".to_owned()],
            ..Taken::default()
        };
        let agents = BTreeSet::from([Agent::Claude, Agent::Codex]);
        let text = question_text(
            "It is new.",
            &taken,
            &Files {
                scripts: Scripts {
                    setup: Some(b"#!/bin/sh\nid\n".to_vec()),
                    start: Some(b"#!/bin/bash\n".to_vec()),
                },
                dockerfile: Some(b"FROM evil\x1b\n".to_vec()),
            },
            &["https://evil\u{1b}\n".to_owned()],
            &agents,
        );
        assert_eq!(
            text.join("\n"),
            "It is new.\n  its .amika/config.toml asks for:\n    script    setup.sh\n\
             \x20             which runs as root at every start, and begins with\n\
             \x20             │ #!/bin/sh\n              │ id\n    start     up\n\
             \x20             which runs as the agent at every start, and begins with\n\
             \x20             │ #!/bin/bash\n    built of  Dockerfile\n\
             \x20             which the engine builds an image of, and begins with\n\
             \x20             │ FROM evil\\u{1b}\n    args      V=1\n    variables A\n\
             \x20 it names servers for its LFS files, where git signs in as you: https://evil\\u{1b}\\n\n\
             \x20 sign-ins that would go in: claude, codex"
        );
        let text = question_text(
            "It is new.",
            &Taken::default(),
            &Files::default(),
            &[],
            &agents,
        );
        assert!(!text.concat().contains("config.toml"), "{text:?}");
    }
}

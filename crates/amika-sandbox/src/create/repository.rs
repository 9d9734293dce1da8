//! The repository that is cloned in, and what its configuration asks for.

use std::sync::Mutex;

use amika_core::config::{self, ImageChoice, Lifecycle, Located, RepoConfig, RepoFile, ScriptKey};
use amika_core::diagnostic::{Diagnostic, Severity};
use amika_core::trust::{Decision, Origin};

use super::source::{Contents, Scripts, Source};
use super::taken::TrustView;
use crate::error::{self, Error, Result};
use crate::progress::{Progress, Steps};
use amika_core::text::shell_path;
use amika_git::{self as git, GitError, Kind, LeftOut};
use amika_host::machine::Machine;
use amika_host::regular_file::{self, Links};

/// What is wrong with a setup script that a link leads to from elsewhere.
pub const SCRIPT_OUTSIDE: &str = "leads out of the repository by a symbolic link";

/// What is asked for of a repository.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Which, and what of it.
    pub git: git::Request,
    /// Whether all that its configuration says of setup is left out.
    pub no_setup: bool,
    /// Whether another setup script was named than its own.
    pub has_script: bool,
    /// What is told of where it comes from, in place of its path on this machine; none tells that.
    pub of: Option<String>,
}

/// Opens the repository that is wanted, and reads its configuration.
///
/// # Errors
/// [`error::Kind::Repository`] when it cannot be read, [`error::Kind::Invalid`] when its configuration is
/// no TOML, or names a setup script that cannot be used and no flag names another.
pub(super) async fn open(
    wanted: &Wanted,
    machine: &Machine,
    out: &dyn Progress,
    steps: &mut Steps,
) -> Result<Source> {
    let cwd = machine.directory().map_err(|error| {
        Error::new(
            error::Kind::Repository,
            "the current directory cannot be read",
        )
        .caused_by(&error)
    })?;
    steps.begin("repository");
    let shared = Mutex::new(steps);
    let show = |said: git::Said<'_>| show(&shared, said);
    let repository = git::open(machine, wanted.git.clone(), cwd, &show).await?;
    if let Ok(mut steps) = shared.lock() {
        steps.finish(wanted.of.as_deref().unwrap_or(&repository.facts().source));
    }
    for warning in &repository.facts().warnings {
        out.warn(warning);
    }
    let unwanted = Unwanted::by(wanted.no_setup, wanted.has_script);
    let (mut config, scripts, mut bytes) = read_config(&repository, unwanted, out).await?;
    if let Some(warning) = uncommitted(&wanted.git, repository.facts(), bytes.as_deref()) {
        out.warn(warning);
    }
    if wanted.no_setup {
        tell_of_left_out(&mut config, out);
        // What is trusted under this flag is not trusted without it.
        bytes = None;
    }
    let origin = origin(repository.facts());
    Ok(Source {
        contents: Contents::Copied(repository),
        config,
        scripts,
        origin,
        bytes,
        of: wanted.of.clone(),
    })
}

/// Fetches the LFS content of a repository at a URL; from servers that only the repository names where it is
/// trusted so far. Nothing where whether it is waits for an answer, as in a plan.
///
/// # Errors
/// [`error::Kind::Repository`] when what was fetched of the repository cannot be read any more.
pub(super) async fn fetch_lfs(
    source: &mut Source,
    trust: &TrustView,
    out: &dyn Progress,
    steps: &mut Steps,
) -> Result<()> {
    let Contents::Copied(repository) = &mut source.contents else {
        return Ok(());
    };
    if !repository.awaits_lfs() || trust.decision == Decision::Ask {
        return Ok(());
    }
    let trusted = trust.is_trusted;
    let is_refused = !trusted && !repository.lfs_servers().is_empty();
    let before = repository.facts().warnings.clone();
    if !is_refused {
        steps.begin("LFS files");
    }
    {
        let shared = Mutex::new(&mut *steps);
        let show = |said: git::Said<'_>| show(&shared, said);
        *repository = repository.clone().with_lfs(trusted, &show).await?;
    }
    if !is_refused {
        steps.finish("");
    }
    let warnings = &repository.facts().warnings;
    for warning in warnings.iter().filter(|warning| !before.contains(warning)) {
        out.warn(warning);
        if is_refused {
            out.note("  `--trust` fetches it from there");
        }
    }
    Ok(())
}

/// Passes on what git says.
pub(super) fn show(steps: &Mutex<&mut Steps>, said: git::Said<'_>) {
    if let Ok(mut steps) = steps.lock() {
        match said {
            git::Said::Progress(text) => steps.progress(text),
            git::Said::Line(text) => steps.line(text),
        }
    }
}

/// What to say of a configuration in the work tree that is not the committed one, which applies: everybody writes
/// the file first and commits it later.
fn uncommitted(
    wanted: &git::Request,
    facts: &git::Facts,
    committed: Option<&[u8]>,
) -> Option<&'static str> {
    let root = facts.root.as_ref().filter(|_| facts.is_dirty)?;
    if wanted.copy != git::Copy::Clean || wanted.branch.is_some() {
        return None;
    }
    let file = root.join(config::PATH);
    let limit = config::MAX_BYTES as u64;
    let (found, _) = regular_file::read(&file, Links::Refused, limit).ok()?;
    match committed {
        None => Some(
            ".amika/config.toml is not committed, and so it is not used: commit it, or pass `--no-clean`",
        ),
        Some(committed) if committed != found => Some(
            ".amika/config.toml has changes that are not committed: the committed one is used (`--no-clean` takes \
             the work tree's)",
        ),
        Some(_) => None,
    }
}

fn origin(facts: &git::Facts) -> Origin {
    match &facts.root {
        Some(root) => {
            let root = root.canonicalize().unwrap_or_else(|_| root.clone());
            Origin::Path(root.display().to_string())
        }
        None => Origin::Url(facts.source.clone()),
    }
}

/// Leaves out what `--no-setup` leaves out, and says so.
pub(super) fn tell_of_left_out(config: &mut RepoConfig, out: &dyn Progress) {
    let left_out = leave_setup_out(config);
    if !left_out.is_empty() {
        out.note(&format!(
            "--no-setup leaves out {} of {}",
            left_out.join(", "),
            config::PATH
        ));
    }
}

/// Takes out of a configuration all by which a repository runs code of its own choosing, and says what
/// that was beside the script. Services stay: they are ports, and run nothing.
fn leave_setup_out(config: &mut RepoConfig) -> Vec<&'static str> {
    let RepoConfig {
        lifecycle,
        sandbox,
        env,
        secret_env,
        services,
    } = config;
    *lifecycle = Lifecycle::default();
    let mut left_out = Vec::new();
    match sandbox.image.take().map(|image| image.value) {
        Some(ImageChoice::Preset(_)) => left_out.push("preset"),
        Some(ImageChoice::Image(_)) => left_out.push("image"),
        Some(ImageChoice::Dockerfile(_)) => left_out.push("dockerfile"),
        None => {}
    }
    // In a volume lies what an earlier sandbox left there, and a copy may lie in the way of a program.
    if !std::mem::take(&mut sandbox.mounts).is_empty() {
        left_out.push("mounts");
    }
    let commands = services.iter_mut();
    if commands.filter_map(|service| service.run.take()).count() > 0 {
        left_out.push("commands of services");
    }
    let images = services.iter_mut();
    if images.filter_map(|service| service.sidecar.take()).count() > 0 {
        left_out.push("images of services");
    }
    let secrets = std::mem::take(secret_env);
    if !std::mem::take(env).is_empty() || !secrets.is_empty() {
        left_out.push("[env]");
    }
    left_out
}

async fn read_config(
    repository: &git::Repository,
    unwanted: Unwanted,
    out: &dyn Progress,
) -> Result<(RepoConfig, Scripts<String>, Option<Vec<u8>>)> {
    let bytes = match repository.config_toml().await {
        Ok(Some(bytes)) => bytes,
        Ok(None) => {
            if repository.entry(config::PATH).await?.is_some() {
                out.warn(&format!(
                    "{} is a directory, not a file: this repository is taken to have no configuration",
                    config::PATH
                ));
            }
            match repository.left_out(config::PATH).await? {
                Some(LeftOut::Special(what)) => out.warn(&format!(
                    "{} is {what}, not a file: this repository is taken to have no configuration",
                    config::PATH
                )),
                Some(LeftOut::Ignored) => out.warn(&format!(
                    "{} is ignored by git, and so it is not used: `git add --force {0}`, or pass `--include-ignored`",
                    config::PATH
                )),
                None => {}
            }
            return Ok((RepoConfig::default(), Scripts::default(), None));
        }
        Err(error) => return Err(crate::git_error::of_configuration(error)),
    };
    let (text, config) = parsed(&bytes, out)?;
    let mut scripts = Scripts::default();
    for (key, path) in wanted_scripts(&text, &config, unwanted)? {
        if let Some((why, help)) = unusable(repository, &path.value).await? {
            return Err(script_unusable(&text, key, path, why, help));
        }
        scripts.put(key, path.value.clone());
    }
    Ok((config, scripts, Some(bytes)))
}

/// A configuration and its text, with what is amiss in it told.
///
/// # Errors
/// [`error::Kind::Invalid`] for what is no TOML.
pub(super) fn parsed(bytes: &[u8], out: &dyn Progress) -> Result<(String, RepoConfig)> {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let parsed = config::parse_bytes(bytes)
        .map_err(|problems| crate::finding::refusal(config::PATH, &text, &problems))?;
    for warning in &parsed.warnings {
        // A refused file is an error of its own, or nobody's concern when a flag names another.
        if !parsed.refused().any(|problem| problem == warning) {
            out.finding(config::PATH, &text, warning);
        }
    }
    Ok((text, parsed.config))
}

/// Which scripts of a configuration are left out, since a flag names another or wants none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Unwanted {
    setup: bool,
    start: bool,
}

impl Unwanted {
    /// Those of `--no-setup`, and the setup script in whose place another is asked for.
    pub(super) fn by(no_setup: bool, has_script: bool) -> Self {
        Self {
            setup: no_setup || has_script,
            start: no_setup,
        }
    }
}

/// The scripts that a configuration names, but for those that are not wanted.
///
/// # Errors
/// [`error::Kind::Invalid`] for one that is refused by its name alone.
pub(super) fn wanted_scripts<'a>(
    text: &str,
    config: &'a RepoConfig,
    unwanted: Unwanted,
) -> Result<Vec<(ScriptKey, &'a Located<String>)>> {
    let wanted = config.lifecycle.scripts().filter(|(key, _)| match key {
        ScriptKey::Setup => !unwanted.setup,
        ScriptKey::Start => !unwanted.start,
    });
    wanted
        .map(|(key, script)| match script {
            RepoFile::Refused(problem) => Err(script_refused(text, problem)),
            RepoFile::Path(path) => Ok((key, path)),
        })
        .collect()
}

/// The error of a script that cannot be run, and why.
pub(super) fn script_unusable(
    text: &str,
    key: ScriptKey,
    path: &Located<String>,
    why: &'static str,
    help: String,
) -> Error {
    let message = format!("{} \"{}\" {why}", key.as_str(), path.value.escape_debug());
    let found = Diagnostic::new(Severity::Error, message, text, path.span.clone());
    script_refused(text, &found.with_label(why).with_help(help))
}

/// The error of a script that cannot be run.
fn script_refused(text: &str, problem: &Diagnostic) -> Error {
    crate::finding::refusal(config::PATH, text, std::slice::from_ref(problem)).hint(
        "mend it in the repository and commit it, or pass `--setup-script FILE` or `--no-setup`",
    )
}

/// Why a file of the copy cannot be a script that is run, and what to do.
async fn unusable(
    repository: &git::Repository,
    path: &str,
) -> Result<Option<(&'static str, String)>> {
    let name_another = || "name a file of the repository, relative to its root".to_owned();
    Ok(match repository.entry(path).await {
        Ok(Some(entry)) => match entry.kind {
            Kind::File { executable: true } => None,
            Kind::File { executable: false } => Some((
                "is not executable",
                format!(
                    "`git update-index --chmod=+x {}`, and commit that",
                    shell_path(path)
                ),
            )),
            Kind::Directory => Some(("is a directory", name_another())),
        },
        Ok(None) => Some((
            "does not exist on the branch that the sandbox starts on",
            name_another(),
        )),
        Err(GitError::Outside { .. }) => Some((SCRIPT_OUTSIDE, name_another())),
        Err(error) => return Err(error.into()),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn without_setup_nothing_of_the_file_runs_code() {
        let text = "[lifecycle]\nsetup_script = \"a\"\n[sandbox]\nimage = \"evil\"\nmounts = [\"v1:/v\"]\n[sandbox.limits]\ncpus = 1\n\
                    [env]\nA = 1\n[services.api]\nport = 80\n";
        let mut config = config::parse(text).unwrap().config;
        let (limits, services) = (config.sandbox.limits, config.services.clone());
        assert_eq!(leave_setup_out(&mut config), ["image", "mounts", "[env]"]);
        let mut rest = RepoConfig {
            services,
            ..RepoConfig::default()
        };
        rest.sandbox.limits = limits;
        assert_eq!(config, rest);
        assert!(leave_setup_out(&mut config).is_empty());
    }
}

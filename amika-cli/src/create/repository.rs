//! The repository that is cloned in, and what its configuration asks for.

use std::sync::Mutex;

use amika_core::config::{self, RepoConfig, SetupScript};
use amika_core::label;

use crate::args::sandbox::CreateArgs;
use crate::error::{CommandError, ExitCode, Result};
use crate::git::{self, Kind};
use crate::output::{Printer, Steps};

/// A repository on its way into a sandbox.
pub struct Source {
    /// The repository.
    pub repository: git::Repository,
    /// Its configuration; empty without a file.
    pub config: RepoConfig,
    /// The configured setup script, once it was found to be usable.
    pub script: Option<String>,
}

impl Source {
    /// What the labels say of it.
    pub fn label(&self) -> label::Repository {
        let facts = self.repository.facts();
        label::Repository {
            name: facts.name.clone(),
            source: Some(label::RepositorySource::from(facts.source.as_str())),
            branch: facts.branch.clone(),
        }
    }
}

/// What of a work tree the flags ask for.
pub fn copy(args: &CreateArgs) -> git::Copy {
    if args.no_clean {
        git::Copy::Dirty {
            include_ignored: args.include_ignored,
        }
    } else {
        git::Copy::Clean
    }
}

/// Opens the repository that `--git` names, and reads its configuration.
///
/// # Errors
/// [`ExitCode::Repository`] when it cannot be read, [`ExitCode::Usage`] when its configuration is
/// no TOML, or names a setup script that cannot be used and no flag names another.
pub async fn open(args: &CreateArgs, out: &Printer, steps: &mut Steps) -> Result<Option<Source>> {
    let Some(spec) = &args.git else {
        return Ok(None);
    };
    let request = git::Request {
        spec: Some(spec.clone()).filter(|spec| !spec.is_empty()),
        branch: args.branch.clone(),
        new_branch: args.new_branch.clone(),
        copy: copy(args),
    };
    let cwd = std::env::current_dir().map_err(|error| {
        CommandError::new(ExitCode::Repository, "the current directory cannot be read")
            .caused_by(&error)
    })?;
    steps.begin("repository");
    let shared = Mutex::new(steps);
    let show = |line: &str| {
        if let Ok(mut steps) = shared.lock() {
            steps.line(line);
        }
    };
    let repository = git::open(request, &cwd, &show).await?;
    if let Ok(mut steps) = shared.lock() {
        steps.finish(&repository.facts().source);
    }
    for warning in &repository.facts().warnings {
        out.warn(warning);
    }
    let overridden = args.no_setup || args.setup_script.is_some();
    let (config, script) = read_config(&repository, overridden, out).await?;
    Ok(Some(Source {
        repository,
        config,
        script,
    }))
}

async fn read_config(
    repository: &git::Repository,
    setup_overridden: bool,
    out: &Printer,
) -> Result<(RepoConfig, Option<String>)> {
    let Some(bytes) = repository.config_toml().await? else {
        return Ok((RepoConfig::default(), None));
    };
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let parsed = config::parse_bytes(&bytes)
        .map_err(|problems| crate::output::diagnostic::refusal(config::PATH, &text, &problems))?;
    for warning in &parsed.warnings {
        out.diagnostic(config::PATH, &text, warning);
    }
    let script = match &parsed.config.lifecycle.setup_script {
        _ if setup_overridden => None,
        None => None,
        Some(SetupScript::Refused(problem)) => {
            return Err(crate::output::diagnostic::refusal(
                config::PATH,
                &text,
                std::slice::from_ref(problem),
            ));
        }
        Some(SetupScript::Path(path)) => {
            let refused = |why: String| {
                CommandError::new(
                    ExitCode::Usage,
                    format!("{}:{}:{}: setup_script \"{}\" {why}", config::PATH, path.line, path.column, path.value),
                )
                .hint("mend it in the repository and commit it, or pass `--setup-script FILE` or `--no-setup`")
            };
            match repository.entry(&path.value).await {
                Ok(Some(entry)) => match entry.kind {
                    Kind::File { executable: true } => Some(path.value.clone()),
                    Kind::File { executable: false } => {
                        return Err(refused(format!(
                            "is not executable: `git update-index --chmod=+x {}`",
                            path.value
                        )));
                    }
                    Kind::Directory => return Err(refused("is a directory".into())),
                },
                Ok(None) => {
                    return Err(refused(
                        "does not exist on the branch that the sandbox starts on".into(),
                    ));
                }
                Err(error) => return Err(refused("cannot be used".into()).caused_by(&error)),
            }
        }
    };
    Ok((parsed.config, script))
}

//! Python: packages by lock file or list, and Django's server.

use toml::de::DeTable;

use super::{Directory, Work, words};
use crate::diagnostic::{Diagnostic, Severity};

/// What says which packages, the first that is there wins.
enum Packages {
    Uv,
    Poetry,
    Pdm,
    Pipenv,
    Requirements,
    /// A project that is built.
    Project,
    /// A list of dependencies, of what is not built.
    Listed,
}

/// Whether a project of this kind is here, which then is planned.
pub(super) fn look(directory: Directory<'_>, work: &mut Work) -> bool {
    let Some(packages) = packages(directory, work) else {
        return false;
    };
    let pip = "python3 -m pip install --root-user-action=ignore";
    let tool = |name: &str| format!("command -v {name} >/dev/null || {pip} {name}\n");
    let (text, files, runner): (String, &[&str], &[&str]) = match packages {
        Packages::Uv => (
            tool("uv") + &directory.within("uv sync --frozen"),
            &["pyproject.toml", "uv.lock"],
            &["uv", "run", "python"],
        ),
        Packages::Poetry => (
            // In the repository, where the agent and its editors look for it.
            tool("poetry")
                + &directory
                    .within("POETRY_VIRTUALENVS_IN_PROJECT=1 poetry install --no-interaction"),
            &["pyproject.toml", "poetry.lock"],
            &["poetry", "run", "python"],
        ),
        Packages::Pdm => (
            tool("pdm") + &directory.within("pdm sync"),
            &["pyproject.toml", "pdm.lock"],
            &["pdm", "run", "python"],
        ),
        Packages::Pipenv => {
            let install = if directory.has("Pipfile.lock") {
                "PIPENV_VENV_IN_PROJECT=1 pipenv sync --dev"
            } else {
                "PIPENV_VENV_IN_PROJECT=1 pipenv install --dev --skip-lock"
            };
            (
                tool("pipenv") + &directory.within(install),
                &["Pipfile", "Pipfile.lock"],
                &["pipenv", "run", "python"],
            )
        }
        Packages::Requirements => {
            let dev = if directory.has("requirements-dev.txt") {
                " -r requirements-dev.txt"
            } else {
                ""
            };
            (
                directory.within(&format!("{pip} -r requirements.txt{dev}")),
                &["requirements.txt", "requirements-dev.txt"],
                &["python3"],
            )
        }
        Packages::Project => (
            directory.within(&format!("{pip} -e .")),
            &["pyproject.toml", "setup.py"],
            &["python3"],
        ),
        Packages::Listed => (
            tool("uv")
                + &directory
                    .within("uv pip install --system --break-system-packages -r pyproject.toml"),
            &["pyproject.toml"],
            &["python3"],
        ),
    };
    let once = directory.those(files);
    work.step(
        format!("Python packages ({})", once.join(", ")),
        text,
        false,
        once,
    );
    if directory
        .text("manage.py")
        .is_some_and(|text| text.contains("django"))
    {
        let mut command = words(runner);
        command.extend(words(&["manage.py", "runserver", "0.0.0.0:8000"]));
        work.serve(directory, 8000, command);
    }
    true
}

fn packages(directory: Directory<'_>, work: &mut Work) -> Option<Packages> {
    let project = directory.text("pyproject.toml").and_then(|text| {
        let (document, errors) = DeTable::parse_recoverable(text);
        if let Some(error) = errors.first() {
            let message = format!("invalid TOML: {}", error.message());
            let span = error.span().unwrap_or(0..0);
            let found = Diagnostic::new(Severity::Warning, message, text, span);
            work.finding(directory, "pyproject.toml", found);
            return None;
        }
        let document = document.get_ref();
        let has_poetry = document
            .get("tool")
            .and_then(|tool| tool.get_ref().as_table())
            .is_some_and(|tool| tool.contains_key("poetry"));
        let has = |key: &str| document.contains_key(key);
        Some((has_poetry, has("build-system"), has("project")))
    });
    let (has_poetry, is_built, is_project) = project.unwrap_or_default();
    if directory.has("pyproject.toml") {
        for (lock, packages) in [
            ("uv.lock", Packages::Uv),
            ("poetry.lock", Packages::Poetry),
            ("pdm.lock", Packages::Pdm),
        ] {
            if directory.has(lock) {
                return Some(packages);
            }
        }
    }
    if directory.has("Pipfile") {
        Some(Packages::Pipenv)
    } else if has_poetry {
        Some(Packages::Poetry)
    } else if directory.has("requirements.txt") {
        Some(Packages::Requirements)
    } else if is_built || directory.has("setup.py") {
        Some(Packages::Project)
    } else {
        is_project.then_some(Packages::Listed)
    }
}

use pretty_assertions::assert_eq;
use proptest::prelude::*;

use super::*;
use crate::config;

fn facts(files: &[(&str, &str)]) -> Facts {
    let files = files
        .iter()
        .map(|(path, text)| ((*path).to_owned(), Some((*text).to_owned())));
    Facts {
        files: files.collect(),
    }
}

/// The commands of the setup script, without what they are for.
fn setup(files: &[(&str, &str)]) -> Vec<String> {
    let steps = plan(&facts(files)).draft.setup;
    steps.into_iter().map(|step| step.text).collect()
}

#[test]
fn packages_are_installed_by_what_the_lock_file_is_of() {
    const NEEDY: &str = "{\"dependencies\":{\"a\":\"1\"}}";
    let yarn = |version: &str| format!("{{\"packageManager\":\"yarn@{version}\"}}");
    let (berry, odd) = (yarn("4.5.0+sha512.x"), yarn("4; id"));
    let cases: [(&[(&str, &str)], &str); 17] = [
        (
            &[("package.json", NEEDY)],
            "npm install --no-package-lock --no-audit --no-fund",
        ),
        (
            &[("package.json", "{}"), ("package-lock.json", "")],
            "npm ci --no-audit --no-fund",
        ),
        (
            &[("package.json", "{}"), ("npm-shrinkwrap.json", "")],
            "npm ci --no-audit --no-fund",
        ),
        (
            &[("package.json", "{}"), ("yarn.lock", "")],
            "install -g --no-audit --no-fund yarn@1\n",
        ),
        (
            &[("package.json", "{}"), ("yarn.lock", "#\n\n__metadata:\n")],
            "@yarnpkg/cli-dist\nyarn install --immutable",
        ),
        (
            &[("package.json", &berry), ("yarn.lock", "")],
            "@yarnpkg/cli-dist@4.5.0\n",
        ),
        (&[("package.json", &odd), ("yarn.lock", "")], " yarn@1\n"),
        (
            &[("package.json", "{}"), ("bun.lockb", "")],
            "bun install --frozen-lockfile",
        ),
        (
            &[
                ("package.json", "{}"),
                ("pnpm-lock.yaml", ""),
                ("package-lock.json", ""),
            ],
            "CI=1 pnpm install --frozen-lockfile",
        ),
        (
            &[("web/package.json", "{}"), ("web/package-lock.json", "")],
            "(cd web && npm ci --no-audit --no-fund)",
        ),
        (
            &[("pyproject.toml", ""), ("uv.lock", "")],
            "uv sync --frozen",
        ),
        (
            &[("pyproject.toml", "[tool.poetry]\n"), ("poetry.lock", "")],
            "poetry install --no-interaction",
        ),
        (&[("pyproject.toml", "[build-system]\n[project]\n")], "-e ."),
        (&[("pyproject.toml", "[project]\n")], "-r pyproject.toml"),
        (
            &[("requirements.txt", ""), ("requirements-dev.txt", "")],
            "-r requirements.txt -r requirements-dev.txt",
        ),
        (
            &[("Pipfile", ""), ("Pipfile.lock", "")],
            "pipenv sync --dev",
        ),
        (
            &[("Cargo.toml", ""), ("Cargo.lock", "")],
            "cargo fetch --locked || echo",
        ),
    ];
    for (files, command) in cases {
        let steps = setup(files);
        assert_eq!(steps.len(), 1, "{files:?}: {steps:?}");
        assert!(steps[0].contains(command), "{files:?}: {steps:?}");
    }
}

#[test]
fn what_needs_nothing_has_no_script() {
    for files in [
        &[][..],
        &[("package.json", "{\"name\":\"a\"}")],
        &[("pyproject.toml", "[tool.ruff]\n")],
        &[("Makefile", "all:\n\ttrue\nsetup := 1\n")],
        &[(
            "node_modules/package.json",
            "{\"dependencies\":{\"a\":\"1\"}}",
        )],
        &[("a b/requirements.txt", ""), ("-x/requirements.txt", "")],
    ] {
        assert_eq!(setup(files), [""; 0], "{files:?}");
    }
}

#[test]
fn a_project_in_the_root_sees_to_those_below_it() {
    let files = [
        ("package.json", "{}"),
        ("package-lock.json", ""),
        ("web/package.json", "{}"),
        ("web/package-lock.json", ""),
    ];
    assert_eq!(setup(&files), ["npm ci --no-audit --no-fund"]);
}

#[test]
fn a_make_target_is_called_where_nothing_else_is_known() {
    let make = ("Makefile", "deps: x\n\ttrue\n");
    assert_eq!(setup(&[make]), ["make deps"]);
    let plan = plan(&facts(&[make, ("requirements.txt", "")]));
    assert_eq!(plan.draft.setup.len(), 1);
    assert!(plan.draft.remarks[0].contains("`deps`"));
}

#[test]
fn servers_have_ports_of_their_own() {
    let vite = "{\"scripts\":{\"dev\":\"vite\"}}";
    let plan = plan(&facts(&[
        ("api/manage.py", "import django"),
        ("api/requirements.txt", ""),
        ("one/package.json", vite),
        ("two/package.json", vite),
    ]));
    let services: Vec<(String, Option<String>)> = plan
        .draft
        .services
        .iter()
        .map(|service| {
            (
                format!("{} {}", service.name, service.port),
                service.cwd.clone(),
            )
        })
        .collect();
    assert_eq!(
        services,
        [
            ("one 5173/tcp".to_owned(), Some("one".to_owned())),
            ("api 8000/tcp".to_owned(), Some("api".to_owned())),
        ]
    );
    assert!(plan.draft.remarks[0].starts_with("Left out, since port 5173/tcp"));
}

#[test]
fn a_file_that_is_not_what_its_name_says_is_a_warning_with_its_place() {
    let plan = plan(&facts(&[
        ("package.json", "{\n  name }"),
        ("pyproject.toml", "[project]\nname = \n"),
    ]));
    let found = plan
        .findings
        .iter()
        .map(|it| (it.path.as_str(), it.diagnostic.line, it.diagnostic.severity));
    let found: Vec<_> = found.collect();
    assert_eq!(
        found,
        [
            ("package.json", 2, Severity::Warning),
            ("pyproject.toml", 2, Severity::Warning),
        ]
    );
}

proptest! {
    #[test]
    fn whatever_is_there_the_configuration_is_valid(
        files in prop::collection::btree_map(
            (prop::sample::select(vec!["", "web/", "api/", "x$(id)/"]), prop::sample::select(NAMES.to_vec())),
            prop::option::of(prop_oneof![
                any::<String>(),
                Just("{\"packageManager\":\"yarn@$(id)\",\"scripts\":{\"dev\":\"vite --port 1\"},\"dependencies\":{\"a\":\"1\"}}".to_owned()),
                Just("services:\n  a:\n    image: b\n".to_owned()),
                Just("setup:\n".to_owned()),
            ]),
            0..12,
        ),
    ) {
        let files = files.into_iter().map(|((directory, name), text)| (format!("{directory}{name}"), text));
        let plan = plan(&Facts { files: files.collect() });
        for file in plan.draft.files() {
            prop_assert!(!file.content.contains("$(id)"));
            if file.path == config::PATH {
                let parsed = config::parse(&file.content).unwrap();
                prop_assert!(parsed.valid() && parsed.warnings.is_empty(), "{:?}", parsed.warnings);
            }
        }
    }
}

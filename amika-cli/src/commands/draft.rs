//! A configuration that is about to be written: shown, and put into its repository.

use std::io;
use std::path::{Path, PathBuf};

use amika_core::draft::{Draft, File};
use amika_core::text::shell_path;
use amika_core::untrusted::Untrusted;
use amika_host::beneath::Beneath;
use schemars::JsonSchema;
use serde::Serialize;

use crate::App;
use crate::error::{Error, Kind, Result};
use crate::output::Page;

/// A repository whose configuration is written.
pub(super) struct Target {
    /// Its root.
    pub(super) root: PathBuf,
    /// The same, open.
    pub(super) files: Beneath,
}

/// A file of it.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct FileView {
    /// Its path, relative to the repository's root.
    path: &'static str,
    /// All of it.
    content: String,
    /// Whether it is a program.
    executable: bool,
}

impl FileView {
    pub(super) fn all(draft: &Draft) -> Vec<Self> {
        let files = draft.files().into_iter().map(|file| {
            let File {
                path,
                content,
                is_executable,
            } = file;
            Self {
                path,
                content,
                executable: is_executable,
            }
        });
        files.collect()
    }

    /// Its path, relative to the repository's root.
    pub(super) fn path(&self) -> &'static str {
        self.path
    }

    /// Its lines, behind a line that names it.
    pub(super) fn lines(&self) -> Vec<String> {
        let head = format!("{}:", self.path);
        let lines = self.content.lines().map(|line| match line {
            "" => String::new(),
            line => format!("    {}", Untrusted::new(line)),
        });
        std::iter::once(head).chain(lines).collect()
    }
}

/// Writes files to the page as they would be.
pub(super) fn show(files: &[FileView], out: &mut Page<'_>) -> io::Result<()> {
    for line in files.iter().flat_map(FileView::lines) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

impl Target {
    /// Finds the repository that a path is in.
    ///
    /// # Errors
    /// [`Kind::Invalid`] where nothing is at the path, [`Kind::Repository`] where it is in no work tree.
    pub(super) fn find(path: Option<&Path>) -> Result<Self> {
        let given = path.unwrap_or(Path::new("."));
        let shown = given.display();
        let unreadable = |error: &io::Error| {
            Error::new(Kind::Invalid, format!("{shown} cannot be read")).caused_by(error)
        };
        let absolute = given.canonicalize().map_err(|error| unreadable(&error))?;
        // A file in worktrees and submodules, a directory elsewhere.
        let root = absolute.ancestors().find(|dir| dir.join(".git").exists());
        let Some(root) = root else {
            return Err(Error::new(
                Kind::Repository,
                format!("{} is in no git repository", absolute.display()),
            )
            .hint("`git init` makes one; sandboxes get what is committed in it"));
        };
        let files = Beneath::open(root).map_err(|error| unreadable(&error))?;
        Ok(Self {
            root: root.to_owned(),
            files,
        })
    }

    /// The files of a plan that are there already.
    fn taken(&self, files: &[FileView]) -> Vec<&'static str> {
        let paths = files.iter().map(|file| file.path);
        paths.filter(|path| self.files.is_there(path)).collect()
    }

    /// Fails where something of the plan is there already.
    ///
    /// # Errors
    /// [`Kind::Conflict`], with the files.
    pub(super) fn check_free(&self, files: &[FileView], again: &str) -> Result<()> {
        let taken = self.taken(files);
        let Some(first) = taken.first() else {
            return Ok(());
        };
        let path = self.root.join(first);
        Err(Error::new(
            Kind::Conflict,
            format!("{} is there already; nothing was written", path.display()),
        )
        .hint(format!("`{again} --force` replaces it"))
        .hint(format!("`{again} --dry-run` shows what it would write"))
        .detail("files", taken))
    }

    /// Writes the files, the configuration last.
    ///
    /// # Errors
    /// [`Kind::Failure`] where one cannot be written, and for one that came in between [`Kind::Conflict`].
    pub(super) fn write(&self, files: &[FileView], replace: bool) -> Result<()> {
        for file in files {
            let mode = if file.executable { 0o777 } else { 0o666 };
            let content = file.content.as_bytes();
            let written = self.files.write(file.path, content, mode, replace);
            written.map_err(|error| {
                let kind = match error.kind() {
                    io::ErrorKind::AlreadyExists => Kind::Conflict,
                    _ => Kind::Failure,
                };
                let path = self.root.join(file.path);
                let message = format!("{} cannot be written", path.display());
                Error::new(kind, message).caused_by(&error)
            })?;
        }
        Ok(())
    }

    /// Says what comes after a file was written.
    pub(super) fn next(&self, app: &App) {
        let root = shell_path(&self.root.display().to_string());
        app.out.note(&format!(
            "sandboxes get what is committed: `git -C {root} add .amika`, `git -C {root} commit`, then `amika sandbox create --git {root}`"
        ));
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use amika_core::devcontainer::migrate;
    use amika_core::draft::{SETUP, TOOL};
    use amika_core::project::{Facts, plan};
    use proptest::prelude::*;

    use super::*;

    fn sh(args: &[&str]) -> std::process::Output {
        let output = Command::new("sh").args(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
        output
    }

    fn script(draft: &Draft) -> String {
        let mut files = draft.files().into_iter();
        let script = files.find(|file| file.path == SETUP);
        script.unwrap().content
    }

    #[test]
    fn every_step_that_init_knows_is_a_shells_text() {
        sh(&["-n", "-c", TOOL]);
        let needy = "{\"dependencies\":{\"a\":\"1\"}}";
        for lock in [
            "package-lock.json",
            "pnpm-lock.yaml",
            "yarn.lock",
            "bun.lock",
        ] {
            let files = [
                ("package.json", needy),
                (lock, ""),
                ("pyproject.toml", "[project]\n"),
                ("Cargo.toml", ""),
                ("go.mod", ""),
                ("web/Gemfile", ""),
            ];
            let files = files.map(|(path, text)| (path.to_owned(), Some(text.to_owned())));
            let facts = Facts {
                files: files.into_iter().collect(),
            };
            sh(&["-n", "-c", &script(&plan(&facts).draft)]);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn words_of_a_devcontainer_come_out_of_the_script_as_they_went_in(word in "[^\0]{1,20}", line in "[^\0]{0,20}") {
            // `$0` and what follows are no part of what is run, so only quoting tells what becomes of them.
            let text = serde_json::json!({
                "onCreateCommand": ["printf", "%s", word],
                "postCreateCommand": ["sh", "-c", "printf '|%s' \"$1\"", "-", line],
                "updateContentCommand": {word: "printf '|${containerWorkspaceFolder}'"},
            });
            let migration = migrate(&text.to_string(), Some("")).unwrap();
            prop_assume!(migration.rest.is_empty());
            let script = script(&migration.draft);
            sh(&["-n", "-c", &script]);
            let ran = Command::new("sh").args(["-c", &script]).env("AMIKA_AGENT_CWD", "/a/b").output().unwrap();
            let expected = format!("{}|/a/b|{line}", text["onCreateCommand"][2].as_str().unwrap());
            prop_assert_eq!(String::from_utf8_lossy(&ran.stdout), expected, "{}", script);
        }
    }
}

//! `amika sandbox code`: an editor of this machine, in the directory of a sandbox.
//!
//! It attaches to the container as to any other, and comes in as the agent: a label tells it so
//! (`devcontainer.metadata`, of the Dev Containers specification).

use std::path::PathBuf;

use amika_core::contract::path::WORKSPACE;
use amika_core::hex::hex;
use amika_core::text::shell_quote;
use amika_core::untrusted::Untrusted;
use schemars::JsonSchema;
use serde::Serialize;

use crate::App;
use crate::args::sandbox::{CodeArgs, Editor};
use crate::error::{Error, Kind, Result};
use crate::sandbox::Sandbox;

/// What opens it.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::commands) struct CodeView {
    /// The words of the command.
    command: Vec<String>,
    /// Whether it was run: the editor is on this machine.
    opened: bool,
}

pub(super) async fn run(args: &CodeArgs, app: &App) -> Result<()> {
    let engine = crate::engine::connect(&app.user).await?;
    let sandbox = Sandbox::find_whole(&engine, &args.name).await?;
    sandbox.must_run()?;
    let directory = sandbox.record.agent_cwd.as_deref().unwrap_or(WORKSPACE);
    let found = |editor: Editor| Some((editor, on_path(editor.program())?));
    let (editor, program) = match args.editor {
        Some(editor) => (editor, on_path(editor.program())),
        None => Editor::ALL
            .into_iter()
            .find_map(found)
            .map_or((Editor::Code, None), |(editor, program)| {
                (editor, Some(program))
            }),
    };
    let command = vec![
        editor.program().to_owned(),
        "--folder-uri".to_owned(),
        uri(&sandbox.container.name, directory),
    ];
    let view = CodeView {
        opened: program.is_some(),
        command,
    };
    if let Some(program) = program {
        open(&program, &view.command).await?;
        app.out.result(&view, |_| Ok(()))
    } else {
        app.out.note(&format!(
            "{} is not on this machine's PATH; where it is, this opens the sandbox:",
            editor.program()
        ));
        app.out.result(&view, |out| {
            let words: Vec<String> = view.command.iter().map(|word| shell_quote(word)).collect();
            writeln!(out, "{}", words.join(" "))
        })
    }
}

/// The program of this name that PATH leads to.
fn on_path(program: &str) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt as _;
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|directory| directory.join(program))
        .find(|file| {
            file.metadata()
                .is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
        })
}

/// Where an editor finds a directory of a container, as Visual Studio Code writes it in its list of recent folders.
fn uri(container: &str, directory: &str) -> String {
    let authority = serde_json::json!({ "containerName": format!("/{container}") }).to_string();
    let mut uri = format!(
        "vscode-remote://attached-container+{}",
        hex(authority.as_bytes())
    );
    for byte in directory.bytes() {
        // RFC 3986, 3.3: what stands for itself in a path.
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            uri.push('%');
            uri.push_str(&hex(&[byte]).to_uppercase());
        }
    }
    uri
}

/// Runs the editor's command, which ends once the editor has been told.
///
/// # Errors
/// [`Kind::Failure`] where it cannot be run or says that it failed.
async fn open(program: &std::path::Path, command: &[String]) -> Result<()> {
    let failed = |why: String| {
        let name = &command[0];
        Error::new(Kind::Failure, format!("{name} cannot open the sandbox"))
            .cause(why)
            .hint("it needs its extension for containers (Dev Containers), and docker's command on this machine")
    };
    let output = tokio::process::Command::new(program)
        .args(&command[1..])
        .stdin(std::process::Stdio::null())
        .output()
        .await
        .map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().rev().find(|line| !line.trim().is_empty());
    Err(failed(match last {
        Some(last) => format!("it said: {}", Untrusted::new(last).within(200)),
        None => format!("it ended with {}", output.status),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_of_a_container_is_written_as_the_editor_reads_it() {
        assert_eq!(
            uri("a", "/home/amika/workspace/my app"),
            "vscode-remote://attached-container+7b22636f6e7461696e65724e616d65223a222f61227d/home/amika/workspace/my%20app"
        );
    }
}

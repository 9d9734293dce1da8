//! Variables of a `devcontainer.json`, `${localEnv:HOME}` and its like: what a shell in a sandbox has in their place.

use crate::env::check_name;

/// A part of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// Itself; what a shell means by `${…}` is part of it.
    Text(&'a str),
    /// A variable that the file's own rules put something in place of.
    Variable(Variable<'a>),
}

/// A variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Variable<'a> {
    /// `${localEnv:NAME}`, maybe with a default behind a colon.
    LocalEnv(&'a str),
    /// `${containerEnv:NAME}`
    ContainerEnv(&'a str),
    /// `${containerWorkspaceFolder}`
    Workspace,
    /// `${containerWorkspaceFolderBasename}` and `${localWorkspaceFolderBasename}`, which are one.
    WorkspaceName,
    /// `${localWorkspaceFolder}`
    LocalWorkspace,
    /// `${devcontainerId}`
    Id,
}

impl<'a> Variable<'a> {
    fn read(text: &'a str) -> Option<Self> {
        Some(match text.split_once(':') {
            Some(("localEnv" | "env", name)) => Self::LocalEnv(name),
            Some(("containerEnv", name)) => Self::ContainerEnv(name),
            Some(_) => return None,
            None => match text {
                "containerWorkspaceFolder" => Self::Workspace,
                "containerWorkspaceFolderBasename" | "localWorkspaceFolderBasename" => {
                    Self::WorkspaceName
                }
                "localWorkspaceFolder" => Self::LocalWorkspace,
                "devcontainerId" => Self::Id,
                _ => return None,
            },
        })
    }

    /// What a shell in a sandbox puts in its place; an error says why it has nothing.
    pub(super) fn in_shell(self) -> Result<String, String> {
        match self {
            Self::Workspace => Ok("\"$AMIKA_AGENT_CWD\"".to_owned()),
            Self::WorkspaceName => Ok("\"${AMIKA_AGENT_CWD##*/}\"".to_owned()),
            Self::ContainerEnv(name) if is_plain_name(name) => Ok(format!("\"${{{name}-}}\"")),
            Self::ContainerEnv(_) => {
                Err("its ${containerEnv:…} names no plain variable".to_owned())
            }
            Self::LocalEnv(name) => {
                // What stands behind a colon is a default.
                let name = name.split(':').next().unwrap_or_default();
                let name = if is_plain_name(name) { name } else { "NAME" };
                Err(format!(
                    "its ${{localEnv:…}} is of this machine: `amika sandbox create --env {name}` hands it in"
                ))
            }
            Self::LocalWorkspace => {
                Err("its ${localWorkspaceFolder} is a directory of this machine".to_owned())
            }
            Self::Id => Err("no sandbox has a ${devcontainerId}".to_owned()),
        }
    }

    /// Why `[env]` cannot say it, and what to do instead.
    pub(super) fn why_not_in_env(self) -> String {
        match self {
            Self::Workspace | Self::WorkspaceName | Self::ContainerEnv(_) => {
                "[env] has plain values alone; programs find the repository's directory in $AMIKA_AGENT_CWD".to_owned()
            }
            other => other.in_shell().err().unwrap_or_default(),
        }
    }
}

/// A name that a shell takes as it is.
fn is_plain_name(name: &str) -> bool {
    let plain = |found: char| found.is_ascii_alphanumeric() || found == '_';
    check_name(name).is_ok()
        && name.chars().all(plain)
        && !name.starts_with(|found: char| found.is_ascii_digit())
}

/// Takes a text apart.
pub(super) fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let (mut begun, mut at) = (0, 0);
    while let Some(found) = text[at..].find("${") {
        let start = at + found;
        let Some(length) = text[start..].find('}') else {
            break;
        };
        let end = start + length + 1;
        at = start + 2;
        if let Some(variable) = Variable::read(&text[start + 2..end - 1]) {
            if begun < start {
                pieces.push(Piece::Text(&text[begun..start]));
            }
            pieces.push(Piece::Variable(variable));
            (begun, at) = (end, end);
        }
    }
    if begun < text.len() {
        pieces.push(Piece::Text(&text[begun..]));
    }
    pieces
}

/// The first variable of a text.
pub(super) fn first(text: &str) -> Option<Variable<'_>> {
    pieces(text).into_iter().find_map(|piece| match piece {
        Piece::Variable(variable) => Some(variable),
        Piece::Text(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shells_own_variables_are_text() {
        use Piece::{Text, Variable as Is};
        assert_eq!(
            pieces("cd ${containerWorkspaceFolder}/${X} && ${localEnv:A:b}${"),
            [
                Text("cd "),
                Is(Variable::Workspace),
                Text("/${X} && "),
                Is(Variable::LocalEnv("A:b")),
                Text("${"),
            ]
        );
        assert_eq!(
            pieces("${${devcontainerId}"),
            [Text("${"), Is(Variable::Id)]
        );
        assert_eq!(pieces(""), []);
    }

    #[test]
    fn a_name_that_is_more_than_a_name_gets_into_no_script() {
        for (name, is_taken) in [
            ("PATH", true),
            ("A_1", true),
            ("1A", false),
            ("A}$(id)", false),
            ("", false),
        ] {
            let text = Variable::ContainerEnv(name).in_shell();
            assert_eq!(text.is_ok(), is_taken, "{name}: {text:?}");
        }
    }
}

//! What stands on either side of `cp`: a path here, a path in a sandbox, or a stream.

use std::path::PathBuf;
use std::str::FromStr;

use amika_core::contract::path::HOME;
use amika_core::name::SandboxName;

/// One side of a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// `-`: a tar archive on standard input or output.
    Stream,
    /// A path on this machine.
    Host(PathBuf),
    /// A path in a sandbox.
    Sandbox {
        /// The sandbox.
        name: SandboxName,
        /// The path as it was typed; relative to the agent's directory.
        path: String,
    },
}

/// A side that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPlace {
    /// Nothing at all.
    #[error("an empty path")]
    Empty,
    /// What stands before the colon is no name of a sandbox.
    #[error(
        "\"{}\" is no name of a sandbox; a file of this machine with a colon is written ./{}",
        .name.escape_debug(),
        .text.escape_debug()
    )]
    Name {
        /// What stands before the colon.
        name: String,
        /// The whole.
        text: String,
    },
}

impl FromStr for Place {
    type Err = InvalidPlace;

    /// As docker reads them: what has a colon before its first slash is in a sandbox.
    fn from_str(text: &str) -> Result<Self, InvalidPlace> {
        match text {
            "" => return Err(InvalidPlace::Empty),
            "-" => return Ok(Self::Stream),
            _ => {}
        }
        let here = || Ok(Self::Host(PathBuf::from(text)));
        if text.starts_with(['/', '.']) {
            return here();
        }
        match text.split_once(':') {
            Some((name, path)) if !name.contains('/') => match name.parse() {
                Ok(name) => Ok(Self::Sandbox {
                    name,
                    path: path.to_owned(),
                }),
                Err(_) => Err(InvalidPlace::Name {
                    name: name.to_owned(),
                    text: text.to_owned(),
                }),
            },
            _ => here(),
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stream => f.write_str("-"),
            Self::Host(path) => path.display().fmt(f),
            Self::Sandbox { name, path } => write!(f, "{name}:{path}"),
        }
    }
}

/// The absolute path of what was typed behind the colon: relative to the agent's directory, where
/// `exec` and `connect` begin too, or to its home behind `~`. A slash at the end stays.
pub(super) fn absolute(typed: &str, agent_cwd: &str) -> String {
    if typed.starts_with('/') {
        return typed.to_owned();
    }
    if typed == "~" {
        return HOME.to_owned();
    }
    if let Some(rest) = typed.strip_prefix("~/") {
        return format!("{HOME}/{rest}");
    }
    let cwd = agent_cwd.trim_end_matches('/');
    if typed.is_empty() {
        return format!("{cwd}/");
    }
    format!("{cwd}/{typed}")
}

/// Directory and last name of an absolute path, `.` and `..` and slashes at its end worked out as
/// far as they need no look at links; the root has no name.
pub(super) fn split(path: &str) -> (String, Option<String>) {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let name = parts.pop().map(str::to_owned);
    (format!("/{}", parts.join("/")), name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colon_before_the_first_slash_is_a_sandbox() {
        let sandbox = |name: &str, path: &str| {
            Ok(Place::Sandbox {
                name: name.parse().unwrap(),
                path: path.to_owned(),
            })
        };
        let host = |path: &str| Ok(Place::Host(PathBuf::from(path)));
        let cases = [
            ("-", Ok(Place::Stream)),
            ("box:/etc/hosts", sandbox("box", "/etc/hosts")),
            ("box:a:b", sandbox("box", "a:b")),
            ("box:", sandbox("box", "")),
            ("src", host("src")),
            ("./box:a", host("./box:a")),
            ("/tmp/box:a", host("/tmp/box:a")),
            ("dir/box:a", host("dir/box:a")),
            ("..", host("..")),
            ("", Err(InvalidPlace::Empty)),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<Place>(), expected, "{text}");
        }
        let refused = "My Box:x".parse::<Place>().unwrap_err().to_string();
        assert_eq!(
            refused,
            "\"My Box\" is no name of a sandbox; a file of this machine with a colon is written ./My Box:x"
        );
    }

    #[test]
    fn paths_are_the_agents() {
        let cases = [
            ("/etc", "/etc"),
            ("a/b", "/srv/a/b"),
            ("a/", "/srv/a/"),
            ("", "/srv/"),
            (".", "/srv/."),
            ("~", "/home/amika"),
            ("~/x", "/home/amika/x"),
            ("~x", "/srv/~x"),
        ];
        for (typed, expected) in cases {
            assert_eq!(absolute(typed, "/srv"), expected, "{typed}");
        }
        assert_eq!(absolute("x", "/"), "/x");
    }

    #[test]
    fn a_path_has_a_directory_and_a_name() {
        let cases = [
            ("/a/b", "/a", Some("b")),
            ("/a/b/", "/a", Some("b")),
            ("/a/b/.", "/a", Some("b")),
            ("/a/../b", "/", Some("b")),
            ("/a", "/", Some("a")),
            ("/", "/", None),
            ("/..", "/", None),
        ];
        for (path, directory, name) in cases {
            assert_eq!(
                split(path),
                (directory.to_owned(), name.map(str::to_owned)),
                "{path}"
            );
        }
    }
}

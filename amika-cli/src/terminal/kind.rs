//! What kind of terminal a program in a sandbox is told that it has.
//!
//! Newer terminals call themselves by names that no image knows (`xterm-ghostty`, `foot`). A program that
//! does not find such a name cannot clear the screen, or refuses to start. So the host's description goes
//! with it, and where there is none, the program is told of a terminal that all of them resemble.

use std::path::{Path, PathBuf};
use std::time::Duration;

use amika_core::hex::hex;
use futures_util::StreamExt as _;
use tokio::io::AsyncWriteExt as _;

use super::{Remote, Streams};
use crate::sandboxes::Sandboxes;

/// Variables that tell a program what kind of terminal it has.
const DESCRIPTION: [&str; 3] = ["TERM", "COLORTERM", "LANG"];
/// What the newer ones all resemble, and each image that knows terminals knows.
const USUAL: &str = "xterm-256color";
/// Names that come with ncurses itself (Debian's `ncurses-base`), or mean no terminal: nothing is looked for.
const KNOWN: [&str; 14] = [
    "ansi",
    "dumb",
    "linux",
    "rxvt",
    "screen",
    "screen-256color",
    "tmux",
    "tmux-256color",
    "vt100",
    "vt220",
    "xterm",
    USUAL,
    "xterm-color",
    "xterm-mono",
];
/// The longest description that ncurses reads.
const LONGEST: u64 = 32 * 1024;
/// How long a sandbox may take to look.
const LIMIT: Duration = Duration::from_secs(5);
/// Looks for a description where ncurses does, in a directory of its first letter, and else writes the one
/// on standard input, if there is any, into the home.
const SCRIPT: &str = r#"for dir in "${TERMINFO:-}" "$HOME/.terminfo" /etc/terminfo /lib/terminfo /usr/lib/terminfo \
    /usr/share/terminfo /usr/local/share/terminfo; do
    [ -n "$dir" ] && [ -e "$dir/$1/$2" ] && exit 0
done
[ "$3" = given ] || exit 1
umask 022
mkdir -p "$HOME/.terminfo/$1" && cat >"$HOME/.terminfo/$1/.$2.$$" && mv "$HOME/.terminfo/$1/.$2.$$" "$HOME/.terminfo/$1/$2"
"#;

/// What describes this terminal, for the environment of a program of `user` in a container that gets one
/// like it.
pub(crate) async fn description(
    engine: &Sandboxes,
    container: &str,
    user: Option<&str>,
) -> Vec<(String, String)> {
    let mut described = given();
    for (name, value) in &mut described {
        if name == "TERM" && !KNOWN.contains(&value.as_str()) {
            let looked = tokio::time::timeout(LIMIT, is_known(engine, container, user, value));
            if !looked.await.unwrap_or(false) {
                USUAL.clone_into(value);
            }
        }
    }
    described
}

/// What describes this terminal to a program that cannot be asked what terminals it knows.
pub(crate) fn known_description() -> Vec<(String, String)> {
    let mut described = given();
    for (name, value) in &mut described {
        if name == "TERM" && !KNOWN.contains(&value.as_str()) {
            USUAL.clone_into(value);
        }
    }
    described
}

/// What this process was told of its terminal.
fn given() -> Vec<(String, String)> {
    DESCRIPTION
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)))
        .filter(|(_, value)| !value.is_empty() && !value.contains('\0'))
        .collect()
}

/// Whether programs in the container know this terminal, now.
async fn is_known(engine: &Sandboxes, container: &str, user: Option<&str>, term: &str) -> bool {
    let Some(letter) = letter_of(term) else {
        return false;
    };
    let own = own_description(term);
    let given = if own.is_some() { "given" } else { "" };
    let script = [
        "sh",
        "-c",
        SCRIPT,
        "terminfo",
        &letter.to_string(),
        term,
        given,
    ];
    let remote = Remote {
        verb: "exec-as",
        user: user.map(str::to_owned),
        workdir: None,
        env: Vec::new(),
        command: script.map(str::to_owned).to_vec(),
        streams: Streams::Separate,
    };
    let spec = remote.spec(&hex(&rand::random::<[u8; 8]>()), super::size());
    let Ok(mut session) = engine.engine().exec(container, &spec).await else {
        return false;
    };
    // A script that looked and found does not read it.
    let _ = session.input.write_all(&own.unwrap_or_default()).await;
    let _ = session.input.shutdown().await;
    while session.output.next().await.is_some() {}
    matches!(engine.wait_exec(&session.id).await, Ok(0))
}

/// The first letter of a name that can be one of a file.
fn letter_of(term: &str) -> Option<char> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_+.".contains(c);
    let first = term.chars().next()?;
    (first.is_ascii_alphanumeric() && term.len() <= 64 && term.chars().all(fits)).then_some(first)
}

/// This machine's compiled description of a terminal.
fn own_description(term: &str) -> Option<Vec<u8>> {
    let letter = letter_of(term)?;
    let var = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let dirs = std::env::var_os("TERMINFO_DIRS").unwrap_or_default();
    let usual = ["/etc", "/lib", "/usr/lib", "/usr/share", "/usr/local/share"];
    var("TERMINFO")
        .into_iter()
        .chain(var("HOME").map(|home| home.join(".terminfo")))
        .chain(std::env::split_paths(&dirs))
        .chain(usual.iter().map(|dir| Path::new(dir).join("terminfo")))
        .filter(|dir| dir.is_absolute())
        .find_map(|dir| compiled(&dir, letter, term))
}

/// A description in one directory: by its first letter, or by the code of it as macOS has it.
fn compiled(dir: &Path, letter: char, term: &str) -> Option<Vec<u8>> {
    let codes = [letter.to_string(), format!("{:x}", u32::from(letter))];
    codes.iter().find_map(|code| {
        let path = dir.join(code).join(term);
        let is_small =
            std::fs::metadata(&path).is_ok_and(|file| file.is_file() && file.len() <= LONGEST);
        let text = is_small.then(|| std::fs::read(&path).ok()).flatten()?;
        // Its magic numbers: with numbers of 16 bits, and of 32.
        matches!(text.get(..2), Some([0x1a, 0x01] | [0x1e, 0x02])).then_some(text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_a_path_is_no_terminals() {
        assert_eq!(letter_of("xterm-ghostty"), Some('x'));
        assert_eq!(letter_of("foot"), Some('f'));
        for name in [
            "",
            "../../etc/passwd",
            "x/y",
            ".hidden",
            "a b",
            "-x",
            "x\u{e9}",
        ] {
            assert_eq!(letter_of(name), None, "{name}");
        }
    }

    #[test]
    fn a_description_is_found_by_letter_and_by_code_and_nothing_else_is_taken_for_one() {
        let dir = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &[u8]| {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        put("f/foot", b"\x1e\x02rest");
        put("78/xterm-kitty", b"\x1a\x01rest");
        put("f/fake", b"root:x:0:0");
        let found = |letter, term| compiled(dir.path(), letter, term);
        assert_eq!(found('f', "foot").unwrap(), b"\x1e\x02rest");
        assert_eq!(found('x', "xterm-kitty").unwrap(), b"\x1a\x01rest");
        assert_eq!(found('f', "fake"), None);
        assert_eq!(found('f', "frobozz"), None);
    }
}

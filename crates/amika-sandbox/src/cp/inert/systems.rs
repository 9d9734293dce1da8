//! Version control systems other than git: where they keep what names programs, and what of it comes out.
//!
//! What a system keeps in a work tree of its own is a format that nobody here reads. Of Mercurial the few
//! files that name programs, or another place where such files are, are known, and the rest comes; of the others
//! nothing does. A link comes in none of these places: what it leads to has another name in the copy, by which nobody
//! would know it.

use std::ffi::OsStr;
use std::path::Path;

use super::fold;

/// Mercurial's own directory.
const MERCURIAL: &str = ".hg";
/// What in it names programs, or another place with such files.
const MERCURIALS: [&str; 4] = ["hgrc", "hgrc-not-shared", "sharedpath", "config"];
/// What of other systems stays behind as a whole: a directory, a file, or a link in its place.
const WHOLE: [(&str, &str); 13] = [
    (".jj", "Jujutsu"),
    (".sl", "Sapling"),
    (".svn", "Subversion"),
    ("_svn", "Subversion"),
    ("_darcs", "Darcs"),
    (".bzr", "Bazaar"),
    (".pijul", "Pijul"),
    (".fslckout", "Fossil"),
    ("_fossil_", "Fossil"),
    (".fos", "Fossil"),
    ("_mtn", "Monotone"),
    (".got", "Game of Trees"),
    ("{arch}", "GNU Arch"),
];
/// Of a system that shares its directory's name with others: the directory, and the name in it.
const WITHIN: [(&str, &str, &str); 3] = [
    ("cvs", "root", "CVS"),
    ("cvs", "repository", "CVS"),
    (".repo", "repo", "repo"),
];

/// Whether an entry is Mercurial's own directory.
pub(super) fn is_mercurials(folded: &str) -> bool {
    spelled(folded) == MERCURIAL
}

/// Whether a path of this machine is where one of these systems keeps its own.
pub(super) fn is_within(path: &Path) -> bool {
    path.iter().any(|part| {
        let folded = fold(part);
        is_mercurials(&folded) || whole(&folded).is_some()
    })
}

/// Why an entry stays behind.
pub(super) fn refused(
    parents: &Path,
    folded: &str,
    is_directory: bool,
    is_link: bool,
) -> Option<String> {
    let names =
        |system: &str| format!("{system} keeps what names programs there; `--as-is` copies it");
    if let Some(system) = whole(folded) {
        return Some(names(system));
    }
    if is_mercurials(folded) && !is_directory {
        return Some(names("Mercurial"));
    }
    let is_within_mercurials = parents.iter().any(|part| is_mercurials(&fold(part)));
    if is_within_mercurials && (is_link || MERCURIALS.contains(&folded)) {
        return Some(names("Mercurial"));
    }
    let parent = parents.file_name().map(fold).unwrap_or_default();
    let found = WITHIN
        .iter()
        .find(|(directory, name, _)| parent == *directory && folded == *name);
    // A link in the place of the directory itself would bring the same.
    let linked = WITHIN
        .iter()
        .find(|(directory, _, _)| is_link && folded == *directory);
    found.or(linked).map(|(_, _, system)| names(system))
}

/// Why a file or a link at a path comes to no work tree of this machine: it is where a version control system keeps its own.
pub(crate) fn foreign(path: &Path, is_link: bool) -> Option<String> {
    let steps: Vec<&Path> = path
        .ancestors()
        .filter(|it| it.file_name().is_some())
        .collect();
    steps.iter().rev().find_map(|step| {
        let folded = fold(step.file_name()?);
        if folded == ".git" {
            return Some("git keeps its own there".to_owned());
        }
        let parents = step.parent().unwrap_or(Path::new(""));
        let is_last = *step == path;
        refused(parents, &folded, !is_last, is_last && is_link)
            .map(|why| why.replace("; `--as-is` copies it", ""))
    })
}

fn whole(folded: &str) -> Option<&'static str> {
    let name = spelled(folded);
    let found = WHOLE.iter().find(|(known, _)| *known == name);
    found.map(|(_, system)| *system)
}

/// A folded name, or that of which it is the short form on file systems of Windows.
fn spelled(folded: &str) -> &str {
    let Some((stem, "1")) = folded.rsplit_once('~') else {
        return folded;
    };
    let long = WHOLE.iter().map(|(known, _)| *known).chain([MERCURIAL]);
    let mut long = long.filter(|known| {
        let plain: String = known.chars().filter(|it| *it != '.').take(6).collect();
        known.starts_with('.') && plain == stem
    });
    long.next().unwrap_or(folded)
}

/// Whether programs of this machine act on a file of this name by themselves, or after they asked: the user is told.
pub(crate) fn is_acted_on(parents: &Path, name: &OsStr) -> bool {
    const FILES: [&str; 35] = [
        ".envrc",
        ".mise.toml",
        "mise.toml",
        ".mise.local.toml",
        "mise.local.toml",
        ".tool-versions",
        ".exrc",
        ".vimrc",
        ".lvimrc",
        ".ideavimrc",
        ".nvimrc",
        ".nvim.lua",
        ".gdbinit",
        ".lldbinit",
        ".dir-locals.el",
        ".mcp.json",
        "opencode.json",
        "opencode.jsonc",
        ".cursorrules",
        "claude.md",
        "claude.local.md",
        "agents.md",
        "agents.override.md",
        "gemini.md",
        ".windsurfrules",
        ".aider.conf.yml",
        ".pre-commit-config.yaml",
        "lefthook.yml",
        "lefthook.yaml",
        ".lefthook.yml",
        ".overcommit.yml",
        ".npmrc",
        ".yarnrc.yml",
        ".pnpmfile.cjs",
        ".devcontainer.json",
    ];
    const DIRECTORIES: [&str; 18] = [
        ".vscode",
        ".idea",
        ".fleet",
        ".zed",
        ".helix",
        ".cargo",
        ".mise",
        ".devcontainer",
        ".claude",
        ".codex",
        ".opencode",
        ".cursor",
        ".gemini",
        ".continue",
        ".husky",
        ".githooks",
        ".lefthook",
        ".amika",
    ];
    /// A directory in another one, which alone has many others.
    const WITHIN: (&str, &str) = (".config", "mise");
    const ENDS: [&str; 1] = [".code-workspace"];
    let name = fold(name);
    let above: Vec<String> = parents.iter().map(fold).collect();
    let is_within = |pair: &[String]| pair[0] == WITHIN.0 && pair[1] == WITHIN.1;
    let is_linked = above.last().is_some_and(|it| it == WITHIN.0) && name == WITHIN.1;
    // A link in the place of such a directory is as good as the directory.
    FILES.contains(&name.as_str())
        || ENDS.iter().any(|end| name.ends_with(end))
        || DIRECTORIES.contains(&name.as_str())
        || above.iter().any(|it| DIRECTORIES.contains(&it.as_str()))
        || above.windows(2).any(is_within)
        || is_linked
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fate(path: &str, is_directory: bool, is_link: bool) -> bool {
        let path = Path::new(path);
        let name = fold(path.file_name().expect("a name"));
        let parents = path.parent().unwrap_or(Path::new(""));
        refused(parents, &name, is_directory, is_link).is_some()
    }

    #[test]
    fn what_other_systems_keep_for_themselves_stays_behind_in_every_form() {
        for (known, _) in WHOLE {
            for name in [known.to_owned(), known.to_uppercase(), format!("{known}. ")] {
                for (is_directory, is_link) in [(true, false), (false, false), (false, true)] {
                    assert!(fate(&name, is_directory, is_link), "{name}");
                    assert!(
                        fate(&format!("a/b/{name}"), is_directory, is_link),
                        "{name}"
                    );
                }
            }
            assert!(!fate(&format!("{known}x"), true, false));
        }
        for short in ["JJ~1", "svn~1", "FSLCKO~1", "pijul~1"] {
            assert!(fate(short, true, false), "{short}");
        }
    }

    #[test]
    fn of_mercurial_comes_all_but_what_names_programs_and_every_link() {
        assert!(!fate("p/.hg", true, false));
        assert!(!fate("p/.hg/requires", false, false));
        assert!(!fate("p/.hg/store/data", true, false));
        assert!(!fate("p/hgrc", false, false));
        for name in ["p/.hg", "p/.HG", "p/HG~1"] {
            assert!(fate(name, false, false), "{name} as a file");
            assert!(fate(name, false, true), "{name} as a link");
        }
        for name in [
            "hgrc",
            "HGRC",
            "hgrc-not-shared",
            "sharedpath",
            "patches/.hg/hgrc",
        ] {
            assert!(fate(&format!("p/.hg/{name}"), false, false), "{name}");
        }
        assert!(fate("p/.hg/store", false, true));
        assert!(fate("p/.hg/store/00changelog.i", false, true));
    }

    #[test]
    fn names_that_others_have_too_stay_behind_only_where_a_system_looks() {
        assert!(fate("src/CVS/Root", false, false));
        assert!(fate("src/CVS", false, true));
        assert!(fate(".repo/repo", true, false));
        assert!(!fate("src/cvs/main.c", false, false));
        assert!(!fate("src/cvs", true, false));
        assert!(!fate("x/root", false, false));
        assert!(!fate(".repo/objects", true, false));
        assert!(!fate("repo", true, false));
    }

    #[test]
    fn what_programs_act_on_is_known() {
        let is_acted_on = |path: &str| {
            let path = Path::new(path);
            let name = path.file_name().expect("a name");
            super::is_acted_on(path.parent().unwrap_or(Path::new("")), name)
        };
        for path in [
            ".envrc",
            "a/.ENVRC",
            "a/.vscode/tasks.json",
            ".idea",
            ".claude/settings.json",
            ".devcontainer/devcontainer.json",
            ".opencode/plugin/a.js",
            "a/.codex/config.toml",
            "opencode.json",
            "CLAUDE.md",
            "docs/AGENTS.md",
            "work.code-workspace",
            ".cargo/config.toml",
            ".config/mise/config.toml",
            ".config/mise",
            ".husky/pre-commit",
            ".githooks/pre-push",
            "lefthook.yml",
        ] {
            assert!(is_acted_on(path), "{path}");
        }
        for path in [
            "envrc",
            "src/main.rs",
            "package.json",
            "vscode/tasks.json",
            "mise/config.toml",
            "docs/agents.txt",
        ] {
            assert!(!is_acted_on(path), "{path}");
        }
    }
}

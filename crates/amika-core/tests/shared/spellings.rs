//! Spellings of paths that nothing of somebody else's may name, wherever a path can stand: an index, a tree,
//! `.gitmodules`, an archive. One table for the tests of all of them.

#![allow(dead_code, reason = "each test takes what can stand in its place")]

/// What file systems take for `.git`: by their case, by code points that they ignore, by NTFS's short names,
/// streams, and what it drops at the end of a name.
pub(crate) const DOT_GIT: [&str; 24] = [
    ".git",
    ".GIT",
    ".Git",
    ".gIt",
    "git~1",
    "GIT~1",
    "Git~1",
    ".git.",
    ".git...",
    ".git ",
    ".git . .",
    ".GIT. ",
    "git~1.",
    "git~1 ",
    ".git::$INDEX_ALLOCATION",
    ".GIT::$index_allocation",
    ".git:",
    ".git::$DATA",
    "git~1::$INDEX_ALLOCATION",
    ".g\u{200c}it",
    "\u{feff}.git",
    ".git\u{206a}",
    ".\u{200d}G\u{202e}i\u{200b}T",
    ".git\u{ad}",
];

/// Paths that lead out of the directory that they are joined to. `DIR` is a directory of the test's, `private` is
/// beside what is copied.
pub(crate) const OUTSIDE: [&str; 11] = [
    "..",
    "../private/secret",
    "src/../../private/secret",
    "src/..",
    "../",
    "DIR/private/secret",
    "/etc/hostname",
    "//etc/hostname",
    "/",
    "./../private/secret",
    "src/x/../../../private/secret",
];

/// What is no path of a repository, though it leads nowhere else.
pub(crate) const SHAPELESS: [&str; 8] = [
    "",
    ".",
    "./a.txt",
    "src/./b.txt",
    "src//b.txt",
    "a//",
    "a\0b",
    "./",
];

/// What Windows takes for a separator leads out as well, where a name is taken for the same on every system.
pub(crate) const BACKSLASHES: [&str; 4] = ["..\\x", "a\\..\\..\\x", "\\..", "a\\.."];

/// Names with what ends a line, steers a terminal, or turns the direction of writing.
pub(crate) const CONTROLS: [&str; 4] = [
    "n\nhint: run evil",
    "r\re\tt\u{8}o\u{b}p\u{c}q",
    "e\u{1b}[2J\u{1b}]52;c;eA==\u{7}\u{7f}",
    "c\u{85}\u{9b}2J\u{202e}l\u{2028}\u{2066}b",
];

/// What nobody may see of a name as it is.
pub(crate) fn steers(text: &str) -> bool {
    let turns = |c: char| matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().any(|c| c.is_control() || turns(c))
}

/// Paths with such a component: alone, with something in it, and in a directory.
pub(crate) fn into_git_directories() -> Vec<String> {
    let forms = |name: &&str| {
        [
            (*name).to_owned(),
            format!("{name}/config"),
            format!("src/{name}/hooks/x"),
        ]
    };
    let mut all: Vec<String> = DOT_GIT.iter().flat_map(forms).collect();
    // One name here, and two where it is unpacked.
    all.extend(DOT_GIT.iter().map(|name| format!("{name}\\config")));
    all.extend(DOT_GIT.iter().map(|name| format!("src\\{name}")));
    all
}

/// All paths that an index or a tree may not name; `directory` takes the place of `DIR`.
pub(crate) fn refused(directory: &str) -> Vec<String> {
    let outside = OUTSIDE.iter().map(|path| path.replace("DIR", directory));
    let shapeless = SHAPELESS.iter().map(|&path| path.to_owned());
    outside
        .chain(shapeless)
        .chain(into_git_directories())
        .collect()
}

//! Names in an archive: checked, and turned into those of the copy.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

/// A name that no honest archive has: it would lead out of the copy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the archive has an entry \"{}\", which leads out of it", cut(.0))]
pub struct Hostile(Vec<u8>);

/// The beginning of a name, as it can be shown.
fn cut(name: &[u8]) -> String {
    name.escape_ascii().take(200).map(char::from).collect()
}

/// A path beneath the copy's root; empty for the root itself.
pub type Path = Vec<OsString>;

/// How entries are named in the copy.
#[derive(Clone, Debug)]
pub struct Names {
    renamed: Option<Renamed>,
}

#[derive(Clone, Debug)]
struct Renamed {
    /// The name of the first entry, of which all others are part.
    root: Option<Path>,
    /// What stands in its place.
    name: Option<OsString>,
}

impl Names {
    /// As in the archive.
    pub fn kept() -> Self {
        Self { renamed: None }
    }

    /// The first entry is the root of all others, and gets this name; without one, its entries are
    /// what is copied.
    pub fn rooted(name: Option<OsString>) -> Self {
        Self {
            renamed: Some(Renamed { root: None, name }),
        }
    }

    /// The place of an entry in the copy.
    ///
    /// # Errors
    /// When the name is absolute, climbs, or is no part of the first entry.
    pub fn place(&mut self, raw: &[u8]) -> Result<Path, Hostile> {
        let path = parts(raw)?;
        let Some(renamed) = &mut self.renamed else {
            return Ok(path);
        };
        let root = renamed.root.get_or_insert_with(|| path.clone());
        let rest = path
            .strip_prefix(root.as_slice())
            .ok_or_else(|| Hostile(raw.to_owned()))?;
        Ok(renamed.name.iter().chain(rest).cloned().collect())
    }

    /// How deep in the copy an entry is that has so many directories above it: a copy that has a
    /// name of its own begins in there, and what is beside it is none of its. `None` for the copy
    /// itself.
    pub fn depth(&self, above: usize) -> Option<usize> {
        let named = self
            .renamed
            .as_ref()
            .is_some_and(|renamed| renamed.name.is_some());
        above.checked_sub(usize::from(named))
    }
}

/// The parts of a relative path.
fn parts(raw: &[u8]) -> Result<Path, Hostile> {
    let hostile = || Hostile(raw.to_owned());
    if raw.starts_with(b"/") || raw.contains(&0) {
        return Err(hostile());
    }
    raw.split(|byte| *byte == b'/')
        .filter(|part| !matches!(*part, b"" | b"."))
        .map(|part| {
            if part == b".." {
                Err(hostile())
            } else {
                Ok(OsString::from_vec(part.to_owned()))
            }
        })
        .collect()
}

/// Whether a symbolic link in a directory `depth` beneath the root stays beneath it.
///
/// Steps up may only come first, where they start from a real directory: behind a name they would
/// start from wherever another link leads (`a -> b/c`, then `a/..` is `b`).
pub fn stays_beneath(target: &[u8], depth: usize) -> bool {
    if target.is_empty() || target.starts_with(b"/") {
        return false;
    }
    let mut up = 0;
    let mut down = false;
    for part in target.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if down => return false,
            b".." => up += 1,
            _ => down = true,
        }
    }
    up <= depth
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Path {
        text.split('/')
            .filter(|part| !part.is_empty())
            .map(OsString::from)
            .collect()
    }

    #[test]
    fn the_root_is_renamed_and_the_rest_follows() {
        let mut names = Names::rooted(Some("new".into()));
        assert_eq!(names.place(b"old/"), Ok(path("new")));
        assert_eq!(names.place(b"old/a/./b"), Ok(path("new/a/b")));
        assert!(names.place(b"other/a").is_err());
        let mut spread = Names::rooted(None);
        assert_eq!(spread.place(b"./"), Ok(path("")));
        assert_eq!(spread.place(b"./a"), Ok(path("a")));
        assert_eq!(Names::kept().place(b"x/y"), Ok(path("x/y")));
    }

    #[test]
    fn no_name_leads_out() {
        for name in [
            &b"/etc/passwd"[..],
            b"../x",
            b"a/../../x",
            b"a/..",
            b"a\0b",
            b"//x",
        ] {
            assert!(
                Names::kept().place(name).is_err(),
                "{}",
                name.escape_ascii()
            );
        }
        assert_eq!(
            Names::kept().place(b"../\x1b[2J").unwrap_err().to_string(),
            r#"the archive has an entry "../\x1b[2J", which leads out of it"#
        );
    }

    #[test]
    fn links_that_could_lead_out_are_told() {
        let cases: [(&[u8], usize, bool); 12] = [
            (b"a", 0, true),
            (b"../bin/tool", 1, true),
            (b"../../x", 1, false),
            (b"..", 0, false),
            (b"..", 1, true),
            (b".", 0, true),
            (b"/etc/passwd", 5, false),
            (b"a/..", 3, false),
            (b"a/../..", 3, false),
            (b"./../x", 1, true),
            (b"", 1, false),
            (b"..a/b", 0, true),
        ];
        for (target, depth, expected) in cases {
            assert_eq!(
                stays_beneath(target, depth),
                expected,
                "{}",
                target.escape_ascii()
            );
        }
    }
}

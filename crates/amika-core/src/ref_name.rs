//! A ref's full name, by the rules of `git check-ref-format`.

use std::fmt;

use crate::repo_path::{PathRule, RepoPath, escaped};

/// A full name beneath `refs/`: bytes that git takes for a ref, and that are a path beneath the git directory.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RefName(RepoPath);

impl RefName {
    /// Takes a name that passes all rules.
    ///
    /// # Errors
    /// With the first rule that it breaks.
    pub fn new(bytes: impl Into<Box<[u8]>>) -> Result<Self, InvalidRef> {
        let bytes = bytes.into();
        let refused = |bytes: &[u8], rule| InvalidRef {
            shown: escaped(bytes),
            rule,
        };
        check(&bytes).map_err(|rule| refused(&bytes, rule))?;
        match RepoPath::new(bytes) {
            Ok(path) => Ok(Self(path)),
            Err(error) => Err(InvalidRef {
                shown: error.shown,
                rule: RefRule::Path(error.rule),
            }),
        }
    }

    /// The name's bytes: `refs/heads/main`.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The name as a path beneath the git directory.
    pub fn as_path(&self) -> &RepoPath {
        &self.0
    }

    /// The branch's name, when it is one: `main`.
    pub fn branch(&self) -> Option<&[u8]> {
        self.as_bytes().strip_prefix(b"refs/heads/")
    }
}

impl fmt::Display for RefName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for RefName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RefName({self})")
    }
}

/// A name that no ref may have, with the rule that it breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{shown}\" is no ref: it {rule}")]
pub struct InvalidRef {
    /// The name, escaped and cut for people.
    pub shown: String,
    /// What is wrong with it.
    pub rule: RefRule,
}

/// A rule of [`RefName`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefRule {
    /// It does not begin with `refs/`.
    #[error("is not beneath refs/")]
    NotBeneathRefs,
    /// A component begins with a dot.
    #[error("has a component that begins with a dot")]
    LeadingDot,
    /// A component ends in `.lock`, which is git's name for a ref that is being written.
    #[error("has a component that ends in \".lock\"")]
    Lock,
    /// It ends with a dot.
    #[error("ends with a dot")]
    TrailingDot,
    /// It has `..`, which is a range.
    #[error("contains \"..\"")]
    DotDot,
    /// It has `@{`, which is a question for the reflog.
    #[error("contains \"@{{\"")]
    AtBrace,
    /// A byte that git does not take: a control character, a space, or one of `~^:?*[\`.
    #[error("contains the byte 0x{0:02x}")]
    Byte(u8),
    /// It is no path of a repository.
    #[error("{0}")]
    Path(PathRule),
}

fn check(bytes: &[u8]) -> Result<(), RefRule> {
    let refused = |byte: &u8| {
        matches!(
            byte,
            0..=b' ' | 0x7f | b'~' | b'^' | b':' | b'?' | b'*' | b'[' | b'\\'
        )
    };
    if let Some(&byte) = bytes.iter().find(|byte| refused(byte)) {
        return Err(RefRule::Byte(byte));
    }
    if !bytes.starts_with(b"refs/") {
        return Err(RefRule::NotBeneathRefs);
    }
    for pair in bytes.windows(2) {
        match pair {
            b".." => return Err(RefRule::DotDot),
            b"@{" => return Err(RefRule::AtBrace),
            _ => {}
        }
    }
    if bytes.ends_with(b".") {
        return Err(RefRule::TrailingDot);
    }
    for component in bytes.split(|&byte| byte == b'/') {
        if component.starts_with(b".") {
            return Err(RefRule::LeadingDot);
        }
        if component.ends_with(b".lock") {
            return Err(RefRule::Lock);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_git_takes_pass() {
        for name in [
            b"refs/heads/main".as_slice(),
            b"refs/stash",
            b"refs/heads/a/b-c_d.e",
            b"refs/heads/@",
            b"refs/heads/a@b",
            b"refs/heads/{x}",
            b"refs/heads/-x",
            b"refs/heads/a.lock.b",
            b"refs/heads/\xff\xe4",
            "refs/heads/größe".as_bytes(),
            b"refs/heads/\"quoted\"",
            b"refs/heads/$(x)",
        ] {
            let taken = RefName::new(name).expect("git takes it");
            assert_eq!(taken.as_bytes(), name);
        }
        let main = RefName::new(*b"refs/heads/main").expect("a ref");
        assert_eq!(main.branch(), Some(b"main".as_slice()));
    }

    #[test]
    fn names_that_git_refuses_are_refused_with_their_rule() {
        for (name, rule) in [
            (b"".as_slice(), RefRule::NotBeneathRefs),
            (b"HEAD", RefRule::NotBeneathRefs),
            (b"refs", RefRule::NotBeneathRefs),
            (b"heads/main", RefRule::NotBeneathRefs),
            (b"/refs/heads/main", RefRule::NotBeneathRefs),
            (b"refsx/heads/main", RefRule::NotBeneathRefs),
            (b"refs/", RefRule::Path(PathRule::EmptyComponent)),
            (b"refs/heads/", RefRule::Path(PathRule::EmptyComponent)),
            (b"refs//main", RefRule::Path(PathRule::EmptyComponent)),
            (b"refs/heads/.x", RefRule::LeadingDot),
            (b"refs/.git/config", RefRule::LeadingDot),
            (b"refs/heads/../../config", RefRule::DotDot),
            (b"refs/heads/a..b", RefRule::DotDot),
            (b"refs/heads/.", RefRule::TrailingDot),
            (b"refs/heads/x.", RefRule::TrailingDot),
            (b"refs/heads/x.lock", RefRule::Lock),
            (b"refs/x.lock/y", RefRule::Lock),
            (b"refs/heads/x@{1}", RefRule::AtBrace),
            (b"refs/heads/a b", RefRule::Byte(b' ')),
            (b"refs/heads/a\0", RefRule::Byte(0)),
            (b"refs/heads/a\n", RefRule::Byte(b'\n')),
            (b"refs/heads/a\x7f", RefRule::Byte(0x7f)),
            (b"refs/heads/a~1", RefRule::Byte(b'~')),
            (b"refs/heads/a^", RefRule::Byte(b'^')),
            (b"refs/heads/a:b", RefRule::Byte(b':')),
            (b"refs/heads/*", RefRule::Byte(b'*')),
            (b"refs/heads/a?", RefRule::Byte(b'?')),
            (b"refs/heads/a[", RefRule::Byte(b'[')),
            (b"refs/heads/a\\b", RefRule::Byte(b'\\')),
        ] {
            let found = RefName::new(name).expect_err("git refuses it").rule;
            assert_eq!(found, rule, "{}", escaped(name));
        }
        let long = [b"refs/heads/".as_slice(), &[b'a'; 256]].concat();
        let found = RefName::new(long).expect_err("no file can be called so");
        assert_eq!(found.rule, RefRule::Path(PathRule::LongComponent));
    }

    #[test]
    fn a_message_names_the_ref_and_the_rule() {
        let error = RefName::new(*b"refs/heads/a\x1b").expect_err("a control character");
        assert_eq!(
            error.to_string(),
            r#""refs/heads/a\u{1b}" is no ref: it contains the byte 0x1b"#
        );
    }
}

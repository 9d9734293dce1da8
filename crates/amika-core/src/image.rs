//! References of images: which texts an engine takes for one.

/// The most characters of a repository's path with its registry.
const MAX_NAME: usize = 255;
/// The most characters of a tag.
const MAX_TAG: usize = 128;
/// The least hexadecimal digits of a digest.
const MIN_DIGEST: usize = 32;

/// Why a text is no reference of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidReference {
    /// Upper case in the path.
    #[error("an image's name is in lower case")]
    Uppercase,
    /// The path has an empty part, or other characters than it may.
    #[error(
        "an image's name is made of letters, digits and single separators, such as \"debian\" or \"ghcr.io/owner/image\""
    )]
    Name,
    /// The path is too long.
    #[error("an image's name has at most {MAX_NAME} characters")]
    Long,
    /// What stands behind the colon.
    #[error("a tag is made of letters, digits, \"_\", \".\" and \"-\", such as \"trixie-slim\"")]
    Tag,
    /// What stands behind `@`.
    #[error("a digest is an algorithm and hexadecimal digits, such as \"sha256:…\"")]
    Digest,
}

/// Checks a reference by the grammar of github.com/distribution/reference, as the engine does before
/// it looks for the image. What only newer engines take, such as registries in upper case, passes.
///
/// # Errors
///
/// Returns the first thing that is wrong.
pub fn check_reference(text: &str) -> Result<(), InvalidReference> {
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (text, None),
    };
    // A colon before the last slash is that of a registry's port.
    let path_start = rest.rfind('/').map_or(0, |slash| slash + 1);
    let (name, tag) = match rest[path_start..].split_once(':') {
        Some((last, tag)) => (&rest[..path_start + last.len()], Some(tag)),
        None => (rest, None),
    };
    check_name(name)?;
    if tag.is_some_and(|tag| !is_tag(tag)) {
        return Err(InvalidReference::Tag);
    }
    if digest.is_some_and(|digest| !is_digest(digest)) {
        return Err(InvalidReference::Digest);
    }
    Ok(())
}

fn check_name(name: &str) -> Result<(), InvalidReference> {
    if name.len() > MAX_NAME {
        return Err(InvalidReference::Long);
    }
    let path = match name.split_once('/') {
        Some((first, path)) if is_registry(first) => path,
        _ => name,
    };
    if path.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(InvalidReference::Uppercase);
    }
    if !path.split('/').all(is_path_part) {
        return Err(InvalidReference::Name);
    }
    Ok(())
}

/// Whether the first part of a name is a registry and no part of the path.
fn is_registry(first: &str) -> bool {
    let marks = |byte: u8| matches!(byte, b'.' | b':') || byte.is_ascii_uppercase();
    let allowed =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b':' | b'-' | b'[' | b']');
    (first == "localhost" || first.bytes().any(marks)) && first.bytes().all(allowed)
}

/// Letters and digits, with `.`, `_`, `__` or any number of `-` between them.
fn is_path_part(part: &str) -> bool {
    let mut rest = part.as_bytes();
    loop {
        let word = rest
            .iter()
            .take_while(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
            .count();
        rest = &rest[word..];
        if word == 0 || rest.is_empty() {
            return word > 0;
        }
        let separator = match rest {
            [b'_', b'_', ..] => 2,
            [b'.' | b'_', ..] => 1,
            _ => rest.iter().take_while(|byte| **byte == b'-').count(),
        };
        if separator == 0 {
            return false;
        }
        rest = &rest[separator..];
    }
}

fn is_tag(tag: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=MAX_TAG).contains(&tag.len())
        && tag
            .bytes()
            .all(|byte| word(byte) || matches!(byte, b'.' | b'-'))
        && tag.bytes().next().is_some_and(word)
}

fn is_digest(digest: &str) -> bool {
    let Some((algorithm, digits)) = digest.split_once(':') else {
        return false;
    };
    let word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'.' | b'_' | b'-');
    algorithm
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_alphabetic())
        && algorithm.bytes().all(word)
        && digits.len() >= MIN_DIGEST
        && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_engine_takes_passes() {
        let digest = format!("debian@sha256:{}", "a".repeat(64));
        let id = "0".repeat(64);
        for text in [
            "debian",
            "debian:trixie-slim",
            "a1b2c3",
            &id,
            &format!("sha256:{id}"),
            "library/debian",
            "ghcr.io/owner/image:v1.2_3",
            "localhost/image",
            "localhost:5000/a/b:latest",
            "127.0.0.1:5000/x",
            "[::1]:5000/x",
            "MyRegistry/x",
            "a.b_c__d---e",
            &digest,
            &digest.replace('@', ":trixie@"),
        ] {
            assert_eq!(check_reference(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn what_no_engine_takes_is_told_apart() {
        use InvalidReference::{Digest, Long, Name, Tag, Uppercase};
        let tag = format!("debian:{}", "t".repeat(129));
        for (text, why) in [
            ("", Name),
            ("Debian", Uppercase),
            ("ghcr.io/Owner/image", Uppercase),
            ("a//b", Name),
            ("/a", Name),
            ("a/", Name),
            ("a..b", Name),
            ("a___b", Name),
            ("-a", Name),
            ("a-", Name),
            ("a_/b", Name),
            ("a$b", Name),
            ("zürich", Name),
            ("ghcr.io/", Name),
            ("http://ghcr.io/a", Name),
            ("debian:", Tag),
            ("debian:-x", Tag),
            ("debian:a:b", Tag),
            (&tag, Tag),
            ("debian@sha256:abc", Digest),
            ("debian@", Digest),
            (&"a".repeat(256), Long),
        ] {
            assert_eq!(check_reference(text), Err(why), "{text}");
        }
    }
}

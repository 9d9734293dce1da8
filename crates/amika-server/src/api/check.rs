//! What a text of a request may be.

use super::error::{ApiError, Result};

/// A text for people: of 1 to `most` characters, none of which steers anything.
pub fn text(field: &str, text: &str, most: usize) -> Result<()> {
    let count = text.chars().count();
    if text.trim().is_empty() {
        return Err(ApiError::field(field, format!("{field} is empty")));
    }
    if count > most {
        let message = format!("{field} has {count} characters, at most {most} are allowed");
        return Err(ApiError::field(field, message));
    }
    if text.chars().any(char::is_control) {
        return Err(ApiError::field(
            field,
            format!("{field} has a control character"),
        ));
    }
    Ok(())
}

/// The name of a secret: 1 to 255 of `[A-Za-z0-9_.-]`.
pub fn secret_name(field: &str, name: &str) -> Result<()> {
    if amika_core::env::is_secret_name(name) {
        return Ok(());
    }
    let message = format!("{field} must be 1 to 255 of the characters A-Z, a-z, 0-9, _, . and -");
    Err(ApiError::field(field, message))
}

/// Bytes of a secret.
pub fn secret_value(field: &str, value: &str) -> Result<()> {
    const MOST: usize = 64 * 1024;
    match value.len() {
        0 => Err(ApiError::field(field, format!("{field} is empty"))),
        length if length > MOST => {
            let message = format!("{field} has {length} bytes, at most {MOST} are allowed");
            Err(ApiError::field(field, message))
        }
        _ => Ok(()),
    }
}

/// A path in a repository: relative, and not out of it.
pub fn repository_path(field: &str, path: &str) -> Result<()> {
    text(field, path, 1024)?;
    let is_climbing = path.split('/').any(|part| matches!(part, "" | ".." | "."));
    if is_climbing || path.contains('\\') {
        let message = format!(
            "{field} must be a path beneath the repository's root, such as scripts/setup.sh"
        );
        return Err(ApiError::field(field, message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_paths_and_names_are_held_to_their_bounds() {
        assert!(text("/name", "Ada Lovelace", 20).is_ok());
        for bad in ["", "  ", "a\nb", "\u{9b}", &"x".repeat(21)] {
            assert!(text("/name", bad, 20).is_err(), "{bad:?}");
        }
        assert!(secret_name("/name", "A-b_c.9").is_ok());
        for bad in ["", "a b", "é", "a/b", &"x".repeat(256)] {
            assert!(secret_name("/name", bad).is_err(), "{bad:?}");
        }
        assert!(repository_path("/p", "scripts/setup.sh").is_ok());
        for bad in ["", "/etc/x", "../x", "a/../b", "a//b", "./a", "a\\b"] {
            assert!(repository_path("/p", bad).is_err(), "{bad:?}");
        }
        assert!(secret_value("/v", &"x".repeat(64 * 1024)).is_ok());
        assert!(secret_value("/v", &"x".repeat(64 * 1024 + 1)).is_err());
    }
}

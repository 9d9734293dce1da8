//! Which names a file system takes for `.git`, so that writing or reading them would reach a git directory.

/// Whether some file system folds a component to `.git`.
///
/// That is git's own rule for HFS+ and NTFS (`is_hfs_dotgit`, `is_ntfs_dotgit`) on any system, with every
/// code point that ext4's and f2fs's case folding ignores as well: ASCII case, ignored code points anywhere,
/// the short name `git~1`, dots and spaces at the end, and NTFS streams (`.git::$INDEX_ALLOCATION`).
pub fn is_dot_git(component: &[u8]) -> bool {
    // Nearly every name ends here.
    if !may_fold(component) {
        return false;
    }
    let folded = folded(component);
    [b".git".as_slice(), b"git~1"]
        .iter()
        .any(|name| folded.strip_prefix(*name).is_some_and(ends_on_ntfs))
}

/// Whether some file system folds a component to `.gitmodules`, which git does not follow as a link.
///
/// As [`is_dot_git`], with NTFS's short names: `GITMOD~1` to `~4`, and those with a hash, `GI7EBA~1`
/// (git's `is_ntfs_dotgitmodules`).
pub fn is_dot_gitmodules(component: &[u8]) -> bool {
    if !may_fold(component) {
        return false;
    }
    let folded = folded(component);
    if folded
        .strip_prefix(b".gitmodules")
        .is_some_and(ends_on_ntfs)
    {
        return true;
    }
    let Some((short, rest)) = folded.split_at_checked(8) else {
        return false;
    };
    let numbered = short.starts_with(b"gitmod~") && matches!(short[7], b'1'..=b'4');
    (numbered || is_hashed_short_name(short)) && ends_on_ntfs(rest)
}

/// `gi7eba~1`: up to six characters of `gi7eba`, `~`, and a number that fills eight characters.
fn is_hashed_short_name(short: &[u8]) -> bool {
    let Some(tilde) = short.iter().position(|&byte| byte == b'~') else {
        return false;
    };
    let (prefix, number) = (&short[..tilde], &short[tilde + 1..]);
    b"gi7eba".starts_with(prefix)
        && matches!(number.first(), Some(b'1'..=b'9'))
        && number.iter().all(u8::is_ascii_digit)
}

/// A cheap test that lets all through which could be such a name.
fn may_fold(component: &[u8]) -> bool {
    matches!(component.first(), Some(b'.' | b'g' | b'G' | b'~' | 0x80..))
}

/// Lower case, without the code points that are ignored. What is no UTF-8 stays: it is folded to nothing.
fn folded(component: &[u8]) -> Vec<u8> {
    let mut folded = Vec::with_capacity(component.len());
    for chunk in component.utf8_chunks() {
        for c in chunk.valid().chars().filter(|c| !is_ignorable(*c)) {
            let mut buffer = [0; 4];
            folded.extend_from_slice(c.to_ascii_lowercase().encode_utf8(&mut buffer).as_bytes());
        }
        folded.extend_from_slice(chunk.invalid());
    }
    folded
}

/// Whether nothing counts after a name: NTFS drops dots and spaces, and reads a stream's name after a colon.
fn ends_on_ntfs(rest: &[u8]) -> bool {
    let counts = rest.iter().find(|byte| !matches!(byte, b'.' | b' '));
    counts.is_none_or(|byte| *byte == b':')
}

/// Whether a code point is ignored in names by HFS+ or by Linux's case folding, which takes Unicode's
/// `Default_Ignorable_Code_Point`. None of them can be seen.
pub fn is_ignorable(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fff8}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

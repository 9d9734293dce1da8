//! What holds for git's own files and for paths of a repository, whatever their bytes: shared by the fuzz
//! targets and by the tests that replay their corpora.

use amika_core::git_files::oid::ObjectFormat;
use amika_core::git_files::{config, index, refs};
use amika_core::ref_name::RefName;
use amika_core::repo_path::{RepoPath, SubmoduleName, is_dot_git};

const FORMATS: [ObjectFormat; 2] = [ObjectFormat::Sha1, ObjectFormat::Sha256];

/// A path that passes stays beneath its directory; panics when a promise is broken, as all here do.
pub(crate) fn repo_path_promises(bytes: &[u8]) {
    match RepoPath::new(bytes) {
        Ok(path) => {
            stays_beneath(&path);
            assert_eq!(path.as_bytes(), bytes);
            printable(&path.to_string());
        }
        Err(error) => {
            printable(&error.to_string());
            assert!(SubmoduleName::new(bytes).is_err() && RefName::new(bytes).is_err());
        }
    }
    if let Ok(name) = SubmoduleName::new(bytes) {
        stays_beneath(name.as_path());
    }
    match RefName::new(bytes) {
        Ok(name) => assert!(name.as_bytes().starts_with(b"refs/")),
        Err(error) => printable(&error.to_string()),
    }
}

/// A configuration is read or refused with a line of it.
pub(crate) fn git_config_promises(bytes: &[u8]) {
    match config::parse(bytes) {
        Ok(entries) => {
            for entry in entries {
                assert!(entry.variable.first().is_some_and(u8::is_ascii_alphabetic));
                let value = entry.value.as_deref().unwrap_or_default();
                assert!(!entry.key().contains(&0) && !value.contains(&0));
                let _ = entry.boolean();
            }
        }
        Err(error) => {
            let lines = bytes.split(|&byte| byte == b'\n').count();
            assert!((1..=lines).contains(&error.line), "{error}");
        }
    }
}

/// An index is refused, or its names stay beneath the work tree and a fresh one is the same.
pub(crate) fn git_index_promises(bytes: &[u8]) {
    for format in FORMATS {
        index_promises(bytes, format);
        // A changed byte makes the checksum wrong; without one, what it changes is reached.
        if let Some(end) = bytes.len().checked_sub(format.length()) {
            let mut unhashed = bytes.to_vec();
            unhashed[end..].fill(0);
            index_promises(&unhashed, format);
        }
    }
}

fn index_promises(bytes: &[u8], format: ObjectFormat) {
    match index::parse(bytes, format, |_| Some(bytes.to_vec())) {
        Ok(read) => {
            for entry in &read.entries {
                stays_beneath(&entry.path);
            }
            let again = index::parse(&read.write(), format, |_| None);
            assert_eq!(again.as_ref(), Ok(&read));
        }
        Err(error) => printable(&error.to_string()),
    }
}

/// Packed refs are refused, or sorted and each once; a single ref is one or the other.
pub(crate) fn git_refs_promises(bytes: &[u8]) {
    for format in FORMATS {
        match refs::parse_packed(bytes, format) {
            Ok(refs) => {
                assert!(refs.is_sorted_by(|a, b| a.name < b.name));
                for one in refs {
                    stays_beneath(one.name.as_path());
                }
            }
            Err(error) => printable(&error.to_string()),
        }
        match refs::parse_ref(bytes, format) {
            Ok(refs::Target::Symbolic(name)) => stays_beneath(name.as_path()),
            Ok(refs::Target::Object(oid)) => assert_eq!(oid.format(), format),
            Err(error) => printable(&error.to_string()),
        }
    }
}

fn stays_beneath(path: &RepoPath) {
    for component in path.components() {
        assert!(!matches!(component, b"" | b"." | b".."), "{path}");
        assert!(!component.contains(&0) && !is_dot_git(component), "{path}");
    }
}

fn printable(text: &str) {
    assert!(!text.contains(char::is_control), "{text:?}");
}

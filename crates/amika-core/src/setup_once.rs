//! How [`crate::contract::env::SETUP_ONCE`] says that a setup script is run once.

/// The value: `1`, and a line for each file whose change runs the script again, relative to the agent's directory.
pub fn value(files: &[String]) -> String {
    let mut value = "1".to_owned();
    for file in files {
        value.push('\n');
        value.push_str(file);
    }
    value
}

/// The files that a value names; none where it says that the script is run at each start. Paths that would leave the
/// directory are passed over.
pub fn files(value: &str) -> Option<impl Iterator<Item = &str>> {
    let mut lines = value.split('\n');
    (lines.next() == Some("1")).then(|| {
        lines.filter(|file| {
            let stays = |part: &str| !matches!(part, "" | "..");
            !file.is_empty() && file.split('/').all(stays)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let read = |value: &str| files(value).map(|files| files.map(str::to_owned).collect());
        for list in [
            vec![],
            vec!["package-lock.json".to_owned(), "a b/c.lock".to_owned()],
        ] {
            assert_eq!(read(&value(&list)), Some(list));
        }
        let none: Option<Vec<String>> = None;
        for no in ["", "0", "true", "11", " 1"] {
            assert_eq!(read(no), none, "{no}");
        }
        let stays: Vec<String> = vec!["a".to_owned()];
        assert_eq!(read("1\n/etc/shadow\n../x\na/../../x\n\na"), Some(stays));
    }
}

//! The numbers of a user, from an image's own files.

/// Finds user and group of `user[:group]`, each a name or a number, as the engine reads USER.
pub fn find(user: &str, passwd: &str, group: &str) -> Option<(u32, u32)> {
    let (user, wanted_group) = match user.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (user, None),
    };
    let entry = passwd
        .lines()
        .map(fields)
        .find(|entry| entry.first() == Some(&user) || entry.get(2) == Some(&user));
    let uid = match &entry {
        Some(entry) => entry.get(2)?.parse().ok()?,
        None => user.parse().ok()?,
    };
    let gid = match wanted_group {
        Some(name) => match group
            .lines()
            .map(fields)
            .find(|entry| entry.first() == Some(&name))
        {
            Some(entry) => entry.get(2)?.parse().ok()?,
            None => name.parse().ok()?,
        },
        None => entry
            .and_then(|entry| entry.get(3)?.parse().ok())
            .unwrap_or(0),
    };
    Some((uid, gid))
}

fn fields(line: &str) -> Vec<&str> {
    line.split(':').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0::/root:/bin/sh\nnode:x:1001:1002::/home/node:/bin/sh\n";
    const GROUP: &str = "root:x:0:\nstaff:x:50:\n";

    #[test]
    fn names_and_numbers_are_found() {
        let cases = [
            ("node", Some((1001, 1002))),
            ("node:staff", Some((1001, 50))),
            ("1001", Some((1001, 1002))),
            ("4711", Some((4711, 0))),
            ("4711:50", Some((4711, 50))),
            ("nobody", None),
            ("node:wheel", None),
        ];
        for (user, expected) in cases {
            assert_eq!(find(user, PASSWD, GROUP), expected, "{user}");
        }
    }
}

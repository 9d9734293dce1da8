//! The numbers of a user, from an image's own files.

use amika_core::contract::AGENT_USER;

use crate::error::{Error, Kind, Result};
use crate::sandbox::Sandbox;
use crate::sandboxes::Sandboxes;

/// The largest list of users that is read, in bytes.
const USERS_LIMIT: usize = 1024 * 1024;

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

/// User and group of a sandbox's agent, by the sandbox's own files: it may have taken on other numbers than the image's.
///
/// # Errors
/// When the sandbox does not know its user.
pub async fn of(engine: &Sandboxes, sandbox: &Sandbox) -> Result<(u32, u32)> {
    let user = match (&sandbox.record.user, &sandbox.record.preset) {
        (Some(user), _) => user.as_str(),
        (None, Some(_)) => AGENT_USER,
        (None, None) => "root",
    };
    if user == "root" || user == "0" || user == "0:0" {
        return Ok((0, 0));
    }
    let id = &sandbox.container.id;
    let passwd = engine.read_file(id, "/etc/passwd", USERS_LIMIT).await?;
    let group = if user.contains(':') {
        engine.read_file(id, "/etc/group", USERS_LIMIT).await?
    } else {
        None
    };
    let text =
        |file: Option<Vec<u8>>| String::from_utf8_lossy(&file.unwrap_or_default()).into_owned();
    find(user, &text(passwd), &text(group)).ok_or_else(|| {
        Error::new(
            Kind::Failure,
            format!(
                "sandbox \"{}\" has no user \"{user}\", who is to have what is put in",
                sandbox.name
            ),
        )
    })
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

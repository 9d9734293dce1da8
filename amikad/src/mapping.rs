//! The agent's own numbers, where the environment asks for others than the image's.
//!
//! What the agent makes in a directory of the host must belong to that directory's owner, and never may
//! anything of the host's change hands: so the agent changes instead. Its lines in `/etc/passwd` and
//! `/etc/group` get the numbers, and its home follows. Every boot comes here, and does what is left to do.

use std::fs;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use amika_core::contract::{AGENT_USER, env, path};
use nix::sys::stat::fstat;

use crate::environment::Environment;
use crate::handover;
use crate::mounts::Mounts;
use crate::places::give;
use crate::say::say;
use crate::sys::Identity;
use crate::users::{Accounts, bytes_of, parse_id};
use crate::walk::reach;

/// Gives the agent the numbers that the environment asks for; returns the accounts that hold then.
/// Only for root, and only for the presets' agent.
pub(crate) fn apply(environment: &Environment, accounts: Accounts) -> Accounts {
    let Some(uid) = number(environment, env::AGENT_UID) else {
        return accounts;
    };
    let Ok(agent) = accounts.resolve(AGENT_USER) else {
        say(format!(
            "{} is set, but there is no user `{AGENT_USER}`",
            env::AGENT_UID
        ));
        return accounts;
    };
    let old = agent.identity;
    let gid = number(environment, env::AGENT_GID).unwrap_or(old.gid);
    let wanted = Accounts {
        passwd: renumber(&accounts.passwd, 2, uid, Some((3, gid))),
        group: renumber(&accounts.group, 2, gid, None),
    };
    for (file, before, after) in [
        ("/etc/group", &accounts.group, &wanted.group),
        ("/etc/passwd", &accounts.passwd, &wanted.passwd),
    ] {
        if before != after
            && let Err(error) = replace(Path::new(file), after)
        {
            say(format!(
                "cannot give the agent uid {uid}: {file} cannot be replaced: {error}"
            ));
            return Accounts::read();
        }
    }
    let new = Identity {
        uid,
        gid,
        groups: vec![gid],
    };
    bring_home(&old, &new);
    wanted
}

/// A number that may be an agent's: root's is none.
fn number(environment: &Environment, name: &str) -> Option<u32> {
    let text = environment.get(name)?;
    let number = text.to_str().and_then(|text| text.parse().ok());
    if !matches!(number, Some(1..=0x7fff_ffff)) {
        say(format!(
            "{name} is {}, not a number above 0",
            String::from_utf8_lossy(text.as_bytes()).escape_debug()
        ));
        return None;
    }
    number
}

/// The agent's home follows, once: its root changes last, and tells whether it did.
fn bring_home(old: &Identity, new: &Identity) {
    let mounts = Mounts::read();
    let Ok(home) = reach(Path::new(path::HOME), Some(old)) else {
        return;
    };
    // What belongs to root is given to the agent anyway.
    let moves = fstat(&home).is_ok_and(|data| data.st_uid == old.uid && data.st_uid != new.uid);
    if !moves || mounts.is_from_host(home.as_fd()) {
        // An image that was remade has its own numbers again, and a home that followed already.
        return;
    }
    let handed = handover::pass_on(&home, old.uid, new);
    if handed.failed > 0 {
        say(format!(
            "{} files of the home could not be given to uid {}",
            handed.failed, new.uid
        ));
    }
    if let Err(error) = give(home.as_fd(), new) {
        say(format!("cannot give {} to the agent: {error}", path::HOME));
    }
}

/// Puts a number into the agent's line of `/etc/passwd` or `/etc/group`, and the line before all
/// others with that number: who looks a number up takes the first, and `sudo` must find the agent.
pub(crate) fn renumber(
    text: &str,
    field: usize,
    number: u32,
    second: Option<(usize, u32)>,
) -> String {
    let name_of = |line: &str| line.split(':').next().map(str::to_owned);
    // A line that is broken is nobody's, as for whoever looks the agent up.
    let has = |line: &str, field| line.split(':').nth(field).and_then(parse_id).is_some();
    let is_whole =
        |line: &str| has(line, field) && second.is_none_or(|(field, _)| has(line, field));
    let is_agent = |line: &&str| name_of(line).as_deref() == Some(AGENT_USER) && is_whole(line);
    let Some(agent) = text.split_terminator('\n').find(is_agent) else {
        return text.to_owned();
    };
    let mut fields: Vec<String> = agent.split(':').map(str::to_owned).collect();
    for (field, number) in [Some((field, number)), second].into_iter().flatten() {
        if let Some(field) = fields.get_mut(field) {
            *field = number.to_string();
        }
    }
    let agent = fields.join(":");
    let has_number = |line: &str| line.split(':').nth(field) == Some(number.to_string().as_str());
    let mut lines = Vec::new();
    let mut placed = false;
    for line in text.split_terminator('\n') {
        let is_agents = name_of(line).as_deref() == Some(AGENT_USER);
        if !placed && (is_agents || has_number(line)) {
            lines.push(agent.as_str());
            placed = true;
        }
        if !is_agents {
            lines.push(line);
        }
    }
    let mut text = lines.join("\n");
    text.push('\n');
    text
}

/// Replaces a file as a whole: a boot that is broken off leaves the old one or the new one.
fn replace(file: &Path, text: &str) -> io::Result<()> {
    let data = fs::metadata(file)?;
    let new = file.with_extension("amikad");
    // One of a boot that was broken off.
    let _ = fs::remove_file(&new);
    let mut written = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)?;
    written.write_all(&bytes_of(text))?;
    written.set_permissions(fs::Permissions::from_mode(data.mode() & 0o7777))?;
    written.sync_all()?;
    fs::rename(&new, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0::/root:/bin/sh\nwww:x:33:33::/:/none\nusers:x:7:100::/:/none\n\
                          amika:x:1000:1000:,,,:/home/amika:/usr/bin/zsh\nlast:x:5:5::/:/none\n";
    const GROUP: &str = "root:x:0:\nstaff:x:50:amika\namika:x:1000:\n";

    #[test]
    fn the_agents_line_gets_the_numbers() {
        assert_eq!(
            renumber(PASSWD, 2, 4242, Some((3, 77))),
            "root:x:0:0::/root:/bin/sh\nwww:x:33:33::/:/none\nusers:x:7:100::/:/none\n\
             amika:x:4242:77:,,,:/home/amika:/usr/bin/zsh\nlast:x:5:5::/:/none\n"
        );
        assert_eq!(
            renumber(GROUP, 2, 77, None),
            "root:x:0:\nstaff:x:50:amika\namika:x:77:\n"
        );
    }

    #[test]
    fn a_line_ends_where_the_c_library_ends_it() {
        let odd = format!("{PASSWD}\r");
        let once = renumber(&odd, 2, 4242, Some((3, 77)));
        assert!(once.ends_with("\n\r\n"), "{once:?}");
        assert_eq!(renumber(&once, 2, 4242, Some((3, 77))), once);
    }

    #[test]
    fn the_agent_is_found_first_by_its_number() {
        let passwd = renumber(PASSWD, 2, 33, Some((3, 50)));
        let group = renumber(GROUP, 2, 50, None);
        let accounts = Accounts { passwd, group };
        assert_eq!(accounts.by_uid(33).name.as_deref(), Some("amika"));
        assert_eq!(accounts.by_uid(33).identity.gid, 50);
        assert!(accounts.group.starts_with("root:x:0:\namika:x:50:\nstaff:"));
    }

    #[test]
    fn a_broken_line_of_the_agents_name_does_not_cost_the_agent() {
        let passwd = format!("amika:x:\namika:x:a:b::/:/\n{PASSWD}");
        let accounts = Accounts {
            passwd: renumber(&passwd, 2, 4242, Some((3, 77))),
            group: String::new(),
        };
        assert_eq!(accounts.resolve("amika").unwrap().identity.uid, 4242);
        assert_eq!(accounts.by_uid(4242).name.as_deref(), Some("amika"));
    }

    #[test]
    fn doing_it_again_changes_nothing() {
        for number in [7, 1000, 4242] {
            let once = renumber(PASSWD, 2, number, Some((3, 9)));
            assert_eq!(renumber(&once, 2, number, Some((3, 9))), once);
        }
        assert_eq!(renumber("root:x:0:0\n", 2, 7, None), "root:x:0:0\n");
    }
}

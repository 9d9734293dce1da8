//! Who a user name means: reads the text of `/etc/passwd` and `/etc/group`.
//!
//! By hand, since the C library would load the image's own name service modules, which a static
//! program cannot.

use std::path::{Path, PathBuf};

use crate::sys::Identity;

/// What is known of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    /// Login name, where `/etc/passwd` has one.
    pub(crate) name: Option<String>,
    /// User and groups.
    pub(crate) identity: Identity,
    /// Home directory as `/etc/passwd` has it.
    pub(crate) home: Option<PathBuf>,
    /// Login shell as `/etc/passwd` has it.
    pub(crate) shell: Option<PathBuf>,
}

/// The texts that users are looked up in; empty where an image has none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Accounts {
    /// Text of `/etc/passwd`.
    pub(crate) passwd: String,
    /// Text of `/etc/group`.
    pub(crate) group: String,
}

/// Why a `--user` means nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum UnknownUser {
    /// No such user name in `/etc/passwd`.
    User(String),
    /// No such group name in `/etc/group`.
    Group(String),
}

impl std::fmt::Display for UnknownUser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::User(name) => write!(f, "no user `{name}` in /etc/passwd"),
            Self::Group(name) => write!(f, "no group `{name}` in /etc/group"),
        }
    }
}

/// One line of `/etc/passwd`.
struct PasswdLine<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
    shell: &'a str,
}

impl Accounts {
    /// Reads the container's files.
    pub(crate) fn read() -> Self {
        let text = |path| {
            crate::files::read_small(Path::new(path), 16 << 20)
                .map(text_of)
                .unwrap_or_default()
        };
        Self {
            passwd: text("/etc/passwd"),
            group: text("/etc/group"),
        }
    }

    /// Finds the user that `spec` means: `name`, `uid`, `name:group`, `uid:gid`, as `docker run
    /// --user` has it. A number need not be listed anywhere.
    pub(crate) fn resolve(&self, spec: &str) -> Result<User, UnknownUser> {
        let (user, group) = match spec.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (spec, None),
        };
        let mut found = match (self.line(|line| line.name == user), parse_id(user)) {
            (Some(line), _) => self.user(&line),
            (None, Some(uid)) => self.by_uid(uid),
            (None, None) => return Err(UnknownUser::User(user.to_owned())),
        };
        if let Some(group) = group {
            found.identity.gid = self
                .gid(group)
                .or_else(|| parse_id(group))
                .ok_or_else(|| UnknownUser::Group(group.to_owned()))?;
            // As docker does: an explicit group stands alone.
            found.identity.groups = vec![found.identity.gid];
        }
        Ok(found)
    }

    /// What is known of `uid`; its group is 0 when nothing is, as an engine would have it.
    pub(crate) fn by_uid(&self, uid: u32) -> User {
        match self.line(|line| line.uid == uid) {
            Some(line) => self.user(&line),
            None => User {
                name: None,
                identity: Identity {
                    uid,
                    gid: 0,
                    groups: vec![0],
                },
                home: None,
                shell: None,
            },
        }
    }

    fn user(&self, line: &PasswdLine<'_>) -> User {
        let mut groups = vec![line.gid];
        for (gid, members) in self.groups() {
            if !groups.contains(&gid) && members.split(',').any(|member| member == line.name) {
                groups.push(gid);
            }
        }
        User {
            name: Some(line.name.to_owned()),
            identity: Identity {
                uid: line.uid,
                gid: line.gid,
                groups,
            },
            home: (!line.home.is_empty()).then(|| line.home.into()),
            shell: (!line.shell.is_empty()).then(|| line.shell.into()),
        }
    }

    fn line(&self, wanted: impl Fn(&PasswdLine<'_>) -> bool) -> Option<PasswdLine<'_>> {
        self.passwd
            .split_terminator('\n')
            .filter_map(parse_passwd)
            .find(wanted)
    }

    /// Group ids with the text of their members.
    fn groups(&self) -> impl Iterator<Item = (u32, &str)> {
        self.group.split_terminator('\n').filter_map(|line| {
            let mut fields = line.split(':');
            let (_, _, gid) = (fields.next()?, fields.next()?, fields.next()?);
            Some((parse_id(gid)?, fields.next().unwrap_or_default().trim()))
        })
    }

    fn gid(&self, name: &str) -> Option<u32> {
        let line = self
            .group
            .split_terminator('\n')
            .find(|line| line.split(':').next() == Some(name))?;
        parse_id(line.split(':').nth(2)?)
    }
}

/// The text of a file, with a character for each byte that is no UTF-8: those are put back by [`bytes_of`].
fn text_of(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| {
        let bytes = error.into_bytes();
        let chunks = bytes.utf8_chunks();
        chunks.fold(String::new(), |mut text, chunk| {
            text.push_str(chunk.valid());
            let stand_ins = chunk
                .invalid()
                .iter()
                .filter_map(|byte| char::from_u32(STAND_INS + u32::from(*byte)));
            text.extend(stand_ins);
            text
        })
    })
}

/// The bytes of a text of [`text_of`].
pub(crate) fn bytes_of(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    for character in text.chars() {
        match u32::from(character)
            .checked_sub(STAND_INS)
            .map(u8::try_from)
        {
            Some(Ok(byte)) => bytes.push(byte),
            _ => bytes.extend(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    bytes
}

/// Characters for private use (plane 16), of which the first 256 stand for bytes.
const STAND_INS: u32 = 0x10_0000;

/// A user or group id in decimal digits.
///
/// 2^32-1 is none: to the kernel it means "leave it as it is", so that whoever asked to become that
/// user would stay root.
pub(crate) fn parse_id(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|id| digits && *id != u32::MAX)
}

/// Parses one line; comments, NIS entries and broken lines are none.
fn parse_passwd(line: &str) -> Option<PasswdLine<'_>> {
    let mut fields = line.split(':');
    let name = fields
        .next()
        .filter(|name| !name.is_empty() && !name.starts_with(['#', '+', '-']))?;
    let _password = fields.next()?;
    Some(PasswdLine {
        name,
        uid: parse_id(fields.next()?)?,
        gid: parse_id(fields.next()?)?,
        home: fields.nth(1).unwrap_or_default(),
        shell: fields.next().unwrap_or_default().trim_end(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts() -> Accounts {
        Accounts {
            passwd: "root:x:0:0:root:/root:/bin/bash\n# no\nbroken:x\n\
                     amika:x:1000:1000:,,,:/home/amika:/usr/bin/zsh\nodd:x:7:8\n"
                .to_owned(),
            group: "root:x:0:\namika:x:1000:\nsudo:x:27:someone,amika\ndocker:x:999:amika\n"
                .to_owned(),
        }
    }

    #[test]
    fn a_name_brings_its_supplementary_groups() {
        let user = accounts().resolve("amika").unwrap();
        assert_eq!(
            user.identity,
            Identity {
                uid: 1000,
                gid: 1000,
                groups: vec![1000, 27, 999]
            }
        );
        assert_eq!(user.home, Some("/home/amika".into()));
        assert_eq!(user.shell, Some("/usr/bin/zsh".into()));
    }

    #[test]
    fn bytes_that_are_no_text_come_back_as_they_were() {
        for bytes in [
            &b"ada:x:1:1:J\xf6rg \xff\xfe:/:/bin/sh\n"[..],
            b"plain\n",
            "J\u{f6}rg".as_bytes(),
        ] {
            assert_eq!(bytes_of(&text_of(bytes.to_vec())), bytes);
        }
    }

    #[test]
    fn a_listed_number_is_the_listed_user() {
        assert_eq!(
            accounts().resolve("1000").unwrap(),
            accounts().resolve("amika").unwrap()
        );
    }

    #[test]
    fn an_unlisted_number_is_taken_as_it_is() {
        let user = accounts().resolve("4242").unwrap();
        assert_eq!(
            user.identity,
            Identity {
                uid: 4242,
                gid: 0,
                groups: vec![0]
            }
        );
        assert_eq!(user.name, None);
    }

    #[test]
    fn a_group_may_be_a_name_or_a_number() {
        let by_name = accounts().resolve("amika:docker").unwrap();
        assert_eq!(
            by_name.identity,
            Identity {
                uid: 1000,
                gid: 999,
                groups: vec![999]
            }
        );
        assert_eq!(accounts().resolve("4242:999").unwrap().identity.gid, 999);
    }

    #[test]
    fn unknown_names_are_told_apart() {
        assert_eq!(
            accounts().resolve("nobody"),
            Err(UnknownUser::User("nobody".to_owned()))
        );
        assert_eq!(
            accounts().resolve("amika:nope"),
            Err(UnknownUser::Group("nope".to_owned()))
        );
    }

    #[test]
    fn the_id_that_means_no_change_is_nobody() {
        let hostile = Accounts {
            passwd: "evil:x:4294967295:4294967295::/:/bin/sh\n".to_owned(),
            group: "evil:x:4294967295:\n".to_owned(),
        };
        for spec in [
            "4294967295",
            "0:4294967295",
            "evil",
            "+5",
            "-1",
            "0:evil",
            "",
            ":",
        ] {
            assert!(hostile.resolve(spec).is_err(), "{spec}");
        }
    }

    #[test]
    fn short_lines_and_missing_files_do_no_harm() {
        assert_eq!(accounts().resolve("odd").unwrap().shell, None);
        assert!(Accounts::default().resolve("root").is_err());
        assert_eq!(Accounts::default().resolve("0").unwrap().identity.uid, 0);
    }
}

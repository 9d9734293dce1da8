//! A sandbox's identity, which stays the same when it is renamed or made anew.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A random UUID (version 4) in its usual spelling.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "String", into = "String")]
pub struct SandboxId(String);

impl SandboxId {
    /// Makes an id of random bytes.
    pub fn from_random(mut bytes: [u8; 16]) -> Self {
        // Version 4 and the variant of RFC 9562, sections 4.1 and 5.4.
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let mut text = String::with_capacity(36);
        for (index, byte) in bytes.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                text.push('-');
            }
            for digit in [byte >> 4, byte & 0x0f] {
                text.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
            }
        }
        Self(text)
    }

    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SandboxId {
    type Err = InvalidSandboxId;

    fn from_str(text: &str) -> Result<Self, InvalidSandboxId> {
        let shaped = text.len() == 36
            && text.bytes().enumerate().all(|(index, byte)| match index {
                8 | 13 | 18 | 23 => byte == b'-',
                _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
            });
        if shaped {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidSandboxId)
        }
    }
}

impl TryFrom<String> for SandboxId {
    type Error = InvalidSandboxId;

    fn try_from(text: String) -> Result<Self, InvalidSandboxId> {
        text.parse()
    }
}

impl From<SandboxId> for String {
    fn from(id: SandboxId) -> Self {
        id.0
    }
}

impl fmt::Display for SandboxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A text that is no UUID in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no sandbox id: use 8-4-4-4-12 lower-case hexadecimal digits")]
pub struct InvalidSandboxId;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn random_bytes_become_a_version_4_uuid() {
        assert_eq!(
            SandboxId::from_random([0xff; 16]).as_str(),
            "ffffffff-ffff-4fff-bfff-ffffffffffff"
        );
        assert_eq!(
            SandboxId::from_random([0; 16]).as_str(),
            "00000000-0000-4000-8000-000000000000"
        );
    }

    #[test]
    fn other_spellings_are_refused() {
        for text in [
            "",
            "ffffffff-ffff-4fff-bfff-fffffffffff",
            "FFFFFFFF-ffff-4fff-bfff-ffffffffffff",
            "ffffffffffff-ffff-4fff-bfff-ffffffff",
            "ffffffff-ffff-4fff-bfff-fffffffffffg",
        ] {
            assert_eq!(text.parse::<SandboxId>(), Err(InvalidSandboxId), "{text}");
        }
    }

    proptest! {
        #[test]
        fn ids_read_as_they_print(bytes: [u8; 16]) {
            let id = SandboxId::from_random(bytes);
            prop_assert_eq!(id.to_string().parse(), Ok(id));
        }
    }
}

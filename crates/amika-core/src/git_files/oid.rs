//! Names of objects, and the hash that a repository's files are made with.

use std::fmt;

use sha1::Digest as _;

/// A repository's hash (`extensions.objectFormat`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectFormat {
    /// 20 bytes, git's default.
    #[default]
    Sha1,
    /// 32 bytes.
    Sha256,
}

impl ObjectFormat {
    /// Takes git's name for it, `sha1` or `sha256`.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        match name {
            b"sha1" => Some(Self::Sha1),
            b"sha256" => Some(Self::Sha256),
            _ => None,
        }
    }

    /// Git's name for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
        }
    }

    /// The length of an object's name in bytes.
    pub fn length(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }

    /// The hash of bytes, as git ends its files with it.
    pub fn hash(self, bytes: &[u8]) -> Oid {
        match self {
            Self::Sha1 => Oid::new(self, &sha1::Sha1::digest(bytes)),
            Self::Sha256 => Oid::new(self, &sha2::Sha256::digest(bytes)),
        }
    }
}

/// The name of an object.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Oid {
    format: ObjectFormat,
    /// What is behind the format's length is zero.
    bytes: [u8; 32],
}

impl Oid {
    /// The bytes are as many as the format's, which its callers see to.
    fn new(format: ObjectFormat, bytes: &[u8]) -> Self {
        let mut filled = [0; 32];
        for (to, from) in filled.iter_mut().zip(bytes) {
            *to = *from;
        }
        Self {
            format,
            bytes: filled,
        }
    }

    /// Takes exactly as many bytes as the format has.
    pub fn from_bytes(format: ObjectFormat, bytes: &[u8]) -> Option<Self> {
        (bytes.len() == format.length()).then(|| Self::new(format, bytes))
    }

    /// Takes exactly as many hexadecimal digits as the format has; git takes them in either case.
    pub fn from_hex(format: ObjectFormat, hex: &[u8]) -> Option<Self> {
        if hex.len() != 2 * format.length() {
            return None;
        }
        let digit = |byte: &u8| char::from(*byte).to_digit(16);
        let mut bytes = [0; 32];
        for (to, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
            *to = u8::try_from(digit(&pair[0])? * 16 + digit(&pair[1])?).ok()?;
        }
        Some(Self { format, bytes })
    }

    /// The hash that it is of.
    pub fn format(&self) -> ObjectFormat {
        self.format
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.format.length()]
    }

    /// Whether it is the name of nothing.
    pub fn is_null(&self) -> bool {
        self.bytes == [0; 32]
    }
}

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes()
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Oid({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_is_printed() {
        let hex = "da39a3ee5e6b4b0d3255bfef95601890afd80709";
        let empty = ObjectFormat::Sha1.hash(b"");
        assert_eq!(empty.to_string(), hex);
        let upper = hex.to_ascii_uppercase();
        for text in [hex, &upper] {
            assert_eq!(
                Oid::from_hex(ObjectFormat::Sha1, text.as_bytes()),
                Some(empty)
            );
        }
        assert_eq!(
            Oid::from_bytes(ObjectFormat::Sha1, empty.as_bytes()),
            Some(empty)
        );
        let long = ObjectFormat::Sha256.hash(b"");
        assert!(long.to_string().starts_with("e3b0c44298fc1c14"));
        assert_eq!(
            Oid::from_hex(ObjectFormat::Sha1, long.to_string().as_bytes()),
            None
        );
        assert_eq!(Oid::from_hex(ObjectFormat::Sha256, hex.as_bytes()), None);
        assert_eq!(
            Oid::from_hex(ObjectFormat::Sha1, hex.replace('d', "+").as_bytes()),
            None
        );
    }
}

//! What signs in: texts of 256 random bits, of which only a digest is kept.

use rand::RngExt as _;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Characters of a token: 62^43 is more than 2^256.
const LENGTH: usize = 43;

/// Beginning of API keys.
pub const KEY_PREFIX: &str = "amk_";

/// A token in the clear, which is shown once. It has no `Debug` that would show it.
pub struct Token(String);

/// What is kept of a token.
#[derive(Clone, PartialEq, Eq)]
pub struct Hash(pub [u8; 32]);

impl Token {
    /// A new one with this beginning.
    pub fn new(prefix: &str) -> Self {
        let mut rng = rand::rng();
        let digits = (0..LENGTH).map(|_| char::from(ALPHABET[rng.random_range(0..ALPHABET.len())]));
        Self(prefix.chars().chain(digits).collect())
    }

    /// The text.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is kept of it.
    pub fn hash(&self) -> Hash {
        Hash::of(&self.0)
    }

    /// What may be shown of it later, so that its owner knows it again: its ends.
    pub fn shown(&self) -> String {
        let (start, end) = (KEY_PREFIX.len() + 4, self.0.len() - 4);
        format!("{}…{}", &self.0[..start], &self.0[end..])
    }
}

impl Hash {
    /// That of a text that somebody gives.
    pub fn of(text: &str) -> Self {
        Self(Sha256::digest(text.as_bytes()).into())
    }

    /// Whether both are the same, in a time that does not tell where they differ.
    pub fn matches(&self, kept: &[u8]) -> bool {
        self.0.ct_eq(kept).into()
    }
}

/// Whether a text has the form of an API key.
pub fn is_key(text: &str) -> bool {
    text.strip_prefix(KEY_PREFIX).is_some_and(|digits| {
        digits.len() == LENGTH && digits.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn keys_have_their_form_and_none_comes_twice() {
        let keys: Vec<Token> = (0..200).map(|_| Token::new(KEY_PREFIX)).collect();
        let texts: BTreeSet<&str> = keys.iter().map(Token::reveal).collect();
        assert_eq!(texts.len(), keys.len());
        assert!(texts.iter().all(|text| is_key(text)), "{texts:?}");
        let used: BTreeSet<char> = texts.iter().flat_map(|text| text[4..].chars()).collect();
        assert_eq!(used.len(), 62, "every digit is used");
        for bad in ["", "amk_", "amk_abc", "AMK_0", &"a".repeat(47)] {
            assert!(!is_key(bad), "{bad}");
        }
    }

    #[test]
    fn a_hash_is_its_own_texts_alone_and_ends_are_shown() {
        let token = Token::new(KEY_PREFIX);
        assert!(token.hash().matches(&Hash::of(token.reveal()).0));
        assert!(!token.hash().matches(&Token::new(KEY_PREFIX).hash().0));
        assert!(!token.hash().matches(b"short"));
        let shown = token.shown();
        assert_eq!(shown.chars().count(), 4 + 4 + 1 + 4);
        assert!(token.reveal().starts_with(shown.split('…').next().unwrap()));
    }
}

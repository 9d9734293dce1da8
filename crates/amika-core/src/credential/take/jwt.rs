//! What a JSON web token says of itself. Nothing is verified: of two tokens it is told whether they are of one
//! account, not whether they are genuine.

use serde_json::{Map, Value};

/// Claims that name the account.
const ACCOUNT: [&str; 3] = ["chatgpt_account_id", "chatgpt_user_id", "user_id"];
/// Where those of Codex have them.
const OPENAI: &str = "https://api.openai.com/auth";

/// The claims of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Claims(Map<String, Value>);

impl Claims {
    /// Reads a token; nothing of one that is opaque.
    pub(super) fn of(token: &str) -> Option<Self> {
        let mut parts = token.split('.');
        let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
        match serde_json::from_slice(&decode(payload)?) {
            Ok(Value::Object(claims)) if parts.next().is_none() => Some(Self(claims)),
            _ => None,
        }
    }

    /// When it runs out, in milliseconds; an error when that is no number of seconds.
    pub(super) fn expiry(&self) -> Result<Option<u64>, ()> {
        match self.0.get("exp") {
            None => Ok(None),
            Some(exp) => exp
                .as_u64()
                .and_then(|seconds| seconds.checked_mul(1000))
                .map(Some)
                .ok_or(()),
        }
    }

    /// Who issued it.
    pub(super) fn issuer(&self) -> Option<&Value> {
        self.0.get("iss")
    }

    /// The first name of an account in which it differs from another one's: its own and the other's.
    pub(super) fn other_account<'c>(
        &'c self,
        other: &'c Self,
    ) -> Option<(Option<&'c Value>, Option<&'c Value>)> {
        let within = |claims: &'c Map<String, Value>, key| claims.get(OPENAI)?.get(key);
        let subject = (self.0.get("sub"), other.0.get("sub"));
        let named = ACCOUNT.map(|key| (within(&self.0, key), within(&other.0, key)));
        std::iter::once(subject)
            .chain(named)
            .find(|(ours, theirs)| ours != theirs)
    }
}

/// Reads base64 of the alphabet for URLs, without padding.
fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut count) = (0_u32, 0);
    for letter in text.trim_end_matches('=').bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).ok()?);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_are_read_and_what_has_none_is_opaque() {
        // {"sub":"ada","exp":1795336329}
        let token = "e30.eyJzdWIiOiJhZGEiLCJleHAiOjE3OTUzMzYzMjl9.c2ln";
        let claims = Claims::of(token).unwrap();
        assert_eq!(claims.expiry(), Ok(Some(1_795_336_329_000)));
        assert_eq!(claims.other_account(&claims), None);
        for opaque in ["", "a.b", "a.b.c", "e30.W10.x", "e30.e30.x.y", "e30.é.x"] {
            assert_eq!(Claims::of(opaque), None, "{opaque}");
        }
    }
}

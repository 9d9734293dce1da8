//! The cookie of a port's origin: who may ask that port, signed, until when.
//!
//! Browsers send a cookie to every port of its host, and to no other host. So it is good for the one port of the one
//! sandbox that its host names; and over plain HTTP, where anybody of that machine could be sent it, from the one address
//! that it was made for.

use std::net::IpAddr;

use amika_core::hex::{hex, unhex};
use axum::http::{HeaderMap, header};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::name::PortName;

/// Its name over plain HTTP.
pub const NAME: &str = "amika_port";

/// Its name over TLS.
pub const HOST_NAME: &str = "__Host-amika_port";

/// How long it is good, in milliseconds.
pub const LIFE: i64 = 12 * 60 * 60 * 1000;

/// What signs cookies: another one at each start of the server.
pub struct Signer([u8; 32]);

impl Default for Signer {
    fn default() -> Self {
        Self(rand::random())
    }
}

impl Signer {
    fn mac(&self, of: &PortName, user_id: &str, until: i64, from: Option<IpAddr>) -> Hmac<Sha256> {
        let from = from.map(|from| from.to_string()).unwrap_or_default();
        let text = format!(
            "port\0{}\0{}\0{user_id}\0{until}\0{from}",
            of.sandbox_id, of.port
        );
        #[allow(clippy::expect_used, reason = "keys of any length are keys")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("a key");
        mac.update(text.as_bytes());
        mac
    }

    /// A cookie's value for a user; `from`: the one address that it is good from.
    pub fn sign(&self, of: &PortName, user_id: &str, now: i64, from: Option<IpAddr>) -> String {
        let until = now + LIFE;
        let mac = self.mac(of, user_id, until, from);
        format!("{user_id}.{until}.{}", hex(&mac.finalize().into_bytes()))
    }

    /// The id of the user whose cookie it is, where it is good.
    pub fn user<'a>(
        &self,
        of: &PortName,
        value: &'a str,
        now: i64,
        from: Option<IpAddr>,
    ) -> Option<&'a str> {
        let (rest, mac) = value.rsplit_once('.')?;
        let (user_id, until) = rest.rsplit_once('.')?;
        let until: i64 = until.parse().ok()?;
        let given = unhex(mac)?;
        let mac = self.mac(of, user_id, until, from);
        (mac.verify_slice(&given).is_ok() && now < until).then_some(user_id)
    }
}

/// Whether a cookie is one of these, by its name.
pub fn is_own(name: &str) -> bool {
    [NAME, HOST_NAME].iter().any(|own| {
        let rest = name.strip_prefix(own);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
    })
}

/// The values of the cookie that a request has.
pub fn values(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let all = headers.get_all(header::COOKIE).iter();
    let all = all.flat_map(|value| value.to_str().unwrap_or_default().split(';'));
    all.filter_map(|cookie| {
        let (name, value) = cookie.trim().split_once('=')?;
        is_own(name).then_some(value)
    })
}

/// `Set-Cookie` for a value. `own` is the listening port where the origin has one of its own: other such origins are at the
/// same host, and a cookie of the same name would be in place of theirs.
pub fn set(value: &str, is_tls: bool, own: Option<u16>) -> String {
    let (name, secure) = if is_tls {
        (HOST_NAME, "; Secure")
    } else {
        (NAME, "")
    };
    let own = own.map(|port| format!("_{port}")).unwrap_or_default();
    let seconds = LIFE / 1000;
    format!("{name}{own}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_good_for_one_port_of_one_sandbox_one_user_and_one_address() {
        let signer = Signer::default();
        let of = |port, id: &str| PortName {
            port,
            sandbox_id: id.to_owned(),
        };
        let here: Option<IpAddr> = Some("127.0.0.1".parse().unwrap());
        let there: Option<IpAddr> = Some("172.17.0.2".parse().unwrap());
        let value = signer.sign(&of(3000, "a"), "ada", 5, here);
        let user = |of: PortName, value: &str, now, from| {
            signer.user(&of, value, now, from).map(str::to_owned)
        };
        assert_eq!(
            user(of(3000, "a"), &value, LIFE + 4, here),
            Some("ada".to_owned())
        );
        assert_eq!(user(of(3000, "a"), &value, LIFE + 5, here), None);
        assert_eq!(user(of(3001, "a"), &value, 6, here), None);
        assert_eq!(user(of(3000, "b"), &value, 6, here), None);
        assert_eq!(user(of(3000, "a"), &value, 6, there), None);
        assert_eq!(user(of(3000, "a"), &value, 6, None), None);
        let other = value.replacen("ada", "bob", 1);
        assert_eq!(user(of(3000, "a"), &other, 6, here), None);
        assert_eq!(
            Signer::default().user(&of(3000, "a"), &value, 6, here),
            None
        );
        for bad in ["", ".", "a.b", "a.1.zz", "ada.99999999999999."] {
            assert_eq!(user(of(3000, "a"), bad, 6, here), None, "{bad}");
        }
    }

    #[test]
    fn the_cookies_of_all_origins_are_known_and_no_others() {
        for (set, name) in [
            (set("v", false, None), "amika_port"),
            (set("v", false, Some(4001)), "amika_port_4001"),
            (set("v", true, Some(4001)), "__Host-amika_port_4001"),
        ] {
            assert_eq!(set.split('=').next(), Some(name));
            assert!(is_own(name), "{name}");
        }
        for other in ["amika_ports", "amika", "x_amika_port", ""] {
            assert!(!is_own(other), "{other}");
        }
    }
}

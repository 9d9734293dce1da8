//! Who may pass: the browser that used the one-time address, and pages that it was given here.

use std::sync::atomic::{AtomicBool, Ordering};

use amika_core::hex::hex;
use hyper::header::{COOKIE, HOST, HeaderMap, HeaderValue, ORIGIN};
use hyper::{Method, StatusCode};

/// The rules of one relay.
pub(super) struct Gate {
    /// `127.0.0.1:PORT`, and the name of the sandbox's own if there is one: it answers to no other.
    authorities: Vec<String>,
    /// The key of the address that people see.
    key: String,
    /// The key of the one that a browser is started with.
    handed: String,
    handed_is_over: AtomicBool,
    /// Either serves, once in all.
    was_used: AtomicBool,
    cookie_name: String,
    cookie: String,
}

/// What to do with a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Pass it on.
    Pass,
    /// Hand out the cookie.
    SignIn,
    /// Refuse it, with a sentence for people.
    Refuse(StatusCode, &'static str),
}

impl Gate {
    /// For a relay on `port`, which answers to `name` as well.
    pub(super) fn new(port: u16, name: Option<&str>) -> Self {
        let names = ["127.0.0.1"].into_iter().chain(name);
        Self {
            authorities: names.map(|name| format!("{name}:{port}")).collect(),
            key: hex(&rand::random::<[u8; 32]>()),
            handed: hex(&rand::random::<[u8; 32]>()),
            handed_is_over: AtomicBool::new(false),
            was_used: AtomicBool::new(false),
            // Browsers keep cookies by host, not by port.
            cookie_name: format!("amika-{port}"),
            cookie: hex(&rand::random::<[u8; 32]>()),
        }
    }

    /// The address that signs a browser in, once.
    pub(super) fn url(&self) -> String {
        format!("http://{}/amika/{}", self.authorities[0], self.key)
    }

    /// The same by the key that is handed to a browser, and the sandbox's own name.
    pub(super) fn handed_url(&self) -> String {
        let authority = self.authorities.last().unwrap_or(&self.authorities[0]);
        format!("http://{authority}/amika/{}", self.handed)
    }

    /// Makes the handed key worthless.
    pub(super) fn forget_handed(&self) {
        self.handed_is_over.store(true, Ordering::SeqCst);
    }

    /// The `Set-Cookie` of a browser that signed in.
    pub(super) fn set_cookie(&self) -> String {
        format!(
            "{}={}; Path=/; HttpOnly; SameSite=Strict",
            self.cookie_name, self.cookie
        )
    }

    /// Judges a request.
    pub(super) fn judge(&self, method: &Method, path: &str, headers: &HeaderMap) -> Verdict {
        let text = |name| {
            headers
                .get(name)
                .and_then(|value: &HeaderValue| value.to_str().ok())
        };
        // A name could be made to lead here by whoever owns it; the number cannot.
        let host = text(HOST).unwrap_or_default();
        if !self
            .authorities
            .iter()
            .any(|own| own.eq_ignore_ascii_case(host))
        {
            return Verdict::Refuse(StatusCode::MISDIRECTED_REQUEST, "this is no such host");
        }
        if let Some(key) = path
            .strip_prefix("/amika/")
            .filter(|_| method == Method::GET)
        {
            let handed = same(key, &self.handed);
            return if !same(key, &self.key) && !handed {
                Verdict::Refuse(StatusCode::FORBIDDEN, "this address is not valid")
            } else if handed && self.handed_is_over.load(Ordering::SeqCst) {
                Verdict::Refuse(
                    StatusCode::FORBIDDEN,
                    "this address is too old; the one that `amika sandbox open` printed still works",
                )
            } else if self.was_used.swap(true, Ordering::SeqCst) {
                Verdict::Refuse(
                    StatusCode::FORBIDDEN,
                    "this address was used already; `amika sandbox open` gives a new one",
                )
            } else {
                Verdict::SignIn
            };
        }
        let foreign = headers.get(ORIGIN).is_some_and(|origin| {
            let own = origin
                .to_str()
                .ok()
                .and_then(|origin| origin.strip_prefix("http://"));
            !own.is_some_and(|own| own.eq_ignore_ascii_case(host))
        });
        let site = headers.get("sec-fetch-site");
        if foreign || site.is_some_and(|site| site == "cross-site" || site == "same-site") {
            return Verdict::Refuse(StatusCode::FORBIDDEN, "not from another page");
        }
        if !self
            .cookies(headers)
            .any(|(ours, value)| ours && same(value, &self.cookie))
        {
            return Verdict::Refuse(
                StatusCode::UNAUTHORIZED,
                "not signed in; `amika sandbox open` gives an address",
            );
        }
        Verdict::Pass
    }

    /// The cookies that are not ours, for OpenCode.
    pub(super) fn foreign_cookies(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let rest: Vec<String> = headers
            .get_all(COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .map(str::trim)
            .filter(|pair| pair.split('=').next() != Some(&self.cookie_name))
            .map(str::to_owned)
            .collect();
        let joined = rest.join("; ");
        (!joined.is_empty())
            .then(|| HeaderValue::from_str(&joined).ok())
            .flatten()
    }

    /// Values of cookies, each with whether it is ours.
    fn cookies<'a>(&'a self, headers: &'a HeaderMap) -> impl Iterator<Item = (bool, &'a str)> {
        headers
            .get_all(COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .map(|(name, value)| (name == self.cookie_name, value))
    }
}

/// Compares in a time that does not tell where two texts differ.
fn same(a: &str, b: &str) -> bool {
    a.len() == b.len()
        && a.bytes()
            .zip(b.bytes())
            .fold(0, |differences, (a, b)| differences | (a ^ b))
            == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_str(value).expect("a value"));
        }
        headers
    }

    fn status(verdict: &Verdict) -> u16 {
        match verdict {
            Verdict::Pass => 200,
            Verdict::SignIn => 303,
            Verdict::Refuse(status, _) => status.as_u16(),
        }
    }

    #[test]
    fn only_the_browser_that_signed_in_passes() {
        let gate = Gate::new(4096, Some("teal-tokyo.localhost"));
        let host = ("host", "127.0.0.1:4096");
        let url = gate.url();
        let path = url.strip_prefix("http://127.0.0.1:4096").expect("ours");
        let judge = |path: &str, given: &[(&'static str, &str)]| {
            status(&gate.judge(&Method::GET, path, &headers(given)))
        };
        assert_eq!(judge("/", &[host]), 401);
        assert_eq!(judge("/amika/0", &[host]), 403);
        assert_eq!(judge(path, &[("host", "evil.example:4096")]), 421);
        assert_eq!(judge(path, &[host]), 303);
        assert_eq!(judge(path, &[host]), 403, "a second time");

        let pair = gate.set_cookie();
        let cookie = ("cookie", pair.split(';').next().expect("a pair"));
        let both = format!("a=b; {}", cookie.1);
        for (given, expected) in [
            (vec![host, cookie], 200),
            (vec![host, ("cookie", both.as_str())], 200),
            (vec![host, ("cookie", "amika-4096=0")], 401),
            (vec![("host", "localhost:4096"), cookie], 421),
            (vec![("host", "other.localhost:4096"), cookie], 421),
            (vec![("host", "teal-tokyo.localhost:4097"), cookie], 421),
            (vec![("host", "teal-tokyo.localhost"), cookie], 421),
            (vec![("host", "Teal-Tokyo.localhost:4096"), cookie], 200),
            (
                vec![host, cookie, ("origin", "http://teal-tokyo.localhost:4096")],
                403,
            ),
            (vec![cookie], 421),
            (vec![host, cookie, ("origin", "http://127.0.0.1:4096")], 200),
            (vec![host, cookie, ("origin", "http://127.0.0.1:4097")], 403),
            (vec![host, cookie, ("origin", "null")], 403),
            (vec![host, cookie, ("sec-fetch-site", "same-origin")], 200),
            (vec![host, cookie, ("sec-fetch-site", "none")], 200),
            (vec![host, cookie, ("sec-fetch-site", "same-site")], 403),
            (vec![host, cookie, ("sec-fetch-site", "cross-site")], 403),
        ] {
            assert_eq!(judge("/", &given), expected, "{given:?}");
        }
        let rest = gate.foreign_cookies(&headers(&[("cookie", &both)]));
        assert_eq!(rest.expect("one is left"), "a=b");
    }

    #[test]
    fn one_browser_signs_in_by_either_address_and_the_handed_one_ends() {
        let host = ("host", "127.0.0.1:4096");
        let judge = |gate: &Gate, url: &str| {
            let path = url.split_once(":4096").expect("the port").1;
            status(&gate.judge(&Method::GET, path, &headers(&[host])))
        };
        let gate = Gate::new(4096, None);
        assert_ne!(gate.url(), gate.handed_url());
        assert_eq!(judge(&gate, &gate.handed_url()), 303);
        assert_eq!(judge(&gate, &gate.url()), 403, "one sign-in in all");

        let gate = Gate::new(4096, None);
        gate.forget_handed();
        assert_eq!(judge(&gate, &gate.handed_url()), 403, "too late");
        assert_eq!(judge(&gate, &gate.url()), 303, "the person's own");
    }
}

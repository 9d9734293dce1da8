//! What sandboxes may write into sign-ins, honest and hostile.

use pretty_assertions::assert_eq;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::credential::FILES;

const CLAUDE_FILE: &str = ".claude/.credentials.json";
const CODEX_FILE: &str = ".codex/auth.json";
const OPENCODE_FILE: &str = ".local/share/opencode/auth.json";
/// November 2026.
const NOW: u64 = 1_795_336_329_000;

fn file(path: &str) -> CredentialFile {
    FILES.into_iter().find(|file| file.path == path).unwrap()
}

fn taken(path: &str, host: &Value, sandbox: &Value) -> Result<Taken, Untaken> {
    with(path, host, sandbox, &now())
}

fn with(path: &str, host: &Value, sandbox: &Value, how: &Taking<'_>) -> Result<Taken, Untaken> {
    let (host, sandbox) = (host.to_string(), sandbox.to_string());
    take(&file(path), Some(host.as_bytes()), sandbox.as_bytes(), how)
}

/// Of somebody who said that tokens are taken whose account nothing tells.
fn now() -> Taking<'static> {
    Taking {
        now: NOW,
        unknown: true,
        ..Taking::default()
    }
}

fn content(taken: Result<Taken, Untaken>) -> Value {
    serde_json::from_slice(&taken.unwrap().content.unwrap()).unwrap()
}

/// A token with these claims.
fn jwt(claims: &Value) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut payload = String::new();
    for three in claims.to_string().as_bytes().chunks(3) {
        let bits = three
            .iter()
            .fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - three.len()));
        for letter in 0..=three.len() {
            let at = bits >> (18 - 6 * letter) & 63;
            payload.push(char::from(LETTERS[at as usize]));
        }
    }
    format!("e30.{payload}.sig")
}

fn claude(token: &str) -> Value {
    json!({"claudeAiOauth": {"accessToken": token, "refreshToken": format!("r-{token}"),
        "expiresAt": NOW + 5, "scopes": ["user:inference"], "subscriptionType": "pro"}, "mcpOAuth": {"mine": 1}})
}

fn codex(token: &str) -> Value {
    let of = |kind: &str| {
        jwt(
            &json!({"iss": "https://auth.openai.com", "sub": "ada", "exp": NOW / 1000 + 60, "jti": [kind, token],
            "https://api.openai.com/auth": {"chatgpt_account_id": "acct_1", "chatgpt_user_id": "u1"}}),
        )
    };
    json!({"OPENAI_API_KEY": null, "auth_mode": "chatgpt", "last_refresh": "2026-11-22T08:32:09.123456Z",
        "tokens": {"id_token": of("id"), "access_token": of("access"), "refresh_token": token, "account_id": "acct_1"}})
}

fn opencode(token: &str, expires: u64) -> Value {
    json!({"type": "oauth", "refresh": format!("r-{token}"), "access": token, "expires": expires})
}

/// `of` with a member set, or removed where that is null.
fn edited(of: &Value, pointer: &str, value: Value) -> Value {
    let mut of = of.clone();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = of.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    parent.insert(key.to_owned(), value);
    of
}

#[test]
fn renewed_tokens_are_taken_and_all_else_stays() {
    let theirs = edited(&claude("new"), "/hooks", json!({"x": 1}));
    let theirs = edited(&theirs, "/mcpOAuth", json!({"evil": 1}));
    let theirs = edited(&theirs, "/claudeAiOauth/scopes", json!(["evil"]));
    let theirs = edited(&theirs, "/claudeAiOauth/extra", json!("evil"));
    assert_eq!(
        content(taken(CLAUDE_FILE, &claude("old"), &theirs)),
        claude("new")
    );

    let theirs = edited(&codex("new"), "/notify", json!(["sh"]));
    let theirs = edited(&theirs, "/OPENAI_API_KEY", json!("sk-attacker"));
    let theirs = edited(&theirs, "/tokens/base_url", json!("https://evil.example"));
    assert_eq!(
        content(taken(CODEX_FILE, &codex("old"), &theirs)),
        codex("new")
    );

    let ours = json!({"a": opencode("a", NOW), "k": {"type": "api", "key": "mine"}});
    let theirs = json!({"a": opencode("b", NOW + 9), "k": {"type": "api", "key": "theirs"}});
    let renewed = json!({"a": opencode("b", NOW + 9), "k": {"type": "api", "key": "mine"}});
    assert_eq!(content(taken(OPENCODE_FILE, &ours, &theirs)), renewed);

    let flat = |token: &str| claude(token)["claudeAiOauth"].clone();
    let path = ".claude-oauth-credentials.json";
    assert_eq!(
        content(taken(path, &flat("old"), &flat("new"))),
        flat("new")
    );
}

#[test]
fn nothing_new_comes_with_it() {
    let ours = json!({"a": opencode("a", NOW), "copilot": opencode("c", NOW), "k": {"type": "api", "key": "mine"}});
    for (provider, entry, why) in [
        ("openai", opencode("x", NOW + 9), Untaken::NotHere),
        ("a", json!({"type": "api", "key": "sk"}), Untaken::OtherType),
        ("a", json!(["oauth"]), Untaken::OtherType),
        ("a", json!("oauth"), Untaken::OtherType),
        ("k", opencode("x", NOW + 9), Untaken::OtherType),
        (
            "a",
            json!({"type": "wellknown", "key": "LD_PRELOAD", "token": "x"}),
            Untaken::OtherType,
        ),
        (
            "copilot",
            edited(
                &opencode("x", NOW + 9),
                "/enterpriseUrl",
                json!("evil.example"),
            ),
            Untaken::OtherServer,
        ),
        (
            "copilot",
            opencode("x;proxy-ep=evil.example;y", NOW + 9),
            Untaken::OtherServer,
        ),
        (
            "a",
            edited(&opencode("x", NOW + 9), "/type", json!(["oauth"])),
            Untaken::OtherType,
        ),
        ("a", opencode("x", NOW), Untaken::NotNewer),
        ("a", opencode("x", NOW - 1), Untaken::NotNewer),
    ] {
        let theirs = json!({ provider: entry });
        assert_eq!(taken(OPENCODE_FILE, &ours, &theirs), Err(why), "{theirs}");
        // Not even for who insists.
        let force = Taking {
            force: true,
            ..now()
        };
        assert!(
            with(OPENCODE_FILE, &ours, &theirs, &force).is_err(),
            "{theirs}"
        );
    }
    // An entry that is no sign-in on either side is nobody's concern.
    let theirs =
        json!({"https://evil.example": {"type": "wellknown", "key": "LD_PRELOAD", "token": "x"}});
    assert_eq!(taken(OPENCODE_FILE, &ours, &theirs), Err(Untaken::Empty));
    // One is taken, and the other told of.
    let theirs = json!({"a": opencode("x", NOW + 9), "new": opencode("x", NOW + 9)});
    let taken = taken(OPENCODE_FILE, &ours, &theirs).unwrap();
    assert!(taken.content.is_some());
    assert_eq!(
        taken.left,
        [Left {
            of: "new".into(),
            why: Untaken::NotHere
        }]
    );
}

#[test]
fn this_machine_s_file_decides_what_a_sign_in_is() {
    for path in [CLAUDE_FILE, CODEX_FILE, OPENCODE_FILE] {
        let theirs = match path {
            CLAUDE_FILE => claude("new"),
            CODEX_FILE => codex("new"),
            _ => json!({"a": opencode("x", NOW + 9)}),
        };
        let text = theirs.to_string();
        let alone = take(&file(path), None, text.as_bytes(), &now());
        assert_eq!(alone, Err(Untaken::NotHere), "{path}");
        assert_eq!(
            taken(path, &json!({}), &theirs),
            Err(Untaken::NotHere),
            "{path}"
        );
    }
    let key_alone = json!({"OPENAI_API_KEY": "sk-mine", "tokens": null});
    assert_eq!(
        taken(CODEX_FILE, &key_alone, &codex("new")),
        Err(Untaken::NotHere)
    );
    // A token that this machine does not have is not added.
    let mut ours = claude("old");
    ours["claudeAiOauth"]
        .as_object_mut()
        .unwrap()
        .remove("refreshToken");
    let renewed = content(taken(CLAUDE_FILE, &ours, &claude("new")));
    assert_eq!(renewed["claudeAiOauth"].get("refreshToken"), None);
    for settings in [
        ".claude.json",
        ".claude.json.api",
        ".local/state/opencode/model.json",
    ] {
        let refused = taken(settings, &claude("old"), &claude("new"));
        assert_eq!(refused, Err(Untaken::Settings), "{settings}");
    }
}

#[test]
fn tokens_are_tokens_and_times_are_times() {
    let huge = "x".repeat(MAX_TOKEN + 1);
    for token in [
        json!(null),
        json!(""),
        json!(1),
        json!(["t"]),
        json!({"t": 1}),
        json!(true),
        json!("a b"),
        json!("a\r\nX-Evil: 1"),
        json!("a\u{0}"),
        json!("é"),
        json!("https://evil.example"),
        json!(huge),
    ] {
        for (path, ours, theirs, pointer, key) in [
            (
                CLAUDE_FILE,
                claude("old"),
                claude("new"),
                "/claudeAiOauth/refreshToken",
                "refreshToken",
            ),
            (
                CLAUDE_FILE,
                claude("old"),
                claude("new"),
                "/claudeAiOauth/accessToken",
                "accessToken",
            ),
            (
                CODEX_FILE,
                codex("old"),
                codex("new"),
                "/tokens/refresh_token",
                "refresh_token",
            ),
            (
                CODEX_FILE,
                codex("old"),
                codex("new"),
                "/tokens/id_token",
                "id_token",
            ),
        ] {
            let theirs = edited(&theirs, pointer, token.clone());
            let refused = taken(path, &ours, &theirs);
            assert_eq!(refused, Err(Untaken::NoToken(key)), "{pointer}");
        }
    }
    let year = 366 * DAY;
    for (time, why) in [
        (json!(NOW + year + 1), Untaken::TooFarAhead("expiresAt")),
        (json!(u64::MAX), Untaken::TooFarAhead("expiresAt")),
        (json!(NOW / 1000), Untaken::NoTime("expiresAt")),
        (json!(NOW * 1000), Untaken::TooFarAhead("expiresAt")),
        (json!(0), Untaken::NoTime("expiresAt")),
        (json!(-1), Untaken::NoTime("expiresAt")),
        (json!(1.8e12), Untaken::NoTime("expiresAt")),
        (json!(1e300), Untaken::NoTime("expiresAt")),
        (json!("2036"), Untaken::NoTime("expiresAt")),
        (json!([NOW + 9]), Untaken::NoTime("expiresAt")),
        (json!(null), Untaken::NoTime("expiresAt")),
    ] {
        let theirs = edited(&claude("new"), "/claudeAiOauth/expiresAt", time.clone());
        assert_eq!(
            taken(CLAUDE_FILE, &claude("old"), &theirs),
            Err(why),
            "{time}"
        );
    }
    let last = edited(
        &claude("new"),
        "/claudeAiOauth/expiresAt",
        json!(NOW + year),
    );
    assert!(taken(CLAUDE_FILE, &claude("old"), &last).is_ok());
    for (time, why) in [
        (
            json!("2036-01-01T00:00:00Z"),
            Untaken::TooFarAhead("last_refresh"),
        ),
        (
            json!("2026-11-25T00:00:00Z"),
            Untaken::TooFarAhead("last_refresh"),
        ),
        (json!("soon"), Untaken::NoTime("last_refresh")),
        (
            json!("1971-01-01T00:00:00Z"),
            Untaken::NoTime("last_refresh"),
        ),
        (json!(NOW), Untaken::NoTime("last_refresh")),
        (json!(null), Untaken::NoTime("last_refresh")),
    ] {
        let theirs = edited(&codex("new"), "/last_refresh", time.clone());
        assert_eq!(
            taken(CODEX_FILE, &codex("old"), &theirs),
            Err(why),
            "{time}"
        );
    }
}

#[test]
fn another_account_is_named_and_taken_only_by_force() {
    let token = |claims: Value| json!(jwt(&claims));
    let claims = |sub: &str, account: &str| {
        json!({"iss": "https://auth.openai.com", "sub": sub, "https://api.openai.com/auth":
            {"chatgpt_account_id": account, "chatgpt_user_id": "u1"}})
    };
    for (theirs, named) in [
        (
            edited(&codex("new"), "/tokens/account_id", json!("acct_ATTACKER")),
            "acct_ATTACKER",
        ),
        (
            edited(&codex("new"), "/tokens/account_id", json!(["acct_1"])),
            "[\"acct_1\"]",
        ),
        (
            edited(
                &codex("new"),
                "/tokens/account_id",
                json!("a\u{1b}[2J\u{202e}"),
            ),
            "a\\u{1b}[2J\\u{202e}",
        ),
        (
            edited(
                &codex("new"),
                "/tokens/id_token",
                token(claims("eve", "acct_1")),
            ),
            "eve",
        ),
        (
            edited(
                &codex("new"),
                "/tokens/access_token",
                token(claims("ada", "acct_2")),
            ),
            "acct_2",
        ),
        (
            edited(
                &codex("new"),
                "/tokens/access_token",
                token(json!({"iss": "https://auth.openai.com"})),
            ),
            "one without a name",
        ),
    ] {
        match taken(CODEX_FILE, &codex("old"), &theirs) {
            Err(Untaken::OtherAccount { theirs, .. }) => assert_eq!(theirs, named),
            other => panic!("{other:?}"),
        }
        let force = Taking {
            force: true,
            ..now()
        };
        let forced = with(CODEX_FILE, &codex("old"), &theirs, &force).unwrap();
        assert_eq!(forced.accounts[0].theirs, named);
        let forced: Value = serde_json::from_slice(&forced.content.unwrap()).unwrap();
        assert_eq!(forced["OPENAI_API_KEY"], json!(null));
        if named == "acct_ATTACKER" {
            assert_eq!(forced["tokens"]["account_id"], named);
        }
    }
    let theirs = edited(
        &codex("new"),
        "/tokens/id_token",
        token(json!({"iss": "https://evil", "sub": "ada"})),
    );
    assert_eq!(
        taken(CODEX_FILE, &codex("old"), &theirs),
        Err(Untaken::OtherServer)
    );
    let theirs = edited(&codex("new"), "/tokens/id_token", json!("opaque"));
    assert_eq!(
        taken(CODEX_FILE, &codex("old"), &theirs),
        Err(Untaken::NoToken("id_token"))
    );
    let far = json!({"iss": "https://auth.openai.com", "sub": "ada", "exp": NOW / 1000 * 2});
    let theirs = edited(&codex("new"), "/tokens/id_token", token(far));
    assert_eq!(
        taken(CODEX_FILE, &codex("old"), &theirs),
        Err(Untaken::TooFarAhead("id_token"))
    );
    let theirs = edited(&codex("new"), "/auth_mode", json!("apikey"));
    assert_eq!(
        taken(CODEX_FILE, &codex("old"), &theirs),
        Err(Untaken::OtherType)
    );

    let ours = json!({"a": edited(&opencode("a", NOW), "/accountId", json!("one"))});
    for account in [json!("two"), json!(null), json!({"one": 1})] {
        let theirs = json!({"a": edited(&opencode("b", NOW + 9), "/accountId", account)});
        let refused = taken(OPENCODE_FILE, &ours, &theirs);
        assert!(
            matches!(refused, Err(Untaken::OtherAccount { .. })),
            "{refused:?}"
        );
    }
}

#[test]
fn claude_s_account_is_that_of_its_settings() {
    let settings = |uuid: &str| json!({"oauthAccount": {"accountUuid": uuid}}).to_string();
    let (ada, eve) = (settings("ada"), settings("eve"));
    for (host, sandbox, is_taken) in [
        (None, None, true),
        (None, Some(&eve), true),
        (Some(&ada), Some(&ada), true),
        (Some(&ada), Some(&eve), false),
        (Some(&ada), None, false),
    ] {
        let how = Taking {
            host_settings: host.map(String::as_bytes),
            sandbox_settings: sandbox.map(String::as_bytes),
            ..now()
        };
        let found = with(CLAUDE_FILE, &claude("old"), &claude("new"), &how);
        assert_eq!(found.is_ok(), is_taken, "{host:?} {sandbox:?}");
        let force = Taking { force: true, ..how };
        let found = with(CLAUDE_FILE, &claude("old"), &claude("new"), &force).unwrap();
        assert_eq!(found.accounts.is_empty(), is_taken);
    }
}

/// A sandbox writes all that is read there: what it says of an account can tell another one, and prove none.
#[test]
fn tokens_that_do_not_tell_their_account_are_taken_only_when_asked_for() {
    let ada = json!({"oauthAccount": {"accountUuid": "ada"}}).to_string();
    let named = |of: &Value| edited(of, "/claudeAiOauth/accountUuid", json!("ada"));
    let flat = |token: &str| claude(token)["claudeAiOauth"].clone();
    let jwt = |token: &str| {
        json!(jwt(
            &json!({"iss": "https://a.example", "sub": "ada", "jti": token})
        ))
    };
    let (old, new) = (opencode("old", NOW), opencode("new", NOW + 9));
    let alone = |of: &str| {
        let of = codex(of);
        edited(&of, "/tokens/account_id", json!(null))
    };
    for (path, ours, theirs, of) in [
        (CLAUDE_FILE, claude("old"), claude("new"), "claude"),
        (
            CLAUDE_FILE,
            named(&claude("old")),
            named(&claude("new")),
            "claude",
        ),
        (
            ".claude-oauth-credentials.json",
            flat("old"),
            flat("new"),
            "claude",
        ),
        (CODEX_FILE, alone("old"), alone("new"), "codex"),
        (OPENCODE_FILE, json!({"a": old}), json!({"a": new}), "a"),
        (
            OPENCODE_FILE,
            json!({"a": edited(&old, "/access", jwt("1"))}),
            json!({"a": edited(&new, "/access", jwt("2"))}),
            "a",
        ),
    ] {
        for settings in [None, Some(ada.as_bytes())] {
            let asked_for = Taking {
                host_settings: settings,
                sandbox_settings: settings,
                ..now()
            };
            let found = with(path, &ours, &theirs, &asked_for).unwrap();
            assert_eq!(
                (found.unknown, found.accounts),
                (vec![of.to_owned()], vec![])
            );
            let unasked = Taking {
                unknown: false,
                ..asked_for
            };
            let found = with(path, &ours, &theirs, &unasked);
            assert_eq!(found, Err(Untaken::UnknownAccount), "{path}");
        }
    }
    // A name that is sent with each request stays this machine's: another account's tokens do not work beside it.
    let unasked = Taking {
        unknown: false,
        ..now()
    };
    let found = with(CODEX_FILE, &codex("old"), &codex("new"), &unasked).unwrap();
    assert_eq!(found.unknown, [""; 0]);
    assert!(found.content.is_some());
    let account = |of: &Value| json!({"a": edited(of, "/accountId", json!("one"))});
    assert!(with(OPENCODE_FILE, &account(&old), &account(&new), &unasked).is_ok());
}

#[test]
fn nonsense_is_told_and_not_taken() {
    let ours = codex("old").to_string();
    let deep = "[".repeat(100_000);
    for (text, why) in [
        ("", Untaken::NoObject),
        ("[]", Untaken::NoObject),
        ("\"x\"", Untaken::NoObject),
        ("{", Untaken::NoObject),
        (deep.as_str(), Untaken::NoObject),
        ("{}", Untaken::Empty),
        (r#"{"tokens": []}"#, Untaken::Empty),
        (r#"{"tokens": "x"}"#, Untaken::Empty),
        (ours.as_str(), Untaken::Same),
    ] {
        let found = take(
            &file(CODEX_FILE),
            Some(ours.as_bytes()),
            text.as_bytes(),
            &now(),
        );
        assert_eq!(found, Err(why), "{:.40}", text);
    }
    // Of a key that comes twice the last counts, for us as for the agent; and only that is written.
    let theirs = codex("new").to_string();
    let twice = theirs.replacen('{', r#"{"tokens":{"refresh_token":"evil"},"#, 1);
    let found = take(
        &file(CODEX_FILE),
        Some(ours.as_bytes()),
        twice.as_bytes(),
        &now(),
    );
    assert_eq!(content(found), codex("new"));
}

proptest! {
    #[test]
    fn no_content_makes_it_panic_or_change_the_shape(text in "\\PC{0,30}", number in any::<u64>(), now in any::<u64>()) {
        let how = Taking { now, force: true, ..Taking::default() };
        for (path, ours, theirs) in [
            (CLAUDE_FILE, claude("old"), edited(&claude(&text), "/claudeAiOauth/expiresAt", json!(number))),
            (CODEX_FILE, codex("old"), edited(&codex(&text), "/last_refresh", json!(text))),
            (OPENCODE_FILE, json!({"a": opencode("a", NOW)}), json!({"a": opencode(&text, number), &text: opencode("a", number)})),
        ] {
            if let Ok(Taken { content: Some(content), .. }) = with(path, &ours, &theirs, &how) {
                let content: Value = serde_json::from_slice(&content).unwrap();
                let keys = |of: &Value| of.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
                prop_assert_eq!(keys(&content), keys(&ours));
            }
            let _ = take(&file(path), Some(text.as_bytes()), text.as_bytes(), &how);
        }
    }
}

//! What tells sign-ins apart, tried on contents like the agents' own.

use pretty_assertions::assert_eq;
use proptest::prelude::*;

use super::*;
use crate::credential::FILES;

fn file(path: &str) -> CredentialFile {
    FILES.into_iter().find(|file| file.path == path).unwrap()
}

#[test]
fn each_agent_s_own_words_for_age_are_understood() {
    for (content, freshness, renews_itself) in [
        (
            r#"{"claudeAiOauth":{"accessToken":"a","refreshToken":"r","expiresAt":1795336329000}}"#,
            Some(1_795_336_329_000),
            true,
        ),
        (
            r#"{"OPENAI_API_KEY":null,"tokens":{"refresh_token":"r"},"last_refresh":"2026-11-22T08:32:09.123456Z"}"#,
            Some(1_795_336_329_123),
            true,
        ),
        (
            r#"{"anthropic":{"type":"oauth","refresh":"r","access":"a","expires":7000000000000},"x":{"type":"api","key":"k"}}"#,
            Some(7_000_000_000_000),
            true,
        ),
        (
            r#"{"expires_at":1795336329}"#,
            Some(1_795_336_329_000),
            false,
        ),
        (r#"{"refreshToken":"","expiresAt":"soon"}"#, None, false),
        (r#"{"last_refresh":"2026-13-01T00:00:00Z"}"#, None, false),
        ("[1]", None, false),
        ("sk-ant-key", None, false),
    ] {
        assert_eq!(
            SignIn::read(content.as_bytes()),
            SignIn {
                freshness,
                renews_itself
            },
            "{content}"
        );
    }
}

#[test]
fn the_copy_that_was_renewed_last_is_the_newer() {
    let copy = |content: &'static str, modified| Copy {
        content: content.as_bytes(),
        modified,
    };
    let (old, new) = (
        r#"{"expiresAt":1795336329000}"#,
        r#"{"expiresAt":1795336330000}"#,
    );
    let newer = |host, sandbox| newer(&file(".claude/.credentials.json"), host, sandbox);
    assert_eq!(newer(copy(old, 9), copy(old, 1)), Newer::Same);
    assert_eq!(newer(copy(old, 9), copy(new, 1)), Newer::Sandbox);
    assert_eq!(newer(copy(new, 1), copy(old, 9)), Newer::Host);
    // Nothing is said, so the clock decides; a copy that was never written to has time 0.
    assert_eq!(newer(copy("a", 9), copy("b", 0)), Newer::Host);
    assert_eq!(newer(copy("a", 9), copy("b", 10)), Newer::Sandbox);
}

#[test]
fn what_does_not_sign_in_makes_no_copy_newer() {
    let compared = |path: &str, host: &str, sandbox: &str| {
        let copy = |content, modified| Copy { content, modified };
        let (host, sandbox) = (host.as_bytes(), sandbox.as_bytes());
        newer(&file(path), copy(host, 1), copy(sandbox, 9))
    };
    let (claude, codex, opencode) = (
        ".claude/.credentials.json",
        ".codex/auth.json",
        ".local/share/opencode/auth.json",
    );
    for (path, host, sandbox, expected) in [
        // The same in another order, and another key beside it.
        (
            claude,
            r#"{"claudeAiOauth":{"refreshToken":"r","expiresAt":7}, "mcpOAuth":{"expiresAt":1}}"#,
            r#"{"mcpOAuth":{"expiresAt":9},"claudeAiOauth":{"expiresAt":7,"refreshToken":"r"}}"#,
            Newer::Same,
        ),
        (
            codex,
            r#"{"tokens":{"a":1},"x":1}"#,
            r#"{"tokens":{"a":1}}"#,
            Newer::Same,
        ),
        (
            codex,
            r#"{"tokens":{"a":1}}"#,
            r#"{"tokens":{"a":2}}"#,
            Newer::Sandbox,
        ),
        // OpenCode's have an age each.
        (
            opencode,
            r#"{"a":{"type":"oauth","expires":6},"b":{"type":"oauth","expires":5}}"#,
            r#"{"a":{"type":"oauth","expires":6}}"#,
            Newer::Host,
        ),
        (
            opencode,
            r#"{"a":{"type":"oauth","expires":9},"b":{"type":"oauth","expires":5}}"#,
            r#"{"a":{"type":"oauth","expires":8},"b":{"type":"oauth","expires":6}}"#,
            Newer::Sandbox,
        ),
        // An API key has no age, so the clock decides.
        (
            opencode,
            r#"{"a":{"type":"api","key":"1"}}"#,
            r#"{"a":{"type":"api","key":"2"}}"#,
            Newer::Sandbox,
        ),
    ] {
        assert_eq!(compared(path, host, sandbox), expected, "{host} {sandbox}");
    }
}

#[test]
fn a_token_is_spent_where_the_other_copy_has_another_for_the_same_sign_in() {
    let compared = |host: &str, sandbox: &str| {
        let file = file(".local/share/opencode/auth.json");
        let tokens = compare_tokens(&file, host.as_bytes(), sandbox.as_bytes());
        (tokens.differ, tokens.only_second)
    };
    let one = r#"{"a":{"type":"oauth","refresh":"r1","expires":1}}"#;
    assert_eq!(compared(one, &one.replace(":1}", ":2}")), (false, false));
    assert_eq!(compared(one, &one.replace("r1", "r2")), (true, true));
    assert_eq!(
        compared(one, &one.replace("\"a\"", "\"b\"")),
        (false, false)
    );
    assert_eq!(compared("{}", one), (false, true));
    assert_eq!(compared(one, "nonsense"), (false, false));
    let claude = file(".claude/.credentials.json");
    let beside = |token| format!(r#"{{"mcpOAuth":{{"refreshToken":"{token}"}}}}"#);
    let tokens = compare_tokens(&claude, beside("1").as_bytes(), beside("2").as_bytes());
    assert!(!tokens.differ && !tokens.only_second);
}

proptest! {
    #[test]
    fn no_content_makes_it_panic(content in proptest::collection::vec(any::<u8>(), 0..200), text in "\\PC{0,30}") {
        SignIn::read(&content);
        rfc3339_millis(&text);
        let copy = |content| Copy { content, modified: 0 };
        for file in FILES {
            let _ = newer(&file, copy(&content), copy(text.as_bytes()));
            let _ = compare_tokens(&file, &content, text.as_bytes());
        }
    }

    #[test]
    fn times_are_read_as_the_calendar_has_them(seconds in 0u64..4_000_000_000) {
        let stamp = crate::volume::Stamp::new(seconds, 0).to_string();
        let text = format!(
            "{}-{}-{}T{}:{}:{}Z",
            &stamp[..4], &stamp[4..6], &stamp[6..8], &stamp[8..10], &stamp[10..12], &stamp[12..14]
        );
        prop_assert_eq!(rfc3339_millis(&text), Some(seconds * 1000));
    }
}

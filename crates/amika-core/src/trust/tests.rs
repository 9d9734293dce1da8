use std::collections::BTreeSet;

use pretty_assertions::assert_eq;

use super::*;

#[test]
fn spellings_of_one_repository_are_one() {
    for url in [
        "https://example.com/o/r",
        "https://example.com/o/r/",
        "https://example.com/o/r.git",
        "https://example.com/o/r.git/",
        "https://example.com/o/r/.git",
        "https://example.com:443/o/r",
        "https://example.com:/o/r",
        "HTTPS://EXAMPLE.com/o/r.git",
        "https://me:tok@example.com/o/r",
    ] {
        assert_eq!(canonical_url(url), "example.com/o/r", "{url}");
    }
    for url in [
        "ssh://git@example.com/~/o/r",
        "ssh://git@example.com:22/~/o/r.git",
        "git+ssh://git@EXAMPLE.com/~/o/r",
        "git@example.com:o/r.git",
        "git@example.com:~/o/r/",
    ] {
        assert_eq!(canonical_url(url), "ssh://git@example.com/~/o/r", "{url}");
    }
}

/// Each of these names another repository, or can be answered by somebody else.
#[test]
fn no_spelling_of_another_repository_is_covered() {
    let urls = [
        "https://example.com/o/r",
        "http://example.com/o/r",
        "http://example.com:443/o/r",
        "git://example.com/o/r",
        "ftp://example.com/o/r",
        "ftps://example.com/o/r",
        "https://example.com:80/o/r",
        "https://example.com:22/o/r",
        "https://example.com:9418/o/r",
        "https://example.com./o/r",
        "https://example.com//o/r",
        "https://example.com/O/r",
        "https://example.com/o/../o/r",
        "https://example.com/o/r?x",
        "https://example.com/o/r#x",
        "https://example.com/~/o/r",
        "https://example.com/8443/o/r",
        "https://example.com:8443/o/r",
        "example.com:8443/o/r",
        "ssh://example.com/o/r",
        "ssh://git@example.com/o/r",
        "ssh://me@example.com/o/r",
        "ssh://me:password@example.com/o/r",
        "ssh://git@example.com:443/o/r",
        "git@example.com:o/r",
        "me@example.com:o/r",
        "example.com:o/r",
        "example.com:~me/o/r",
        "file://example.com/o/r",
        "file:///example.com/o/r",
        "file:///example.com/o/r.git",
        "https::https://example.com/o/r",
        "http::http://example.com/o/r",
        "ext::example.com/o/r",
        "ext::example.com/o/r.git",
    ];
    let spellings: BTreeSet<String> = urls.iter().map(|url| canonical_url(url)).collect();
    assert_eq!(spellings.len(), urls.len(), "{spellings:?}");
    // As they stand in the list they are the same, and nothing else.
    for url in urls {
        let written = canonical_url(url);
        let entry: Trusted = written.parse().expect("an entry");
        assert!(entry.covers(&written, None), "{entry} for {url}");
    }
    // What was written before schemes were told apart is HTTPS.
    let old: Trusted = "example.com/o/r".parse().expect("an entry");
    let covered = urls
        .iter()
        .filter(|url| old.covers(&canonical_url(url), None));
    assert_eq!(covered.collect::<Vec<_>>(), [&"https://example.com/o/r"]);
}

#[test]
fn no_password_is_in_a_spelling() {
    for url in [
        "https://me:secret@example.com/o/r",
        "http://secret@example.com/o/r",
        "ssh://me:secret@example.com/o/r",
        "ftp://me:secret@example.com/o/r",
        "codecommit::https://me:secret@example.com/o/r",
    ] {
        assert!(!canonical_url(url).contains("secret"), "{url}");
    }
}

#[test]
fn other_repositories_are_others() {
    for (url, canonical) in [
        ("https://example.com/o/R", "example.com/o/R"),
        ("https://example.com:8443/o/r", "example.com:8443/o/r"),
        ("http://Example.com:80/o/r.git", "http://example.com/o/r"),
        ("git://example.com:9418/o/r", "git://example.com/o/r"),
        (
            "https://example.com.evil.example/o/r",
            "example.com.evil.example/o/r",
        ),
        ("https://example.com@evil.example/o/r", "evil.example/o/r"),
        (
            "https://evil.example/example.com/o/r",
            "evil.example/example.com/o/r",
        ),
        (
            "https://evil.example?@example.com/o/r",
            "evil.example/?@example.com/o/r",
        ),
        ("git@[::1]:o/r.git", "ssh://git@[::1]/~/o/r"),
        ("[git@host:22]:/r.git", "ssh://[git@host:22]/r"),
        ("file:///srv/r.git/", "file:///srv/r.git"),
        ("file:///srv/r/.git", "file:///srv/r/.git"),
        (
            "https://example.com/o/r sha256:00",
            "example.com/o/r%20sha256:00",
        ),
        ("https://example.com/.git", "example.com/.git"),
        (
            "codecommit::https://me@example.com/o/r",
            "codecommit::example.com/o/r",
        ),
    ] {
        assert_eq!(canonical_url(url), canonical, "{url}");
    }
}

#[test]
fn entries_are_written_as_they_are_read() {
    let digest = format!("sha256:{}", "0a".repeat(32));
    for (text, written) in [
        (
            "https://me@Example.com/o/r.git".to_owned(),
            "example.com/o/r".to_owned(),
        ),
        ("example.com/o/r".to_owned(), "example.com/o/r".to_owned()),
        (
            "example.com:8443/o/r".to_owned(),
            "example.com:8443/o/r".to_owned(),
        ),
        (
            "git@example.com:o/r".to_owned(),
            "ssh://git@example.com/~/o/r".to_owned(),
        ),
        (
            "http://example.com/o/r".to_owned(),
            "http://example.com/o/r".to_owned(),
        ),
        ("file:///srv/r".to_owned(), "file:///srv/r".to_owned()),
        ("/srv/r".to_owned(), "/srv/r".to_owned()),
        (
            format!("example.com/o/r {digest}"),
            format!("example.com/o/r {digest}"),
        ),
    ] {
        let entry: Trusted = text.parse().expect("an entry");
        assert_eq!(entry.to_string(), written);
        assert_eq!(written.parse(), Ok(entry));
    }
    for text in [
        "",
        "r",
        "./r",
        "../r",
        "~/r",
        "example.com/o/r sha256:00",
        "example.com/o/r x",
    ] {
        assert!(text.parse::<Trusted>().is_err(), "{text}");
    }
}

#[test]
fn an_entry_covers_what_was_trusted_and_nothing_else() {
    let entry = |content: Option<&str>| Trusted {
        source: "host/r".to_owned(),
        content: content.map(str::to_owned),
    };
    for (entry, source, content, covered) in [
        (entry(Some("1")), "host/r", Some("1"), true),
        (entry(Some("1")), "host/r", Some("2"), false),
        (entry(Some("1")), "host/r", None, false),
        (entry(Some("1")), "host/s", Some("1"), false),
        (entry(None), "host/r", Some("2"), true),
        (entry(None), "host/r", None, true),
        (entry(None), "host/r2", Some("2"), false),
    ] {
        assert_eq!(
            entry.covers(source, content),
            covered,
            "{entry} {content:?}"
        );
    }
}

/// Every case: setting × remembered × somebody to ask × `--credentials` × what there is.
#[test]
fn the_decision_is_this_table() {
    for trust in Trust::ALL {
        for bits in 0..32u8 {
            let bit = |index: u8| bits & (1 << index) != 0;
            let question = Question {
                trust,
                remembered: bit(0),
                can_ask: bit(1),
                credentials_asked: bit(2),
                asks_for_anything: bit(3),
                has_sign_ins: bit(4),
            };
            let settled = bit(0) || !(bit(3) || bit(4));
            let stay_behind = bit(4) && !bit(2);
            let expected = match (trust, bit(1), stay_behind) {
                _ if settled => Decision::All,
                (Trust::Never, _, _) => Decision::Nothing,
                (Trust::Ask, true, _) => Decision::Ask,
                (Trust::Ask, false, true) => Decision::WithoutSignIns,
                (Trust::Auto, _, _) | (Trust::Ask, false, false) => Decision::All,
            };
            assert_eq!(decide(question), expected, "{question:?}");
        }
    }
}

#[test]
fn servers_that_a_repository_names_wait_for_a_word() {
    for trust in Trust::ALL {
        for bits in 0..64_u8 {
            let bit = |at: u8| bits & (1 << at) != 0;
            let question = Question {
                trust,
                remembered: bit(0),
                can_ask: bit(1),
                credentials_asked: bit(2),
                asks_for_anything: bit(3),
                has_sign_ins: bit(4),
            };
            let is_said = bit(0) || bit(5) || trust == Trust::Auto;
            assert_eq!(question.is_trusted(bit(5)), is_said, "{question:?}");
        }
    }
}

#[test]
fn urls_are_asked_about_and_paths_are_not() {
    assert_eq!(Origin::Path("/r".into()).default_trust(), Trust::Auto);
    assert_eq!(
        Origin::Url("https://h/r".into()).default_trust(),
        Trust::Ask
    );
}

#[test]
fn only_a_clear_yes_is_one() {
    for (line, answer) in [
        ("y\n", Answer::Yes),
        ("YES\n", Answer::Yes),
        ("a\n", Answer::Always),
        ("always", Answer::Always),
        ("\n", Answer::No),
        ("", Answer::No),
        ("n\n", Answer::No),
        ("yy\n", Answer::No),
        ("\u{1b}[Ay\n", Answer::No),
    ] {
        assert_eq!(Answer::read(line), answer, "{line:?}");
    }
}

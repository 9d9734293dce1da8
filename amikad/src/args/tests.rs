//! How argument lists are read.

use super::*;

fn parse_words(words: &[&str]) -> Result<Command, String> {
    parse(words.iter().map(OsString::from))
}

fn run(user: Option<&str>, workdir: Option<&str>, cmd: &[&str]) -> Command {
    Command::Run {
        place: Place {
            user: user.map(str::to_owned),
            workdir: workdir.map(OsString::from),
        },
        cmd: cmd.iter().map(OsString::from).collect(),
    }
}

#[test]
fn the_entrypoint_takes_its_command_with_and_without_dashes() {
    assert_eq!(parse_words(&[]), Ok(run(None, None, &[])));
    assert_eq!(
        parse_words(&["run", "sh", "-c", "x"]),
        Ok(run(None, None, &["sh", "-c", "x"]))
    );
    assert_eq!(parse_words(&["--", "run"]), Ok(run(None, None, &["run"])));
    assert_eq!(
        parse_words(&["run", "--user=1:2", "--workdir", "/w", "--", "--user"]),
        Ok(run(Some("1:2"), Some("/w"), &["--user"]))
    );
    assert_eq!(
        parse_words(&["run", "--", "--", "x"]),
        Ok(run(None, None, &["--", "x"]))
    );
}

#[test]
fn what_is_not_understood_is_named() {
    for words in [
        &["bash"][..],
        &["run", "--users", "x"],
        &["kill", "--id", "a"],
        &["shell", "x"],
        &["listening"],
        &["listening", "0"],
        &["listening", "80/sctp"],
        &["listening", "80", "81"],
    ] {
        assert!(parse_words(words).is_err(), "{words:?}");
    }
    assert_eq!(
        parse_words(&["exec-as", "--id", "../x", "--", "a"]).unwrap_err(),
        "`--id ../x`: 1 to 64 of letters, digits, `-` and `_`"
    );
}

#[test]
fn signals_have_names_and_numbers() {
    let cases = [
        ("TERM", 15),
        ("sigint", 2),
        ("9", 9),
        ("RTMIN+3", 37),
        ("SIGRTMIN", 34),
        ("0", 0),
    ];
    for (text, signo) in cases {
        assert_eq!(parse_signal(text), Some(signo), "{text}");
    }
    assert_eq!(parse_signal("NOPE"), None);
    assert_eq!(parse_signal("65"), None);
}

#[test]
fn exec_as_keeps_the_order_of_its_variables() {
    let parsed = parse_words(&["exec-as", "--env", "A=1", "--env=B==", "--", "env"]).unwrap();
    let Command::ExecAs(exec) = parsed else {
        panic!("{parsed:?}")
    };
    assert_eq!(
        exec.env,
        [("A".into(), "1".into()), ("B".into(), "=".into())]
    );
    assert!(parse_words(&["exec-as", "--env", "=1", "--", "env"]).is_err());
}

#[test]
fn times_takes_a_directory() {
    assert_eq!(
        parse_words(&["times", "/d"]),
        Ok(Command::Times("/d".into()))
    );
    assert!(parse_words(&["times"]).is_err());
    assert!(parse_words(&["times", "/d", "more"]).is_err());
}

#[test]
fn unpack_takes_three_arguments() {
    assert_eq!(
        parse_words(&["unpack", "/p", "boot", "/d"]),
        Ok(Command::Unpack(Unpack {
            pipe: "/p".into(),
            boot_id: "boot".into(),
            directory: "/d".into(),
        }))
    );
    assert!(parse_words(&["unpack", "/p", "boot"]).is_err());
    assert!(parse_words(&["unpack", "/p", "boot", "/d", "more"]).is_err());
}

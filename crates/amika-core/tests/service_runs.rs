//! What a repository may say of how its services are run, and what each mistake is answered with.

use amika_core::config::parse;
use amika_core::service::{Ready, Restart, Run, Start};
use pretty_assertions::assert_eq;

use super::services::problems;

/// How the service `web` of a text is run.
fn run(text: &str) -> Run {
    let parsed = parse(text).expect("it is TOML");
    assert!(parsed.valid(), "{text}\n{:?}", parsed.warnings);
    let mut services = parsed.config.services.into_iter();
    let web = services.find(|service| service.name == "web");
    web.and_then(|web| web.run).expect("it has a command")
}

#[test]
fn a_command_is_a_line_of_the_shell_or_a_list_of_words() {
    let line = run("[services.web]\ncommand = \"npm start\"\n");
    assert_eq!(line.command, ["sh", "-c", "npm start"]);
    let words = run("[services.web]\ncommand = [\"npm\", \"\", \"run it\"]\n");
    assert_eq!(words.command, ["npm", "", "run it"]);
    assert_eq!(
        (words.restart, words.start),
        (Restart::OnFailure, Start::Auto)
    );
    assert_eq!((words.ready, words.ready_timeout_s), (None, 60));
    assert!(words.cwd.is_none() && words.env.is_empty() && words.depends_on.is_empty());
}

#[test]
fn all_that_can_be_said_is_heard() {
    let web = run(
        "[services.db]\ncommand = \"postgres\"\n[services.web]\nport = 3000\ncommand = \"npm start\"\ncwd = \"apps/web\"\n\
         env = { PORT = 3000, HOST = \"::1\", DEBUG = true }\nready = \"http:/health\"\nready_timeout = 0x5\nrestart = \"always\"\n\
         start = \"on-demand\"\nwake = true\ndepends_on = [\"db\"]\n",
    );
    assert_eq!(web.cwd.as_deref(), Some("apps/web"));
    let env: Vec<String> = web
        .env
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    assert_eq!(env, ["DEBUG=true", "HOST=::1", "PORT=3000"]);
    let path = "/health".to_owned();
    assert_eq!(web.ready, Some(Ready::Http { port: 3000, path }));
    assert_eq!(web.ready_timeout_s, 5);
    assert_eq!((web.restart, web.start), (Restart::Always, Start::OnDemand));
    assert_eq!(web.depends_on, ["db"]);
    assert!(web.wake && !run("[services.web]\nport = 1\ncommand = \"x\"\nwake = false\n").wake);
}

#[test]
fn readiness_is_of_a_port_or_of_a_line() {
    let ready = |ports: &str, ready: &str| {
        run(&format!(
            "[services.web]\ncommand = \"x\"\n{ports}\nready = '{ready}'\n"
        ))
        .ready
        .unwrap()
    };
    let http = |port, path: &str| Ready::Http {
        port,
        path: path.to_owned(),
    };
    let two = "ports = [\"53/udp\", 8080, 9090]";
    assert_eq!(ready(two, "http:/"), http(8080, "/"));
    assert_eq!(ready(two, "http:"), http(8080, "/"));
    assert_eq!(ready(two, "http:9090/a?b=c"), http(9090, "/a?b=c"));
    assert_eq!(ready("", "http:7000"), http(7000, "/"));
    assert_eq!(ready(two, "tcp"), Ready::Tcp { port: 8080 });
    assert_eq!(ready("", "tcp:5432"), Ready::Tcp { port: 5432 });
    let matches = r"^ready: \d+".to_owned();
    assert_eq!(ready("", r"log:^ready: \d+"), Ready::Log { matches });
}

#[test]
fn each_mistake_has_its_message_and_place() {
    let web = |rest: &str| format!("[services.web]\n{rest}");
    let with_command = |rest: &str| format!("[services.web]\ncommand = \"x\"\n{rest}");
    for (text, wanted) in [
        (web("command = \"\""), "2:11: the command is empty"),
        (web("command = \" \\t\""), "2:11: the command is empty"),
        (web("command = []"), "2:11: the command is empty"),
        (web("command = [\"\", \"x\"]"), "2:11: the command is empty"),
        (web("command = \"a\\u0000b\""), "2:11: no word of a command may hold a NUL"),
        (web("command = 7"), "2:11: command must be a string, or a list of strings, not an integer"),
        (web("command = [\"a\", 7]"), "2:17: an entry of command must be a string, not an integer"),
        (web("restart = \"no\""), "2:1: restart needs a command: service \"web\" has none"),
        (web("depends_on = []"), "2:1: depends_on needs a command: service \"web\" has none"),
        (with_command("cwd = \"/etc\""), "3:7: cwd \"/etc\" is no directory of the repository: it is relative, without \"..\""),
        (with_command("cwd = \"a/../..\""), "3:7: cwd \"a/../..\" is no directory of the repository: it is relative, without \"..\""),
        (with_command("env = { \"A=B\" = \"c\" }"), "3:9: environment variable name \"A=B\" may not contain '='"),
        (with_command("env = { A = [] }"), "3:13: env \"A\" must be a plain value, not an array"),
        (with_command("ready = \"tcp\""), "3:9: ready \"tcp\": the service has no TCP port; name one, as in \"tcp:8080\""),
        (with_command("ready = \"tcp:0\""), "3:9: ready \"tcp:0\": \"0\" is no port"),
        (with_command("ready = \"http:99999/\""), "3:9: ready \"http:99999/\": \"99999\" is no port"),
        (with_command("ready = \"http:80/a b\""), "3:9: ready \"http:80/a b\": the path is none of a URL"),
        (with_command("ready = \"up\""), "3:9: ready \"up\": it is \"http:[PORT]/path\", \"tcp\" or \"log:REGEX\""),
        (with_command("ready = \"log:\""), "3:9: ready \"log:\": it is \"http:[PORT]/path\", \"tcp\" or \"log:REGEX\""),
        (with_command("ready_timeout = 0"), "3:17: ready_timeout must be 1 to 3600 seconds"),
        (with_command("ready_timeout = \"1m\""), "3:17: ready_timeout must be a number of seconds, not a string"),
        (with_command("restart = \"never\""), "3:11: restart is \"on-failure\" or \"always\" or \"no\", not \"never\""),
        (with_command("start = \"on-demand\""), "3:9: start = \"on-demand\" needs a port"),
        (
            with_command("ports = [80, \"53/udp\"]\nstart = \"on-demand\""),
            "4:9: start = \"on-demand\" is for TCP ports: 53/udp is none",
        ),
        (with_command("wake = true"), "3:8: wake = true needs a TCP port"),
        (with_command("port = \"53/udp\"\nwake = true"), "4:8: wake = true needs a TCP port"),
        (with_command("wake = \"yes\""), "3:8: wake must be true or false, not a string"),
        (with_command("depends_on = [\"db\"]"), "3:15: service \"web\" depends on \"db\", which is not declared"),
        (
            with_command("depends_on = [\"db\"]\n[services.db]\nport = 5432"),
            "3:15: service \"web\" depends on \"db\", which has neither a command nor an image, so nothing tells when it is up",
        ),
        (with_command("depends_on = [\"web\"]"), "3:15: depends_on goes in a circle: \"web\" → \"web\""),
        (
            "[services.a]\ncommand = \"x\"\ndepends_on = [\"b\"]\n[services.b]\ncommand = \"x\"\ndepends_on = [\"a\"]\n".to_owned(),
            "6:15: depends_on goes in a circle: \"a\" → \"b\" → \"a\"",
        ),
        ("[services.setup]\ncommand = \"x\"".to_owned(), "1:11: the name \"setup\" is Amika's own: a service with a command needs another"),
        (
            "[services.\"a b\"]\ncommand = \"x\"".to_owned(),
            "1:11: a service with a command needs a name of letters, digits and `-`, at most 63: \"a b\" is none",
        ),
    ] {
        assert_eq!(problems(&text), [wanted], "{text}");
    }
    let bad_expression = problems(&with_command("ready = \"log:(\""));
    assert!(
        bad_expression[0].contains("no regular expression"),
        "{bad_expression:?}"
    );
}

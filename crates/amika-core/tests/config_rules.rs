//! What `.amika/config.toml` means: the cases that are shared with others, and what each mistake is
//! answered with.

use amika_core::config::report::Report;
use amika_core::config::{ImageChoice, Parsed, parse, parse_bytes};
use pretty_assertions::assert_eq;
use serde_json::{Value, json};

fn parsed(text: &str) -> Parsed {
    parse(text).unwrap_or_else(|errors| panic!("{text}\n{errors:?}"))
}

/// The document that `amika config check -o json` prints for a text.
fn report(text: &str) -> Value {
    serde_json::to_value(Report::new(&parse(text))).expect("a report has nothing that JSON lacks")
}

/// The messages of all findings.
fn messages(text: &str) -> Vec<String> {
    let report = Report::new(&parse(text));
    report
        .warnings
        .into_iter()
        .map(|warning| warning.message)
        .collect()
}

/// The problems of the services in a text that has nothing else wrong, without their places.
fn service_problems(text: &str) -> Vec<String> {
    let parsed = parsed(text);
    assert_eq!(parsed.ignored, ["services"], "{text}");
    assert_eq!(parsed.config.services, [], "{text}");
    let [warning] = parsed.warnings.as_slice() else {
        panic!("{text}\n{:?}", parsed.warnings)
    };
    warning
        .problems
        .iter()
        .map(|problem| problem.message.clone())
        .collect()
}

#[test]
fn the_shared_cases_hold() {
    let cases: Value = serde_json::from_str(include_str!("cases/services.json")).unwrap();
    let cases = cases["cases"].as_array().unwrap();
    assert!(cases.len() >= 36, "{}", cases.len());
    for case in cases {
        let report = report(case["config_toml"].as_str().unwrap());
        let title = &case["title"];
        assert_eq!(report["valid"], case["valid"], "{title}: {report}");
        assert_eq!(report["services"], case["services"], "{title}: {report}");
        if !case["valid"].as_bool().unwrap() {
            assert_eq!(
                report["lifecycle"]["setup_script"], "scripts/setup.sh",
                "{title}"
            );
            assert_eq!(
                report["warnings"].as_array().unwrap().len(),
                1,
                "{title}: {report}"
            );
        }
    }
}

#[test]
fn a_whole_file_is_this_document() {
    let text = r#"
[lifecycle]
setup_script = "scripts/setup.sh"

[sandbox]
preset = "coder"

[sandbox.limits]
cpus = 1.5
memory = "4g"
pids = 512

[env]
RUST_LOG = "debug"
WORKERS = 4
RATIO = 0.5
MASK = 0xff
VERBOSE = true

[services.web]
ports = [4211, "4982/udp"]
url_scheme = [{ port = 4211, scheme = "https" }]
"#;
    assert_eq!(
        report(text),
        json!({
            "valid": true,
            "lifecycle": {"setup_script": "scripts/setup.sh"},
            "sandbox": {
                "preset": "coder",
                "image": null,
                "limits": {"cpus": 1.5, "memory": 4_294_967_296_i64, "pids": 512},
            },
            "env": {
                "MASK": "0xff", "RATIO": "0.5", "RUST_LOG": "debug", "VERBOSE": "true", "WORKERS": "4",
            },
            "secret_env": {},
            "services": [{"name": "web", "ports": [
                {"port": 4211, "protocol": "tcp", "url_scheme": "https"},
                {"port": 4982, "protocol": "udp", "url_scheme": null},
            ]}],
            "warnings": [],
        })
    );
}

#[test]
fn an_empty_file_asks_for_nothing() {
    for text in [
        "",
        "\n",
        "# nothing\n",
        "\u{feff}",
        "[lifecycle]\n[env]\n[services]\n[sandbox]\n",
    ] {
        assert_eq!(
            report(text),
            json!({
                "valid": true,
                "lifecycle": {"setup_script": null},
                "sandbox": {
                    "preset": null,
                    "image": null,
                    "limits": {"cpus": null, "memory": null, "pids": null},
                },
                "env": {},
                "secret_env": {},
                "services": [],
                "warnings": [],
            }),
            "{text:?}"
        );
    }
}

#[test]
fn a_syntax_error_has_its_place() {
    let errors = parse("[lifecycle]\nsetup_script = \n").unwrap_err();
    assert_eq!((errors[0].line, errors[0].column), (2, 16), "{errors:?}");
    assert!(
        errors[0].message.starts_with("invalid TOML: "),
        "{errors:?}"
    );
    for text in [
        "a",
        "[services",
        "[services.a]\nport = 1\n[services.a]\nport = 2\n",
        "port = 080",
        "x = \"\n",
        "\0",
        "[a]\r",
    ] {
        let report = report(text);
        assert_eq!(report["valid"], false, "{text:?}");
        assert_ne!(report["warnings"], json!([]), "{text:?}");
        assert_eq!(report["services"], json!([]));
    }
}

#[test]
fn bytes_that_are_no_text_have_a_place_too() {
    let errors = parse_bytes(b"a = 1\nb = \"\xff\"\n").unwrap_err();
    assert_eq!((errors[0].line, errors[0].column), (2, 6));
    assert_eq!(errors[0].message, "file is not UTF-8");
    let errors = parse_bytes(&vec![b'#'; (1 << 20) + 1]).unwrap_err();
    assert_eq!(
        errors[0].message,
        "file has 1048577 bytes, at most 1048576 are allowed"
    );
    assert!(parse_bytes(&vec![b'#'; 1 << 20]).is_ok());
}

#[test]
fn one_warning_names_every_problem_with_its_place() {
    let text = "\
[services.a]
port = 0
[services.b]
ports = [3000, 70000, 3000]
url_scheme = \"http\"
[services.\"c\\u0007\"]
prot = 1
";
    assert_eq!(
        messages(text),
        ["[services] is ignored:\
          \n  line 2, column 8: port 0 is not allowed: use 1 to 65535\
          \n  line 4, column 16: port 70000 is out of range: use 1 to 65535\
          \n  line 4, column 23: port 3000/tcp is already declared by this service on line 4\
          \n  line 5, column 14: url_scheme must be a list of {port, scheme} where ports is used\
          \n  line 6, column 11: service name \"c\\u{7}\" is no DNS label\
          \n  line 7, column 1: unknown key \"prot\" in service \"c\\u{7}\"; did you mean \"port\"?"]
    );
    let report = report(text);
    assert_eq!(report["warnings"][0]["line"], 2);
    assert_eq!(report["warnings"][0]["column"], 8);
}

#[test]
fn integers_are_never_truncated() {
    for number in [
        "65616",
        "4294967376",
        "-1",
        "65536",
        "18446744073709551696",
        "-9223372036854775808",
        "0x10050",
    ] {
        let text = format!("[services.a]\nport = {number}\n");
        let problems = service_problems(&text);
        assert!(
            problems[0].ends_with("is out of range: use 1 to 65535"),
            "{problems:?}"
        );
        let text = format!("[services.a]\nports = [{number}]\n");
        assert_eq!(service_problems(&text), problems);
    }
    for (number, port) in [
        ("0x50", 80),
        ("0b1010000", 80),
        ("0o120", 80),
        ("8_0", 80),
        ("+80", 80),
        ("65_535", 65535),
    ] {
        let report = report(&format!("[services.a]\nport = {number}\n"));
        assert_eq!(report["services"][0]["ports"][0]["port"], port, "{number}");
    }
}

#[test]
fn each_bad_port_has_its_message() {
    for (value, message) in [
        (
            "80.0",
            "port must be an integer, or a string such as \"80/tcp\", not a float",
        ),
        (
            "true",
            "port must be an integer, or a string such as \"80/tcp\", not a boolean",
        ),
        (
            "[80]",
            "port must be an integer, or a string such as \"80/tcp\", not an array",
        ),
        (
            "{}",
            "port must be an integer, or a string such as \"80/tcp\", not a table",
        ),
        (
            "12:00:00",
            "port must be an integer, or a string such as \"80/tcp\", not a datetime",
        ),
        (
            "\"+80/tcp\"",
            "\"+80\" is no port number: write digits only",
        ),
        (
            "\" 80/tcp\"",
            "\" 80\" is no port number: write digits only",
        ),
        (
            "\"80 /tcp\"",
            "\"80 \" is no port number: write digits only",
        ),
        ("\"80/ tcp\"", "unknown protocol \" tcp\": use tcp or udp"),
        ("\"80/TCP\"", "unknown protocol \"TCP\": use tcp or udp"),
        (
            "\"80/tcp/udp\"",
            "unknown protocol \"tcp/udp\": use tcp or udp",
        ),
        ("\"80/\"", "unknown protocol \"\": use tcp or udp"),
        ("\"/tcp\"", "port number is missing"),
        (
            "\"080/tcp\"",
            "port \"080\" has a leading zero: write \"80\"",
        ),
        ("\"0/tcp\"", "port 0 is not allowed: use 1 to 65535"),
        (
            "\"65616/tcp\"",
            "port 65616 is out of range: use 1 to 65535",
        ),
        (
            "\"8080:80/tcp\"",
            "\"8080:80\" is no port number: write digits only",
        ),
        (
            "\"80\"",
            "port \"80\" has no protocol: write \"80/tcp\" or \"80/udp\"",
        ),
        (
            "\"80\\u001b[31m/tcp\"",
            "\"80\\u{1b}[31m\" is no port number: write digits only",
        ),
        (
            "60899",
            "port 60899 is reserved: Amika uses container ports 60899 to 60999",
        ),
        (
            "60999",
            "port 60999 is reserved: Amika uses container ports 60899 to 60999",
        ),
    ] {
        assert_eq!(
            service_problems(&format!("[services.a]\nport = {value}\n")),
            [message]
        );
        assert_eq!(
            service_problems(&format!("[services.a]\nports = [1, {value}]\n")),
            [message]
        );
    }
}

#[test]
fn each_bad_shape_has_its_message() {
    for (text, message) in [
        ("services = 3\n", "services must be a table, not an integer"),
        ("services = []\n", "services must be a table, not an array"),
        (
            "[[services]]\nport = 1\n",
            "services must be a table, not an array",
        ),
        (
            "[services]\napi = 3000\n",
            "service \"api\" must be a table, not an integer",
        ),
        (
            "[[services.api]]\nport = 1\n",
            "service \"api\" must be a table, not an array",
        ),
        (
            "[services.a]\nports = 80\n",
            "ports must be a list, not an integer",
        ),
        (
            "[services.a]\nports = \"80/tcp\"\n",
            "ports must be a list, not a string",
        ),
        (
            "[services.a]\nport = 80\nports = []\n",
            "service \"a\" has both port and ports: use one of them",
        ),
        (
            "[services.a]\nports = [81]\nport = 80\n",
            "service \"a\" has both port and ports: use one of them",
        ),
    ] {
        assert_eq!(service_problems(text), [message]);
    }
}

#[test]
fn each_bad_url_scheme_has_its_message() {
    for (service, message) in [
        (
            "port = 80\nurl_scheme = \"HTTP\"",
            "unknown URL scheme \"HTTP\": use http or https",
        ),
        (
            "port = 80\nurl_scheme = \"\"",
            "unknown URL scheme \"\": use http or https",
        ),
        (
            "port = 80\nurl_scheme = true",
            "url_scheme must be a string, or a list of {port, scheme}, not a boolean",
        ),
        (
            "port = 80\nurl_scheme = { port = 80, scheme = \"http\" }",
            "url_scheme must be a string, or a list of {port, scheme}, not a table",
        ),
        (
            "ports = [80]\nurl_scheme = \"http\"",
            "url_scheme must be a list of {port, scheme} where ports is used",
        ),
        (
            "ports = []\nurl_scheme = \"http\"",
            "url_scheme must be a list of {port, scheme} where ports is used",
        ),
        (
            "url_scheme = \"http\"",
            "url_scheme needs a port: the service declares none",
        ),
        (
            "url_scheme = [{ port = 80, scheme = \"http\" }]",
            "url_scheme names port 80/tcp, which service \"a\" does not declare",
        ),
        (
            "ports = []\nurl_scheme = [{ port = 80, scheme = \"http\" }]",
            "url_scheme names port 80/tcp, which service \"a\" does not declare",
        ),
        (
            "port = 80\nurl_scheme = [\"http\"]",
            "an entry of url_scheme must be a table, not a string",
        ),
        (
            "port = 80\nurl_scheme = [{ port = 80 }]",
            "an entry of url_scheme needs the key scheme",
        ),
        (
            "port = 80\nurl_scheme = [{ scheme = \"http\" }]",
            "an entry of url_scheme needs the key port",
        ),
        (
            "port = 80\nurl_scheme = [{ port = 80, scheme = 1 }]",
            "scheme must be a string, not an integer",
        ),
        (
            "port = 80\nurl_scheme = [{ port = 80, scheme = \"ws\" }]",
            "unknown URL scheme \"ws\": use http or https",
        ),
        (
            "port = 80\nurl_scheme = [{ port = \"80\", scheme = \"http\" }]",
            "port \"80\" has no protocol: write \"80/tcp\" or \"80/udp\"",
        ),
        (
            "port = 80\nurl_scheme = [{ port = \"80/udp\", scheme = \"http\" }]",
            "url_scheme names port 80/udp, which service \"a\" does not declare",
        ),
        (
            "port = 80\nurl_scheme = [{ port = 80, scheme = \"http\" }, { port = \"80/tcp\", scheme = \"http\" }]",
            "url_scheme names port 80/tcp twice",
        ),
    ] {
        assert_eq!(
            service_problems(&format!("[services.a]\n{service}\n")),
            [message],
            "{service}"
        );
    }
}

#[test]
fn a_bad_port_is_not_told_of_a_second_time_as_undeclared() {
    let text = "[services.a]\nports = [0]\nurl_scheme = [{ port = 80, scheme = \"http\" }]\n";
    assert_eq!(
        service_problems(text),
        ["port 0 is not allowed: use 1 to 65535"]
    );
}

#[test]
fn a_pair_is_declared_once_in_the_file_whatever_its_spelling() {
    assert_eq!(
        service_problems(
            "[services.b]\nport = 80\n[services.a]\nports = [\"80/udp\", \"80/tcp\"]\n"
        ),
        ["port 80/tcp is already declared by service \"b\" on line 2"]
    );
    assert_eq!(
        service_problems("[services.a]\nports = [80, 0x50]\n"),
        ["port 80/tcp is already declared by this service on line 2"]
    );
    assert!(parsed("[services.a]\nport = \"80/udp\"\n[services.b]\nport = 80\n").valid());
}

#[test]
fn array_of_tables_is_a_list() {
    let text = "\
[services.a]
ports = [80, 443]
[[services.a.url_scheme]]
port = 80
scheme = \"http\"
[[services.a.url_scheme]]
port = 443
scheme = \"https\"
";
    assert_eq!(
        report(text)["services"][0]["ports"],
        json!([
            {"port": 80, "protocol": "tcp", "url_scheme": "http"},
            {"port": 443, "protocol": "tcp", "url_scheme": "https"},
        ])
    );
    let text = text.replace("port = 443", "port = 444");
    assert_eq!(
        service_problems(&text),
        ["url_scheme names port 444/tcp, which service \"a\" does not declare"]
    );
}

#[test]
fn empty_lists_are_legal() {
    for service in [
        "ports = []",
        "url_scheme = []",
        "ports = []\nurl_scheme = []",
        "port = 1\nurl_scheme = []",
    ] {
        assert!(
            parsed(&format!("[services.a]\n{service}\n")).valid(),
            "{service}"
        );
    }
}

#[test]
fn services_are_sorted_by_name() {
    let text = "[services.b]\n[services.a]\n[services.\"a b\"]\n[services.B]\n";
    let names: Vec<String> = parsed(text)
        .config
        .services
        .into_iter()
        .map(|it| it.name)
        .collect();
    assert_eq!(names, ["B", "a", "a b", "b"]);
}

#[test]
fn an_odd_name_is_a_warning_and_the_services_stay() {
    for (name, odd) in [
        ("a", false),
        ("API-2", false),
        ("my_service", true),
        ("my service", true),
        ("", true),
        ("-a", true),
        ("a-", true),
        ("a.b", true),
        ("größe", true),
    ] {
        let parsed = parsed(&format!("[services.\"{name}\"]\nport = 80\n"));
        assert!(parsed.valid(), "{name}");
        assert_eq!(parsed.config.services[0].name, name);
        let expected = format!("service name \"{name}\" is no DNS label");
        let expected = if odd { vec![expected] } else { Vec::new() };
        let found: Vec<_> = parsed
            .warnings
            .iter()
            .map(|it| it.message.clone())
            .collect();
        assert_eq!(found, expected);
    }
    let long = "a".repeat(64);
    assert_eq!(parsed(&format!("[services.{long}]\n")).warnings.len(), 1);
    assert_eq!(
        parsed(&format!("[services.{}]\n", &long[1..]))
            .warnings
            .len(),
        0
    );
}

#[test]
fn control_characters_are_shown_escaped() {
    let text = "[services.\"a\\u001b[2J\\n\\u202e\"]\nport = 0\n\"\\u0007\" = 1\n";
    let shown = messages(text).join("\n");
    assert!(shown.contains(r#""a\u{1b}[2J\n\u{202e}""#), "{shown}");
    assert!(
        !shown.contains(['\u{1b}', '\u{7}', '\u{202e}']),
        "{shown:?}"
    );
}

#[test]
fn unknown_keys_name_the_nearest_known_one_and_apply_the_rest() {
    let text = "\
build = 1
[lifecyle]
setup_script = \"x\"
[lifecycle]
setup-script = \"x\"
[sandbox]
memory = \"4g\"
presett = \"coder\"
[sandbox.limits]
cpu = 1
[services.a]
Port = 80
port = 81
url_scheme = [{ port = 81, schema = 1, scheme = \"http\" }]
";
    let parsed = parsed(text);
    assert!(parsed.valid());
    let found: Vec<String> = parsed
        .warnings
        .iter()
        .map(|it| format!("{}:{}: {}", it.line, it.column, it.message))
        .collect();
    assert_eq!(
        found,
        [
            "1:1: unknown key \"build\" in .amika/config.toml; known are lifecycle, sandbox, env, services",
            "2:2: unknown key \"lifecyle\" in .amika/config.toml; did you mean \"lifecycle\"?",
            "5:1: unknown key \"setup-script\" in [lifecycle]; did you mean \"setup_script\"?",
            "7:1: unknown key \"memory\" in [sandbox]; known are preset, image, dockerfile, build_args, opencode, mounts, limits",
            "8:1: unknown key \"presett\" in [sandbox]; did you mean \"preset\"?",
            "10:1: unknown key \"cpu\" in [sandbox.limits]; did you mean \"cpus\"?",
            "12:1: unknown key \"Port\" in service \"a\"; did you mean \"port\"?",
            "14:28: unknown key \"schema\" in an entry of url_scheme; did you mean \"scheme\"?",
        ]
    );
}

#[test]
fn a_bad_section_is_absent_and_the_others_apply() {
    let text = "\
lifecycle = 3
[sandbox]
preset = \"coder\"
image = \"debian\"
[sandbox.limits]
cpus = -1
[env]
A = []
B = \"b\"
[services.a]
port = 80
";
    let parsed = parsed(text);
    assert_eq!(parsed.ignored, ["lifecycle", "sandbox", "env"]);
    assert!(!parsed.valid());
    assert_eq!(parsed.config.services.len(), 1);
    assert_eq!(parsed.config.env.len(), 0);
    assert_eq!(parsed.config.sandbox.image, None);
    assert_eq!(
        messages(text),
        [
            "[lifecycle] is ignored:\n  line 1, column 13: lifecycle must be a table, not an integer",
            "[sandbox] is ignored:\
             \n  line 4, column 1: preset and image exclude each other\
             \n  line 6, column 8: cpus: \"-1\" is no number of processors: use one above 0, such as 2 or 1.5",
            "[env] is ignored:\n  line 8, column 5: env \"A\" must be a plain value, not an array",
        ]
    );
}

#[test]
fn images_and_presets_are_words() {
    let image = parsed("sandbox.image = \"debian:trixie\"\n")
        .config
        .sandbox
        .image
        .unwrap();
    assert_eq!(image.value, ImageChoice::Image("debian:trixie".to_owned()));
    assert_eq!((image.line, image.column), (1, 17));
    for (text, problem) in [
        ("image = \"\"", "\"\" is no name of an image"),
        (
            "image = \"--privileged\"",
            "\"--privileged\" is no name of an image",
        ),
        ("preset = \"a b\"", "\"a b\" is no name of a preset"),
        ("preset = 3", "preset must be a string, not an integer"),
        ("limits = 3", "limits must be a table, not an integer"),
        (
            "limits.memory = 1",
            "memory: \"1\" is no amount of memory: use one such as \"512m\" or \"4g\", at least 6m",
        ),
        (
            "limits.memory = 4.5",
            "memory must be a string such as \"4g\", or a number of bytes, not a float",
        ),
        (
            "limits.cpus = inf",
            "cpus: \"inf\" is no number of processors: use one above 0, such as 2 or 1.5",
        ),
        ("limits.cpus = []", "cpus must be a number, not an array"),
        (
            "limits.pids = 0",
            "pids: 0 is no number of processes: use 1 to 4194304",
        ),
        (
            "limits.pids = 4194305",
            "pids: 4194305 is no number of processes: use 1 to 4194304",
        ),
        (
            "preset = \"codr\"",
            "there is no preset \"codr\"; did you mean \"coder\"?",
        ),
        (
            "preset = \"fortran\"",
            "there is no preset \"fortran\"; the presets are coder, coder-dind",
        ),
        (
            "image = \"Debian\"",
            "\"Debian\" names no image: an image's name is in lower case",
        ),
        (
            "image = \"debian:\"",
            "\"debian:\" names no image: a tag is made of letters, digits, \"_\", \".\" and \"-\", such as \"trixie-slim\"",
        ),
        (
            "limits.pids = \"1\"",
            "pids must be an integer, not a string",
        ),
    ] {
        let parsed = parsed(&format!("[sandbox]\n{text}\n"));
        assert_eq!(parsed.ignored, ["sandbox"], "{text}");
        assert_eq!(parsed.warnings[0].problems[0].message, problem);
    }
}

#[test]
fn names_of_the_environment_are_checked() {
    for (text, problem) in [
        (
            "\"\" = 1",
            "environment variable has no name: write KEY=VALUE or KEY",
        ),
        (
            "\"A=B\" = 1",
            "environment variable name \"A=B\" may not contain '='",
        ),
        (
            "\"A\\u0000\" = 1",
            "environment variable name \"A\\0\" may not contain '\\0'",
        ),
        (
            "A = \"\\u0000\"",
            "value of environment variable A contains a NUL byte",
        ),
        (
            "A.B = 1",
            "env \"A\" must be a plain value, or { secret = \"NAME\" }",
        ),
        (
            "A = { secret = \"a b\" }",
            "env \"A\": a secret's name has 1 to 255 of the characters A-Z, a-z, 0-9, _, . and -",
        ),
        (
            "A = { secret = 1 }",
            "env \"A\": secret must be a string, not an integer",
        ),
        (
            "A = 2024-01-01",
            "env \"A\" must be a plain value, not a datetime",
        ),
    ] {
        let parsed = parsed(&format!("[env]\n{text}\n"));
        assert_eq!(parsed.ignored, ["env"], "{text}");
        assert_eq!(parsed.warnings[0].problems[0].message, problem);
    }
}

#[test]
fn a_variable_may_be_a_secret_by_its_name() {
    let config =
        parsed("[env]\nA = \"x\"\nB = { secret = \"db.url\" }\nBASH_ENV = { secret = \"p\" }\n")
            .config;
    assert_eq!(config.env.keys().collect::<Vec<_>>(), ["A"]);
    let secrets: Vec<_> = config.secret_env.into_iter().collect();
    assert_eq!(secrets, [("B".to_owned(), "db.url".to_owned())]);
}

#[test]
fn what_steers_programs_is_left_out_and_the_rest_of_the_environment_applies() {
    let text =
        "[env]\nA = 1\nBASH_ENV = \"/x\"\nhttps_proxy = []\nAMIKA_TOKEN_SHA256 = \"x\"\nB = 2\n";
    let parsed = parsed(text);
    let set: Vec<&str> = parsed.config.env.keys().map(String::as_str).collect();
    assert_eq!(set, ["A", "B"]);
    assert_eq!(parsed.ignored, [""; 0]);
    assert_eq!(
        parsed.left_out,
        ["BASH_ENV", "https_proxy", "AMIKA_TOKEN_SHA256"]
    );
    assert!(!parsed.valid());
    assert_eq!(
        messages(text),
        [
            "env \"BASH_ENV\" is left out: it makes shells run commands, or read them otherwise; `--env` may set it",
            "env \"https_proxy\" is left out: it sends what programs say through another machine; `--env` may set it",
            "env \"AMIKA_TOKEN_SHA256\" is left out: it is Amika's own",
        ]
    );
    assert_eq!((parsed.warnings[0].line, parsed.warnings[0].column), (3, 1));
}

#[test]
fn what_the_caller_finds_out_makes_a_report_invalid() {
    let text = "[lifecycle]\nsetup_script = \"x\"\n";
    let parsed = parse(text);
    let mut report = Report::new(&parsed);
    assert!(report.valid);
    let missing = amika_core::diagnostic::Diagnostic::new(
        amika_core::diagnostic::Severity::Error,
        "setup_script \"x\" does not exist",
        text,
        27..30,
    );
    report.refuse(&missing);
    assert!(!report.valid);
    assert_eq!(
        (report.warnings[0].line, report.warnings[0].column),
        (2, 16)
    );
}

#[test]
fn messages_stay_short_whatever_the_file_repeats() {
    let long = "a".repeat(100_000);
    let lines: Vec<String> = (0..5000).map(|index| format!("x{index} = 1\n")).collect();
    for text in [
        format!("{long} = 1\n"),
        format!("[services.a]\nport = \"{long}/tcp\"\n"),
        format!("[services.{long}]\nport = 0\n"),
        format!("[lifecycle]\nsetup_script = \"/{long}\"\n"),
        format!("[env]\n\"{long} \" = 1\n"),
        format!("[services.a]\nports = [{}]\n", "0,".repeat(5000)),
        lines.concat(),
    ] {
        let messages = messages(&text);
        assert!(
            !messages.is_empty() && messages.len() <= 51,
            "{}",
            messages.len()
        );
        assert!(
            messages.iter().all(|message| message.len() < 10_000),
            "{}",
            &text[..30]
        );
    }
}

#[test]
fn a_long_list_of_problems_says_how_many_are_left_out() {
    let text = format!("[services.a]\nports = [{}]\n", "0,".repeat(103));
    let messages = messages(&text);
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].lines().count(), 102);
    assert!(messages[0].ends_with("\n  and 3 more"), "{}", messages[0]);
    assert_eq!(parsed(&text).warnings[0].problems.len(), 103);
}

#[test]
fn a_file_asks_for_no_more_than_a_machine_bears() {
    let list = |count: usize| {
        let ports: Vec<String> = (2000..2000 + count).map(|port| port.to_string()).collect();
        ports.join(", ")
    };
    // As many as are allowed, in one service and in several.
    let most = format!("[services.a]\nports = [{}]\n", list(100));
    assert_eq!(parsed(&most).config.services[0].ports.len(), 100);
    for ports in [101, 20_000] {
        let many = format!("[services.a]\nports = [{}]\n", list(ports));
        let too_many = "more than 100 ports in this file: at most 100 are allowed";
        assert_eq!(service_problems(&many), [too_many]);
    }
    let spread: Vec<String> = (0..51)
        .map(|number| {
            format!(
                "[services.s{number}]\nports = [{}, {}]\n",
                2000 + 2 * number,
                2001 + 2 * number
            )
        })
        .collect();
    let problems = service_problems(&spread.concat());
    assert!(
        problems
            .iter()
            .any(|problem| problem.contains("at most 50 are allowed")),
        "{problems:?}"
    );
    // The same port again and again is no way round.
    let same = format!("[services.a]\nports = [{}]\n", vec!["80"; 5000].join(", "));
    assert_eq!(service_problems(&same).len(), 100);

    let variables = |count: usize| {
        let lines: Vec<String> = (0..count)
            .map(|number| format!("V{number} = 1\n"))
            .collect();
        format!("[env]\n{}", lines.concat())
    };
    assert_eq!(parsed(&variables(1000)).config.env.len(), 1000);
    for count in [1001, 30_000] {
        let parsed = parsed(&variables(count));
        assert_eq!(parsed.ignored, ["env"]);
        assert!(parsed.config.env.is_empty());
        assert_eq!(parsed.warnings.len(), 1, "{:?}", parsed.warnings);
    }
}

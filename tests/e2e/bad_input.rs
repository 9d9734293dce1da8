//! Bad input: refused with its exit code, in text and in JSON, before anything is made.

use crate::support::{DEBIAN, Output, SCRATCH, Stage, docker};

/// Runs `sandbox create` twice, for text and for JSON; asserts code, word and what is told.
fn refused(stage: &Stage, args: &[&str], code: i32, told: &str) {
    refused_with(stage, args, &[], code, told);
}

fn refused_with(stage: &Stage, args: &[&str], env: &[(&str, &str)], code: i32, told: &str) {
    let run = |more: &[&str]| -> Output {
        let all: Vec<&str> = ["sandbox", "create"]
            .iter()
            .chain(more)
            .chain(args)
            .copied()
            .collect();
        let run = stage.amika(&all);
        env.iter()
            .fold(run, |run, (name, value)| run.env(name, value))
            .output()
    };
    let text = run(&[]);
    assert_eq!(text.code, code, "{args:?}: {text:?}");
    assert_eq!(text.stdout, b"", "{args:?}: {text:?}");
    let stderr = text.stderr_text();
    assert!(
        stderr.contains(told),
        "{args:?}: {told:?} is not told: {text:?}"
    );
    assert!(
        stderr.starts_with("error: ") || stderr.contains("\nerror: "),
        "{text:?}"
    );

    let json = run(&["-o", "json"]);
    assert_eq!(json.code, code, "{args:?}: {json:?}");
    let document = json.json();
    let error = &document["error"];
    let word = match code {
        2 => "usage",
        4 => "conflict",
        5 => "engine_unreachable",
        6 => "image",
        7 => "repository",
        _ => unreachable!("no such code in the table"),
    };
    assert_eq!(error["code"], word, "{args:?}: {document}");
    assert_eq!(error["exit_code"], code, "{args:?}: {document}");
    assert!(
        error["message"].as_str().is_some_and(|m| !m.is_empty()),
        "{document}"
    );
    let all = error.to_string();
    let told = serde_json::to_string(told).unwrap();
    assert!(
        all.contains(told.trim_matches('"')),
        "{args:?}: {told:?} is not told: {document}"
    );
    stage.nothing_was_made();
}

#[test]
fn an_unknown_image_is_6() {
    let stage = Stage::new();
    refused(
        &stage,
        &["--image", "amika-test/no-such:image"],
        6,
        "amika-test/no-such:image",
    );
    refused(&stage, &["--image", "Not A Reference"], 6, "no reference");
    refused(&stage, &["--preset", "codr"], 2, "coder");
}

#[test]
fn an_engine_that_does_not_answer_is_5() {
    let stage = Stage::new();
    let told = "cannot be reached";
    for host in ["unix:///nonexistent/docker.sock", "tcp://127.0.0.1:1"] {
        refused_with(
            &stage,
            &["--image", SCRATCH],
            &[("DOCKER_HOST", host)],
            5,
            told,
        );
    }
    let context = [("DOCKER_CONTEXT", "no-such-context")];
    refused_with(
        &stage,
        &["--image", SCRATCH],
        &context,
        5,
        "no-such-context",
    );
    let host = [("DOCKER_HOST", "nonsense")];
    refused_with(&stage, &["--image", SCRATCH], &host, 5, "nonsense");
}

#[test]
fn a_sandboxs_name_is_4() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(SCRATCH, &[]);
    let id = sandbox.engine_says("{{.Id}}");
    let again = sandbox.create(SCRATCH, &[]);
    again.ended(4, &["already exists", "--replace", "amika sandbox connect"]);
    let json = sandbox.create(SCRATCH, &["-o", "json"]);
    json.ended(4, &[]);
    assert_eq!(json.json()["error"]["code"], "conflict");
    assert_eq!(sandbox.engine_says("{{.Id}}"), id);
    let [containers, volumes, _] = stage.left();
    assert_eq!((containers.len(), volumes.len()), (1, 2));
}

#[test]
fn a_strangers_name_is_4_and_the_stranger_is_left_alone() {
    let stage = Stage::new();
    let stranger = stage.stranger(&[], &[SCRATCH]);
    stranger.docker(&["start"]).ended(0, &[]);
    let before = stranger.docker(&["inspect"]).stdout_text();
    let sandbox = stage.adopt(stranger.name.clone());
    for more in [&[][..], &["--replace"], &["-o", "json"]] {
        let created = sandbox.create(SCRATCH, more);
        created.ended(4, &["not amika's", "left alone"]);
    }
    for verb in ["stop", "delete", "start", "logs", "inspect"] {
        let refused = sandbox.verb(verb, &[]).output();
        refused.ended(3, &["not a sandbox of amika"]);
    }
    assert_eq!(stranger.docker(&["inspect"]).stdout_text(), before);
    let [containers, volumes, _] = stage.left();
    assert_eq!((containers.len(), volumes.len()), (1, 0));
}

#[test]
fn bad_names_are_2() {
    let stage = Stage::new();
    for (name, told) in [
        ("", "empty"),
        ("Upper", "upper"),
        ("a b", "a-b"),
        ("-a", "begin"),
        ("a_b", "a-b"),
        ("a/b", "'/'"),
        ("ü", "use a-z"),
        ("..", "'.'"),
        (&"x".repeat(42), "41"),
    ] {
        let name = format!("--name={name}");
        refused(&stage, &["--image", SCRATCH, &name], 2, told);
    }
}

#[test]
fn bad_ports_are_2() {
    let stage = Stage::new();
    for (port, told) in [
        ("x", "no port number"),
        ("0", "port 0"),
        ("65536", "out of range"),
        ("80/sctp", "unknown protocol"),
        ("0:80", "host port 0"),
        ("8000-8010:80", "ranges"),
        ("host:1:2", "IP address"),
        ("60998", "reserved"),
        ("8080:60899", "reserved"),
        ("60999/udp", "reserved"),
    ] {
        let port = format!("--port={port}");
        refused(&stage, &["--image", SCRATCH, &port], 2, told);
    }
    let twice = [
        "--image", SCRATCH, "--port", "18080:80", "--port", "18080:81",
    ];
    refused(&stage, &twice, 2, "18080");
    refused(
        &stage,
        &["--image", SCRATCH, "--port-host-ip", "here"],
        2,
        "here",
    );
}

#[test]
fn a_bad_setup_script_is_2() {
    let stage = Stage::new();
    let not_executable = stage.file("plain.sh", "#!/bin/sh\n");
    let chmod = format!("chmod +x {not_executable}");
    refused(
        &stage,
        &["--image", SCRATCH, "--setup-script", "/no/such.sh"],
        2,
        "/no/such.sh",
    );
    refused(
        &stage,
        &["--image", SCRATCH, "--setup-script", "/"],
        2,
        "not a file",
    );
    refused(
        &stage,
        &["--image", SCRATCH, "--setup-script", &not_executable],
        2,
        &chmod,
    );
    refused(
        &stage,
        &[
            "--image",
            SCRATCH,
            "--no-setup",
            "--setup-script",
            &not_executable,
        ],
        2,
        "cannot be used with",
    );
}

#[test]
fn a_repository_that_is_none_is_7() {
    let stage = Stage::new();
    let plain = stage.file("plain/file", "no repository\n");
    let plain = plain.trim_end_matches("/file");
    refused(&stage, &["--image", DEBIAN, "--git", plain], 7, plain);
    refused(
        &stage,
        &["--image", DEBIAN, "--git", "/no/such/path"],
        7,
        "/no/such/path",
    );
    let repository = stage.repository("project", &[("file", "content\n")]);
    let branch = [
        "--image",
        DEBIAN,
        "--git",
        &repository,
        "--branch",
        "nowhere",
    ];
    refused(&stage, &branch, 7, "nowhere");
}

#[test]
fn a_path_that_does_not_exist_is_told_once_and_clean_with_what_is_near() {
    let stage = Stage::new();
    stage.file("here/data/file", "");
    let here = stage.home().join("here").canonicalize().unwrap();
    for (flags, code, message, hint) in [
        (
            &["--mount", "./nope:/data"][..],
            2,
            "--mount source HERE/nope does not exist",
            "`--volume NAME:/data` mounts a volume",
        ),
        (
            &["--mount", "../here/./dtaa:/data"],
            2,
            "--mount source HERE/dtaa does not exist",
            "did you mean HERE/data?",
        ),
        (
            &["--git", "./missing/of/it"],
            7,
            "HERE/missing/of/it does not exist",
            "of this path, HERE exists",
        ),
        (
            &["--git", "./data"],
            7,
            "HERE/data is not in a git repository",
            "`git init HERE/data`",
        ),
        (
            &["--setup-script", "./data/fiel"],
            2,
            "setup script HERE/data/fiel does not exist",
            "did you mean HERE/data/file?",
        ),
        (
            &["--env-file", "dat/file"],
            2,
            "--env-file HERE/dat/file does not exist",
            "did you mean HERE/data/file?",
        ),
    ] {
        let args = [&["sandbox", "create", "--image", SCRATCH], flags].concat();
        let told = stage.amika(&args).dir(&here).output();
        assert_eq!(told.code, code, "{told:?}");
        let told = told.stderr_text().replace(here.to_str().unwrap(), "HERE");
        assert!(told.contains(&format!("error: {message}\n")), "{told}");
        assert!(told.contains(hint), "{hint}: {told}");
        assert!(!told.contains("caused by"), "{told}");
    }
    stage.nothing_was_made();
}

#[test]
fn a_network_that_is_not_there_is_2_with_those_that_are() {
    let stage = Stage::new();
    for (network, told) in [
        ("no-such-network", "there is no network \"no-such-network\""),
        ("brigde", "did you mean `--network bridge`?"),
        ("a/../b", "there is no network"),
        ("", "there is no network"),
        ("container:x", "another container's network"),
    ] {
        let network = format!("--network={network}");
        refused(&stage, &["--image", SCRATCH, &network], 2, told);
        let planned = ["--image", SCRATCH, "--dry-run", &network];
        refused(&stage, &planned, 2, told);
    }
    let id = docker(&["network", "inspect", "-f", "{{.Id}}", "bridge"]).stdout_text();
    for network in ["default", "none", &id[..12]] {
        let planned = [
            "create",
            "--image",
            SCRATCH,
            "--dry-run",
            "--network",
            network,
        ];
        let planned = stage.sandbox_verb(&planned);
        planned.ended(0, &[]);
        let line = format!("Network     {network}\n");
        assert!(planned.stdout_text().contains(&line), "{planned:?}");
    }
}

#[test]
fn bad_environment_and_limits_are_2() {
    let stage = Stage::new();
    let file = stage.file("env", "GOOD=1\nBAD NAME=2\n");
    refused(&stage, &["--image", SCRATCH, "--env", "=x"], 2, "no name");
    refused(
        &stage,
        &["--image", SCRATCH, "--env", "AMIKA_AGENT_CWD=/"],
        2,
        "AMIKA_AGENT_CWD",
    );
    refused(
        &stage,
        &["--image", SCRATCH, "--env-file", &file],
        2,
        "line 2",
    );
    refused(
        &stage,
        &["--image", SCRATCH, "--env-file", "/no/such"],
        2,
        "/no/such",
    );
    refused(
        &stage,
        &["--image", SCRATCH, "--cpus", "0"],
        2,
        "processors",
    );
    refused(&stage, &["--image", SCRATCH, "--memory", "1x"], 2, "memory");
    refused(
        &stage,
        &["--image", SCRATCH, "--timeout", "soon"],
        2,
        "length of time",
    );
    refused(&stage, &["--image", SCRATCH, "--nonsense"], 2, "--nonsense");
}

#[test]
fn a_repositorys_configuration_that_is_no_toml_is_2_with_its_place() {
    let stage = Stage::new();
    let broken = "[env]\nA = 1 2\n";
    let repository = stage.repository("project", &[(".amika/config.toml", broken)]);
    let args = ["--image", DEBIAN, "--git", &repository];
    refused(&stage, &args, 2, ".amika/config.toml:2:5: invalid TOML");
    let told = stage.sandbox_verb(&[&["create"], &args[..]].concat());
    let told = told.stderr_text();
    // Once, with the line and a mark under the place.
    for part in ["must be quoted", "2 | A = 1 2\n", "  |     ^^^\n"] {
        assert_eq!(told.matches(part).count(), 1, "{part:?}: {told}");
    }
    assert!(!told.contains("caused by"), "{told}");
    let missing = stage.repository(
        "other",
        &[(
            ".amika/config.toml",
            "[lifecycle]\nsetup_script = \"none.sh\"\n",
        )],
    );
    let args = ["--image", DEBIAN, "--git", &missing];
    refused(&stage, &args, 2, "none.sh");
    tells_once(&stage, &args, "setup_script \"none.sh\" does not exist");
}

#[test]
fn rights_that_a_repository_asks_for_are_told_unless_a_flag_decides() {
    let stage = Stage::new();
    let config = "[sandbox]\npreset = \"coder-dind\"\n";
    let repository = stage.repository("project", &[(".amika/config.toml", config)]);
    let warned = |flags: &[&str]| {
        let args = [&["create", "--dry-run", "--git", &repository][..], flags].concat();
        let planned = stage.sandbox_verb(&args);
        // The image need not be there for a plan to be refused or shown.
        planned
            .stderr_text()
            .contains("nearly all rights of root on the engine's kernel")
    };
    assert!(warned(&[]));
    assert!(!warned(&["--preset", "coder"]) && !warned(&["--preset", "coder-dind"]));
}

/// A refused create tells of the setup script once, with its line, a mark, and how to go on.
fn tells_once(stage: &Stage, args: &[&str], what: &str) {
    let told = stage.sandbox_verb(&[&["create"], args].concat());
    assert_eq!(told.code, 2, "{told:?}");
    let told = told.stderr_text();
    for part in [
        "error: ",
        what,
        "2 | setup_script = ",
        " ^^^",
        "`--no-setup`",
    ] {
        assert_eq!(told.matches(part).count(), 1, "{part:?}: {told}");
    }
    assert!(told.contains(".amika/config.toml:2:16"), "{told}");
}

#[test]
fn a_setup_script_of_the_configuration_that_cannot_be_run_is_told_once() {
    let stage = Stage::new();
    for (script, what) in [
        ("/bin/sh", "is absolute"),
        ("../x", "has \\\"..\\\" in it"),
        ("plain.sh", "\"plain.sh\" is not executable"),
        (
            "out",
            "\"out\" leads out of the repository by a symbolic link",
        ),
    ] {
        let what = what.replace('\\', "");
        let config = format!("[lifecycle]\nsetup_script = \"{script}\"\n");
        let files = [(".amika/config.toml", config.as_str()), ("plain.sh", "")];
        let name = format!("project-{}", script.len());
        let repository = stage.repository(&name, &files);
        let link = "ln -s /no/such/file out; git add -A; git -c user.name=T -c user.email=t@example.org commit -qm link";
        stage
            .shell(link, &[])
            .dir(&repository)
            .output()
            .ended(0, &[]);
        let args = ["--image", DEBIAN, "--git", &repository];
        tells_once(&stage, &args, &what);
        // A flag that names another makes it nobody's concern.
        let overridden = [&["create", "--dry-run", "--no-setup"], &args[..]].concat();
        let planned = stage.sandbox_verb(&overridden);
        assert_eq!(planned.code, 0, "{planned:?}");
        assert!(
            !planned.stderr_text().contains("setup_script"),
            "{planned:?}"
        );
    }
}

#[test]
fn a_configuration_that_leads_out_of_the_repository_is_2() {
    let stage = Stage::new();
    let repository = stage.repository("project", &[]);
    let link = "mkdir .amika; ln -s /etc/passwd .amika/config.toml; git add -A
        git -c user.name=T -c user.email=t@example.org commit -qm link";
    stage
        .shell(link, &[])
        .dir(&repository)
        .output()
        .ended(0, &[]);
    let args = ["--image", DEBIAN, "--git", &repository];
    refused(
        &stage,
        &args,
        2,
        ".amika/config.toml leads out of the repository",
    );
    let told = stage.sandbox_verb(&[&["create"], &args[..]].concat());
    assert!(told.stderr_text().contains("hint: "), "{told:?}");
}

#[test]
fn a_bad_section_of_the_configuration_is_a_warning_and_the_others_apply() {
    let stage = Stage::new();
    let config = "[sandbox]\npreset = \"codr\"\nlimits = { memory = \"64m\", pids = 0 }\n[env]\nGREETING = \"hello\"\n";
    let repository = stage.repository("project", &[(".amika/config.toml", config)]);
    let sandbox = stage.adopt(stage.name());
    let created = sandbox.create(DEBIAN, &["--git", &repository]);
    created.ended(
        0,
        &[
            "warning: [sandbox] is ignored",
            ".amika/config.toml:2:10",
            "there is no preset \"codr\"; did you mean \"coder\"?",
            "line 3, column 35: pids: 0 is no number of processes",
        ],
    );
    let greeting = sandbox.exec(&["sh", "-c", "echo $GREETING"]).output();
    assert_eq!(greeting.stdout_text(), "hello\n");
    // The default, which is not what the section asks for.
    assert_ne!(sandbox.engine_says("{{.HostConfig.Memory}}"), "67108864");
}

#[test]
fn more_than_a_command_line_may_ask_for_is_2() {
    let stage = Stage::new();
    let many = |flag: &'static str, value: fn(usize) -> String, count: usize| {
        (0..count).flat_map(move |number| [flag.to_owned(), value(number)])
    };
    for (flag, args) in [
        (
            "--port",
            many("--port", |number| format!("{}", 2000 + number), 101),
        ),
        (
            "--env",
            many("--env", |number| format!("V{number}=x"), 1001),
        ),
        (
            "--mount",
            many("--volume", |number| format!("v{number}:/v{number}"), 101),
        ),
    ]
    .map(|(flag, args)| (flag, args.collect::<Vec<_>>()))
    {
        let args: Vec<&str> = ["--image", SCRATCH]
            .into_iter()
            .chain(args.iter().map(String::as_str))
            .collect();
        refused(&stage, &args, 2, flag);
    }
    for limit in [&["--pids", "0"], &["--pids", "-1"], &["--memory", "1k"]] {
        let args = [&["--image", SCRATCH], &limit[..]].concat();
        refused(&stage, &args, 2, limit[0]);
    }
}

#[test]
fn ports_of_a_repository_that_would_take_minutes_are_no_services() {
    let stage = Stage::new();
    let ports: Vec<String> = (2000..2101).map(|port| port.to_string()).collect();
    let config = format!("[services.many]\nports = [{}]\n", ports.join(", "));
    let repository = stage.repository("project", &[(".amika/config.toml", &config)]);
    let sandbox = stage.adopt(stage.name());
    let created = sandbox.create(DEBIAN, &["--git", &repository]);
    created.ended(0, &["[services] is ignored", "at most 100 are allowed"]);
    assert_eq!(sandbox.services(), serde_json::json!([]));
}

#[test]
fn a_limit_of_the_repository_that_is_more_than_the_engine_has_is_left_away() {
    let stage = Stage::new();
    let config = "[sandbox.limits]\ncpus = 5000\nmemory = \"512m\"\n";
    let repository = stage.repository("project", &[(".amika/config.toml", config)]);
    let sandbox = stage.adopt(stage.name());
    let created = sandbox.create(DEBIAN, &["--git", &repository]);
    created.ended(0, &["sandbox.limits.cpus is 5000", "no limit is set"]);
    let limits = sandbox.engine_says("{{.HostConfig.NanoCpus}} {{.HostConfig.Memory}}");
    assert_eq!(limits, "0 536870912");
}

#[test]
fn an_empty_repository_is_2_and_not_the_current_one() {
    let stage = Stage::new();
    for git in [&["--git", ""][..], &["--git="]] {
        let args = [&["--image", SCRATCH], git].concat();
        refused(&stage, &args, 2, "--git");
    }
}

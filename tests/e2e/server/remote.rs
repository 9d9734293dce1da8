//! The command line with a server: the same verbs, told by `--remote`, by a variable, or by the user's settings.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use serde_json::json;

use super::client::{Server, done};
use crate::forward::{SERVER, free_port};
use crate::support::{DEBIAN, Stage};

#[test]
fn a_sandbox_of_a_servers_lives_and_ends_by_the_command_line() {
    let stage = Stage::new();
    let server = Server::start(&stage, &[]);
    let name = stage.name();
    let amika = |args: &[&str]| server.amika(args);
    let script = stage.script("setup.sh", "#!/bin/sh\necho set-up-here\n");
    let made = done(amika(&[
        "sandbox",
        "create",
        "--name",
        &name,
        "--image",
        DEBIAN,
        "--env",
        "COLOUR=teal",
        "--port",
        "8123",
        "--setup-script",
        &script,
    ]));
    assert_eq!(made.stdout_text().trim(), name);
    let listed = done(amika(&["ls", "-o", "json"])).json();
    let own = listed
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["name"] == *name);
    assert_eq!(own.unwrap()["state"], "started");
    let filter = format!("name={name}");
    let quiet = |state: &str| {
        let other = format!("state={state}");
        let args = ["ls", "-q", "--filter", &filter, "--filter", &other];
        done(amika(&args)).stdout_text()
    };
    assert_eq!(quiet("started"), format!("{name}\n"));
    assert_eq!(quiet("stopped"), "");
    let unknown = amika(&["ls", "--filter", "state=running"]).output();
    unknown.ended(2, &["states are initializing, started"]);
    let no_url = amika(&["sandbox", "url", &name]).output();
    no_url.ended(3, &["no service of sandbox"]);
    let port = done(amika(&["sandbox", "port", &name])).stdout_text();
    assert!(port.starts_with("8123/tcp -> 127.0.0.1:"), "{port}");
    let one = done(amika(&["sandbox", "port", &name, "8123"])).stdout_text();
    assert_eq!(port, format!("8123/tcp -> {one}"));
    let none = amika(&["sandbox", "port", &name, "9"]).output();
    none.ended(3, &["port 9/tcp", "is not published"]);
    let watching = amika(&["-o", "json", "ls", "--watch", "--filter", &filter]).start();
    watching.says("\"state\":\"started\"");
    watching.signal(rustix::process::Signal::INT);
    assert_eq!(watching.wait().code, 130);
    let text = done(amika(&["sandbox", "inspect", &name])).stdout_text();
    assert!(text.contains("Setup status              ok"), "{text}");
    let log = done(amika(&["sandbox", "logs", "--setup", &name])).stdout_text();
    assert!(log.contains("set-up-here"), "{log}");

    let ran = amika(&[
        "sandbox",
        "exec",
        &name,
        "--",
        "sh",
        "-c",
        "cat; echo $COLOUR; echo err >&2; exit 7",
    ])
    .input("typed\n")
    .output();
    assert_eq!(
        (
            ran.code,
            ran.stdout_text().as_str(),
            ran.stderr_text().as_str()
        ),
        (7, "typed\nteal\n", "err\n")
    );
    let much = vec![b'x'; 3_000_000];
    let counted =
        done(amika(&["sandbox", "exec", &name, "--", "wc", "-c"]).input(much)).stdout_text();
    assert_eq!(counted.trim(), "3000000");
    let counted = done(amika(&[
        "sandbox",
        "exec",
        &name,
        "--",
        "head",
        "-c",
        "5000000",
        "/dev/zero",
    ]));
    assert_eq!(counted.stdout.len(), 5_000_000);
    assert_eq!(
        amika(&["sandbox", "exec", &name, "--", "no-such-program"])
            .output()
            .code,
        127
    );

    for (verb, state) in [
        ("stop", "stopped"),
        ("start", "started"),
        ("restart", "started"),
    ] {
        done(amika(&["sandbox", verb, &name]));
        let id = server.get(&format!("/sandboxes/{name}")).expect(200);
        assert_eq!(id["state"], state, "{verb}");
    }
    done(amika(&["sandbox", "wait", &name]));
    let sample = done(amika(&[
        "-o",
        "json",
        "sandbox",
        "stats",
        "--no-stream",
        &name,
    ]))
    .json();
    assert_eq!(sample[0]["sandbox"], *name);
    let new = stage.name();
    done(amika(&["sandbox", "rename", &name, &new]));
    let volumes = done(amika(&["volume", "list"])).stdout_text();
    assert!(volumes.contains(&new), "{volumes}");
    assert_eq!(done(amika(&["rm", &new])).stdout_text().trim(), new);
    let gone = amika(&["sandbox", "inspect", &new]).output();
    gone.ended(3, &["there is no sandbox"]);
    stage.nothing_was_made();
}

#[test]
fn files_go_both_ways_and_a_working_copy_goes_as_it_is() {
    let stage = Stage::new();
    let server = Server::start(&stage, &[]);
    let amika = |args: &[&str]| server.amika(args);
    let repository = stage.repository("app", &[("src/a.txt", "one\n"), (".gitignore", "out\n")]);
    std::fs::write(format!("{repository}/new.txt"), "not committed\n").unwrap();
    std::fs::write(format!("{repository}/out"), "ignored\n").unwrap();
    let name = stage.name();
    let no_url = amika(&[
        "sandbox",
        "create",
        "--name",
        &name,
        "--image",
        DEBIAN,
        "--git",
        &repository,
    ])
    .output();
    no_url.ended(7, &["no remote that a server could clone", "--no-clean"]);
    let flags = ["--git", &repository, "--no-clean", "--new-branch", "try"];
    done(amika(
        &[
            &["sandbox", "create", "--name", &name, "--image", DEBIAN][..],
            &flags,
        ]
        .concat(),
    ));
    let look = "cat src/a.txt new.txt; ls out 2>&1; cat .git/HEAD";
    let seen = done(amika(&["sandbox", "exec", &name, "--", "sh", "-c", look]));
    let seen = seen.stdout_text();
    assert!(seen.starts_with("one\nnot committed\nls: "), "{seen}");
    assert!(seen.ends_with("ref: refs/heads/try\n"), "{seen}");

    let place = |path: &str| format!("{name}:{path}");
    let here = |name: &str| stage.home().join(name);
    std::fs::write(here("notes.md"), "from here\n").unwrap();
    std::os::unix::fs::symlink("notes.md", here("link")).unwrap();
    let from = here("notes.md").display().to_string();
    done(amika(&["sandbox", "cp", &from, &place("src/")]));
    done(amika(&["sandbox", "cp", &from, &place("src/other.md")]));
    let copied = done(amika(&[
        "-o",
        "json",
        "sandbox",
        "cp",
        &place("src"),
        here("back").to_str().unwrap(),
    ]))
    .json();
    assert_eq!(copied["files"], 3);
    for (file, text) in [
        ("notes.md", "from here\n"),
        ("other.md", "from here\n"),
        ("a.txt", "one\n"),
    ] {
        assert_eq!(
            std::fs::read_to_string(here("back").join(file)).unwrap(),
            text
        );
    }
    let one = here("one.txt");
    done(amika(&[
        "sandbox",
        "cp",
        &place("src/a.txt"),
        one.to_str().unwrap(),
    ]));
    assert_eq!(std::fs::read_to_string(&one).unwrap(), "one\n");
    let archive = done(amika(&["sandbox", "cp", &place("src"), "-"]));
    done(amika(&["sandbox", "cp", "-", &place("/tmp")]).input(archive.stdout));
    let seen = done(amika(&[
        "sandbox",
        "exec",
        &name,
        "--",
        "cat",
        "/tmp/src/notes.md",
    ]));
    assert_eq!(seen.stdout_text(), "from here\n");
    amika(&["sandbox", "cp", &place("nope"), "."])
        .output()
        .ended(3, &[]);
    amika(&["sandbox", "cp", &from, "no-such-sandbox:x"])
        .output()
        .ended(3, &["no-such-sandbox"]);
    assert_eq!(
        amika(&["rm", "--force", "--volumes", &name]).output().code,
        0
    );
}

#[test]
fn a_setup_that_fails_and_a_command_that_a_server_is_not_asked_for_end_as_documented() {
    let stage = Stage::new();
    let server = Server::start(&stage, &[]);
    let name = stage.name();
    let amika = |args: &[&str]| server.amika(args).output();
    let script = stage.script("setup.sh", "#!/bin/sh\necho the-last-words\nexit 9\n");
    let failed = amika(&[
        "sandbox",
        "create",
        "--name",
        &name,
        "--image",
        DEBIAN,
        "--setup-script",
        &script,
    ]);
    failed.ended(20, &["the-last-words", "logs --remote --setup"]);
    let taken = amika(&["sandbox", "create", "--name", &name, "--image", DEBIAN]);
    taken.ended(4, &["already"]);
    amika(&[
        "sandbox",
        "create",
        "--image",
        DEBIAN,
        "--mount",
        "/tmp:/mnt",
    ])
    .ended(2, &["--mount cannot be used with --remote"]);
    amika(&["sandbox", "create", "--dotfiles", "/tmp"])
        .ended(2, &["--dotfiles cannot be used with --remote"]);
    amika(&["sandbox", "create", "--cpus", "2"]).ended(2, &["--size xs"]);
    amika(&["sandbox", "adopt", &name]).ended(2, &["does not work with --remote"]);
    for verb in ["pull", "push"] {
        amika(&["sandbox", verb, &name]).ended(4, &["made without a repository"]);
    }
    amika(&["sandbox", "exec", &name, "--", "true"]).ended(125, &["is not running"]);
    amika(&["sandbox", "start", "no-such-sandbox"]).ended(3, &["there is no sandbox"]);
    let both = stage.amika(&["ls", "--remote", "--local"]).output();
    both.ended(2, &["cannot be used with"]);
    let local = stage.amika(&["sandbox", "create", "--size", "m"]).output();
    local.ended(2, &["--size is for sandboxes of a server"]);
    assert_eq!(amika(&["rm", "--force", "--volumes", &name]).code, 0);
    stage.nothing_was_made();
}

#[test]
fn who_signs_in_by_a_link_is_signed_in_until_he_signs_out() {
    let stage = Stage::new();
    let server = Server::start(&stage, &[]);
    stage
        .amika(&["ls", "--remote"])
        .output()
        .ended(8, &["you are not signed in", "amika auth login URL"]);
    let made = server.post("/users", &json!({ "name": "ada" })).expect(200);
    let link = made["sign_in_url"].as_str().unwrap();
    done(stage.amika(&["auth", "login", link]));
    let again = stage.amika(&["auth", "login", link]).output();
    again.ended(8, &["links are good once"]);
    let file = stage.home().join(".config/amika/auth.json");
    let permissions = file.metadata().unwrap().permissions();
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&permissions) & 0o777,
        0o600
    );
    let who = done(stage.amika(&["-o", "json", "auth", "status"])).json();
    assert_eq!(
        (&who["user"], &who["origin"]),
        (&json!("ada"), &json!("file"))
    );
    assert_eq!(who["scopes"], json!(["read", "write"]));
    // What a member may not do is told as that, whatever she asks for.
    let image = stage
        .amika(&["sandbox", "create", "--remote", "--image", DEBIAN])
        .output();
    image.ended(8, &["administrator"]);
    // Local is the default, and what is not here may be there.
    let here = stage
        .amika(&["sandbox", "inspect", "no-such-sandbox"])
        .output();
    here.ended(3, &["`--remote` looks there"]);
    done(stage.amika(&["config", "set", "default", "remote"]));
    assert_eq!(done(stage.amika(&["ls", "-o", "json"])).json(), json!([]));
    done(stage.amika(&["ls", "--local"]));
    let wrong = stage
        .amika(&["auth", "login", &server.url(), "--key", "-"])
        .input("amk_wrong\n")
        .output();
    wrong.ended(8, &[]);
    let plain = stage.amika(&["auth", "login", "http://192.0.2.1"]).output();
    plain.ended(2, &["others can read the key"]);
    done(stage.amika(&["auth", "logout"]));
    stage
        .amika(&["auth", "status"])
        .output()
        .ended(8, &["you are not signed in"]);
    assert!(!file.exists());
}

#[test]
fn a_list_tells_where_repositories_are_now_and_what_was_done_in_them() {
    let stage = Stage::new();
    let server = Server::start(&stage, &[]);
    let git = stage.repository("app", &[("a", "1")]);
    let name = stage.name();
    let amika = |args: &[&str]| server.amika(args);
    done(amika(&[
        "sandbox",
        "create",
        "--name",
        &name,
        "--image",
        DEBIAN,
        "--git",
        &git,
        "--no-clean",
    ]));
    let head = "printf 'ref: refs/heads/fix' >/home/amika/workspace/app/.git/HEAD";
    done(amika(&["sandbox", "exec", &name, "--", "sh", "-c", head]));
    let row = |args: &[&str]| {
        let text = done(amika(&[&["ls"], args].concat())).stdout_text();
        let row = text.lines().find(|line| line.starts_with(&name));
        row.unwrap_or_else(|| panic!("{text}")).to_owned()
    };
    assert!(row(&[]).contains(" fix "), "{}", row(&[]));
    assert!(row(&["--filter", "branch=fix"]).contains(" fix "));
    let quiet = done(amika(&["ls", "-q", "--filter", "branch=fix"])).stdout_text();
    assert_eq!(quiet, format!("{name}\n"));
    let long = row(&["-l"]);
    assert!(long.contains(DEBIAN) && long.contains("iB"), "{long}");
    let document = done(amika(&["-o", "json", "ls", "-l"])).json();
    let own = document
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["name"] == *name);
    let own = own.unwrap();
    assert_eq!(own["head"], json!({ "branch": "fix" }));
    assert!(
        own["details"]["memory_bytes"].as_u64().unwrap() > 0,
        "{own}"
    );
    let plain = server.get("/sandboxes").expect(200);
    assert_eq!(plain[0].get("head"), None, "nobody asked for it");
    assert_eq!(server.get("/sandboxes?heads=maybe").status, 400);
    done(amika(&["sandbox", "stop", &name]));
    let stopped = server.get("/sandboxes?details=true").expect(200);
    assert_eq!(stopped[0]["head"], json!(null));
    assert_eq!(stopped[0]["details"]["memory_bytes"], json!(null));
    server.remove(&name);
}

#[test]
fn a_key_is_typed_unseen_and_the_terminal_is_as_before() {
    let stage = Stage::new();
    let server = Server::start(&stage, &[]);
    let mut terminal = stage.on_terminal(&["auth", "login", &server.url()]);
    terminal.shows("not shown");
    terminal.types(&format!("{}\r", server.admin));
    let (code, text) = terminal.end();
    assert_eq!(code, 0, "{text}");
    assert!(!text.contains(&server.admin), "{text}");
    assert!(text.contains("as admin"), "{text}");
    let mut broken_off = stage.on_terminal(&["auth", "login", &server.url()]);
    broken_off.shows("not shown");
    broken_off.types("\u{3}");
    let (code, text) = broken_off.end();
    assert_eq!(code, 130, "{text}");
    assert!(broken_off.is_cooked());
}

#[test]
fn secrets_are_kept_listed_replaced_and_deleted_and_sign_ins_are_pushed() {
    let stage = Stage::new();
    let server = Server::start(&stage, &[]);
    let amika = |args: &[&str]| server.amika(args);
    done(amika(&["secret", "set", "TOKEN", "--description", "for tests"]).input("first\n"));
    done(amika(&["secret", "set", "TOKEN"]).input("second\n"));
    let listed = done(amika(&["-o", "json", "secret", "list"])).json();
    assert_eq!(
        (listed.as_array().unwrap().len(), &listed[0]["name"]),
        (1, &json!("TOKEN"))
    );
    let id = listed[0]["id"].as_str().unwrap();
    let value = server
        .post(&format!("/secrets/{id}/reveal"), &json!({}))
        .expect(200);
    assert_eq!(value["value"], "second");
    assert!(
        !done(amika(&["secret", "list"]))
            .stdout_text()
            .contains("second")
    );
    amika(&["secret", "delete", "TOKEN", "NO_SUCH"])
        .output()
        .ended(3, &["there is no secret \"NO_SUCH\""]);
    assert_eq!(
        done(amika(&["-o", "json", "secret", "list"]))
            .json()
            .as_array()
            .unwrap()
            .len(),
        1
    );
    done(amika(&["secret", "delete", "TOKEN"]));

    amika(&["secret", "push", "--force"])
        .output()
        .ended(3, &["no sign-in of an agent"]);
    std::fs::create_dir_all(stage.home().join(".codex")).unwrap();
    std::fs::write(
        stage.home().join(".codex/auth.json"),
        r#"{"OPENAI_API_KEY":"sk-canary"}"#,
    )
    .unwrap();
    amika(&["secret", "push"])
        .output()
        .ended(4, &["nothing was sent"]);
    for _ in 0..2 {
        assert_eq!(
            done(amika(&["secret", "push", "--force"]))
                .stdout_text()
                .trim(),
            "codex"
        );
    }
    let kept = server.get("/secrets/codex").expect(200);
    assert_eq!(
        (kept.as_array().unwrap().len(), &kept[0]["type"]),
        (1, &json!("oauth"))
    );
}

#[test]
fn a_shell_of_a_servers_sandbox_has_this_terminal() {
    let stage = Stage::new();
    let server = Server::start(&stage, &[]);
    let made = server.create(DEBIAN, json!({}));
    let name = made["name"].as_str().unwrap();
    let variables = [
        ("AMIKA_DEFAULT", "remote"),
        ("AMIKA_API_URL", &server.url()),
        ("AMIKA_API_KEY", &server.admin),
    ];
    let mut shell = stage.on_terminal_of(80, &variables, &["sandbox", "connect", name]);
    shell
        .types("stty size; tty\r")
        .shows("24 80")
        .shows("/dev/pts/");
    shell
        .resize(40, 120)
        .types("sleep 0.5; stty size\r")
        .shows("40 120");
    // A Ctrl-C throws away what was typed ahead: each is typed once the one before was taken.
    shell.types("echo sleeps; sleep 60\r").shows("\rsleeps");
    shell.types("\u{3}").shows("^C").shows("# ");
    shell.types("echo still-$((1 + 1))\r").shows("still-2");
    shell.types("exit 5\r");
    assert_eq!(shell.wait(), 5);
    assert!(shell.is_cooked());
    server
        .delete(&format!("/sandboxes/{name}?force=true"))
        .expect(200);
}

#[test]
fn a_port_of_a_servers_sandbox_comes_here_until_the_sandbox_is_gone() {
    let stage = Stage::new();
    let server = Server::start(&stage, &[]);
    let made = server.create(DEBIAN, json!({}));
    let name = made["name"].as_str().unwrap();
    let port = free_port();
    let spec = format!("tcp:127.0.0.1:{port}");
    let inside = server
        .amika(&["sandbox", "exec", name, "--", "perl", "-e", SERVER, &spec])
        .start();
    inside.says("up");
    let forward = server.amika(&["forward", name, "--all"]).start();
    forward.says(&format!("127.0.0.1:{port} -> {port}/tcp  (perl)\n"));
    let mut there = TcpStream::connect(("127.0.0.1", port)).unwrap();
    there.write_all(b"said here").unwrap();
    there.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    there.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "SAID HERE");
    server.amika(&["rm", "--force", name]).output();
    let ended = forward.wait();
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.stderr_text().contains("was deleted"), "{ended:?}");
    drop(inside);
}

#[test]
fn what_happens_on_a_server_is_told_as_it_happens() {
    let stage = Stage::new();
    let server = Server::start(&stage, &[]);
    let name = stage.name();
    let events = server.amika(&["-o", "json", "events", &name]).start();
    std::thread::sleep(Duration::from_millis(500));
    server.create(DEBIAN, json!({ "name": name }));
    events.says("\"started\"");
    server.delete(&format!("/sandboxes/{name}")).expect(200);
    events.says("sandbox_gone");
    events.signal(rustix::process::Signal::INT);
    assert_eq!(events.wait().code, 130);
}

#[test]
fn what_is_waited_for_and_forwarded_is_one_sandbox_whoever_takes_its_name() {
    let stage = Stage::new();
    let server = Server::start(&stage, &[]);
    let name = stage.name();
    let first = server.create(DEBIAN, json!({ "name": name }));
    let id = first["id"].as_str().unwrap();
    let wait = |condition: &str| {
        server
            .amika(&["sandbox", "wait", &name, "--for", condition])
            .start()
    };
    // It is told as it happens, and a port that is listened on is seen.
    let (stopped, listening) = (wait("stopped"), wait("port:3000"));
    let spec = "tcp:127.0.0.1:3000";
    let inside = server
        .amika(&["sandbox", "exec", &name, "--", "perl", "-e", SERVER, spec])
        .start();
    inside.says("up");
    assert_eq!(listening.wait().code, 0);
    let forward = server.amika(&["forward", &name, "--any", "3000"]).start();
    forward.says("-> 3000/tcp");
    server
        .post(&format!("/sandboxes/{id}/stop"), &json!({}))
        .expect(202);
    assert_eq!(stopped.wait().code, 0);
    drop(inside);

    // Another one of the name is another one.
    let again = wait("ready");
    again.wait().ended(4, &["does not come to be ready"]);
    server
        .post(&format!("/sandboxes/{id}/start"), &json!({}))
        .expect(202);
    server.until(id, "started");
    let stopped = wait("stopped");
    std::thread::sleep(Duration::from_secs(1));
    server.remove(id);
    let other = server.create(DEBIAN, json!({ "name": name }));
    stopped.wait().ended(3, &["there is no sandbox"]);
    let ended = forward.wait();
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.stderr_text().contains("was deleted"), "{ended:?}");
    server.remove(other["id"].as_str().unwrap());
}

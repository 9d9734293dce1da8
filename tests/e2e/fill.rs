//! How what is copied into a sandbox gets there: large copies through a pipe to a container that unpacks
//! them, small ones, and those to an engine that shares no pipe, through the engine's API.

use std::ffi::OsString;

use rustix::process::Signal;

use crate::support::{
    DEBIAN, PrivateEngine, SCRATCH, SUBORDINATE, Sandbox, Stage, docker, eventually,
};

/// More files than are put through the API.
const MANY: &str = "4200";

/// A repository of so many files; returns its path.
fn repository(stage: &Stage, name: &str, files: &str) -> String {
    let path = stage.home().join(name).to_str().unwrap().to_owned();
    let script = r#"git init -q -b main "$1" && cd "$1" && mkdir -p a/b &&
        for i in $(seq "$2"); do echo $i > a/b/file-$i; done && chmod +x a/b/file-1 && ln -s a/b/file-2 link &&
        git add . && git -c user.name=T -c user.email=t@example.org commit -q -m first && git gc -q"#;
    let made = stage.shell(script, &[&path, files]).output();
    assert_eq!(made.code, 0, "{made:?}");
    path
}

/// Whether the engine was asked to unpack something other than amikad's own files.
fn put(requests: &[String]) -> bool {
    // At the root for Docker. For Podman, which is asked for volumes one by one, in the volume.
    let is_podman = requests
        .iter()
        .any(|line| line.contains(" /volumes/create"));
    let path = if is_podman {
        "?path=%2Fhome%2F"
    } else {
        "?path=%2F "
    };
    requests
        .iter()
        .any(|line| line.starts_with("PUT ") && line.contains(path))
}

/// What a sandbox has of [`repository`]: how many files, whose, and what two of them are.
fn inside(sandbox: &Sandbox<'_>) -> String {
    let look = r#"ls a/b | wc -l; find . ! -user "$(id -u)" | wc -l; stat -c %a a/b/file-1 a/b/file-2; cat link"#;
    sandbox.exec(&["sh", "-c", look]).output().stdout_text()
}

fn left(stage: &Stage) -> Vec<OsString> {
    stage.temporary()
}

#[test]
fn a_large_repository_goes_through_a_pipe_and_a_small_one_does_not() {
    let stage = Stage::new();
    for (number, by_pipe) in [(MANY, true), ("100", false)] {
        let repository = repository(&stage, number, number);
        let proxy = Stage::new();
        let line = proxy.engine_proxy();
        let sandbox = stage.adopt(stage.name());
        let created = sandbox
            .create_run(DEBIAN, &["--git", &repository])
            .env("DOCKER_HOST", &line.host())
            .output();
        assert_eq!(created.code, 0, "{created:?}");
        assert_eq!(put(&line.changing()), !by_pipe, "{:?}", line.changing());
        assert_eq!(inside(&sandbox), format!("{number}\n0\n755\n644\n2\n"));
        assert_eq!(left(&stage), Vec::<OsString>::new());
        assert_eq!(stage.containers().len(), 1, "{:?}", stage.containers());
    }
}

#[test]
fn a_large_directory_goes_through_a_pipe_and_what_is_no_file_is_told() {
    let stage = Stage::new();
    let line = stage.engine_proxy();
    let script = r#"mkdir -p "$1/d" && cd "$1" && for i in $(seq 4200); do echo $i > d/$i; done && mkfifo pipe"#;
    let source = stage.home().join("data").to_str().unwrap().to_owned();
    assert_eq!(stage.shell(script, &[&source]).output().code, 0);
    let sandbox = stage.adopt(stage.name());
    let created = sandbox
        .create_run(DEBIAN, &["--mount", &format!("{source}:/data")])
        .env("DOCKER_HOST", &line.host())
        .output();
    created.ended(0, &["1 sockets, pipes or devices are not copied: pipe"]);
    assert!(!put(&line.changing()), "{:?}", line.changing());
    let look = "ls /data/d | wc -l; cat /data/d/4200; ls /data";
    let found = sandbox.exec(&["sh", "-c", look]).output().stdout_text();
    assert_eq!(found, "4200\n4200\nd\n");
}

#[test]
fn an_engine_that_sees_other_files_is_sent_the_archive() {
    let stage = Stage::new();
    let repository = repository(&stage, "repo", MANY);
    let line = stage.engine_proxy();
    let sandbox = stage.adopt(stage.name());
    // The temporary directory is one that the engine does not have.
    let script =
        r#"exec unshare --mount sh -c 'mount -t tmpfs tmpfs "$TMPDIR" && exec "$@"' sh "$0" "$@""#;
    let created = stage
        .shell(
            script,
            &[
                "sandbox",
                "create",
                "--name",
                &sandbox.name,
                "--image",
                DEBIAN,
                "--git",
                &repository,
            ],
        )
        .env("DOCKER_HOST", &line.host())
        .output();
    assert_eq!(created.code, 0, "{created:?}; this test needs root");
    assert!(put(&line.changing()), "{:?}", line.changing());
    assert_eq!(inside(&sandbox), "4200\n0\n755\n644\n2\n");
    assert_eq!(stage.containers().len(), 1, "{:?}", stage.containers());
}

/// Names of containers that fill volumes of a stage, with their states.
fn fillers(stage: &Stage) -> String {
    let own = format!("label={}", stage.label());
    let filters = ["--filter", &own, "--filter", "name=-fill-"];
    let list = [
        &["ps", "-a"],
        &filters[..],
        &["--format", "{{.Names}} {{.State}}"],
    ]
    .concat();
    docker(&list).stdout_text()
}

#[test]
fn an_interrupt_and_a_kill_while_the_pipe_is_filled_leave_nothing() {
    let stage = Stage::new();
    let repository = repository(&stage, "repo", MANY);
    let line = stage.engine_proxy();
    // What waits for the container is asked once it runs.
    for (signal, code) in [(Signal::INT, 130), (Signal::KILL, 137)] {
        line.hold("/wait");
        let sandbox = stage.adopt(stage.name());
        let creating = sandbox
            .create_run(DEBIAN, &["--git", &repository])
            .env("DOCKER_HOST", &line.host())
            .start();
        line.holds();
        assert!(
            fillers(&stage).contains(&format!("sandbox-{}-fill-", sandbox.name)),
            "{}",
            fillers(&stage)
        );
        creating.signal(signal);
        if signal == Signal::INT {
            creating.warns("interrupted: removing what was made");
        }
        assert_eq!(
            {
                line.let_go();
                creating.wait().code
            },
            code
        );
        if signal == Signal::KILL {
            let listed = stage.sandbox_verb(&["list"]).stdout_text();
            assert!(listed.contains("interrupted"), "{listed}");
            eventually("the pipe's end ends its reader", || {
                !fillers(&stage).contains("running")
            });
            let fixed = stage.amika(&["doctor", "--fix"]).output();
            assert_eq!(fixed.code, 0, "{fixed:?}");
        }
        assert_eq!(fillers(&stage), "");
        stage.nothing_was_made();
        assert_eq!(left(&stage), Vec::<OsString>::new());
    }
}

#[test]
fn a_create_that_was_killed_while_the_pipe_is_filled_can_be_deleted_whole() {
    let stage = Stage::new();
    let repository = repository(&stage, "repo", MANY);
    let line = stage.engine_proxy();
    for args in [&["--force"][..], &["--force", "--volumes"], &[]] {
        line.hold("/wait");
        let sandbox = stage.adopt(stage.name());
        let creating = sandbox
            .create_run(DEBIAN, &["--git", &repository])
            .env("DOCKER_HOST", &line.host())
            .start();
        line.holds();
        creating.signal(Signal::KILL);
        line.let_go();
        assert_eq!(creating.wait().code, 137);
        assert_ne!(fillers(&stage), "", "{args:?}");
        if args.contains(&"--volumes") {
            // Then its volumes are all there is left of it.
            docker(&["rm", "-f", &sandbox.name]).ended(0, &[]);
        }
        sandbox.verb("delete", args).output().ended(0, &[]);
        // Nobody worked in what was cloned half-way.
        stage.nothing_was_made();
    }
}

#[test]
fn a_disk_that_is_too_small_is_told_and_nothing_stays_on_it() {
    let stage = Stage::new();
    let engine = PrivateEngine::start(&stage, &[SCRATCH]);
    // With amikad on it.
    let on_engine = |args: &[&str]| {
        let all = [&["sandbox"], args, &["--network", "none"]].concat();
        stage.amika(&all).env("DOCKER_HOST", &engine.host())
    };
    let first = ["create", "--name", "first", "--image", SCRATCH];
    assert_eq!(on_engine(&first).output().code, 0);
    engine.leave_free(8);
    for (name, files) in [("large", MANY), ("small", "3")] {
        let repository = repository(&stage, name, files);
        let script = r#"cd "$1" && head -c 16000000 /dev/urandom > blob && git add . &&
            git -c user.name=T -c user.email=t@example.org commit -q -m blob"#;
        assert_eq!(stage.shell(script, &[&repository]).output().code, 0);
        let create = [
            "create",
            "--name",
            name,
            "--image",
            SCRATCH,
            "--git",
            &repository,
        ];
        let created = on_engine(&create).output();
        created.ended(
            7,
            &[
                "could not be copied into the sandbox",
                "o space left on device",
            ],
        );
        let listed = engine.docker(&["volume", "ls", "-q"]).stdout_text();
        assert!(!listed.contains(&format!("-{name}-")), "{listed}");
        let containers = engine.docker(&["ps", "-a", "--format", "{{.Names}}"]);
        assert_eq!(containers.stdout_text(), "first\n");
    }
}

#[test]
fn an_engine_that_maps_users_gets_the_clone_and_a_mount_says_whose_its_files_will_be() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let stage = Stage::new();
    let engine = PrivateEngine::start_remapped(&stage, &[DEBIAN]);
    let repository = repository(&stage, "repo", MANY);
    let data = stage.home().join("data");
    std::fs::create_dir(&data).unwrap();
    for path in [stage.home(), &data] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).unwrap();
    }
    let on_engine = |args: &[&str]| {
        let all = [&["sandbox"], args].concat();
        stage.amika(&all).env("DOCKER_HOST", &engine.host())
    };
    let mount = format!("{}:/data:rw", data.display());
    let create = [
        "create",
        "--name",
        "mapped",
        "--image",
        DEBIAN,
        "--network",
        "none",
        "--git",
        &repository,
        "--mount",
        &mount,
    ];
    // Root in the sandbox may not open the pipe, which is the user's own.
    on_engine(&create)
        .output()
        .ended(0, &["belongs to one of its subordinate users"]);
    let look = "ls a/b | wc -l; stat -c %u a/b/file-1 .git/HEAD; touch /data/made";
    let found = on_engine(&["exec", "mapped", "--", "sh", "-c", look]).output();
    assert_eq!(found.stdout_text(), "4200\n0\n0\n", "{found:?}");
    assert_eq!(data.join("made").metadata().unwrap().uid(), SUBORDINATE);
    assert_eq!(left(&stage), Vec::<OsString>::new());
}

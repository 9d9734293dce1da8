//! The image that is built of a repository's Dockerfile: `[sandbox] dockerfile`.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{DEBIAN, Output, Sandbox, Stage, docker};

/// How long a build may take.
const BUILD: Duration = Duration::from_mins(5);

/// A repository with a Dockerfile, and what its `[sandbox]` says.
fn repository(stage: &Stage, sandbox: &str, dockerfile: &str, files: &[(&str, &str)]) -> String {
    let config = format!("[sandbox]\n{sandbox}\n");
    let mut all = vec![
        (".amika/config.toml", config.as_str()),
        ("build/Dockerfile", dockerfile),
    ];
    all.extend(files);
    stage.repository("app", &all)
}

fn dockerfile(rest: &str) -> String {
    format!("FROM {DEBIAN}\n{rest}")
}

/// `create` of a sandbox whose image the repository's file decides.
fn create(sandbox: &Sandbox<'_>, app: &str, options: &[&str]) -> Output {
    let mut all = vec!["sandbox", "create", "--name", &sandbox.name, "--git", app];
    all.extend(options);
    // A build takes longer than most commands.
    sandbox.stage.amika(&all).limit(BUILD).output()
}

/// What `create` would make.
fn plan(sandbox: &Sandbox<'_>, app: &str, options: &[&str]) -> Value {
    let planned = create(
        sandbox,
        app,
        &[&["--dry-run", "-o", "json"], options].concat(),
    );
    planned.ended(0, &[]).json()
}

/// Changes a file of the repository, and commits that.
fn change(stage: &Stage, path: &str, text: &str) {
    stage.file(&format!("app/{path}"), text);
    let script = "git -c user.name=T -c user.email=t@example.org commit -q -a -m next";
    let run = stage.shell(script, &[]).dir(stage.home().join("app"));
    run.output().ended(0, &[]);
}

fn said(sandbox: &Sandbox<'_>, command: &[&str]) -> String {
    let said = sandbox.docker_exec(command);
    said.ended(0, &[]).stdout_text()
}

/// The image of a sandbox, as `inspect` tells it.
fn image(sandbox: &Sandbox<'_>) -> String {
    let view = sandbox.inspect();
    view["image"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn it_is_built_once_and_again_when_what_it_is_built_of_changes() {
    let stage = Stage::new();
    let app = repository(
        &stage,
        "dockerfile = \"build/Dockerfile\"\n[sandbox.build_args]\nWORD = \"one\"",
        &dockerfile(
            "ARG WORD\nCOPY . /given/\nRUN echo $WORD > /word\nCMD [\"sleep\", \"1000\"]\n",
        ),
        &[
            ("build/file", "1\n"),
            ("build/left.log", ""),
            ("build/.dockerignore", "*.log\n"),
            ("beside", ""),
        ],
    );
    let first = stage.adopt(stage.name());
    let created = create(&first, &app, &[]);
    created.ended(0, &["building amika-build/app:", "Step 1/"]);
    assert_eq!(said(&first, &["cat", "/word"]), "one\n");
    assert_eq!(said(&first, &["ls", "-A", "/given"]), "Dockerfile\nfile\n");
    let built = image(&first);
    assert!(built.starts_with("amika-build/app:"), "{built}");

    // The rest of the repository is not what it is built of.
    change(&stage, "beside", "changed\n");
    let second = stage.adopt(stage.name());
    let created = create(&second, &app, &[]);
    assert!(!created.ended(0, &[]).stderr_text().contains("Step 1/"));
    assert_eq!(image(&second), built);

    change(&stage, "build/file", "2\n");
    let third = stage.adopt(stage.name());
    let plan = plan(&third, &app, &[]);
    let planned = plan["image"].as_str().unwrap_or_default().to_owned();
    assert_ne!(planned, built);
    assert_eq!(plan["taken"]["dockerfile"], json!("build/Dockerfile"));
    assert_eq!(plan["taken"]["build_args"], json!(["WORD=one"]));
    assert_eq!(plan["origins"]["image"], json!("file"));
    create(&third, &app, &[]).ended(0, &["Step 1/"]);
    assert_eq!(image(&third), planned);
    assert_eq!(said(&third, &["cat", "/given/file"]), "2\n");

    let listed = stage.amika(&["-o", "json", "image", "list"]).output();
    let listed = listed.ended(0, &[]).json();
    let current = |name: &str| {
        let images = listed.as_array().expect("a list");
        let found = images.iter().find(|image| image["image"] == name);
        found.map(|image| (image["current"].clone(), image["built_of"].clone()))
    };
    let of = json!("app/build/Dockerfile");
    assert_eq!(current(&built), Some((json!(false), of.clone())));
    assert_eq!(current(&planned), Some((json!(true), of)));
}

#[test]
fn a_build_that_fails_shows_its_last_lines_and_leaves_nothing() {
    let stage = Stage::new();
    let app = repository(
        &stage,
        "dockerfile = \"build/Dockerfile\"",
        &dockerfile("RUN echo no such tool here; exit 3\n"),
        &[],
    );
    let sandbox = stage.adopt(stage.name());
    let failed = create(&sandbox, &app, &[]);
    failed.ended(
        6,
        &[
            "the image of build/Dockerfile could not be built",
            "no such tool here",
        ],
    );
    sandbox.verb("inspect", &[]).output().ended(3, &[]);
    // A flag names another image, and none is built.
    let created = sandbox.create(DEBIAN, &["--git", &app]);
    assert!(!created.ended(0, &[]).stderr_text().contains("Step 1/"));
}

#[test]
fn what_is_built_is_on_no_bridge_of_sandboxes_and_has_so_much_memory() {
    let stage = Stage::new();
    let limit =
        "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null";
    let app = repository(
        &stage,
        "dockerfile = \"build/Dockerfile\"",
        &dockerfile(&format!(
            "RUN {limit} >/limit; cat /proc/net/fib_trie >/addresses\n"
        )),
        &[],
    );
    // The network of sandboxes, made for this one, by the beginning of its id.
    stage.sandbox(DEBIAN, &[]);
    let told = |args: &[&str]| docker(args).ended(0, &[]).stdout_text().trim().to_owned();
    let id = told(&["network", "inspect", "-f", "{{.Id}}", "amika"]);
    let subnet = told(&[
        "network",
        "inspect",
        "-f",
        "{{(index .IPAM.Config 0).Gateway}}",
        "amika",
    ]);
    let sandbox = stage.adopt(stage.name());
    create(&sandbox, &app, &["--network", &id[..12]]).ended(0, &[]);
    let addresses = said(&sandbox, &["cat", "/addresses"]);
    let (bridge, _) = subnet.rsplit_once('.').unwrap();
    assert!(!addresses.contains(&format!("{bridge}.")), "{addresses}");
    let all: u64 = told(&["info", "-f", "{{.MemTotal}}"]).parse().unwrap();
    let limit: u64 = said(&sandbox, &["cat", "/limit"]).trim().parse().unwrap();
    // The kernel keeps whole pages.
    assert!(
        limit <= all / 4 * 3 && limit + (1 << 20) > all / 4 * 3,
        "{limit} of {all}"
    );
}

#[test]
fn a_dockerfile_that_is_not_the_repositorys_is_refused_with_its_place() {
    let stage = Stage::new();
    for (path, why) in [
        ("/etc/passwd", "is absolute"),
        ("../Dockerfile", "has \"..\" in it"),
        (
            "build/out",
            "leads out of the repository by a symbolic link",
        ),
        ("build/none", "does not exist"),
        ("build", "is a directory"),
    ] {
        let name = stage.name();
        let config = format!("[sandbox]\ndockerfile = \"{path}\"\n");
        let directory = stage.home().join(&name).join("build");
        std::fs::create_dir_all(&directory).expect("a directory");
        std::os::unix::fs::symlink("/etc/hostname", directory.join("out")).expect("a link");
        let app = stage.repository(
            &name,
            &[
                (".amika/config.toml", &config),
                ("build/Dockerfile", "FROM x\n"),
            ],
        );
        let sandbox = stage.adopt(stage.name());
        let refused = create(&sandbox, &app, &[]);
        let said = format!(".amika/config.toml:2:14: dockerfile \"{path}\" {why}");
        refused.ended(2, &[&said]);
        stage
            .amika(&["config", "check", &app])
            .output()
            .ended(2, &[&format!("dockerfile \"{path}\" {why}")]);
    }
}

#[test]
fn nothing_is_built_of_what_is_not_trusted() {
    let stage = Stage::new();
    let app = repository(
        &stage,
        "dockerfile = \"build/Dockerfile\"",
        &dockerfile("RUN echo built > /built\n"),
        &[],
    );
    let sandbox = stage.adopt(stage.name());
    for without in ["--trust=never", "--no-setup"] {
        // The preset's may not be there, and is all that is asked for then.
        let planned = create(&sandbox, &app, &["--dry-run", without]);
        let told = planned.text();
        assert!(told.contains("amika/coder:"), "{planned:?}");
        assert!(!told.contains("amika-build/"), "{planned:?}");
    }
}

#[test]
fn an_image_that_says_what_only_amika_says_is_refused_and_goes() {
    let stage = Stage::new();
    let app = repository(
        &stage,
        "dockerfile = \"build/Dockerfile\"",
        &dockerfile("LABEL dev.amika.id=x dev.amika.kind=sandbox\n"),
        &[],
    );
    let sandbox = stage.adopt(stage.name());
    let plan = plan(&sandbox, &app, &[]);
    let refused = create(&sandbox, &app, &[]);
    refused.ended(6, &["labels that only amika may write", "dev.amika.id"]);
    let image = plan["image"].as_str().unwrap_or_default();
    assert_ne!(docker(&["image", "inspect", image]).code, 0);
}

#[test]
fn it_is_built_on_the_preset_that_it_asks_for() {
    let stage = Stage::new();
    let text =
        "ARG AMIKA_CODER\nFROM ${AMIKA_CODER}\nUSER root\nRUN echo mine > /mine\nUSER amika\n";
    let app = repository(&stage, "dockerfile = \"build/Dockerfile\"", text, &[]);
    let sandbox = stage.adopt(stage.name());
    create(&sandbox, &app, &[]).ended(0, &["Step 1/"]);
    assert_eq!(said(&sandbox, &["cat", "/mine"]), "mine\n");
    let exec = sandbox
        .exec(&["sh", "-c", "id -un; command -v claude"])
        .output();
    let told = exec.ended(0, &[]).stdout_text();
    assert!(told.starts_with("amika\n/"), "{told}");
    // It is none of the presets, which are as they were.
    let listed = stage
        .amika(&["-o", "json", "image", "list"])
        .output()
        .json();
    let images = listed.as_array().expect("a list");
    let own = images
        .iter()
        .find(|it| it["image"] == image(&sandbox).as_str());
    assert_eq!(
        own.map(|it| it["preset"].clone()),
        Some(Value::Null),
        "{listed}"
    );
}

#[test]
fn what_a_newer_image_took_the_place_of_is_pruned() {
    let stage = Stage::new();
    let of = dockerfile("COPY file /file\n");
    let files = [("build/file", "1\n")];
    let app = repository(&stage, "dockerfile = \"build/Dockerfile\"", &of, &files);
    let sandbox = stage.adopt(stage.name());
    let made = || {
        create(&sandbox, &app, &[]).ended(0, &[]);
        image(&sandbox)
    };
    let first = made();
    let delete = ["--volumes", "--force"];
    sandbox.verb("delete", &delete).output().ended(0, &[]);
    change(&stage, "build/file", "2\n");
    let second = made();
    assert_ne!(first, second);
    let pruned = stage.amika(&["image", "prune"]).output();
    let pruned = pruned.ended(0, &[]).stdout_text();
    assert!(
        pruned.contains(&first) && !pruned.contains(&second),
        "{pruned}"
    );
    assert_ne!(docker(&["image", "inspect", &first]).code, 0);
    // What is gone is asked of no registry, where that name is somebody else's.
    let other = stage.adopt(stage.name());
    let gone = other.create(&first, &[]);
    gone.ended(6, &["was built of a repository's Dockerfile, and is gone"]);
}

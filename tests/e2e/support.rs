//! The stage of a test: where it runs `amika`, and what cleans up after it.

mod browser;
mod command;
mod daemon;
mod private_engine;
mod proxy;
mod terminal;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

pub(crate) use browser::Browser;
pub(crate) use command::{Output, Run, Running};
pub(crate) use daemon::Daemon;
pub(crate) use private_engine::{PrivateEngine, SUBORDINATE};
pub(crate) use proxy::{EngineProxy, engine_socket};
pub(crate) use terminal::Terminal;

/// Image with a shell, apt and coreutils, of which CMD is the shell.
pub(crate) const DEBIAN: &str = "amika-test/debian";
/// Image with one static program, run as user `app` (1234).
pub(crate) const NO_SHELL: &str = "amika-test/noshell";
/// Image with one static program and no user at all.
pub(crate) const SCRATCH: &str = "amika-test/scratch";

/// How long the build of the preset may take.
const BUILD: Duration = Duration::from_mins(10);
/// How long a condition may take to come true.
const PATIENCE: Duration = Duration::from_secs(30);
/// Label of all that a test makes; the value is the stage's.
const LABEL: &str = "dev.amika.test";

/// One test's world: a home directory and a label on the engine. When it goes, so does everything
/// with that label; a test that passed must have removed its things by itself.
pub(crate) struct Stage {
    amika: PathBuf,
    home: tempfile::TempDir,
    run: String,
    names: AtomicU32,
}

/// A sandbox that is deleted when the test is done with it, however that ended.
pub(crate) struct Sandbox<'a> {
    /// The stage that it stands on.
    pub(crate) stage: &'a Stage,
    /// Its name.
    pub(crate) name: String,
}

/// A container that is not amika's. It is removed when the test is done with it.
pub(crate) struct Stranger {
    /// Its name.
    pub(crate) name: String,
}

impl Stage {
    /// Sets the stage. Without the program or the engine a test fails: it is never skipped.
    pub(crate) fn new() -> Self {
        let amika = program();
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join("tmp")).unwrap();
        let unique = home.path().file_name().unwrap().to_string_lossy();
        let unique: String = unique.chars().filter(char::is_ascii_alphanumeric).collect();
        let run = format!("e2e-{}-{unique}", std::process::id()).to_lowercase();
        let engine = docker(&["version", "--format", "{{.Server.Version}}"]);
        assert!(
            engine.code == 0,
            "no engine answers: run scripts/engine ({})",
            engine.stderr_text()
        );
        Self {
            amika,
            home,
            run,
            names: AtomicU32::new(0),
        }
    }

    /// The home directory of `amika` in this test.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// Names of what `amika` has in the directory for temporary files.
    pub(crate) fn temporary(&self) -> Vec<std::ffi::OsString> {
        let entries = std::fs::read_dir(self.home().join("tmp")).unwrap();
        entries.map(|entry| entry.unwrap().file_name()).collect()
    }

    /// Writes a file that may be executed, beneath the home directory.
    pub(crate) fn script(&self, name: &str, text: &str) -> String {
        use std::os::unix::fs::PermissionsExt as _;
        let path = PathBuf::from(self.file(name, text));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Writes a file beneath the home directory.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.home().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Makes a git repository beneath the home directory, with these files in its one commit on
    /// `main`.
    pub(crate) fn repository(&self, name: &str, files: &[(&str, &str)]) -> String {
        for (path, text) in files {
            self.file(&format!("{name}/{path}"), text);
        }
        let dir = self.home().join(name);
        std::fs::create_dir_all(&dir).unwrap();
        let script = "git init -q -b main && git add -A && git -c user.name=T -c user.email=t@example.org commit -q --allow-empty -m first";
        let made = self.shell(script, &[]).dir(&dir).output();
        assert_eq!(made.code, 0, "{made:?}");
        dir.to_str().unwrap().to_owned()
    }

    /// A socket before the engine's.
    pub(crate) fn engine_proxy(&self) -> EngineProxy {
        EngineProxy::start(self.home())
    }

    /// Runs `docker create` of a container that is this stage's and not amika's; it goes with the
    /// stage.
    pub(crate) fn stranger(&self, options: &[&str], image_and_command: &[&str]) -> Stranger {
        let name = self.name();
        let label = format!("{LABEL}={}", self.run);
        let mut args = vec!["create", "--name", &name, "--label", &label];
        args.extend(options);
        args.extend(image_and_command);
        let made = docker(&args);
        assert_eq!(made.code, 0, "{made:?}");
        Stranger { name }
    }

    /// `amika` with these arguments, to be started.
    pub(crate) fn amika<S: AsRef<str>>(&self, args: &[S]) -> Run {
        Run::new(self.command_of(&self.amika, args))
    }

    /// Runs `amika sandbox VERB …` to its end.
    pub(crate) fn sandbox_verb(&self, args: &[&str]) -> Output {
        let args: Vec<&str> = std::iter::once("sandbox")
            .chain(args.iter().copied())
            .collect();
        self.amika(&args).output()
    }

    /// A script of the host's shell, to be started; its `$0` is `amika`.
    pub(crate) fn shell(&self, script: &str, args: &[&str]) -> Run {
        let mut all = vec!["-c", script, self.amika.to_str().unwrap()];
        all.extend(args);
        Run::new(self.command_of("bash", &all))
    }

    /// `amika` on a terminal of its own.
    pub(crate) fn on_terminal(&self, args: &[&str]) -> Terminal {
        self.on_terminal_of(80, &[], args)
    }

    /// As [`Stage::on_terminal`], on one of that many columns, with these variables.
    pub(crate) fn on_terminal_of(
        &self,
        columns: u16,
        env: &[(&str, &str)],
        args: &[&str],
    ) -> Terminal {
        // A session of its own, with the terminal as the one that controls it.
        let mut all = vec!["-c", "-w", self.amika.to_str().unwrap()];
        all.extend(args);
        let mut command = self.command_of("setsid", &all);
        command.envs(env.iter().copied());
        Terminal::start(command, columns)
    }

    /// A name that no other test uses.
    pub(crate) fn name(&self) -> String {
        let number = self.names.fetch_add(1, Ordering::Relaxed);
        format!("{}-{number}", self.run)
    }

    /// Makes a sandbox of an image, with further arguments of `create`, and waits until it is ready.
    pub(crate) fn sandbox(&self, image: &str, args: &[&str]) -> Sandbox<'_> {
        let sandbox = self.adopt(self.name());
        let created = sandbox.create(image, args);
        assert_eq!(created.code, 0, "{created:?}");
        sandbox
    }

    /// A guard for a sandbox that the test makes, or tries to make, by itself.
    pub(crate) fn adopt(&self, name: String) -> Sandbox<'_> {
        Sandbox { stage: self, name }
    }

    /// Builds an image from a Dockerfile without a context; it goes with the stage.
    pub(crate) fn image(&self, dockerfile: &str) -> String {
        let name = format!("amika-test/{}", self.run);
        let label = format!("{LABEL}={}", self.run);
        let mut command = Command::new("docker");
        command
            .args(["build", "-q", "--label", &label, "-t", &name, "-"])
            .env("DOCKER_BUILDKIT", "0");
        let built = Run::new(command).input(dockerfile).limit(BUILD).output();
        assert_eq!(built.code, 0, "{built:?}");
        name
    }

    fn command_of<S: AsRef<str>>(&self, program: impl AsRef<OsStr>, args: &[S]) -> Command {
        let home = self.home.path();
        let mut command = Command::new(program);
        command
            .args(args.iter().map(AsRef::as_ref))
            .env_clear()
            .env("HOME", home)
            // As one user has it: what locks guard is the engine's, and all stages share that.
            .env("XDG_RUNTIME_DIR", runtime_dir())
            // What a killed one leaves there is no other test's to find.
            .env("TMPDIR", home.join("tmp"))
            .env("TERM", "xterm-256color")
            .env("AMIKA_TEST_RUN", &self.run);
        for (name, value) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text == "PATH" || text.starts_with("DOCKER_") {
                command.env(name, value);
            }
        }
        // Docker's contexts stay the user's, whatever home a test has.
        if std::env::var_os("DOCKER_CONFIG").is_none()
            && let Some(home) = std::env::home_dir()
        {
            command.env("DOCKER_CONFIG", home.join(".docker"));
        }
        command
    }

    /// Label of all that is made on this stage, as a filter has it.
    pub(crate) fn label(&self) -> String {
        format!("{LABEL}={}", self.run)
    }

    /// Names of the stage's containers.
    pub(crate) fn containers(&self) -> Vec<String> {
        let [containers, _, _] = self.left();
        containers
    }

    /// Names of the stage's volumes.
    pub(crate) fn volumes(&self) -> Vec<String> {
        let [_, volumes, _] = self.left();
        volumes
    }

    /// Names of the stage's networks.
    pub(crate) fn networks(&self) -> Vec<String> {
        let list = ["network", "ls", "--format", "{{.Name}}", "--filter"];
        let label = format!("label={}", self.label());
        let args: Vec<&str> = list.iter().copied().chain([label.as_str()]).collect();
        let text = docker(&args).stdout_text();
        text.lines().map(str::to_owned).collect()
    }

    /// Asserts that nothing of this stage is on the engine.
    pub(crate) fn nothing_was_made(&self) {
        assert_eq!(self.networks(), Vec::<String>::new());
        assert_eq!(self.left(), [const { Vec::<String>::new() }; 3]);
    }

    /// What is on the engine with this stage's label, as `docker` prints ids and names.
    pub(crate) fn left(&self) -> [Vec<String>; 3] {
        let filter = format!("label={LABEL}={}", self.run);
        let list = |args: &[&str]| {
            let args: Vec<&str> = args.iter().copied().chain(["--filter", &filter]).collect();
            let text = docker(&args).stdout_text();
            text.lines().map(str::to_owned).collect()
        };
        [
            list(&["ps", "-a", "--format", "{{.Names}}"]),
            list(&["volume", "ls", "-q"]),
            list(&["images", "-q"]),
        ]
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let [containers, volumes, images] = self.left();
        let networks = self.networks();
        let remove = |verb: &[&str], what: &[String]| {
            if !what.is_empty() {
                let args: Vec<&str> = verb
                    .iter()
                    .copied()
                    .chain(what.iter().map(String::as_str))
                    .collect();
                docker(&args);
            }
        };
        remove(&["rm", "-f", "-v"], &containers);
        remove(&["volume", "rm", "-f"], &volumes);
        remove(&["rmi", "-f"], &images);
        remove(&["network", "rm"], &networks);
        if !std::thread::panicking() {
            assert!(
                containers.is_empty() && volumes.is_empty() && networks.is_empty(),
                "left behind: containers {containers:?}, volumes {volumes:?}, networks {networks:?}"
            );
        }
    }
}

impl Sandbox<'_> {
    /// Its services, as `service list -o json` has them.
    pub(crate) fn services(&self) -> serde_json::Value {
        let args = [
            "service",
            "list",
            "--sandbox-name",
            &self.name,
            "-o",
            "json",
        ];
        self.stage.amika(&args).output().ended(0, &[]).json()
    }

    /// `amika sandbox create` of this name.
    pub(crate) fn create(&self, image: &str, args: &[&str]) -> Output {
        self.create_run(image, args).output()
    }

    /// As [`Sandbox::create`], to be started.
    pub(crate) fn create_run(&self, image: &str, args: &[&str]) -> Run {
        let mut all = vec!["sandbox", "create", "--name", &self.name, "--image", image];
        all.extend(args);
        self.stage.amika(&all)
    }

    /// `amika sandbox exec` of a program in it, to be started.
    pub(crate) fn exec(&self, program: &[&str]) -> Run {
        self.exec_with(&[], program)
    }

    /// As [`Sandbox::exec`], with options before the program.
    pub(crate) fn exec_with(&self, options: &[&str], program: &[&str]) -> Run {
        let mut all = vec!["sandbox", "exec"];
        all.extend(options);
        all.extend([self.name.as_str(), "--"]);
        all.extend(program);
        self.stage.amika(&all)
    }

    /// As [`Sandbox::exec`], started by a shell of the host with `rest` behind it, such as a
    /// redirection or a pipe.
    pub(crate) fn exec_from_shell(&self, rest: &str, program: &[&str]) -> Run {
        let mut all = vec![self.name.as_str(), "--"];
        all.extend(program);
        self.stage
            .shell(&format!(r#""$0" sandbox exec "$@" {rest}"#), &all)
    }

    /// `amika sandbox VERB NAME …`, to be started.
    pub(crate) fn verb(&self, verb: &str, args: &[&str]) -> Run {
        let mut all = vec!["sandbox", verb, self.name.as_str()];
        all.extend(args);
        self.stage.amika(&all)
    }

    /// What `amika sandbox inspect` says of it.
    pub(crate) fn inspect(&self) -> serde_json::Value {
        self.verb("inspect", &["-o", "json"]).output().json()
    }

    /// How to sign in to its `OpenCode`.
    pub(crate) fn secrets(&self) -> serde_json::Value {
        let shown = self.verb("inspect", &["--show-secrets", "-o", "json"]);
        shown.output().json()["opencode"].clone()
    }

    /// What the engine says of it, by a template of `docker inspect`.
    pub(crate) fn engine_says(&self, template: &str) -> String {
        let said = docker(&["inspect", "-f", template, &self.name]);
        said.stdout_text().trim().to_owned()
    }

    /// Waits until its container's log has this.
    pub(crate) fn logs(&self, text: &str) {
        eventually(&format!("{text:?} is logged"), || self.log().contains(text));
    }

    /// Its container's log.
    pub(crate) fn log(&self) -> String {
        docker(&["logs", &self.name]).text()
    }

    /// Runs `docker exec` in it: a way in that does not go through `amika`.
    pub(crate) fn docker_exec(&self, program: &[&str]) -> Output {
        let mut all = vec!["exec", self.name.as_str()];
        all.extend(program);
        docker(&all)
    }

    /// The engine's word for what it does, such as `running`.
    pub(crate) fn engine_state(&self) -> String {
        let state = docker(&["inspect", "-f", "{{.State.Status}}", &self.name]);
        match state.stdout_text().trim() {
            // Podman's, until it has cleaned up after one that ended.
            "stopped" => "exited".to_owned(),
            state => state.to_owned(),
        }
    }
}

impl Drop for Sandbox<'_> {
    fn drop(&mut self) {
        let deleted = self
            .stage
            .sandbox_verb(&["delete", "--force", "--volumes", &self.name]);
        // 3: the test deleted it, or it was never made.
        if !std::thread::panicking() {
            assert!([0, 3].contains(&deleted.code), "{deleted:?}");
        }
    }
}

impl Stranger {
    /// Runs a command of `docker` that takes its name last.
    pub(crate) fn docker(&self, args: &[&str]) -> Output {
        let args: Vec<&str> = args.iter().copied().chain([self.name.as_str()]).collect();
        docker(&args)
    }

    /// Runs a program in it.
    pub(crate) fn exec(&self, program: &[&str]) -> Output {
        let args: Vec<&str> = ["exec", &self.name]
            .iter()
            .chain(program)
            .copied()
            .collect();
        docker(&args)
    }

    /// Its log.
    pub(crate) fn log(&self) -> String {
        self.docker(&["logs"]).text()
    }

    /// Waits until it ended; returns its exit code.
    pub(crate) fn exit_code(&self) -> String {
        self.docker(&["wait"]).stdout_text().trim().to_owned()
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.docker(&["rm", "-f", "-v"]);
    }
}

/// Waits until a condition holds; fails with `what` when it does not within half a minute.
pub(crate) fn eventually(what: &str, condition: impl FnMut() -> bool) {
    eventually_within(PATIENCE, what, condition);
}

/// As [`eventually`], for what is slow on a machine with other work.
pub(crate) fn eventually_within(limit: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < limit, "it never came true: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether the ports that the engine publishes are not this machine's: it is one of those of `scripts/on-engine` that are reached
/// from another network.
pub(crate) fn ports_are_elsewhere() -> bool {
    let engine = std::env::var("AMIKA_TEST_ENGINE").unwrap_or_default();
    ["docker-mounted", "docker-forwarded", "docker-ssh"].contains(&engine.as_str())
}

/// Runs `docker` to its end.
pub(crate) fn docker(args: &[&str]) -> Output {
    let mut command = Command::new("docker");
    command.args(args);
    Run::new(command).output()
}

/// The preset image `coder`; it is built where `make preset` has not done so.
pub(crate) fn preset(stage: &Stage) -> String {
    let building = stage.amika(&["image", "build"]).limit(BUILD);
    // Everybody's: it must not go with the stage that happened to need it first.
    let built = building.without_env("AMIKA_TEST_RUN").output();
    assert_eq!(built.code, 0, "{built:?}");
    built.stdout_text().trim().to_owned()
}

/// The preset image `coder-dind`; as [`preset`].
pub(crate) fn dind_preset(stage: &Stage) -> String {
    preset(stage);
    let building = stage.amika(&["image", "build", "coder-dind"]).limit(BUILD);
    let built = building.without_env("AMIKA_TEST_RUN").output();
    assert_eq!(built.code, 0, "{built:?}");
    built.stdout_text().trim().to_owned()
}

/// Where locks stand, for all tests of a user.
pub(crate) fn runtime_dir() -> PathBuf {
    let user = rustix::process::getuid().as_raw();
    let dir = std::env::temp_dir().join(format!("amika-e2e-{user}"));
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

/// The program that is tested: `$AMIKA`, as `make test` sets it, else what `make build` made.
fn program() -> PathBuf {
    let path = std::env::var_os("AMIKA").map_or_else(
        || {
            // This test is target/debug/deps/e2e-….
            let this = std::env::current_exe().unwrap();
            let target = this.ancestors().nth(3).unwrap();
            target.join("amika-dist/amika")
        },
        PathBuf::from,
    );
    assert!(
        path.is_file(),
        "{} is not there: run `make build`, or name the program in AMIKA",
        path.display()
    );
    path
}

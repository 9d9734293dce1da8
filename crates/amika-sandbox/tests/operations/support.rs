//! The stage of a test: a user of its own with a label of its own on the engine, and what cleans up after it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, LazyLock, Mutex};

use amika_core::credential::Selection;
use amika_core::name::SandboxName;
use amika_core::port::HostIp;
use amika_core::settings::{AskedLimits, Layer};
use amika_core::trust::Trust;
use amika_engine::{Caller, Endpoint, Engine};
use amika_host::machine::{Given, Machine};
use amika_sandbox::cancel::{Cancel, Canceler, new as token};
use amika_sandbox::create::{
    Allowed, CreateRequest, HostRights, Image, OwnWays, Request, Trusting, Wait, Wanted,
    WantedRepository,
};
use amika_sandbox::delete::DeleteRequest;
use amika_sandbox::progress::{Event, Progress};
use amika_sandbox::sandboxes::{Sandboxes, User};

/// Image with a shell and coreutils.
const DEBIAN: &str = "amika-test/debian";

pub(crate) struct Stage {
    pub(crate) sandboxes: Sandboxes,
    home: tempfile::TempDir,
    run: String,
}

impl Stage {
    /// Sets the stage. Without an engine a test fails: it is never skipped.
    pub(crate) async fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let unique = home.path().file_name().unwrap().to_string_lossy();
        let unique: String = unique.chars().filter(char::is_ascii_alphanumeric).collect();
        let run = format!("operations-{}-{unique}", std::process::id()).to_lowercase();
        let process = Machine::of_process();
        let mut environment: BTreeMap<OsString, OsString> = process
            .variables()
            .filter(|(name, _)| !name.to_string_lossy().starts_with("XDG_"))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        environment.insert("HOME".into(), home.path().into());
        environment.insert("AMIKA_TEST_RUN".into(), run.clone().into());
        let machine = Machine::given(Given {
            environment,
            home: Some(home.path().to_owned()),
            temporary: home.path().to_owned(),
            directory: home.path().to_owned(),
        });
        let env = |key: &str| process.text(key).map(str::to_owned);
        let endpoint = Endpoint::discover(&env, &home.path().join(".docker")).unwrap();
        let caller = Caller {
            can_answer: false,
            temporary: home.path().to_owned(),
        };
        let engine = Engine::connect(endpoint, &caller).await.unwrap();
        let user = Arc::new(User::new(machine, Arc::new(Told::default())));
        Self {
            sandboxes: Sandboxes::new(engine, &user),
            home,
            run,
        }
    }

    /// A directory of the test's own.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// A repository with these files, all of them committed.
    pub(crate) fn repository(&self, files: &[(&str, &str)]) -> WantedRepository {
        let root = self.home().join("app");
        for (name, content) in files {
            let path = root.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        for args in [
            &["init", "-q", "-b", "main"][..],
            &["add", "-A"],
            &[
                "-c",
                "user.name=a",
                "-c",
                "user.email=a@b",
                "commit",
                "-q",
                "-m",
                "first",
            ],
        ] {
            let git = Command::new("git").args(args).current_dir(&root).status();
            assert!(git.unwrap().success(), "{args:?}");
        }
        WantedRepository::Clone(Wanted {
            git: amika_git::Request {
                spec: Some(root.display().to_string()),
                branch: None,
                new_branch: None,
                copy: amika_git::Copy::Clean,
                cache: None,
            },
            no_setup: false,
            has_script: false,
            of: None,
        })
    }

    /// What of this test is on the engine: containers, volumes and networks of sandboxes.
    pub(crate) fn left(&self) -> Vec<String> {
        let of_run = format!("label=dev.amika.test={}", self.run);
        let mut left = docker(&["ps", "-a", "--filter", &of_run, "--format", "{{.Names}}"]);
        for kind in ["volume", "network"] {
            // The volume with amikad and the shared network are nobody's own.
            let filters = [
                kind,
                "ls",
                "--filter",
                &of_run,
                "--filter",
                "label=dev.amika.id",
            ];
            left.extend(docker(&[&filters[..], &["--format", "{{.Name}}"]].concat()));
        }
        left.sort();
        left
    }

    /// Deletes a sandbox with all that is its own.
    pub(crate) async fn delete(&self, name: &str) {
        let request = DeleteRequest {
            force: true,
            volumes: true,
        };
        let told: Arc<dyn Progress> = Arc::new(Told::default());
        let deleted = self.sandboxes.delete(name, request, told, never()).await;
        deleted.unwrap();
    }

    /// Makes a sandbox of this name that is ready.
    pub(crate) async fn make(&self, name: &str) {
        let told: Arc<dyn Progress> = Arc::new(Told::default());
        let created = self.sandboxes.create(request(name), told, never()).await;
        created.unwrap().told();
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let of_run = format!("label=dev.amika.test={}", self.run);
        for (list, remove) in [
            (&["ps", "-aq"][..], &["rm", "-f"][..]),
            (&["volume", "ls", "-q"], &["volume", "rm"]),
            (&["network", "ls", "-q"], &["network", "rm"]),
        ] {
            for id in docker(&[list, &["--filter", &of_run]].concat()) {
                docker(&[remove, &[&id]].concat());
            }
        }
    }
}

/// What docker prints, in words; a failure prints none.
pub(crate) fn docker(args: &[&str]) -> Vec<String> {
    let output = Command::new("docker").args(args).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.split_whitespace().map(str::to_owned).collect()
}

/// A request for a sandbox of the least that there is.
pub(crate) fn request(name: &str) -> CreateRequest {
    CreateRequest {
        sandbox: Request {
            name: Some(name.parse::<SandboxName>().unwrap()),
            image: Some(Image::Other(DEBIAN.to_owned())),
            setup: None,
            setup_once: false,
            opencode: None,
            env: BTreeMap::new(),
            secret_env: BTreeMap::new(),
            without_env: std::collections::BTreeSet::new(),
            unset_env: Vec::new(),
            mounts: Vec::new(),
            rights: HostRights::default(),
            credentials: Selection::none(),
            own_ways: OwnWays::none(),
            dotfiles: None,
            publish: Vec::new(),
            port_host_ip: HostIp::LOCALHOST,
            expose_opencode: false,
            network: None,
            own_uid: false,
            cap_add: std::collections::BTreeSet::new(),
            limits: AskedLimits::default(),
            command: vec!["sleep".to_owned(), "infinity".to_owned()],
            stamp: amika_core::label::Labels::new(),
        },
        repository: None,
        saved: Layer::silent(),
        trust: Trusting::Setting(Trust::Auto),
        sign_ins_named: false,
        secrets: None,
        owner: String::new(),
        allowed: Allowed::ALL,
        replace: false,
        wait: Wait::UntilReady(None),
    }
}

/// A name that nobody else has.
pub(crate) fn name() -> String {
    format!("op-{:08x}", rand::random::<u32>())
}

/// A token by which nobody cancels.
pub(crate) fn never() -> &'static Cancel {
    static NEVER: LazyLock<Cancel> = LazyLock::new(|| token().1);
    &NEVER
}

/// Keeps what it is told, and cancels at one of the events.
#[derive(Default)]
pub(crate) struct Told {
    events: Mutex<Vec<String>>,
    at: Option<(usize, Canceler)>,
}

impl Told {
    /// Cancels once that many events were told before; with the token that is canceled.
    pub(crate) fn canceling_at(number: usize) -> (Arc<Self>, Cancel) {
        let (canceler, cancel) = token();
        let told = Self {
            events: Mutex::default(),
            at: Some((number, canceler)),
        };
        (Arc::new(told), cancel)
    }

    /// What was told.
    pub(crate) fn events(&self) -> Vec<String> {
        self.events.lock().unwrap().clone()
    }
}

impl Progress for Told {
    fn tell(&self, event: Event<'_>) {
        let mut events = self.events.lock().unwrap();
        if let Some((at, canceler)) = &self.at
            && *at == events.len()
        {
            canceler.ask();
        }
        events.push(format!("{event:?}"));
    }

    fn shows_steps(&self) -> bool {
        true
    }
}

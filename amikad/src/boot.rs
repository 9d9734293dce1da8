//! What must be there before anything is started: directories, the home, this boot's orders.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use amika_core::contract::{AGENT_USER, env, path};
use amika_core::wire::{GivenVariables, NextBoot};
use nix::sys::signal::SigSet;
use nix::unistd::{AccessFlags, access};

use crate::args::Place;
use crate::beginning::Beginning;
use crate::environment::Environment;
use crate::files::read_small;
use crate::limits::Limits;
use crate::mapping;
use crate::mounts::Mounts;
use crate::places::{OWN, make_directory, make_home, open_nearest};
use crate::say::{say, say_unkept};
use crate::service::{self, RunAs, ServiceId};
use crate::setup::{Once, Script};
use crate::sys::Identity;
use crate::users::{Accounts, User};

/// Size of the orders for a boot; what `amika` writes is a line.
const ORDERS_LIMIT: u64 = 64 << 10;

/// Everything a boot starts from.
#[derive(Debug)]
pub(crate) struct Boot {
    /// The container's environment.
    pub(crate) environment: Environment,
    /// What children get of it, and of what was given beside it.
    pub(crate) children: Environment,
    /// What was given beside it.
    pub(crate) given: GivenVariables,
    /// The user that CMD and the OpenCode server run as.
    pub(crate) agent: User,
    /// The user that was asked for, in docker's words.
    pub(crate) user: Option<String>,
    /// Whether that user was asked for, so that another will not do.
    pub(crate) agent_was_named: bool,
    /// Whether becoming that user changes anything.
    pub(crate) changes_user: bool,
    /// CMD; empty for none.
    pub(crate) cmd: Vec<OsString>,
    /// CMD's directory.
    pub(crate) cmd_cwd: PathBuf,
    /// The agent's directory.
    pub(crate) agent_cwd: PathBuf,
    /// The setup script, if one is to run.
    pub(crate) script: Option<Script>,
    /// Where it is; none where dotfiles alone are installed.
    pub(crate) script_file: Option<PathBuf>,
    /// Whether the agent's dotfiles are installed in front of it.
    pub(crate) installs_dotfiles: bool,
    /// What is about to run, where its success is to be remembered: it may change meanwhile.
    pub(crate) once: Option<Once>,
    /// Where it is to be started, open until then: what is there may be exchanged for a link meanwhile.
    pub(crate) setup_directory: Option<OwnedFd>,
    /// The services' programs, as far as they are on and installed.
    pub(crate) programs: Vec<Option<PathBuf>>,
    /// What the home was made of, until setup made it more.
    pub(crate) beginning: Option<Beginning>,
    /// Signal mask of the container.
    pub(crate) mask: SigSet,
}

impl Boot {
    /// Prepares the container; a sentence if it cannot be what it was asked to be.
    pub(crate) fn prepare(
        place: &Place,
        mut cmd: Vec<OsString>,
        mask: SigSet,
    ) -> Result<Self, String> {
        let environment = Environment::of_process();
        let uid = nix::unistd::geteuid().as_raw();
        let mut accounts = Accounts::read();
        if uid == 0 && place.user.is_none() {
            accounts = mapping::apply(&environment, accounts);
        }
        let own = accounts.by_uid(uid);
        let agent = choose_agent(place, &accounts, &own)?;
        let changes_user = uid == 0 && agent.identity.uid != 0
            || place.user.is_some() && agent.identity.uid != uid
            || place
                .user
                .as_ref()
                .is_some_and(|user| uid == 0 && user.contains(':'));
        let mounts = Mounts::read();
        let orders = take_orders();
        let identity = changes_user.then_some(&agent.identity);
        make_home(identity, &mounts);
        let agent_cwd = environment.agent_cwd();
        if let Some(named) = environment.get(env::AGENT_CWD)
            && !named.is_empty()
            && Path::new(named) != agent_cwd
        {
            say(format!(
                "{} is `{}`, which is no path from `/` without `..`; using {}",
                env::AGENT_CWD,
                named.display(),
                agent_cwd.display()
            ));
        }
        let open_cwd = make_directory(&agent_cwd, identity, &mounts);
        let cmd_cwd = match (&place.workdir, chosen_directory()) {
            (Some(workdir), _) => PathBuf::from(workdir),
            (None, Some(chosen)) => chosen,
            (None, None) => agent_cwd.clone(),
        };
        make_directory(&cmd_cwd, identity, &mounts);
        let mut children = environment.clone();
        children.remove_secrets();
        let given = crate::given::take();
        crate::given::add(&mut children, &given);
        children.trust_repositories();
        Limits::read().tell(&mut children);
        if Path::new(path::HOME).is_dir() {
            children.set_agent_home(own.home.as_deref());
        }
        children.set(env::AGENT_CWD, agent_cwd.clone());
        if orders.rescue {
            say("rescue boot: setup and CMD are skipped");
            cmd = Vec::new();
        }
        let skip = orders.skip_setup || orders.rescue;
        let once = Once::of(&environment, &agent_cwd);
        let script = (!skip).then(|| script_to_run(once.as_ref())).flatten();
        let once = once.filter(|_| script.is_some());
        let script_file = script
            .is_some()
            .then(|| crate::setup::real_path(Path::new(path::SETUP_SCRIPT)));
        let installs_dotfiles = !skip && crate::dotfiles::are_waiting();
        // What they make is handed over and noted as what a script makes.
        let script = if installs_dotfiles {
            let real = script.filter(|script| !script.is_noop());
            Some(real.unwrap_or_default())
        } else {
            script
        };
        let is_first = !Path::new(path::BOOT_RECORD).exists();
        let makes_something = script.as_ref().is_some_and(|script| !script.is_noop());
        let beginning = (is_first || makes_something)
            .then(|| Beginning::look(is_first, &mounts))
            .flatten();
        let setup_directory = script
            .is_some()
            .then(|| open_nearest(&agent_cwd, open_cwd, identity))
            .flatten();
        let mut this = Self {
            environment,
            children,
            given,
            agent,
            user: place.user.clone(),
            agent_was_named: place.user.is_some(),
            changes_user,
            cmd,
            cmd_cwd,
            agent_cwd,
            script,
            script_file,
            installs_dotfiles,
            once,
            setup_directory,
            programs: Vec::new(),
            beginning,
            mask,
        };
        service::settle(orders.rescue);
        this.programs = service::find_all(&this.service_environments());
        service::announce(&this.programs);
        Ok(this)
    }

    /// The environment of a service, but for what only it is given.
    pub(crate) fn service_environment(&self, id: ServiceId) -> Environment {
        let mut environment = match id.spec().user {
            RunAs::Agent => self.agent_environment(),
            RunAs::Own => self.children.clone(),
        };
        if id.spec().is_agent {
            crate::given::add_agents(&mut environment, &self.given);
        }
        environment
    }

    /// The same for all of them; none for those that are off.
    pub(crate) fn service_environments(&self) -> Vec<Option<Environment>> {
        let environment = |id: ServiceId| {
            // The sandbox's own are looked for where they are started.
            let is_looked_for = !id.is_declared() && (id.spec().is_enabled)(&self.environment);
            is_looked_for.then(|| self.service_environment(id))
        };
        ServiceId::all().map(environment).collect()
    }

    /// Takes over the groups that the agent has by now: setup may have given it some (`usermod -aG docker`), and
    /// CMD is to begin as a login would.
    pub(crate) fn renew_groups(&mut self) {
        if !self.changes_user {
            return;
        }
        let accounts = Accounts::read();
        let found = match (&self.user, &self.agent.name) {
            (Some(spec), _) => accounts.resolve(spec),
            (None, Some(name)) => accounts.resolve(name),
            (None, None) => return,
        };
        // One that setup renumbered or removed stays who it was: its home and files are that one's.
        if let Ok(now) = found
            && now.identity.uid == self.agent.identity.uid
            && now.identity.gid == self.agent.identity.gid
        {
            self.agent.identity.groups = now.identity.groups;
        }
    }

    /// The identity that children of the agent take on, unless that changes nothing.
    pub(crate) fn agent_identity(&self) -> Option<&Identity> {
        self.changes_user.then_some(&self.agent.identity)
    }

    /// The environment of children that run as the agent.
    pub(crate) fn agent_environment(&self) -> Environment {
        let mut environment = self.children.clone();
        if let Some(name) = &self.agent.name
            && self.changes_user
        {
            environment.set_default("USER", name);
            environment.set_default("LOGNAME", name);
        }
        environment
    }
}

/// The directory that whoever started the container chose for CMD (`docker run --workdir`): the one that this process
/// was started in, unless it is the presets' own, or `/`, which an engine has where nobody says.
fn chosen_directory() -> Option<PathBuf> {
    let here = std::env::current_dir().ok()?;
    let is_container = nix::unistd::getpid().as_raw() == 1;
    let is_default = here == Path::new(path::WORKSPACE) || here == Path::new("/");
    (is_container && !is_default).then_some(here)
}

/// The agent: who was named, else `amika` where root may become it, else whoever we are.
pub(crate) fn choose_agent(place: &Place, accounts: &Accounts, own: &User) -> Result<User, String> {
    if let Some(user) = &place.user {
        return accounts
            .resolve(user)
            .map_err(|unknown| format!("--user {user}: {unknown}"));
    }
    if own.identity.uid == 0
        && let Ok(agent) = accounts.resolve(AGENT_USER)
    {
        return Ok(agent);
    }
    Ok(own.clone())
}

/// `wanted`, or the nearest directory above it that is there; with a word if it is not `wanted`. Where none but `/`
/// is, HOME.
pub(crate) fn nearest_directory(wanted: &Path, environment: &Environment) -> PathBuf {
    if wanted.is_dir() {
        return wanted.to_owned();
    }
    let above = wanted
        .ancestors()
        .skip(1)
        .find(|directory| directory.is_dir());
    let home = environment.get("HOME").map(PathBuf::from);
    let found = above
        .filter(|directory| *directory != Path::new("/"))
        .map(Path::to_owned)
        .or_else(|| home.filter(|home| home.is_dir()))
        .unwrap_or_else(|| "/".into());
    say(format!(
        "{} is no directory; starting in {}",
        wanted.display(),
        found.display()
    ));
    found
}

fn script_to_run(once: Option<&Once>) -> Option<Script> {
    let script = Script::find(Path::new(path::SETUP_SCRIPT))?;
    if once.is_some_and(Once::is_done) {
        say("setup.sh already succeeded in this sandbox; skipped");
        return None;
    }
    Some(script)
}

/// Makes amikad's own directories, before anything is kept in them. Nothing of the agent's is looked at.
pub(crate) fn make_own_directories() {
    let mounts = Mounts::read();
    refuse_other_users();
    clear_run_directory(&mounts);
    for directory in OWN {
        make_directory(Path::new(directory), None, &mounts);
    }
    // Of jobs of earlier boots nobody knows any more.
    if let Err(error) = fs::remove_dir_all(path::JOB_LOG_DIR)
        && error.kind() != io::ErrorKind::NotFound
    {
        say_unkept(format!("cannot remove {}: {error}", path::JOB_LOG_DIR));
    }
}

/// Says of a user who may not write amikad's directories what that comes to, in one line. Root may, or is told of each
/// directory why not.
fn refuse_other_users() {
    let user = nix::unistd::geteuid();
    let may_write = |directory: &&str| {
        let mut there = Path::new(directory).ancestors().filter(|at| at.exists());
        there
            .next()
            .is_some_and(|at| access(at, AccessFlags::W_OK).is_ok())
    };
    let refused: Vec<&str> = OWN.into_iter().filter(|it| !may_write(it)).collect();
    if user.is_root() || refused.is_empty() {
        return;
    }
    crate::say::keep_nothing(format!(
        "user {user} may not write {}: no logs, API token and OpenCode password are kept. Start the container without `--user`, \
         and CMD runs as the agent; or give it these directories, as by `--tmpfs {}:uid={user}`",
        refused.join(", "),
        refused[0]
    ));
}

/// Empties `/run/amikad`: nothing of an earlier boot survives. All of it is best effort.
fn clear_run_directory(mounts: &Mounts) {
    let run = Path::new(path::RUN_DIR);
    make_directory(run, None, mounts);
    for entry in fs::read_dir(run).into_iter().flatten().flatten() {
        let target = entry.path();
        if target == Path::new(path::LOCK) {
            continue;
        }
        let directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let removed = if directory {
            fs::remove_dir_all(&target)
        } else {
            fs::remove_file(&target)
        };
        if let Err(error) = removed {
            say(format!("cannot remove {}: {error}", target.display()));
        }
    }
    // The ids of what runs in the sandbox are root's to see.
    let exec = fs::DirBuilder::new().mode(0o700).create(path::EXEC_DIR);
    if let Err(error) = exec {
        say_unkept(format!("cannot make {}: {error}", path::EXEC_DIR));
    }
}

/// Reads and removes the orders for this one boot.
fn take_orders() -> NextBoot {
    let file = Path::new(path::NEXT_BOOT);
    let text = match read_small(file, ORDERS_LIMIT) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return NextBoot::default(),
        text => text,
    };
    if let Err(error) = fs::remove_file(file) {
        say(format!("cannot remove {}: {error}", file.display()));
    }
    let orders = text.and_then(|text| Ok(serde_json::from_slice(&text)?));
    orders.unwrap_or_else(|error| {
        say(format!("{} is not understood: {error}", file.display()));
        NextBoot::default()
    })
}

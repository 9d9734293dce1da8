//! What must be there before anything is started: directories, the home, this boot's orders.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use amika_core::contract::{AGENT_USER, env, path};
use amika_core::wire::NextBoot;
use nix::sys::signal::SigSet;

use crate::args::Place;
use crate::environment::Environment;
use crate::mapping;
use crate::mounts::Mounts;
use crate::say::{say, say_once};
use crate::setup::Script;
use crate::sys::Identity;
use crate::users::{Accounts, User};

/// Everything a boot starts from.
#[derive(Debug)]
pub(crate) struct Boot {
    /// The container's environment.
    pub(crate) environment: Environment,
    /// What children get of it.
    pub(crate) children: Environment,
    /// The user that CMD and the OpenCode server run as.
    pub(crate) agent: User,
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
    /// Signal mask of the container.
    pub(crate) mask: SigSet,
    /// Whether this process is the container's PID 1.
    pub(crate) is_init: bool,
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
        clear_run_directory();
        for (directory, mode) in [(path::STATE_DIR, 0o755), (path::LOG_DIR, 0o755)] {
            make_directory(Path::new(directory), mode, None);
        }
        let orders = take_orders();
        let identity = changes_user.then_some(&agent.identity);
        prepare_home(identity);
        let agent_cwd = environment.agent_cwd();
        make_directory(&agent_cwd, 0o755, identity);
        give_way_to(&agent_cwd, identity);
        let cmd_cwd = place
            .workdir
            .as_ref()
            .map_or_else(|| agent_cwd.clone(), PathBuf::from);
        make_directory(&cmd_cwd, 0o755, identity);
        let mut children = environment.clone();
        children.remove_secrets();
        children.trust_repositories();
        if Path::new(path::HOME).is_dir() {
            children.set_agent_home(own.home.as_deref());
        }
        children.set(env::AGENT_CWD, agent_cwd.clone());
        if orders.rescue {
            say("rescue boot: setup and CMD are skipped");
            cmd = Vec::new();
        }
        let skip = orders.skip_setup || orders.rescue;
        let script = (!skip).then(|| script_to_run(&environment)).flatten();
        Ok(Self {
            environment,
            children,
            agent,
            agent_was_named: place.user.is_some(),
            changes_user,
            cmd,
            cmd_cwd,
            agent_cwd,
            script,
            mask,
            is_init: nix::unistd::getpid().as_raw() == 1,
        })
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

/// The first of these that is a directory: `wanted`, HOME, `/`; with a word if it is not `wanted`.
pub(crate) fn nearest_directory(wanted: &Path, environment: &Environment) -> PathBuf {
    if wanted.is_dir() {
        return wanted.to_owned();
    }
    let home = environment
        .get("HOME")
        .map(PathBuf::from)
        .filter(|home| home.is_dir());
    let found = home.unwrap_or_else(|| "/".into());
    say(format!(
        "{} is no directory; starting in {}",
        wanted.display(),
        found.display()
    ));
    found
}

fn script_to_run(environment: &Environment) -> Option<Script> {
    let file = Path::new(path::SETUP_SCRIPT);
    let script = Script::find(file)?;
    let once = environment
        .get(env::SETUP_ONCE)
        .is_some_and(|value| value == "1");
    if once
        && let (Ok(done), Ok(hash)) = (
            fs::read_to_string(path::SETUP_DONE),
            crate::setup::hash(file),
        )
        && done.trim() == hash
    {
        say("setup.sh already succeeded in this sandbox; skipped");
        return None;
    }
    Some(script)
}

/// Empties `/run/amikad`: nothing of an earlier boot survives. All of it is best effort.
fn clear_run_directory() {
    let run = Path::new(path::RUN_DIR);
    make_directory(run, 0o755, None);
    for entry in fs::read_dir(run).into_iter().flatten().flatten() {
        let target = entry.path();
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
    make_directory(Path::new(path::EXEC_DIR), 0o700, None);
}

/// Reads and removes the orders for this one boot.
fn take_orders() -> NextBoot {
    let Ok(text) = fs::read(path::NEXT_BOOT) else {
        return NextBoot::default();
    };
    if let Err(error) = fs::remove_file(path::NEXT_BOOT) {
        say(format!("cannot remove {}: {error}", path::NEXT_BOOT));
    }
    serde_json::from_slice(&text).unwrap_or_else(|error| {
        say(format!("{} is not understood: {error}", path::NEXT_BOOT));
        NextBoot::default()
    })
}

/// Makes `directory` with what is missing above it; what is made is given to `owner`.
fn make_directory(directory: &Path, mode: u32, owner: Option<&Identity>) {
    if directory.is_dir() {
        return;
    }
    let missing: Vec<_> = directory
        .ancestors()
        .take_while(|above| !above.exists())
        .collect();
    for level in missing.into_iter().rev() {
        if let Err(error) = fs::DirBuilder::new().mode(mode).create(level) {
            if error.kind() != io::ErrorKind::AlreadyExists {
                say_once(format!("cannot make {}: {error}", level.display()));
            }
            return;
        }
        give(level, owner);
    }
}

/// Makes `path` the agent's; a failure shows in what the agent then cannot do.
fn give(path: &Path, owner: Option<&Identity>) {
    if let Some(owner) = owner
        && let Err(error) = std::os::unix::fs::lchown(path, Some(owner.uid), Some(owner.gid))
    {
        say(format!(
            "cannot give {} to the agent: {error}",
            path.display()
        ));
    }
}

/// Makes the home, gives it to the agent, and fills its gaps from the skeleton.
fn prepare_home(owner: Option<&Identity>) {
    let home = Path::new(path::HOME);
    make_directory(home, 0o755, owner);
    let Ok(data) = home.symlink_metadata() else {
        return;
    };
    if data.uid() == 0 && owner.is_some() && !Mounts::read().is_from_host(home) {
        give(home, owner);
    }
    fill_gaps(Path::new(path::SKELETON), home, owner, &Mounts::read());
}

/// Gives the agent the directories from its home to its working directory that an engine made as
/// root, as it does for mount points; nothing from the host, and nothing beyond a link.
fn give_way_to(agent_cwd: &Path, owner: Option<&Identity>) {
    let Ok(way) = agent_cwd.strip_prefix(path::HOME) else {
        return;
    };
    let mut level = PathBuf::from(path::HOME);
    for name in way.components() {
        level.push(name);
        let Ok(data) = level.symlink_metadata() else {
            return;
        };
        if !data.is_dir() {
            return;
        }
        if data.uid() == 0 && owner.is_some() && !Mounts::read().is_from_host(&level) {
            give(&level, owner);
        }
    }
}

/// Copies from `source` what `target` does not have; never overwrites, never follows a link.
fn fill_gaps(source: &Path, target: &Path, owner: Option<&Identity>, mounts: &Mounts) {
    // What the host brought in is the host's: nothing is missing there.
    if mounts.is_from_host(target) {
        return;
    }
    for entry in fs::read_dir(source).into_iter().flatten().flatten() {
        let (from, to) = (entry.path(), target.join(entry.file_name()));
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        let there = to.symlink_metadata().ok();
        let made = match (kind.is_dir(), &there) {
            (true, Some(data)) if data.is_dir() => {
                fill_gaps(&from, &to, owner, mounts);
                continue;
            }
            (true, None) => fs::create_dir(&to).and_then(|()| copy_mode(&from, &to)),
            (false, None) if kind.is_symlink() => {
                fs::read_link(&from).and_then(|link| std::os::unix::fs::symlink(link, &to))
            }
            (false, None) if kind.is_file() => copy_file(&from, &to),
            // Something is there already, or it is nothing a skeleton can hold.
            _ => continue,
        };
        match made {
            Ok(()) => {
                give(&to, owner);
                if kind.is_dir() {
                    fill_gaps(&from, &to, owner, mounts);
                }
            }
            Err(error) => {
                say(format!("cannot make {}: {error}", to.display()));
                // A home that cannot be written is told once.
                return;
            }
        }
    }
}

fn copy_mode(from: &Path, to: &Path) -> io::Result<()> {
    fs::set_permissions(to, from.metadata()?.permissions())
}

fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    let mut source = fs::File::open(from)?;
    let mode = source.metadata()?.permissions().mode();
    let mut target = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(to)?;
    io::copy(&mut source, &mut target)?;
    target.set_permissions(fs::Permissions::from_mode(mode & 0o777))
}

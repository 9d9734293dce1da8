//! `amikad exec-as`, `shell` and `kill`: how the host runs something as the agent, and ends it.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use amika_core::contract::{env, path};

use crate::args::ExecAs;
use crate::boot::{choose_agent, nearest_directory};
use crate::environment::{Environment, c_string};
use crate::say::say;
use crate::spawn::explain_exec;
use crate::sys;
use crate::users::{Accounts, User};

/// Exit code for failures before there is a command to run; 126 and 127 are the command's own.
const OWN_FAILURE: i32 = 125;
/// Exit code for a command that is there and cannot be run, as docker and shells have it.
const CANNOT_RUN: i32 = 126;
/// Exit code of `kill` for a process that is gone.
const GONE: i32 = 3;

/// Becomes the user and the command; returns only if that fails.
pub(crate) fn exec_as(exec: &ExecAs) -> i32 {
    let accounts = Accounts::read();
    let uid = nix::unistd::geteuid().as_raw();
    let own = accounts.by_uid(uid);
    let user = match choose_agent(&exec.place, &accounts, &own) {
        Ok(user) => user,
        Err(problem) => {
            say(problem);
            return OWN_FAILURE;
        }
    };
    if let Some(id) = &exec.id {
        // Without a terminal, a session of its own, so that `kill` reaches all of it. With one,
        // the engine made this process its leader already.
        let _ = nix::unistd::setsid();
        if let Err(error) = register(id) {
            say(format!(
                "cannot note process {id} in {}: {error}",
                path::EXEC_DIR
            ));
            return OWN_FAILURE;
        }
    }
    let changes = uid != user.identity.uid || exec.place.user.is_some() && uid == 0;
    if changes && let Err(error) = user.identity.assume() {
        let name = user
            .name
            .clone()
            .unwrap_or_else(|| user.identity.uid.to_string());
        say(format!("cannot become user `{name}`: {error}"));
        return OWN_FAILURE;
    }
    let environment = environment(exec, &own, &user);
    // A directory that was asked for is entered or nothing runs, as with `docker exec --workdir`: the program may
    // delete what it finds. The agent's own may be gone, and nobody is locked out for that.
    let agents = environment.agent_cwd();
    let (cwd, code) = if let Some(workdir) = &exec.place.workdir {
        (agents.join(workdir), CANNOT_RUN)
    } else {
        (nearest_directory(&agents, &environment), OWN_FAILURE)
    };
    if let Err(error) = std::env::set_current_dir(&cwd) {
        say(format!("cannot enter {}: {error}", cwd.display()));
        return code;
    }
    let Some(command) = exec.cmd.clone() else {
        return login_shell(&user, &environment);
    };
    let Some(name) = command.first() else {
        return CANNOT_RUN;
    };
    let candidates = environment.candidates(name);
    let error = execute(&candidates, &command, &environment);
    let (code, message) = explain_exec(name, &candidates, &error);
    say(message);
    code
}

/// The environment as the daemon gives it to the agent, for somebody whom the engine started.
fn environment(exec: &ExecAs, own: &User, user: &User) -> Environment {
    let mut environment = Environment::of_process();
    let chosen = environment.take_chosen();
    environment.remove_secrets();
    environment.trust_repositories();
    if Path::new(path::HOME).is_dir() {
        environment.set_agent_home(own.home.as_deref());
    }
    let agent_cwd = environment.agent_cwd();
    environment.set(env::AGENT_CWD, agent_cwd);
    if let Some(name) = &user.name {
        environment.set("USER", name);
        environment.set("LOGNAME", name);
    }
    for (key, value) in chosen {
        environment.set(&key, value);
    }
    for (key, value) in &exec.env {
        if let Some(key) = key.to_str() {
            environment.set(key, value);
        }
    }
    environment
}

fn execute(candidates: &[PathBuf], argv: &[OsString], environment: &Environment) -> io::Error {
    let candidates: Vec<_> = candidates
        .iter()
        .map(|path| c_string(path.as_os_str()))
        .collect();
    let argv: Vec<_> = argv.iter().map(|arg| c_string(arg)).collect();
    // What was said is this program's.
    crate::say::finish();
    sys::exec(&candidates, &argv, &environment.to_c_strings())
}

/// The user's shell, else zsh, bash, sh: the first that is there.
fn login_shell(user: &User, environment: &Environment) -> i32 {
    let named = user.shell.iter().map(PathBuf::from);
    let usual = ["zsh", "bash", "sh"]
        .iter()
        .flat_map(|name| environment.candidates(name.as_ref()));
    for shell in named.chain(usual) {
        let executable = shell
            .metadata()
            .is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0);
        if !executable || is_no_shell(&shell) {
            continue;
        }
        let mut environment = environment.clone();
        environment.set("SHELL", shell.clone());
        // A leading dash is how login(1) asks for a login shell.
        let mut name = OsString::from("-");
        name.push(shell.file_name().unwrap_or(OsStr::new("sh")));
        let error = execute(std::slice::from_ref(&shell), &[name], &environment);
        say(format!("cannot start {}: {error}", shell.display()));
    }
    say("this image has no shell; run one of its programs with `exec`");
    127
}

/// What `/etc/passwd` names for users who may not log in.
fn is_no_shell(shell: &Path) -> bool {
    matches!(
        shell.file_name().map(OsStr::as_bytes),
        Some(b"nologin" | b"false" | b"true" | b"sync")
    )
}

/// Notes this process under `id`: number and start time, which together never come again.
fn register(id: &str) -> io::Result<()> {
    forget_the_gone();
    let pid = std::process::id();
    let start = start_time(pid).ok_or(io::ErrorKind::NotFound)?;
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let file = Path::new(path::EXEC_DIR).join(id);
    if let Some(directory) = file.parent() {
        fs::create_dir_all(directory)?;
    }
    // Written aside, so that nobody finds a note that says nothing yet. A link takes no place that is taken.
    let aside = file.with_extension(pid.to_string());
    let _ = fs::remove_file(&aside);
    let note = format!("{pid} {start}\n");
    let linked = options
        .open(&aside)
        .and_then(|mut written| io::Write::write_all(&mut written, note.as_bytes()))
        .and_then(|()| fs::hard_link(&aside, &file));
    // Gone with the next boot where it cannot go now.
    let _ = fs::remove_file(&aside);
    linked
}

/// Removes the notes of processes that ended: nobody else learns of their end.
fn forget_the_gone() {
    for entry in fs::read_dir(path::EXEC_DIR).into_iter().flatten().flatten() {
        let file = entry.path();
        let text = fs::read_to_string(&file).unwrap_or_default();
        // One with a dot is about to be linked into its place by its process.
        if file.extension().is_none() && registered(&text).is_none() {
            let _ = fs::remove_file(file);
        }
    }
}

/// The process a note means, if it still lives.
fn registered(note: &str) -> Option<u32> {
    let (pid, start) = note.trim().split_once(' ')?;
    let pid = pid.parse().ok()?;
    (start_time(pid)? == start.parse::<u64>().ok()?).then_some(pid)
}

/// When a process started, in ticks since the machine's boot; none if it ended.
fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields = stat.get(stat.rfind(')')? + 1..)?;
    let mut fields = fields.split_ascii_whitespace();
    let state = fields.next()?;
    // Field 22 of proc(5), counted from the state, which is field 3.
    let ticks = fields.nth(18)?.parse().ok()?;
    (state != "Z" && state != "X").then_some(ticks)
}

/// Signals the process group of what `exec-as --id` started; 3 if it is gone.
pub(crate) fn kill(id: &str, signo: i32) -> i32 {
    let file = Path::new(path::EXEC_DIR).join(id);
    let note = match fs::read_to_string(&file) {
        Ok(note) => note,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return GONE,
        Err(error) => {
            say(format!("cannot read {}: {error}", file.display()));
            return 1;
        }
    };
    let Some(pid) = registered(&note).and_then(|pid| i32::try_from(pid).ok()) else {
        let _ = fs::remove_file(&file);
        return GONE;
    };
    // The group; with a terminal it may be the shell's child that is in front.
    match sys::kill(-pid, signo).or_else(|_| sys::kill(pid, signo)) {
        Ok(()) => 0,
        Err(error) if error.raw_os_error() == Some(nix::libc::ESRCH) => GONE,
        Err(error) => {
            say(format!("cannot signal {id}: {error}"));
            1
        }
    }
}

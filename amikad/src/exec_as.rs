//! `amikad exec-as`, `shell` and `kill`: how the host runs something as the agent, and ends it.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use amika_core::contract::{env, path};
use amika_core::wire::GivenVariables;

use crate::args::ExecAs;
use crate::boot::{choose_agent, nearest_directory};
use crate::environment::{Environment, c_string};
use crate::exec_note::{self, Note};
use crate::limits::Limits;
use crate::look;
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
        if let Err(error) = exec_note::write(id) {
            say(format!(
                "cannot note process {id} in {}: {error}",
                path::EXEC_DIR
            ));
            return OWN_FAILURE;
        }
    }
    if let Some(longest) = exec_note::told_to_look()
        && let Err(error) = look::stand_above(longest)
    {
        say(format!("cannot make a second process: {error}"));
        return OWN_FAILURE;
    }
    crate::spawn::raise_own_oom_score();
    sys::give_terminal(user.identity.uid);
    // While this is root: nobody else may read it.
    let given = crate::given::current();
    let changes = uid != user.identity.uid || exec.place.user.is_some() && uid == 0;
    if changes && let Err(error) = user.identity.assume() {
        let name = user
            .name
            .clone()
            .unwrap_or_else(|| user.identity.uid.to_string());
        say(format!("cannot become user `{name}`: {error}"));
        return OWN_FAILURE;
    }
    let environment = environment(exec, &own, &user, &given);
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
fn environment(exec: &ExecAs, own: &User, user: &User, given: &GivenVariables) -> Environment {
    let mut environment = Environment::of_process();
    let chosen = environment.take_chosen();
    environment.remove_secrets();
    crate::given::add(&mut environment, given);
    if environment.get(env::EXEC_TURN).is_some() {
        crate::given::add_agents(&mut environment, given);
    }
    environment.trust_repositories();
    Limits::read().tell(&mut environment);
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
    // Ours alone: what the program starts is its affair.
    environment.remove(env::EXEC_TURN);
    environment.remove(env::EXEC_LOOK);
    environment.remove(env::EXEC_LOOK_SECONDS);
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
    let note = Note::read(&note);
    let Some(pid) = note.and_then(Note::living) else {
        let _ = fs::remove_file(&file);
        return GONE;
    };
    // Who stands above a look ends all of it, wherever that hangs by now.
    let (to, signo) = if note.is_some_and(Note::is_look) {
        (pid, nix::libc::SIGTERM)
    } else {
        (-pid, signo)
    };
    // The group; with a terminal it may be the shell's child that is in front.
    match sys::kill(to, signo).or_else(|_| sys::kill(pid, signo)) {
        Ok(()) => 0,
        Err(error) if error.raw_os_error() == Some(nix::libc::ESRCH) => GONE,
        Err(error) => {
            say(format!("cannot signal {id}: {error}"));
            1
        }
    }
}

//! How the OpenCode web server is found, started, probed, and ended with its whole tree.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use amika_core::contract::{OPENCODE_PORT, env};

use crate::environment::Environment;

/// The file that `opencode` means for the agent, if it may execute one.
pub(crate) fn find(environment: &Environment) -> Option<PathBuf> {
    environment
        .candidates("opencode".as_ref())
        .into_iter()
        .find(|candidate| {
            candidate
                .metadata()
                .is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
        })
}

/// Whether the environment allows the server.
pub(crate) fn is_enabled(environment: &Environment) -> bool {
    environment
        .get(env::OPENCODE_WEB)
        .is_none_or(|value| value != "0")
}

/// The server's command line.
pub(crate) fn command_line(program: &Path) -> Vec<OsString> {
    let port = OPENCODE_PORT.to_string();
    let mut line = vec![program.as_os_str().to_owned()];
    line.extend(["web", "--port", &port, "--hostname", "0.0.0.0"].map(OsString::from));
    line
}

/// The server's environment: the agent's, with the password that nobody else gets.
pub(crate) fn environment(agent: &Environment, password: &str) -> Environment {
    let mut environment = agent.clone();
    environment.set(env::OPENCODE_PASSWORD, password);
    // `opencode web` opens a browser; there is none here, and a desktop's must not be asked.
    environment.set("BROWSER", "true");
    environment
}

/// Processes that belong to the server `leader`: its session, its group, and its descendants.
pub(crate) fn tree(leader: i32) -> Vec<i32> {
    let processes = processes();
    let mut tree = vec![leader];
    // A child may have a lower number than its parent; go round until nothing is new.
    loop {
        let before = tree.len();
        for process in &processes {
            let belongs = process.session == leader
                || process.group == leader
                || tree.contains(&process.parent);
            if belongs && !tree.contains(&process.pid) {
                tree.push(process.pid);
            }
        }
        if tree.len() == before {
            return tree;
        }
    }
}

/// Processes below `ancestor`.
pub(crate) fn descendants(ancestor: i32) -> Vec<i32> {
    let processes = processes();
    let mut found = vec![ancestor];
    loop {
        let before = found.len();
        for process in &processes {
            if found.contains(&process.parent) && !found.contains(&process.pid) {
                found.push(process.pid);
            }
        }
        if found.len() == before {
            found.remove(0);
            return found;
        }
    }
}

struct Process {
    pid: i32,
    parent: i32,
    group: i32,
    session: i32,
}

fn processes() -> Vec<Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(process).collect()
}

fn process(pid: i32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything, parentheses too.
    let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace();
    let state = fields.next()?;
    let mut number = || fields.next()?.parse().ok();
    let (parent, group, session) = (number()?, number()?, number()?);
    (state != "Z" && state != "X").then_some(Process {
        pid,
        parent,
        group,
        session,
    })
}

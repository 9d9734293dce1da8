//! What the flags of `create` ask a server for.

use std::path::Path;

use amika_core::contract::env::OPENCODE_WEB;
use amika_core::credential::{Agent, Selection};
use amika_core::opencode::OpenCodeStart;
use amika_core::size::Size;
use serde_json::{Map, Value, json};

use super::repository::Wanted;
use crate::App;
use crate::args::sandbox::CreateArgs;
use crate::commands::remote::unsupported::option;
use crate::error::{Error, Kind, Result};
use crate::host_path;

/// The body of `POST /sandboxes`.
///
/// # Errors
/// [`Kind::Invalid`] for what a server is not asked for, and for files that cannot be read.
pub(super) fn body(args: &CreateArgs, wanted: Option<&Wanted>, app: &App) -> Result<Value> {
    let mut body = Map::new();
    let mut put = |name: &str, value: Value| {
        if !value.is_null() {
            body.insert(name.to_owned(), value);
        }
    };
    put("name", json!(args.name));
    put("preset", json!(args.preset));
    put("image", json!(args.image));
    put("size", json!(args.size.map(Size::as_str)));
    if let Some(wanted) = wanted {
        put("repo_url", json!(wanted.url));
        put("branch", json!(wanted.branch));
        put("upload_id", json!(wanted.upload_id));
    }
    put("new_branch_name", json!(args.new_branch));
    let environment = crate::environment::read(&args.env, &args.env_file)?;
    crate::environment::warn_of_unset(&environment.unset, &app.out);
    let opencode = args.opencode.map(OpenCodeStart::variable);
    let opencode = opencode.map(|value| (OPENCODE_WEB.to_owned(), value.to_owned()));
    let variables: Map<String, Value> = (environment.set.into_iter().chain(opencode))
        .map(|(name, value)| (name, value.into()))
        .collect();
    if !variables.is_empty() {
        put("env_vars", variables.into());
    }
    if !args.port.is_empty() {
        put("ports", json!(args.port));
    }
    if let Some(script) = &args.setup_script {
        put("setup_script_text", read_script(script)?.into());
    }
    if args.no_setup {
        put("skip_setup_script", true.into());
    }
    if let Some(agents) = &args.credentials {
        let agents: Selection = agents
            .parse()
            .map_err(|error| Error::new(Kind::Invalid, format!("--credentials: {error}")))?;
        let kinds = Agent::ALL
            .into_iter()
            .filter(|agent| agents.contains(*agent));
        let kinds = kinds.map(|agent| json!({ "kind": agent.as_str() }));
        put("agent_credentials", kinds.collect());
    }
    Ok(body.into())
}

fn read_script(path: &Path) -> Result<String> {
    let text = std::fs::read_to_string(path);
    text.map_err(|error| host_path::unreadable(Kind::Invalid, "--setup-script ", path, &error))
}

/// Refuses what has no meaning on a server.
pub(super) fn refuse(args: &CreateArgs) -> Result<()> {
    let machine = "a server has none of this machine's files: `--no-clean` sends a working copy, `cp` copies in";
    let size = "a server takes sizes: `--size xs`, `m`, `l` or `xl`";
    for (is_given, flag, hint) in [
        (!args.mount.is_empty(), "--mount", machine),
        (
            !args.volume.is_empty(),
            "--volume",
            "volumes are the server's own",
        ),
        (
            args.from_volume.is_some(),
            "--from-volume",
            "it goes on with a volume of this machine's engine",
        ),
        (args.writable_git, "--writable-git", ""),
        (args.allow_setid, "--allow-setid", ""),
        (
            args.dotfiles.is_some(),
            "--dotfiles",
            "clone them in the sandbox: `amika sandbox exec --remote NAME -- git clone URL dotfiles`",
        ),
        (
            args.agent_config.is_some(),
            "--agent-config",
            "`amika sandbox cp --remote` copies files into the agent's home",
        ),
        (args.trust.is_some(), "--trust", ""),
        (args.setup_once, "--setup-once", ""),
        (
            args.port_host_ip != "127.0.0.1",
            "--port-host-ip",
            "`--port` takes a host address",
        ),
        (args.expose_opencode, "--expose-opencode", ""),
        (args.network.is_some(), "--network", ""),
        (!args.cap_add.is_empty(), "--cap-add", ""),
        (args.privileged, "--privileged", ""),
        (args.cpus.is_some(), "--cpus", size),
        (args.memory.is_some(), "--memory", size),
        (args.pids.is_some(), "--pids", size),
        (args.own_uid, "--own-uid", ""),
        (
            !args.command.is_empty(),
            "a command",
            "the image's own CMD runs",
        ),
    ] {
        if is_given {
            return Err(option(flag, hint));
        }
    }
    Ok(())
}

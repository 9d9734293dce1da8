//! The names, paths and ports that the host and the daemon must agree on.
//!
//! Each value is part of the contract with users' images and scripts: changing one breaks sandboxes
//! that exist.

use std::ops::RangeInclusive;

/// Container ports that belong to Amika; user workloads may not declare or publish them.
pub const RESERVED_PORTS: RangeInclusive<u16> = 60899..=60999;
/// Port of amikad's HTTP API in the container.
pub const AMIKAD_PORT: u16 = 60999;
/// Port of the OpenCode web server in the container.
pub const OPENCODE_PORT: u16 = 60998;
/// Where that listens itself, on the loopback alone, while amikad has its port: where it is started on demand.
pub const OPENCODE_INNER_PORT: u16 = 60997;

/// Version of the HTTP API on [`AMIKAD_PORT`], as `/v1/status` reports it.
pub const API_VERSION: u32 = 1;

/// A repository's configuration, relative to its root.
pub const REPO_CONFIG: &str = ".amika/config.toml";

/// Names of the preset images.
pub const PRESETS: [&str; 2] = ["coder", "coder-dind"];

/// The unprivileged user of the preset images.
pub const AGENT_USER: &str = "amika";

/// The setup script that presets carry and that stands for "no setup": it runs like any other, and
/// amikad knows by its content that it left nothing to hand over.
pub const NOOP_SETUP: &[u8] = b"#!/bin/sh\n# Amika: no setup.\nexit 0\n";

/// Exit code of `amikad unpack` when the pipe that it was given is not the host's: nothing was read.
pub const PIPE_NOT_SHARED: i32 = 3;
/// Exit code of `amikad unpack` when the volume is full: its words go to a log, which may have no room
/// either.
pub const VOLUME_FULL: i32 = 4;

/// Names of the services that amikad keeps up.
pub mod service {
    /// The OpenCode web server.
    pub const OPENCODE: &str = "opencode";
    /// The Docker Engine inside a sandbox of the preset `coder-dind`.
    pub const DOCKERD: &str = "dockerd";
}

/// Absolute paths in the container.
pub mod path {
    /// Home of the agent user.
    pub const HOME: &str = "/home/amika";
    /// The directory beneath which repositories are cloned; the agent's directory without one.
    pub const WORKSPACE: &str = "/home/amika/workspace";
    /// The repository of the user's dotfiles, where the Dev Container CLI has it.
    pub const DOTFILES: &str = "/home/amika/dotfiles";
    /// What a new home is filled with, where a preset brings it.
    pub const SKELETON: &str = "/etc/skel-amika";
    /// The script that must exit 0 before CMD starts.
    pub const SETUP_SCRIPT: &str = "/usr/local/etc/amikad/setup/setup.sh";
    /// Directory of the daemon's own program, the same in presets and in images it is put into.
    pub const AMIKAD_DIR: &str = "/usr/local/lib/amikad";
    /// The daemon's program.
    pub const AMIKAD: &str = "/usr/local/lib/amikad/amikad";

    /// Files of the running boot; cleared at the start of each.
    pub const RUN_DIR: &str = "/run/amikad";
    /// Holds the number of the OpenCode web server's port, written when the server is started.
    pub const OPENCODE_PORT_FILE: &str = "/run/amikad/opencode-web.port";
    /// Root-only socket that speaks the HTTP API without a token.
    pub const CONTROL_SOCKET: &str = "/run/amikad/amikad.sock";
    /// Held by the daemon for as long as it lives, so that there is one.
    pub const LOCK: &str = "/run/amikad/lock";
    /// One file for each process started by `amikad exec-as --id`, named by the id.
    pub const EXEC_DIR: &str = "/run/amikad/exec";

    /// Bounded logs.
    pub const LOG_DIR: &str = "/var/log/amikad";
    /// Output of the setup script.
    pub const SETUP_LOG: &str = "/var/log/amikad/setup.log";
    /// Output of the OpenCode web server.
    pub const OPENCODE_LOG: &str = "/var/log/amikad/opencode-web.log";
    /// Output of the Docker Engine inside.
    pub const DOCKERD_LOG: &str = "/var/log/amikad/dockerd.log";
    /// Output of the sandbox's own services, a file each.
    pub const SERVICE_LOG_DIR: &str = "/var/log/amikad/services";
    /// Output of jobs, a file each; cleared at the start of each boot.
    pub const JOB_LOG_DIR: &str = "/var/log/amikad/jobs";
    /// The daemon's own log.
    pub const AMIKAD_LOG: &str = "/var/log/amikad/amikad.log";

    /// Images, containers and volumes of the Docker Engine inside; a volume in sandboxes made by `amika`.
    pub const DOCKER_DIR: &str = "/var/lib/docker";
    /// What outlives a boot; a volume in sandboxes made by `amika`.
    pub const STATE_DIR: &str = "/var/lib/amikad";
    /// The API token, made at start when the environment names none.
    pub const TOKEN_FILE: &str = "/var/lib/amikad/token";
    /// The OpenCode web server's password.
    pub const OPENCODE_PASSWORD_FILE: &str = "/var/lib/amikad/opencode-password";
    /// JSON [`crate::wire::BootRecord`]: how the last boot went, readable from a stopped container.
    pub const BOOT_RECORD: &str = "/var/lib/amikad/boot.json";
    /// JSON [`crate::wire::NextBoot`]: instructions for one boot; consumed by it.
    pub const NEXT_BOOT: &str = "/var/lib/amikad/next-boot.json";
    /// JSON state of the repository when the sandbox was made.
    pub const GIT_SNAPSHOT: &str = "/var/lib/amikad/git-snapshot.json";
    /// Directory of what each copy of host files was made of, by number: later work is told from it.
    pub const COPIES: &str = "/var/lib/amikad/copies";
    /// Such a list of the home: what the image, `amika` and setup put there.
    pub const HOME_BEGINNING: &str = "/var/lib/amikad/copies/home";
    /// JSON list of agents whose sign-ins were copied in after the sandbox was made: its labels, which
    /// cannot change, know of the others.
    pub const ADDED_CREDENTIALS: &str = "/var/lib/amikad/added-credentials.json";
    /// JSON [`crate::wire::GivenVariables`]: variables that stand in no environment of the container.
    pub const SECRETS_ENV: &str = "/var/lib/amikad/secrets.env";
    /// The same for the next boot: it takes the place of the other once it was found to be whole.
    pub const NEXT_SECRETS_ENV: &str = "/var/lib/amikad/secrets.env.next";
    /// JSON list of [`crate::service::Service`]: the sandbox's own services, which amikad runs.
    pub const SERVICES: &str = "/var/lib/amikad/services.json";
    /// Whether the user's dotfiles wait to be installed, and how that went: [`crate::wire::Dotfiles`].
    pub const DOTFILES_NOTE: &str = "/var/lib/amikad/dotfiles.json";
    /// SHA-256 (hex) of the setup script that last succeeded, for [`super::env::SETUP_ONCE`].
    pub const SETUP_DONE: &str = "/var/lib/amikad/setup-done";
}

/// Environment variables of the container.
pub mod env {
    /// The agent's working directory.
    pub const AGENT_CWD: &str = "AMIKA_AGENT_CWD";
    /// When the OpenCode web server is started: see [`crate::opencode::OpenCodeStart::of_variable`].
    pub const OPENCODE_WEB: &str = "AMIKA_OPENCODE_WEB";
    /// `1` lets amikad start a Docker Engine inside; images that bring one for it set this.
    pub const DOCKERD: &str = "AMIKA_DOCKERD";
    /// Name of the sandbox.
    pub const SANDBOX_NAME: &str = "AMIKA_SANDBOX_NAME";
    /// Hexadecimal SHA-256 of the API token; removed from the environment of all children.
    pub const TOKEN_SHA256: &str = "AMIKA_TOKEN_SHA256";
    /// `1` skips a setup script whose content already succeeded in this sandbox.
    pub const SETUP_ONCE: &str = "AMIKA_SETUP_ONCE";
    /// User id that the presets' agent takes on at start, so that what it makes in a directory of
    /// the host belongs to that directory's owner. Never 0.
    pub const AGENT_UID: &str = "AMIKA_AGENT_UID";
    /// Group id that goes with [`AGENT_UID`].
    pub const AGENT_GID: &str = "AMIKA_AGENT_GID";
    /// Names of the variables that whoever runs a program with `amikad exec-as` chose for it, with `=` between them,
    /// which no name has: their values win over what amikad sets. They come as the process's environment
    /// and not as arguments, which anybody in the sandbox can read, and which the engine puts into its events.
    pub const EXEC_ENV: &str = "AMIKA_EXEC_ENV";
    /// `1` on a program that `amikad exec-as` runs: it is an agent's turn, and the sandbox is active for as long as
    /// it runs.
    pub const EXEC_TURN: &str = "AMIKA_EXEC_TURN";
    /// `1` on a program that `amikad exec-as` runs: it is the host looking, and neither it nor what it starts counts as
    /// activity. With it ends all that it started.
    pub const EXEC_LOOK: &str = "AMIKA_EXEC_LOOK";
    /// How long such a look may take, in seconds, an hour where it is not said: then it is ended, also where nobody
    /// waits for it any more.
    pub const EXEC_LOOK_SECONDS: &str = "AMIKA_EXEC_LOOK_SECONDS";
    /// `1` measures from the start on whether the sandbox is active; else measuring begins when somebody asks.
    pub const ACTIVITY: &str = "AMIKA_ACTIVITY";
    /// Password of the OpenCode web server; given to that process alone.
    pub const OPENCODE_PASSWORD: &str = "OPENCODE_SERVER_PASSWORD";
}

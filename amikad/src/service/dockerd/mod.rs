//! The Docker Engine inside a sandbox, for images that bring one and say so (`AMIKA_DOCKERD=1`).

mod cgroup;
mod rights;

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use amika_core::contract::{env, path, service};
use nix::sys::statfs::{OVERLAYFS_SUPER_MAGIC, statfs};

use super::{Endpoint, Held, Probe, Request, RunAs, Scope, Spec, Stop, TIMEOUT};
use crate::environment::Environment;
use crate::lifecycle::{Course, Starts};
use crate::mounts::Mounts;
use crate::places::make_directory;
use crate::say::{say, say_once};
use crate::secrets::Secrets;

pub(super) static SPEC: Spec = Spec {
    name: service::DOCKERD,
    title: "the Docker Engine",
    program: "dockerd",
    // It gives its containers a second less than it gets itself.
    arguments: &["--shutdown-timeout", "14"],
    user: RunAs::Own,
    is_agent: false,
    port: None,
    is_enabled,
    prepare,
    add_variables,
    log: path::DOCKERD_LOG,
    directory: "",
    variables: &[],
    held: Held::No,
    announce: || (),
    probe: Probe::Answers(Request {
        at: Endpoint::Socket("/var/run/docker.sock"),
        path: "/_ping",
        authorization: None,
        is_up: |body| body == b"OK",
        interval: Duration::from_millis(100),
        timeout: TIMEOUT,
        goes_on: true,
    }),
    course: Course::own(Starts::WithSetup),
    stop: Stop {
        // It stops its containers, then containerd, its child; told at once, containerd would be gone first.
        term: Scope::Leader,
        grace: 15_000,
    },
    awaited: Some(15_000),
};

/// What an engine that was killed leaves behind. Whoever has the number now is taken for it, and a new one refuses
/// to start.
const STALE: [&str; 3] = [
    "/var/run/docker.pid",
    "/var/run/docker/containerd/containerd.pid",
    "/var/run/docker/containerd/docker-containerd.pid",
];

fn is_enabled(environment: &Environment) -> bool {
    environment
        .get(env::DOCKERD)
        .is_some_and(|value| value == "1")
}

fn prepare() -> Result<(), String> {
    rights::check()?;
    for file in STALE {
        match fs::remove_file(file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                say_once(format!("cannot remove {file}: {error}"));
            }
            _ => {}
        }
    }
    let mounts = Mounts::read();
    make_directory(Path::new(path::DOCKER_DIR), None, &mounts);
    if let Err(error) = cgroup::make_writable(&mounts) {
        // Containers without limits may work all the same.
        say(format!("control groups stay as they are: {error}"));
    }
    Ok(())
}

/// Where the directory is no volume but the container's own root, another driver is chosen: overlay does not work
/// on overlay.
fn add_variables(environment: &mut Environment, _: &Secrets) {
    let is_on_overlay =
        statfs(path::DOCKER_DIR).is_ok_and(|fs| fs.filesystem_type() == OVERLAYFS_SUPER_MAGIC);
    if is_on_overlay {
        let has_fuse = Path::new("/dev/fuse").exists();
        let driver = if has_fuse { "fuse-overlayfs" } else { "vfs" };
        environment.set_default("DOCKER_DRIVER", driver);
    }
}

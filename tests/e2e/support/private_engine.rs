//! An engine of a test's own, which nobody else uses: it may be killed, and all that is on it is the
//! test's.
//!
//! It lives in namespaces of its own, with its data on a tmpfs that only these see. So it can neither
//! take away the bridge of the engine beside it nor outlive the test: with the first process of its
//! PID namespace go the daemon, its containerd, the shims, the containers and all mounts.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::{Output, Run, Stage, eventually};

/// What the first process in the namespaces does: a place for the data, users for an engine that maps
/// them, then collecting what ended.
/// The shims' sockets stand in /run/containerd, whatever the engine is told.
const INIT: &str = r#"set -e
mkdir -p /run/containerd "$1"
ip link set lo up
mount -t tmpfs -o mode=0755 tmpfs "$1"
mount -t tmpfs -o mode=0755 tmpfs /run/containerd
echo daemon:300000:65536 >"$1.ids"
for file in /etc/subuid /etc/subgid; do mount --bind "$1.ids" "$file"; done
: >"$1.ready"
while :; do sleep 3600 & wait; done"#;

/// The engine. It ends with its guard, or with the test's process.
pub(crate) struct PrivateEngine {
    dir: tempfile::TempDir,
    /// `unshare`, the parent of the first process.
    namespaces: Child,
    daemon: Option<Child>,
    /// Further arguments of the daemon.
    options: &'static [&'static str],
}

/// First of the users that an engine of [`PrivateEngine::start_remapped`] has its containers' users be.
pub(crate) const SUBORDINATE: u32 = 300_000;

impl PrivateEngine {
    /// Starts one that has these images.
    pub(crate) fn start(stage: &Stage, images: &[&str]) -> Self {
        Self::start_with(stage, images, &[])
    }

    /// Starts one whose containers have a user namespace: root in them is [`SUBORDINATE`] outside.
    pub(crate) fn start_remapped(stage: &Stage, images: &[&str]) -> Self {
        Self::start_with(stage, images, &["--userns-remap=daemon:daemon"])
    }

    /// Starts one whose own network has packets of so many bytes at most, and addresses of IPv6.
    pub(crate) fn start_with_ipv6(stage: &Stage, images: &[&str]) -> Self {
        // In its namespace there is no other bridge.
        let options = &[
            "--bridge=",
            "--mtu=1400",
            "--ipv6",
            "--fixed-cidr-v6=fd00:a::/64",
        ];
        Self::start_with(stage, images, options)
    }

    fn start_with(stage: &Stage, images: &[&str], options: &'static [&'static str]) -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "this test starts an engine of its own, which only root may: run the tests as root, such as with `sudo -E make test`"
        );
        let dir = tempfile::Builder::new()
            .prefix("amika-e2e-engine-")
            .tempdir()
            .unwrap();
        let data = dir.path().join("data");
        let namespaces = Command::new("setpriv")
            // Also where the test's process is killed and cleans up nothing.
            .args([
                "--pdeathsig",
                "KILL",
                "unshare",
                "--net",
                "--mount",
                "--pid",
            ])
            .args(["--fork", "--kill-child", "--mount-proc"])
            .args(["sh", "-c", INIT, "sh"])
            .arg(&data)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(dir.path().join("init.log")).unwrap())
            .spawn()
            .unwrap_or_else(|error| panic!("setpriv: {error}; install util-linux"));
        let mut engine = Self {
            dir,
            namespaces,
            daemon: None,
            options,
        };
        eventually("the engine's namespaces are there", || {
            engine.assert_alive();
            engine.dir.path().join("data.ready").exists()
        });
        engine.revive();
        for image in images {
            let copy = "set -o pipefail; docker save \"$1\" | docker --host \"$2\" load";
            let copied = stage.shell(copy, &[image, &engine.host()]).output();
            assert_eq!(copied.code, 0, "{copied:?}; run scripts/test-images");
        }
        engine
    }

    /// The value of `DOCKER_HOST`.
    pub(crate) fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// Its socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("docker.sock")
    }

    /// Runs `docker` on it.
    pub(crate) fn docker(&self, args: &[&str]) -> Output {
        let mut command = Command::new("docker");
        command.args(["--host", &self.host()]).args(args);
        Run::new(command).output()
    }

    /// What kills the daemon at once, and its containerd with it: the containers run on.
    pub(crate) fn killer(&self) -> impl Fn() + Send + Sync + 'static {
        let enter = self.enter();
        let pid_file = self.dir.path().join("pid");
        move || {
            let pid = std::fs::read_to_string(&pid_file).unwrap();
            let killed = Command::new("nsenter")
                .args(&enter)
                .args(["kill", "-KILL", pid.trim()])
                .status();
            assert!(killed.unwrap().success());
        }
    }

    /// Leaves so many MiB of its disk free.
    pub(crate) fn leave_free(&self, mebibytes: u32) {
        let script = "used=$(df -k --output=used \"$1\" | tail -n 1) && \
                      mount -o remount,size=$((used + 1024 * $2))k \"$1\"";
        let shrunk = Command::new("nsenter")
            .args(self.enter())
            .args(["sh", "-c", script, "sh"])
            .arg(self.dir.path().join("data"))
            .arg(mebibytes.to_string())
            .status();
        assert!(shrunk.unwrap().success());
    }

    /// Kills the daemon and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        self.killer()();
        self.wait();
    }

    /// Starts the daemon, again where it was killed, on the data that there is.
    pub(crate) fn revive(&mut self) {
        self.wait();
        let at = |name: &str| self.dir.path().join(name);
        let log = File::options()
            .create(true)
            .append(true)
            .open(at("dockerd.log"))
            .unwrap();
        let daemon = Command::new("nsenter")
            .args(self.enter())
            .arg("dockerd")
            .arg("--data-root")
            .arg(at("data/root"))
            .arg("--exec-root")
            .arg(at("data/exec"))
            .arg("--host")
            .arg(self.host())
            .arg("--pidfile")
            .arg(at("pid"))
            .args(["--bridge", "none", "--iptables=false"])
            .args(["--ip-forward=false", "--ip-masq=false"])
            // Where the namespaces' end leaves the groups of containers, they are found.
            .args(["--exec-opt", "native.cgroupdriver=cgroupfs"])
            .args(["--cgroup-parent", &self.cgroup()])
            .args(self.options)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("nsenter: {error}; install util-linux"));
        self.daemon = Some(daemon);
        let log = at("dockerd.log");
        eventually("the test's own engine answers", || {
            let ended = self.daemon.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "it ended: {}", tail(&log));
            self.docker(&["version"]).code == 0
        });
    }

    /// Waits for the end of a daemon that was killed.
    fn wait(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            eventually("the engine ended", || daemon.try_wait().unwrap().is_some());
        }
    }

    fn assert_alive(&mut self) {
        if let Some(status) = self.namespaces.try_wait().unwrap() {
            let log = tail(&self.dir.path().join("init.log"));
            panic!("an engine of its own cannot be had: {status}: {log}");
        }
    }

    /// The way into its namespaces.
    fn enter(&self) -> Vec<String> {
        let namespaces = format!("/proc/{}/ns", self.namespaces.id());
        ["net=net", "mount=mnt", "pid=pid_for_children"]
            .iter()
            .filter_map(|pair| pair.split_once('='))
            .map(|(option, file)| format!("--{option}={namespaces}/{file}"))
            .collect()
    }

    /// The parent of its containers' groups.
    fn cgroup(&self) -> String {
        let name = self.dir.path().file_name().unwrap();
        format!("/{}", name.to_str().unwrap())
    }
}

impl Drop for PrivateEngine {
    fn drop(&mut self) {
        // Its child, the first process of the namespace, goes with it, and all others with that.
        let _ = self.namespaces.kill();
        let _ = self.namespaces.wait();
        if let Some(mut daemon) = self.daemon.take() {
            let _ = daemon.wait();
        }
        let controllers = std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten();
        let below = controllers.flatten().map(|entry| entry.path());
        for root in below.chain([PathBuf::from("/sys/fs/cgroup")]) {
            remove_groups(&root.join(&self.cgroup()[1..]));
        }
    }
}

/// Removes a group and those in it; processes that were killed leave them within moments.
fn remove_groups(group: &Path) {
    let entries = std::fs::read_dir(group).into_iter().flatten().flatten();
    for entry in entries {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_groups(&entry.path());
        }
    }
    for _ in 0..50 {
        if !group.exists() || std::fs::remove_dir(group).is_ok() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// The last lines of a log.
fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(10)..].join("\n")
}

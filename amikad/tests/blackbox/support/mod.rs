//! A sandbox without an engine: the real binary as PID 1 of namespaces of its own.
//!
//! Its root is a scratch directory into which the machine's programs are mounted read-only, so a
//! test can lay out files beforehand and look at them afterwards, and the machine is left alone.

mod client;

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub use client::{Answer, PROOF, authorization, challenge, one_answer, parse};

/// How long anything may take on a busy machine before a test calls it stuck.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// Makes the root and becomes amikad in it. $1 is the root, then come words that wrap amikad.
const INNER: &str = r#"
set -e
root=$1; shift
mount --make-rprivate /
mkdir -p "$root/usr" "$root/dev" "$root/proc"
mount --rbind -o ro /usr "$root/usr"
mount -o remount,bind,ro "$root/usr"
mount --bind "$root/local" "$root/usr/local"
for name in bin sbin lib lib64; do
    if [ -L "/$name" ]; then ln -sfn "$(readlink "/$name")" "$root/$name"
    elif [ -d "/$name" ]; then mkdir -p "$root/$name"; mount --bind "/$name" "$root/$name"; fi
done
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for name in null zero urandom tty; do : > "$root/dev/$name"; mount --bind "/dev/$name" "$root/dev/$name"; done
mkdir "$root/dev/pts"; mount --bind /dev/pts "$root/dev/pts"
if [ -e "$root/termination-log" ]; then
    : > "$root/dev/termination-log"; mount --bind "$root/termination-log" "$root/dev/termination-log"
fi
mount -t proc ${PROC_OPTIONS:+-o "$PROC_OPTIONS"} proc "$root/proc"
ip link set lo up
if [ -n "$READ_ONLY" ]; then mount --rbind "$root" "$root"; mount -o remount,bind,ro "$root"; cd "$root"; fi
unset PROC_OPTIONS READ_ONLY OLDPWD
exec "$@"
"#;

/// A sandbox to be.
pub struct Builder {
    root: PathBuf,
    env: Vec<(String, String)>,
    wrapper: Vec<String>,
    options: Vec<String>,
    stdin: Stdio,
    stdout: Option<Stdio>,
    read_only: bool,
    proc_options: Option<&'static str>,
    init: bool,
}

/// A sandbox that runs or ran.
pub struct Sandbox {
    /// Its root directory as the test sees it.
    pub root: PathBuf,
    unshare: Child,
    stdout: Option<JoinHandle<Vec<u8>>>,
    stderr: Option<JoinHandle<Vec<u8>>>,
}

/// How it ended.
#[derive(Debug)]
pub struct Ended {
    /// Exit code of amikad.
    pub code: i32,
    /// The container's output.
    pub stdout: String,
    /// Its errors.
    pub stderr: String,
}

/// The token that [`Builder::with_token`] sets up.
pub const TOKEN: &str = "blackbox-token";
/// Its SHA-256.
const TOKEN_SHA256: &str = "0e4f23d77a364b3558361dc5ff56b7f1c8420b5bf132144a0070b1b4b276eb0d";

impl Builder {
    /// A sandbox with the user `amika` and nothing else.
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let root =
            std::env::temp_dir().join(format!("amikad-blackbox-{}-{number}", std::process::id()));
        for directory in [
            "etc",
            "local/etc/amikad/setup",
            "home",
            "run",
            "tmp",
            "var/lib",
            "var/log",
        ] {
            fs::create_dir_all(root.join(directory)).unwrap();
        }
        fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
        let passwd = "root:x:0:0:root:/root:/bin/sh\namika:x:1000:1000::/home/amika:/bin/sh\n\
                      other:x:2000:2000::/home/other:/nonexistent\n";
        fs::write(root.join("etc/passwd"), passwd).unwrap();
        let group = "root:x:0:\namika:x:1000:\nhelpers:x:900:amika\nother:x:2000:\n";
        fs::write(root.join("etc/group"), group).unwrap();
        fs::copy(env!("CARGO_BIN_EXE_amikad"), root.join("amikad")).unwrap();
        Self::in_root(root)
    }

    /// The same on a root that is there.
    fn in_root(root: PathBuf) -> Self {
        let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        Self {
            root,
            env: vec![("PATH".into(), path.into())],
            wrapper: Vec::new(),
            options: Vec::new(),
            stdin: Stdio::null(),
            stdout: None,
            read_only: false,
            proc_options: None,
            init: true,
        }
    }

    /// Its root directory as the test sees it.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Puts an executable file there.
    pub fn program(self, path: &str, text: &str) -> Self {
        self.file(path, text, 0o755)
    }

    /// Puts a file there.
    pub fn file(self, path: &str, text: &str, mode: u32) -> Self {
        let file = inside(&self.root, path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        self
    }

    /// Puts a symbolic link there.
    pub fn link(self, target: &str, path: &str) -> Self {
        let file = inside(&self.root, path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(target, file).unwrap();
        self
    }

    /// Sets the setup script.
    pub fn setup(self, text: &str) -> Self {
        self.program("/usr/local/etc/amikad/setup/setup.sh", text)
    }

    /// Sets a variable of the container.
    pub fn env(mut self, key: &str, value: &str) -> Self {
        self.env.push((key.into(), value.into()));
        self
    }

    /// Lets the host know the API's token.
    pub fn with_token(self) -> Self {
        self.env("AMIKA_TOKEN_SHA256", TOKEN_SHA256)
    }

    /// Options of `amikad run`.
    pub fn options(mut self, options: &[&str]) -> Self {
        self.options = options.iter().map(ToString::to_string).collect();
        self
    }

    /// Words before `/amikad`, run inside the root.
    pub fn wrapped(mut self, words: &[&str]) -> Self {
        self.wrapper = words.iter().map(ToString::to_string).collect();
        self
    }

    /// The container's stdin.
    pub fn stdin(mut self, stdin: impl Into<Stdio>) -> Self {
        self.stdin = stdin.into();
        self
    }

    /// The container's stdout.
    pub fn stdout(mut self, stdout: impl Into<Stdio>) -> Self {
        self.stdout = Some(stdout.into());
        self
    }

    /// Makes the root read-only.
    pub fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    /// Mounts /proc with these options.
    pub fn proc_options(mut self, options: &'static str) -> Self {
        self.proc_options = Some(options);
        self
    }

    /// Puts a process above amikad, so that it is not PID 1.
    pub fn not_init(mut self) -> Self {
        self.init = false;
        self
    }

    /// Starts it without a CMD.
    pub fn start_idle(self) -> Sandbox {
        self.start_words(&[])
    }

    /// Starts it with a shell script as CMD.
    pub fn start(self, script: &str) -> Sandbox {
        self.start_words(&["sh", "-c", script])
    }

    /// Starts it with these words as CMD.
    pub fn start_words(self, cmd: &[&str]) -> Sandbox {
        let mut command = Command::new("unshare");
        command.args([
            "--fork",
            "--pid",
            "--mount",
            "--net",
            "--uts",
            "--ipc",
            "--kill-child",
        ]);
        command.args(["sh", "-c", INNER, "sh"]).arg(&self.root);
        command.arg("chroot").arg(&self.root).args(&self.wrapper);
        if !self.init {
            command.args(["sh", "-c", "\"$@\"; exit $?", "sh"]);
        }
        command
            .args(["/amikad", "run"])
            .args(&self.options)
            .arg("--")
            .args(cmd);
        command.env_clear().envs(self.env.iter().cloned());
        if self.read_only {
            command.env("READ_ONLY", "1");
        }
        if let Some(options) = self.proc_options {
            command.env("PROC_OPTIONS", options);
        }
        command.stdin(self.stdin).stderr(Stdio::piped());
        command.stdout(self.stdout.unwrap_or_else(Stdio::piped));
        let mut unshare = command.spawn().unwrap();
        // The parent's copies of the streams: readers must see the end.
        drop(command);
        let stdout = unshare.stdout.take().map(collect);
        let stderr = unshare.stderr.take().map(collect);
        Sandbox {
            root: self.root,
            unshare,
            stdout,
            stderr,
        }
    }
}

/// Reads a stream to its end beside the test.
fn collect(mut stream: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        all
    })
}

/// Where `path` of the sandbox is on this machine.
fn inside(root: &Path, path: &str) -> PathBuf {
    match path.strip_prefix("/usr/local/") {
        Some(rest) => root.join("local").join(rest),
        None => root.join(path.trim_start_matches('/')),
    }
}

/// Waits for `condition`; panics with `what` when patience is out.
pub fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(begun.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

impl Sandbox {
    /// Where `path` of the sandbox is on this machine.
    pub fn path(&self, path: &str) -> PathBuf {
        inside(&self.root, path)
    }

    /// Text of a file, empty if there is none.
    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_default()
    }

    /// The boot record.
    pub fn record(&self) -> serde_json::Value {
        serde_json::from_str(&self.read("/var/lib/amikad/boot.json")).unwrap()
    }

    /// Waits until the file has `text` in it.
    pub fn until_file_has(&self, path: &str, text: &str) {
        eventually(&format!("`{text}` in {path}"), || {
            self.read(path).contains(text).then_some(())
        });
    }

    /// Waits until the boot record has `value` at `key`.
    pub fn until_phase(&self, phase: &str) {
        self.until_file_has(
            "/var/lib/amikad/boot.json",
            &format!("\"phase\":\"{phase}\""),
        );
    }

    /// amikad's process id on this machine.
    pub fn pid(&self) -> i32 {
        let top = self.unshare.id();
        eventually("amikad", || {
            let mut pid = top;
            loop {
                let children = format!("/proc/{pid}/task/{pid}/children");
                let child = fs::read_to_string(children).ok()?;
                pid = child.split_whitespace().next()?.parse().ok()?;
                if fs::read_to_string(format!("/proc/{pid}/comm")).ok()?.trim() == "amikad" {
                    return i32::try_from(pid).ok();
                }
            }
        })
    }

    /// Sends a signal to amikad, as an engine would, once it can take any: before its first system
    /// calls the kernel drops what PID 1 has no handler for, whatever PID 1 is.
    pub fn signal(&self, signo: i32) {
        let status = format!("/proc/{}/status", self.pid());
        eventually("blocked signals", || {
            let text = fs::read_to_string(&status).ok()?;
            let blocked = text
                .lines()
                .find_map(|line| line.strip_prefix("SigBlk:\t"))?;
            (u64::from_str_radix(blocked, 16).ok()? & (1 << 14) != 0).then_some(())
        });
        let status = Command::new("kill")
            .args([format!("-{signo}"), self.pid().to_string()])
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// Waits for the end.
    pub fn wait(&mut self) -> Ended {
        let status = eventually("the sandbox's end", || self.unshare.try_wait().unwrap());
        let text = |handle: Option<JoinHandle<Vec<u8>>>| {
            let bytes = handle
                .map(|handle| handle.join().unwrap())
                .unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        Ended {
            code: status
                .code()
                .unwrap_or_else(|| 1000 + status.signal().unwrap()),
            stdout: text(self.stdout.take()),
            stderr: text(self.stderr.take()),
        }
    }

    /// Ends it as a machine that loses its power does; what is left of it, to be started again.
    pub fn crash(mut self) -> Builder {
        // With its parent goes PID 1, and with it everything inside.
        self.unshare.kill().unwrap();
        self.unshare.wait().unwrap();
        for reader in [self.stdout.take(), self.stderr.take()]
            .into_iter()
            .flatten()
        {
            reader.join().unwrap();
        }
        Builder::in_root(std::mem::take(&mut self.root))
    }

    /// How often the daemon's threads have slept so far.
    pub fn sleeps(&self) -> u64 {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.pid())).unwrap();
        let statuses =
            tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("status")).ok());
        statuses
            .filter_map(|status| {
                let line = status
                    .lines()
                    .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
                line.trim().parse::<u64>().ok()
            })
            .sum()
    }

    /// Runs something inside, as an engine's exec would: as root, with the container's variables.
    pub fn exec(&self, words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        let pid = self.pid();
        command.args([
            "-t",
            &pid.to_string(),
            "-m",
            "-n",
            "-p",
            "-u",
            "-i",
            "--root",
            "--wd=/",
            "--",
        ]);
        let environ = fs::read(format!("/proc/{pid}/environ")).unwrap();
        let environ = String::from_utf8(environ).unwrap();
        command
            .env_clear()
            .envs(environ.split('\0').filter_map(|pair| pair.split_once('=')));
        command.args(words).stdin(Stdio::null());
        command
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if self.root.as_os_str().is_empty() {
            // It crashed, and its root is another's.
            return;
        }
        // With its parent goes PID 1, and with it everything inside.
        let _ = self.unshare.kill();
        let _ = self.unshare.wait();
        let begun = Instant::now();
        while fs::remove_dir_all(&self.root).is_err() && self.root.exists() {
            assert!(
                begun.elapsed() < PATIENCE,
                "cannot remove {}",
                self.root.display()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

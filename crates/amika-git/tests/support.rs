//! A host repository, a copy of it, and what is compared.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use amika_git::{self as git, Copy, GitError, Owner, Repository, Request};
use amika_host::machine::Machine;
use sha2::{Digest as _, Sha256};

pub(crate) const DIRTY: Copy = Copy::Dirty {
    include_ignored: false,
};
pub(crate) const ALL: Copy = Copy::Dirty {
    include_ignored: true,
};
pub(crate) const OWNER: Owner = Owner {
    uid: 4711,
    gid: 4712,
};

/// A directory with repositories of a host in it.
pub(crate) struct Host {
    directory: tempfile::TempDir,
}

/// Git with no configuration but what a test says.
pub(crate) fn git_command(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("git");
    command
        .current_dir(directory)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("HOME", "/nonexistent")
        .env_remove("XDG_CONFIG_HOME")
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("LC_ALL", "C")
        // Not what a test looks for where it is.
        .env("PATH", absolute_path())
        .args([
            "-c",
            "protocol.file.allow=always",
            "-c",
            "commit.gpgSign=false",
        ])
        .args(["-c", "gc.auto=0", "-c", "maintenance.auto=false"])
        .args(["-c", "user.name=Me", "-c", "user.email=me@example.com"])
        .args(arguments);
    command
}

/// The directories of `PATH` that are the same wherever a program runs.
fn absolute_path() -> std::ffi::OsString {
    let path = std::env::var_os("PATH").expect("a path");
    let all = std::env::split_paths(&path).filter(|one| one.is_absolute());
    std::env::join_paths(all).expect("a path")
}

/// Runs git as the user of [`is_user_with`] does.
pub(crate) fn users_git(directory: &Path, arguments: &[&str]) -> String {
    let mut command = git_command(directory, arguments);
    for name in ["HOME", "GIT_CONFIG_GLOBAL"] {
        match std::env::var_os(name) {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    said(command, arguments)
}

/// Runs git, which must succeed; its output without the last line end.
pub(crate) fn git(directory: &Path, arguments: &[&str]) -> String {
    said(git_command(directory, arguments), arguments)
}

fn said(mut command: Command, arguments: &[&str]) -> String {
    let output = command.stdin(Stdio::null()).output().expect("git runs");
    assert!(
        output.status.success(),
        "git {arguments:?} in {:?}: {}",
        command.get_current_dir(),
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.strip_suffix('\n').unwrap_or(&text).to_owned()
}

/// Runs git, which must fail.
pub(crate) fn git_fails(directory: &Path, arguments: &[&str]) {
    let output = git_command(directory, arguments)
        .output()
        .expect("git runs");
    assert!(!output.status.success(), "git {arguments:?} succeeded");
}

/// Runs a test once more, in a process whose user has these files at home; says whether this is that
/// process.
pub(crate) fn is_user_with(test: &str, files: &[(&str, &str)]) -> bool {
    const MARK: &str = "AMIKA_TEST_USER";
    if std::env::var_os(MARK).is_some() {
        return true;
    }
    let home = tempfile::tempdir().expect("temporary directory");
    for (name, content) in files {
        write(home.path(), name, content);
    }
    let ended = Command::new(std::env::current_exe().expect("a test"))
        .args(["--exact", test, "--nocapture"])
        .env("HOME", home.path())
        .env_remove("XDG_CONFIG_HOME")
        .env_remove("GIT_CONFIG_GLOBAL")
        .env(MARK, "yes")
        .output()
        .expect("runs");
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(
        ended.status.success() && said.contains("1 passed"),
        "{said}{}",
        String::from_utf8_lossy(&ended.stderr)
    );
    false
}

pub(crate) fn write(directory: &Path, path: impl AsRef<Path>, content: impl AsRef<[u8]>) {
    let path = directory.join(path);
    std::fs::create_dir_all(path.parent().expect("has a parent")).expect("directory");
    std::fs::write(path, content).expect("file");
}

pub(crate) fn make_executable(path: &Path) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("chmod");
}

pub(crate) fn commit_all(directory: &Path, message: &str) -> String {
    git(directory, &["add", "-A"]);
    git(directory, &["commit", "-q", "--allow-empty", "-m", message]);
    git(directory, &["rev-parse", "HEAD"])
}

impl Host {
    pub(crate) fn new() -> Self {
        Self {
            directory: tempfile::tempdir().expect("temporary directory"),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory
            .path()
            .canonicalize()
            .expect("exists")
            .join(name)
    }

    /// An empty repository with a user of its own.
    pub(crate) fn empty(&self, name: &str, options: &[&str]) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(&path).expect("directory");
        git(&path, &[&["init", "-q", "-b", "main"], options].concat());
        git(&path, &["config", "user.name", "Host User"]);
        git(&path, &["config", "user.email", "host@example.com"]);
        path
    }

    /// A repository with one commit of two files.
    pub(crate) fn simple(&self, name: &str) -> PathBuf {
        let path = self.empty(name, &[]);
        write(&path, "a.txt", "one\n");
        write(&path, "src/b.txt", "two\n");
        commit_all(&path, "first");
        path
    }
}

pub(crate) fn request(path: &Path, copy: Copy) -> Request {
    Request {
        spec: Some(path.to_str().expect("text").to_owned()),
        copy,
        ..Request::default()
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("runtime")
}

pub(crate) fn open(request: Request) -> Result<Repository, GitError> {
    runtime().block_on(async {
        let opened = git::open(&Machine::of_process(), request, Path::new("/"), &|_| {}).await?;
        opened.with_lfs(true, &|_| {}).await
    })
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    runtime().block_on(future)
}

/// The archive's bytes, or the error it broke off with.
pub(crate) fn archive(repository: &Repository) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    repository.write_tar(OWNER, "", &mut bytes)?;
    Ok(bytes)
}

/// A copy as the sandbox would have it.
pub(crate) struct Copied {
    pub(crate) repository: Repository,
    directory: tempfile::TempDir,
}

impl Copied {
    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("copy")
    }

    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        git(&self.path(), arguments)
    }

    pub(crate) fn read(&self, path: &str) -> String {
        String::from_utf8(std::fs::read(self.path().join(path)).expect(path)).expect("text")
    }

    pub(crate) fn has(&self, path: &str) -> bool {
        self.path().join(path).symlink_metadata().is_ok()
    }
}

/// Copies and unpacks; the host must be the same afterwards, and the copy sound.
pub(crate) fn copy(request: Request) -> Copied {
    let host = request
        .spec
        .clone()
        .map(PathBuf::from)
        .filter(|path| path.is_dir());
    let before = host.as_deref().map(fingerprint);
    let copied = unpacked(open(request).expect("opens"));
    if let (Some(host), Some(before)) = (&host, before) {
        is_untouched(host, &before);
    }
    copied
}

/// A copy of what was opened; it must be sound.
pub(crate) fn unpacked(repository: Repository) -> Copied {
    block_on(repository.snapshot()).expect("snapshot");
    let bytes = archive(&repository).expect("archive");
    check_entries(&bytes);
    let directory = tempfile::tempdir().expect("temporary directory");
    let copied = Copied {
        repository,
        directory,
    };
    unpack(&bytes, &copied.path());
    git(&copied.path(), &["fsck", "--no-dangling", "--no-progress"]);
    copied
}

/// Each entry has the owner and a known kind, each directory its own entry before what is in it, and no
/// name leaves the directory.
fn check_entries(bytes: &[u8]) {
    let mut directories = std::collections::BTreeSet::new();
    let mut archive = tar::Archive::new(bytes);
    for (position, entry) in archive.entries().expect("archive").enumerate() {
        let entry = entry.expect("entry");
        let header = entry.header();
        let path = entry.path_bytes().into_owned();
        let shown = String::from_utf8_lossy(&path).into_owned();
        assert_eq!(header.uid().expect("uid"), u64::from(OWNER.uid), "{shown}");
        assert_eq!(header.gid().expect("gid"), u64::from(OWNER.gid), "{shown}");
        if position == 0 {
            assert_eq!(
                path, b"/",
                "Docker gives the root its owner by this name alone"
            );
            continue;
        }
        assert!(
            !path.starts_with(b"/") && !shown.split('/').any(|part| part == ".."),
            "{shown}"
        );
        let name = path.strip_suffix(b"/").unwrap_or(&path);
        if let Some(slash) = name.iter().rposition(|&byte| byte == b'/') {
            assert!(
                directories.contains(&name[..slash]),
                "no directory before {shown}"
            );
        }
        if header.entry_type().is_dir() {
            directories.insert(name.to_vec());
        } else {
            assert!(
                header.entry_type().is_file() || header.entry_type().is_symlink(),
                "{shown}"
            );
        }
    }
}

/// Unpacks with GNU tar, a second opinion on the format.
pub(crate) fn unpack(bytes: &[u8], target: &Path) {
    std::fs::create_dir_all(target).expect("directory");
    let mut child = Command::new("tar")
        .args(["-x", "--no-same-owner", "--same-permissions", "-C"])
        .arg(target)
        .stdin(Stdio::piped())
        .spawn()
        .expect("tar runs");
    child
        .stdin
        .take()
        .expect("piped")
        .write_all(bytes)
        .expect("fed");
    assert!(child.wait().expect("ends").success());
}

/// `git status` in a form that two places can be compared by.
pub(crate) fn status(path: &Path) -> String {
    git(
        path,
        &[
            "status",
            "--porcelain=v2",
            "--branch",
            "-z",
            "--untracked-files=all",
        ],
    )
}

/// Every path beneath a directory with kind, permission and content, git directories apart.
pub(crate) fn tree(root: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    walk(root, root, &mut |path, full| {
        if Path::new(std::ffi::OsStr::from_bytes(path))
            .components()
            .any(|part| part.as_os_str() == ".git")
        {
            return;
        }
        let meta = full.symlink_metadata().expect("meta");
        let what = if meta.is_symlink() {
            format!(
                "link {:?}",
                full.read_link().expect("link").into_os_string().into_vec()
            )
        } else if meta.is_dir() {
            return;
        } else {
            format!("file {:o} {}", meta.mode() & 0o100, hash(full))
        };
        found.insert(path.escape_ascii().to_string(), what);
    });
    found
}

/// Every path beneath a directory with everything about it that reading does not change.
pub(crate) fn fingerprint(root: &Path) -> BTreeMap<Vec<u8>, String> {
    let mut found = BTreeMap::new();
    // Reading such an index makes its trees anew, which renews the time of those that are there.
    let index = std::fs::read(root.join(".git/index")).unwrap_or_default();
    let is_sparse = index.windows(4).any(|window| window == b"sdir");
    walk(root, root, &mut |path, full| {
        let meta = full.symlink_metadata().expect("meta");
        let content = if meta.is_file() {
            hash(full)
        } else {
            String::new()
        };
        // The time of the last change of the inode: no other may be set without it.
        let (kind, mut changed) = (meta.mode(), (meta.ctime(), meta.ctime_nsec()));
        if git_renews(path) || (is_sparse && path.starts_with(b".git/objects/")) {
            changed = (0, 0);
        }
        let what = format!(
            "{kind:o} {} {} {changed:?} {content}",
            meta.uid(),
            meta.nlink()
        );
        found.insert(path.to_vec(), what);
    });
    found
}

/// Whether git sets a file's time whenever it reads it, so that `git gc` sees it is used.
fn git_renews(path: &[u8]) -> bool {
    path.starts_with(b".git/sharedindex.")
}

/// Asserts that nothing beneath a directory is other than it was.
fn is_untouched(root: &Path, before: &BTreeMap<Vec<u8>, String>) {
    let now = fingerprint(root);
    let differs = |path: &&Vec<u8>| before.get(*path) != now.get(*path);
    let changed = before.keys().chain(now.keys()).filter(differs);
    let changed: Vec<_> = changed
        .map(|path| {
            (
                path.escape_ascii().to_string(),
                before.get(path),
                now.get(path),
            )
        })
        .collect();
    assert!(changed.is_empty(), "the host changed: {changed:#?}");
}

fn walk(root: &Path, directory: &Path, see: &mut impl FnMut(&[u8], &Path)) {
    for entry in std::fs::read_dir(directory).expect("directory") {
        let full = entry.expect("entry").path();
        let path = full
            .strip_prefix(root)
            .expect("beneath")
            .as_os_str()
            .as_bytes();
        see(path, &full);
        if full.symlink_metadata().expect("meta").is_dir() {
            walk(root, &full, see);
        }
    }
}

fn hash(path: &Path) -> String {
    let content = std::fs::read(path).expect("readable");
    format!("{:02x?}", Sha256::digest(content).as_slice())
}

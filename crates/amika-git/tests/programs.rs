//! Programs that a repository's own configuration names: none of them runs on the host. Those of the user
//! do, as they would for `git clone`.

use std::path::{Path, PathBuf};

use amika_git::Copy;
use pretty_assertions::assert_eq;

use crate::support::*;

/// What leaves a trace when it runs, and what the trace is.
struct Trap {
    file: PathBuf,
}

impl Trap {
    fn new(host: &Host) -> Self {
        Self {
            file: host.path("ran"),
        }
    }

    /// A command that passes its input on.
    fn command(&self) -> String {
        format!("echo ran >>'{}'; cat", self.file.display())
    }

    fn configure(&self, repository: &Path, keys: &[&str]) {
        for key in keys {
            git(repository, &["config", key, &self.command()]);
        }
    }

    /// Whether it ran since it was last asked.
    fn ran(&self) -> bool {
        std::fs::remove_file(&self.file).is_ok()
    }
}

const DRIVER: [&str; 3] = [
    "filter.evil=x.clean",
    "filter.evil=x.smudge",
    "filter.other.process",
];
/// All else that git would run for one command or another.
const OTHERS: [&str; 12] = [
    "core.fsmonitor",
    "core.pager",
    "core.sshCommand",
    "core.alternateRefsCommand",
    "core.askPass",
    "credential.helper",
    "diff.external",
    "diff.evil.textconv",
    "diff.evil.command",
    "gpg.program",
    "pager.status",
    "lfs.extension.evil.clean",
];

/// A repository that tries to run something at each file, and has changes of every kind.
fn hostile(host: &Host, name: &str, trap: &Trap) -> PathBuf {
    let path = host.simple(name);
    write(
        &path,
        ".gitattributes",
        "* filter=evil=x diff=evil\n*.txt filter=other\n",
    );
    commit_all(&path, "attributes");
    arm(&path, trap);
    write(&path, "a.txt", "changed\n");
    write(&path, "src/same", "changed\n");
    path
}

/// Sets all that could run, hooks included.
fn arm(path: &Path, trap: &Trap) {
    trap.configure(path, &DRIVER);
    trap.configure(path, &OTHERS);
    git(path, &["config", "log.showSignature", "true"]);
    git(path, &["config", "status.submoduleSummary", "true"]);
    git(path, &["config", "filter.other.required", "true"]);
    let git_dir = git(path, &["rev-parse", "--absolute-git-dir"]);
    for hook in ["post-index-change", "post-checkout", "fsmonitor-watchman"] {
        let hook = Path::new(&git_dir).join("hooks").join(hook);
        write(
            Path::new("/"),
            &hook,
            format!("#!/bin/sh\n{}\n", trap.command()),
        );
        make_executable(&hook);
    }
}

fn warns_once(copied: &Copied, driver: &str) {
    let warnings = &copied.repository.facts().warnings;
    let named = format!("filter \"{driver}\" is not run");
    let count = warnings
        .iter()
        .filter(|warning| warning.starts_with(&named))
        .count();
    assert_eq!(count, 1, "{driver}: {warnings:?}");
}

#[test]
fn the_trap_works() {
    let host = Host::new();
    let trap = Trap::new(&host);
    let path = hostile(&host, "repo", &trap);
    let _ = git_command(&path, &["status"]).output().unwrap();
    assert!(trap.ran());
}

#[test]
fn no_program_of_a_repositorys_own_configuration_runs() {
    let host = Host::new();
    let trap = Trap::new(&host);
    let path = hostile(&host, "repo", &trap);
    for mode in [Copy::Clean, DIRTY, ALL] {
        let copied = copy(request(&path, mode));
        assert!(!trap.ran(), "{mode:?}");
        warns_once(&copied, "evil=x");
        warns_once(&copied, "other");
        assert!(copied.repository.facts().is_dirty);
        let config = copied.read(".git/config");
        assert_eq!(config.contains("evil=x"), mode != Copy::Clean, "{config}");
    }
}

#[test]
fn a_file_that_configuration_includes_is_part_of_it() {
    let host = Host::new();
    let trap = Trap::new(&host);
    let path = hostile(&host, "repo", &trap);
    let own = std::fs::read_to_string(path.join(".git/config")).unwrap();
    write(&path, "further", own);
    write(
        &path,
        ".git/config",
        "[includeIf \"gitdir:**\"]\n\tpath = ../further\n[user]\n\tname = x\n",
    );
    git(&path, &["config", "extensions.worktreeConfig", "true"]);
    git(
        &path,
        &[
            "config",
            "--worktree",
            "filter.third.clean",
            &trap.command(),
        ],
    );
    write(&path, ".git/info/attributes", "b.txt filter=third\n");
    for mode in [Copy::Clean, DIRTY] {
        let copied = copy(request(&path, mode));
        assert!(!trap.ran(), "{mode:?}");
        warns_once(&copied, "third");
        let warnings = &copied.repository.facts().warnings;
        let is_told = |warning: &String| warning.contains("configuration includes is not read");
        assert!(warnings.iter().any(is_told), "{warnings:?}");
    }
}

#[test]
fn no_program_of_a_submodules_configuration_runs() {
    let host = Host::new();
    let trap = Trap::new(&host);
    let (deep, module) = (host.simple("deep"), host.simple("module"));
    for repository in [&deep, &module] {
        write(repository, ".gitattributes", "* filter=evil=x\n");
        commit_all(repository, "attributes");
    }
    let add = |to: &Path, from: &Path| {
        git(
            to,
            &["submodule", "--quiet", "add", from.to_str().unwrap(), "sub"],
        );
        commit_all(to, "submodule");
    };
    add(&module, &deep);
    let path = host.simple("repo");
    add(&path, &module);
    git(
        &path,
        &["submodule", "--quiet", "update", "--init", "--recursive"],
    );
    for inner in ["sub", "sub/sub"] {
        arm(&path.join(inner), &trap);
    }
    write(&path, "sub/sub/a.txt", "changed\n");
    for mode in [Copy::Clean, DIRTY] {
        let copied = copy(request(&path, mode));
        assert!(!trap.ran(), "{mode:?}");
        assert!(copied.repository.facts().is_dirty, "{mode:?}");
        warns_once(&copied, "evil=x");
    }
    // One whose work tree is said to be elsewhere is not looked into at all.
    git(&path.join("sub"), &["config", "core.worktree", "/"]);
    for mode in [Copy::Clean, DIRTY] {
        copy(request(&path, mode));
        assert!(!trap.ran(), "{mode:?}");
    }
}

#[test]
fn a_bare_repository_among_cloned_files_runs_nothing() {
    let host = Host::new();
    let trap = Trap::new(&host);
    let path = hostile(&host, "repo", &trap);
    let outer = host.simple("outer");
    git(
        &outer,
        &["clone", "-q", "--bare", path.to_str().unwrap(), "docs.git"],
    );
    arm(&outer.join("docs.git"), &trap);
    assert!(!trap.ran());
    let copied = copy(request(&outer.join("docs.git"), Copy::Clean));
    assert!(!trap.ran());
    warns_once(&copied, "evil=x");
    assert_eq!(copied.read("a.txt"), "one\n");
    let copied = copy(request(&outer, DIRTY));
    assert!(!trap.ran());
    assert!(copied.has("docs.git/HEAD"));
}

/// Names of drivers that are no UTF-8, or look like another after some reading of them.
const SPELLINGS: [&[u8]; 5] = [
    b"\xff",
    b"evil\xed\xa0\x80",
    b"\xc3",
    b"A.b=v",
    b"\xef\xbf\xbd",
];

/// Adds a driver of that name with each of its programs to a file of configuration.
fn add_driver(file: &Path, name: &[u8], trap: &Trap) {
    let mut text = std::fs::read(file).unwrap_or_default();
    text.extend_from_slice(b"[filter \"");
    text.extend_from_slice(name);
    let command = trap.command();
    text.extend_from_slice(
        format!("\"]\n\tclean = \"{command}\"\n\tsmudge = \"{command}\"\n").as_bytes(),
    );
    text.extend_from_slice(format!("\tprocess = \"{command}\"\n").as_bytes());
    std::fs::write(file, text).unwrap();
}

/// Where a driver can be named: the file, seen from the repository, and what else that needs.
fn add_everywhere(path: &Path, name: &[u8], trap: &Trap) {
    let git_dir = PathBuf::from(git(path, &["rev-parse", "--absolute-git-dir"]));
    add_driver(&git_dir.join("config"), name, trap);
    git(path, &["config", "extensions.worktreeConfig", "true"]);
    add_driver(&git_dir.join("config.worktree"), name, trap);
    add_driver(&path.join("included"), name, trap);
    git(path, &["config", "--add", "include.path", "../included"]);
}

#[test]
fn no_spelling_of_a_drivers_name_gets_it_run_from_no_place() {
    for name in SPELLINGS {
        let host = Host::new();
        let trap = Trap::new(&host);
        let shown = name.escape_ascii();
        let path = host.simple("repo");
        let module = host.simple("module");
        let attributes = [b"*.txt filter=", name, b"\n"].concat();
        for repository in [&path, &module] {
            write(repository, ".gitattributes", &attributes);
            commit_all(repository, "attributes");
        }
        let from = module.to_str().unwrap();
        git(&path, &["submodule", "--quiet", "add", from, "sub"]);
        // One that is only there, one that is bare among the files, and a linked work tree.
        git(&path, &["clone", "-q", from, "embedded"]);
        git(&path, &["clone", "-q", "--bare", from, "bare"]);
        git(&path, &["add", ".gitmodules", "sub", "bare"]);
        git(&path, &["commit", "-q", "-m", "inside"]);
        git(&path, &["worktree", "add", "-q", "--detach", "../linked"]);
        for inner in ["", "sub", "embedded"] {
            add_everywhere(&path.join(inner), name, &trap);
            // As old as the index or older: git would look into it.
            write(&path.join(inner), "a.txt", "changed\n");
        }
        add_driver(&path.join("bare/config"), name, &trap);
        add_driver(
            &host.path("repo/.git/worktrees/linked/config.worktree"),
            name,
            &trap,
        );
        let linked = host.path("linked");
        write(&linked, "a.txt", "changed\n");
        trap.ran();
        for mode in [Copy::Clean, DIRTY, ALL] {
            for repository in [&path, &linked, &path.join("sub"), &path.join("embedded")] {
                copy(request(repository, mode));
                assert!(!trap.ran(), "{shown} {mode:?} {}", repository.display());
            }
        }
        let copied = copy(request(&path.join("bare"), Copy::Clean));
        assert!(!trap.ran(), "{shown}");
        assert!(
            copied
                .repository
                .facts()
                .warnings
                .iter()
                .any(|said| said.contains("is not run on this machine")),
            "{shown}"
        );
    }
}

#[test]
fn lfs_of_one_repository_is_lfs_and_not_what_it_says() {
    let host = Host::new();
    let trap = Trap::new(&host);
    let path = host.empty("repo", &[]);
    git(&path, &["lfs", "install", "--local", "--skip-repo"]);
    git(&path, &["lfs", "track", "--", "*.bin"]);
    write(&path, "a.bin", vec![1; 10_000]);
    commit_all(&path, "lfs");
    trap.configure(
        &path,
        &[
            "filter.lfs.clean",
            "filter.lfs.smudge",
            "filter.lfs.process",
        ],
    );
    write(&path, "a.bin", vec![2; 20_000]);
    for (mode, content) in [(Copy::Clean, vec![1; 10_000]), (DIRTY, vec![2; 20_000])] {
        let copied = copy(request(&path, mode));
        assert!(!trap.ran(), "{mode:?}");
        assert_eq!(std::fs::read(copied.path().join("a.bin")).unwrap(), content);
        let warnings = &copied.repository.facts().warnings;
        assert!(!warnings.iter().any(|said| said.contains("is not run")));
    }
    let opened = open(request(&path, DIRTY)).unwrap();
    let recorded = block_on(opened.snapshot()).unwrap().tree;
    git(
        &path,
        &["lfs", "install", "--local", "--skip-repo", "--force"],
    );
    git(&path, &["add", "-A"]);
    assert_eq!(recorded, Some(git(&path, &["write-tree"])));
}

#[test]
fn the_users_own_filters_run() {
    let users = "[filter \"up\"]\n\tsmudge = tr a-z A-Z\n\tclean = tr A-Z a-z\n\trequired\n";
    let this = "programs::the_users_own_filters_run";
    if !is_user_with(this, &[(".gitconfig", users)]) {
        return;
    }
    let host = Host::new();
    let path = host.simple("repo");
    write(&path, ".gitattributes", "*.txt filter=up\n");
    commit_all(&path, "attributes");
    let copied = copy(request(&path, Copy::Clean));
    assert_eq!(copied.read("a.txt"), "ONE\n");
    let warnings = &copied.repository.facts().warnings;
    assert!(
        !warnings.iter().any(|said| said.contains("filter")),
        "{warnings:?}"
    );
    assert!(copied.read(".git/config").contains("tr A-Z a-z"));
    // What the repository says of the same driver does not count.
    let trap = Trap::new(&host);
    trap.configure(&path, &["filter.up.smudge"]);
    let copied = copy(request(&path, Copy::Clean));
    assert!(!trap.ran());
    warns_once(&copied, "up");
    assert_eq!(copied.read("a.txt"), "one\n");
}

/// Runs a test once more as a user with this configuration, and with programs looked for where git runs too.
fn is_user_who_runs(test: &str, config: &str) -> bool {
    const MARK: &str = "AMIKA_TEST_RELATIVE";
    if std::env::var_os(MARK).is_some() {
        return true;
    }
    let home = tempfile::tempdir().unwrap();
    write(home.path(), ".gitconfig", config);
    let path = std::env::var("PATH").unwrap();
    let ended = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env("HOME", home.path())
        .env_remove("XDG_CONFIG_HOME")
        .env_remove("GIT_CONFIG_GLOBAL")
        .env("PATH", format!(".::bin:{path}"))
        .env(MARK, "yes")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(
        ended.status.success() && said.contains("1 passed"),
        "{said}{}",
        String::from_utf8_lossy(&ended.stderr)
    );
    false
}

#[test]
fn no_repository_supplies_a_program_that_the_users_configuration_names() {
    let config = "[filter \"dot\"]\n\tsmudge = ./tools/run\n\tclean = ./tools/run\n\
        [filter \"sub\"]\n\tclean = tools/run\n\tsmudge = cat | tools/run\n\trequired\n\
        [filter \"process\"]\n\tprocess = env X=/y tools/run\n\
        [filter \"script\"]\n\tclean = sh tools/run\n\tsmudge = sh tools/run\n\
        [filter \"source\"]\n\tclean = . tools/run\n\tsmudge = . ./tools/run\n\
        [filter \"module\"]\n\tclean = python3 -m tools\n\tsmudge = python3 -m tools\n\
        [filter \"path\"]\n\tclean = run\n\tsmudge = run\n\
        [filter \"lfs\"]\n\tprocess = git-lfs filter-process\n\tclean = git-lfs clean -- %f\n\
        [core]\n\tfsmonitor = ./tools/run\n\tpager = tools/run\n\thooksPath = tools\n\
        [diff]\n\texternal = tools/run\n\
        [credential]\n\thelper = ./tools/run\n[user]\n\tname = Me\n\temail = m@example.com\n";
    let this = "programs::no_repository_supplies_a_program_that_the_users_configuration_names";
    if !is_user_who_runs(this, config) {
        return;
    }
    let host = Host::new();
    let trap = Trap::new(&host);
    let path = host.simple("repo");
    let script = format!("#!/bin/sh\necho ran >>'{}'\n", trap.file.display());
    let python = format!("import sys\nopen({:?}, 'w')\n", trap.file);
    for name in [
        "tools/run",
        "run",
        "bin/run",
        "git",
        "bin/git",
        "git-lfs",
        "sh",
        "cat",
        "tools/post-checkout",
        "tools/post-index-change",
    ] {
        write(&path, name, &script);
        make_executable(&path.join(name));
    }
    write(&path, "tools/__main__.py", &python);
    write(&path, "tools.py", &python);
    let drivers = [
        "dot", "sub", "process", "script", "source", "module", "path", "lfs",
    ];
    let mut attributes = String::new();
    for driver in drivers {
        write(&path, format!("{driver}.txt"), "text\n");
        for part in [driver, ".txt filter=", driver, "\n"] {
            attributes.push_str(part);
        }
    }
    write(&path, ".gitattributes", attributes);
    commit_all(&path, "filters");
    for driver in drivers {
        write(&path, format!("{driver}.txt"), "changed\n");
    }
    git(&path, &["clone", "-q", "--bare", ".", "../bare.git"]);
    trap.ran();
    let bare = host.path("bare.git");
    for (place, mode) in [
        (&path, Copy::Clean),
        (&path, DIRTY),
        (&path, ALL),
        (&bare, Copy::Clean),
    ] {
        let copied = copy(request(place, mode));
        assert!(!trap.ran(), "{mode:?}");
        for driver in ["dot", "sub", "process", "source"] {
            warns_once(&copied, driver);
        }
        let warnings = &copied.repository.facts().warnings;
        let is_named = |said: &String| said.contains("./tools/run") && said.contains("whole path");
        assert!(warnings.iter().any(is_named), "{warnings:?}");
    }
}

#[test]
fn the_users_filters_run_in_an_empty_directory_of_this_machine() {
    let config = "[filter \"where\"]\n\tsmudge = \"cat; ls -A; git rev-parse --is-inside-git-dir\"\n\
        [filter \"name\"]\n\tsmudge = \"cat; echo %f 100%%\"\n[user]\n\tname = Me\n\temail = m@example.com\n";
    let this = "programs::the_users_filters_run_in_an_empty_directory_of_this_machine";
    if !is_user_with(this, &[(".gitconfig", config)]) {
        return;
    }
    let host = Host::new();
    let path = host.simple("repo");
    write(
        &path,
        ".gitattributes",
        "a.txt filter=where\n*/b.txt filter=name\n",
    );
    commit_all(&path, "filters");
    let copied = copy(request(&path, Copy::Clean));
    assert_eq!(copied.read("a.txt"), "one\nfalse\n");
    assert_eq!(copied.read("src/b.txt"), "two\nsrc/b.txt 100%\n");
}

#[test]
fn rules_that_the_users_configuration_names_in_the_repository_lead_nowhere() {
    let config = "[core]\n\texcludesFile = .rules\n\tattributesFile = sub/.attributes\n\
        [diff]\n\torderFile = .order\n[lfs]\n\tstorage = store\n[user]\n\tname = Me\n\temail = m@example.com\n";
    let this = "programs::rules_that_the_users_configuration_names_in_the_repository_lead_nowhere";
    if !is_user_with(this, &[(".gitconfig", config)]) {
        return;
    }
    let host = Host::new();
    let path = host.simple("repo");
    write(&host.path("private"), "secret", "this is nobody else's\n");
    write(&path, "untracked", "x");
    let secret = host.path("private/secret");
    std::os::unix::fs::symlink(&secret, path.join(".rules")).unwrap();
    std::os::unix::fs::symlink(host.path("private"), path.join("sub")).unwrap();
    for name in [".rules-fifo", ".order"] {
        let made = std::process::Command::new("mkfifo")
            .arg(path.join(name))
            .status();
        assert!(made.unwrap().success());
    }
    let is_clean = |copied: &Copied| {
        let found = std::process::Command::new("grep")
            .args(["-r", "this is nobody else's"])
            .arg(copied.path())
            .output()
            .unwrap();
        assert_eq!(found.status.code(), Some(1), "{found:?}");
    };
    for mode in [Copy::Clean, DIRTY, ALL] {
        is_clean(&copy(request(&path, mode)));
    }
    std::fs::remove_file(path.join(".rules")).unwrap();
    std::fs::rename(path.join(".rules-fifo"), path.join(".rules")).unwrap();
    for mode in [Copy::Clean, DIRTY, ALL] {
        is_clean(&copy(request(&path, mode)));
    }
    // A plain file of the work tree counts, as for git.
    std::fs::remove_file(path.join(".rules")).unwrap();
    write(&path, ".rules", "untracked\n");
    assert!(!copy(request(&path, DIRTY)).has("untracked"));
}

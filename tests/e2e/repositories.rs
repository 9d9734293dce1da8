//! `create --git` of repositories that the real git made, of every kind that people have: what the
//! sandbox holds is what the host has, and the host stays what it was.

mod host;
mod lfs_server;
mod origins;
pub(crate) mod server;
mod temporary;
mod trust;
mod untouched;

use std::path::{Path, PathBuf};

use crate::support::{DEBIAN, Output, Run, Sandbox, Stage, preset};
use host::{TOKEN, facts, facts_inside, fingerprint, introduce, is_sound, is_untouched, run};

/// A stage with a user whom git knows; sandboxes on it are of the preset, which has git in it.
struct World {
    stage: Stage,
}

impl World {
    fn new() -> Self {
        let stage = Stage::new();
        introduce(&stage);
        preset(&stage);
        Self { stage }
    }

    /// Makes a directory, beneath the home or at an absolute path, by a script.
    fn make(&self, name: impl AsRef<Path>, script: &str) -> PathBuf {
        let path = self.stage.home().join(name);
        std::fs::create_dir_all(&path).unwrap();
        run(&self.stage, &path, script);
        path
    }

    /// `amika sandbox create --git`, to be started, without what is no matter here.
    fn create(&self, sandbox: &Sandbox<'_>, args: &[&str]) -> Run {
        let start = ["sandbox", "create", "--name", &sandbox.name, "--git"];
        let all = [&start, args, &["--env", "AMIKA_OPENCODE_WEB=0"]].concat();
        self.stage.amika(&all)
    }

    /// Creates a sandbox with `--git` from inside a directory; what stands beneath `guarded` must stay
    /// as it is.
    fn clone_from(&self, dir: &Path, guarded: &Path, args: &[&str]) -> (Sandbox<'_>, Output) {
        let before = fingerprint(guarded);
        let sandbox = self.stage.adopt(self.stage.name());
        let created = self.create(&sandbox, args).dir(dir).output();
        assert_eq!(created.code, 0, "{created:?}");
        is_untouched(guarded, &before);
        assert_eq!(self.stage.temporary(), Vec::<std::ffi::OsString>::new());
        (sandbox, created)
    }

    /// As [`World::clone_from`] of a repository's root; what it holds must be what the host has.
    fn same(&self, repository: &Path, args: &[&str]) -> (Sandbox<'_>, Output) {
        let (sandbox, created) = self.clone_from(repository, repository, args);
        let outside = facts(&self.stage, repository);
        assert_eq!(facts_inside(&sandbox), outside);
        is_sound(&sandbox);
        (sandbox, created)
    }
}

/// Prints a file of the repository in the sandbox.
fn inside(sandbox: &Sandbox<'_>, script: &str) -> String {
    let output = sandbox.exec(&["bash", "-ec", script]).output();
    assert_eq!(output.code, 0, "{output:?}");
    output.stdout_text()
}

#[test]
fn submodules_come_initialised_and_with_their_content() {
    let world = World::new();
    world.make(
        "deep",
        "git init -q; echo deepest > file; git add .; git commit -qm deep",
    );
    world.make(
        "library",
        "git init -q; echo old > code; git add .; git commit -qm old
         git submodule --quiet add ../deep vendor/deep; git commit -qm with-deep
         git tag v1; echo newer > code; git commit -qam newer",
    );
    let project = world.make(
        "project",
        "git init -q
         git submodule --quiet add ../library 'libs/the library'
         git -C 'libs/the library' checkout -q v1; git add .
         git submodule --quiet update --init --recursive; git commit -qm first
         git remote add origin https://me:ghp_s3cretTOKEN@example.org/project.git
         git -C 'libs/the library' remote add upstream https://me:ghp_s3cretTOKEN@example.org/library.git",
    );
    let (sandbox, created) = world.same(&project, &[]);
    assert!(!created.stderr_text().contains("warning"), "{created:?}");
    let script = "cd 'libs/the library'; cat code vendor/deep/file; git status --porcelain; git describe --tags
         echo more >> code; git commit -qam inside; git log -1 --format=%ae; cd ../..; git status --porcelain";
    assert_eq!(
        inside(&sandbox, script),
        "old\ndeepest\nv1\nhost@example.org\n M \"libs/the library\"\n"
    );
}

#[test]
fn a_setup_script_may_stand_in_a_submodule() {
    let world = World::new();
    world.make(
        "tools",
        "git init -q; printf '#!/bin/sh\\npwd >/tmp/setup-was-here\\n' > setup.sh; chmod 755 setup.sh
         git add .; git commit -qm tools",
    );
    let project = world.make(
        "project",
        "git init -q; git submodule --quiet add ../tools tools; mkdir .amika
         printf '[lifecycle]\\nsetup_script = \"tools/setup.sh\"\\n' > .amika/config.toml
         git add .; git commit -qm first",
    );
    let checked = world
        .stage
        .amika(&["config", "check", project.to_str().unwrap()]);
    checked.output().ended(0, &[]);
    for args in [&[][..], &["--no-clean"]] {
        let (sandbox, _) = world.clone_from(&project, &project, args);
        let was = inside(&sandbox, "cat /tmp/setup-was-here");
        assert_eq!(was, "/home/amika/workspace/project\n");
    }
}

#[test]
fn a_configuration_that_is_a_directory_is_warned_of() {
    let world = World::new();
    let project = world.make(
        "project",
        "git init -q; mkdir -p .amika/config.toml; touch .amika/config.toml/file; git add .; git commit -qm first",
    );
    let (_, created) = world.clone_from(&project, &project, &[]);
    created.ended(0, &[".amika/config.toml is a directory, not a file"]);
}

#[test]
fn a_configuration_that_a_dirty_copy_leaves_out_is_warned_of() {
    let world = World::new();
    let project = world.make(
        "project",
        "git init -q; echo one >file; git add .; git commit -qm first; mkdir .amika; mkfifo .amika/config.toml",
    );
    let dry = |args: &[&str]| {
        let sandbox = world.stage.adopt(world.stage.name());
        let args = [&["--no-clean", "--dry-run"], args].concat();
        world.create(&sandbox, &args).dir(&project).output()
    };
    dry(&[]).ended(0, &[".amika/config.toml is a FIFO, not a file"]);
    run(
        &world.stage,
        &project,
        "rm .amika/config.toml; echo .amika >.gitignore; echo >.amika/config.toml",
    );
    dry(&[]).ended(
        0,
        &[".amika/config.toml is ignored by git", "--include-ignored"],
    );
    let whole = dry(&["--include-ignored"]);
    whole.ended(0, &[]);
    assert!(!whole.text().contains("is ignored"), "{whole:?}");
}

#[test]
fn lfs_content_comes_as_far_as_the_host_has_it() {
    let world = World::new();
    let project = world.make(
        "project",
        "git init -q; git lfs install --local >/dev/null; git lfs track '*.bin' >/dev/null
         head -c 300000 /dev/urandom > here.bin; head -c 300000 /dev/urandom > gone.bin
         git add .; git commit -qm first
         oid=$(git lfs ls-files --long | grep gone.bin | cut -d' ' -f1)
         rm .git/lfs/objects/*/*/$oid gone.bin; GIT_LFS_SKIP_SMUDGE=1 git checkout -q gone.bin",
    );
    let (sandbox, created) = world.same(&project, &[]);
    assert!(created.stderr_text().contains("1 LFS file"), "{created:?}");
    let script = "head -c 7 gone.bin; stat -c ' %s' here.bin; git lfs fsck --objects HEAD 2>&1 | grep -c here.bin || true
         head -c 50000 /dev/urandom > new.bin; git add new.bin; git commit -qm new; git lfs ls-files | cut -c 12-";
    assert_eq!(
        inside(&sandbox, script),
        "version 300000\n0\n- gone.bin\n* here.bin\n* new.bin\n"
    );
}

#[test]
fn a_linked_worktree_is_cloned_from_within_with_its_own_state() {
    let world = World::new();
    let main = world.make(
        "all/project",
        "git init -q; mkdir src; echo one > src/a; echo two > b; git add .; git commit -qm first
         git worktree add -q ../linked -b topic
         cd ../linked; echo changed > src/a; git add src/a; echo more >> src/a; rm b; echo new > new",
    );
    let linked = main.with_file_name("linked");
    let all = main.parent().unwrap();
    let (sandbox, _) = world.clone_from(&linked.join("src"), all, &["--no-clean"]);
    assert_eq!(facts_inside(&sandbox), facts(&world.stage, &linked));
    is_sound(&sandbox);
    // A repository that stands by itself, named as the main one is.
    let script = "pwd; git branch --show-current; test -d .git; git worktree list | wc -l";
    assert_eq!(
        inside(&sandbox, script),
        "/home/amika/workspace/project\ntopic\n1\n"
    );
}

#[test]
fn ten_thousand_files_are_all_there() {
    let world = World::new();
    // In memory where that can be: to write so many files takes the disk longer than all the rest.
    let memory = Path::new("/dev/shm");
    let parent = if memory.is_dir() {
        memory
    } else {
        world.stage.home()
    };
    let parent = tempfile::tempdir_in(parent).unwrap();
    let project = world.make(
        parent.path().join("project"),
        r#"git init -q
        for d in {0..99}; do
            mkdir -p "src/$d"
            for f in {0..99}; do echo "$d $f" > "src/$d/$f.txt"; done
        done
        git add .; git commit -qm first; git repack -adq; git prune-packed -q"#,
    );
    let (sandbox, _) = world.same(&project, &[]);
    let count = inside(&sandbox, "git ls-files | wc -l; find src -type f | wc -l");
    assert_eq!(count, "10000\n10000\n");
}

#[test]
fn a_dirty_copy_has_each_kind_of_change_as_the_host_has_it() {
    let world = World::new();
    let project = world.make(
        "project",
        r#"git init -q
        git remote add origin https://me:ghp_s3cretTOKEN@example.org/project.git
        git remote add fork git@example.org:me/project.git
        printf '*.txt text eol=crlf\nignored\n' > .gitattributes; printf 'ignored\n' > .gitignore
        for f in staged unstaged both deleted staged-deleted renamed moved mode to-link from-link; do
            seq 1 40 | sed "s/^/$f /" > "$f"
        done
        ln -sf staged from-link; ln -s nowhere/at/all dangling; ln -s ../../../../outside outside; ln -s /etc/passwd absolute
        printf 'a\r\nb\r\n' > crlf.txt; printf 'a\r\nb\n' > mixed
        odd=$'new\nline' quoted="quo\"te's \\ back" raw=$'latin-\xff\xfe'
        for f in "$odd" "$quoted" "$raw" -dash ' space ' $'tab\there' 'ünïcode' ':colon' '*star'; do echo "$f" > "./$f"; done
        git add -A; git commit -qm first; git update-ref refs/remotes/origin/main HEAD; git tag v1
        git branch -q --set-upstream-to=origin/main
        echo two >> moved; git commit -qam second

        echo x >> staged; git add staged
        echo x >> unstaged
        echo x >> both; git add both; echo y >> both
        rm deleted; git rm -q staged-deleted; git mv renamed renamed-to; mv moved moved-by-hand
        chmod +x mode; chmod +x staged
        ln -sf unstaged to-link; rm from-link; echo file > from-link; ln -s staged new-link
        printf 'a\r\nc\r\n' > crlf.txt; printf 'c\r\nd\n' > mixed
        for f in "$odd" "$quoted" "$raw"; do echo changed >> "./$f"; echo untracked > "./$f.untracked"; done
        git add "./$odd"
        echo intended > intended; git add -N intended
        mkdir -p new/dir; echo '#!/bin/sh' > new/dir/run; chmod 755 new/dir/run
        echo secret > ignored"#,
    );
    // Ignored files stay out: what the host has besides them must be there.
    let before = facts(&world.stage, &project);
    assert!(before.len() > 40, "{before:#?}");
    let (sandbox, _) = world.clone_from(&project, &project, &["--no-clean"]);
    let outside: Vec<String> = facts(&world.stage, &project)
        .into_iter()
        .filter(|line| !line.ends_with("  ./ignored"))
        .collect();
    assert_eq!(facts_inside(&sandbox), outside);
    // What git compares by is what it compares by on the host, down to both sides' bytes.
    let diff = "git diff | sha256sum; git diff --cached | sha256sum; git -c core.quotePath=false diff --stat HEAD | tail -n 1";
    let there = run(
        &world.stage,
        &project,
        &format!("export GIT_OPTIONAL_LOCKS=0; {diff}"),
    );
    assert_eq!(inside(&sandbox, diff), there);
    is_sound(&sandbox);
}

#[test]
fn a_shallow_repository_stays_shallow_and_works() {
    let world = World::new();
    world.make(
        "origin",
        "git init -q; for i in 1 2 3; do echo $i > file; git add .; git commit -qm $i; done",
    );
    let project = world.stage.home().join("shallow");
    run(
        &world.stage,
        world.stage.home(),
        r#"git clone -q --depth 2 "file://$PWD/origin" shallow"#,
    );
    let (sandbox, _) = world.same(&project, &[]);
    // Two commits of the host's, and the one that was made inside.
    assert_eq!(inside(&sandbox, "git rev-list --count HEAD"), "3\n");
}

#[test]
fn a_bare_repository_gets_a_work_tree() {
    let world = World::new();
    let origin = world.make(
        "origin",
        "git init -q; mkdir d; echo one > d/file; ln -s d/file link; git add .; git commit -qm first; git tag v1
         git clone -q --bare . ../bare.git; git -C ../bare.git remote remove origin",
    );
    let bare = origin.with_file_name("bare.git");
    let (sandbox, _) = world.clone_from(&bare, &bare, &[]);
    assert_eq!(facts_inside(&sandbox), facts(&world.stage, &origin));
    is_sound(&sandbox);
    let refused = world.stage.adopt(world.stage.name());
    let created = world.create(&refused, &["--no-clean"]).dir(&bare).output();
    created.ended(2, &["bare"]);
}

#[test]
fn an_empty_repository_takes_its_first_commit() {
    let world = World::new();
    let project = world.make("project", "git init -q -b trunk; echo new > untracked");
    let (sandbox, _) = world.same(&project, &["--no-clean"]);
    let log = inside(&sandbox, "git log --format=%s; git branch --show-current");
    assert_eq!(log, "inside\ntrunk\n");
}

#[test]
fn a_detached_head_stays_detached() {
    let world = World::new();
    let project = world.make(
        "project",
        "git init -q; echo one > file; git add .; git commit -qm first; git checkout -q --detach
         echo two > file; git commit -qam 'on no branch'; echo three > file",
    );
    let (sandbox, _) = world.same(&project, &["--no-clean"]);
    // Beside the branch, which there is none of, it tells what the sandbox began with.
    let read = "git rev-parse HEAD; cp .git/index .git/with-all; export GIT_INDEX_FILE=.git/with-all; git add -A; git write-tree; rm .git/with-all";
    let oids = run(&world.stage, &project, read);
    let (commit, tree) = oids.trim().split_once('\n').unwrap();
    let began_with = serde_json::json!({ "commit": commit, "tree": tree, "dirty": true });
    assert_eq!(sandbox.inspect()["began_with"], began_with);
    let text = sandbox.verb("inspect", &[]).output().stdout_text();
    assert!(
        text.contains(&format!("{commit}, with uncommitted changes")),
        "{text}"
    );
    let log = inside(
        &sandbox,
        "git log -2 --format=%s; git branch --show-current; cat file",
    );
    assert_eq!(log, "inside\non no branch\nthree\n");
}

#[test]
fn a_url_is_cloned_as_git_clone_does_and_the_token_stays_on_the_host() {
    let world = World::new();
    let served = world.make(
        "served",
        "mkdir work; cd work; git init -q; echo one > file; git add .; git commit -qm first; git tag v1
         git branch topic; git switch -q -c dev; echo two > file; git commit -qam second; git switch -q main
         git clone -q --bare . ../project.git; cd ..; rm -r work",
    );
    let forge = server::Server::start(&served);
    let url = forge.url(&format!("me:{TOKEN}@"), "project.git");
    let cloned = format!("git clone -q -b dev '{url}' project");
    run(&world.stage, world.stage.home(), &cloned);
    let reference = world.stage.home().join("project");

    let sandbox = world.stage.adopt(world.stage.name());
    let creating = |args: &[&str]| {
        let start = ["sandbox", "create", "--name", &sandbox.name, "--git", &url];
        let all = [&start, args, &["--env", "AMIKA_OPENCODE_WEB=0"]].concat();
        world.stage.amika(&all).output()
    };
    for (branch, hint) in [
        ("dve", "`--branch dev`"),
        ("origin/topic", "`--branch topic`"),
        ("qqq", "`git ls-remote --heads URL`"),
    ] {
        let refused = creating(&["--branch", branch]);
        refused.ended(7, &["there is no branch", "at this URL", hint]);
        assert!(!refused.text().contains("git fetch"), "{refused:?}");
    }
    let created = creating(&["--branch", "dev"]);
    created.ended(0, &[]);
    // No word of git's own: nothing went wrong, and nobody watches percentages in a file.
    let said = created.text();
    for noise in ["Cloning into", "amika-copy-", "%", "·", "│", TOKEN] {
        assert!(!said.contains(noise), "{noise}: {said}");
    }
    assert_eq!(facts_inside(&sandbox), facts(&world.stage, &reference));
    is_sound(&sandbox);
    let origin = inside(&sandbox, "git remote get-url origin");
    assert_eq!(origin, forge.url("", "project.git") + "\n");
    assert_eq!(world.stage.temporary(), Vec::<std::ffi::OsString>::new());
}

#[test]
fn a_clone_of_a_url_shows_on_a_terminal_how_far_it_is_in_one_line() {
    let world = World::new();
    let served = world.make(
        "served",
        "mkdir work; cd work; git init -q; for i in $(seq 2000); do echo $i > $i; done; git add .
         git commit -qm first; git clone -q --bare . ../project.git; cd ..; rm -r work",
    );
    let forge = server::Server::start(&served);
    let url = forge.url(&format!("me:{TOKEN}@"), "project.git");
    let args = ["sandbox", "create", "--dry-run", "--image", DEBIAN];
    let args = [&args[..], &["--git", &url]].concat();
    let (code, shown) = world.stage.on_terminal(&args).end();
    assert_eq!(code, 0, "{shown:?}");
    // What is overwritten has no line of its own, and goes before the last one comes.
    let told: Vec<&str> = shown
        .lines()
        .filter(|line| line.contains("objects"))
        .collect();
    assert_eq!(told.len(), 1, "{shown:?}");
    let last = told[0].rsplit("\r\u{1b}[K").next().unwrap();
    assert!(last.contains('✓') && !last.contains("objects"), "{told:?}");
    assert!(!shown.contains(TOKEN), "{shown:?}");

    let plain = world.stage.amika(&args).output();
    plain.ended(0, &[]);
    assert!(!plain.stderr_text().contains('%'), "{plain:?}");
    assert_eq!(plain.stderr_text().lines().count(), 1, "{plain:?}");
}

#[test]
fn a_failed_clone_of_a_url_says_in_whole_lines_why_without_the_token() {
    let world = World::new();
    let empty = world.make("served", "true");
    let server = server::Server::start(&empty);
    let url = server.url(&format!("me:{TOKEN}@"), "nothing.git");
    let args = [
        "sandbox",
        "create",
        "--name",
        &world.stage.name(),
        "--git",
        &url,
    ];
    let refused = world.stage.amika(&args).output();
    refused.ended(7, &["could not be cloned", "not found"]);
    let said = refused.text();
    for noise in [TOKEN, "amika-copy-", "·"] {
        assert!(!said.contains(noise), "{noise}: {said}");
    }
    world.stage.nothing_was_made();
}

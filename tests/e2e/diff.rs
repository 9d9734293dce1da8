//! `amika sandbox diff`: what changed in a sandbox since it was made.

use crate::pull::{git, inside, made, made_of};
use crate::server::client::{Server, done};
use crate::support::{DEBIAN, Output, Sandbox, Stage};

fn diff(sandbox: &Sandbox<'_>, args: &[&str]) -> Output {
    sandbox.verb("diff", args).output()
}

#[test]
fn what_changed_since_it_was_made_is_shown_committed_or_not() {
    let stage = Stage::new();
    let (app, sandbox) = made(&stage);
    assert_eq!(diff(&sandbox, &[]).stdout_text(), "");
    inside(
        &sandbox,
        "echo two >file; git commit -qam two; echo three >>file; mkdir sub; echo n >sub/new; printf 'a\\0b' >binary; \
         echo ignored >.gitignore; echo x >ignored; git add binary",
    );
    let names = diff(&sandbox, &["--name-only"]);
    names.ended(0, &[]);
    assert_eq!(names.stdout_text(), ".gitignore\nbinary\nfile\nsub/new\n");
    let stat = diff(&sandbox, &["--stat", "file", "binary"]);
    for part in ["file", "binary", "Bin 0 -> 3 bytes", "2 files changed"] {
        assert!(stat.stdout_text().contains(part), "{part}: {stat:?}");
    }
    let json = diff(&sandbox, &["-o", "json"]).json();
    let file = |number: usize| &json["files"][number];
    assert_eq!(file(1)["path"], "binary");
    assert_eq!(
        (&file(1)["binary"], &file(1)["added"]),
        (&true.into(), &serde_json::Value::Null)
    );
    assert_eq!(file(2)["status"], "modified");
    assert_eq!(
        (&file(2)["added"], &file(2)["deleted"]),
        (&2.into(), &1.into())
    );

    // What a pipe gets is a patch.
    let patch = diff(&sandbox, &[]);
    stage.file("work.patch", &patch.stdout_text());
    git(
        &stage,
        &app,
        "git apply ../work.patch; cmp binary <(printf 'a\\0b')",
    );
    assert_eq!(git(&stage, &app, "cat file sub/new"), "two\nthree\nn");

    // A terminal gets colours, through the pager, and nothing else of what is in files and names.
    inside(
        &sandbox,
        "printf 'x\\033[2J\\033]0;t\\007y\\n' >\"$(printf 'n\\033[2J')\"",
    );
    let words = ["sandbox", "diff", sandbox.name.as_str()];
    let pager = [("GIT_PAGER", "sed s/^/paged:/")];
    let (code, screen) = stage.on_terminal_of(120, &pager, &words).end();
    assert_eq!(code, 0, "{screen}");
    assert!(screen.contains("paged:"), "{screen:?}");
    assert!(screen.contains("\u{1b}[32m"), "{screen:?}");
    assert!(
        !screen.contains("\u{1b}[2J") && !screen.contains("\u{1b}]"),
        "{screen:?}"
    );
    let (_, screen) = stage
        .on_terminal_of(120, &[("GIT_PAGER", "cat"), ("NO_COLOR", "1")], &words)
        .end();
    assert!(!screen.contains("\u{1b}[3"), "{screen:?}");

    // Of one that does not run, and nothing is left of the asking.
    let before = inside(&sandbox, "ls /tmp; git status --porcelain");
    sandbox.verb("stop", &[]).output().ended(0, &[]);
    let stopped = diff(&sandbox, &["--name-only", "sub"]);
    stopped.ended(0, &[]);
    assert_eq!(stopped.stdout_text(), "sub/new\n");
    sandbox.verb("start", &[]).output().ended(0, &[]);
    assert_eq!(inside(&sandbox, "ls /tmp; git status --porcelain"), before);
}

#[test]
fn what_came_along_uncommitted_is_no_change_of_the_sandbox_s() {
    let stage = Stage::new();
    let (app, sandbox) = made(&stage);
    drop(sandbox);
    git(&stage, &app, "echo mine >file; echo new >new");
    let sandbox = made_of(&stage, &app);
    let none = diff(&sandbox, &["--name-only"]);
    none.ended(0, &[]);
    assert_eq!(none.stdout_text(), "");
    inside(&sandbox, "echo theirs >other");
    let told = diff(&sandbox, &["--name-only"]);
    assert!(told.stdout_text().contains("other"), "{told:?}");
}

#[test]
fn without_a_repository_or_its_git_there_is_nothing_to_show() {
    let stage = Stage::new();
    let plain = stage.sandbox(DEBIAN, &[]);
    diff(&plain, &[]).ended(4, &["without a repository"]);
    let (_, sandbox) = made(&stage);
    // A broken index is made anew; without its HEAD git knows no repository.
    inside(&sandbox, "echo two >file; truncate -s 20 .git/index");
    assert_eq!(diff(&sandbox, &["--name-only"]).stdout_text(), "file\n");
    inside(&sandbox, "echo nonsense >.git/HEAD");
    diff(&sandbox, &[]).ended(7, &["inside, git"]);
}

#[test]
fn a_servers_sandbox_tells_what_changed_as_one_of_this_machine_does() {
    let stage = Stage::new();
    let server = Server::start(&stage, &[]);
    let amika = |args: &[&str]| server.amika(args);
    let repository = stage.repository("app", &[("file", "one\n"), ("sub/other", "x\n")]);
    let name = stage.name();
    let mut create = vec!["sandbox", "create", "--name", &name, "--git", &repository];
    create.extend(["--no-clean", "--env", "AMIKA_OPENCODE_WEB=0"]);
    done(amika(&create));
    let diff = |args: &[&str]| done(amika(&[&["sandbox", "diff", &name], args].concat()));
    assert_eq!(diff(&[]).stdout_text(), "");
    let script = "git config user.name T; git config user.email t@e.org; echo two >file; git commit -qam two; \
                  echo y >>sub/other; printf 'a\\0b' >\"$(printf 'n\\033w')\"";
    let exec = ["sandbox", "exec", &name, "--", "sh", "-ec", script];
    done(amika(&exec));
    assert_eq!(
        diff(&["--name-only", "file", "sub"]).stdout_text(),
        "file\nsub/other\n"
    );
    let stat = diff(&["--stat"]).stdout_text();
    assert!(stat.contains("3 files changed"), "{stat}");
    let json = diff(&["-o", "json"]).json();
    assert_eq!(json["since"].as_str().map(str::len), Some(40), "{json}");
    let told: Vec<_> = json["files"].as_array().unwrap().iter().collect();
    let told: Vec<_> = told
        .iter()
        .map(|it| (&it["path"], &it["binary"], &it["added"]))
        .collect();
    let null = serde_json::Value::Null;
    assert_eq!(
        told,
        [
            (&"file".into(), &false.into(), &1.into()),
            (&"n\\u{1b}w".into(), &true.into(), &null),
            (&"sub/other".into(), &false.into(), &1.into()),
        ]
    );
    let patch = diff(&[]);
    stage.file("work.patch", &patch.stdout_text());
    let app = std::path::Path::new(&repository);
    git(&stage, app, "git apply ../work.patch");
    assert_eq!(git(&stage, app, "cat file sub/other"), "two\nx\ny");

    // One that does not run tells the same.
    done(amika(&["sandbox", "stop", &name]));
    assert_eq!(diff(&[]).stdout_text(), patch.stdout_text());

    let bare = stage.name();
    done(amika(&[
        "sandbox", "create", "--name", &bare, "--image", DEBIAN,
    ]));
    let without = amika(&["sandbox", "diff", &bare]).output();
    without.ended(4, &["was made without a repository"]);
    let none = amika(&["sandbox", "diff", "no-such"]).output();
    none.ended(3, &["no-such"]);
    let bound = server.get(&format!("/sandboxes/{bare}/diff?form=stat&columns=3"));
    bound.expect(400);
    for name in [&name, &bare] {
        done(amika(&["sandbox", "delete", "--force", "--volumes", name]));
    }
}

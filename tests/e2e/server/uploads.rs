//! Working copies that are sent to the server.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::client::Server;
use super::files::sh;
use crate::support::{DEBIAN, Stage};

const TAR: &str = "application/x-tar";

/// Makes something of a repository that must not work.
type Spoil<'a> = &'a dyn Fn(&Path);

/// What git and the disk say of a work tree.
const LOOK: &str = "git status --porcelain; git log --all --format='%H %d'; git remote -v; \
    find . -path ./.git -prune -o -printf '%P %y %m %l\\n' | sort; \
    find . -path ./.git -prune -o -type f -print | sort | xargs cat; \
    git cat-file --batch-all-objects --batch | strings";

/// Unpacks an archive of a directory, and looks at it.
fn look_at(archive: &[u8]) -> String {
    let place = tempfile::tempdir().unwrap();
    let script = format!("tar -xf - && cd * && {LOOK}");
    let mut looking = Command::new("sh")
        .args(["-c", &script])
        .current_dir(place.path())
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = looking.stdin.take().unwrap();
    let archive = archive.to_vec();
    let writing = std::thread::spawn(move || {
        std::io::Write::write_all(&mut stdin, &archive).unwrap();
    });
    let looked = looking.wait_with_output().unwrap();
    writing.join().unwrap();
    assert!(looked.stderr.is_empty(), "{looked:?}");
    String::from_utf8(looked.stdout).unwrap()
}

fn archive_of(directory: &Path) -> Vec<u8> {
    let packed = Command::new("tar")
        .args(["-c", "-C"])
        .arg(directory)
        .arg(".")
        .output()
        .unwrap();
    assert!(packed.status.success());
    packed.stdout
}

fn git(directory: &Path, args: &[&str]) {
    let ran = Command::new("git")
        .arg("-C")
        .arg(directory)
        .args(args)
        .output()
        .unwrap();
    assert!(ran.status.success(), "{ran:?}");
}

/// A repository with something in every state.
fn worked_in(stage: &Stage) -> std::path::PathBuf {
    let config = "[lifecycle]\nsetup_script = \"s.sh\"\n[env]\nA = \"of-the-file\"\n";
    stage.script("app/s.sh", "#!/bin/sh\necho set-up-with-$A\n");
    stage.repository(
        "app",
        &[
            (".amika/config.toml", config),
            ("kept", "old"),
            ("gone", "x"),
        ],
    );
    let app = stage.home().join("app");
    git(
        &app,
        &["remote", "add", "origin", "https://example.com/o/app"],
    );
    git(&app, &["branch", "other"]);
    std::fs::write(app.join("kept"), "new").unwrap();
    std::fs::write(app.join("staged"), "staged").unwrap();
    git(&app, &["add", "staged"]);
    std::fs::write(app.join("untracked"), "u").unwrap();
    std::fs::remove_file(app.join("gone")).unwrap();
    std::os::unix::fs::symlink("kept", app.join("link")).unwrap();
    app
}

#[test]
fn a_sandbox_of_a_working_copy_that_was_sent_is_as_the_command_line_makes_it() {
    let stage = Stage::new();
    let app = worked_in(&stage);
    let server = Server::start(&stage, &[]);
    let (status, sent) = server.put_to(
        &server.admin,
        "POST",
        "/uploads?name=app",
        &archive_of(&app),
    );
    assert_eq!(status, 201, "{sent}");
    let made = server.create(
        DEBIAN,
        json!({ "upload_id": sent["id"], "repo_url": "https://example.com/o/app" }),
    );
    assert_eq!(made["state"], "started", "{made}");
    assert_eq!(
        (&made["repo_name"], &made["branch"], &made["repo_url"]),
        (
            &json!("app"),
            &json!("main"),
            &json!("https://example.com/o/app")
        )
    );
    assert!(!made.to_string().contains("uploads"), "{made}");
    let id = made["id"].as_str().unwrap();
    let log = server.get(&format!("/sandboxes/{id}/logs?source=setup"));
    assert!(log.body.contains("set-up-with-of-the-file"), "{log:?}");
    let far = server.raw(
        "GET",
        &server.admin,
        &format!("/sandboxes/{id}/files?path=../app"),
        TAR,
        b"",
    );
    let far = look_at(&far.1);

    let path = app.to_str().unwrap();
    let near = stage.sandbox(
        DEBIAN,
        &["--git", path, "--no-clean", "--include-ignored", "--trust"],
    );
    let near = stage
        .amika(&["sandbox", "cp", &format!("{}:../app", near.name), "-"])
        .output();
    let near = look_at(&near.stdout);
    assert_eq!(far, near);
    assert!(
        far.contains(" D gone") && far.contains("A  staged") && far.contains("?? untracked"),
        "{far}"
    );

    // It is the user's alone who sent it, and nothing without a clone's members goes with it.
    let other = server.member("ada");
    let body = json!({ "upload_id": sent["id"] });
    let refused = server.ask(&other, "POST", "/sandboxes", Some(&body));
    assert_eq!(refused.expect(400)["details"][0]["field"], "/upload_id");
    let body = json!({ "upload_id": sent["id"], "branch": "main" });
    assert_eq!(server.post("/sandboxes", &body).status, 400);
    let kept = server.delete(&format!("/sandboxes/{id}?force=true"));
    kept.expect(200);
}

#[test]
fn nothing_that_is_sent_leads_to_files_of_the_servers_machine() {
    let stage = Stage::new();
    let server = Server::start(&stage, &[]);
    stage.repository("secret", &[("canary", "CANARY")]);
    let secret = stage.home().join("secret");
    let objects = format!("{}\n", secret.join(".git/objects").display());
    let pointer = format!("gitdir: {}\n", secret.join(".git").display());
    let include = format!(
        "[include]\npath = {}\n",
        secret.join(".git/config").display()
    );
    let tree = format!("[core]\nworktree = {}\n", secret.display());
    let bad: [(&str, Spoil<'_>); 6] = [
        ("a git directory elsewhere", &|app| {
            std::fs::remove_dir_all(app.join(".git")).unwrap();
            std::fs::write(app.join(".git"), &pointer).unwrap();
        }),
        ("objects elsewhere", &|app| {
            let info = app.join(".git/objects/info");
            std::fs::create_dir_all(&info).unwrap();
            std::fs::write(info.join("alternates"), &objects).unwrap();
        }),
        ("a work tree elsewhere", &|app| {
            std::fs::write(app.join(".git/config"), &tree).unwrap();
        }),
        ("configuration elsewhere", &|app| {
            std::fs::write(app.join(".git/config"), &include).unwrap();
        }),
        ("links", &|app| {
            std::os::unix::fs::symlink(&secret, app.join("out")).unwrap();
            std::os::unix::fs::symlink("../../../../../../../etc/passwd", app.join("up")).unwrap();
        }),
        ("a common directory elsewhere", &|app| {
            std::fs::write(
                app.join(".git/commondir"),
                secret.join(".git").to_str().unwrap(),
            )
            .unwrap();
        }),
    ];
    for (index, (what, spoil)) in bad.iter().enumerate() {
        let name = format!("app{index}");
        stage.repository(&name, &[("own", "own")]);
        let app = stage.home().join(&name);
        spoil(&app);
        let archive = archive_of(&app);
        let (status, sent) = server.put_to(&server.admin, "POST", "/uploads?name=app", &archive);
        assert_eq!(status, 201, "{what}: {sent}");
        let made = server.create(DEBIAN, json!({ "upload_id": sent["id"] }));
        let id = made["id"].as_str().unwrap();
        if made["state"] == "started" {
            let path = format!("/sandboxes/{id}/files?path=../app");
            let all = look_at(&server.raw("GET", &server.admin, &path, TAR, b"").1);
            let is_leaked = all.contains("CANARY") || all.contains("root:");
            assert!(!is_leaked, "{what}: {all}");
            assert_eq!(sh(&server, id, "cat own"), "own", "{what}: {all}");
        } else {
            assert_eq!(made["setup_status"], "git-failed", "{what}: {made}");
        }
        server
            .delete(&format!("/sandboxes/{id}?force=true"))
            .expect(200);
    }
    for (name, kind, body, status) in [
        ("../x", TAR, &b""[..], 400),
        ("", TAR, b"", 400),
        ("app", "text/plain", b"", 400),
        ("app", TAR, b"no archive at all", 400),
    ] {
        let path = format!("/uploads?name={name}");
        let found = server.raw("POST", &server.admin, &path, kind, body).0;
        assert_eq!(found, status, "{name} {kind}");
    }
    let left = std::fs::read_dir(stage.home().join("data/uploads"))
        .unwrap()
        .count();
    assert_eq!(left, bad.len(), "what was refused is gone");
}

impl Server<'_> {
    fn put_to(&self, key: &str, method: &str, path: &str, body: &[u8]) -> (u16, serde_json::Value) {
        let (status, body) = self.raw(method, key, path, TAR, body);
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }
}

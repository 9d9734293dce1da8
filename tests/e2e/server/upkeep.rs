//! What is looked at and tidied up: sandboxes of the command line, what one uses, volumes that stayed.

use serde_json::{Value, json};

use super::client::Server;
use crate::support::{DEBIAN, Stage};

fn names(list: &Value) -> Vec<&str> {
    let items = list.as_array().unwrap().iter();
    items.map(|it| it["name"].as_str().unwrap()).collect()
}

#[test]
fn of_a_deleted_sandbox_what_holds_work_stays_alone_until_it_is_forced() {
    let stage = Stage::new();
    let settings = stage.file("server.toml", "[members]\nimage = true\n");
    let server = Server::start(&stage, &["--config", &settings]);
    let (ada, bob) = (server.member("ada"), server.member("bob"));
    let (worked, idle) = (stage.name(), stage.name());
    for name in [&worked, &idle] {
        let body = json!({ "image": DEBIAN, "name": name });
        let made = server.ask(&ada, "POST", "/sandboxes?wait=60", Some(&body));
        assert_eq!(made.expect(202)["state"], "started");
    }
    let volumes = server.ask(&ada, "GET", "/volumes", None).expect(200);
    assert!(names(&volumes).len() >= 4, "{volumes}");
    assert_eq!(
        server.ask(&bob, "GET", "/volumes", None).expect(200),
        json!([])
    );
    let used = names(&volumes)[0].to_owned();
    for (key, status) in [(&ada, 409), (&bob, 404)] {
        let refused = server.ask(key, "DELETE", &format!("/volumes/{used}"), None);
        assert_eq!(refused.status, status, "{refused:?}");
    }
    let work = json!({ "cmd": ["sh", "-c", "echo work >$HOME/work.txt"] });
    let ran = server.ask(
        &ada,
        "POST",
        &format!("/sandboxes/{worked}/exec"),
        Some(&work),
    );
    assert_eq!(ran.expect(200)["exit_code"], 0);
    let delete = |name: &str| {
        let deleted = server.ask(&ada, "DELETE", &format!("/sandboxes/{name}"), None);
        deleted.expect(200)["kept_volumes"].clone()
    };
    assert_eq!(delete(&idle), json!([]));
    let kept = delete(&worked);
    let kept_names = names(&kept);
    assert_eq!(kept_names.len(), 2, "home and state: {kept}");
    let home = kept.as_array().unwrap().iter().find(|it| {
        let reason = it["reason"].as_str().unwrap();
        reason.contains("it holds work in /home/amika: work.txt")
    });
    let home = home.unwrap()["name"].as_str().unwrap();
    let mut there = stage.volumes();
    there.sort();
    assert_eq!(there, kept_names, "all others went");

    let prune = |body: &Value| {
        let pruned = server.ask(&ada, "POST", "/volumes/prune", Some(body));
        pruned.expect(200)
    };
    assert_eq!(prune(&json!({}))["removed"], json!([]));
    let would = prune(&json!({ "force": true, "dry_run": true }));
    assert_eq!(would["removed"].as_array().unwrap().len(), 2, "{would}");
    assert_eq!(stage.volumes().len(), 2);
    let others = server.ask(
        &bob,
        "POST",
        "/volumes/prune",
        Some(&json!({ "force": true })),
    );
    assert_eq!(others.expect(200)["removed"], json!([]));
    server
        .ask(&ada, "DELETE", &format!("/volumes/{home}"), None)
        .expect(200);
    assert_eq!(
        prune(&json!({ "force": true }))["removed"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    stage.nothing_was_made();
}

#[test]
fn a_sandbox_of_the_command_line_is_listed_and_left_alone_until_it_is_adopted() {
    let stage = Stage::new();
    let server = Server::start(&stage, &[]);
    let name = stage.name();
    stage
        .amika(&["sandbox", "create", "--image", DEBIAN, "--name", &name])
        .output()
        .ended(0, &[]);
    let path = format!("/sandboxes/{name}");
    let ada = server.member("ada");
    assert_eq!(server.ask(&ada, "GET", &path, None).status, 404);
    let found = server.get(&path).expect(200);
    assert_eq!(
        (&found["origin"], &found["user_id"]),
        (&json!("cli"), &Value::Null)
    );
    assert_eq!(server.get("/sandboxes").expect(200), json!([]));
    let all = server.get("/sandboxes?all=true").expect(200);
    assert!(names(&all).contains(&name.as_str()), "{all}");
    let change = json!({ "auto_stop_interval": 5 });
    let refused = server.ask(&server.admin, "PATCH", &path, Some(&change));
    assert_eq!(refused.status, 409);
    let adopt = |body: &Value| server.post(&format!("{path}/adopt"), body);
    let nobody = json!({ "user_id": "00000000-0000-4000-8000-000000000000" });
    assert_eq!(adopt(&nobody).status, 400);
    let me = server.ask(&ada, "GET", "/me", None).expect(200);
    let adopted = adopt(&json!({ "user_id": me["id"], "auto_stop_interval": 5 })).expect(200);
    assert_eq!(
        (
            &adopted["origin"],
            &adopted["created_by"]["name"],
            &adopted["auto_stop_interval"]
        ),
        (&json!("server"), &json!("ada"), &json!(5))
    );
    assert_eq!(adopt(&json!({})).status, 409);

    // It is like any other now: renamed, looked into, deleted.
    let other = stage.name();
    let renamed = server.ask(&ada, "PATCH", &path, Some(&json!({ "name": other })));
    assert_eq!(renamed.expect(200)["name"], json!(other));
    let path = format!("/sandboxes/{other}");
    let stats = server
        .ask(&ada, "GET", &format!("{path}/stats"), None)
        .expect(200);
    assert_eq!(stats["sandbox"], json!(other));
    let listen = json!({ "cmd": ["true"] });
    server
        .ask(&ada, "POST", &format!("{path}/exec"), Some(&listen))
        .expect(200);
    let ports = server
        .ask(&ada, "GET", &format!("{path}/ports"), None)
        .expect(200);
    assert!(ports["items"].is_array(), "{ports}");
    let log = server.ask(&ada, "GET", &format!("{path}/logs?source=job:none"), None);
    assert_eq!(log.status, 404, "{log:?}");
    server
        .ask(&ada, "DELETE", &format!("{path}?force=true"), None)
        .expect(200);
    stage.nothing_was_made();
}

#[test]
fn the_server_tells_of_its_engine_and_its_disk_and_to_administrators_what_is_wrong() {
    let stage = Stage::new();
    let server = Server::start(&stage, &[]);
    let ada = server.member("ada");
    let system = server.ask(&ada, "GET", "/system", None).expect(200);
    assert!(system["engine"]["version"].is_string(), "{system}");
    assert!(system["disk"]["free"].as_u64().unwrap() > 0);
    assert_eq!(system["checks"], Value::Null);
    assert_eq!(
        server.ask(&ada, "GET", "/system?checks=true", None).status,
        403
    );
    let checks = server.get("/system?checks=true").expect(200)["checks"].clone();
    assert!(names(&checks).contains(&"engine"), "{checks}");
}

#[test]
fn a_lost_database_orphans_no_sandbox() {
    let stage = Stage::new();
    let settings = stage.file("server.toml", "[members]\nimage = true\n");
    let mut server = Server::start(&stage, &["--config", &settings]);
    let ada = server.member("ada");
    let body = json!({
        "image": DEBIAN, "name": stage.name(), "auto_stop_interval": 77, "auto_delete_interval": 8,
    });
    let made = server.ask(&ada, "POST", "/sandboxes?wait=60", Some(&body));
    let made = made.expect(202);
    assert_eq!(made["state"], "started", "{made}");
    let id = server.get("/system").expect(200)["server_id"].clone();
    server.signal(rustix::process::Signal::KILL);
    for entry in std::fs::read_dir(server.data()).unwrap() {
        let path = entry.unwrap().path();
        if path
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .starts_with("amika.db")
        {
            std::fs::remove_file(path).unwrap();
        }
    }
    server.anew();
    assert_eq!(server.get("/system").expect(200)["server_id"], id);
    let path = format!("/sandboxes/{}", made["id"].as_str().unwrap());
    crate::support::eventually("it is known again", || {
        let found = server.get(&path);
        found.status == 200 && found.json()["auto_stop_interval"] == 77
    });
    let found = server.get(&path).expect(200);
    let words = [
        "name",
        "origin",
        "auto_delete_interval",
        "provider_sandbox_id",
    ];
    for word in words {
        assert_eq!(found[word], made[word], "{word}");
    }
    assert_eq!(
        found["created_by"]["name"], "admin",
        "ada is nobody any more"
    );
    server.delete(&format!("{path}?force=true")).expect(200);
    stage.nothing_was_made();
}

#[test]
fn a_repository_tells_its_branches_and_the_services_of_its_file_before_anything_is_saved() {
    let stage = Stage::new();
    let file = "[services.web]\nport = 4001\nurl_scheme = \"http\"\n[services.db]\nport = 5432\nsurprise = 1\n";
    let repository = stage.repository("forge/public/app", &[(".amika/config.toml", file)]);
    let script = "git checkout -qb bare && git rm -qr .amika && git -c user.name=a -c user.email=a@b commit -qm none && git checkout -q main";
    let made = std::process::Command::new("sh")
        .args(["-c", script])
        .current_dir(&repository)
        .status();
    assert!(made.unwrap().success());
    let forge = crate::repositories::server::Server::start(&stage.home().join("forge"));
    let url = forge.url("me:ghp_s3cretTOKEN@", "public/app/.git");
    let server = Server::start(&stage, &["--allow-private-git"]);
    let encoded = url
        .replace(':', "%3A")
        .replace('/', "%2F")
        .replace('@', "%40");
    let branches = server.get(&format!("/repositories/branches?repo_url={encoded}"));
    let branches = branches.expect(200);
    assert_eq!(branches["default_branch"], "main");
    assert_eq!(names(&branches["items"]), ["bare", "main"]);
    let unknown = encoded.replace("app%2F", "none%2F");
    let refused = server.get(&format!("/repositories/branches?repo_url={unknown}"));
    assert_eq!(refused.status, 502, "{refused:?}");
    assert!(!refused.body.contains("s3cret"), "{refused:?}");

    let saved = server
        .post("/repositories", &json!({ "repo_url": url }))
        .expect(201);
    let path = format!("/repositories/{}/services", saved["id"].as_str().unwrap());
    let declared = server.get(&format!("{path}/file")).expect(200);
    assert_eq!(
        (&declared["has_file"], &declared["branch"]),
        (&json!(true), &json!("main"))
    );
    let mut found = names(&declared["items"]);
    found.sort_unstable();
    assert_eq!(found, ["db", "web"]);
    assert!(
        declared["warnings"].to_string().contains("surprise"),
        "{declared}"
    );
    let none = server.get(&format!("{path}/file?branch=bare")).expect(200);
    assert_eq!(
        (&none["has_file"], &none["items"]),
        (&json!(false), &json!([]))
    );
    assert_eq!(
        server.get(&path).expect(200)["source"],
        "file",
        "nothing was saved"
    );
}

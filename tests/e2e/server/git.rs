//! Repositories that want a sign-in: a token of its user's by HTTP, a key by SSH.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::client::Server;
use crate::repositories::server::{Request, Server as Forge};
use crate::support::{DEBIAN, Stage, docker};

/// Deletes a sandbox with all that it has.
fn delete(server: &Server<'_>, made: &Value) {
    let path = format!("/sandboxes/{}?force=true", made["id"].as_str().unwrap());
    server.delete(&path).expect(200);
}

fn said(server: &Server<'_>, made: &Value, script: &str) -> String {
    let exec = json!({ "cmd": ["sh", "-c", script] });
    let path = format!("/sandboxes/{}/exec", made["id"].as_str().unwrap());
    server.post(&path, &exec).expect(200)["stdout"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// Files beneath a directory of this machine.
fn files(root: &str) -> String {
    let found = Command::new("find")
        .args([root, "-type", "f"])
        .output()
        .unwrap();
    String::from_utf8(found.stdout).unwrap()
}

#[test]
fn a_token_clones_for_whoever_keeps_it_and_what_is_kept_is_nobody_elses() {
    let stage = Stage::new();
    stage.repository("forge/app", &[("a", "one\n")]);
    let forge = Forge::start(&stage.home().join("forge"));
    let signed_in = forge.url("me:ghp_s3cretTOKEN@", "app/.git");
    let url = forge.url("", "app/.git");
    let host = url.split('/').nth(2).unwrap();
    let server = Server::start(&stage, &["--allow-private-git"]);
    let refused = server.create(DEBIAN, json!({ "repo_url": url }));
    assert_eq!(
        (&refused["state"], &refused["setup_status"]),
        (&json!("failed"), &json!("git-failed")),
        "{refused}"
    );
    delete(&server, &refused);

    let token = json!({ "host": host, "type": "token", "value": "me:ghp_s3cretTOKEN" });
    let kept = server.post("/secrets/git", &token).expect(201);
    assert_eq!((&kept["host"], kept.get("value")), (&json!(host), None));
    assert_eq!(server.post("/secrets/git", &token).status, 409);
    let made = server.create(DEBIAN, json!({ "repo_url": url }));
    assert_eq!(made["state"], "started", "{made}");
    assert_eq!(made["repo_url"], url);
    let remote = said(
        &server,
        &made,
        "sed -n 's/.*url = //p' .git/config | tr -d '\"'; cat a; grep -r s3cret .git || :",
    );
    assert_eq!(remote, format!("{url}\none\n"));
    let name = made["name"].as_str().unwrap();
    assert!(!docker(&["inspect", name]).stdout_text().contains("s3cret"));
    delete(&server, &made);
    assert!(files(&format!("{}/cache/git", server.data())).contains("/objects/"));

    // The next time what is new comes, and the copy is nobody's who could not have it from the forge.
    stage.repository("forge/app", &[("b", "two\n")]);
    let made = server.create(DEBIAN, json!({ "repo_url": url }));
    assert_eq!(said(&server, &made, "cat b"), "two\n", "{made}");
    delete(&server, &made);
    let eve = server.admin("eve");
    let body = json!({ "repo_url": url, "image": DEBIAN, "name": stage.name() });
    let none = server
        .ask(&eve, "POST", "/sandboxes?wait=60", Some(&body))
        .expect(202);
    assert_eq!(none["setup_status"], "git-failed", "{none}");
    delete(&server, &none);
    let id = kept["id"].as_str().unwrap();
    server.delete(&format!("/secrets/git/{id}")).expect(204);
    let none = server.create(DEBIAN, json!({ "repo_url": url }));
    assert_eq!(none["setup_status"], "git-failed", "{none}");
    delete(&server, &none);
    // One in the URL is used as it was.
    let made = server.create(DEBIAN, json!({ "repo_url": signed_in }));
    assert_eq!(made["state"], "started", "{made}");
    delete(&server, &made);
    stage.nothing_was_made();
}

#[test]
fn a_key_clones_by_ssh_from_a_host_that_is_known_and_from_no_other() {
    let stage = Stage::new();
    let image = stage.image(&format!(
        "FROM {DEBIAN}\nRUN apt-get update -qq && apt-get install -qq -y --no-install-recommends openssh-server git >/dev/null && \
         useradd --create-home --shell /bin/sh git && mkdir -p /run/sshd /srv && \
         git init -q --bare -b main /srv/app.git && chown -R git /srv\n"
    ));
    let key = stage.home().join("key");
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "canary", "-f"])
        .arg(&key)
        .status()
        .unwrap();
    assert!(made.success());
    let public = std::fs::read_to_string(key.with_extension("pub")).unwrap();
    let private = std::fs::read_to_string(&key).unwrap();
    let begin = format!(
        "mkdir -p /home/git/.ssh && echo '{}' >/home/git/.ssh/authorized_keys && chown -R git /home/git/.ssh && \
         su git -c 'git clone -q /srv/app.git /tmp/w && cd /tmp/w && echo by-ssh >a && git add a && \
         git -c user.name=a -c user.email=a@example.com commit -qm a && git push -q origin HEAD:main' && \
         usermod -p '*' git && exec /usr/sbin/sshd -D -e",
        public.trim()
    );
    let host = stage.stranger(&["-p", "127.0.0.1::22"], &[&image, "sh", "-c", &begin]);
    host.docker(&["start"]).ended(0, &[]);
    crate::support::eventually("sshd", || host.log().contains("Server listening"));
    let known = host
        .exec(&["cat", "/etc/ssh/ssh_host_ed25519_key.pub"])
        .stdout_text();
    let known = known.trim().rsplit_once(' ').unwrap().0.to_owned();
    let fingerprint = host
        .exec(&["ssh-keygen", "-lf", "/etc/ssh/ssh_host_ed25519_key.pub"])
        .stdout_text();
    let fingerprint = fingerprint.split(' ').nth(1).unwrap().to_owned();
    let port = host.docker(&[
        "inspect",
        "-f",
        "{{(index (index .NetworkSettings.Ports \"22/tcp\") 0).HostPort}}",
    ]);
    let port = port.stdout_text().trim().to_owned();
    let place = format!("127.0.0.1:{port}");
    let url = format!("ssh://git@{place}/srv/app.git");
    let server = Server::start(&stage, &["--allow-private-git"]);
    let body = json!({ "repo_url": url, "image": DEBIAN });
    let none = server.post("/sandboxes", &body).expect(400);
    assert!(
        none["message"]
            .as_str()
            .unwrap()
            .contains("no SSH key for 127.0.0.1"),
        "{none}"
    );
    let keep = |known_hosts: Value| {
        let body = json!({ "host": place, "type": "ssh_key", "value": private, "known_hosts": known_hosts });
        server.post("/secrets/git", &body).expect(201)["id"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    for unknown in [
        Value::Null,
        json!(format!(
            "[127.0.0.1]:{port} ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFh7YSS8jyLPhN2KFrpTl8GmUo4sW0bR0FhCUZCXyNVS"
        )),
    ] {
        let id = keep(unknown);
        let refused = server.post("/sandboxes", &body).expect(400);
        assert!(
            refused["message"].as_str().unwrap().contains(&fingerprint),
            "{refused}"
        );
        assert_eq!(refused["details"][0]["field"], "/repo_url");
        server.delete(&format!("/secrets/git/{id}")).expect(204);
    }
    keep(json!(format!("[127.0.0.1]:{port} {known}")));
    for _ in 0..2 {
        let made = server.create(DEBIAN, json!({ "repo_url": url }));
        assert_eq!(made["state"], "started", "{made}");
        assert_eq!(
            said(
                &server,
                &made,
                "cat a; sed -n 's/.*url = //p' .git/config | tr -d '\"'"
            ),
            format!("by-ssh\n{url}\n")
        );
        delete(&server, &made);
    }
    // The key was in no file of this machine.
    let line = private.lines().nth(2).unwrap();
    let found = Command::new("grep")
        .args(["-rlF", line, &server.data()])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(found.stdout).unwrap(), "");
}

/// What LFS is answered by a server of all objects beneath a repository, and how often one was fetched.
fn lfs(root: &std::path::Path, request: &Request, fetched: &AtomicUsize) -> Option<Vec<u8>> {
    let head = |kind: &str, length: usize| {
        format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
        )
    };
    if request.path.ends_with("/objects/batch") {
        let asked: Value = serde_json::from_slice(&request.body).unwrap();
        let host = request.header("host").unwrap();
        let objects = asked["objects"].as_array().unwrap().iter().map(|object| {
            let href = format!("http://{host}/public/lfs-object/{}", object["oid"].as_str().unwrap());
            json!({ "oid": object["oid"], "size": object["size"], "actions": { "download": { "href": href } } })
        });
        let body =
            json!({ "transfer": "basic", "objects": objects.collect::<Vec<_>>() }).to_string();
        return Some(
            [head("application/vnd.git-lfs+json", body.len()), body]
                .concat()
                .into(),
        );
    }
    let oid = request.path.strip_prefix("/public/lfs-object/")?;
    fetched.fetch_add(1, Ordering::SeqCst);
    let place = format!(
        "public/app/.git/lfs/objects/{}/{}/{oid}",
        &oid[..2],
        &oid[2..4]
    );
    let content = std::fs::read(root.join(place)).unwrap();
    Some(
        [
            head("application/octet-stream", content.len()).into_bytes(),
            content,
        ]
        .concat(),
    )
}

#[test]
fn lfs_content_comes_along_once_and_submodules_are_for_the_sandbox_to_fetch() {
    let stage = Stage::new();
    stage.repository("forge/public/lib", &[("a", "of the library\n")]);
    let script = "git init -q -b main && git lfs install --local >/dev/null && git lfs track '*.bin' >/dev/null && \
                head -c 50000 /dev/zero | tr '\\0' x >big.bin && \
                git -c protocol.file.allow=always submodule --quiet add ../lib lib && \
                git config -f .gitmodules submodule.lib.url ../../lib/.git && git add -A && \
                git -c user.name=T -c user.email=t@example.org commit -qm first";
    let root = stage.home().join("forge");
    std::fs::create_dir_all(root.join("public/app")).unwrap();
    let made = stage
        .shell(script, &[])
        .dir(root.join("public/app"))
        .output();
    assert_eq!(made.code, 0, "{made:?}");
    let fetched = Arc::new(AtomicUsize::new(0));
    let (beneath, count) = (root.clone(), Arc::clone(&fetched));
    let forge = Forge::answering(&root, &[], move |request| lfs(&beneath, request, &count));
    let server = Server::start(&stage, &["--allow-private-git"]);
    for _ in 0..2 {
        let body = json!({ "repo_url": forge.url("", "public/app/.git") });
        let made = server.create(DEBIAN, body);
        assert_eq!(made["state"], "started", "{made}");
        let look = "wc -c <big.bin; ls lib; sed -n 's/.*url = //p' .gitmodules";
        assert_eq!(said(&server, &made, look), "50000\n../../lib/.git\n");
        assert_eq!(fetched.load(Ordering::SeqCst), 1);
        let path = format!(
            "/sandboxes/{}/lifecycle-events",
            made["id"].as_str().unwrap()
        );
        let events = server.get(&path).expect(200)["events"].clone();
        let warnings = events
            .as_array()
            .unwrap()
            .iter()
            .filter(|event| event["status"] == "warning");
        let told: Vec<&str> = warnings
            .filter_map(|event| event["detail"].as_str())
            .collect();
        assert!(
            told.iter()
                .any(|text| text.contains("lib") && text.contains("in the sandbox")),
            "{told:?}"
        );
        delete(&server, &made);
    }
    stage.nothing_was_made();
}

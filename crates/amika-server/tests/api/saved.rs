//! Settings and services that are saved for repositories.

use pretty_assertions::assert_eq;
use serde_json::{Value, json};

use crate::support::Running;

const URL: &str = "https://example.com/o/r";

#[tokio::test]
async fn a_repository_is_one_however_its_url_is_written() {
    let server = Running::start().await;
    let key = &server.admin;
    let body =
        json!({ "repo_url": "https://ada:CANARY@example.com/o/r.git", "setup_script": "s.sh" });
    let made = server.post(key, "/repositories", body).await.expect(201);
    assert_eq!(
        made["repo_url"], "https://example.com/o/r.git",
        "without what signs in"
    );
    let again = json!({ "repo_url": "git@example.com:o/r.git", "sandbox_size": "l" });
    let again = server.post(key, "/repositories", again).await.expect(201);
    assert_eq!(again["id"], made["id"]);
    assert_eq!(
        (&again["setup_script"], &again["sandbox_size"]),
        (&json!("s.sh"), &json!("l"))
    );
    let none = json!({ "repo_url": URL, "setup_script": null });
    let none = server.post(key, "/repositories", none).await.expect(201);
    assert_eq!(
        (&none["setup_script"], &none["sandbox_size"]),
        (&Value::Null, &json!("l"))
    );
    let listed = server.get(key, "/repositories").await.expect(200);
    assert_eq!(listed, json!([none]));
    let path = format!("/repositories/{}", made["id"].as_str().unwrap());
    let put = json!({ "env_vars": { "A": "1" } });
    let put = server.ask(key, "PUT", &path, Some(put)).await.expect(200);
    assert_eq!(
        (&put["sandbox_size"], &put["env_vars"]),
        (&Value::Null, &json!({ "A": "1" }))
    );
    assert_eq!(server.get(key, &path).await.expect(200), put);
    server.ask(key, "DELETE", &path, None).await.expect(200);
    server.get(key, &path).await.refused(404);
}

#[tokio::test]
async fn of_two_who_change_one_setting_each_neither_loses_the_others() {
    let server = Running::start().await;
    let key = &server.admin;
    for round in 0..20 {
        let url = format!("https://example.com/o/r{round}");
        let script = json!({ "repo_url": url, "setup_script": "s.sh" });
        let size = json!({ "repo_url": url, "sandbox_size": "l" });
        let both = tokio::join!(
            server.post(key, "/repositories", script),
            server.post(key, "/repositories", size)
        );
        both.0.expect(201);
        both.1.expect(201);
        let nothing = json!({ "repo_url": url });
        let saved = server.post(key, "/repositories", nothing).await.expect(201);
        assert_eq!(
            (&saved["setup_script"], &saved["sandbox_size"]),
            (&json!("s.sh"), &json!("l")),
            "round {round}"
        );
    }
}

#[tokio::test]
async fn what_could_not_hold_is_not_saved() {
    let server = Running::start().await;
    for (body, field) in [
        (json!({ "repo_url": "/srv/r" }), "/repo_url"),
        (json!({ "repo_url": "file:///srv/r" }), "/repo_url"),
        (
            json!({ "repo_url": URL, "setup_script": "../x" }),
            "/setup_script",
        ),
        (
            json!({ "repo_url": URL, "setup_script": "/x" }),
            "/setup_script",
        ),
        (
            json!({ "repo_url": URL, "sandbox_preset": "codr" }),
            "/sandbox_preset",
        ),
        (
            json!({ "repo_url": URL, "sandbox_size": "xxl" }),
            "/sandbox_size",
        ),
        (
            json!({ "repo_url": URL, "env_vars": { "A=B": "1" } }),
            "/env_vars/A=B",
        ),
        (
            json!({ "repo_url": URL, "env_vars": { "AMIKA_AGENT_CWD": "1" } }),
            "/env_vars/AMIKA_AGENT_CWD",
        ),
        (
            json!({ "repo_url": URL, "setup_script_text": "" }),
            "/setup_script_text",
        ),
    ] {
        let refused = server
            .post(&server.admin, "/repositories", body.clone())
            .await
            .expect(400);
        assert_eq!(refused["details"][0]["field"], field, "{body}");
    }
    assert_eq!(
        server.get(&server.admin, "/repositories").await.expect(200),
        json!([])
    );
}

#[tokio::test]
async fn once_a_service_is_saved_the_store_alone_counts_until_it_is_told_otherwise() {
    let server = Running::start().await;
    let key = &server.admin;
    let web = json!({ "repo_url": URL, "name": "web", "ports": [
        { "port": 4211, "url_scheme": "http" }, { "port": 4982, "protocol": "udp" },
    ] });
    let web = server.post(key, "/services", web).await.expect(201);
    assert_eq!(
        web["ports"],
        json!([
            { "port": 4211, "protocol": "tcp", "url_scheme": "http" },
            { "port": 4982, "protocol": "udp", "url_scheme": null },
        ])
    );
    let repositories = server.get(key, "/repositories").await.expect(200);
    let of = format!(
        "/repositories/{}/services",
        repositories[0]["id"].as_str().unwrap()
    );
    let shown = server.get(key, &of).await.expect(200);
    assert_eq!(shown, json!({ "source": "saved", "items": [web] }));

    let path = format!("/services/{}", web["id"].as_str().unwrap());
    let renamed = server
        .ask(key, "PUT", &path, Some(json!({ "name": "site" })))
        .await
        .expect(200);
    assert_eq!(renamed["ports"], web["ports"]);
    server.ask(key, "DELETE", &path, None).await.expect(204);
    let none = server.get(key, &of).await.expect(200);
    assert_eq!(
        none,
        json!({ "source": "saved", "items": [] }),
        "none left means none"
    );
    server.ask(key, "DELETE", &of, None).await.expect(200);
    assert_eq!(
        server.get(key, &of).await.expect(200),
        json!({ "source": "file", "items": [] })
    );
}

#[tokio::test]
async fn services_are_held_to_the_rules_of_the_file_among_each_other() {
    let server = Running::start().await;
    let save = async |name: &str, ports: Value| {
        let body = json!({ "repo_url": URL, "name": name, "ports": ports });
        server.post(&server.admin, "/services", body).await
    };
    for (ports, field, message) in [
        (json!([{ "port": 60999 }]), "/ports/0", "reserved"),
        (json!([{ "port": 0 }]), "/ports/0", "0"),
        (
            json!([{ "port": 80 }, { "port": 80 }]),
            "/ports/1",
            "already declared",
        ),
        (
            json!([{ "port": 80, "protocol": "sctp" }]),
            "/ports/0",
            "sctp",
        ),
        (
            json!([{ "port": 80, "url_scheme": "ftp" }]),
            "/ports/0/url_scheme",
            "ftp",
        ),
        (
            json!([{ "port": 80, "scheme": "http" }]),
            "/ports/0/scheme",
            "unknown field",
        ),
        (json!([{ "port": "80" }]), "/ports/0/port", "invalid type"),
    ] {
        let refused = save("web", ports).await.expect(400);
        let detail = &refused["details"][0];
        assert_eq!(detail["field"], field, "{detail}");
        assert!(
            detail["message"].as_str().unwrap().contains(message),
            "{detail}"
        );
    }
    assert_eq!(
        server.get(&server.admin, "/repositories").await.expect(200),
        json!([]),
        "nothing was made"
    );
    save("api", json!([{ "port": 80 }])).await.expect(201);
    assert_eq!(save("api", json!([])).await.refused(409), "conflict");
    let clash = save("web", json!([{ "port": 81 }, { "port": 80 }]))
        .await
        .expect(400);
    assert_eq!(clash["details"][0]["field"], "/ports/1");
    assert_eq!(
        clash["message"],
        "port 80/tcp is already declared by service \"api\""
    );
    save("sidecar", json!([])).await.expect(201);
}

#[tokio::test]
async fn the_commits_identity_is_each_users_own() {
    let server = Running::start().await;
    let ada = server.member("ada").await;
    let none = json!({ "name": null, "email": null });
    assert_eq!(
        server.get(&ada, "/git-user-settings").await.expect(200),
        none
    );
    let own = json!({ "name": "Ada", "email": "ada@example.com" });
    assert_eq!(
        server
            .post(&ada, "/git-user-settings", own.clone())
            .await
            .expect(200),
        own
    );
    assert_eq!(
        server.get(&ada, "/git-user-settings").await.expect(200),
        own
    );
    assert_eq!(
        server
            .get(&server.admin, "/git-user-settings")
            .await
            .expect(200),
        none
    );
    let bad = json!({ "name": "a\nb" });
    server
        .post(&ada, "/git-user-settings", bad)
        .await
        .refused(400);
}

//! The data directory and the database: one server's, copied, put back, refused.

use amika_host::machine::Machine;
use amika_sandbox::error::Kind;
use amika_server::clock::Clock;
use amika_server::config::{Config, Layer};
use amika_server::start::{Server, make_admin_key};
use amika_server::upkeep::{backup, check, restore};
use pretty_assertions::assert_eq;
use serde_json::json;

use crate::support::Running;

async fn start(data: &std::path::Path) -> Result<Server, amika_sandbox::error::Error> {
    let said = Layer {
        listen: Some(vec!["127.0.0.1:0".parse().unwrap()]),
        ..Layer::default()
    };
    let config = Config::new(said, data.to_owned()).unwrap();
    Server::start(config, &Machine::of_process(), Clock::system()).await
}

#[tokio::test]
async fn a_data_directory_is_one_servers() {
    let mut server = Running::start().await;
    let machine = Machine::of_process();
    let refused = start(&server.data()).await.err().unwrap();
    assert_eq!(refused.kind, Kind::Conflict);
    assert_eq!(
        check(&server.data(), &machine).await.unwrap_err().kind,
        Kind::Conflict
    );
    let key = make_admin_key(&server.data(), &Clock::system()).await;
    assert_eq!(key.unwrap_err().kind, Kind::Conflict);
    server.stop().await;
    check(&server.data(), &machine).await.unwrap();
    let key = make_admin_key(&server.data(), &Clock::system())
        .await
        .unwrap();
    let server = server.again().await;
    assert_eq!(server.get(&key, "/me").await.expect(200)["role"], "admin");
}

#[tokio::test]
async fn an_address_that_is_taken_is_a_conflict() {
    let server = Running::start().await;
    let said = Layer {
        listen: Some(vec![server.address]),
        ..Layer::default()
    };
    let directory = tempfile::tempdir().unwrap();
    let config = Config::new(said, directory.path().join("data")).unwrap();
    let refused = Server::start(config, &Machine::of_process(), Clock::system()).await;
    assert_eq!(refused.err().unwrap().kind, Kind::Conflict);
}

#[tokio::test]
async fn a_backup_of_a_running_server_puts_back_what_was_there() {
    let mut server = Running::start().await;
    let key = server.admin.clone();
    let secret = json!({ "name": "s", "value": "v" });
    let secret = server.post(&key, "/secrets", secret).await.expect(201);
    let copy = server.directory.path().join("copies/one");
    backup(&server.data(), &copy).await.unwrap();
    assert_eq!(
        backup(&server.data(), &copy).await.unwrap_err().kind,
        Kind::Conflict
    );
    let path = format!("/secrets/{}", secret["id"].as_str().unwrap());
    server.ask(&key, "DELETE", &path, None).await.expect(204);
    let clock = Clock::system();
    let busy = restore(&server.data(), &copy, &clock).await;
    assert_eq!(busy.unwrap_err().kind, Kind::Conflict);
    server.stop().await;
    // Without the key nothing could be read any more: it is in the backup.
    std::fs::remove_file(server.data().join("secrets.key")).unwrap();
    let kept = restore(&server.data(), &copy, &clock)
        .await
        .unwrap()
        .unwrap();
    assert!(kept.join("amika.db").is_file());
    check(&server.data(), &Machine::of_process()).await.unwrap();
    let server = server.again().await;
    let shown = server
        .post(&key, &format!("{path}/reveal"), json!({}))
        .await
        .expect(200);
    assert_eq!(shown["value"], "v");
}

#[tokio::test]
async fn a_key_that_opens_nothing_is_told_by_the_check() {
    let mut server = Running::start().await;
    let secret = json!({ "name": "s", "value": "v" });
    server
        .post(&server.admin, "/secrets", secret)
        .await
        .expect(201);
    server.stop().await;
    std::fs::remove_file(server.data().join("secrets.key")).unwrap();
    let found = check(&server.data(), &Machine::of_process())
        .await
        .unwrap_err();
    assert!(
        found.message.starts_with("1 secrets cannot be read"),
        "{}",
        found.message
    );
}

#[tokio::test]
async fn a_damaged_database_and_a_strangers_are_refused_with_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    of_version(NOW - 1, &data);
    let file = data.join("amika.db");
    let good = std::fs::read(&file).unwrap();
    let mut torn = good.clone();
    for byte in &mut torn[4096..20_000] {
        *byte ^= 0x5a;
    }
    for bad in [
        b"no database at all, but some text of a length".to_vec(),
        torn,
    ] {
        std::fs::write(&file, &bad).unwrap();
        let refused = start(&data).await.err().unwrap();
        assert!(
            refused.message.contains("is damaged"),
            "{}",
            refused.message
        );
        assert!(
            refused.hints[0].contains("amika server restore"),
            "{:?}",
            refused.hints
        );
        assert_eq!(std::fs::read(&file).unwrap(), bad, "it is left as it is");
    }
}

/// The version of what is written now; each before it has a database among the fixtures.
const NOW: i64 = 7;

/// What an older version wrote: its keys are of no other server.
fn of_version(version: i64, data: &std::path::Path) -> String {
    use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
    let fixtures = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    std::fs::DirBuilder::new().mode(0o700).create(data).unwrap();
    let database = format!("v{version}.db");
    for (from, to) in [
        (database.as_str(), "amika.db"),
        ("secrets.key", "secrets.key"),
    ] {
        std::fs::copy(fixtures.join(from), data.join(to)).unwrap();
        let private = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(data.join(to), private).unwrap();
    }
    let key = std::fs::read_to_string(fixtures.join("admin.key")).unwrap();
    key.trim().to_owned()
}

/// What a query of one text finds in a database that nobody uses.
async fn found(database: &std::path::Path, query: &'static str) -> String {
    use sqlx::Row as _;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(database);
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    let row = sqlx::query(query).fetch_one(&pool).await.unwrap();
    pool.close().await;
    row.get(0)
}

#[tokio::test]
async fn what_each_version_wrote_is_all_there() {
    for version in 1..NOW {
        let directory = std::sync::Arc::new(tempfile::tempdir().unwrap());
        let data = directory.path().join("data");
        let key = of_version(version, &data);
        let machine = Machine::of_process();
        assert_eq!(check(&data, &machine).await.unwrap().version, version);
        let mut server = Running::on(std::sync::Arc::clone(&directory)).await;
        let secrets = server.get(&key, "/secrets").await.expect(200);
        let reveal = format!("/secrets/{}/reveal", secrets[0]["id"].as_str().unwrap());
        let shown = server.post(&key, &reveal, json!({})).await.expect(200);
        assert_eq!(shown["value"], "kept since version 1");
        let repositories = server.get(&key, "/repositories").await.expect(200);
        assert_eq!(repositories[0]["env_vars"], json!({ "A": "1" }));
        let services = format!(
            "/repositories/{}/services",
            repositories[0]["id"].as_str().unwrap()
        );
        let services = server.get(&key, &services).await.expect(200);
        assert_eq!(services["items"][0]["ports"][0]["port"], 4211);
        if version >= 6 {
            assert_eq!(services["items"][0]["command"], "npm start", "{services}");
        }
        if version >= 2 {
            let users = server.get(&key, "/users").await.expect(200);
            assert_eq!(users[0]["max_sandboxes"], 3, "{users}");
            let path = "/operations/0d3e2b44-4b0e-4f50-9d0b-2b9f4d3e7a10";
            let operation = server.get(&key, path).await.expect(200);
            assert_eq!(operation["state"], "succeeded", "{operation}");
        }
        if version >= 3 {
            let path = "/agent-sessions/5b7c2d1e-0f6a-4a9e-9a55-d0c1f2e3a4b5";
            let session = server.get(&key, path).await.expect(200);
            assert_eq!(session["messages"][1]["content"], "It is written.");
        }
        server.stop().await;
        assert_eq!(check(&data, &machine).await.unwrap().version, NOW);
        let database = data.join("amika.db");
        if version >= 2 {
            let name = found(&database, "SELECT name || metadata FROM sandboxes").await;
            assert_eq!(name, "teal-tokyo{\"team\":\"core\"}");
        }
        if version >= 4 {
            let name = found(&database, "SELECT name FROM sandbox_services").await;
            assert_eq!(name, "web");
        }
        // As it was before it is kept, and can be gone back to.
        let backups = std::fs::read_dir(data.join("backups")).unwrap();
        let names = backups.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let names: Vec<String> = names.collect();
        let begin = format!("amika-v{version}-");
        assert!(
            names.len() == 1 && names[0].starts_with(&begin),
            "{names:?}"
        );
        let copy = data.join("backups").join(&names[0]);
        if version >= 5 {
            // What was to be said to a sandbox that is gone is forgotten; the copy has it.
            let told = found(&copy, "SELECT initial_prompt FROM sandboxes").await;
            assert_eq!(told, "write the tests");
        }
        restore(&data, &copy, &Clock::system()).await.unwrap();
        let server = Running::on(directory).await;
        assert_eq!(server.get(&key, "/me").await.expect(200)["role"], "admin");
    }
}

#[tokio::test]
async fn a_newer_database_is_refused_with_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    of_version(1, &data);
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(data.join("amika.db"));
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    sqlx::query("UPDATE _sqlx_migrations SET version = 99")
        .execute(&pool)
        .await
        .unwrap();
    pool.close().await;
    let refused = start(&data).await.err().unwrap();
    assert!(
        refused.message.contains("newer amika"),
        "{}",
        refused.message
    );
    assert!(!refused.hints.is_empty());
    assert!(check(&data, &Machine::of_process()).await.is_err());
}

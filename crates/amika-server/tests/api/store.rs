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
    of_version_1(&data);
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

/// What the first version wrote: its keys are of no other server.
fn of_version_1(data: &std::path::Path) -> String {
    use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
    let fixture = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1");
    std::fs::DirBuilder::new().mode(0o700).create(data).unwrap();
    for name in ["amika.db", "secrets.key"] {
        std::fs::copy(fixture.join(name), data.join(name)).unwrap();
        let private = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(data.join(name), private).unwrap();
    }
    let key = std::fs::read_to_string(fixture.join("admin.key")).unwrap();
    key.trim().to_owned()
}

#[tokio::test]
async fn what_the_first_version_wrote_is_all_there() {
    let directory = std::sync::Arc::new(tempfile::tempdir().unwrap());
    let key = of_version_1(&directory.path().join("data"));
    let server = Running::on(directory).await;
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
}

#[tokio::test]
async fn a_newer_database_is_refused_with_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    of_version_1(&data);
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

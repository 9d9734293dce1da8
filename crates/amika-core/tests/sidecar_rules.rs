//! What a repository may say of services that are containers of their own, and what each mistake is answered with.

use amika_core::config::parse;
use amika_core::service::{Ready, Sidecar};
use pretty_assertions::assert_eq;

use super::services::problems;

/// The service `db` of a text.
fn db(text: &str) -> Sidecar {
    let parsed = parse(text).expect("it is TOML");
    assert!(parsed.valid(), "{text}\n{:?}", parsed.warnings);
    let mut services = parsed.config.services.into_iter();
    let db = services.find(|service| service.name == "db");
    db.and_then(|db| db.sidecar).expect("it has an image")
}

#[test]
fn all_that_can_be_said_is_heard() {
    assert_eq!(
        db("[services.db]\nimage = \"redis:7\"\n"),
        Sidecar::of("redis:7")
    );
    let all = db(
        "[services.db]\nimage = \"registry.example/team/postgres:17\"\ncommand = [\"postgres\", \"-c\", \"fsync=off\"]\n\
         env = { POSTGRES_PASSWORD = \"a b\", PORT = 5433 }\n\
         volumes = [\"data:/var/lib/postgresql/data\", \"backup:/backup:rw\"]\n\
         ready = \"tcp:5433\"\nready_timeout = 5\n\
         [services.web]\ncommand = \"npm start\"\ndepends_on = [\"db\"]\n",
    );
    assert_eq!(all.image, "registry.example/team/postgres:17");
    assert_eq!(all.command, ["postgres", "-c", "fsync=off"]);
    assert_eq!(all.env["PORT"], "5433");
    let volumes = all.volumes.iter();
    let volumes: Vec<String> = volumes
        .map(|it| format!("{} at {}", it.name, it.target))
        .collect();
    assert_eq!(
        volumes,
        ["data at /var/lib/postgresql/data", "backup at /backup"]
    );
    assert_eq!(
        (all.ready, all.ready_timeout_s),
        (Some(Ready::Tcp { port: 5433 }), 5)
    );
    let line = db(
        "[services.db]\nimage = \"x\"\ncommand = \"sleep 1 && serve\"\nready = \"http:8080/up\"\n",
    );
    assert_eq!(line.command, ["sh", "-c", "sleep 1 && serve"]);
    let up = "/up".to_owned();
    assert_eq!(
        line.ready,
        Some(Ready::Http {
            port: 8080,
            path: up
        })
    );
}

#[test]
fn each_mistake_is_told_with_its_place() {
    for (keys, told) in [
        (
            "image = \"Postgres\"",
            "2:9: \"Postgres\" names no image: an image's name is in lower case",
        ),
        ("image = 17", "2:9: image must be a string, not an integer"),
        (
            "image = \"x\"\nport = 5432",
            "3:1: service \"db\" has an image, and port is for one of the sandbox's own programs",
        ),
        (
            "image = \"x\"\nstart = \"on-demand\"",
            "3:1: service \"db\" has an image, and start is for one of the sandbox's own programs",
        ),
        (
            "volumes = [\"data:/data\"]",
            "2:1: volumes needs an image: service \"db\" has none",
        ),
        (
            "image = \"x\"\nvolumes = [\"./data:/data\"]",
            "3:12: volumes \"./data:/data\": no path is mounted into a service with an image: name a volume",
        ),
        (
            "image = \"x\"\nvolumes = [\"data:data\"]",
            "3:12: volumes \"data:data\": target \"data\" is not absolute",
        ),
        (
            "image = \"x\"\nvolumes = [\"data:/a/../b\"]",
            "3:12: volumes \"data:/a/../b\": target \"/a/../b\" has \"..\" in it",
        ),
        (
            "image = \"x\"\nvolumes = [\"data:/a\", \"data:/b\"]",
            "3:23: volumes \"data:/b\": its volume is used before",
        ),
        (
            "image = \"x\"\nready = \"log:up\"",
            "3:9: ready of a service with an image is \"tcp:PORT\" or \"http:PORT/path\": the sandbox does not see its log",
        ),
        (
            "image = \"x\"\nready = \"tcp\"",
            "3:9: ready \"tcp\": the service has no TCP port; name one, as in \"tcp:8080\"",
        ),
    ] {
        assert_eq!(
            problems(&format!("[services.db]\n{keys}\n")),
            [told],
            "{keys}"
        );
    }
    for name in ["localhost", "opencode", "\"a b\""] {
        let found = problems(&format!("[services.{name}]\nimage = \"x\"\n"));
        assert!(found[0].starts_with("1:11: "), "{found:?}");
    }
    let many: Vec<String> = (1..6)
        .map(|it| format!("[services.s{it}]\nimage = \"x\"\n"))
        .collect();
    let many = many.concat();
    assert_eq!(
        problems(&many),
        ["9:11: 5 services have an image: a sandbox has at most 4 of them"]
    );
    let unknown =
        "[services.db]\nimage = \"x\"\n[services.web]\ncommand = \"y\"\ndepends_on = [\"bd\"]\n";
    assert_eq!(
        problems(unknown),
        ["5:15: service \"web\" depends on \"bd\", which is not declared"]
    );
}

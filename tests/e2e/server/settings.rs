//! Which value of a setting holds: every row of the specification's list, asked for through the API and through the
//! command line.

use serde_json::{Value, json};

use super::client::Server;
use crate::repositories::server::Server as Forge;
use crate::support::{DEBIAN, Run, Stage, preset};

/// A repository's file that says something of every setting.
const FILE: &str = "[lifecycle]\nsetup_script = \"s.sh\"\n[sandbox]\nimage = \"amika-test/debian\"\n\
    [sandbox.limits]\ncpus = 1\nmemory = \"512m\"\n[env]\nA = \"file\"\nB = \"file\"\nC = \"file\"\n\
    [services.web]\nport = 3123\nurl_scheme = \"http\"\n[services.plain]\nport = 3124\n";

/// One that says nothing.
const SILENT: &str = "";

/// A row of the list.
#[derive(Clone)]
struct Row {
    name: &'static str,
    /// What the repository's file says.
    file: &'static str,
    /// What is saved for the repository.
    saved: Value,
    /// The definitions of services that are saved for it; none where none ever was.
    services: Option<&'static [(&'static str, u16)]>,
    /// What is asked for: the body of a request, and the flags that mean the same.
    body: Value,
    flags: &'static [&'static str],
    /// What the plan has then: a place in it, and the value there.
    expected: Vec<(&'static str, Value)>,
}

impl Row {
    fn new(name: &'static str, file: &'static str) -> Self {
        Self {
            name,
            file,
            saved: json!({}),
            services: None,
            body: json!({}),
            flags: &[],
            expected: Vec::new(),
        }
    }

    fn saved(mut self, saved: Value) -> Self {
        self.saved = saved;
        self
    }

    fn services(mut self, services: &'static [(&'static str, u16)]) -> Self {
        self.services = Some(services);
        self
    }

    fn asked(mut self, body: Value, flags: &'static [&'static str]) -> Self {
        (self.body, self.flags) = (body, flags);
        self
    }

    fn has(mut self, place: &'static str, value: impl Into<Value>) -> Self {
        self.expected.push((place, value.into()));
        self
    }
}

/// "Request over saved over file over default", for each setting by itself.
fn each_setting() -> Vec<Row> {
    let image = |row: Row, of: &str| row.has("/origins/image", of);
    let script = |row: Row, of: &str| row.has("/origins/setup_script", of);
    let coder = || json!({ "sandbox_preset": "coder" });
    let text = "#!/bin/sh\n";
    vec![
        image(Row::new("image: nobody", SILENT), "default"),
        image(Row::new("image: file", FILE), "file").has("/image", DEBIAN),
        image(
            Row::new("image: saved over file", FILE).saved(coder()),
            "saved",
        ),
        image(Row::new("image: saved", SILENT).saved(coder()), "saved"),
        image(
            Row::new("image: requested over saved over file", FILE)
                .saved(coder())
                .asked(json!({ "image": DEBIAN }), &["--image", DEBIAN]),
            "request",
        )
        .has("/image", DEBIAN),
        image(
            Row::new("preset: requested over file", FILE)
                .asked(json!({ "preset": "coder" }), &["--preset", "coder"]),
            "request",
        ),
        script(Row::new("script: nobody", SILENT), "default").has("/setup_script", Value::Null),
        script(Row::new("script: file", FILE), "file").has("/setup_script", "s.sh"),
        script(
            Row::new("script: saved over file", FILE).saved(json!({ "setup_script": "other.sh" })),
            "saved",
        )
        .has("/setup_script", "other.sh"),
        script(
            Row::new("script: saved text over saved path and file", FILE)
                .saved(json!({ "setup_script": "other.sh", "setup_script_text": text })),
            "saved",
        )
        .has("/setup_script", Value::Null),
        script(
            Row::new("script: requested over saved over file", FILE)
                .saved(json!({ "setup_script": "other.sh" }))
                .asked(
                    json!({ "setup_script_text": text }),
                    &["--setup-script", "script"],
                ),
            "request",
        )
        .has("/setup_script", Value::Null),
        script(
            Row::new("script: left out", FILE)
                .saved(json!({ "setup_script": "other.sh" }))
                .asked(json!({ "skip_setup_script": true }), &["--no-setup"]),
            "request",
        )
        .has("/setup_script", Value::Null),
        Row::new("variables: each by itself", FILE)
            .saved(json!({ "env_vars": { "B": "saved", "C": "saved", "D": "saved" } }))
            .asked(
                json!({ "env_vars": { "C": "asked", "E": "asked" } }),
                &["--env", "C=asked", "--env", "E=asked"],
            )
            .has("/origins/env/A", "file")
            .has("/origins/env/B", "saved")
            .has("/origins/env/C", "request")
            .has("/origins/env/D", "saved")
            .has("/origins/env/E", "request"),
        Row::new("size: nobody", SILENT)
            .has("/origins/limits/cpus", "default")
            .has("/origins/limits/memory", "default"),
        Row::new("size: file", FILE)
            .has("/origins/limits/cpus", "file")
            .has("/origins/limits/memory", "file")
            .has("/limits/memory_bytes", 512_u64 << 20),
        Row::new("size: saved over file", FILE)
            .saved(json!({ "sandbox_size": "xs" }))
            .has("/origins/limits/cpus", "saved")
            .has("/origins/limits/memory", "saved")
            .has("/limits/memory_bytes", 2_u64 << 30),
        Row::new("size: requested over saved over file", FILE)
            .saved(json!({ "sandbox_size": "m" }))
            .asked(json!({ "size": "xs" }), &["--size", "xs"])
            .has("/origins/limits/cpus", "request")
            .has("/origins/limits/memory", "request")
            .has("/limits/memory_bytes", 2_u64 << 30),
    ]
}

/// "Database, repository config, default", and "DB wins all".
fn services() -> Vec<Row> {
    let row = |name, file, names: &[&str], of: &str| {
        Row::new(name, file)
            .has("/services", json!(names))
            .has("/origins/services", of)
    };
    vec![
        row("services: nobody", SILENT, &[], "default"),
        row(
            "services: repository config",
            FILE,
            &["plain", "web"],
            "file",
        ),
        row(
            "services: database over repository config",
            FILE,
            &["db"],
            "saved",
        )
        .services(&[("db", 5432)]),
        row("services: database", SILENT, &["cache", "db"], "saved")
            .services(&[("db", 5432), ("cache", 6379)]),
        row(
            "services: one of the same name is the database's",
            FILE,
            &["web"],
            "saved",
        )
        .services(&[("web", 9000)])
        .has("/ports", "127.0.0.1:9000->9000/tcp"),
        row("services: the last one deleted is none", FILE, &[], "saved").services(&[]),
        row(
            "services: settings that are saved leave the file's",
            FILE,
            &["plain", "web"],
            "file",
        )
        .saved(json!({ "sandbox_preset": "coder" })),
        row(
            "services: `--port` is beside them",
            FILE,
            &["plain", "web"],
            "file",
        )
        .asked(json!({ "ports": ["3555:3555"] }), &["--port", "3555:3555"])
        .has("/ports", "127.0.0.1:3123->3123/tcp")
        .has("/ports", "127.0.0.1:3124->3124/tcp")
        .has("/ports", "127.0.0.1:3555->3555/tcp"),
    ]
}

/// A server, and a repository for each file.
struct Ground<'a> {
    stage: &'a Stage,
    server: Server<'a>,
    urls: [(&'static str, String); 2],
}

impl<'a> Ground<'a> {
    fn new(stage: &'a Stage) -> Self {
        let files = [(FILE, "said"), (SILENT, "silent")];
        for (text, name) in files {
            let repository = format!("forge/public/{name}");
            for script in ["s.sh", "other.sh"] {
                stage.script(&format!("{repository}/{script}"), "#!/bin/sh\n");
            }
            stage.repository(&repository, &[(".amika/config.toml", text)]);
        }
        let forge = Forge::start(&stage.home().join("forge"));
        Self {
            stage,
            server: Server::start(stage, &["--allow-private-git"]),
            urls: files.map(|(text, name)| (text, forge.url("", &format!("public/{name}/.git")))),
        }
    }

    fn url(&self, file: &str) -> &str {
        let found = self.urls.iter().find(|(text, _)| *text == file);
        &found.unwrap().1
    }

    /// Has this saved for a repository, and nothing else.
    fn save(&self, row: &Row) {
        let url = self.url(row.file);
        let body = json!({ "repo_url": url });
        let repository = self.server.post("/repositories", &body).expect(201);
        let path = format!("/repositories/{}", repository["id"].as_str().unwrap());
        let put = self
            .server
            .ask(&self.server.admin, "PUT", &path, Some(&row.saved));
        put.expect(200);
        let services = format!("{path}/services");
        let cleared = self.server.delete(&services);
        assert!(matches!(cleared.status, 200 | 204), "{cleared:?}");
        let Some(definitions) = row.services else {
            return;
        };
        // Where all are gone again, one was there.
        let one = [("gone", 1)];
        let made = if definitions.is_empty() {
            &one
        } else {
            definitions
        };
        for (name, port) in made {
            let body = json!({ "repo_url": url, "name": name, "ports": [{ "port": port }] });
            let made = self.server.post("/services", &body).expect(201);
            if definitions.is_empty() {
                let path = format!("/services/{}", made["id"].as_str().unwrap());
                self.server.delete(&path).expect(204);
            }
        }
    }

    fn by_api(&self, row: &Row, path: &str) -> super::client::Answer {
        let mut body = row.body.clone();
        body["repo_url"] = self.url(row.file).into();
        self.server.post(path, &body)
    }

    fn by_command(&self, row: &Row, more: &[&str]) -> Run {
        let url = self.url(row.file);
        let args = ["-o", "json", "sandbox", "create", "--remote", "--git", url];
        self.stage
            .amika(&[&args[..], row.flags, more].concat())
            .dir(self.stage.home())
            .env("AMIKA_API_URL", &self.server.url())
            .env("AMIKA_API_KEY", &self.server.admin)
    }
}

#[test]
fn every_row_of_the_specifications_list_holds_by_api_and_by_command() {
    let stage = Stage::new();
    preset(&stage);
    stage.script("script", "#!/bin/sh\n");
    let ground = Ground::new(&stage);
    for row in each_setting().into_iter().chain(services()) {
        ground.save(&row);
        let by_api = ground.by_api(&row, "/sandboxes:plan").expect(200);
        let by_command = ground.by_command(&row, &["--dry-run"]).output();
        assert_eq!(by_command.code, 0, "{}: {by_command:?}", row.name);
        for (who, plan) in [("API", &by_api), ("command", &by_command.json())] {
            for (place, expected) in &row.expected {
                let mut value = plan.pointer(place);
                // Of several the one that is expected.
                if let (Some(Value::Array(all)), Value::String(_)) = (value, expected) {
                    value = all.iter().find(|one| *one == expected);
                }
                assert_eq!(
                    value,
                    Some(expected),
                    "{} by {who}: {place} of {plan:#}",
                    row.name
                );
            }
        }
    }

    // A pair of both is nobody's to decide.
    let row = Row::new("a port and a service", FILE)
        .asked(json!({ "ports": ["3123:3123"] }), &["--port", "3123:3123"]);
    let saved = Row {
        file: SILENT,
        services: Some(&[("web", 3123)]),
        ..row.clone()
    };
    for (row, path) in [
        (&row, "/sandboxes:plan"),
        (&saved, "/sandboxes:plan"),
        (&saved, "/sandboxes"),
    ] {
        ground.save(row);
        let refused = ground.by_api(row, path).expect(400);
        assert_eq!(refused["code"], "port_conflict", "{refused}");
        let message = refused["message"].as_str().unwrap();
        assert!(message.contains("\"3123:3123\" of ports"), "{refused}");
        assert!(message.contains("service \"web\""), "{refused}");
        let flags = ground.by_command(row, &["--dry-run"]).output();
        flags.ended(2, &["3123:3123", "service \"web\""]);
    }
    stage.nothing_was_made();
}

/// What a plan says is what a sandbox has.
#[test]
fn what_holds_is_what_a_sandbox_is_made_with() {
    let stage = Stage::new();
    let ground = Ground::new(&stage);
    let row = Row::new("all", FILE)
        .saved(json!({
            "env_vars": { "B": "saved", "C": "saved" },
            "setup_script_text": "#!/bin/sh\necho saved >~/ran\n",
        }))
        .services(&[("db", 5432)])
        .asked(
            json!({ "env_vars": { "C": "asked" } }),
            &["--env", "C=asked"],
        );
    ground.save(&row);
    let by_api = ground.by_api(&row, "/sandboxes?wait=60").expect(202);
    let by_command = ground.by_command(&row, &[]).output();
    assert_eq!(by_command.code, 0, "{by_command:?}");
    for made in [by_api, by_command.json()] {
        assert_eq!(made["state"], "started", "{made}");
        let path = format!("/sandboxes/{}", made["id"].as_str().unwrap());
        let look = json!({ "cmd": ["sh", "-c", "echo $A $B $C; cat ~/ran"] });
        let said = ground
            .server
            .post(&format!("{path}/exec"), &look)
            .expect(200);
        assert_eq!(said["stdout"], "file saved asked\nsaved\n", "{said}");
        let services = made["services"].as_array().unwrap();
        let names: Vec<&Value> = services.iter().map(|it| &it["name"]).collect();
        assert_eq!(names, [&json!("db")], "{made}");
        ground.server.remove(made["id"].as_str().unwrap());
    }
    stage.nothing_was_made();
}

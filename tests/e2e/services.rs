//! Services of a repository: published, reached, listed, and side by side with those of others.

mod run;
mod server;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{DEBIAN, Stage};
pub(crate) use server::{Repository, free_ports};
use server::{ask_http, echo_tcp, echo_udp};

fn table(stage: &Stage, sandbox: &str) -> Vec<Vec<String>> {
    let listed = stage
        .amika(&["service", "list", "--sandbox-name", sandbox])
        .output();
    assert_eq!(listed.code, 0, "{listed:?}");
    let text = listed.stdout_text();
    text.lines()
        .map(|line| {
            let cells = line.split("   ").map(str::trim);
            cells
                .filter(|cell| !cell.is_empty())
                .map(str::to_owned)
                .collect()
        })
        .collect()
}

#[test]
fn declared_ports_are_published_and_reached() {
    let stage = Stage::new();
    let [http, tcp, udp, tls] = free_ports();
    let repository = Repository::new(
        &stage,
        &format!(
            "[services.api]\nport = {http}\nurl_scheme = \"http\"\n\
             [services.notes]\n\
             [services.web]\nports = [{tcp}, \"{tls}/tcp\", \"{udp}/udp\"]\n\
             url_scheme = [{{ port = \"{tls}/tcp\", scheme = \"https\" }}, {{ port = \"{udp}/udp\", scheme = \"http\" }}]\n"
        ),
    );
    let sandbox = stage.adopt(stage.name());
    let serve = [
        format!("http:{http}"),
        format!("tcp:{tcp}"),
        format!("udp:{udp}"),
    ];
    let created = repository.create(&sandbox, &[], &serve);
    assert_eq!(created.code, 0, "{created:?}");
    let name = &sandbox.name;

    let expected: [[String; 4]; 4] = [
        ["SERVICE", "SANDBOX", "PORTS", "URL"].map(str::to_owned),
        [
            "api".into(),
            name.clone(),
            format!("127.0.0.1:{http}->{http}/tcp"),
            format!("http://localhost:{http}"),
        ],
        ["notes".into(), name.clone(), "-".into(), "-".into()],
        [
            "web".into(),
            name.clone(),
            format!(
                "127.0.0.1:{tcp}->{tcp}/tcp,127.0.0.1:{tls}->{tls}/tcp,127.0.0.1:{udp}->{udp}/udp"
            ),
            format!("https://localhost:{tls}"),
        ],
    ];
    assert_eq!(table(&stage, name), expected);
    assert_eq!(ask_http(&format!("http://localhost:{http}")), *name);
    assert_eq!(echo_tcp(tcp, b"over tcp"), b"over tcp");
    assert_eq!(echo_udp(udp, b"over udp"), b"over udp");

    let list = stage.amika(&["sandbox", "list", "-o", "json"]).output();
    let list = list.json();
    let shown = list.as_array().unwrap();
    let shown = shown.iter().find(|it| it["name"] == **name).unwrap();
    let api = shown["ports"].as_array().unwrap();
    let api = api.iter().find(|port| port["service"] == "api").unwrap();
    assert_eq!(
        *api,
        json!({
            "service": "api", "host_ip": "127.0.0.1", "host_port": http,
            "container_port": http, "protocol": "tcp", "url": format!("http://localhost:{http}"),
        })
    );
}

#[test]
fn ten_sandboxes_of_one_repository_work_side_by_side() {
    let stage = Stage::new();
    let [http, tcp, udp] = free_ports();
    let repository = Repository::new(
        &stage,
        &format!(
            "[services.api]\nport = {http}\nurl_scheme = \"http\"\n\
             [services.echo]\nports = [{tcp}, \"{udp}/udp\"]\n"
        ),
    );
    let serve = [
        format!("http:{http}"),
        format!("tcp:{tcp}"),
        format!("udp:{udp}"),
    ];
    let sandboxes: Vec<_> = (0..10).map(|_| stage.adopt(stage.name())).collect();
    for some in sandboxes.chunks(4) {
        let running: Vec<_> = some
            .iter()
            .map(|sandbox| repository.create_run(sandbox, &[], &serve).start())
            .collect();
        for create in running {
            let created = create.wait();
            assert_eq!(created.code, 0, "{created:?}");
        }
    }
    let mut places = BTreeSet::new();
    for sandbox in &sandboxes {
        let args = [
            "service",
            "list",
            "-o",
            "json",
            "--sandbox-name",
            &sandbox.name,
        ];
        let services = stage.amika(&args).output().json();
        let port = |service: usize, port: usize| {
            let port = &services[service]["ports"][port];
            u16::try_from(port["host_port"].as_u64().unwrap()).unwrap()
        };
        let url = services[0]["ports"][0]["url"].as_str().unwrap();
        assert_eq!(url, format!("http://localhost:{}", port(0, 0)));
        assert_eq!(
            ask_http(url),
            sandbox.name,
            "another sandbox answers at {url}"
        );
        assert_eq!(echo_tcp(port(1, 0), b"a"), b"a");
        assert_eq!(echo_udp(port(1, 1), b"b"), b"b");
        places.extend([
            (port(0, 0), "tcp"),
            (port(1, 0), "tcp"),
            (port(1, 1), "udp"),
        ]);
    }
    assert_eq!(places.len(), 30, "{places:?}");
    // The first come has the numbers that were declared.
    for place in [(http, "tcp"), (tcp, "tcp"), (udp, "udp")] {
        assert!(places.contains(&place), "{place:?}");
    }
}

#[test]
fn a_stopped_sandbox_s_services_have_no_live_url() {
    let stage = Stage::new();
    let [port] = free_ports();
    let repository = Repository::new(
        &stage,
        &format!("[services.\"a\\u001bb\"]\nport = {port}\nurl_scheme = \"http\"\n[services.z]\n"),
    );
    let sandbox = stage.adopt(stage.name());
    assert_eq!(repository.create(&sandbox, &[], &[]).code, 0);
    let stopped = sandbox.verb("stop", &[]).output();
    assert_eq!(stopped.code, 0, "{stopped:?}");
    let rows = table(&stage, &sandbox.name);
    assert_eq!(rows[1][0], "a\\u{1b}b");
    assert_eq!(rows[1][2..], [format!("{port}/tcp (stopped)"), "-".into()]);
    assert_eq!(rows[2][2..], ["-", "-"]);
    let args = [
        "service",
        "list",
        "-o",
        "json",
        "--sandbox-name",
        &sandbox.name,
    ];
    let services = stage.amika(&args).output().json();
    assert_eq!(services[0]["service"], "a\u{1b}b");
    assert_eq!(services[0]["state"], "stopped");
    assert_eq!(services[0]["ports"][0]["url"], Value::Null);
    let port_of_it = &sandbox.inspect()["ports"][0];
    assert_eq!(port_of_it["host_port"], port);
    assert_eq!(port_of_it["url"], Value::Null);

    let started = sandbox.verb("start", &[]).output();
    assert_eq!(started.code, 0, "{started:?}");
    assert_eq!(
        table(&stage, &sandbox.name)[1][2..],
        [
            format!("127.0.0.1:{port}->{port}/tcp"),
            format!("http://localhost:{port}")
        ]
    );
}

#[test]
fn an_unknown_sandbox_has_no_services() {
    let stage = Stage::new();
    let args = ["service", "list", "-o", "json", "--sandbox-name", "no-such"];
    let listed = stage.amika(&args).output();
    assert_eq!(listed.code, 3, "{listed:?}");
    assert_eq!(listed.json()["error"]["code"], "not_found");
}

#[test]
fn services_that_break_a_rule_are_left_out_with_one_warning() {
    let stage = Stage::new();
    let repository = Repository::new(
        &stage,
        "[env]\nSTILL = \"here\"\n[services.a]\nport = 0\n[services.b]\nport = 60999\n",
    );
    let sandbox = stage.adopt(stage.name());
    let created = repository.create(&sandbox, &[], &[]);
    assert_eq!(created.code, 0, "{created:?}");
    let said = created.stderr_text();
    assert_eq!(said.matches("[services] is ignored").count(), 1, "{said}");
    assert!(said.contains("line 4") && said.contains("line 6"), "{said}");
    assert_eq!(table(&stage, &sandbox.name).len(), 1);
    let env = sandbox.exec(&["printenv", "STILL"]).output();
    assert_eq!(env.stdout_text().trim(), "here");
}

#[test]
fn flags_and_services_are_merged_and_never_override_each_other() {
    let stage = Stage::new();
    let [declared, published] = free_ports();
    let repository = Repository::new(&stage, &format!("[services.db]\nport = {declared}\n"));
    let sandbox = stage.adopt(stage.name());
    let both = format!("{published}:{declared}");
    let refused = repository.create(&sandbox, &["--port", &both], &[]);
    assert_eq!(refused.code, 4, "{refused:?}");
    let said = refused.stderr_text();
    assert!(said.contains(&format!("--port {both}")), "{said}");
    assert!(
        said.contains("service \"db\" (.amika/config.toml:2)"),
        "{said}"
    );

    // Another protocol is another port.
    let udp = format!("{both}/udp");
    let created = repository.create(&sandbox, &["--port", &udp, "-p", "80"], &[]);
    assert_eq!(created.code, 0, "{created:?}");
    let args = ["sandbox", "inspect", "-o", "json", &sandbox.name];
    let ports = stage.amika(&args).output().json()["ports"].clone();
    let place = |container: u16, protocol: &str| {
        let mut ports = ports.as_array().unwrap().iter();
        let port = ports
            .find(|it| it["container_port"] == container && it["protocol"] == protocol)
            .unwrap();
        (port["host_port"].as_u64().unwrap(), port["service"].clone())
    };
    assert_eq!(place(declared, "tcp"), (u64::from(declared), json!("db")));
    assert_eq!(place(declared, "udp"), (u64::from(published), Value::Null));
    assert!(place(80, "tcp").0 > 1024);
}

#[test]
fn amika_s_own_ports_are_refused() {
    let stage = Stage::new();
    for port in ["60999", "8080:60899", "[::1]:8080:60998/udp"] {
        let sandbox = stage.adopt(stage.name());
        let refused = sandbox.create(DEBIAN, &["--port", port]);
        assert_eq!(refused.code, 2, "{refused:?}");
        assert!(refused.stderr_text().contains("reserved"), "{refused:?}");
    }
}

//! Which engine is talked to, by the rules of the `docker` command: contexts, TLS, sign-ins.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::support::{SCRATCH, Sandbox, Stage, docker, engine_socket, eventually};

/// A server beside the test, ended with it.
struct Server(Child);

impl Server {
    /// Starts a program that needs no input and whose output nobody reads.
    fn start(program: &str, args: &[&str], env: &[(&str, &str)]) -> Self {
        let child = Command::new(program)
            .args(args)
            .envs(env.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}; run scripts/test-deps"));
        Self(child)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A port of this machine that nobody has now.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn listens(port: u16) {
    eventually("the server listens", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
}

/// Writes a context as `docker context create` does; returns the directory of its TLS files.
fn write_context(stage: &Stage, name: &str, host: &str) -> String {
    let config = stage.home().join("docker");
    let made = stage
        .shell(
            r#"docker --config "$1" context create "$2" --docker "host=$3" >/dev/null && printf %s "$2" | sha256sum | cut -d' ' -f1"#,
            &[config.to_str().unwrap(), name, host],
        )
        .without_env("DOCKER_HOST")
        .output();
    assert_eq!(made.code, 0, "{made:?}");
    let digest = made.stdout_text().trim().to_owned();
    let tls = config.join("contexts/tls").join(digest).join("docker");
    tls.to_str().unwrap().to_owned()
}

/// `amika` with a configuration directory of docker's own in this stage.
fn configured(stage: &Stage, args: &[&str]) -> crate::support::Run {
    let config = stage.home().join("docker");
    stage
        .amika(args)
        .without_env("DOCKER_HOST")
        .env("DOCKER_CONFIG", config.to_str().unwrap())
}

#[test]
fn docker_contexts_name_the_engine() {
    let stage = Stage::new();
    let proxy = stage.engine_proxy();
    write_context(&stage, "near", &proxy.host());
    let list = ["sandbox", "list"];
    configured(&stage, &list)
        .env("DOCKER_CONTEXT", "near")
        .output()
        .ended(0, &[]);
    let first = proxy.count();
    assert!(first > 0);
    // The current context of the configuration file does the same.
    stage.file("docker/config.json", r#"{"currentContext":"near"}"#);
    configured(&stage, &list).output().ended(0, &[]);
    let second = proxy.count();
    assert!(second > first);
    // `default` and DOCKER_HOST win over it.
    configured(&stage, &list)
        .env("DOCKER_CONTEXT", "default")
        .output()
        .ended(0, &[]);
    let nowhere = "unix:///nonexistent/docker.sock";
    configured(&stage, &list)
        .env("DOCKER_HOST", nowhere)
        .output()
        .ended(5, &[nowhere]);
    assert_eq!(proxy.count(), second);
    let gone = configured(&stage, &list)
        .env("DOCKER_CONTEXT", "gone")
        .output();
    gone.ended(5, &["docker context \"gone\"", "docker context ls"]);
}

/// Makes a certificate authority, a server's and a client's certificate in a directory.
const CERTIFICATES: &str = r#"
set -e
cd "$1"
new() { openssl req -newkey rsa:2048 -nodes -keyout "$1-key.pem" -subj "/CN=$2" "${@:3}" 2>/dev/null; }
new ca ca -x509 -days 2 -out ca.pem -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign
sign() { openssl x509 -req -in "$1.csr" -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 2 -out "$1.pem" -extfile <(echo "$2") 2>/dev/null; }
new server localhost -out server.csr
sign server 'subjectAltName=DNS:localhost,IP:127.0.0.1
extendedKeyUsage=serverAuth'
new client client -out client.csr
sign client 'extendedKeyUsage=clientAuth'
mkdir client other
cp ca.pem client/ && cp client.pem client/cert.pem && cp client-key.pem client/key.pem
new other other -x509 -days 2 -out other.pem
cp ca.pem other/ && cp other.pem other/cert.pem && cp other-key.pem other/key.pem
"#;

#[test]
fn an_engine_behind_tls_is_talked_to_with_the_clients_certificate() {
    let stage = Stage::new();
    let dir = stage.home().join("certificates");
    std::fs::create_dir(&dir).unwrap();
    let made = stage.shell(CERTIFICATES, &[dir.to_str().unwrap()]).output();
    assert_eq!(made.code, 0, "{made:?}");
    let port = free_port();
    let file = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    let listen = format!(
        "OPENSSL-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork,verify=1,cert={},key={},cafile={}",
        file("server.pem"),
        file("server-key.pem"),
        file("ca.pem")
    );
    // socat sets no session context: with tickets OpenSSL would refuse each second connection.
    let no_tickets = stage.file(
        "openssl.cnf",
        "openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n[c]\nOptions = -SessionTicket\n",
    );
    let _proxy = Server::start(
        "socat",
        &[&listen, &format!("UNIX-CONNECT:{}", engine_socket())],
        &[("OPENSSL_CONF", &no_tickets)],
    );
    listens(port);
    let host = format!("tcp://127.0.0.1:{port}");
    let run = |certificates: Option<&str>, args: &[&str]| {
        let run = stage.amika(args).env("DOCKER_HOST", &host);
        match certificates {
            Some(name) => run
                .env("DOCKER_TLS_VERIFY", "1")
                .env("DOCKER_CERT_PATH", &file(name))
                .output(),
            None => run.output(),
        }
    };
    let sandbox = stage.adopt(stage.name());
    let create = [
        "sandbox",
        "create",
        "--name",
        &sandbox.name,
        "--image",
        SCRATCH,
    ];
    run(None, &create).ended(5, &["cannot be reached"]);
    run(Some("other"), &create).ended(5, &["cannot be reached"]);
    run(Some("nowhere"), &create).ended(5, &["nowhere"]);
    stage.nothing_was_made();
    run(Some("client"), &create).ended(0, &[]);
    let exec = [
        "sandbox",
        "exec",
        &sandbox.name,
        "--",
        "/probe",
        "print",
        "through TLS",
    ];
    assert_eq!(run(Some("client"), &exec).stdout_text(), "through TLS\n");

    // A context with TLS files does the same.
    let tls = write_context(&stage, "secure", &host);
    std::fs::create_dir_all(&tls).unwrap();
    for name in ["ca.pem", "cert.pem", "key.pem"] {
        std::fs::copy(dir.join("client").join(name), Path::new(&tls).join(name)).unwrap();
    }
    let inspect = ["sandbox", "inspect", &sandbox.name];
    configured(&stage, &inspect)
        .env("DOCKER_CONTEXT", "secure")
        .output()
        .ended(0, &[]);
}

/// A registry on this machine that admits `tester` with `sesame`.
fn registry(stage: &Stage) -> (Server, String) {
    let port = free_port();
    // bcrypt of `sesame`, as `htpasswd -B` writes it.
    let users = stage.file(
        "registry/htpasswd",
        "tester:$2b$05$abcdefghijklmnopqrstuuKcS.CYWVYVaLiiCKrrc0A5s3mGesJ9O\n",
    );
    let config = format!(
        "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: '127.0.0.1:{port}'}}\nauth: {{htpasswd: {{realm: test, path: {users}}}}}\n",
        stage.home().join("registry/data").display()
    );
    let config = stage.file("registry/config.yml", &config);
    let server = Server::start("docker-registry", &["serve", &config], &[]);
    listens(port);
    (server, format!("127.0.0.1:{port}"))
}

#[test]
fn a_private_image_is_pulled_with_dockers_own_sign_in() {
    let stage = Stage::new();
    let (_server, address) = registry(&stage);
    let image = format!("{address}/private/probe:1");
    let config = stage.home().join("docker");
    let config = config.to_str().unwrap();
    let push = r#"set -e
        echo sesame | docker --config "$1" login --username tester --password-stdin "$2"
        docker tag amika-test/scratch "$3"
        docker --config "$1" push -q "$3"
        docker rmi "$3""#;
    let pushed = stage.shell(push, &[config, &address, &image]).output();
    assert_eq!(pushed.code, 0, "{pushed:?}");
    let _image = Pulled(&image);

    let sandbox = stage.adopt(stage.name());
    let create = |sandbox: &Sandbox<'_>, config: &str| {
        sandbox
            .create_run(&image, &[])
            .env("DOCKER_CONFIG", config)
            .output()
    };
    let empty = stage.home().join("no-sign-in");
    let refused = create(&sandbox, empty.to_str().unwrap());
    refused.ended(6, &["cannot be pulled", "docker login"]);
    let wrong = stage.file(
        "wrong/config.json",
        &format!(r#"{{"auths":{{"{address}":{{"auth":"dGVzdGVyOndyb25n"}}}}}}"#),
    );
    create(&sandbox, wrong.trim_end_matches("/config.json")).ended(6, &["cannot be pulled"]);
    stage.nothing_was_made();

    create(&sandbox, config).ended(0, &["pull"]);
    sandbox.logs("ready");
    docker(&["rm", "-f", &sandbox.name]).ended(0, &[]);
    docker(&["rmi", &image]).ended(0, &[]);
    stage.amika(&["doctor", "--fix"]).output().ended(0, &[]);

    // The same through a credential helper.
    let helper = stage.script(
        "bin/docker-credential-e2e",
        &format!("#!/bin/sh\nread server\n[ \"$1 $server\" = 'get {address}' ] || exit 1\necho '{{\"ServerURL\":\"x\",\"Username\":\"tester\",\"Secret\":\"sesame\"}}'\n"),
    );
    let store = stage.file("store/config.json", r#"{"credsStore":"e2e"}"#);
    let path = format!(
        "{}:{}",
        helper.trim_end_matches("/docker-credential-e2e"),
        std::env::var("PATH").unwrap()
    );
    let created = sandbox
        .create_run(&image, &[])
        .env("DOCKER_CONFIG", store.trim_end_matches("/config.json"))
        .env("PATH", &path)
        .output();
    created.ended(0, &["pull"]);
}

/// An image that a test pulled; it goes with the test.
struct Pulled<'a>(&'a str);

impl Drop for Pulled<'_> {
    fn drop(&mut self) {
        docker(&["rmi", "-f", self.0]);
    }
}

//! TLS: a real certificate, read anew when its file changes and when it is asked to, and the command line that trusts it.

use rustix::process::Signal;

use crate::repositories::server::Server as Forge;
use crate::support::{DEBIAN, Run, Running, Stage, eventually};

/// Makes an authority, `ca.pem`.
const AUTHORITY: &str = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj '/CN=Test' \
    -keyout ca.key -out ca.pem 2>/dev/null";

/// Makes a certificate with a serial number for this machine, and puts it and its key in place.
const CERTIFICATE: &str = "openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost \
        -keyout new.key -out new.csr 2>/dev/null
    printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\\nbasicConstraints=CA:FALSE\\n' >extensions
    openssl x509 -req -in new.csr -CA ca.pem -CAkey ca.key -set_serial \"$1\" -days 2 -extfile extensions -out new.pem 2>/dev/null
    mv new.key server.key; mv new.pem server.pem";

/// A server that speaks TLS.
struct Server<'a> {
    stage: &'a Stage,
    running: Running,
    address: String,
    key: String,
}

fn certificate(stage: &Stage, serial: &str) {
    let made = stage
        .shell(CERTIFICATE, &[serial])
        .dir(stage.home())
        .output();
    assert_eq!(made.code, 0, "{made:?}");
}

impl<'a> Server<'a> {
    fn start(stage: &'a Stage) -> Self {
        let running = command(stage).start();
        running.says("\n");
        let first: serde_json::Value =
            serde_json::from_str(running.said_text().lines().next().unwrap()).unwrap();
        Self {
            stage,
            running,
            address: first["address"].as_str().unwrap().to_owned(),
            key: first["api_key"].as_str().unwrap().to_owned(),
        }
    }

    /// A command that trusts the authority.
    fn amika(&self, args: &[&str]) -> Run {
        let trusted = self.stage.home().join("ca.pem");
        self.untrusting(args)
            .env("SSL_CERT_FILE", trusted.to_str().unwrap())
    }

    fn untrusting(&self, args: &[&str]) -> Run {
        self.stage
            .amika(args)
            .env("AMIKA_DEFAULT", "remote")
            .env("AMIKA_API_URL", &self.address)
            .env("AMIKA_API_KEY", &self.key)
    }

    /// The serial number of the certificate that it shows.
    fn serial(&self) -> String {
        let authority = self.address.strip_prefix("https://").unwrap();
        let script = "openssl s_client -connect \"$1\" -CAfile ca.pem -verify_return_error </dev/null 2>/dev/null | \
                      openssl x509 -noout -serial";
        let shown = self
            .stage
            .shell(script, &[authority])
            .dir(self.stage.home())
            .output();
        shown.stdout_text().trim().replace("serial=", "")
    }
}

fn command(stage: &Stage) -> Run {
    let args = "-o json server --listen 127.0.0.1:0 --data data --allow-private-git --tls-cert server.pem --tls-key server.key";
    let args: Vec<&str> = args.split(' ').collect();
    stage.amika(&args).dir(stage.home())
}

#[test]
fn a_certificate_is_shown_read_anew_and_trusted_by_the_command_line() {
    let stage = Stage::new();
    let made = stage.shell(AUTHORITY, &[]).dir(stage.home()).output();
    assert_eq!(made.code, 0, "{made:?}");
    certificate(&stage, "0x11");
    let server = Server::start(&stage);
    assert!(server.address.starts_with("https://"), "{}", server.address);
    assert_eq!(server.serial(), "11");
    let listed = server.amika(&["-o", "json", "ls"]).output();
    assert_eq!((listed.code, listed.stdout_text().trim()), (0, "[]"));
    // Who does not know the authority hears nothing, and sends no key.
    server
        .untrusting(&["ls"])
        .output()
        .ended(5, &["certificate"]);
    let plain = server.address.replace("https://", "http://");
    server
        .amika(&["ls"])
        .env("AMIKA_API_URL", &plain)
        .output()
        .ended(5, &[]);

    // A stream is a WebSocket, over TLS as well. The data directory may be named by a relative path, whatever works in it.
    let name = stage.name();
    stage.repository("forge/public/app", &[("a", "one\n")]);
    let forge = Forge::start(&stage.home().join("forge"));
    let url = forge.url("", "public/app/.git");
    let create = [
        "sandbox", "create", "--name", &name, "--image", DEBIAN, "--git", &url,
    ];
    server.amika(&create).output().ended(0, &[]);
    let exec = ["sandbox", "exec", &name, "--", "cat"];
    let said = server.amika(&exec).input("through it\n").output();
    assert_eq!(
        (said.code, said.stdout_text().as_str()),
        (0, "through it\n"),
        "{said:?}"
    );
    assert_eq!(
        server
            .amika(&["rm", "--force", "--volumes", &name])
            .output()
            .code,
        0
    );

    certificate(&stage, "0x12");
    eventually("the new file is read", || server.serial() == "12");
    certificate(&stage, "0x13");
    server.running.signal(Signal::HUP);
    eventually("it is read when it is asked to", || server.serial() == "13");
    // What cannot be used is told, and the one of before goes on.
    stage.file("server.pem", "no certificate\n");
    server.running.signal(Signal::HUP);
    server.running.warns("cannot be used for TLS");
    assert_eq!(server.serial(), "13");
    server.running.signal(Signal::TERM);
    assert_eq!(server.running.wait().code, 0);
    command(&stage)
        .output()
        .ended(2, &["server.pem cannot be used for TLS"]);
}

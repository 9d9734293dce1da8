//! A server of a test's own, and what asks it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Output, Run, Running, Stage};

/// How long a sandbox may take to become what it is waited for.
const PATIENCE: Duration = Duration::from_mins(1);

/// `amika server` on a port of its own, with its data beneath the stage's home.
pub(crate) struct Server<'a> {
    stage: &'a Stage,
    running: Option<Running>,
    address: String,
    /// The first administrator's key.
    pub(crate) admin: String,
    options: Vec<String>,
    /// Variables of its environment.
    env: Vec<(String, String)>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    #[track_caller]
    pub(crate) fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        if self.body.is_empty() {
            return Value::Null;
        }
        self.json()
    }
}

/// What a command said that ended well.
#[track_caller]
pub(crate) fn done(run: Run) -> Output {
    let output = run.output();
    assert_eq!(output.code, 0, "{output:?}");
    output
}

impl<'a> Server<'a> {
    pub(crate) fn start(stage: &'a Stage, options: &[&str]) -> Self {
        let mut server = Self {
            stage,
            running: None,
            address: String::new(),
            admin: String::new(),
            options: options.iter().map(|it| (*it).to_owned()).collect(),
            env: Vec::new(),
        };
        let first = server.run();
        first["api_key"]
            .as_str()
            .unwrap()
            .clone_into(&mut server.admin);
        server
    }

    fn run(&mut self) -> Value {
        let data = self.data();
        let mut args = vec![
            "-o",
            "json",
            "server",
            "--listen",
            "127.0.0.1:0",
            "--data",
            &data,
        ];
        args.extend(self.options.iter().map(String::as_str));
        let mut amika = self.stage.amika(&args).limit(Duration::from_mins(10));
        for (name, value) in &self.env {
            amika = amika.env(name, value);
        }
        let running = amika.start();
        running.says("\n");
        let first: Value =
            serde_json::from_str(running.said_text().lines().next().unwrap()).unwrap();
        let address = first["address"].as_str().unwrap();
        address
            .strip_prefix("http://")
            .unwrap()
            .clone_into(&mut self.address);
        self.running = Some(running);
        first
    }

    /// Where it is, for the command line.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A command with it, by the administrator.
    pub(crate) fn amika(&self, args: &[&str]) -> Run {
        self.amika_as(&self.admin, args)
    }

    /// A command with it, by whoever has this key.
    pub(crate) fn amika_as(&self, key: &str, args: &[&str]) -> Run {
        self.stage
            .amika(args)
            .env("AMIKA_DEFAULT", "remote")
            .env("AMIKA_API_URL", &self.url())
            .env("AMIKA_API_KEY", key)
    }

    pub(crate) fn data(&self) -> String {
        self.stage.home().join("data").to_str().unwrap().to_owned()
    }

    /// Ends it by a signal; with SIGTERM it must end well.
    pub(crate) fn signal(&mut self, signal: rustix::process::Signal) -> Output {
        let running = self.running.take().unwrap();
        running.signal(signal);
        running.wait()
    }

    /// Starts it again on the same data, with these variables of its environment.
    pub(crate) fn again_with(&mut self, env: &[(&str, &str)]) {
        let env = env.iter();
        self.env = env
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        self.again();
    }

    /// Waits for its end by somebody else's hand.
    pub(crate) fn ended(&mut self) -> Output {
        self.running.take().unwrap().wait()
    }

    /// Starts it again on the same data.
    pub(crate) fn again(&mut self) {
        let first = self.run();
        assert_eq!(first.get("api_key"), None, "{first}");
    }

    /// Starts it again on a data directory whose database is gone.
    pub(crate) fn anew(&mut self) {
        let first = self.run();
        first["api_key"]
            .as_str()
            .unwrap()
            .clone_into(&mut self.admin);
    }

    pub(crate) fn ask(&self, key: &str, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let body = body.map(ToString::to_string).unwrap_or_default();
        self.send(
            &format!("Authorization: Bearer {key}\r\n"),
            method,
            path,
            &body,
        )
    }

    fn send(&self, headers: &str, method: &str, path: &str, body: &str) -> Answer {
        let answer = self.attempt(headers, method, path, body);
        answer.unwrap_or_else(|| panic!("no answer to {method} {path}"))
    }

    /// Asks a server that may be killed meanwhile: none where there is no whole answer.
    pub(crate) fn try_ask(&self, method: &str, path: &str, body: &Value) -> Option<Answer> {
        let headers = format!("Authorization: Bearer {}\r\n", self.admin);
        self.attempt(&headers, method, path, &body.to_string())
    }

    fn attempt(&self, headers: &str, method: &str, path: &str, body: &str) -> Option<Answer> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        stream
            .set_read_timeout(Some(Duration::from_secs(100)))
            .unwrap();
        let request = format!(
            "{method} /api/v0beta1{path} HTTP/1.1\r\nHost: {}\r\n{headers}\
             Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.address,
            body.len()
        );
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok()?;
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n")?;
        if head.starts_with("HTTP/1.1 500 ") {
            // Why stands in its log alone.
            eprintln!("{}", self.running.as_ref().unwrap().warned_text());
        }
        Some(Answer {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head: head.to_owned(),
            body: body.to_owned(),
        })
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask(&self.admin, "GET", path, None)
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.ask(&self.admin, "POST", path, Some(body))
    }

    pub(crate) fn delete(&self, path: &str) -> Answer {
        self.ask(&self.admin, "DELETE", path, None)
    }

    /// Makes a sandbox of an image and waits for it.
    pub(crate) fn create(&self, image: &str, mut body: Value) -> Value {
        let members = body.as_object_mut().unwrap();
        members.insert("image".into(), image.into());
        members.entry("name").or_insert(self.stage.name().into());
        self.post("/sandboxes?wait=60", &body).expect(202)
    }

    /// Waits until a sandbox is in a state.
    #[track_caller]
    pub(crate) fn until(&self, id: &str, state: &str) -> Value {
        let begun = Instant::now();
        loop {
            let sandbox = self.get(&format!("/sandboxes/{id}")).expect(200);
            if sandbox["state"] == state {
                return sandbox;
            }
            assert!(begun.elapsed() < PATIENCE, "not {state}: {sandbox}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Deletes a sandbox with all that is of it.
    pub(crate) fn remove(&self, id: &str) {
        self.delete(&format!("/sandboxes/{id}?force=true"))
            .expect(200);
    }

    /// Gives a ticket for the cookie of the port that a `Host` names.
    pub(crate) fn open_port(&self, host: &str, ticket: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let request = format!(
            "POST /.amika/open HTTP/1.1\r\n{host}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{ticket}",
            ticket.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let cookie = answer
            .lines()
            .find_map(|line| line.strip_prefix("set-cookie: "));
        let cookie = cookie.unwrap_or_else(|| panic!("no cookie: {answer}"));
        cookie.split(';').next().unwrap().to_owned()
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// A key of the first administrator's with these scopes.
    pub(crate) fn key(&self, scopes: &[&str]) -> String {
        let body = json!({ "name": "lesser", "scopes": scopes });
        let made = self.post("/api-keys", &body).expect(201);
        made["value"].as_str().unwrap().to_owned()
    }

    /// Asks for events, whose head was read.
    pub(crate) fn begin_events(&self, path: &str, body: &Value) -> std::io::BufReader<TcpStream> {
        use std::io::BufRead as _;
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(100)))
            .unwrap();
        let body = body.to_string();
        // A client of HTTP/1.0 is sent no chunks.
        let request = format!(
            "POST /api/v0beta1{path} HTTP/1.0\r\nHost: {}\r\nAuthorization: Bearer {}\r\nAccept: text/event-stream\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.address,
            self.admin,
            body.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = std::io::BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(answer.read_line(&mut head).unwrap() > 0, "{head}");
        }
        assert!(head.contains("200 OK"), "{head}");
        assert!(
            head.contains("content-type: text/event-stream\r\n"),
            "{head}"
        );
        answer
    }

    /// All events of an answer.
    pub(crate) fn events(&self, path: &str, body: &Value) -> String {
        let mut all = String::new();
        self.begin_events(path, body)
            .read_to_string(&mut all)
            .unwrap();
        all
    }

    /// A new member's key.
    pub(crate) fn member(&self, name: &str) -> String {
        self.user(&json!({ "name": name }), &["read", "write"])
    }

    /// A further administrator's key.
    pub(crate) fn admin(&self, name: &str) -> String {
        let user = json!({ "name": name, "role": "admin" });
        self.user(&user, &["read", "write", "admin"])
    }

    /// A new user's key, made by the user's own session.
    fn user(&self, user: &Value, scopes: &[&str]) -> String {
        let made = self.post("/users", user).expect(200);
        let token = made["sign_in_url"]
            .as_str()
            .unwrap()
            .split_once('=')
            .unwrap()
            .1;
        let session = self.send(
            "",
            "POST",
            "/session",
            &json!({ "token": token }).to_string(),
        );
        let cookie = session
            .head
            .lines()
            .find_map(|line| line.strip_prefix("set-cookie: "));
        let cookie = cookie.unwrap().split(';').next().unwrap();
        let second = session.json()["secret"].as_str().unwrap().to_owned();
        let headers = format!("Cookie: {cookie}\r\nX-Amika-Session: {second}\r\n");
        let key = self.send(
            &headers,
            "POST",
            "/api-keys",
            &json!({ "name": "mine", "scopes": scopes }).to_string(),
        );
        key.expect(201)["value"].as_str().unwrap().to_owned()
    }
}

/// Server-sent events as they come.
pub(crate) struct Following(std::io::BufReader<TcpStream>);

/// One of them.
#[derive(Debug)]
pub(crate) struct Happened {
    pub(crate) id: Option<String>,
    pub(crate) name: String,
    pub(crate) data: Value,
}

impl Server<'_> {
    /// Follows events from the one after `last`.
    pub(crate) fn follow(&self, key: &str, path: &str, last: Option<&str>) -> Following {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let last = last
            .map(|id| format!("Last-Event-ID: {id}\r\n"))
            .unwrap_or_default();
        // HTTP/1.0 has no chunks: what comes is what was said.
        let request = format!(
            "GET /api/v0beta1{path} HTTP/1.0\r\nHost: {}\r\nAuthorization: Bearer {key}\r\n\
             Accept: text/event-stream\r\n{last}\r\n",
            self.address
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut following = Following(std::io::BufReader::new(stream));
        let status = following.line().unwrap();
        assert!(status.contains(" 200 "), "{status}");
        while following.line().is_some_and(|line| !line.is_empty()) {}
        following
    }
}

impl Following {
    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let length = std::io::BufRead::read_line(&mut self.0, &mut line).unwrap();
        (length > 0).then(|| line.trim_end().to_owned())
    }

    /// The first one that is wanted; none where they end before.
    pub(crate) fn until(&mut self, is_wanted: impl Fn(&Happened) -> bool) -> Option<Happened> {
        self.find(is_wanted)
    }
}

impl Iterator for Following {
    type Item = Happened;

    fn next(&mut self) -> Option<Happened> {
        let (mut id, mut name, mut data) = (None, String::new(), Value::Null);
        loop {
            let line = self.line()?;
            match line.split_once(": ") {
                Some(("id", value)) => id = Some(value.to_owned()),
                Some(("event", value)) => value.clone_into(&mut name),
                Some(("data", value)) => data = serde_json::from_str(value).unwrap(),
                _ if line.is_empty() && !name.is_empty() => {
                    return Some(Happened { id, name, data });
                }
                _ => {}
            }
        }
    }
}

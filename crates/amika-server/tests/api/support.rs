//! A server in this process with a directory of its own, and a client that speaks TCP with it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use amika_host::machine::Machine;
use amika_server::clock::Clock;
use amika_server::config::{Config, Layer};
use amika_server::start::Server;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::sync::{Notify, oneshot};

/// A server that runs until it is stopped or dropped.
pub struct Running {
    pub address: SocketAddr,
    pub admin: String,
    pub sign_in_url: String,
    pub directory: Arc<tempfile::TempDir>,
    time: Arc<AtomicI64>,
    stop: Option<oneshot::Sender<()>>,
    task: Option<tokio::task::JoinHandle<()>>,
}

/// An answer.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    /// The JSON of an answer that must have this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{:?}", self.body);
        if self.body.is_empty() {
            return Value::Null;
        }
        self.json()
    }

    /// The code of an answer that must have failed with this status, in the one shape.
    #[track_caller]
    pub fn refused(self, status: u16) -> String {
        let trace_id = self.headers["x-trace-id"].to_str().unwrap().to_owned();
        let body = self.expect(status);
        assert_eq!(body["type"], "error");
        assert_eq!(body["code"], body["error_code"]);
        assert_eq!(body["trace_id"], json!(trace_id));
        assert!(body["details"].is_array() && body["hints"].is_array());
        assert!(!body["message"].as_str().unwrap().is_empty());
        body["code"].as_str().unwrap().to_owned()
    }
}

const BEGIN: i64 = 1_764_406_034_056;

impl Running {
    pub async fn start() -> Self {
        Self::of("", Arc::new(tempfile::tempdir().unwrap())).await
    }

    /// One with these lines in its file of settings.
    pub async fn configured(settings: &str) -> Self {
        Self::of(settings, Arc::new(tempfile::tempdir().unwrap())).await
    }

    /// One with what is in a directory already.
    pub async fn on(directory: Arc<tempfile::TempDir>) -> Self {
        Self::of("", directory).await
    }

    async fn of(settings: &str, directory: Arc<tempfile::TempDir>) -> Self {
        Self::at(BEGIN, settings, directory).await
    }

    async fn at(now: i64, settings: &str, directory: Arc<tempfile::TempDir>) -> Self {
        let mut said = Layer::of_file(settings).unwrap();
        said.listen
            .get_or_insert(vec!["127.0.0.1:0".parse().unwrap()]);
        let config = Config::new(said, directory.path().join("data")).unwrap();
        let (clock, time) = Clock::settable(now);
        let machine = Machine::of_process();
        let server = Server::start(config, &machine, clock).await.unwrap();
        let (admin, sign_in_url) = match server.first() {
            Some(first) => (first.api_key.clone(), first.sign_in_url.clone()),
            None => Default::default(),
        };
        let address = server.listening().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            let stopped = async { drop(stopped.await) };
            server.run(Arc::new(Notify::new()), stopped).await;
        });
        Self {
            address,
            admin,
            sign_in_url,
            directory,
            time,
            stop: Some(stop),
            task: Some(task),
        }
    }

    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// Lets time pass, in milliseconds.
    pub fn pass(&self, millis: i64) {
        self.time.fetch_add(millis, Ordering::Relaxed);
    }

    pub async fn stop(&mut self) {
        drop(self.stop.take());
        if let Some(task) = self.task.take() {
            task.await.unwrap();
        }
    }

    /// The same data with another process's server.
    pub async fn again(mut self) -> Self {
        self.stop().await;
        let admin = self.admin.clone();
        let mut next = Self::of("", Arc::clone(&self.directory)).await;
        assert!(next.admin.is_empty(), "a second start makes nobody");
        next.admin = admin;
        next
    }

    /// The same data with another process's server, so much later, in milliseconds.
    pub async fn later(mut self, millis: i64) -> Self {
        self.stop().await;
        let admin = self.admin.clone();
        let directory = Arc::clone(&self.directory);
        let mut next = Self::at(BEGIN + millis, "", directory).await;
        next.admin = admin;
        next
    }

    pub async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        let stream = tokio::net::TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection);
        let answer = sender.send_request(request).await.unwrap();
        let (head, mut body) = answer.into_parts();
        let kind = head.headers.get("content-type");
        if kind.is_some_and(|kind| kind == "text/event-stream") {
            // It has no end: how it begins is what there is to be seen.
            let first = body.frame().await.unwrap().unwrap();
            return Answer {
                status: head.status,
                headers: head.headers,
                body: first.into_data().unwrap(),
            };
        }
        Answer {
            status: head.status,
            headers: head.headers,
            body: body.collect().await.unwrap().to_bytes(),
        }
    }

    pub fn request(&self, method: &str, path: &str) -> hyper::http::request::Builder {
        Request::builder()
            .method(method.parse::<Method>().unwrap())
            .uri(path)
            .header("host", self.address.to_string())
    }

    /// Asks below the prefix, with a key and a body; an empty key is none.
    pub async fn ask(&self, key: &str, method: &str, path: &str, body: Option<Value>) -> Answer {
        let mut request = self.request(method, &format!("/api/v0beta1{path}"));
        if !key.is_empty() {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        let body = match body {
            Some(body) => {
                request = request.header("content-type", "application/json");
                body.to_string()
            }
            None => String::new(),
        };
        self.send(request.body(Full::from(body)).unwrap()).await
    }

    pub async fn get(&self, key: &str, path: &str) -> Answer {
        self.ask(key, "GET", path, None).await
    }

    pub async fn post(&self, key: &str, path: &str, body: Value) -> Answer {
        self.ask(key, "POST", path, Some(body)).await
    }

    /// A new member's key, by the link that an administrator hands over.
    pub async fn member(&self, name: &str) -> String {
        let made = self
            .post(&self.admin, "/users", json!({ "name": name }))
            .await;
        let made = made.expect(200);
        let session = self.sign_in(made["sign_in_url"].as_str().unwrap()).await;
        let request = self
            .request("POST", "/api/v0beta1/api-keys")
            .header("cookie", &session.0)
            .header("x-amika-session", &session.1)
            .header("content-type", "application/json");
        let body = Full::from(json!({ "name": "mine" }).to_string());
        let key = self.send(request.body(body).unwrap()).await.expect(201);
        key["value"].as_str().unwrap().to_owned()
    }

    /// The cookie and the second secret of a session.
    pub async fn sign_in(&self, url: &str) -> (String, String) {
        let (_, token) = url.split_once("#sign-in=").unwrap();
        let answer = self.post("", "/session", json!({ "token": token })).await;
        let cookie = answer.headers["set-cookie"].to_str().unwrap().to_owned();
        let session = answer.expect(200);
        let cookie = cookie.split(';').next().unwrap().to_owned();
        (cookie, session["secret"].as_str().unwrap().to_owned())
    }

    /// A key of the administrator's with these scopes.
    pub async fn key(&self, scopes: &[&str]) -> String {
        let body = json!({ "name": "lesser", "scopes": scopes });
        let key = self.post(&self.admin, "/api-keys", body).await.expect(201);
        key["value"].as_str().unwrap().to_owned()
    }
}

/// Waits until something holds, for 10 s.
pub async fn eventually(what: &str, holds: impl AsyncFn() -> bool) {
    for _ in 0..100 {
        if holds().await {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("{what}: not within 10 s");
}

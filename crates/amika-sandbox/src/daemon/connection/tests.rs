use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// Who answers on a port, by what it was sent.
type Answerer = fn(&str) -> Option<Vec<u8>>;

const KEY: &[u8] = b"the sandbox's token";

/// All that came to it.
type Record = Arc<Mutex<String>>;

/// Serves one connection after the other: each head that comes is answered, or the connection closed.
async fn server(answer: Answerer) -> (SocketAddr, Record) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let address = listener.local_addr().expect("its address");
    let record = Record::default();
    let kept = record.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, answer, kept.clone()));
        }
    });
    (address, record)
}

async fn serve(mut stream: TcpStream, answer: Answerer, record: Record) {
    let mut head = String::new();
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        let text = String::from_utf8_lossy(&buffer[..count]);
        record.lock().expect("a record").push_str(&text);
        head.push_str(&text);
        if head.ends_with("\r\n\r\n") {
            match answer(&std::mem::take(&mut head)) {
                Some(bytes) => stream.write_all(&bytes).await.expect("sent"),
                None => return,
            }
        }
    }
}

fn http(status: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes()
}

/// The client's nonce in a challenge.
fn nonce(head: &str) -> Option<Vec<u8>> {
    let rest = head.strip_prefix("GET /v1/challenge?nonce=")?;
    unhex(rest.split(' ').next()?)
}

/// The answer of an amikad with this key; `proof` makes it from both nonces.
fn proven(head: &str, proof: impl Fn(&Nonces) -> [u8; 32]) -> Option<Vec<u8>> {
    let nonces = Nonces::new(nonce(head)?, [9; 32])?;
    let (nonce, proof) = (hex(nonces.server()), hex(&proof(&nonces)));
    Some(http(
        "200 OK",
        &format!(r#"{{"nonce":"{nonce}","proof":"{proof}"}}"#),
    ))
}

fn right(head: &str) -> Option<Vec<u8>> {
    let key = Key::of_token(KEY);
    let proved = proven(head, |nonces| key.server_proof(nonces));
    proved.or_else(|| Some(http("200 OK", "{}")))
}

async fn open(address: SocketAddr) -> Result<Connection, Refusal> {
    Connection::open(&Transport::Published(address), Some(&Key::of_token(KEY))).await
}

#[tokio::test]
async fn requests_follow_on_the_connection_that_was_proved_with_the_clients_proof() {
    let (address, record) = server(right).await;
    let mut connection = open(address).await.expect("proved");
    for _ in 0..2 {
        let sent = connection
            .send(|| Request::get("/v1/status"), &Bytes::new(), None)
            .await;
        assert_eq!(sent.expect("answered").status(), StatusCode::OK);
    }
    let record = record.lock().expect("a record").clone();
    let client = nonce(&record).expect("first of all a challenge");
    let nonces = Nonces::new(client, [9; 32]).expect("nonces");
    let proof = hex(&Key::of_token(KEY).client_proof(&nonces));
    let header = format!("authorization: Amika {proof}\r\n");
    assert_eq!(record.to_lowercase().matches("authorization").count(), 2);
    assert_eq!(
        record.matches(&header).count() + record.matches(&header.replacen('a', "A", 1)).count(),
        2,
        "{record}"
    );
}

#[tokio::test]
async fn whoever_does_not_prove_itself_is_sent_a_nonce_and_nothing_else() {
    let other = |head: &str| proven(head, |nonces| Key::of_token(b"other").server_proof(nonces));
    let reflected = |head: &str| proven(head, |nonces| Key::of_token(KEY).client_proof(nonces));
    // The proof of another connection, as from one who asked the true one with a nonce of his own.
    let relayed = |head: &str| {
        proven(head, |_| {
            let elsewhere = Nonces::new(vec![1; 32], [9; 32]).expect("nonces");
            Key::of_token(KEY).server_proof(&elsewhere)
        })
    };
    let echo = |head: &str| {
        let nonce = hex(&nonce(head)?);
        let body = format!(r#"{{"nonce":"{nonce}","proof":"{nonce}"}}"#);
        Some(http("200 OK", &body))
    };
    let short = |head: &str| {
        let nonces = Nonces::new(nonce(head)?, [9; 32])?;
        let proof = hex(&Key::of_token(KEY).server_proof(&nonces)[..31]);
        let body = format!(
            r#"{{"nonce":"{}","proof":"{proof}"}}"#,
            hex(nonces.server())
        );
        Some(http("200 OK", &body))
    };
    let none = |head: &str| {
        let body = format!(r#"{{"nonce":"{}","proof":""}}"#, hex(&nonce(head)?));
        Some(http("200 OK", &body))
    };
    let wrong: [(&str, Answerer); 9] = [
        ("another sandbox's", other),
        ("reflected", reflected),
        ("relayed", relayed),
        ("an echo", echo),
        ("cut short", short),
        ("none", none),
        ("no JSON", |_| Some(http("200 OK", "hello"))),
        ("a body without an end", |_| {
            Some(http("200 OK", &"x".repeat(1 << 16)))
        }),
        ("no HTTP", |_| Some(b"220 mail ready\r\n\r\n".to_vec())),
    ];
    for (what, answer) in wrong {
        let (address, record) = server(answer).await;
        let refusal = open(address).await.err();
        assert!(
            matches!(refusal, Some(Refusal::Doubtful(Doubt::WrongProof))),
            "{what}: {refusal:?}"
        );
        was_sent_a_nonce_only(what, &record);
    }
    let plain: [(&str, Answerer, StatusCode); 4] = [
        (
            "an older amikad",
            |_| Some(http("404 Not Found", "{}")),
            StatusCode::NOT_FOUND,
        ),
        (
            "one that wants a bearer",
            |_| {
                Some(b"HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Bearer\r\ncontent-length: 0\r\n\r\n".to_vec())
            },
            StatusCode::UNAUTHORIZED,
        ),
        (
            "one that leads elsewhere",
            |_| {
                Some(b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n".to_vec())
            },
            StatusCode::FOUND,
        ),
        (
            "one that is through with HTTP",
            |_| {
                Some(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: tcp\r\n\r\n".to_vec())
            },
            StatusCode::SWITCHING_PROTOCOLS,
        ),
    ];
    for (what, answer, status) in plain {
        let (address, record) = server(answer).await;
        match open(address).await.err() {
            Some(Refusal::Doubtful(Doubt::NoProof(told))) => assert_eq!(told, status, "{what}"),
            // hyper takes an unasked 101 for no HTTP.
            Some(Refusal::Doubtful(Doubt::WrongProof | Doubt::Closed(_))) => {}
            other => panic!("{what}: {other:?}"),
        }
        was_sent_a_nonce_only(what, &record);
    }
}

fn was_sent_a_nonce_only(what: &str, record: &Record) {
    let record = record.lock().expect("a record").to_lowercase();
    assert!(
        record.starts_with("get /v1/challenge?nonce="),
        "{what}: {record}"
    );
    assert_eq!(record.matches("http/1.1").count(), 1, "{what}: {record}");
    assert!(!record.contains("authorization"), "{what}: {record}");
    assert_eq!(
        record.lines().filter(|line| !line.is_empty()).count(),
        2,
        "{what}: {record}"
    );
}

#[tokio::test]
async fn one_that_closes_is_told_from_one_that_lies() {
    let (address, _) = server(|_| None).await;
    let refusal = open(address).await.err();
    assert!(
        matches!(refusal, Some(Refusal::Doubtful(Doubt::Closed(_)))),
        "{refusal:?}"
    );
    let gone = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let address = gone.local_addr().expect("its address");
    drop(gone);
    assert!(matches!(
        open(address).await.err(),
        Some(Refusal::Unreachable(_))
    ));
}

#[tokio::test]
async fn one_that_stays_silent_is_given_up() {
    // It accepts, since the kernel does, and nobody reads.
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let address = listener.local_addr().expect("its address");
    let refusal = open(address).await.err();
    assert!(
        matches!(refusal, Some(Refusal::Doubtful(Doubt::Silent))),
        "{refusal:?}"
    );
}

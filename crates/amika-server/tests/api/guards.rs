//! What is refused before any route is asked.

use http_body_util::Full;
use hyper::body::Bytes;
use pretty_assertions::assert_eq;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::Running;

#[tokio::test]
async fn names_of_others_are_misdirected_and_foreign_pages_refused() {
    let server = Running::configured("public_url = \"https://amika.example\"").await;
    let ask = async |name: &str, value: &str| {
        let mut request = server.request("GET", "/api/v0beta1/me");
        let headers = request.headers_mut().unwrap();
        headers.insert(
            name.parse::<hyper::header::HeaderName>().unwrap(),
            value.parse().unwrap(),
        );
        let bearer = format!("Bearer {}", server.admin);
        let request = request.header("authorization", bearer);
        server.send(request.body(Full::default()).unwrap()).await
    };
    let port = server.address.port();
    for host in [
        "evil.example",
        "127.0.0.1.evil.example",
        "10.0.0.1",
        "localhost.evil",
    ] {
        assert_eq!(ask("host", host).await.refused(421), "usage", "{host}");
    }
    for host in ["localhost", "127.0.0.1", "[::1]", "AMIKA.example"] {
        ask("host", &format!("{host}:{port}")).await.expect(200);
    }
    for origin in [
        "https://evil.example",
        "null",
        &format!("http://127.0.0.1:{}", port ^ 1),
    ] {
        assert_eq!(
            ask("origin", origin).await.refused(403),
            "forbidden",
            "{origin}"
        );
    }
    for origin in [
        format!("http://127.0.0.1:{port}"),
        "https://amika.example".to_owned(),
    ] {
        ask("origin", &origin).await.expect(200);
    }
}

#[tokio::test]
async fn a_sandbox_that_comes_by_another_address_gets_nothing() {
    let server = Running::start().await;
    for path in [
        "/api/v0beta1/me",
        "/api/secrets",
        "/metrics",
        "/api/sandbox-snapshots/x",
        "/api/nope",
    ] {
        let request = server.request("GET", path).body(Full::default()).unwrap();
        assert_eq!(
            server.send(request).await.refused(401),
            "unauthorized",
            "{path}"
        );
    }
}

#[tokio::test]
async fn bodies_are_bounded_whatever_they_claim() {
    let server = Running::start().await;
    let large = vec![b' '; (1 << 20) + 1];
    let request = server
        .request("POST", "/api/v0beta1/secrets")
        .header("authorization", format!("Bearer {}", server.admin))
        .body(Full::new(Bytes::from(large)))
        .unwrap();
    assert_eq!(server.send(request).await.refused(413), "too_large");

    // In chunks, so that no length is told beforehand.
    let mut stream = tokio::net::TcpStream::connect(server.address)
        .await
        .unwrap();
    let head = format!(
        "POST /api/secrets HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nTransfer-Encoding: chunked\r\n\r\n",
        server.address, server.admin
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let chunk = format!("{:x}\r\n{}\r\n", 1 << 16, " ".repeat(1 << 16));
    for _ in 0..17 {
        // It may be closed in our face, as it should be.
        if stream.write_all(chunk.as_bytes()).await.is_err() {
            break;
        }
    }
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
}

#[tokio::test]
async fn paths_that_climb_lead_nowhere() {
    let server = Running::start().await;
    for path in [
        "/api/v0beta1/secrets/../../../etc/passwd/reveal",
        "/api/v0beta1/secrets/%2e%2e%2f%2e%2e%2fetc%2fpasswd/reveal",
        "/docs/../../etc/passwd",
        "/docs/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
    ] {
        let request = server
            .request("POST", path)
            .header("authorization", format!("Bearer {}", server.admin))
            .body(Full::default())
            .unwrap();
        let answer = server.send(request).await;
        assert!(
            matches!(answer.status.as_u16(), 404 | 405),
            "{path}: {}",
            answer.status
        );
    }
    let bad = server
        .ask(&server.admin, "DELETE", "/secrets/%ff", None)
        .await;
    assert_eq!(bad.refused(400), "usage");
}

#[tokio::test]
async fn what_is_wrong_in_a_body_is_told_with_its_place() {
    let server = Running::start().await;
    let answer = server
        .post(
            &server.admin,
            "/secrets",
            json!({ "nam": "x", "value": "y" }),
        )
        .await;
    let body = answer.expect(400);
    assert_eq!(
        body["message"],
        "unknown member \"nam\": did you mean name?"
    );
    assert_eq!(body["details"][0]["field"], "/nam");
    let answer = server
        .post(
            &server.admin,
            "/secrets",
            json!({ "name": "a b", "value": "y" }),
        )
        .await;
    assert_eq!(answer.expect(400)["details"][0]["field"], "/name");
    let form = server
        .request("POST", "/api/v0beta1/secrets")
        .header("authorization", format!("Bearer {}", server.admin))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Full::from("name=x"))
        .unwrap();
    assert_eq!(server.send(form).await.refused(400), "usage");
    let wrong = server.ask(&server.admin, "PATCH", "/secrets", None).await;
    assert_eq!(wrong.refused(405), "usage");
}

#[tokio::test]
async fn what_the_server_has_not_is_501_whatever_is_asked() {
    let server = Running::start().await;
    for path in [
        "/sandboxes/x/ssh",
        "/ssh-sessions",
        "/ssh-sessions/a/b",
        "/secrets/ssh-public-keys",
        "/secrets/ssh-public-keys/x",
        "/sandbox-snapshots",
        "/sandbox-snapshots/x",
        "/storage/a/b",
        "/integrations",
    ] {
        for method in ["GET", "POST", "DELETE"] {
            let answer = server.ask(&server.admin, method, path, None).await;
            assert_eq!(answer.refused(501), "not_implemented", "{method} {path}");
        }
    }
}

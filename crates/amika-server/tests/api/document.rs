//! The document of the API, and the page that shows it.

use std::collections::BTreeSet;

use http_body_util::Full;
use pretty_assertions::assert_eq;
use serde_json::Value;

use crate::support::{Answer, Running};

async fn open(server: &Running, path: &str) -> Answer {
    let request = server.request("GET", path).body(Full::default()).unwrap();
    server.send(request).await
}

#[tokio::test]
async fn the_document_holds_together() {
    let server = Running::start().await;
    let document = open(&server, "/api/openapi.json").await.expect(200);
    assert_eq!(document["openapi"], "3.1.0");
    let mut ids = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id.to_owned()), "{id} comes twice");
            let answers = operation["responses"].as_object().unwrap();
            assert!(
                answers
                    .keys()
                    .any(|status| status.starts_with('2') || status == "101"),
                "{method} {path}"
            );
            assert!(operation["summary"].is_string(), "{method} {path}");
        }
    }
    each_reference(&document, &mut |reference| {
        let place = reference.strip_prefix('#').unwrap();
        assert!(
            document.pointer(place).is_some(),
            "{reference} leads nowhere"
        );
    });
}

fn each_reference(value: &Value, look: &mut impl FnMut(&str)) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get("$ref") {
                look(reference);
            }
            members
                .values()
                .for_each(|value| each_reference(value, look));
        }
        Value::Array(items) => items.iter().for_each(|value| each_reference(value, look)),
        _ => {}
    }
}

#[tokio::test]
async fn the_page_loads_nothing_from_elsewhere_and_runs_nothing_inline() {
    let server = Running::start().await;
    for path in ["/docs", "/docs/page.js", "/docs/page.css"] {
        let answer = open(&server, path).await;
        assert_eq!(answer.status, 200, "{path}");
        let policy = answer.headers["content-security-policy"].to_str().unwrap();
        assert!(
            policy.starts_with("default-src 'none'") && !policy.contains("unsafe"),
            "{policy}"
        );
        let text = String::from_utf8(answer.body.to_vec()).unwrap();
        assert!(!text.contains("://"), "{path} names another place");
        assert!(
            !text.contains("<script>") && !text.contains("innerHTML"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn health_is_open_and_what_is_counted_is_not() {
    let server = Running::start().await;
    open(&server, "/healthz").await.expect(200);
    open(&server, "/metrics").await.refused(401);
    let request = server
        .request("GET", "/metrics")
        .header("authorization", format!("Bearer {}", server.admin));
    let answer = server.send(request.body(Full::default()).unwrap()).await;
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    assert!(
        text.contains("amika_http_answers_total{status=\"2xx\"} 1"),
        "{text}"
    );
    assert!(
        text.contains("amika_http_answers_total{status=\"4xx\"} 1"),
        "{text}"
    );
}

//! Requests that come again with a key of their sender's.

use http_body_util::Full;
use pretty_assertions::assert_eq;
use serde_json::{Value, json};

use crate::support::{Answer, Running};

async fn post(server: &Running, by: &str, path: &str, key: &str, body: &Value) -> Answer {
    let request = server
        .request("POST", &format!("/api/v0beta1{path}"))
        .header("authorization", format!("Bearer {by}"))
        .header("content-type", "application/json")
        .header("idempotency-key", key);
    let body = Full::from(body.to_string());
    server.send(request.body(body).unwrap()).await
}

fn secret(name: &str) -> Value {
    json!({ "name": name, "value": "CANARY" })
}

#[tokio::test]
async fn the_same_request_is_answered_as_the_first_time_and_another_is_refused() {
    let server = Running::start().await;
    let admin = &server.admin;
    let first = post(&server, admin, "/secrets", "k-1", &secret("a")).await;
    let first = first.expect(201);
    let again = post(&server, admin, "/secrets", "k-1", &secret("a")).await;
    assert_eq!(again.headers["idempotency-replayed"], "true");
    assert_eq!(again.expect(201), first);
    assert_eq!(
        server.get(admin, "/secrets").await.expect(200),
        json!([first])
    );
    let other = post(&server, admin, "/secrets", "k-1", &secret("b")).await;
    assert_eq!(other.refused(409), "conflict");
    let elsewhere = post(&server, admin, "/repositories", "k-1", &secret("a")).await;
    assert_eq!(elsewhere.refused(409), "conflict");
    // Another's keys are his own, and a day later all are forgotten.
    let ada = server.member("ada").await;
    post(&server, &ada, "/secrets", "k-1", &secret("a"))
        .await
        .expect(201);
    server.pass(24 * 60 * 60 * 1000 + 1);
    let later = post(&server, admin, "/secrets", "k-1", &secret("a")).await;
    assert_eq!(later.refused(409), "conflict", "the name is taken");
}

#[tokio::test]
async fn what_failed_may_be_tried_again_with_the_same_key_and_bad_keys_are_refused() {
    let server = Running::start().await;
    let admin = &server.admin;
    let made = post(&server, admin, "/secrets", "k-1", &secret("a"))
        .await
        .expect(201);
    let taken = post(&server, admin, "/secrets", "k-2", &secret("a")).await;
    taken.refused(409);
    let path = format!("/secrets/{}", made["id"].as_str().unwrap());
    server.ask(admin, "DELETE", &path, None).await.expect(204);
    post(&server, admin, "/secrets", "k-2", &secret("a"))
        .await
        .expect(201);
    for bad in ["a b", &"x".repeat(256)] {
        let refused = post(&server, admin, "/secrets", bad, &secret("z")).await;
        assert_eq!(refused.refused(400), "usage");
    }
}

#[tokio::test]
async fn an_answer_with_a_secret_is_given_once_and_nothing_of_it_is_kept() {
    let server = Running::start().await;
    let admin = &server.admin;
    let body = json!({ "name": "k" });
    let made = post(&server, admin, "/api-keys", "k-1", &body)
        .await
        .expect(201);
    let again = post(&server, admin, "/api-keys", "k-1", &body).await;
    assert_eq!(again.refused(409), "already_used");
    let keys = server.get(admin, "/api-keys").await.expect(200);
    assert_eq!(keys["data"].as_array().unwrap().len(), 2);
    let value = made["value"].as_str().unwrap();
    for entry in std::fs::read_dir(server.data()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            let is_in = bytes
                .windows(value.len())
                .any(|part| part == value.as_bytes());
            assert!(!is_in, "{}", path.display());
        }
    }
    // What is revealed is revealed each time.
    let secret = post(&server, admin, "/secrets", "k-2", &secret("a"))
        .await
        .expect(201);
    let reveal = format!("/secrets/{}/reveal", secret["id"].as_str().unwrap());
    for _ in 0..2 {
        let shown = post(&server, admin, &reveal, "k-3", &json!({})).await;
        assert_eq!(shown.expect(200)["value"], "CANARY");
    }
}

#[tokio::test]
async fn of_many_at_once_one_is_done_and_the_others_wait_or_hear_what_came_of_it() {
    let server = Running::start().await;
    let body = secret("a");
    let all = (0..8).map(|_| post(&server, &server.admin, "/secrets", "k-1", &body));
    let answers = futures_util::future::select_all(all.map(Box::pin));
    let (first, _, rest) = answers.await;
    let mut answers = vec![first];
    for answer in rest {
        answers.push(answer.await);
    }
    let made = answers.iter().filter(|it| it.status == 201);
    let fresh = made.filter(|it| !it.headers.contains_key("idempotency-replayed"));
    assert_eq!(fresh.count(), 1);
    for answer in answers {
        if answer.status != 201 {
            assert_eq!(answer.headers["retry-after"], "1");
            answer.refused(409);
        }
    }
    let listed = server.get(&server.admin, "/secrets").await.expect(200);
    assert_eq!(listed.as_array().unwrap().len(), 1);
}

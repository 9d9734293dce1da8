//! Keys, links and sessions.

use http_body_util::Full;
use pretty_assertions::assert_eq;
use serde_json::{Value, json};

use crate::support::{Answer, Running};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

#[tokio::test]
async fn the_first_start_makes_an_administrator_whose_key_and_link_work() {
    let server = Running::start().await;
    let me = server.get(&server.admin, "/me").await.expect(200);
    assert_eq!(me["role"], "admin");
    assert_eq!(me["scopes"], json!(["read", "write", "admin"]));
    server.sign_in(&server.sign_in_url).await;
    let server = server.again().await;
    assert_eq!(
        server.get(&server.admin, "/me").await.expect(200)["id"],
        me["id"]
    );
}

#[tokio::test]
async fn a_link_signs_in_once_and_within_ten_minutes() {
    let server = Running::start().await;
    let make = async |name: &str| {
        let made = server
            .post(&server.admin, "/users", json!({ "name": name }))
            .await;
        made.expect(200)["sign_in_url"].as_str().unwrap().to_owned()
    };
    let (used, late) = (make("used").await, make("late").await);
    server.sign_in(&used).await;
    let try_again = async |url: &str| {
        let token = url.split_once("#sign-in=").unwrap().1;
        server.post("", "/session", json!({ "token": token })).await
    };
    assert_eq!(try_again(&used).await.refused(401), "unauthorized");
    server.pass(10 * MINUTE);
    assert_eq!(try_again(&late).await.refused(401), "unauthorized");
}

#[tokio::test]
async fn a_cookie_alone_authorises_nothing_not_even_a_look() {
    let server = Running::start().await;
    let (cookie, second) = server.sign_in(&server.sign_in_url).await;
    let ask = async |cookie: Option<&str>, second: Option<&str>| -> Answer {
        let mut request = server.request("GET", "/api/v0beta1/me");
        if let Some(cookie) = cookie {
            request = request.header("cookie", cookie);
        }
        if let Some(second) = second {
            request = request.header("x-amika-session", second);
        }
        server.send(request.body(Full::default()).unwrap()).await
    };
    ask(Some(&cookie), Some(&second)).await.expect(200);
    assert_eq!(ask(Some(&cookie), None).await.refused(401), "unauthorized");
    assert_eq!(ask(None, Some(&second)).await.refused(401), "unauthorized");
    assert_eq!(
        ask(Some(&cookie), Some("amt_x")).await.refused(401),
        "unauthorized"
    );

    server.pass(12 * HOUR - 1);
    ask(Some(&cookie), Some(&second)).await.expect(200);
    server.pass(12 * HOUR);
    assert_eq!(
        ask(Some(&cookie), Some(&second)).await.refused(401),
        "unauthorized"
    );
}

#[tokio::test]
async fn a_session_ends_after_a_week_and_when_it_is_signed_out() {
    let server = Running::start().await;
    let (cookie, second) = server.sign_in(&server.sign_in_url).await;
    let ask = async |method: &str, path: &str, cookie: &str, second: &str| {
        let request = server
            .request(method, path)
            .header("cookie", cookie)
            .header("x-amika-session", second);
        server.send(request.body(Full::default()).unwrap()).await
    };
    for _ in 0..15 {
        ask("GET", "/api/me", &cookie, &second).await.expect(200);
        server.pass(11 * HOUR);
    }
    server.pass(3 * HOUR);
    ask("GET", "/api/me", &cookie, &second).await.refused(401);

    let by_key = server
        .post("", "/session", json!({ "api_key": server.admin }))
        .await;
    let cookie = by_key.headers["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.contains("; HttpOnly; SameSite=Strict"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let second = by_key.expect(200)["secret"].as_str().unwrap().to_owned();
    ask("DELETE", "/api/session", &cookie, "amt_wrong")
        .await
        .expect(200);
    ask("GET", "/api/me", &cookie, &second).await.expect(200);
    let out = ask("DELETE", "/api/session", &cookie, &second).await;
    assert!(
        out.headers["set-cookie"]
            .to_str()
            .unwrap()
            .contains("Max-Age=0")
    );
    ask("GET", "/api/me", &cookie, &second).await.refused(401);
}

#[tokio::test]
async fn a_lesser_key_does_not_become_a_session_that_may_more() {
    let server = Running::start().await;
    for scopes in [&["read"][..], &["read", "write"]] {
        let key = server.key(scopes).await;
        let answer = server.post("", "/session", json!({ "api_key": key })).await;
        assert_eq!(answer.refused(401), "unauthorized", "{scopes:?}");
    }
}

#[tokio::test]
async fn keys_that_do_not_hold_are_counted_and_those_that_do_go_on() {
    let server = Running::start().await;
    let bad = format!("amk_{}", "x".repeat(43));
    for _ in 0..10 {
        server.get(&bad, "/me").await.refused(401);
    }
    let answer = server.get(&bad, "/me").await;
    let wait: i64 = answer.headers["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    assert_eq!(answer.refused(429), "rate_limited");
    server.get(&server.admin, "/me").await.expect(200);
    assert_eq!(server.get("", "/me").await.refused(401), "unauthorized");
    server.pass(MINUTE);
    server.get(&bad, "/me").await.refused(401);
}

#[tokio::test]
async fn keys_are_listed_without_what_they_are_and_removed_ones_do_not_hold() {
    let server = Running::start().await;
    server.pass(1);
    let made = server
        .post(&server.admin, "/api-keys", json!({ "name": "ci" }))
        .await
        .expect(201);
    let value = made["value"].as_str().unwrap();
    assert_eq!(made["scopes"], json!(["read", "write"]));
    server.get(value, "/me").await.expect(200);
    let listed = server.get(&server.admin, "/api-keys").await;
    assert!(!String::from_utf8_lossy(&listed.body).contains(value));
    let listed = listed.expect(200);
    assert_eq!(listed["data"][0]["id"], made["id"]);
    assert_eq!(listed["data"][0]["lastUsedAt"], "2025-11-29T08:47:14.057Z");
    assert_eq!(
        listed["pageInfo"],
        json!({ "after": null, "hasNextPage": false })
    );
    let page = server
        .get(&server.admin, "/api-keys?limit=1")
        .await
        .expect(200);
    assert_eq!(page["pageInfo"]["hasNextPage"], true);
    let path = format!(
        "/api-keys?limit=1&after={}",
        page["pageInfo"]["after"].as_str().unwrap()
    );
    let rest = server.get(&server.admin, &path).await.expect(200);
    assert_eq!(rest["data"][0]["name"], "first key");
    let path = format!("/api-keys/{}", made["id"].as_str().unwrap());
    assert_eq!(
        server
            .ask(&server.admin, "DELETE", &path, None)
            .await
            .expect(204),
        Value::Null
    );
    server.get(value, "/me").await.refused(401);
    server
        .ask(&server.admin, "DELETE", &path, None)
        .await
        .refused(404);
}

#[tokio::test]
async fn somebody_who_is_kept_out_has_no_key_and_the_last_administrator_stays() {
    let server = Running::start().await;
    let ada = server.member("ada").await;
    let users = server.get(&server.admin, "/users").await.expect(200);
    let id = |name: &str| {
        let users = users.as_array().unwrap();
        let user = users.iter().find(|user| user["name"] == name).unwrap();
        user["id"].as_str().unwrap().to_owned()
    };
    let change = async |id: &str, change: Value| {
        server
            .ask(
                &server.admin,
                "PATCH",
                &format!("/users/{id}"),
                Some(change),
            )
            .await
    };
    change(&id("ada"), json!({ "disabled": true }))
        .await
        .expect(200);
    server.get(&ada, "/me").await.refused(401);
    change(&id("ada"), json!({ "disabled": false }))
        .await
        .expect(200);
    server.get(&ada, "/me").await.expect(200);
    for last in [json!({ "disabled": true }), json!({ "role": "member" })] {
        assert_eq!(change(&id("admin"), last).await.refused(409), "conflict");
    }
    let path = format!("/users/{}", id("admin"));
    assert_eq!(
        server
            .ask(&server.admin, "DELETE", &path, None)
            .await
            .refused(409),
        "conflict"
    );
    assert_eq!(
        change(&id("ada"), json!({ "name": "admin" }))
            .await
            .refused(409),
        "conflict"
    );
    let path = format!("/users/{}", id("ada"));
    server
        .ask(&server.admin, "DELETE", &path, None)
        .await
        .expect(200);
    server.get(&ada, "/me").await.refused(401);
}

//! Policies on the admin listener: shown, forced, and summed up.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

mod support;

use std::sync::{Arc, Mutex};

use futures::FutureExt;
use serde_json::{Value, json};
use steadfast_api::admin::{Answer, Error, Force, PolicyAdmin};
use steadfast_api::{Admin, Lifecycle, admin_router};
use steadfast_time::Clock;
use support::{JSON, Reply, Running};

/// Remembers what it was asked for. It has a policy `stock` with a breaker, a policy `journal`
/// without one, and a policy `broken` that nothing can be said about.
#[derive(Default)]
struct Desk {
    asked: Mutex<Vec<String>>,
}

impl Desk {
    fn about(&self, name: &str, what: String) -> Result<Value, Error> {
        match name {
            "stock" | "journal" => {
                self.asked.lock().unwrap().push(what);
                Ok(json!({ "name": name }))
            }
            "broken" => Err(Error::Unavailable("/secret/socket is gone".to_owned())),
            _ => Err(Error::NotFound(format!("policy {name}"))),
        }
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

fn ready<T: Send + 'static>(answer: Result<T, Error>) -> Answer<'static, T> {
    async { answer }.boxed()
}

impl PolicyAdmin for Desk {
    fn list(&self) -> Answer<'_, Vec<Value>> {
        ready(
            ["stock", "journal"]
                .map(|name| self.about(name, "list".to_owned()))
                .into_iter()
                .collect(),
        )
    }

    fn get(&self, name: String) -> Answer<'_, Value> {
        ready(self.about(&name, format!("get {name}")))
    }

    fn force(&self, name: String, force: Force) -> Answer<'_, Value> {
        let Force { state, by } = force;
        if name == "journal" {
            return ready(Err(Error::State("policy journal has no breaker".to_owned())));
        }
        ready(self.about(&name, format!("{name} {state:?} by {by}")))
    }

    fn slo(&self) -> Answer<'_, Value> {
        ready(Ok(json!({ "indicators": [{ "met": true }], "error_budgets": [] })))
    }
}

async fn office() -> (Arc<Desk>, Running) {
    let desk = Arc::new(Desk::default());
    let admin = Admin::new(Clock::system(), Lifecycle::default(), Arc::new(String::new));
    let router = admin_router(admin.with_policies(desk.clone()));
    (desk, Running::over(router, |_| ()).await)
}

async fn force(server: &Running, name: &str, body: &str) -> Reply {
    server.post(&format!("/policies/{name}/breaker"), body).await
}

#[tokio::test]
async fn policies_are_listed_and_shown() {
    let (desk, server) = office().await;
    let list = server.get("/policies").await.ok();
    let expected =
        json!({ "policies": [{ "name": "stock" }, { "name": "journal" }], "next_cursor": null });
    assert_eq!(list.json(), expected);
    let stock = server.get("/policies/stock").await.ok();
    assert_eq!(stock.json(), json!({ "name": "stock" }));
    assert_eq!(stock.header("content-type"), Some("application/json"));
    assert_eq!(desk.asked(), ["list", "list", "get stock"]);
}

#[tokio::test]
async fn the_indicators_are_one_document() {
    let (_, server) = office().await;
    let report = server.get("/slo").await.ok().json();
    assert_eq!(report, json!({ "indicators": [{ "met": true }], "error_budgets": [] }));
}

#[tokio::test]
async fn a_breaker_is_forced_by_somebody() {
    let (desk, server) = office().await;
    let by_kim = r#"{"state":"closed","by":"kim"}"#;
    for body in [r#"{"state":"open"}"#, by_kim, r#" { "state" : "auto" } "#] {
        assert_eq!(force(&server, "stock", body).await.ok().json(), json!({ "name": "stock" }));
    }
    let expected = ["stock Open by operator", "stock Closed by kim", "stock Auto by operator"];
    assert_eq!(desk.asked(), expected);
}

#[tokio::test]
async fn a_wish_that_cannot_be_read_names_its_field_and_is_not_carried_out() {
    let (desk, server) = office().await;
    let allowed = "`open`, `closed`, `auto`";
    for (body, field, words) in [
        (r#"{"state":"half_open"}"#, Some("state"), allowed),
        (r#"{"state":"OPEN"}"#, Some("state"), allowed),
        (r#"{"state":true}"#, Some("state"), ""),
        (r#"{"state":null}"#, Some("state"), ""),
        (r#"{"by":"kim"}"#, Some("state"), "missing"),
        (r#"{"state":"open","by":7}"#, Some("by"), "string"),
        (r#"{"state":"open","for":"60s"}"#, Some("for"), "unknown"),
        ("{", Some("body"), "line 1"),
        ("", Some("body"), "needed"),
    ] {
        let reply = force(&server, "stock", body).await;
        assert_eq!((reply.status, reply.code().as_str()), (400, "invalid_request"), "{body}");
        let problem = reply.json();
        assert_eq!(problem["field"].as_str(), field, "{body}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(words), "{body}: {problem}");
    }
    let reply = server.send("POST /policies/stock/breaker", &["Content-Type: text/plain"], b"open");
    assert_eq!(reply.await.status, 415);
    assert_eq!(desk.asked(), [""; 0]);
}

#[tokio::test]
async fn what_is_not_there_has_codes_of_its_own() {
    let (_, server) = office().await;
    let open = r#"{"state":"open"}"#;
    let missing = server.get("/policies/stokc").await;
    assert_eq!((missing.status, missing.code().as_str()), (404, "policy_not_found"));
    assert_eq!(missing.json()["detail"], "there is no policy stokc");
    let missing = force(&server, "stokc", open).await;
    assert_eq!((missing.status, missing.code().as_str()), (404, "policy_not_found"));
    for path in ["/policies/%00", "/policies/%FF", "/policies/a%2Fb", "/policies/Stock"] {
        let reply = server.get(path).await;
        assert_eq!((reply.status, reply.code().as_str()), (404, "policy_not_found"), "{path}");
    }
    let without = force(&server, "journal", open).await;
    assert_eq!((without.status, without.code().as_str()), (409, "policy_state"));
    assert_eq!(without.json()["detail"], "policy journal has no breaker");
    // What is wrong with the wish comes before whom it is for.
    let neither = force(&server, "stokc", r#"{"state":"ajar"}"#).await;
    assert_eq!((neither.status, neither.code().as_str()), (400, "invalid_request"));
}

#[tokio::test]
async fn parameters_and_methods_that_there_are_not_are_refused() {
    let (_, server) = office().await;
    for path in ["/policies?limit=5", "/policies/stock?verbose=1", "/slo?window=30d"] {
        let reply = server.get(path).await;
        assert_eq!((reply.status, reply.code().as_str()), (400, "invalid_request"), "{path}");
    }
    for line in
        ["POST /policies", "DELETE /policies/stock", "GET /policies/stock/breaker", "PUT /slo"]
    {
        let reply = server.send(line, &[JSON], b"{}").await;
        assert_eq!((reply.status, reply.code().as_str()), (405, "method_not_allowed"), "{line}");
    }
    let reply = server.send("POST /policies/stock/budget", &[JSON], b"{}").await;
    assert_eq!((reply.status, reply.code().as_str()), (404, "route_not_found"));
}

#[tokio::test]
async fn words_for_the_log_stay_inside() {
    let (_, server) = office().await;
    let reply = server.get("/policies/broken").await;
    assert_eq!((reply.status, reply.code().as_str()), (503, "unavailable"));
    assert!(!String::from_utf8(reply.body).unwrap().contains("secret"));
}

#[tokio::test]
async fn a_process_without_policies_has_no_such_routes() {
    let admin = Admin::new(Clock::system(), Lifecycle::default(), Arc::new(String::new));
    let server = Running::over(admin_router(admin), |_| ()).await;
    for path in ["/policies", "/policies/stock", "/slo"] {
        assert_eq!(server.get(path).await.code(), "route_not_found", "{path}");
    }
}

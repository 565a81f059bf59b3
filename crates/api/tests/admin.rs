//! The admin listener.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

mod support;

use std::sync::{Arc, Mutex};

use axum::Router;
use futures::FutureExt;
use serde_json::{Value, json};
use steadfast_api::admin::{
    Answer, DeadLetterAdmin, Error, ListDeadLetters, ListSagas, Page, Replay, Resolve, Retry,
    SagaAdmin, Skip,
};
use steadfast_api::{Admin, Lifecycle, admin_router};
use steadfast_time::Clock;
use support::{JSON, Running};

/// Remembers what it was asked for; knows the saga `7` and the letter `orders/7/1`.
#[derive(Default)]
struct Desk {
    asked: Mutex<Vec<String>>,
}

impl Desk {
    fn note(&self, what: String) {
        self.asked.lock().unwrap().push(what);
    }

    fn about(&self, id: &str, known: &str, what: String) -> Answer<'_, Value> {
        let answer = if id == known {
            self.note(what);
            Ok(json!({ "id": id }))
        } else {
            Err(Error::NotFound(id.to_owned()))
        };
        async { answer }.boxed()
    }
}

impl SagaAdmin for Desk {
    fn list(&self, query: ListSagas) -> Answer<'_, Page> {
        self.note(format!("{query:?}"));
        async { Ok(Page { entries: vec![json!({"id": "7"})], next_cursor: None }) }.boxed()
    }

    fn get(&self, id: String) -> Answer<'_, Value> {
        self.about(&id, "7", "get".to_owned())
    }

    fn retry(&self, id: String, request: Retry) -> Answer<'_, Value> {
        self.about(&id, "7", format!("retry by {}", request.by))
    }

    fn skip(&self, id: String, request: Skip) -> Answer<'_, Value> {
        if request.step == "pay" {
            return async { Err(Error::State("it is at \"stock\"".to_owned())) }.boxed();
        }
        self.about(&id, "7", format!("skip {} because {}", request.step, request.reason))
    }

    fn resolve(&self, id: String, request: Resolve) -> Answer<'_, Value> {
        self.about(&id, "7", format!("{:?}", request.finding))
    }
}

impl DeadLetterAdmin for Desk {
    fn list(&self, query: ListDeadLetters) -> Answer<'_, Page> {
        self.note(format!("{query:?}"));
        async { Err(Error::Unavailable("/secret/path: disk failed".to_owned())) }.boxed()
    }

    fn get(&self, place: String) -> Answer<'_, Value> {
        self.about(&place, "orders/7/1", "get letter".to_owned())
    }

    fn replay(&self, request: Replay) -> Answer<'_, Value> {
        self.note(format!("replay {:?} at {:?}", request.key, request.per_second));
        async { Ok(json!({ "handled": 3 })) }.boxed()
    }

    fn discard(&self, place: String, reason: String) -> Answer<'_, Value> {
        self.about(&place, "orders/7/1", format!("discard because {reason}"))
    }
}

struct Office {
    desk: Arc<Desk>,
    lifecycle: Lifecycle,
    server: Running,
}

async fn office() -> Office {
    let (desk, lifecycle) = (Arc::new(Desk::default()), Lifecycle::default());
    let render = Arc::new(|| "# TYPE up gauge\nup 1\n".to_owned());
    let admin = Admin::new(Clock::system(), lifecycle.clone(), render)
        .with_sagas(desk.clone())
        .with_dead_letters(desk.clone());
    let server = Running::over(admin_router(admin), |_| ()).await;
    Office { desk, lifecycle, server }
}

fn router_without_parts() -> Router {
    admin_router(Admin::new(Clock::system(), Lifecycle::default(), Arc::new(String::new)))
}

#[tokio::test]
async fn readiness_says_why_not() {
    let Office { lifecycle, server, .. } = office().await;
    server.get("/healthz").await.ok();
    let starting = server.get("/readyz").await;
    assert_eq!((starting.status, starting.json()["phase"].as_str()), (503, Some("starting")));
    lifecycle.ready();
    let ready = server.get("/readyz").await.ok();
    assert_eq!(ready.json(), json!({"ready": true, "phase": "ready", "reasons": []}));
    lifecycle.cut_off("journal", "no room is left");
    let cut = server.get("/readyz").await;
    assert_eq!(cut.status, 503);
    assert_eq!(cut.json()["reasons"], json!(["cut off: journal: no room is left"]));
    lifecycle.restored("journal");
    let drain = server.send("POST /drain", &[], b"").await;
    assert_eq!((drain.status, drain.json()["phase"].as_str()), (202, Some("draining")));
    assert_eq!(server.get("/readyz").await.status, 503);
    server.get("/healthz").await.ok();
    lifecycle.draining().await;
}

#[tokio::test]
async fn metrics_are_text() {
    let Office { server, .. } = office().await;
    let metrics = server.get("/metrics").await.ok();
    assert_eq!(metrics.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert_eq!(metrics.body, b"# TYPE up gauge\nup 1\n");
}

#[tokio::test]
async fn sagas_are_listed_retried_skipped_and_resolved() {
    let Office { desk, server, .. } = office().await;
    let list = server.get("/sagas?status=stuck&limit=5").await.ok();
    assert_eq!(list.json(), json!({"sagas": [{"id": "7"}], "next_cursor": null}));
    server.get("/sagas/7").await.ok();
    let missing = server.get("/sagas/8").await;
    assert_eq!((missing.status, missing.code().as_str()), (404, "saga_not_found"));
    server.send("POST /sagas/7/retry", &[], b"").await.ok();
    server.post("/sagas/7/retry", r#"{"by":"kim"}"#).await.ok();
    server.post("/sagas/7/skip", r#"{"step":"stock","reason":"counted"}"#).await.ok();
    let other = server.post("/sagas/7/skip", r#"{"step":"pay","reason":"x"}"#).await;
    assert_eq!((other.status, other.code().as_str()), (409, "saga_state"));
    let hasty = server.post("/sagas/7/skip", r#"{"step":"stock"}"#).await;
    assert_eq!((hasty.status, hasty.code().as_str()), (400, "invalid_request"));
    let found = r#"{"step":"stock","reason":"asked them","finding":"not_done"}"#;
    server.post("/sagas/7/resolve", found).await.ok();
    let asked = desk.asked.lock().unwrap().join("; ");
    let expected = "ListSagas { status: Some(\"stuck\"), cursor: None, limit: 5 }; get; \
        retry by operator; retry by kim; skip stock because counted; NotDone";
    assert_eq!(asked, expected);
}

#[tokio::test]
async fn dead_letters_are_shown_replayed_and_discarded() {
    let Office { desk, server, .. } = office().await;
    for path in ["/dead-letters/orders/7/1", "/dead-letters/orders%2F7%2F1"] {
        assert_eq!(server.get(path).await.ok().json(), json!({"id": "orders/7/1"}));
    }
    let replayed = server.post("/dead-letters/replay", r#"{"key":"orders/7","per_second":10}"#);
    assert_eq!(replayed.await.ok().json(), json!({"handled": 3}));
    let fast = server.post("/dead-letters/replay", r#"{"per_second":0}"#).await;
    assert_eq!((fast.status, fast.json()["field"].as_str()), (400, Some("per_second")));
    let silent = server.send("DELETE /dead-letters/orders/7/1", &[], b"").await;
    assert_eq!((silent.status, silent.json()["field"].as_str()), (400, Some("reason")));
    server.send("DELETE /dead-letters/orders/7/1?reason=test%20data", &[], b"").await.ok();
    let gone = server.send("DELETE /dead-letters/orders/8/1?reason=x", &[], b"").await;
    assert_eq!((gone.status, gone.code().as_str()), (404, "dead_letter_not_found"));
    let asked = desk.asked.lock().unwrap().join("; ");
    let expected = "get letter; get letter; replay Some(\"orders/7\") at Some(10); \
        discard because test data";
    assert_eq!(asked, expected);
}

#[tokio::test]
async fn the_storages_own_words_stay_inside() {
    let Office { server, .. } = office().await;
    let reply = server.get("/dead-letters").await;
    assert_eq!((reply.status, reply.code().as_str()), (503, "unavailable"));
    assert!(!String::from_utf8(reply.body).unwrap().contains("secret"));
}

#[tokio::test]
async fn a_process_without_sagas_has_no_such_routes() {
    let server = Running::over(router_without_parts(), |_| ()).await;
    server.get("/healthz").await.ok();
    for path in ["/sagas", "/dead-letters"] {
        assert_eq!(server.get(path).await.code(), "route_not_found");
    }
    let reply = server.send("POST /healthz", &[JSON], b"{}").await;
    assert_eq!((reply.status, reply.code().as_str()), (405, "method_not_allowed"));
}

//! Leases on the admin listener: listed, shown, and taken away.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

mod support;

use std::sync::{Arc, Mutex};

use futures::FutureExt;
use serde_json::{Value, json};
use steadfast_api::admin::{Answer, Error, LeaseAdmin, ListLeases, Page, Release};
use steadfast_api::{Admin, Lifecycle, admin_router};
use steadfast_time::Clock;
use support::Running;

/// Remembers what it was asked for. `zone/default` is held under 7, `free` by nobody, and of
/// `broken` nothing is known.
#[derive(Default)]
struct Desk {
    asked: Mutex<Vec<String>>,
}

impl Desk {
    fn about(&self, name: &str, what: String) -> Result<Value, Error> {
        match name {
            "zone/default" => {
                self.asked.lock().unwrap().push(what);
                Ok(json!({ "name": name }))
            }
            "broken" => Err(Error::Unavailable("/secret/socket is gone".to_owned())),
            _ => Err(Error::NotFound(format!("holder of {name:?}"))),
        }
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

fn ready<T: Send + 'static>(answer: Result<T, Error>) -> Answer<'static, T> {
    async { answer }.boxed()
}

impl LeaseAdmin for Desk {
    fn list(&self, query: ListLeases) -> Answer<'_, Page> {
        let ListLeases { prefix, cursor, limit } = query;
        self.asked.lock().unwrap().push(format!("{prefix:?} {cursor:?} {limit}"));
        let entries = vec![json!({ "name": "zone/default" })];
        ready(Ok(Page { entries, next_cursor: Some("zone/default".to_owned()) }))
    }

    fn get(&self, name: String) -> Answer<'_, Value> {
        ready(self.about(&name, format!("get {name}")))
    }

    fn release(&self, name: String, Release { token, by }: Release) -> Answer<'_, Value> {
        if token.is_some_and(|token| token != 7) {
            return ready(Err(Error::State("steadfast 1 (token 7) holds it".to_owned())));
        }
        ready(self.about(&name, format!("release {name} under {token:?} by {by}")))
    }
}

async fn office() -> (Arc<Desk>, Running) {
    let desk = Arc::new(Desk::default());
    let admin = Admin::new(Clock::system(), Lifecycle::default(), Arc::new(String::new));
    let router = admin_router(admin.with_leases(desk.clone()));
    (desk, Running::over(router, |_| ()).await)
}

#[tokio::test]
async fn leases_are_listed_page_by_page_and_shown_by_their_whole_name() {
    let (desk, server) = office().await;
    let page = server.get("/leases").await.ok().json();
    let expected = json!({ "leases": [{ "name": "zone/default" }], "next_cursor": "zone/default" });
    assert_eq!(page, expected);
    server.get("/leases?prefix=zone%2F&cursor=zone%2Fdefault&limit=500").await.ok();
    server.get("/leases/zone%2Fdefault").await.ok();
    let expected =
        ["None None 100", r#"Some("zone/") Some("zone/default") 500"#, "get zone/default"];
    assert_eq!(desk.asked(), expected);
}

#[tokio::test]
async fn a_lease_is_taken_away_by_somebody_and_only_from_whom_it_is_meant() {
    let (desk, server) = office().await;
    let release = "/leases/zone%2Fdefault/release";
    for body in ["", "{}", r#"{"token":7,"by":"kim"}"#] {
        server.post(release, body).await.ok();
    }
    let expected = [
        "release zone/default under None by operator",
        "release zone/default under None by operator",
        "release zone/default under Some(7) by kim",
    ];
    assert_eq!(desk.asked(), expected);
    let stale = server.post(release, r#"{"token":6}"#).await;
    assert_eq!((stale.status, stale.code().as_str()), (409, "lease_state"));
    assert_eq!(stale.json()["detail"], "steadfast 1 (token 7) holds it");
    for (body, field) in
        [(r#"{"token":"7"}"#, "token"), (r#"{"token":-7}"#, "token"), (r#"{"tokne":7}"#, "tokne")]
    {
        let reply = server.post(release, body).await;
        assert_eq!((reply.status, reply.code().as_str()), (400, "invalid_request"), "{body}");
        assert_eq!(reply.json()["field"], field, "{body}");
    }
    assert_eq!(desk.asked(), [""; 0]);
}

#[tokio::test]
async fn what_nobody_holds_has_a_code_of_its_own_and_words_for_the_log_stay_inside() {
    let (_, server) = office().await;
    for path in ["/leases/free", "/leases/%00", "/leases/%FF", "/leases/zone"] {
        let reply = server.get(path).await;
        assert_eq!((reply.status, reply.code().as_str()), (404, "lease_not_found"), "{path}");
    }
    let reply = server.post("/leases/free/release", "").await;
    assert_eq!((reply.status, reply.code().as_str()), (404, "lease_not_found"));
    let reply = server.get("/leases/broken").await;
    assert_eq!((reply.status, reply.code().as_str()), (503, "unavailable"));
    assert!(!String::from_utf8(reply.body).unwrap().contains("secret"));
    // A slash that is not written as %2F is another path.
    assert_eq!(server.get("/leases/zone/default").await.code(), "route_not_found");
    for path in ["/leases?status=held", "/leases?limit=501", "/leases/zone%2Fdefault?deep=1"] {
        let reply = server.get(path).await;
        assert_eq!((reply.status, reply.code().as_str()), (400, "invalid_request"), "{path}");
    }
}

#[tokio::test]
async fn a_process_without_leases_has_no_such_routes() {
    let admin = Admin::new(Clock::system(), Lifecycle::default(), Arc::new(String::new));
    let server = Running::over(admin_router(admin), |_| ()).await;
    for path in ["/leases", "/leases/zone%2Fdefault"] {
        assert_eq!(server.get(path).await.code(), "route_not_found", "{path}");
    }
}

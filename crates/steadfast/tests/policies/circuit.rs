//! A circuit opens, everybody can see why, and an operator has the last word.

use serde_json::{Value, json};

use crate::office::{Office, away};
use crate::support::process::{Home, Server};
use crate::support::{millis, pause};
use crate::town::Town;

const AWAY: &str = "[providers.sandbox.reserve]\nunavailable = 1.0\n";

/// A server whose stock service is away and whose circuit has opened over it.
async fn opened() -> (Home, Server, Town) {
    let home = Home::with(AWAY);
    let server = home.start().await;
    let mut town = Town::new(&server);
    // As many as are judged; more than the budget lets through twice.
    town.order(30).await;
    Office::of(&server).until_circuit("stock", "OPEN").await;
    (home, server, town)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_away_opens_its_circuit_and_is_left_alone() {
    let (home, server, mut town) = opened().await;
    let office = Office::of(&server);

    // Its figures, and how long until it is asked again.
    let stock = office.policy("stock").await;
    let window = stock["window"].as_str().unwrap();
    assert!(window.starts_with("OPEN, 2"), "{window}");
    assert!(window.contains(" calls failed, 0 slow, next probe in "), "{window}");
    let change = stock["changes"][0]["what"].as_str().unwrap();
    assert!(change.starts_with("breaker stock: CLOSED→OPEN, 2"), "{change}");
    assert_eq!(stock["attempts"], stock["failures"], "{stock:#}");

    // The same in the log, once.
    let log = home.log();
    let lines: Vec<&str> =
        log.lines().filter(|line| line.contains("breaker stock: CLOSED→OPEN, ")).collect();
    assert_eq!(lines.len(), 1, "{log}");
    assert!(lines[0].contains(" WARN ") && lines[0].contains("next probe in 60 s"), "{log}");

    // Orders go on being taken, and none of them reaches the service.
    let before = office.policy("stock").await;
    town.order(30).await;
    let after = office
        .until("stock", |policy| {
            let grown = |key: &str| policy[key].as_u64() >= before[key].as_u64().map(|n| n + 30);
            grown("refusals") && grown("calls")
        })
        .await;
    assert_eq!(after["attempts"], before["attempts"], "{after:#}");
    assert_eq!(town.statuses().await.keys().collect::<Vec<_>>(), ["placed"]);

    // What is counted is what is shown.
    for counter in ["calls", "attempts", "failures", "timeouts", "hedges"] {
        let counted = office.metric(&format!("{counter}_total"), "stock").await;
        assert_eq!(Some(counted), after[counter].as_u64(), "{counter}");
    }
    assert_eq!(office.metric("circuit_open", "stock").await, 1);
    assert_eq!(office.metric("circuit_open", "payment").await, 0);
    assert_eq!(office.metric("attempts_total", "payment").await, 0);
    let metrics = office.get("/metrics").await.text();
    let opened = "decision=\"changed\",reason=\"OPEN\"} 1";
    assert!(metrics.contains(opened), "no {opened} in:\n{metrics}");

    indicators(&office.get("/slo").await.json(), &after);
    assert_eq!(server.stop(crate::office::SOON).await.unwrap().code(), Some(0));
}

/// Every dependency has its indicators, and they are what its counters come to.
fn indicators(slo: &Value, stock: &Value) {
    let rows = slo["indicators"].as_array().unwrap();
    let row = |indicator: &str, of: &str| {
        let found = |row: &&Value| row["indicator"] == indicator && row["of"] == of;
        rows.iter().find(found).unwrap_or_else(|| panic!("no {indicator} of {of}: {slo:#}"))
    };
    for of in ["journal", "stock", "payment"] {
        for (indicator, bound) in
            [("dep.timeout_rate", 0.002), ("dep.retry_rate", 0.05), ("hedged_share", 0.02)]
        {
            assert_eq!(row(indicator, of)["bound"], bound);
        }
        assert_eq!(row("dep.timeout_rate", of)["met"], true);
    }
    let retries = row("dep.retry_rate", "stock");
    assert_eq!(retries["attempts_30d"], stock["attempts"]);
    let rate = stock["retries"].as_f64().unwrap() / stock["attempts"].as_f64().unwrap();
    assert!((retries["last_30d"].as_f64().unwrap() - rate).abs() < 1e-9, "{retries}");
    assert_eq!(retries["met"], rate <= 0.05);
    let budgets = slo["error_budgets"].as_array().unwrap();
    let left = |of: &str| budgets.iter().find(|row| row["of"] == of).unwrap()["left"].clone();
    assert_eq!((left("stock"), left("journal")), (json!(0.0), json!(1.0)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_opens_closes_and_lets_go() {
    let home = Home::new();
    let server = home.start().await;
    let (office, mut town) = (Office::of(&server), Town::new(&server));

    // Open, by hand, over HTTP: a service in perfect health is not asked.
    let forced = office.force("payment", &json!({ "state": "open", "by": "ana" })).await;
    assert_eq!((forced.status, forced.json()["breaker"].clone()), (200, json!("FORCED_OPEN")));
    town.order(3).await;
    town.until_all(&["stock_reserved"], &home).await;
    office.until("payment", |policy| policy["refusals"].as_u64() >= Some(3)).await;
    assert_eq!(office.policy("payment").await["attempts"], 0);
    assert_eq!(office.metric("circuit_open", "payment").await, 1);
    let log = home.log();
    assert!(log.contains("breaker forced") && log.contains("\"ana\""), "{log}");
    assert!(log.contains("breaker payment: CLOSED→FORCED_OPEN, by an operator"), "{log}");

    // Left to itself again, from the command line: it sends probes, and the orders go on.
    let said = office.command("force payment auto --by kim").await;
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert!(said.stdout.contains("HALF_OPEN") && said.stdout.contains("changes of state"));
    town.until_all(&["awaiting_courier"], &home).await;

    // Closed, by hand: everything goes through, whatever comes of it.
    office.harm("reserve", away()).await;
    let said = office.command("force stock closed").await;
    assert!(said.stdout.contains("FORCED_CLOSED"), "{}", said.stdout);
    town.order(40).await;
    office.until("stock", |policy| policy["failures"].as_u64() >= Some(40)).await;
    assert_eq!(office.policy("stock").await["breaker"], "FORCED_CLOSED");
    assert_eq!(office.metric("circuit_open", "stock").await, 0);

    // The list, for people and for programs.
    let said = office.command("list").await;
    let header = said.stdout.lines().next().unwrap().to_lowercase();
    for column in ["name", "breaker", "refusals"] {
        assert!(header.contains(column), "{header}");
    }
    for name in ["journal", "stock", "payment"] {
        assert!(said.stdout.lines().any(|line| line.starts_with(name)), "{}", said.stdout);
    }
    let said = office.command("show stock --json").await;
    let shown: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(shown["breaker"], "FORCED_CLOSED");
    let said = office.command("slo").await;
    assert!(said.stdout.contains("dep.timeout_rate"), "{}", said.stdout);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_operator_gets_wrong_is_said() {
    let home = Home::new();
    let server = home.start().await;
    let office = Office::of(&server);
    let open = json!({ "state": "open" });

    let missing = office.get("/policies/stokc").await;
    assert_eq!((missing.status, missing.code().as_str()), (404, "policy_not_found"));
    let missing = office.force("stokc", &open).await;
    assert_eq!((missing.status, missing.code().as_str()), (404, "policy_not_found"));
    let said = office.command("show stokc").await;
    assert_eq!(said.code, Some(1));
    assert!(said.stderr.contains("policy_not_found") && said.stderr.contains("stokc"));

    // Writes are not behind a breaker.
    let without = office.force("journal", &open).await;
    assert_eq!((without.status, without.code().as_str()), (409, "policy_state"));
    assert!(without.json()["detail"].as_str().unwrap().contains("journal has no breaker"));
    let said = office.command("force journal open").await;
    assert_eq!(said.code, Some(1));
    assert!(said.stderr.contains("journal has no breaker"), "{}", said.stderr);

    for wrong in [json!({ "state": "ajar" }), json!({ "state": 1 }), json!({})] {
        let refused = office.force("stock", &wrong).await;
        assert_eq!((refused.status, refused.code().as_str()), (400, "invalid_request"), "{wrong}");
        assert_eq!(refused.json()["field"], "state", "{}", refused.text());
    }
    let said = office.command("force stock ajar").await;
    assert_eq!(said.code, Some(2));
    assert!(said.stderr.contains("[possible values: open, closed, auto]"), "{}", said.stderr);

    // None of it has changed anything.
    pause(millis(20)).await;
    assert_eq!(office.policy("stock").await["breaker"], "CLOSED");
    assert!(!home.log().contains("→"), "{}", home.log());
}

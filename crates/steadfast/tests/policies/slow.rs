//! A slow service is given up on in time; what became of its calls is found out, not assumed.

use serde_json::json;

use crate::books::all_delivered_once;
use crate::office::{Office, SOON};
use crate::support::process::Home;
use crate::town::Town;

/// The limit of a call is 100 ms.
const SLOW: &str = r#"
[providers.sandbox.authorize]
delay = "400ms"
[policies.payment.breaker]
open_for = "300ms"
[policies.payment.budget]
floor_per_second = 1000.0
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_payment_service_times_out_and_stock_does_not_feel_it() {
    let home = Home::with(SLOW);
    let server = home.start().await;
    let (office, mut town) = (Office::of(&server), Town::new(&server));
    town.order(30).await;
    let payment = office.until_circuit("payment", "OPEN").await;
    assert!(payment["timeouts"].as_u64() >= Some(20), "{payment:#}");
    assert_eq!(payment["timeouts"], payment["failures"], "{payment:#}");
    let decisions = payment["decisions"].to_string();
    assert!(decisions.contains("timeout payment: "), "{decisions}");
    let slo = office.get("/slo").await.json();
    let rows = slo["indicators"].as_array().unwrap();
    let rate = |of: &str| {
        let row = rows.iter().find(|row| row["indicator"] == "dep.timeout_rate" && row["of"] == of);
        (row.unwrap()["met"].clone(), row.unwrap()["last_30d"].clone())
    };
    // Of all that have been sent, those that are under way among them.
    assert_eq!(rate("payment").0, false);
    assert!(rate("payment").1.as_f64() > Some(0.2), "{slo:#}");
    assert_eq!(rate("stock"), (json!(true), json!(0.0)));

    // Stock is asked as ever.
    town.order(10).await;
    town.until_all(&["stock_reserved"], &home).await;
    let stock = office.policy("stock").await;
    assert_eq!(stock["breaker"], "CLOSED");
    for counter in ["failures", "timeouts", "refusals"] {
        assert_eq!(stock[counter], 0, "{stock:#}");
    }

    // Worse: the work is done, and its answer is lost.
    let lost = json!({ "lose_reply": 0.5 });
    office.harm("authorize", lost).await;
    office
        .until("payment", |policy| policy["failures"].as_u64() > policy["timeouts"].as_u64())
        .await;
    office.heal().await;
    town.until_all(&["awaiting_courier"], &home).await;
    town.deliver(&home).await;
    let payment = office.policy("payment").await;
    assert!(payment["retries"].as_u64() >= Some(20), "{payment:#}");
    assert_eq!(server.stop(SOON).await.unwrap().code(), Some(0), "{}", home.log());
    // Each was asked for again, and none has paid twice.
    all_delivered_once(&home.data(), &town.orders);
}

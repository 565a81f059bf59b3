//! Numbers that make no sense are refused at the start: which key, what it says, what is allowed.

use serde_json::Value;

use crate::support::process::{Home, steadfast};

/// A line of the configuration, and what must be said about it.
const MISTAKES: [(&str, &[&str]); 15] = [
    ("policies.stock.breaker.failure_rate = 1.5", &["1.5", "from 0.0 to 1.0"]),
    ("policies.stock.breaker.failure_rate = 0.0", &["more than 0 %", "not 0 %"]),
    ("policies.payment.budget.ratio = 2.0", &["2", "from 0.0 to 1.0"]),
    ("policies.stock.breaker.window = 0", &["1 to 65536 calls", "not 0"]),
    ("policies.payment.breaker.window = \"0s\"", &["longer than 0 s", "not 0 s"]),
    ("policies.payment.budget.window = \"0s\"", &["not 0ns", "60s"]),
    ("policies.objective.window = \"0s\"", &["not 0"]),
    ("policies.stock.breaker.minimum_calls = 200", &["at most the window's 100", "not 200"]),
    ("policies.stock.bulkhead.limit = 0", &["from 1 to", "not 0"]),
    ("policies.stock.bulkhead.wait = \"2s\"", &["providers.call_timeout, 100ms", "not 2s"]),
    (
        "policies.stock.breker.window = 5",
        &["policies.stock.breker: ", "did you mean \"policies.stock.breaker\"?"],
    ),
    (
        "policies.payment.bulkhead.limits = 3",
        &["did you mean \"policies.payment.bulkhead.limit\"?"],
    ),
    ("policies.stock.budget.ratio = \"5%\"", &["must be", "\"5%\""]),
    ("policies.stock.hedged = true", &["policies.stock.hedge.p95_above", "100ms", "not 300ms"]),
    ("providers.call_timeout = \"200ms\"", &["limits.order", "350 ms is not at least 450 ms"]),
];

#[tokio::test]
async fn a_start_is_refused_with_every_mistake_named() {
    for (line, words) in MISTAKES {
        let home = Home::with(&format!("{line}\n"));
        let (code, said) = home.refused().await;
        assert_eq!(code, Some(2), "{line}: {said}");
        let key = line.split(" = ").next().unwrap();
        // Some mistakes are another key's, or that of the section.
        let elsewhere = ["breker", "hedged", "call_timeout"].iter().any(|word| key.contains(word));
        assert!(elsewhere || said.contains(key), "{key} is missing in: {said}");
        for word in words {
            assert!(said.contains(word), "{line}: {word:?} is missing in: {said}");
        }
        assert!(!said.contains("panicked"), "{said}");
        assert!(!home.data().exists(), "{line}: something was opened all the same");
    }
    // What is wrong in several places is said at once.
    let several = [MISTAKES[3].0, MISTAKES[9].0, "policies.payment.breaker.probes = 0"];
    let (_, said) = Home::with(&several.join("\n")).refused().await;
    for line in several {
        let key = line.split(" = ").next().unwrap();
        assert!(said.contains(key), "{key} is missing in: {said}");
    }
}

fn check(home: &Home, json: bool) -> (Option<i32>, String, String) {
    let mut command = steadfast();
    command.args(["config", "check", "--config"]).arg(home.path("steadfast.toml"));
    let output = command.args(json.then_some("--json")).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn the_tree_of_deadlines_is_shown_and_must_add_up() {
    let home = Home::new();
    let (code, stdout, _) = check(&home, false);
    assert_eq!(code, Some(0));
    for name in ["gateway", "order service", "stock", "payment", "database"] {
        assert!(stdout.contains(name), "{stdout}");
    }
    let (code, stdout, _) = check(&home, true);
    let document: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, document["valid"].clone()), (Some(0), Value::Bool(true)));
    let root = &document["budget"];
    assert_eq!(root["budget"], "450ms");
    let [gateway, order] = [&root["parts"][0], &root["parts"][1]];
    assert_eq!((&gateway["key"], &gateway["budget"]), (&"limits.gateway".into(), &"100ms".into()));
    assert_eq!((&order["key"], &order["budget"]), (&"limits.order".into(), &"350ms".into()));
    assert_eq!(order["parts"][0]["order"], "in_parallel");
    assert_eq!(order["parts"][0]["parts"][1]["key"], "providers.call_timeout");
    assert_eq!(order["parts"][1]["budget"], "250ms");

    // A child larger than its parent.
    home.configure("limits.database = \"251ms\"\n");
    let (code, stdout, stderr) = check(&home, true);
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert!(stderr.contains("limits.order") && stderr.contains("at least 351 ms"), "{stderr}");
    home.configure("limits.database = \"251ms\"\nlimits.order = \"351ms\"\n");
    assert_eq!(check(&home, true).0, Some(0));
}

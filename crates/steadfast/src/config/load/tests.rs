//! Sources override one another, and mistakes say where they are.

use std::io::Write;

use super::super::value::{Length, OrOff, Policy};
use super::*;

fn with_file(text: &str, variables: &[(&str, &str)], flags: &Flags) -> Result<Loaded, Error> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let variables = variables.iter().map(|(name, value)| ((*name).into(), (*value).into()));
    load(flags, Some(file.path()), variables)
}

fn mistakes(text: &str, variables: &[(&str, &str)]) -> Vec<String> {
    match with_file(text, variables, &Flags::default()) {
        Err(Error::Invalid(problems)) => problems
            .iter()
            .map(|problem| {
                // The name of the temporary file is of no interest.
                let line = problem.to_string();
                let at = line.find(": ").unwrap();
                let origin = line[..at].rsplit_once(':').map_or(&line[..at], |(_, line)| line);
                format!("{origin}{}", &line[at..])
            })
            .collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn flag_wins_over_environment_over_file_over_default() {
    let text = "data = \"a\"\n[limits]\norder = \"400ms\"\ngateway = \"90ms\"\n";
    let flags = Flags::default().with("--data", "data", Some("c"));
    let variables = [("STEADFAST__DATA", "b"), ("STEADFAST_LIMITS__ORDER", "500ms")];
    let loaded = with_file(text, &variables, &flags).unwrap();
    assert_eq!(loaded.config.data, Path::new("c"));
    assert_eq!(loaded.config.limits.order, Length::millis(500));
    assert_eq!(loaded.config.limits.gateway, Length::millis(90));
    assert_eq!(loaded.config.limits.database, Length::millis(250));
    assert_eq!(loaded.origin("data").unwrap(), "--data");
    let variable = "environment variable STEADFAST_LIMITS__ORDER";
    assert_eq!(loaded.origin("limits.order").unwrap(), variable);
    assert!(loaded.origin("limits.gateway").unwrap().ends_with(":4"));
    assert_eq!(loaded.origin("limits.database").unwrap(), "default");
}

#[test]
fn other_variables_are_not_configuration() {
    let variables = [("STEADFAST_DATA", "elsewhere"), ("STEADFAST_URL", "x"), ("PATH", "y__z")];
    assert_eq!(with_file("", &variables, &Flags::default()).unwrap().config, Config::default());
}

#[test]
fn every_unknown_key_is_named_with_its_line_and_a_suggestion() {
    let text = "[dispatch]\ntik = \"5s\"\n\n[limits]\ndatabse = \"1s\"\n[zzz]\nq = 1\n";
    assert_eq!(
        mistakes(text, &[("STEADFAST_ORDERS__PREPARING", "5")]),
        [
            "2: dispatch.tik: there is no such key; did you mean \"dispatch.tick\"?",
            "5: limits.databse: there is no such key; did you mean \"limits.database\"?",
            "6: zzz: there is no such key",
            "environment variable STEADFAST_ORDERS__PREPARING: orders.preparing: \
             there is no such key; did you mean \"orders.preparing_max\"?",
        ]
    );
}

#[test]
fn every_wrong_value_says_what_is_allowed() {
    let text = "listen = 7070\nstore = \"mysql\"\n[limits]\norder = 350\ngateway = \"soon\"\n\
                [orders]\npreparing_max = -1\n[providers]\nstock = { uri = \"http://a\" }\n\
                [providers.sandbox.reserve]\nrefuse = 1.5\n[sqlite]\nlog = \"64\"\n";
    let found = mistakes(text, &[]);
    let expected = [
        "1: listen: must be an address and a port, such as \"127.0.0.1:7070\", not signed int `7070`",
        "2: store: must be \"sqlite\", not string \"mysql\"",
        "4: limits.order: must be a length of time in words, such as \"350ms\", \"30s\" or \
         \"1h 30m\", not signed int `350`",
        "5: limits.gateway: \"soon\" is not a length of time; write it in words, such as \
         \"350ms\", \"30s\" or \"1h 30m\"",
    ];
    let gateway_first = |line: &&String| !line.contains("limits.gateway");
    assert_eq!(found.len(), 8, "{found:#?}");
    assert_eq!(found[0], expected[0]);
    assert_eq!(found[1], expected[1]);
    assert!(found.iter().any(|line| line == expected[2]), "{found:#?}");
    assert!(found.iter().any(|line| line == expected[3]), "{found:#?}");
    let rest: Vec<_> = found.iter().filter(gateway_first).skip(3).collect();
    assert!(rest[0].starts_with("7: orders.preparing_max: must be a whole number"), "{rest:#?}");
    assert!(rest[1].contains("it has no \"uri\"; did you mean \"url\"?"), "{rest:#?}");
    assert!(rest[2].contains("1.5 is not a number from 0.0 to 1.0"), "{rest:#?}");
    assert!(rest[3].contains("\"64\" is not a size"), "{rest:#?}");
}

#[test]
fn rules_between_keys_name_the_key_that_was_set() {
    let text = "[limits]\norder = \"300ms\"\n";
    let found = mistakes(text, &[]);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].starts_with("2: limits.order: "), "{found:#?}");
}

#[test]
fn words_and_tables_are_understood() {
    let text = "[dispatch]\npolicy = \"batch\"\nheartbeat_timeout = \"off\"\n";
    let stock = ("STEADFAST_PROVIDERS__STOCK", "{url=\"http://stock:8080\"}");
    let config = with_file(text, &[stock], &Flags::default()).unwrap().config;
    assert_eq!(config.dispatch.policy, Policy::Batch);
    assert_eq!(config.dispatch.heartbeat_timeout, OrOff::Off);
    assert!(!config.providers.stock.is_sandbox());
    assert!(config.providers.payment.is_sandbox());
}

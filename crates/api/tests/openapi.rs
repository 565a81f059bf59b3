//! The document: golden, complete, and true to the routes.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

mod support;

use std::path::Path;

use serde_json::Value;
use steadfast_api::{Code, openapi};
use support::{Running, World};

/// Compares with a file of the repository; `UPDATE_GOLDEN=1` writes it instead.
#[track_caller]
fn golden(path: &str, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, actual).unwrap();
        return;
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        stored == actual,
        "{} is out of date; run the tests of this crate once with UPDATE_GOLDEN=1",
        path.display()
    );
}

fn document() -> Value {
    serde_json::from_slice(&openapi::json()).unwrap()
}

/// Every operation as `(method, path, operation)`.
fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().unwrap();
    let each = paths.iter().flat_map(|(path, item)| {
        item.as_object()
            .unwrap()
            .iter()
            .map(|(method, operation)| (method.to_uppercase(), path.clone(), operation.clone()))
    });
    each.collect()
}

#[test]
fn the_document_and_the_page_of_errors_are_as_committed() {
    golden("openapi.json", std::str::from_utf8(&openapi::json()).unwrap());
    golden("../../docs/errors.md", &Code::page());
}

#[test]
fn every_code_is_in_the_document_and_on_the_page() {
    let document = document();
    let codes = document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"].clone();
    let listed: Vec<_> = codes.as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let all: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(listed, all);
    // The test above holds docs/errors.md to this page.
    let page = Code::page();
    for code in all {
        assert!(page.contains(&format!("\n## {code}\n")), "{code}");
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let document = document();
    let text = document.to_string();
    let references: Vec<_> =
        text.split("\"$ref\":\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert!(references.len() > 50);
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

#[test]
fn operations_have_unique_names_and_every_change_has_its_errors() {
    let document = document();
    let mut names: Vec<_> = Vec::new();
    for (method, path, operation) in operations(&document) {
        let name = operation["operationId"].as_str().unwrap().to_owned();
        assert!(!operation["summary"].as_str().unwrap().is_empty(), "{name}");
        let answers = operation["responses"].as_object().unwrap();
        if method != "GET" {
            for status in ["400", "413", "415", "503", "504"] {
                assert!(answers.contains_key(status), "{method} {path}: {status}");
            }
        }
        names.push(name);
    }
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!((names.len(), count), (21, 21));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_has_its_route() {
    let world = World::new();
    let server = Running::of(&world).await;
    let document = document();
    for (method, path, _) in operations(&document) {
        let line = format!("{method} {}", path.replace("{id}", "x"));
        let reply = server.send(&line, &[], b"").await;
        let code = if reply.status >= 400 { reply.code() } else { String::new() };
        assert!(!["route_not_found", "method_not_allowed"].contains(&code.as_str()), "{line}");
    }
}

/// The other way round: a method that the document does not have is not taken.
#[tokio::test(flavor = "multi_thread")]
async fn every_route_has_its_operation() {
    let world = World::new();
    let server = Running::of(&world).await;
    let document = document();
    for path in document["paths"].as_object().unwrap().keys() {
        for method in ["GET", "PUT", "POST", "DELETE", "PATCH"] {
            let described = document["paths"][path].get(method.to_lowercase()).is_some();
            if !described {
                let line = format!("{method} {}", path.replace("{id}", "x"));
                assert_eq!(
                    server.send(&line, &[], b"").await.code(),
                    "method_not_allowed",
                    "{line}"
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_explains_itself() {
    let world = World::new();
    let server = Running::of(&world).await;
    let served = server.get("/openapi.json").await.ok();
    assert_eq!(served.header("content-type"), Some("application/json"));
    assert_eq!(served.body, openapi::json());
    let page = server.get("/errors").await.ok();
    assert_eq!(page.header("content-type"), Some("text/markdown; charset=utf-8"));
    assert_eq!(page.body, Code::page().as_bytes());
}

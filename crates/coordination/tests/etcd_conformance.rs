//! The suite that every engine passes, on etcd: each check on one node, and all on three.
#![cfg(all(feature = "etcd", feature = "conformance"))]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test is a panic")]

use std::sync::Arc;

use steadfast_coordination::conformance::{Check, Subject, run_all};
use steadfast_coordination::engine::etcd::{Etcd, Options};
use steadfast_time::Clock;

fn options(variable: &str) -> Option<Options> {
    match std::env::var(variable) {
        Ok(address) => Some(address.parse().unwrap()),
        Err(_) => {
            eprintln!("left out: {variable} is not set");
            None
        }
    }
}

async fn subject(first: Options, second: Options) -> Subject {
    let connect = async |options| Arc::new(Etcd::connect(options, Clock::system()).await.unwrap());
    let (one, other) = (connect(first).await, connect(second).await);
    let prefix = format!("{:016x}/", fastrand::u64(..));
    Subject::new(one, Clock::system(), prefix).with_other(other)
}

fn on_tokio(work: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work);
}

fn run(check: Check) {
    let Some(options) = options("STEADFAST_ETCD") else { return };
    on_tokio(async {
        let subject = subject(options.clone(), options).await;
        check.run(&subject).await.unwrap();
    });
}

steadfast_coordination::conformance_tests!(run);

/// Two clients that use two members.
#[test]
fn three_nodes_pass_the_suite() {
    let Some(one) = options("STEADFAST_ETCD_CLUSTER") else { return };
    on_tokio(async {
        let mut other = one.clone();
        other.endpoints.rotate_left(1);
        let report = run_all(&subject(one, other).await).await;
        assert!(report.failed.is_empty(), "{report}");
    });
}

//! The embedded engine keeps the port's promises, in process and over its socket.
#![cfg(all(feature = "conformance", feature = "embedded"))]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test is a panic")]

use std::sync::Arc;

use steadfast_coordination::conformance::{Check, Subject};
use steadfast_coordination::engine::embedded::{Embedded, Options, Remote, Server};
use steadfast_time::Clock;
use tokio::runtime::Runtime;

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

mod in_process {
    use super::*;

    fn run(check: Check) {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::system();
        let engine = Embedded::open(folder.path(), clock.clone(), Options::default()).unwrap();
        let subject = Subject::new(Arc::new(engine), clock, "embedded/");
        runtime().block_on(check.run(&subject)).expect(check.name);
    }

    steadfast_coordination::conformance_tests!(run);
}

mod over_a_socket {
    use super::*;

    /// Two clients, a connection each.
    fn run(check: Check) {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::system();
        runtime().block_on(async {
            let engine =
                Embedded::open(folder.path().join("data"), clock.clone(), Options::default());
            let path = folder.path().join("socket");
            let server = Server::bind(&engine.unwrap(), path, clock.clone()).unwrap();
            let address = server.address();
            let serving = tokio::spawn(server.run());
            let one = Arc::new(Remote::connect(&address, clock.clone()).await.unwrap());
            let other = Arc::new(Remote::connect(&address, clock.clone()).await.unwrap());
            let subject = Subject::new(one, clock, "remote/").with_other(other);
            check.run(&subject).await.expect(check.name);
            serving.abort();
        });
    }

    steadfast_coordination::conformance_tests!(run);
}

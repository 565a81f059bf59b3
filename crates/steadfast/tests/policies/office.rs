//! The operator: the admin listener, and the command line that talks to it.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use steadfast_time::Clock;

use crate::support::http::{Client, Reply};
use crate::support::process::{Server, steadfast};
use crate::support::{millis, pause};

/// How long a change may take to be seen on a busy machine.
pub const SOON: Duration = Duration::from_secs(20);

pub struct Office {
    admin: SocketAddr,
}

/// What a command said, and how it ended.
pub struct Said {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Office {
    pub const fn of(server: &Server) -> Self {
        Self { admin: server.admin }
    }

    pub async fn get(&self, path: &str) -> Reply {
        Client::new(self.admin).get(path).await.unwrap()
    }

    pub async fn policy(&self, name: &str) -> Value {
        let reply = self.get(&format!("/policies/{name}")).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()
    }

    /// Asks until the policy is as wanted; says how it is then.
    pub async fn until(&self, name: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let clock = Clock::system();
        let started = clock.monotonic();
        loop {
            let policy = self.policy(name).await;
            if wanted(&policy) {
                return policy;
            }
            assert!(clock.monotonic() - started < SOON, "{policy:#}");
            pause(millis(10)).await;
        }
    }

    pub async fn until_circuit(&self, name: &str, state: &str) -> Value {
        self.until(name, |policy| policy["breaker"] == state).await
    }

    pub async fn force(&self, name: &str, body: &Value) -> Reply {
        let line = format!("POST /policies/{name}/breaker");
        Client::new(self.admin).json(&line, body).await.unwrap()
    }

    /// A policy's counter or gauge in `/metrics`.
    pub async fn metric(&self, metric: &str, name: &str) -> u64 {
        let row = format!("steadfast_policy_{metric}{{name=\"{name}\"}} ");
        let text = self.get("/metrics").await.text();
        let value = text.lines().find_map(|line| line.strip_prefix(&row));
        value.unwrap_or_else(|| panic!("no {row} in:\n{text}")).parse().unwrap()
    }

    /// Makes the sandbox's operation misbehave from now on.
    pub async fn harm(&self, operation: &str, plan: Value) {
        let line = format!("PUT /sandbox/faults/{operation}");
        let reply = Client::new(self.admin).json(&line, &plan).await.unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
    }

    /// From now on the sandbox is as good as gold.
    pub async fn heal(&self) {
        let reply = Client::new(self.admin).send("DELETE /sandbox/faults", &[], b"").await;
        assert_eq!(reply.unwrap().status, 204);
    }

    /// Makes a saga's next attempt now, unless it has gone on by itself, or has yet to begin: after a
    /// crash, the message that begins it may still be on its way.
    pub async fn retry(&self, order: &str) {
        let line = format!("POST /sagas/{order}/retry");
        let reply = Client::new(self.admin).send(&line, &[], b"").await.unwrap();
        assert!(matches!(reply.status, 200 | 404 | 409), "{}", reply.text());
    }

    /// `steadfast policies …`
    pub async fn command(&self, arguments: &str) -> Said {
        let mut command = steadfast();
        command.arg("policies").args(arguments.split(' '));
        command.args(["--admin", &format!("http://{}", self.admin)]);
        let output = tokio::task::spawn_blocking(move || command.output()).await;
        let output = output.unwrap().unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Said {
            code: output.status.code(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }
}

/// The sandbox's way of being away.
pub fn away() -> Value {
    json!({ "unavailable": 1.0 })
}

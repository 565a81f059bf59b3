//! A queue as it changes, with the admission that it cannot be seen.

use std::sync::Arc;

use crate::client::Client;
use crate::port::{Error, Listing, Name};

/// What a look at a queue brings.
#[derive(Clone, Debug)]
pub(super) enum Sight {
    /// The queue, as it is.
    Seen(Listing),
    /// It cannot be seen at present. Told once; what comes next is what it is then.
    Blind(Error),
}

/// Watches a queue, across lost connections.
///
/// A question that is open until something changes looks the same as a connection that is dead.
/// So at least once in [`Options::ask_every`](crate::Options::ask_every) the queue is asked for
/// outright, and whoever does not answer that within
/// [`Options::call_limit`](crate::Options::call_limit) is out of sight.
#[derive(Debug)]
pub(super) struct Watch {
    client: Client,
    queue: Name,
    /// The version that was told last.
    told: Option<u64>,
    /// The next question is not to wait for a change.
    outright: bool,
    is_blind: bool,
    failures: u32,
}

impl Watch {
    pub(super) fn new(client: Client, queue: Name) -> Self {
        Self { client, queue, told: None, outright: true, is_blind: false, failures: 0 }
    }

    /// The same, by somebody who has seen the queue at this version.
    pub(super) fn since(client: Client, queue: Name, version: u64) -> Self {
        Self { told: Some(version), outright: false, ..Self::new(client, queue) }
    }

    pub(super) const fn client(&self) -> &Client {
        &self.client
    }

    /// The next thing to tell: what the queue is first, then each change, the last one at least.
    /// May be dropped and called again.
    ///
    /// # Errors
    /// What asking again cannot help.
    pub(super) async fn next(&mut self) -> Result<Sight, Error> {
        loop {
            let answer = if self.outright { self.ask().await } else { self.wait().await };
            let error = match answer {
                None => continue,
                Some(Ok(listing)) => {
                    self.failures = 0;
                    self.outright = false;
                    let is_news = self.told != Some(listing.version);
                    self.told = Some(listing.version);
                    if std::mem::take(&mut self.is_blind) || is_news {
                        return Ok(Sight::Seen(listing));
                    }
                    continue;
                }
                Some(Err(error)) => error,
            };
            self.outright = true;
            self.failures = self.failures.saturating_add(1);
            if !error.is_transient() {
                return Err(error);
            }
            if !std::mem::replace(&mut self.is_blind, true) {
                return Ok(Sight::Blind(error));
            }
        }
    }

    /// Asks what the queue is; after a failure, not at once.
    async fn ask(&mut self) -> Option<Result<Listing, Error>> {
        let (clock, options) = (self.client.clock(), self.client.options());
        if let Some(again) = self.failures.checked_sub(1) {
            clock.sleep(options.backoff(again)).await;
        }
        Some(ask(&self.client, &self.queue).await)
    }

    /// Waits for a change; `None` when it is time to ask outright.
    async fn wait(&mut self) -> Option<Result<Listing, Error>> {
        let (clock, options) = (self.client.clock(), self.client.options());
        let waited = self.client.coordinator().list(&self.queue, self.told);
        let answer = clock.timeout(options.ask_every, waited).await;
        self.outright = answer.is_err();
        answer.ok()
    }
}

/// Asks what a queue is, and waits for the answer no longer than makes sense.
pub(super) async fn ask(client: &Client, queue: &Name) -> Result<Listing, Error> {
    let limit = client.options().call_limit();
    let asked = client.coordinator().list(queue, None);
    client.clock().timeout(limit, asked).await.unwrap_or_else(|_| Err(silent(client)))
}

/// No answer came.
pub(super) fn silent(client: &Client) -> Error {
    let engine = client.coordinator().capabilities().engine;
    let reason = format!("no answer within {:?}", client.options().call_limit());
    Error::Unavailable { engine, address: Arc::from("its address"), reason: reason.into() }
}

//! The connection that listens: one channel for all queues of a deployment.

use std::sync::Arc;
use std::time::Duration;

use ::redis::RedisResult;
use futures::future::{Either, select};
use futures::{StreamExt, pin_mut};

use super::link::Link;
use crate::engine::wakes::Wakes;

/// The pause before connecting anew.
const PAUSE: Duration = Duration::from_millis(250);

/// Listens for as long as it is let, connecting anew after each loss. Runs as a task of its own;
/// whoever waits polls meanwhile.
pub(super) async fn run(link: Arc<Link>, wakes: Arc<Wakes>) {
    loop {
        if let Err(error) = listen(&link, &wakes).await {
            tracing::debug!(%error, "cannot listen for notices");
        }
        wakes.listening(false);
        link.options.clock.sleep(PAUSE).await;
    }
}

/// Listens on one connection until it is lost.
async fn listen(link: &Link, wakes: &Wakes) -> RedisResult<()> {
    let options = &link.options;
    let channel = format!("{}news", link.prefix);
    let connecting = async {
        let mut connection = options.client.get_async_pubsub().await?;
        connection.subscribe(channel).await?;
        RedisResult::Ok(connection.split())
    };
    let Ok(connected) = options.clock.timeout(options.connect_timeout, connecting).await else {
        return Ok(());
    };
    let (mut sink, mut stream) = connected?;
    wakes.listening(true);
    loop {
        // Silence is no sign of life: after some of it, a question must be answered.
        let pause = options.clock.sleep(options.poll.max(PAUSE));
        let message = stream.next();
        pin_mut!(message);
        match select(message, pause).await {
            Either::Left((Some(message), _)) => {
                if let Ok(text) = std::str::from_utf8(message.get_payload_bytes()) {
                    wakes.notice(text);
                }
            }
            Either::Left((None, _)) => return Ok(()),
            Either::Right(_) => {
                let question = sink.ping::<::redis::Value>();
                match options.clock.timeout(options.call_timeout, question).await {
                    Ok(answer) => drop(answer?),
                    Err(_) => return Ok(()),
                }
            }
        }
    }
}

//! The connection that listens.

use std::sync::Arc;
use std::time::Duration;

use super::fault::explain;
use super::pool::Pool;
use super::schema;
use crate::engine::wakes::Wakes;
use crate::port::Error;

/// The pause before connecting anew.
const PAUSE: Duration = Duration::from_millis(250);

/// Listens for as long as it is let, connecting anew after each loss. Runs as a task of its own;
/// whoever waits polls meanwhile.
pub(super) async fn run(pool: Arc<Pool>, wakes: Arc<Wakes>) {
    loop {
        if let Err(error) = listen(&pool, &wakes).await {
            tracing::debug!(%error, "cannot listen for notices");
        }
        wakes.listening(false);
        pool.options.clock.sleep(PAUSE).await;
    }
}

/// Listens on one connection until it is lost.
async fn listen(pool: &Pool, wakes: &Arc<Wakes>) -> Result<(), Error> {
    let heard = Arc::clone(wakes);
    let connected = pool.within_connect_timeout(async {
        let (client, task) = pool.dial(move |text| heard.notice(text)).await?;
        let guard = AbortOnDrop(task);
        let listen = format!("LISTEN {}", schema::quoted(&pool.options.schema));
        client.batch_execute(&listen).await.map_err(|error| explain(&pool.address, &error))?;
        Ok((client, guard))
    });
    let (client, _guard) = connected.await?;
    wakes.listening(true);
    // Silence is no sign of life: a question now and then is answered, or the connection is lost.
    loop {
        let clock = &pool.options.clock;
        clock.sleep(pool.options.poll.max(PAUSE)).await;
        let question = client.batch_execute("");
        match clock.timeout(pool.options.call_timeout, question).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(explain(&pool.address, &error)),
            Err(_) => return Ok(()),
        }
    }
}

struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

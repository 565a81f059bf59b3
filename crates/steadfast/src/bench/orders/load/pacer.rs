//! The beat of an open loop.
//!
//! A runtime's timer is good for a millisecond, which is as long as an answer takes. So the beat
//! comes from a thread that parks (good for some 60 µs) and hands out
//! the moments at which orders are due. What is handed out late is still due when it was: the
//! delay is counted.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use steadfast_time::{Clock, Monotonic};
use tokio::sync::{Mutex, mpsc};

use crate::bench::Window;

/// Orders that may be due and not taken up yet. More than that, and the server is far behind the
/// rate: the rest of them count from their own moment all the same, once there is room.
const BACKLOG_MAX: usize = 1 << 20;

/// Shortest wait of the thread.
const BEAT: Duration = Duration::from_micros(200);

/// Hands out the moments at which orders are due.
pub(super) struct Pacer {
    due: Mutex<mpsc::Receiver<Monotonic>>,
}

impl Pacer {
    /// Starts the beat: `rate` orders a second, evenly spaced, from now until the window ends.
    pub(super) fn start(rate: f64, clock: Clock, window: Arc<Window>) -> io::Result<Self> {
        let (sender, due) = mpsc::channel(BACKLOG_MAX);
        let builder = thread::Builder::new().name("pacer".to_owned());
        builder.spawn(move || beat(rate, &clock, &window, &sender))?;
        Ok(Self { due: Mutex::new(due) })
    }

    /// The moment at which the next order is, or was, due; nothing once the window is over.
    pub(super) async fn next(&self) -> Option<Monotonic> {
        self.due.lock().await.recv().await
    }
}

fn beat(rate: f64, clock: &Clock, window: &Window, sender: &mpsc::Sender<Monotonic>) {
    let (start, interval) = (clock.monotonic(), 1.0 / rate);
    let mut sent = 0_u32;
    let at = |number: u32| start + Duration::from_secs_f64(f64::from(number) * interval);
    loop {
        let now = clock.monotonic();
        while at(sent) <= now {
            if window.is_over(at(sent)) || sender.blocking_send(at(sent)).is_err() {
                return;
            }
            sent += 1;
        }
        if window.is_over(now) {
            return;
        }
        // Nobody unparks this thread: it is a precise wait.
        thread::park_timeout((at(sent) - now).max(BEAT));
    }
}

//! A dependency as a process: an HTTP server in front of a [`Station`].

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use fastrand::Rng;
use http::header::HeaderName;
use http::{Response, StatusCode};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use steadfast_time::Clock;
use tokio::net::{TcpListener, TcpStream};

use super::station::{Capacity, Station};
use crate::real::Failure;
use crate::real::tasks::Tasks;

/// The part that a process plays.
pub(crate) const PART: &str = "calls/dependency";

/// The header in which an answer says how many requests waited.
pub(super) const WAITING: HeaderName = HeaderName::from_static("x-waiting");

/// The orders of a process that is a dependency.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Job {
    /// Where it writes down its address.
    pub address: PathBuf,
    pub capacity: Capacity,
    pub seed: u64,
}

/// Is a dependency until it is killed.
///
/// # Errors
/// When it cannot listen, or cannot say where.
pub(crate) async fn serve(job: Value) -> Result<(), Failure> {
    let Job { address, capacity, seed } = serde_json::from_value(job)?;
    let clock = Clock::system();
    let station = Arc::new(Mutex::new(Station::new(capacity, Rng::with_seed(seed))));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    publish(&address, &listener.local_addr()?.to_string())?;
    let tasks = Tasks::default();
    loop {
        let (stream, _) = listener.accept().await?;
        tasks.spawn(connection(stream, Arc::clone(&station), clock.clone()));
    }
}

/// Writes a file that is there whole or not at all.
fn publish(path: &Path, text: &str) -> Result<(), Failure> {
    let unfinished = path.with_extension("new");
    std::fs::write(&unfinished, text)?;
    Ok(std::fs::rename(unfinished, path)?)
}

async fn connection(stream: TcpStream, station: Arc<Mutex<Station>>, clock: Clock) {
    // Refused only when the other side is gone already.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |_| {
        let (station, clock) = (Arc::clone(&station), clock.clone());
        async move { Ok::<_, Infallible>(answer(&station, &clock).await) }
    });
    // A client that goes away in the middle is nothing to report; its work is done all the same.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(station: &Mutex<Station>, clock: &Clock) -> Response<Full<Bytes>> {
    let turn = station.lock().unwrap_or_else(PoisonError::into_inner).admit(clock.monotonic());
    let mut answer = Response::new(Full::default());
    match turn {
        Ok(turn) => {
            clock.sleep_until(turn.done).await;
            answer.headers_mut().insert(WAITING, turn.waiting.into());
        }
        Err(super::station::Full) => *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE,
    }
    answer
}

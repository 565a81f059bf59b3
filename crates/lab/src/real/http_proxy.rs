//! A proxy that makes HTTP go wrong: statuses, latency, replies that are lost after the work is
//! done.
//!
//! It stands between a client and a server and knows where a request begins and ends, which a proxy
//! of bytes does not. Which request meets which fate is drawn from a seed, by the same rule as in
//! simulation ([`crate::fault::Fate`]).
//!
//! What has been sent on is done, whether the client still waits or not: a client that hangs up
//! does not call its request back. That is how servers behave that work in threads, and how the
//! simulated network does.
//!
//! # Limits
//! HTTP/1.1 over loopback, one server behind each proxy, bodies up to [`PROXY_BODY_BYTES_MAX`]. A
//! request that the server does not answer within [`PROXY_WAIT_MAX`] is given up.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use steadfast_time::Clock;
use tokio::net::{TcpListener, TcpStream};

use super::Failure;
use super::tasks::Tasks;
use crate::fault::{Fate, Http, Obstacles};
use crate::limits::{PROXY_BODY_BYTES_MAX, PROXY_WAIT_MAX};

/// A client of servers on this machine.
pub(crate) type Requests = Client<HttpConnector, Full<Bytes>>;

/// A client that sends small requests without waiting for more to send.
pub(crate) fn client() -> Requests {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector)
}

/// A running proxy. Everything that it has begun ends when it is dropped.
#[derive(Debug)]
pub struct HttpProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    /// Connections, and requests on their way whose client may be gone.
    tasks: Tasks,
}

#[derive(Debug)]
struct Shared {
    clock: Clock,
    requests: Requests,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    server: Option<SocketAddr>,
    obstacles: Obstacles,
    rng: Rng,
}

impl HttpProxy {
    /// Listens on a free port of the loopback interface; see [`HttpProxy::address`].
    ///
    /// # Errors
    /// When it cannot listen.
    pub async fn start(clock: Clock, rng: Rng) -> Result<Self, Failure> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let state = Mutex::new(State { server: None, obstacles: Obstacles::default(), rng });
        let shared = Arc::new(Shared { clock, requests: client(), state });
        let tasks = Tasks::default();
        tasks.spawn(accept(listener, Arc::clone(&shared), tasks.clone()));
        Ok(Self { address, shared, tasks })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where requests are sent on to. Without a server every request is answered with 502.
    pub fn forward_to(&self, server: Option<SocketAddr>) {
        self.shared.state().server = server;
    }

    /// A fault begins or ends. Others go on.
    pub fn set(&self, fault: Http, begins: bool) {
        self.shared.state().obstacles.set(fault, begins);
    }
}

impl Drop for HttpProxy {
    fn drop(&mut self) {
        self.tasks.end();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, tasks: Tasks) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => tasks.spawn(serve(stream, Arc::clone(&shared), tasks.clone())),
            // Out of file descriptors, mostly: others have to end first.
            Err(_) => shared.clock.sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>, tasks: Tasks) {
    // Refused only when the other side is gone already.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let (shared, tasks) = (Arc::clone(&shared), tasks.clone());
        async move { Ok::<_, Infallible>(shared.handle(request, &tasks).await) }
    });
    // A client that goes away in the middle is nothing to report.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn handle(
        self: &Arc<Self>,
        request: Request<Incoming>,
        tasks: &Tasks,
    ) -> Response<Full<Bytes>> {
        let (fate, server) = {
            let State { server, obstacles, rng } = &mut *self.state();
            (obstacles.fate(rng), *server)
        };
        let Fate { status, lost, delay } = fate;
        let answer = match (status, server) {
            (Some(status), _) => {
                empty(StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE))
            }
            (None, None) => empty(StatusCode::BAD_GATEWAY),
            (None, Some(server)) => {
                // To its end, even if nobody waits.
                let forwarding = Arc::clone(self).forward(request, server);
                tasks.ask(forwarding).await.unwrap_or_else(|_| empty(StatusCode::BAD_GATEWAY))
            }
        };
        if lost {
            // Nothing more is heard of it, however long the client waits.
            std::future::pending::<()>().await;
        }
        if !delay.is_zero() {
            self.clock.sleep(delay).await;
        }
        answer
    }

    /// Sends a request on, and waits for the answer.
    async fn forward(
        self: Arc<Self>,
        request: Request<Incoming>,
        server: SocketAddr,
    ) -> Response<Full<Bytes>> {
        match self.clock.timeout(PROXY_WAIT_MAX, self.exchange(request, server)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => empty(StatusCode::BAD_GATEWAY),
            Err(_) => empty(StatusCode::GATEWAY_TIMEOUT),
        }
    }

    async fn exchange(
        &self,
        request: Request<Incoming>,
        server: SocketAddr,
    ) -> Result<Response<Full<Bytes>>, Failure> {
        let (mut head, body) = request.into_parts();
        let body = Limited::new(body, PROXY_BODY_BYTES_MAX).collect().await?.to_bytes();
        let path = head.uri.path_and_query().cloned();
        let path = path.unwrap_or_else(|| PathAndQuery::from_static("/"));
        head.uri = Uri::builder()
            .scheme(Scheme::HTTP)
            .authority(Authority::try_from(server.to_string())?)
            .path_and_query(path)
            .build()?;
        head.headers.remove(http::header::HOST);
        let answer = self.requests.request(Request::from_parts(head, Full::new(body))).await?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, PROXY_BODY_BYTES_MAX).collect().await?.to_bytes();
        Ok(Response::from_parts(head, Full::new(body)))
    }
}

fn empty(status: StatusCode) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status;
    answer
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// A server that counts what it has done.
    async fn counting(done: Arc<AtomicU32>) -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let done = Arc::clone(&done);
                let service = service_fn(move |request: Request<Incoming>| {
                    done.fetch_add(1, Ordering::SeqCst);
                    let path = request.uri().path().to_owned();
                    async move { Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(path)))) }
                });
                let stream = TokioIo::new(stream);
                tokio::spawn(http1::Builder::new().serve_connection(stream, service));
            }
        });
        address
    }

    async fn ask(requests: &Requests, address: SocketAddr) -> (StatusCode, Bytes) {
        let request = Request::get(format!("http://{address}/stock?of=7")).body(Full::default());
        let answer = requests.request(request.unwrap()).await.unwrap();
        let status = answer.status();
        (status, answer.into_body().collect().await.unwrap().to_bytes())
    }

    #[tokio::test]
    async fn a_request_meets_its_fate() {
        let (clock, requests) = (Clock::system(), client());
        let done = Arc::new(AtomicU32::new(0));
        let server = counting(Arc::clone(&done)).await;
        let proxy = HttpProxy::start(clock.clone(), Rng::with_seed(1)).await.unwrap();
        let at = proxy.address();
        assert_eq!(ask(&requests, at).await.0, StatusCode::BAD_GATEWAY);

        proxy.forward_to(Some(server));
        assert_eq!(ask(&requests, at).await, (StatusCode::OK, Bytes::from_static(b"/stock")));

        let latency = Duration::from_millis(60);
        let failing = Http { share: 1.0, status: 503, latency, ..Http::default() };
        proxy.set(failing, true);
        let begun = clock.monotonic();
        assert_eq!(ask(&requests, at).await.0, StatusCode::SERVICE_UNAVAILABLE);
        assert!(clock.monotonic() - begun >= latency);
        assert_eq!(done.load(Ordering::SeqCst), 1, "what is refused is not done");

        proxy.set(failing, false);
        let losing = Http { lost_replies: 1.0, ..Http::default() };
        proxy.set(losing, true);
        let silence = clock.timeout(Duration::from_millis(300), ask(&requests, at)).await;
        assert!(silence.is_err());
        assert_eq!(done.load(Ordering::SeqCst), 2, "what is lost is done");

        proxy.set(losing, false);
        assert_eq!(ask(&requests, at).await.0, StatusCode::OK);
        drop(proxy);
        let refused = TcpStream::connect(at).await;
        for _ in 0..100 {
            if TcpStream::connect(at).await.is_err() {
                return;
            }
            clock.sleep(Duration::from_millis(10)).await;
        }
        panic!("it still listens: {refused:?}");
    }
}

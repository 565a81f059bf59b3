//! Talks to a running server.
//!
//! One request, one connection: an operator's command does not need a pool. The server's problem
//! documents become this program's error messages.

use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use http::{Method, Request, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::Value;
use steadfast_time::Clock;
use tokio::net::TcpStream;

use super::Failure;

/// How long a server may take to answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The same for work that takes its time.
const PATIENCE: Duration = Duration::from_secs(3_600);

/// Largest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// Where the public API is.
#[derive(Clone, Debug, Args)]
pub struct PublicArgs {
    /// The server's public address.
    #[arg(
        long,
        value_name = "URL",
        env = "STEADFAST_URL",
        default_value = "http://127.0.0.1:7070",
        hide_env_values = true
    )]
    pub url: String,
    /// Its bearer token, if it wants one.
    #[arg(long, value_name = "TOKEN", env = "STEADFAST_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
}

/// Where the administration is.
#[derive(Clone, Debug, Args)]
pub struct AdminArgs {
    /// The server's admin address.
    #[arg(
        long,
        value_name = "URL",
        env = "STEADFAST_ADMIN",
        default_value = "http://127.0.0.1:7071",
        hide_env_values = true
    )]
    pub admin: String,
    /// Its bearer token, if it wants one.
    #[arg(long, value_name = "TOKEN", env = "STEADFAST_ADMIN_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
}

/// A server, by its address.
#[derive(Clone, Debug)]
pub struct Client {
    base: Uri,
    authority: String,
    token: Option<String>,
    /// The flag that names the address, for messages.
    flag: &'static str,
    /// How long an answer may take.
    timeout: Duration,
    /// The idempotency key of the next request.
    key: Option<String>,
}

#[derive(Deserialize)]
struct Problem {
    code: String,
    #[serde(default)]
    title: String,
    #[serde(default)]
    detail: String,
    #[serde(default)]
    field: Option<String>,
}

impl PublicArgs {
    /// # Errors
    /// The URL is not one.
    pub fn client(&self) -> Result<Client, Failure> {
        Client::new(&self.url, self.token.clone(), "--url")
    }
}

impl AdminArgs {
    /// # Errors
    /// The URL is not one.
    pub fn client(&self) -> Result<Client, Failure> {
        Client::new(&self.admin, self.token.clone(), "--admin")
    }
}

impl Client {
    fn new(url: &str, token: Option<String>, flag: &'static str) -> Result<Self, Failure> {
        let wrong = || {
            Failure::Usage(format!(
                "{flag}: {url:?} is not a URL such as \"http://127.0.0.1:7070\""
            ))
        };
        // A bare address is understood, because that is what `up` takes.
        let full = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        let base: Uri = full.parse().map_err(|_| wrong())?;
        let host = base.host().filter(|_| base.scheme_str() == Some("http")).ok_or_else(wrong)?;
        let authority = format!("{host}:{}", base.port_u16().unwrap_or(80));
        Ok(Self { base, authority, token, flag, timeout: TIMEOUT, key: None })
    }

    /// The server at an address that is known to be one.
    pub fn at(address: std::net::SocketAddr) -> Self {
        let authority = address.to_string();
        let base = Uri::from_static("http://localhost");
        Self { base, authority, token: None, flag: "--url", timeout: TIMEOUT, key: None }
    }

    /// The same server, asked with an idempotency key.
    #[must_use]
    pub fn with_key(&self, key: &str) -> Self {
        Self { key: Some(key.to_owned()), ..self.clone() }
    }

    /// The same server, which may take an hour to answer.
    #[must_use]
    pub const fn patient(mut self) -> Self {
        self.timeout = PATIENCE;
        self
    }

    /// `GET`, and the JSON that comes back.
    ///
    /// # Errors
    /// No server, or it says no.
    pub fn get(&self, path: &str) -> Result<Value, Failure> {
        self.call(Method::GET, path, None)
    }

    /// `POST` with a JSON body, and the JSON that comes back; `null` for an empty answer.
    ///
    /// # Errors
    /// No server, or it says no.
    pub fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.call(Method::POST, path, Some(body))
    }

    /// Any request, and the JSON that comes back.
    ///
    /// # Errors
    /// No server, or it says no.
    pub fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::failed(format!("cannot start a runtime: {error}")))?;
        let clock = Clock::system();
        let exchange = self.exchange(method, path, body);
        let answer = async { clock.timeout(self.timeout, exchange).await };
        runtime.block_on(answer).unwrap_or_else(|_| {
            let seconds = self.timeout.as_secs();
            Err(Failure::failed(format!("{} did not answer within {seconds} s", self.authority)))
        })
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        let broken = |error: &dyn std::fmt::Display| {
            Failure::failed(format!("the connection to {} broke: {error}", self.authority))
        };
        let stream =
            TcpStream::connect(&self.authority).await.map_err(|error| self.absent(&error))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|e| broken(&e))?;
        let request = self.request(method, path, body)?;
        let exchange = async {
            let response = sender.send_request(request).await.map_err(|error| broken(&error))?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
            Ok::<_, Failure>((head, body.map_err(|error| broken(&error))?.to_bytes()))
        };
        let exchange = std::pin::pin!(exchange);
        let connection = std::pin::pin!(connection);
        // The answer is complete before the connection is done; both must be driven.
        let (head, body) = match futures::future::select(exchange, connection).await {
            futures::future::Either::Left((answer, _)) => answer?,
            futures::future::Either::Right((_, exchange)) => exchange.await?,
        };
        if head.status.is_success() {
            if body.is_empty() {
                return Ok(Value::Null);
            }
            return serde_json::from_slice(&body).map_err(|error| {
                Failure::failed(format!("{} did not answer with JSON: {error}", self.authority))
            });
        }
        Err(refusal(head.status, &body))
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Request<Full<Bytes>>, Failure> {
        let base = self.base.path().trim_end_matches('/');
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{base}{path}"))
            .header(header::HOST, &self.authority)
            .header(header::ACCEPT, "application/json");
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        if let Some(key) = &self.key {
            request = request.header("idempotency-key", format!("\"{key}\""));
        }
        let body = match body {
            Some(body) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                Bytes::from(body.to_string())
            }
            None => Bytes::new(),
        };
        request.body(Full::new(body)).map_err(|error| Failure::Usage(error.to_string()))
    }

    fn absent(&self, error: &std::io::Error) -> Failure {
        let (authority, flag) = (&self.authority, self.flag);
        if error.kind() == std::io::ErrorKind::ConnectionRefused {
            Failure::failed(format!(
                "nothing listens at {authority}; is `steadfast up` running? ({flag} names another \
                 address)"
            ))
        } else {
            Failure::failed(format!("cannot reach {authority}: {error}"))
        }
    }
}

/// What a server's refusal says.
fn refusal(status: http::StatusCode, body: &[u8]) -> Failure {
    match serde_json::from_slice::<Problem>(body) {
        Ok(Problem { code, title, detail, field }) => {
            let field = field.map_or_else(String::new, |field| format!("{field}: "));
            let detail = if detail.is_empty() { title } else { detail };
            Failure::failed(format!("{field}{detail} ({code})"))
        }
        Err(_) => Failure::failed(format!("the server answered {status}")),
    }
}

/// One segment of a path, so that a name from outside cannot become another path.
pub fn segment(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// A query string of the parameters that are there.
pub fn query(parameters: &[(&str, Option<String>)]) -> String {
    let given = parameters.iter().filter_map(|(name, value)| {
        value.as_ref().map(|value| format!("{name}={}", segment(value)))
    });
    let query: Vec<String> = given.collect();
    if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_understood_with_and_without_a_scheme() {
        let client = |url| Client::new(url, None, "--url").map(|client| client.authority);
        assert_eq!(client("http://localhost:8080").unwrap(), "localhost:8080");
        assert_eq!(client("127.0.0.1:7070").unwrap(), "127.0.0.1:7070");
        for url in ["https://x", "", "not a url", "ftp://x:1"] {
            assert!(client(url).is_err(), "{url:?}");
        }
    }

    #[test]
    fn names_cannot_leave_their_segment() {
        assert_eq!(segment("../orders?x=1#김"), "..%2Forders%3Fx%3D1%23%EA%B9%80");
        assert_eq!(query(&[("a", None), ("b", Some("x y".into()))]), "?b=x%20y");
    }

    #[test]
    fn nobody_there_is_said_plainly() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let client = Client::new(&address.to_string(), None, "--admin").unwrap();
        let Err(Failure::Failed(text)) = client.get("/sagas") else { panic!("somebody answered") };
        assert!(text.contains("is `steadfast up` running?"), "{text}");
        assert!(text.contains("--admin"), "{text}");
    }
}

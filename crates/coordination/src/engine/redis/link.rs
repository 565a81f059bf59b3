//! The connection: one for all calls, sent one behind the other without waiting.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, ErrorKind, RedisError, Script, ServerErrorKind, Value};
use steadfast_time::{Elapsed, Monotonic};
use tokio::sync::Mutex;

use super::{ENGINE, Options, check};
use crate::engine::probe::{Kind, probe};
use crate::port::Error;

const SCRIPT: &str = include_str!("engine.lua");

/// How long a call may have been without an answer before the next one goes out on a new
/// connection: a hundred round trips within a data centre, and less than a client waits that has a
/// session of a second. A connection that a firewall has forgotten says nothing for as long as TCP
/// sends again, which is a quarter of an hour; and a server that stands still must not be sent more
/// and more that nobody waits for.
const SILENCE_MIN: Duration = Duration::from_millis(250);

/// The same, as a part of [`Options::call_timeout`], which is longer where the way is.
const SILENCE_PART: u32 = 20;

#[derive(Clone)]
struct Live {
    number: u64,
    connection: MultiplexedConnection,
    unanswered: Arc<Unanswered>,
}

/// When the first call was sent after the last answer: since when a connection has said nothing
/// although it was asked.
#[derive(Default)]
struct Unanswered(std::sync::Mutex<Option<Monotonic>>);

impl Unanswered {
    fn asked(&self, now: Monotonic) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(now);
    }

    fn answered(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn is_longer(&self, now: Monotonic, limit: Duration) -> bool {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some_and(|since| now - since > limit)
    }
}

#[derive(Default)]
struct State {
    opened: u64,
    live: Option<Live>,
}

pub(super) struct Link {
    pub(super) options: Options,
    pub(super) address: Arc<str>,
    pub(super) prefix: String,
    script: Script,
    state: Mutex<State>,
}

impl Link {
    pub(super) fn new(options: Options) -> Self {
        Self {
            address: options.address(),
            prefix: format!("steadfast:{{{}}}:", options.prefix),
            script: Script::new(SCRIPT),
            state: Mutex::default(),
            options,
        }
    }

    /// Runs the script for a call.
    pub(super) async fn call(&self, call: &str, arguments: &[&[u8]]) -> Result<Value, Error> {
        let limit = self.options.call_timeout;
        let mut used = None;
        let attempt = self.attempt(call, arguments, &mut used);
        match self.options.clock.timeout(limit, attempt).await {
            Ok(answer) => answer,
            Err(Elapsed(_)) => {
                self.discard(used).await;
                Err(self.unavailable(format!("no answer in {limit:?}")))
            }
        }
    }

    async fn attempt(
        &self,
        call: &str,
        arguments: &[&[u8]],
        used: &mut Option<u64>,
    ) -> Result<Value, Error> {
        let mut live = self.live().await?;
        *used = Some(live.number);
        live.unanswered.asked(self.options.clock.monotonic());
        let answer = run(&self.script, &self.prefix, &mut live.connection, call, arguments).await;
        live.unanswered.answered();
        match answer {
            Ok(answer) => Ok(answer),
            Err(error) => {
                if error.is_io_error() || error.is_unrecoverable_error() {
                    self.discard(Some(live.number)).await;
                }
                Err(self.explain(&error))
            }
        }
    }

    /// The connection, a new one if need be. Those who still wait at the one before keep it.
    async fn live(&self) -> Result<Live, Error> {
        let silence = SILENCE_MIN.max(self.options.call_timeout / SILENCE_PART);
        let mut state = self.state.lock().await;
        if let Some(live) = &state.live
            && !live.unanswered.is_longer(self.options.clock.monotonic(), silence)
        {
            return Ok(live.clone());
        }
        state.live = None;
        let limit = self.options.connect_timeout;
        let connection = match self.options.clock.timeout(limit, self.connect()).await {
            Ok(connection) => connection?,
            Err(Elapsed(_)) => {
                let otherwise = self.unavailable(format!("no greeting in {limit:?}"));
                return Err(self.not_redis().await.unwrap_or(otherwise));
            }
        };
        state.opened += 1;
        let live = Live { number: state.opened, connection, unanswered: Arc::default() };
        state.live = Some(live.clone());
        Ok(live)
    }

    async fn discard(&self, number: Option<u64>) {
        let mut state = self.state.lock().await;
        if state.live.as_ref().map(|live| live.number) == number {
            state.live = None;
        }
    }

    /// Connects and sees whether the server will do.
    async fn connect(&self) -> Result<MultiplexedConnection, Error> {
        // Timeouts are measured with our own clock.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.options.connect_timeout))
            .set_response_timeout(None);
        let connection = self.options.client.get_multiplexed_async_connection_with_config(&config);
        let mut connection = match connection.await {
            Ok(connection) => connection,
            Err(error) => return Err(self.explain_connect(&error).await),
        };
        let info: Result<String, RedisError> =
            ::redis::cmd("INFO").query_async(&mut connection).await;
        let info = match info {
            Ok(info) => info,
            Err(error) => return Err(self.explain_connect(&error).await),
        };
        check::server(&info, &self.address).map_err(|reason| self.refused(reason))?;
        let ours = check::FORMAT.to_string();
        let arguments: &[&[u8]] = &[ours.as_bytes()];
        let format = run(&self.script, &self.prefix, &mut connection, "format", arguments).await;
        let format = format.and_then(|format| Ok(::redis::from_redis_value::<String>(format)?));
        let format = format.map_err(|error| self.explain(&error))?;
        if format != ours {
            let prefix = &self.options.prefix;
            return Err(self.refused(format!(
                "the keys under {prefix} have format {format}; this version has format {ours} and \
                 has changed nothing: use the version that made them, or another prefix"
            )));
        }
        Ok(connection)
    }

    pub(super) fn refused(&self, reason: impl Into<Arc<str>>) -> Error {
        let address = Arc::clone(&self.address);
        Error::Refused { engine: ENGINE, address, reason: reason.into() }
    }

    pub(super) fn unavailable(&self, reason: impl Into<Arc<str>>) -> Error {
        let address = Arc::clone(&self.address);
        Error::Unavailable { engine: ENGINE, address, reason: reason.into() }
    }

    /// A failure to connect: perhaps the server is none of ours.
    async fn explain_connect(&self, error: &RedisError) -> Error {
        let babble = error.kind() == ErrorKind::Parse
            || (error.is_io_error() && !error.is_connection_refusal());
        let otherwise = self.explain(error);
        if babble { self.not_redis().await.unwrap_or(otherwise) } else { otherwise }
    }

    /// What is at the address, if it is certainly not Redis.
    async fn not_redis(&self) -> Option<Error> {
        let ::redis::ConnectionAddr::Tcp(host, port) =
            self.options.client.get_connection_info().addr()
        else {
            return None;
        };
        let kind = probe(&self.options.clock, host, *port).await?;
        (kind != Kind::Redis).then(|| self.refused(format!("this is not Redis but {kind}")))
    }

    /// Translates a driver's error. Its texts do not hold credentials.
    pub(super) fn explain(&self, error: &RedisError) -> Error {
        let code = error.code().unwrap_or_default();
        let advice = match error.kind() {
            ErrorKind::AuthenticationFailed => "check user and password",
            _ if ["NOAUTH", "WRONGPASS"].contains(&code) => "check user and password",
            ErrorKind::Server(ServerErrorKind::NoPerm) => {
                "allow the user eval, evalsha, script, info, subscribe, publish and all on the keys"
            }
            ErrorKind::Server(ServerErrorKind::ReadOnly) => {
                "this is a read-only replica; connect to the primary"
            }
            ErrorKind::Server(
                ServerErrorKind::Moved
                | ServerErrorKind::Ask
                | ServerErrorKind::CrossSlot
                | ServerErrorKind::ClusterDown,
            ) => "this is a node of a cluster; this engine is for a single server",
            ErrorKind::InvalidClientConfig => "check the URL",
            _ if code == "WRONGTYPE" => "the keys belong to something else; use another prefix",
            ErrorKind::UnexpectedReturnType => "the keys belong to something else, perhaps",
            _ => return self.unavailable(error.to_string()),
        };
        self.refused(format!("{error}; {advice}"))
    }
}

/// Runs the script, and sends its text first to a server that has not seen it.
async fn run(
    script: &Script,
    prefix: &str,
    connection: &mut MultiplexedConnection,
    call: &str,
    arguments: &[&[u8]],
) -> Result<Value, RedisError> {
    let mut invocation = script.prepare_invoke();
    invocation.key(prefix).arg(call);
    for argument in arguments {
        invocation.arg(argument);
    }
    invocation.invoke_async(connection).await
}

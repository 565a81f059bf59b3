//! A connection to one member.

use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use futures::Stream;
use http::Uri;
use http::uri::PathAndQuery;
use hyper_util::rt::TokioIo;
use steadfast_time::{Clock, Monotonic};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tonic::client::Grpc;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Request, Status, Streaming};
use tonic_prost::ProstCodec;

use super::banner::{Banner, Listened};
use super::failure::{Failure, innermost};
use super::options::{Invalid, Options, Tls};
use super::proto::{
    AuthenticateRequest, AuthenticateResponse, StatusRequest, StatusResponse, WatchRequest,
    WatchResponse, path,
};
use crate::limits::ETCD_ANSWER_BYTES_MAX;

/// A member that can be asked.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) index: usize,
    /// The store's revision when it was connected.
    pub(super) revision: i64,
    channel: Channel,
    banner: Banner,
    tls: bool,
    /// Sent with every request; `None` where the cluster asks for none.
    token: Mutex<Option<AsciiMetadataValue>>,
    /// How often it has introduced itself. One introduction is under way at a time: the server works
    /// tens of milliseconds on a password, and all tokens of a user end at once.
    introduced: AtomicU64,
    introducing: futures::lock::Mutex<()>,
    /// When it last answered something that needs a majority, in the clock's nanoseconds.
    heard: AtomicU64,
    retired: watch::Sender<bool>,
}

impl Link {
    /// Connects to a member, introduces itself, and asks how it is. The answer says whether the
    /// member knows of a leader.
    pub(super) async fn dial(
        options: &Options,
        index: usize,
        clock: &Clock,
    ) -> Result<(Self, bool), Failure> {
        let banner = Banner::default();
        let endpoint =
            endpoint(options, index).map_err(|invalid| Failure::Refused(invalid.to_string()))?;
        let heard = banner.clone();
        let connector = tower::service_fn(move |uri: Uri| connect(uri, heard.clone()));
        let tls = options.tls.is_some();
        let channel = endpoint.connect_with_connector(connector).await.map_err(|error| {
            let reason = innermost(&error);
            if let Some(stranger) = banner.stranger(tls) {
                return Failure::Refused(stranger);
            }
            // In rustls' words: asking again does not make it trusted.
            if reason.contains("invalid peer certificate") {
                return Failure::Refused(reason);
            }
            Failure::Connection(reason)
        })?;
        let mut link = Self {
            index,
            revision: 0,
            channel,
            banner,
            tls,
            token: Mutex::new(None),
            introduced: AtomicU64::new(0),
            introducing: futures::lock::Mutex::new(()),
            heard: AtomicU64::new(clock.monotonic().as_nanos()),
            retired: watch::Sender::new(false),
        };
        link.introduce(options, 0).await?;
        let status: StatusResponse = link.unary(path::STATUS, StatusRequest {}).await?;
        if !supported(&status.version) {
            return Err(Failure::Refused(format!(
                "it is etcd {}; 3.4 or later is needed",
                status.version
            )));
        }
        link.revision = status.header.map_or(0, |header| header.revision);
        Ok((link, status.leader != 0))
    }

    /// How many introductions there were: before a request, to say which token was refused.
    pub(super) fn introductions(&self) -> u64 {
        self.introduced.load(Ordering::Acquire)
    }

    /// Gets a new token, if the cluster wants one, unless somebody else has got one after `before`.
    pub(super) async fn introduce(&self, options: &Options, before: u64) -> Result<(), Failure> {
        let Some(credentials) = &options.credentials else { return Ok(()) };
        let _one = self.introducing.lock().await;
        if self.introductions() != before {
            return Ok(());
        }
        let request = AuthenticateRequest {
            name: credentials.user.clone(),
            password: credentials.password.clone(),
        };
        // Without the old token, which the others go on with until there is a new one.
        let answer: Result<AuthenticateResponse, Failure> =
            self.ask(path::AUTHENTICATE, Request::new(request)).await;
        match answer {
            Ok(answer) => {
                let mut token = AsciiMetadataValue::from_str(&answer.token)
                    .map_err(|_| Failure::Refused("its token cannot be sent".to_owned()))?;
                token.set_sensitive(true);
                self.set_token(Some(token));
            }
            // Credentials are not needed yet: as etcd's own clients do.
            Err(Failure::Now(text)) if text.contains("authentication is not enabled") => {
                self.set_token(None);
            }
            Err(failure) => return Err(failure),
        }
        self.introduced.fetch_add(1, Ordering::Release);
        Ok(())
    }

    fn set_token(&self, token: Option<AsciiMetadataValue>) {
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = token;
    }

    /// One request, one answer, for as long as it takes.
    pub(super) async fn unary<Q, A>(&self, path: &'static str, message: Q) -> Result<A, Failure>
    where
        Q: prost::Message + 'static,
        A: prost::Message + Default + 'static,
    {
        self.ask(path, self.request(message)).await
    }

    async fn ask<Q, A>(&self, path: &'static str, request: Request<Q>) -> Result<A, Failure>
    where
        Q: prost::Message + 'static,
        A: prost::Message + Default + 'static,
    {
        let answered: Result<A, Status> = async {
            let mut grpc = self.grpc().await?;
            let path = PathAndQuery::from_static(path);
            let codec = ProstCodec::<Q, A>::default();
            Ok(grpc.unary(request, path, codec).await?.into_inner())
        }
        .await;
        answered.map_err(|status| self.sort(&status))
    }

    /// A stream of watches; its answer comes with the first event or confirmation.
    pub(super) async fn watch<S>(&self, requests: S) -> Result<Streaming<WatchResponse>, Failure>
    where
        S: Stream<Item = WatchRequest> + Send + 'static,
    {
        let opened: Result<_, Status> = async {
            let mut grpc = self.grpc().await?;
            let mut request = self.request(requests);
            // A member that has lost its leader ends the stream instead of keeping silent.
            let yes = AsciiMetadataValue::from_static("true");
            request.metadata_mut().insert("hasleader", yes);
            let path = PathAndQuery::from_static(path::WATCH);
            let codec = ProstCodec::<WatchRequest, WatchResponse>::default();
            Ok(grpc.streaming(request, path, codec).await?.into_inner())
        }
        .await;
        opened.map_err(|status| self.sort(&status))
    }

    async fn grpc(&self) -> Result<Grpc<Channel>, Status> {
        let mut grpc =
            Grpc::new(self.channel.clone()).max_decoding_message_size(ETCD_ANSWER_BYTES_MAX);
        grpc.ready().await.map_err(|error| Status::from_error(Box::new(error)))?;
        Ok(grpc)
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let token = self.token.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(token) = token {
            request.metadata_mut().insert("token", token);
        }
        request
    }

    /// What a status means, and who said it if it was not etcd.
    pub(super) fn sort(&self, status: &Status) -> Failure {
        let Failure::Connection(reason) = Failure::of(status) else { return Failure::of(status) };
        if let Some(stranger) = self.banner.stranger(self.tls) {
            return Failure::Refused(stranger);
        }
        // A server that has lost its power says nothing either, so this is no refusal.
        let hint = match (self.banner.is_silent(), self.tls) {
            (true, false) => "; it has said nothing: is it etcd, and does it want TLS (etcds://)?",
            (true, true) => "; it has said nothing: is it etcd, and does it speak TLS?",
            (false, _) => "",
        };
        Failure::Connection(reason + hint)
    }

    /// It has answered something that needs a majority.
    pub(super) fn hear(&self, now: Monotonic) {
        self.heard.fetch_max(now.as_nanos(), Ordering::Relaxed);
    }

    /// When it last did.
    pub(super) fn heard(&self) -> Monotonic {
        Monotonic::from_nanos(self.heard.load(Ordering::Relaxed))
    }

    /// Nobody uses it from now on.
    pub(super) fn retire(&self) {
        self.retired.send_replace(true);
    }

    /// Completes when nobody uses it any more.
    pub(super) async fn retired(&self) {
        // The sender lives as long as this, so an error cannot happen; it would mean the same.
        let _ = self.retired.subscribe().wait_for(|retired| *retired).await;
    }
}

/// How a member is reached.
pub(super) fn endpoint(options: &Options, index: usize) -> Result<Endpoint, Invalid> {
    let address = options.endpoints.get(index).ok_or(Invalid::Endpoint(index + 1))?;
    let scheme = if options.tls.is_some() { "https" } else { "http" };
    let endpoint = Endpoint::from_shared(format!("{scheme}://{address}"))
        .map_err(|_| Invalid::Endpoint(index + 1))?;
    let Some(tls) = &options.tls else { return Ok(endpoint) };
    let Tls { authority, identity, server_name } = tls.clone();
    let mut config = ClientTlsConfig::new();
    config = match authority {
        Some(pem) => config.ca_certificate(Certificate::from_pem(pem)),
        None => config.with_native_roots(),
    };
    if let Some((certificate, key)) = identity {
        config = config.identity(Identity::from_pem(certificate, key));
    }
    if let Some(name) = server_name {
        config = config.domain_name(name);
    }
    endpoint.tls_config(config).map_err(|_| Invalid::Tls)
}

async fn connect(uri: Uri, banner: Banner) -> std::io::Result<TokioIo<Listened<TcpStream>>> {
    let host = uri.host().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((host, uri.port_u16().unwrap_or(0))).await?;
    stream.set_nodelay(true)?;
    Ok(TokioIo::new(Listened::new(stream, banner)))
}

/// Whether a version has what is used here: numbers for watches that the client chooses.
fn supported(version: &str) -> bool {
    let mut numbers = version.split('.').map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= (3, 4),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(supported("3.4.23") && supported("3.10.0-rc.1") && supported("4.0"));
        assert!(!supported("3.3.27") && !supported("2.38") && !supported("") && !supported("3"));
    }
}

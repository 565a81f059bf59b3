//! The port in terms of [`Ask`], once for the engine in this process and once for a server's client.

use std::future::Future;

use super::ask::Ask;
use crate::engine::machine::Output;
use crate::limits::{LENGTH_MAX, LENGTH_MIN};
use crate::port::{Answer, Capabilities, Error, Notification, check_value};

/// Whom to ask.
pub(super) trait Service: Send + Sync {
    fn ask(&self, ask: Ask) -> impl Future<Output = Result<Output, Error>> + Send;

    /// The error for an answer that no such question has.
    fn confused(&self) -> Error;
}

pub(super) const CAPABILITIES: Capabilities = Capabilities {
    engine: super::ENGINE,
    linearizable: Answer::Yes,
    fair: Answer::Yes,
    fenced: Answer::Yes,
    survives_restart: Answer::Yes,
    survives_leader_loss: Answer::No(
        "there is one server, on one machine; while it is down nothing is granted, and what it \
         granted is there when it is back",
    ),
    notification: Notification::Pushed,
    session_min: LENGTH_MIN,
    session_max: LENGTH_MAX,
    note: "durable once answered; a stall of the server itself ends no session",
};

/// What is too large is not even sent.
pub(super) const fn fits(value: &[u8]) -> Result<(), Error> {
    check_value("the value", value)
}

/// Implements the port for a [`Service`].
macro_rules! coordinator {
    ($service:ty) => {
        impl $crate::port::Coordinator for $service {
            fn capabilities(&self) -> $crate::port::Capabilities {
                $crate::engine::embedded::calls::CAPABILITIES
            }

            fn open(
                &self,
                length: std::time::Duration,
            ) -> BoxFuture<'_, Result<$crate::port::Opened, Error>> {
                Box::pin(async move {
                    match self.ask(Ask::Command(Command::Open { length })).await? {
                        Output::Opened(session) => Ok($crate::port::Opened { session, length }),
                        _ => Err(self.confused()),
                    }
                })
            }

            fn renew(&self, session: SessionId) -> BoxFuture<'_, Result<(), Error>> {
                Box::pin(self.done(Ask::Command(Command::Renew { session })))
            }

            fn close(&self, session: SessionId) -> BoxFuture<'_, Result<(), Error>> {
                Box::pin(self.done(Ask::Command(Command::Close { session })))
            }

            fn enter<'a>(
                &'a self,
                queue: &'a Name,
                request: $crate::port::Request<'a>,
            ) -> BoxFuture<'a, Result<Place, Error>> {
                Box::pin(async move {
                    fits(request.value)?;
                    match self.ask(Ask::Command(Command::enter(queue, request))).await? {
                        Output::Place(place) => Ok(place),
                        _ => Err(self.confused()),
                    }
                })
            }

            fn place<'a>(
                &'a self,
                queue: &'a Name,
                token: FencingToken,
            ) -> BoxFuture<'a, Result<Place, Error>> {
                let ask = Ask::Query(Query::Place { queue: queue.clone(), token });
                Box::pin(async move {
                    match self.ask(ask).await? {
                        Output::Place(place) => Ok(place),
                        _ => Err(self.confused()),
                    }
                })
            }

            fn gone<'a>(
                &'a self,
                queue: &'a Name,
                token: FencingToken,
            ) -> BoxFuture<'a, Result<(), Error>> {
                Box::pin(self.done(Ask::Gone { queue: queue.clone(), token }))
            }

            fn leave<'a>(
                &'a self,
                queue: &'a Name,
                token: FencingToken,
            ) -> BoxFuture<'a, Result<(), Error>> {
                Box::pin(self.done(Ask::Command(Command::Leave { queue: queue.clone(), token })))
            }

            fn set<'a>(
                &'a self,
                queue: &'a Name,
                token: FencingToken,
                value: &'a [u8],
            ) -> BoxFuture<'a, Result<(), Error>> {
                Box::pin(async move {
                    fits(value)?;
                    let (queue, value) = (queue.clone(), value.to_vec());
                    self.done(Ask::Command(Command::Set { queue, token, value })).await
                })
            }

            fn list<'a>(
                &'a self,
                queue: &'a Name,
                since: Option<u64>,
            ) -> BoxFuture<'a, Result<$crate::port::Listing, Error>> {
                let queue = queue.clone();
                let ask = match since {
                    Some(since) => Ask::Changed { queue, since },
                    None => Ask::Query(Query::List { queue }),
                };
                Box::pin(async move {
                    match self.ask(ask).await? {
                        Output::Listing(listing) => Ok(listing),
                        _ => Err(self.confused()),
                    }
                })
            }

            fn queues<'a>(
                &'a self,
                after: Option<&'a Name>,
            ) -> BoxFuture<'a, Result<Vec<Name>, Error>> {
                let ask = Ask::Query(Query::Queues { after: after.cloned() });
                Box::pin(async move {
                    match self.ask(ask).await? {
                        Output::Queues(names) => Ok(names),
                        _ => Err(self.confused()),
                    }
                })
            }

            fn load<'a>(
                &'a self,
                register: &'a Name,
            ) -> BoxFuture<'a, Result<Option<$crate::port::Register>, Error>> {
                let ask = Ask::Query(Query::Load { register: register.clone() });
                Box::pin(async move {
                    match self.ask(ask).await? {
                        Output::Register(register) => Ok(register),
                        _ => Err(self.confused()),
                    }
                })
            }

            fn store<'a>(
                &'a self,
                register: &'a Name,
                expected: Option<u64>,
                value: &'a [u8],
            ) -> BoxFuture<'a, Result<u64, Error>> {
                Box::pin(async move {
                    fits(value)?;
                    let (register, value) = (register.clone(), value.to_vec());
                    let command = Command::Store { register, expected, value };
                    match self.ask(Ask::Command(command)).await? {
                        Output::Version(version) => Ok(version),
                        _ => Err(self.confused()),
                    }
                })
            }
        }

        impl $service {
            async fn done(&self, ask: Ask) -> Result<(), Error> {
                match self.ask(ask).await? {
                    Output::Done => Ok(()),
                    _ => Err(self.confused()),
                }
            }
        }
    };
}

pub(super) use coordinator;

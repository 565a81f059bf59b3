//! Time from several servers, of which some may lie.
//!
//! One NTP server that is wrong makes every client wrong. Several servers, each with an honest
//! error bound, can be checked against each other: the true time lies within the interval of
//! every correct server, so it lies where a majority of the intervals meet ([`select`], Marzullo's
//! intersection as in RFC 5905, section 11.2.1). Who is not there is a *falseticker*. If no
//! majority meets, there is **no time**: an error, not a guess.
//!
//! | part | what it is |
//! |---|---|
//! | [`packet`] | the 48 bytes of RFC 5905 (pure) |
//! | [`Sample`] | offset, delay and bound out of one exchange (pure) |
//! | [`select`] | truechimers, falsetickers, the interval of the majority (pure) |
//! | [`Servers`] | the port: something that can ask a server |
//! | [`Ntp`], [`Poller`] | the clock's [`Uncertainty`](crate::wall::Uncertainty), and the loop that keeps it fresh |
//! | [`Udp`] | the port over UDP (feature `ntp`) |
//!
//! The client is our own. A bound needs the server's root delay and root dispersion, and the usual
//! SNTP clients drop both; and an exchange measured with the wall clock, as theirs is, is wrong
//! when that clock is stepped in the middle.
//!
//! Limits: packets are not authenticated (no NTS), so somebody on the path to a *majority* of the
//! servers can lie. The majority does not help against an error that the servers share.

#[cfg(feature = "ntp")]
mod client;
mod discipline;
pub mod packet;
mod poll;
mod sample;
mod select;

#[cfg(feature = "ntp")]
pub use client::Udp;
pub use discipline::Ntp;
pub use poll::{Ask, Error, Options, Poller, Round, Servers};
pub use sample::{Refused, Sample};
pub use select::{Candidate, NoMajority, Selection, majority, select};

//! Engines: what a [`Coordinator`](crate::port::Coordinator) can be.
//!
//! [`machine`] is the protocol of the project's own engines; [`memory`] runs it within the process,
//! for tests and simulations. The others stand behind features of their names.

#[cfg(feature = "embedded")]
pub mod embedded;
#[cfg(feature = "etcd")]
pub mod etcd;
pub mod machine;
pub mod memory;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(any(feature = "postgres", feature = "redis", feature = "zookeeper"))]
mod probe;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(any(feature = "postgres", feature = "redis"))]
mod wakes;
#[cfg(feature = "zookeeper")]
pub mod zookeeper;

#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod admin;
mod extract;
pub mod gateway;
mod lifecycle;
pub mod limits;
mod meter;
pub mod openapi;
mod problem;
mod respond;
mod routes;
pub mod server;
mod state;

pub use admin::{Admin, admin_router};
pub use gateway::Gateway;
pub use lifecycle::{Lifecycle, Phase, Readiness};
pub use meter::{REQUEST_SECONDS, REQUESTS_TOTAL};
pub use problem::{Code, Problem};
pub use routes::router;
pub use server::Server;
pub use state::{Api, Options};

//! The edge: gRPC in, house types inside, gRPC out.
//!
//! A connection is accepted by [`serve`]'s own task and handed to one of the serving threads, where
//! every call runs from its first byte to its answer: [`proto`]'s message is parsed into the house's
//! types, [`crate::admission::Admission`] decides, the answer is rendered. Nothing outside this
//! module knows a generated type or a status; only the client verbs speak the contract, too.

mod accept;
mod admin;
mod alive;
mod answers;
mod bill;
mod bind;
mod call;
mod checks;
pub mod codec;
mod connection;
mod deadline;
mod edge;
mod envoy;
mod fault;
mod health;
mod http2;
mod incoming;
mod inflow;
mod many;
mod messages;
mod pages;
mod parse;
mod pass;
mod peer;
mod places;
mod prompt;
pub mod proto;
mod relay;
mod render;
mod routes;
mod secure;
mod server;
mod service;
mod socket_file;
mod stream;
mod token;
mod turns;
mod unary;
mod unread;
mod witness;
mod worker;

pub use admin::apps::spec as app_message;
pub use bill::estimate;
pub use bind::{BindFault, Bound, bind};
pub use edge::MESSAGE_BYTES_MAX;
pub use health::Readiness;
pub use parse::{CHECKS_MAX, USERS_MAX};
pub use peer::Guard;
pub use server::{
    Bounds, CONNECTIONS_MAX, DRAIN_MAX, Doors, ServeFault, serve, serve_admin, serve_health,
    serve_pages,
};
pub use token::{TOKEN_FILE, Token, TokenFault};
pub use witness::Witness;
#[cfg(any(test, fuzzing))]
pub use {envoy::fuzz as fuzz_descriptors, parse::fuzz};

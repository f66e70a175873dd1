//! The edge over real sockets: what a client meets before and beside a decision.

mod admin;
mod common;
mod drain;
mod faults;
mod framing;
mod holds;
mod many;
mod mutants_of_batches;
mod side_services;
mod sockets;

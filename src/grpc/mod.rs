//! The edge: gRPC in, house types inside, gRPC out.

mod endpoint;
pub mod proto;

pub use endpoint::{Endpoint, SOCKET_PATH_BYTES_MAX};

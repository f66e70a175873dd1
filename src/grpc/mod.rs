//! The edge: gRPC in, house types inside, gRPC out.

pub mod proto;

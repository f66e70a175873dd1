//! imquota

pub mod admission;
pub mod app;
pub mod clock;
pub mod config;
pub mod endpoint;
pub mod grpc;
pub mod ledger;
pub mod observe;
pub mod quota;
pub mod store;

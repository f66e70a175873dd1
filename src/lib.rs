//! imquota

pub mod admission;
pub mod clock;
pub mod grpc;
pub mod ledger;
pub mod quota;
pub mod store;

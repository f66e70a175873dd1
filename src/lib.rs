//! imquota

pub mod admission;
pub mod clock;
pub mod endpoint;
pub mod ledger;
pub mod quota;
pub mod store;

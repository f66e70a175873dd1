//! The ledgers: one suite that every store passes, and what the embedded one promises besides.

#[macro_use]
mod store_suite;
mod embedded_store;

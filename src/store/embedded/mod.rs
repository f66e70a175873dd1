//! The shared ledger in a database file of this process: one member, nothing shared.

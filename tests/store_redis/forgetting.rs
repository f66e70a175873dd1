//! A ledger that has forgotten is found out, and is never read as an empty one.

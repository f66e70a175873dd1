//! The shared ledger in Redis: server-side steps, many members.

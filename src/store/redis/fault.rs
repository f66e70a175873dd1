//! What a failure of Redis means for the caller.

use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::store::{Shard, StoreFault};

/// Whether the connection is still worth using after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Connection {
    /// The server answered: it will answer again.
    Good,
    /// It broke, or leads to a server that is not the master: it must be made anew.
    Spent,
}

/// Reads an error of the client library. `at` is the server's address as it may be shown.
pub(super) fn read(error: &RedisError, at: &str) -> (StoreFault, Connection) {
    let words = words(error);
    let away = |hint: &str| StoreFault::Away(format!("Redis at {at}: {words}{hint}"));
    let spent = |fault| (fault, Connection::Spent);
    let good = |fault| (fault, Connection::Good);
    match error.kind() {
        ErrorKind::AuthenticationFailed => spent(away("; check user and password in store.url")),
        ErrorKind::Io | ErrorKind::Parse | ErrorKind::Client => spent(away("")),
        ErrorKind::Server(ServerErrorKind::ReadOnly) => {
            spent(away("; store.url must name the master"))
        }
        ErrorKind::Server(ServerErrorKind::NoPerm) => {
            good(away("; the user in store.url lacks a permission"))
        }
        _ => match error.code() {
            Some("WRONGTYPE" | "DAMAGED") => good(StoreFault::Unusable(format!(
                "the ledger in Redis at {at} is damaged, or its prefix is shared with another program: {words}"
            ))),
            Some("WRONGPASS" | "NOAUTH") => spent(away("; check user and password in store.url")),
            _ => good(away("")),
        },
    }
}

/// The server's or the system's own words, without where in a script they arose.
fn words(error: &RedisError) -> String {
    let text = match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        _ => error.to_string(),
    };
    let end = text.find(" script: ").unwrap_or(text.len());
    text[..end].trim_end().to_owned()
}

/// A shard that has no header, or another installation's.
pub(super) fn forgotten(shard: Shard, found: &str) -> StoreFault {
    let what = if found.is_empty() {
        "is gone: Redis was flushed or has lost its data".to_owned()
    } else {
        format!("belongs to another installation ({found})")
    };
    StoreFault::Frozen(format!(
        "ledger shard {} {what}; hard limits of its apps wait until the ledger is restored",
        shard.number()
    ))
}

/// A shard that lacks writes which were acknowledged.
pub(super) fn lost(shard: Shard, header: &str, why: &str) -> StoreFault {
    StoreFault::Frozen(format!(
        "ledger shard {} has lost writes ({why}); hard limits of its apps wait until an operator restores \
         the ledger, or accepts what it has: HINCRBY '{header}' epoch 1, then HDEL '{header}' lost base",
        shard.number()
    ))
}

/// A shard that was opened under another run and waits for what the members saw of it.
pub(super) fn waiting(shard: Shard, ms: &str) -> StoreFault {
    StoreFault::Frozen(format!(
        "ledger shard {} was opened by another run of Redis; hard limits of its apps go on in {ms} ms",
        shard.number()
    ))
}

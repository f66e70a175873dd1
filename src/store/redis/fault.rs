//! What a failure of Redis means for the caller.

use redis::{ErrorKind, RedisError, ServerErrorKind};

use super::answer::Status;
use super::tls;
use crate::store::{Shard, StoreFault};

/// Whether the connection is still worth using after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Connection {
    /// The server answered: it will answer again.
    Good,
    /// It broke, or leads to a server that is not the master: it must be made anew.
    Spent,
}

const LOGIN_HINT: &str = "; check user and password (store.username, store.password_file, IMQUOTA_REDIS_PASSWORD or the URL)";

/// Reads an error of the client library. `at` is the server's address as it may be shown.
pub(super) fn read(error: &RedisError, at: &str) -> (StoreFault, Connection) {
    let words = words(error);
    let away = |hint: &str| StoreFault::Away(format!("Redis at {at}: {words}{hint}"));
    let spent = |fault| (fault, Connection::Spent);
    let good = |fault| (fault, Connection::Good);
    match error.kind() {
        ErrorKind::AuthenticationFailed => spent(away(LOGIN_HINT)),
        ErrorKind::Parse => spent(away("; what answers there is no Redis")),
        ErrorKind::Io | ErrorKind::Client => spent(away(tls::of_alert(&words))),
        ErrorKind::Server(ServerErrorKind::ReadOnly) => {
            spent(away("; store.url must name the master"))
        }
        // Known to be not done: a slot is on its way from one master to another.
        ErrorKind::Server(ServerErrorKind::TryAgain | ServerErrorKind::Ask) => {
            good(StoreFault::Frozen(format!(
                "a part of the ledger is being moved to another node of the Cluster: {words}"
            )))
        }
        ErrorKind::Server(ServerErrorKind::Moved) => spent(away(
            "; it has moved to a node that was not known, which is looked for",
        )),
        ErrorKind::Server(ServerErrorKind::NoPerm) => good(away(
            "; the user lacks this permission: the README has the whole rule",
        )),
        _ => match error.code() {
            Some("WRONGTYPE" | "DAMAGED") => good(StoreFault::Unusable(format!(
                "the ledger in Redis at {at} is damaged, or its prefix is shared with another program: {words}"
            ))),
            Some("WRONGPASS" | "NOAUTH") => spent(away(LOGIN_HINT)),
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
    // What somebody else says may have lines, and is said in one.
    let lines: Vec<&str> = text[..end].lines().map(str::trim).collect();
    lines.join(" ").trim_end().to_owned()
}

/// Why a shard did not do a step, in words. Each is met by the next beat: a recovery that puts things
/// right, or a newer standing.
pub(super) fn refused(shard: Shard, status: Status) -> StoreFault {
    let why = match status {
        Status::Missing => "is gone: Redis was flushed or has lost its data",
        Status::Other => "belongs to another installation",
        Status::Behind => "knows of a later recovery than this sidecar",
        Status::Lost => "has lost writes that were acknowledged",
        Status::Gone => "counts this sidecar as one that has left or was retired",
        Status::Fine | Status::Open => "waits until all sidecars have stated what they know",
    };
    StoreFault::Frozen(format!("ledger shard {} {why}", shard.number()))
}

/// An answer to a call of an older epoch.
pub(super) fn outdated() -> StoreFault {
    StoreFault::Away("a recovery of the ledger began while it was asked".into())
}

/// A connection to a server whose state nobody has looked at.
pub(super) fn unmet() -> StoreFault {
    StoreFault::Frozen("Redis runs anew: what it knows is to be looked at first".into())
}

/// A connection over which the member of before leaves.
pub(super) fn leaving() -> StoreFault {
    StoreFault::Frozen("the leave that the last run began comes first".into())
}

/// Why a beat was not answered.
pub(super) fn unbeaten(status: i64) -> StoreFault {
    let fenced = |words: &str| StoreFault::Fenced(words.into());
    match status {
        1 => StoreFault::Frozen(
            "the ledger has forgotten itself: Redis was flushed or has lost its data; it waits for a sidecar \
             that knows it"
                .into(),
        ),
        2 => fenced("another installation stands where this sidecar's was"),
        3 => fenced("a later process of this sidecar has taken its journal over"),
        _ => fenced("another process runs on a copy of this data folder; give each sidecar its own"),
    }
}

/// Why the members' list was not changed.
pub(super) fn unchanged(status: i64) -> StoreFault {
    let words = match status {
        1 => "the ledger has forgotten itself",
        2 => "another installation stands where this sidecar's was",
        3 => "the ledger knows of a later recovery than this sidecar",
        _ => "sidecars state what they know: nobody leaves before that is done",
    };
    StoreFault::Frozen(words.into())
}

/// A change that may be lost with the server.
pub(super) fn unconfirmed() -> StoreFault {
    StoreFault::Away("it is done, but a replica has not confirmed it in time".into())
}

/// Why a member that an operator retires is not gone yet.
pub(super) fn given_up() -> StoreFault {
    StoreFault::Frozen(
        "sidecars state what they know, and this one is not waited for any more: retire it again in some \
         seconds, when they have, and then recount the apps that are refused"
            .into(),
    )
}

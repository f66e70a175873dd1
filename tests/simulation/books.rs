//! What the ledger's keys say: the one place of the simulation that knows the layout of the counts.

use imquota::clock::Day;
use imquota::quota::AppId;
use imquota::store::Shard;

use crate::fake::keyspace::Keyspace;

/// Every key of a simulated ledger begins with it.
pub const PREFIX: &str = "sim";

fn key(prefix: &str, app: AppId, kind: &str) -> String {
    let shard = Shard::of(app).number();
    format!("{{{prefix}:{shard:02x}}}:v2:{kind}:{app}")
}

/// Reads one hash of the ledger, by whatever way.
pub trait Books {
    fn hash(&self, key: &str) -> Vec<(String, String)>;
}

impl Books for Keyspace {
    fn hash(&self, key: &str) -> Vec<(String, String)> {
        self.fields(key)
    }
}

/// What is shown of a counter: what members and bases make, what records hold, less what releases of this
/// epoch gave back. `name` is its digit, or nothing for a day's gain.
fn shown(hash: &[(String, String)], name: &str, epoch: i64) -> i64 {
    let of = |letter: &str| number(hash, &format!("{letter}{name}"));
    let back = if number(hash, "ep") < epoch {
        0
    } else {
        of("b")
    };
    of("u") + of("h") - back
}

fn epoch(books: &impl Books, prefix: &str, app: AppId) -> i64 {
    let shard = Shard::of(app).number();
    let header = books.hash(&format!("{{{prefix}:{shard:02x}}}:v2:h"));
    number(&header, "epoch")
}

/// An app's net counts: accounts, groups, AV rooms.
pub fn counts(books: &impl Books, prefix: &str, app: AppId) -> [i64; 3] {
    let hash = books.hash(&key(prefix, app, "a"));
    let epoch = epoch(books, prefix, app);
    ["0", "1", "2"].map(|name| shown(&hash, name, epoch))
}

/// What limits see of the same counts: what is lent as well, and nothing exists that is not in them.
pub fn charged(keys: &Keyspace, app: AppId) -> [i64; 3] {
    let hash = keys.fields(&key(PREFIX, app, "a"));
    let epoch = epoch(keys, PREFIX, app);
    ["0", "1", "2"].map(|name| shown(&hash, name, epoch) + number(&hash, &format!("o{name}")))
}

/// Groups that an app gained on a day.
pub fn gained(books: &impl Books, prefix: &str, app: AppId, day: Day) -> i64 {
    let key = format!("{}:{}", key(prefix, app, "g"), day.number());
    shown(&books.hash(&key), "", epoch(books, prefix, app))
}

/// A day's users: those known by name, and those whom gateways told apart themselves.
pub fn users(books: &impl Books, prefix: &str, app: AppId, day: i32) -> (i64, i64) {
    let hash = books.hash(&format!("{}:{day}", key(prefix, app, "d")));
    (number(&hash, "n"), number(&hash, "i"))
}

/// The records that are still charged: at rest there are none.
pub fn held(books: &impl Books, prefix: &str, app: AppId) -> Vec<String> {
    let records = books.hash(&key(prefix, app, "r")).into_iter();
    let held = records.filter(|(_, record)| record.starts_with(['h', 'p']));
    held.map(|(id, record)| format!("{id:?} {record}"))
        .collect()
}

fn number(hash: &[(String, String)], name: &str) -> i64 {
    let found = hash.iter().find(|(field, _)| field == name);
    found.and_then(|(_, value)| value.parse().ok()).unwrap_or(0)
}

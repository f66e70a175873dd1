//! What the ledger's keys say: the one place of the simulation that knows the layout of the counts.

use imquota::clock::Day;
use imquota::quota::AppId;
use imquota::store::Shard;

use crate::fake::keyspace::Keyspace;

/// Every key of a simulated ledger begins with it.
pub const PREFIX: &str = "sim";

fn key(prefix: &str, app: AppId, kind: &str) -> String {
    let shard = Shard::of(app).number();
    format!("{{{prefix}:{shard:02x}}}:v3:{kind}:{app}")
}

fn header(prefix: &str, app: AppId) -> String {
    let shard = Shard::of(app).number();
    format!("{{{prefix}:{shard:02x}}}:v3:h")
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

/// One counter, as the ledger has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// What members' sums and bases make.
    pub sums: i64,
    /// Charged by records that are in nobody's sums.
    pub held: i64,
    /// What of that reservations hold.
    pub reserved: i64,
    /// Given back by releases that are in nobody's sums.
    pub back: i64,
    /// Lent to members and neither spent nor returned.
    pub lent: i64,
    /// The life between two recounts.
    pub generation: u64,
    /// The epoch of the last recount.
    pub recounted: u64,
    /// The version of the base; 0: none was told.
    pub base: u64,
}

impl Count {
    fn of(number: impl Fn(&str) -> i64, name: &str, epoch: i64) -> Self {
        let of = |letter: &str| number(&format!("{letter}{name}"));
        // What an older epoch had in it may stand in its owners' sums by now.
        let stale = number("ep") < epoch;
        Self {
            sums: of("u"),
            held: of("h"),
            reserved: of("r"),
            back: if stale { 0 } else { of("b") },
            lent: of("o"),
            generation: of("g").unsigned_abs(),
            recounted: of("n").unsigned_abs(),
            base: of("a").unsigned_abs(),
        }
    }

    /// Whether it waits for a recount, as all counters do that had none since an incomplete recovery, and
    /// one whose last recount is known without the number that it set.
    pub fn waits(self, since: u64) -> bool {
        since > self.recounted || self.generation != 0 && self.base == 0
    }

    /// What gateways are shown.
    pub fn shown(self) -> i64 {
        self.sums + self.held - self.back
    }

    /// What limits see: nothing exists, or may come to exist unasked, that is not in it.
    pub fn charged(self) -> i64 {
        self.shown() + self.lent
    }
}

/// An app's counts: accounts, groups, AV rooms.
pub fn counts(books: &impl Books, prefix: &str, app: AppId) -> [Count; 3] {
    let hash = books.hash(&key(prefix, app, "a"));
    let epoch = number(&books.hash(&header(prefix, app)), "epoch");
    ["0", "1", "2"].map(|name| Count::of(|field| number(&hash, field), name, epoch))
}

/// The same of a simulated ledger, read field by field: after every step somebody asks.
pub fn look(keys: &Keyspace, app: AppId) -> [Count; 3] {
    let key = key(PREFIX, app, "a");
    let epoch = field_of(keys, &header(PREFIX, app), "epoch");
    ["0", "1", "2"].map(|name| Count::of(|field| field_of(keys, &key, field), name, epoch))
}

/// The token of the freeze that is on an app.
pub fn frozen(keys: &Keyspace, app: AppId) -> Option<u64> {
    let frozen = keys.field(&key(PREFIX, app, "a"), "fz")?;
    frozen.split(' ').next()?.parse().ok()
}

/// Groups that an app gained on a day.
pub fn gained(books: &impl Books, prefix: &str, app: AppId, day: Day) -> Count {
    let key = format!("{}:{}", key(prefix, app, "g"), day.number());
    let hash = books.hash(&key);
    let epoch = number(&books.hash(&header(prefix, app)), "epoch");
    Count::of(|field| number(&hash, field), "", epoch)
}

/// A day's users: those known by name, and those whom gateways told apart themselves.
pub fn users(books: &impl Books, prefix: &str, app: AppId, day: i32) -> (i64, i64) {
    let hash = books.hash(&format!("{}:{day}", key(prefix, app, "d")));
    (number(&hash, "n"), number(&hash, "i"))
}

/// A record that is still charged by itself.
#[derive(Debug)]
pub struct Held {
    pub amount: i64,
    /// The digits of the counters that it charges.
    pub counters: String,
    pub day: i32,
    /// The members that claim it.
    pub claimed_by: Vec<u64>,
    pub words: String,
}

/// How many objects of a live count were deleted before their creation was told: until those who tell it have given
/// them back, sums may have so many too many.
pub fn gone(books: &impl Books, prefix: &str, app: AppId, digit: usize) -> i64 {
    let records = books.hash(&key(prefix, app, "r")).into_iter();
    let gone = records.filter(|(field, record)| {
        let parts: Vec<&str> = record.split('|').collect();
        let is_object = field.starts_with('\u{2}') && parts.len() == 11;
        let is_gone = parts[0] == "g" || parts[0] == "z" && !parts[10].is_empty();
        is_object && is_gone && parts[4].contains(char::from(b"012"[digit]))
    });
    i64::try_from(gone.count()).expect("a few")
}

/// The records that are still charged by themselves: at rest there are none.
pub fn held(books: &impl Books, prefix: &str, app: AppId) -> Vec<Held> {
    let records = books.hash(&key(prefix, app, "r")).into_iter();
    let charged = ["h|", "p|", "s|", "k|"];
    let held = records.filter(|(_, record)| charged.iter().any(|state| record.starts_with(state)));
    held.map(|(id, record)| {
        let parts: Vec<&str> = record.split('|').collect();
        let claims = parts[9]
            .split(',')
            .filter_map(|claim| claim.split('.').next());
        Held {
            amount: first_number(parts[2]),
            counters: parts[4].to_owned(),
            day: parts[5].parse().unwrap_or(0),
            claimed_by: claims
                .filter_map(|member| u64::from_str_radix(member, 16).ok())
                .collect(),
            words: format!("{id:?} {record}"),
        }
    })
    .collect()
}

/// How it stands with the ledger's recoveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Recovery {
    /// The number of the newest; 0: there is no meta key.
    pub epoch: u64,
    /// Whether members restate.
    pub open: bool,
    /// Since which epoch counters wait for a recount; 0: none does.
    pub waiting_since: u64,
}

/// What the meta key says of recoveries.
pub fn recovery(keys: &Keyspace) -> Recovery {
    let meta = format!("{{{PREFIX}}}:v3:meta");
    let of = |name: &str| field_of(keys, &meta, name).unsigned_abs();
    Recovery {
        epoch: of("epoch"),
        open: of("open") == 1,
        waiting_since: of("inc"),
    }
}

/// The id of the ledger that is there.
pub fn installation(keys: &Keyspace) -> Option<&str> {
    keys.field(&format!("{{{PREFIX}}}:v3:meta"), "inst")
}

/// What of its grants a member has neither spent nor returned, as the ledger knows, by live count.
pub fn lent_to(books: &impl Books, prefix: &str, app: AppId, incarnation: u64) -> [i64; 3] {
    let hash = books.hash(&key(prefix, app, "a"));
    ["0", "1", "2"].map(|name| lent(&hash, &format!("m{name}:{incarnation:016x}")))
}

/// The same of a day's gain.
pub fn gain_lent_to(
    books: &impl Books,
    prefix: &str,
    app: AppId,
    day: Day,
    incarnation: u64,
) -> i64 {
    let hash = books.hash(&format!("{}:{}", key(prefix, app, "g"), day.number()));
    lent(&hash, &format!("m:{incarnation:016x}"))
}

/// Whether a member is on the ledger's roll.
pub fn is_present(keys: &Keyspace, incarnation: u64) -> bool {
    let members = format!("{{{PREFIX}}}:v3:members");
    keys.field(&members, &format!("k:{incarnation:016x}"))
        .is_some()
}

/// Whether a member is marked gone.
pub fn is_gone(keys: &Keyspace, incarnation: u64) -> bool {
    let members = format!("{{{PREFIX}}}:v3:members");
    keys.field(&members, &format!("g:{incarnation:016x}"))
        .is_some()
}

/// What the sums of a member say that it was granted and is not done with.
fn lent(hash: &[(String, String)], field: &str) -> i64 {
    let entry = hash.iter().find(|(name, _)| name == field);
    let words = entry.map_or("", |(_, entry)| entry.as_str()).split(' ');
    let words: Vec<i64> = words.filter_map(|word| word.parse().ok()).collect();
    match words[..] {
        [.., granted, done] => (granted - done).max(0),
        _ => 0,
    }
}

fn field_of(keys: &Keyspace, key: &str, field: &str) -> i64 {
    keys.field(key, field).map_or(0, first_number)
}

fn number(hash: &[(String, String)], name: &str) -> i64 {
    let found = hash.iter().find(|(field, _)| field == name);
    found.map_or(0, |(_, value)| first_number(value))
}

/// The number that a field holds, or the first of several.
fn first_number(text: &str) -> i64 {
    let first = text.split(' ').next();
    first.and_then(|word| word.parse().ok()).unwrap_or(0)
}

//! The names of the ledger's keys.
//!
//! Every key of a shard carries the shard as its hash tag, so that a cluster keeps them together, and
//! the layout's version. What each holds is said in the scripts.

use super::place::Place;
use crate::clock::{Day, Month};
use crate::quota::{AppId, ObjectNumber, RequestId};
use crate::store::{Attempt, RecordKey, Shard};

/// The layout's version, which stands in each key and in the meta key.
pub(super) const FORMAT: u32 = 3;

/// The keys under one prefix.
#[derive(Debug)]
pub(super) struct Keys {
    prefix: Box<str>,
}

/// The meta key of a ledger of some layout.
pub(super) fn meta_of(prefix: &str, format: u32) -> String {
    format!("{{{prefix}}}:v{format}:meta")
}

/// A key of the same slot as `key` that is never there.
pub(super) fn absent(key: &[u8]) -> Vec<u8> {
    let tag = key
        .iter()
        .position(|byte| *byte == b'}')
        .map_or(key, |end| &key[..=end]);
    [tag, b":absent"].concat()
}

impl Keys {
    pub(super) fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.into(),
        }
    }

    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Who the ledger is: installation, zone, shards, state.
    pub(super) fn meta(&self) -> String {
        meta_of(&self.prefix, FORMAT)
    }

    /// Who its members are.
    pub(super) fn members(&self) -> String {
        format!("{{{}}}:v{FORMAT}:members", self.prefix)
    }

    /// Which apps are frozen by a recount.
    pub(super) fn notices(&self) -> String {
        format!("{{{}}}:v{FORMAT}:notices", self.prefix)
    }

    /// In which apps somebody starves for units that lie idle.
    pub(super) fn recalls(&self) -> String {
        format!("{{{}}}:v{FORMAT}:recalls", self.prefix)
    }

    fn of(&self, shard: Shard, rest: &str) -> String {
        format!(
            "{{{}:{:02x}}}:v{FORMAT}:{rest}",
            self.prefix,
            shard.number()
        )
    }

    /// The shard's header. The scripts find the shard's other keys by this one's beginning.
    pub(super) fn header(&self, shard: Shard) -> String {
        self.of(shard, "h")
    }

    /// The shard's records that came to rest, in order.
    pub(super) fn fold_queue(&self, shard: Shard) -> String {
        self.of(shard, "f")
    }

    /// What operators did in the shard.
    pub(super) fn audit(&self, shard: Shard) -> String {
        self.of(shard, "u")
    }

    /// The apps that operators registered.
    pub(super) fn register(&self, home: Shard) -> String {
        self.of(home, "reg")
    }

    /// The same, in the order of their last change.
    pub(super) fn register_order(&self, home: Shard) -> String {
        self.of(home, "rego")
    }

    /// The app's counts.
    pub(super) fn app(&self, app: AppId) -> String {
        self.of(Shard::of(app), &format!("a:{app}"))
    }

    /// The app's records by request id.
    pub(super) fn records(&self, app: AppId) -> String {
        self.of(Shard::of(app), &format!("r:{app}"))
    }

    /// How many of the app's objects have names, and the shape of the sets of these.
    pub(super) fn names(&self, app: AppId) -> String {
        self.of(Shard::of(app), &format!("t:{app}"))
    }

    /// The app's open reservations, by when they expire.
    pub(super) fn holds(&self, app: AppId) -> String {
        self.of(Shard::of(app), &format!("e:{app}"))
    }

    /// Groups that the app gained on a day.
    pub(super) fn gain(&self, app: AppId, day: Day) -> String {
        self.of(Shard::of(app), &format!("g:{app}:{}", day.number()))
    }

    /// What is kept of the app's month.
    pub(super) fn month(&self, app: AppId, month: Month) -> String {
        self.of(Shard::of(app), &format!("m:{app}:{}", month.number()))
    }

    /// The bill of the app's month.
    pub(super) fn bill(&self, app: AppId, month: Month) -> String {
        self.of(Shard::of(app), &format!("b:{app}:{}", month.number()))
    }

    /// The app's active users of a day; their buckets' keys begin with it.
    pub(super) fn users(&self, app: AppId, day: Day) -> String {
        self.of(Shard::of(app), &format!("d:{app}:{}", day.number()))
    }
}

/// The field of a record. A client's id is printable ASCII, so that bytes 1 and 2 keep ours and those of
/// objects apart. An object's has what its bucket's place needs, and the rest of its number.
pub(super) fn field(key: &RecordKey) -> String {
    match key {
        RecordKey::Client(id) => id.as_str().to_owned(),
        RecordKey::Own {
            incarnation,
            attempt,
        } => format!("\u{1}{incarnation:x}.{:x}", attempt.0),
        RecordKey::Object(object) => object_field(*object),
    }
}

/// The field of an object's record.
pub(super) fn object_field(object: ObjectNumber) -> String {
    let Place { bits, member } = Place::of(object.0);
    format!("\u{2}{bits}:{member}:{:x}", Place::rest(object.0))
}

/// What a field names; `None`: it is no field of ours.
pub(super) fn key_of(field: &str) -> Option<RecordKey> {
    if let Some(own) = field.strip_prefix('\u{1}') {
        let (incarnation, attempt) = own.split_once('.')?;
        return Some(RecordKey::Own {
            incarnation: u64::from_str_radix(incarnation, 16).ok()?,
            attempt: Attempt(u64::from_str_radix(attempt, 16).ok()?),
        });
    }
    let Some(object) = field.strip_prefix('\u{2}') else {
        return RequestId::parse(field).ok().map(RecordKey::Client);
    };
    let (bits, object) = object.split_once(':')?;
    let (member, rest) = object.split_once(':')?;
    let place = Place {
        bits: bits.parse().ok()?,
        member: member.parse().ok()?,
    };
    let hash = place.hash(u64::from_str_radix(rest, 16).ok()?);
    Some(RecordKey::Object(ObjectNumber(hash)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_read_as_it_was_written() {
        let keys = [
            RecordKey::Client(RequestId::parse("a|b,c").unwrap()),
            RecordKey::Own {
                incarnation: 7,
                attempt: Attempt(12),
            },
            RecordKey::Object(ObjectNumber(u128::MAX - 3)),
            RecordKey::Object(ObjectNumber(5 << 90)),
        ];
        for key in keys {
            assert_eq!(key_of(&field(&key)), Some(key));
        }
    }
}

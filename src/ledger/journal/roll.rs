//! What this member knows of its fellows, durably: recoveries, the roll, the bases.
//!
//! After a loss these are what the ledger is told again. Each change is written before the ledger
//! hears that this member has it: the ledger relies on it from then on.

use std::collections::BTreeMap;

use bytes::{Buf, BufMut};
use redb::{ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};

use super::checkpoint::Checkpoint;
use crate::quota::{AppId, COUNTERS};
use crate::store::{Base, Bases, Roll, SHARDS, Shard};

const FORMAT: u8 = 2;

const STANDING: TableDefinition<&str, &[u8]> = TableDefinition::new("standing");
/// The only row of [`STANDING`].
const OWN: &str = "own";
/// shard, app, counter
type BaseKey = (u16, u64, u8);
/// generation, version, amount
type BaseRow = (u64, u64, i64);
const BASES: TableDefinition<BaseKey, BaseRow> = TableDefinition::new("bases");
/// By shard: an epoch, and up to which version all bases were learnt in it.
const UPTO: TableDefinition<u16, (u64, u64)> = TableDefinition::new("bases_upto");

/// How this member stands with the ledger and its fellows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    /// The newest recovery that it heard of; 0: none.
    pub epoch: u64,
    /// The recovery whose restatement the ledger acknowledged in full; 0: none.
    pub restated: u64,
    /// The version of the roll that it saw in `epoch`; 0: none yet. Versions of two epochs do not
    /// compare, since a ledger that forgot may give a version twice.
    pub seen: u64,
    /// Whether the ledger ever answered while no recovery was open. Before that there is nothing here
    /// that a recovery could rely on.
    pub knows: bool,
    /// Up to which news it has every base.
    pub news: u64,
    /// Everybody it ever heard of. Version and silence are those of the last answer that was given
    /// while no recovery was open: what a ledger that forgot says of the silent is an old tale.
    pub roll: Roll,
    /// Whom the ledger calls gone by news whose bases are not here yet, and by which. For this member they are
    /// present until it has them: if the ledger forgets that they left, they have to tell what they counted.
    pub unread: BTreeMap<u64, u64>,
}

impl Standing {
    /// Counts those as gone whose bases are here by now.
    pub fn read_on(&mut self) {
        let news = self.news;
        let read = self.unread.extract_if(.., |_, told| *told <= news);
        self.roll.gone.extend(read.map(|(member, _)| member));
        let Roll { present, gone, .. } = &mut self.roll;
        present.retain(|member, _| !gone.contains(member));
        self.roll.news = self.roll.news.max(news);
    }

    fn encode(&self) -> Vec<u8> {
        let mut row = vec![FORMAT];
        row.put_u64_le(self.epoch);
        row.put_u64_le(self.restated);
        row.put_u64_le(self.seen);
        row.put_u8(u8::from(self.knows));
        row.put_u64_le(self.news);
        let Roll {
            version,
            present,
            gone,
            silent,
            news,
        } = &self.roll;
        row.put_u64_le(*version);
        row.put_u64_le(*news);
        put_count(&mut row, present.len());
        for (incarnation, name) in present {
            row.put_u64_le(*incarnation);
            // Names are at most 64 bytes; a longer one could only come from a foreign program.
            let name = &name.as_bytes()[..name.len().min(usize::from(u8::MAX))];
            row.put_u8(u8::try_from(name.len()).unwrap_or(u8::MAX));
            row.put_slice(name);
        }
        put_count(&mut row, gone.len());
        for incarnation in gone {
            row.put_u64_le(*incarnation);
        }
        put_count(&mut row, silent.len());
        for (incarnation, calls) in silent {
            row.put_u64_le(*incarnation);
            row.put_u64_le(*calls);
        }
        put_count(&mut row, self.unread.len());
        for (incarnation, news) in &self.unread {
            row.put_u64_le(*incarnation);
            row.put_u64_le(*news);
        }
        row
    }

    fn decode(mut from: &[u8]) -> Option<Self> {
        let from = &mut from;
        if from.try_get_u8().ok()? != FORMAT {
            return None;
        }
        let mut this = Self {
            epoch: from.try_get_u64_le().ok()?,
            restated: from.try_get_u64_le().ok()?,
            seen: from.try_get_u64_le().ok()?,
            knows: from.try_get_u8().ok()? == 1,
            news: from.try_get_u64_le().ok()?,
            roll: Roll {
                version: from.try_get_u64_le().ok()?,
                news: from.try_get_u64_le().ok()?,
                ..Roll::default()
            },
            unread: BTreeMap::new(),
        };
        for _ in 0..from.try_get_u32_le().ok()? {
            let incarnation = from.try_get_u64_le().ok()?;
            let length = usize::from(from.try_get_u8().ok()?);
            let (name, rest) = from.split_at_checked(length)?;
            *from = rest;
            let name = String::from_utf8_lossy(name).into_owned();
            this.roll.present.insert(incarnation, name.into());
        }
        for _ in 0..from.try_get_u32_le().ok()? {
            this.roll.gone.insert(from.try_get_u64_le().ok()?);
        }
        for _ in 0..from.try_get_u32_le().ok()? {
            let incarnation = from.try_get_u64_le().ok()?;
            let calls = from.try_get_u64_le().ok()?;
            this.roll.silent.insert(incarnation, calls);
        }
        for _ in 0..from.try_get_u32_le().ok()? {
            let incarnation = from.try_get_u64_le().ok()?;
            this.unread.insert(incarnation, from.try_get_u64_le().ok()?);
        }
        from.is_empty().then_some(this)
    }

    /// The bytes of a standing that another row contains.
    pub(super) fn put(&self, to: &mut Vec<u8>) {
        to.extend(self.encode());
    }

    /// Reads what [`Standing::put`] wrote; it must be the last thing there.
    pub(super) fn get(from: &[u8]) -> Option<Self> {
        Self::decode(from)
    }
}

fn put_count(to: &mut Vec<u8>, count: usize) {
    // Nobody has four thousand million members.
    to.put_u32_le(u32::try_from(count).unwrap_or(u32::MAX));
}

/// Makes the tables, so that reading never meets a missing one.
pub(super) fn prepare(write: &WriteTransaction) -> Result<(), redb::Error> {
    write.open_table(STANDING)?;
    write.open_table(BASES)?;
    write.open_table(UPTO)?;
    Ok(())
}

/// Forgets the standing, as part of a larger change: the next member begins without one. Bases stay,
/// since what they say is true whoever keeps them.
pub(super) fn forget_standing(write: &WriteTransaction) -> Result<(), redb::Error> {
    write.open_table(STANDING)?.remove(OWN)?;
    write.delete_table(UPTO)?;
    write.open_table(UPTO)?;
    Ok(())
}

impl Checkpoint {
    /// What was last kept with [`Checkpoint::keep_standing`].
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn standing(&self) -> Result<Standing, String> {
        let read = || -> Result<Option<Standing>, redb::Error> {
            let table = self.db.begin_read()?.open_table(STANDING)?;
            let row = table.get(OWN)?;
            Ok(match row {
                Some(row) => Standing::decode(row.value()),
                None => Some(Standing::default()),
            })
        };
        let standing = read().map_err(|error| error.to_string())?;
        standing.ok_or_else(|| "holds a roll that makes no sense".into())
    }

    /// Writes the standing, durably.
    ///
    /// # Errors
    /// The database's own.
    pub fn keep_standing(&self, standing: &Standing) -> Result<(), redb::Error> {
        let write = self.begin_write()?;
        write
            .open_table(STANDING)?
            .insert(OWN, standing.encode().as_slice())?;
        write.commit()?;
        Ok(())
    }

    /// Up to which version the bases of each shard were learnt in `epoch`; 0 where they were not.
    ///
    /// # Errors
    /// The database's own.
    pub fn bases_upto(&self, epoch: u64) -> Result<Vec<u64>, redb::Error> {
        let table = self.db.begin_read()?.open_table(UPTO)?;
        let mut upto = vec![0; usize::from(SHARDS)];
        for row in table.iter()? {
            let (shard, row) = row?;
            let (learnt, version) = row.value();
            if let Some(upto) = upto.get_mut(usize::from(shard.value()))
                && learnt == epoch
            {
                *upto = version;
            }
        }
        Ok(upto)
    }

    /// Lays bases learnt in `epoch` over those that are known, durably. The newer one of two stays.
    ///
    /// # Errors
    /// The database's own; nothing is changed then.
    pub fn keep_bases(&self, epoch: u64, learnt: &[(Shard, Bases)]) -> Result<(), redb::Error> {
        let write = self.begin_write()?;
        {
            let mut bases = write.open_table(BASES)?;
            let mut upto = write.open_table(UPTO)?;
            for (shard, learnt) in learnt {
                for base in &learnt.changed {
                    let key = (shard.number(), base.app.get(), base.counter as u8);
                    let known = bases.get(key)?.map(|row| row.value());
                    let newer = (base.generation, base.version);
                    if known.is_none_or(|(generation, version, _)| newer > (generation, version)) {
                        bases.insert(key, (base.generation, base.version, base.amount))?;
                    }
                }
                upto.insert(shard.number(), (epoch, learnt.upto))?;
            }
        }
        write.commit()?;
        Ok(())
    }

    /// Up to `most` known bases of `shard` behind `after`, in a fixed order.
    ///
    /// # Errors
    /// The database's own.
    pub fn bases_page(
        &self,
        shard: Shard,
        after: Option<&Base>,
        most: usize,
    ) -> Result<Vec<Base>, redb::Error> {
        let table = self.db.begin_read()?.open_table(BASES)?;
        let number = shard.number();
        let from = after.map_or((number, 0, 0), |base| {
            (number, base.app.get(), base.counter as u8 + 1)
        });
        let mut page = Vec::new();
        for row in table.range(from..=(number, u64::MAX, u8::MAX))? {
            let (key, row) = row?;
            let ((_, app, counter), (generation, version, amount)) = (key.value(), row.value());
            let counter = COUNTERS.get(usize::from(counter)).copied();
            if let (Some(app), Some(counter)) = (AppId::new(app), counter) {
                page.push(Base {
                    app,
                    counter,
                    generation,
                    version,
                    amount,
                });
            }
            if page.len() >= most {
                break;
            }
        }
        Ok(page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standing_is_read_as_it_was_written() {
        let standing = Standing {
            epoch: 1_760_000_000_000,
            restated: 7,
            seen: 3,
            knows: true,
            news: 9,
            roll: Roll {
                version: 4,
                present: [(1, "gateway-1".into()), (u64::MAX, "".into())].into(),
                gone: [5, 6].into(),
                silent: [(1, 12)].into(),
                news: 8,
            },
            unread: [(1, 10)].into(),
        };
        let bytes = standing.encode();
        assert_eq!(Standing::decode(&bytes), Some(standing));
        for end in 0..bytes.len() {
            assert_eq!(Standing::decode(&bytes[..end]), None, "{end}");
        }
        let none = Standing::default();
        assert_eq!(Standing::decode(&none.encode()), Some(none));
    }
}

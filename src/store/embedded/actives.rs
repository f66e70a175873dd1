//! The users of open days of one shard: exact sets, which the file has as chunks.

use std::collections::hash_map::Entry;

use rustc_hash::{FxHashMap, FxHashSet};

use super::checkpoint::Batch;
use super::file::{CHUNK_USERS, LedgerFile};
use super::format;
use super::kept::Round;
use crate::clock::Day;
use crate::quota::AppId;
use crate::store::StoreFault;

/// One app's users of one day.
struct Users {
    all: FxHashSet<u128>,
    /// Full chunks in the file: they never change again.
    chunks: u32,
    /// The users after the full chunks. The file has the first of them as its last chunk.
    tail: Vec<u128>,
    /// How many of `tail` the file has.
    saved: usize,
    /// How many of `tail` the snapshot has that is being written.
    saving: usize,
    /// The round of the last login.
    touched: Round,
}

/// The sets in memory: those that took a login since the checkpoint before the last.
#[derive(Default)]
pub(super) struct Actives(FxHashMap<(AppId, Day), Users>);

impl Actives {
    /// Adds a user; `true` if it was not there. `known` is how many users the day has: a day without
    /// any has nothing in the file.
    pub(super) fn insert(
        &mut self,
        file: &LedgerFile,
        (app, day): (AppId, Day),
        known: u64,
        user: u128,
        round: Round,
    ) -> Result<bool, StoreFault> {
        let users = match self.0.entry((app, day)) {
            Entry::Occupied(there) => there.into_mut(),
            Entry::Vacant(free) if known == 0 => free.insert(Users::none(round)),
            Entry::Vacant(free) => free.insert(Users::load(file, app, day, round)?),
        };
        users.touched = round;
        let newly = users.all.insert(user);
        if newly {
            users.tail.push(user);
        }
        Ok(newly)
    }

    /// Puts the chunks that changed into `batch`.
    pub(super) fn snapshot(&mut self, batch: &mut Batch) {
        for ((app, day), users) in &mut self.0 {
            users.saving = users.tail.len();
            if users.saving == users.saved {
                continue;
            }
            for (number, chunk) in (users.chunks..).zip(users.tail.chunks(CHUNK_USERS)) {
                let key = (day.number(), app.get(), number);
                batch.chunks.push((key, format::write_users(chunk)));
            }
        }
    }

    /// Takes note that the file has the snapshot of `round`. Forgets the sets that took no login for
    /// a whole round, and those of closed days.
    pub(super) fn saved(&mut self, round: Round, open_from: Day) {
        self.0.retain(|(_, day), users| {
            users.keep_tail();
            // What the file does not have came after the snapshot, in a later round.
            *day >= open_from && users.touched >= round
        });
    }
}

impl Users {
    fn none(round: Round) -> Self {
        Self {
            all: FxHashSet::default(),
            chunks: 0,
            tail: Vec::new(),
            saved: 0,
            saving: 0,
            touched: round,
        }
    }

    fn load(file: &LedgerFile, app: AppId, day: Day, round: Round) -> Result<Self, StoreFault> {
        let mut users = Self::none(round);
        file.users(app, day, |chunk| {
            users.tail.clear();
            users.tail.extend(chunk);
            users.all.extend(users.tail.iter().copied());
            if users.tail.len() >= CHUNK_USERS {
                users.tail.clear();
                users.chunks += 1;
            }
        })?;
        users.saved = users.tail.len();
        users.saving = users.saved;
        Ok(users)
    }

    /// What the snapshot had is in the file: its full chunks need not be in the tail any more.
    fn keep_tail(&mut self) {
        let full = self.saving / CHUNK_USERS;
        self.tail.drain(..full * CHUNK_USERS);
        self.chunks += u32::try_from(full).unwrap_or(u32::MAX);
        self.saved = self.saving - full * CHUNK_USERS;
        self.saving = self.saved;
        if self.tail.capacity() > 2 * CHUNK_USERS {
            self.tail.shrink_to_fit();
        }
    }
}

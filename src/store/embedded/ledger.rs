//! The whole ledger: its file, its shards, and who it is.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use super::audit;
use super::checkpoint::{self, Batch, Plan, Written};
use super::file::LedgerFile;
use super::format::Identity;
use super::shard::{Caller, LedgerShard};
use crate::chance;
use crate::clock::{Clock, Followed, Millis, Month, Zone};
use crate::quota::{AppId, Retention};
use crate::store::{Amendment, AuditEntry, Imports, Installation, Shard, StoreFault};

/// How many records are told to a shard under one hold of its lock.
const SLICE: usize = 1024;

/// The ledger that all handles of a process share.
pub(super) struct Ledger {
    pub(super) file: LedgerFile,
    zone: Zone,
    pub(super) installation: OnceLock<Installation>,
    shards: Box<[Mutex<LedgerShard>]>,
    /// Held while a checkpoint or the founding writes: one at a time.
    writing: Mutex<()>,
    /// Whether an app was ever frozen in this process: until then nobody looks for one.
    froze: AtomicBool,
    /// The highest place in the register of apps; beyond all until it was looked for.
    pub(super) registered: AtomicU64,
}

impl Ledger {
    /// Opens the file, which may be new, and learns which records it has.
    pub(super) fn open(path: &Path, zone: Zone, kept: Retention) -> Result<Self, StoreFault> {
        Self::over(LedgerFile::open(path)?.keeping(kept), zone)
    }

    pub(super) fn over(file: LedgerFile, zone: Zone) -> Result<Self, StoreFault> {
        let identity = file.identity()?;
        let mut open_from = zone.day(Millis(i64::MIN));
        let installation = OnceLock::new();
        if let Some(identity) = identity {
            follow(file.path(), &zone, &identity.zone)?;
            open_from = file.open_from()?.unwrap_or(open_from);
            let _ = installation.set(identity.installation);
        }
        let mut shards: Vec<_> = Shard::all()
            .map(|shard| LedgerShard::new(shard, open_from))
            .collect();
        if installation.get().is_some() {
            for (app, month) in file.noted_months()? {
                if let Some(shard) = shards.get_mut(usize::from(Shard::of(app).number())) {
                    shard.beside.noted(app, month);
                }
            }
            file.each_record(|shard, id, minute, open| {
                if let Some(shard) = shards.get_mut(usize::from(shard)) {
                    shard.note_stored(id, minute, open);
                }
            })?;
        }
        Ok(Self {
            file,
            zone,
            installation,
            shards: shards.into_iter().map(Mutex::new).collect(),
            writing: Mutex::new(()),
            froze: AtomicBool::new(false),
            registered: AtomicU64::new(u64::MAX),
        })
    }

    /// Who the ledger is. A new file becomes a ledger only for a member that remembers none.
    pub(super) fn hello(
        &self,
        remembered: Option<Installation>,
        now: Millis,
    ) -> Result<Installation, StoreFault> {
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.file.path().display();
        let found = self.installation.get().copied();
        match (found, remembered) {
            (Some(found), None) => self.heed_zone(found, now),
            (Some(found), Some(remembered)) if found == remembered => self.heed_zone(found, now),
            (Some(_), Some(_)) => Err(StoreFault::Frozen(format!(
                "{path} belongs to another ledger than the journal beside it; put back the two that belong together"
            ))),
            (None, Some(_)) => Err(StoreFault::Frozen(format!(
                "{path} was missing or empty, though the journal beside it remembers a ledger; put the file back"
            ))),
            (None, None) => {
                let installation = Installation {
                    id: chance::draw(),
                    user_key: chance::draw(),
                };
                let zone = self.zone.schedule();
                self.file.found(&Identity {
                    installation,
                    zone: zone.clone(),
                })?;
                follow(self.file.path(), &self.zone, &zone)?;
                Ok(*self.installation.get_or_init(|| installation))
            }
        }
    }

    /// New settings ask for a change of the zone.
    fn heed_zone(
        &self,
        installation: Installation,
        now: Millis,
    ) -> Result<Installation, StoreFault> {
        if let Some(zone) = self.zone.wished(now) {
            self.file.identify(&Identity {
                installation,
                zone: zone.clone(),
            })?;
            follow(self.file.path(), &self.zone, &zone)?;
        }
        Ok(installation)
    }

    /// One shard, locked. Never hold it over anything that waits.
    pub(super) fn shard(&self, shard: Shard) -> Result<MutexGuard<'_, LedgerShard>, StoreFault> {
        self.shard_numbered(shard.number())
    }

    fn shard_numbered(&self, number: u16) -> Result<MutexGuard<'_, LedgerShard>, StoreFault> {
        self.shards[usize::from(number)].lock().map_err(|_| {
            StoreFault::Frozen(
                "a fault in this program left a part of the ledger half changed; restart it".into(),
            )
        })
    }

    /// What a call of `member` needs.
    pub(super) fn caller(&self, member: u64) -> Result<Caller<'_>, StoreFault> {
        let installation = self.installation.get().ok_or_else(stranger)?;
        Ok(Caller {
            file: &self.file,
            secret: &installation.user_key,
            member,
        })
    }

    /// Makes durable all that was done before the call. Waits for the disk.
    pub(super) fn checkpoint(&self, log_from: Millis) -> Result<(), StoreFault> {
        let writing = self.writing()?;
        let plan = Plan::new(log_from, &self.zone);
        let (_, written) = self.write(&writing, plan, None, |_, _, _| Ok(()))?;
        self.saved(written, plan)
    }

    /// A checkpoint between two: makes durable what no journal has. Waits for the disk.
    pub(super) fn save(&self) -> Result<(), StoreFault> {
        let writing = self.writing()?;
        let (_, written) = self.write_all(&writing, None, |_, _, _| Ok(()))?;
        self.note_written(written)
    }

    /// The right to write: one checkpoint at a time, into a file that is open.
    pub(super) fn writing(&self) -> Result<MutexGuard<'_, ()>, StoreFault> {
        self.installation.get().ok_or_else(stranger)?;
        let one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.file.is_open() {
            self.file.reopen()?;
        }
        Ok(one_at_a_time)
    }

    /// A checkpoint between two, with an entry for the audit list: what `change` makes of a shard's
    /// snapshot is written. Answers the number of the entry, and what [`Ledger::note_written`] is told.
    pub(super) fn write_all(
        &self,
        writing: &MutexGuard<'_, ()>,
        entry: Option<&AuditEntry>,
        change: impl FnMut(Shard, &mut LedgerShard, &mut Batch) -> Result<(), StoreFault>,
    ) -> Result<(u64, Written), StoreFault> {
        self.write(writing, Plan::between(&self.zone), entry, change)
    }

    /// Tells the shards that the file has what [`Ledger::write_all`] wrote.
    pub(super) fn note_written(&self, written: Written) -> Result<(), StoreFault> {
        self.saved(written, Plan::between(&self.zone))
    }

    fn write(
        &self,
        _writing: &MutexGuard<'_, ()>,
        plan: Plan,
        entry: Option<&AuditEntry>,
        mut change: impl FnMut(Shard, &mut LedgerShard, &mut Batch) -> Result<(), StoreFault>,
    ) -> Result<(u64, Written), StoreFault> {
        let mut number = 0;
        let snapshot = |shard| {
            let mut at = self.shard(shard)?;
            let mut batch = at.snapshot(plan.open_from);
            change(shard, &mut at, &mut batch)?;
            Ok(batch)
        };
        let written = checkpoint::write(&self.file, plan, snapshot, |txn| {
            if let Some(entry) = entry {
                number = audit::add(txn, entry)?;
            }
            Ok(entry.is_some())
        });
        if let Err(StoreFault::Away(_)) = written {
            // What was to be written is still in memory, and goes with the next checkpoint, which
            // opens the file if it cannot be opened now.
            let _ = self.file.reopen();
        }
        Ok((number, written?))
    }

    /// What operators did, the newest first.
    pub(super) fn audit(
        &self,
        app: Option<AppId>,
        most: usize,
    ) -> Result<Vec<AuditEntry>, StoreFault> {
        self.installation.get().ok_or_else(stranger)?;
        audit::read(&self.file, app, most)
    }

    /// All apps of which anything is known, in order. Reads much of the file.
    pub(super) fn apps(&self) -> Result<Vec<AppId>, StoreFault> {
        self.installation.get().ok_or_else(stranger)?;
        let mut apps = Vec::new();
        // Before the file is read: what leaves memory is in the file.
        for shard in Shard::all() {
            apps.extend(self.shard(shard)?.apps.changed());
        }
        apps.extend(self.file.apps()?);
        apps.sort_unstable();
        apps.dedup();
        Ok(apps)
    }

    /// Writes a bill and the entry of the audit list, unless there is one. Answers the one that is written. Waits
    /// for the disk.
    pub(super) fn write_bill(
        &self,
        (app, month): (AppId, Month),
        bill: &str,
        who: &str,
    ) -> Result<(Box<str>, bool), StoreFault> {
        let _writing = self.writing()?;
        // An operator's call carries no time.
        let entry = AuditEntry {
            at: Clock::system(),
            who: who.into(),
            what: "bill".into(),
            app: Some(app),
            subject: month.to_string().into(),
            from: None,
            to: None,
            why: "".into(),
        };
        let written = self.file.write_bill((app, month), bill, &entry);
        if let Err(StoreFault::Away(_)) = written {
            // The next who writes opens the file if it cannot be opened now.
            let _ = self.file.reopen();
        }
        written
    }

    /// Corrects a day. Waits for the disk.
    pub(super) fn amend(&self, by: &Amendment) -> Result<bool, StoreFault> {
        let _writing = self.writing()?;
        let entry = AuditEntry {
            at: Clock::system(),
            who: by.who.clone(),
            what: "correct".into(),
            app: Some(by.app),
            subject: "".into(),
            from: None,
            to: None,
            why: by.why.clone(),
        };
        let done = self.file.amend(by, &entry);
        if let Err(StoreFault::Away(_)) = done {
            // The next who writes opens the file if it cannot be opened now.
            let _ = self.file.reopen();
        }
        if done == Ok(true) {
            let mut shard = self.shard(Shard::of(by.app))?;
            shard.beside.noted(by.app, by.day.month());
        }
        done
    }

    /// Writes an import to the audit list. Waits for the disk.
    pub(super) fn note_import(&self, imports: &Imports) -> Result<(), StoreFault> {
        let _writing = self.writing()?;
        let entry = AuditEntry {
            at: Clock::system(),
            who: imports.who.clone(),
            what: "import".into(),
            app: Some(imports.app),
            subject: imports.resource.to_string().into(),
            from: None,
            to: i64::try_from(imports.objects).ok(),
            why: "".into(),
        };
        let noted = self.file.write(|txn| audit::add_import(txn, &entry));
        if let Err(StoreFault::Away(_)) = noted {
            // The next who writes opens the file if it cannot be opened now.
            let _ = self.file.reopen();
        }
        noted
    }

    /// Takes note that an app is about to be frozen.
    pub(super) fn note_freeze(&self) {
        self.froze.store(true, Ordering::Release);
    }

    /// The apps that are frozen, with their tokens.
    pub(super) fn notices(&self) -> Result<Vec<(AppId, u64)>, StoreFault> {
        let mut notices = Vec::new();
        if self.froze.load(Ordering::Acquire) {
            for shard in Shard::all() {
                notices.extend(self.shard(shard)?.freezes.tokens());
            }
        }
        Ok(notices)
    }

    /// What a day is.
    pub(super) fn zone(&self) -> &Zone {
        &self.zone
    }

    /// Tells the shards what the file has, in slices, so that no call waits long for its lock.
    fn saved(&self, written: Written, plan: Plan) -> Result<(), StoreFault> {
        for (shard, batch) in written.batches {
            let places: Vec<_> = batch.records.places(plan.cutoffs).collect();
            for some in places.chunks(SLICE) {
                self.shard(shard)?.records.saved(some);
            }
            // The last hold on it besides the shard's: what it has is freed without the lock.
            let frozen = self.shard(shard)?.records.all_saved();
            drop((frozen, batch.records));
            let objects = self.shard(shard)?.objects.saved();
            drop((objects, batch.objects));
            self.shard(shard)?.saved(batch.round, plan.cutoffs);
        }
        for some in written.folded.chunk_by(|a, b| a.0 == b.0) {
            for some in some.chunks(SLICE) {
                self.shard_numbered(some[0].0)?.records.folded(some);
            }
        }
        Ok(())
    }
}

/// A call before the first hello.
pub(super) fn stranger() -> StoreFault {
    StoreFault::Away("no member has said hello to the ledger yet".into())
}

/// Follows the zones that a ledger has.
fn follow(path: &Path, zone: &Zone, told: &str) -> Result<(), StoreFault> {
    match zone.follow(told) {
        Followed::Same | Followed::Ahead => {}
        Followed::News => tracing::warn!(
            schedule = zone.schedule(),
            settings = zone.name(),
            "the ledger counts days by this schedule of zones, whatever the settings say"
        ),
        Followed::Other => {
            return Err(StoreFault::Unusable(format!(
                "{} counts days in {told:?}, which this program does not know",
                path.display()
            )));
        }
    }
    Ok(())
}

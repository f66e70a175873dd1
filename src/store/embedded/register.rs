//! The register of apps, in the file: read where it changed, written in one step with its audit entry.

use std::sync::atomic::Ordering;

use redb::ReadableTable;

use super::audit;
use super::file::{LedgerFile, REGISTER, whole};
use super::ledger::{Ledger, stranger};
use super::shard::{Caller, LedgerShard};
use crate::clock::Clock;
use crate::quota::{AppId, Registered};
use crate::store::register::{Row, word};
use crate::store::{
    AuditEntry, Entered, REGISTER_PAGE_MAX, RegisterPage, Registration, StoreFault,
};

impl LedgerFile {
    fn register(&self) -> Result<Vec<Row>, StoreFault> {
        self.read(|txn| {
            let table = match txn.open_table(REGISTER) {
                Err(redb::TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
                table => table?,
            };
            let rows = table.iter()?.map(|row| row_of(row?.1.value()));
            rows.collect()
        })
    }

    fn enter(&self, change: &Registration, entry: &AuditEntry) -> Result<Entered, StoreFault> {
        let mut entered = Entered::Absent;
        self.write(|txn| {
            let mut table = txn.open_table(REGISTER)?;
            let id = change.app.get();
            let there = match table.get(id)? {
                Some(row) => Some(row_of(row.value())?.registered),
                None => None,
            };
            let known = there.as_ref();
            let lives = known.is_some_and(|there| !there.deleted);
            let version = known.map_or(0, |there| there.version);
            let stale = |seen: u64| seen != version && (lives || seen != 0);
            if change.seen.is_some_and(stale) {
                entered = Entered::Changed(there);
                return Ok(false);
            }
            let spec = match (&change.spec, known) {
                (Some(spec), _) => spec,
                (None, Some(there)) if lives => &there.spec,
                (None, _) => return Ok(false),
            };
            let mut order = 0;
            for row in table.iter()? {
                order = order.max(row_of(row?.1.value())?.order);
            }
            let now = u64::try_from(entry.at.0).unwrap_or(0);
            let registered = Registered {
                app: change.app,
                version: now.max(version + 1),
                life: match known {
                    Some(there) if there.deleted && change.spec.is_some() => now.max(version + 1),
                    Some(there) => there.life,
                    None => 0,
                },
                spec: spec.clone(),
                deleted: change.spec.is_none(),
                by: word(&change.who).into(),
            };
            let order = order + 1;
            let row = Row { registered, order };
            table.insert(id, row.write().as_str())?;
            let what = match change.spec {
                None => "delete",
                Some(_) if lives => "change",
                Some(_) => "create",
            };
            let what = what.into();
            audit::add(
                txn,
                &AuditEntry {
                    what,
                    ..entry.clone()
                },
            )?;
            entered = Entered::Done(row.registered);
            Ok(true)
        })?;
        Ok(entered)
    }
}

fn row_of(text: &str) -> Result<Row, redb::Error> {
    whole(Row::read(text).ok(), "registration")
}

impl LedgerShard {
    /// None of the names that an app had is ever asked for again. Kept by the recounts that follow.
    pub(super) fn forget_names(&mut self, by: Caller<'_>, app: AppId) -> Result<(), StoreFault> {
        let counts = self.apps.touch(by.file, app)?.change(self.round);
        counts.named = [0; 3];
        Ok(())
    }
}

impl Ledger {
    /// What was registered after the place `since`.
    pub(super) fn register(&self, since: u64) -> Result<RegisterPage, StoreFault> {
        self.installation.get().ok_or_else(stranger)?;
        if since >= self.registered.load(Ordering::Acquire) {
            return Ok(RegisterPage {
                next: since,
                ..RegisterPage::default()
            });
        }
        let mut rows = self.file.register()?;
        rows.sort_by_key(|row| row.order);
        let top = rows.last().map_or(0, |row| row.order);
        self.registered.store(top, Ordering::Release);
        rows.retain(|row| row.order > since);
        rows.truncate(REGISTER_PAGE_MAX);
        Ok(RegisterPage::of(rows, since, REGISTER_PAGE_MAX))
    }

    /// Changes what is registered of an app. Waits for the disk.
    pub(super) fn enter(&self, change: &Registration) -> Result<Entered, StoreFault> {
        self.installation.get().ok_or_else(stranger)?;
        let _writing = self.writing()?;
        let entry = AuditEntry {
            at: Clock::system(),
            who: change.who.clone(),
            what: "".into(),
            app: Some(change.app),
            subject: "app".into(),
            from: None,
            to: None,
            why: change.why.clone(),
        };
        let entered = self.file.enter(change, &entry);
        match &entered {
            Ok(Entered::Done(_)) => {
                // The next who reads finds out how far it goes.
                self.registered.store(u64::MAX, Ordering::Release);
            }
            Err(StoreFault::Away(_)) => {
                // The next who writes opens the file if it cannot be opened now.
                let _ = self.file.reopen();
            }
            Ok(_) | Err(_) => {}
        }
        entered
    }
}

//! What lies beside the counts of months: users who came too late, and what operators corrected.

use std::collections::{BTreeMap, BTreeSet};

use redb::{ReadableTable, WriteTransaction};

use super::file::{LedgerFile, NOTES, whole};
use super::{audit, format};
use crate::clock::{Day, Month};
use crate::quota::AppId;
use crate::store::amended::Notes;
use crate::store::{Amendment, AuditEntry, Change, StoreFault};

/// Users who came when their day was closed, on their way to the file; and of which months the file has notes.
#[derive(Debug, Default)]
pub(super) struct Beside {
    noted: BTreeSet<(AppId, Month)>,
    new: BTreeMap<(AppId, Day), u64>,
    /// What the last snapshot had, until the file is known to have it.
    on_the_way: BTreeMap<(AppId, Day), u64>,
}

impl Beside {
    pub(super) fn note(&mut self, app: AppId, day: Day, users: u64) {
        let all = self.new.entry((app, day)).or_default();
        *all = all.saturating_add(users);
        self.noted(app, day.month());
    }

    /// Takes note that the file has, or will have, notes of a month.
    pub(super) fn noted(&mut self, app: AppId, month: Month) {
        self.noted.insert((app, month));
    }

    /// Whether there is anything to look for. Nearly always there is not, and the file need not be asked.
    pub(super) fn knows(&self, app: AppId, month: Month) -> bool {
        self.noted.contains(&(app, month))
    }

    /// What the file is to have.
    pub(super) fn snapshot(&mut self) -> Vec<(AppId, Day, u64)> {
        for (key, users) in std::mem::take(&mut self.new) {
            let all = self.on_the_way.entry(key).or_default();
            *all = all.saturating_add(users);
        }
        let all = self.on_the_way.iter();
        all.map(|((app, day), users)| (*app, *day, *users))
            .collect()
    }

    pub(super) fn saved(&mut self) {
        self.on_the_way.clear();
    }

    /// Adds to what the file says of a month.
    pub(super) fn add_to(&self, app: AppId, month: Month, notes: &mut Notes) {
        let days = (app, month.first_day())..=(app, month.last_day());
        for part in [&self.new, &self.on_the_way] {
            for ((_, day), users) in part.range(days.clone()) {
                notes.too_late(*day, *users);
            }
        }
    }
}

/// Writes what a snapshot had.
pub(super) fn write(
    txn: &WriteTransaction,
    too_late: &[(AppId, Day, u64)],
) -> Result<(), redb::Error> {
    let mut table = txn.open_table(NOTES)?;
    for (app, day, users) in too_late {
        let key = (day.month().number(), app.get());
        let known = table.get(key)?.map(|bytes| read(bytes.value()));
        let mut notes = known.transpose()?.unwrap_or_default();
        notes.too_late(*day, *users);
        table.insert(key, format::write_notes(&notes).as_slice())?;
    }
    Ok(())
}

/// Months of which days were corrected, by number and app: few.
pub(super) fn corrected_months(
    txn: &WriteTransaction,
) -> Result<BTreeSet<(i32, u64)>, redb::Error> {
    let mut corrected = BTreeSet::new();
    for row in txn.open_table(NOTES)?.iter()? {
        let (key, bytes) = row?;
        if !read(bytes.value())?.corrections.is_empty() {
            corrected.insert(key.value());
        }
    }
    Ok(corrected)
}

fn read(bytes: &[u8]) -> Result<Notes, redb::Error> {
    whole(format::read_notes(bytes), "notes")
}

impl LedgerFile {
    /// The months of which there are notes.
    pub(super) fn noted_months(&self) -> Result<Vec<(AppId, Month)>, StoreFault> {
        self.read(|txn| {
            let table = match txn.open_table(NOTES) {
                // A file of before there were any.
                Err(redb::TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
                table => table?,
            };
            let keys = table.iter()?.map(|row| {
                let (number, app) = row?.0.value();
                whole(
                    AppId::new(app).zip(Month::from_number(number)),
                    "a month's notes",
                )
            });
            keys.collect()
        })
    }

    /// What lies beside a month's counts.
    pub(super) fn notes(&self, app: AppId, month: Month) -> Result<Notes, StoreFault> {
        self.read(|txn| {
            let table = txn.open_table(NOTES)?;
            let known = table.get((month.number(), app.get()))?;
            let known = known.map(|bytes| read(bytes.value())).transpose()?;
            Ok(known.unwrap_or_default())
        })
    }

    /// Corrects a day, and writes the entries of the audit list, of which `entry` is what all have.
    pub(super) fn amend(&self, by: &Amendment, entry: &AuditEntry) -> Result<bool, StoreFault> {
        let mut done = false;
        self.write(|txn| {
            let key = (by.day.month().number(), by.app.get());
            let mut table = txn.open_table(NOTES)?;
            let known = table.get(key)?.map(|bytes| read(bytes.value()));
            let mut notes = known.transpose()?.unwrap_or_default();
            done = notes.amend(by, entry.at);
            if done {
                table.insert(key, format::write_notes(&notes).as_slice())?;
                for (change, name) in [(by.daily_active, "daily_active"), (by.groups, "groups")] {
                    let Some(Change { from, to }) = change else {
                        continue;
                    };
                    let entry = AuditEntry {
                        subject: format!("{} {name}", by.day).into(),
                        from: i64::try_from(from).ok(),
                        to: i64::try_from(to).ok(),
                        ..entry.clone()
                    };
                    audit::add(txn, &entry)?;
                }
            }
            Ok(done)
        })?;
        Ok(done)
    }
}

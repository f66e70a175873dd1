//! What is kept of the past, in memory and in the file.

use redb::ReadableTable;

use super::app::App;
use super::audit;
use super::file::{BILLS, LedgerFile, PAST_DAYS, PAST_MONTHS, whole};
use super::format;
use super::peaks::{MonthGroups, MonthPeaks};
use super::shard::{Caller, LedgerShard};
use crate::billing::Peak;
use crate::clock::{Day, Month};
use crate::quota::AppId;
use crate::store::amended::{Counted, Notes};
use crate::store::past::{self, KeptDay};
use crate::store::{AuditEntry, MonthHistory, StoreFault};

/// An app's month.
pub(super) struct MonthOf {
    known: Option<MonthPeaks>,
    carried_in: u64,
}

impl MonthOf {
    /// Looks for it where it lies: with the app, as long as it has an open day, or is the newest.
    pub(super) fn look(
        file: &LedgerFile,
        app: AppId,
        (counts, open_from): (&App, Day),
        month: Month,
    ) -> Result<Self, StoreFault> {
        let number = month.number();
        let known = match counts.month(number) {
            Some(known) => Some(*known),
            None if month.last_day() >= open_from => None,
            None => file.past_month(app, number)?,
        };
        let carried_in = match known.and_then(|known| known.groups) {
            Some(groups) => groups.carried_in,
            None if counts.is_newest(number) => counts.counted_groups(),
            None => left_before(file, app, counts, number)?,
        };
        Ok(Self { known, carried_in })
    }

    fn changes(&self) -> Option<MonthGroups> {
        self.known?.groups
    }

    /// The highest number of groups; without a day if it was carried in.
    pub(super) fn groups(&self) -> Peak {
        let carried = (self.carried_in, None);
        let (count, day) = self.changes().map_or(carried, |of| (of.highest, of.day));
        Peak { count, day }
    }

    /// The highest daily active users.
    pub(super) fn daily_active(&self) -> Peak {
        let known = self.known.map(|of| (of.actives, of.actives_day));
        let (count, day) = known.unwrap_or_default();
        Peak { count, day }
    }
}

/// The groups that the newest month before this one left, of those in which any came or went.
fn left_before(file: &LedgerFile, app: AppId, counts: &App, month: i32) -> Result<u64, StoreFault> {
    let before = counts.months.iter().rev().filter(|of| of.month < month);
    if let Some(groups) = before.clone().find_map(|of| of.groups) {
        return Ok(groups.last);
    }
    for earlier in (month - file.retention.months()..month).rev() {
        let past = file.past_month(app, earlier)?;
        if let Some(groups) = past.and_then(|of| of.groups) {
            return Ok(groups.last);
        }
    }
    Ok(0)
}

impl LedgerShard {
    /// What lies beside the counts of a month.
    pub(super) fn notes(
        &self,
        file: &LedgerFile,
        app: AppId,
        month: Month,
    ) -> Result<Notes, StoreFault> {
        if !self.beside.knows(app, month) {
            return Ok(Notes::default());
        }
        let mut notes = file.notes(app, month)?;
        self.beside.add_to(app, month, &mut notes);
        Ok(notes)
    }

    /// What is kept of an app's month.
    pub(super) fn month(
        &mut self,
        by: Caller<'_>,
        app: AppId,
        month: Month,
        today: Day,
    ) -> Result<MonthHistory, StoreFault> {
        if !past::keeps_month(by.file.retention, month, today) {
            return Ok(MonthHistory::default());
        }
        let notes = self.notes(by.file, app, month)?;
        let told = match self.apps.look(by.file, app)? {
            Some(counts) => tell(
                by.file,
                app,
                (counts, self.open_from),
                (month, today),
                notes,
            ),
            None => Ok(Counted::default().told(notes)),
        };
        self.apps.rest(app);
        Ok(MonthHistory {
            bill: by.file.bill(app, month)?,
            ..told?
        })
    }
}

/// An app's month without its bill, on a day.
pub(super) fn tell(
    file: &LedgerFile,
    app: AppId,
    (counts, open_from): (&App, Day),
    (month, today): (Month, Day),
    notes: Notes,
) -> Result<MonthHistory, StoreFault> {
    let of = MonthOf::look(file, app, (counts, open_from), month)?;
    let is_corrected = !notes.corrections.is_empty();
    let keeps_days = past::keeps_days(file.retention, month, today);
    let days = if keeps_days || is_corrected {
        days_of(file, app, counts, month)?
    } else {
        Vec::new()
    };
    let counted = Counted {
        carried_in: of.carried_in,
        groups: of.groups(),
        daily_active: of.daily_active(),
        days,
    };
    let mut told = counted.told(notes);
    if month == today.month() {
        told.groups_at_end = counts.groups();
    } else if !is_corrected {
        told.groups_at_end = of.changes().map_or(of.carried_in, |groups| groups.last);
    }
    if !keeps_days {
        told.days.clear();
    }
    told.plans = past::plans_of(&counts.plans, month);
    Ok(told)
}

/// The days of a month on which something was counted, in order.
fn days_of(
    file: &LedgerFile,
    app: AppId,
    counts: &App,
    month: Month,
) -> Result<Vec<KeptDay>, StoreFault> {
    let mut days = file.past_days(app, month)?;
    let open = counts.days.iter().filter(|of| of.day.month() == month);
    for of in open.filter(|of| of.daily_active() > 0 || of.groups.is_some()) {
        // It may be on its way to the file.
        days.retain(|past| past.day != of.day);
        days.push(KeptDay {
            day: of.day,
            daily_active: of.daily_active(),
            groups: of.groups,
        });
    }
    days.sort_unstable_by_key(|kept| kept.day);
    Ok(days)
}

impl LedgerFile {
    /// A closed day.
    pub(super) fn past_day(&self, app: AppId, day: Day) -> Result<Option<KeptDay>, StoreFault> {
        self.read(|txn| {
            let found = txn.open_table(PAST_DAYS)?.get((day.number(), app.get()))?;
            let read = |bytes: redb::AccessGuard<'_, &[u8]>| {
                whole(format::read_day(bytes.value(), day), "day")
            };
            found.map(read).transpose()
        })
    }

    /// The closed days of a month.
    fn past_days(&self, app: AppId, month: Month) -> Result<Vec<KeptDay>, StoreFault> {
        self.read(|txn| {
            let table = txn.open_table(PAST_DAYS)?;
            let mut days = Vec::new();
            for number in 1..=31 {
                let Some(day) = month.day(number) else { break };
                if let Some(bytes) = table.get((day.number(), app.get()))? {
                    days.push(whole(format::read_day(bytes.value(), day), "day")?);
                }
            }
            Ok(days)
        })
    }

    /// A past month.
    fn past_month(&self, app: AppId, month: i32) -> Result<Option<MonthPeaks>, StoreFault> {
        self.read(
            |txn| match txn.open_table(PAST_MONTHS)?.get((month, app.get()))? {
                Some(bytes) => whole(format::read_month(bytes.value()), "month").map(Some),
                None => Ok(None),
            },
        )
    }

    /// The bill of a month.
    fn bill(&self, app: AppId, month: Month) -> Result<Option<Box<str>>, StoreFault> {
        self.read(|txn| {
            let found = txn.open_table(BILLS)?.get((month.number(), app.get()))?;
            let read = |bytes: redb::AccessGuard<'_, &[u8]>| text(bytes.value());
            found.map(read).transpose()
        })
    }

    /// Writes a bill and the entry of the audit list, unless there is one.
    pub(super) fn write_bill(
        &self,
        (app, month): (AppId, Month),
        bill: &str,
        entry: &AuditEntry,
    ) -> Result<(Box<str>, bool), StoreFault> {
        let key = (month.number(), app.get());
        let mut known = None;
        self.write(|txn| {
            let mut bills = txn.open_table(BILLS)?;
            if let Some(bytes) = bills.get(key)? {
                known = Some(text(bytes.value())?);
                return Ok(false);
            }
            bills.insert(key, bill.as_bytes())?;
            audit::add(txn, entry)?;
            Ok(true)
        })?;
        Ok(match known {
            Some(known) => (known, false),
            None => (bill.into(), true),
        })
    }
}

fn text(bytes: &[u8]) -> Result<Box<str>, redb::Error> {
    whole(std::str::from_utf8(bytes).ok(), "bill").map(Into::into)
}

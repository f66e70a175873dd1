//! The apps of one shard that lie in memory; the others lie in the file.

use std::collections::hash_map::Entry;

use rustc_hash::FxHashMap;

use super::app::App;
use super::checkpoint::Batch;
use super::file::LedgerFile;
use super::form::Form;
use super::format;
use super::kept::{Kept, Round};
use crate::clock::Day;
use crate::quota::AppId;
use crate::store::StoreFault;

/// How many apps of one shard stay in memory over a checkpoint though the file has them: 131,072 of
/// all shards. Apps with changes stay in any case.
const RESIDENT_MAX: usize = 512;

/// Apps in memory.
#[derive(Default)]
pub(super) struct Apps(FxHashMap<AppId, Kept<Form>>);

impl Apps {
    /// The app, to change it.
    pub(super) fn touch(
        &mut self,
        file: &LedgerFile,
        app: AppId,
    ) -> Result<&mut Kept<Form>, StoreFault> {
        Ok(match self.0.entry(app) {
            Entry::Occupied(there) => opened(there.into_mut()),
            Entry::Vacant(free) => {
                let found = file.app(app)?.unwrap_or_default();
                free.insert(Kept::clean(Form::of(found)))
            }
        })
    }

    /// The app, to read it; `None` if nothing was ever counted for it.
    pub(super) fn look(
        &mut self,
        file: &LedgerFile,
        app: AppId,
    ) -> Result<Option<&App>, StoreFault> {
        Ok(match self.0.entry(app) {
            Entry::Occupied(there) => Some(opened(there.into_mut()).get()),
            Entry::Vacant(free) => match file.app(app)? {
                Some(found) => Some(free.insert(Kept::clean(Form::of(found))).get()),
                None => None,
            },
        })
    }

    /// Puts the app to rest: nobody is at it for now, as far as is known.
    pub(super) fn rest(&mut self, app: AppId) {
        if let Some(kept) = self.0.get_mut(&app) {
            kept.form().rest();
        }
    }

    /// Forgets tombstones that nothing needs any more. Answers whose they were.
    pub(super) fn forget_tombs(&mut self) -> Vec<AppId> {
        let mut apps = Vec::new();
        for (id, app) in self.0.iter_mut().filter(|(_, app)| app.is_changed()) {
            if app.get().look().buried > 0 && opened(app).form().forget_tombs() {
                apps.push(*id);
            }
        }
        apps
    }

    /// The apps of which the file may not know yet.
    pub(super) fn changed(&self) -> impl Iterator<Item = AppId> {
        let changed = self.0.iter().filter(|(_, app)| app.is_changed());
        changed.map(|(id, _)| *id)
    }

    /// Puts all that changed into `batch`; days before `open_from` go to the history.
    pub(super) fn snapshot(&self, open_from: Day, batch: &mut Batch) {
        for (id, app) in self.0.iter().filter(|(_, app)| app.is_changed()) {
            let app = app.get().look();
            batch.apps.push((*id, format::write_app(&app, open_from)));
            for counts in app.days.iter().filter(|counts| counts.day < open_from) {
                if counts.daily_active() > 0 || counts.groups.is_some() {
                    let key = (counts.day.number(), id.get());
                    batch.past_days.push((key, format::write_day(counts)));
                }
            }
            for month in &app.months[..app.past_months(open_from)] {
                let key = (month.month, id.get());
                batch.past_months.push((key, format::write_month(month)));
            }
        }
    }

    /// Takes note that the file has the snapshot of `round`, and forgets what need not stay.
    pub(super) fn saved(&mut self, round: Round, open_from: Day) {
        for app in self.0.values_mut() {
            if let Some(app) = app.saved(round) {
                app.open();
                app.move_to_history(open_from);
                app.rest();
            }
        }
        if self.0.len() > RESIDENT_MAX {
            self.0.retain(|_, app| app.is_changed());
            self.0.shrink_to(RESIDENT_MAX);
        }
    }
}

fn opened(kept: &mut Kept<Form>) -> &mut Kept<Form> {
    kept.form().open();
    kept
}

#[cfg(test)]
mod tests {
    use super::super::checkpoint::Batch;
    use super::super::file::tests::ledger_file;
    use super::super::records::Records;
    use super::*;
    use crate::store::Shard;

    #[test]
    fn an_app_that_changes_while_it_is_written_stays() {
        let (file, _folder) = ledger_file();
        let open_from = Day::from_number(0).unwrap();
        let id = |n: usize| AppId::new(n as u64 + 1).unwrap();
        let (first, second) = (Round::FIRST, Round::FIRST.next());
        let mut apps = Apps::default();
        for n in 0..=RESIDENT_MAX {
            apps.touch(&file, id(n)).unwrap().change(first).live[0] = 1;
        }
        let records = Records::new(Shard::of(id(0))).snapshot();
        let mut batch = Batch::new(first, records);
        apps.snapshot(open_from, &mut batch);
        assert_eq!(batch.apps.len(), RESIDENT_MAX + 1);
        apps.touch(&file, id(3)).unwrap().change(second).live[0] = 2;
        apps.saved(first, open_from);
        // The file of this test has none of them: only what stayed is still known.
        assert_eq!(apps.look(&file, id(3)).unwrap().unwrap().live[0], 2);
        assert!(apps.look(&file, id(4)).unwrap().is_none());
    }
}

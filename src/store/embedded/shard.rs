//! One ledger shard: what is in memory of it, and how that is read and saved.

use rustc_hash::FxHashMap;

use super::actives::Actives;
use super::apps::Apps;
use super::checkpoint::{Batch, Cutoffs};
use super::file::LedgerFile;
use super::freezes::Freezes;
use super::history::{MonthOf, tell};
use super::hold::OpenHolds;
use super::kept::Round;
use super::notes::Beside;
use super::objects::Objects;
use super::record::{Minute, RecordId};
use super::records::Records;
use crate::clock::{Day, Millis};
use crate::quota::AppId;
use crate::store::{Active, Attempt, Cell, Login, Shard, StoreFault, Usage, View};

/// Who calls, and what the call may need.
#[derive(Clone, Copy)]
pub(super) struct Caller<'a> {
    pub(super) file: &'a LedgerFile,
    /// The key under which request ids are hashed.
    pub(super) secret: &'a [u8; 16],
    /// The member's incarnation.
    pub(super) member: u64,
}

/// The state of one shard. Its steps on records are in [`super::steps`].
pub(super) struct LedgerShard {
    pub(super) apps: Apps,
    pub(super) records: Records,
    /// Attempts that were withdrawn: a late arrival does nothing. Attempts never repeat, and a call
    /// never outlives its process, so the file need not know them.
    pub(super) withdrawn: FxHashMap<(u64, Attempt), Minute>,
    pub(super) actives: Actives,
    pub(super) objects: Objects,
    pub(super) holds: OpenHolds,
    pub(super) beside: Beside,
    /// Days before this one are closed: nothing is counted for them any more.
    pub(super) open_from: Day,
    pub(super) round: Round,
    pub(super) freezes: Freezes,
}

impl LedgerShard {
    /// A shard of which nothing is in memory yet.
    pub(super) fn new(shard: Shard, open_from: Day) -> Self {
        Self {
            apps: Apps::default(),
            records: Records::new(shard),
            withdrawn: FxHashMap::default(),
            actives: Actives::default(),
            objects: Objects::default(),
            holds: OpenHolds::default(),
            beside: Beside::default(),
            open_from,
            round: Round::FIRST,
            freezes: Freezes::new(),
        }
    }

    /// `day`, or the first that is open: what is told of a closed one is of that.
    pub(super) fn open_day(&self, day: Day) -> Day {
        day.max(self.open_from)
    }

    /// Takes note of a record that the file has; of an open reservation, its app and when its time is over.
    pub(super) fn note_stored(
        &mut self,
        id: RecordId,
        minute: Minute,
        open: Option<(AppId, Millis)>,
    ) {
        self.records.note_stored(id, minute);
        if let Some((app, until)) = open {
            self.holds.note_stored(id, app, until);
        }
    }

    /// Adds users to their days' sets.
    pub(super) fn record_active(
        &mut self,
        by: Caller<'_>,
        logins: &[Login],
    ) -> Result<Vec<Active>, StoreFault> {
        let mut answers = Vec::with_capacity(logins.len());
        for login in logins {
            let too_late = login.day < self.open_from;
            if too_late {
                self.beside.note(login.app, login.day, 1);
            }
            answers.push(Active {
                newly: !too_late && self.add_login(by.file, login)?,
                too_late,
                daily_active: 0,
            });
        }
        for (answer, login) in answers.iter_mut().zip(logins) {
            answer.daily_active = self.daily_active(by.file, login.app, login.day)?;
        }
        Ok(answers)
    }

    fn add_login(&mut self, file: &LedgerFile, login: &Login) -> Result<bool, StoreFault> {
        let Login { app, day, user } = *login;
        let counts = self.apps.touch(file, app)?;
        let known = counts.get().day(day).map_or(0, |counts| counts.actives);
        let newly = self
            .actives
            .insert(file, (app, day), known, user, self.round)?;
        if newly {
            counts.change(self.round).add_active(day);
        }
        Ok(newly)
    }

    fn daily_active(&mut self, file: &LedgerFile, app: AppId, day: Day) -> Result<u64, StoreFault> {
        let counts = self.apps.look(file, app)?;
        match counts.and_then(|counts| counts.day(day)) {
            Some(counts) => Ok(counts.daily_active()),
            None if day < self.open_from => {
                let past = file.past_day(app, day)?;
                Ok(past.map_or(0, |past| past.daily_active))
            }
            None => Ok(0),
        }
    }

    /// The app's counts, with what the member's own totals contribute.
    pub(super) fn view(
        &mut self,
        by: Caller<'_>,
        app: AppId,
        day: Day,
    ) -> Result<View, StoreFault> {
        let counts = self.apps.look(by.file, app)?;
        let view = counts.map_or_else(View::default, |counts| counts.view(by.member, day));
        Ok(self.freezes.mark(app, view))
    }

    /// The same, of an app that is not counted in for now.
    pub(super) fn glance(
        &mut self,
        by: Caller<'_>,
        app: AppId,
        day: Day,
    ) -> Result<View, StoreFault> {
        let view = self.view(by, app, day);
        self.apps.rest(app);
        view
    }

    /// What GetUsage reads.
    pub(super) fn usage(
        &mut self,
        by: Caller<'_>,
        app: AppId,
        day: Day,
    ) -> Result<Usage, StoreFault> {
        let usage = self.look_up(by, app, day);
        self.apps.rest(app);
        usage
    }

    fn look_up(&mut self, by: Caller<'_>, app: AppId, day: Day) -> Result<Usage, StoreFault> {
        let daily_active = self.daily_active(by.file, app, day)?;
        let notes = self.notes(by.file, app, day.month())?;
        let Some(counts) = self.apps.look(by.file, app)? else {
            return Ok(Usage {
                view: self.freezes.mark(app, View::default()),
                ..Usage::default()
            });
        };
        let open = (counts, self.open_from);
        let (actives, mut groups) = if notes.corrections.is_empty() {
            let month = MonthOf::look(by.file, app, open, day.month())?;
            (month.daily_active().count, month.groups().count)
        } else {
            let month = tell(by.file, app, open, (day.month(), day), notes)?;
            (month.daily_active.count, month.groups.count)
        };
        if counts.is_newest(day.month().number()) {
            groups = groups.max(counts.groups());
        }
        let mine = counts
            .told
            .iter()
            .find(|told| told.member == by.member && told.cell == Cell::Increment(day));
        Ok(Usage {
            view: self.freezes.mark(app, counts.view(by.member, day)),
            daily_active,
            my_increment: mine.map_or(0, |told| told.totals.consumed),
            month_peak_daily_active: actives,
            month_peak_groups: groups,
        })
    }

    /// What changed since the last snapshot; closes the days before `open_from`.
    pub(super) fn snapshot(&mut self, open_from: Day) -> Batch {
        self.open_from = self.open_from.max(open_from);
        let mut batch = Batch::new(self.round, self.records.snapshot());
        batch.too_late = self.beside.snapshot();
        batch.without_tombs = self.apps.forget_tombs();
        batch.objects = self.objects.snapshot();
        self.apps.snapshot(self.open_from, &mut batch);
        self.actives.snapshot(&mut batch);
        self.round = self.round.next();
        batch
    }

    /// Takes note that the file has the snapshot of `round`; [`Records`] are told by themselves.
    pub(super) fn saved(&mut self, round: Round, cutoffs: Cutoffs) {
        self.apps.saved(round, self.open_from);
        self.actives.saved(round, self.open_from);
        self.beside.saved();
        self.withdrawn.retain(|_, minute| *minute >= cutoffs.own);
    }
}

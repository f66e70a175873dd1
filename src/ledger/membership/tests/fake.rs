//! A ledger that follows a script: what it is asked is written down, what it answers is set by the test.

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::clock::{Day, Millis, Month};
use crate::quota::{AppId, ObjectNumber, Registered, RequestId, Resource};
use crate::store::{
    Ack, Active, Adopted, Base, Bases, Beat, Beaten, Cell, CellReport, GiveBack, GivenBack, Hold,
    Installation, Login, Member, MonthHistory, Recovery, RegisterPage, Reply, Report, Roll,
    Settled, Shard, Statement, Store, StoreFault, Take, Taken, Usage, View,
};

/// One call, as it came.
#[derive(Debug, Clone, PartialEq)]
pub enum Call {
    Hello(Member),
    Beat(Beat),
    Settle(Report),
    Restate(Shard, Statement),
    Bases(Shard, u64),
    Fold(Vec<AppId>),
    Leave,
    Logins(Vec<Login>),
}

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is not done, and there is no answer.
    Lost,
    /// It is done, and there is no answer.
    Unanswered,
}

/// The ledger's state, and what it is to say next.
#[derive(Debug, Default)]
pub struct State {
    pub calls: Vec<Call>,
    /// Ends every call with this fault.
    pub fault: Option<StoreFault>,
    /// What becomes of the call of this number, counted from 0 on.
    pub fate: Option<(usize, Fate)>,
    pub epoch: u64,
    pub recovery: Recovery,
    pub leased: bool,
    pub roll: Roll,
    /// Whether a fellow takes up every news at once.
    pub fellow: bool,
    pub notices: Vec<(AppId, u64)>,
    pub recalls: Vec<AppId>,
    pub bases: Vec<Base>,
    /// The member that said hello last.
    pub by: u64,
    /// The groups that each member counted in an app, while the shard takes its reports.
    pub groups: BTreeMap<(u64, AppId), i64>,
    /// What members that left counted.
    pub folded: i64,
    pub takes_no_report_of: BTreeSet<(u64, u16)>,
    pub users: BTreeSet<(AppId, u128)>,
}

impl State {
    /// All groups that are counted.
    pub fn total(&self) -> i64 {
        self.folded + self.groups.values().sum::<i64>()
    }

    pub fn beats(&self) -> Vec<Beat> {
        let beats = self.calls.iter().filter_map(|call| match call {
            Call::Beat(beat) => Some(beat.clone()),
            _ => None,
        });
        beats.collect()
    }

    fn hear(&mut self, shard: Shard, app: AppId, cells: &[CellReport]) {
        if self.takes_no_report_of.contains(&(self.by, shard.number())) {
            return;
        }
        for report in cells {
            if report.cell == Cell::Live(Resource::Group) {
                let known = self.groups.entry((self.by, app)).or_default();
                *known = (*known).max(report.totals.net());
            }
        }
    }
}

/// The fake. Clones are the same ledger.
#[derive(Debug, Clone, Default)]
pub struct Fake(Arc<Mutex<State>>);

impl Fake {
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Writes a call down and does it, unless the script says otherwise.
    fn answer<T: Send + 'static>(
        &self,
        call: Call,
        then: impl FnOnce(&mut State) -> T,
    ) -> Reply<'_, T> {
        let mut state = self.state();
        let number = state.calls.len();
        state.calls.push(call);
        if let Some(fault) = state.fault.clone() {
            return Box::pin(async move { Err(fault) });
        }
        match state.fate {
            Some((at, Fate::Lost)) if number >= at => Box::pin(pending()),
            Some((at, Fate::Unanswered)) if number == at => {
                then(&mut state);
                Box::pin(pending())
            }
            Some((at, Fate::Unanswered)) if number > at => Box::pin(pending()),
            _ => {
                let answer = then(&mut state);
                Box::pin(async move {
                    // A call takes a moment, in which others come.
                    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
                    Ok(answer)
                })
            }
        }
    }
}

impl Store for Fake {
    fn hello<'a>(
        &'a self,
        member: &'a Member,
        remembered: Option<Installation>,
        _now: Millis,
    ) -> Reply<'a, Installation> {
        let by = member.incarnation;
        self.answer(Call::Hello(member.clone()), move |state| {
            state.by = by;
            remembered.unwrap_or(Installation {
                id: 1,
                user_key: [2; 16],
            })
        })
    }

    fn take<'a>(&'a self, _take: &'a Take, _now: Millis) -> Reply<'a, Taken> {
        Box::pin(pending())
    }

    fn release<'a>(&'a self, _give_back: &'a GiveBack, _now: Millis) -> Reply<'a, GivenBack> {
        Box::pin(pending())
    }

    fn settle<'a>(
        &'a self,
        shard: Shard,
        report: &'a Report,
        _day: Day,
        _now: Millis,
    ) -> Reply<'a, Settled> {
        self.answer(Call::Settle(report.clone()), |state| {
            for app in &report.apps {
                state.hear(shard, app.app, &app.cells);
            }
            Settled {
                views: vec![View::default(); report.apps.len()],
                acks: vec![Ack::Counted; report.answered.len()],
                too_late: Vec::new(),
            }
        })
    }

    fn beat<'a>(&'a self, beat: &'a Beat) -> Reply<'a, Beaten> {
        self.answer(Call::Beat(beat.clone()), |state| {
            let by = state.by;
            let gone = state.roll.gone.contains(&by);
            if !gone && !state.roll.present.contains_key(&by) {
                state.roll.present.insert(by, format!("member-{by}").into());
                state.roll.version += 1;
            }
            let newer = beat.epoch < state.epoch || beat.roll_version < state.roll.version;
            Beaten {
                epoch: state.epoch,
                recovery: state.recovery,
                leased: state.leased && !gone && !beat.leaving,
                gone,
                roll: newer.then(|| state.roll.clone()),
                news: state.roll.news,
                news_elsewhere: if state.fellow { state.roll.news } else { 0 },
                notices: state.notices.clone(),
                recalls: state.recalls.clone(),
            }
        })
    }

    fn restate<'a>(&'a self, shard: Shard, statement: &'a Statement, _day: Day) -> Reply<'a, ()> {
        self.answer(Call::Restate(shard, statement.clone()), |state| {
            for app in &statement.apps {
                state.hear(shard, app.app, &app.cells);
            }
        })
    }

    fn bases(&self, shard: Shard, since: u64) -> Reply<'_, Bases> {
        self.answer(Call::Bases(shard, since), |state| {
            let of = |base: &&Base| Shard::of(base.app) == shard;
            let all: Vec<Base> = state.bases.iter().filter(of).copied().collect();
            Bases {
                upto: all.iter().map(|base| base.version).max().unwrap_or(0),
                changed: all
                    .into_iter()
                    .filter(|base| base.version > since)
                    .collect(),
            }
        })
    }

    fn fold<'a>(&'a self, shard: Shard, apps: &'a [AppId]) -> Reply<'a, ()> {
        self.answer(Call::Fold(apps.to_vec()), |state| {
            let by = state.by;
            state.takes_no_report_of.insert((by, shard.number()));
            for app in apps {
                state.folded += state.groups.remove(&(by, *app)).unwrap_or(0);
            }
        })
    }

    fn leave(&self) -> Reply<'_, u64> {
        self.answer(Call::Leave, |state| {
            let by = state.by;
            if state.roll.gone.insert(by) {
                state.roll.present.remove(&by);
                state.roll.version += 1;
                state.roll.news += 1;
            }
            state.roll.news
        })
    }

    fn recall(&self, _app: AppId) -> Reply<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn record_active<'a>(
        &'a self,
        _shard: Shard,
        logins: &'a [Login],
        _now: Millis,
    ) -> Reply<'a, Vec<Active>> {
        self.answer(Call::Logins(logins.to_vec()), |state| {
            let told = logins.iter().map(|login| Active {
                newly: state.users.insert((login.app, login.user)),
                too_late: false,
                daily_active: 1,
            });
            told.collect()
        })
    }

    fn hold<'a>(&'a self, _: AppId, _: &'a RequestId, _: Millis) -> Reply<'a, Option<Hold>> {
        Box::pin(pending())
    }

    fn holds(&self, _: AppId, _: usize, _: Millis) -> Reply<'_, Vec<Hold>> {
        Box::pin(pending())
    }

    fn knows_object(&self, _: AppId, _: ObjectNumber) -> Reply<'_, bool> {
        Box::pin(pending())
    }

    fn adopt<'a>(
        &'a self,
        _: AppId,
        _: Resource,
        _: &'a [ObjectNumber],
        _: Millis,
    ) -> Reply<'a, Vec<Adopted>> {
        Box::pin(pending())
    }

    fn usage(&self, _app: AppId, _day: Day, _now: Millis) -> Reply<'_, Usage> {
        Box::pin(async { Ok(Usage::default()) })
    }

    fn month(&self, _: AppId, _: Month, _: Day, _: Millis) -> Reply<'_, MonthHistory> {
        Box::pin(pending())
    }

    fn register(&self, since: u64) -> Reply<'_, RegisterPage> {
        Box::pin(async move {
            Ok(RegisterPage {
                next: since,
                ..RegisterPage::default()
            })
        })
    }

    fn state_register<'a>(&'a self, _: &'a [Registered]) -> Reply<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    fn glance(&self, _app: AppId, _day: Day) -> Option<View> {
        None
    }

    fn checkpoint(&self, _log_from: Millis) -> Reply<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn is_local(&self) -> bool {
        false
    }
}

//! What every test needs: a server, members on it, and short words for the trait's values.

use std::sync::Arc;
use std::time::Duration;

use imquota::clock::{Clock, Day, Millis, Zone};
use imquota::config::{RedisUrl, Topology};
use imquota::quota::{Amount, AppId, Charge, Counter, Limit, Limits, RequestId, Resource};
use imquota::store::redis::{Create, Pace, RedisOptions, RedisStore};
use imquota::store::{
    Abort, Ack, Answered, AppReport, Attempt, Beat, Beaten, Cell, CellReport, Escrow, Fingerprint,
    Gave, GiveBack, GivenBack, Installation, Member, RecordKey, Recovery, Report, Roll, Settled,
    Shard, Statement, Store, StoreFault, Take, Taken, Totals, Usage, View, Wish,
};

use crate::redis_server::RedisServer;

/// Time is the server's own: what the trait hands over is not looked at.
pub const NOW: Millis = Millis(0);

/// A member with a store of its own, as one sidecar has it.
pub struct Sidecar {
    pub store: RedisStore,
    pub member: Member,
}

pub fn single(url: &str) -> Topology {
    Topology::Single(RedisUrl::parse(url).expect("a URL of Redis"))
}

pub fn options(url: &str) -> RedisOptions {
    RedisOptions {
        // Far above what a busy test machine needs, so that no test depends on its pace.
        response_timeout: Duration::from_secs(10),
        ..RedisOptions::new(single(url), "imquota".to_owned(), zone(), Create::Auto)
    }
}

/// With times that a test can wait for. Newcomers wait for a witness for ever.
pub fn quick(url: &str) -> RedisOptions {
    RedisOptions {
        pace: Pace {
            lease_ttl: 50,
            witness_wait: 0,
            patience: 600,
            silence: 300,
        },
        ..options(url)
    }
}

impl Sidecar {
    /// A sidecar that waits for nothing long, and has met the ledger.
    pub async fn quick(number: u64, server: &RedisServer, known: Option<Installation>) -> Self {
        let sidecar = Self::with(number, quick(&server.unix_url()));
        sidecar.hello(known).await.unwrap();
        sidecar
    }

    pub fn with(number: u64, options: RedisOptions) -> Self {
        Self {
            store: RedisStore::new(options, Arc::new(Clock::default())).unwrap(),
            member: Member {
                name: format!("sidecar-{number}").into(),
                incarnation: number,
                boot: 1,
                leaves: false,
            },
        }
    }

    pub fn new(number: u64, server: &RedisServer) -> Self {
        Self::with(number, options(&server.url()))
    }

    /// A sidecar that remembers nothing and has met the ledger.
    pub async fn fresh(number: u64, server: &RedisServer) -> (Self, Installation) {
        let sidecar = Self::new(number, server);
        let installation = sidecar.hello(None).await.unwrap();
        (sidecar, installation)
    }

    pub async fn hello(&self, known: Option<Installation>) -> Result<Installation, StoreFault> {
        self.store.hello(&self.member, known, NOW).await
    }

    /// How often a call failed in this way.
    pub fn troubles(&self, kind: &str) -> u64 {
        let counts = self.store.calls().expect("it is another process").counts();
        let of = counts.failed.iter().find(|(name, _)| *name == kind);
        of.expect("it is counted").1
    }

    pub async fn take(&self, take: &Take) -> Result<Taken, StoreFault> {
        self.store.take(take, NOW).await
    }

    pub async fn release(&self, back: &GiveBack) -> Result<GivenBack, StoreFault> {
        self.store.release(back, NOW).await
    }

    /// Settles a report of one app's shard.
    pub async fn settle(&self, report: &Report, day: Day) -> Result<Settled, StoreFault> {
        let app = report
            .apps
            .first()
            .map(|app| app.app)
            .or(report.answered.first().map(|answered| answered.take.app))
            .or(report.aborts.first().map(|abort| abort.app))
            .or(report.gave.first().map(|gave| gave.app))
            .expect("a report of something");
        self.store.settle(Shard::of(app), report, day, NOW).await
    }

    /// Settles cells of one app.
    pub async fn tell_cells(&self, app: AppId, cells: Vec<CellReport>) -> View {
        let report = Report {
            apps: vec![app_report(app, cells)],
            ..Report::default()
        };
        self.settle(&report, today()).await.unwrap().views[0]
    }

    /// Settles one cell of one app.
    pub async fn tell(
        &self,
        app: AppId,
        cell: Cell,
        consumed: u64,
        released: u64,
        high: i64,
    ) -> View {
        let mut report = cell_report(cell, consumed, released);
        report.high = high;
        self.tell_cells(app, vec![report]).await
    }

    /// Settles a cell's account.
    pub async fn account(&self, app: AppId, cell: Cell, totals: Totals, escrow: Escrow) -> View {
        let report = CellReport {
            escrow: Some(escrow),
            ..cell_report(cell, totals.consumed, totals.released)
        };
        self.tell_cells(app, vec![report]).await
    }

    /// Wishes for units of app 1's accounts, with the account as it is; how many are lent in all.
    pub async fn wish(&self, escrow: Escrow, units: u64, limit: u64) -> View {
        let report = CellReport {
            escrow: Some(escrow),
            wish: Some(Wish {
                units,
                limit,
                edition: 0,
            }),
            ..cell_report(Cell::Live(Resource::Account), 0, 0)
        };
        self.tell_cells(app(1), vec![report]).await
    }

    /// States that a take was answered with ALLOW; in which generation the sums of the report contain it.
    pub async fn says_answered(
        &self,
        take: &Take,
        contained: Option<u64>,
        apps: Vec<AppReport>,
    ) -> Ack {
        let report = Report {
            apps,
            answered: vec![Answered {
                take: take.clone(),
                refused: None,
                contained,
            }],
            ..Report::default()
        };
        self.settle(&report, today()).await.unwrap().acks[0]
    }

    /// States that a take was answered with ALLOW, with the sums of a member for whom it was the only one.
    pub async fn answered(&self, take: &Take) -> Ack {
        let amount = u64::from(take.charge.amount().get());
        self.answered_among(take, amount).await
    }

    /// The same, with `taken` in the sums of each of its counters.
    pub async fn answered_among(&self, take: &Take, taken: u64) -> Ack {
        let cells = take.charge.parts().iter().map(|part| CellReport {
            escrow: Some(Escrow {
                taken,
                ..Escrow::default()
            }),
            ..cell_report(cell_of(part.counter, take.day), 0, 0)
        });
        let apps = vec![app_report(take.app, cells.collect())];
        self.says_answered(take, Some(0), apps).await
    }

    pub async fn abort(&self, take: &Take) {
        let report = Report {
            aborts: vec![Abort::of(take)],
            ..Report::default()
        };
        self.settle(&report, today()).await.unwrap();
    }

    /// States that sums contain a release.
    pub async fn gave(&self, back: &GiveBack, apps: Vec<AppReport>) -> Settled {
        let report = Report {
            apps,
            gave: vec![Gave {
                app: back.app,
                key: back.key.clone(),
            }],
            ..Report::default()
        };
        self.settle(&report, today()).await.unwrap()
    }

    pub async fn beat(&self, beat: &Beat) -> Result<Beaten, StoreFault> {
        self.store.beat(beat).await
    }

    /// Beats as a member that has nothing to tell, which has a journal from before.
    pub async fn beats(&self) -> Beaten {
        self.beat(&Beat::default()).await.unwrap()
    }

    /// States something to the shard of app 1, and nothing to all others.
    pub async fn states(&self, statement: &Statement) {
        let nothing = Statement::default();
        for shard in Shard::all() {
            let part = if shard == Shard::of(app(1)) {
                statement
            } else {
                &nothing
            };
            self.store.restate(shard, part, today()).await.unwrap();
        }
    }

    /// States, says so with `beat`, and beats on until the recovery is not open any more.
    pub async fn recovers(&self, statement: &Statement, beat: Beat) -> Beaten {
        let begun = self.beats().await;
        self.states(statement).await;
        let beat = Beat {
            restated: begun.epoch,
            ..beat
        };
        self.until(&beat, |beaten| beaten.recovery != Recovery::Open)
            .await
    }

    /// Beats until the answer is as wished.
    pub async fn until(&self, beat: &Beat, is_it: impl Fn(&Beaten) -> bool) -> Beaten {
        for _ in 0..1000 {
            let beaten = self.beat(beat).await.unwrap();
            if is_it(&beaten) {
                return beaten;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{beat:?} never gets there: {:?}", self.beat(beat).await);
    }

    pub async fn usage(&self, app: AppId) -> Usage {
        self.store.usage(app, today(), NOW).await.unwrap()
    }
}

pub fn app_report(app: AppId, cells: Vec<CellReport>) -> AppReport {
    AppReport {
        app,
        cells,
        acks_freeze: None,
        plan: None,
    }
}

pub fn cell_report(cell: Cell, consumed: u64, released: u64) -> CellReport {
    CellReport {
        cell,
        totals: Totals { consumed, released },
        high: consumed.saturating_sub(released).cast_signed(),
        escrow: None,
        wish: None,
    }
}

pub fn cell_of(counter: Counter, day: Day) -> Cell {
    match counter {
        Counter::Accounts => Cell::Live(Resource::Account),
        Counter::Groups => Cell::Live(Resource::Group),
        Counter::AvRooms => Cell::Live(Resource::AvRoom),
        Counter::GroupsGained => Cell::Gained(day),
    }
}

pub fn zone() -> Zone {
    Zone::parse("+08:00").unwrap()
}

pub fn today() -> Day {
    zone().day(Clock::system())
}

pub fn days_ago(days: i32) -> Day {
    Day::from_number(today().number() - days).unwrap()
}

pub fn app(id: u64) -> AppId {
    AppId::new(id).unwrap()
}

pub fn client(id: &str) -> RecordKey {
    RecordKey::Client(RequestId::parse(id).unwrap())
}

pub fn limits(accounts: u64, av_rooms: u64, gained: u64) -> Limits {
    Limits {
        accounts: Limit::AtMost(accounts),
        av_rooms: Limit::AtMost(av_rooms),
        groups_gained_daily: Limit::AtMost(gained),
        ..Limits::UNLIMITED
    }
}

/// A take of app 1 for `amount` objects under `limits`.
pub fn take(
    key: &RecordKey,
    attempt: u64,
    resource: Resource,
    amount: u32,
    limits: &Limits,
) -> Take {
    Take {
        app: app(1),
        key: key.clone(),
        fingerprint: Fingerprint(u64::from(amount) << 8 | resource as u64),
        attempt: Attempt(attempt),
        charge: Charge::new(resource, Amount::from_wire(amount).unwrap(), limits),
        day: today(),
        intent: imquota::store::Intent::Count,
        note: None,
    }
}

pub fn give_back(key: &RecordKey, resource: Resource, amount: u32) -> GiveBack {
    GiveBack {
        app: app(1),
        key: key.clone(),
        fingerprint: Fingerprint(u64::from(amount) << 8 | resource as u64 | 1 << 40),
        resource,
        amount: Amount::from_wire(amount).unwrap(),
        given: None,
        groups_follow: resource != Resource::Account,
        day: today(),
        object: None,
        rooms_are_groups: true,
    }
}

pub fn allowed(taken: &Taken) -> bool {
    matches!(taken, Taken::Allowed { .. })
}

/// A take of one account under a limit that is far away.
pub async fn try_take(sidecar: &Sidecar, attempt: u64) -> Result<Taken, StoreFault> {
    let rules = limits(1000, 0, 0);
    let key = client(&format!("id-{}-{attempt}", sidecar.member.incarnation));
    sidecar
        .take(&take(&key, attempt, Resource::Account, 1, &rules))
        .await
}

/// The header of an app's shard.
pub fn header(app: AppId) -> String {
    format!("{{imquota:{:02x}}}:v3:h", Shard::of(app).number())
}

/// What a member states of app 1's accounts.
pub fn states_accounts(consumed: u64, sums: Escrow) -> Statement {
    Statement {
        apps: vec![app_report(
            app(1),
            vec![CellReport {
                escrow: Some(sums),
                ..cell_report(Cell::Live(Resource::Account), consumed, 0)
            }],
        )],
        ..Statement::default()
    }
}

pub fn roll_of(version: u64, present: &[u64]) -> Roll {
    Roll {
        version,
        present: present
            .iter()
            .map(|&incarnation| (incarnation, format!("sidecar-{incarnation}").into()))
            .collect(),
        ..Roll::default()
    }
}

pub fn with_roll(roll: Roll) -> Beat {
    Beat {
        roll_version: roll.version,
        roll: Some(roll),
        ..Beat::default()
    }
}

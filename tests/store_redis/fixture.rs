//! What every test needs: a server, members on it, and short words for the trait's values.

use std::sync::Arc;
use std::time::Duration;

use imquota::clock::{Clock, Day, Millis, Zone};
use imquota::quota::{Amount, AppId, Charge, Limit, Limits, RequestId, Resource};
use imquota::store::redis::{Create, RedisOptions, RedisStore};
use imquota::store::{
    Abort, Answered, AppReport, Attempt, Cell, CellReport, Fingerprint, GiveBack, GivenBack,
    Installation, Member, RecordKey, Report, Shard, Store, StoreFault, Take, Taken, Totals, Usage,
    View,
};

use crate::redis_server::RedisServer;

/// Time is the server's own: what the trait hands over is not looked at.
pub const NOW: Millis = Millis(0);

/// A member with a store of its own, as one sidecar has it.
pub struct Sidecar {
    pub store: RedisStore,
    pub member: Member,
}

pub fn options(url: &str) -> RedisOptions {
    RedisOptions {
        url: url.to_owned(),
        key_prefix: "imquota".to_owned(),
        zone: Zone::parse("+08:00").unwrap(),
        create: Create::Auto,
        // Far above what a busy test machine needs, so that no test depends on its pace.
        response_timeout: Duration::from_secs(10),
    }
}

impl Sidecar {
    pub fn with(number: u64, options: RedisOptions) -> Self {
        Self {
            store: RedisStore::new(options, Arc::new(Clock::default())).unwrap(),
            member: Member {
                name: format!("sidecar-{number}").into(),
                incarnation: number,
                boot: 1,
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

    pub async fn take(&self, take: &Take) -> Result<Taken, StoreFault> {
        self.store.take(take, NOW).await
    }

    pub async fn release(&self, back: &GiveBack) -> Result<GivenBack, StoreFault> {
        self.store.release(back, NOW).await
    }

    /// Settles a report of one app's shard.
    pub async fn settle(&self, report: &Report, day: Day) -> Result<Vec<View>, StoreFault> {
        let app = report
            .apps
            .first()
            .map(|app| app.app)
            .or(report.answered.first().map(|answered| answered.take.app))
            .or(report.aborts.first().map(|abort| abort.app))
            .expect("a report of something");
        self.store.settle(Shard::of(app), report, day, NOW).await
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
        let report = Report {
            apps: vec![AppReport {
                app,
                cells: vec![CellReport {
                    cell,
                    totals: Totals { consumed, released },
                    high,
                }],
            }],
            ..Report::default()
        };
        self.settle(&report, today()).await.unwrap()[0]
    }

    /// States that a take was answered with ALLOW.
    pub async fn answered(&self, take: &Take) {
        let report = Report {
            answered: vec![Answered {
                take: take.clone(),
                refused: None,
            }],
            ..Report::default()
        };
        self.settle(&report, today()).await.unwrap();
    }

    pub async fn abort(&self, take: &Take) {
        let report = Report {
            aborts: vec![Abort {
                app: take.app,
                key: take.key.clone(),
                attempt: take.attempt,
            }],
            ..Report::default()
        };
        self.settle(&report, today()).await.unwrap();
    }

    pub async fn usage(&self, app: AppId) -> Usage {
        self.store.usage(app, today(), NOW).await.unwrap()
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
    }
}

pub fn allowed(taken: &Taken) -> bool {
    matches!(taken, Taken::Allowed { .. })
}

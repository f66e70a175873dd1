//! What a check is made of, done so many times and nothing else, so that what that takes can be counted.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;
use imquota::admission::{Admission, Check, CheckMode, Source};
use imquota::clock::{Clock, Day, Machine, Millis, Zone};
use imquota::config::RedisUrl;
use imquota::config::Topology;
use imquota::grpc::codec::{Asked, put_answer};
use imquota::grpc::proto::{CheckRequest, CheckResponse, Decision, Resource as Named};
use imquota::ledger::{Folder, Ledger, Parts, Saving};
use imquota::quota::{
    Amount, AppId, AppSpec, Limits, Plan, PlanName, RequestId, Resource, Rulebook,
};
use imquota::store::embedded::EmbeddedStore;
use imquota::store::redis::{Create, RedisOptions, RedisStore};
use imquota::store::{AppReport, Cell, CellReport, Report, Totals};
use prost::Message as _;

use crate::Failure;

/// When it is: always the same, so that nothing depends on it.
const NOW: Millis = Millis(1_790_000_000_000);
/// How many apps, and of repetitions how many ids, are asked for in turn.
const APPS: u64 = 64;

/// What is done, and how often.
#[derive(Debug, clap::Args)]
pub(crate) struct Counted {
    what: Work,
    #[arg(long)]
    times: u64,
}

/// One part of a check.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Work {
    /// A creation that no limit guards is decided, counted and journaled under a new id.
    Decision,
    /// The same under an id that is remembered.
    Repetition,
    /// A request is read, and an answer written.
    Codec,
    /// The sums of 64 apps are composed as they are told to Redis.
    Report,
}

impl Counted {
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self.what {
            Work::Decision => decide(self.times, u64::MAX),
            Work::Repetition => decide(self.times, APPS),
            Work::Codec => code(self.times),
            Work::Report => report(self.times),
        }
    }
}

/// A machine on which no time passes.
#[derive(Debug)]
struct Still;

impl Machine for Still {
    fn wall(&self) -> Millis {
        NOW
    }

    fn steady(&self) -> Duration {
        Duration::from_secs(1)
    }
}

fn app(number: u64) -> Result<AppId, Failure> {
    Ok(AppId::new(1 + number % APPS).ok_or("not 0")?)
}

/// A UUID of version 7 that was made just now.
fn uuid(number: u64) -> String {
    let ms = NOW.0.cast_unsigned();
    let (high, low) = (ms >> 16, ms & 0xffff);
    format!("{high:08x}-{low:04x}-7000-8000-{number:012x}")
}

/// Decides checks of which the first `ids` have an id of their own.
fn decide(times: u64, ids: u64) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let runtime = crate::sidecar::runtime()?;
    let _entered = runtime.enter();
    let ledger = Arc::new(ledger(&folder)?);
    runtime.block_on(ledger.meet())?;
    let admission = Admission::new(ledger, Duration::from_millis(500));
    for number in 0..times {
        let check = Check {
            app: app(number)?,
            resource: Resource::Account,
            amount: Amount::ONE,
            request_id: Some(RequestId::parse(&uuid(number % ids))?),
            resource_id: None,
            mode: CheckMode::Count,
        };
        let decided = admission.without_waiting(black_box(&check))?;
        let verdict = decided.map_err(|_| "a check from memory waits for nothing")?;
        if verdict.source != Source::Memory || verdict.replayed != (number >= ids) {
            return Err(format!("check {number} was answered with {verdict:?}").into());
        }
    }
    Ok(())
}

fn ledger(folder: &tempfile::TempDir) -> Result<Ledger, Failure> {
    let zone = zone()?;
    let store = EmbeddedStore::open(&folder.path().join("ledger.redb"), zone.clone())?;
    let plan = Arc::new(Plan {
        name: PlanName::parse("any").ok_or("a name")?,
        limits: Limits::UNLIMITED,
        fees: Vec::new(),
    });
    let rules = AppSpec::of(plan.name.clone()).rules(&plan, 0);
    let parts = Parts {
        clock: Arc::new(Clock::of(Arc::new(Still))),
        zone,
        rules: Rulebook {
            unknown: Some(Arc::new(rules)),
            ..Rulebook::default()
        },
        store: Arc::new(store),
        member: "counted".into(),
        saving: Saving::Beside,
    };
    let (ledger, _queues) = Ledger::open(Folder::lock(folder.path())?, parts)?;
    Ok(ledger)
}

fn zone() -> Result<Zone, Failure> {
    Ok(Zone::parse("+08:00").ok_or("a fixed offset")?)
}

fn code(times: u64) -> Result<(), Failure> {
    let question = CheckRequest {
        app_id: 1_500_000_000,
        resource: Named::Account.into(),
        request_id: uuid(1),
        ..CheckRequest::default()
    };
    let question = question.encode_to_vec();
    let mut answer = CheckResponse {
        decision: Decision::Allow.into(),
        source: imquota::grpc::proto::Source::Memory.into(),
        ..CheckResponse::default()
    };
    let mut written = Vec::new();
    for used in 0..times {
        let asked = Asked::read(black_box(&question)).ok_or("it is plain")?;
        answer.used = asked.app_id + used;
        written.clear();
        put_answer(black_box(&answer), &mut written);
        black_box(&written);
    }
    Ok(())
}

fn report(times: u64) -> Result<(), Failure> {
    let topology = Topology::Single(RedisUrl::parse("redis://127.0.0.1/0")?);
    let options = RedisOptions::new(topology, "imquota".into(), zone()?, Create::Auto);
    let store = RedisStore::new(options, Arc::default())?;
    let (day, cell) = (Day::EPOCH, Cell::Live(Resource::Account));
    let apps = (0..APPS).map(|number| {
        let totals = Totals {
            consumed: 1_000 + number,
            released: 7,
        };
        let cells = vec![CellReport {
            cell,
            totals,
            high: totals.net(),
            escrow: None,
            wish: None,
        }];
        Ok::<_, Failure>(AppReport {
            app: app(number)?,
            cells,
            acks_freeze: None,
            plan: None,
        })
    });
    let report = Report {
        apps: apps.collect::<Result<_, _>>()?,
        ..Report::default()
    };
    for _ in 0..times {
        black_box(store.composed(black_box(&report), day)?);
    }
    Ok(())
}

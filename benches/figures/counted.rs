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
    /// The same by the code that is generated.
    Generated,
    /// The sums of 64 apps are composed as they are told to Redis.
    Report,
}

impl Counted {
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self.what {
            Work::Decision => decide(self.times, u64::MAX),
            Work::Repetition => decide(self.times, APPS),
            Work::Codec => code(self.times, by_hand),
            Work::Generated => code(self.times, as_generated),
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
const UUID: [u8; 36] = *b"01a0c450-6c00-7000-8000-000000000000";
/// The last so many of its digits are of a number.
const NUMBER_DIGITS: usize = 12;

/// Such a UUID, another for each number. Written so, it takes a small part of what is counted.
fn uuid(mut number: u64, text: &mut [u8; 36]) -> Result<&str, Failure> {
    for digit in text.iter_mut().rev().take(NUMBER_DIGITS) {
        *digit = b"0123456789abcdef"[(number % 16) as usize];
        number /= 16;
    }
    Ok(std::str::from_utf8(text)?)
}

/// Decides checks of which the first `ids` have an id of their own.
fn decide(times: u64, ids: u64) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let runtime = crate::sidecar::runtime()?;
    let _entered = runtime.enter();
    let ledger = Arc::new(ledger(&folder)?);
    runtime.block_on(ledger.meet())?;
    let admission = Admission::new(ledger, Duration::from_millis(500));
    let mut text = UUID;
    for number in 0..times {
        let check = Check {
            app: app(number)?,
            resource: Resource::Account,
            amount: Amount::ONE,
            request_id: Some(RequestId::parse(uuid(number % ids, &mut text)?)?),
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

/// Reads a request, and writes the answer to it. What the app was.
type Way = fn(&[u8], &mut CheckResponse, &mut Vec<u8>) -> Result<u64, Failure>;

fn by_hand(question: &[u8], answer: &mut CheckResponse, to: &mut Vec<u8>) -> Result<u64, Failure> {
    let asked = Asked::read(question).ok_or("it is plain")?;
    put_answer(answer, to);
    Ok(asked.app_id)
}

fn as_generated(
    question: &[u8],
    answer: &mut CheckResponse,
    to: &mut Vec<u8>,
) -> Result<u64, Failure> {
    let asked = CheckRequest::decode(question)?;
    answer.encode(to)?;
    Ok(asked.app_id)
}

fn code(times: u64, way: Way) -> Result<(), Failure> {
    let question = CheckRequest {
        app_id: 1_500_000_000,
        resource: Named::Account.into(),
        request_id: uuid(1, &mut { UUID })?.into(),
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
        answer.used = used;
        written.clear();
        let app = way(black_box(&question), black_box(&mut answer), &mut written)?;
        black_box((app, &written));
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

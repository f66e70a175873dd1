//! The shared ledger in Redis: server-side steps, many members.
//!
//! Each call is one script, which Redis runs as one atomic step, or some of them where it speaks of many apps: none takes
//! more than about 2 ms of it, but for a thousand new users of one app, who take 4.
//! Limits and peaks are judged there, by the server's clock. The connection is driven by the runtime
//! on which [`Store::hello`] was called.
//!
//! # Keys
//!
//! Apps are spread over [`SHARDS`](super::SHARDS) shards; all keys of shard `SS` (hexadecimal) share
//! the hash tag `{PREFIX:SS}`. Each begins with its tag and the layout's version, `v3`.
//!
//! | key | kind | what | goes |
//! |---|---|---|---|
//! | `{PREFIX}:v3:meta` | hash | installation, user key, zone, shards, format, run, epoch, the roll | never |
//! | `{PREFIX}:v3:members` | hash | each member: process, last beat, name, what it has heard and restated | 30 days after it is gone |
//! | `{PREFIX}:v3:notices` | hash | apps that are frozen by a recount | with the freeze |
//! | `{PREFIX}:v3:recalls` | sorted set | apps in which somebody starves, by when | after 3 s |
//! | `{PREFIX:00}:v3:reg` | hash | the apps that operators registered, the deleted ones too | never |
//! | `{PREFIX:00}:v3:rego` | sorted set | the same apps, in the order of their last change | never |
//! | `{PREFIX:SS}:v3:h` | hash | the shard's header: installation, epoch, seq, steps of each member, who is gone | never |
//! | `{PREFIX:SS}:v3:apps` | sorted set | the shard's apps, by the version of their newest base | never |
//! | `{PREFIX:SS}:v3:f` | list | records that came to rest, in order | as they are folded |
//! | `{PREFIX:SS}:v3:u` | list | what operators did, the newest first | the oldest of 1,000 |
//! | `{PREFIX:SS}:v3:a:APP` | hash | counts, bases, each member's sums | never |
//! | `{PREFIX:SS}:v3:r:APP` | hash | records by request id | when folded, after the id window |
//! | `{PREFIX:SS}:v3:o:APP` | set | the ids of records that are charged | as they come to rest |
//! | `{PREFIX:SS}:v3:e:APP` | sorted set | the ids of open reservations, by when they expire | as they end |
//! | `{PREFIX:SS}:v3:t:APP` | hash | how many of what is counted have names; the shape of the sets of these | never |
//! | `{PREFIX:SS}:v3:t:APP:S:N` | set | bucket N of set S: accounts, groups, AV rooms; two of tombstones | as they are deleted |
//! | `{PREFIX:SS}:v3:g:APP:DAY` | hash | groups gained on a day, each member's sums | 72 h after its day |
//! | `{PREFIX:SS}:v3:m:APP:MONTH` | hash | what was carried in, peaks, each day's groups and users | its days after 13 months, it after 120, or as the settings say |
//! | `{PREFIX:SS}:v3:b:APP:MONTH` | hash | the bill of the month, once it is written | with the month |
//! | `{PREFIX:SS}:v3:d:APP:DAY` | hash | a day's users: how many, increments, shape | 72 h after its day |
//! | `{PREFIX:SS}:v3:d:APP:DAY:N` | set | bucket N of them | 72 h after its day |
//!
//! `DAY` counts from 1970-01-01, `MONTH` from year 0. The fields are described in the scripts that use
//! them: `guard`, `counts`, `month`, `plan`, `record`, `hold`, `objects`, `users`, `audit`; `roll` has those of the
//! meta key.
//!
//! A user of Redis needs these keys, `+@connection`, `+eval`, `+evalsha`, `+script|load`, `+script|exists`, `+info`, `+time`,
//! `+expireat`, `+del`, `+@hash`, `+@set`, `+@sortedset` and `+@list`; with `+config|get` the store
//! learns how large integer sets may be, where that is not the default.
//!
//! # What a forgetful Redis cannot hide
//!
//! A *recovery* opens, by the next beat of any member, when
//!
//! - the server's run (`run_id:master_replid`) is not the one that the meta key names. A connection reads it
//!   before its first call, and no other call goes over it before a hello has found it to be the known one, or a
//!   beat has looked at it;
//! - the meta key is gone, which a member with a journal makes again;
//! - a shard's header is gone, or shows fewer writes than a member has seen in the epoch, or a member knows of
//!   a recount that the shard does not.
//!
//! Each has an epoch of its own, which every call carries. A shard follows with the first call that
//! names it: until then, and for callers who are behind, it does nothing. While it is open takes, releases and
//! reports are refused; users are still recorded. The beat closes it; see `beat.lua`, and the protocol's page.
//!
//! # One process for each member
//!
//! A member's sums and records have one writer. The members' key has its newest boot and that process'
//! nonce: an older boot, or the same one with another nonce (a copy of the data folder), is answered
//! `Fenced` at its hello and at its beat, and takes no further part.
//!
//! A process that takes over from one on another machine has no lease before that one's last must have ended. On
//! one machine, which its kernel names, the data folder's lock proves that the older process is dead: a restart
//! waits for nothing.
//!
//! # What it does not cover
//!
//! - A copy of a running sidecar's data folder has a newer boot than the sidecar: it takes over, and
//!   the sidecar goes on until its own next beat.
//! - A newcomer that reaches a flushed Redis before any member that remembers makes a new
//!   installation; those that remember the old one are frozen, the newcomer is not. `Create::Never`
//!   prevents it.
//! - Redis is asked for its run when a connection is made and when the meta key shows another. A server
//!   that changes its state and keeps both its connections and its run is found out by the write
//!   counts alone.
//! - What a member that is gone counted of a day's gain, or of a day's users by increments, is in no base: a flush
//!   forgets it.
//! - Months, days and bills are not restated: after a flush a month begins with what there is, and of earlier ones
//!   nothing is known. It is noted in an app's month on which days it was told again.

mod active;
mod address;
mod answer;
mod audit;
mod beat;
mod cluster;
mod dial;
mod fault;
mod hello;
mod history;
mod hold;
mod keys;
mod leave;
mod line;
mod link;
mod meta;
mod operator;
mod options;
mod place;
mod probe;
mod record;
mod register;
mod report;
mod restate;
mod rights;
mod roll;
mod script;
mod seen;
mod sentinel;
mod settle;
mod slot;
mod standing;
mod survey;
mod tls;
mod way;
mod zone;

#[cfg(any(test, fuzzing))]
pub use answer::fuzz;

pub use crate::config::Create;
pub use line::{Session, Transport};
pub use options::{Pace, RedisOptions};
pub use probe::{Probed, probe};

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};

use tokio::sync::Mutex;

use self::answer::{Answer, Status};
use self::keys::Keys;
use self::link::Wire;
use self::probe::Told;
use self::script::{Script, Scripts, Step};
use self::seen::Seen;
use self::standing::{Heard, Stance};
use self::way::Dialer;
use super::{
    Adopted, Bases, Beat, Beaten, Calls, GiveBack, GivenBack, Hold, Installation, Login, Member,
    MonthHistory, RegisterPage, Reply, Report, SEALED_AFTER_MS, Settled, Shard, Statement, Store,
    StoreFault, Take, Taken, Usage, View,
};
use crate::chance;
use crate::clock::{Clock, Day, Millis, Month, Zone};
use crate::quota::{AppId, ObjectNumber, Registered, RequestId, Resource, Retention};

/// How long after that its keys go: nothing writes them any more.
const KEPT_AFTER_MS: i64 = 24 * 3_600_000;

/// A ledger in Redis.
#[derive(Debug)]
pub struct RedisStore {
    dialer: Dialer,
    keys: Keys,
    zone: Zone,
    retention: Retention,
    create: Create,
    pace: Pace,
    /// The machine, and what was drawn for this process: two that run on copies of one journal differ in nothing
    /// else.
    nonce: String,
    scripts: Scripts,
    clock: Arc<Clock>,
    seen: Seen,
    heard: Heard,
    told: Told,
    link: RwLock<Option<Arc<Link>>>,
    /// One hello at a time, so that one connection is made however many ask for it.
    greeting: Mutex<()>,
}

/// A connection, and who we are on it.
#[derive(Debug)]
struct Link {
    wire: Wire,
    /// The server's run, as it was when the connection was made, or as a beat found it.
    run: std::sync::Mutex<String>,
    full: u32,
    installation: String,
    user_key: String,
    incarnation: String,
    /// The member's boot number and this process' nonce.
    process: String,
    name: Arc<str>,
    /// Whether the member does nothing any more but leave.
    leaves: bool,
    /// Whether it is known under which run the ledger was looked at last, and that this is it.
    met: AtomicBool,
    /// Whether the replicas have not confirmed yet that this member is registered.
    unconfirmed: AtomicBool,
}

impl Link {
    fn run(&self) -> String {
        // A string is whole even if a holder panicked.
        self.run
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone()
    }

    fn set_run(&self, run: String) {
        *self
            .run
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = run;
    }

    fn meet(&self) {
        self.met.store(true, Ordering::Release);
    }

    fn is_met(&self) -> bool {
        self.met.load(Ordering::Acquire)
    }
}

impl RedisStore {
    /// Makes the store; it connects at the first [`Store::hello`].
    ///
    /// # Errors
    /// [`StoreFault::Unusable`] if an address cannot be understood or the key prefix has not the form
    /// that [`RedisOptions`] describes.
    pub fn new(options: RedisOptions, clock: Arc<Clock>) -> Result<Self, StoreFault> {
        Self::by(Dialer::new(&options)?, options, clock)
    }

    /// As [`RedisStore::new`], with the server reached by `transport` instead of a connection to the
    /// address of the options.
    ///
    /// # Errors
    /// As [`RedisStore::new`].
    pub fn over(
        transport: Arc<dyn Transport>,
        options: RedisOptions,
        clock: Arc<Clock>,
    ) -> Result<Self, StoreFault> {
        Self::by(Dialer::over(transport, &options), options, clock)
    }

    fn by(dialer: Dialer, options: RedisOptions, clock: Arc<Clock>) -> Result<Self, StoreFault> {
        Ok(Self {
            keys: Keys::new(options.prefix()?),
            zone: options.zone,
            retention: options.retention,
            create: options.create,
            pace: options.pace,
            nonce: format!("{:016x}{:016x}", options.machine, chance::draw::<u64>()),
            scripts: Scripts::new(dialer.is_cluster(), options.retention),
            dialer,
            clock,
            seen: Seen::new(),
            heard: Heard::default(),
            told: Told::default(),
            link: RwLock::new(None),
            greeting: Mutex::new(()),
        })
    }

    fn link(&self) -> Option<Arc<Link>> {
        // An Arc is whole even if a holder panicked.
        self.link
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone()
    }

    fn set_link(&self, link: Option<Arc<Link>>) {
        *self
            .link
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = link;
    }

    fn linked(&self) -> Result<Arc<Link>, StoreFault> {
        self.link().ok_or_else(|| {
            StoreFault::Away(format!("{} has not answered yet", self.dialer.shown()))
        })
    }

    /// The same, for what a member does that is there to stay.
    fn linked_to_stay(&self) -> Result<Arc<Link>, StoreFault> {
        let link = self.linked()?;
        if link.leaves {
            return Err(fault::leaving());
        }
        Ok(link)
    }

    /// A step on `shard`, begun with what the guard asks for. None goes to a server that runs anew before
    /// a beat has looked at it: what it forgot would be taken for what there is.
    fn step(&self, link: &Link, shard: Shard) -> Result<Step, StoreFault> {
        if !link.is_met() {
            return Err(fault::unmet());
        }
        let standing = self.heard.latest();
        let mut step = Step::default();
        step.standing = standing;
        step.key(&self.keys.header(shard));
        step.arg(&link.installation)
            .arg(standing.epoch)
            .arg(standing.stance)
            .arg(self.seen.of(shard, standing.epoch))
            .arg(&link.incarnation);
        Ok(step)
    }

    /// Runs a step and judges the head of its answer. Answers the shard's count of writes, and the rest.
    async fn run(
        &self,
        link: &Link,
        shard: Shard,
        script: &Script,
        step: Step,
    ) -> Result<(u64, Answer), StoreFault> {
        let asked = self.clock.own();
        let value = link.wire.run(script, &step).await?;
        let answered = self.clock.own();
        let mut answer = Answer::new(value)?;
        let head = answer.head()?;
        self.correct(head.time, asked, answered);
        let told = step.standing;
        match head.status {
            // While members restate, a header that is missing has not been stated yet.
            Status::Missing if told.stance == Stance::Open => {}
            Status::Missing | Status::Lost => self.heard.doubt(told.epoch),
            Status::Fine | Status::Other | Status::Behind => {}
            Status::Open | Status::Gone => self.seen.note(shard, head.point),
        }
        if self.heard.latest().epoch > told.epoch {
            return Err(fault::outdated());
        }
        if head.status != Status::Fine {
            return Err(fault::refused(shard, head.status));
        }
        self.seen.note(shard, head.point);
        Ok((head.point.seq, answer))
    }

    /// Corrects our clock where the server's cannot have been ours at any moment of the call.
    fn correct(&self, server: Millis, asked: Millis, answered: Millis) {
        let half = i64::try_from(answered.since(asked) / 2).unwrap_or(i64::MAX);
        let middle = asked.plus(half);
        let ahead = server.0.saturating_sub(middle.0);
        let known = self.clock.now().0.saturating_sub(self.clock.own().0);
        if ahead.abs_diff(known) > half.unsigned_abs() + 1 {
            self.clock.correct(server, middle);
        }
    }

    /// When `day` is sealed, in ms.
    fn sealed_ms(&self, day: Day) -> i64 {
        self.zone.start_of(day.next()).plus(SEALED_AFTER_MS).0
    }

    /// When the keys of `day` go, in seconds.
    fn ends_s(&self, day: Day) -> i64 {
        self.sealed_ms(day).saturating_add(KEPT_AFTER_MS) / 1000
    }
}

impl Store for RedisStore {
    fn retention(&self) -> Retention {
        self.retention
    }

    fn hello<'a>(
        &'a self,
        member: &'a Member,
        remembered: Option<Installation>,
        _now: Millis,
    ) -> Reply<'a, Installation> {
        Box::pin(self.greet(member, remembered))
    }

    fn take<'a>(&'a self, take: &'a Take, _now: Millis) -> Reply<'a, Taken> {
        Box::pin(self.take_once(take))
    }

    fn release<'a>(&'a self, give_back: &'a GiveBack, _now: Millis) -> Reply<'a, GivenBack> {
        Box::pin(self.release_once(give_back))
    }

    fn settle<'a>(
        &'a self,
        shard: Shard,
        report: &'a Report,
        day: Day,
        _now: Millis,
    ) -> Reply<'a, Settled> {
        Box::pin(self.settle_all(shard, report, day))
    }

    fn beat<'a>(&'a self, beat: &'a Beat) -> Reply<'a, Beaten> {
        Box::pin(self.beat_once(beat))
    }

    fn restate<'a>(&'a self, shard: Shard, statement: &'a Statement, day: Day) -> Reply<'a, ()> {
        Box::pin(self.restate_all(shard, statement, day))
    }

    fn bases(&self, shard: Shard, since: u64) -> Reply<'_, Bases> {
        Box::pin(self.read_bases(shard, since))
    }

    fn fold<'a>(&'a self, shard: Shard, apps: &'a [AppId]) -> Reply<'a, ()> {
        Box::pin(self.fold_mine(shard, apps))
    }

    fn leave(&self) -> Reply<'_, u64> {
        Box::pin(self.leave_once())
    }

    fn recall(&self, app: AppId) -> Reply<'_, ()> {
        Box::pin(self.recall_once(app))
    }

    fn record_active<'a>(
        &'a self,
        shard: Shard,
        logins: &'a [Login],
        _now: Millis,
    ) -> Reply<'a, Vec<super::Active>> {
        Box::pin(self.add_users(shard, logins))
    }

    fn hold<'a>(&'a self, app: AppId, id: &'a RequestId, _now: Millis) -> Reply<'a, Option<Hold>> {
        Box::pin(self.read_hold_of(app, id))
    }

    fn holds(&self, app: AppId, most: usize, _now: Millis) -> Reply<'_, Vec<Hold>> {
        Box::pin(self.read_open_holds(app, most))
    }

    fn knows_object(&self, app: AppId, object: ObjectNumber) -> Reply<'_, bool> {
        Box::pin(self.read_object(app, object))
    }

    fn adopt<'a>(
        &'a self,
        app: AppId,
        resource: Resource,
        objects: &'a [ObjectNumber],
        _now: Millis,
    ) -> Reply<'a, Vec<Adopted>> {
        Box::pin(self.adopt_all(app, resource, objects))
    }

    fn usage(&self, app: AppId, day: Day, _now: Millis) -> Reply<'_, Usage> {
        Box::pin(self.read_usage(app, day))
    }

    fn month(&self, app: AppId, month: Month, today: Day, _: Millis) -> Reply<'_, MonthHistory> {
        Box::pin(self.read_history(app, month, today))
    }

    fn register(&self, since: u64) -> Reply<'_, RegisterPage> {
        Box::pin(self.read_register(since))
    }

    fn state_register<'a>(&'a self, rows: &'a [Registered]) -> Reply<'a, ()> {
        Box::pin(self.state_register_all(rows))
    }

    fn glance(&self, _app: AppId, _day: Day) -> Option<View> {
        None
    }

    fn checkpoint(&self, _log_from: Millis) -> Reply<'_, ()> {
        // What Redis acknowledged is in Redis; how long it keeps it is its own settings' matter.
        Box::pin(std::future::ready(Ok(())))
    }

    fn is_local(&self) -> bool {
        false
    }

    fn calls(&self) -> Option<&Calls> {
        Some(&self.dialer.calls)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{RedisUrl, Topology};

    #[test]
    fn the_clock_follows_the_server_only_where_it_must() {
        let clock = Arc::new(Clock::default());
        let url = RedisUrl::parse("redis://127.0.0.1:1/0").unwrap();
        let zone = Zone::parse("+08:00").unwrap();
        let topology = Topology::Single(url);
        let options = RedisOptions::new(topology, "imquota".into(), zone, Create::Auto);
        let store = RedisStore::new(options, Arc::clone(&clock)).unwrap();
        // Two readings, so that a millisecond may pass between them.
        let is_ahead = |ms: i64| (clock.now().0 - Clock::system().0).abs_diff(ms) <= 20;
        let (asked, answered) = (Millis(1_000_000), Millis(1_000_100));
        // Any moment of the call may have been the server's: that says nothing of our clock.
        store.correct(Millis(1_000_099), asked, answered);
        assert!(is_ahead(0));
        store.correct(Millis(1_005_050), asked, answered);
        assert!(is_ahead(5000));
        store.correct(Millis(1_005_099), asked, answered);
        assert!(is_ahead(5000));
        store.correct(Millis(999_050), asked, answered);
        assert!(is_ahead(-1000));
    }
}

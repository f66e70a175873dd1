//! Members that share a ledger: what is lent, taken, given back, frozen, recounted and killed, with the
//! limit and every count looked at after each step.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use tempfile::TempDir;

use super::super::lease::Lease;
use super::super::*;
use super::lender::{Lender, Shared};
use crate::admission::{Admission, Check, CheckMode, Outcome, Patience, Refusal, Release, Source};
use crate::clock::{Clock, Machine, Millis, Zone};
use crate::quota::{Amount, AppRules, Counter, Limit, Limits, Plan, PlanName, Rulebook};

const START: i64 = 1_760_000_000_000;
const MINUTE: Duration = Duration::from_mins(1);

/// The test's machine, whose steady clock can be put forward, now or after so many looks at it.
#[derive(Debug, Default)]
struct Halting(Mutex<(Duration, Option<u32>)>);

impl Halting {
    fn stands_still(&self, time: Duration) {
        self.0.lock().unwrap().0 += time;
    }

    /// The process stands still for a minute, right after it has looked at the clock so many times.
    fn stands_still_after(&self, looks: u32) {
        self.0.lock().unwrap().1 = Some(looks);
    }
}

impl Machine for Halting {
    fn wall(&self) -> Millis {
        Clock::system()
    }

    fn steady(&self) -> Duration {
        let (ahead, looks) = &mut *self.0.lock().unwrap();
        if *looks == Some(0) {
            (*looks, *ahead) = (None, *ahead + MINUTE);
        }
        *looks = looks.map(|looks| looks - 1);
        Clock::default().steady() + *ahead
    }
}

/// A ledger, and the folders of its members.
struct World {
    shared: Arc<Mutex<Shared>>,
    clock: Arc<Clock>,
    machine: Arc<Halting>,
    limit: u64,
    /// The bytes of a segment of a member's log.
    segments: usize,
}

/// A sidecar. Its gateway knows what it has created.
struct Sidecar {
    folder: TempDir,
    deaf: Arc<AtomicBool>,
    ledger: Arc<Ledger>,
    admission: Admission,
}

impl World {
    fn new(limit: u64) -> Self {
        let machine = Arc::new(Halting::default());
        let this = Self {
            shared: Arc::default(),
            clock: Arc::new(Clock::of(machine.clone())),
            machine,
            limit,
            segments: 64 * 1024,
        };
        this.at(0);
        this
    }

    fn at(&self, ms: i64) {
        self.clock.correct(Millis(START + ms), Clock::system());
    }

    fn shared(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().unwrap()
    }

    async fn sidecar(&self, folder: TempDir) -> Sidecar {
        let limits = Limits {
            groups: Limit::AtMost(self.limit),
            ..Limits::UNLIMITED
        };
        let plan = Plan {
            name: PlanName::parse("any").unwrap(),
            limits,
            fees: Vec::new(),
        };
        let rules = AppRules {
            limits,
            plan: Arc::new(plan),
            shadow: false,
            edition: 0,
            disabled: false,
            share_ids: true,
            track_objects: true,
            expired_holds: crate::quota::ExpiredHolds::Ask,
            activated: None,
        };
        let deaf = Arc::new(AtomicBool::new(false));
        let parts = Parts {
            clock: self.clock.clone(),
            zone: Zone::parse("+08:00").unwrap(),
            rules: Rulebook {
                apps: [(app(), Arc::new(rules))].into(),
                ..Rulebook::default()
            },
            store: Arc::new(Lender::new(self.shared.clone(), deaf.clone())),
            member: "test".into(),
            saving: Saving::Beside,
        };
        let locked = Folder::lock(folder.path()).unwrap();
        let locked = locked.with_segments_of(self.segments);
        let (ledger, _queues) = Ledger::open(locked, parts).unwrap();
        ledger.meet().await.unwrap();
        let ledger = Arc::new(ledger);
        let sidecar = Sidecar {
            folder,
            deaf,
            admission: Admission::new(ledger.clone(), Duration::from_secs(5)),
            ledger,
        };
        sidecar.beats();
        sidecar
    }

    async fn new_sidecar(&self) -> Sidecar {
        self.sidecar(tempfile::tempdir().unwrap()).await
    }

    /// Kills a sidecar and starts it again on the journal that it left.
    async fn restarted(&self, killed: Sidecar) -> Sidecar {
        let Sidecar {
            folder,
            ledger,
            admission,
            ..
        } = killed;
        drop(admission);
        assert_eq!(Arc::strong_count(&ledger), 1);
        drop(ledger);
        self.sidecar(folder).await
    }
}

impl Sidecar {
    fn lease(&self) -> &Lease {
        self.ledger.lease()
    }

    fn beats(&self) {
        let now = self.ledger.clock.steady();
        self.lease().renewed(now, now);
    }

    fn member(&self) -> u64 {
        self.ledger.member.incarnation
    }

    async fn creates(&self, id: Option<&str>) -> (Outcome, Source) {
        let check = Check {
            app: app(),
            resource: Resource::Group,
            amount: Amount::ONE,
            request_id: id.map(|id| RequestId::parse(id).unwrap()),
            mode: CheckMode::Count,
            resource_id: None,
        };
        let now = tokio::time::Instant::now().into_std();
        let patience = Patience(Some(now + Duration::from_secs(5)));
        let verdict = self.admission.check(check, patience).await.unwrap();
        (verdict.outcome, verdict.source)
    }

    async fn deletes(&self, id: Option<&str>) -> u64 {
        let release = Release {
            app: app(),
            resource: Resource::Group,
            amount: Amount::ONE,
            request_id: id.map(|id| RequestId::parse(id).unwrap()),
            resource_id: None,
        };
        let released = self.admission.release(release, Patience(None)).await;
        released.unwrap().released
    }

    async fn settles(&self) {
        if self.ledger.state() != State::Up {
            self.ledger.meet().await.unwrap();
        }
        settle::settle(&self.ledger, settle::Scope::All)
            .await
            .unwrap();
    }

    fn spare(&self) -> u64 {
        let entry = self.entry();
        let books = entry.books();
        let guard = books.guard();
        let account = guard.and_then(|guard| guard.account(Cell::Live(Resource::Group)));
        account.map_or(0, |account| account.sums().spare())
    }

    fn entry(&self) -> Arc<Entry> {
        self.ledger.entry(app()).unwrap().unwrap()
    }
}

fn app() -> AppId {
    AppId::new(7).unwrap()
}

fn allowed(outcome: Outcome) -> bool {
    outcome == Outcome::Allow
}

fn is_unavailable(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Deny(Refusal::StoreUnavailable { .. }))
}

#[tokio::test]
async fn a_large_limit_is_spent_from_memory_once_it_is_lent() {
    let world = World::new(1_000);
    let sidecar = world.new_sidecar().await;
    assert_eq!(
        sidecar.creates(None).await,
        (Outcome::Allow, Source::Ledger)
    );
    sidecar.settles().await;
    let spare = sidecar.spare();
    assert!(spare >= 4, "{spare} lent");
    assert_eq!(
        sidecar.creates(None).await,
        (Outcome::Allow, Source::Memory)
    );
    assert_eq!(sidecar.spare(), spare - 1);
    assert_eq!(world.shared().shown(Counter::Groups), 1);
    sidecar.settles().await;
    assert_eq!(world.shared().shown(Counter::Groups), 2);
    assert_eq!(world.shared().shown(Counter::GroupsGained), 2);
}

#[tokio::test]
async fn who_stands_still_until_after_the_lease_is_not_answered_with_allow_and_keeps_the_charge() {
    let charged_after = async |looks| {
        let world = World::new(1_000);
        let sidecar = world.new_sidecar().await;
        sidecar.creates(None).await;
        sidecar.settles().await;
        world.machine.stands_still_after(looks);
        let outcome = sidecar.creates(None).await.0;
        let still = world.machine.0.lock().unwrap().1;
        sidecar.beats();
        sidecar.settles().await;
        let charged = world.shared().shown(Counter::Groups) - 1;
        (outcome, still.is_none(), charged)
    };
    let mut looked = 0;
    loop {
        let (outcome, stood_still, charged) = charged_after(looked).await;
        if !stood_still {
            break; // It was answered before.
        }
        looked += 1;
        assert!(!allowed(outcome), "after the lease, at look {looked}");
        // Before the first look nothing is spent yet.
        assert_eq!(charged, i64::from(looked > 1), "look {looked}");
    }
    assert!(looked >= 2, "the lease is looked at before and after");
}

#[test]
fn a_report_takes_no_charge_off_that_its_sums_lack_while_takes_are_answered() {
    const CREATORS: usize = 3;
    const REPORTERS: usize = 2;
    const EACH: usize = 4_000;
    let world = World {
        segments: 16 * 1024 * 1024,
        ..World::new(100_000)
    };
    let sidecar = on_a_worker(world.new_sidecar());
    let begin = std::sync::Barrier::new(CREATORS + REPORTERS);
    std::thread::scope(|threads| {
        let (sidecar, begin) = (&sidecar, &begin);
        let creators: [_; CREATORS] = std::array::from_fn(|creator| {
            threads.spawn(move || {
                begin.wait();
                on_a_worker(async {
                    for number in 0..EACH {
                        let id = format!("{creator} {number}");
                        assert!(allowed(sidecar.creates(Some(&id)).await.0));
                    }
                });
            })
        });
        // The lender looks at every report whether what it counts is in the sums. They overtake each other,
        // and more is owed than one of them can name.
        let creators = Arc::new(creators);
        for _ in 0..REPORTERS {
            let creators = creators.clone();
            threads.spawn(move || {
                begin.wait();
                while creators.iter().any(|creator| !creator.is_finished()) {
                    on_a_worker(sidecar.ledger.settle_app(&sidecar.entry())).unwrap();
                }
            });
        }
    });
    on_a_worker(sidecar.settles());
    let all = i64::try_from(CREATORS * EACH).unwrap();
    assert_eq!(world.shared().shown(Counter::Groups), all);
}

/// Runs `task` as a worker of the program does: on this thread alone.
fn on_a_worker<T>(task: impl Future<Output = T>) -> T {
    let mut worker = tokio::runtime::Builder::new_current_thread();
    worker.enable_all().build().unwrap().block_on(task)
}

#[tokio::test]
async fn what_was_lent_survives_a_kill_and_is_not_spent_twice() {
    let world = World::new(1_000);
    let sidecar = world.new_sidecar().await;
    sidecar.creates(None).await;
    sidecar.settles().await;
    sidecar.creates(None).await;
    let spare = sidecar.spare();
    let sidecar = world.restarted(sidecar).await;
    assert_eq!(sidecar.spare(), spare);
    // What was owed is settled under the new lease: its shard was heard since.
    sidecar.settles().await;
    for _ in 0..2 {
        assert_eq!(
            sidecar.creates(None).await,
            (Outcome::Allow, Source::Memory)
        );
    }
    sidecar.settles().await;
    assert_eq!(world.shared().shown(Counter::Groups), 4);
}

#[tokio::test]
async fn who_was_killed_before_it_heard_of_a_grant_leaves_nothing_lent() {
    let world = World::new(1_000);
    let sidecar = world.new_sidecar().await;
    let entry = sidecar.entry();
    let (cell, now) = (Cell::Live(Resource::Group), sidecar.ledger.now());
    entry.books().guard_mut().open(cell).want(1, now);
    sidecar.ledger.apps.to_settle_soon(&entry);
    drop(entry);
    sidecar.deaf.store(true, Ordering::Relaxed);
    let unheard = settle::settle(&sidecar.ledger, settle::Scope::All).await;
    assert!(unheard.is_err());
    assert!(world.shared().outstanding(Counter::Groups) > 0);
    let sidecar = world.restarted(sidecar).await;
    sidecar.settles().await;
    sidecar.ledger.part().await;
    assert_eq!(world.shared().outstanding(Counter::Groups), 0);
}

#[tokio::test]
async fn without_a_lease_nothing_is_admitted_and_with_one_also_without_the_ledger() {
    let world = World::new(1_000);
    let sidecar = world.new_sidecar().await;
    sidecar.creates(None).await;
    sidecar.settles().await;
    sidecar.deaf.store(true, Ordering::Relaxed);
    let (outcome, _) = sidecar.creates(Some("asks")).await;
    assert!(is_unavailable(outcome));
    assert_eq!(
        sidecar.creates(None).await,
        (Outcome::Allow, Source::Degraded)
    );
    sidecar.lease().ended();
    assert!(is_unavailable(sidecar.creates(None).await.0));
    sidecar.deaf.store(false, Ordering::Relaxed);
    sidecar.settles().await;
    assert_eq!(world.shared().shown(Counter::Groups), 2);
}

#[tokio::test]
async fn after_a_gap_of_the_lease_the_shard_is_heard_first() {
    let world = World::new(1_000);
    let sidecar = world.new_sidecar().await;
    sidecar.creates(None).await;
    sidecar.settles().await;
    sidecar.lease().ended();
    sidecar.beats();
    assert_eq!(sidecar.creates(None).await.1, Source::Ledger);
    assert_eq!(sidecar.creates(None).await.1, Source::Memory);
}

#[tokio::test]
async fn an_answer_for_an_attempt_that_was_withdrawn_meanwhile_is_refused() {
    let world = World::new(10);
    let sidecar = world.new_sidecar().await;
    let wanted = Wanted {
        app: app(),
        request_id: None,
        fingerprint: crate::store::Fingerprint(1),
        charge: crate::quota::Charge::new(
            Resource::Group,
            Amount::ONE,
            &sidecar.entry().rules().limits,
        ),
        day: sidecar.ledger.zone.day(sidecar.ledger.now()),
        object: None,
        intent: crate::store::Intent::Count,
    };
    let open = sidecar.ledger.open_take(wanted).unwrap();
    let heard = sidecar.ledger.composing();
    let taken = sidecar.ledger.store.take(open.take(), Millis(0)).await;
    let Ok(crate::store::Taken::Allowed { view, whose, .. }) = taken else {
        panic!("{taken:?}");
    };
    assert!(!sidecar.ledger.owed.nothing_open(app()));
    sidecar.ledger.owed.abort_open();
    assert!(sidecar.ledger.owed.nothing_open(app()));
    let entry = sidecar.entry();
    let heard = sidecar
        .ledger
        .take_allowed(&entry, open, &view, whose, heard);
    assert_eq!(heard, Err(NotTaken::Late));
    sidecar.settles().await;
    assert_eq!(world.shared().shown(Counter::Groups), 0);
}

#[tokio::test]
async fn a_release_that_is_asked_for_twice_is_counted_once() {
    let world = World::new(10);
    let sidecar = world.new_sidecar().await;
    for _ in 0..3 {
        sidecar.creates(None).await;
    }
    sidecar.settles().await;
    assert_eq!(sidecar.deletes(Some("once")).await, 1);
    assert_eq!(sidecar.deletes(Some("once")).await, 1);
    sidecar.settles().await;
    assert_eq!(sidecar.deletes(Some("once")).await, 1);
    sidecar.settles().await;
    assert_eq!(world.shared().shown(Counter::Groups), 2);
}

#[tokio::test]
async fn two_answers_to_one_release_count_once_also_when_both_were_on_their_way() {
    let world = World::new(10);
    let sidecar = world.new_sidecar().await;
    for _ in 0..3 {
        sidecar.creates(None).await;
    }
    sidecar.settles().await;
    let (ledger, entry) = (&sidecar.ledger, sidecar.entry());
    let open = || {
        let id = RequestId::parse("once").unwrap();
        let give_back = |key| GiveBack {
            app: app(),
            key,
            fingerprint: crate::store::Fingerprint(1),
            resource: Resource::Group,
            amount: Amount::ONE,
            given: None,
            groups_follow: true,
            day: ledger.zone.day(ledger.now()),
            object: None,
            rooms_are_groups: true,
        };
        let now = Some(ledger.now());
        ledger
            .open_release(&entry, Some(id), give_back, now)
            .unwrap()
    };
    let opened = [open(), open()];
    let mut answers = Vec::new();
    for open in &opened {
        let answer = ledger.store.release(open.give_back(), ledger.now()).await;
        answers.push(answer.unwrap());
    }
    for (open, answer) in opened.into_iter().zip(answers) {
        let crate::store::GivenBack::Released {
            released,
            groups,
            view,
            mine,
            ..
        } = answer
        else {
            panic!("{answer:?}");
        };
        assert!(mine, "the ledger says so to both");
        let fell = Fell {
            resource: Resource::Group,
            released,
            groups,
            mine,
        };
        ledger.release_answered(&entry, open, fell, &view, ledger.composing());
        sidecar.settles().await;
    }
    assert_eq!(world.shared().shown(Counter::Groups), 2);
}

#[tokio::test]
async fn an_answered_release_is_stated_to_a_ledger_that_forgot_it_also_after_a_recount() {
    let world = World::new(10);
    let sidecar = world.new_sidecar().await;
    for _ in 0..3 {
        sidecar.creates(None).await;
    }
    sidecar.settles().await;
    assert_eq!(sidecar.deletes(Some("kept")).await, 1);
    assert_eq!(
        sidecar.deletes(None).await,
        1,
        "nobody can ask for it again"
    );
    let stated = |sidecar: &Sidecar| {
        let shard = Shard::of(app());
        let ledger = &sidecar.ledger;
        ledger.owed.releases_to_restate(shard, ledger.now())
    };
    let expected = |stated: Vec<crate::store::GaveBack>| {
        let [gave_back] = &stated[..] else {
            panic!("{stated:?}");
        };
        let id = RequestId::parse("kept").unwrap();
        assert_eq!(gave_back.give_back.key, RecordKey::Client(id));
        assert_eq!((gave_back.released, gave_back.groups), (1, 1));
    };
    expected(stated(&sidecar));
    // Told or not, asked again or not.
    sidecar.settles().await;
    assert_eq!(sidecar.deletes(Some("kept")).await, 1);
    expected(stated(&sidecar));
    // The recount lacks the object: the id must not give it back once more.
    world.shared().freeze();
    sidecar.settles().await;
    world.shared().recount(Counter::Groups, 1);
    sidecar.settles().await;
    expected(stated(&sidecar));
    world.at(crate::store::ID_WINDOW_MS + 1_000);
    assert!(stated(&sidecar).is_empty(), "the window is over");
}

#[tokio::test]
async fn a_recall_brings_back_all_that_is_not_spent() {
    let world = World::new(100);
    let sidecar = world.new_sidecar().await;
    sidecar.creates(None).await;
    sidecar.settles().await;
    assert!(sidecar.spare() > 0);
    sidecar.ledger.recalled(app());
    assert_eq!(sidecar.spare(), 0);
    // Nobody asks for a minute: nothing is wished for.
    world.at(120_000);
    sidecar.settles().await;
    assert_eq!(world.shared().outstanding(Counter::Groups), 0);
}

#[tokio::test(start_paused = true)]
async fn a_ledger_that_hangs_in_the_second_question_of_a_call_is_doubted_in_the_next_one() {
    let world = World::new(20);
    let sidecar = world.new_sidecar().await;
    sidecar.creates(None).await;
    sidecar.settles().await;
    let lent = sidecar.spare();
    assert!(lent > 0);
    for id in 1..20 - lent {
        let id = id.to_string();
        assert!(allowed(sidecar.creates(Some(&id)).await.0));
    }
    // What is lent is all that is left, and of no use under an id: it is returned, and asked for again.
    let takes = world.shared().takes;
    world.shared().hangs_after = Some(takes + 1);
    let began = tokio::time::Instant::now();
    assert!(is_unavailable(sidecar.creates(Some("last")).await.0));
    assert!(began.elapsed() < Duration::from_secs(5));
    assert_eq!(world.shared().takes, takes + 2);
    // It answered the first one: it may be far away, and what was left of the call's time was too short.
    assert_eq!(sidecar.ledger.state(), State::Up);
    assert!(is_unavailable(sidecar.creates(Some("next")).await.0));
    assert_eq!(world.shared().takes, takes + 3);
    assert_eq!(sidecar.ledger.state(), State::Away);
}

#[tokio::test]
async fn a_refusal_is_asked_about_once_where_nothing_lent_was_returned() {
    let world = World::new(3);
    let sidecar = world.new_sidecar().await;
    for id in ["a", "b", "c"] {
        assert!(allowed(sidecar.creates(Some(id)).await.0));
    }
    // All of that is owed still.
    let asked = || {
        let shared = world.shared();
        (shared.takes, shared.settles)
    };
    let (takes, settles) = asked();
    world.shared().denies_recallable = true;
    assert!(!allowed(sidecar.creates(Some("d")).await.0));
    assert_eq!(asked(), (takes + 1, settles));
}

#[tokio::test]
async fn scarce_units_go_back_after_two_looks_and_plenty_stays() {
    let world = World::new(100);
    let rich = world.new_sidecar().await;
    rich.creates(None).await;
    rich.settles().await;
    let spare = rich.spare();
    let now = |ms: i64| Millis(START + ms);
    world.at(120_000);
    for _ in 0..5 {
        watch::look(&rich.ledger, now(120_000));
    }
    assert_eq!(rich.spare(), spare, "more than half of the limit is free");
    let busy = world.new_sidecar().await;
    for _ in 0..60 {
        busy.creates(Some(&format!("{}", world.shared().takes)))
            .await;
    }
    busy.settles().await;
    rich.ledger.apps.to_settle_soon(&rich.entry());
    rich.entry().learn(
        &busy_view(&world, &rich).await,
        rich.ledger.zone.day(rich.ledger.now()),
    );
    watch::look(&rich.ledger, now(121_000));
    assert_eq!(rich.spare(), spare);
    watch::look(&rich.ledger, now(122_000));
    assert_eq!(rich.spare(), 0);
}

#[tokio::test]
async fn an_answer_that_was_overtaken_takes_no_count_back() {
    let world = World::new(1_000);
    let sidecar = world.new_sidecar().await;
    sidecar.creates(Some("first")).await;
    let day = sidecar.ledger.zone.day(sidecar.ledger.now());
    let heard = sidecar.ledger.composing();
    let old = busy_view(&world, &sidecar).await;
    sidecar.creates(Some("second")).await;
    sidecar.ledger.learn(&sidecar.entry(), &old, day, heard);
    assert_eq!(sidecar.entry().net(Resource::Group), 2);
}

async fn busy_view(world: &World, sidecar: &Sidecar) -> crate::store::View {
    let day = sidecar.ledger.zone.day(sidecar.ledger.now());
    let usage = sidecar.ledger.store.usage(app(), day, world.clock.now());
    usage.await.unwrap().view
}

#[tokio::test]
async fn a_frozen_app_waits_acknowledges_and_goes_on_with_the_new_count() {
    let world = World::new(1_000);
    let sidecar = world.new_sidecar().await;
    for _ in 0..5 {
        sidecar.creates(None).await;
        sidecar.settles().await;
    }
    let token = world.shared().freeze();
    sidecar.ledger.freeze(&sidecar.entry(), token);
    assert_eq!(sidecar.spare(), 0);
    assert!(is_unavailable(sidecar.creates(None).await.0));
    sidecar.settles().await;
    assert!(world.shared().has_acked(sidecar.member()));
    world.shared().recount(Counter::Groups, 3);
    // A notice that was overtaken freezes nothing again, once the shard has told.
    sidecar.ledger.apps.to_settle_soon(&sidecar.entry());
    sidecar.settles().await;
    sidecar.ledger.freeze(&sidecar.entry(), token);
    assert_eq!(sidecar.creates(None).await.0, Outcome::Allow);
    sidecar.settles().await;
    assert_eq!(world.shared().shown(Counter::Groups), 4);
}

#[tokio::test]
async fn what_is_deleted_in_a_freeze_is_given_back_if_the_truth_still_had_it() {
    // A clock that is set says nothing of how long the freeze has been there.
    for (wait, set, left) in [
        (1_000, 0, 3),
        (6_000, 0, 3),
        (11_000, 0, 2),
        (1_000, 60_000, 3),
    ] {
        let world = World::new(1_000);
        let sidecar = world.new_sidecar().await;
        for _ in 0..5 {
            sidecar.creates(None).await;
        }
        sidecar.settles().await;
        let token = world.shared().freeze();
        sidecar.ledger.freeze(&sidecar.entry(), token);
        world.machine.stands_still(Duration::from_millis(wait));
        world.at(set);
        // The beats of that time were answered.
        sidecar.beats();
        assert_eq!(sidecar.deletes(None).await, 1);
        sidecar.settles().await;
        assert!(world.shared().has_acked(sidecar.member()));
        world.shared().recount(Counter::Groups, 3);
        watch::look(&sidecar.ledger, world.clock.now());
        sidecar.settles().await;
        sidecar.settles().await;
        assert_eq!(world.shared().shown(Counter::Groups), left, "{wait} {set}");
    }
}

/// One step of one of two sidecars.
#[derive(Debug, Clone, Copy)]
enum Step {
    Create,
    CreateAs(u8),
    Delete,
    DeleteAs(u8),
    Settle,
    LoseAnswer,
    Kill,
    Checkpoint,
    Gap,
    Recall,
    Wait,
    Recount { heard: bool },
}

fn steps() -> impl Strategy<Value = Vec<(bool, Step)>> {
    let step = prop_oneof![
        8 => Just(Step::Create),
        3 => (0..4u8).prop_map(Step::CreateAs),
        3 => Just(Step::Delete),
        2 => (0..4u8).prop_map(Step::DeleteAs),
        4 => Just(Step::Settle),
        2 => Just(Step::LoseAnswer),
        1 => Just(Step::Kill),
        1 => Just(Step::Checkpoint),
        1 => Just(Step::Gap),
        1 => Just(Step::Recall),
        1 => Just(Step::Wait),
        1 => any::<bool>().prop_map(|heard| Step::Recount { heard }),
    ];
    prop::collection::vec((any::<bool>(), step), 1..60)
}

/// What gateways know: every object that exists.
#[derive(Debug, Default)]
struct Truth {
    exists: i64,
    ids: std::collections::BTreeSet<u8>,
    deleted: std::collections::BTreeSet<u8>,
}

async fn walk(steps: Vec<(bool, Step)>, limit: u64) {
    let world = World::new(limit);
    let mut sidecars = [
        Some(world.new_sidecar().await),
        Some(world.new_sidecar().await),
    ];
    let mut truth = Truth::default();
    let mut clock = 0;
    for (which, step) in steps {
        let which = usize::from(which);
        let sidecar = sidecars[which].as_ref().unwrap();
        match step {
            Step::Create => {
                truth.exists += i64::from(allowed(sidecar.creates(None).await.0));
            }
            Step::CreateAs(id) => {
                // An id of an earlier round may be charged anew after a recount: each round has its own.
                let name = format!("{id} {}", world.shared().recounts);
                if allowed(sidecar.creates(Some(&name)).await.0) && truth.ids.insert(id) {
                    truth.exists += 1;
                }
            }
            Step::Delete if truth.exists > 0 => {
                truth.exists -= i64::try_from(sidecar.deletes(None).await).unwrap();
            }
            Step::DeleteAs(id) if truth.exists > 0 => {
                let name = format!("d{id} {}", world.shared().recounts);
                let released = sidecar.deletes(Some(&name)).await;
                if released > 0 && truth.deleted.insert(id) {
                    truth.exists -= 1;
                }
            }
            Step::Delete | Step::DeleteAs(_) => {}
            Step::Settle => sidecar.settles().await,
            Step::LoseAnswer => {
                sidecar.deaf.store(true, Ordering::Relaxed);
                let (outcome, _) = sidecar.creates(None).await;
                truth.exists += i64::from(allowed(outcome));
                sidecar.deaf.store(false, Ordering::Relaxed);
                sidecar.settles().await;
            }
            Step::Kill => {
                let killed = sidecars[which].take().unwrap();
                sidecars[which] = Some(world.restarted(killed).await);
            }
            Step::Checkpoint => {
                sidecar.ledger.journal.reserve().unwrap();
                super::save(&sidecar.ledger).await.unwrap();
            }
            Step::Gap => {
                sidecar.lease().ended();
                sidecar.beats();
            }
            Step::Recall => {
                sidecar.ledger.recalled(app());
                world.shared().recalled = false;
            }
            Step::Wait => {
                clock += 1_000;
                world.at(clock);
                watch::look(&sidecar.ledger, world.clock.now());
            }
            Step::Recount { heard } => {
                recount(&world, &sidecars, heard, &truth).await;
                truth.ids.clear();
                truth.deleted.clear();
            }
        }
        let shared = world.shared();
        let charged = shared.shown(Counter::Groups) + shared.outstanding(Counter::Groups);
        assert!(truth.exists <= charged, "{truth:?}, charged {charged}");
        assert!(
            charged <= limit.cast_signed(),
            "charged {charged} of {limit}"
        );
    }
    for sidecar in sidecars.iter().flatten() {
        sidecar.settles().await;
    }
    for sidecar in sidecars.iter().flatten() {
        // What another had pinned is counted by now, and told.
        world.at(clock + 10_000);
        sidecar.settles().await;
        sidecar.settles().await;
    }
    assert_eq!(world.shared().shown(Counter::Groups), truth.exists);
}

async fn recount(world: &World, sidecars: &[Option<Sidecar>; 2], heard: bool, truth: &Truth) {
    for sidecar in sidecars.iter().flatten() {
        sidecar.settles().await;
        sidecar.settles().await;
    }
    let token = world.shared().freeze();
    for (at, sidecar) in sidecars.iter().flatten().enumerate() {
        if heard || at == 0 {
            sidecar.ledger.freeze(&sidecar.entry(), token);
            sidecar.settles().await;
            assert!(world.shared().has_acked(sidecar.member()));
        } else {
            // It sleeps through the recount: its lease runs out, and begins anew afterwards.
            sidecar.lease().ended();
        }
    }
    world.shared().recount(Counter::Groups, truth.exists);
    for (at, sidecar) in sidecars.iter().flatten().enumerate() {
        sidecar.beats();
        if heard || at == 0 {
            watch::look(&sidecar.ledger, world.clock.now());
            sidecar.settles().await;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_limit_is_passed_and_no_count_is_lost(steps in steps(), limit in 5u64..60) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(walk(steps, limit));
    }
}

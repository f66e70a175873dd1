//! A ledger that forgot is told all of it.

use std::collections::BTreeSet;

use super::*;
use crate::ledger::{State, Wanted};
use crate::quota::Counter;
use crate::store::{Base, Fingerprint, Login, Recovery, SHARDS, Shard, Statement, StoreFault};

impl Place {
    /// Opens a recovery.
    fn forgets(&self, epoch: u64) {
        let mut state = self.store.state();
        state.epoch = epoch;
        state.recovery = Recovery::Open;
        state.groups.clear();
        state.users.clear();
        state.calls.clear();
    }

    fn statements(&self) -> Vec<(Shard, Statement)> {
        let state = self.store.state();
        let statements = state.calls.iter().filter_map(|call| match call {
            Call::Restate(shard, statement) => Some((*shard, statement.clone())),
            _ => None,
        });
        statements.collect()
    }
}

#[tokio::test(start_paused = true)]
async fn many_marks_of_the_gone_are_told_in_parts() {
    let place = Place::new();
    place.store.state().roll.gone = (1_000..1_600).collect();
    let running = place.runs().await;
    {
        let mut state = place.store.state();
        state.calls.clear();
        state.epoch += 1;
        state.recovery = Recovery::Open;
    }
    seconds(3).await;
    let state = place.store.state();
    let of_one = state.calls.iter().filter_map(|call| match call {
        Call::Restate(shard, statement) if shard.number() == 0 => Some(&statement.gone),
        _ => None,
    });
    let parts: Vec<_> = of_one.filter(|gone| !gone.is_empty()).collect();
    assert!(parts.iter().all(|gone| gone.len() <= 256));
    let told: usize = parts.iter().map(|gone| gone.len()).sum();
    assert_eq!(told, 600);
    drop(running);
}

#[tokio::test(start_paused = true)]
async fn every_shard_is_told_all_that_the_journal_and_the_memory_know() {
    let place = Place::new();
    let running = place.runs().await;
    for id in 1..150 {
        creates(&running.ledger, id);
    }
    seconds(10).await;
    let ledger = running.stops().await;
    ledger.close().await;
    drop(ledger);
    // Only some of the apps are met again.
    let running = place.runs().await;
    for id in 1..50 {
        creates(&running.ledger, id);
    }
    seconds(10).await;
    assert_eq!(place.store.state().total(), 149 + 49);
    place.forgets(9);
    seconds(3).await;
    assert_eq!(place.store.state().total(), 149 + 49);
    let told: BTreeSet<u16> = place
        .statements()
        .iter()
        .map(|(of, _)| of.number())
        .collect();
    assert_eq!(told.len(), usize::from(SHARDS), "an empty part at least");
    let last = place.store.state().beats().last().unwrap().clone();
    assert_eq!((last.epoch, last.restated), (9, 9));
    assert_eq!(last.roll.unwrap().present.len(), 2);
    assert_eq!(running.ledger.state(), State::Frozen);
    place.store.state().recovery = Recovery::Closed;
    seconds(2).await;
    assert_eq!(running.ledger.state(), State::Up);
}

#[tokio::test(start_paused = true)]
async fn while_it_is_open_nothing_is_settled_and_all_of_it_afterwards() {
    let place = Place::new();
    let running = place.runs().await;
    place.forgets(9);
    seconds(2).await;
    // What was told before it was found out is another matter.
    place.store.state().calls.clear();
    creates(&running.ledger, 5);
    seconds(10).await;
    let settles = |call: &Call| matches!(call, Call::Settle(_));
    assert!(!place.store.state().calls.iter().any(settles));
    place.store.state().recovery = Recovery::Incomplete;
    seconds(2).await;
    assert_eq!(place.store.state().total(), 1);
    assert_eq!(
        running.ledger.state(),
        State::Up,
        "apps are refused one by one"
    );
}

#[tokio::test(start_paused = true)]
async fn an_attempt_on_its_way_is_withdrawn_and_stated_so() {
    let place = Place::new();
    let running = place.runs().await;
    let ledger = running.ledger.clone();
    let wanted = Wanted {
        app: app(5),
        request_id: None,
        fingerprint: Fingerprint(1),
        charge: Charge::new(Resource::AvRoom, Amount::ONE, &Limits::UNLIMITED),
        day: ledger.zone().day(ledger.now()),
        object: None,
        intent: crate::store::Intent::Count,
    };
    let open = ledger.open_take(wanted).unwrap();
    let attempt = open.take().attempt;
    place.forgets(9);
    seconds(3).await;
    let stated = place.statements().into_iter().any(|(shard, statement)| {
        shard == Shard::of(app(5))
            && statement
                .aborts
                .iter()
                .any(|abort| abort.attempt == attempt)
    });
    assert!(stated);
    let late = open.allowed(|_| Ok::<_, crate::ledger::NotTaken>(None));
    assert!(late.is_err(), "its answer counts for nothing");
}

#[tokio::test(start_paused = true)]
async fn a_statement_that_fails_is_made_anew_before_it_is_said_to_be_made() {
    let place = Place::new();
    let running = place.runs().await;
    creates(&running.ledger, 5);
    seconds(6).await;
    place.forgets(9);
    place.store.state().fate = Some((100, fake::Fate::Lost));
    seconds(2).await;
    let restated = place
        .store
        .state()
        .beats()
        .iter()
        .any(|beat| beat.restated == 9);
    assert!(!restated);
    drop(running.stops().await);
    // A kill in the middle of it: the next process makes it.
    place.store.state().fate = None;
    place.store.state().calls.clear();
    let (ledger, _queues) = place.opens();
    drop(tokio::time::timeout(Duration::from_secs(2), ledger.meet()).await);
    assert_eq!(place.store.state().total(), 1);
    assert_eq!(place.store.state().beats().last().unwrap().restated, 9);
    drop(ledger);
    // Once made it is not made again, by nobody.
    place.store.state().calls.clear();
    place.store.state().recovery = Recovery::Closed;
    place.meets().await;
    assert_eq!(place.statements(), []);
}

#[tokio::test(start_paused = true)]
async fn a_second_recovery_in_the_middle_of_the_first_is_told_everything() {
    let place = Place::new();
    let running = place.runs().await;
    for id in 1..150 {
        creates(&running.ledger, id);
    }
    seconds(10).await;
    place.forgets(9);
    tokio::time::sleep(Duration::from_millis(560)).await;
    place.forgets(10);
    seconds(5).await;
    assert_eq!(place.store.state().total(), 149);
    assert_eq!(place.store.state().beats().last().unwrap().restated, 10);
    drop(running);
}

#[tokio::test(start_paused = true)]
async fn a_ledger_that_shows_an_older_recovery_is_not_believed() {
    let place = Place::new();
    place.store.state().epoch = 9;
    let running = place.runs().await;
    place.store.state().epoch = 8;
    seconds(1).await;
    assert_eq!(running.ledger.state(), State::Frozen);
    assert!(
        place
            .store
            .state()
            .beats()
            .iter()
            .rev()
            .take(3)
            .all(|beat| beat.epoch == 9)
    );
}

#[tokio::test(start_paused = true)]
async fn bases_and_the_gone_are_stated() {
    let place = Place::new();
    {
        let mut state = place.store.state();
        state.roll.gone = [3, 4].into();
        state.roll.news = 1;
        state.bases = (1..190)
            .map(|id| Base {
                app: app(id),
                counter: Counter::Accounts,
                generation: 0,
                version: 7,
                amount: 2,
            })
            .collect();
    }
    let running = place.runs().await;
    seconds(3).await;
    place.forgets(9);
    seconds(3).await;
    let statements = place.statements();
    let stated: usize = statements.iter().map(|(_, part)| part.bases.len()).sum();
    assert_eq!(stated, 189);
    let gone = statements
        .iter()
        .filter(|(_, part)| part.gone == [3, 4].into());
    assert_eq!(gone.count(), usize::from(SHARDS));
    assert_eq!(place.store.state().beats().last().unwrap().news, 1);
    drop(running);
}

#[tokio::test(start_paused = true)]
async fn users_are_told_again() {
    let place = Place::new();
    let running = place.runs().await;
    let ledger = running.ledger.clone();
    let day = ledger.zone().day(ledger.now());
    ledger.entry(app(5)).unwrap();
    let login = |user| Login {
        app: app(5),
        day,
        user,
    };
    let logins: Vec<Login> = (1..=2_000).map(login).collect();
    for some in logins.chunks(500) {
        let open = ledger.open_logins(some.to_vec()).unwrap();
        ledger.tell_logins(&open).await.unwrap();
        open.done();
    }
    assert_eq!(place.store.state().users.len(), 2_000);
    place.forgets(9);
    seconds(3).await;
    assert_eq!(place.store.state().users.len(), 2_000);
    assert!(ledger.knows(&login(7)));
}

#[test]
fn nobody_is_forgotten_but_who_is_said_to_be_gone() {
    use crate::ledger::journal::Standing;
    use crate::ledger::membership::learn;
    use crate::store::Beaten;
    let roll = |version, present: &[u64], gone: &[u64]| Roll {
        version,
        present: present.iter().map(|of| (*of, "a name".into())).collect(),
        gone: gone.iter().copied().collect(),
        silent: [(present[0], version)].into(),
        news: version,
    };
    let told = |epoch, recovery, roll| Beaten {
        epoch,
        recovery,
        roll: Some(roll),
        ..Beaten::default()
    };
    let mut standing = Standing::default();
    learn(
        &mut standing,
        &told(5, Recovery::Closed, roll(8, &[1, 2, 3], &[])),
    )
    .unwrap();
    assert_eq!((standing.seen, standing.roll.version), (8, 8));
    standing.news = 8;
    // A snapshot from before two of them came.
    learn(
        &mut standing,
        &told(6, Recovery::Open, roll(2, &[1, 4], &[3])),
    )
    .unwrap();
    let present: Vec<u64> = standing.roll.present.keys().copied().collect();
    assert_eq!(present, [1, 2, 4]);
    assert_eq!((standing.seen, standing.roll.version), (2, 8));
    assert_eq!(
        standing.roll.silent,
        [(1, 8)].into(),
        "a snapshot's word of the silent is old"
    );
    assert_eq!((standing.roll.news, standing.restated), (8, 5));
    let older = learn(
        &mut standing,
        &told(5, Recovery::Closed, roll(9, &[1], &[])),
    );
    assert!(matches!(older, Err(StoreFault::Frozen(_))));
}

//! Beats, leases, and what is told with them.

use super::*;
use crate::ledger::State;
use crate::quota::Counter;
use crate::store::{BEAT_MS, Base, Recovery, StoreFault};

#[tokio::test(start_paused = true)]
async fn a_new_member_is_fresh_until_it_knows_a_roll_and_a_restart_knows_it_still() {
    let place = Place::new();
    let ledger = place.meets().await;
    assert_eq!(ledger.state(), State::Up);
    assert!(ledger.has_lease());
    drop(ledger);
    place.store.state().calls.clear();
    let again = place.meets().await;
    let beats = place.store.state().beats();
    assert!(!beats[0].fresh, "{beats:?}");
    assert_eq!(beats[0].roll_version, 2);
    let roll = &again.membership.standing().roll;
    assert_eq!(roll.present.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_mark_of_the_gone_goes_when_the_ledger_drops_it_and_not_when_it_forgets_it() {
    let place = Place::new();
    place.store.state().roll.gone = [1, 2, 3].into();
    let running = place.runs().await;
    let gone = || running.ledger.membership.standing().roll.gone.clone();
    assert_eq!(gone(), [1, 2, 3].into());
    {
        let mut state = place.store.state();
        state.roll.gone = [2, 3].into();
        state.roll.version += 1;
    }
    seconds(1).await;
    assert_eq!(gone(), [2, 3].into());
    {
        // Restored from before the third left: it is registered again.
        let mut state = place.store.state();
        state.epoch += 1;
        state.recovery = Recovery::Open;
        state.roll.gone = [2].into();
        state.roll.present.insert(3, "three".into());
        state.roll.version += 1;
    }
    seconds(1).await;
    assert_eq!(gone(), [2, 3].into());
    {
        let mut state = place.store.state();
        state.recovery = Recovery::Closed;
        state.roll.version += 1;
    }
    seconds(1).await;
    assert_eq!(gone(), [2, 3].into());
}

#[tokio::test(start_paused = true)]
async fn the_first_beat_of_a_journal_that_never_knew_a_roll_says_so() {
    let place = Place::new();
    place.meets().await;
    assert!(place.store.state().beats()[0].fresh);
}

#[tokio::test(start_paused = true)]
async fn the_first_meeting_lasts_until_there_is_a_lease() {
    let place = Place::new();
    place.store.state().leased = false;
    let (ledger, _queues) = place.opens();
    let soon = tokio::time::timeout(Duration::from_secs(2), ledger.meet()).await;
    assert!(soon.is_err(), "no lease, no end");
    assert_eq!(ledger.state(), State::Up, "what needs no lease goes on");
    place.store.state().leased = true;
    ledger.meet().await.unwrap();
    assert!(ledger.has_lease());
}

#[tokio::test(start_paused = true)]
async fn beats_come_twice_a_second_and_keep_the_lease() {
    let place = Place::new();
    let running = place.runs().await;
    seconds(1).await;
    let before = place.store.state().beats().len();
    for _ in 0..60 {
        seconds(1).await;
        assert!(running.ledger.has_lease());
    }
    let beats = place.store.state().beats().len() - before;
    let due = usize::try_from(60_000 / BEAT_MS).unwrap();
    assert!((due - 10..=due + 10).contains(&beats), "{beats}");
    assert_eq!(running.ledger.lease.gap(), 1, "it never lapsed");
}

#[tokio::test(start_paused = true)]
async fn a_process_that_is_fenced_off_has_no_lease_from_that_answer_on() {
    let place = Place::new();
    let running = place.runs().await;
    seconds(1).await;
    let ledger = &running.ledger;
    let fault = StoreFault::Fenced("a later process has the journal".into());
    place.store.state().fault = Some(fault.clone());
    tokio::time::sleep(Duration::from_millis(BEAT_MS + 10)).await;
    assert!(!ledger.has_lease(), "4.5 s were left of it");
    assert_eq!(ledger.state(), State::Away);
    // It was another's fault, and is over.
    place.store.state().fault = None;
    seconds(2).await;
    assert!(ledger.has_lease());
    assert_eq!(ledger.lease.gap(), 2, "every app is to be heard again");
    // A call other than a beat is told.
    ledger.doubt(&fault);
    assert!(!ledger.has_lease());
}

#[tokio::test(start_paused = true)]
async fn a_ledger_that_is_away_is_asked_ever_less_often_and_the_lease_runs_out() {
    let place = Place::new();
    let running = place.runs().await;
    seconds(1).await;
    place.store.state().fault = Some(StoreFault::Away("it is switched off".into()));
    seconds(4).await;
    assert!(
        running.ledger.has_lease(),
        "counted from the last good beat"
    );
    assert_eq!(running.ledger.state(), State::Away);
    seconds(2).await;
    assert!(!running.ledger.has_lease());
    place.store.state().calls.clear();
    seconds(60).await;
    let probes = place.store.state().calls.len();
    assert!((40..=90).contains(&probes), "{probes}");
    place.store.state().fault = None;
    seconds(3).await;
    assert_eq!(running.ledger.state(), State::Up);
    assert!(running.ledger.has_lease());
    assert_eq!(running.ledger.lease.gap(), 2);
}

#[tokio::test(start_paused = true)]
async fn who_is_gone_stops_for_good() {
    let place = Place::new();
    let running = place.runs().await;
    let me = incarnation(&running.ledger);
    place.store.state().roll.gone.insert(me);
    seconds(2).await;
    assert!(!running.ledger.has_lease());
    assert_ne!(running.ledger.state(), State::Up);
    place.store.state().calls.clear();
    place.store.state().roll.gone.clear();
    seconds(60).await;
    assert_eq!(
        place.store.state().calls,
        [],
        "it asks for nothing any more"
    );
    assert!(!running.ledger.has_lease());
}

#[tokio::test(start_paused = true)]
async fn bases_are_in_the_journal_before_a_beat_says_so() {
    let place = Place::new();
    let running = place.runs().await;
    let base = |version, amount| Base {
        app: app(5),
        counter: Counter::Groups,
        generation: 0,
        version,
        amount,
    };
    {
        let mut state = place.store.state();
        state.bases = vec![base(9, 4)];
        state.roll.news = 3;
    }
    seconds(3).await;
    assert_eq!(place.store.state().beats().last().unwrap().news, 3);
    place.store.state().bases = vec![base(12, 6)];
    place.store.state().roll.news = 4;
    place.store.state().calls.clear();
    seconds(3).await;
    let shard = crate::store::Shard::of(app(5));
    let asked = |call: &Call| matches!(call, Call::Bases(of, 9) if *of == shard);
    assert!(
        place.store.state().calls.iter().any(asked),
        "only what is newer"
    );
    let ledger = running.stops().await;
    drop(ledger);
    place.store.state().calls.clear();
    let again = place.meets().await;
    assert_eq!(place.store.state().beats()[0].news, 4);
    let kept = again.journal.bases_page(shard, None, 10).unwrap();
    assert_eq!(kept, [base(12, 6)]);
}

#[tokio::test(start_paused = true)]
async fn a_freeze_is_acknowledged_for_apps_met_and_unmet() {
    /// Not in the settings.
    const UNMET: u64 = 206;
    let place = Place::new();
    let running = place.runs().await;
    creates(&running.ledger, 5);
    seconds(6).await;
    place.store.state().calls.clear();
    place.store.state().notices = vec![(app(5), 40), (app(UNMET), 50)];
    seconds(4).await;
    let entry = running.ledger.entry(app(5)).unwrap().unwrap();
    assert_eq!(entry.frozen(), Some(40));
    assert!(running.ledger.met_entry(app(UNMET)).is_none());
    let acks = |id, token| {
        let state = place.store.state();
        let apps = state.calls.iter().filter_map(|call| match call {
            Call::Settle(report) => Some(&report.apps),
            _ => None,
        });
        let acks = apps.flatten().filter(|report| report.app == app(id));
        acks.filter(|report| report.acks_freeze == Some(token))
            .count()
    };
    assert!(acks(5, 40) >= 1);
    assert_eq!(acks(UNMET, 50), 1, "once is enough");
}

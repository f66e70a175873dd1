//! Leaving in good order, and broken off at any moment: nothing is lost, nothing is counted twice.

use super::fake::Fate;
use super::*;
use crate::store::{Recovery, StoreFault};

/// How many apps the leaver has, about as many shards.
const APPS: u64 = 12;

/// A process that created a group in each of some apps, and whose tasks have ended.
async fn drained(place: &Place) -> Arc<Ledger> {
    let running = place.runs().await;
    for id in 1..=APPS {
        creates(&running.ledger, id);
    }
    running.stops().await
}

fn total(place: &Place) -> u64 {
    place.store.state().total().try_into().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_leave_in_good_order_is_followed_by_a_new_member() {
    let place = Place::new();
    let ledger = drained(&place).await;
    let old = incarnation(&ledger);
    ledger.part().await;
    ledger.close().await;
    drop(ledger);
    {
        let state = place.store.state();
        assert!(state.roll.gone.contains(&old));
        assert_eq!((state.folded, state.groups.len()), (12, 0));
    }
    let ledger = place.meets().await;
    assert_ne!(incarnation(&ledger), old);
    assert_eq!(greeted(&place.store), [old, incarnation(&ledger)]);
    creates(&ledger, 1);
    ledger.settle_rest().await;
    assert_eq!(total(&place), APPS + 1);
}

#[tokio::test(start_paused = true)]
async fn a_leave_that_is_broken_off_anywhere_is_finished_by_the_next_start() {
    let mut ways = [0, 0];
    for fate in [Fate::Lost, Fate::Unanswered] {
        for at in 0.. {
            let place = Place::new();
            let ledger = drained(&place).await;
            let old = incarnation(&ledger);
            place.store.state().calls.clear();
            place.store.state().fate = Some((at, fate));
            let parted = tokio::time::timeout(Duration::from_secs(3), ledger.part()).await;
            drop(ledger);
            place.store.state().fate = None;
            let again = place.meets().await;
            let gone = place.store.state().roll.gone.contains(&old);
            ways[usize::from(gone)] += 1;
            assert_eq!(incarnation(&again) == old, !gone, "{fate:?} {at}");
            creates(&again, 1);
            again.settle_rest().await;
            assert_eq!(total(&place), APPS + 1, "{fate:?} {at}");
            assert_eq!(again.journal.predecessor().unwrap(), None, "{fate:?} {at}");
            let me = incarnation(&again);
            let present: Vec<u64> = place.store.state().roll.present.keys().copied().collect();
            let mut expected = [OTHER, me];
            expected.sort_unstable();
            assert_eq!(present, expected, "{fate:?} {at}");
            if parted.is_ok() {
                break; // The script did not get that far: it was a whole leave.
            }
        }
    }
    assert!(ways.iter().all(|ways| *ways > 5), "{ways:?}");
}

#[tokio::test(start_paused = true)]
async fn a_ledger_that_forgets_half_a_leave_is_told_by_the_next_start() {
    let place = Place::new();
    let ledger = drained(&place).await;
    let old = incarnation(&ledger);
    place.store.state().calls.clear();
    // In the middle of the folding.
    place.store.state().fate = Some((19, Fate::Lost));
    assert!(
        tokio::time::timeout(Duration::from_secs(3), ledger.part())
            .await
            .is_err()
    );
    drop(ledger);
    {
        let mut state = place.store.state();
        let folded = state.folded;
        assert!((1..12).contains(&folded), "{folded}");
        state.fate = None;
        // All of it is forgotten, folds and sums alike.
        state.folded = 0;
        state.groups.clear();
        state.takes_no_report_of.clear();
        state.epoch = 9;
        state.recovery = Recovery::Open;
    }
    let (again, _queues) = place.opens();
    creates(&again, 1);
    let fault = again.meet().await.unwrap_err();
    assert!(matches!(fault, StoreFault::Frozen(_)), "{fault}");
    assert_eq!(total(&place), APPS, "told as the one that leaves");
    assert!(place.store.state().roll.present.contains_key(&old));
    place.store.state().recovery = Recovery::Closed;
    again.meet().await.unwrap();
    again.settle_rest().await;
    assert_eq!(total(&place), APPS + 1);
    assert!(place.store.state().roll.gone.contains(&old));
}

#[tokio::test(start_paused = true)]
async fn nobody_leaves_a_ledger_that_is_away_or_recovers() {
    for away in [true, false] {
        let place = Place::new();
        let ledger = drained(&place).await;
        let old = incarnation(&ledger);
        if away {
            place.store.state().fault = Some(StoreFault::Away("it is switched off".into()));
        } else {
            place.store.state().epoch = 9;
            place.store.state().recovery = Recovery::Open;
        }
        ledger.part().await;
        ledger.close().await;
        drop(ledger);
        assert_eq!(place.store.state().folded, 0);
        assert_eq!(incarnation(&place.opens().0), old);
    }
}

#[tokio::test(start_paused = true)]
async fn a_leave_waits_for_a_fellow_that_is_there_and_for_nobody_else() {
    let place = Place::new();
    let ledger = drained(&place).await;
    place.store.state().fellow = false;
    let waits = tokio::time::timeout(Duration::from_secs(3), ledger.part()).await;
    assert!(waits.is_err(), "the base is known to the ledger alone");
    drop(ledger);
    let place = Place::new();
    let ledger = drained(&place).await;
    place.store.state().fellow = false;
    place.store.state().roll.silent = [(OTHER, 3)].into();
    place.store.state().roll.version += 1;
    let alone = tokio::time::timeout(Duration::from_secs(3), ledger.part()).await;
    assert!(alone.is_ok(), "who is silent learns nothing");
}

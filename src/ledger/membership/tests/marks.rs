//! Whoever says that a member is gone has the bases that contain it.

use super::*;
use crate::ledger::journal::Standing;
use crate::ledger::membership::learn;
use crate::store::{Beaten, Recovery, Roll};

fn told(epoch: u64, news: u64, present: &[u64], gone: &[u64]) -> Beaten {
    Beaten {
        epoch,
        recovery: Recovery::Closed,
        roll: Some(Roll {
            version: news + 1,
            present: present.iter().map(|of| (*of, "a name".into())).collect(),
            gone: gone.iter().copied().collect(),
            news,
            ..Roll::default()
        }),
        news,
        ..Beaten::default()
    }
}

/// One that has the bases of news 4, and of three members.
fn knows_three() -> Standing {
    let mut standing = Standing::default();
    learn(&mut standing, &told(5, 4, &[1, 2, 3], &[])).unwrap();
    standing.news = 4;
    standing
}

fn present(standing: &Standing) -> Vec<u64> {
    standing.roll.present.keys().copied().collect()
}

#[test]
fn one_that_left_is_present_until_its_bases_are_here() {
    let mut standing = knows_three();
    learn(&mut standing, &told(5, 5, &[1, 3], &[2])).unwrap();
    learn(&mut standing, &told(5, 6, &[1], &[2, 3])).unwrap();
    assert_eq!(present(&standing), [1, 2, 3]);
    assert_eq!((standing.roll.gone.len(), standing.roll.news), (0, 4));
    standing.news = 5;
    standing.read_on();
    assert_eq!(present(&standing), [1, 3]);
    assert_eq!((&standing.roll.gone, standing.roll.news), (&[2].into(), 5));
    standing.news = 6;
    standing.read_on();
    assert_eq!(present(&standing), [1]);
    assert_eq!(
        (&standing.roll.gone, standing.roll.news),
        (&[2, 3].into(), 6)
    );
    assert!(standing.unread.is_empty());
}

#[test]
fn a_ledger_that_forgot_a_leave_may_tell_that_nobody_left() {
    let mut standing = knows_three();
    learn(&mut standing, &told(5, 5, &[1, 3], &[2])).unwrap();
    learn(&mut standing, &told(6, 5, &[1, 2, 3], &[])).unwrap();
    standing.news = 5;
    standing.read_on();
    assert_eq!(present(&standing), [1, 2, 3]);
    assert!(standing.roll.gone.is_empty());
}

#[test]
fn a_recount_among_the_news_is_not_held_back() {
    let mut standing = knows_three();
    learn(&mut standing, &told(5, 6, &[1, 3], &[2])).unwrap();
    assert_eq!(standing.roll.news, 6);
}

#[tokio::test(start_paused = true)]
async fn who_left_is_stated_as_gone_with_its_bases_alone() {
    let place = Place::new();
    let running = place.runs().await;
    {
        let mut state = place.store.state();
        state.roll.present.insert(7, "seven".into());
        state.roll.version += 1;
    }
    seconds(3).await;
    {
        let mut state = place.store.state();
        state.roll.present.remove(&7);
        state.roll.gone = [7].into();
        state.roll.version += 1;
        state.roll.news += 1;
    }
    seconds(3).await;
    let standing = running.ledger.membership.standing();
    assert_eq!((&standing.roll.gone, standing.news), (&[7].into(), 1));
    assert!(standing.unread.is_empty());
}

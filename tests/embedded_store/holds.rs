//! Reservations in the file, and told again after a kill.

use imquota::clock::Millis;
use imquota::quota::{Limits, Resource};
use imquota::store::{GiveBack, GivenBack, HoldState, Intent, RecordKey, Take, Taken, Undecided};

use super::{Folder, checkpoint, killed, minutes, rows};
use crate::store_suite::holds::{before, later};
use crate::store_suite::{Seat, app, limits, now, request, reserving, run};

const ACCOUNT: (Resource, u32) = (Resource::Account, 1);
const CONFIRM: Intent = Intent::Confirm { lapsed: false };
const CHARGE: Intent = Intent::Confirm { lapsed: true };

fn reserve(seat: &Seat, id: &str, until: Millis) -> Take {
    reserving(seat.wants(app(1), Some(id), ACCOUNT, &limits()), until)
}

fn reserve_named(seat: &Seat, id: &str, name: &str, until: Millis) -> Take {
    let what = (Resource::AvRoom, name);
    reserving(seat.names(app(1), Some(id), what, &limits()), until)
}

async fn done(seat: &Seat, take: &Take) {
    seat.gets(take).await;
    seat.answered(take, None).await;
}

async fn open(seat: &Seat) -> Vec<String> {
    let holds = seat.store.holds(app(1), 99, now()).await.unwrap();
    holds.iter().map(|hold| hold.id.to_string()).collect()
}

#[test]
fn reservations_are_there_after_a_restart() {
    run(async {
        let folder = Folder::new();
        let mut seat = folder.sit(None).await;
        let held = reserve(&seat, "held", later());
        seat.gets(&held).await;
        done(&seat, &reserve_named(&seat, "named", "r1", later().plus(1))).await;
        let [confirming, cancelled, lapsed, charged] =
            ["confirming", "cancelled", "lapsed", "charged"].map(|id| reserve(&seat, id, before()));
        for take in [&confirming, &cancelled, &lapsed, &charged] {
            done(&seat, take).await;
        }
        done(&seat, &seat.then(&cancelled, Intent::Cancel)).await;
        done(&seat, &seat.then(&lapsed, Intent::Lapse)).await;
        done(&seat, &seat.then(&charged, CHARGE)).await;
        let confirm = seat.then(&confirming, CONFIRM);
        seat.gets(&confirm).await;
        let hold = seat.hold(app(1), "named").await;
        let usage = seat.store.usage(app(1), confirm.day, now()).await.unwrap();
        for restarted in [false, true] {
            checkpoint(&seat).await;
            if restarted {
                seat = killed(&folder, seat).await;
            }
            let again = seat.store.usage(app(1), confirm.day, now()).await.unwrap();
            assert_eq!(again.view.reserved, [1, 1, 1, 1]);
            assert_eq!(again.view.net, usage.view.net);
            assert_eq!(open(&seat).await, ["held", "named"]);
            assert_eq!(seat.hold(app(1), "named").await, hold);
            for (id, state) in [
                ("confirming", HoldState::Confirmed { late: true }),
                ("cancelled", HoldState::Cancelled),
                ("lapsed", HoldState::Lapsed),
                ("charged", HoldState::Charged),
            ] {
                assert_eq!(seat.hold_state(app(1), id).await, Some(state));
            }
        }
        // The attempts of the process before are still there to be withdrawn.
        seat.abort(&confirm).await;
        seat.abort(&held).await;
        assert_eq!(open(&seat).await, ["confirming", "named"]);
    });
}

#[test]
fn an_open_reservation_is_never_folded_nor_the_note_that_points_at_it() {
    run(async {
        let folder = Folder::new();
        let mut seat = folder.sit(None).await;
        let plain = reserve(&seat, "plain", before());
        let named = reserve_named(&seat, "named", "r1", before().plus(1));
        done(&seat, &plain).await;
        done(&seat, &named).await;
        for age in [60, 120, 180] {
            seat.store.checkpoint(minutes(age)).await.unwrap();
            seat = killed(&folder, seat).await;
            assert_eq!(open(&seat).await, ["plain", "named"]);
            let hold = seat.hold(app(1), "named").await.unwrap();
            assert_eq!((hold.state, &hold.key), (HoldState::Open, &named.key));
        }
        for take in [&plain, &named] {
            done(&seat, &seat.then(take, CONFIRM)).await;
        }
        seat.store.checkpoint(minutes(5)).await.unwrap();
        let late = HoldState::Confirmed { late: true };
        assert_eq!(seat.hold_state(app(1), "named").await, Some(late));
        // Now they go with age, as all do, and the object stays.
        seat.store.checkpoint(minutes(60)).await.unwrap();
        assert_eq!(seat.hold(app(1), "named").await, None);
        assert_eq!(seat.hold(app(1), "plain").await, None);
        assert!(seat.knows(app(1), (Resource::AvRoom, "r1")).await);
        assert_eq!(seat.usage(app(1)).await.view.net, [1, 1, 1, 1]);
        drop(seat);
        assert_eq!(rows::<(u8, u32, u16, u128)>(&folder, "records"), 0);
    });
}

#[test]
fn an_outcome_without_its_reservation_is_written() {
    run(async {
        let folder = Folder::new();
        let seat = folder.sit(None).await;
        for (id, intent, state, net) in [
            ("a", CONFIRM, HoldState::Confirmed { late: false }, 1),
            ("b", CHARGE, HoldState::Charged, 2),
            ("c", Intent::Cancel, HoldState::Cancelled, 2),
            ("d", Intent::Lapse, HoldState::Lapsed, 2),
        ] {
            let take = seat.then(&reserve(&seat, id, later()), intent);
            for _ in 0..2 {
                seat.answered(&take, None).await;
                assert_eq!(seat.hold_state(app(1), id).await, Some(state));
                assert_eq!(seat.usage(app(1)).await.view.net[0], net);
            }
        }
        let take = seat.then(&reserve_named(&seat, "e", "r1", later()), CONFIRM);
        for _ in 0..2 {
            seat.answered(&take, None).await;
        }
        assert!(seat.knows(app(1), (Resource::AvRoom, "r1")).await);
        assert_eq!(seat.usage(app(1)).await.view.net, [2, 1, 1, 1]);
        let again = seat.take(&seat.then(&take, CONFIRM)).await;
        assert!(matches!(again, Taken::Allowed { replayed: true, .. }));
    });
}

/// What a journal has of one call.
#[derive(Debug, Clone)]
enum Said {
    Answered(Take),
    Released(GiveBack),
}

/// All that can be seen of the app.
#[derive(Debug, PartialEq)]
struct Seen {
    net: [i64; 4],
    reserved: [u64; 4],
    open: Vec<String>,
    holds: Vec<Option<HoldState>>,
    known: Vec<bool>,
}

async fn seen(seat: &Seat) -> Seen {
    let mut seen = Seen {
        net: seat.usage(app(1)).await.view.net,
        reserved: seat.reserved(app(1)).await,
        open: open(seat).await,
        holds: Vec::new(),
        known: Vec::new(),
    };
    for n in 1..=12 {
        seen.holds
            .push(seat.hold_state(app(1), &format!("r{n}")).await);
    }
    for name in ["a", "b", "c", "d", "e", "f"] {
        seen.known
            .push(seat.knows(app(1), (Resource::Group, name)).await);
    }
    seen
}

/// A history that meets each object and each id more than once.
fn history(seat: &Seat) -> Vec<Said> {
    let count = |id: &str, name: &str| {
        let what = (Resource::Group, name);
        Said::Answered(seat.names(app(1), Some(id), what, &Limits::UNLIMITED))
    };
    let delete = |id: &str, name: &str| {
        Said::Released(seat.deletes(app(1), Some(id), (Resource::Group, name)))
    };
    let then = |take: &Take, intent| Said::Answered(seat.then(take, intent));
    let plain: Vec<Take> = [
        ("r1", later()),
        ("r2", later()),
        ("r3", before()),
        ("r4", before()),
        ("r5", later()),
        ("r6", later()),
    ]
    .map(|(id, until)| reserve(seat, id, until))
    .into();
    let group = (Resource::Group, 1);
    let unnamed = seat.wants(app(1), Some("r7"), group, &limits());
    let unnamed = reserving(unnamed, later());
    let under_c = Take {
        key: RecordKey::Object(seat.object(app(1), Resource::Group, "c")),
        note: Some(request("r7")),
        ..seat.then(&unnamed, CONFIRM)
    };
    let named: Vec<Take> = [("r8", "a"), ("r9", "c"), ("r10", "c"), ("r11", "d")]
        .map(|(id, name)| reserve_named(seat, id, name, later()))
        .into();
    let mut said: Vec<Said> = plain.iter().cloned().map(Said::Answered).collect();
    said.extend([
        then(&plain[0], CONFIRM),
        then(&plain[1], Intent::Cancel),
        then(&plain[2], Intent::Lapse),
        then(&plain[3], CHARGE),
        then(&plain[2], CONFIRM),
        count("c1", "b"),
        delete("d1", "b"),
        count("c2", "b"),
        count("c3", "b"),
        delete("d2", "b"),
        Said::Answered(seat.wants(app(1), None, (Resource::Group, 3), &limits())),
        delete("d3", "e"),
        delete("d4", "e"),
        count("c4", "e"),
        Said::Answered(named[0].clone()),
        then(&named[0], CONFIRM),
        delete("d5", "a"),
        count("c5", "a"),
        Said::Answered(unnamed),
        Said::Answered(under_c),
        delete("d6", "c"),
        Said::Answered(named[1].clone()),
        then(&named[1], Intent::Cancel),
        Said::Answered(named[2].clone()),
        Said::Answered(named[3].clone()),
        count("c6", "d"),
        delete("d7", "f"),
        then(&plain[4], Intent::Cancel),
    ]);
    said
}

/// Does it for the first time, and journals the answer.
async fn first(seat: &Seat, said: &Said) -> Said {
    match said {
        Said::Answered(take) => {
            done(seat, take).await;
            said.clone()
        }
        Said::Released(back) => match seat.store.release(back, now()).await.unwrap() {
            GivenBack::Released { released, .. } => Said::Released(GiveBack {
                given: Some(released),
                ..back.clone()
            }),
            other => panic!("{other:?}"),
        },
    }
}

async fn told(seat: &Seat, journal: &[Said]) {
    for said in journal {
        match said {
            Said::Answered(take) => {
                seat.answered(take, None).await;
            }
            Said::Released(back) => {
                seat.store.release(back, now()).await.unwrap();
            }
        }
    }
}

#[test]
fn a_lost_process_is_told_again_from_wherever_its_last_checkpoint_was() {
    run(async {
        let steps = {
            let folder = Folder::new();
            history(&folder.sit(None).await).len()
        };
        for saved in 0..=steps {
            let folder = Folder::new();
            let mut seat = folder.sit(None).await;
            let mut journal = Vec::new();
            for (n, said) in history(&seat).iter().enumerate() {
                if n == saved {
                    checkpoint(&seat).await;
                }
                journal.push(first(&seat, said).await);
            }
            let before = seen(&seat).await;
            assert_eq!(before.net, [4, 5, 1, 5], "the history is another");
            seat = killed(&folder, seat).await;
            told(&seat, &journal).await;
            assert_eq!(seen(&seat).await, before, "saved after {saved}");
            // The file has a part of what is told now, and then all.
            checkpoint(&seat).await;
            seat = killed(&folder, seat).await;
            told(&seat, &journal).await;
            told(&seat, &journal).await;
            assert_eq!(seen(&seat).await, before, "saved after {saved}, and again");
        }
    });
}

#[test]
fn what_a_deletion_waits_for_is_kept() {
    run(async {
        let folder = Folder::new();
        let seat = folder.sit(None).await;
        let room = (Resource::AvRoom, "r1");
        let take = seat.names(app(1), Some("a"), room, &limits());
        seat.gets(&take).await;
        assert_eq!(seat.release(&seat.deletes(app(1), None, room)).await, 1);
        seat.store.checkpoint(minutes(60)).await.unwrap();
        let seat = killed(&folder, seat).await;
        let next = seat.names(app(1), Some("b"), room, &limits());
        let taken = seat.take(&next).await;
        assert_eq!(taken, Taken::Undecided(Undecided::Confirming));
        for _ in 0..2 {
            seat.answered(&take, None).await;
            assert_eq!(seat.usage(app(1)).await.view.net, [0; 4]);
        }
        seat.gets(&next).await;
        // The answer of the one before, once more, is not the next one's.
        seat.answered(&take, None).await;
        seat.abort(&next).await;
        assert_eq!(seat.usage(app(1)).await.view.net, [0; 4]);
    });
}

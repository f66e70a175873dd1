//! Reservations: held until somebody says what they came to, and confirmed once.

use std::time::Duration;

use imquota::quota::{Counter, Resource};
use imquota::store::{
    Ack, Answered, GivenBack, Hold, HoldState, Intent, Known, Operator, Recount, Recounted, Report,
    Statement, Store, Taken, Undecided,
};

use crate::asks::{
    CHARGE, CONFIRM, MINE, PLAIN, REPLAYED, Said, accounts_taken, answer, attempt, count, create,
    in_ms, object, of, recover, reserve, rules, statement, then, two, with,
};
use crate::fixture::{NOW, Sidecar, app, client, give_back, limits, today};
use crate::redis_server::RedisServer;

const LONG: i64 = 60_000;

async fn until_over(hold: &Hold) {
    while in_ms(0) <= hold.until {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn a_reservation_holds_its_place_and_is_read_and_listed() {
    let server = RedisServer::start();
    let (one, _) = Sidecar::fresh(1, &server).await;
    let narrow = limits(2, 0, 0);
    let soon = of(Resource::Account, 1, &narrow, &reserve("soon", 1, LONG));
    let later = of(
        Resource::Account,
        1,
        &narrow,
        &reserve("later", 2, 2 * LONG),
    );
    let taken = one.take(&later).await.unwrap();
    let Taken::Allowed { view, .. } = &taken else {
        panic!("{taken:?}");
    };
    assert_eq!((view.net[0], view.reserved[0]), (1, 1));
    assert_eq!(one.asks(&soon).await, PLAIN);
    let full = of(Resource::Account, 1, &narrow, &reserve("full", 3, LONG));
    let denied = one.take(&full).await;
    assert!(
        matches!(
            denied,
            Ok(Taken::Denied {
                counter: Counter::Accounts,
                recallable: false,
                ..
            })
        ),
        "{denied:?}"
    );
    let again = one.take(&attempt(4, &full)).await;
    assert!(
        matches!(again, Ok(Taken::Denied { replayed: true, .. })),
        "{again:?}"
    );
    assert_eq!(one.listed().await, ["soon", "later"]);
    assert_eq!(one.store.holds(app(1), 1, NOW).await.unwrap().len(), 1);
    let Intent::Reserve { until } = soon.intent else {
        panic!("it is a reservation");
    };
    let hold = one.hold_of("soon").await.unwrap();
    assert_eq!(
        (hold.key, hold.fingerprint, hold.until, hold.day),
        (soon.key.clone(), soon.fingerprint, until, today())
    );
    assert_eq!(hold.charge.parts()[0].counter, Counter::Accounts);
    assert_eq!(hold.state, HoldState::Open);
    assert_eq!(one.hold_of("none").await, None);
    // Other content under its id is refused, and so is a deletion.
    assert_eq!(one.take(&count("soon", 5)).await, Ok(Taken::OtherContent));
    let back = give_back(&client("soon"), Resource::Account, 1);
    assert_eq!(one.release(&back).await, Ok(GivenBack::OtherContent));
}

#[tokio::test]
async fn a_room_that_is_reserved_is_reserved_in_each_of_its_counts() {
    let server = RedisServer::start();
    let (one, _) = Sidecar::fresh(1, &server).await;
    let room = of(Resource::AvRoom, 2, &rules(), &reserve("room", 1, LONG));
    one.asks(&room).await;
    let view = one.view().await;
    assert_eq!((view.net, view.reserved), ([0, 2, 2, 2], [0, 2, 2, 2]));
    assert_eq!(one.usage(app(1)).await.month_peak_groups, 0);
    assert_eq!(one.asks(&then(CONFIRM, 2, &room)).await, MINE);
    let view = one.view().await;
    assert_eq!((view.net, view.reserved), ([0, 2, 2, 2], [0; 4]));
    assert_eq!(one.answered(&then(CONFIRM, 2, &room)).await, Ack::Counted);
    let usage = one.usage(app(1)).await;
    assert_eq!((usage.view.net, usage.month_peak_groups), ([0, 2, 2, 2], 2));
}

#[tokio::test]
async fn aborts_free_a_reservation_until_it_was_answered() {
    let server = RedisServer::start();
    let [one, two] = two(&server).await;
    let hold = reserve("id", 1, LONG);
    one.asks(&hold).await;
    assert_eq!(two.asks(&hold).await, REPLAYED);
    one.abort(&hold).await;
    assert_eq!(one.accounts().await, (1, 1));
    two.abort(&hold).await;
    assert_eq!(one.accounts().await, (0, 0));
    assert_eq!(
        (one.listed().await.len(), one.state_of("id").await),
        (0, None)
    );
    assert_eq!(one.take(&hold).await, Ok(Taken::Withdrawn));
    // Answered by one, it is nobody's to free.
    let anew = attempt(2, &hold);
    assert_eq!(one.asks(&anew).await, PLAIN);
    two.asks(&anew).await;
    assert_eq!(one.says(&anew).await, Ack::Counted);
    two.abort(&anew).await;
    assert_eq!(one.accounts().await, (1, 1));
    assert_eq!(one.says(&anew).await, Ack::Counted);
    assert_eq!(two.asks(&attempt(3, &hold)).await, REPLAYED);
    assert_eq!(one.accounts().await, (1, 1));
}

#[tokio::test]
async fn another_member_confirms_and_has_it_in_its_sums() {
    let server = RedisServer::start();
    let [one, two] = two(&server).await;
    let hold = reserve("id", 1, LONG);
    one.asks(&hold).await;
    one.says(&hold).await;
    let confirm = then(CONFIRM, 7, &hold);
    assert_eq!(two.asks(&confirm).await, MINE);
    assert_eq!(
        one.state_of("id").await,
        Some(HoldState::Confirmed { late: false })
    );
    assert!(one.listed().await.is_empty());
    assert_eq!(one.accounts().await, (1, 0));
    // Whoever confirms as well has the same answer, and not the unit.
    let other = then(CONFIRM, 8, &hold);
    assert_eq!(one.asks(&other).await, REPLAYED);
    assert_eq!(one.says(&other).await, Ack::Again);
    assert_eq!(two.answered(&confirm).await, Ack::Counted);
    assert_eq!(one.says(&other).await, Ack::Counted);
    assert_eq!(one.accounts().await, (1, 0));
    assert_eq!(one.asks(&then(CONFIRM, 9, &hold)).await, REPLAYED);
    assert_eq!(
        one.take(&then(Intent::Cancel, 10, &hold)).await,
        Ok(Taken::Ended)
    );
    assert_eq!(one.asks(&attempt(11, &hold)).await, REPLAYED);
    assert_eq!(one.accounts().await, (1, 0));
}

#[tokio::test]
async fn a_confirmation_that_is_withdrawn_leaves_the_reservation() {
    let server = RedisServer::start();
    let [one, two] = two(&server).await;
    let hold = reserve("id", 1, LONG);
    one.asks(&hold).await;
    let (first, second) = (then(CONFIRM, 2, &hold), then(CONFIRM, 3, &hold));
    one.asks(&first).await;
    assert_eq!(two.asks(&second).await, REPLAYED);
    let cancel = then(Intent::Cancel, 4, &hold);
    let confirming = Ok(Taken::Undecided(Undecided::Confirming));
    assert_eq!(one.take(&cancel).await, confirming);
    one.abort(&first).await;
    assert_eq!(one.take(&cancel).await, confirming);
    two.abort(&second).await;
    assert_eq!(one.accounts().await, (1, 1));
    assert_eq!(
        (one.listed().await, one.state_of("id").await),
        (vec!["id".into()], Some(HoldState::Open))
    );
    assert_eq!(two.take(&second).await, Ok(Taken::Withdrawn));
    // The attempt that reserved it does not free it any more.
    one.abort(&hold).await;
    assert_eq!(one.accounts().await, (1, 1));
    assert_eq!(one.asks(&cancel).await, PLAIN);
    assert_eq!(one.accounts().await, (0, 0));
}

#[tokio::test]
async fn whose_owner_withdraws_is_counted_by_who_answered() {
    let server = RedisServer::start();
    let [one, two] = two(&server).await;
    let hold = reserve("id", 1, LONG);
    one.asks(&hold).await;
    let (first, second) = (then(CONFIRM, 2, &hold), then(CONFIRM, 3, &hold));
    one.asks(&first).await;
    two.asks(&second).await;
    one.abort(&first).await;
    assert_eq!(two.says(&second).await, Ack::Yours);
    assert_eq!(two.answered(&second).await, Ack::Counted);
    assert_eq!(one.accounts().await, (1, 0));
}

#[tokio::test]
async fn cancelled_it_is_over_for_all() {
    let server = RedisServer::start();
    let [one, two] = two(&server).await;
    let hold = reserve("id", 1, LONG);
    one.asks(&hold).await;
    let cancel = then(Intent::Cancel, 2, &hold);
    assert_eq!(two.asks(&cancel).await, PLAIN);
    assert_eq!(two.asks(&then(Intent::Cancel, 3, &hold)).await, REPLAYED);
    assert_eq!(one.accounts().await, (0, 0));
    assert_eq!(one.state_of("id").await, Some(HoldState::Cancelled));
    assert_eq!(one.take(&then(CONFIRM, 4, &hold)).await, Ok(Taken::Ended));
    assert_eq!(one.take(&attempt(5, &hold)).await, Ok(Taken::Ended));
    // The answer of the reservation, and of the cancellation, change nothing any more.
    assert_eq!(one.says(&hold).await, Ack::Counted);
    assert_eq!(two.says(&cancel).await, Ack::Counted);
    assert_eq!(one.accounts().await, (0, 0));
    // A cancellation that was withdrawn before it came does nothing.
    let other = reserve("other", 6, LONG);
    one.asks(&other).await;
    let late = then(Intent::Cancel, 7, &other);
    two.abort(&late).await;
    assert_eq!(two.take(&late).await, Ok(Taken::Withdrawn));
    assert_eq!(one.accounts().await, (1, 1));
}

#[tokio::test]
async fn what_is_no_reservation_is_neither_confirmed_nor_cancelled() {
    let server = RedisServer::start();
    let (one, _) = Sidecar::fresh(1, &server).await;
    one.asks(&count("counted", 1)).await;
    one.release(&give_back(&client("gone"), Resource::Account, 1))
        .await
        .unwrap();
    let none = of(Resource::Account, 1, &limits(0, 0, 0), &count("denied", 2));
    one.take(&none).await.unwrap();
    for id in ["counted", "gone", "denied", "unknown"] {
        for intent in [CONFIRM, CHARGE, Intent::Cancel, Intent::Lapse] {
            let taken = one.take(&then(intent, 3, &count(id, 0))).await;
            assert_eq!(taken, Ok(Taken::NoHold), "{id} {intent:?}");
        }
    }
    assert_eq!(one.accounts().await, (0, 0));
}

#[tokio::test]
async fn a_late_confirmation_counts_and_says_so() {
    let server = RedisServer::start();
    let (one, _) = Sidecar::fresh(1, &server).await;
    let hold = reserve("id", 1, 1);
    one.asks(&hold).await;
    until_over(&one.hold_of("id").await.unwrap()).await;
    // Its time is over, and it holds its place.
    assert_eq!(
        (one.accounts().await, one.state_of("id").await),
        ((1, 1), Some(HoldState::Open))
    );
    let late = Said { late: true, ..MINE };
    assert_eq!(one.asks(&then(CONFIRM, 2, &hold)).await, late);
    assert_eq!(
        one.state_of("id").await,
        Some(HoldState::Confirmed { late: true })
    );
    let again = Said {
        late: true,
        ..REPLAYED
    };
    assert_eq!(one.asks(&then(CONFIRM, 3, &hold)).await, again);
}

#[tokio::test]
async fn freed_when_it_has_expired_it_may_still_be_confirmed_above_the_limit() {
    let server = RedisServer::start();
    let [one, two] = two(&server).await;
    let narrow = limits(1, 0, 0);
    let hold = of(Resource::Account, 1, &narrow, &reserve("id", 1, 300));
    one.asks(&hold).await;
    let lapse = then(Intent::Lapse, 2, &hold);
    assert_eq!(
        one.take(&lapse).await,
        Ok(Taken::NoHold),
        "its time is not over"
    );
    until_over(&one.hold_of("id").await.unwrap()).await;
    assert_eq!(one.asks(&lapse).await, PLAIN);
    assert_eq!(
        (one.accounts().await, one.state_of("id").await),
        ((0, 0), Some(HoldState::Lapsed))
    );
    assert_eq!(one.take(&lapse).await, Ok(Taken::NoHold));
    assert_eq!(one.take(&attempt(3, &hold)).await, Ok(Taken::Ended));
    assert_eq!(one.take(&then(CHARGE, 4, &hold)).await, Ok(Taken::NoHold));
    let other = of(Resource::Account, 1, &narrow, &count("other", 5));
    assert_eq!(one.asks(&other).await, MINE);
    let confirm = then(CONFIRM, 6, &hold);
    assert_eq!(two.asks(&confirm).await, Said { late: true, ..MINE });
    assert_eq!(one.accounts().await, (2, 0));
    // Withdrawn, it is a reservation whose time is over, and freed again.
    two.abort(&confirm).await;
    assert_eq!(
        (one.accounts().await, one.listed().await.len()),
        ((2, 1), 1)
    );
    assert_eq!(one.asks(&then(Intent::Lapse, 7, &hold)).await, PLAIN);
    // What was freed is cancelled as well.
    assert_eq!(one.asks(&then(Intent::Cancel, 8, &hold)).await, PLAIN);
    assert_eq!(one.take(&then(CONFIRM, 9, &hold)).await, Ok(Taken::Ended));
}

#[tokio::test]
async fn counted_by_the_rules_it_is_confirmed_once_more_and_late() {
    let server = RedisServer::start();
    let [one, two] = two(&server).await;
    let hold = reserve("id", 1, 200);
    one.asks(&hold).await;
    let charge = then(CHARGE, 2, &hold);
    assert_eq!(
        one.take(&charge).await,
        Ok(Taken::NoHold),
        "its time is not over"
    );
    until_over(&one.hold_of("id").await.unwrap()).await;
    let late = Said { late: true, ..MINE };
    assert_eq!(one.asks(&charge).await, late);
    assert_eq!(one.state_of("id").await, Some(HoldState::Charged));
    assert_eq!(one.take(&then(CHARGE, 3, &hold)).await, Ok(Taken::NoHold));
    assert_eq!(one.answered(&charge).await, Ack::Counted);
    assert_eq!(
        one.take(&then(Intent::Cancel, 4, &hold)).await,
        Ok(Taken::Ended)
    );
    assert_eq!(
        two.asks(&then(CONFIRM, 5, &hold)).await,
        Said {
            late: true,
            ..PLAIN
        }
    );
    assert_eq!(
        one.state_of("id").await,
        Some(HoldState::Confirmed { late: true })
    );
    assert_eq!(
        two.asks(&then(CONFIRM, 6, &hold)).await,
        Said {
            late: true,
            ..REPLAYED
        }
    );
    assert_eq!(one.accounts().await, (1, 0));
}

#[tokio::test]
async fn what_exists_is_never_refused() {
    let server = RedisServer::start();
    let (one, _) = Sidecar::fresh(1, &server).await;
    let narrow = limits(1, 0, 0);
    let exists = |id, attempt| {
        with(
            Intent::Exists,
            &of(Resource::Account, 1, &narrow, &count(id, attempt)),
        )
    };
    assert_eq!(one.asks(&exists("a", 1)).await, MINE);
    let over = Said {
        exceeds: Some(Counter::Accounts),
        ..MINE
    };
    assert_eq!(one.asks(&exists("b", 2)).await, over);
    assert_eq!(one.asks(&exists("b", 3)).await, REPLAYED);
    // A refusal under the id is overtaken by what happened.
    let refused = of(Resource::Account, 1, &narrow, &count("c", 4));
    assert!(matches!(one.take(&refused).await, Ok(Taken::Denied { .. })));
    assert_eq!(one.asks(&exists("c", 5)).await, over);
    assert_eq!(one.accounts().await, (3, 0));
    assert_eq!(one.answered_among(&exists("c", 5), 1).await, Ack::Counted);
    assert_eq!(one.accounts().await, (3, 0));
}

#[tokio::test]
async fn a_frozen_app_waits_with_everything() {
    let server = RedisServer::start();
    let (one, _) = Sidecar::fresh(1, &server).await;
    one.beats().await;
    let hold = reserve("id", 1, LONG);
    one.asks(&hold).await;
    let frozen = one.store.freeze(app(1), Resource::Account).await.unwrap();
    for intent in [
        CONFIRM,
        Intent::Cancel,
        Intent::Lapse,
        Intent::Exists,
        hold.intent,
    ] {
        let taken = one.take(&then(intent, 2, &hold)).await;
        assert_eq!(taken, Ok(Taken::Undecided(Undecided::Frozen)), "{intent:?}");
    }
    // Reservations come on top of what is counted then.
    let recount = Recount {
        app: app(1),
        resource: Resource::Account,
        to: 10,
        token: frozen.token,
        who: "ann".into(),
        why: String::new().into(),
    };
    let done = one.store.recount(&recount).await.unwrap();
    assert!(matches!(done, Recounted::Done { held: 1, .. }), "{done:?}");
    assert_eq!(one.accounts().await, (11, 1));
    let confirm = then(CONFIRM, 3, &hold);
    assert_eq!(one.asks(&confirm).await, MINE);
    let generation = one.view().await.generations[0];
    assert_ne!(generation, 0);
    assert_eq!(one.accounts().await, (11, 0));
    // Confirmed in this life, it is in the sums of this life.
    let mut cells = accounts_taken(1);
    cells[0].escrow.as_mut().unwrap().generation = generation;
    let report = Report {
        apps: vec![crate::fixture::app_report(app(1), cells)],
        answered: vec![Answered {
            take: confirm,
            refused: None,
            contained: Some(generation),
        }],
        ..Report::default()
    };
    assert_eq!(
        one.settle(&report, today()).await.unwrap().acks,
        [Ack::Counted]
    );
    assert_eq!(one.accounts().await, (11, 0));
}

#[tokio::test]
async fn a_server_that_forgot_is_told_by_both_in_either_order() {
    for second_first in [false, true] {
        let server = RedisServer::start();
        let [one, two] = two(&server).await;
        let ids = ["open", "confirmed", "pinned", "settled", "cancelled", "old"];
        let holds: Vec<_> = (1..).zip(ids).map(|(n, id)| reserve(id, n, LONG)).collect();
        let [open, confirmed, pinned, settled, cancelled, old] = &holds[..] else {
            panic!("six of them");
        };
        for hold in &holds {
            one.asks(hold).await;
            one.says(hold).await;
        }
        let (counts, pins) = (then(CONFIRM, 11, confirmed), then(CONFIRM, 12, pinned));
        let (settles, cancels) = (
            then(CONFIRM, 13, settled),
            then(Intent::Cancel, 14, cancelled),
        );
        for take in [&counts, &pins, &settles, &cancels] {
            two.asks(take).await;
        }
        server.flush_all();
        // Of the last one the ledger had said that it knows it: it is restated all the same.
        let known = |take: &imquota::store::Take| Known {
            answered: answer(take, false),
            lives: Vec::new(),
        };
        let of_one = Statement {
            kept: vec![known(old)],
            ..statement(
                accounts_taken(0),
                holds[..5].iter().map(|hold| answer(hold, false)).collect(),
            )
        };
        let of_two = Statement {
            kept: vec![Known {
                answered: answer(&settles, true),
                lives: vec![0],
            }],
            ..statement(
                accounts_taken(2),
                vec![
                    answer(&counts, true),
                    answer(&pins, false),
                    answer(&cancels, false),
                ],
            )
        };
        let both = [(&one, &of_one), (&two, &of_two)];
        recover(if second_first {
            [both[1], both[0]]
        } else {
            both
        })
        .await;
        // Two in sums, one pinned, two open ones.
        assert_eq!(one.accounts().await, (5, 2), "second first: {second_first}");
        let mut listed = one.listed().await;
        listed.sort();
        assert_eq!(listed, ["old", "open"]);
        for id in ["confirmed", "pinned", "settled"] {
            let hold = one.hold_of(id).await.unwrap();
            assert_eq!(hold.state, HoldState::Confirmed { late: false }, "{id}");
            assert_eq!(
                Intent::Reserve { until: hold.until },
                reserve_of(&holds, id)
            );
        }
        assert_eq!(one.state_of("cancelled").await, Some(HoldState::Cancelled));
        assert_eq!(two.says(&pins).await, Ack::Yours);
        assert_eq!(two.answered_among(&pins, 3).await, Ack::Counted);
        assert_eq!(one.asks(&then(CONFIRM, 20, open)).await, MINE);
        assert_eq!(one.accounts().await, (5, 1));
    }
}

fn reserve_of(holds: &[imquota::store::Take], id: &str) -> Intent {
    let hold = holds.iter().find(|hold| hold.key == client(id));
    hold.unwrap().intent
}

#[tokio::test]
async fn in_a_snapshot_a_reservation_that_nobody_speaks_of_stands() {
    let mut server = RedisServer::start();
    let [one, two] = two(&server).await;
    let known = one.hello(None).await.unwrap();
    let (held, confirming) = (reserve("held", 1, LONG), reserve("confirming", 2, 2 * LONG));
    one.asks(&held).await;
    one.asks(&confirming).await;
    one.asks(&then(CONFIRM, 3, &confirming)).await;
    let snapshot = server.save();
    server.kill();
    server.restore(&snapshot);
    server.start_again();
    for sidecar in [&one, &two] {
        sidecar.hello(Some(known)).await.unwrap();
    }
    let nothing = statement(accounts_taken(0), Vec::new());
    recover([(&one, &nothing), (&two, &nothing)]).await;
    assert_eq!(one.accounts().await, (2, 2));
    assert_eq!(one.listed().await, ["held", "confirming"]);
}

#[tokio::test]
async fn a_note_is_not_folded_while_its_object_is_reserved() {
    let server = RedisServer::start();
    let (one, _) = Sidecar::fresh(1, &server).await;
    let hold = with(
        Intent::Reserve { until: in_ms(LONG) },
        &create("kept", 1, 1),
    );
    one.asks(&hold).await;
    one.says(&hold).await;
    one.asks(&create("other", 2, 2)).await;
    one.answered(&create("other", 2, 2)).await;
    let keys: Vec<String> = server.command(&["KEYS", "*:r:1"]);
    // Twelve minutes pass for all.
    let fields: Vec<String> = server.command(&["HKEYS", &keys[0]]);
    for field in &fields {
        let record: String = server.command(&["HGET", &keys[0], field]);
        let mut parts: Vec<String> = record.split('|').map(str::to_owned).collect();
        parts[6] = (parts[6].parse::<i64>().unwrap() - 720_000).to_string();
        server.command::<()>(&["HSET", &keys[0], field, &parts.join("|")]);
    }
    for number in 10..14 {
        one.asks(&count(&format!("next-{number}"), number)).await;
    }
    let left: Vec<String> = server.command(&["HKEYS", &keys[0]]);
    let is_there = |id: &str| left.iter().any(|field| field == id);
    assert!(is_there("kept") && !is_there("other"), "{left:?}");
    assert_eq!(one.listed().await, ["kept"]);
    let hold = one.hold_of("kept").await.unwrap();
    assert_eq!(hold.key, imquota::store::RecordKey::Object(object(1)));
    assert!(one.knows(2).await, "its name is in the set");
}

//! Counts that belong to their objects: one object, one count, under whatever ids it comes.

use std::sync::Arc;

use imquota::quota::{AppId, Counter, Resource};
use imquota::store::{
    Ack, Adopted, Beside, GiveBack, GivenBack, HoldState, Intent, RecordKey, Take, Taken, Undecided,
};

use super::holds::{before, beside, later};
use super::{LedgerUnderTest, Seat, app, limited, limits, now, reserving};

const A: (Resource, &str) = (Resource::Account, "alice");
const B: (Resource, &str) = (Resource::Account, "bob");
const C: (Resource, &str) = (Resource::Account, "carol");
const GROUP: (Resource, &str) = (Resource::Group, "@TGS#1");
const ROOM: (Resource, &str) = (Resource::AvRoom, "@TGS#1");
const CONFIRM: Intent = Intent::Confirm { lapsed: false };

const FRESH: (Beside, bool) = (
    Beside {
        already_counted: false,
        late: false,
        exceeds: None,
    },
    false,
);
const ALREADY: Beside = Beside {
    already_counted: true,
    ..FRESH.0
};

/// Creates, and the answer is known to be out.
async fn created(seat: &Seat, id: Option<&str>, what: (Resource, &str)) -> Take {
    let take = seat.names(app(1), id, what, &limits());
    assert_eq!(beside(seat, &take).await, FRESH);
    assert_eq!(seat.answered(&take, None).await, Ack::Counted);
    take
}

/// Creates without a name, and the answer is known to be out.
async fn nameless(seat: &Seat, resource: Resource, amount: u32) {
    let take = seat.wants(app(1), None, (resource, amount), &limits());
    seat.gets(&take).await;
    seat.answered(&take, None).await;
}

/// Deletes; how many were given back, and as what.
async fn deleted(seat: &Seat, back: &GiveBack) -> (u32, Resource) {
    match seat.give_back(back).await {
        GivenBack::Released {
            released,
            resource,
            replayed: false,
            ..
        } => (released, resource),
        other => panic!("{back:?} was answered {other:?}"),
    }
}

/// Deletes without an id; how many were given back.
async fn deletes(seat: &Seat, what: (Resource, &str)) -> u32 {
    deleted(seat, &seat.deletes(app(1), None, what)).await.0
}

async fn counts(seat: &Seat, of: AppId) -> [i64; 4] {
    seat.usage(of).await.view.net
}

pub async fn an_object_is_counted_once_under_any_ids<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let (one, two) = (Seat::at(&ledger, 1).await, Seat::at(&ledger, 2).await);
    let first = one.names(app(1), Some("a"), GROUP, &limits());
    let other = two.names(app(1), Some("b"), GROUP, &limits());
    let without = two.names(app(1), None, GROUP, &limits());
    assert_eq!(beside(&one, &first).await, FRESH);
    assert_eq!(beside(&two, &other).await, (ALREADY, false));
    assert_eq!(beside(&two, &without).await, (ALREADY, false));
    for answered in [false, true] {
        if answered {
            one.answered(&first, None).await;
            two.answered(&other, None).await;
            two.answered(&without, None).await;
        }
        for seat in [&one, &two] {
            let again = seat.then(&first, Intent::Count);
            assert_eq!(beside(seat, &again).await, (FRESH.0, true), "{answered}");
            let again = seat.then(&other, Intent::Count);
            assert_eq!(beside(seat, &again).await, (ALREADY, true), "{answered}");
            let again = seat.then(&without, Intent::Count);
            assert_eq!(beside(seat, &again).await, (ALREADY, false), "{answered}");
        }
        assert_eq!(counts(&one, app(1)).await, [0, 1, 0, 1]);
        assert!(two.knows(app(1), GROUP).await);
    }
    let new = two.names(app(1), Some("c"), GROUP, &limits());
    assert_eq!(beside(&two, &new).await, (ALREADY, false));
    assert_eq!(two.answered(&new, None).await, Ack::Counted);
    assert_eq!(counts(&one, app(1)).await, [0, 1, 0, 1]);
}

pub async fn an_object_at_once_from_all_sides_is_counted_once<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let seats = [
        Arc::new(Seat::at(&ledger, 1).await),
        Arc::new(Seat::at(&ledger, 2).await),
    ];
    let calls = (0..40_usize).map(|n| {
        let seat = Arc::clone(&seats[n % 2]);
        let id = format!("r-{}", n / 4);
        let only = limited(Counter::Accounts, 1);
        let take = seat.names(app(1), (n % 4 < 2).then_some(&id), A, &only);
        tokio::spawn(async move { beside(&seat, &take).await })
    });
    let calls: Vec<_> = calls.collect();
    let mut fresh = 0;
    for call in calls {
        fresh += usize::from(call.await.unwrap() == FRESH);
    }
    assert_eq!(fresh, 1);
    assert_eq!(counts(&seats[0], app(1)).await, [1, 0, 0, 0]);
}

pub async fn an_import_is_done_once<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let (one, two) = (Seat::at(&ledger, 1).await, Seat::at(&ledger, 2).await);
    let trial = limited(Counter::Accounts, 1);
    let exceeds = Beside {
        exceeds: Some(Counter::Accounts),
        ..Beside::default()
    };
    for (what, said) in [(A, FRESH.0), (B, exceeds), (C, exceeds)] {
        let import = one.names(app(1), Some(what.1), what, &trial);
        let import = one.then(&import, Intent::Exists);
        assert_eq!(beside(&one, &import).await, (said, false));
        one.answered(&import, None).await;
    }
    // Once more, under the same ids, under others, and under none.
    for what in [A, B, C] {
        let other = format!("again {}", what.1);
        for (id, said) in [
            (Some(what.1), (FRESH.0, true)),
            (Some(other.as_str()), (ALREADY, false)),
            (Some(other.as_str()), (ALREADY, true)),
            (None, (ALREADY, false)),
        ] {
            let import = two.names(app(1), id, what, &trial);
            let import = two.then(&import, Intent::Exists);
            assert_eq!(beside(&two, &import).await, said, "{id:?}");
            assert_eq!(two.answered(&import, None).await, Ack::Counted);
        }
    }
    assert_eq!(counts(&one, app(1)).await, [3, 0, 0, 0]);
}

pub async fn names_are_apart_between_apps_and_families<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let one = Seat::at(&ledger, 1).await;
    let name = "the same";
    for (of, resource) in [
        (app(1), Resource::Account),
        (app(1), Resource::Group),
        (app(2), Resource::Account),
        (app(2), Resource::AvRoom),
    ] {
        assert!(!one.knows(of, (resource, name)).await);
        let take = one.names(of, None, (resource, name), &limits());
        assert_eq!(beside(&one, &take).await, FRESH);
        one.answered(&take, None).await;
        assert!(one.knows(of, (resource, name)).await);
    }
    let back = one.deletes(app(1), None, (Resource::Group, name));
    assert_eq!(deleted(&one, &back).await, (1, Resource::Group));
    assert_eq!(counts(&one, app(1)).await, [1, 0, 0, 0]);
    assert_eq!(counts(&one, app(2)).await, [1, 1, 1, 1]);
    assert!(one.knows(app(1), (Resource::Account, name)).await);
    assert!(one.knows(app(2), (Resource::Group, name)).await);
    // An object is no client's id, whatever that says.
    let id = one.wants(app(1), Some(name), (Resource::Account, 1), &limits());
    assert_eq!(beside(&one, &id).await, FRESH);
}

pub async fn a_group_and_a_room_of_one_name_are_one<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let one = Seat::at(&ledger, 1).await;
    for (n, first, second, net) in [
        (1, GROUP, ROOM, [0, 1, 0, 1]),
        (2, ROOM, GROUP, [0, 1, 1, 1]),
    ] {
        let take = one.names(app(n), None, first, &limits());
        assert_eq!(beside(&one, &take).await, FRESH);
        for answered in [false, true] {
            if answered {
                one.answered(&take, None).await;
            }
            let other = one.names(app(n), None, second, &limits());
            assert_eq!(beside(&one, &other).await, (ALREADY, false));
            one.abort(&other).await;
            assert_eq!(counts(&one, app(n)).await, net);
        }
    }
}

pub async fn an_object_is_given_back_as_what_it_was_created<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let (one, two) = (Seat::at(&ledger, 1).await, Seat::at(&ledger, 2).await);
    for (is, called) in [(ROOM, GROUP), (GROUP, ROOM), (ROOM, ROOM), (GROUP, GROUP)] {
        // Others without a name stay.
        nameless(&one, Resource::AvRoom, 2).await;
        let before = counts(&one, app(1)).await;
        created(&one, None, is).await;
        let mut back = two.deletes(app(1), None, called);
        back.groups_follow = false;
        assert_eq!(deleted(&two, &back).await, (1, is.0));
        assert_eq!(counts(&one, app(1)).await, before);
        two.contain(app(1), super::today()).await;
        assert_eq!(counts(&one, app(1)).await, before);
        assert!(!one.knows(app(1), is).await);
    }
}

pub async fn an_object_is_given_back_once<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let (one, two) = (Seat::at(&ledger, 1).await, Seat::at(&ledger, 2).await);
    for what in [A, B] {
        created(&one, None, what).await;
    }
    let back = one.deletes(app(1), Some("bye"), A);
    assert_eq!(deleted(&one, &back).await, (1, Resource::Account));
    for seat in [&one, &two] {
        match seat.store.release(&back, now()).await.unwrap() {
            GivenBack::Released {
                released, replayed, ..
            } => assert_eq!((released, replayed), (1, true)),
            other => panic!("{other:?}"),
        }
        assert_eq!(deletes(seat, A).await, 0);
    }
    let other = one.deletes(app(1), Some("bye"), B);
    let given = one.store.release(&other, now()).await.unwrap();
    assert_eq!(given, GivenBack::OtherContent);
    let back = one.deletes(app(1), Some("adieu"), A);
    assert_eq!(deleted(&one, &back).await.0, 0);
    assert_eq!(counts(&one, app(1)).await, [1, 0, 0, 0]);
    // That nothing was given back is remembered: the next of that name is not taken away by a repetition.
    created(&one, None, A).await;
    match one.store.release(&back, now()).await.unwrap() {
        GivenBack::Released {
            released, replayed, ..
        } => assert_eq!((released, replayed), (0, true)),
        other => panic!("{other:?}"),
    }
    assert_eq!(counts(&one, app(1)).await, [2, 0, 0, 0]);
}

pub async fn an_unknown_object_takes_from_what_has_no_name<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let (one, two) = (Seat::at(&ledger, 1).await, Seat::at(&ledger, 2).await);
    created(&one, None, A).await;
    assert_eq!(deletes(&one, B).await, 0);
    nameless(&one, Resource::Account, 2).await;
    nameless(&one, Resource::Group, 5).await;
    // It may be one of those; but one object is not two of them.
    assert_eq!(deletes(&two, C).await, 1);
    assert_eq!(deletes(&one, C).await, 0);
    assert_eq!(counts(&one, app(1)).await, [2, 5, 0, 5]);
    // Who creates it makes it known, and it can be deleted.
    created(&one, None, C).await;
    assert_eq!(deletes(&two, C).await, 1);
    assert_eq!(deletes(&two, (Resource::Account, "dave")).await, 1);
    assert_eq!(deletes(&two, (Resource::Account, "erin")).await, 0);
    assert_eq!(counts(&one, app(1)).await, [1, 5, 0, 5]);
    assert_eq!(deletes(&two, A).await, 1);
    assert_eq!(counts(&one, app(1)).await, [0, 5, 0, 5]);
}

pub async fn an_object_that_was_deleted_may_be_created_again<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let (one, two) = (Seat::at(&ledger, 1).await, Seat::at(&ledger, 2).await);
    for n in 0..3 {
        let take = two.names(
            app(1),
            Some(&format!("r-{n}")),
            ROOM,
            &limited(Counter::AvRooms, 1),
        );
        assert_eq!(beside(&two, &take).await, FRESH);
        assert_eq!(counts(&one, app(1)).await, [0, 1, 1, 1]);
        two.answered(&take, None).await;
        assert_eq!(deletes(&one, ROOM).await, 1);
        assert_eq!(counts(&one, app(1)).await, [0; 4]);
        one.contain(app(1), super::today()).await;
        assert_eq!(counts(&one, app(1)).await, [0; 4]);
    }
}

pub async fn an_object_deleted_before_its_answer_was_reported_counts_nothing<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let (one, two) = (Seat::at(&ledger, 1).await, Seat::at(&ledger, 2).await);
    let take = one.names(app(1), Some("r"), ROOM, &limits());
    one.gets(&take).await;
    let back = two.deletes(app(1), Some("bye"), GROUP);
    assert_eq!(deleted(&two, &back).await, (1, Resource::AvRoom));
    assert_eq!(counts(&one, app(1)).await, [0; 4]);
    assert!(!one.knows(app(1), ROOM).await);
    assert_eq!(deletes(&two, ROOM).await, 0);
    // Until it is reported nobody knows what the next of that name would be.
    let next = two.names(app(1), None, ROOM, &limits());
    let taken = two.take(&next).await;
    assert_eq!(taken, Taken::Undecided(Undecided::Confirming));
    two.abort(&next).await;
    let gone = if L::SHARED { Ack::Gone } else { Ack::Counted };
    assert_eq!(one.answered(&take, None).await, gone);
    assert_eq!(counts(&one, app(1)).await, [0; 4]);
    created(&two, None, ROOM).await;
    assert_eq!(counts(&one, app(1)).await, [0, 1, 1, 1]);
}

pub async fn an_object_deleted_before_its_attempt_was_withdrawn_counts_nothing<
    L: LedgerUnderTest,
>() {
    let ledger = L::fresh().await;
    let (one, two) = (Seat::at(&ledger, 1).await, Seat::at(&ledger, 2).await);
    let first = one.names(app(1), Some("a"), A, &limits());
    let second = two.names(app(1), Some("b"), A, &limits());
    one.gets(&first).await;
    two.gets(&second).await;
    assert_eq!(deletes(&two, A).await, 1);
    one.abort(&first).await;
    let next = two.names(app(1), None, A, &limits());
    let taken = two.take(&next).await;
    assert_eq!(taken, Taken::Undecided(Undecided::Confirming));
    two.abort(&next).await;
    two.abort(&second).await;
    assert_eq!(counts(&one, app(1)).await, [0; 4]);
    created(&one, Some("c"), A).await;
    assert_eq!(counts(&one, app(1)).await, [1, 0, 0, 0]);
}

pub async fn a_withdrawn_creation_leaves_no_object<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let one = Seat::at(&ledger, 1).await;
    let take = one.names(app(1), Some("r"), A, &limits());
    one.gets(&take).await;
    assert!(one.knows(app(1), A).await);
    one.abort(&take).await;
    assert!(!one.knows(app(1), A).await);
    assert_eq!(deletes(&one, A).await, 0);
    assert_eq!(one.take(&take).await, Taken::Withdrawn);
    let again = one.then(&take, Intent::Count);
    assert_eq!(beside(&one, &again).await, FRESH);
    one.answered(&again, None).await;
    one.abort(&take).await;
    assert_eq!(counts(&one, app(1)).await, [1, 0, 0, 0]);
    assert!(one.knows(app(1), A).await);
}

pub async fn an_object_stays_with_those_who_still_wait_for_it<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let (one, two) = (Seat::at(&ledger, 1).await, Seat::at(&ledger, 2).await);
    let first = one.names(app(1), Some("a"), ROOM, &limits());
    let second = two.names(app(1), Some("b"), ROOM, &limits());
    one.gets(&first).await;
    two.gets(&second).await;
    one.abort(&first).await;
    assert_eq!(counts(&one, app(1)).await, [0, 1, 1, 1]);
    // The other was told that it is counted, and becomes its owner.
    assert_eq!(two.answered(&second, None).await, Ack::Counted);
    assert_eq!(counts(&one, app(1)).await, [0, 1, 1, 1]);
    assert!(one.knows(app(1), ROOM).await);
    assert_eq!(deletes(&one, ROOM).await, 1);
    assert_eq!(counts(&one, app(1)).await, [0; 4]);
}

/// Asked again under its id, whatever has become of its object: nothing is counted.
async fn repeats(seat: &Seat, take: &Take, met: bool) {
    let before = counts(seat, app(1)).await;
    for intent in [Intent::Count, Intent::Exists] {
        let again = Take {
            attempt: seat.attempt(),
            intent,
            ..take.clone()
        };
        let answer = beside(seat, &again).await;
        let first = if met { ALREADY } else { FRESH.0 };
        assert_eq!(answer, (first, true), "{again:?}");
    }
    assert_eq!(counts(seat, app(1)).await, before);
}

pub async fn an_answer_outlives_its_object<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let (one, two) = (Seat::at(&ledger, 1).await, Seat::at(&ledger, 2).await);
    let one_room = limited(Counter::AvRooms, 1);
    let take = one.names(app(1), Some("r"), ROOM, &one_room);
    assert_eq!(beside(&one, &take).await, FRESH);
    assert_eq!(one.answered(&take, None).await, Ack::Counted);
    let met = two.names(app(1), Some("m"), ROOM, &one_room);
    assert_eq!(beside(&two, &met).await, (ALREADY, false));
    assert_eq!(deletes(&two, ROOM).await, 1);
    two.contain(app(1), super::today()).await;
    for seat in [&one, &two] {
        repeats(seat, &take, false).await;
        repeats(seat, &met, true).await;
    }
    assert!(!one.knows(app(1), ROOM).await);
    // A late copy of the attempt itself.
    assert_eq!(beside(&one, &take).await, (FRESH.0, true));
    assert_eq!(counts(&one, app(1)).await, [0; 4]);
    // Its place is free for another, and is not taken back.
    let other = one.names(app(1), Some("s"), (Resource::AvRoom, "@TGS#2"), &one_room);
    assert_eq!(beside(&one, &other).await, FRESH);
    one.answered(&other, None).await;
    repeats(&two, &take, false).await;
    assert_eq!(counts(&one, app(1)).await, [0, 1, 1, 1]);
    // What the id does not ask for, it does not stand for.
    let otherwise = one.names(app(1), Some("r"), GROUP, &limits());
    assert_eq!(one.take(&otherwise).await, Taken::OtherContent);
}

pub async fn an_answer_outlives_an_object_that_is_created_anew<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let (one, two) = (Seat::at(&ledger, 1).await, Seat::at(&ledger, 2).await);
    let take = created(&one, Some("r"), A).await;
    assert_eq!(deletes(&one, A).await, 1);
    let hold = reserving(two.names(app(1), Some("h"), A, &limits()), later());
    assert_eq!(beside(&two, &hold).await, FRESH);
    two.answered(&hold, None).await;
    repeats(&one, &take, false).await;
    assert_eq!(two.hold_state(app(1), "h").await, Some(HoldState::Open));
    let cancel = two.then(&hold, Intent::Cancel);
    two.take(&cancel).await;
    two.answered(&cancel, None).await;
    let anew = created(&two, Some("s"), A).await;
    repeats(&one, &take, false).await;
    assert_eq!(counts(&one, app(1)).await, [1, 0, 0, 0]);
    assert_eq!(deletes(&two, A).await, 1);
    for take in [&take, &anew] {
        repeats(&two, take, false).await;
    }
    assert_eq!(counts(&one, app(1)).await, [0; 4]);
}

pub async fn an_answer_outlives_an_object_deleted_before_it_was_reported<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let (one, two) = (Seat::at(&ledger, 1).await, Seat::at(&ledger, 2).await);
    let take = one.names(app(1), Some("r"), A, &limits());
    assert_eq!(beside(&one, &take).await, FRESH);
    assert_eq!(deletes(&two, A).await, 1);
    let again = two.names(app(1), Some("r"), A, &limits());
    let waits = Taken::Undecided(Undecided::Confirming);
    assert_eq!(two.take(&again).await, waits);
    one.answered(&take, None).await;
    repeats(&two, &take, false).await;
    assert_eq!(counts(&one, app(1)).await, [0; 4]);
}

pub async fn what_was_reserved_under_an_id_is_not_reserved_again<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let (one, two) = (Seat::at(&ledger, 1).await, Seat::at(&ledger, 2).await);
    let reserve = |id, what| reserving(one.names(app(1), Some(id), what, &limits()), later());
    let [deleted, cancelled] = [reserve("d", A), reserve("c", B)];
    for hold in [&deleted, &cancelled] {
        assert_eq!(beside(&one, hold).await, FRESH);
        one.answered(hold, None).await;
    }
    for (hold, ends) in [(&deleted, CONFIRM), (&cancelled, Intent::Cancel)] {
        let end = two.then(hold, ends);
        assert_eq!(beside(&two, &end).await, FRESH);
        two.answered(&end, None).await;
    }
    assert_eq!(deletes(&two, A).await, 1);
    for hold in [&deleted, &cancelled] {
        let again = two.then(hold, hold.intent);
        assert_eq!(two.take(&again).await, Taken::Ended, "{hold:?}");
    }
    assert_eq!(counts(&one, app(1)).await, [0; 4]);
    assert_eq!(one.reserved(app(1)).await, [0; 4]);
    // Under other ids both are free.
    for (id, what) in [("e", A), ("f", B)] {
        assert_eq!(beside(&one, &reserve(id, what)).await, FRESH);
    }
    // One that nobody was told of is reserved.
    let unheard = reserve("g", C);
    assert_eq!(beside(&one, &unheard).await, FRESH);
    one.abort(&unheard).await;
    assert_eq!(
        beside(&two, &two.then(&unheard, unheard.intent)).await,
        FRESH
    );
}

pub async fn what_nobody_was_told_is_created_anew<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let (one, two) = (Seat::at(&ledger, 1).await, Seat::at(&ledger, 2).await);
    // Of what it created.
    let take = one.names(app(1), Some("r"), A, &limits());
    assert_eq!(beside(&one, &take).await, FRESH);
    one.abort(&take).await;
    let again = two.names(app(1), Some("r"), A, &limits());
    assert_eq!(beside(&two, &again).await, FRESH);
    two.answered(&again, None).await;
    // And of what was there.
    let there = created(&one, Some("s"), B).await;
    let met = |seat: &Seat| seat.names(app(1), Some("m"), B, &limits());
    let first = met(&two);
    assert_eq!(beside(&two, &first).await, (ALREADY, false));
    two.abort(&first).await;
    assert_eq!(deletes(&one, B).await, 1);
    assert_eq!(counts(&one, app(1)).await, [1, 0, 0, 0]);
    let second = met(&one);
    assert_eq!(beside(&one, &second).await, FRESH);
    assert_eq!(counts(&one, app(1)).await, [2, 0, 0, 0]);
    one.answered(&second, None).await;
    repeats(&two, &there, false).await;
}

pub async fn a_refusal_is_remembered_for_the_id_and_not_for_the_object<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let one = Seat::at(&ledger, 1).await;
    let trial = limited(Counter::Accounts, 1);
    let full = one.names(app(1), None, B, &trial);
    one.gets(&full).await;
    for id in [Some("r"), None] {
        let refused = one.names(app(1), id, A, &trial);
        assert_eq!(one.is_refused(&refused).await, Counter::Accounts);
        one.answered(&refused, Some(Counter::Accounts)).await;
        assert!(!one.knows(app(1), A).await);
    }
    one.abort(&full).await;
    let again = one.take(&one.names(app(1), Some("r"), A, &trial)).await;
    let Taken::Denied {
        counter, replayed, ..
    } = again
    else {
        panic!("{again:?}");
    };
    assert_eq!((counter, replayed), (Counter::Accounts, true));
    let other = one.names(app(1), Some("s"), A, &trial);
    assert_eq!(beside(&one, &other).await, FRESH);
    // It exists, says the one who was refused.
    let exists = one.names(app(1), Some("r"), A, &trial);
    let exists = one.then(&exists, Intent::Exists);
    assert_eq!(beside(&one, &exists).await, (ALREADY, false));
    assert_eq!(counts(&one, app(1)).await, [1, 0, 0, 0]);
}

pub async fn an_id_stands_for_one_object<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let one = Seat::at(&ledger, 1).await;
    created(&one, Some("named"), A).await;
    let plain = one.wants(app(1), Some("plain"), (Resource::Account, 1), &limits());
    one.gets(&plain).await;
    one.release(&one.returns(app(1), Some("back"), (Resource::Group, 1)))
        .await;
    let before = one.usage(app(1)).await;
    let mut same = one.names(app(1), Some("named"), B, &limits());
    same.fingerprint = one.names(app(1), None, A, &limits()).fingerprint;
    let others = [
        one.names(app(1), Some("named"), B, &limits()),
        // Not even if the fingerprints meet.
        same,
        one.names(app(1), Some("plain"), B, &limits()),
        one.names(app(1), Some("back"), B, &limits()),
        one.wants(app(1), Some("named"), (Resource::Account, 1), &limits()),
        reserving(one.names(app(1), Some("named"), A, &limits()), later()),
    ];
    for other in &others {
        assert_eq!(one.take(other).await, Taken::OtherContent, "{other:?}");
    }
    let back = one.deletes(app(1), Some("named"), A);
    let given = one.store.release(&back, now()).await.unwrap();
    assert_eq!(given, GivenBack::OtherContent);
    assert_eq!(one.usage(app(1)).await, before);
    assert!(!one.knows(app(1), B).await);
}

pub async fn an_object_can_be_reserved_and_is_confirmed_by_its_id<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let (one, two) = (Seat::at(&ledger, 1).await, Seat::at(&ledger, 2).await);
    let reserve = reserving(one.names(app(1), Some("r"), ROOM, &limits()), later());
    assert_eq!(beside(&one, &reserve).await, FRESH);
    let again = one.then(&reserve, reserve.intent);
    assert_eq!(beside(&one, &again).await, (FRESH.0, true));
    one.answered(&reserve, None).await;
    one.answered(&again, None).await;
    assert_eq!(one.reserved(app(1)).await, [0, 1, 1, 1]);
    let hold = two.hold(app(1), "r").await.unwrap();
    assert_eq!((&hold.key, hold.state), (&reserve.key, HoldState::Open));
    assert_eq!(two.store.holds(app(1), 9, now()).await.unwrap(), [hold]);
    // Under another id it is there already, which holds nothing.
    let other = reserving(two.names(app(1), Some("s"), ROOM, &limits()), later());
    assert_eq!(beside(&two, &other).await, (ALREADY, false));
    two.answered(&other, None).await;
    let there = two.hold(app(1), "s").await.unwrap();
    let state = HoldState::AlreadyCounted;
    assert_eq!((&there.key, there.state), (&reserve.key, state));
    assert_eq!(there.charge.parts()[0].counter, Counter::AvRooms);
    assert!(!two.knows(app(1), ROOM).await, "it is only reserved");
    assert_eq!(two.reserved(app(1)).await, [0, 1, 1, 1]);
    let confirm = two.then(&reserve, CONFIRM);
    assert_eq!(beside(&two, &confirm).await, FRESH);
    two.answered(&confirm, None).await;
    let confirmed = Some(HoldState::Confirmed { late: false });
    assert_eq!(one.hold_state(app(1), "r").await, confirmed);
    assert_eq!(
        beside(&one, &one.then(&reserve, CONFIRM)).await,
        (FRESH.0, true)
    );
    assert_eq!(one.reserved(app(1)).await, [0; 4]);
    assert!(one.knows(app(1), ROOM).await);
    assert_eq!(
        one.take(&one.then(&reserve, Intent::Cancel)).await,
        Taken::Ended
    );
    assert_eq!(deletes(&one, ROOM).await, 1);
    assert_eq!(counts(&one, app(1)).await, [0; 4]);
}

pub async fn a_reserved_object_is_confirmed_by_whoever_creates_it<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let (one, two) = (Seat::at(&ledger, 1).await, Seat::at(&ledger, 2).await);
    let reserve = reserving(one.names(app(1), Some("r"), A, &limits()), later());
    one.gets(&reserve).await;
    one.answered(&reserve, None).await;
    let full = limited(Counter::Accounts, 1);
    let count = two.names(app(1), Some("c"), A, &full);
    assert_eq!(beside(&two, &count).await, FRESH);
    assert_eq!(one.reserved(app(1)).await, [0; 4]);
    two.abort(&count).await;
    assert_eq!(one.reserved(app(1)).await, [1, 0, 0, 0]);
    assert_eq!(one.hold_state(app(1), "r").await, Some(HoldState::Open));
    let exists = two.then(&two.names(app(1), None, A, &full), Intent::Exists);
    assert_eq!(beside(&two, &exists).await, FRESH);
    assert_eq!(two.answered(&exists, None).await, Ack::Counted);
    let confirmed = Some(HoldState::Confirmed { late: false });
    assert_eq!(one.hold_state(app(1), "r").await, confirmed);
    assert_eq!(counts(&one, app(1)).await, [1, 0, 0, 0]);
    assert!(one.knows(app(1), A).await);
}

pub async fn a_reserved_object_is_what_its_creator_says<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let (one, two) = (Seat::at(&ledger, 1).await, Seat::at(&ledger, 2).await);
    // As a group it has its place among the groups.
    let narrow = limited(Counter::Groups, 1);
    let reserve = reserving(one.names(app(1), Some("r"), ROOM, &narrow), later());
    one.gets(&reserve).await;
    one.answered(&reserve, None).await;
    let group = two.names(app(1), None, GROUP, &narrow);
    assert_eq!(beside(&two, &group).await, FRESH);
    assert_eq!(counts(&one, app(1)).await, [0, 1, 0, 1]);
    assert_eq!(two.answered(&group, None).await, Ack::Counted);
    assert_eq!(counts(&one, app(1)).await, [0, 1, 0, 1]);
    let back = one.deletes(app(1), None, ROOM);
    assert_eq!(deleted(&one, &back).await, (1, Resource::Group));
    assert_eq!(counts(&one, app(1)).await, [0; 4]);
    // For what it was not reserved as it is judged.
    let reserve = reserving(one.names(app(1), Some("s"), GROUP, &narrow), later());
    one.gets(&reserve).await;
    one.answered(&reserve, None).await;
    let none = limited(Counter::AvRooms, 0);
    let room = two.names(app(1), Some("c"), ROOM, &none);
    assert_eq!(two.is_refused(&room).await, Counter::AvRooms);
    assert_eq!(one.reserved(app(1)).await, [0, 1, 0, 1]);
    let exists = two.then(&two.names(app(1), None, ROOM, &none), Intent::Exists);
    let exceeds = Beside {
        exceeds: Some(Counter::AvRooms),
        ..Beside::default()
    };
    assert_eq!(beside(&two, &exists).await, (exceeds, false));
    two.answered(&exists, None).await;
    assert_eq!(counts(&one, app(1)).await, [0, 1, 1, 1]);
}

pub async fn what_somebody_was_told_to_be_there_stays<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let (one, two) = (Seat::at(&ledger, 1).await, Seat::at(&ledger, 2).await);
    let count = one.names(app(1), Some("c"), A, &limits());
    one.gets(&count).await;
    let reserve = reserving(two.names(app(1), Some("r"), A, &limits()), later());
    assert_eq!(beside(&two, &reserve).await, (ALREADY, false));
    two.answered(&reserve, None).await;
    one.abort(&count).await;
    assert_eq!(counts(&two, app(1)).await, [1, 0, 0, 0]);
    assert!(two.knows(app(1), A).await);
    let there = Some(HoldState::AlreadyCounted);
    assert_eq!(two.hold_state(app(1), "r").await, there);
    assert_eq!(one.hold_state(app(1), "c").await, None);
    let confirm = two.then(&reserve, CONFIRM);
    assert_eq!(beside(&two, &confirm).await, (ALREADY, false));
    // Nothing is held under it that could be ended.
    let cancel = two.then(&reserve, Intent::Cancel);
    assert_eq!(two.take(&cancel).await, Taken::NoHold);
}

pub async fn what_was_known_not_to_be_there_takes_none_without_a_name<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let one = Seat::at(&ledger, 1).await;
    nameless(&one, Resource::Account, 3).await;
    created(&one, None, A).await;
    assert_eq!(deletes(&one, A).await, 1);
    let reserve = reserving(one.names(app(1), Some("r"), B, &limits()), later());
    one.gets(&reserve).await;
    one.answered(&reserve, None).await;
    let cancel = one.then(&reserve, Intent::Cancel);
    one.gets(&cancel).await;
    for what in [A, B] {
        assert_eq!(deletes(&one, what).await, 0);
        // Nor when somebody was about to create it, and has not.
        let count = one.names(app(1), None, what, &limits());
        one.gets(&count).await;
        one.abort(&count).await;
        assert_eq!(deletes(&one, what).await, 0);
    }
    assert_eq!(deletes(&one, C).await, 1);
    assert_eq!(counts(&one, app(1)).await, [2, 0, 0, 0]);
}

pub async fn a_reserved_object_cannot_be_given_back<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let one = Seat::at(&ledger, 1).await;
    nameless(&one, Resource::Account, 1).await;
    let reserve = reserving(one.names(app(1), Some("r"), A, &limits()), later());
    one.gets(&reserve).await;
    assert_eq!(deletes(&one, A).await, 0);
    one.answered(&reserve, None).await;
    assert_eq!(deletes(&one, A).await, 0);
    assert_eq!(counts(&one, app(1)).await, [2, 0, 0, 0]);
    assert_eq!(one.reserved(app(1)).await, [1, 0, 0, 0]);
    assert_eq!(one.hold_state(app(1), "r").await, Some(HoldState::Open));
    // What it holds is nobody's without a name.
    assert_eq!(deletes(&one, B).await, 1);
    assert_eq!(deletes(&one, C).await, 0);
    let confirm = one.then(&reserve, CONFIRM);
    one.gets(&confirm).await;
    one.answered(&confirm, None).await;
    assert_eq!(deletes(&one, A).await, 1);
    assert_eq!(counts(&one, app(1)).await, [0; 4]);
}

pub async fn a_reserved_object_that_was_cancelled_can_be_reserved_again<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let one = Seat::at(&ledger, 1).await;
    let reserving = |id: &str, until| {
        let limits = limited(Counter::AvRooms, 1);
        reserving(one.names(app(1), Some(id), ROOM, &limits), until)
    };
    let first = reserving("a", later());
    let second = reserving("b", before());
    let third = reserving("c", later());
    for (take, ends) in [(&first, Intent::Cancel), (&second, Intent::Lapse)] {
        assert_eq!(beside(&one, take).await, FRESH);
        one.answered(take, None).await;
        let end = one.then(take, ends);
        assert_eq!(beside(&one, &end).await, FRESH);
        one.answered(&end, None).await;
        assert_eq!(counts(&one, app(1)).await, [0; 4]);
    }
    assert_eq!(one.hold_state(app(1), "b").await, Some(HoldState::Lapsed));
    assert_eq!(beside(&one, &third).await, FRESH);
    one.answered(&third, None).await;
    // The one before has ended, and does not end this one.
    assert_eq!(
        one.take(&one.then(&first, Intent::Cancel)).await,
        Taken::NoHold
    );
    assert_eq!(one.hold_state(app(1), "c").await, Some(HoldState::Open));
    assert_eq!(one.reserved(app(1)).await, [0, 1, 1, 1]);
}

pub async fn a_reservation_without_a_name_may_get_one_when_it_is_confirmed<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let (one, two) = (Seat::at(&ledger, 1).await, Seat::at(&ledger, 2).await);
    let room = (Resource::AvRoom, 1);
    let reserve = reserving(one.wants(app(1), Some("r"), room, &limits()), later());
    one.gets(&reserve).await;
    one.answered(&reserve, None).await;
    let confirm = under_name(&two, &reserve, ROOM);
    assert_eq!(beside(&two, &confirm).await, FRESH);
    assert_eq!(counts(&one, app(1)).await, [0, 1, 1, 1]);
    assert_eq!(one.reserved(app(1)).await, [0; 4]);
    let again = under_name(&one, &reserve, ROOM);
    assert_eq!(beside(&one, &again).await, (FRESH.0, true));
    let waits = if L::SHARED { Ack::Again } else { Ack::Counted };
    assert_eq!(one.answered(&again, None).await, waits);
    assert_eq!(two.answered(&confirm, None).await, Ack::Counted);
    assert_eq!(one.answered(&again, None).await, Ack::Counted);
    let hold = one.hold(app(1), "r").await.unwrap();
    assert_eq!(hold.key, confirm.key);
    assert_eq!(hold.state, HoldState::Confirmed { late: false });
    assert!(one.knows(app(1), ROOM).await);
    // By its id alone it is the same.
    assert_eq!(
        beside(&one, &one.then(&reserve, CONFIRM)).await,
        (FRESH.0, true)
    );
    let count = one.names(app(1), Some("c"), GROUP, &limits());
    assert_eq!(beside(&one, &count).await, (ALREADY, false));
    assert_eq!(deletes(&one, GROUP).await, 1);
    assert_eq!(counts(&one, app(1)).await, [0; 4]);
}

/// The confirmation of a reservation that was made without its object, under it.
fn under_name(seat: &Seat, reserve: &Take, what: (Resource, &str)) -> Take {
    let RecordKey::Client(id) = reserve.key.clone() else {
        panic!("{reserve:?}");
    };
    Take {
        key: RecordKey::Object(seat.object(reserve.app, what.0, what.1)),
        note: Some(id),
        ..seat.then(reserve, CONFIRM)
    }
}

pub async fn a_reservation_of_what_is_counted_is_freed_when_it_is_confirmed<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let one = Seat::at(&ledger, 1).await;
    created(&one, Some("c"), A).await;
    let account = (Resource::Account, 1);
    let reserve = reserving(one.wants(app(1), Some("r"), account, &limits()), later());
    one.gets(&reserve).await;
    one.answered(&reserve, None).await;
    assert_eq!(counts(&one, app(1)).await, [2, 0, 0, 0]);
    let confirm = under_name(&one, &reserve, A);
    assert_eq!(beside(&one, &confirm).await.0, ALREADY);
    assert_eq!(one.answered(&confirm, None).await, Ack::Counted);
    assert_eq!(counts(&one, app(1)).await, [1, 0, 0, 0]);
    assert_eq!(one.reserved(app(1)).await, [0; 4]);
    assert_eq!(one.store.holds(app(1), 9, now()).await.unwrap(), []);
    assert_eq!(deletes(&one, A).await, 1);
    assert_eq!(deletes(&one, A).await, 0);
}

pub async fn an_aborted_confirmation_under_a_name_leaves_the_reservation<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let one = Seat::at(&ledger, 1).await;
    let group = (Resource::Group, 1);
    let reserve = reserving(one.wants(app(1), Some("r"), group, &limits()), later());
    one.gets(&reserve).await;
    one.answered(&reserve, None).await;
    let confirm = under_name(&one, &reserve, GROUP);
    one.gets(&confirm).await;
    one.abort(&confirm).await;
    assert_eq!(one.hold_state(app(1), "r").await, Some(HoldState::Open));
    assert_eq!(one.reserved(app(1)).await, [0, 1, 0, 1]);
    assert_eq!(counts(&one, app(1)).await, [0, 1, 0, 1]);
    let hold = one.hold(app(1), "r").await.unwrap();
    assert_eq!(one.store.holds(app(1), 9, now()).await.unwrap(), [hold]);
    let cancel = one.then(&confirm, Intent::Cancel);
    assert_eq!(beside(&one, &cancel).await, FRESH);
    one.answered(&cancel, None).await;
    assert_eq!(
        one.hold_state(app(1), "r").await,
        Some(HoldState::Cancelled)
    );
    assert_eq!(counts(&one, app(1)).await, [0; 4]);
}

async fn adopts(seat: &Seat, resource: Resource, names: &[&str]) -> Vec<Adopted> {
    let numbers = names.iter().map(|name| seat.object(app(1), resource, name));
    let numbers: Vec<_> = numbers.collect();
    let adopted = seat.store.adopt(app(1), resource, &numbers, now()).await;
    adopted.unwrap()
}

pub async fn objects_without_a_name_are_named_later<L: LedgerUnderTest>() {
    use Adopted::{Known, Missing, Named};
    let ledger = L::fresh().await;
    let (one, two) = (Seat::at(&ledger, 1).await, Seat::at(&ledger, 2).await);
    nameless(&one, Resource::Account, 2).await;
    created(&one, None, (Resource::Account, "zoe")).await;
    let names = ["alice", "zoe", "bob", "alice", "carol"];
    let (first, then) = (
        [Named, Known, Named, Known, Missing],
        [Known, Known, Known, Known, Missing],
    );
    assert_eq!(adopts(&one, Resource::Account, &names).await, first);
    assert_eq!(adopts(&two, Resource::Account, &names).await, then);
    assert_eq!(adopts(&two, Resource::Account, &[]).await, []);
    assert_eq!(counts(&one, app(1)).await, [3, 0, 0, 0]);
    assert!(two.knows(app(1), A).await && !two.knows(app(1), C).await);
    let count = two.names(app(1), None, A, &limits());
    assert_eq!(beside(&two, &count).await, (ALREADY, false));
    for (what, given) in [(C, 0), (A, 1), (A, 0), (B, 1)] {
        assert_eq!(deletes(&two, what).await, given);
    }
    assert_eq!(counts(&one, app(1)).await, [1, 0, 0, 0]);
    // One that is on its way is known, and one that is reserved is not counted yet.
    let on_its_way = one.names(app(1), None, A, &limits());
    one.gets(&on_its_way).await;
    let reserve = reserving(one.names(app(1), Some("r"), B, &limits()), later());
    one.gets(&reserve).await;
    let told = adopts(&one, Resource::Account, &["alice", "bob"]).await;
    assert_eq!(told, [Known, Missing]);
}

pub async fn rooms_are_named_as_groups_too<L: LedgerUnderTest>() {
    use Adopted::{Known, Missing, Named};
    let ledger = L::fresh().await;
    let one = Seat::at(&ledger, 1).await;
    nameless(&one, Resource::AvRoom, 2).await;
    nameless(&one, Resource::Group, 1).await;
    let rooms = ["r1", "r2", "r3"];
    let told = adopts(&one, Resource::AvRoom, &rooms).await;
    assert_eq!(told, [Named, Named, Missing]);
    let told = adopts(&one, Resource::Group, &["r1", "g1", "g2"]).await;
    assert_eq!(told, [Known, Named, Missing]);
    assert_eq!(counts(&one, app(1)).await, [0, 3, 2, 3]);
    let back = one.deletes(app(1), None, (Resource::Group, "r1"));
    assert_eq!(deleted(&one, &back).await, (1, Resource::AvRoom));
    assert_eq!(counts(&one, app(1)).await, [0, 2, 1, 2]);
    let back = one.deletes(app(1), None, (Resource::AvRoom, "g1"));
    assert_eq!(deleted(&one, &back).await, (1, Resource::Group));
    assert_eq!(counts(&one, app(1)).await, [0, 1, 1, 1]);
}

pub async fn a_release_of_an_object_is_stated_again<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let one = Seat::at(&ledger, 1).await;
    created(&one, Some("c"), ROOM).await;
    let back = one.deletes(app(1), Some("d"), GROUP);
    let first = one.store.release(&back, now()).await.unwrap();
    let GivenBack::Released {
        resource, groups, ..
    } = first
    else {
        panic!("{first:?}");
    };
    assert_eq!((resource, groups), (Resource::AvRoom, 1));
    let told = GiveBack {
        given: Some(1),
        ..back
    };
    let again = one.store.release(&told, now()).await.unwrap();
    let GivenBack::Released {
        released,
        resource,
        groups,
        replayed,
        ..
    } = again
    else {
        panic!("{again:?}");
    };
    assert_eq!(
        (released, resource, groups, replayed),
        (1, Resource::AvRoom, 1, true)
    );
    assert_eq!(counts(&one, app(1)).await, [0; 4]);
}

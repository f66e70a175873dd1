//! Reservations: a place is held until somebody says what it came to.

use imquota::clock::Millis;
use imquota::quota::{Counter, Limits, Resource};
use imquota::store::{
    Ack, Beside, GivenBack, Hold, HoldState, Intent, RecordKey, Take, Taken, Undecided, Whose,
};

use super::{
    LedgerUnderTest, Seat, app, client, limited, limits, net, now, request, reserving, today,
};

const ACCOUNT: (Resource, u32) = (Resource::Account, 1);
const ROOM: (Resource, u32) = (Resource::AvRoom, 1);
const CONFIRM: Intent = Intent::Confirm { lapsed: false };
const CHARGE: Intent = Intent::Confirm { lapsed: true };

/// When a reservation expires that does not expire in a test.
pub fn later() -> Millis {
    now().plus(5 * 60_000)
}

/// When one expired that is over.
pub fn before() -> Millis {
    now().plus(-5_000)
}

/// Reserves, and the answer is known to be out.
async fn reserved(
    seat: &Seat,
    id: &str,
    what: (Resource, u32),
    limits: &Limits,
    until: Millis,
) -> Take {
    let take = reserving(seat.wants(app(1), Some(id), what, limits), until);
    seat.gets(&take).await;
    assert_eq!(seat.answered(&take, None).await, Ack::Counted);
    take
}

/// What a take that is allowed says beside the counts, and whether it was so before.
pub async fn beside(seat: &Seat, take: &Take) -> (Beside, bool) {
    match seat.take(take).await {
        Taken::Allowed {
            beside, replayed, ..
        } => (beside, replayed),
        other => panic!("{take:?} was answered {other:?}"),
    }
}

/// Whether it was so before, where nothing else is to be said.
async fn again(seat: &Seat, take: &Take) -> bool {
    let (beside, replayed) = beside(seat, take).await;
    assert_eq!(beside, Beside::default());
    replayed
}

const LATE: Beside = Beside {
    already_counted: false,
    late: true,
    exceeds: None,
};

pub async fn a_reservation_holds_its_place_until_it_is_confirmed<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let (one, two) = (Seat::at(&ledger, 1).await, Seat::at(&ledger, 2).await);
    let trial = limited(Counter::Accounts, 1);
    let until = later();
    let reserve = reserving(one.wants(app(1), Some("r"), ACCOUNT, &trial), until);
    let view = one.gets(&reserve).await;
    assert_eq!((view.net[0], view.reserved), (1, [1, 0, 0, 0]));
    // Asked again before its answer is reported, and after it.
    let twice = two.then(&reserve, reserve.intent);
    assert!(again(&two, &twice).await);
    one.answered(&reserve, None).await;
    two.answered(&twice, None).await;
    assert!(again(&two, &two.then(&reserve, reserve.intent)).await);
    let other = two.wants(app(1), None, ACCOUNT, &trial);
    assert_eq!(two.is_refused(&other).await, Counter::Accounts);
    let mut hold = Hold {
        id: request("r"),
        key: client("r"),
        fingerprint: reserve.fingerprint,
        charge: imquota::quota::Charge::new(Resource::Account, super::amount(1), &limits()),
        day: today(),
        until,
        state: HoldState::Open,
    };
    assert_eq!(two.hold(app(1), "r").await.as_ref(), Some(&hold));
    let confirm = two.then(&reserve, CONFIRM);
    assert!(!again(&two, &confirm).await);
    hold.state = HoldState::Confirmed { late: false };
    assert_eq!(two.hold(app(1), "r").await.as_ref(), Some(&hold));
    assert!(again(&one, &one.then(&reserve, CONFIRM)).await);
    assert_eq!(one.reserved(app(1)).await, [0; 4]);
    two.answered(&confirm, None).await;
    assert!(again(&one, &one.then(&reserve, CONFIRM)).await);
    assert!(again(&one, &one.then(&reserve, reserve.intent)).await);
    assert_eq!(two.hold(app(1), "r").await, Some(hold));
    assert_eq!(net(&one.usage(app(1)).await, Counter::Accounts), 1);
    assert_eq!(
        one.is_refused(&one.wants(app(1), None, ACCOUNT, &trial))
            .await,
        Counter::Accounts
    );
}

pub async fn a_reservation_moves_all_its_parts<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let one = Seat::at(&ledger, 1).await;
    let rooms = (Resource::AvRoom, 3);
    let reserve = reserved(&one, "r", rooms, &limits(), later()).await;
    assert_eq!(one.usage(app(1)).await.view.net, [0, 3, 3, 3]);
    assert_eq!(one.reserved(app(1)).await, [0, 3, 3, 3]);
    let hold = one.hold(app(1), "r").await.unwrap();
    let counters: Vec<Counter> = hold.charge.parts().iter().map(|of| of.counter).collect();
    assert_eq!(
        counters,
        [Counter::AvRooms, Counter::Groups, Counter::GroupsGained]
    );
    assert_eq!(hold.charge.amount(), super::amount(3));
    let confirm = one.then(&reserve, CONFIRM);
    one.gets(&confirm).await;
    one.answered(&confirm, None).await;
    assert_eq!(one.usage(app(1)).await.view.net, [0, 3, 3, 3]);
    assert_eq!(one.reserved(app(1)).await, [0; 4]);
}

pub async fn a_cancelled_reservation_frees_its_place<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let (one, two) = (Seat::at(&ledger, 1).await, Seat::at(&ledger, 2).await);
    let trial = limited(Counter::AvRooms, 1);
    for (id, answered) in [("a", true), ("b", false)] {
        let reserve = reserving(one.wants(app(1), Some(id), ROOM, &trial), later());
        one.gets(&reserve).await;
        if answered {
            one.answered(&reserve, None).await;
        }
        let cancel = two.then(&reserve, Intent::Cancel);
        assert!(!again(&two, &cancel).await);
        assert_eq!(one.usage(app(1)).await.view.net, [0; 4]);
        assert_eq!(one.reserved(app(1)).await, [0; 4]);
        assert_eq!(two.answered(&cancel, None).await, Ack::Counted);
        assert!(again(&one, &one.then(&reserve, Intent::Cancel)).await);
        assert_eq!(one.hold_state(app(1), id).await, Some(HoldState::Cancelled));
        // What is reported late, or withdrawn, brings nothing back.
        one.answered(&reserve, None).await;
        one.abort(&reserve).await;
        assert_eq!(one.usage(app(1)).await.view.net, [0; 4]);
        // Its id has had its effect.
        let once_more = one.then(&reserve, reserve.intent);
        assert_eq!(one.take(&once_more).await, Taken::Ended);
    }
    one.gets(&one.wants(app(1), None, ROOM, &trial)).await;
}

pub async fn what_was_cancelled_is_not_confirmed_and_what_was_confirmed_not_cancelled<
    L: LedgerUnderTest,
>() {
    let ledger = L::fresh().await;
    let (one, two) = (Seat::at(&ledger, 1).await, Seat::at(&ledger, 2).await);
    let first = reserved(&one, "a", ACCOUNT, &limits(), later()).await;
    let second = reserved(&one, "b", ACCOUNT, &limits(), later()).await;
    let cancel = one.then(&first, Intent::Cancel);
    let confirm = one.then(&second, CONFIRM);
    one.gets(&cancel).await;
    one.gets(&confirm).await;
    for _ in 0..2 {
        assert_eq!(two.take(&two.then(&first, CONFIRM)).await, Taken::Ended);
        one.answered(&cancel, None).await;
        one.answered(&confirm, None).await;
        let cancels = two.then(&second, Intent::Cancel);
        assert_eq!(two.take(&cancels).await, Taken::Ended);
        assert_eq!(net(&two.usage(app(1)).await, Counter::Accounts), 1);
    }
    assert_eq!(
        two.hold_state(app(1), "a").await,
        Some(HoldState::Cancelled)
    );
    let confirmed = Some(HoldState::Confirmed { late: false });
    assert_eq!(two.hold_state(app(1), "b").await, confirmed);
}

pub async fn what_is_being_confirmed_is_not_cancelled_yet<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let (one, two) = (Seat::at(&ledger, 1).await, Seat::at(&ledger, 2).await);
    let reserve = reserved(&one, "r", ACCOUNT, &limits(), later()).await;
    let confirm = one.then(&reserve, CONFIRM);
    one.gets(&confirm).await;
    let cancel = two.then(&reserve, Intent::Cancel);
    let undecided = Taken::Undecided(Undecided::Confirming);
    assert_eq!(two.take(&cancel).await, undecided);
    // The confirmation comes to nothing: now it can be.
    two.abort(&cancel).await;
    one.abort(&confirm).await;
    assert!(!again(&two, &two.then(&reserve, Intent::Cancel)).await);
    assert_eq!(one.usage(app(1)).await.view.net, [0; 4]);
}

pub async fn what_is_no_reservation_is_neither_confirmed_nor_ended<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let one = Seat::at(&ledger, 1).await;
    let counted = one.wants(app(1), Some("counted"), ACCOUNT, &limits());
    one.gets(&counted).await;
    one.answered(&counted, None).await;
    let refused = one.wants(app(1), Some("refused"), ROOM, &limited(Counter::AvRooms, 0));
    one.is_refused(&refused).await;
    let mut released = one.wants(app(1), Some("released"), ACCOUNT, &limits());
    let back = one.returns(app(1), Some("released"), (Resource::Group, 1));
    one.release(&back).await;
    released.fingerprint = back.fingerprint;
    let unknown = one.wants(app(1), Some("unknown"), ACCOUNT, &limits());
    let before = one.usage(app(1)).await;
    for take in [&counted, &refused, &released, &unknown] {
        for intent in [CONFIRM, CHARGE, Intent::Cancel, Intent::Lapse] {
            let taken = one.take(&one.then(take, intent)).await;
            assert_eq!(taken, Taken::NoHold, "{intent:?} of {take:?}");
        }
        let RecordKey::Client(id) = &take.key else {
            panic!("{take:?}");
        };
        assert_eq!(one.hold(app(1), id.as_str()).await, None);
    }
    assert_eq!(one.usage(app(1)).await, before);
    // Nor was anything written under the unknown id.
    assert!(!again(&one, &one.then(&unknown, Intent::Count)).await);
    let given = one.store.release(&back, now()).await.unwrap();
    assert!(matches!(given, GivenBack::Released { replayed: true, .. }));
}

pub async fn one_that_has_expired_stays_charged_and_is_confirmed_late<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let (one, two) = (Seat::at(&ledger, 1).await, Seat::at(&ledger, 2).await);
    let trial = limited(Counter::Accounts, 1);
    let reserve = reserved(&one, "r", ACCOUNT, &trial, before()).await;
    assert_eq!(two.hold_state(app(1), "r").await, Some(HoldState::Open));
    assert_eq!(
        two.is_refused(&two.wants(app(1), None, ACCOUNT, &trial))
            .await,
        Counter::Accounts
    );
    let confirm = two.then(&reserve, CONFIRM);
    assert_eq!(beside(&two, &confirm).await, (LATE, false));
    assert_eq!(
        beside(&one, &one.then(&reserve, CONFIRM)).await,
        (LATE, true)
    );
    two.answered(&confirm, None).await;
    assert_eq!(
        beside(&one, &one.then(&reserve, CONFIRM)).await,
        (LATE, true)
    );
    let late = Some(HoldState::Confirmed { late: true });
    assert_eq!(one.hold_state(app(1), "r").await, late);
    assert_eq!(net(&one.usage(app(1)).await, Counter::Accounts), 1);
}

pub async fn one_that_lapsed_frees_its_place_and_is_confirmed_beyond_the_limit<
    L: LedgerUnderTest,
>() {
    let ledger = L::fresh().await;
    let (one, two) = (Seat::at(&ledger, 1).await, Seat::at(&ledger, 2).await);
    let trial = limited(Counter::Accounts, 1);
    let early = reserved(&one, "early", ROOM, &limits(), later()).await;
    let lapse = one.then(&early, Intent::Lapse);
    assert_eq!(one.take(&lapse).await, Taken::NoHold);
    let reserve = reserved(&one, "r", ACCOUNT, &trial, before()).await;
    let lapse = one.then(&reserve, Intent::Lapse);
    assert!(!again(&one, &lapse).await);
    one.answered(&lapse, None).await;
    assert_eq!(two.hold_state(app(1), "r").await, Some(HoldState::Lapsed));
    assert_eq!(one.usage(app(1)).await.view.net, [0, 1, 1, 1]);
    assert_eq!(one.reserved(app(1)).await, [0, 1, 1, 1]);
    let once_more = one.then(&reserve, Intent::Lapse);
    assert_eq!(one.take(&once_more).await, Taken::NoHold);
    let once_more = one.then(&reserve, reserve.intent);
    assert_eq!(one.take(&once_more).await, Taken::Ended);
    let next = two.wants(app(1), None, ACCOUNT, &trial);
    two.gets(&next).await;
    two.answered(&next, None).await;
    // The object exists all the same.
    let confirm = two.then(&reserve, CONFIRM);
    assert_eq!(beside(&two, &confirm).await, (LATE, false));
    two.answered(&confirm, None).await;
    assert_eq!(
        beside(&one, &one.then(&reserve, CONFIRM)).await,
        (LATE, true)
    );
    assert_eq!(net(&one.usage(app(1)).await, Counter::Accounts), 2);
    let late = Some(HoldState::Confirmed { late: true });
    assert_eq!(one.hold_state(app(1), "r").await, late);
}

pub async fn one_that_lapsed_may_be_cancelled<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let one = Seat::at(&ledger, 1).await;
    let reserve = reserved(&one, "r", ACCOUNT, &limits(), before()).await;
    one.gets(&one.then(&reserve, Intent::Lapse)).await;
    let cancel = one.then(&reserve, Intent::Cancel);
    assert!(!again(&one, &cancel).await);
    one.answered(&cancel, None).await;
    assert_eq!(
        one.hold_state(app(1), "r").await,
        Some(HoldState::Cancelled)
    );
    assert_eq!(one.take(&one.then(&reserve, CONFIRM)).await, Taken::Ended);
    assert_eq!(one.usage(app(1)).await.view.net, [0; 4]);
}

pub async fn one_that_has_expired_may_count_by_the_apps_rules<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let (one, two) = (Seat::at(&ledger, 1).await, Seat::at(&ledger, 2).await);
    let early = reserved(&one, "early", ACCOUNT, &limits(), later()).await;
    assert_eq!(one.take(&one.then(&early, CHARGE)).await, Taken::NoHold);
    let reserve = reserved(&one, "r", ROOM, &limits(), before()).await;
    let charge = one.then(&reserve, CHARGE);
    one.gets(&charge).await;
    one.answered(&charge, None).await;
    assert_eq!(two.hold_state(app(1), "r").await, Some(HoldState::Charged));
    assert_eq!(one.usage(app(1)).await.view.net, [1, 1, 1, 1]);
    assert_eq!(one.reserved(app(1)).await, [1, 0, 0, 0]);
    for intent in [CHARGE, Intent::Lapse] {
        assert_eq!(two.take(&two.then(&reserve, intent)).await, Taken::NoHold);
    }
    let cancel = two.then(&reserve, Intent::Cancel);
    assert_eq!(two.take(&cancel).await, Taken::Ended);
    // The gateway says so after all: that is news, but nothing more is counted.
    assert_eq!(
        beside(&two, &two.then(&reserve, CONFIRM)).await,
        (LATE, false)
    );
    assert_eq!(
        beside(&two, &two.then(&reserve, CONFIRM)).await,
        (LATE, true)
    );
    let late = Some(HoldState::Confirmed { late: true });
    assert_eq!(two.hold_state(app(1), "r").await, late);
    assert_eq!(one.usage(app(1)).await.view.net, [1, 1, 1, 1]);
}

pub async fn a_reservation_is_freed_with_its_last_attempt<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let (one, two) = (Seat::at(&ledger, 1).await, Seat::at(&ledger, 2).await);
    let first = reserving(one.wants(app(1), Some("r"), ROOM, &limits()), later());
    let second = two.then(&first, first.intent);
    one.gets(&first).await;
    two.gets(&second).await;
    one.abort(&first).await;
    assert_eq!(one.reserved(app(1)).await, [0, 1, 1, 1]);
    two.abort(&second).await;
    assert_eq!(one.reserved(app(1)).await, [0; 4]);
    assert_eq!(one.usage(app(1)).await.view.net, [0; 4]);
    assert_eq!(one.hold(app(1), "r").await, None);
    assert_eq!(one.store.holds(app(1), 9, now()).await.unwrap(), []);
    assert!(!again(&one, &one.then(&first, first.intent)).await);
}

pub async fn a_reservation_that_was_answered_is_not_freed_by_aborts<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let (one, two) = (Seat::at(&ledger, 1).await, Seat::at(&ledger, 2).await);
    let first = reserving(one.wants(app(1), Some("r"), ROOM, &limits()), later());
    let second = two.then(&first, first.intent);
    one.gets(&first).await;
    two.gets(&second).await;
    two.answered(&second, None).await;
    one.abort(&first).await;
    two.abort(&second).await;
    assert_eq!(one.reserved(app(1)).await, [0, 1, 1, 1]);
    assert_eq!(one.hold_state(app(1), "r").await, Some(HoldState::Open));
}

pub async fn an_aborted_confirmation_leaves_the_reservation<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let one = Seat::at(&ledger, 1).await;
    let reserve = reserved(&one, "r", ROOM, &limits(), later()).await;
    let confirm = one.then(&reserve, CONFIRM);
    one.gets(&confirm).await;
    assert_eq!(one.reserved(app(1)).await, [0; 4]);
    one.abort(&confirm).await;
    assert_eq!(one.hold_state(app(1), "r").await, Some(HoldState::Open));
    assert_eq!(one.reserved(app(1)).await, [0, 1, 1, 1]);
    assert_eq!(one.usage(app(1)).await.view.net, [0, 1, 1, 1]);
    assert_eq!(one.store.holds(app(1), 9, now()).await.unwrap().len(), 1);
    assert!(!again(&one, &one.then(&reserve, CONFIRM)).await);
    // Also one that had lapsed, and was charged again: it is not freed by time.
    let reserve = reserved(&one, "l", ACCOUNT, &limits(), before()).await;
    one.gets(&one.then(&reserve, Intent::Lapse)).await;
    let confirm = one.then(&reserve, CONFIRM);
    one.gets(&confirm).await;
    one.abort(&confirm).await;
    assert_eq!(one.hold_state(app(1), "l").await, Some(HoldState::Open));
    assert_eq!(one.usage(app(1)).await.view.net, [1, 1, 1, 1]);
}

pub async fn an_aborted_confirmation_leaves_those_of_others<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let (one, two) = (Seat::at(&ledger, 1).await, Seat::at(&ledger, 2).await);
    let reserve = reserved(&one, "r", ACCOUNT, &limits(), later()).await;
    let (first, second) = (one.then(&reserve, CONFIRM), two.then(&reserve, CONFIRM));
    one.gets(&first).await;
    two.gets(&second).await;
    one.abort(&first).await;
    let confirmed = Some(HoldState::Confirmed { late: false });
    assert_eq!(one.hold_state(app(1), "r").await, confirmed);
    assert_eq!(one.reserved(app(1)).await, [0; 4]);
    assert_eq!(two.answered(&second, None).await, Ack::Counted);
    two.abort(&second).await;
    assert_eq!(one.hold_state(app(1), "r").await, confirmed);
    assert_eq!(net(&one.usage(app(1)).await, Counter::Accounts), 1);
}

pub async fn a_confirmation_makes_a_reservation_firm<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let (one, two) = (Seat::at(&ledger, 1).await, Seat::at(&ledger, 2).await);
    let reserve = reserving(one.wants(app(1), Some("r"), ACCOUNT, &limits()), later());
    one.gets(&reserve).await;
    let confirm = two.then(&reserve, CONFIRM);
    two.gets(&confirm).await;
    // Whoever confirms was told of it: who reserved need not have been.
    one.abort(&reserve).await;
    let confirmed = Some(HoldState::Confirmed { late: false });
    assert_eq!(one.hold_state(app(1), "r").await, confirmed);
    two.abort(&confirm).await;
    assert_eq!(one.hold_state(app(1), "r").await, Some(HoldState::Open));
    assert_eq!(one.reserved(app(1)).await, [1, 0, 0, 0]);
}

pub async fn a_withdrawn_confirmation_does_nothing<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let one = Seat::at(&ledger, 1).await;
    let reserve = reserved(&one, "r", ACCOUNT, &limits(), before()).await;
    for intent in [CONFIRM, CHARGE, Intent::Cancel, Intent::Lapse] {
        let late = one.then(&reserve, intent);
        one.abort(&late).await;
        assert_eq!(one.take(&late).await, Taken::Withdrawn);
    }
    assert_eq!(one.hold_state(app(1), "r").await, Some(HoldState::Open));
    assert_eq!(one.reserved(app(1)).await, [1, 0, 0, 0]);
}

pub async fn a_reservation_and_a_count_cannot_share_an_id<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let one = Seat::at(&ledger, 1).await;
    let reserve = reserved(&one, "a", ACCOUNT, &limits(), later()).await;
    let count = one.wants(app(1), Some("b"), ACCOUNT, &limits());
    one.gets(&count).await;
    let counts_a = one.wants(app(1), Some("a"), ACCOUNT, &limits());
    let reserves_b = reserving(one.wants(app(1), Some("b"), ACCOUNT, &limits()), later());
    let two = (Resource::Account, 2);
    let more_of_a = reserving(one.wants(app(1), Some("a"), two, &limits()), later());
    for take in [&counts_a, &reserves_b, &more_of_a] {
        assert_eq!(one.take(take).await, Taken::OtherContent);
    }
    let back = one.returns(app(1), Some("a"), ACCOUNT);
    let given = one.store.release(&back, now()).await.unwrap();
    assert_eq!(given, GivenBack::OtherContent);
    assert_eq!(net(&one.usage(app(1)).await, Counter::Accounts), 2);
    assert!(!again(&one, &one.then(&reserve, CONFIRM)).await);
}

pub async fn a_refused_reservation_is_remembered<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let one = Seat::at(&ledger, 1).await;
    let trial = limited(Counter::Accounts, 1);
    let full = one.wants(app(1), None, ACCOUNT, &trial);
    one.gets(&full).await;
    let reserve = reserving(one.wants(app(1), Some("r"), ACCOUNT, &trial), later());
    assert_eq!(one.is_refused(&reserve).await, Counter::Accounts);
    one.answered(&reserve, Some(Counter::Accounts)).await;
    one.abort(&full).await;
    let taken = one.take(&one.then(&reserve, reserve.intent)).await;
    assert!(
        matches!(taken, Taken::Denied { replayed: true, .. }),
        "{taken:?}"
    );
    assert_eq!(one.hold(app(1), "r").await, None);
    assert_eq!(one.take(&one.then(&reserve, CONFIRM)).await, Taken::NoHold);
}

pub async fn reservations_are_listed_in_the_order_of_their_ends<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let (one, two) = (Seat::at(&ledger, 1).await, Seat::at(&ledger, 2).await);
    let ends = [("c", 3_000), ("a", -1_000), ("d", 4_000), ("b", 2_000)];
    let begun = now();
    let mut takes = Vec::new();
    for (id, end) in ends {
        let until = begun.plus(60_000 + end);
        takes.push(reserved(&one, id, ACCOUNT, &limits(), until).await);
    }
    let elsewhere = one.wants(app(2), Some("a"), ACCOUNT, &limits());
    one.gets(&reserving(elsewhere, later())).await;
    let listed = async |seat: &Seat, most| -> Vec<String> {
        let holds = seat.store.holds(app(1), most, now()).await.unwrap();
        assert!(holds.iter().all(|hold| hold.state == HoldState::Open));
        holds.iter().map(|hold| hold.id.to_string()).collect()
    };
    assert_eq!(listed(&two, 9).await, ["a", "b", "c", "d"]);
    assert_eq!(listed(&two, 2).await, ["a", "b"]);
    assert_eq!(listed(&two, 0).await, [""; 0]);
    assert_eq!(listed(&two, usize::MAX).await.len(), 4);
    let all = two.store.holds(app(1), 9, now()).await.unwrap();
    assert_eq!(Some(&all[3]), two.hold(app(1), "d").await.as_ref());
    one.gets(&one.then(&takes[0], Intent::Cancel)).await;
    let confirm = one.then(&takes[1], CONFIRM);
    one.gets(&confirm).await;
    assert_eq!(listed(&two, 9).await, ["b", "d"]);
    one.answered(&confirm, None).await;
    assert_eq!(listed(&two, 9).await, ["b", "d"]);
    assert_eq!(listed(&one, 1).await, ["b"]);
}

pub async fn a_reservation_is_no_part_of_a_peak<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let one = Seat::at(&ledger, 1).await;
    let peak = async || one.usage(app(1)).await.month_peak_groups;
    let many = reserved(&one, "many", (Resource::Group, 9), &limits(), later()).await;
    let few = reserved(&one, "few", (Resource::Group, 2), &limits(), later()).await;
    let cancel = one.then(&many, Intent::Cancel);
    let counted = one.wants(app(1), None, (Resource::Group, 1), &limits());
    one.gets(&counted).await;
    one.answered(&counted, None).await;
    one.gets(&cancel).await;
    one.answered(&cancel, None).await;
    let confirm = one.then(&few, CONFIRM);
    one.gets(&confirm).await;
    one.answered(&confirm, None).await;
    assert_eq!(peak().await, 3);
    let back = one.returns(app(1), None, (Resource::Group, 3));
    assert_eq!(one.release(&back).await, 3);
    assert_eq!(peak().await, 3);
}

pub async fn answers_that_are_stated_again_change_nothing<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let one = Seat::at(&ledger, 1).await;
    let kept = reserved(&one, "kept", ACCOUNT, &limits(), later()).await;
    let gone = reserved(&one, "gone", ROOM, &limits(), later()).await;
    let over = reserved(&one, "over", ROOM, &limits(), before()).await;
    let confirm = one.then(&kept, CONFIRM);
    let cancel = one.then(&gone, Intent::Cancel);
    let lapse = one.then(&over, Intent::Lapse);
    for take in [&confirm, &cancel, &lapse] {
        one.gets(take).await;
    }
    for _ in 0..2 {
        for take in [&kept, &confirm, &gone, &cancel, &over, &lapse] {
            assert_eq!(one.answered(take, None).await, Ack::Counted);
            assert_eq!(one.usage(app(1)).await.view.net, [1, 0, 0, 0]);
            assert_eq!(one.reserved(app(1)).await, [0; 4]);
        }
    }
    for (id, state) in [
        ("kept", HoldState::Confirmed { late: false }),
        ("gone", HoldState::Cancelled),
        ("over", HoldState::Lapsed),
    ] {
        assert_eq!(one.hold_state(app(1), id).await, Some(state));
    }
}

pub async fn reservations_that_the_ledger_forgot_are_there_again<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let one = Seat::at(&ledger, 1).await;
    let of = |id: &str| reserving(one.wants(app(1), Some(id), ROOM, &limits()), later());
    let (open, cancelled) = (of("open"), of("cancelled"));
    let cancel = one.then(&cancelled, Intent::Cancel);
    for _ in 0..2 {
        assert_eq!(one.answered(&open, None).await, Ack::Counted);
        assert_eq!(one.answered(&cancel, None).await, Ack::Counted);
        assert_eq!(one.usage(app(1)).await.view.net, [0, 1, 1, 1]);
        assert_eq!(one.reserved(app(1)).await, [0, 1, 1, 1]);
    }
    let hold = one.hold(app(1), "open").await.unwrap();
    assert_eq!(
        (hold.state, hold.until),
        (
            HoldState::Open,
            match open.intent {
                Intent::Reserve { until } => until,
                other => panic!("{other:?}"),
            }
        )
    );
    assert!(!again(&one, &one.then(&open, CONFIRM)).await);
    assert_eq!(one.take(&one.then(&cancelled, CONFIRM)).await, Taken::Ended);
    assert_eq!(one.usage(app(1)).await.view.net, [0, 1, 1, 1]);
}

pub async fn a_confirmed_reservation_ends_in_the_sums_of_who_confirmed<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let (one, two) = (Seat::at(&ledger, 1).await, Seat::at(&ledger, 2).await);
    let reserve = reserved(&one, "r", ROOM, &limits(), later()).await;
    let (first, second) = (two.then(&reserve, CONFIRM), one.then(&reserve, CONFIRM));
    for (seat, take, owns) in [(&two, &first, true), (&one, &second, false)] {
        match seat.take(take).await {
            Taken::Allowed { whose, .. } => {
                assert_eq!(whose == Whose::Asker, L::SHARED && owns);
            }
            other => panic!("{other:?}"),
        }
    }
    // Who does not own it is to say so again until the owner has it in its sums.
    let waits = if L::SHARED { Ack::Again } else { Ack::Counted };
    for (seat, take, ack) in [
        (&one, &second, waits),
        (&one, &second, waits),
        (&two, &first, Ack::Counted),
        (&one, &second, Ack::Counted),
        (&two, &first, Ack::Counted),
    ] {
        assert_eq!(seat.answered(take, None).await, ack);
        assert_eq!(one.usage(app(1)).await.view.net, [0, 1, 1, 1]);
        assert_eq!(one.reserved(app(1)).await, [0; 4]);
    }
    // What it created is given back as any other.
    assert_eq!(one.release(&one.returns(app(1), None, ROOM)).await, 1);
    assert_eq!(one.usage(app(1)).await.view.net, [0; 4]);
}

pub async fn what_exists_is_counted_beyond_the_limit<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let one = Seat::at(&ledger, 1).await;
    let mut pro = limited(Counter::AvRooms, 1);
    pro.groups_gained_daily = limited(Counter::GroupsGained, 1).groups_gained_daily;
    for (id, exceeds) in [("a", None), ("b", Some(Counter::AvRooms))] {
        let exists = one.then(&one.wants(app(1), Some(id), ROOM, &pro), Intent::Exists);
        let said = Beside {
            exceeds,
            ..Beside::default()
        };
        assert_eq!(beside(&one, &exists).await, (said, false));
        one.answered(&exists, None).await;
        assert!(again(&one, &one.then(&exists, Intent::Exists)).await);
    }
    assert_eq!(one.usage(app(1)).await.view.net, [0, 2, 2, 2]);
    let nameless = one.wants(app(1), None, (Resource::Group, 1), &pro);
    let (said, _) = beside(&one, &one.then(&nameless, Intent::Exists)).await;
    assert_eq!(said.exceeds, Some(Counter::GroupsGained));
}

pub async fn what_exists_is_counted_under_an_id_that_was_refused<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let one = Seat::at(&ledger, 1).await;
    let none = limited(Counter::Accounts, 0);
    let refused = one.wants(app(1), Some("r"), ACCOUNT, &none);
    one.is_refused(&refused).await;
    let exists = one.then(&refused, Intent::Exists);
    let (said, replayed) = beside(&one, &exists).await;
    assert_eq!((said.exceeds, replayed), (Some(Counter::Accounts), false));
    one.answered(&exists, None).await;
    assert!(again(&one, &one.then(&refused, Intent::Count)).await);
    assert_eq!(net(&one.usage(app(1)).await, Counter::Accounts), 1);
}

//! The record path: one id, one effect, one answer; never over a limit, not by one.

use std::sync::Arc;

use imquota::quota::{Charge, Counter, Limit, Limits, Resource};
use imquota::store::{Ack, RecordKey, Taken, Whose};

use super::{LedgerUnderTest, Seat, amount, app, client, limited, limits, net, now, today};

const ACCOUNT: (Resource, u32) = (Resource::Account, 1);
const ROOM: (Resource, u32) = (Resource::AvRoom, 1);
const GROUP: (Resource, u32) = (Resource::Group, 1);

pub async fn a_limit_of_100_admits_exactly_100_of_2000_at_once<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let trial = limited(Counter::Accounts, 100);
    let seats = [
        Arc::new(Seat::at(&ledger, 1).await),
        Arc::new(Seat::at(&ledger, 2).await),
    ];
    let calls = (0..2000_usize).map(|n| {
        let seat = Arc::clone(&seats[n % 2]);
        // Every other call has an id of its own.
        let id = format!("r-{n}");
        let take = seat.wants(app(1), (n % 4 < 2).then_some(&id), ACCOUNT, &trial);
        tokio::spawn(async move { seat.take(&take).await })
    });
    let calls: Vec<_> = calls.collect();
    let mut allowed = 0;
    for call in calls {
        match call.await.unwrap() {
            Taken::Allowed { view, replayed, .. } => {
                assert!(!replayed && view.net[0] <= 100);
                allowed += 1;
            }
            Taken::Denied {
                counter, replayed, ..
            } => assert_eq!((counter, replayed), (Counter::Accounts, false)),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(allowed, 100);
    assert_eq!(net(&seats[0].usage(app(1)).await, Counter::Accounts), 100);
}

pub async fn one_id_is_counted_once<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let (one, two) = (Seat::at(&ledger, 1).await, Seat::at(&ledger, 2).await);
    for (seat, again) in [(&one, false), (&one, true), (&two, true)] {
        let take = seat.wants(app(1), Some("r"), ACCOUNT, &limited(Counter::Accounts, 5));
        match seat.take(&take).await {
            Taken::Allowed { view, replayed, .. } => {
                assert_eq!((view.net[0], replayed), (1, again));
            }
            other => panic!("{other:?}"),
        }
        seat.answered(&take, None).await;
    }
    assert_eq!(net(&one.usage(app(1)).await, Counter::Accounts), 1);
}

pub async fn one_id_at_once_from_all_sides_is_counted_once<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let seats = [
        Arc::new(Seat::at(&ledger, 1).await),
        Arc::new(Seat::at(&ledger, 2).await),
    ];
    let calls = (0..40_usize).map(|n| {
        let seat = Arc::clone(&seats[n % 2]);
        let take = seat.wants(app(1), Some("r"), ACCOUNT, &limited(Counter::Accounts, 1));
        tokio::spawn(async move { seat.take(&take).await })
    });
    let calls: Vec<_> = calls.collect();
    let mut first = 0;
    for call in calls {
        match call.await.unwrap() {
            Taken::Allowed { view, replayed, .. } => {
                assert_eq!(view.net[0], 1);
                first += usize::from(!replayed);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(first, 1);
}

pub async fn other_content_under_the_same_id_changes_nothing<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let (one, two) = (Seat::at(&ledger, 1).await, Seat::at(&ledger, 2).await);
    let first = one.wants(app(1), Some("r"), ACCOUNT, &limits());
    one.gets(&first).await;
    let before = one.usage(app(1)).await;
    let others = [
        one.wants(app(1), Some("r"), (Resource::Account, 2), &limits()),
        two.wants(app(1), Some("r"), ROOM, &limits()),
    ];
    for (seat, other) in [&one, &two].into_iter().zip(&others) {
        assert_eq!(seat.take(other).await, Taken::OtherContent);
    }
    assert_eq!(one.usage(app(1)).await, before);
    // The abort of an attempt that got no claim frees nothing.
    two.abort(&others[1]).await;
    assert_eq!(one.usage(app(1)).await, before);
}

pub async fn a_refusal_is_remembered_for_the_clients_id<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let (one, two) = (Seat::at(&ledger, 1).await, Seat::at(&ledger, 2).await);
    let trial = limited(Counter::Accounts, 1);
    let full = one.wants(app(1), None, ACCOUNT, &trial);
    one.gets(&full).await;
    let refused = one.wants(app(1), Some("late"), ACCOUNT, &trial);
    assert_eq!(one.is_refused(&refused).await, Counter::Accounts);
    one.answered(&refused, Some(Counter::Accounts)).await;
    one.abort(&full).await;
    // A place is free now, but the id has its answer.
    for seat in [&one, &two] {
        let again = seat.wants(app(1), Some("late"), ACCOUNT, &trial);
        match seat.take(&again).await {
            Taken::Denied {
                counter,
                view,
                replayed,
                ..
            } => {
                assert_eq!((counter, replayed), (Counter::Accounts, true));
                assert_eq!(view.net[0], 0);
            }
            other => panic!("{other:?}"),
        }
    }
    let other = two.wants(app(1), Some("other"), ACCOUNT, &trial);
    two.gets(&other).await;
}

pub async fn a_refusal_without_an_id_is_judged_anew<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let one = Seat::at(&ledger, 1).await;
    let none = limited(Counter::Accounts, 0);
    let refused = one.wants(app(1), None, ACCOUNT, &none);
    assert_eq!(one.is_refused(&refused).await, Counter::Accounts);
    let mut raised = refused;
    raised.charge = Charge::new(Resource::Account, amount(1), &limits());
    assert_eq!(one.gets(&raised).await.net[0], 1);
}

pub async fn an_abort_frees_what_was_held<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let one = Seat::at(&ledger, 1).await;
    let pro = limited(Counter::AvRooms, 1);
    let lost = one.wants(app(1), Some("r"), ROOM, &pro);
    assert_eq!(one.gets(&lost).await.net, [0, 1, 1, 1]);
    one.abort(&lost).await;
    assert_eq!(one.usage(app(1)).await.view.net, [0, 0, 0, 0]);
    // Its place, and its id, are free again.
    let again = one.wants(app(1), Some("r"), ROOM, &pro);
    match one.take(&again).await {
        Taken::Allowed { view, replayed, .. } => {
            assert_eq!((view.net, replayed), ([0, 1, 1, 1], false));
        }
        other => panic!("{other:?}"),
    }
    // An abort may come twice.
    one.abort(&lost).await;
    assert_eq!(one.usage(app(1)).await.view.net, [0, 1, 1, 1]);
}

pub async fn an_abort_before_the_take_arrives_stops_it<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let one = Seat::at(&ledger, 1).await;
    for key in [Some("r"), None] {
        let late = one.wants(app(1), key, ACCOUNT, &limits());
        one.abort(&late).await;
        assert_eq!(one.take(&late).await, Taken::Withdrawn);
        assert_eq!(one.take(&late).await, Taken::Withdrawn);
    }
    assert_eq!(one.usage(app(1)).await.view.net[0], 0);
    let again = one.wants(app(1), Some("r"), ACCOUNT, &limits());
    assert_eq!(one.gets(&again).await.net[0], 1);
}

pub async fn an_abort_withdraws_its_own_attempt_only<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let (one, two) = (Seat::at(&ledger, 1).await, Seat::at(&ledger, 2).await);
    let mine = one.wants(app(1), Some("r"), ACCOUNT, &limits());
    one.gets(&mine).await;
    // Another member's attempt of the same number is another attempt.
    let mut theirs = two.wants(app(1), Some("r"), ACCOUNT, &limits());
    theirs.attempt = mine.attempt;
    two.abort(&theirs).await;
    assert_eq!(one.usage(app(1)).await.view.net[0], 1);
    assert_eq!(two.take(&theirs).await, Taken::Withdrawn);
    one.abort(&mine).await;
    assert_eq!(one.usage(app(1)).await.view.net[0], 0);
}

pub async fn an_abort_of_the_first_try_spares_the_second<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let (one, two) = (Seat::at(&ledger, 1).await, Seat::at(&ledger, 2).await);
    let first = one.wants(app(1), Some("r"), ACCOUNT, &limits());
    let second = two.wants(app(1), Some("r"), ACCOUNT, &limits());
    one.gets(&first).await;
    two.gets(&second).await;
    one.abort(&first).await;
    assert_eq!(one.usage(app(1)).await.view.net[0], 1);
    // The first attempt arrives once more, late.
    assert_eq!(one.take(&first).await, Taken::Withdrawn);
    two.abort(&second).await;
    assert_eq!(one.usage(app(1)).await.view.net[0], 0);
}

pub async fn an_answered_take_is_not_freed<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let (one, two) = (Seat::at(&ledger, 1).await, Seat::at(&ledger, 2).await);
    let first = one.wants(app(1), Some("r"), ACCOUNT, &limits());
    let second = two.wants(app(1), Some("r"), ACCOUNT, &limits());
    one.gets(&first).await;
    two.gets(&second).await;
    two.answered(&second, None).await;
    two.answered(&second, None).await;
    one.abort(&first).await;
    two.abort(&second).await;
    assert_eq!(one.usage(app(1)).await.view.net[0], 1);
    let third = one.wants(app(1), Some("r"), ACCOUNT, &limits());
    match one.take(&third).await {
        Taken::Allowed { replayed, .. } => assert!(replayed),
        other => panic!("{other:?}"),
    }
}

pub async fn a_refusal_that_the_ledger_forgot_is_remembered_again<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let one = Seat::at(&ledger, 1).await;
    let forgotten = one.wants(app(1), Some("r"), GROUP, &limits());
    one.answered(&forgotten, Some(Counter::GroupsGained)).await;
    let again = one.wants(app(1), Some("r"), GROUP, &limits());
    match one.take(&again).await {
        Taken::Denied {
            counter, replayed, ..
        } => assert_eq!((counter, replayed), (Counter::GroupsGained, true)),
        other => panic!("{other:?}"),
    }
    // Where there was no id, nobody can ask again.
    let nameless = one.wants(app(1), None, GROUP, &limits());
    one.answered(&nameless, Some(Counter::Groups)).await;
    assert_eq!(one.gets(&nameless).await.net, [0, 1, 0, 1]);
}

pub async fn all_parts_move_or_none<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let one = Seat::at(&ledger, 1).await;
    let mut rules = limited(Counter::AvRooms, 50);
    rules.groups_gained_daily = limited(Counter::GroupsGained, 4).groups_gained_daily;
    let three = (Resource::AvRoom, 3);
    assert_eq!(
        one.gets(&one.wants(app(1), None, three, &rules)).await.net,
        [0, 3, 3, 3]
    );
    let refused = one.wants(app(1), None, (Resource::AvRoom, 2), &rules);
    assert_eq!(one.is_refused(&refused).await, Counter::GroupsGained);
    assert_eq!(one.usage(app(1)).await.view.net, [0, 3, 3, 3]);
    let fits = one.wants(app(1), None, ROOM, &rules);
    assert_eq!(one.gets(&fits).await.net, [0, 4, 4, 4]);
}

pub async fn the_first_part_that_does_not_fit_is_named<L: LedgerUnderTest>() {
    use Counter::{AvRooms, Groups, GroupsGained};
    let ledger = L::fresh().await;
    let one = Seat::at(&ledger, 1).await;
    let none = |counters: &[Counter]| {
        let zero = |counter| {
            let full = counters.contains(&counter);
            if full {
                Limit::AtMost(0)
            } else {
                Limit::Unlimited
            }
        };
        Limits {
            av_rooms: zero(AvRooms),
            groups: zero(Groups),
            groups_gained_daily: zero(GroupsGained),
            ..limits()
        }
    };
    let cases: [(&[Counter], Counter); 4] = [
        (&[AvRooms, Groups, GroupsGained], AvRooms),
        (&[Groups, GroupsGained], Groups),
        (&[GroupsGained], GroupsGained),
        (&[AvRooms, GroupsGained], AvRooms),
    ];
    for (full, named) in cases {
        let take = one.wants(app(1), None, ROOM, &none(full));
        assert_eq!(one.is_refused(&take).await, named);
    }
}

pub async fn gains_belong_to_their_day<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let one = Seat::at(&ledger, 1).await;
    let two_a_day = limited(Counter::GroupsGained, 2);
    let (today, tomorrow) = (today(), today().next());
    let group = |day| {
        let mut take = one.wants(app(1), None, GROUP, &two_a_day);
        take.day = day;
        take
    };
    one.gets(&group(today)).await;
    assert_eq!(one.gets(&group(today)).await.net, [0, 2, 0, 2]);
    assert_eq!(
        one.is_refused(&group(today)).await,
        Counter::GroupsGained,
        "the day is full"
    );
    assert_eq!(one.gets(&group(tomorrow)).await.net, [0, 3, 0, 1]);
    // A group of yesterday that is disbanded today makes room today.
    let mut disbanded = one.returns(app(1), None, GROUP);
    disbanded.day = tomorrow;
    assert_eq!(one.release(&disbanded).await, 1);
    assert_eq!(one.usage_on(app(1), tomorrow).await.view.net, [0, 2, 0, 0]);
    assert_eq!(one.usage_on(app(1), today).await.view.net, [0, 2, 0, 2]);
    // An aborted creation leaves the gain of its own day.
    let lost = group(tomorrow);
    one.gets(&lost).await;
    one.abort(&lost).await;
    assert_eq!(one.usage_on(app(1), tomorrow).await.view.net, [0, 2, 0, 0]);
}

pub async fn a_lower_limit_is_judged_by_and_a_higher_one_where_the_ledger_is_its_members_own<
    L: LedgerUnderTest,
>() {
    let ledger = L::fresh().await;
    let one = Seat::at(&ledger, 1).await;
    let fifty = (Resource::Account, 50);
    one.gets(&one.wants(app(1), None, fifty, &limited(Counter::Accounts, 50)))
        .await;
    // Who shares a ledger may have older settings than another: the lowest limit counts for a while.
    for (limit, fits) in [(50, false), (40, false), (51, !L::SHARED)] {
        let take = one.wants(app(1), None, ACCOUNT, &limited(Counter::Accounts, limit));
        let taken = one.take(&take).await;
        assert_eq!(matches!(taken, Taken::Allowed { .. }), fits, "{limit}");
    }
    let before = one.usage(app(1)).await.view.net[0];
    let take = one.wants(app(1), None, ACCOUNT, &Limits::UNLIMITED);
    assert_eq!(one.gets(&take).await.net[0], before + 1);
}

pub async fn a_record_ends_in_the_sums_of_its_owner<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let (one, two) = (Seat::at(&ledger, 1).await, Seat::at(&ledger, 2).await);
    let first = one.wants(app(1), Some("r"), ROOM, &limits());
    let second = two.wants(app(1), Some("r"), ROOM, &limits());
    for (seat, take, owns) in [
        (&one, &first, true),
        (&two, &second, false),
        (&one, &first, true),
    ] {
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
        (&two, &second, waits),
        (&two, &second, waits),
        (&one, &first, Ack::Counted),
        (&two, &second, Ack::Counted),
        (&one, &first, Ack::Counted),
    ] {
        assert_eq!(seat.answered(take, None).await, ack);
        assert_eq!(one.usage(app(1)).await.view.net, [0, 1, 1, 1]);
    }
}

pub async fn who_answered_for_an_owner_that_is_gone_becomes_it<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let (one, two) = (Seat::at(&ledger, 1).await, Seat::at(&ledger, 2).await);
    let first = one.wants(app(1), Some("r"), ROOM, &limits());
    let second = two.wants(app(1), Some("r"), ROOM, &limits());
    one.gets(&first).await;
    two.gets(&second).await;
    two.answered(&second, None).await;
    one.abort(&first).await;
    // What was answered is not freed; it is the other's from now on.
    assert_eq!(one.usage(app(1)).await.view.net, [0, 1, 1, 1]);
    assert_eq!(two.answered(&second, None).await, Ack::Counted);
    two.abort(&second).await;
    assert_eq!(one.usage(app(1)).await.view.net, [0, 1, 1, 1]);
}

pub async fn apps_do_not_touch_each_other<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let one = Seat::at(&ledger, 1).await;
    let trial = limited(Counter::Accounts, 1);
    for n in 1..=20 {
        let take = one.wants(app(n), Some("the same id"), ACCOUNT, &trial);
        assert_eq!(one.gets(&take).await.net[0], 1);
    }
    // A key that a sidecar made is no client's id, whatever that id says.
    let own = one.wants(app(1), None, ACCOUNT, &limits());
    let RecordKey::Own {
        incarnation,
        attempt,
    } = own.key
    else {
        panic!("{own:?}");
    };
    one.gets(&own).await;
    let mut named = one.wants(app(1), None, ACCOUNT, &limits());
    named.key = client(&format!("{incarnation}:{}", attempt.0));
    let taken = one.store.take(&named, now()).await.unwrap();
    assert!(matches!(
        taken,
        Taken::Allowed {
            replayed: false,
            ..
        }
    ));
}

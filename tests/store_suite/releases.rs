//! Releases give back what was counted: never more, and once.

use imquota::quota::{Counter, Limits, Resource};
use imquota::store::{Cell, GivenBack, Taken};

use super::{LedgerUnderTest, Seat, app, limits, now, report, totals};

pub async fn a_release_gives_back_what_is_counted_and_no_more<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let one = Seat::at(&ledger, 1).await;
    for (key, creates, deletes, given) in [
        (Some("a"), 3, 2, 2),
        (None, 0, 2, 1),
        (Some("b"), 0, 100, 0),
        (None, 1, 1, 1),
    ] {
        if creates > 0 {
            let take = one.wants(app(1), None, (Resource::Account, creates), &limits());
            one.gets(&take).await;
        }
        let back = one.returns(app(1), key, (Resource::Account, deletes));
        assert_eq!(one.release(&back).await, given);
    }
    assert_eq!(one.usage(app(1)).await.view.net, [0; 4]);
}

pub async fn a_release_is_done_once<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let (one, two) = (Seat::at(&ledger, 1).await, Seat::at(&ledger, 2).await);
    let five = one.wants(app(1), None, (Resource::Account, 5), &limits());
    one.gets(&five).await;
    let back = one.returns(app(1), Some("bye"), (Resource::Account, 2));
    assert_eq!(one.release(&back).await, 2);
    for seat in [&one, &two] {
        let again = seat.store.release(&back, now()).await.unwrap();
        let GivenBack::Released {
            released,
            view,
            replayed,
            ..
        } = again
        else {
            panic!("{again:?}");
        };
        assert_eq!((released, view.net[0], replayed), (2, 3, true));
    }
    // Nothing given back is remembered as well: a later creation is not taken away by a repetition.
    let nothing = one.returns(app(2), Some("bye"), (Resource::Account, 1));
    assert_eq!(one.release(&nothing).await, 0);
    one.gets(&one.wants(app(2), None, (Resource::Account, 1), &limits()))
        .await;
    let again = one.store.release(&nothing, now()).await.unwrap();
    assert!(matches!(
        again,
        GivenBack::Released {
            released: 0,
            replayed: true,
            ..
        }
    ));
    assert_eq!(one.usage(app(2)).await.view.net[0], 1);
}

pub async fn a_room_gives_back_its_group_and_its_gain<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let one = Seat::at(&ledger, 1).await;
    let rooms = one.wants(app(1), None, (Resource::AvRoom, 3), &limits());
    one.gets(&rooms).await;
    let back = one.returns(app(1), None, (Resource::AvRoom, 2));
    assert_eq!(one.release(&back).await, 2);
    assert_eq!(one.usage(app(1)).await.view.net, [0, 1, 1, 1]);
}

pub async fn a_room_that_is_no_group_leaves_groups_alone<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let one = Seat::at(&ledger, 1).await;
    let apart = Limits {
        av_rooms_are_groups: false,
        ..limits()
    };
    one.gets(&one.wants(app(1), None, (Resource::Group, 1), &apart))
        .await;
    let room = one.wants(app(1), None, (Resource::AvRoom, 1), &apart);
    assert_eq!(one.gets(&room).await.net, [0, 1, 1, 1]);
    let mut back = one.returns(app(1), None, (Resource::AvRoom, 1));
    back.groups_follow = false;
    assert_eq!(one.release(&back).await, 1);
    assert_eq!(one.usage(app(1)).await.view.net, [0, 1, 0, 1]);
}

pub async fn groups_are_not_minted_by_rooms<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let one = Seat::at(&ledger, 1).await;
    one.gets(&one.wants(app(1), None, (Resource::AvRoom, 2), &limits()))
        .await;
    // A gateway disbands the rooms as groups, and then as rooms.
    let groups = one.returns(app(1), None, (Resource::Group, 2));
    assert_eq!(one.release(&groups).await, 2);
    let rooms = one.returns(app(1), None, (Resource::AvRoom, 2));
    assert_eq!(one.release(&rooms).await, 2);
    assert_eq!(one.usage(app(1)).await.view.net, [0, 0, 0, 0]);
}

pub async fn a_gain_may_fall_below_zero<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let one = Seat::at(&ledger, 1).await;
    // Groups from before today.
    let older = report(app(1), &[(Cell::Live(Resource::Group), totals(10, 0), 10)]);
    one.settle(app(1), &older).await;
    let back = one.returns(app(1), None, (Resource::Group, 4));
    assert_eq!(one.release(&back).await, 4);
    let usage = one.usage(app(1)).await;
    assert_eq!(usage.view.net, [0, 6, 0, -4]);
}

pub async fn a_release_and_a_take_cannot_share_an_id<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let one = Seat::at(&ledger, 1).await;
    let account = (Resource::Account, 1);
    let take = one.wants(app(1), Some("a"), account, &limits());
    one.gets(&take).await;
    let back = one.returns(app(1), Some("b"), account);
    assert_eq!(one.release(&back).await, 1);
    let before = one.usage(app(1)).await;
    let mut release_a = one.returns(app(1), Some("a"), account);
    let mut take_b = one.wants(app(1), Some("b"), account, &limits());
    for _ in 0..2 {
        let given = one.store.release(&release_a, now()).await.unwrap();
        assert_eq!(given, GivenBack::OtherContent);
        assert_eq!(one.take(&take_b).await, Taken::OtherContent);
        // Not even if the fingerprints meet.
        release_a.fingerprint = take.fingerprint;
        take_b.fingerprint = back.fingerprint;
    }
    let mut other = one.returns(app(1), Some("b"), (Resource::Account, 2));
    other.key = back.key.clone();
    let given = one.store.release(&other, now()).await.unwrap();
    assert_eq!(given, GivenBack::OtherContent);
    assert_eq!(one.usage(app(1)).await, before);
    assert_eq!(before.view.net[Counter::Accounts.index()], 0);
}

pub async fn a_release_ends_in_the_sums_of_who_asked_first<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let (one, two) = (Seat::at(&ledger, 1).await, Seat::at(&ledger, 2).await);
    let rooms = one.wants(app(1), None, (Resource::AvRoom, 5), &limits());
    one.gets(&rooms).await;
    one.answered(&rooms, None).await;
    let back = one.returns(app(1), Some("bye"), (Resource::AvRoom, 2));
    for (seat, first) in [(&one, true), (&two, false)] {
        let given = seat.give_back(&back).await;
        let GivenBack::Released {
            released,
            groups,
            mine,
            ..
        } = given
        else {
            panic!("{given:?}");
        };
        assert_eq!((released, groups, mine), (2, 2, L::SHARED && first));
    }
    // Told so once or twice, by whomever, the count stays.
    for seat in [&two, &one, &one] {
        seat.contain(app(1), super::today()).await;
        assert_eq!(one.usage(app(1)).await.view.net, [0, 3, 3, 3]);
    }
}

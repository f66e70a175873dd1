//! Objects: one is counted once, whoever creates it, and given back once, whoever deletes it.

use imquota::quota::{Counter, ObjectNumber, Resource};
use imquota::store::{
    Ack, Adopted, Answered, Cell, GaveBack, GiveBack, GivenBack, HoldState, Intent, Known,
    OBJECTS_MAX, RecordKey, Statement, Store, Take, Taken, Undecided, Whose,
};

use crate::asks::{
    ALREADY, CONFIRM, MINE, PLAIN, REPLAYED, Said, accounts_taken, answer, attempt, count, create,
    create_unnoted, delete, named, object, of, recover, reserve, rules, statement, sums, then, two,
    with,
};
use crate::fixture::{NOW, Sidecar, app, client, give_back, limits, take};
use crate::redis_server::RedisServer;

const LONG: i64 = 60_000;
const ACCOUNT: Resource = Resource::Account;

fn reserve_named(id: &str, attempt: u64, number: u64) -> Take {
    named(number, &reserve(id, attempt, LONG))
}

/// A group or a room that is created by its name.
fn create_as(resource: Resource, id: &str, attempt: u64, number: u64) -> Take {
    named(number, &take(&client(id), attempt, resource, 1, &rules()))
}

async fn adopt(sidecar: &Sidecar, resource: Resource, numbers: &[u64]) -> Vec<Adopted> {
    let objects: Vec<ObjectNumber> = numbers.iter().map(|&number| object(number)).collect();
    let adopted = sidecar.store.adopt(app(1), resource, &objects, NOW);
    adopted.await.unwrap()
}

#[tokio::test]
async fn created_twice_under_different_ids_it_is_counted_once() {
    let server = RedisServer::start();
    let [one, two] = two(&server).await;
    let first = create("a", 1, 7);
    assert!(!one.knows(7).await);
    assert_eq!(one.asks(&first).await, MINE);
    assert!(one.knows(7).await, "it is on its way");
    assert_eq!(two.asks(&create("b", 1, 7)).await, ALREADY);
    assert_eq!(two.asks(&create_unnoted(2, 7)).await, ALREADY);
    // The same id is the same request; the other's stays what it was told.
    assert_eq!(two.asks(&attempt(3, &first)).await, REPLAYED);
    assert_eq!(
        one.asks(&create("b", 4, 7)).await,
        Said {
            already: true,
            ..REPLAYED
        }
    );
    assert_eq!(one.answered(&first).await, Ack::Counted);
    assert_eq!(two.says(&create("b", 1, 7)).await, Ack::Counted);
    assert_eq!(one.accounts().await, (1, 0));
    assert!(one.knows(7).await);
    assert_eq!(two.asks(&create("c", 5, 7)).await, ALREADY);
    assert_eq!(
        two.asks(&create("c", 6, 7)).await,
        Said {
            already: true,
            ..REPLAYED
        }
    );
    assert_eq!(two.asks(&attempt(7, &first)).await, REPLAYED);
    // Another object under a known id, and the id alone, are other content.
    assert_eq!(two.take(&create("a", 8, 8)).await, Ok(Taken::OtherContent));
    assert_eq!(two.take(&count("a", 9)).await, Ok(Taken::OtherContent));
    one.asks(&count("plain", 10)).await;
    assert_eq!(
        two.take(&create("plain", 11, 8)).await,
        Ok(Taken::OtherContent)
    );
    assert_eq!(one.accounts().await, (2, 0));
}

#[tokio::test]
async fn who_meets_what_is_counted_has_nothing_to_tell() {
    let server = RedisServer::start();
    let [one, two] = two(&server).await;
    let first = create("a", 1, 7);
    assert_eq!(one.asks(&first).await, MINE);
    let whose = async |take: &Take| match two.take(take).await {
        Ok(Taken::Allowed { whose, .. }) => whose,
        other => panic!("{other:?}"),
    };
    assert_eq!(whose(&create("b", 2, 7)).await, Whose::Another);
    assert_eq!(one.answered(&first).await, Ack::Counted);
    let repeated = attempt(5, &first);
    for met in [create("c", 3, 7), create_unnoted(4, 7), repeated] {
        assert_eq!(whose(&met).await, Whose::Told, "{met:?}");
    }
    let hold = reserve("h", 2, LONG);
    one.asks(&hold).await;
    one.answered(&hold).await;
    let confirms = with(CONFIRM, &attempt(3, &hold));
    assert_eq!(one.asks(&confirms).await, MINE);
    assert_eq!(whose(&attempt(6, &confirms)).await, Whose::Another);
    assert_eq!(one.answered(&confirms).await, Ack::Counted);
    assert_eq!(whose(&attempt(7, &confirms)).await, Whose::Told);
}

#[tokio::test]
async fn a_refusal_is_remembered_under_the_id_and_not_for_the_object() {
    let server = RedisServer::start();
    let (one, _) = Sidecar::fresh(1, &server).await;
    let none = limits(0, 0, 0);
    let denied = of(ACCOUNT, 1, &none, &create("a", 1, 7));
    let first = one.take(&denied).await;
    assert!(
        matches!(
            first,
            Ok(Taken::Denied {
                replayed: false,
                counter: Counter::Accounts,
                ..
            })
        ),
        "{first:?}"
    );
    let again = one.take(&create("a", 2, 7)).await;
    assert!(
        matches!(again, Ok(Taken::Denied { replayed: true, .. })),
        "{again:?}"
    );
    assert!(!one.knows(7).await);
    assert_eq!(
        one.take(&create("a", 3, 8))
            .await
            .map(|taken| matches!(taken, Taken::Denied { .. })),
        Ok(true)
    );
    // It exists after all: then it counts, above the limit, and the id stands for that.
    let exists = with(Intent::Exists, &of(ACCOUNT, 1, &none, &create("a", 4, 7)));
    let over = Said {
        exceeds: Some(Counter::Accounts),
        ..MINE
    };
    assert_eq!(one.asks(&exists).await, over);
    assert_eq!(one.asks(&attempt(5, &exists)).await, REPLAYED);
    assert_eq!(one.asks(&create("b", 6, 7)).await, ALREADY);
    assert_eq!(one.accounts().await, (1, 0));
}

#[tokio::test]
async fn who_joins_a_creation_keeps_it_when_its_owner_withdraws() {
    let server = RedisServer::start();
    let [one, two] = two(&server).await;
    let (first, second) = (create("a", 1, 7), create("b", 1, 7));
    one.asks(&first).await;
    two.asks(&second).await;
    one.abort(&first).await;
    assert_eq!(one.accounts().await, (1, 0));
    assert_eq!(two.says(&second).await, Ack::Yours);
    assert_eq!(two.answered(&second).await, Ack::Counted);
    assert_eq!((one.accounts().await, one.knows(7).await), ((1, 0), true));
    // Nobody's any more, it is freed, and may be created anew.
    one.asks(&create("c", 2, 8)).await;
    one.abort(&create("c", 2, 8)).await;
    assert_eq!((one.accounts().await, one.knows(8).await), ((1, 0), false));
    assert_eq!(one.take(&create("c", 2, 8)).await, Ok(Taken::Withdrawn));
    assert_eq!(one.asks(&create("c", 3, 8)).await, MINE);
}

#[tokio::test]
async fn deleted_it_is_given_back_once_as_what_it_is() {
    let server = RedisServer::start();
    let [one, two] = two(&server).await;
    let room = create_as(Resource::AvRoom, "a", 1, 7);
    one.asks(&room).await;
    one.answered(&room).await;
    assert_eq!(one.view().await.net, [0, 1, 1, 1]);
    // Whoever deletes it calls it a group.
    let back = delete("x", Resource::Group, 7);
    let released = two.release(&back).await.unwrap();
    let GivenBack::Released {
        released: 1,
        resource: Resource::AvRoom,
        groups: 1,
        mine: true,
        replayed: false,
        view,
    } = released
    else {
        panic!("{released:?}");
    };
    assert_eq!(view.net, [0; 4]);
    assert!(!one.knows(7).await);
    let again = two.release(&back).await;
    assert!(
        matches!(
            again,
            Ok(GivenBack::Released {
                released: 1,
                resource: Resource::AvRoom,
                replayed: true,
                mine: true,
                ..
            })
        ),
        "{again:?}"
    );
    let none = (0, Resource::Group, false);
    assert_eq!(two.deletes(&delete("y", Resource::Group, 7)).await, none);
    assert_eq!(one.deletes(&delete("z", Resource::Group, 8)).await, none);
    // Reported once more, its creation does not come back.
    assert_eq!(one.answered(&room).await, Ack::Counted);
    assert!(!one.knows(7).await);
    two.gave(
        &back,
        vec![crate::fixture::app_report(app(1), sums(&room, 0, 1))],
    )
    .await;
    assert_eq!(one.view().await.net, [0; 4]);
    // Created anew it counts anew.
    assert_eq!(two.asks(&create_as(Resource::Group, "b", 2, 7)).await, MINE);
    assert_eq!(one.view().await.net, [0, 1, 0, 1]);
}

#[tokio::test]
async fn a_room_that_is_no_group_leaves_groups_alone() {
    let server = RedisServer::start();
    let (one, _) = Sidecar::fresh(1, &server).await;
    let apart = imquota::quota::Limits {
        av_rooms_are_groups: false,
        ..rules()
    };
    let room = of(
        Resource::AvRoom,
        1,
        &apart,
        &create_as(Resource::AvRoom, "a", 1, 7),
    );
    one.asks(&room).await;
    one.answered(&room).await;
    assert_eq!(one.view().await.net, [0, 0, 1, 0]);
    let back = GiveBack {
        rooms_are_groups: false,
        ..delete("x", Resource::Group, 7)
    };
    assert_eq!(one.deletes(&back).await, (1, Resource::AvRoom, true));
    assert_eq!(one.view().await.net, [0; 4]);
}

#[tokio::test]
async fn deleted_before_its_creation_was_reported_it_was_never_there() {
    let server = RedisServer::start();
    let [one, two] = two(&server).await;
    let (first, second) = (
        create_as(Resource::Group, "a", 1, 7),
        create_as(Resource::Group, "b", 2, 7),
    );
    one.asks(&first).await;
    two.asks(&second).await;
    assert_eq!(
        two.deletes(&delete("x", Resource::Group, 7)).await,
        (1, Resource::Group, false)
    );
    assert_eq!((one.view().await.net, one.knows(7).await), ([0; 4], false));
    assert_eq!(
        two.deletes(&delete("y", Resource::Group, 7)).await,
        (0, Resource::Group, false)
    );
    // Until its creators have heard of it nobody creates it anew.
    let confirming = Ok(Taken::Undecided(Undecided::Confirming));
    assert_eq!(
        two.take(&create_as(Resource::Group, "c", 3, 7)).await,
        confirming
    );
    // The one has it in its sums, and is told to give it back; the other withdraws.
    assert_eq!(one.answered(&first).await, Ack::Gone);
    assert_eq!(one.view().await.net, [0, 1, 0, 1]);
    let cells = sums(&first, 1, 1);
    assert_eq!(
        one.says_answered(
            &first,
            Some(0),
            vec![crate::fixture::app_report(app(1), cells)]
        )
        .await,
        Ack::Gone
    );
    assert_eq!(one.view().await.net, [0; 4]);
    two.abort(&second).await;
    assert_eq!(one.view().await.net, [0; 4]);
}

#[tokio::test]
async fn a_reserved_object_is_confirmed_by_whoever_counts_it() {
    let server = RedisServer::start();
    let [one, two] = two(&server).await;
    let hold = reserve_named("a", 1, 7);
    assert_eq!(one.asks(&hold).await, PLAIN);
    assert_eq!(
        one.hold_of("a").await.unwrap().key,
        RecordKey::Object(object(7))
    );
    assert_eq!(one.asks(&attempt(2, &hold)).await, REPLAYED);
    assert_eq!(two.asks(&reserve_named("b", 3, 7)).await, ALREADY);
    assert_eq!(
        (one.accounts().await, one.listed().await),
        ((1, 1), vec!["a".into()])
    );
    // The other's id has no reservation of its own.
    assert_eq!(two.state_of("b").await, Some(HoldState::AlreadyCounted));
    assert_eq!(
        two.take(&then(Intent::Cancel, 4, &reserve_named("b", 3, 7)))
            .await,
        Ok(Taken::NoHold)
    );
    assert_eq!(
        two.take(&then(Intent::Cancel, 4, &count("b", 0))).await,
        Ok(Taken::NoHold)
    );
    // Deleted it is not: it does not exist yet.
    assert_eq!(
        two.deletes(&delete("x", ACCOUNT, 7)).await,
        (0, ACCOUNT, false)
    );
    let counts = create("c", 5, 7);
    assert_eq!(two.asks(&counts).await, MINE);
    assert_eq!(
        (one.accounts().await, one.listed().await.len()),
        ((1, 0), 0)
    );
    two.abort(&counts).await;
    assert_eq!(
        (one.accounts().await, one.listed().await.len()),
        ((1, 1), 1)
    );
    let counts = create("d", 6, 7);
    two.asks(&counts).await;
    assert_eq!(two.answered(&counts).await, Ack::Counted);
    assert_eq!(one.says(&hold).await, Ack::Counted);
    assert_eq!(one.accounts().await, (1, 0));
    assert_eq!(one.asks(&then(CONFIRM, 7, &hold)).await, REPLAYED);
    assert_eq!(
        one.state_of("a").await,
        Some(HoldState::Confirmed { late: false })
    );
    assert_eq!(
        one.take(&then(Intent::Cancel, 8, &hold)).await,
        Ok(Taken::Ended)
    );
    assert_eq!(
        two.deletes(&delete("y", ACCOUNT, 7)).await,
        (1, ACCOUNT, true)
    );
    assert_eq!(one.accounts().await, (0, 0));
}

#[tokio::test]
async fn by_its_id_alone_a_reserved_object_is_confirmed_and_cancelled() {
    let server = RedisServer::start();
    let [one, two] = two(&server).await;
    let hold = reserve_named("a", 1, 7);
    one.asks(&hold).await;
    one.says(&hold).await;
    let confirm = then(CONFIRM, 2, &reserve("a", 0, LONG));
    assert_eq!(two.asks(&confirm).await, MINE);
    assert!(one.knows(7).await);
    two.abort(&confirm).await;
    assert_eq!(one.accounts().await, (1, 1));
    assert_eq!(two.take(&confirm).await, Ok(Taken::Withdrawn));
    let confirm = attempt(3, &confirm);
    assert_eq!(two.asks(&confirm).await, MINE);
    assert_eq!(two.answered(&confirm).await, Ack::Counted);
    assert_eq!((one.accounts().await, one.knows(7).await), ((1, 0), true));
    let other = reserve_named("b", 4, 8);
    one.asks(&other).await;
    assert_eq!(
        one.asks(&then(Intent::Cancel, 5, &reserve("b", 0, LONG)))
            .await,
        PLAIN
    );
    assert_eq!((one.accounts().await, one.knows(8).await), ((1, 0), false));
    // What was cancelled may be reserved under a new id.
    assert_eq!(one.asks(&reserve_named("c", 6, 8)).await, PLAIN);
}

#[tokio::test]
async fn confirmed_with_a_name_a_reservation_moves_to_it() {
    let server = RedisServer::start();
    let [one, two] = two(&server).await;
    let hold = reserve("a", 1, LONG);
    one.asks(&hold).await;
    one.says(&hold).await;
    let confirm = then(CONFIRM, 2, &named(7, &hold));
    assert_eq!(two.asks(&confirm).await, MINE);
    assert_eq!((one.accounts().await, one.knows(7).await), ((1, 0), true));
    assert_eq!(one.asks(&then(CONFIRM, 3, &hold)).await, REPLAYED);
    assert_eq!(one.asks(&attempt(13, &hold)).await, REPLAYED);
    two.abort(&confirm).await;
    one.abort(&then(CONFIRM, 3, &hold)).await;
    assert_eq!(
        (one.accounts().await, one.listed().await),
        ((1, 1), vec!["a".into()])
    );
    let confirm = attempt(4, &confirm);
    two.asks(&confirm).await;
    assert_eq!(two.answered(&confirm).await, Ack::Counted);
    assert_eq!(
        one.state_of("a").await,
        Some(HoldState::Confirmed { late: false })
    );
    // An object that is counted needs no place of its own.
    let second = reserve("b", 5, LONG);
    one.asks(&second).await;
    assert_eq!(one.accounts().await, (2, 1));
    assert_eq!(
        one.asks(&then(CONFIRM, 6, &named(7, &second))).await,
        ALREADY
    );
    assert_eq!(
        (one.accounts().await, one.listed().await.len()),
        ((1, 0), 0)
    );
    assert_eq!(
        one.deletes(&delete("x", ACCOUNT, 7)).await,
        (1, ACCOUNT, true)
    );
    assert_eq!(one.accounts().await, (0, 0));
    // Without any reservation it is enough that the object is counted.
    one.asks(&create("c", 7, 8)).await;
    one.answered_among(&create("c", 7, 8), 1).await;
    assert_eq!(
        one.asks(&then(CONFIRM, 8, &create_unnoted(8, 8))).await,
        ALREADY
    );
    assert_eq!(
        one.take(&then(CONFIRM, 9, &create_unnoted(9, 9))).await,
        Ok(Taken::NoHold)
    );
}

#[tokio::test]
async fn what_nobody_named_is_given_back_once_for_each_name() {
    let server = RedisServer::start();
    let (one, _) = Sidecar::fresh(1, &server).await;
    one.tell(app(1), Cell::Live(ACCOUNT), 2, 0, 2).await;
    one.asks(&create("a", 1, 1)).await;
    assert_eq!(one.accounts().await, (3, 0));
    assert_eq!(
        one.deletes(&delete("x", ACCOUNT, 100)).await,
        (1, ACCOUNT, true)
    );
    assert_eq!(
        one.deletes(&delete("y", ACCOUNT, 100)).await,
        (0, ACCOUNT, false)
    );
    assert_eq!(
        one.deletes(&delete("z", ACCOUNT, 101)).await,
        (1, ACCOUNT, true)
    );
    // All that is left has a name.
    assert_eq!(
        one.deletes(&delete("v", ACCOUNT, 102)).await,
        (0, ACCOUNT, false)
    );
    assert_eq!(one.accounts().await, (1, 0));
    assert!(
        server
            .command::<Vec<String>>(&["KEYS", "*:t:1:3:*"])
            .is_empty()
    );
    // A deletion that names none is bounded by what is there, and names stay.
    one.release(&give_back(&client("w"), ACCOUNT, 1))
        .await
        .unwrap();
    assert_eq!(one.accounts().await, (0, 0));
    assert_eq!(
        one.deletes(&delete("u", ACCOUNT, 103)).await,
        (0, ACCOUNT, false)
    );
    // What was deleted and is created by its name counts, and is deleted again.
    one.tell(app(1), Cell::Live(ACCOUNT), 5, 0, 5).await;
    assert_eq!(
        one.deletes(&delete("t", ACCOUNT, 104)).await,
        (1, ACCOUNT, true)
    );
    assert_eq!(one.asks(&create("b", 2, 104)).await, MINE);
    assert_eq!(
        one.deletes(&delete("s", ACCOUNT, 104)).await,
        (1, ACCOUNT, false)
    );
}

#[tokio::test]
async fn adopted_it_is_named_and_counts_nothing() {
    let server = RedisServer::start();
    let (one, _) = Sidecar::fresh(1, &server).await;
    let groups = Cell::Live(Resource::Group);
    one.tell(app(1), groups, 2, 0, 2).await;
    one.tell(app(1), Cell::Live(Resource::AvRoom), 1, 0, 1)
        .await;
    one.asks(&create_as(Resource::Group, "a", 1, 1)).await;
    assert_eq!(
        adopt(&one, Resource::Group, &[1, 2, 2]).await,
        [Adopted::Known, Adopted::Named, Adopted::Known]
    );
    // A room is one of the groups as well.
    assert_eq!(
        adopt(&one, Resource::AvRoom, &[3, 4]).await,
        [Adopted::Named, Adopted::Missing]
    );
    assert_eq!(
        adopt(&one, Resource::Group, &[3, 5]).await,
        [Adopted::Known, Adopted::Missing]
    );
    assert_eq!(
        adopt(&one, Resource::Group, &[1, 2]).await,
        [Adopted::Known; 2]
    );
    assert_eq!(one.view().await.net, [0, 3, 1, 1]);
    assert_eq!(
        one.asks(&create_as(Resource::Group, "b", 2, 2)).await,
        ALREADY
    );
    assert_eq!(
        one.deletes(&delete("x", Resource::Group, 2)).await,
        (1, Resource::Group, true)
    );
    assert_eq!(
        one.deletes(&delete("y", Resource::Group, 3)).await,
        (1, Resource::AvRoom, true)
    );
    assert_eq!(one.view().await.net, [0, 1, 0, -1]);
    assert!(adopt(&one, ACCOUNT, &[]).await.is_empty());
}

#[tokio::test]
async fn apps_have_objects_of_their_own() {
    let server = RedisServer::start();
    let (one, _) = Sidecar::fresh(1, &server).await;
    let first = create("a", 1, 7);
    let second = Take {
        app: app(2),
        ..attempt(2, &first)
    };
    assert_eq!(one.asks(&first).await, MINE);
    assert_eq!(one.asks(&second).await, MINE);
    one.answered(&second).await;
    let back = GiveBack {
        app: app(2),
        ..delete("x", ACCOUNT, 7)
    };
    assert_eq!(one.deletes(&back).await, (1, ACCOUNT, true));
    assert!(one.knows(7).await);
    assert_eq!(one.usage(app(2)).await.view.net[0], 0);
}

#[tokio::test]
async fn a_server_that_forgot_is_told_the_names_of_the_window() {
    for second_first in [false, true] {
        let server = RedisServer::start();
        let [one, two] = two(&server).await;
        let takes: Vec<Take> = (1..=5).map(|n| create(&format!("id-{n}"), n, n)).collect();
        let [counted, pinned, known, deleted, refused] = &takes[..] else {
            panic!("five of them");
        };
        for take in &takes[..4] {
            one.asks(take).await;
        }
        let joined = create("joined", 6, 2);
        two.asks(&joined).await;
        for take in [counted, known, deleted] {
            one.answered_among(take, 3).await;
        }
        let back = delete("x", ACCOUNT, 4);
        two.deletes(&back).await;
        server.flush_all();
        let gave = GaveBack {
            give_back: back.clone(),
            released: 1,
            resource: ACCOUNT,
            groups: 0,
            in_sums: true,
        };
        let denied = Answered {
            refused: Some(Counter::Accounts),
            ..answer(refused, false)
        };
        let settled = |take: &Take| Known {
            answered: answer(take, true),
            lives: vec![0],
        };
        let of_one = Statement {
            kept: vec![settled(known), settled(deleted)],
            ..statement(
                accounts_taken(3),
                vec![answer(counted, true), answer(pinned, false), denied],
            )
        };
        let of_two = Statement {
            released: vec![gave],
            ..statement(sums(counted, 0, 1), vec![answer(&joined, false)])
        };
        let both = [(&one, &of_one), (&two, &of_two)];
        recover(if second_first {
            [both[1], both[0]]
        } else {
            both
        })
        .await;
        assert_eq!(one.accounts().await, (3, 0), "second first: {second_first}");
        for number in 1..=5 {
            assert_eq!(one.knows(number).await, number <= 3, "{number}");
        }
        for take in [counted, pinned, known] {
            assert!(one.asks(&attempt(20, take)).await.replayed);
        }
        let again = two.take(&attempt(21, refused)).await;
        assert!(
            matches!(again, Ok(Taken::Denied { replayed: true, .. })),
            "{again:?}"
        );
        let released = two.deletes(&delete("y", ACCOUNT, 4)).await;
        assert_eq!(released, (0, ACCOUNT, false), "it was deleted before");
        assert_eq!(one.says(pinned).await, Ack::Yours);
        assert_eq!(one.answered_among(pinned, 4).await, Ack::Counted);
        assert_eq!(two.says(&joined).await, Ack::Counted);
        assert_eq!(
            two.deletes(&delete("z", ACCOUNT, 2)).await,
            (1, ACCOUNT, true)
        );
        assert_eq!(one.accounts().await, (2, 0));
    }
}

#[tokio::test]
async fn a_reservation_and_what_it_came_to_are_restated_in_either_order() {
    for second_first in [false, true] {
        let server = RedisServer::start();
        let [one, two] = two(&server).await;
        let (moved, kept, ended) = (
            reserve("moved", 1, LONG),
            reserve_named("kept", 2, 2),
            reserve_named("ended", 3, 3),
        );
        for hold in [&moved, &kept, &ended] {
            one.asks(hold).await;
            one.says(hold).await;
        }
        let moves = then(CONFIRM, 4, &named(1, &moved));
        let ends = then(Intent::Cancel, 5, &ended);
        two.asks(&moves).await;
        two.asks(&ends).await;
        server.flush_all();
        let of_one = statement(
            accounts_taken(0),
            [&moved, &kept, &ended]
                .map(|hold| answer(hold, false))
                .to_vec(),
        );
        let of_two = statement(
            accounts_taken(1),
            vec![answer(&moves, true), answer(&ends, false)],
        );
        let both = [(&one, &of_one), (&two, &of_two)];
        recover(if second_first {
            [both[1], both[0]]
        } else {
            both
        })
        .await;
        assert_eq!(
            (one.accounts().await, one.listed().await),
            ((2, 1), vec!["kept".into()]),
            "{second_first}"
        );
        let known = [one.knows(1).await, one.knows(2).await, one.knows(3).await];
        assert_eq!(known, [true, false, false]);
        assert_eq!(one.state_of("ended").await, Some(HoldState::Cancelled));
        assert_eq!(
            one.state_of("moved").await,
            Some(HoldState::Confirmed { late: false })
        );
        assert_eq!(one.asks(&then(CONFIRM, 6, &kept)).await, MINE);
        assert_eq!(
            two.deletes(&delete("x", ACCOUNT, 1)).await,
            (1, ACCOUNT, true)
        );
        assert_eq!(one.accounts().await, (1, 0));
    }
}

#[tokio::test]
async fn older_names_are_lost_with_a_flush_and_adopted_again() {
    let server = RedisServer::start();
    let [one, two] = two(&server).await;
    for number in 1..=2 {
        one.asks(&create(&format!("id-{number}"), number, number))
            .await;
        one.answered_among(&create(&format!("id-{number}"), number, number), number)
            .await;
    }
    server.flush_all();
    let of_one = statement(accounts_taken(2), Vec::new());
    recover([
        (&one, &of_one),
        (&two, &statement(accounts_taken(0), Vec::new())),
    ])
    .await;
    assert_eq!((one.accounts().await, one.knows(1).await), ((2, 0), false));
    assert_eq!(adopt(&one, ACCOUNT, &[1]).await, [Adopted::Named]);
    assert_eq!(
        two.deletes(&delete("x", ACCOUNT, 2)).await,
        (1, ACCOUNT, true)
    );
    assert_eq!(
        two.deletes(&delete("y", ACCOUNT, 2)).await,
        (0, ACCOUNT, false)
    );
    assert_eq!(
        two.deletes(&delete("z", ACCOUNT, 1)).await,
        (1, ACCOUNT, true)
    );
    assert_eq!(one.accounts().await, (0, 0));
}

#[tokio::test]
async fn a_hundred_thousand_objects_cost_at_most_forty_bytes_each() {
    let objects: u64 =
        std::env::var("IMQUOTA_TEST_OBJECTS").map_or(100_000, |n| n.parse().unwrap());
    let server = RedisServer::start();
    let (one, _) = Sidecar::fresh(1, &server).await;
    one.tell(app(1), Cell::Live(ACCOUNT), objects, 0, 0).await;
    let memory = || {
        let info: String = server.command(&["INFO", "memory"]);
        let line = info
            .lines()
            .find_map(|line| line.strip_prefix("used_memory:"));
        line.unwrap().parse::<u64>().unwrap()
    };
    let before = memory();
    let numbers: Vec<u64> = (0..objects).collect();
    for part in numbers.chunks(OBJECTS_MAX) {
        let adopted = adopt(&one, ACCOUNT, part).await;
        assert!(adopted.iter().all(|&adopted| adopted == Adopted::Named));
    }
    let bytes = memory() - before;
    println!("Redis uses {bytes} bytes more with {objects} objects");
    assert!(bytes <= 40 * objects, "{bytes} bytes for {objects} objects");
    assert_eq!(adopt(&one, ACCOUNT, &[objects]).await, [Adopted::Missing]);
    for number in (0..objects).step_by(997) {
        assert!(one.knows(number).await);
        let back = delete(&format!("x-{number}"), ACCOUNT, number);
        assert_eq!(one.deletes(&back).await, (1, ACCOUNT, true));
        assert!(!one.knows(number).await);
    }
    let left = one.accounts().await.0;
    assert_eq!(left.unsigned_abs(), objects - objects.div_ceil(997));
    // Not one bucket was turned into a hash table.
    let check = "for _, key in ipairs(redis.call('KEYS', '*:t:1:*')) do
        if redis.call('OBJECT', 'ENCODING', key) ~= 'intset' then return key end
      end return ''";
    assert_eq!(server.command::<String>(&["EVAL", check, "0"]), "");
}

//! What members state to a ledger that forgot: each thing once, whoever knows it, and nobody twice.

use std::collections::BTreeMap;
use std::time::Duration;

use imquota::quota::{Counter, Resource};
use imquota::store::{
    Answered, Attempt, Base, Beat, Cell, Escrow, GaveBack, GivenBack, Known, Recovery, Shard,
    Statement, Store, Taken, Undecided, Whose,
};

use crate::fixture::{
    Sidecar, app, app_report, cell_report, client, give_back, header, limits, quick, roll_of,
    states_accounts, take, today, try_take, with_roll,
};
use crate::redis_server::RedisServer;

const ACCOUNTS: Cell = Cell::Live(Resource::Account);

#[tokio::test]
async fn whoever_is_on_a_stated_roll_is_waited_for_and_then_missing() {
    let server = RedisServer::start();
    let one = Sidecar::quick(1, &server, None).await;
    let known = one.hello(None).await.unwrap();
    one.beats().await;
    server.flush_all();
    let began = std::time::Instant::now();
    let sums = Escrow {
        granted: 10,
        done: 4,
        ..Escrow::default()
    };
    let statement = states_accounts(4, sums);
    let incomplete = one
        .recovers(&statement, with_roll(roll_of(3, &[1, 2])))
        .await;
    assert!(began.elapsed() >= Duration::from_millis(600));
    assert_eq!(incomplete.recovery, Recovery::Incomplete);
    assert!(incomplete.roll.unwrap().present.contains_key(&2));
    // Each app waits for itself.
    let taken = try_take(&one, 1).await;
    assert_eq!(taken, Ok(Taken::Undecided(Undecided::Incomplete)));
    let view = one.wish(sums, 100, 1000).await;
    assert_eq!(view.escrow[0].granted, 10);

    // The missing one comes after all, and everything is whole.
    let two = Sidecar::quick(2, &server, Some(known)).await;
    let epoch = two.beats().await.epoch;
    two.states(&states_accounts(30, Escrow::default())).await;
    let beat = Beat {
        restated: epoch,
        ..Beat::default()
    };
    two.until(&beat, |beaten| beaten.recovery == Recovery::Closed)
        .await;
    one.beats().await;
    let taken = try_take(&one, 1).await;
    let Ok(Taken::Allowed { view, .. }) = taken else {
        panic!("{taken:?}");
    };
    assert_eq!((view.net[0], view.outstanding[0]), (35, 6));
}

/// What it had counted is as unknown in the next recovery as in the one that closed without it, however long it was silent.
#[tokio::test]
async fn whoever_is_missing_is_not_excused_for_being_silent() {
    let mut server = RedisServer::start();
    let one = Sidecar::quick(1, &server, None).await;
    let known = one.hello(None).await.unwrap();
    one.beats().await;
    server.flush_all();
    let statement = states_accounts(4, Escrow::default());
    let incomplete = one
        .recovers(&statement, with_roll(roll_of(3, &[1, 2])))
        .await;
    assert_eq!(incomplete.recovery, Recovery::Incomplete);
    let begun = std::time::Instant::now();
    let last = one
        .until(&Beat::default(), |_| {
            begun.elapsed() > Duration::from_secs(1)
        })
        .await;
    let snapshot = server.save();
    server.kill();
    server.restore(&snapshot);
    server.start_again();
    one.hello(Some(known)).await.unwrap();
    let again = one
        .recovers(&statement, with_roll(last.roll.unwrap()))
        .await;
    assert!(again.epoch > incomplete.epoch);
    assert_eq!(again.recovery, Recovery::Incomplete);
}

/// Somebody whom only the one that came late knows of is missing as well.
#[tokio::test]
async fn whoever_a_late_one_names_is_missing_too() {
    let server = RedisServer::start();
    let one = Sidecar::quick(1, &server, None).await;
    let known = one.hello(None).await.unwrap();
    one.beats().await;
    server.flush_all();
    let statement = states_accounts(4, Escrow::default());
    let incomplete = one
        .recovers(&statement, with_roll(roll_of(3, &[1, 2])))
        .await;
    assert_eq!(incomplete.recovery, Recovery::Incomplete);
    let restated = |beat| Beat {
        restated: incomplete.epoch,
        ..beat
    };
    let two = Sidecar::quick(2, &server, Some(known)).await;
    two.beats().await;
    two.states(&states_accounts(30, Escrow::default())).await;
    let begun = std::time::Instant::now();
    let last = two
        .until(&restated(with_roll(roll_of(4, &[1, 2, 3]))), |beaten| {
            beaten.recovery != Recovery::Incomplete || begun.elapsed() > Duration::from_secs(1)
        })
        .await;
    assert_eq!(last.recovery, Recovery::Incomplete);
    let three = Sidecar::quick(3, &server, Some(known)).await;
    three.beats().await;
    three.states(&states_accounts(6, Escrow::default())).await;
    three
        .until(&restated(Beat::default()), |beaten| {
            beaten.recovery == Recovery::Closed
        })
        .await;
    one.beats().await;
    assert_eq!(one.usage(app(1)).await.view.net[0], 40);
}

#[tokio::test]
async fn what_a_member_forgot_because_it_came_to_rest_holds_nothing() {
    let mut server = RedisServer::start();
    let one = Sidecar::quick(1, &server, None).await;
    let known = one.hello(None).await.unwrap();
    let two = Sidecar::quick(2, &server, Some(known)).await;
    for sidecar in [&one, &two] {
        sidecar.beats().await;
    }
    let rules = limits(1000, 0, 0);
    let ask = |id: &str, attempt| take(&client(id), attempt, Resource::Account, 1, &rules);
    let (withdrawn, counted, shared, open) = (ask("w", 1), ask("c", 2), ask("s", 3), ask("o", 4));
    for of_one in [&withdrawn, &counted, &shared, &open] {
        one.take(of_one).await.unwrap();
    }
    two.take(&shared).await.unwrap();
    let snapshot = server.save();
    one.abort(&withdrawn).await;
    one.answered(&counted).await;
    one.abort(&shared).await;
    server.kill();
    server.restore(&snapshot);
    server.start_again();
    for sidecar in [&one, &two] {
        sidecar.hello(Some(known)).await.unwrap();
    }
    let epoch = one.beats().await.epoch;
    assert_eq!(two.beats().await.epoch, epoch);
    assert_eq!(one.usage(app(1)).await.view.net[0], 4);
    // The first knows two of the four no more, has counted one, and has not decided one.
    let sums = Escrow {
        taken: 1,
        ..Escrow::default()
    };
    let statement = Statement {
        aborts: vec![imquota::store::Abort::of(&open)],
        ..states_accounts(0, sums)
    };
    one.states(&statement).await;
    one.states(&statement).await;
    let view = one.usage(app(1)).await.view;
    assert_eq!(view.net[0], 2, "the counted one, and the other's claim");
    // The second has answered the one that it shared.
    let statement = Statement {
        answered: vec![Answered {
            take: shared.clone(),
            refused: None,
            contained: None,
        }],
        ..states_accounts(0, Escrow::default())
    };
    two.states(&statement).await;
    assert_eq!(one.usage(app(1)).await.view.net[0], 2);
}

#[tokio::test]
async fn the_silent_of_whom_nothing_was_lost_are_not_waited_for() {
    for lost in [false, true] {
        let mut server = RedisServer::start();
        let mut options = quick(&server.unix_url());
        if !lost {
            // Whoever waits waits longer than this test may take.
            options.pace.patience = 60_000;
        }
        let one = Sidecar::with(1, options);
        let known = one.hello(None).await.unwrap();
        let two = Sidecar::quick(2, &server, Some(known)).await;
        one.beats().await;
        two.beats().await;
        two.tell(app(1), ACCOUNTS, 3, 0, 3).await;
        let snapshot = if lost {
            let snapshot = server.save();
            two.tell(app(1), ACCOUNTS, 4, 0, 4).await;
            snapshot
        } else {
            two.tell(app(1), ACCOUNTS, 4, 0, 4).await;
            server.save()
        };
        let noted = one
            .until(&Beat::default(), |beaten| {
                beaten
                    .roll
                    .as_ref()
                    .is_some_and(|roll| !roll.silent.is_empty())
            })
            .await;
        let roll = noted.roll.unwrap();
        assert_eq!(roll.silent, BTreeMap::from([(2, 2)]));
        server.kill();
        server.restore(&snapshot);
        server.start_again();
        one.hello(Some(known)).await.unwrap();
        let closed = one
            .recovers(&states_accounts(0, Escrow::default()), with_roll(roll))
            .await;
        if lost {
            assert_eq!(closed.recovery, Recovery::Incomplete);
        } else {
            assert_eq!(closed.recovery, Recovery::Closed);
            assert_eq!(one.usage(app(1)).await.view.net[0], 4);
        }
    }
}

#[tokio::test]
async fn bases_that_nobody_can_state_leave_the_ledger_incomplete() {
    for remembered in [true, false] {
        let server = RedisServer::start();
        let one = Sidecar::quick(1, &server, None).await;
        let known = one.hello(None).await.unwrap();
        let two = Sidecar::quick(2, &server, Some(known)).await;
        for sidecar in [&one, &two] {
            sidecar.beats().await;
            sidecar.tell(app(1), ACCOUNTS, 10, 0, 10).await;
        }
        let shard = Shard::of(app(1));
        two.store.fold(shard, &[app(1)]).await.unwrap();
        let news = two.store.leave().await.unwrap();
        let roll = one.beats().await.roll.unwrap();
        assert_eq!((roll.news, roll.gone.len()), (news, 1));
        let bases = one.store.bases(shard, 0).await.unwrap().changed;
        assert_eq!(bases.len(), 1);
        server.flush_all();
        let statement = Statement {
            bases: if remembered { bases } else { Vec::new() },
            gone: roll.gone.clone(),
            ..states_accounts(10, Escrow::default())
        };
        let beat = Beat {
            news: if remembered { news } else { 0 },
            ..with_roll(roll)
        };
        let closed = one.recovers(&statement, beat).await;
        let taken = try_take(&one, 1).await;
        if remembered {
            assert_eq!(closed.recovery, Recovery::Closed);
            assert!(
                matches!(taken, Ok(Taken::Allowed { view, .. }) if view.net[0] == 21),
                "{taken:?}"
            );
        } else {
            assert_eq!(closed.recovery, Recovery::Incomplete);
            assert_eq!(taken, Ok(Taken::Undecided(Undecided::Incomplete)));
        }
    }
}

#[tokio::test]
async fn a_snapshot_of_before_a_leave_counts_nobody_twice() {
    let mut server = RedisServer::start();
    let one = Sidecar::quick(1, &server, None).await;
    let known = one.hello(None).await.unwrap();
    let two = Sidecar::quick(2, &server, Some(known)).await;
    for sidecar in [&one, &two] {
        sidecar.beats().await;
        sidecar.tell(app(1), ACCOUNTS, 10, 0, 10).await;
    }
    two.wish(Escrow::default(), 8, 1000).await;
    let snapshot = server.save();
    let shard = Shard::of(app(1));
    two.tell(app(1), ACCOUNTS, 12, 0, 12).await;
    two.store.fold(shard, &[app(1)]).await.unwrap();
    let news = two.store.leave().await.unwrap();
    let roll = one.beats().await.roll.unwrap();
    let bases = one.store.bases(shard, 0).await.unwrap().changed;
    server.kill();
    server.restore(&snapshot);
    server.start_again();
    one.hello(Some(known)).await.unwrap();
    let statement = Statement {
        bases: bases.clone(),
        gone: roll.gone.clone(),
        ..states_accounts(10, Escrow::default())
    };
    let beat = Beat {
        news,
        ..with_roll(roll)
    };
    let closed = one.recovers(&statement, beat).await;
    assert_eq!(closed.recovery, Recovery::Closed);
    let view = one.usage(app(1)).await.view;
    assert_eq!((view.net[0], view.outstanding[0]), (22, 0));
    // The base is there again, to be told to others.
    let again = one.store.bases(shard, 0).await.unwrap().changed;
    assert_eq!(again, bases);
    // The one that left has a copy of a call under way: it changes nothing.
    let late = states_accounts(12, Escrow::default());
    two.store.restate(shard, &late, today()).await.unwrap_err();
}

#[tokio::test]
async fn of_two_bases_the_newer_one_counts_and_none_that_comes_late() {
    let server = RedisServer::start();
    let one = Sidecar::quick(1, &server, None).await;
    one.hello(None).await.unwrap();
    one.beats().await;
    server.flush_all();
    let base = |version, amount| Base {
        app: app(1),
        counter: Counter::Accounts,
        generation: 0,
        version,
        amount,
    };
    let says = |bases: &[Base]| Statement {
        bases: bases.to_vec(),
        ..Statement::default()
    };
    one.beats().await;
    one.states(&says(&[base(7, 70), base(5, 50)])).await;
    one.states(&says(&[base(9, 90)])).await;
    one.states(&says(&[base(8, 80), base(7, 70)])).await;
    assert_eq!(one.usage(app(1)).await.view.net[0], 90);
    let closed = one.recovers(&says(&[]), with_roll(roll_of(1, &[1]))).await;
    assert_eq!(closed.recovery, Recovery::Closed);
    one.states(&says(&[base(99, 1)])).await;
    assert_eq!(one.usage(app(1)).await.view.net[0], 90);
    let seq: u64 = server.command(&["HGET", &header(app(1)), "seq"]);
    assert!(seq > 99);
}

#[tokio::test]
async fn a_restatement_knows_an_answer_that_the_ledger_forgot() {
    let server = RedisServer::start();
    let one = Sidecar::quick(1, &server, None).await;
    one.hello(None).await.unwrap();
    one.beats().await;
    server.flush_all();
    let rules = limits(3, 0, 0);
    let ask = |id: &str, attempt| take(&client(id), attempt, Resource::Account, 1, &rules);
    let said = |take: &imquota::store::Take, contained, refused| Answered {
        take: take.clone(),
        refused,
        contained,
    };
    let (counted, pinned, denied) = (ask("c", 1), ask("p", 2), ask("d", 3));
    let sums = Escrow {
        taken: 1,
        ..Escrow::default()
    };
    let statement = Statement {
        answered: vec![
            said(&counted, Some(0), None),
            said(&pinned, None, None),
            said(&denied, None, Some(Counter::Accounts)),
        ],
        ..states_accounts(0, sums)
    };
    let closed = one.recovers(&statement, with_roll(roll_of(1, &[1]))).await;
    assert_eq!(closed.recovery, Recovery::Closed);
    assert_eq!(one.usage(app(1)).await.view.net[0], 2);
    // Whoever asks again is told the same.
    for (take, allowed) in [(&counted, true), (&pinned, true), (&denied, false)] {
        let mut again = take.clone();
        again.attempt = Attempt(take.attempt.0 + 10);
        let told = one.take(&again).await.unwrap();
        match told {
            Taken::Allowed {
                replayed, whose, ..
            } => assert!(allowed && replayed && whose != Whose::Asker),
            Taken::Denied { replayed, .. } => assert!(!allowed && replayed),
            other => panic!("{other:?}"),
        }
    }
    // The pinned one is its reporter's now, and is counted by it.
    let ack = one.says_answered(&pinned, None, Vec::new()).await;
    assert_eq!(ack, imquota::store::Ack::Yours);
    let ack = one.answered_among(&pinned, 2).await;
    assert_eq!(ack, imquota::store::Ack::Counted);
    assert_eq!(one.usage(app(1)).await.view.net[0], 2);
}

#[tokio::test]
async fn a_settled_answer_is_known_again_in_the_lives_in_which_it_was_counted() {
    let server = RedisServer::start();
    let one = Sidecar::quick(1, &server, None).await;
    one.hello(None).await.unwrap();
    one.beats().await;
    server.flush_all();
    let rules = limits(0, 9, 9);
    let ask = |id: &str, attempt| take(&client(id), attempt, Resource::AvRoom, 1, &rules);
    let (before, after) = (ask("before", 1), ask("after", 2));
    let settled = |take: &imquota::store::Take, lives| Known {
        answered: Answered {
            take: take.clone(),
            refused: None,
            contained: Some(0),
        },
        lives,
    };
    // Of the rooms, which are groups as well, the groups were recounted between the two.
    let statement = Statement {
        bases: vec![Base {
            app: app(1),
            counter: Counter::Groups,
            generation: 7,
            version: 3,
            amount: 5,
        }],
        kept: vec![settled(&before, vec![0, 0]), settled(&after, vec![0, 7])],
        ..Statement::default()
    };
    let closed = one.recovers(&statement, with_roll(roll_of(1, &[1]))).await;
    assert_eq!(closed.recovery, Recovery::Closed);
    for (take, known) in [(before, false), (after, true)] {
        let again = imquota::store::Take {
            attempt: Attempt(take.attempt.0 + 10),
            ..take
        };
        let Ok(Taken::Allowed { replayed, .. }) = one.take(&again).await else {
            panic!("there is room");
        };
        assert_eq!(replayed, known);
    }
    assert_eq!(one.usage(app(1)).await.view.net[1], 6);
}

#[tokio::test]
async fn a_release_that_a_snapshot_has_in_nobodys_sums_is_in_its_owners_by_now() {
    let mut server = RedisServer::start();
    let one = Sidecar::quick(1, &server, None).await;
    let known = one.hello(None).await.unwrap();
    one.beats().await;
    one.tell(app(1), ACCOUNTS, 5, 0, 5).await;
    let back = give_back(&client("back"), Resource::Account, 2);
    one.release(&back).await.unwrap();
    let snapshot = server.save();
    let sums = Escrow {
        given: 2,
        ..Escrow::default()
    };
    let cell = imquota::store::CellReport {
        escrow: Some(sums),
        ..cell_report(ACCOUNTS, 5, 0)
    };
    let told = || vec![app_report(app(1), vec![cell])];
    let settled = one.gave(&back, told()).await;
    assert_eq!(settled.views[0].net[0], 3);
    server.kill();
    server.restore(&snapshot);
    server.start_again();
    one.hello(Some(known)).await.unwrap();
    let closed = one
        .recovers(&states_accounts(5, sums), with_roll(roll_of(1, &[1])))
        .await;
    assert_eq!(closed.recovery, Recovery::Closed);
    assert_eq!(one.usage(app(1)).await.view.net[0], 3);
    // Told so again, it takes nothing away that is not there.
    one.gave(&back, told()).await;
    assert_eq!(one.usage(app(1)).await.view.net[0], 3);
}

#[tokio::test]
async fn thousands_who_are_gone_and_thousands_of_records_are_stated() {
    let server = RedisServer::start();
    let one = Sidecar::quick(1, &server, None).await;
    let two = Sidecar::quick(2, &server, None).await;
    for sidecar in [&one, &two] {
        sidecar.beats().await;
    }
    two.tell(app(1), ACCOUNTS, 7, 0, 7).await;
    server.flush_all();
    one.beats().await;
    // What one who is gone has stated is dropped; of the others nothing is there.
    let beat = two.beats().await;
    assert_eq!(beat.recovery, Recovery::Open);
    two.states(&states_accounts(7, Escrow::default())).await;
    assert_eq!(one.usage(app(1)).await.view.net[0], 7);
    let mut roll = roll_of(3, &[1]);
    roll.gone = (2..9_000).collect();
    let statement = Statement {
        gone: roll.gone.clone(),
        ..states_accounts(10, Escrow::default())
    };
    let closed = one.recovers(&statement, with_roll(roll)).await;
    assert_eq!(closed.recovery, Recovery::Closed);
    assert_eq!(one.usage(app(1)).await.view.net[0], 10);
}

#[tokio::test]
async fn more_claims_than_one_command_takes_come_to_rest() {
    const TAKES: u64 = 4_500;
    let mut server = RedisServer::start();
    let one = Sidecar::quick(1, &server, None).await;
    let known = one.hello(None).await.unwrap();
    one.beats().await;
    let rules = limits(10_000, 0, 0);
    for attempt in 0..TAKES {
        let key = client(&format!("id-{attempt}"));
        let ask = take(&key, attempt, Resource::Account, 1, &rules);
        one.take(&ask).await.unwrap();
    }
    let snapshot = server.save();
    server.kill();
    server.restore(&snapshot);
    server.start_again();
    one.hello(Some(known)).await.unwrap();
    // All of them came to rest, as far as it knows.
    let sums = Escrow {
        taken: 5,
        ..Escrow::default()
    };
    let closed = one
        .recovers(&states_accounts(0, sums), with_roll(roll_of(1, &[1])))
        .await;
    assert_eq!(closed.recovery, Recovery::Closed);
    assert_eq!(one.usage(app(1)).await.view.net[0], 5);
}

#[tokio::test]
async fn an_app_that_begins_long_after_an_incomplete_closing_is_whole() {
    let server = RedisServer::start();
    let one = Sidecar::quick(1, &server, None).await;
    one.beats().await;
    server.flush_all();
    let closed = one
        .recovers(&Statement::default(), with_roll(roll_of(3, &[1, 2])))
        .await;
    assert_eq!(closed.recovery, Recovery::Incomplete);
    let rules = limits(1000, 0, 0);
    let ask = |id: u64, attempt| {
        let mut ask = take(&client("x"), attempt, Resource::Account, 1, &rules);
        ask.app = app(id);
        ask
    };
    // Nobody has anything of either: the missing one may.
    let incomplete = Ok(Taken::Undecided(Undecided::Incomplete));
    assert_eq!(one.take(&ask(2, 1)).await, incomplete);
    one.usage(app(3)).await;
    let a_day_ago = (closed.epoch - 25 * 3_600_000).to_string();
    for id in [2, 3] {
        server.command::<()>(&["HSET", &header(app(id)), "inc", &a_day_ago]);
    }
    assert_eq!(one.take(&ask(2, 2)).await, incomplete);
    for attempt in 3..5 {
        let taken = one.take(&ask(3, attempt)).await.unwrap();
        assert!(crate::fixture::allowed(&taken), "{taken:?}");
    }
    // A further loss is another matter.
    server.command::<()>(&[
        "HSET",
        &header(app(3)),
        "inc",
        &(closed.epoch + 1).to_string(),
    ]);
    let mut other = ask(3, 6);
    other.key = client("y");
    assert_eq!(one.take(&other).await, incomplete);
}

/// What a release under an id was told: how many fell, whether by an earlier try, whether they are the
/// caller's to count; and the count after it.
async fn gives_back(sidecar: &Sidecar, id: &str, amount: u32) -> (u32, bool, bool, i64) {
    let back = give_back(&client(id), Resource::Account, amount);
    match sidecar.release(&back).await.unwrap() {
        GivenBack::Released {
            released,
            view,
            replayed,
            mine,
            ..
        } => (released, replayed, mine, view.net[0]),
        other => panic!("{other:?}"),
    }
}

fn gave_back(id: &str, released: u32) -> GaveBack {
    GaveBack {
        resource: Resource::Account,
        give_back: give_back(&client(id), Resource::Account, 3),
        released,
        groups: 0,
        in_sums: true,
    }
}

#[tokio::test]
async fn an_id_that_gave_back_gives_back_nothing_more_after_a_flush() {
    let server = RedisServer::start();
    let one = Sidecar::quick(1, &server, None).await;
    let known = one.hello(None).await.unwrap();
    let two = Sidecar::quick(2, &server, Some(known)).await;
    for sidecar in [&one, &two] {
        sidecar.beats().await;
    }
    one.tell(app(1), ACCOUNTS, 10, 0, 10).await;
    assert_eq!(gives_back(&one, "told", 3).await, (3, false, true, 7));
    assert_eq!(gives_back(&one, "new", 3).await, (3, false, true, 4));
    // The ledger was told that the first is in sums, and of the second it was not.
    let given = |given| Escrow {
        given,
        ..Escrow::default()
    };
    let sums = states_accounts(10, given(3)).apps;
    one.gave(&give_back(&client("told"), Resource::Account, 3), sums)
        .await;
    server.flush_all();
    let statement = Statement {
        released: vec![gave_back("told", 3), gave_back("new", 3)],
        ..states_accounts(10, given(6))
    };
    let begun = one.beats().await;
    two.beats().await;
    // In whatever order, and twice.
    one.states(&states_accounts(10, given(6))).await;
    for _ in 0..2 {
        one.states(&statement).await;
    }
    two.states(&Statement::default()).await;
    let beat = Beat {
        restated: begun.epoch,
        ..with_roll(roll_of(1, &[1, 2]))
    };
    two.beat(&beat).await.unwrap();
    one.until(&beat, |beaten| beaten.recovery == Recovery::Closed)
        .await;
    two.beats().await;
    assert_eq!(one.usage(app(1)).await.view.net[0], 4);
    for id in ["told", "new"] {
        for sidecar in [&two, &one] {
            let told = gives_back(sidecar, id, 3).await;
            assert_eq!(told, (3, true, false, 4), "{id} is replayed");
        }
        let other = give_back(&client(id), Resource::Account, 2);
        let other = two.release(&other).await.unwrap();
        assert_eq!(other, GivenBack::OtherContent);
    }
    // What was not told before the loss is told late, and changes nothing.
    let sums = states_accounts(10, given(6)).apps;
    one.gave(&give_back(&client("new"), Resource::Account, 3), sums)
        .await;
    assert_eq!(one.usage(app(1)).await.view.net[0], 4);
}

#[tokio::test]
async fn a_release_that_is_known_is_left_as_it_is_and_leaves_what_is_given_back_once() {
    let server = RedisServer::start();
    let one = Sidecar::quick(1, &server, None).await;
    let known = one.hello(None).await.unwrap();
    let two = Sidecar::quick(2, &server, Some(known)).await;
    for sidecar in [&one, &two] {
        sidecar.beats().await;
    }
    one.tell(app(1), ACCOUNTS, 10, 0, 10).await;
    assert_eq!(gives_back(&one, "a", 3).await, (3, false, true, 7));
    assert_eq!(gives_back(&two, "b", 3).await, (3, false, true, 4));
    let sums = Escrow {
        given: 3,
        ..Escrow::default()
    };
    // The first states its own, and wrongly that of another with other numbers.
    let statement = Statement {
        released: vec![gave_back("a", 3), gave_back("b", 1)],
        ..states_accounts(10, sums)
    };
    for _ in 0..2 {
        one.states(&statement).await;
        assert_eq!(one.usage(app(1)).await.view.net[0], 4);
    }
    assert_eq!(gives_back(&one, "a", 3).await, (3, true, false, 4));
    assert_eq!(gives_back(&one, "b", 3).await, (3, true, false, 4));
    assert_eq!(gives_back(&two, "b", 3).await, (3, true, true, 4));
}

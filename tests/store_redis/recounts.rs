//! Recounts: frozen, acknowledged, committed, and what of members' sums comes after them.

use std::time::Duration;

use imquota::quota::Resource;
use imquota::store::{
    Ack, Answered, AppReport, Attempt, Beat, Cell, CellReport, Escrow, FREEZES_MAX, Freeze,
    GivenBack, Known, Operator, Recount, Recounted, Report, Shard, Statement, Store, StoreFault,
    Taken, Totals, Undecided, View, Whose,
};

use crate::fixture::{
    Sidecar, allowed, app, app_report, cell_report, client, give_back, limits, roll_of,
    states_accounts, take, today, try_take, with_roll,
};
use crate::redis_server::RedisServer;

const ACCOUNTS: Cell = Cell::Live(Resource::Account);
const GROUPS: Cell = Cell::Live(Resource::Group);

/// Two members that beat.
async fn two_members(server: &RedisServer) -> [Sidecar; 2] {
    let one = Sidecar::quick(1, server, None).await;
    let two = Sidecar::quick(2, server, None).await;
    for sidecar in [&one, &two] {
        sidecar.beats().await;
    }
    [one, two]
}

async fn freeze(operator: &Sidecar) -> Freeze {
    operator
        .store
        .freeze(app(1), Resource::Account)
        .await
        .unwrap()
}

/// Acknowledges a freeze with the last of its sums.
async fn acknowledges(sidecar: &Sidecar, token: u64, cells: Vec<CellReport>) -> View {
    let report = Report {
        apps: vec![AppReport {
            acks_freeze: Some(token),
            plan: None,
            ..app_report(app(1), cells)
        }],
        ..Report::default()
    };
    sidecar.settle(&report, today()).await.unwrap().views[0]
}

async fn recount(operator: &Sidecar, to: u64, token: u64) -> Recounted {
    let recount = Recount {
        app: app(1),
        resource: Resource::Account,
        to,
        token,
        who: "ann".into(),
        why: "found\u{1f} some".into(),
    };
    operator.store.recount(&recount).await.unwrap()
}

fn done(recounted: Recounted) -> (i64, u64, u64) {
    match recounted {
        Recounted::Done {
            from,
            generation,
            held,
        } => (from, generation, held),
        Recounted::NotFrozen => panic!("it was frozen"),
    }
}

fn account(consumed: u64, sums: Escrow) -> CellReport {
    CellReport {
        escrow: Some(sums),
        ..cell_report(ACCOUNTS, consumed, 0)
    }
}

#[tokio::test]
async fn a_recount_waits_for_acknowledgements_and_counts_what_comes_after_it() {
    let server = RedisServer::start();
    let [one, two] = two_members(&server).await;
    one.tell(app(1), ACCOUNTS, 30, 0, 30).await;
    two.tell(app(1), ACCOUNTS, 12, 0, 12).await;
    one.wish(Escrow::default(), 10, 1000).await;
    let frozen = freeze(&one).await;
    assert_eq!(frozen.count, 42);
    // Members hear of it by their beats, and by any answer of the app.
    for sidecar in [&one, &two] {
        assert_eq!(sidecar.beats().await.notices, [(app(1), frozen.token)]);
        let awaited = one.store.awaited(app(1), frozen.token).await.unwrap();
        assert!(awaited.contains(&sidecar.member.incarnation));
    }
    let rules = limits(1000, 0, 0);
    let taken = two
        .take(&take(&client("x"), 1, Resource::Account, 1, &rules))
        .await;
    assert_eq!(taken, Ok(Taken::Undecided(Undecided::Frozen)));
    let given = two
        .release(&give_back(&client("y"), Resource::Account, 1))
        .await;
    assert_eq!(given, Ok(GivenBack::Undecided(Undecided::Frozen)));
    let view = two.wish(Escrow::default(), 10, 1000).await;
    assert_eq!(
        (view.escrow[0].granted, view.frozen),
        (0, Some(frozen.token))
    );
    // Another freeze's acknowledgement is none.
    acknowledges(&one, frozen.token + 1, Vec::new()).await;
    assert_eq!(
        one.store.awaited(app(1), frozen.token).await.unwrap(),
        [1, 2]
    );
    let spare_returned = Escrow {
        granted: 10,
        done: 10,
        ..Escrow::default()
    };
    acknowledges(&one, frozen.token, vec![account(31, spare_returned)]).await;
    assert_eq!(one.store.awaited(app(1), frozen.token).await.unwrap(), [2]);
    acknowledges(&two, frozen.token, vec![account(12, Escrow::default())]).await;
    assert!(
        one.store
            .awaited(app(1), frozen.token)
            .await
            .unwrap()
            .is_empty()
    );

    let news = one.beats().await.news;
    let (from, generation, held) = done(recount(&one, 100, frozen.token).await);
    assert_eq!((from, held), (43, 0));
    assert_eq!(recount(&one, 100, frozen.token).await, Recounted::NotFrozen);
    let told = one.beats().await;
    assert!(told.notices.is_empty() && told.news == news + 1);
    assert_eq!(told.roll.unwrap().news, news + 1);
    let bases = two.store.bases(Shard::of(app(1)), 0).await.unwrap();
    assert_eq!(bases.changed.len(), 1);
    assert_eq!(
        (bases.changed[0].generation, bases.changed[0].amount),
        (generation, 100)
    );
    // What was counted until then is in the 100; what is new comes on top.
    let view = one.usage(app(1)).await.view;
    assert_eq!((view.net[0], view.frozen), (100, None));
    assert!(view.seq > frozen.token);
    assert_eq!(view.generations[0], generation);
    assert_eq!(
        (view.escrow[0].generation, view.escrow[0].offset),
        (generation, 31)
    );
    assert_eq!((view.outstanding[0], view.mine[0].consumed), (0, 31));
    // A copy of an old report is no news; a new one is, whatever generation it names.
    one.account(
        app(1),
        ACCOUNTS,
        Totals {
            consumed: 30,
            released: 0,
        },
        Escrow::default(),
    )
    .await;
    assert_eq!(one.usage(app(1)).await.view.net[0], 100);
    two.tell(app(1), ACCOUNTS, 14, 0, 14).await;
    assert_eq!(one.usage(app(1)).await.view.net[0], 102);

    let audit = one.store.audit(Some(app(1)), 10).await.unwrap();
    let [entry] = audit.as_slice() else {
        panic!("{audit:?}");
    };
    assert_eq!((&*entry.who, &*entry.what), ("ann", "recount"));
    assert_eq!((&*entry.subject, &*entry.why), ("account", "found  some"));
    assert_eq!((entry.from, entry.to), (Some(43), Some(100)));
    assert!(one.store.audit(Some(app(2)), 10).await.unwrap().is_empty());
    assert_eq!(one.store.audit(None, 10).await.unwrap(), audit);
}

#[tokio::test]
async fn the_sums_of_one_that_was_dead_in_a_recount_count_when_it_has_heard_of_it() {
    let server = RedisServer::start();
    let [one, two] = two_members(&server).await;
    let sums = Escrow {
        taken: 5,
        granted: 20,
        done: 10,
        ..Escrow::default()
    };
    let spent = |consumed| Totals {
        consumed,
        released: 0,
    };
    two.account(app(1), ACCOUNTS, spent(10), sums).await;
    assert_eq!(one.usage(app(1)).await.view.outstanding[0], 10);
    let frozen = freeze(&one).await;
    acknowledges(&one, frozen.token, Vec::new()).await;
    let (from, generation, _) = done(recount(&one, 50, frozen.token).await);
    assert_eq!(from, 15);
    assert_eq!(one.usage(app(1)).await.view.net[0], 50);
    assert_eq!(one.usage(app(1)).await.view.outstanding[0], 0);

    // It comes back and says what it had spent meanwhile: all that is in the 50.
    let back = Escrow { done: 13, ..sums };
    let view = two.account(app(1), ACCOUNTS, spent(13), back).await;
    assert_eq!((view.net[0], view.outstanding[0]), (50, 0));
    assert_eq!(
        (view.generations[0], view.escrow[0].generation),
        (generation, 0)
    );
    // Nothing is lent to it before it has heard.
    let view = two.wish(back, 100, 1000).await;
    assert_eq!(view.outstanding[0], 0);
    // It has heard: what it counts from now on is new.
    let heard = Escrow {
        generation,
        offset: 18,
        done: 20,
        ..back
    };
    let view = two.account(app(1), ACCOUNTS, spent(14), heard).await;
    assert_eq!((view.net[0], view.outstanding[0]), (51, 0));
    assert_eq!(
        (view.escrow[0].generation, view.escrow[0].offset),
        (generation, 18)
    );
    let view = two.wish(heard, 100, 1000).await;
    assert_eq!(view.outstanding[0], 100);
    // A copy of what it said before is no news.
    two.account(app(1), ACCOUNTS, spent(13), back).await;
    assert_eq!(one.usage(app(1)).await.view.net[0], 51);
}

#[tokio::test]
async fn one_that_began_after_a_recount_counts_whole_and_one_that_had_units_does_not() {
    let server = RedisServer::start();
    let [one, two] = two_members(&server).await;
    let frozen = freeze(&one).await;
    for sidecar in [&one, &two] {
        acknowledges(sidecar, frozen.token, Vec::new()).await;
    }
    let (_, generation, _) = done(recount(&one, 50, frozen.token).await);
    let view = one.tell(app(1), ACCOUNTS, 3, 0, 3).await;
    assert_eq!(view.net[0], 53);
    assert_eq!(
        (view.escrow[0].generation, view.escrow[0].offset),
        (generation, 0)
    );
    let old = Escrow {
        taken: 4,
        ..Escrow::default()
    };
    let view = two.account(app(1), ACCOUNTS, Totals::default(), old).await;
    assert_eq!((view.net[0], view.escrow[0].generation), (53, 0));
    // Who was not there yet has nothing from before.
    let three = Sidecar::quick(3, &server, None).await;
    three.beats().await;
    let view = three.tell(app(1), ACCOUNTS, 2, 0, 2).await;
    assert_eq!((view.net[0], view.escrow[0].generation), (55, generation));
}

#[tokio::test]
async fn what_one_counted_unheard_before_a_recount_does_not_come_on_top() {
    let server = RedisServer::start();
    let [one, two] = two_members(&server).await;
    let frozen = freeze(&one).await;
    acknowledges(&one, frozen.token, Vec::new()).await;
    // The second was cut off, and has never told of this app.
    let (_, generation, _) = done(recount(&one, 50, frozen.token).await);
    let spent = |consumed| Totals {
        consumed,
        released: 0,
    };
    let view = two
        .account(app(1), ACCOUNTS, spent(5), Escrow::default())
        .await;
    assert_eq!((view.net[0], view.escrow[0].generation), (50, 0));
    assert_eq!(view.generations[0], generation);
    // It has heard: what comes now is new.
    let heard = Escrow {
        generation,
        offset: 5,
        ..Escrow::default()
    };
    let view = two.account(app(1), ACCOUNTS, spent(7), heard).await;
    assert_eq!((view.net[0], view.escrow[0].generation), (52, generation));
}

#[tokio::test]
async fn records_outlive_a_recount_as_what_is_charged_on_top() {
    let server = RedisServer::start();
    let [one, two] = two_members(&server).await;
    let rules = limits(1000, 0, 0);
    let ask = |id: &str, attempt| take(&client(id), attempt, Resource::Account, 1, &rules);
    let (counted, open) = (ask("counted", 1), ask("open", 2));
    one.take(&counted).await.unwrap();
    one.answered(&counted).await;
    one.take(&open).await.unwrap();
    let back = give_back(&client("back"), Resource::Account, 1);
    one.release(&back).await.unwrap();
    let before = two.release(&back).await.unwrap();
    assert!(
        matches!(
            before,
            GivenBack::Released {
                mine: false,
                released: 1,
                ..
            }
        ),
        "{before:?}"
    );
    let frozen = freeze(&one).await;
    let (from, generation, held) = done(recount(&one, 10, frozen.token).await);
    assert_eq!((from, held), (1, 1));
    // The release of before is in the 10, and in nobody's sums.
    let again = one.release(&back).await.unwrap();
    assert!(
        matches!(
            again,
            GivenBack::Released {
                mine: false,
                replayed: true,
                ..
            }
        ),
        "{again:?}"
    );
    one.gave(&back, vec![app_report(app(1), Vec::new())]).await;
    assert_eq!(one.usage(app(1)).await.view.net[0], 11);
    // A copy of the old attempt takes nothing; whoever asks anew takes a new unit.
    assert_eq!(
        one.take(&counted).await,
        Ok(Taken::Undecided(Undecided::Outlived))
    );
    let anew = ask("counted", 3);
    let taken = two.take(&anew).await.unwrap();
    assert!(
        matches!(taken, Taken::Allowed { replayed: false, whose: Whose::Asker, view, .. } if view.net[0] == 12),
        "{taken:?}"
    );
    // What sums of the old life contain is not contained any more: the owner adds it again.
    let sums = |taken, generation, offset| {
        vec![app_report(
            app(1),
            vec![account(
                0,
                Escrow {
                    taken,
                    generation,
                    offset,
                    ..Escrow::default()
                },
            )],
        )]
    };
    let ack = one.says_answered(&open, Some(0), sums(2, 0, 0)).await;
    assert_eq!(ack, Ack::Yours);
    let ack = one
        .says_answered(&open, Some(generation), sums(3, generation, 2))
        .await;
    assert_eq!(ack, Ack::Counted);
    assert_eq!(one.usage(app(1)).await.view.net[0], 12);
}

#[tokio::test]
async fn a_freeze_ends_by_itself_or_by_its_own_token() {
    let server = RedisServer::start();
    let [one, two] = two_members(&server).await;
    let rules = limits(1000, 0, 0);
    let ask = |id: &str| take(&client(id), 1, Resource::Account, 1, &rules);
    let frozen = freeze(&one).await;
    assert_eq!(freeze(&two).await, frozen, "it keeps its token");
    two.store.unfreeze(app(1), frozen.token + 7).await.unwrap();
    assert!(!allowed(&two.take(&ask("a")).await.unwrap()));
    assert_eq!(two.beats().await.notices.len(), 1);
    two.store.unfreeze(app(1), frozen.token).await.unwrap();
    assert!(two.beats().await.notices.is_empty());
    assert!(allowed(&two.take(&ask("a")).await.unwrap()));
    two.store.unfreeze(app(1), frozen.token).await.unwrap();

    let second = freeze(&one).await;
    assert!(second.token > frozen.token);
    // Its time is up.
    let keys: Vec<String> = server.command(&["KEYS", "*:a:1"]);
    server.command::<()>(&["HSET", &keys[0], "fz", &format!("{} 5", second.token)]);
    server.command::<()>(&[
        "HSET",
        "{imquota}:v3:notices",
        "1",
        &format!("{} 5", second.token),
    ]);
    assert!(two.beats().await.notices.is_empty());
    assert_eq!(recount(&one, 7, second.token).await, Recounted::NotFrozen);
    // An answer from after it is later than its token.
    let view = two.tell(app(1), GROUPS, 0, 0, 0).await;
    assert!(view.frozen.is_none() && view.seq > second.token);
    assert!(allowed(&two.take(&ask("b")).await.unwrap()));
    assert_eq!(one.usage(app(1)).await.view.net[0], 2);
}

#[tokio::test]
async fn a_recount_of_groups_is_a_peak_and_leaves_the_day_alone() {
    let server = RedisServer::start();
    let [one, _two] = two_members(&server).await;
    one.tell(app(1), GROUPS, 5, 0, 5).await;
    one.tell(app(1), Cell::Gained(today()), 5, 0, 5).await;
    let frozen = one.store.freeze(app(1), Resource::Group).await.unwrap();
    let recount = Recount {
        app: app(1),
        resource: Resource::Group,
        to: 50,
        token: frozen.token,
        who: "ann".into(),
        why: "".into(),
    };
    done(one.store.recount(&recount).await.unwrap());
    let usage = one.usage(app(1)).await;
    assert_eq!(
        (usage.view.net, usage.month_peak_groups),
        ([0, 50, 0, 5], 50)
    );
}

#[tokio::test]
async fn a_recount_is_all_that_an_incomplete_app_waits_for() {
    let server = RedisServer::start();
    let one = Sidecar::quick(1, &server, None).await;
    one.beats().await;
    server.flush_all();
    let roll = imquota::store::Roll {
        version: 3,
        present: [(1, "a".into()), (2, "b".into())].into(),
        ..Default::default()
    };
    let beat = Beat {
        roll: Some(roll),
        ..Beat::default()
    };
    one.recovers(&Statement::default(), beat).await;
    let rules = limits(1000, 0, 0);
    let ask = take(&client("x"), 1, Resource::Account, 1, &rules);
    let taken = one.take(&ask).await;
    assert_eq!(taken, Ok(Taken::Undecided(Undecided::Incomplete)));
    let frozen = freeze(&one).await;
    done(recount(&one, 10, frozen.token).await);
    assert!(allowed(&one.take(&ask).await.unwrap()));
    // The app's other counts wait for their own.
    let room = take(&client("r"), 2, Resource::AvRoom, 1, &limits(0, 9, 9));
    assert_eq!(
        one.take(&room).await,
        Ok(Taken::Undecided(Undecided::Incomplete))
    );
    // The missing one is retired: what it had will not come, and the others go on waiting.
    one.store
        .retire(2, "ann", "its disk is gone")
        .await
        .unwrap();
    for _ in 0..50 {
        let beaten = one.beats().await;
        assert_eq!(beaten.recovery, imquota::store::Recovery::Incomplete);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn what_was_settled_before_a_recount_is_charged_nowhere_when_it_is_told_again() {
    let server = RedisServer::start();
    let [one, two] = two_members(&server).await;
    let rules = limits(1000, 0, 0);
    let ask = |id: &str, attempt| take(&client(id), attempt, Resource::Account, 1, &rules);
    let (settled, owed) = (ask("settled", 1), ask("owed", 2));
    for take in [&settled, &owed] {
        two.take(take).await.unwrap();
    }
    assert_eq!(two.answered_among(&settled, 1).await, Ack::Counted);
    // The second acknowledges nothing, and hears of nothing.
    let frozen = freeze(&one).await;
    acknowledges(&one, frozen.token, Vec::new()).await;
    let (_, generation, held) = done(recount(&one, 100, frozen.token).await);
    assert_eq!(held, 1);
    let bases = one.store.bases(Shard::of(app(1)), 0).await.unwrap().changed;
    server.flush_all();
    let epoch = one.beats().await.epoch;
    two.beats().await;
    let of = |taken, generation, bases| Statement {
        bases,
        ..states_accounts(
            0,
            Escrow {
                taken,
                generation,
                ..Escrow::default()
            },
        )
    };
    one.states(&of(0, generation, bases)).await;
    let said = |take: &imquota::store::Take| Answered {
        take: take.clone(),
        refused: None,
        contained: Some(0),
    };
    let statement = Statement {
        kept: vec![Known {
            answered: said(&settled),
            lives: vec![0],
        }],
        answered: vec![said(&owed)],
        ..of(2, 0, Vec::new())
    };
    // As often as it is told.
    for _ in 0..2 {
        two.states(&statement).await;
        assert_eq!(
            one.usage(app(1)).await.view.net[0],
            101,
            "only what is owed"
        );
    }
    let roll = imquota::store::Roll {
        news: 1,
        ..roll_of(9, &[1, 2])
    };
    let restated = Beat {
        restated: epoch,
        news: 1,
        roll: Some(roll),
        ..Beat::default()
    };
    for sidecar in [&one, &two] {
        sidecar.beat(&restated).await.unwrap();
    }
    one.until(&restated, |beaten| {
        beaten.recovery == imquota::store::Recovery::Closed
    })
    .await;
    two.beats().await;
    let ack = two.says_answered(&owed, Some(0), Vec::new()).await;
    assert_eq!(ack, Ack::Yours);
    // The truth may lack what was settled: asked for anew it takes a new unit.
    let again = imquota::store::Take {
        attempt: Attempt(11),
        ..settled
    };
    let Ok(Taken::Allowed {
        replayed, whose, ..
    }) = two.take(&again).await
    else {
        panic!("there is room");
    };
    assert!(!replayed && whose == Whose::Asker);
    assert_eq!(one.usage(app(1)).await.view.net[0], 102);
}

#[tokio::test]
async fn a_room_that_nobody_heard_of_is_missing_in_groups_that_were_recounted() {
    let server = RedisServer::start();
    let [one, two] = two_members(&server).await;
    let asked = take(&client("x"), 1, Resource::AvRoom, 1, &limits(0, 9, 9));
    two.take(&asked).await.unwrap();
    assert_eq!(two.answered_among(&asked, 1).await, Ack::Counted);
    let frozen = one.store.freeze(app(1), Resource::Group).await.unwrap();
    for sidecar in [&one, &two] {
        acknowledges(sidecar, frozen.token, Vec::new()).await;
    }
    let groups = Recount {
        app: app(1),
        resource: Resource::Group,
        to: 0,
        token: frozen.token,
        who: "ann".into(),
        why: "counted".into(),
    };
    done(one.store.recount(&groups).await.unwrap());
    // Its answer was lost. The gateway asks again, and creates it now.
    let again = imquota::store::Take {
        attempt: Attempt(2),
        ..asked.clone()
    };
    let Ok(Taken::Allowed {
        replayed, whose, ..
    }) = two.take(&again).await
    else {
        panic!("there is room");
    };
    assert!(!replayed && whose == Whose::Asker);
    assert_eq!(one.usage(app(1)).await.view.net[1], 1);
    // A late copy of the first report speaks of the first unit.
    assert_eq!(
        two.says_answered(&asked, Some(0), Vec::new()).await,
        Ack::Counted
    );
    assert_eq!(one.usage(app(1)).await.view.net[1], 1);
}

#[tokio::test]
async fn what_was_answered_of_a_deleted_object_is_asked_anew_in_a_later_life() {
    let server = RedisServer::start();
    let [one, two] = two_members(&server).await;
    let (asks, account) = (crate::asks::create("x", 1, 7), Resource::Account);
    two.take(&asks).await.unwrap();
    assert_eq!(two.answered_among(&asks, 1).await, Ack::Counted);
    let deletion = crate::asks::delete("d", account, 7);
    assert_eq!(two.deletes(&deletion).await.0, 1);
    let is_repeated = async |number| match two.take(&crate::asks::attempt(number, &asks)).await {
        Ok(Taken::Allowed { replayed, .. }) => replayed,
        other => panic!("{other:?}"),
    };
    assert!(is_repeated(2).await);
    let frozen = one.store.freeze(app(1), account).await.unwrap();
    for sidecar in [&one, &two] {
        acknowledges(sidecar, frozen.token, Vec::new()).await;
    }
    let truth = Recount {
        app: app(1),
        resource: account,
        to: 0,
        token: frozen.token,
        who: "ann".into(),
        why: "counted".into(),
    };
    done(one.store.recount(&truth).await.unwrap());
    // Whoever creates it now is in no truth.
    assert!(!is_repeated(3).await);
    assert_eq!(one.usage(app(1)).await.view.net[0], 1);
}

#[tokio::test]
async fn a_recount_that_the_ledger_forgot_is_told_again() {
    for flushed in [false, true] {
        told_again(flushed).await;
    }
}

async fn told_again(flushed: bool) {
    let mut server = RedisServer::start();
    let one = Sidecar::quick(1, &server, None).await;
    let known = one.hello(None).await.unwrap();
    let two = Sidecar::quick(2, &server, None).await;
    for sidecar in [&one, &two] {
        sidecar.beats().await;
        sidecar.tell(app(1), ACCOUNTS, 10, 0, 10).await;
    }
    let snapshot = server.save();
    let frozen = freeze(&one).await;
    for sidecar in [&one, &two] {
        acknowledges(sidecar, frozen.token, Vec::new()).await;
    }
    let (_, generation, _) = done(recount(&one, 100, frozen.token).await);
    one.tell(app(1), ACCOUNTS, 13, 0, 13).await;
    let shard = Shard::of(app(1));
    let bases = one.store.bases(shard, 0).await.unwrap().changed;
    if flushed {
        server.flush_all();
    } else {
        server.kill();
        server.restore(&snapshot);
        server.start_again();
        for sidecar in [&one, &two] {
            sidecar.hello(Some(known)).await.unwrap();
        }
    }
    let epoch = one.beats().await.epoch;
    two.beats().await;
    let states = |consumed, generation, offset| Statement {
        apps: vec![app_report(
            app(1),
            vec![account(
                consumed,
                Escrow {
                    generation,
                    offset,
                    ..Escrow::default()
                },
            )],
        )],
        ..Statement::default()
    };
    // The second never heard of the generation; it is the first to restate, or the last.
    let knows = Statement {
        bases,
        ..states(13, generation, 10)
    };
    if flushed {
        one.states(&knows).await;
        two.states(&states(10, 0, 0)).await;
    } else {
        two.states(&states(10, 0, 0)).await;
        one.states(&knows).await;
    }
    let roll = imquota::store::Roll {
        version: 9,
        present: [(1, "a".into()), (2, "b".into())].into(),
        news: 1,
        ..Default::default()
    };
    let restated = Beat {
        restated: epoch,
        news: 1,
        roll: Some(roll),
        ..Beat::default()
    };
    for sidecar in [&one, &two] {
        sidecar.beat(&restated).await.unwrap();
    }
    one.until(&restated, |beaten| {
        beaten.recovery == imquota::store::Recovery::Closed
    })
    .await;
    let view = one.usage(app(1)).await.view;
    assert_eq!((view.net[0], view.generations[0]), (103, generation));
    two.beats().await;
    let view = two.usage(app(1)).await.view;
    assert_eq!(view.escrow[0].generation, 0);
}

#[tokio::test]
async fn a_member_that_says_more_than_the_ledger_knows_of_recounts_is_a_loss() {
    let server = RedisServer::start();
    let [one, _two] = two_members(&server).await;
    let newer = Escrow {
        generation: 7,
        ..Escrow::default()
    };
    let report = Report {
        apps: vec![app_report(app(1), vec![account(5, newer)])],
        ..Report::default()
    };
    let refused = one.settle(&report, today()).await;
    assert!(
        matches!(&refused, Err(StoreFault::Frozen(words)) if words.contains("lost writes")),
        "{refused:?}"
    );
    assert_eq!(one.usage(app(1)).await.view.net[0], 0);
    assert_eq!(one.beats().await.recovery, imquota::store::Recovery::Open);
}

#[tokio::test]
async fn a_recount_whose_base_nobody_knows_is_not_taken_for_a_count_of_nothing() {
    let server = RedisServer::start();
    let one = Sidecar::quick(1, &server, None).await;
    one.beats().await;
    one.tell(app(1), ACCOUNTS, 30, 0, 30).await;
    let frozen = freeze(&one).await;
    acknowledges(&one, frozen.token, Vec::new()).await;
    let (_, generation, _) = done(recount(&one, 100, frozen.token).await);
    // It knows the generation by an answer, and has not read the base.
    server.flush_all();
    let sums = Escrow {
        generation,
        offset: 30,
        ..Escrow::default()
    };
    let closed = one
        .recovers(&states_accounts(31, sums), with_roll(roll_of(1, &[1])))
        .await;
    assert_eq!(closed.recovery, imquota::store::Recovery::Closed);
    let taken = try_take(&one, 1).await;
    assert_eq!(taken, Ok(Taken::Undecided(Undecided::Incomplete)));
    assert_eq!(one.wish(sums, 100, 1000).await.outstanding[0], 0);
    let frozen = freeze(&one).await;
    done(recount(&one, 101, frozen.token).await);
    assert!(allowed(&try_take(&one, 2).await.unwrap()));
}

#[tokio::test]
async fn a_recount_of_which_nobody_was_told_is_told_when_it_is_asked_for_again() {
    let server = RedisServer::start();
    let [one, two] = two_members(&server).await;
    let news = two.beats().await.news;
    let frozen = freeze(&one).await;
    // The step on the members is refused: as if the sidecar had been killed between the two.
    let meta = "{imquota}:v3:meta";
    let epoch: String = server.command(&["HGET", meta, "epoch"]);
    server.command::<()>(&["HSET", meta, "epoch", "9000000000000000"]);
    let order = Recount {
        app: app(1),
        resource: Resource::Account,
        to: 100,
        token: frozen.token,
        who: "ann".into(),
        why: "".into(),
    };
    let unsure = one.store.recount(&order).await;
    assert!(matches!(unsure, Err(StoreFault::Frozen(_))), "{unsure:?}");
    server.command::<()>(&["HSET", meta, "epoch", &epoch]);
    assert_eq!(one.usage(app(1)).await.view.net[0], 100);
    assert_eq!(two.beats().await.news, news);
    assert_eq!(recount(&one, 100, frozen.token).await, Recounted::NotFrozen);
    let told = two.beats().await;
    assert_eq!((told.news, told.notices.len()), (news + 1, 0));
    assert_eq!(recount(&one, 100, frozen.token).await, Recounted::NotFrozen);
    assert_eq!(two.beats().await.news, news + 1);
}

#[tokio::test]
async fn everybody_is_told_of_every_freeze_and_one_too_many_is_refused() {
    let server = RedisServer::start();
    let [one, two] = two_members(&server).await;
    let last = u64::try_from(FREEZES_MAX).unwrap();
    for id in 1..=last {
        one.store.freeze(app(id), Resource::Account).await.unwrap();
    }
    assert_eq!(two.beats().await.notices.len(), FREEZES_MAX);
    // One that is frozen is no further one.
    let first = freeze(&two).await;
    let refused = one.store.freeze(app(last + 1), Resource::Account).await;
    assert!(
        matches!(&refused, Err(StoreFault::Unusable(words)) if words.contains("--cancel")),
        "{refused:?}"
    );
    let view = one.usage(app(last + 1)).await.view;
    assert_eq!(view.frozen, None);
    one.store.unfreeze(app(1), first.token).await.unwrap();
    one.store
        .freeze(app(last + 1), Resource::Account)
        .await
        .unwrap();
    assert_eq!(two.beats().await.notices.len(), FREEZES_MAX);
}

#[tokio::test]
async fn a_freeze_of_which_nobody_can_be_told_is_none() {
    let server = RedisServer::start();
    let [one, two] = two_members(&server).await;
    let notices = "{imquota}:v3:notices";
    server.command::<()>(&["SET", notices, "of another kind"]);
    one.store
        .freeze(app(1), Resource::Account)
        .await
        .unwrap_err();
    server.command::<()>(&["DEL", notices]);
    assert!(allowed(&try_take(&two, 1).await.unwrap()));
    // A freeze that somebody has the token of stays.
    let frozen = freeze(&one).await;
    server.command::<()>(&["SET", notices, "of another kind"]);
    two.store
        .freeze(app(1), Resource::Account)
        .await
        .unwrap_err();
    server.command::<()>(&["DEL", notices]);
    assert_eq!(freeze(&one).await, frozen);
}

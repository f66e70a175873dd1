//! Members as operators see them, and what becomes of one that will not come back.

use std::time::Duration;

use imquota::quota::Resource;
use imquota::store::{
    Ack, AuditEntry, Beat, Beaten, Cell, Escrow, Operator, Recount, Recounted, Recovery, Report,
    Retired, Standing, Statement, StoreFault, Taken, Totals, Undecided,
};

use crate::fixture::{
    Sidecar, allowed, app, app_report, cell_report, client, limits, quick, roll_of,
    states_accounts, take, today, try_take, with_roll,
};
use crate::redis_server::RedisServer;

const ACCOUNTS: Cell = Cell::Live(Resource::Account);
const GROUPS: Cell = Cell::Live(Resource::Group);

#[tokio::test]
async fn one_that_is_retired_leaves_what_it_counted_and_what_it_was_lent_as_used() {
    let server = RedisServer::start();
    let one = Sidecar::quick(1, &server, None).await;
    let two = Sidecar::quick(2, &server, None).await;
    for sidecar in [&one, &two] {
        sidecar.beats().await;
    }
    let sums = Escrow {
        granted: 10,
        done: 4,
        ..Escrow::default()
    };
    let spent = Totals {
        consumed: 4,
        released: 1,
    };
    two.account(app(1), ACCOUNTS, spent, sums).await;
    two.tell(app(2), GROUPS, 7, 0, 7).await;
    one.tell(app(1), ACCOUNTS, 1, 0, 1).await;
    let known = one.store.members().await.unwrap();
    let names: Vec<&str> = known.iter().map(|member| &*member.name).collect();
    assert_eq!(names, ["sidecar-1", "sidecar-2"]);
    assert!(known.iter().all(|member| member.boot == 1));
    tokio::time::sleep(Duration::from_millis(80)).await;
    one.beats().await;
    let standing = |known: Vec<imquota::store::MemberInfo>| {
        known
            .iter()
            .map(|member| member.standing)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        standing(one.store.members().await.unwrap()),
        [Standing::Present, Standing::Silent]
    );

    let retired = one
        .store
        .retire(2, "ann", "its disk is gone")
        .await
        .unwrap();
    assert_eq!(
        retired,
        Retired {
            apps: 2,
            outstanding: 6
        }
    );
    let view = one.usage(app(1)).await.view;
    assert_eq!((view.net[0], view.outstanding[0]), (10, 0));
    assert_eq!(one.usage(app(2)).await.view.net[1], 7);
    let told = one.beats().await;
    assert!(told.roll.unwrap().gone.contains(&2) && told.news == 1);
    assert!(two.beats().await.gone);
    assert_eq!(
        standing(one.store.members().await.unwrap()),
        [Standing::Present, Standing::Gone]
    );
    // It may be repeated, and its late calls change nothing.
    let again = one.store.retire(2, "ann", "again").await.unwrap();
    assert_eq!(again, Retired::default());
    let report = Report {
        apps: vec![app_report(
            app(1),
            vec![imquota::store::CellReport {
                escrow: Some(sums),
                ..cell_report(ACCOUNTS, 100, 0)
            }],
        )],
        ..Report::default()
    };
    two.settle(&report, today()).await.unwrap_err();
    assert_eq!(one.usage(app(1)).await.view.net[0], 10);
    let unknown = one.store.retire(99, "ann", "who").await;
    assert!(
        matches!(unknown, Err(StoreFault::Unusable(_))),
        "{unknown:?}"
    );
    let audit: Vec<AuditEntry> = one.store.audit(None, 2).await.unwrap();
    assert_eq!(audit.len(), 2);
    assert_eq!(
        (&*audit[1].what, &*audit[1].subject),
        ("retire", "sidecar-2")
    );
    assert_eq!((audit[1].to, &*audit[1].why), (Some(6), "its disk is gone"));
    assert_eq!(one.store.audit(None, 1).await.unwrap(), audit[..1]);
}

#[tokio::test]
async fn what_one_that_is_retired_left_pinned_is_counted_by_its_fellow() {
    let server = RedisServer::start();
    let one = Sidecar::quick(1, &server, None).await;
    let two = Sidecar::quick(2, &server, None).await;
    for sidecar in [&one, &two] {
        sidecar.beats().await;
    }
    let rules = limits(10, 0, 0);
    let ask = |attempt| take(&client("room"), attempt, Resource::Account, 1, &rules);
    // The first owns the record, the second has answered it too.
    one.take(&ask(1)).await.unwrap();
    two.take(&ask(7)).await.unwrap();
    let ack = two.says_answered(&ask(7), None, Vec::new()).await;
    assert_eq!(ack, Ack::Again);
    two.store
        .retire(1, "ann", "its disk is gone")
        .await
        .unwrap();
    let ack = two.says_answered(&ask(7), None, Vec::new()).await;
    assert_eq!(ack, Ack::Yours);
    assert_eq!(two.answered_among(&ask(7), 1).await, Ack::Counted);
    assert_eq!(two.usage(app(1)).await.view.net[0], 1);
}

/// A retirement while members restate: nobody is gone by it, and whoever asked is told what comes next.
async fn gives_up(operator: &Sidecar, incarnation: u64) {
    let told = operator.store.retire(incarnation, "ann", "lost").await;
    assert!(
        matches!(&told, Err(StoreFault::Frozen(words)) if words.contains("not waited for any more")),
        "{told:?}"
    );
}

fn is_over(beaten: &Beaten) -> bool {
    beaten.recovery != Recovery::Open
}

/// Beats until the members were looked at so often that a recovery which could end has ended.
async fn is_open_for_long(sidecar: &Sidecar, beat: &Beat) {
    let begun = std::time::Instant::now();
    let last = sidecar
        .until(beat, |beaten| {
            is_over(beaten) || begun.elapsed() > Duration::from_millis(1500)
        })
        .await;
    assert_eq!(last.recovery, Recovery::Open);
}

#[tokio::test]
async fn a_recovery_that_only_the_lost_could_end_ends_when_they_are_given_up() {
    let server = RedisServer::start();
    let one = Sidecar::quick(1, &server, None).await;
    let known = one.hello(None).await.unwrap();
    let two = Sidecar::quick(2, &server, Some(known)).await;
    for sidecar in [&one, &two] {
        sidecar.beats().await;
        sidecar.tell(app(1), ACCOUNTS, 4, 0, 4).await;
    }
    server.flush_all();
    // Both bring the ledger back, and lose their journals before they have told what they know.
    for sidecar in [&one, &two] {
        sidecar.beats().await;
    }
    let three = Sidecar::quick(3, &server, None).await;
    let fresh = Beat {
        fresh: true,
        ..Beat::default()
    };
    let epoch = three.beat(&fresh).await.unwrap().epoch;
    three.states(&Statement::default()).await;
    let fresh = Beat {
        restated: epoch,
        ..fresh
    };
    is_open_for_long(&three, &fresh).await;
    // The other may still have its journal.
    gives_up(&three, 1).await;
    is_open_for_long(&three, &fresh).await;
    gives_up(&three, 2).await;
    let over = three.until(&fresh, is_over).await;
    assert_eq!(over.recovery, Recovery::Incomplete);
    for lost in [1, 2] {
        three.store.retire(lost, "ann", "lost").await.unwrap();
    }
    // What they knew does not come any more: each app waits for its recount.
    let later = three
        .until(&Beat::default(), |beaten| {
            beaten
                .roll
                .as_ref()
                .is_some_and(|roll| roll.gone.len() == 2)
        })
        .await;
    assert_eq!(later.recovery, Recovery::Incomplete);
    three.until(&Beat::default(), |beaten| beaten.leased).await;
    let incomplete = Ok(Taken::Undecided(Undecided::Incomplete));
    assert_eq!(try_take(&three, 1).await, incomplete);
    let freeze = three.store.freeze(app(1), Resource::Account).await.unwrap();
    let recount = Recount {
        app: app(1),
        resource: Resource::Account,
        to: 8,
        token: freeze.token,
        who: "ann".into(),
        why: "counted".into(),
    };
    let done = three.store.recount(&recount).await.unwrap();
    assert!(matches!(done, Recounted::Done { .. }), "{done:?}");
    assert!(allowed(&try_take(&three, 2).await.unwrap()));
    assert_eq!(three.usage(app(1)).await.view.net[0], 9);
}

#[tokio::test]
async fn whoever_comes_after_a_recovery_without_a_roll_makes_nothing_whole() {
    let server = RedisServer::start();
    let one = Sidecar::quick(1, &server, None).await;
    one.beats().await;
    server.flush_all();
    one.beats().await;
    let two = Sidecar::quick(2, &server, None).await;
    let fresh = Beat {
        fresh: true,
        ..Beat::default()
    };
    let epoch = two.beat(&fresh).await.unwrap().epoch;
    two.states(&Statement::default()).await;
    let restated = |beat| Beat {
        restated: epoch,
        ..beat
    };
    gives_up(&two, 1).await;
    two.until(&restated(fresh), is_over).await;
    // Its journal is there after all. Whoever else it knows is not waited for any more.
    one.states(&states_accounts(4, Escrow::default())).await;
    let roll = restated(with_roll(roll_of(3, &[1, 3])));
    let begun = std::time::Instant::now();
    let last = one
        .until(&roll, |beaten| {
            beaten.recovery != Recovery::Incomplete || begun.elapsed() > Duration::from_secs(1)
        })
        .await;
    assert_eq!(last.recovery, Recovery::Incomplete);
    let incomplete = Ok(Taken::Undecided(Undecided::Incomplete));
    assert_eq!(try_take(&two, 1).await, incomplete);
}

#[tokio::test]
async fn one_that_is_given_up_is_not_waited_for_and_may_come_after_all() {
    let server = RedisServer::start();
    let mut patient = quick(&server.unix_url());
    // Whoever waits waits longer than this test may take.
    patient.pace.patience = 60_000;
    let one = Sidecar::with(1, patient);
    let known = one.hello(None).await.unwrap();
    one.beats().await;
    server.flush_all();
    let epoch = one.beats().await.epoch;
    one.states(&states_accounts(4, Escrow::default())).await;
    let restated = Beat {
        restated: epoch,
        ..with_roll(roll_of(3, &[1, 2]))
    };
    assert_eq!(one.beat(&restated).await.unwrap().recovery, Recovery::Open);
    gives_up(&one, 2).await;
    let over = one.until(&restated, is_over).await;
    assert_eq!(over.recovery, Recovery::Incomplete);
    let incomplete = Ok(Taken::Undecided(Undecided::Incomplete));
    assert_eq!(try_take(&one, 1).await, incomplete);

    let two = Sidecar::quick(2, &server, Some(known)).await;
    two.beats().await;
    two.states(&states_accounts(30, Escrow::default())).await;
    let restated = Beat {
        restated: epoch,
        ..Beat::default()
    };
    two.until(&restated, |beaten| beaten.recovery == Recovery::Closed)
        .await;
    one.beats().await;
    assert!(allowed(&try_take(&one, 1).await.unwrap()));
    assert_eq!(one.usage(app(1)).await.view.net[0], 35);
    // Of a recovery that is over nothing is left: a later one waits for both.
    let fields: Vec<String> = server.command(&["HKEYS", "{imquota}:v3:members"]);
    assert!(
        !fields.iter().any(|field| field.starts_with("d:")),
        "{fields:?}"
    );
}

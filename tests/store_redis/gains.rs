//! What members that are gone counted of a day's gain: it is in a base, as their live counts are.

use imquota::clock::Day;
use imquota::quota::Counter;
use imquota::store::{Base, Beat, Cell, Recovery, Shard, Statement, Store};

use crate::fixture::{Sidecar, app, app_report, cell_report, days_ago, roll_of, today, with_roll};
use crate::redis_server::RedisServer;

/// What a member states of its own gain.
fn states_gain(consumed: u64, released: u64) -> Statement {
    let cells = vec![cell_report(Cell::Gained(today()), consumed, released)];
    Statement {
        apps: vec![app_report(app(1), cells)],
        ..Statement::default()
    }
}

fn base_of(day: Day, version: u64, amount: i64) -> Base {
    Base {
        app: app(1),
        counter: Counter::GroupsGained,
        generation: u64::try_from(day.number()).unwrap(),
        version,
        amount,
    }
}

async fn gained(sidecar: &Sidecar) -> i64 {
    sidecar.usage(app(1)).await.view.net[Counter::GroupsGained.index()]
}

/// Two members counted, and the second has left. A ledger that forgets everything then, or only the leaving, is
/// told once what was gained.
async fn after_a_leave(snapshot: bool) {
    let mut server = RedisServer::start();
    let one = Sidecar::quick(1, &server, None).await;
    let known = one.hello(None).await.unwrap();
    let two = Sidecar::quick(2, &server, Some(known)).await;
    let (day, shard) = (today(), Shard::of(app(1)));
    for sidecar in [&one, &two] {
        sidecar.beats().await;
    }
    one.tell(app(1), Cell::Gained(day), 10, 14, 10).await;
    two.tell(app(1), Cell::Gained(day), 20, 3, 20).await;
    two.tell(app(1), Cell::Gained(days_ago(1)), 5, 0, 5).await;
    let saved = server.save();
    two.tell(app(1), Cell::Gained(day), 21, 3, 21).await;
    for _ in 0..2 {
        two.store.fold(shard, &[app(1)]).await.unwrap();
    }
    let news = two.store.leave().await.unwrap();
    let roll = one.beats().await.roll.unwrap();
    assert_eq!(gained(&one).await, 14);
    let bases = one.store.bases(shard, 0).await.unwrap().changed;
    let [base] = bases[..] else {
        panic!("only the newest day has one: {bases:?}");
    };
    let of_today = base_of(day, base.version, 18);
    assert_eq!(base, of_today);

    if snapshot {
        server.kill();
        server.restore(&saved);
        server.start_again();
        one.hello(Some(known)).await.unwrap();
    } else {
        server.flush_all();
    }
    one.beats().await;
    let statement = Statement {
        bases: bases.clone(),
        gone: roll.gone.clone(),
        ..states_gain(10, 14)
    };
    one.states(&statement).await;
    let beat = Beat {
        news,
        ..with_roll(roll)
    };
    let closed = one.recovers(&statement, beat).await;
    assert_eq!(closed.recovery, Recovery::Closed);
    assert_eq!(gained(&one).await, 14);
    // It is there again, to be told to others.
    let again = one.store.bases(shard, 0).await.unwrap().changed;
    assert_eq!(again, bases);
}

#[tokio::test]
async fn a_flush_does_not_forget_what_one_that_left_had_gained() {
    after_a_leave(false).await;
}

#[tokio::test]
async fn a_snapshot_of_before_a_leave_has_no_gain_twice() {
    after_a_leave(true).await;
}

#[tokio::test]
async fn a_day_that_is_over_has_no_base_any_more() {
    let server = RedisServer::start();
    let one = Sidecar::quick(1, &server, None).await;
    one.hello(None).await.unwrap();
    one.beats().await;
    server.flush_all();
    one.beats().await;
    let says = |bases: &[Base]| Statement {
        bases: bases.to_vec(),
        ..states_gain(1, 0)
    };
    one.states(&says(&[
        base_of(days_ago(1), 9, 90),
        base_of(today(), 5, 50),
    ]))
    .await;
    one.states(&says(&[
        base_of(today(), 7, 70),
        base_of(days_ago(1), 8, 80),
    ]))
    .await;
    one.states(&says(&[base_of(today(), 6, 60)])).await;
    let statement = says(&[base_of(today(), 7, 70)]);
    let closed = one.recovers(&statement, with_roll(roll_of(1, &[1]))).await;
    assert_eq!(closed.recovery, Recovery::Closed);
    assert_eq!(gained(&one).await, 71);
}

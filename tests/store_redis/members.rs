//! Members: who has a lease, who knows of whom, who leaves and who is gone.

use std::time::Duration;

use imquota::quota::{Counter, Resource};
use imquota::store::{Beat, Beaten, Cell, Escrow, Recovery, Report, Shard, Store, StoreFault};

use crate::fixture::{
    NOW, Sidecar, allowed, app, app_report, client, header, limits, options, quick, take, today,
};
use crate::redis_server::RedisServer;

const ACCOUNTS: Cell = Cell::Live(Resource::Account);

/// A beat of one that has the roll of `version` in its journal.
fn knows(version: u64) -> Beat {
    Beat {
        roll_version: version,
        ..Beat::default()
    }
}

fn version(beaten: &Beaten) -> u64 {
    beaten.roll.as_ref().unwrap().version
}

#[tokio::test]
async fn the_only_member_has_a_lease_at_once_and_the_next_one_when_the_first_knows_of_it() {
    let server = RedisServer::start();
    let one = Sidecar::quick(1, &server, None).await;
    let first = one.beats().await;
    assert!(first.leased && !first.gone && first.recovery == Recovery::Closed);
    let roll = first.roll.unwrap();
    assert_eq!(&*roll.present[&1], "sidecar-1");
    assert!(one.beat(&knows(roll.version)).await.unwrap().roll.is_none());

    let two = Sidecar::quick(2, &server, None).await;
    assert!(!two.beats().await.leased);
    // The first is told, and has a lease all the time; told is not yet journaled.
    let told = one.beat(&knows(roll.version)).await.unwrap();
    assert!(told.leased);
    let present: Vec<u64> = told
        .roll
        .as_ref()
        .unwrap()
        .present
        .keys()
        .copied()
        .collect();
    assert_eq!(present, [1, 2]);
    assert!(!two.beats().await.leased);
    one.beat(&knows(version(&told))).await.unwrap();
    assert!(two.beats().await.leased);
    // A witness is one of this epoch: a number of another one says nothing.
    let three = Sidecar::quick(3, &server, None).await;
    assert!(!three.beats().await.leased);
    let stranger = Sidecar::quick(4, &server, None).await;
    stranger.beat(&knows(1_000_000)).await.unwrap();
    assert!(!three.beats().await.leased);
}

#[tokio::test]
async fn a_newcomer_whose_only_fellow_is_dead_waits_no_longer_than_it_is_told_to() {
    let server = RedisServer::start();
    let one = Sidecar::quick(1, &server, None).await;
    one.beats().await;
    let mut patient = quick(&server.unix_url());
    patient.pace.witness_wait = 150;
    let two = Sidecar::with(2, patient);
    two.hello(None).await.unwrap();
    assert!(!two.beats().await.leased);
    let began = std::time::Instant::now();
    two.until(&Beat::default(), |beaten| beaten.leased).await;
    assert!(began.elapsed() >= Duration::from_millis(100));
}

#[tokio::test]
async fn who_leaves_gets_no_lease_and_who_is_gone_is_told_so() {
    let server = RedisServer::start();
    let one = Sidecar::quick(1, &server, None).await;
    let two = Sidecar::quick(2, &server, None).await;
    let told = one.beats().await;
    two.beats().await;
    let leaving = Beat {
        leaving: true,
        ..Beat::default()
    };
    assert!(!one.beat(&leaving).await.unwrap().leased);

    // Everything is settled and folded; then it goes.
    one.tell(app(1), ACCOUNTS, 9, 2, 9).await;
    one.store.fold(Shard::of(app(1)), &[app(1)]).await.unwrap();
    one.store.fold(Shard::of(app(1)), &[app(1)]).await.unwrap();
    let news = one.store.leave().await.unwrap();
    assert_eq!((told.news, news), (0, 1));
    assert_eq!(one.store.leave().await.unwrap(), news, "it may be repeated");
    let after = one.beat(&leaving).await.unwrap();
    assert!(after.gone && !after.leased && after.news_elsewhere == 0);

    // The other hears of it, and has the bases.
    let heard = two.beats().await;
    let roll = heard.roll.unwrap();
    assert!(roll.gone.contains(&1) && !roll.present.contains_key(&1));
    assert_eq!((heard.news, roll.news), (news, news));
    let bases = two.store.bases(Shard::of(app(1)), 0).await.unwrap();
    assert_eq!(bases.changed.len(), 1);
    let base = bases.changed[0];
    assert_eq!((base.app, base.amount, base.generation), (app(1), 7, 0));
    assert_eq!(
        (base.counter, base.version),
        (Counter::Accounts, bases.upto)
    );
    let later = two
        .store
        .bases(Shard::of(app(1)), bases.upto)
        .await
        .unwrap();
    assert!(later.changed.is_empty() && later.upto == bases.upto);
    two.beat(&Beat {
        news,
        ..knows(roll.version)
    })
    .await
    .unwrap();
    assert_eq!(one.beat(&leaving).await.unwrap().news_elsewhere, news);

    // Nothing was lost, and late calls change nothing.
    assert_eq!(two.usage(app(1)).await.view.net[0], 7);
    let report = Report {
        apps: vec![app_report(app(1), Vec::new())],
        ..Report::default()
    };
    for refused in [
        one.settle(&report, today()).await.map(drop),
        one.take(&take(
            &client("x"),
            1,
            Resource::Account,
            1,
            &limits(9, 0, 0),
        ))
        .await
        .map(drop),
    ] {
        assert!(
            matches!(&refused, Err(StoreFault::Frozen(words)) if words.contains("left or was retired")),
            "{refused:?}"
        );
    }
    assert!(two.beat(&knows(roll.version)).await.unwrap().leased);
}

#[tokio::test]
async fn what_is_lent_to_one_that_leaves_is_free_again() {
    let server = RedisServer::start();
    let one = Sidecar::quick(1, &server, None).await;
    one.beats().await;
    let two = Sidecar::quick(2, &server, None).await;
    one.wish(Escrow::default(), 10, 20).await;
    one.store.fold(Shard::of(app(1)), &[app(1)]).await.unwrap();
    one.store.leave().await.unwrap();
    let all = take(&client("x"), 1, Resource::Account, 20, &limits(20, 0, 0));
    assert!(allowed(&two.take(&all).await.unwrap()));
}

#[tokio::test]
async fn a_member_that_was_silent_is_noted_and_needs_a_witness_again() {
    let server = RedisServer::start();
    let one = Sidecar::quick(1, &server, None).await;
    let two = Sidecar::quick(2, &server, None).await;
    let told = one.beats().await;
    two.beats().await;
    two.tell(app(1), ACCOUNTS, 5, 0, 5).await;
    two.tell(app(2), ACCOUNTS, 5, 0, 5).await;
    two.tell(app(2), ACCOUNTS, 5, 0, 5).await;
    let mut of_two = Beat::default();
    let told = one
        .until(&knows(version(&told)), |b| b.roll.is_some())
        .await;
    of_two.roll_version = version(&told);
    one.beat(&of_two).await.unwrap();
    assert!(two.beat(&of_two).await.unwrap().leased);
    // The two steps that changed something are counted, once the silence is noted.
    let noted = one
        .until(&of_two, |beaten| {
            beaten
                .roll
                .as_ref()
                .is_some_and(|roll| !roll.silent.is_empty())
        })
        .await;
    let roll = noted.roll.unwrap();
    assert_eq!(roll.silent.into_iter().collect::<Vec<_>>(), [(2, 2)]);
    let back = two.beat(&of_two).await.unwrap();
    assert!(!back.leased);
    assert!(back.roll.unwrap().silent.is_empty());
    let told = one.beat(&of_two).await.unwrap();
    one.beat(&knows(version(&told))).await.unwrap();
    assert!(two.beat(&of_two).await.unwrap().leased);
}

#[tokio::test]
async fn an_older_process_and_a_copy_have_no_beat() {
    let server = RedisServer::start();
    let (mut one, known) = Sidecar::fresh(1, &server).await;
    one.beats().await;
    let mut later = Sidecar::with(1, options(&server.url()));
    later.member.boot = 2;
    later.hello(Some(known)).await.unwrap();
    let refused = one.beat(&Beat::default()).await;
    assert!(
        matches!(&refused, Err(StoreFault::Fenced(words)) if words.contains("later process")),
        "{refused:?}"
    );
    assert!(later.beats().await.leased);
    one.member.boot = 2;
    assert!(one.hello(Some(known)).await.is_err());
}

#[tokio::test]
async fn a_process_that_takes_over_on_another_machine_waits_for_the_older_ones_lease() {
    let server = RedisServer::start();
    let mut patient = quick(&server.unix_url());
    patient.pace.lease_ttl = 2000;
    let one = Sidecar::with(1, patient.clone());
    let known = one.hello(None).await.unwrap();
    let began = std::time::Instant::now();
    assert!(one.beats().await.leased);
    // Killed and started again where it was: the lock of its folder has proved that it is dead.
    let mut second = Sidecar::with(1, patient.clone());
    second.member.boot = 2;
    second.hello(Some(known)).await.unwrap();
    assert!(second.beats().await.leased);
    let mut third = Sidecar::with(
        1,
        imquota::store::redis::RedisOptions {
            machine: patient.machine ^ 1,
            ..patient
        },
    );
    third.member.boot = 3;
    third.hello(Some(known)).await.unwrap();
    assert!(!third.beats().await.leased);
    // Saying hello again makes it no other process.
    third.hello(Some(known)).await.unwrap();
    assert!(!third.beats().await.leased);
    third.until(&Beat::default(), |beaten| beaten.leased).await;
    assert!(began.elapsed() >= Duration::from_secs(2));
    third.hello(Some(known)).await.unwrap();
    assert!(third.beats().await.leased);
}

#[tokio::test]
async fn a_beat_that_is_refused_has_changed_nothing() {
    let server = RedisServer::start();
    let one = Sidecar::quick(1, &server, None).await;
    let known = one.hello(None).await.unwrap();
    let two = Sidecar::quick(2, &server, None).await;
    two.beats().await;
    one.beats().await;
    one.until(&Beat::default(), |beaten| {
        beaten
            .roll
            .as_ref()
            .is_some_and(|roll| roll.silent.contains_key(&2))
    })
    .await;
    let (meta, members) = ("{imquota}:v3:meta", "{imquota}:v3:members");
    let all = || {
        let meta: std::collections::BTreeMap<String, String> = server.command(&["HGETALL", meta]);
        let members: std::collections::BTreeMap<String, String> =
            server.command(&["HGETALL", members]);
        (meta, members)
    };
    // The second comes back from silence to a server that is full.
    let before = all();
    server.command::<()>(&["CONFIG", "SET", "maxmemory", "1"]);
    let full = two.beat(&Beat::default()).await;
    assert!(
        matches!(&full, Err(StoreFault::Away(words)) if words.contains("OOM")),
        "{full:?}"
    );
    server.command::<()>(&["CONFIG", "SET", "maxmemory", "0"]);
    assert_eq!(all(), before);
    // A process that is fenced makes no meta key again.
    let mut later = Sidecar::with(1, quick(&server.unix_url()));
    later.member.boot = 2;
    later.hello(Some(known)).await.unwrap();
    server.command::<()>(&["DEL", meta]);
    let before = all();
    let fenced = one.beat(&Beat::default()).await;
    assert!(matches!(&fenced, Err(StoreFault::Fenced(_))), "{fenced:?}");
    assert_eq!(all(), before);
}

#[tokio::test]
async fn of_one_that_is_gone_a_shard_keeps_a_mark_and_not_for_ever() {
    let server = RedisServer::start();
    let one = Sidecar::quick(1, &server, None).await;
    let two = Sidecar::quick(2, &server, None).await;
    for sidecar in [&one, &two] {
        sidecar.beats().await;
        sidecar.tell(app(1), ACCOUNTS, 5, 0, 5).await;
    }
    let header = header(app(1));
    let fields = || -> Vec<String> {
        let all: Vec<String> = server.command(&["HKEYS", &header]);
        all.into_iter()
            .filter(|field| field.starts_with(['c', 'x']))
            .collect()
    };
    // One that went long ago, and one that went when the roll may still have it.
    server.command::<()>(&["HSET", &header, "x:00000000000000aa", "5"]);
    let time: Vec<u64> = server.command(&["TIME"]);
    let a_month = (time[0] - 30 * 86_400) * 1000;
    server.command::<()>(&["HSET", &header, "x:00000000000000bb", &a_month.to_string()]);
    let shard = Shard::of(app(1));
    one.store.fold(shard, &[app(1)]).await.unwrap();
    one.store.leave().await.unwrap();
    let left = [
        "c:0000000000000002",
        "x:0000000000000001",
        "x:00000000000000bb",
    ];
    let sorted = || {
        let mut fields = fields();
        fields.sort_unstable();
        fields
    };
    assert_eq!(sorted(), left);
    // Its late calls leave nothing either.
    one.store.fold(shard, &[app(1)]).await.unwrap();
    one.usage(app(1)).await;
    assert_eq!(sorted(), left);
}

#[tokio::test]
async fn over_the_connection_of_one_that_leaves_nothing_else_is_told() {
    let server = RedisServer::start();
    let mut one = Sidecar::quick(1, &server, None).await;
    one.member.leaves = true;
    one.member.boot += 1;
    one.hello(None).await.unwrap();
    one.beats().await;
    let ask = take(&client("x"), 1, Resource::Account, 1, &limits(9, 0, 0));
    for refused in [
        one.take(&ask).await.map(drop),
        one.store.usage(app(1), today(), NOW).await.map(drop),
    ] {
        assert!(
            matches!(&refused, Err(StoreFault::Frozen(words)) if words.contains("comes first")),
            "{refused:?}"
        );
    }
    one.store.fold(Shard::of(app(1)), &[app(1)]).await.unwrap();
    one.store.leave().await.unwrap();
}

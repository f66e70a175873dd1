//! A ledger that has forgotten is found out, is never read as an empty one, and is told again what it knew.

use std::time::Duration;

use imquota::quota::Resource;
use imquota::store::redis::Create;
use imquota::store::{
    Answered, Beat, Cell, Escrow, Installation, Login, Recovery, Shard, Statement, Store,
    StoreFault, Taken,
};

use crate::fixture::{
    NOW, Sidecar, app, app_report, cell_report, client, header, limits, options, roll_of,
    states_accounts, take, today, try_take, with_roll,
};
use crate::redis_server::{Persistence, RedisServer};

const ACCOUNTS: Cell = Cell::Live(Resource::Account);
const META: &str = "{imquota}:v3:meta";

#[track_caller]
fn assert_frozen<T: std::fmt::Debug>(answer: Result<T, StoreFault>, word: &str) {
    match answer {
        Err(StoreFault::Frozen(words)) if words.contains(word) => {}
        other => panic!("{other:?} is not Frozen with {word:?}"),
    }
}

#[track_caller]
fn assert_fenced<T: std::fmt::Debug>(answer: Result<T, StoreFault>, word: &str) {
    match answer {
        Err(StoreFault::Fenced(words)) if words.contains(word) => {}
        other => panic!("{other:?} is not Fenced with {word:?}"),
    }
}

#[tokio::test]
async fn a_flush_is_found_out_and_everything_is_told_again() {
    for flush in ["FLUSHALL", "FLUSHDB"] {
        let server = RedisServer::start();
        let one = Sidecar::quick(1, &server, None).await;
        let known = one.hello(None).await.unwrap();
        let before = one.beats().await;
        try_take(&one, 1).await.unwrap();
        server.command::<()>(&[flush]);
        assert_frozen(try_take(&one, 2).await, "gone");
        assert_frozen(one.hello(Some(known)).await, "forgotten");
        // A beat brings the ledger back, and opens a recovery of a number that never was.
        let begun = one.beats().await;
        assert!(begun.recovery == Recovery::Open && !begun.leased);
        assert!(begun.epoch > before.epoch);
        assert_eq!(one.hello(Some(known)).await, Ok(known));
        // A shard that nobody has stated anything to is not there.
        assert_frozen(try_take(&one, 2).await, "gone");
        let sums = Escrow {
            taken: 1,
            ..Escrow::default()
        };
        one.states(&states_accounts(0, sums)).await;
        assert_frozen(try_take(&one, 2).await, "have stated");
        let restated = Beat {
            restated: begun.epoch,
            ..with_roll(roll_of(1, &[1]))
        };
        let closed = one
            .until(&restated, |beaten| beaten.recovery != Recovery::Open)
            .await;
        assert_eq!(closed.recovery, Recovery::Closed);
        let leased = one.until(&Beat::default(), |beaten| beaten.leased).await;
        assert_eq!(leased.epoch, begun.epoch);
        let taken = try_take(&one, 2).await;
        assert!(
            matches!(taken, Ok(Taken::Allowed { view, .. }) if view.net[0] == 2),
            "{taken:?}"
        );
    }
}

#[tokio::test]
async fn the_ledger_comes_back_by_no_newcomer_and_closes_by_none() {
    let server = RedisServer::start();
    let one = Sidecar::quick(1, &server, None).await;
    let known = one.hello(None).await.unwrap();
    one.beats().await;
    server.flush_all();
    for beat in [
        Beat {
            fresh: true,
            ..Beat::default()
        },
        Beat {
            leaving: true,
            ..Beat::default()
        },
    ] {
        assert_frozen(one.beat(&beat).await, "forgotten");
    }
    let begun = one.beats().await;
    // One that never knew a roll restates as well: that closes nothing.
    let two = Sidecar::quick(2, &server, Some(known)).await;
    two.beats().await;
    for sidecar in [&one, &two] {
        sidecar.states(&Statement::default()).await;
    }
    let poor = Beat {
        restated: begun.epoch,
        fresh: true,
        ..Beat::default()
    };
    for _ in 0..100 {
        for sidecar in [&one, &two] {
            let beaten = sidecar.beat(&poor).await.unwrap();
            assert_eq!(beaten.recovery, Recovery::Open);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let rich = Beat {
        fresh: false,
        ..with_roll(roll_of(1, &[1]))
    };
    let rich = Beat {
        restated: begun.epoch,
        ..rich
    };
    let closed = one
        .until(&rich, |beaten| beaten.recovery != Recovery::Open)
        .await;
    assert_eq!(closed.recovery, Recovery::Closed);
}

#[tokio::test]
async fn a_restart_without_persistence_is_a_flush() {
    let mut server = RedisServer::start();
    let one = Sidecar::quick(1, &server, None).await;
    let known = one.hello(None).await.unwrap();
    one.beats().await;
    try_take(&one, 1).await.unwrap();
    server.stop();
    server.start_again();
    assert!(matches!(try_take(&one, 2).await, Err(StoreFault::Away(_))));
    assert_frozen(one.hello(Some(known)).await, "forgotten");
    // Nothing goes to a server whose state nobody has looked at.
    assert_frozen(try_take(&one, 2).await, "looked at first");
    assert_eq!(one.beats().await.recovery, Recovery::Open);
}

#[tokio::test]
async fn a_reload_forgets_nothing() {
    let server = RedisServer::start();
    let one = Sidecar::quick(1, &server, None).await;
    let known = one.hello(None).await.unwrap();
    let before = one.beats().await;
    try_take(&one, 1).await.unwrap();
    server.command::<()>(&["DEBUG", "RELOAD"]);
    let taken = try_take(&one, 2).await;
    assert!(matches!(taken, Ok(Taken::Allowed { view, .. }) if view.net[0] == 2));
    assert_eq!(one.hello(Some(known)).await, Ok(known));
    assert_eq!(one.beats().await.epoch, before.epoch);
}

#[tokio::test]
async fn a_restart_with_its_data_is_a_recovery_in_which_all_but_counts_goes_on() {
    let mut server = RedisServer::with(Persistence::AppendOnly, &[]);
    let one = Sidecar::quick(1, &server, None).await;
    let known = one.hello(None).await.unwrap();
    one.beats().await;
    try_take(&one, 1).await.unwrap();
    server.kill();
    assert!(matches!(try_take(&one, 2).await, Err(StoreFault::Away(_))));
    server.start_again();
    assert_eq!(one.hello(Some(known)).await, Ok(known));
    assert_frozen(try_take(&one, 3).await, "looked at first");
    let begun = one.beats().await;
    assert_eq!(begun.recovery, Recovery::Open);
    assert_frozen(try_take(&one, 3).await, "have stated");
    let ann = Login {
        app: app(1),
        day: today(),
        user: 7,
    };
    let active = one
        .store
        .record_active(Shard::of(app(1)), &[ann], NOW)
        .await
        .unwrap();
    assert!(active[0].newly);
    assert_eq!(one.usage(app(1)).await.view.net[0], 1);
    // A take that is answered and in no sums yet keeps its charge; its member still names it.
    let attempt = take(
        &client("id-1-1"),
        1,
        Resource::Account,
        1,
        &limits(1000, 0, 0),
    );
    let statement = Statement {
        answered: vec![Answered {
            take: attempt.clone(),
            refused: None,
            contained: None,
        }],
        ..states_accounts(0, Escrow::default())
    };
    let closed = one.recovers(&statement, with_roll(roll_of(1, &[1]))).await;
    assert_eq!(closed.recovery, Recovery::Closed);
    assert_eq!(one.usage(app(1)).await.view.net[0], 1);
    assert_eq!(one.answered(&attempt).await, imquota::store::Ack::Counted);
    assert_eq!(one.usage(app(1)).await.view.net[0], 1);
}

/// A server that was put back to a snapshot which lacks what the member did since.
async fn rolled_back(server: &mut RedisServer, one: &Sidecar, known: Installation) {
    one.tell(app(1), ACCOUNTS, 1, 0, 1).await;
    let snapshot = server.save();
    one.tell(app(1), ACCOUNTS, 5, 0, 5).await;
    server.kill();
    server.restore(&snapshot);
    server.start_again();
    one.hello(Some(known)).await.unwrap();
}

#[tokio::test]
async fn an_older_snapshot_is_told_what_it_lacks_and_its_writes_go_on_above() {
    let mut server = RedisServer::start();
    let one = Sidecar::quick(1, &server, None).await;
    let known = one.hello(None).await.unwrap();
    one.beats().await;
    rolled_back(&mut server, &one, known).await;
    let seq = || server.command::<u64>(&["HGET", &header(app(1)), "seq"]);
    assert_eq!(seq(), 1);
    let sums = Escrow {
        granted: 7,
        done: 5,
        ..Escrow::default()
    };
    let closed = one
        .recovers(&states_accounts(5, sums), with_roll(roll_of(1, &[1])))
        .await;
    assert_eq!(closed.recovery, Recovery::Closed);
    let view = one.usage(app(1)).await.view;
    assert_eq!((view.net[0], view.outstanding[0]), (5, 2));
    assert!(seq() > 2);
    assert!(try_take(&one, 1).await.is_ok());
}

#[tokio::test]
async fn calls_of_an_older_epoch_change_nothing_and_their_answers_are_not_heard() {
    let mut server = RedisServer::start();
    let one = Sidecar::quick(1, &server, None).await;
    let known = one.hello(None).await.unwrap();
    one.beats().await;
    let two = Sidecar::quick(2, &server, Some(known)).await;
    rolled_back(&mut server, &one, known).await;
    two.hello(Some(known)).await.unwrap();
    two.recovers(&Statement::default(), Beat::default()).await;
    // The first connected anew, and has not beaten since.
    assert_frozen(try_take(&one, 1).await, "looked at first");
    let begun = one.beats().await;
    one.states(&states_accounts(5, Escrow::default())).await;
    // A shard that has heard of a later epoch does nothing for it.
    let later = (begun.epoch + 1_000_000_000_000).to_string();
    server.command::<()>(&["HSET", &header(app(1)), "epoch", &later, "open", "0"]);
    assert_frozen(try_take(&one, 1).await, "later recovery");
}

#[tokio::test]
async fn one_missing_header_or_an_older_one_is_a_recovery_of_its_own() {
    for spoil in ["DEL", "HSET"] {
        let server = RedisServer::start();
        let one = Sidecar::quick(1, &server, None).await;
        one.hello(None).await.unwrap();
        let before = one.beats().await;
        try_take(&one, 1).await.unwrap();
        try_take(&one, 2).await.unwrap();
        let header = header(app(1));
        if spoil == "DEL" {
            server.command::<()>(&["DEL", &header]);
            assert_frozen(try_take(&one, 3).await, "gone");
        } else {
            server.command::<()>(&["HSET", &header, "seq", "1"]);
            assert_frozen(try_take(&one, 3).await, "lost writes");
        }
        let begun = one.beats().await;
        assert!(begun.epoch > before.epoch && begun.recovery == Recovery::Open);
        // One doubt opens one recovery.
        assert_eq!(one.beats().await.epoch, begun.epoch);
        one.recovers(&Statement::default(), with_roll(roll_of(1, &[1])))
            .await;
        assert!(try_take(&one, 3).await.is_ok());
        assert_eq!(one.beats().await.epoch, begun.epoch);
    }
}

#[tokio::test]
async fn another_replication_id_is_another_run_even_on_a_living_connection() {
    let server = RedisServer::start();
    let one = Sidecar::quick(1, &server, None).await;
    let known = one.hello(None).await.unwrap();
    let before = one.beats().await;
    try_take(&one, 1).await.unwrap();
    server.command::<()>(&["DEBUG", "CHANGE-REPL-ID"]);
    let two = Sidecar::quick(2, &server, Some(known)).await;
    let begun = two.beats().await;
    assert!(begun.epoch > before.epoch && begun.recovery == Recovery::Open);
    two.states(&Statement::default()).await;
    // The first still names the old run and the old epoch.
    assert_frozen(try_take(&one, 2).await, "later recovery");
    assert_eq!(one.beats().await.epoch, begun.epoch);
    assert_eq!(one.beats().await.epoch, begun.epoch);
}

#[tokio::test]
async fn a_registration_that_was_lost_is_made_again_and_waits_for_a_witness() {
    let mut server = RedisServer::start();
    let one = Sidecar::quick(1, &server, None).await;
    let known = one.hello(None).await.unwrap();
    one.beats().await;
    let snapshot = server.save();
    let two = Sidecar::quick(2, &server, Some(known)).await;
    let told = two.beats().await;
    assert!(!told.leased);
    server.kill();
    server.restore(&snapshot);
    server.start_again();
    one.hello(Some(known)).await.unwrap();
    // The first knows nothing of the second, and does not wait for it.
    let closed = one
        .recovers(&Statement::default(), with_roll(roll_of(1, &[1])))
        .await;
    assert_eq!(closed.recovery, Recovery::Closed);
    two.hello(Some(known)).await.unwrap();
    assert!(!two.beats().await.leased);
    let version = one.beats().await.roll.unwrap().version;
    let journaled = Beat {
        roll_version: version,
        ..Beat::default()
    };
    one.beat(&journaled).await.unwrap();
    assert!(two.beats().await.leased);
}

#[tokio::test]
async fn newcomers_at_once_make_one_ledger() {
    let server = RedisServer::start();
    let sidecars: Vec<Sidecar> = (1..=8)
        .map(|number| Sidecar::new(number, &server))
        .collect();
    let greetings = sidecars.iter().map(|sidecar| sidecar.hello(None));
    let known: Vec<_> = futures_util::future::join_all(greetings).await;
    assert!(
        known.iter().all(|one| one.is_ok() && *one == known[0]),
        "{known:?}"
    );
    for sidecar in &sidecars {
        assert!(try_take(sidecar, 1).await.is_ok());
    }
    let members: Vec<String> = server.command(&["HKEYS", "{imquota}:v3:members"]);
    assert_eq!(members.len(), 8);
}

#[tokio::test]
async fn a_creation_that_was_interrupted_is_finished_by_whoever_comes_next() {
    let server = RedisServer::start();
    let (_, known) = Sidecar::fresh(1, &server).await;
    for remembered in [None, Some(known)] {
        server.command::<()>(&["HSET", META, "state", "creating"]);
        server.command::<()>(&["DEL", &header(app(1))]);
        let next = Sidecar::new(2, &server);
        assert_eq!(next.hello(remembered).await, Ok(known));
        assert!(try_take(&next, 1).await.is_ok());
        assert_eq!(server.command::<String>(&["HGET", META, "state"]), "ready");
        server.command::<()>(&["HDEL", "{imquota}:v3:members", "0000000000000002"]);
    }
}

#[tokio::test]
async fn shards_without_their_meta_key_are_no_empty_ledger() {
    let server = RedisServer::start();
    let one = Sidecar::quick(1, &server, None).await;
    let known = one.hello(None).await.unwrap();
    one.beats().await;
    server.command::<()>(&["DEL", META]);
    for newcomer in [2, 3] {
        assert_frozen(
            Sidecar::new(newcomer, &server).hello(None).await,
            "forgotten",
        );
    }
    assert_eq!(one.beats().await.recovery, Recovery::Open);
    assert_eq!(one.hello(Some(known)).await, Ok(known));
    assert_eq!(Sidecar::new(4, &server).hello(None).await, Ok(known));
}

#[tokio::test]
async fn another_installation_is_not_ours() {
    let server = RedisServer::start();
    let (_, known) = Sidecar::fresh(1, &server).await;
    let other = Installation {
        id: known.id ^ 1,
        ..known
    };
    let stranger = Sidecar::new(2, &server);
    assert_frozen(stranger.hello(Some(other)).await, "another installation");
    assert_fenced(
        stranger.beat(&Beat::default()).await,
        "another installation",
    );
    assert!(try_take(&stranger, 1).await.is_err());
    let members: Vec<String> = server.command(&["HKEYS", "{imquota}:v3:members"]);
    assert_eq!(members.len(), 1);
    let other = Installation {
        user_key: [1; 16],
        ..known
    };
    assert_frozen(stranger.hello(Some(other)).await, "user key");
}

#[tokio::test]
async fn another_format_and_a_missing_ledger_are_refused_for_good() {
    let server = RedisServer::start();
    let unusable = |answer: Result<Installation, StoreFault>, word: &str| match answer {
        Err(StoreFault::Unusable(words)) if words.contains(word) => {}
        other => panic!("{other:?} is not Unusable with {word:?}"),
    };
    let never = || {
        let mut options = options(&server.url());
        options.create = Create::Never;
        Sidecar::with(1, options)
    };
    unusable(never().hello(None).await, "store.create is never");
    assert_eq!(server.command::<i64>(&["DBSIZE"]), 0);
    let (_, known) = Sidecar::fresh(2, &server).await;
    assert_eq!(never().hello(None).await, Ok(known));
    server.command::<()>(&["HSET", META, "format", "1"]);
    unusable(Sidecar::new(3, &server).hello(None).await, "format 1");
}

#[tokio::test]
async fn the_older_process_of_a_journal_is_fenced() {
    let server = RedisServer::start();
    let (mut one, known) = Sidecar::fresh(1, &server).await;
    let mut later = Sidecar::new(1, &server);
    later.member.boot = 2;
    later.hello(Some(known)).await.unwrap();
    assert_fenced(one.hello(Some(known)).await, "boot 2");
    // It may not even settle what it counted: the newer one's journal has it.
    let report = imquota::store::Report {
        apps: vec![app_report(app(1), vec![cell_report(ACCOUNTS, 1, 0)])],
        ..Default::default()
    };
    assert_frozen(one.settle(&report, today()).await, "looked at first");
    one.member.boot = 3;
    assert_eq!(one.hello(Some(known)).await, Ok(known));
}

#[tokio::test]
async fn a_copy_of_a_journal_is_fenced_until_it_is_opened_again() {
    let server = RedisServer::start();
    let (one, known) = Sidecar::fresh(1, &server).await;
    let member = |field: usize| {
        let row: String = server.command(&["HGET", "{imquota}:v3:members", "0000000000000001"]);
        row.split(' ').nth(field).map(str::to_owned)
    };
    let nonce = member(1);
    let mut copy = Sidecar::new(1, &server);
    for remembered in [Some(known), None] {
        assert_fenced(copy.hello(remembered).await, "a copy of this data folder");
    }
    // Nothing that it counted is merged with the sums of the one whose name it bears.
    let refused = try_take(&copy, 1).await;
    assert!(matches!(refused, Err(StoreFault::Away(_))), "{refused:?}");
    // The first stays, and greets as often as it likes.
    assert_eq!(one.hello(Some(known)).await, Ok(known));
    assert!(try_take(&one, 1).await.is_ok());
    assert_eq!((member(0), member(1)), (Some("1".into()), nonce.clone()));
    assert_eq!(member(3).as_deref(), Some("sidecar-1"));
    // A newer boot takes over, whoever it is.
    copy.member.boot = 2;
    assert_eq!(copy.hello(Some(known)).await, Ok(known));
    assert_ne!(member(1), nonce);
    assert_fenced(one.hello(Some(known)).await, "boot 2");
}

#[tokio::test]
async fn after_a_recovery_everybody_needs_a_witness_again() {
    let server = RedisServer::start();
    let one = Sidecar::quick(1, &server, None).await;
    let known = one.hello(None).await.unwrap();
    let two = Sidecar::quick(2, &server, Some(known)).await;
    for sidecar in [&one, &two] {
        sidecar.beats().await;
    }
    server.flush_all();
    let epoch = one.beats().await.epoch;
    two.beats().await;
    for sidecar in [&one, &two] {
        sidecar.states(&Statement::default()).await;
    }
    let restated = Beat {
        restated: epoch,
        ..with_roll(roll_of(5, &[1, 2]))
    };
    two.beat(&restated).await.unwrap();
    let closed = one
        .until(&restated, |beaten| beaten.recovery == Recovery::Closed)
        .await;
    let roll = closed.roll.unwrap();
    assert!(roll.version > 5, "above all that were stated");
    // What was stated before is no witness of what is there now.
    assert!(!closed.leased);
    assert!(!two.beat(&restated).await.unwrap().leased);
    let journaled = Beat {
        roll_version: roll.version,
        ..Beat::default()
    };
    one.beat(&journaled).await.unwrap();
    assert!(two.beats().await.leased);
    assert!(!one.beats().await.leased);
}

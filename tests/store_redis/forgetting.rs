//! A ledger that has forgotten is found out, and is never read as an empty one.

use imquota::quota::{AppId, Resource};
use imquota::store::redis::Create;
use imquota::store::{Cell, Installation, Login, Shard, Store, StoreFault, Taken};

use crate::fixture::{NOW, Sidecar, app, client, limits, options, take, today};
use crate::redis_server::{Persistence, RedisServer};

const ACCOUNTS: Cell = Cell::Live(Resource::Account);

async fn try_take(sidecar: &Sidecar, attempt: u64) -> Result<Taken, StoreFault> {
    let rules = limits(1000, 0, 0);
    let key = client(&format!("id-{}-{attempt}", sidecar.member.incarnation));
    sidecar
        .take(&take(&key, attempt, Resource::Account, 1, &rules))
        .await
}

#[track_caller]
fn assert_frozen<T: std::fmt::Debug>(answer: Result<T, StoreFault>, word: &str) {
    match answer {
        Err(StoreFault::Frozen(words)) if words.contains(word) => {}
        other => panic!("{other:?} is not Frozen with {word:?}"),
    }
}

fn header(app: AppId) -> String {
    format!("{{imquota:{:02x}}}:v1:h", Shard::of(app).number())
}

const META: &str = "{imquota}:v1:meta";

/// Lets the wait after a shard's reopening be over.
fn wait_is_over(server: &RedisServer, app: AppId) {
    server.command::<()>(&["HSET", &header(app), "reopened", "0"]);
}

async fn frozen_for_all(one: &Sidecar, known: Installation, server: &RedisServer) {
    assert_frozen(one.hello(Some(known)).await, "forgotten");
    let newcomer = Sidecar::new(9, server);
    assert_frozen(newcomer.hello(None).await, "forgotten");
    assert!(matches!(
        try_take(&newcomer, 1).await,
        Err(StoreFault::Away(_))
    ));
    assert_frozen(try_take(one, 99).await, "gone");
}

#[tokio::test]
async fn a_flush_is_found_out_and_freezes_newcomers_too() {
    for flush in ["FLUSHALL", "FLUSHDB"] {
        let server = RedisServer::start();
        let (one, known) = Sidecar::fresh(1, &server).await;
        try_take(&one, 1).await.unwrap();
        server.command::<()>(&[flush]);
        assert_frozen(try_take(&one, 2).await, "gone");
        // Totals wait in the journal: nothing is merged into a ledger that has forgotten them.
        let report = imquota::store::Report {
            apps: vec![imquota::store::AppReport {
                app: app(1),
                cells: Vec::new(),
            }],
            ..Default::default()
        };
        assert_frozen(one.settle(&report, today()).await, "gone");
        frozen_for_all(&one, known, &server).await;
    }
}

#[tokio::test]
async fn a_restart_without_persistence_is_a_flush() {
    let mut server = RedisServer::start();
    let (one, known) = Sidecar::fresh(1, &server).await;
    try_take(&one, 1).await.unwrap();
    server.stop();
    server.start_again();
    assert!(matches!(try_take(&one, 2).await, Err(StoreFault::Away(_))));
    frozen_for_all(&one, known, &server).await;
}

#[tokio::test]
async fn a_reload_forgets_nothing() {
    let server = RedisServer::start();
    let (one, known) = Sidecar::fresh(1, &server).await;
    try_take(&one, 1).await.unwrap();
    server.command::<()>(&["DEBUG", "RELOAD"]);
    let taken = try_take(&one, 2).await;
    assert!(matches!(taken, Ok(Taken::Allowed { view, .. }) if view.net[0] == 2));
    assert_eq!(one.hello(Some(known)).await, Ok(known));
}

#[tokio::test]
async fn a_restart_with_its_data_lets_takes_wait_and_all_else_go_on() {
    let mut server = RedisServer::with(Persistence::AppendOnly, &[]);
    let (one, known) = Sidecar::fresh(1, &server).await;
    try_take(&one, 1).await.unwrap();
    server.kill();
    assert!(matches!(try_take(&one, 2).await, Err(StoreFault::Away(_))));
    server.start_again();
    assert_eq!(one.hello(Some(known)).await, Ok(known));
    assert_frozen(try_take(&one, 3).await, "another run");
    assert_eq!(one.tell(app(1), ACCOUNTS, 4, 0, 4).await.net[0], 5);
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
    assert_eq!(one.usage(app(1)).await.view.net[0], 5);
    // No shard waits later, when it is met for the first time under this run.
    let another = (2..1000)
        .map(app)
        .find(|&other| Shard::of(other) != Shard::of(app(1)))
        .unwrap();
    for app in [app(1), another] {
        let reopened: i64 = server.command(&["HGET", &header(app), "reopened"]);
        assert!(reopened > 0);
    }
    wait_is_over(&server, app(1));
    let taken = try_take(&one, 4).await;
    assert!(matches!(taken, Ok(Taken::Allowed { view, .. }) if view.net[0] == 6));
}

/// A server that was put back to a snapshot which lacks the last two writes of app 1.
async fn rolled_back(server: &mut RedisServer, one: &Sidecar) {
    try_take(one, 1).await.unwrap();
    let snapshot = server.save();
    try_take(one, 2).await.unwrap();
    try_take(one, 3).await.unwrap();
    server.kill();
    server.restore(&snapshot);
    server.start_again();
}

#[tokio::test]
async fn an_older_snapshot_is_found_out_by_its_write_count() {
    let mut server = RedisServer::start();
    let (one, known) = Sidecar::fresh(1, &server).await;
    rolled_back(&mut server, &one).await;
    one.hello(Some(known)).await.unwrap();
    assert_frozen(try_take(&one, 4).await, "lost writes");
    // No waiting mends it, for nobody; only reports of totals, which do no harm, are still merged.
    wait_is_over(&server, app(1));
    let newcomer = Sidecar::new(2, &server);
    newcomer.hello(None).await.unwrap();
    assert_frozen(try_take(&newcomer, 1).await, "lost writes");
    assert_eq!(one.tell(app(1), ACCOUNTS, 4, 0, 4).await.net[0], 5);
    assert_frozen(one.store.usage(app(1), today(), NOW).await, "lost writes");
    // The operator accepts what there is, by the words of the message.
    server.command::<()>(&["HINCRBY", &header(app(1)), "epoch", "1"]);
    server.command::<()>(&["HDEL", &header(app(1)), "lost", "base"]);
    for sidecar in [&one, &newcomer] {
        assert!(matches!(
            try_take(sidecar, 5).await,
            Ok(Taken::Allowed { .. })
        ));
    }
}

#[tokio::test]
async fn writes_after_a_rollback_do_not_hide_it_from_a_member_that_comes_later() {
    let mut server = RedisServer::start();
    let (one, known) = Sidecar::fresh(1, &server).await;
    let two = Sidecar::new(2, &server);
    two.hello(Some(known)).await.unwrap();
    rolled_back(&mut server, &one).await;
    // The second saw nothing of what was lost, is first to return, and writes more than was lost.
    two.hello(Some(known)).await.unwrap();
    for total in 1..10 {
        two.tell(app(1), ACCOUNTS, total, 0, 0).await;
    }
    one.hello(Some(known)).await.unwrap();
    assert_frozen(try_take(&two, 1).await, "lost writes");
}

#[tokio::test]
async fn a_ledger_that_was_put_back_does_not_count_to_the_same_epoch_again() {
    let mut server = RedisServer::start();
    let (one, known) = Sidecar::fresh(1, &server).await;
    let two = Sidecar::new(2, &server);
    two.hello(Some(known)).await.unwrap();
    try_take(&one, 1).await.unwrap();
    let snapshot = server.save();
    // A first restart, which loses nothing, and writes after it.
    server.kill();
    server.start_again();
    one.hello(Some(known)).await.unwrap();
    wait_is_over(&server, app(1));
    try_take(&one, 2).await.unwrap();
    // A second one loses the first. The member that was away is first to return, and writes more.
    server.kill();
    server.restore(&snapshot);
    server.start_again();
    two.hello(Some(known)).await.unwrap();
    for total in 1..10 {
        two.tell(app(1), ACCOUNTS, total, 0, 0).await;
    }
    one.hello(Some(known)).await.unwrap();
    assert_frozen(try_take(&two, 1).await, "lost writes");
}

#[tokio::test]
async fn another_replication_id_is_another_run_even_on_a_living_connection() {
    let server = RedisServer::start();
    let (one, known) = Sidecar::fresh(1, &server).await;
    try_take(&one, 1).await.unwrap();
    server.command::<()>(&["DEBUG", "CHANGE-REPL-ID"]);
    let two = Sidecar::new(2, &server);
    two.hello(Some(known)).await.unwrap();
    assert_frozen(try_take(&one, 2).await, "another run");
    assert_frozen(try_take(&two, 2).await, "another run");
    wait_is_over(&server, app(1));
    // The first still names the old run; the server itself knows better, and nobody waits again.
    assert!(try_take(&one, 3).await.is_ok());
    assert!(try_take(&two, 3).await.is_ok());
    // It writes on, and learns the run later: nothing was lost, and nothing is taken for it.
    assert_eq!(one.hello(Some(known)).await, Ok(known));
    assert!(try_take(&one, 4).await.is_ok());
}

#[tokio::test]
async fn one_missing_header_freezes_its_own_shard() {
    let server = RedisServer::start();
    let (one, known) = Sidecar::fresh(1, &server).await;
    server.command::<()>(&["DEL", &header(app(1))]);
    assert_frozen(try_take(&one, 1).await, "gone");
    assert_eq!(one.hello(Some(known)).await, Ok(known));
    let other = (2..1000)
        .map(app)
        .find(|&other| Shard::of(other) != Shard::of(app(1)))
        .unwrap();
    let view = one.tell(other, ACCOUNTS, 1, 0, 1).await;
    assert_eq!(view.net[0], 1);
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
    let members: Vec<String> = server.command(&["HKEYS", "{imquota}:v1:members"]);
    assert_eq!(members.len(), 8);
}

#[tokio::test]
async fn a_creation_that_was_interrupted_is_finished_by_the_next_newcomer() {
    let server = RedisServer::start();
    let (_, known) = Sidecar::fresh(1, &server).await;
    server.command::<()>(&["HSET", META, "state", "creating"]);
    server.command::<()>(&["DEL", &header(app(1))]);
    let next = Sidecar::new(2, &server);
    assert_eq!(next.hello(None).await, Ok(known));
    assert!(try_take(&next, 1).await.is_ok());
    assert_eq!(server.command::<String>(&["HGET", META, "state"]), "ready");
}

#[tokio::test]
async fn a_ledger_younger_than_its_member_has_forgotten() {
    let server = RedisServer::start();
    let (one, known) = Sidecar::fresh(1, &server).await;
    server.command::<()>(&["HSET", META, "state", "creating"]);
    server.command::<()>(&["DEL", &header(app(1))]);
    assert_frozen(one.hello(Some(known)).await, "forgotten");
    assert_frozen(Sidecar::new(2, &server).hello(None).await, "forgotten");
}

#[tokio::test]
async fn shards_without_their_meta_key_are_no_empty_ledger() {
    let server = RedisServer::start();
    let (one, known) = Sidecar::fresh(1, &server).await;
    server.command::<()>(&["DEL", META]);
    assert_frozen(Sidecar::new(2, &server).hello(None).await, "forgotten");
    assert_frozen(Sidecar::new(3, &server).hello(None).await, "forgotten");
    assert_frozen(one.hello(Some(known)).await, "another installation");
    assert!(
        try_take(&one, 1).await.is_ok(),
        "the shards themselves are whole"
    );
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
    assert_frozen(try_take(&stranger, 1).await, "another installation");
    let members: Vec<String> = server.command(&["HKEYS", "{imquota}:v1:members"]);
    assert_eq!(members.len(), 1);
    let other = Installation {
        user_key: [1; 16],
        ..known
    };
    assert_frozen(stranger.hello(Some(other)).await, "user key");
}

#[tokio::test]
async fn another_zone_and_a_missing_ledger_are_refused_for_good() {
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
    let mut elsewhere = options(&server.url());
    elsewhere.zone = imquota::clock::Zone::parse("Europe/London").unwrap();
    let words = "the ledger counts days in +08:00, the settings say Europe/London";
    unusable(Sidecar::with(3, elsewhere).hello(None).await, words);
    server.command::<()>(&["HSET", META, "format", "2"]);
    unusable(Sidecar::new(3, &server).hello(None).await, "format 2");
}

#[tokio::test]
async fn the_older_process_of_a_journal_is_fenced() {
    let server = RedisServer::start();
    let (mut one, known) = Sidecar::fresh(1, &server).await;
    let mut later = Sidecar::new(1, &server);
    later.member.boot = 2;
    later.hello(Some(known)).await.unwrap();
    assert_frozen(one.hello(Some(known)).await, "boot 2");
    // It may still settle what it counted.
    assert_eq!(one.tell(app(1), ACCOUNTS, 1, 0, 1).await.net[0], 1);
    one.member.boot = 3;
    assert_eq!(one.hello(Some(known)).await, Ok(known));
}

#[tokio::test]
async fn a_copy_of_a_journal_is_fenced_until_it_is_opened_again() {
    let server = RedisServer::start();
    let (one, known) = Sidecar::fresh(1, &server).await;
    let member = |field: usize| {
        let row: String = server.command(&["HGET", "{imquota}:v1:members", "0000000000000001"]);
        row.split(' ').nth(field).map(str::to_owned)
    };
    let nonce = member(1);
    let mut copy = Sidecar::new(1, &server);
    for remembered in [Some(known), None] {
        assert_frozen(copy.hello(remembered).await, "a copy of this data folder");
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
    assert_frozen(one.hello(Some(known)).await, "boot 2");
}

#[tokio::test]
async fn an_epoch_below_one_that_was_seen_is_a_loss_whatever_its_count() {
    let mut server = RedisServer::with(Persistence::AppendOnly, &[]);
    let (one, known) = Sidecar::fresh(1, &server).await;
    server.kill();
    server.start_again();
    one.hello(Some(known)).await.unwrap();
    wait_is_over(&server, app(1));
    try_take(&one, 1).await.unwrap();
    server.command::<()>(&["HSET", &header(app(1)), "epoch", "1", "seq", "999"]);
    assert_frozen(try_take(&one, 2).await, "lost writes");
}

#[tokio::test]
async fn a_servers_clock_that_is_set_back_prolongs_no_wait() {
    let server = RedisServer::start();
    let (one, _) = Sidecar::fresh(1, &server).await;
    let in_an_hour = (imquota::clock::Clock::system().0 + 3_600_000).to_string();
    server.command::<()>(&["HSET", &header(app(1)), "reopened", &in_an_hour]);
    assert_frozen(try_take(&one, 1).await, "go on in 2000 ms");
    let reopened: i64 = server.command(&["HGET", &header(app(1)), "reopened"]);
    assert!(reopened <= imquota::clock::Clock::system().0);
}

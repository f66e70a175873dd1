//! Bases that no member has yet: a ledger that was restarted has them itself, one that lost a shard may not.

use imquota::quota::Resource;
use imquota::store::{Beat, Cell, Escrow, Recovery, Shard, Statement, Store, StoreFault};

use crate::fixture::{Sidecar, app, header, states_accounts, try_take, with_roll};
use crate::redis_server::RedisServer;

const ACCOUNTS: Cell = Cell::Live(Resource::Account);

/// The ledger's recovery, after one of two members has left and the other has heard of it and asked for nothing.
async fn after_a_leave(loses_a_shard: bool) -> (RedisServer, Sidecar, Recovery) {
    let mut server = RedisServer::start();
    let one = Sidecar::quick(1, &server, None).await;
    let known = one.hello(None).await.unwrap();
    let two = Sidecar::quick(2, &server, Some(known)).await;
    for sidecar in [&one, &two] {
        sidecar.beats().await;
        sidecar.tell(app(1), ACCOUNTS, 10, 0, 10).await;
    }
    two.store.fold(Shard::of(app(1)), &[app(1)]).await.unwrap();
    two.store.leave().await.unwrap();
    let roll = one.beats().await.roll.unwrap();
    if loses_a_shard {
        server.command::<u64>(&["DEL", &header(app(1))]);
        let fault = try_take(&one, 1).await;
        assert!(matches!(fault, Err(StoreFault::Frozen(_))), "{fault:?}");
    } else {
        let snapshot = server.save();
        server.kill();
        server.restore(&snapshot);
        server.start_again();
        one.hello(Some(known)).await.unwrap();
    }
    let statement = Statement {
        gone: roll.gone.clone(),
        ..states_accounts(10, Escrow::default())
    };
    let beat = Beat {
        news: 0,
        ..with_roll(roll)
    };
    let recovery = one.recovers(&statement, beat).await.recovery;
    (server, one, recovery)
}

#[tokio::test]
async fn a_restarted_ledger_has_the_bases_that_its_news_tell_of() {
    let (_server, one, recovery) = after_a_leave(false).await;
    assert_eq!(recovery, Recovery::Closed);
    assert_eq!(one.usage(app(1)).await.view.net[0], 20);
}

#[tokio::test]
async fn a_ledger_that_lost_a_shard_may_have_lost_bases_with_it() {
    let (_server, _one, recovery) = after_a_leave(true).await;
    assert_eq!(recovery, Recovery::Incomplete);
}

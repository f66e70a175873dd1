//! Members as operators see them, and what becomes of one that will not come back.

use std::time::Duration;

use imquota::quota::Resource;
use imquota::store::{
    Ack, AuditEntry, Cell, Escrow, Operator, Report, Retired, Standing, StoreFault, Totals,
};

use crate::fixture::{Sidecar, app, app_report, cell_report, client, limits, take, today};
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

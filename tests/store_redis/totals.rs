//! Totals that are lost, doubled and overtaken; the gain of a day; the peak of a month.

use imquota::clock::Day;
use imquota::quota::{Counter, Resource};
use imquota::store::{Cell, CellReport, GiveBack, Report, Shard, Store, StoreFault, Totals, View};

use crate::fixture::{
    NOW, Sidecar, app, app_report, cell_report, client, days_ago, give_back, limits, options, take,
    today,
};
use crate::redis_server::RedisServer;

const ACCOUNTS: Cell = Cell::Live(Resource::Account);
const GROUPS: Cell = Cell::Live(Resource::Group);

#[tokio::test]
async fn totals_merge_whatever_happens_to_their_reports() {
    let server = RedisServer::start();
    let (one, known) = Sidecar::fresh(1, &server).await;
    let two = Sidecar::new(2, &server);
    two.hello(Some(known)).await.unwrap();
    one.tell(app(1), ACCOUNTS, 5, 1, 5).await;
    two.tell(app(1), ACCOUNTS, 10, 0, 10).await;
    // A later report first, the one it overtook after it, then both again.
    for (consumed, released) in [(9, 6), (7, 2), (9, 6), (7, 2)] {
        one.tell(app(1), ACCOUNTS, consumed, released, 7).await;
    }
    let view = one.tell(app(1), ACCOUNTS, 9, 6, 7).await;
    assert_eq!(view.net[0], 13);
    let mine = Totals {
        consumed: 9,
        released: 6,
    };
    assert_eq!(view.mine[0], mine);
    assert_eq!(view.others(Counter::Accounts), 10);
    // A release that settles before its creation leaves less than nothing for a moment.
    let view = two.tell(app(2), GROUPS, 0, 3, 0).await;
    assert_eq!(view.net[1], -3);
}

#[tokio::test]
async fn one_call_settles_many_apps_and_answers_in_their_order() {
    let server = RedisServer::start();
    let (one, _) = Sidecar::fresh(1, &server).await;
    let shard = Shard::of(app(1));
    let apps: Vec<_> = (1..)
        .map(app)
        .filter(|&app| Shard::of(app) == shard)
        .take(64)
        .collect();
    let report = Report {
        apps: apps
            .iter()
            .map(|&app| {
                let cells = [GROUPS, ACCOUNTS, Cell::Gained(today())];
                let cells = cells.map(|cell| cell_report(cell, app.get(), 0));
                app_report(app, cells.to_vec())
            })
            .collect(),
        ..Report::default()
    };
    let settled = one
        .store
        .settle(shard, &report, today(), NOW)
        .await
        .unwrap();
    let nets: Vec<_> = settled.views.iter().map(|view| view.net).collect();
    let expected: Vec<_> = apps
        .iter()
        .map(|app| app.get().cast_signed())
        .map(|n| [n, n, 0, n])
        .collect();
    assert_eq!(nets, expected);
}

#[tokio::test]
async fn a_total_that_a_double_cannot_hold_is_refused() {
    let server = RedisServer::start();
    let (one, _) = Sidecar::fresh(1, &server).await;
    let report = |consumed| Report {
        apps: vec![app_report(app(1), vec![cell_report(ACCOUNTS, consumed, 0)])],
        ..Report::default()
    };
    let refused = one.settle(&report(1 << 53), today()).await;
    assert!(
        matches!(refused, Err(StoreFault::Unusable(_))),
        "{refused:?}"
    );
    let largest = one
        .settle(&report((1 << 53) - 1), today())
        .await
        .unwrap()
        .views[0];
    assert_eq!(largest.net[0], (1 << 53) - 1);
    assert_eq!(largest.mine[0].consumed, (1 << 53) - 1);
    let rules = limits((1 << 53) - 1, 0, 0);
    let over = one
        .take(&take(&client("a"), 1, Resource::Account, 1, &rules))
        .await;
    assert!(over.is_ok_and(|taken| !crate::fixture::allowed(&taken)));
}

#[tokio::test]
async fn a_gain_stays_on_its_day_and_may_be_negative() {
    let server = RedisServer::start();
    let (one, _) = Sidecar::fresh(1, &server).await;
    one.tell(app(1), Cell::Gained(days_ago(1)), 7, 0, 7).await;
    let view = one.tell(app(1), Cell::Gained(today()), 1, 4, 1).await;
    assert_eq!(view.net[3], -3);
    let yesterday = one.store.usage(app(1), days_ago(1), NOW).await.unwrap();
    assert_eq!(yesterday.view.net[3], 7);
    assert_eq!(yesterday.view.mine[3].consumed, 7);
    // A day that is over takes nothing, and leaves no key behind.
    one.tell(app(1), Cell::Gained(days_ago(9)), 7, 0, 7).await;
    let keys: Vec<String> = server.command(&["KEYS", "*:g:1:*"]);
    assert_eq!(keys.len(), 2, "{keys:?}");
    for key in keys {
        assert!(server.command::<i64>(&["TTL", &key]) > 48 * 3600);
    }
}

#[tokio::test]
async fn the_peak_follows_settlement_order() {
    let server = RedisServer::start();
    let (one, known) = Sidecar::fresh(1, &server).await;
    let two = Sidecar::new(2, &server);
    two.hello(Some(known)).await.unwrap();
    one.tell(app(1), GROUPS, 100_000, 0, 100_000).await;
    // One disbanded at B, one made at A: the release is heard first, and nobody has had 100,001.
    two.tell(app(1), GROUPS, 0, 1, 0).await;
    one.tell(app(1), GROUPS, 100_001, 0, 100_001).await;
    assert_eq!(one.usage(app(1)).await.month_peak_groups, 100_000);
    // A high between two reports is a peak, though neither end is.
    one.tell(app(1), GROUPS, 100_061, 60, 100_051).await;
    assert_eq!(one.usage(app(1)).await.month_peak_groups, 100_050);
    // Repeated while others have grown, the old high is no new peak.
    two.tell(app(1), GROUPS, 40, 1, 39).await;
    one.tell(app(1), GROUPS, 100_061, 60, 100_051).await;
    assert_eq!(one.usage(app(1)).await.month_peak_groups, 100_050);
    assert_eq!(one.usage(app(1)).await.view.net[1], 100_040);
}

#[tokio::test]
async fn a_take_that_is_withdrawn_is_no_peak() {
    let server = RedisServer::start();
    let (one, _) = Sidecar::fresh(1, &server).await;
    let rules = limits(0, 0, 1000);
    one.tell(app(1), GROUPS, 10, 0, 10).await;
    let group = take(&client("a"), 1, Resource::Group, 5, &rules);
    one.take(&group).await.unwrap();
    // Whoever looks sees what is used; the bill waits for the answer.
    assert_eq!(one.usage(app(1)).await.month_peak_groups, 15);
    one.abort(&group).await;
    assert_eq!(one.usage(app(1)).await.month_peak_groups, 10);
    let group = take(&client("b"), 2, Resource::Group, 3, &rules);
    one.take(&group).await.unwrap();
    one.answered(&group).await;
    one.release(&give_back(&client("c"), Resource::Group, 13))
        .await
        .unwrap();
    let usage = one.usage(app(1)).await;
    assert_eq!((usage.view.net[1], usage.month_peak_groups), (0, 13));
}

fn first_of_next_month(day: Day) -> Day {
    let mut next = day.next();
    while next.month() == day.month() {
        next = next.next();
    }
    next
}

#[tokio::test]
async fn a_month_begins_with_what_the_last_one_left() {
    let server = RedisServer::start();
    let (one, _) = Sidecar::fresh(1, &server).await;
    one.tell(app(1), GROUPS, 20, 5, 20).await;
    assert_eq!(one.usage(app(1)).await.month_peak_groups, 20);
    let next = first_of_next_month(today());
    // Untouched, the new month has what is there; its first change is a release.
    let usage = |day| one.store.usage(app(1), day, NOW);
    assert_eq!(usage(next).await.unwrap().month_peak_groups, 15);
    let back = GiveBack {
        day: next,
        ..give_back(&client("x"), Resource::Group, 10)
    };
    one.release(&back).await.unwrap();
    assert_eq!(usage(next).await.unwrap().month_peak_groups, 15);
    assert_eq!(usage(next).await.unwrap().view.net[1], 5);
    // A month after that, touched first by a settled creation.
    let later = first_of_next_month(next);
    let report = Report {
        apps: vec![app_report(
            app(1),
            vec![CellReport {
                high: 16,
                ..cell_report(GROUPS, 22, 9)
            }],
        )],
        ..Report::default()
    };
    one.settle(&report, later).await.unwrap();
    assert_eq!(usage(later).await.unwrap().month_peak_groups, 6);
    assert_eq!(usage(next).await.unwrap().month_peak_groups, 15);
}

#[tokio::test]
async fn a_member_with_a_new_journal_is_another_and_adds_to_the_old_ones_totals() {
    let server = RedisServer::start();
    let (one, known) = Sidecar::fresh(1, &server).await;
    one.tell(app(1), ACCOUNTS, 5, 0, 5).await;
    let reborn = Sidecar::with(77, options(&server.unix_url()));
    reborn.hello(Some(known)).await.unwrap();
    let view: View = reborn.tell(app(1), ACCOUNTS, 2, 0, 2).await;
    assert_eq!((view.net[0], view.mine[0].consumed), (7, 2));
}

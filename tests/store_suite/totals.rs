//! Totals: cumulative, one writer each, merged by maximum.

use imquota::quota::{Counter, Resource};
use imquota::store::{Cell, Report, Shard, View};

use super::{
    LedgerUnderTest, Seat, app, app_report, cell_report, limited, net, now, report, today, totals,
};

const ACCOUNTS: Cell = Cell::Live(Resource::Account);
const GROUPS: Cell = Cell::Live(Resource::Group);

pub async fn reports_lost_doubled_and_reordered_do_no_harm<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let (one, two) = (Seat::at(&ledger, 1).await, Seat::at(&ledger, 2).await);
    let of =
        |consumed, released, high| report(app(1), &[(ACCOUNTS, totals(consumed, released), high)]);
    // The second report (of 7 and 1) is lost.
    for (sent, expected) in [
        (of(5, 0, 5), 5),
        (of(5, 0, 5), 5),
        (of(9, 4, 7), 5),
        (of(5, 0, 5), 5),
        (of(7, 1, 7), 5),
        (of(9, 4, 7), 5),
        (of(9, 9, 5), 0),
    ] {
        let views = one.settle(app(1), &sent).await;
        assert_eq!(views[0].net[0], expected);
    }
    // The same numbers from another member are another member's.
    let views = two.settle(app(1), &of(9, 4, 7)).await;
    assert_eq!(views[0].net[0], 5);
}

pub async fn members_add_up_and_know_their_own_part<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let (one, two) = (Seat::at(&ledger, 1).await, Seat::at(&ledger, 2).await);
    let today = today();
    let cells = |groups, gained| {
        [
            (GROUPS, totals(groups, 1), 0),
            (Cell::Gained(today), totals(gained, 1), 0),
            (Cell::Live(Resource::AvRoom), totals(2, 0), 0),
        ]
    };
    one.settle(app(1), &report(app(1), &cells(10, 10))).await;
    let views = two.settle(app(1), &report(app(1), &cells(5, 3))).await;
    let expected = View {
        net: [0, 13, 4, 11],
        mine: [totals(0, 0), totals(5, 1), totals(2, 0), totals(3, 1)],
        ..View::default()
    };
    assert_eq!(views, [expected]);
    assert_eq!(views[0].others(Counter::Groups), 9);
    let usage = one.usage(app(1)).await;
    assert_eq!(usage.view.net, expected.net);
    assert_eq!(usage.view.mine[1], totals(10, 1));
    assert_eq!(usage.view.others(Counter::GroupsGained), 2);
    if let Some(view) = one.store.glance(app(1), today) {
        assert_eq!(super::plain(&view), usage.view);
    }
    // A creation by record is nobody's total.
    let take = one.wants(app(1), None, (Resource::Group, 1), &super::limits());
    let view = one.gets(&take).await;
    assert_eq!((view.net[1], view.mine[1]), (14, totals(10, 1)));
}

pub async fn views_come_in_the_order_of_the_apps<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let one = Seat::at(&ledger, 1).await;
    let shard = Shard::of(app(0));
    let apps: Vec<_> = (0..)
        .map(app)
        .filter(|app| Shard::of(*app) == shard)
        .take(64)
        .collect();
    let report = Report {
        apps: (1..=64)
            .rev()
            .zip(&apps)
            .map(|(n, app)| app_report(*app, vec![cell_report(ACCOUNTS, totals(n, 0), 0)]))
            .collect(),
        ..Report::default()
    };
    let settled = one.store.settle(shard, &report, today(), now()).await;
    let counts: Vec<i64> = settled
        .unwrap()
        .views
        .iter()
        .map(|view| view.net[0])
        .collect();
    assert_eq!(counts, (1..=64).rev().collect::<Vec<i64>>());
}

pub async fn totals_and_records_share_one_limit<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let one = Seat::at(&ledger, 1).await;
    let ten = limited(Counter::Accounts, 10);
    one.settle(app(1), &report(app(1), &[(ACCOUNTS, totals(8, 0), 8)]))
        .await;
    let two = (Resource::Account, 2);
    let take = one.wants(app(1), None, two, &ten);
    assert_eq!(one.gets(&take).await.net[0], 10);
    let take = one.wants(app(1), None, (Resource::Account, 1), &ten);
    assert_eq!(one.is_refused(&take).await, Counter::Accounts);
    one.settle(app(1), &report(app(1), &[(ACCOUNTS, totals(8, 1), 8)]))
        .await;
    assert_eq!(one.gets(&take).await.net[0], 10);
}

pub async fn a_report_may_lift_a_count_above_its_limit<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let one = Seat::at(&ledger, 1).await;
    let account = (Resource::Account, 1);
    one.settle(app(1), &report(app(1), &[(ACCOUNTS, totals(12, 0), 12)]))
        .await;
    let take = one.wants(app(1), None, account, &limited(Counter::Accounts, 10));
    assert_eq!(one.is_refused(&take).await, Counter::Accounts);
    assert_eq!(net(&one.usage(app(1)).await, Counter::Accounts), 12);
}

pub async fn gains_are_settled_on_their_day<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let one = Seat::at(&ledger, 1).await;
    let (today, tomorrow) = (today(), today().next());
    let sent = report(
        app(1),
        &[
            (Cell::Gained(today), totals(4, 1), 0),
            (Cell::Gained(tomorrow), totals(1, 3), 0),
        ],
    );
    let views = one.settle_on(app(1), &sent, tomorrow).await;
    assert_eq!((views[0].net[3], views[0].mine[3]), (-2, totals(1, 3)));
    let usage = one.usage_on(app(1), today).await;
    assert_eq!((usage.view.net[3], usage.view.mine[3]), (3, totals(4, 1)));
}

pub async fn a_net_count_may_be_negative_for_a_while<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let (one, two) = (Seat::at(&ledger, 1).await, Seat::at(&ledger, 2).await);
    let released = report(app(1), &[(ACCOUNTS, totals(0, 3), 0)]);
    assert_eq!(one.settle(app(1), &released).await[0].net[0], -3);
    // What is not there cannot be given back once more.
    let back = two.returns(app(1), None, (Resource::Account, 1));
    assert_eq!(two.release(&back).await, 0);
    let created = report(app(1), &[(ACCOUNTS, totals(5, 0), 5)]);
    assert_eq!(two.settle(app(1), &created).await[0].net[0], 2);
}

pub async fn nothing_is_counted_for_an_app_that_was_only_read<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let one = Seat::at(&ledger, 1).await;
    let usage = one.usage(app(1)).await;
    assert_eq!(usage, imquota::store::Usage::default());
    let nothing = report(app(1), &[(ACCOUNTS, totals(0, 0), 0)]);
    assert_eq!(one.settle(app(1), &nothing).await, [View::default()]);
    assert_eq!(one.usage(app(1)).await, usage);
}

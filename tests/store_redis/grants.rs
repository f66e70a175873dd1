//! Units that the ledger lends: a share of what is free, never more, and back again.

use imquota::quota::Resource;
use imquota::store::{Cell, Escrow, Store, Taken, Totals};

use crate::fixture::{Sidecar, allowed, app, cell_report, client, give_back, limits, take, today};
use crate::redis_server::RedisServer;

const ACCOUNTS: Cell = Cell::Live(Resource::Account);

fn escrow(granted: u64, done: u64) -> Escrow {
    Escrow {
        granted,
        done,
        ..Escrow::default()
    }
}

fn spent(consumed: u64) -> Totals {
    Totals {
        consumed,
        released: 0,
    }
}

#[tokio::test]
async fn a_wish_is_met_by_half_of_what_is_free_and_no_more_than_is_wished() {
    let server = RedisServer::start();
    let (one, _) = Sidecar::fresh(1, &server).await;
    let view = one.wish(escrow(0, 0), 1000, 100).await;
    assert_eq!((view.escrow[0].granted, view.outstanding[0]), (50, 50));
    assert_eq!(view.net[0], 0, "what is lent is not shown");
    // Half of the other half; what it has already is part of what it wishes for.
    let view = one.wish(escrow(50, 0), 60, 100).await;
    assert_eq!(view.escrow[0].granted, 60);
    let view = one.wish(escrow(60, 0), 60, 100).await;
    assert_eq!(view.escrow[0].granted, 60);
    // What is spent is in the count, and no more in what is lent.
    let view = one
        .account(app(1), ACCOUNTS, spent(45), escrow(60, 45))
        .await;
    assert_eq!((view.net[0], view.outstanding[0]), (45, 15));
    // Returned, it is free for whoever asks.
    let rules = limits(100, 0, 0);
    let rest = take(&client("rest"), 1, Resource::Account, 55, &rules);
    let refused = one.take(&rest).await.unwrap();
    assert!(
        matches!(
            refused,
            Taken::Denied {
                recallable: true,
                ..
            }
        ),
        "{refused:?}"
    );
    let view = one
        .account(app(1), ACCOUNTS, spent(45), escrow(60, 60))
        .await;
    assert_eq!(view.outstanding[0], 0);
    assert!(allowed(&one.take(&rest).await.unwrap()));
}

#[tokio::test]
async fn all_who_wish_get_a_share_and_less_than_four_is_none() {
    let server = RedisServer::start();
    let (one, known) = Sidecar::fresh(1, &server).await;
    let mut lent = 0;
    let first = one.wish(escrow(0, 0), 1000, 64).await.escrow[0].granted;
    assert_eq!(first, 32);
    lent += first;
    for number in 2..=10 {
        let other = Sidecar::new(number, &server);
        other.hello(Some(known)).await.unwrap();
        let view = other.wish(escrow(0, 0), 1000, 64).await;
        let share = (64 - lent) / (2 * number);
        let granted = view.escrow[0].granted;
        assert_eq!(granted, if share < 4 { 0 } else { share });
        // Who got nothing starves, as long as others have some.
        assert_eq!(view.recalled, granted == 0);
        lent += granted;
        assert_eq!(view.outstanding[0], lent);
    }
    // While somebody starves, what one creation may need is not lent, to nobody.
    let more = one.wish(escrow(first, 0), 1000, 64).await;
    assert_eq!(more.escrow[0].granted, first);
}

#[tokio::test]
async fn a_unit_that_is_lent_is_charged_until_it_is_spent_or_returned() {
    let server = RedisServer::start();
    let (one, known) = Sidecar::fresh(1, &server).await;
    let two = Sidecar::new(2, &server);
    two.hello(Some(known)).await.unwrap();
    one.wish(escrow(0, 0), 8, 20).await;
    let rules = limits(20, 0, 0);
    let mut allowed_too = 0;
    for attempt in 0..20 {
        let key = client(&format!("two-{attempt}"));
        let taken = two
            .take(&take(&key, attempt, Resource::Account, 1, &rules))
            .await
            .unwrap();
        allowed_too += u64::from(allowed(&taken));
    }
    assert_eq!(allowed_too, 12);
    // A refusal that only lent units cause is not kept under the id: a recall may help.
    let last = take(&client("two-19"), 100, Resource::Account, 1, &rules);
    assert!(!allowed(&two.take(&last).await.unwrap()));
    two.store.recall(app(1)).await.unwrap();
    assert_eq!(one.beats().await.recalls, [app(1)]);
    let view = one.account(app(1), ACCOUNTS, spent(3), escrow(8, 8)).await;
    assert!(view.recalled);
    assert!(allowed(&two.take(&last).await.unwrap()));
    // A refusal of a limit that is really reached is.
    for attempt in 200..204 {
        let key = client(&format!("full-{attempt}"));
        let taken = two
            .take(&take(&key, attempt, Resource::Account, 1, &rules))
            .await
            .unwrap();
        assert!(allowed(&taken));
    }
    let full = take(&client("full"), 300, Resource::Account, 1, &rules);
    let refused = two.take(&full).await.unwrap();
    assert!(
        matches!(
            refused,
            Taken::Denied {
                recallable: false,
                replayed: false,
                ..
            }
        ),
        "{refused:?}"
    );
    let again = two.take(&full).await.unwrap();
    assert!(
        matches!(again, Taken::Denied { replayed: true, .. }),
        "{again:?}"
    );
}

#[tokio::test]
async fn the_day_has_units_of_its_own() {
    let server = RedisServer::start();
    let (one, _) = Sidecar::fresh(1, &server).await;
    let wish = |day, sums, consumed| {
        let mut report = cell_report(Cell::Gained(day), consumed, 0);
        report.escrow = Some(sums);
        report.wish = Some(imquota::store::Wish {
            edition: 0,
            units: 40,
            limit: 100,
        });
        report
    };
    let view = one
        .tell_cells(app(1), vec![wish(today(), escrow(0, 0), 0)])
        .await;
    assert_eq!((view.escrow[3].granted, view.outstanding[3]), (40, 40));
    // Tomorrow's are lent beside them, and are not in today's view.
    let view = one
        .tell_cells(app(1), vec![wish(today().next(), escrow(0, 0), 0)])
        .await;
    assert_eq!(view.outstanding[3], 40);
    let group = take(&client("g"), 1, Resource::Group, 61, &limits(0, 0, 100));
    assert!(!allowed(&one.take(&group).await.unwrap()));
    let mut tomorrow = group.clone();
    tomorrow.day = today().next();
    tomorrow.key = client("t");
    assert!(!allowed(&one.take(&tomorrow).await.unwrap()));
    // Spent.
    let view = one
        .tell_cells(app(1), vec![wish(today(), escrow(40, 40), 40)])
        .await;
    assert_eq!((view.net[3], view.mine[3].consumed), (40, 40));
    // Half of what is left, but that the take that was refused starves.
    assert!(view.recalled);
    assert_eq!(view.escrow[3].granted, 40);
}

#[tokio::test]
async fn the_lowest_limit_counts_for_as_long_as_anybody_states_it() {
    let server = RedisServer::start();
    let (one, known) = Sidecar::fresh(1, &server).await;
    let two = Sidecar::new(2, &server);
    two.hello(Some(known)).await.unwrap();
    let ask = |id: &str, attempt, limit| {
        take(
            &client(id),
            attempt,
            Resource::Account,
            1,
            &limits(limit, 0, 0),
        )
    };
    assert!(allowed(&one.take(&ask("a", 1, 1)).await.unwrap()));
    assert!(!allowed(&two.take(&ask("b", 2, 100)).await.unwrap()));
    assert_eq!(two.wish(escrow(0, 0), 50, 100).await.outstanding[0], 0);
    // A minute passes in which nobody states the lower one.
    let keys: Vec<String> = server.command(&["KEYS", "*:a:1"]);
    let stated: String = server.command(&["HGET", &keys[0], "l0"]);
    let (limit, at) = stated.split_once(' ').unwrap();
    let older = at.parse::<i64>().unwrap() - 61_000;
    assert_eq!(limit, "1");
    server.command::<()>(&["HSET", &keys[0], "l0", &format!("1 {older}")]);
    assert!(allowed(&two.take(&ask("c", 3, 100)).await.unwrap()));
}

#[tokio::test]
async fn a_release_may_give_back_what_was_created_from_a_grant_and_is_not_told() {
    let server = RedisServer::start();
    let (one, known) = Sidecar::fresh(1, &server).await;
    let two = Sidecar::new(2, &server);
    two.hello(Some(known)).await.unwrap();
    one.wish(escrow(0, 0), 10, 100).await;
    // The first has spent three and not said so; the second is asked to delete one of them.
    let back = give_back(&client("x"), Resource::Account, 1);
    let given = two.release(&back).await.unwrap();
    assert!(
        matches!(
            given,
            imquota::store::GivenBack::Released {
                released: 1,
                mine: true,
                ..
            }
        ),
        "{given:?}"
    );
    let view = one.account(app(1), ACCOUNTS, spent(3), escrow(10, 3)).await;
    assert_eq!((view.net[0], view.outstanding[0]), (2, 7));
    let sums = Escrow {
        given: 1,
        ..Escrow::default()
    };
    let mut cell = cell_report(ACCOUNTS, 0, 0);
    cell.escrow = Some(sums);
    for _ in 0..2 {
        let apps = vec![crate::fixture::app_report(app(1), vec![cell])];
        let settled = two.gave(&back, apps).await;
        assert_eq!(settled.views[0].net[0], 2);
    }
}

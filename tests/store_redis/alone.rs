//! Creations that members counted without the ledger, under ids that all are to know: of two under one id the second is
//! given back, and whatever else stands under it stays.

use imquota::quota::{Counter, Resource};
use imquota::store::{Ack, Fingerprint, Intent, REPORT_RECORDS_MAX, Statement, Take, Taken, Whose};

use crate::asks::{
    MINE, REPLAYED, accounts_taken, answer, attempt, count, of, recover, statement, sums, two, with,
};
use crate::fixture::{Sidecar, app, app_report, limits};
use crate::redis_server::RedisServer;

/// An account that a member counted alone.
fn alone(id: &str, number: u64) -> Take {
    with(Intent::Alone, &count(id, number))
}

/// A creation under the same id that asks for more.
fn otherwise(attempt: u64, amount: u32) -> Take {
    Take {
        fingerprint: Fingerprint(99),
        ..of(
            Resource::Account,
            amount,
            &limits(9, 9, 9),
            &count("x", attempt),
        )
    }
}

/// Reports it, and that the member's sums have taken and given so many.
async fn says(sidecar: &Sidecar, take: &Take, (taken, given): (u64, u64)) -> Ack {
    let cells = vec![app_report(app(1), sums(take, taken, given))];
    sidecar.says_answered(take, Some(0), cells).await
}

#[tokio::test]
async fn of_two_that_counted_alone_the_second_gives_it_back() {
    let server = RedisServer::start();
    let [one, two] = two(&server).await;
    let (first, second) = (alone("x", 1), alone("x", 2));
    // An answer that is lost is given again.
    for _ in 0..2 {
        assert_eq!(says(&one, &first, (1, 0)).await, Ack::Counted);
    }
    for _ in 0..2 {
        assert_eq!(says(&two, &second, (1, 0)).await, Ack::Gone);
        assert_eq!(one.accounts().await, (2, 0));
    }
    two.tell_cells(app(1), sums(&second, 1, 1)).await;
    assert_eq!(one.accounts().await, (1, 0));
    for sidecar in [&one, &two] {
        assert_eq!(sidecar.asks(&count("x", 7)).await, REPLAYED);
    }
    assert_eq!(one.take(&otherwise(8, 2)).await, Ok(Taken::OtherContent));
    assert_eq!(one.accounts().await, (1, 0));
}

#[tokio::test]
async fn what_the_ledger_had_counted_is_not_counted_by_one_alone() {
    let server = RedisServer::start();
    let [one, two] = two(&server).await;
    let asked = count("x", 1);
    assert_eq!(two.asks(&asked).await, MINE);
    assert_eq!(two.answered(&asked).await, Ack::Counted);
    assert_eq!(says(&one, &alone("x", 2), (1, 0)).await, Ack::Gone);
    one.tell_cells(app(1), sums(&asked, 1, 1)).await;
    assert_eq!(two.accounts().await, (1, 0));
}

#[tokio::test]
async fn one_who_counted_alone_waits_for_what_is_on_its_way() {
    for is_answered in [false, true] {
        let server = RedisServer::start();
        let [one, two] = two(&server).await;
        let (asked, counted) = (count("x", 1), alone("x", 2));
        assert_eq!(two.asks(&asked).await, MINE);
        for _ in 0..2 {
            assert_eq!(says(&one, &counted, (1, 0)).await, Ack::Again);
        }
        if is_answered {
            assert_eq!(two.answered(&asked).await, Ack::Counted);
            assert_eq!(says(&one, &counted, (1, 0)).await, Ack::Gone);
            one.tell_cells(app(1), sums(&counted, 1, 1)).await;
        } else {
            two.abort(&asked).await;
            assert_eq!(says(&one, &counted, (1, 0)).await, Ack::Counted);
        }
        assert_eq!(two.accounts().await, (1, 0), "{is_answered}");
        assert_eq!(two.asks(&attempt(3, &asked)).await, REPLAYED);
    }
}

#[tokio::test]
async fn what_stands_for_something_else_is_left_alone() {
    let server = RedisServer::start();
    let [one, two] = two(&server).await;
    let more = otherwise(1, 3);
    assert_eq!(two.asks(&more).await, MINE);
    assert_eq!(says(&one, &alone("x", 2), (1, 0)).await, Ack::Counted);
    assert_eq!(two.accounts().await, (4, 0));
    two.abort(&more).await;
    assert_eq!(two.accounts().await, (1, 0));
}

#[tokio::test]
async fn what_was_refused_and_exists_is_known_by_its_id() {
    let server = RedisServer::start();
    let [one, two] = two(&server).await;
    let refused = of(Resource::Account, 1, &limits(0, 9, 9), &count("x", 1));
    let denied = two.take(&refused).await;
    assert!(
        matches!(
            denied,
            Ok(Taken::Denied {
                counter: Counter::Accounts,
                ..
            })
        ),
        "{denied:?}"
    );
    let exists = with(Intent::Alone, &attempt(2, &refused));
    assert_eq!(says(&one, &exists, (1, 0)).await, Ack::Counted);
    let again = two.take(&attempt(3, &refused)).await;
    assert!(
        matches!(
            again,
            Ok(Taken::Allowed {
                replayed: true,
                whose: Whose::Another,
                ..
            })
        ),
        "{again:?}"
    );
    assert_eq!(two.accounts().await, (1, 0));
}

#[tokio::test]
async fn a_server_that_forgot_is_told_once_it_knows_all_the_sums() {
    let server = RedisServer::start();
    let [one, two] = two(&server).await;
    let (first, second) = (alone("x", 1), alone("x", 2));
    assert_eq!(says(&one, &first, (1, 0)).await, Ack::Counted);
    server.flush_all();
    let known = imquota::store::Known {
        answered: answer(&first, true),
        lives: vec![0],
    };
    let of_one = Statement {
        kept: vec![known],
        ..statement(accounts_taken(1), Vec::new())
    };
    let of_two = statement(accounts_taken(1), vec![answer(&second, true)]);
    recover([(&two, &of_two), (&one, &of_one)]).await;
    assert_eq!(one.accounts().await, (2, 0));
    assert_eq!(says(&two, &second, (1, 0)).await, Ack::Gone);
    two.tell_cells(app(1), sums(&second, 1, 1)).await;
    assert_eq!(one.accounts().await, (1, 0));
}

/// Ids of real gateways are as long as UUIDs. What a shared one costs is in the README.
#[tokio::test]
async fn a_shared_id_costs_at_most_so_many_bytes() {
    const IDS: u64 = 8_192;
    let server = RedisServer::start();
    let [one, _] = two(&server).await;
    let memory = || {
        let info: String = server.command(&["INFO", "memory"]);
        let mut lines = info.lines();
        let used = lines.find_map(|line| line.strip_prefix("used_memory:"));
        used.unwrap().parse::<u64>().unwrap()
    };
    let plenty = limits(IDS, 9, 9);
    let id = |number: u64| {
        format!(
            "{:08x}-79b0-7cc3-98c4-{number:012x}",
            number * 2_654_435_761 % (1 << 32)
        )
    };
    let takes = (0..IDS).map(|number| {
        let take = attempt(number + 1, &count(&id(number), 0));
        of(Resource::Account, 1, &plenty, &take)
    });
    let before = memory();
    let takes: Vec<Take> = takes.collect();
    for part in takes.chunks(REPORT_RECORDS_MAX) {
        for take in part {
            assert_eq!(one.asks(take).await, MINE);
        }
        let told = part.iter().map(|take| answer(take, true));
        let taken = part.last().expect("a part is not empty").attempt.0;
        let report = imquota::store::Report {
            apps: vec![app_report(app(1), accounts_taken(taken))],
            answered: told.collect(),
            ..Default::default()
        };
        let settled = one.settle(&report, crate::fixture::today()).await.unwrap();
        assert!(settled.acks.iter().all(|ack| *ack == Ack::Counted));
    }
    let bytes = (memory() - before) / IDS;
    println!("a shared id costs {bytes} bytes in Redis");
    assert!(bytes <= 320, "{bytes} bytes an id");
}

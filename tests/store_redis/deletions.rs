//! Deletions of what its creator has yet to report: it is told so, also by a server that forgot, and before it
//! takes part in a recount.

use imquota::quota::Resource;
use imquota::store::{
    Ack, AppReport, GaveBack, GiveBack, HoldState, Known, Operator, Report, Statement, Take, Taken,
    Whose,
};

use crate::asks::{
    MINE, PLAIN, accounts_taken, answer, attempt, create, delete, recover, reserve, statement,
    sums, two,
};
use crate::fixture::{app, app_report, today};
use crate::redis_server::RedisServer;

const ACCOUNT: Resource = Resource::Account;

fn gave_back(number: u64, in_sums: bool) -> GaveBack {
    GaveBack {
        give_back: delete("x", ACCOUNT, number),
        released: 1,
        resource: ACCOUNT,
        groups: 0,
        in_sums,
    }
}

#[tokio::test]
async fn a_restated_deletion_is_told_to_whoever_has_yet_to_count_the_object() {
    for in_sums in [false, true] {
        let server = RedisServer::start();
        let [one, two] = two(&server).await;
        let (take, other) = (create("a", 1, 7), create("b", 2, 8));
        assert_eq!(one.asks(&take).await, MINE);
        assert_eq!(one.asks(&other).await, MINE);
        server.flush_all();
        let of_one = statement(
            accounts_taken(0),
            vec![answer(&take, false), answer(&other, false)],
        );
        let of_two = Statement {
            released: vec![gave_back(7, in_sums)],
            ..statement(accounts_taken(0), Vec::new())
        };
        recover([(&one, &of_one), (&two, &of_two)]).await;
        assert_eq!(one.accounts().await, (1, 0), "{in_sums}");
        assert!(!one.knows(7).await && one.knows(8).await);
        let told = if in_sums { Ack::Counted } else { Ack::Gone };
        assert_eq!(one.says(&take).await, told);
        assert_eq!(one.says(&other).await, Ack::Yours);
        assert_eq!(one.accounts().await, (1, 0), "{in_sums}");
        // It may be created anew.
        assert_eq!(two.asks(&create("c", 3, 7)).await, MINE);
    }
}

#[tokio::test]
async fn a_creator_gives_back_what_its_sums_contain_of_a_restated_deletion() {
    for second_first in [false, true] {
        let server = RedisServer::start();
        let [one, two] = two(&server).await;
        let take = create("a", 1, 7);
        assert_eq!(one.asks(&take).await, MINE);
        two.deletes(&delete("x", ACCOUNT, 7)).await;
        server.flush_all();
        let of_one = statement(accounts_taken(1), vec![answer(&take, true)]);
        let of_two = Statement {
            released: vec![gave_back(7, false)],
            ..statement(accounts_taken(0), Vec::new())
        };
        let both = [(&one, &of_one), (&two, &of_two)];
        recover(if second_first {
            [both[1], both[0]]
        } else {
            both
        })
        .await;
        assert!(!one.knows(7).await);
        let cells = vec![app_report(app(1), sums(&take, 1, 0))];
        let told = one.says_answered(&take, Some(0), cells).await;
        assert_eq!(told, Ack::Gone, "second first: {second_first}");
        let cells = vec![app_report(app(1), sums(&take, 1, 1))];
        assert_eq!(
            one.says_answered(&take, Some(0), cells).await,
            Ack::Gone,
            "that answer may be lost"
        );
        assert_eq!(one.accounts().await, (0, 0));
        assert_eq!(
            two.deletes(&delete("y", ACCOUNT, 7)).await,
            (0, ACCOUNT, false)
        );
        assert_eq!(two.asks(&create("b", 3, 7)).await, MINE);
    }
}

#[tokio::test]
async fn what_is_reserved_is_not_ended_by_an_older_deletion() {
    let server = RedisServer::start();
    let [one, two] = two(&server).await;
    let hold = crate::asks::named(7, &reserve("a", 1, 60_000));
    assert_eq!(one.asks(&hold).await, PLAIN);
    server.flush_all();
    let of_one = statement(accounts_taken(0), vec![answer(&hold, false)]);
    let of_two = Statement {
        released: vec![gave_back(7, true)],
        ..statement(accounts_taken(0), Vec::new())
    };
    recover([(&one, &of_one), (&two, &of_two)]).await;
    assert_eq!(one.accounts().await, (1, 1));
    assert_eq!(one.state_of("a").await, Some(HoldState::Open));
}

#[tokio::test]
async fn a_freeze_is_acknowledged_when_what_was_deleted_is_given_back() {
    let server = RedisServer::start();
    let [one, two] = two(&server).await;
    let take = create("a", 1, 7);
    assert_eq!(one.asks(&take).await, MINE);
    assert_eq!(
        two.deletes(&delete("x", ACCOUNT, 7)).await,
        (1, ACCOUNT, false)
    );
    let frozen = two.store.freeze(app(1), ACCOUNT).await.unwrap();
    let report = |given, answered| Report {
        apps: vec![AppReport {
            acks_freeze: Some(frozen.token),
            ..app_report(app(1), sums(&take, 1, given))
        }],
        answered,
        ..Report::default()
    };
    let awaited = async || {
        let awaited = two.store.awaited(app(1), frozen.token).await.unwrap();
        awaited.contains(&one.member.incarnation)
    };
    let first = report(0, vec![answer(&take, true)]);
    let settled = one.settle(&first, today()).await.unwrap();
    assert_eq!(settled.acks, [Ack::Gone]);
    assert_eq!(settled.views[0].net[0], 1);
    assert!(awaited().await, "it has yet to give it back");
    let settled = one.settle(&report(1, Vec::new()), today()).await.unwrap();
    assert_eq!(settled.views[0].net[0], 0);
    assert!(!awaited().await);
}

#[tokio::test]
async fn what_was_answered_of_deleted_objects_is_known_to_a_server_that_forgot() {
    for second_first in [false, true] {
        let server = RedisServer::start();
        let [one, two] = two(&server).await;
        // The one was deleted when it was counted, the other before it was reported.
        let (counted, gone) = (create("a", 1, 7), create("b", 2, 8));
        for take in [&counted, &gone] {
            assert_eq!(one.asks(take).await, MINE);
        }
        assert_eq!(one.answered(&counted).await, Ack::Counted);
        let deletions = [delete("x", ACCOUNT, 7), delete("y", ACCOUNT, 8)];
        for deletion in &deletions {
            assert_eq!(two.deletes(deletion).await.0, 1);
        }
        assert_eq!(one.says(&gone).await, Ack::Gone);
        let is_repeated = async |number, take: &Take| {
            let again = two.take(&attempt(number, take)).await.unwrap();
            let Taken::Allowed {
                replayed: true,
                whose: Whose::Nobody,
                view,
                ..
            } = again
            else {
                panic!("{again:?}");
            };
            assert_eq!(view.net[0], 0);
        };
        is_repeated(11, &counted).await;
        is_repeated(12, &gone).await;
        server.flush_all();
        let known = |take: &Take, lives: &[u64]| Known {
            answered: answer(take, !lives.is_empty()),
            lives: lives.to_vec(),
        };
        let of_one = Statement {
            kept: vec![known(&counted, &[0]), known(&gone, &[])],
            ..statement(accounts_taken(1), Vec::new())
        };
        let gave = |give_back: &GiveBack, in_sums| GaveBack {
            give_back: give_back.clone(),
            ..gave_back(0, in_sums)
        };
        let of_two = Statement {
            released: vec![gave(&deletions[0], true), gave(&deletions[1], false)],
            ..statement(sums(&counted, 0, 1), Vec::new())
        };
        let both = [(&one, &of_one), (&two, &of_two)];
        recover(if second_first {
            [both[1], both[0]]
        } else {
            both
        })
        .await;
        is_repeated(13, &counted).await;
        is_repeated(14, &gone).await;
        for number in [7, 8] {
            assert!(!one.knows(number).await);
        }
        assert_eq!(one.accounts().await, (0, 0));
    }
}

#[tokio::test]
async fn a_late_copy_of_an_attempt_without_an_id_counts_nothing() {
    let server = RedisServer::start();
    let [one, two] = two(&server).await;
    let take = crate::asks::create_unnoted(1, 7);
    assert_eq!(one.asks(&take).await, MINE);
    assert_eq!(one.answered(&take).await, Ack::Counted);
    assert_eq!(two.deletes(&delete("x", ACCOUNT, 7)).await.0, 1);
    assert!(one.asks(&take).await.replayed);
    two.gave(
        &delete("x", ACCOUNT, 7),
        vec![app_report(app(1), sums(&take, 0, 1))],
    )
    .await;
    assert_eq!(one.accounts().await, (0, 0));
    assert!(!one.knows(7).await);
    // Another attempt is another creation.
    assert_eq!(two.asks(&crate::asks::create_unnoted(2, 7)).await, MINE);
}

//! Takes, releases, and everything that may overtake them.

use std::sync::Arc;

use imquota::quota::{Counter, Resource};
use imquota::store::{
    Abort, Ack, Answered, Attempt, Cell, CellReport, Escrow, Fingerprint, GivenBack,
    REPORT_RECORDS_MAX, RecordKey, Report, StoreFault, Taken,
};

use crate::fixture::{
    Sidecar, allowed, app, app_report, cell_report, client, give_back, limits, take, today,
};
use crate::redis_server::RedisServer;

fn own(incarnation: u64, attempt: u64) -> RecordKey {
    RecordKey::Own {
        incarnation,
        attempt: Attempt(attempt),
    }
}

#[tokio::test]
async fn two_members_admit_exactly_the_limit_of_two_thousand_concurrent_takes() {
    let server = RedisServer::start();
    let (one, known) = Sidecar::fresh(1, &server).await;
    let two = Sidecar::new(2, &server);
    two.hello(Some(known)).await.unwrap();
    let sidecars = [Arc::new(one), Arc::new(two)];
    let limits = limits(100, 0, 0);
    let mut calls = tokio::task::JoinSet::new();
    for attempt in 0..2000_u64 {
        let sidecar = Arc::clone(&sidecars[usize::try_from(attempt % 2).unwrap()]);
        calls.spawn(async move {
            let key = own(sidecar.member.incarnation, attempt);
            let take = take(&key, attempt, Resource::Account, 1, &limits);
            allowed(&sidecar.take(&take).await.unwrap())
        });
    }
    let admitted = calls
        .join_all()
        .await
        .into_iter()
        .filter(|&yes| yes)
        .count();
    assert_eq!(admitted, 100);
    assert_eq!(sidecars[0].usage(app(1)).await.view.net[0], 100);
}

#[tokio::test]
async fn an_av_room_moves_three_counters_and_the_first_that_is_full_refuses() {
    let server = RedisServer::start();
    let (one, _) = Sidecar::fresh(1, &server).await;
    let rules = limits(0, 3, 100);
    let first = one
        .take(&take(&client("a"), 1, Resource::AvRoom, 3, &rules))
        .await;
    let Ok(Taken::Allowed { view, replayed, .. }) = first else {
        panic!("{first:?}");
    };
    assert_eq!((view.net, replayed), ([0, 3, 3, 3], false));
    let second = one
        .take(&take(&client("b"), 2, Resource::AvRoom, 1, &rules))
        .await;
    let Ok(Taken::Denied {
        counter,
        view,
        replayed,
        ..
    }) = second
    else {
        panic!("{second:?}");
    };
    assert_eq!((counter, replayed), (Counter::AvRooms, false));
    assert_eq!(view.net, [0, 3, 3, 3]);
    let gained = one
        .take(&take(&client("c"), 3, Resource::Group, 4, &limits(0, 3, 6)))
        .await;
    assert!(
        matches!(
            gained,
            Ok(Taken::Denied {
                counter: Counter::GroupsGained,
                ..
            })
        ),
        "{gained:?}"
    );
}

#[tokio::test]
async fn an_id_has_one_outcome_through_any_member() {
    let server = RedisServer::start();
    let (one, known) = Sidecar::fresh(1, &server).await;
    let two = Sidecar::new(2, &server);
    two.hello(Some(known)).await.unwrap();
    let rules = limits(1, 0, 0);
    assert!(allowed(
        &one.take(&take(&client("id"), 1, Resource::Account, 1, &rules))
            .await
            .unwrap()
    ));
    let again = two
        .take(&take(&client("id"), 1, Resource::Account, 1, &rules))
        .await;
    assert!(
        matches!(again, Ok(Taken::Allowed { replayed: true, .. })),
        "{again:?}"
    );
    // A refusal is remembered too, even when there would be room by now.
    let refused = take(&client("no"), 2, Resource::Account, 1, &rules);
    let denied = one.take(&refused).await;
    assert!(
        matches!(
            denied,
            Ok(Taken::Denied {
                replayed: false,
                ..
            })
        ),
        "{denied:?}"
    );
    one.release(&give_back(&client("gone"), Resource::Account, 1))
        .await
        .unwrap();
    let denied = two.take(&refused).await;
    assert!(
        matches!(denied, Ok(Taken::Denied { replayed: true, .. })),
        "{denied:?}"
    );
    // Other content under the same id, as a take or as a release.
    let other = Ok(Taken::OtherContent);
    assert_eq!(
        two.take(&take(&client("id"), 3, Resource::Account, 2, &rules))
            .await,
        other
    );
    assert_eq!(
        two.take(&take(&client("gone"), 4, Resource::Account, 1, &rules))
            .await,
        other
    );
    let back = two
        .release(&give_back(&client("id"), Resource::Account, 1))
        .await;
    assert_eq!(back, Ok(GivenBack::OtherContent));
    assert_eq!(one.usage(app(1)).await.view.net[0], 0);
}

#[tokio::test]
async fn an_own_key_is_no_clients_and_its_refusal_is_forgotten() {
    let server = RedisServer::start();
    let (one, _) = Sidecar::fresh(1, &server).await;
    let rules = limits(1, 0, 0);
    let mine = take(&own(1, 7), 7, Resource::Account, 1, &rules);
    assert!(allowed(&one.take(&mine).await.unwrap()));
    let looks_alike = take(&client("1.7"), 8, Resource::Account, 1, &rules);
    assert!(!allowed(&one.take(&looks_alike).await.unwrap()));
    let refused = take(&own(1, 9), 9, Resource::Account, 1, &rules);
    assert!(!allowed(&one.take(&refused).await.unwrap()));
    let fields: Vec<String> = server.command(&["HKEYS", &records_key(&server)]);
    assert_eq!(fields.len(), 2, "{fields:?}");
}

fn records_key(server: &RedisServer) -> String {
    let keys: Vec<String> = server.command(&["KEYS", "*:r:1"]);
    keys[0].clone()
}

#[tokio::test]
async fn an_abort_frees_a_held_take_and_stops_the_one_that_comes_late() {
    let server = RedisServer::start();
    let (one, _) = Sidecar::fresh(1, &server).await;
    let rules = limits(0, 10, 10);
    let room = take(&client("id"), 1, Resource::AvRoom, 4, &rules);
    one.take(&room).await.unwrap();
    one.abort(&room).await;
    assert_eq!(one.usage(app(1)).await.view.net, [0; 4]);
    assert_eq!(one.take(&room).await, Ok(Taken::Withdrawn));
    // Repeated, the abort frees nothing more.
    one.abort(&room).await;
    assert_eq!(one.usage(app(1)).await.view.net, [0; 4]);
    // The next try of the same id is judged anew, whatever its content.
    let next = take(&client("id"), 2, Resource::AvRoom, 5, &rules);
    let taken = one.take(&next).await;
    assert!(
        matches!(
            taken,
            Ok(Taken::Allowed {
                replayed: false,
                ..
            })
        ),
        "{taken:?}"
    );
    // An abort that overtakes its take.
    let late = take(&client("late"), 3, Resource::AvRoom, 1, &rules);
    one.abort(&late).await;
    assert_eq!(one.take(&late).await, Ok(Taken::Withdrawn));
    assert_eq!(one.usage(app(1)).await.view.net, [0, 5, 5, 5]);
}

#[tokio::test]
async fn a_second_claim_survives_the_abort_of_the_first() {
    let server = RedisServer::start();
    let (one, known) = Sidecar::fresh(1, &server).await;
    let two = Sidecar::new(2, &server);
    two.hello(Some(known)).await.unwrap();
    let rules = limits(10, 0, 0);
    let first = take(&client("id"), 1, Resource::Account, 1, &rules);
    one.take(&first).await.unwrap();
    // The same attempt number of another member is another claim.
    two.take(&first).await.unwrap();
    one.abort(&first).await;
    assert_eq!(one.usage(app(1)).await.view.net[0], 1);
    two.abort(&first).await;
    assert_eq!(one.usage(app(1)).await.view.net[0], 0);
}

#[tokio::test]
async fn what_was_answered_is_freed_by_no_abort() {
    let server = RedisServer::start();
    let (one, known) = Sidecar::fresh(1, &server).await;
    let two = Sidecar::new(2, &server);
    two.hello(Some(known)).await.unwrap();
    let rules = limits(10, 0, 0);
    let first = take(&client("id"), 1, Resource::Account, 1, &rules);
    one.take(&first).await.unwrap();
    two.take(&first).await.unwrap();
    one.answered(&first).await;
    one.answered(&first).await;
    two.abort(&first).await;
    one.abort(&first).await;
    assert_eq!(one.usage(app(1)).await.view.net[0], 1);
    let again = two
        .take(&take(&client("id"), 2, Resource::Account, 1, &rules))
        .await;
    assert!(
        matches!(again, Ok(Taken::Allowed { replayed: true, .. })),
        "{again:?}"
    );
}

#[tokio::test]
async fn more_tries_than_are_followed_leave_the_unit_charged() {
    let server = RedisServer::start();
    let (one, _) = Sidecar::fresh(1, &server).await;
    let rules = limits(10, 0, 0);
    let tries: Vec<_> = (0..80)
        .map(|attempt| take(&client("id"), attempt, Resource::Account, 1, &rules))
        .collect();
    for one_try in &tries {
        assert!(allowed(&one.take(one_try).await.unwrap()));
    }
    for one_try in &tries {
        one.abort(one_try).await;
    }
    // One of those that were not followed may have been answered: only a recount frees it.
    assert_eq!(one.usage(app(1)).await.view.net[0], 1);
}

#[tokio::test]
async fn a_release_gives_back_at_most_what_was_counted_and_once() {
    let server = RedisServer::start();
    let (one, _) = Sidecar::fresh(1, &server).await;
    let rules = limits(10, 10, 10);
    one.take(&take(&client("a"), 1, Resource::Account, 3, &rules))
        .await
        .unwrap();
    one.take(&take(&client("r"), 2, Resource::AvRoom, 2, &rules))
        .await
        .unwrap();
    let back = give_back(&client("b"), Resource::Account, 5);
    let Ok(GivenBack::Released {
        released,
        view,
        replayed,
        ..
    }) = one.release(&back).await
    else {
        panic!("must be released");
    };
    assert_eq!((released, view.net[0], replayed), (3, 0, false));
    // Repeated it is told the same and moves nothing.
    one.take(&take(&client("c"), 3, Resource::Account, 4, &rules))
        .await
        .unwrap();
    let Ok(GivenBack::Released {
        released,
        view,
        replayed,
        ..
    }) = one.release(&back).await
    else {
        panic!("must be released");
    };
    assert_eq!((released, view.net[0], replayed), (3, 4, true));
    // A room takes its group and today's gain with it; nothing is minted by releasing too much.
    for id in ["d", "e"] {
        one.release(&give_back(&client(id), Resource::AvRoom, 5))
            .await
            .unwrap();
    }
    assert_eq!(one.usage(app(1)).await.view.net, [4, 0, 0, 0]);
    for attempt in 10..30 {
        let room = take(&own(1, attempt), attempt, Resource::AvRoom, 1, &rules);
        one.take(&room).await.unwrap();
    }
    assert_eq!(one.usage(app(1)).await.view.net[2], 10);
}

#[tokio::test]
async fn a_room_that_is_no_group_moves_alone() {
    let server = RedisServer::start();
    let (one, _) = Sidecar::fresh(1, &server).await;
    let mut rules = limits(0, 10, 0);
    rules.av_rooms_are_groups = false;
    one.take(&take(&client("a"), 1, Resource::AvRoom, 3, &rules))
        .await
        .unwrap();
    let mut back = give_back(&client("b"), Resource::AvRoom, 1);
    back.groups_follow = false;
    one.release(&back).await.unwrap();
    assert_eq!(one.usage(app(1)).await.view.net, [0, 0, 2, 0]);
}

#[tokio::test]
async fn records_that_rest_longer_than_the_window_are_folded_by_any_step_of_the_shard() {
    let server = RedisServer::start();
    let (one, _) = Sidecar::fresh(1, &server).await;
    let rules = limits(100, 0, 0);
    let counted = take(&client("counted"), 1, Resource::Account, 1, &rules);
    let held = take(&client("held"), 2, Resource::Account, 1, &rules);
    let young = take(&client("young"), 3, Resource::Account, 1, &rules);
    for one_take in [&counted, &held, &young] {
        one.take(one_take).await.unwrap();
    }
    one.answered(&counted).await;
    one.answered_among(&young, 2).await;
    let key = records_key(&server);
    // Twelve minutes pass for the first two.
    for field in ["counted", "held"] {
        let record: String = server.command(&["HGET", &key, field]);
        let mut parts: Vec<String> = record.split('|').map(str::to_owned).collect();
        parts[6] = (parts[6].parse::<i64>().unwrap() - 720_000).to_string();
        server.command::<()>(&["HSET", &key, field, &parts.join("|")]);
    }
    one.take(&take(&client("next"), 4, Resource::Account, 1, &rules))
        .await
        .unwrap();
    let mut fields: Vec<String> = server.command(&["HKEYS", &key]);
    fields.sort();
    assert_eq!(fields, ["held", "next", "young"]);
    assert_eq!(one.usage(app(1)).await.view.net[0], 4);
    assert_eq!(server.command::<i64>(&["LLEN", &queue_key(&server)]), 1);
    // Folded, it is in its member's sums for good: stating it again adds nothing.
    one.answered_among(&counted, 2).await;
    assert_eq!(one.usage(app(1)).await.view.net[0], 4);
}

fn queue_key(server: &RedisServer) -> String {
    let keys: Vec<String> = server.command(&["KEYS", "*:f"]);
    keys[0].clone()
}

#[tokio::test]
async fn a_record_that_rested_and_is_held_again_is_not_folded() {
    let server = RedisServer::start();
    let (one, _) = Sidecar::fresh(1, &server).await;
    let rules = limits(100, 0, 0);
    one.abort(&take(&client("id"), 1, Resource::Account, 1, &rules))
        .await;
    let held = take(&client("id"), 2, Resource::Account, 1, &rules);
    one.take(&held).await.unwrap();
    let key = records_key(&server);
    let record: String = server.command(&["HGET", &key, "id"]);
    let since = record.split('|').nth(6).unwrap();
    let older = (since.parse::<i64>().unwrap() - 720_000).to_string();
    server.command::<()>(&["HSET", &key, "id", &record.replace(since, &older)]);
    one.take(&take(&client("next"), 3, Resource::Account, 1, &rules))
        .await
        .unwrap();
    assert!(server.command::<bool>(&["HEXISTS", &key, "id"]));
    // Withdrawn at last, it is freed.
    one.abort(&held).await;
    assert_eq!(one.usage(app(1)).await.view.net[0], 1);
}

#[tokio::test]
async fn a_take_that_is_withdrawn_when_its_day_is_over_leaves_no_gain_behind() {
    let server = RedisServer::start();
    let (one, _) = Sidecar::fresh(1, &server).await;
    let group = take(&client("id"), 1, Resource::Group, 2, &limits(0, 0, 9));
    one.take(&group).await.unwrap();
    // Nine days pass.
    let key = records_key(&server);
    let record: String = server.command(&["HGET", &key, "id"]);
    let day = format!("|{}|", today().number());
    let older = record.replace(&day, &format!("|{}|", today().number() - 9));
    server.command::<()>(&["HSET", &key, "id", &older]);
    let gain: Vec<String> = server.command(&["KEYS", "*:g:1:*"]);
    server.command::<()>(&["DEL", &gain[0]]);
    one.abort(&group).await;
    assert_eq!(one.usage(app(1)).await.view.net, [0; 4]);
    assert!(
        server
            .command::<Vec<String>>(&["KEYS", "*:g:1:*"])
            .is_empty()
    );
}

#[tokio::test]
async fn a_damaged_record_is_a_fault_and_changes_nothing() {
    let server = RedisServer::start();
    let (one, _) = Sidecar::fresh(1, &server).await;
    let rules = limits(10, 0, 0);
    one.take(&take(&client("a"), 1, Resource::Account, 1, &rules))
        .await
        .unwrap();
    server.command::<()>(&["HSET", &records_key(&server), "a", "nonsense"]);
    let again = one
        .take(&take(&client("a"), 2, Resource::Account, 1, &rules))
        .await;
    assert!(
        matches!(&again, Err(StoreFault::Unusable(words)) if words.contains("damaged")),
        "{again:?}"
    );
    assert_eq!(one.usage(app(1)).await.view.net[0], 1);
}

#[tokio::test]
async fn the_gain_belongs_to_the_takes_day() {
    let server = RedisServer::start();
    let (one, _) = Sidecar::fresh(1, &server).await;
    let rules = limits(0, 0, 5);
    let mut tomorrow = take(&client("t"), 1, Resource::Group, 5, &rules);
    tomorrow.day = today().next();
    assert!(allowed(
        &one.take(&take(&client("d"), 2, Resource::Group, 5, &rules))
            .await
            .unwrap()
    ));
    assert!(!allowed(
        &one.take(&take(&client("e"), 3, Resource::Group, 1, &rules))
            .await
            .unwrap()
    ));
    assert!(allowed(&one.take(&tomorrow).await.unwrap()));
    // Withdrawn, it goes from its own day.
    one.abort(&tomorrow).await;
    assert_eq!(one.usage(app(1)).await.view.net, [0, 5, 0, 5]);
    tomorrow.attempt = Attempt(4);
    tomorrow.fingerprint = Fingerprint(9);
    let Ok(Taken::Allowed { view, .. }) = one.take(&tomorrow).await else {
        panic!("tomorrow is free again");
    };
    assert_eq!(view.net, [0, 10, 0, 5]);
}

#[tokio::test]
async fn the_largest_report_is_settled_whole_in_one_step() {
    const KEPT: usize = REPORT_RECORDS_MAX / 4 * 3;
    let server = RedisServer::start();
    let (one, _) = Sidecar::fresh(1, &server).await;
    let rules = limits(1000, 0, 0);
    let takes: Vec<_> = (0..u64::try_from(REPORT_RECORDS_MAX).unwrap())
        .map(|attempt| take(&own(1, attempt), attempt, Resource::Account, 1, &rules))
        .collect();
    for one_take in &takes {
        one.take(one_take).await.unwrap();
    }
    let (kept, withdrawn) = takes.split_at(KEPT);
    let sums = Escrow {
        taken: u64::try_from(KEPT).unwrap(),
        ..Escrow::default()
    };
    let cell = CellReport {
        escrow: Some(sums),
        ..cell_report(Cell::Live(Resource::Account), 10, 0)
    };
    let report = Report {
        apps: vec![app_report(app(1), vec![cell])],
        answered: kept
            .iter()
            .map(|take| Answered {
                take: take.clone(),
                refused: None,
                contained: Some(0),
            })
            .collect(),
        aborts: withdrawn.iter().map(Abort::of).collect(),
        gave: Vec::new(),
    };
    let before = one.usage(app(1)).await.view.seq;
    for _ in 0..2 {
        let settled = one.settle(&report, today()).await.unwrap();
        assert_eq!((settled.views.len(), settled.acks.len()), (1, KEPT));
        assert!(settled.acks.iter().all(|ack| *ack == Ack::Counted));
        let view = one.usage(app(1)).await.view;
        assert_eq!(view.net[0], 10 + i64::try_from(KEPT).unwrap());
        // Between two steps others would see the takes in the sums and charged by their records.
        // Told again it changes nothing.
        assert_eq!(view.seq, before + 1, "one step");
    }
}

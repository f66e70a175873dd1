//! A sidecar whose clock is far from the ledger's: days are told apart by the ledger's, so the sidecar says that it
//! is wrong, goes on, and makes no bill final.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::client::{ALLOW, creation, verdict};
use crate::http;
use crate::other_clock::OtherClock;
use crate::process::Process;
use crate::recount::operators;
use crate::redis_server::{Persistence, RedisServer};
use crate::sidecar::Sidecar;
use crate::wait::until;
use crate::world::script;

/// Far from the ledger's: more than a minute.
const AHEAD_S: u32 = 90;

#[tokio::test]
async fn a_clock_that_is_far_from_the_ledgers_is_an_alarm_and_no_bill_is_final() {
    let redis = RedisServer::ahead_by(Persistence::None, AHEAD_S);
    let mut sidecar = Sidecar::new(&redis.url(), "");
    let (socket, pages) = (operators(&sidecar), sidecar.settings().with_file_name("p"));
    sidecar.set(&format!(
        "admin_listen: \"{socket}\"\nhttp_listen: \"unix:{}\"\napps: [{{ app_id: 7, plan: pro }}]\n",
        pages.display()
    ));
    sidecar.start_again().await;
    let line = sidecar
        .process()
        .says("clock is far from the ledger's")
        .await;
    let line: Value = serde_json::from_str(&line).expect("the log is JSON");
    let fields = line.get("fields").unwrap_or(&line);
    assert_eq!(line["level"], "ERROR");
    let error_ms = fields["error_ms"].as_u64().expect("a number");
    assert!(
        error_ms.abs_diff(u64::from(AHEAD_S) * 1_000) < 5_000,
        "{line}"
    );
    let page = http::get(&pages, "/metrics").await;
    let error = page.series("imquota_clock_error_seconds");
    assert!(error > Some(85.0) && error < Some(95.0), "{error:?}");

    // A month that is long over is not final here, and its bill is not written.
    let today = Timestamp::now() - SignedDuration::from_hours(24 * 70);
    let month = today.to_string()[..7].to_owned();
    let words = [
        "bill",
        "run",
        "--month",
        &month,
        "--admin-endpoint",
        &socket,
    ];
    let ended = Process::imquota(words).ended().await;
    assert_eq!((ended.code(), &*ended.stdout), (1, ""), "{ended:?}");
    assert!(ended.stderr.contains("whose clock is right"), "{ended:?}");
    let client = sidecar.client().await;
    let bill = client.bill(7, &month).await;
    let note = format!("s from the ledger's: no bill of {month} is final here");
    assert!(
        !bill.r#final && bill.notes.iter().any(|of| of.ends_with(&note)),
        "{bill:?}"
    );

    // All else goes on, by the ledger's days.
    let answer = client
        .create(7, imquota::grpc::proto::Resource::AvRoom)
        .await;
    assert_eq!(verdict(&answer), ALLOW);
    let recorded = client.record(7, ["ann"]).await;
    until("the day's users", async || {
        let usage = client.usage(7).await;
        if usage.daily_active == recorded.daily_active {
            Ok(())
        } else {
            Err(usage)
        }
    })
    .await;
    sidecar.stop().await;
}

const HOUR_S: i64 = 60 * 60;
const LIMITED: &str = "
plans: { small: { limits: { accounts: 5 } } }
apps: [{ app_id: 7, plan: small }]
";

/// A sidecar on a machine whose clock can be set.
fn set_by(clock: &OtherClock, mut sidecar: Sidecar) -> Sidecar {
    let program = env!("CARGO_BIN_EXE_imquota");
    let library = clock.library.display();
    let text = format!("LD_PRELOAD={library} exec {program} \"$@\"\n");
    let path = sidecar.settings().with_file_name("imquota");
    sidecar.run_by(script(&path, &text).as_os_str());
    sidecar
}

/// As one that is synchronised after it ran free, or that a person sets.
#[tokio::test]
async fn a_clock_that_jumps_an_hour_moves_no_count_and_no_limit() {
    let redis = RedisServer::start();
    for store in ["embedded".to_owned(), redis.url()] {
        let sidecar = Sidecar::new(&store, "");
        let pages = sidecar.settings().with_file_name("p");
        sidecar.set(&format!(
            "http_listen: \"unix:{}\"{LIMITED}",
            pages.display()
        ));
        let clock = OtherClock::in_folder(&sidecar.settings().with_file_name(""));
        let mut sidecar = set_by(&clock, sidecar);
        sidecar.start_again().await;
        let client = sidecar.client().await;
        let mut used = 0;
        for ahead in [0, HOUR_S, 0, -HOUR_S] {
            clock.is_ahead_by(ahead);
            if store != "embedded" {
                until(
                    "it is told how far the clock is from the ledger's",
                    async || {
                        let page = http::get(&pages, "/metrics").await;
                        let error = page.series("imquota_clock_error_seconds");
                        let far = f64::from(i32::try_from(ahead.abs()).expect("it is small"));
                        let right = error.is_some_and(|error| (error - far).abs() < 5.0);
                        if right { Ok(()) } else { Err(error) }
                    },
                )
                .await;
            }
            let mut check = creation(7, imquota::grpc::proto::Resource::Account);
            check.request_id = format!("at {ahead} after {used}");
            used += 1;
            for _ in 0..2 {
                // Asked again, it is known.
                let answer = client.check(check.clone()).await;
                assert_eq!(
                    (verdict(&answer), answer.used),
                    (ALLOW, used),
                    "{store} {ahead}"
                );
            }
        }
        let last = client
            .create(7, imquota::grpc::proto::Resource::Account)
            .await;
        assert_eq!((verdict(&last), last.used), (ALLOW, 5), "{store}");
        let more = client
            .create(7, imquota::grpc::proto::Resource::Account)
            .await;
        assert_ne!(verdict(&more), ALLOW, "{store}");
        sidecar.kill().await;
        // A start finds what was counted in the hour that is not over yet.
        sidecar.start_again().await;
        let client = sidecar.client().await;
        let more = client
            .create(7, imquota::grpc::proto::Resource::Account)
            .await;
        assert_ne!(verdict(&more), ALLOW, "{store}");
        sidecar.stop().await;
    }
}

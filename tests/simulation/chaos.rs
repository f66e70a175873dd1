//! What the world does to the system: one blow after the other, each mended before the end.

use std::sync::Arc;
use std::time::Duration;

use imquota::quota::RESOURCES;
use rand::RngExt;
use rand::rngs::StdRng;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::books;
use crate::fake::keyspace::Keyspace;
use crate::gateway::Town;
use crate::network::Moment;
use crate::operators;
use crate::scenario::{CLOCK_ERROR_MS_MAX, FaultKind, Scenario, pick};
use crate::server::Server;

/// How long a blow lasts at most.
const LASTS_MS_MAX: u64 = 4_000;
/// How long a process is stopped at most: longer than its lease.
const HALTED_MS_MAX: u64 = 8_000;
/// How long it is waited until all sidecars know the ledger that is about to forget them.
const MEETING_MAX: Duration = Duration::from_secs(10);
/// How long a blow waits for the moment that it wants.
const AMBUSH_MAX: Duration = Duration::from_secs(1);
/// How old a state is at most that the server is put back to.
const BACK_MS_MAX: u64 = 2_000;

/// Deals the scenario's blows.
pub async fn reign(scenario: Scenario, town: Arc<Town>, server: Arc<Server>, mut rng: StdRng) {
    let mut lasting = JoinSet::new();
    for _ in 0..scenario.blows {
        sleep(Duration::from_millis(
            rng.random_range(0..scenario.blow_ms_max),
        ))
        .await;
        if town.auditor.has_faults() {
            break;
        }
        let fault = *pick(&mut rng, &scenario.faults);
        let victim = rng.random_range(0..town.sidecars.len());
        let lasts = Duration::from_millis(rng.random_range(0..LASTS_MS_MAX));
        let number = rng.random_range(0..u64::MAX);
        town.auditor.say(|| {
            format!(
                "{} {fault:?} of {victim} for {lasts:?}",
                server.dial.truth().0
            )
        });
        lasting.spawn(blow(
            fault,
            victim,
            lasts,
            number,
            town.clone(),
            server.clone(),
        ));
    }
    while lasting.join_next().await.is_some() {}
}

async fn blow(
    fault: FaultKind,
    victim: usize,
    lasts: Duration,
    number: u64,
    town: Arc<Town>,
    server: Arc<Server>,
) {
    let sidecar = &town.sidecars[victim];
    match fault {
        FaultKind::Partition => {
            sidecar.cable.set_cut(true);
            sleep(lasts).await;
            sidecar.cable.set_cut(false);
        }
        FaultKind::Kill | FaultKind::LoseJournal => {
            let moment = match number % 3 {
                0 => None,
                1 => Some(Moment::Done),
                _ => Some(Moment::Answered),
            };
            if let Some(moment) = moment {
                // Whether it comes or not: the process ends now.
                drop(timeout(AMBUSH_MAX, sidecar.cable.next(moment)).await);
            }
            sidecar.kill(fault == FaultKind::LoseJournal);
            sleep(lasts).await;
            sidecar.start();
        }
        FaultKind::Restart => {
            sidecar.stop().await;
            sleep(lasts).await;
            sidecar.start();
        }
        FaultKind::Stall => {
            server.stall(true);
            sleep(lasts).await;
            server.stall(false);
        }
        FaultKind::RestartServer => server.succeed(number, false, None),
        FaultKind::ClockJump => {
            let range = CLOCK_ERROR_MS_MAX.cast_unsigned() * 2;
            let ahead = (number % range).cast_signed() - CLOCK_ERROR_MS_MAX;
            if number & 1 << 60 == 0 {
                sidecar.dial.set_ahead(ahead);
            } else {
                server.dial.set_ahead(ahead);
            }
        }
        FaultKind::Halt => {
            sidecar.halt(true);
            sleep(Duration::from_millis(number % HALTED_MS_MAX)).await;
            sidecar.halt(false);
        }
        FaultKind::Retire => {
            let _at_work = town.desk.lock().await;
            operators::retire_lost(&town, &server).await;
        }
        FaultKind::Recount => {
            let _at_work = town.desk.lock().await;
            let tenant = &town.tenants[(number & 1) as usize % town.tenants.len()];
            let resource = RESOURCES[(number >> 1) as usize % RESOURCES.len()];
            operators::recount(&town, &server, tenant.app, resource).await;
        }
        FaultKind::Rollback => {
            let met = all_have_met(&town).await;
            let before = server.fake.look(Clone::clone);
            if !met && books::recovery(&before).epoch == 0 {
                return;
            }
            sleep(lasts.min(Duration::from_millis(BACK_MS_MAX))).await;
            server.fake.look(|keys| town.auditor.ledger_forgot(keys));
            server.succeed(number, number & 1 == 0, Some(before));
        }
        FaultKind::Restore => {
            let met = all_have_met(&town).await;
            let before = server.fake.look(Clone::clone);
            if !met && books::recovery(&before).epoch == 0 {
                return;
            }
            sleep(lasts.min(Duration::from_millis(BACK_MS_MAX))).await;
            server.fake.look(|keys| town.auditor.ledger_forgot(keys));
            server.fake.change(|keys| *keys = before);
        }
        FaultKind::Flush => {
            if !all_have_met(&town).await {
                return;
            }
            server.fake.look(|keys| town.auditor.ledger_forgot(keys));
            server.fake.change(Keyspace::flush);
        }
    }
}

/// Waits until no sidecar would take an emptied ledger for a new one; whether that is so. In foul weather
/// it may not be for long: a sidecar that has met none makes another ledger of what was emptied, which is
/// what no configuration can promise (`docs/protocol.md`), and all that the first one had is nobody's.
async fn all_have_met(town: &Town) -> bool {
    let met = async {
        while !town.sidecars.iter().all(|sidecar| sidecar.has_met()) {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(MEETING_MAX, met).await.is_ok()
}

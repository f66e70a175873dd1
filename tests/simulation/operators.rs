//! What operators do: they retire members whose journal is lost, and recount apps.

use std::time::Duration;

use imquota::admission::{Cancel, Patience};
use imquota::quota::{AppId, RESOURCES, Resource};
use imquota::store::{HOLDS_MAX, LEASE_TTL_MS, Recount, Recounted, Standing, StoreFault};
use tokio::time::{Instant, sleep};

use crate::books;
use crate::fake::keyspace::Keyspace;
use crate::gateway::Town;
use crate::server::Server;
use crate::sidecar::Serving;

/// How often an operator looks whether all have acknowledged a freeze.
const LOOK: Duration = Duration::from_millis(200);
/// How long the counting of the truth takes.
const COUNTING: Duration = Duration::from_millis(300);

/// Retires every member whose journal is lost and that the ledger waits for. Whether all went well.
pub async fn retire_lost(town: &Town, server: &Server) -> bool {
    let retires = |app, member| {
        let books = |keys: &Keyspace| town.auditor.retires(keys, books::PREFIX, app, member);
        server.fake.look(books);
    };
    retire_all_lost(town, retires).await
}

/// As [`retire_lost`], whatever ledger it is: before each, the auditor `retires` it from each app.
pub async fn retire_all_lost(town: &Town, retires: impl Fn(AppId, u64)) -> bool {
    let lost: Vec<u64> = town
        .sidecars
        .iter()
        .flat_map(|sidecar| sidecar.lost())
        .collect();
    if lost.is_empty() {
        return true;
    }
    let Some(serving) = anybody(town) else {
        return false;
    };
    let Ok(members) = serving.operator.members().await else {
        return false;
    };
    let mut all_retired = true;
    for member in members {
        if member.standing == Standing::Gone || !lost.contains(&member.incarnation) {
            continue;
        }
        town.auditor
            .say(|| format!("an operator retires {member:?}"));
        for tenant in &town.tenants {
            retires(tenant.app, member.incarnation);
        }
        let retired = serving
            .operator
            .retire(member.incarnation, "operator", "its journal is lost")
            .await;
        town.auditor.say(|| format!("retired: {retired:?}"));
        // One that a recovery waits for is given up first; so are the others.
        all_retired &= retired.is_ok();
    }
    all_retired
}

/// Recounts what waits for that. Whether nothing is left to do.
pub async fn recount_waiting(town: &Town, server: &Server) -> bool {
    let since = server.fake.look(books::recovery).waiting_since;
    let mut done = true;
    for tenant in &town.tenants {
        for resource in RESOURCES {
            let counts = server.fake.look(|keys| books::look(keys, tenant.app));
            if counts[resource.counter().index()].waits(since) {
                done &= recount(town, server, tenant.app, resource).await;
            }
        }
    }
    done
}

/// Ends what an operator has begun and not ended. Whether there was no such thing: what waited for the end of a
/// freeze is settled after it.
pub async fn unfreeze(town: &Town, server: &Server) -> bool {
    let Some(serving) = anybody(town) else {
        return false;
    };
    let mut none = true;
    for tenant in &town.tenants {
        let frozen = server.fake.look(|keys| books::frozen(keys, tenant.app));
        if let Some(token) = frozen {
            none = false;
            let unfrozen = serving.operator.unfreeze(tenant.app, token).await;
            town.auditor.say(|| {
                format!(
                    "an operator ends the freeze of {}: {unfrozen:?}",
                    tenant.app
                )
            });
        }
    }
    none
}

/// Cancels what is still reserved when no gateway has a reservation any more. Whether there was no such thing.
pub async fn end_holds(town: &Town) -> bool {
    let Some(serving) = anybody(town) else {
        return false;
    };
    let (admission, mut none) = (&serving.admission, true);
    for tenant in &town.tenants {
        let app = tenant.app;
        let Ok(holds) = admission.holds(app, HOLDS_MAX, Patience(None)).await else {
            return false;
        };
        for hold in holds {
            if !town.auditor.may_leave_holds() {
                town.auditor
                    .fault(format!("app {app}: left over: {hold:?}"));
            }
            none = false;
            let request_id = hold.id;
            let cancelled = admission
                .cancel(Cancel { app, request_id }, Patience(None))
                .await;
            town.auditor
                .say(|| format!("an operator cancels in {app}: {cancelled:?}"));
        }
    }
    none
}

/// Sets a count to what exists when everybody has stopped. Whether it was done.
pub async fn recount(town: &Town, server: &Server, app: AppId, resource: Resource) -> bool {
    let Some(serving) = anybody(town) else {
        return false;
    };
    let done = freeze_and_count(town, &serving, app, resource).await;
    town.auditor.say(|| {
        format!(
            "{} recount of {app}, {resource:?}: {done:?}",
            server.dial.truth().0
        )
    });
    town.auditor.recount_ends(app);
    matches!(done, Ok(Recounted::Done { .. }))
}

async fn freeze_and_count(
    town: &Town,
    serving: &Serving,
    app: AppId,
    resource: Resource,
) -> Result<Recounted, StoreFault> {
    let operator = &serving.operator;
    town.auditor.recount_begins(app);
    let freeze = operator.freeze(app, resource).await?;
    let begun = Instant::now();
    let ttl = Duration::from_millis(LEASE_TTL_MS);
    while begun.elapsed() < ttl && !operator.awaited(app, freeze.token).await?.is_empty() {
        sleep(LOOK).await;
    }
    // The token is out: nothing is created under a limit before the commit.
    let to = town.auditor.counts_truth(app, resource);
    sleep(COUNTING).await;
    let recount = Recount {
        app,
        resource,
        to,
        token: freeze.token,
        who: "operator".into(),
        why: "simulated".into(),
    };
    town.auditor.commits(app, resource, to);
    operator.recount(&recount).await
}

fn anybody(town: &Town) -> Option<Serving> {
    town.sidecars.iter().find_map(|sidecar| sidecar.serving())
}

//! What the gateways that know every object compare with the sidecars when all is healed.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use imquota::grpc::proto::{CheckMode, ReleaseRequest};

use super::{App, HASTY, Namer, Object, PATIENT, creates};
use crate::client::{Client, deletion, held, used};
use crate::wait::until;

/// How many objects are looked at one by one.
const LOOKED_AT: usize = 20;

/// Every sidecar counts each object that exists once, and none that does not; each of them is known by its name, and what
/// was deleted gives nothing back.
pub async fn each_object_is_known(doors: &[Client], namers: &mut [Namer<'_>]) {
    if namers.is_empty() {
        return;
    }
    let apps = [PATIENT, HASTY];
    let counts = [
        each_is_counted_once(apps[0], doors, namers).await,
        each_is_counted_once(apps[1], doors, namers).await,
    ];
    for namer in namers.iter_mut() {
        for at in 0..namer.living.len().min(LOOKED_AT) {
            let Object {
                app,
                name,
                is_nameless,
                ..
            } = &namer.living[at];
            if *is_nameless {
                continue;
            }
            let check = creates(*app, "", name, CheckMode::Count);
            let (answer, _) = namer.insist(&check).await;
            assert!(answer.already_counted, "{check:?}: {answer:?}");
        }
        for at in 0..namer.deleted.len().min(LOOKED_AT) {
            let Object { app, name, .. } = &namer.deleted[at];
            let again = ReleaseRequest {
                resource_id: name.clone(),
                ..deletion(app.id, app.resource, 1)
            };
            // Where the ledger is slow it is taken on trust: what it gave back is seen in the counts.
            namer.door().release(again).await;
        }
    }
    for (app, count) in apps.into_iter().zip(counts) {
        all_count(app, doors, &(count..=count)).await;
    }
}

/// How many objects of `app` every sidecar counts: as many as there are.
async fn each_is_counted_once(app: App, doors: &[Client], namers: &[Namer<'_>]) -> u64 {
    let objects = |some: fn(&Object) -> bool| {
        let all = namers
            .iter()
            .flat_map(|namer| namer.living.iter().chain(&namer.deleted));
        all.filter(|object| object.app.id == app.id && some(object))
            .count() as u64
    };
    let alive = namers.iter().flat_map(|namer| &namer.living);
    let alive = alive.filter(|object| object.app.id == app.id).count() as u64;
    let possible = alive..=alive + objects(|object| object.is_nameless);
    assert!(objects(|_| true) > 0, "{app:?}: nothing was created");
    all_count(app, doors, &possible).await
}

/// The count that every sidecar has of `app`, and that is a possible one.
async fn all_count(app: App, doors: &[Client], possible: &RangeInclusive<u64>) -> u64 {
    let counted = async || {
        let mut counts = BTreeSet::new();
        for door in doors {
            let usage = door
                .try_usage(app.id)
                .await
                .map_err(|why| why.to_string())?;
            let seen = used(&usage, app.resource);
            if !possible.contains(&seen) || held(&usage, app.resource) > 0 || usage.degraded {
                return Err(format!("{app:?}: {possible:?} are there: {usage:?}"));
            }
            counts.insert(seen);
        }
        match counts.first() {
            Some(count) if counts.len() == 1 => Ok(*count),
            _ => Err(format!("{app:?}: the sidecars say {counts:?}")),
        }
    };
    let count = until("each object is counted once", counted).await;
    println!("{app:?}: {count} are counted, {possible:?} are there");
    count
}

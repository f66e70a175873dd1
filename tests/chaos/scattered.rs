//! What is done to a Cluster: slots are moved and a master is replaced, in each round; it is whole again before the next.

use std::time::Instant;

use imquota::quota::AppId;
use imquota::store::Shard;
use rand::RngExt as _;

use crate::cells::CELLS;
use crate::cluster_servers::Cluster;
use crate::faults::{JUDGED, Schedule, WHILE_HURT, Watch};

/// How a master is replaced, one after the other.
#[derive(Debug, Clone, Copy)]
enum Hurt {
    Kill,
    HandOver,
    Hang,
}

const ALL: [Hurt; 3] = [Hurt::Kill, Hurt::HandOver, Hurt::Hang];

/// Hurts it again and again, once at least; all run when it is over. How long it took until hard limits were judged again
/// is printed.
pub async fn hurt_cluster(
    mut cluster: Cluster,
    watch: Watch<'_>,
    mut schedule: Schedule<'_>,
) -> Cluster {
    // A fail-over takes its time: a short run has one of the three, and which the seed says.
    let from = schedule.rng.random_range(0..ALL.len());
    for round in 0.. {
        if round > 0 && !schedule.goes_on() {
            break;
        }
        for key in [&shard_of(&mut schedule), "{imquota}"] {
            watch.judged.after(schedule.rng.random_range(JUDGED)).await;
            cluster = moved(cluster, key, &mut schedule).await;
        }
        watch.judged.after(schedule.rng.random_range(JUDGED)).await;
        let hurt = ALL[(from + round) % ALL.len()];
        let key = shard_of(&mut schedule);
        let (begun, before) = (Instant::now(), watch.returns());
        let (replaced, old) = replace(cluster, hurt, key).await;
        let found = begun.elapsed();
        watch.judges_again(before).await;
        println!(
            "{hurt:?}: another master after {found:?}, hard limits answered after {:?}",
            begun.elapsed()
        );
        cluster = beside(replaced, move |cluster| {
            match hurt {
                Hurt::Kill => cluster.servers[old].start_again(),
                Hurt::Hang => cluster.servers[old].resume(),
                Hurt::HandOver => {}
            }
            cluster.settled();
        })
        .await;
    }
    cluster
}

/// The hash tag of one of the shards that the gateways create in.
fn shard_of(schedule: &mut Schedule<'_>) -> String {
    let cell = schedule.rng.random_range(0..CELLS.len());
    let app = AppId::new(CELLS[cell].app).expect("it is one");
    format!("{{imquota:{:02x}}}", Shard::of(app).number())
}

/// Moves a slot to another master, key by key, while checks run: some come while a part is here and a part is there.
async fn moved(mut cluster: Cluster, key: &str, schedule: &mut Schedule<'_>) -> Cluster {
    let slot = cluster.slot(key);
    let from = cluster.owner(slot);
    let to = cluster.other_master(from);
    let begun = Instant::now();
    cluster = beside(cluster, move |cluster| {
        cluster.begin_move(slot, from, to);
        cluster.move_one(slot, from, to);
    })
    .await;
    schedule.after(WHILE_HURT).await;
    cluster = beside(cluster, move |cluster| {
        while cluster.move_one(slot, from, to) {}
        cluster.end_move(slot, from, to);
    })
    .await;
    println!("{key}: moved in {:?}", begun.elapsed());
    cluster
}

/// Takes the master of a slot away until its replica has its place; which it was.
async fn replace(cluster: Cluster, hurt: Hurt, key: String) -> (Cluster, usize) {
    let old = cluster.owner(cluster.slot(&key));
    let cluster = beside(cluster, move |cluster| {
        let replica = cluster.replica_of(old);
        match hurt {
            Hurt::Kill => cluster.servers[old].kill(),
            Hurt::Hang => cluster.servers[old].suspend(),
            Hurt::HandOver => cluster.hand_over_to(replica),
        }
        cluster.until_promoted(replica);
    })
    .await;
    (cluster, old)
}

/// Does something that takes its time, while the load on this thread goes on.
async fn beside(mut cluster: Cluster, what: impl FnOnce(&mut Cluster) + Send + 'static) -> Cluster {
    let done = tokio::task::spawn_blocking(move || {
        what(&mut cluster);
        cluster
    });
    done.await.expect("it can be done")
}

//! What is done to a master, its replicas and its Sentinels: each is healed before the next is hurt.

use std::time::Instant;

use rand::RngExt as _;

use crate::faults::{JUDGED, Schedule, WHILE_HURT, Watch};
use crate::sentinels::Watched;

/// What is done, one after the other.
#[derive(Debug, Clone, Copy)]
enum Hurt {
    Kill,
    Hang,
    HandOver,
    Lag,
}

const ALL: [Hurt; 4] = [Hurt::Kill, Hurt::HandOver, Hurt::Hang, Hurt::Lag];
/// How many of them are done at least.
const ROUNDS_MIN: usize = 2;

/// Hurts them again and again; all run when it is over. How long it took until hard limits were judged again is
/// printed.
pub async fn hurt_watched(
    mut watched: Watched,
    watch: Watch<'_>,
    mut schedule: Schedule<'_>,
) -> Watched {
    let mut round = 0;
    // A fail-over takes its time: a short run has two of the four, and which the seed says.
    let from = schedule.rng.random_range(0..ALL.len());
    while schedule.goes_on() || round < ROUNDS_MIN {
        let answers = schedule.rng.random_range(JUDGED);
        watch.judged.after(answers).await;
        let hurt = ALL[(from + round) % ALL.len()];
        round += 1;
        let old = watched.master();
        let (begun, before) = (Instant::now(), watch.returns());
        match hurt {
            Hurt::Kill => watched.servers[old].kill(),
            Hurt::Hang => watched.servers[old].suspend(),
            Hurt::HandOver => watched = beside(watched, |all| all.fail_over()).await,
            Hurt::Lag => {
                // It has none of what is written meanwhile, and may be the next master.
                let other = (old + 1) % watched.servers.len();
                watched.servers[other].suspend();
                schedule.after(WHILE_HURT).await;
                watched.servers[other].resume();
                watched.servers[old].kill();
            }
        }
        watched = beside(watched, move |all| {
            all.successor(old);
        })
        .await;
        let found = begun.elapsed();
        watch.judges_again(before).await;
        println!(
            "{hurt:?}: another master after {found:?}, hard limits answered after {:?}",
            begun.elapsed()
        );
        watched = beside(watched, move |all| match hurt {
            Hurt::Kill | Hurt::Lag => all.servers[old].start_again(),
            Hurt::Hang => all.servers[old].resume(),
            Hurt::HandOver => {}
        })
        .await;
        watched = beside(watched, |all| {
            all.settled();
        })
        .await;
    }
    watched
}

/// Does something that takes its time, while the load on this thread goes on.
async fn beside(mut watched: Watched, what: impl FnOnce(&mut Watched) + Send + 'static) -> Watched {
    let done = tokio::task::spawn_blocking(move || {
        what(&mut watched);
        watched
    });
    done.await.expect("it can be done")
}

//! Clients that mean harm, or know no better, over real sockets. After each of them the server answers a
//! normal check in its usual time, has grown by no more than it may, and has counted nothing but what was
//! answered.

mod calls;
mod crowds;
mod floods;
mod frames;
mod headers;
mod hoards;
mod neighbours;
mod openings;
mod raw;

use std::time::{Duration, Instant};

use imquota::grpc::proto::Resource;

use crate::client::Client;
use crate::sidecar::Sidecar;
use crate::wait::soon;

/// How much a server may have grown by all that these clients do, in KiB.
const GROWTH_KIB_MAX: u64 = 96 * 1024;
/// How long a normal check may take beside them, on a machine that runs other tests as well.
const USUAL: Duration = Duration::from_secs(2);
const SETTINGS: &str = "
plans: { any: {} }
apps: [{ app_id: 1, plan: any }]
";

/// A server under attack, and a gateway that wants nothing but its answers.
struct Siege {
    sidecar: Sidecar,
    /// A gateway that was there before.
    old: Client,
    /// What must have been counted.
    counted: u64,
    /// What it had, in KiB, before all.
    began_kib: u64,
}

impl Siege {
    async fn begin() -> Self {
        let sidecar = Sidecar::start("embedded", SETTINGS).await;
        let old = sidecar.client().await;
        assert_eq!(old.create(1, Resource::Account).await.used, 1);
        let began_kib = sidecar.process().resident_kib();
        Self {
            sidecar,
            old,
            counted: 1,
            began_kib,
        }
    }

    fn at(&self) -> std::net::SocketAddr {
        self.sidecar.address()
    }

    /// After the case `name`, which got `answered` creations.
    async fn stands(&mut self, name: &str, answered: u64) {
        self.stands_within(name, answered..=answered).await;
    }

    /// As [`Siege::stands`], where the client gave calls up and cannot know.
    async fn stands_within(&mut self, name: &str, answered: std::ops::RangeInclusive<u64>) {
        let began = Instant::now();
        let used = self.old.create(1, Resource::Account).await.used;
        let new = soon(name, self.sidecar.client()).await;
        let again = new.create(1, Resource::Account).await.used;
        let took = began.elapsed();
        assert!(took < USUAL, "{name}: two checks took {took:?}");
        // Calls that were given up may be counted between these two.
        assert!(again > used, "{name}: {again} after {used}");
        let more = again - self.counted - 2;
        assert!(
            answered.contains(&more),
            "{name}: {more} were counted, not {answered:?}"
        );
        self.counted = again;
        let grown = self
            .sidecar
            .process()
            .resident_kib()
            .saturating_sub(self.began_kib);
        assert!(grown < GROWTH_KIB_MAX, "{name}: {grown} KiB more");
        println!("stood: {name}");
    }

    /// The end: it stops in good order, and nothing in it has panicked.
    async fn end(mut self) {
        drop(self.old);
        let ended = self.sidecar.stop().await;
        assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    }
}

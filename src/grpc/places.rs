//! How many connections there may be, in all and from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use rustc_hash::FxBuildHasher;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::metrics::Refusal;

/// Places for connections. Its clones share them.
#[derive(Clone)]
pub(super) struct Places {
    all: Arc<Semaphore>,
    /// How many places addresses off loopback have: no more entries than connections.
    by_address: Arc<Mutex<ByAddress>>,
    per_address_max: usize,
}

type ByAddress = HashMap<IpAddr, usize, FxBuildHasher>;

/// A connection's place, which is free again when it is dropped.
pub(super) struct Place {
    _one_of_all: OwnedSemaphorePermit,
    of: Option<(Arc<Mutex<ByAddress>>, IpAddr)>,
}

impl Places {
    /// So many in all, and so many from one address off loopback.
    pub(super) fn new(max: usize, per_address_max: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(max.min(Semaphore::MAX_PERMITS))),
            by_address: Arc::default(),
            per_address_max,
        }
    }

    /// A place for a connection from `address`; `None`: a Unix socket.
    pub(super) fn take(&self, address: Option<IpAddr>) -> Result<Place, Refusal> {
        let all = Arc::clone(&self.all);
        let permit = all.try_acquire_owned().map_err(|_| Refusal::Full)?;
        // This machine is one gateway, which may have them all.
        let address = address.map(|address| address.to_canonical());
        let Some(address) = address.filter(|address| !address.is_loopback()) else {
            return Ok(Place {
                _one_of_all: permit,
                of: None,
            });
        };
        let mut counted = lock(&self.by_address);
        let count = counted.entry(address).or_default();
        if *count >= self.per_address_max {
            return Err(Refusal::OfAddress);
        }
        *count += 1;
        Ok(Place {
            _one_of_all: permit,
            of: Some((Arc::clone(&self.by_address), address)),
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some((counted, address)) = &self.of else {
            return;
        };
        let mut counted = lock(counted);
        if let Some(count) = counted.get_mut(address) {
            *count -= 1;
            if *count == 0 {
                counted.remove(address);
            }
        }
    }
}

fn lock(counted: &Mutex<ByAddress>) -> std::sync::MutexGuard<'_, ByAddress> {
    // The counts are whole, even if somebody panicked beside them.
    counted.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_address_has_its_share_and_this_machine_has_all() {
        let places = Places::new(5, 2);
        let (one, other) = (Some(address("10.0.0.1")), Some(address("::ffff:10.0.0.2")));
        let first = places.take(one).ok().unwrap();
        let _second = places.take(one).ok().unwrap();
        assert_eq!(places.take(one).err(), Some(Refusal::OfAddress));
        let _third = places.take(other).ok().unwrap();
        drop(first);
        let _fourth = places.take(one).ok().unwrap();
        let _here = places.take(Some(address("127.0.0.1"))).ok().unwrap();
        let socket = places.take(None).ok().unwrap();
        assert_eq!(places.take(other).err(), Some(Refusal::Full));
        drop(socket);
        let again = places.take(Some(address("10.0.0.2"))).ok().unwrap();
        drop(again);
        assert_eq!(lock(&places.by_address).len(), 2);
    }

    #[test]
    fn addresses_that_have_gone_are_not_remembered() {
        let places = Places::new(1000, 2);
        for number in 0..=255 {
            drop(places.take(Some([10, 0, 0, number].into())));
        }
        assert!(lock(&places.by_address).is_empty());
    }
}

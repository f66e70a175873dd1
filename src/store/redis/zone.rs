//! The billing zones: the ledger's word counts, and a sidecar with new settings asks for a change of it.

use redis::Value;

use super::RedisStore;
use super::answer::unexpected;
use super::link::Wire;
use super::script::Step;
use crate::clock::{Followed, Millis};
use crate::store::StoreFault;

impl RedisStore {
    /// Follows the schedule that the ledger has in `told`. Tells it what it does not know: changes that it has
    /// forgotten, and the zone of new settings.
    pub(super) async fn heed_zone(
        &self,
        wire: &Wire,
        installation: &str,
        told: &str,
        now: Millis,
    ) -> Result<(), StoreFault> {
        let wish = match self.follow(told)? {
            Followed::Ahead => Some(self.zone.schedule()),
            _ => self.zone.wished(now),
        };
        let Some(wish) = wish else { return Ok(()) };
        let mut step = Step::default();
        step.key(&self.keys.meta());
        step.arg(installation).arg(told).arg(wish);
        let value = wire.run(&self.scripts.rezone, &step).await?;
        let Value::BulkString(zones) = value else {
            return Err(unexpected());
        };
        let zones = String::from_utf8(zones).map_err(|_| unexpected())?;
        self.follow(&zones).map(drop)
    }

    fn follow(&self, told: &str) -> Result<Followed, StoreFault> {
        let followed = self.zone.follow(told);
        if followed == Followed::Other {
            return Err(StoreFault::Unusable(format!(
                "the ledger counts days in {told:?}, and this sidecar in {:?}; restart it",
                self.zone.schedule()
            )));
        }
        if followed == Followed::News {
            tracing::warn!(
                schedule = self.zone.schedule(),
                settings = self.zone.name(),
                "the ledger counts days by this schedule of zones, whatever the settings say"
            );
        }
        Ok(followed)
    }
}

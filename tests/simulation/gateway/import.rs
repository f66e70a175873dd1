//! An object that exists is said to exist once more, by a gateway that takes in what others created: one name is
//! one count.

use std::collections::BTreeSet;

use imquota::quota::Charge;
use rand::RngExt;

use super::{Ask, Gateway};

impl Gateway {
    /// Creates what another gateway may have created, under its name. Nobody deletes it meanwhile.
    pub(super) async fn import(&mut self) {
        let object = {
            let mut objects = self.town.objects.lock().expect("never poisoned");
            let named = (0..objects.len()).filter(|at| objects[*at].name.is_some());
            let named: Vec<usize> = named.collect();
            if named.is_empty() {
                return;
            }
            objects.swap_remove(named[self.whims.random_range(0..named.len())])
        };
        let of = self.town.tenants[object.tenant].clone();
        let by_id = self.has_whim(true, 2);
        let mut ask = Ask {
            sidecar: self.whims.random_range(0..self.town.sidecars.len()),
            app: of.app,
            resource: object.resource,
            amount: object.amount,
            charge: Charge::new(object.resource, object.amount, &of.limits),
            id: by_id.then(|| self.fresh("gateway")),
            name: object.name.clone(),
            keeps_ids: false,
            is_shared: false,
            days: BTreeSet::new(),
        };
        self.is_allowed(&mut ask).await;
        self.keep(object);
    }
}

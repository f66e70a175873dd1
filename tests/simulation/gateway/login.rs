//! Users who log in, by name or by number.

use std::sync::Arc;

use imquota::admission::{Admission, Fault, Record, Who};
use imquota::quota::UserId;
use rand::RngExt;

use super::{Gateway, Heard};

/// How many users an app has.
const USERS: u32 = 12;

impl Gateway {
    /// Tells one sidecar of users who logged in.
    pub(super) async fn login(&mut self) {
        let tenant = self.rng.random_range(0..self.town.tenants.len());
        let app = self.town.tenants[tenant].app;
        let at = self.rng.random_range(0..self.town.sidecars.len());
        let Some(serving) = self.town.sidecars[at].serving() else {
            return;
        };
        let increment = self
            .rng
            .random_ratio(1, 4)
            .then(|| self.rng.random_range(1..5));
        let several = self.rng.random_range(1..4);
        let users: Vec<u32> = (0..several)
            .map(|_| self.rng.random_range(0..USERS))
            .collect();
        let plan = self.plan();
        let patience = plan.patience();
        let names: Vec<String> = users.iter().map(|user| format!("user-{user}")).collect();
        let work = |admission: Arc<Admission>| async move {
            let ids = names
                .iter()
                .map(|name| UserId::parse(name).expect("a plain name"));
            let who = increment.map_or_else(|| Who::Users(ids.collect()), Who::Increment);
            let record = Record {
                app,
                at: None,
                who,
                request_id: None,
            };
            admission.record_active(record, patience).await
        };
        let today = serving.today();
        let by = (serving.member, (at, serving.process));
        let heard = self.call(at, &plan, work).await;
        let auditor = &self.town.auditor;
        match (heard, increment) {
            (Heard::Answer(Ok(active)), Some(by)) => {
                auditor.incremented(serving.member, app, active.day.number(), by);
            }
            (Heard::Answer(Ok(active)), None) => {
                auditor.logged_in(Some(by), app, active.day.number(), &users);
            }
            (Heard::Answer(Err(Fault::Away(_) | Fault::Exhausted(_))) | Heard::BrokenOff, None) => {
                auditor.logged_in(None, app, today, &users);
            }
            (
                Heard::Answer(Err(Fault::Away(_) | Fault::Exhausted(_))) | Heard::BrokenOff,
                Some(_),
            )
            | (Heard::Nobody, _) => {}
            (Heard::Answer(Err(fault)), _) => auditor.fault(format!("logins of {app}: {fault}")),
        }
    }
}

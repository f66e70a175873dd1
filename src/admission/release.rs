//! A deletion: from memory where the known count covers it, else by one step in the ledger.

use std::sync::Arc;
use std::time::Duration;

use super::check::Print;
use super::{Admission, Budget, Fault, Patience, Release, Released, shown};
use crate::ledger::{Counted, Entry, Fell, Once, OpenRelease, State};
use crate::quota::{Charge, Counter, Limit};
use crate::store::{GiveBack, GivenBack};

/// How long a release that the ledger does not cover yet waits for other sidecars to settle the
/// creation that it undoes: a little longer than they take after a quiet time.
const COVER_WAIT: Duration = Duration::from_millis(350);

impl Admission {
    /// Gives back what was deleted. While the ledger is away it is kept and settled later, bounded
    /// then by what is counted.
    ///
    /// # Errors
    /// [`Fault`]; nothing is given back then.
    pub async fn release(&self, release: Release, patience: Patience) -> Result<Released, Fault> {
        let resource = release.resource;
        let released = self.release_once(release, patience).await?;
        if !released.replayed {
            self.tally.released(resource, released.released);
        }
        Ok(released)
    }

    async fn release_once(&self, release: Release, patience: Patience) -> Result<Released, Fault> {
        let Some(entry) = self.entry(release.app)? else {
            let (limit, replayed) = (Limit::Unlimited, false);
            return Ok(Released {
                released: 0,
                used: 0,
                limit,
                held: 0,
                replayed,
            });
        };
        let limits = entry.rules().limits;
        let charge = Charge::new(release.resource, release.amount, &limits);
        let limit = charge.parts()[0].limit;
        let now = self.ledger.now();
        let amount = u64::from(release.amount.get());
        self.not_expired(release.request_id.as_ref())?;
        let named = release.resource_id.as_ref();
        let print = Print::new(b'r', release.resource, release.amount);
        let print = print.naming(named).done();
        let mut object = None;
        if let Some(name) = named.filter(|_| entry.rules().track_objects) {
            // Without the key to its number nothing can be said of it to the ledger, now or later.
            let number = self.ledger.object(release.app, release.resource, name);
            object = Some(number.ok_or_else(unmet)?);
        }
        let id = release.request_id.as_ref();
        let once = id.map(|id| Once::new(release.app, id, print));
        let known = |net, replayed| Released {
            released: amount,
            used: shown(net),
            limit,
            held: 0,
            replayed,
        };
        let mut given = Counted::Not;
        let shares = entry.rules().share_ids && once.is_some() && !self.ledger.store().is_local();
        if charge.is_metered() && !shares && object.is_none() {
            given = self.ledger.release(&entry, &charge, now, once)?;
        }
        if let (Counted::Not | Counted::There, Some(once)) = (given, once) {
            given = self
                .ledger
                .asks(&entry, None, once, self.ledger.zone().day(now))?;
        }
        match given {
            Counted::Now(net) => return Ok(known(net, false)),
            Counted::Before(_) => return Ok(known(entry.net(release.resource), true)),
            Counted::Other => return Err(Fault::OtherContent),
            Counted::Not | Counted::There => {}
        }
        // In a frozen app it waits: what is under way would hold up the recount.
        let mut shared =
            self.ledger.state() == State::Up && self.ledger.has_lease() && entry.frozen().is_none();
        // What was admitted while the ledger was away must be there before it is given back, and a
        // recount must be known of.
        let settles_first =
            charge.is_metered() || entry.is_owed() || !entry.is_heard(self.ledger.lease());
        let follow = charge
            .parts()
            .iter()
            .any(|part| part.counter == Counter::GroupsGained);
        // Kept before anything is waited for: the object is gone, and a caller that hangs up, or a
        // process that is killed, says so to nobody again.
        let open = self.ledger.open_release(
            &entry,
            release.request_id,
            |key| GiveBack {
                app: release.app,
                key,
                fingerprint: print,
                resource: release.resource,
                amount: release.amount,
                given: None,
                groups_follow: follow,
                object,
                rooms_are_groups: limits.av_rooms_are_groups,
                day: self.ledger.zone().day(now),
            },
            (shared && !settles_first).then_some(now),
        )?;
        let mut budget = self.budget(patience);
        if shared && settles_first {
            shared = if charge.is_metered() && object.is_none() {
                self.cover(&entry, &charge, budget).await
            } else {
                self.tell(&entry, budget).await
            };
            budget = budget.shortened();
            let waits = entry.frozen().is_some();
            shared = shared && !waits && open.note_sent(self.ledger.now());
        }
        self.give_back(&entry, open, limit, shared, budget).await
    }

    /// Sends an open release; without the ledger it stays open and is sent in the background.
    async fn give_back(
        &self,
        entry: &Arc<Entry>,
        open: OpenRelease,
        limit: Limit,
        shared: bool,
        budget: Budget,
    ) -> Result<Released, Fault> {
        let resource = open.give_back().resource;
        let heard = self.ledger.composing();
        let amount = u64::from(open.give_back().amount.get());
        let counter = resource.counter();
        if shared {
            let reply = self
                .ledger
                .store()
                .release(open.give_back(), self.ledger.now());
            match self.ask(reply, budget).await {
                Ok(GivenBack::Released {
                    released,
                    groups,
                    view,
                    replayed,
                    mine,
                    resource: found,
                }) => {
                    let fell = Fell {
                        resource: found,
                        released,
                        groups,
                        mine,
                    };
                    self.ledger
                        .release_answered(entry, open, fell, &view, heard);
                    let used = shown(entry.net(resource));
                    return Ok(Released {
                        released: released.into(),
                        used,
                        limit,
                        held: view.reserved[counter.index()],
                        replayed,
                    });
                }
                Ok(GivenBack::OtherContent) => {
                    open.done(None);
                    return Err(Fault::OtherContent);
                }
                Ok(GivenBack::Undecided(_)) => open.undecided(),
                Err(_) => {}
            }
        }
        let used = shown(self.ledger.net(entry, counter, self.ledger.now())).saturating_sub(amount);
        Ok(Released {
            released: amount,
            used,
            limit,
            held: 0,
            replayed: false,
        })
    }

    /// Settles this sidecar's own creations of the app. Whether the ledger has them: if not, a release
    /// waits for that in the background, since the ledger gives back what it counts at most.
    async fn tell(&self, entry: &Arc<Entry>, budget: Budget) -> bool {
        let settled = Box::pin(self.ledger.settle_app(entry));
        self.ask(settled, budget).await.is_ok()
    }

    /// As [`Admission::tell`], and gives those that other sidecars have not settled yet the time to be:
    /// a release right behind its creation would find nothing to give back.
    async fn cover(&self, entry: &Arc<Entry>, charge: &Charge, budget: Budget) -> bool {
        if !self.tell(entry, budget).await {
            return false;
        }
        if self.ledger.store().is_local() {
            return true;
        }
        let own = charge.parts()[0].counter;
        let known = self.ledger.net(entry, own, self.ledger.now());
        let covered = known >= i64::from(charge.amount().get());
        // The release itself needs some of the time, too.
        if !covered && budget.left() >= COVER_WAIT * 5 / 4 {
            tokio::time::sleep(COVER_WAIT).await;
        }
        true
    }
}

/// The ledger, which has the key by which objects are told apart, was never met.
fn unmet() -> Fault {
    Fault::Away("the ledger was not met yet; ask again in a second".into())
}

//! Reservations: ended by whoever says what they came to, or by the app's rules when they have expired.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use super::Ledger;
use super::entry::Entry;
use super::outlook::State;
use super::owed::{Full, Wanted};
use super::taking::NotTaken;
use crate::clock::Millis;
use crate::quota::{AppId, ExpiredHolds, ObjectId, ObjectNumber, Part, RESOURCES, Resource};
use crate::store::{
    Beside, Hold, HoldState, Intent, RecordKey, StoreFault, Taken, Undecided, View,
};

/// How often it is looked whether some reservation has expired.
const LOOK: Duration = Duration::from_secs(1);
/// How long an app is left alone after it was looked at, at least.
const APART_MS: i64 = 10_000;
/// The same, where what has expired is only counted.
const COUNTED_APART_MS: i64 = 60_000;
/// The most reservations of one app that are ended in one look.
const ENDED_A_LOOK_MAX: usize = 256;

/// How a reservation is to end.
#[derive(Debug, Clone, Copy)]
pub struct EndHold<'a> {
    /// The reservation.
    pub hold: &'a Hold,
    /// The object that it became, where that is said only now.
    pub object: Option<ObjectNumber>,
    /// What it came to.
    pub intent: Intent,
}

/// How a reservation ended.
#[derive(Debug)]
pub enum HoldEnd {
    /// As it was to.
    Done {
        /// Whether it had before.
        replayed: bool,
        /// What else is to be said.
        beside: Beside,
        /// The app's counts.
        view: Box<View>,
    },
    /// Nothing is held under the id any more.
    NoHold,
    /// The other way, before.
    Other,
    /// Its id stands for another object.
    OtherContent,
    /// It is just being confirmed, and that is not settled yet.
    Confirming,
    /// Nothing is decided just now: it is worth asking again.
    Later,
    /// It cannot be kept here.
    Full(Full),
}

/// Apps that hold places, and when each is to be looked at.
#[derive(Debug, Default)]
pub struct Holding(Mutex<BTreeMap<AppId, Held>>);

/// What is known of the places that an app holds.
#[derive(Debug, Clone, Copy)]
struct Held {
    /// When it is to be looked at again.
    at: Millis,
    /// Reservations that have expired, and of which nobody has said what they came to.
    in_doubt: usize,
}

impl Holding {
    /// Something is held in an app. At most as many apps are kept as are met.
    fn note(&self, app: AppId) {
        let mut apps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, in_doubt) = (Millis(0), 0);
        apps.entry(app).or_insert(Held { at, in_doubt });
    }

    /// The apps that are due, and what was known of them; they are to be noted again if they hold anything still.
    fn take_due(&self, now: Millis) -> Vec<(AppId, Held)> {
        let mut apps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due: Vec<_> = apps.iter().filter(|(_, held)| held.at <= now).collect();
        let due: Vec<_> = due.into_iter().map(|(app, held)| (*app, *held)).collect();
        for (app, _) in &due {
            apps.remove(app);
        }
        due
    }

    /// An app is to be looked at again.
    fn wait(&self, app: AppId, held: Held) {
        let mut apps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        apps.insert(app, held);
    }

    /// How many reservations are known to be in doubt: of each app the first 256 at most.
    pub fn in_doubt(&self) -> usize {
        let apps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        apps.values().map(|held| held.in_doubt).sum()
    }
}

impl Ledger {
    /// The number of an object; `None` until the ledger was met, since it holds the key.
    pub fn object(&self, app: AppId, resource: Resource, id: &ObjectId) -> Option<ObjectNumber> {
        let installation = self.installation.get()?;
        let life = self.rules.registered(app).map_or(0, |of| of.life);
        Some(id.number(&installation.user_key, (app, life), resource))
    }

    /// Takes note of what a view says is held.
    pub(super) fn note_held(&self, entry: &Entry, view: &View) {
        if view.reserved.iter().any(|held| *held > 0) {
            self.holding.note(entry.app);
        }
    }

    /// Ends a reservation: journaled before it is asked for, as a take is. Dropped before the answer, it
    /// is withdrawn.
    ///
    /// # Errors
    /// [`StoreFault`]: whether it has ended is not known.
    pub async fn end_hold(
        &self,
        entry: &Arc<Entry>,
        end: EndHold<'_>,
    ) -> Result<HoldEnd, StoreFault> {
        let EndHold {
            hold,
            object,
            intent,
        } = end;
        let of_hold = match hold.key {
            RecordKey::Object(object) => Some(object),
            RecordKey::Client(_) | RecordKey::Own { .. } => None,
        };
        let wanted = Wanted {
            app: entry.app,
            request_id: Some(hold.id.clone()),
            fingerprint: hold.fingerprint,
            charge: hold.charge,
            day: hold.day,
            // Another than was reserved is another request, says the ledger.
            object: object.or(of_hold),
            intent,
        };
        let open = match self.open_take(wanted) {
            Ok(open) => open,
            Err(full) => return Ok(HoldEnd::Full(full)),
        };
        let heard = self.composing();
        let taken = self.store.take(open.take(), self.now()).await?;
        Ok(match taken {
            Taken::Allowed {
                view,
                replayed,
                whose,
                beside,
            } => match self.take_allowed(entry, open, &view, whose, heard) {
                Ok(()) => HoldEnd::Done {
                    replayed,
                    beside,
                    view: Box::new(view),
                },
                Err(NotTaken::Full(full)) => HoldEnd::Full(full.into()),
                Err(NotTaken::Late) => HoldEnd::Later,
            },
            Taken::NoHold => {
                open.forget();
                HoldEnd::NoHold
            }
            Taken::Ended => {
                open.forget();
                HoldEnd::Other
            }
            Taken::OtherContent => {
                open.forget();
                HoldEnd::OtherContent
            }
            Taken::Undecided(Undecided::Confirming) => {
                open.forget();
                HoldEnd::Confirming
            }
            Taken::Denied { .. } | Taken::Undecided(_) | Taken::Withdrawn => HoldEnd::Later,
        })
    }

    /// Ends what has expired in an app, as its rules say. Answers when it is to be looked at again, and how many it
    /// left in doubt; `None`: nothing is held.
    async fn end_expired(&self, app: AppId) -> Result<Option<Held>, StoreFault> {
        let Ok(Some(entry)) = self.entry(app) else {
            return Ok(None);
        };
        let now = self.now();
        let holds = self.store.holds(app, ENDED_A_LOOK_MAX, now).await?;
        let Some(first) = holds.first() else {
            return Ok(None);
        };
        // Where nobody but the gateway or an operator ends what has expired, it is only counted.
        let acts = entry.rules().expired_holds != ExpiredHolds::Ask || has_metered(&entry);
        let apart = if acts { APART_MS } else { COUNTED_APART_MS };
        let mut next = first.until.max(now.plus(apart));
        let mut in_doubt = 0;
        for hold in &holds {
            if hold.until > now {
                next = next.min(hold.until);
                break;
            }
            let intent = match entry.rules().expired_holds {
                _ if !is_hard(&entry, hold) => Intent::Lapse,
                ExpiredHolds::Ask => {
                    in_doubt += 1;
                    continue;
                }
                ExpiredHolds::Free => Intent::Lapse,
                ExpiredHolds::Charge => Intent::Confirm { lapsed: true },
            };
            if hold.state == HoldState::Open {
                let object = None;
                let end = EndHold {
                    hold,
                    object,
                    intent,
                };
                let ended = self.end_hold(&entry, end).await?;
                tracing::debug!(%app, ?ended, "a reservation has expired");
            }
        }
        entry.rest();
        Ok(Some(Held { at: next, in_doubt }))
    }
}

/// Whether a hard limit guards what a reservation holds. What nothing guards is freed when it expires.
fn is_hard(entry: &Entry, hold: &Hold) -> bool {
    let rules = entry.rules();
    let limits = &rules.limits;
    let parts = hold.charge.parts().iter().map(|part| Part {
        limit: limits.of(part.counter),
        ..*part
    });
    parts.into_iter().any(|part| part.is_hard())
}

/// Whether something of an app has no limit.
fn has_metered(entry: &Entry) -> bool {
    let of = |resource: &Resource| entry.rules().limits.of(resource.counter());
    RESOURCES
        .iter()
        .any(|resource| of(resource).get().is_none())
}

/// Ends what has expired, until it is dropped.
pub async fn keep(ledger: &Ledger) {
    let mut tick = tokio::time::interval(LOOK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        if ledger.outlook.state() != State::Up || !ledger.has_lease() {
            continue;
        }
        for (app, known) in ledger.holding.take_due(ledger.now()) {
            let held = match ledger.end_expired(app).await {
                Ok(held) => held,
                Err(fault) => {
                    ledger.doubt(&fault);
                    let at = ledger.now().plus(APART_MS);
                    Some(Held { at, ..known })
                }
            };
            if let Some(held) = held {
                ledger.holding.wait(app, held);
            }
        }
    }
}

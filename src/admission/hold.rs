//! Reservations: held until somebody says what they came to. By any sidecar, and as often as one likes.

use std::sync::Arc;
use std::time::Duration;

use super::{
    Admission, Budget, Cancel, Cancelled, Confirm, Confirmed, Fault, Patience, Silence, shown,
};
use crate::ledger::{EndHold, Entry, HoldEnd, State};
use crate::quota::{AppId, ObjectNumber, RESOURCES, RequestId, Resource};
use crate::store::{HOLDS_MAX, Hold, HoldState, Intent, View};

/// How often a reservation that is just being confirmed is looked at again before it cannot be cancelled.
const ASKED_AGAIN_MAX: usize = 3;
/// How long that is waited for each time: confirmations are told so often.
const CONFIRMING_WAIT: Duration = Duration::from_millis(100);

impl Admission {
    /// Makes a reservation a count; also one that has expired.
    ///
    /// # Errors
    /// [`Fault`]: it is unknown, was cancelled, or could not be confirmed now. Nothing is counted then.
    pub async fn confirm(&self, confirm: Confirm, patience: Patience) -> Result<Confirmed, Fault> {
        let (entry, budget) = self.about_holds(confirm.app, patience)?;
        let hold = self.hold(&entry, &confirm.request_id, budget).await?;
        let budget = budget.shortened();
        let own = hold.charge.parts()[0].counter;
        let done = |view: &View, late, already_counted, replayed| {
            let now = self.ledger.now();
            let net = self
                .ledger
                .net_in(&entry, view, own, self.ledger.zone().day(now));
            Confirmed {
                used: shown(net),
                late,
                already_counted,
                replayed,
            }
        };
        match hold.state {
            HoldState::Cancelled => return Err(CANCELLED),
            // What was there already may have gone since: the ledger says.
            HoldState::AlreadyCounted
            | HoldState::Open
            | HoldState::Confirmed { .. }
            | HoldState::Charged
            | HoldState::Lapsed => {}
        }
        let object = self.object_of_hold(&entry, &confirm, &hold)?;
        let end = EndHold {
            hold: &hold,
            object,
            intent: Intent::Confirm { lapsed: false },
        };
        match self.end(&entry, end, budget).await? {
            HoldEnd::Done {
                replayed,
                beside,
                view,
            } => Ok(done(&view, beside.late, beside.already_counted, replayed)),
            other => Err(fault_of(&other, CANCELLED)),
        }
    }

    /// Ends a reservation that came to nothing.
    ///
    /// # Errors
    /// [`Fault`]: it is unknown, was confirmed, or could not be cancelled now. Nothing is freed then.
    pub async fn cancel(&self, cancel: Cancel, patience: Patience) -> Result<Cancelled, Fault> {
        let (entry, budget) = self.about_holds(cancel.app, patience)?;
        let hold = self.hold(&entry, &cancel.request_id, budget).await?;
        let budget = budget.shortened();
        match hold.state {
            HoldState::AlreadyCounted => return Ok(Cancelled { replayed: false }),
            HoldState::Charged => return Err(CHARGED),
            HoldState::Open
            | HoldState::Confirmed { .. }
            | HoldState::Lapsed
            | HoldState::Cancelled => {}
        }
        let end = EndHold {
            hold: &hold,
            object: None,
            intent: Intent::Cancel,
        };
        for _ in 0..ASKED_AGAIN_MAX {
            match self.end(&entry, end, budget).await? {
                HoldEnd::Done { replayed, .. } => return Ok(Cancelled { replayed }),
                HoldEnd::Confirming if budget.left() > CONFIRMING_WAIT * 2 => {
                    // Perhaps by this very sidecar, which has yet to tell that it was answered.
                    let told = Box::pin(self.ledger.settle_app(&entry));
                    self.ask(told, budget).await.map_err(silent)?;
                    tokio::time::sleep(CONFIRMING_WAIT).await;
                }
                other => return Err(fault_of(&other, CONFIRMED)),
            }
        }
        Err(fault_of(&HoldEnd::Confirming, CONFIRMED))
    }

    /// An app's reservations that are neither confirmed nor ended, those first whose time ends first; at most
    /// `most`, of at most [`HOLDS_MAX`].
    ///
    /// # Errors
    /// [`Fault::UnknownApp`], [`Fault::Away`].
    pub async fn holds(
        &self,
        app: AppId,
        most: usize,
        patience: Patience,
    ) -> Result<Vec<Hold>, Fault> {
        let (_, budget) = self.about_holds(app, patience)?;
        let most = most.min(HOLDS_MAX);
        let holds = self.ledger.store().holds(app, most, self.ledger.now());
        self.ask(holds, budget).await.map_err(silent)
    }

    /// What all calls about reservations begin with: the ledger alone knows of them.
    fn about_holds(&self, app: AppId, patience: Patience) -> Result<(Arc<Entry>, Budget), Fault> {
        let entry = self.entry(app)?.ok_or(Fault::UnknownApp(app))?;
        if self.ledger.state() != State::Up {
            return Err(silent(Silence::Store));
        }
        Ok((entry, self.budget(patience)))
    }

    async fn hold(&self, entry: &Entry, id: &RequestId, budget: Budget) -> Result<Hold, Fault> {
        let hold = self.ledger.store().hold(entry.app, id, self.ledger.now());
        if let Some(found) = self.ask(hold, budget).await.map_err(silent)? {
            return Ok(found);
        }
        // A place in doubt is held longer than ids are remembered: only what is not there is too old.
        self.not_expired(Some(id))?;
        Err(Fault::NoHold)
    }

    async fn end(
        &self,
        entry: &Arc<Entry>,
        end: EndHold<'_>,
        budget: Budget,
    ) -> Result<HoldEnd, Fault> {
        if entry.frozen().is_some() || !self.ledger.has_lease() {
            return Ok(HoldEnd::Later);
        }
        let ended = Box::pin(self.ledger.end_hold(entry, end));
        self.ask(ended, budget).await.map_err(silent)
    }

    /// The object that a reservation became, where counts belong to objects.
    fn object_of_hold(
        &self,
        entry: &Entry,
        confirm: &Confirm,
        hold: &Hold,
    ) -> Result<Option<ObjectNumber>, Fault> {
        let Some(name) = confirm
            .resource_id
            .as_ref()
            .filter(|_| entry.rules().track_objects)
        else {
            return Ok(None);
        };
        if hold.charge.amount().get() > 1 {
            return Err(Fault::Invalid {
                field: "resource_id",
                problem: "names one object, and more were reserved; leave it out".into(),
            });
        }
        let own = hold.charge.parts()[0].counter;
        let resource = RESOURCES.iter().find(|of| of.counter() == own);
        let resource = resource.copied().unwrap_or(Resource::Group);
        let number = self.ledger.object(entry.app, resource, name);
        number.map(Some).ok_or(silent(Silence::Store))
    }
}

const CANCELLED: Fault =
    Fault::Ended("the reservation was cancelled; ask with a new id, or with CHECK_MODE_RECORD");
const CONFIRMED: Fault = Fault::Ended("the reservation was confirmed; release its object instead");
const CHARGED: Fault = Fault::Ended(
    "the reservation had expired and was counted, as the app's settings say; release its object instead",
);

/// Why a reservation did not end as it was to; `other` is said where it had ended the other way.
fn fault_of(end: &HoldEnd, other: Fault) -> Fault {
    match end {
        HoldEnd::NoHold => Fault::NoHold,
        HoldEnd::Other => other,
        HoldEnd::OtherContent => Fault::Invalid {
            field: "resource_id",
            problem: "is not the object that was reserved under this id".into(),
        },
        HoldEnd::Full(full) => (*full).into(),
        HoldEnd::Done { .. } | HoldEnd::Confirming | HoldEnd::Later => {
            Fault::Away("the reservation cannot be ended just now; ask again in a second".into())
        }
    }
}

fn silent(_: Silence) -> Fault {
    Fault::Away("the ledger, which alone knows of reservations, gave no answer; ask again".into())
}

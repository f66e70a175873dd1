//! What gateways were told of reservations and of objects that have names.

use std::hash::Hasher;

use imquota::admission::{Confirmed, Outcome, Refusal, Source, Verdict};

use super::{Auditor, Deal};

impl Auditor {
    /// A reservation was answered. It counts nothing: what holds a place is in no sums.
    pub fn reserved(&self, deal: &Deal, verdict: &Verdict) {
        self.with(|known| {
            known.trace.write_u64(verdict.held);
            let at = match verdict.outcome {
                Outcome::Allow | Outcome::Exceeds(_) | Outcome::Shadowed(_) => 0,
                Outcome::Deny(Refusal::StoreUnavailable { .. }) => {
                    known.note_undone(deal);
                    2
                }
                Outcome::Deny(_) => 1,
            };
            known.answers[at] += 1;
        });
    }

    /// A gateway makes what it has reserved, and is about to say so.
    pub fn makes(&self, deal: &Deal) {
        self.with(|known| {
            let app = known.apps.get_mut(&deal.app).expect("an app of the run");
            if let Some(id) = &deal.id {
                app.unconfirmed.insert(id.clone(), deal.resource);
            }
        });
    }

    /// A reservation was confirmed: from now on it is as any creation that the ledger allowed.
    pub fn confirmed(&self, deal: &Deal, confirmed: &Confirmed, heard: bool) {
        let verdict = Verdict {
            outcome: Outcome::Allow,
            limit: None,
            used: confirmed.used,
            source: Source::Ledger,
            held: 0,
            replayed: confirmed.replayed,
            already_counted: confirmed.already_counted,
        };
        self.created(deal, &verdict, heard);
        if heard {
            self.is_settled(deal);
        }
    }

    fn is_settled(&self, deal: &Deal) {
        self.with(|known| {
            let app = known.apps.get_mut(&deal.app).expect("an app of the run");
            if let Some(id) = &deal.id {
                app.unconfirmed.remove(id);
            }
        });
    }

    /// Nobody knows a reservation any more that a gateway was given: what it has made goes. `unsure`: it may have been
    /// confirmed without anybody hearing of that.
    pub fn hold_forgotten(&self, deal: &Deal, unsure: bool) {
        self.is_settled(deal);
        self.with(|known| {
            if !known.may_lack_names() {
                known
                    .faults
                    .push(format!("{deal:?}: the reservation is unknown"));
            }
            if unsure {
                let app = known.apps.get_mut(&deal.app).expect("an app of the run");
                for (sum, _) in deal.sums() {
                    app.sums.entry(sum).or_default().high += deal.amount();
                }
            }
        });
    }

    /// A deletion gave back nothing. `tried`: an earlier try may have. A name that a loss has parted from its count may
    /// stay charged.
    pub fn deleted_before(&self, deal: &Deal, tried: bool) {
        let parted = self.with(|known| known.may_lack_names());
        if tried && !parted {
            self.deleted(deal, Some(deal.amount().unsigned_abs()));
        } else if !parted {
            self.fault(format!("{deal:?}: nothing is given back"));
        }
    }

    /// A gateway is never told what became of a reservation: a fault, unless the ledger is lost for good.
    pub fn gives_up(&self, words: String) {
        self.with(|known| known.given_up.push(words));
    }

    /// What gateways gave up.
    pub fn given_up(&self) -> Vec<String> {
        self.with(|known| std::mem::take(&mut known.given_up))
    }

    /// Whether reservations may be left over that no gateway knows of.
    pub fn may_leave_holds(&self) -> bool {
        self.with(|known| known.may_lack_names())
    }
}

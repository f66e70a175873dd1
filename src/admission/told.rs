//! What the ledger told of a take, as a verdict: journaled before it goes out.

use super::check::{Hard, allowed, limit_reached, refused};
use super::outage::Wordless;
use super::{Admission, Check, Fault, Outcome, Verdict, shown};
use crate::ledger::{Heard, NotTaken, Once, OpenTake};
use crate::quota::Counter;
use crate::store::{Beside, View, Whose};

/// A take that the ledger was asked for.
pub(super) struct Asked<'a> {
    pub(super) check: &'a Check,
    pub(super) hard: &'a Hard,
    pub(super) open: OpenTake,
    /// When the call was composed.
    pub(super) heard: Heard,
    pub(super) once: Option<Once>,
}

impl Admission {
    /// The ledger allowed it. Too late, and it is as if nobody had told.
    pub(super) fn told_allowed(
        &self,
        asked: Asked<'_>,
        view: &View,
        (replayed, whose): (bool, Whose),
        beside: Beside,
    ) -> Result<Verdict, Fault> {
        let Asked {
            check,
            hard,
            open,
            heard,
            once,
        } = asked;
        let taken = self
            .ledger
            .take_allowed(&hard.entry, open, view, whose, heard);
        match taken {
            Ok(()) => {}
            Err(NotTaken::Full(full)) => return Err(full.into()),
            Err(NotTaken::Late) => return self.without_ledger(check, hard, Wordless::Withheld),
        }
        self.ledger.outlook().decided(check.app);
        if let Some(once) = once {
            self.ledger.was_allowed(once);
        }
        let part = hard.charge.parts()[0];
        let day = hard.day(self);
        let net = self.ledger.net_in(&hard.entry, view, part.counter, day);
        let exceeds = beside.exceeds.map(limit_reached);
        Ok(Verdict {
            outcome: exceeds.map_or(Outcome::Allow, Outcome::Exceeds),
            held: view.reserved[part.counter.index()],
            already_counted: beside.already_counted,
            replayed,
            ..allowed(part.limit, net, self.shared())
        })
    }

    /// The ledger refused it, for want of `counter`.
    pub(super) fn told_denied(
        &self,
        asked: Asked<'_>,
        view: &View,
        counter: Counter,
        (replayed, recallable): (bool, bool),
    ) -> Result<Verdict, Fault> {
        let Asked {
            check,
            hard,
            open,
            heard,
            ..
        } = asked;
        self.ledger.outlook().decided(check.app);
        // A refusal under an id of our own is remembered nowhere, nor is one that others can lift:
        // nothing is to be kept.
        if check.request_id.is_some() && !recallable {
            open.refused(counter)?;
        } else {
            open.forget();
        }
        let day = hard.day(self);
        self.ledger.learn(&hard.entry, view, day, heard);
        let limit = hard.entry.rules().limits.of(counter);
        let used = shown(self.ledger.net_in(&hard.entry, view, counter, day));
        Ok(Verdict {
            held: view.reserved[counter.index()],
            replayed,
            ..refused(limit_reached(counter), Some(limit), used, self.shared())
        })
    }
}

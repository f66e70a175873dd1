//! A creation: from memory where no limit stands in its way, else by one step in the ledger.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::shadow::{self, watched};
use super::{
    Admission, Check, CheckMode, Fault, Outcome, Patience, RETRY_AFTER, Refusal, Source, Verdict,
    shown,
};
use crate::clock::{Day, Millis};
use crate::ledger::{Counted, Despite, Entry, Once, Spent};
use crate::quota::{
    Amount, AppId, AppRules, Charge, Counter, HoldTime, Limit, ObjectId, Part,
    RESOURCE_ID_BYTES_MAX, Resource,
};
use crate::store::Fingerprint;
use siphasher::sip::SipHasher24;

/// Under a limit below this one an id is known to all sidecars: few creations come, and each place matters.
const SMALL_LIMIT: u64 = 1_000;

impl Admission {
    /// Decides one creation; if it is allowed, it is counted.
    ///
    /// # Errors
    /// [`Fault`]; nothing is counted then.
    pub async fn check(&self, check: Check, patience: Patience) -> Result<Verdict, Fault> {
        match self.without_waiting(&check)? {
            Ok(verdict) => Ok(verdict),
            // Boxed, so that the future of a check from memory stays small.
            Err(hard) => Box::pin(self.with_ledger(check, hard, patience)).await,
        }
    }

    /// The synchronous part of [`Admission::check`]: decides it if that can be done without the ledger;
    /// if not, [`Admission::with_ledger`] goes on with what it gives.
    ///
    /// # Errors
    /// [`Fault`]; nothing is counted then.
    pub fn without_waiting(&self, check: &Check) -> Result<Result<Verdict, Hard>, Fault> {
        self.decide_next(check, &mut self.sit())
    }

    /// Checks of these apps follow in a moment.
    pub fn foresee(&self, apps: impl Iterator<Item = AppId>) {
        self.ledger.foresee(apps);
    }

    /// Checks that have come together are about to be decided, now.
    pub fn sit(&self) -> Sitting {
        Sitting {
            now: self.ledger.now(),
            begun: Instant::now(),
        }
    }

    /// As [`Admission::without_waiting`], one of those that have come together.
    ///
    /// # Errors
    /// [`Fault`]; nothing is counted then.
    pub fn decide_next(
        &self,
        check: &Check,
        sitting: &mut Sitting,
    ) -> Result<Result<Verdict, Hard>, Fault> {
        let decided = self.without_asking(check, sitting.now)?;
        if let Ok(verdict) = &decided {
            let took = sitting.took();
            self.tally.decided(check, verdict, took, || sitting.now);
        }
        Ok(decided)
    }

    fn without_asking(&self, check: &Check, now: Millis) -> Result<Result<Verdict, Hard>, Fault> {
        let met = self.ledger.with_met(check.app, |entry| {
            (!entry.is_gone()).then(|| self.of_entry(check, entry, now))
        });
        if let Some(Some(decided)) = met {
            return decided;
        }
        match self.entry(check.app)? {
            Some(entry) => self.of_entry(check, &entry, now),
            None => Ok(Ok(self.of_unknown(check.app))),
        }
    }

    /// The answer for an app that nobody names, as far as is known here.
    fn of_unknown(&self, app: AppId) -> Verdict {
        let rules = self.ledger.rules();
        let refusal = if rules.is_heard() || rules.registered(app).is_some() {
            Refusal::AppUnknown
        } else {
            // It may be in the ledger, which this sidecar has never read.
            Refusal::StoreUnavailable {
                retry_after: RETRY_AFTER,
            }
        };
        let verdict = refused(refusal, None, 0, Source::Memory);
        if rules.file().shadow {
            watched(verdict, refusal)
        } else {
            verdict
        }
    }

    fn of_entry(
        &self,
        check: &Check,
        entry: &Arc<Entry>,
        now: Millis,
    ) -> Result<Result<Verdict, Hard>, Fault> {
        let rules = entry.rules();
        if !rules.shadow {
            return self.judged(check, entry, &rules, now);
        }
        let decided = self.judged(&shadow::asked(check), entry, &rules, now)?;
        Ok(decided.map(|verdict| shadow::shown(check, &rules, verdict)))
    }

    fn judged(
        &self,
        check: &Check,
        entry: &Arc<Entry>,
        rules: &AppRules,
        now: Millis,
    ) -> Result<Result<Verdict, Hard>, Fault> {
        if rules.disabled && !rules.shadow && check.mode != CheckMode::Record {
            let limit = rules.limits.of(check.resource.counter());
            let used = shown(entry.net(check.resource));
            return Ok(Ok(refused(
                Refusal::AppDisabled,
                Some(limit),
                used,
                Source::Memory,
            )));
        }
        let charge = Charge::new(check.resource, check.amount, &rules.limits);
        let charge = charge.of_edition(rules.edition);
        if check.mode.counts()
            && let Some(id) = &check.request_id
            && self.ledger.is_expired(id, now)
        {
            let part = charge.parts()[0];
            let used = shown(self.ledger.net(entry, part.counter, now));
            let refusal = Refusal::RequestExpired;
            return Ok(Ok(refused(refusal, Some(part.limit), used, self.memory())));
        }
        let hard = || Hard {
            entry: entry.clone(),
            charge,
            now,
        };
        if check.is_the_ledgers(entry) {
            return Ok(Err(hard()));
        }
        if !charge.is_metered() {
            return Ok(self
                .out_of_spare(check, entry, &charge, now)?
                .ok_or_else(hard));
        }
        if self.shares(check, entry, &charge) {
            return Ok(Err(hard()));
        }
        if check.mode != CheckMode::Record
            && let Some(part) = self.stops_metered(entry, &charge)
        {
            return Ok(Ok(self.unavailable(&hard(), &part)));
        }
        let part = charge.parts()[0];
        let known = || self.ledger.net(entry, part.counter, now);
        let (net, replayed) = match check.mode {
            CheckMode::Count | CheckMode::Record => {
                let (once, despite) = (check.once(), Despite::Nothing);
                match self
                    .ledger
                    .consume(entry, &charge, (now, now), once, despite)?
                {
                    Counted::Now(net) => (net, false),
                    Counted::Before(_) => (known(), true),
                    Counted::Not | Counted::There => return Ok(Err(hard())),
                    Counted::Other => return Err(Fault::OtherContent),
                }
            }
            // A reservation is the ledger's.
            CheckMode::DryRun | CheckMode::Reserve(_) => (known(), false),
        };
        Ok(Ok(Verdict {
            replayed,
            ..allowed(part.limit, net, self.memory())
        }))
    }

    /// The answer from what was lent to this sidecar; `None`: the ledger must be asked.
    pub(super) fn out_of_spare(
        &self,
        check: &Check,
        entry: &Arc<Entry>,
        charge: &Charge,
        now: Millis,
    ) -> Result<Option<Verdict>, Fault> {
        let spends = check.mode.counts() && !self.ledger.store().is_local();
        if !spends || check.is_the_ledgers(entry) || self.shares(check, entry, charge) {
            return Ok(None);
        }
        let own = &charge.parts()[0];
        Ok(match self.ledger.spend(entry, charge, now, check.once())? {
            Spent::Counted(net) => Some(allowed(own.limit, net, self.memory())),
            Spent::Before(net) => Some(Verdict {
                replayed: true,
                ..allowed(own.limit, net, self.memory())
            }),
            Spent::Other => return Err(Fault::OtherContent),
            Spent::Late => {
                let (entry, charge) = (entry.clone(), *charge);
                Some(self.unavailable(&Hard { entry, charge, now }, own))
            }
            Spent::Ask => None,
        })
    }

    /// Whether a check's answer is to be found again by every sidecar, so that only the ledger's record can
    /// tell: the app wants it, or a place counted twice would be missed.
    pub(super) fn shares(&self, check: &Check, entry: &Entry, charge: &Charge) -> bool {
        let named = check.mode.counts() && check.request_id.is_some();
        let is_small = |part: &Part| part.limit.get().is_some_and(|limit| limit < SMALL_LIMIT);
        let matters = entry.rules().share_ids || charge.parts().iter().any(is_small);
        named && matters && !self.ledger.store().is_local()
    }
}

impl Check {
    /// Whether only the ledger may decide it, whatever memory knows: it holds a place, or it is about an object
    /// that a count belongs to.
    pub(super) fn is_the_ledgers(&self, entry: &Entry) -> bool {
        let reserves = matches!(self.mode, CheckMode::Reserve(_));
        reserves || entry.rules().track_objects && self.resource_id.is_some()
    }

    /// What it asks for, as a number.
    pub(super) fn fingerprint(&self) -> Fingerprint {
        let verb = match self.mode {
            CheckMode::Reserve(_) => b'h',
            // Of what happened anyway the check may have been answered after all.
            CheckMode::Count | CheckMode::Record | CheckMode::DryRun => b'c',
        };
        let print = Print::new(verb, self.resource, self.amount).naming(self.resource_id.as_ref());
        match self.mode {
            CheckMode::Reserve(hold) => print.holding(hold),
            _ => print,
        }
        .done()
    }

    /// The request that it is, if its client named it.
    pub(super) fn once(&self) -> Option<Once> {
        let id = self.request_id.as_ref()?;
        Some(Once::new(self.app, id, self.fingerprint()))
    }
}

/// Checks that have come together and are decided one after the other. They share the time of day, and the time
/// that one of them takes begins where that of the one before ends: the clock is asked once for each.
pub struct Sitting {
    now: Millis,
    begun: Instant,
}

impl Sitting {
    /// How long the one took that ends now.
    fn took(&mut self) -> Duration {
        let begun = std::mem::replace(&mut self.begun, Instant::now());
        self.begun.saturating_duration_since(begun)
    }
}

/// A creation that a limit may refuse, and that the ledger is to be asked about.
pub struct Hard {
    pub(super) entry: Arc<Entry>,
    pub(super) charge: Charge,
    pub(super) now: Millis,
}

impl Hard {
    pub(super) fn day(&self, admission: &Admission) -> Day {
        admission.ledger.zone().day(self.now)
    }
}

pub(super) fn allowed(limit: Limit, net: i64, source: Source) -> Verdict {
    let (outcome, limit, used) = (Outcome::Allow, Some(limit), shown(net));
    Verdict {
        outcome,
        limit,
        used,
        source,
        held: 0,
        replayed: false,
        already_counted: false,
    }
}

pub(super) fn refused(
    refusal: Refusal,
    limit: Option<Limit>,
    used: u64,
    source: Source,
) -> Verdict {
    Verdict {
        outcome: Outcome::Deny(refusal),
        limit,
        used,
        source,
        held: 0,
        replayed: false,
        already_counted: false,
    }
}

pub(super) fn limit_reached(counter: Counter) -> Refusal {
    match counter {
        Counter::GroupsGained => Refusal::DailyGainReached,
        counter => Refusal::LimitReached(counter),
    }
}

/// The most bytes of what a request asks for: a verb, a resource, an amount, an object's name, a time.
const PRINT_BYTES_MAX: usize = 2 + 4 + 1 + RESOURCE_ID_BYTES_MAX + 1 + 4;

/// What one request asks for, as a number: one id cannot stand for two of them.
pub(super) struct Print {
    bytes: [u8; PRINT_BYTES_MAX],
    len: usize,
}

impl Print {
    /// Written byte by byte, so that every version of this program makes the same: the ledger compares
    /// what different sidecars sent.
    pub(super) fn new(verb: u8, resource: Resource, amount: Amount) -> Self {
        let bytes = [0; PRINT_BYTES_MAX];
        let mut print = Self { bytes, len: 0 };
        print.add(&[verb, resource as u8]);
        print.add(&amount.get().to_le_bytes());
        print
    }

    /// The same, of this object.
    pub(super) fn naming(mut self, object: Option<&ObjectId>) -> Self {
        if let Some(object) = object {
            self.add(b"o");
            self.add(object.as_str().as_bytes());
        }
        self
    }

    fn holding(mut self, hold: HoldTime) -> Self {
        self.add(b"t");
        self.add(&hold.ms().to_le_bytes());
        self
    }

    fn add(&mut self, part: &[u8]) {
        let end = self.len + part.len();
        self.bytes[self.len..end].copy_from_slice(part);
        self.len = end;
    }

    pub(super) fn done(self) -> Fingerprint {
        // At once, which costs half of what it does part by part.
        Fingerprint(SipHasher24::new().hash(&self.bytes[..self.len]))
    }
}

#[cfg(test)]
mod tests {
    use std::hash::Hasher as _;
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_version_makes_the_same_number_of_what_is_asked() {
        let amount = Amount::from_wire(100).expect("it is allowed");
        let longest = ObjectId::parse(&"o".repeat(RESOURCE_ID_BYTES_MAX)).expect("it is a name");
        let hold = HoldTime::new(Duration::from_secs(30)).expect("it is a time");
        let check = |resource_id: Option<&ObjectId>, mode| Check {
            app: AppId::new(1).expect("not 0"),
            resource: Resource::AvRoom,
            amount,
            request_id: None,
            resource_id: resource_id.cloned(),
            mode,
        };
        let heard = |parts: &[&[u8]]| {
            let mut hasher = SipHasher24::new();
            for part in parts {
                hasher.write(part);
            }
            Fingerprint(hasher.finish())
        };
        let plain = check(None, CheckMode::Count).fingerprint();
        assert_eq!(plain, heard(&[b"c\x02", b"\x64\0\0\0"]));
        let held = check(Some(&longest), CheckMode::Reserve(hold)).fingerprint();
        let name = longest.as_str().as_bytes();
        let ms = 30_000_u32.to_le_bytes();
        assert_eq!(
            held,
            heard(&[b"h\x02", b"\x64\0\0\0", b"o", name, b"t", &ms])
        );
    }
}

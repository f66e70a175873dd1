//! A record: what the ledger knows of one request id.

use std::hash::{Hash, Hasher};

use siphasher::sip128::{Hasher128, SipHasher13};

use super::app::{Parts, Standing};
use super::hold::{Confirmed, Reservation};
use super::shard::Caller;
use crate::clock::{Day, Millis};
use crate::quota::{AppId, Counter, ObjectNumber, RequestId, Resource};
use crate::store::{Attempt, Fingerprint, RecordKey, Take};

/// The most attempts that one held record waits for; the next one is turned away.
pub(super) const CLAIMS_MAX: usize = 64;

/// A record's name: a keyed hash of its app and key, so that every record costs the same few bytes
/// whatever its client calls it. 127 bits: two ids of ten million meet once in 10^24 ledgers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RecordId([u8; 16]);

/// Says whether a sidecar made the key itself.
const OWN: u128 = 1 << 127;

impl RecordId {
    /// The name of `key` in `app`, under the installation's key.
    pub(super) fn of(secret: &[u8; 16], app: AppId, key: &RecordKey) -> Self {
        // What is hashed begins with a word of its own, since users are hashed under the same key.
        let mut hasher = SipHasher13::new_with_key(secret);
        hasher.write(b"record");
        hasher.write(&app.get().to_le_bytes());
        let own = match key {
            RecordKey::Client(id) => {
                hasher.write(id.as_str().as_bytes());
                0
            }
            RecordKey::Own {
                incarnation,
                attempt,
            } => {
                hasher.write(&incarnation.to_le_bytes());
                hasher.write(&attempt.0.to_le_bytes());
                OWN
            }
            RecordKey::Object(object) => {
                hasher.write(&object.0.to_le_bytes());
                hasher.write(b"object");
                0
            }
        };
        Self::from_number(u128::from(hasher.finish128()) & !OWN | own)
    }

    /// The name of what is known under a client's id.
    pub(super) fn of_client(secret: &[u8; 16], app: AppId, id: &RequestId) -> Self {
        Self::of(secret, app, &RecordKey::Client(id.clone()))
    }

    /// The name of an object's record.
    pub(super) fn of_object(secret: &[u8; 16], app: AppId, object: ObjectNumber) -> Self {
        Self::of(secret, app, &RecordKey::Object(object))
    }

    /// The name of the mark of an attempt at an object's record: it goes as keys of a sidecar's own making do.
    pub(super) fn of_mark(secret: &[u8; 16], app: AppId, claim: Claim) -> Self {
        let mut hasher = SipHasher13::new_with_key(secret);
        hasher.write(b"attempt");
        hasher.write(&app.get().to_le_bytes());
        hasher.write(&claim.member.to_le_bytes());
        hasher.write(&claim.attempt.0.to_le_bytes());
        Self::from_number(u128::from(hasher.finish128()) | OWN)
    }

    /// The name of the mark of an object that was known not to be there when somebody was about to create it.
    pub(super) fn of_absence(secret: &[u8; 16], app: AppId, object: ObjectNumber) -> Self {
        let mut hasher = SipHasher13::new_with_key(secret);
        hasher.write(b"absence");
        hasher.write(&app.get().to_le_bytes());
        hasher.write(&object.0.to_le_bytes());
        Self::from_number(u128::from(hasher.finish128()) & !OWN)
    }

    pub(super) fn from_number(number: u128) -> Self {
        Self(number.to_be_bytes())
    }

    pub(super) fn number(self) -> u128 {
        u128::from_be_bytes(self.0)
    }

    /// Whether a sidecar made the key itself: no client will ever ask for it again.
    pub(super) fn is_own(self) -> bool {
        self.number() & OWN != 0
    }
}

impl Hash for RecordId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // Already a hash: its low half spreads well enough.
        if let Some(low) = self.0.last_chunk() {
            state.write_u64(u64::from_le_bytes(*low));
        }
    }
}

/// Minutes since the Unix epoch, from 1 on: the grain in which records age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Minute(pub(super) u32);

impl Minute {
    /// The minute that `at` falls in.
    pub(super) fn of(at: Millis) -> Self {
        Self(u32::try_from(at.0 / 60_000).map_or(1, |minute| minute.max(1)))
    }
}

/// One attempt that waits for a record to be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) member: u64,
    pub(super) attempt: Attempt,
}

impl Claim {
    /// That of a take.
    pub(super) fn of(by: Caller<'_>, take: &Take) -> Self {
        Self {
            member: by.member,
            attempt: take.attempt,
        }
    }
}

/// What became of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// Counted, but not known to be answered: freed when the last claim is withdrawn.
    Held(Vec<Claim>),
    /// A reservation whose answer is known to be out: no withdrawal frees it.
    Reserved,
    /// A reservation that is being confirmed: reserved again when the last claim is withdrawn.
    Confirming(Vec<Claim>),
    /// Counted for good.
    Counted,
    /// Refused, for want of this counter.
    Denied(Counter),
    /// Not a creation but a release.
    Released(Fell),
    /// A reservation that came to nothing.
    Cancelled,
    /// A reservation that was freed when its time was over.
    Lapsed,
    /// Its object was deleted before its answer was known to be out: counts nothing, and nothing is created
    /// at it as long as some attempt waits.
    Gone(Vec<Claim>),
    /// A client's id at an object's record.
    Note(Note),
    /// The mark of an attempt at an object's record: it was done here. Its answer, stated again, does
    /// nothing anew, though the object may be gone since. At the record itself: its object was deleted. Or the
    /// mark of an object that was known not to be there.
    Done,
    /// Withdrawn, or over: as if it had never been. Stays until the file has forgotten it too.
    Freed,
}

impl State {
    /// Where it is in the counts.
    pub(super) fn standing(&self, of_reservation: bool) -> Standing {
        match self {
            Self::Held(_) if of_reservation => Standing::Reserved,
            Self::Reserved => Standing::Reserved,
            Self::Held(_) | Self::Confirming(_) => Standing::Held,
            Self::Counted => Standing::Counted,
            _ => Standing::Nowhere,
        }
    }

    /// The attempts that wait for it.
    pub(super) fn claims(&mut self) -> Option<&mut Vec<Claim>> {
        match self {
            Self::Held(claims) | Self::Confirming(claims) | Self::Gone(claims) => Some(claims),
            _ => None,
        }
    }
}

/// What is known under a client's id whose request named an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) object: ObjectNumber,
    /// Whether this id created or reserved it; else it was there already.
    pub(super) first: bool,
    /// Whether its reservation holds its place: then the note stays, whatever its age.
    pub(super) stays: bool,
    /// Whether somebody was told that the object is created, or is there.
    pub(super) heard: Heard,
}

/// Whether the answer under a client's id is known to be out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    No,
    /// It is on its way, unless this attempt is withdrawn: nothing else waits for that.
    Met(Claim),
    Yes,
}

/// What a release gave back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fell {
    /// How many were given back; an amount is at most 100.
    pub(super) own: u8,
    /// By how much the groups and the day's gain fell with them.
    pub(super) groups: u8,
    /// What they were.
    pub(super) resource: Resource,
}

impl Fell {
    /// What fell, where it is at most an amount.
    pub(super) fn of(resource: Resource, own: u32, groups: u32) -> Self {
        let byte = |number| u8::try_from(number).unwrap_or(u8::MAX);
        Self {
            own: byte(own),
            groups: byte(groups),
            resource,
        }
    }
}

/// A record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) app: AppId,
    pub(super) fingerprint: Fingerprint,
    /// The day that its gain counts for.
    pub(super) day: Day,
    /// When its state last changed.
    pub(super) minute: Minute,
    /// What it moves; nothing for a release. Of a note, what was to be reserved and was there already.
    pub(super) parts: Parts,
    pub(super) state: State,
    /// What it is as a reservation, also when that is over.
    pub(super) reservation: Option<Box<Reservation>>,
}

impl Record {
    /// What a take writes.
    pub(super) fn new(take: &Take, state: State, now: Millis) -> Self {
        Self {
            app: take.app,
            fingerprint: take.fingerprint,
            day: take.day,
            minute: Minute::of(now),
            parts: Parts::of(&take.charge),
            state,
            reservation: None,
        }
    }

    /// A reservation that the attempt of `claim` begins to confirm.
    pub(super) fn confirming(&self, claim: Claim, now: Millis) -> Self {
        let mut new = Self {
            state: State::Confirming(vec![claim]),
            ..self.clone()
        };
        if let Some(reservation) = &mut new.reservation {
            let is_late = now > reservation.until;
            let how = if is_late {
                Confirmed::Late
            } else {
                Confirmed::InTime
            };
            reservation.confirmed = Some(how);
        }
        new
    }

    /// The same as what a take says that it is: whoever counts it counts it as that.
    pub(super) fn called_by(self, take: &Take) -> Self {
        let parts = Parts::of(&take.charge);
        let has_day = self.parts.has(Counter::GroupsGained);
        Self {
            parts,
            day: if has_day { self.day } else { take.day },
            ..self
        }
    }

    /// Where it is in the counts.
    pub(super) fn standing(&self) -> Standing {
        self.state.standing(self.reservation.is_some())
    }

    /// Whether it is a reservation that is neither confirmed nor over.
    pub(super) fn is_open(&self) -> bool {
        self.standing() == Standing::Reserved
    }

    /// Whether it counts what is not known to be answered, or reserved: its age does not matter then.
    pub(super) fn stays(&self) -> bool {
        match &self.state {
            State::Held(_) | State::Reserved | State::Confirming(_) | State::Gone(_) => true,
            State::Note(note) => note.stays,
            _ => false,
        }
    }

    /// Whether an attempt waits for its answer.
    pub(super) fn waits_for(&self, claim: Claim) -> bool {
        match &self.state {
            State::Held(claims) | State::Confirming(claims) | State::Gone(claims) => {
                claims.contains(&claim)
            }
            _ => false,
        }
    }

    /// Whether its answer is about to be reported.
    pub(super) fn is_awaited(&self) -> bool {
        matches!(self.state, State::Held(_) | State::Confirming(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quota::RequestId;

    #[test]
    fn names_tell_apps_and_kinds_of_keys_apart() {
        let app = |id| AppId::new(id).unwrap();
        let client = RecordKey::Client(RequestId::parse("r-1").unwrap());
        let own = RecordKey::Own {
            incarnation: 1,
            attempt: Attempt(1),
        };
        let secret = [7; 16];
        let name = |id, key| RecordId::of(&secret, app(id), key);
        assert_eq!(name(1, &client), name(1, &client));
        assert_ne!(name(1, &client), name(2, &client));
        assert_ne!(name(1, &client), RecordId::of(&[8; 16], app(1), &client));
        assert!(name(1, &own).is_own() && !name(1, &client).is_own());
        assert_eq!(RecordId::from_number(name(1, &own).number()), name(1, &own));
    }
}

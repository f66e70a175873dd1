//! The file's own binary form: numbers as varints, one version byte before each value.
//!
//! Reading never panics: whatever is not a value of this form is `None`, which the file reports as
//! damage.

mod notes;

pub(super) use notes::{read_notes, write_notes};

use super::app::{App, DayCounts, Parts};
use super::hold::{Confirmed, Reservation};
use super::peaks::{MonthGroups, MonthPeaks};
use super::record::{CLAIMS_MAX, Claim, Fell, Heard, Minute, Note, Record, State};
use super::totals::Told;
use crate::clock::Day;
use crate::clock::Millis;
use crate::quota::{AppId, COUNTERS, Counter, ObjectNumber, PlanName, RESOURCES, RequestId};
use crate::store::past::KeptDay;
use crate::store::{Attempt, AuditEntry, Cell, Fingerprint, Installation, Totals};

/// The form that this program writes; the only one that it reads.
pub(super) const VERSION: u8 = 3;

/// Who the ledger is, and what its days are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) installation: Installation,
    /// The schedule of billing zones.
    pub(super) zone: String,
}

/// The value of an app. Days before `open_from` are left out: the history has them.
pub(super) fn write_app(app: &App, open_from: Day) -> Vec<u8> {
    let mut out = Writer::new();
    for net in app.live {
        out.signed(net);
    }
    for held in app.held {
        out.signed(held);
    }
    // Most apps have neither reservations nor objects.
    out.list(some(&app.reserved), Writer::signed);
    out.list(some(&app.named), Writer::signed);
    out.number(app.tombs.into());
    out.number(app.buried);
    out.list(app.days.iter().filter(|d| d.day >= open_from), |out, d| {
        out.day(d.day);
        out.signed(d.gained);
        out.signed(d.reserved);
        out.number(d.actives);
        out.number(d.increment);
        out.groups(d.groups);
    });
    let open = |told: &&Told| told.cell.day().is_none_or(|day| day >= open_from);
    out.list(app.told.iter().filter(open), |out, told| {
        out.bytes(&told.member.to_le_bytes());
        out.cell(told.cell);
        out.number(told.totals.consumed);
        out.number(told.totals.released);
    });
    out.list(app.months.iter(), Writer::month);
    out.list(app.changed_on.iter(), |out, day| out.day(*day));
    out.list(app.plans.iter(), |out, (from, plan)| {
        out.day(*from);
        out.text(plan.as_str());
    });
    out.0
}

/// All three, unless there is nothing to say.
fn some(three: &[i64; 3]) -> impl Iterator<Item = i64> + Clone + '_ {
    let all = if *three == [0; 3] {
        &three[..0]
    } else {
        &three[..]
    };
    all.iter().copied()
}

/// Reads what [`write_app`] wrote.
pub(super) fn read_app(bytes: &[u8]) -> Option<App> {
    let mut from = Reader::new(bytes)?;
    let app = App {
        live: [from.signed()?, from.signed()?, from.signed()?],
        held: [from.signed()?, from.signed()?, from.signed()?],
        reserved: from.three()?,
        named: from.three()?,
        tombs: u32::try_from(from.number()?).ok()?,
        buried: from.number()?,
        days: from.list(|from| {
            Some(DayCounts {
                day: from.day()?,
                gained: from.signed()?,
                reserved: from.signed()?,
                actives: from.number()?,
                increment: from.number()?,
                groups: from.groups()?.pop(),
            })
        })?,
        told: from.list(|from| {
            Some(Told {
                member: u64::from_le_bytes(from.bytes()?),
                cell: from.cell()?,
                totals: Totals {
                    consumed: from.number()?,
                    released: from.number()?,
                },
            })
        })?,
        months: from.list(Reader::month)?,
        changed_on: from.list(Reader::day)?.pop(),
        plans: from.list(|from| Some((from.day()?, PlanName::parse(&from.text()?)?)))?,
    };
    from.end(app)
}

/// The value of a day in the history.
pub(super) fn write_day(counts: &DayCounts) -> Vec<u8> {
    let mut out = Writer::new();
    out.number(counts.daily_active());
    out.groups(counts.groups);
    out.0
}

/// Reads what [`write_day`] wrote of a day.
pub(super) fn read_day(bytes: &[u8], day: Day) -> Option<KeptDay> {
    let mut from = Reader::new(bytes)?;
    let kept = KeptDay {
        day,
        daily_active: from.number()?,
        groups: from.groups()?.pop(),
    };
    from.end(kept)
}

/// The value of a month in the history.
pub(super) fn write_month(month: &MonthPeaks) -> Vec<u8> {
    let mut out = Writer::new();
    out.month(month);
    out.0
}

/// Reads what [`write_month`] wrote.
pub(super) fn read_month(bytes: &[u8]) -> Option<MonthPeaks> {
    let mut from = Reader::new(bytes)?;
    let month = from.month()?;
    from.end(month)
}

// The states of a record. Those that stay whatever their age come first.
const HELD: u8 = 0;
const RESERVED: u8 = 1;
const CONFIRMING: u8 = 2;
const GONE: u8 = 3;
const NOTE_THAT_STAYS: u8 = 4;
const NOTE: u8 = 5;
const COUNTED: u8 = 6;
const DENIED: u8 = 7;
const RELEASED: u8 = 8;
const CANCELLED: u8 = 9;
const LAPSED: u8 = 10;
const DONE: u8 = 11;
// Beside whether a note's id was the first.
const TOLD: u8 = 2;
const MET: u8 = 4;

/// The value of a record; its minute stands in the key. `None` for one that was freed.
pub(super) fn write_record(record: &Record) -> Option<Vec<u8>> {
    let mut out = Writer::new();
    // The state comes first, so that [`stays`] need not read the rest.
    out.0.push(match &record.state {
        State::Held(_) => HELD,
        State::Reserved => RESERVED,
        State::Confirming(_) => CONFIRMING,
        State::Gone(_) => GONE,
        State::Note(note) if note.stays => NOTE_THAT_STAYS,
        State::Note(_) => NOTE,
        State::Counted => COUNTED,
        State::Denied(_) => DENIED,
        State::Released(_) => RELEASED,
        State::Cancelled => CANCELLED,
        State::Lapsed => LAPSED,
        State::Done => DONE,
        State::Freed => return None,
    });
    out.number(record.app.get());
    out.bytes(&record.fingerprint.0.to_le_bytes());
    out.day(record.day);
    out.bytes(&[record.parts.counters, record.parts.amount]);
    match &record.state {
        State::Held(claims) | State::Confirming(claims) | State::Gone(claims) => {
            out.list(claims.iter(), Writer::claim);
        }
        State::Note(note) => out.note(note),
        State::Denied(counter) => out.0.push(*counter as u8),
        State::Released(fell) => out.bytes(&[fell.own, fell.groups, fell.resource as u8]),
        State::Reserved
        | State::Counted
        | State::Cancelled
        | State::Lapsed
        | State::Done
        | State::Freed => {}
    }
    out.list(record.reservation.iter(), |out, of| out.reservation(of));
    Some(out.0)
}

/// Reads what [`write_record`] wrote under a key of `minute`.
pub(super) fn read_record(bytes: &[u8], minute: Minute) -> Option<Record> {
    let mut from = Reader::new(bytes)?;
    let [state] = from.bytes()?;
    let mut record = Record {
        app: AppId::new(from.number()?)?,
        fingerprint: Fingerprint(u64::from_le_bytes(from.bytes()?)),
        day: from.day()?,
        minute,
        parts: from
            .bytes()
            .map(|[counters, amount]| Parts { counters, amount })?,
        state: State::Counted,
        reservation: None,
    };
    record.state = from.state(state)?;
    record.reservation = from.list(Reader::reservation)?.pop().map(Box::new);
    from.end(record)
}

/// Whether the value is that of a record which stays whatever its age.
pub(super) fn stays(bytes: &[u8]) -> bool {
    bytes.get(1).is_some_and(|state| *state <= NOTE_THAT_STAYS)
}

/// Whether the value may be that of an open reservation.
pub(super) fn may_be_open(bytes: &[u8]) -> bool {
    bytes.get(1).is_some_and(|state| *state <= RESERVED)
}

/// The value that says who the ledger is.
pub(super) fn write_identity(identity: &Identity) -> Vec<u8> {
    let mut out = Writer::new();
    out.bytes(&identity.installation.id.to_le_bytes());
    out.bytes(&identity.installation.user_key);
    out.bytes(identity.zone.as_bytes());
    out.0
}

/// Reads what [`write_identity`] wrote.
pub(super) fn read_identity(bytes: &[u8]) -> Option<Identity> {
    let mut from = Reader::new(bytes)?;
    let installation = Installation {
        id: u64::from_le_bytes(from.bytes()?),
        user_key: from.bytes()?,
    };
    let zone = String::from_utf8(from.0.to_vec()).ok()?;
    Some(Identity { installation, zone })
}

/// The value of an entry of the audit list.
pub(super) fn write_audit(entry: &AuditEntry) -> Vec<u8> {
    let mut out = Writer::new();
    out.signed(entry.at.0);
    out.text(&entry.who);
    out.text(&entry.what);
    out.number(entry.app.map_or(0, AppId::get));
    out.text(&entry.subject);
    out.list(entry.from.iter(), |out, count| out.signed(*count));
    out.list(entry.to.iter(), |out, count| out.signed(*count));
    out.text(&entry.why);
    out.0
}

/// Reads what [`write_audit`] wrote.
pub(super) fn read_audit(bytes: &[u8]) -> Option<AuditEntry> {
    let mut from = Reader::new(bytes)?;
    let entry = AuditEntry {
        at: Millis(from.signed()?),
        who: from.text()?,
        what: from.text()?,
        app: AppId::new(from.number()?),
        subject: from.text()?,
        from: from.list(Reader::signed)?.pop(),
        to: from.list(Reader::signed)?.pop(),
        why: from.text()?,
    };
    from.end(entry)
}

/// The users of one chunk, 16 bytes each.
pub(super) fn write_users(users: &[u128]) -> Vec<u8> {
    users.iter().flat_map(|user| user.to_le_bytes()).collect()
}

/// Reads what [`write_users`] wrote.
pub(super) fn read_users(bytes: &[u8]) -> Option<impl Iterator<Item = u128>> {
    let (users, rest) = bytes.as_chunks::<16>();
    let whole = rest.is_empty();
    whole.then(|| users.iter().map(|user| u128::from_le_bytes(*user)))
}

struct Writer(Vec<u8>);

impl Writer {
    fn new() -> Self {
        Self(vec![VERSION])
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn claim(&mut self, claim: &Claim) {
        self.bytes(&claim.member.to_le_bytes());
        self.number(claim.attempt.0);
    }

    fn note(&mut self, note: &Note) {
        self.bytes(&note.object.0.to_le_bytes());
        let heard = match note.heard {
            Heard::No => 0,
            Heard::Yes => TOLD,
            Heard::Met(_) => MET,
        };
        self.0.push(u8::from(note.first) | heard);
        if let Heard::Met(claim) = note.heard {
            self.claim(&claim);
        }
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.bytes(text.as_bytes());
    }

    /// Seven bits a byte, the lowest first; the top bit says that more follow.
    fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number.to_le_bytes()[0] | 0x80);
            number >>= 7;
        }
        self.0.push(number.to_le_bytes()[0]);
    }

    /// Zigzag: small numbers of either sign stay short.
    fn signed(&mut self, number: i64) {
        self.number(((number << 1) ^ (number >> 63)).cast_unsigned());
    }

    fn day(&mut self, day: Day) {
        self.signed(day.number().into());
    }

    /// The highest and the last number of a day's groups.
    fn groups(&mut self, groups: Option<(u64, u64)>) {
        self.list(groups.iter(), |out, (highest, last)| {
            out.number(*highest);
            out.number(*last);
        });
    }

    fn month(&mut self, month: &MonthPeaks) {
        self.signed(month.month.into());
        self.list(month.groups.iter(), |out, groups| {
            out.number(groups.carried_in);
            out.number(groups.highest);
            out.list(groups.day.iter(), |out, day| out.day(*day));
            out.number(groups.last);
        });
        self.number(month.actives);
        self.list(month.actives_day.iter(), |out, day| out.day(*day));
    }

    fn reservation(&mut self, of: &Reservation) {
        self.text(of.id.as_str());
        self.list(of.object.iter(), |out, object| {
            out.bytes(&object.0.to_le_bytes());
        });
        self.signed(of.until.0);
        self.0.push(match of.confirmed {
            None => 0,
            Some(Confirmed::InTime) => 1,
            Some(Confirmed::Late) => 2,
            Some(Confirmed::Charged) => 3,
        });
    }

    /// 0 to 2: a live count; 3: a day's gain; 4: a day's increments.
    fn cell(&mut self, cell: Cell) {
        match cell {
            Cell::Live(resource) => self.0.push(resource as u8),
            Cell::Gained(day) => {
                self.0.push(3);
                self.day(day);
            }
            Cell::Increment(day) => {
                self.0.push(4);
                self.day(day);
            }
        }
    }

    fn list<T>(
        &mut self,
        items: impl Iterator<Item = T> + Clone,
        mut each: impl FnMut(&mut Self, T),
    ) {
        self.number(items.clone().count() as u64);
        for item in items {
            each(self, item);
        }
    }
}

/// The most items that a list in a value can have; a longer one is damage, not a reason to reserve.
const LIST_MAX: u64 = 1 << 20;
const _: () = assert!(CLAIMS_MAX < 1 << 20);

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Begins after the version byte, if it is ours.
    fn new(bytes: &'a [u8]) -> Option<Self> {
        let (version, rest) = bytes.split_first()?;
        (*version == VERSION).then_some(Self(rest))
    }

    /// `value`, if nothing is left to read.
    fn end<T>(&self, value: T) -> Option<T> {
        self.0.is_empty().then_some(value)
    }

    fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    fn text(&mut self) -> Option<Box<str>> {
        let bytes = usize::try_from(self.number()?).ok()?;
        let (text, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        std::str::from_utf8(text).ok().map(Into::into)
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let [byte] = self.bytes()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn signed(&mut self) -> Option<i64> {
        let number = self.number()?;
        Some((number >> 1).cast_signed() ^ -((number & 1).cast_signed()))
    }

    fn three(&mut self) -> Option<[i64; 3]> {
        let three = self.list(Self::signed)?;
        if three.is_empty() {
            return Some([0; 3]);
        }
        three.try_into().ok()
    }

    fn state(&mut self, state: u8) -> Option<State> {
        Some(match state {
            HELD => State::Held(self.claims()?),
            RESERVED => State::Reserved,
            CONFIRMING => State::Confirming(self.claims()?),
            GONE => State::Gone(self.claims()?),
            NOTE | NOTE_THAT_STAYS => State::Note(self.note(state == NOTE_THAT_STAYS)?),
            COUNTED => State::Counted,
            DENIED => State::Denied(self.counter()?),
            RELEASED => {
                let [own, groups, resource] = self.bytes()?;
                let resource = *RESOURCES.get(usize::from(resource))?;
                State::Released(Fell {
                    own,
                    groups,
                    resource,
                })
            }
            CANCELLED => State::Cancelled,
            LAPSED => State::Lapsed,
            DONE => State::Done,
            _ => return None,
        })
    }

    fn note(&mut self, stays: bool) -> Option<Note> {
        let object = self.object()?;
        let [flags] = self.bytes()?;
        Some(Note {
            object,
            first: flags & 1 == 1,
            stays,
            heard: match flags & !1 {
                0 => Heard::No,
                TOLD => Heard::Yes,
                MET => Heard::Met(self.claim()?),
                _ => return None,
            },
        })
    }

    fn claim(&mut self) -> Option<Claim> {
        Some(Claim {
            member: u64::from_le_bytes(self.bytes()?),
            attempt: Attempt(self.number()?),
        })
    }

    fn claims(&mut self) -> Option<Vec<Claim>> {
        self.list(Self::claim)
    }

    fn object(&mut self) -> Option<ObjectNumber> {
        self.bytes().map(u128::from_le_bytes).map(ObjectNumber)
    }

    fn reservation(&mut self) -> Option<Reservation> {
        Some(Reservation {
            id: RequestId::parse(&self.text()?).ok()?,
            object: self.list(Self::object)?.pop(),
            until: Millis(self.signed()?),
            confirmed: match self.bytes()? {
                [0] => None,
                [1] => Some(Confirmed::InTime),
                [2] => Some(Confirmed::Late),
                [3] => Some(Confirmed::Charged),
                _ => return None,
            },
        })
    }

    fn day(&mut self) -> Option<Day> {
        Day::from_number(i32::try_from(self.signed()?).ok()?)
    }

    /// None or one.
    fn groups(&mut self) -> Option<Vec<(u64, u64)>> {
        self.list(|from| Some((from.number()?, from.number()?)))
    }

    fn month(&mut self) -> Option<MonthPeaks> {
        Some(MonthPeaks {
            month: i32::try_from(self.signed()?).ok()?,
            groups: self
                .list(|from| {
                    Some(MonthGroups {
                        carried_in: from.number()?,
                        highest: from.number()?,
                        day: from.list(Self::day)?.pop(),
                        last: from.number()?,
                    })
                })?
                .pop(),
            actives: self.number()?,
            actives_day: self.list(Self::day)?.pop(),
        })
    }

    fn counter(&mut self) -> Option<Counter> {
        let [index] = self.bytes()?;
        COUNTERS.get(usize::from(index)).copied()
    }

    fn cell(&mut self) -> Option<Cell> {
        match self.bytes()? {
            [3] => self.day().map(Cell::Gained),
            [4] => self.day().map(Cell::Increment),
            [live] => RESOURCES.get(usize::from(live)).copied().map(Cell::Live),
        }
    }

    fn list<T>(&mut self, mut each: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let len = self.number().filter(|len| *len < LIST_MAX)?;
        let mut items = Vec::new();
        for _ in 0..len {
            items.reserve_exact(1);
            items.push(each(self)?);
        }
        Some(items)
    }
}

#[cfg(test)]
mod tests;

//! The words of the model: what the ledger keeps, what a member keeps, what travels between them.
//!
//! All numbers are tiny. `K` counters of one app, `S` seats for members (a lost journal takes a new
//! seat), a handful of request ids. An id stands for its request and for the object it creates.

pub use crate::messages::*;

/// Counters of the one app. Two: tight and leased, or one counter on two days.
pub const K: usize = 2;
/// Seats. A seat is an incarnation: a journal, for as long as that journal lives.
pub const S: usize = 3;

/// A set of members or of ids, one bit each.
pub type Set = u8;

/// The base versions in which the totals of each gone member are contained.
pub type Marks = [[u8; K]; S];

pub fn raise(marks: &mut Marks, said: Marks) {
    let said = said.iter().flatten();
    for (mark, said) in marks.iter_mut().flatten().zip(said) {
        *mark = (*mark).max(*said);
    }
}

pub const fn has(set: Set, bit: usize) -> bool {
    set & (1 << bit) != 0
}

/// What the ledger knows of one id or, as `G` and `R`, of one release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fate {
    /// Taken, and charged in `held`; nobody has said yet that it was answered.
    Held,
    /// Answered by a member whose totals do not contain it: charged in `held`, and no abort frees it.
    Pinned,
    /// Contained in somebody's totals or in a base.
    Counted,
    Denied,
    /// Every claim was withdrawn; the tombstones stay.
    Freed,
}

/// One member's attempt to take an id. Attempt numbers never repeat within a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Claim {
    pub member: usize,
    pub attempt: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Record {
    pub id: usize,
    pub fate: Fate,
    pub gen_: u8,
    pub owner: Option<Claim>,
    pub claims: Vec<Claim>,
    pub tombstones: Vec<Claim>,
}

/// The release of one object on the record path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Gift {
    pub id: usize,
    pub owner: usize,
    pub given: [i8; K],
    pub gen_: u8,
    /// Charged in `back` until the owner's totals contain it.
    pub in_back: bool,
}

/// A member's totals of one counter. They only grow, also over recounts: what the last one already
/// contains is the offset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Totals {
    pub gen_: u8,
    pub consumed: i8,
    pub released: i8,
    /// The ledger's word, as far as known.
    pub granted: i8,
    /// Units of grants spent or returned.
    pub done: i8,
    /// How much of `counted` the base of this generation contains.
    pub offset: i8,
}

impl Totals {
    pub fn new(gen_: u8) -> Self {
        Self {
            gen_,
            ..Self::default()
        }
    }
    pub fn spare(self) -> i8 {
        self.granted - self.done
    }
    pub fn counted(self) -> i8 {
        self.consumed - self.released
    }
    pub fn net(self) -> i8 {
        self.counted() - self.offset
    }
    /// A recount contains all this, and nothing that was lent is left to spend.
    pub fn recounted(&mut self) {
        self.offset = self.counted();
        self.done = self.granted.max(self.done);
    }
}

/// A base with the version (the shard's seq) of its last change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Base {
    pub gen_: u8,
    pub amount: i8,
    pub version: u8,
}

/// One counter in the ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Counter {
    pub base: Base,
    pub held: i8,
    pub back: i8,
    pub of: [Totals; S],
    /// The highest base version that anyone stated in the open recovery.
    pub stated_version: u8,
    /// Its base could not be restored: refused until a recount.
    pub incomplete: bool,
}

impl Counter {
    /// What a take or a report is told of this member's entry and of the counter.
    pub fn shown_to(&self, member: usize) -> Shown {
        Shown {
            gen_: self.base.gen_,
            entry: self.of[member],
        }
    }
    /// A recount: the base contains what everybody counted. Entries of members that acknowledged are
    /// of the new generation; the others' when they say so.
    pub fn recount(&mut self, base: Base, acks: Set) {
        self.base = base;
        for (m, of) in self.of.iter_mut().enumerate() {
            of.recounted();
            if has(acks, m) {
                of.gen_ = base.gen_;
            }
        }
        self.back = 0;
    }
    pub fn u(&self) -> i8 {
        self.base.amount + self.of.iter().copied().map(Totals::net).sum::<i8>()
    }
    pub fn o(&self) -> i8 {
        self.of.iter().copied().map(Totals::spare).sum()
    }
    /// What a limit sees.
    pub fn seen(&self) -> i8 {
        self.u() + self.held - self.back + self.o()
    }
}

/// A counter as an answer shows it: its generation, and the member's entry, which may be of an older one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Shown {
    pub gen_: u8,
    pub entry: Totals,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Freeze {
    /// The shard's seq at the freeze.
    pub token: u8,
    pub acks: Set,
    /// The era in which the notice was posted at the meta key; before that no member can know.
    pub noticed: Option<u8>,
}

/// The keys of the one shard: its header and the app.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Shard {
    pub epoch: u8,
    pub open: bool,
    pub seq: u8,
    pub counters: [Counter; K],
    pub records: Vec<Record>,
    pub gifts: Vec<Gift>,
    pub freeze: Option<Freeze>,
    /// Left or retired: late calls of these change nothing.
    pub gone: Set,
    /// The base versions in which the totals of the gone are contained.
    pub marks: Marks,
    /// Applied calls of each member.
    pub calls: [u8; S],
}

/// The meta key, the members, the notices.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the meta key"
)]
pub struct Meta {
    pub run: u8,
    pub epoch: u8,
    pub open: bool,
    pub opened: u8,
    /// Nobody knew the members when this key was made: a roll must be stated before it closes.
    pub made_anew: bool,
    pub roll_stated: bool,
    pub restated: Set,
    /// A recount of the app was done while the recovery was open: the silent are excused.
    pub recounted: bool,
    /// Those whom an operator gave up while it was open: it does not wait for them.
    pub given_up: Set,
    pub registered: Set,
    pub gone: Set,
    pub marks: Marks,
    pub roll_version: u8,
    /// The roll version that each registration made, and the era in which.
    pub joined: [u8; S],
    pub joined_era: [u8; S],
    /// The roll version that each member has in its journal.
    pub roll_seen: [u8; S],
    pub notice: Option<u8>,
    pub recall: bool,
    /// Members silent for a minute: one more than the calls that the shard has of them; else 0.
    pub noted: [u8; S],
    /// In a recovery: the highest roll version stated, whose `noted` counts.
    pub noted_version: u8,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ledger {
    pub meta: Option<Meta>,
    pub shard: Option<Shard>,
}

/// What the ledger answers to an answered take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ack {
    /// No totals contain it and nobody else will count it: the reporter counts it in its own.
    Yours,
    /// Contained in somebody's totals, or in a base.
    Counted,
}

/// A take that this member answered with ALLOW.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Answered {
    pub id: usize,
    pub attempt: u8,
    /// This member's totals contain it, those of generation `gen_`.
    pub mine: bool,
    pub gen_: u8,
    /// Reported until the ledger says so.
    pub counted: bool,
}

/// A release that this member asked the ledger for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Given {
    pub id: usize,
    pub done: bool,
    pub acked: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Attempt {
    pub id: usize,
    pub number: u8,
    /// Unknown outcome: withdrawn, and sent until acknowledged.
    pub aborted: bool,
    pub acked: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Life {
    #[default]
    Unborn,
    Up,
    /// Left, told so, and its journal is done with.
    Left,
    /// The journal is lost, the process with it.
    Lost,
}

/// A member. Above the line its journal, which a kill leaves as it is; below it its memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Member {
    pub life: Life,
    pub epoch: u8,
    pub open: bool,
    /// The epoch whose restatement the shard has acknowledged.
    pub restated: u8,
    pub totals: [Totals; K],
    pub bases: [Base; K],
    pub seq: u8,
    pub attempts: Vec<Attempt>,
    pub next_attempt: u8,
    pub answered: Vec<Answered>,
    /// Ids answered from memory, with the generation they were charged in.
    pub window: Vec<(usize, u8)>,
    pub given: Vec<Given>,
    pub roll: Set,
    pub gone: Set,
    pub marks: Marks,
    pub roll_version: u8,
    /// The highest version of any epoch.
    pub roll_known: u8,
    pub noted: [u8; S],
    pub leaving: bool,
    /// Has had an answer of a closed epoch: only then it knows a roll and bases.
    pub knows: bool,
    // ---- memory ----
    pub run: u8,
    /// The era in which the beat was sent that the lease rests on.
    pub lease: Option<u8>,
    pub frozen: Option<u8>,
    /// Gaps of the lease so far, and the gap after which the app's shard was last heard.
    pub gaps: u8,
    pub heard_since: u8,
    pub replies: Set,
    /// Mutants only: answered and not journaled, a report composed in two steps, the old process.
    pub unjournaled: Vec<Answered>,
    pub half_report: Option<[i8; K]>,
    pub reported: [i8; K],
    pub ghost: [i8; K],
}

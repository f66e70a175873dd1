//! The record path: creations and releases that the ledger decides one by one.

use super::View;
use super::hold::Intent;
use crate::clock::Day;
use crate::quota::{Amount, AppId, Charge, Counter, ObjectNumber, RequestId, Resource};

/// The record's key within its app: the object that it speaks of, the client's request id, or one that the
/// sidecar made.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RecordKey {
    /// The id that the client sent; its outcome is remembered, a refusal too.
    Client(RequestId),
    /// Made from incarnation and attempt for a call without an id: never repeated.
    Own {
        /// The member's incarnation.
        incarnation: u64,
        /// The attempt it was made for.
        attempt: Attempt,
    },
    /// The object that is created. All who create it meet at this record, under whatever ids.
    Object(ObjectNumber),
}

/// The number of one try of one member. Never repeats for an incarnation, not even after a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Attempt(pub u64);

/// A hash of all that a request asks for, so that one id cannot stand for two contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(pub u64);

/// A creation on the record path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Take {
    /// The app that creates.
    pub app: AppId,
    /// The record to write, or to find.
    pub key: RecordKey,
    /// What the request asks for.
    pub fingerprint: Fingerprint,
    /// This try; its claim can be withdrawn by [`Abort`](super::Abort).
    pub attempt: Attempt,
    /// What is created, and the limits it must stay within.
    pub charge: Charge,
    /// The day that the gain counts for.
    pub day: Day,
    /// What is done with it.
    pub intent: Intent,
    /// The client's id where `key` is the object: it is noted beside the record, so that a repetition is
    /// known as one, and no other request passes under it.
    pub note: Option<RequestId>,
}

/// What is to be said of an allowed take beside the counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Beside {
    /// The object was counted before, by a request of another id or of none: nothing was added.
    pub already_counted: bool,
    /// It was confirmed when its hold had expired.
    pub late: bool,
    /// The limit that it exceeds; only with [`Intent::Exists`].
    pub exceeds: Option<Counter>,
}

/// Whose sums contain a creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// This attempt owns the record: the asker adds the charge to its own
    /// [`Escrow::taken`](super::Escrow::taken) in the append that journals the answer.
    Asker,
    /// Another attempt owns the record, or it is its own count (a ledger of one member): it is added to nothing,
    /// and the ledger is told that it was answered.
    Another,
    /// Some member's, as the ledger was told: it need not hear of this answer.
    Told,
    /// Nobody's any more: the object was deleted since it was first answered, and this repeats that answer. The ledger
    /// need not hear of it, and is not to be told it when it has forgotten: what is told again exists.
    Nobody,
}

/// What became of a [`Take`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// Counted, now or by an earlier try of the same id.
    Allowed {
        /// The app's counts, this creation included.
        view: View,
        /// Whether an earlier try of the same id had counted it.
        replayed: bool,
        /// Whose sums contain it, or will.
        whose: Whose,
        /// What else is to be said.
        beside: Beside,
    },
    /// A limit stands in the way; nothing was counted.
    Denied {
        /// The first part of the charge that did not fit.
        counter: Counter,
        /// The app's counts.
        view: View,
        /// Whether this repeats what an earlier try of the same id was told.
        replayed: bool,
        /// Whether units that members hold and have not spent are all that stands in the way: worth
        /// a [`Store::recall`](super::Store::recall). Such a refusal is not remembered under the id.
        recallable: bool,
    },
    /// Nothing was decided: the app is frozen by a recount, or a recount has overtaken this attempt,
    /// or its count is not known to be whole. Nothing was counted.
    Undecided(Undecided),
    /// The id belongs to a request of other content. Nothing was changed.
    OtherContent,
    /// This attempt was withdrawn before it arrived. Nothing was changed.
    Withdrawn,
    /// Nothing is known under the id that could be confirmed or cancelled.
    NoHold,
    /// The reservation has ended the other way: it was cancelled, and is to be confirmed; or it was confirmed
    /// (or counted when it had expired), and is to be cancelled. Nothing was changed.
    Ended,
}

/// Why a step decided nothing. Each one is the operator's matter, and told to callers as such.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undecided {
    /// A recount is under way.
    Frozen,
    /// The ledger forgot something of this app that nobody could restate: it waits for a recount.
    Incomplete,
    /// This attempt was answered before a recount that does not contain it; a new attempt may ask.
    Outlived,
    /// The reservation that is to be cancelled is just being confirmed.
    Confirming,
}

/// A release on the record path: idempotent by its key, bounded by what the ledger has counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GiveBack {
    /// The app that deletes.
    pub app: AppId,
    /// The record to write, or to find.
    pub key: RecordKey,
    /// What the request asks for.
    pub fingerprint: Fingerprint,
    /// What was deleted.
    pub resource: Resource,
    /// How many of them.
    pub amount: Amount,
    /// What it gave back, where that was answered already: a ledger in this process that lost it with
    /// the process is told again, and gives back that much. `None`: it is not known.
    pub given: Option<u32>,
    /// Whether a group's counters move with it (a group, or an AV room that counts as one).
    pub groups_follow: bool,
    /// The object that was deleted, where it is named: then that one is given back, if it is known, and one
    /// that nobody named if it is not.
    pub object: Option<ObjectNumber>,
    /// Whether groups follow if the object turns out to be an AV room.
    pub rooms_are_groups: bool,
    /// The day whose gain falls.
    pub day: Day,
}

/// A release whose answer went out, stated so that its id stands for that answer for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GaveBack {
    /// The release as it was sent.
    pub give_back: GiveBack,
    /// How many fell; they are in the reporter's totals, or a recount lacks them.
    pub released: u32,
    /// What they were.
    pub resource: Resource,
    /// By how much the groups, and the day's gain, fell with them.
    pub groups: u32,
    /// Whether the reporter's sums contain it. `false`: nobody's do, since its object was deleted before its
    /// creation was reported.
    pub in_sums: bool,
}

/// What became of a [`GiveBack`].
#[expect(
    clippy::large_enum_variant,
    reason = "the large one is the usual answer, and lives for one call"
)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GivenBack {
    /// Done, now or by an earlier try of the same id.
    Released {
        /// How many were counted and are no more: 0 to the amount.
        released: u32,
        /// What they were: of a named object what it was created as, whatever the release calls it.
        resource: Resource,
        /// By how much the groups, and the day's gain, fell with them: 0 to `released`.
        groups: u32,
        /// The app's counts, this release included.
        view: View,
        /// Whether an earlier try of the same id had released them.
        replayed: bool,
        /// Whether this member owns the record: it adds what fell to its own
        /// [`Escrow::given`](super::Escrow::given) in the append that journals the answer.
        mine: bool,
    },
    /// Nothing was decided, as with a take. Nothing was given back.
    Undecided(Undecided),
    /// The id belongs to a request of other content. Nothing was changed.
    OtherContent,
}

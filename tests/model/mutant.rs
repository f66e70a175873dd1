//! One sentence of the protocol left out or wrongly done, at run time.

macro_rules! mutants {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// What is done wrongly. `None` of these is the protocol.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Mutant { $($(#[doc = $doc])+ $name,)+ }
        impl Mutant {
            pub const ALL: &[Mutant] = &[$(Mutant::$name,)+];
        }
    };
}

mutants! {
    /// A negative net count is lifted to zero.
    ClampAtZero,
    /// The ledger takes back what is outstanding when leases end.
    FreeOnExpiry,
    /// A recovery's number is the old one plus one.
    CounterAsEpoch,
    /// A report adds what is new since the last one.
    DeltaInsteadOfTotal,
    /// The answer goes out before the journal has it.
    JournalAfterAnswer,
    /// A member does not hear that its spare is wanted.
    ForgottenRecall,
    /// A report reads `done` after `consumed`.
    DoneReadAfterConsumed,
    /// The lease is counted from the receipt of the answer.
    LeaseFromReceipt,
    /// After a gap of the lease the app is admitted at once.
    AdmitsAfterGap,
    /// The deadline of the lease is not looked at.
    LeaseIgnored,
    /// Only what the ledger has not acknowledged is restated.
    RestateOnlyNewer,
    /// A member gets units before a fellow knows it.
    NoWitness,
    /// A new journal takes over the grant of a lost one.
    AdoptGrant,
    /// An abort leaves no mark.
    AbortWithoutTombstone,
    /// An abort frees the record whoever else holds a claim to it.
    AbortFreesOthers,
    /// Attempts of unknown outcome are forgotten, not withdrawn.
    NoAbort,
    /// The retry of an attempt repeats its number.
    AttemptRepeats,
    /// An answer to a withdrawn attempt is taken.
    LateAnswerTaken,
    /// Nobody is pinned: a fellow's answer is not reported.
    NoPin,
    /// Age folds a held record too.
    FoldHeld,
    /// A report says what was answered without the totals that contain it.
    AnsweredWithoutTotals,
    /// Both members who answered an id count it.
    BothCount,
    /// The late call of a member that left counts.
    GoneStillCounts,
    /// Retiring frees what is outstanding.
    RetireFrees,
    /// A leave drops the totals.
    LeaveDropsTotals,
    /// A recount keeps the generation.
    RecountKeepsGeneration,
    /// A recount does not wait for acknowledgements nor leases.
    RecountWithoutWait,
    /// An acknowledgement of any freeze counts for this one.
    AnyAck,
    /// An older answer ends a freeze.
    UnfreezeByOldAnswer,
    /// A recount keeps `back` on top.
    RecountKeepsBack,
    /// What stands in totals of an older generation is taken for contained.
    OldGenerationContains,
    /// A replay after a recount is free.
    ReplayAcrossRecountFree,
    /// A replay is answered without a lease.
    ReplayWithoutLease,
    /// The units of a fail-over's ledger are granted while the recovery is open.
    GrantWhileOpen,
    /// A recovery closes when a lease ttl has passed.
    CloseByTimer,
    /// Only the ledger's own members are awaited, not those on the rolls.
    OwnMembersOnly,
    /// A recovery closes without a roll after a flush.
    EmptyJournalRestores,
    /// A recovery that ends without those who were given up leaves nothing incomplete.
    GivenUpIsWhole,
    /// The run of the connection is not looked at by shard calls.
    RunSeenByBeatOnly,
    /// A member takes an answer from before the recovery.
    OldEpochAnswerTaken,
    /// A new epoch keeps `back` of the snapshot.
    EpochKeepsBack,
    /// A base that nobody could restore is taken as it is.
    IncompleteIgnored,
    /// A life since a recount whose base nobody knows is taken for one that began at nothing.
    LifeWithoutBase,
    /// Who is gone stays the owner of what it did not count.
    GoneStillOwns,
    /// The mark of a gone member names no base version.
    MarkWithoutVersion,
    /// A silent member is excused whatever it did before it fell silent.
    SilentExcused,
    /// A member that was silent gets units before a fellow knows that it is back.
    BackUnwitnessed,
    /// Spare of one day is spent on the next.
    SpareCrossesDays,
    /// The older process of a journal goes on.
    NoFence,
    /// A release answered twice is counted by both.
    ReleaseByBoth,
}

//! imquota answers, in memory, whether an IM gateway may create an account, a group or an AV room,
//! and never lets a hard limit be passed. This page is the map of the house.
//!
//! # From above
//!
//! A sidecar serves one gateway pod. Many sidecars share one *ledger* (Redis), or one has a ledger of
//! its own (embedded). A creation that no limit stands in the way of is *metered*: counted in this
//! process, journaled, answered, and settled with the ledger later as a running total. Under a limit
//! the ledger *lends*: a creation spends a unit of what was granted to this sidecar, in memory, for as
//! long as its lease holds. Any other is a *take*: one atomic step in the ledger, which writes a record
//! under the request's id.
//!
//! The way of a check: [`grpc`] parses, [`admission`] decides, [`ledger`] counts and journals, [`grpc`]
//! renders. Once an app is known, what is counted or spent from memory has no await, no wait and no
//! lock held across anything. The [`store`] is met by takes, by releases that the known count does not
//! cover, and by the tasks of [`ledger`] in the background: one beats, one settles.
//!
//! How many sidecars share one quota is a protocol of its own: `docs/protocol.md` says it in prose,
//! `tests/model` is the same as a program that looks for its own faults, and a change begins there.
//!
//! # What is where, and what it may import
//!
//! Imports point one way: each module knows only those above it in this list, and its own parts.
//!
//! | module | one idea |
//! |---|---|
//! | [`quota`] | values that cannot be wrong: app, resource, limit, plan, charge, outage policy |
//! | [`clock`] | the only reader of "now"; days and months, and the schedule of billing zones |
//! | [`chance`] | the only source of randomness |
//! | [`histogram`] | how long things take, counted in buckets |
//! | [`billing`] | what a month costs, from its peaks and prices |
//! | [`database`] | files of a database, opened so that damage is found at the start |
//! | [`endpoint`] | an address to listen on or to dial |
//! | [`tls`] | certificates of listeners, followed while they change; whose name a client's bears |
//! | [`access`] | who may do what, by certificate, user or token |
//! | [`trace`] | which trace a call belongs to, which calls are recorded, and how that gets to a receiver |
//! | [`config`] | text to typed settings, every fault at once |
//! | [`observe`] | log lines, and which |
//! | [`store`] | the shared ledger behind one trait; `embedded` and `redis` |
//! | [`ledger`] | what this sidecar knows, was lent and owes; its journal; its membership; the rules in force; the tasks that settle it |
//! | [`admission`] | one request, one decision |
//! | [`invoice`] | the bill of one app and month, from the ledger's history |
//! | [`operator`] | what operators do: apps, recounts, the list of members, the audit list |
//! | [`metrics`] | the figures that a scrape is told |
//! | [`board`] | how the sidecar stands, for people: JSON and one page |
//! | [`grpc`] | listeners, workers, the contract; the only place of wire types and statuses |
//! | [`listeners`] | all sockets of a server, with their certificates |
//! | [`precaution`] | no core dumps, enough descriptors |
//! | [`reload`] | the settings file while the server runs |
//! | [`app`] | puts the parts together, in the order in which they start and end |
//! | [`cli`] | the program's verbs; its clients speak the contract |
//!
//! A test or a fuzzer has one module more, `fuzzed`, which calls every reader of bytes from outside.
//!
//! Only `main` knows [`cli`]; only `main` and its argument parser read the environment.
//!
//! # What always holds
//!
//! 1. *Never over a hard limit.* The limit is judged in the ledger, in the step that counts or that
//!    lends; what is lent is lent to nobody else. The named exceptions are the operator's own: what the
//!    settings' `outage` admits while the ledger is away, by default the daily gain alone, which guards
//!    the platform. It is journaled and reported.
//! 2. *Nothing that was answered is forgotten by a killed process.* The journal has it before the
//!    answer goes out ([`ledger`]). A power cut is another matter: the journal is memory of the kernel.
//! 3. *Every sum has one writer and only grows.* Reports are merged by maximum, so that one lost,
//!    doubled or late does no harm. A release is a sum of its own, never a subtraction; a recount moves
//!    an offset and sets no sum back.
//! 4. *A take of unknown outcome is withdrawn* by its attempt, which never repeats, and leaves a mark
//!    against its late arrival. Asking again under another number would charge for nobody.
//! 5. *Time alone frees nothing.* A unit comes back from the member that has it, from its journal, or
//!    from a recount. A lease that ends stops its member, and gives nobody anything. A reservation that
//!    expires stays charged, unless the app's settings say otherwise (`expired_holds`).
//! 6. *A ledger that forgot is found out* and is told by every member what it knew, before anything is
//!    granted again. It is never read as an empty one.
//! 7. *Time is an argument.* The day of a call is chosen once, by the ledger's clock as far as it is
//!    known, and travels with the call.
//! 8. *Everything has a bound*: messages, connections, calls in flight, apps, users who wait, takes
//!    owed, segments of the journal. Each is a named constant next to what it bounds.
//!
//! # What is deliberately absent
//!
//! There is no cache of decisions and no approximate count.

pub mod access;
pub mod admission;
pub mod app;
pub mod billing;
pub mod board;
pub mod chance;
pub mod cli;
pub mod clock;
pub mod config;
pub mod database;
pub mod endpoint;
#[cfg(any(test, fuzzing))]
pub mod fuzzed;
pub mod grpc;
pub mod histogram;
pub mod invoice;
pub mod ledger;
pub mod listeners;
pub mod metrics;
pub mod observe;
pub mod operator;
pub mod precaution;
pub mod quota;
pub mod reload;
pub mod store;
pub mod tls;
pub mod trace;

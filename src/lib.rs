//! imquota answers, in memory, whether an IM gateway may create an account, a group or an AV room,
//! and never lets a hard limit be passed. This page is the map of the house.
//!
//! # From above
//!
//! A sidecar serves one gateway pod. Many sidecars share one *ledger* (Redis), or one has a ledger of
//! its own (embedded). A creation that no limit stands in the way of is *metered*: counted in this
//! process, journaled, answered, and settled with the ledger later as a running total. Any other is a
//! *take*: one atomic step in the ledger, which writes a record under the request's id.
//!
//! The way of a check: [`grpc`] parses, [`admission`] decides, [`ledger`] counts and journals, [`grpc`]
//! renders. Once an app is known the metered way has no await, no wait and no lock held across
//! anything. The [`store`] is met by takes, by releases that the known count does not cover, and by the
//! tasks of [`ledger`] in the background.
//!
//! # What is where, and what it may import
//!
//! Imports point one way: each module knows only those above it in this list, and its own parts.
//!
//! | module | one idea |
//! |---|---|
//! | [`quota`] | values that cannot be wrong: app, resource, limit, plan, charge, outage policy |
//! | [`clock`] | the only reader of "now"; days and months of the billing zone |
//! | [`chance`] | the only source of randomness |
//! | [`endpoint`] | an address to listen on or to dial |
//! | [`config`] | text to typed settings, every fault at once |
//! | [`store`] | the shared ledger behind one trait; `embedded` and `redis` |
//! | [`ledger`] | what this sidecar knows and owes; its journal; the tasks that settle it |
//! | [`admission`] | one request, one decision |
//! | [`operator`] | what operators do: recounts, the list of members, the audit list |
//! | [`grpc`] | listeners, workers, the contract; the only place of wire types and statuses |
//! | [`observe`] | log lines |
//! | [`app`] | puts the parts together, in the order in which they start and end |
//! | [`cli`] | the program's verbs; its clients speak the contract |
//!
//! Only `main` knows [`cli`]; only `main` and its argument parser read the environment.
//!
//! # What always holds
//!
//! 1. *Never over a hard limit.* The limit is judged in the step that counts, in the ledger; what is
//!    decided elsewhere is never a hard limit. The named exceptions hold while the ledger is away: the
//!    daily gain, which guards the platform, and what the operator's outage policy lifts. Both are
//!    admitted, journaled and reported, and the log names the latter.
//! 2. *Nothing that was answered is forgotten by a killed process.* The journal has it before the
//!    answer goes out ([`ledger`]). A power cut is another matter: the journal is memory of the kernel.
//! 3. *Every sum has one writer and only grows.* Reports are merged by maximum, so that one lost,
//!    doubled or late does no harm. A release is a sum of its own, never a subtraction.
//! 4. *A take of unknown outcome is withdrawn* by its attempt, which never repeats, and leaves a mark
//!    against its late arrival. Asking again under another number would charge for nobody.
//! 5. *A ledger that forgot is found out*: it shows another installation, or a count of writes below
//!    one already seen. Then hard limits are refused, with the reason in the log, until an operator
//!    acts; it is never read as an empty one.
//! 6. *Time is an argument.* The day of a call is chosen once, by the ledger's clock as far as it is
//!    known, and travels with the call.
//! 7. *Everything has a bound*: messages, connections, calls in flight, apps, users who wait, takes
//!    owed, segments of the journal. Each is a named constant next to what it bounds.
//!
//! # What is deliberately absent
//!
//! Leases (a large hard limit spent from memory), reservations, objects, request ids on the
//! metered way, bills, metrics: the keys and the journal leave room for them, the contract names them
//! where it refuses them. There is no cache of decisions and no approximate count.

pub mod admission;
pub mod app;
pub mod chance;
pub mod cli;
pub mod clock;
pub mod config;
pub mod endpoint;
pub mod grpc;
pub mod ledger;
pub mod observe;
pub mod operator;
pub mod quota;
pub mod store;

//! The verbs that ask a server: each makes a request of its flags and an answer of the reply.
//!
//! JSON has every field of the reply under its name in the contract: counts as numbers, enums as
//! their names, a duration as `"1.5s"`, a time as RFC 3339; an optional field that is absent is
//! `null`.

mod audit;
mod check;
mod members;
mod record_active;
mod recount;
mod release;
mod usage;
mod words;

pub(super) use audit::audit;
pub(super) use check::check;
pub(super) use members::{list as members_list, retire};
pub(super) use record_active::record_active;
pub(super) use recount::recount;
pub(super) use release::release;
pub(super) use usage::usage;

//! The verbs that ask a server: each makes a request of its flags and an answer of the reply.
//!
//! JSON has every field of the reply under its name in the contract: counts as numbers, enums as
//! their names, a duration as `"1.5s"`, a time as RFC 3339; an optional field that is absent is
//! `null`.

mod apps;
mod audit;
mod bill;
mod cancel;
mod check;
mod confirm;
mod correct;
mod holds;
mod import;
mod lines;
mod log_filter;
mod members;
mod progress;
mod record_active;
mod recount;
mod recounts;
mod release;
mod usage;
mod words;

pub(super) use apps::{
    delete as apps_delete, get as apps_get, list as apps_list, own as app_words, put as apps_put,
};
pub(super) use audit::audit;
pub(super) use bill::{run as run_bills, show as bill};
pub(super) use cancel::cancel;
pub(super) use check::check;
pub(super) use confirm::confirm;
pub(super) use correct::correct;
pub(super) use holds::holds;
pub(super) use import::{at_count, import};
pub(super) use log_filter::log_filter;
pub(super) use members::{list as members_list, retire};
pub(super) use record_active::record_active;
pub(super) use recount::recount;
pub(super) use recounts::recount_all;
pub(super) use release::release;
pub(super) use usage::usage;

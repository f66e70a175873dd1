//! The flags of the verbs about apps.

use clap::{Args, Subcommand, ValueEnum};
use jiff::civil::Date;

use super::operators::{AdminCommon, Why};
use crate::grpc::proto;
use crate::quota::Limit;

/// What can be done with apps.
#[derive(Debug, Subcommand)]
pub enum Apps {
    /// List the apps of the server's settings file and of the ledger
    List(AppsListArgs),
    /// Show one
    Get(AppsGetArgs),
    /// Register one in the ledger, or change it: what no flag names stays as it is. Holds on every sidecar within 2 s
    Put(Box<AppsPutArgs>),
    /// Delete one from the ledger: it may create nothing more. Its open month is still billed
    Delete(AppsDeleteArgs),
}

/// The flags of `apps list`.
#[derive(Debug, Args)]
pub struct AppsListArgs {
    /// Those as well that were deleted
    #[arg(long)]
    pub(in crate::cli) deleted: bool,
    #[command(flatten)]
    pub(in crate::cli) common: AdminCommon,
}

/// The flags of `apps get`.
#[derive(Debug, Args)]
pub struct AppsGetArgs {
    /// The SDKAppID
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(u64).range(1..))]
    pub(in crate::cli) app: u64,
    #[command(flatten)]
    pub(in crate::cli) common: AdminCommon,
}

/// The flags of `apps put`.
#[derive(Debug, Args)]
pub struct AppsPutArgs {
    /// The SDKAppID
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(u64).range(1..))]
    pub(in crate::cli) app: u64,
    /// Its plan; must be given for a new app
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) plan: Option<String>,
    /// How many accounts it may have: a number, unlimited, or plan for what its plan says
    #[arg(long, value_name = "LIMIT", value_parser = own_limit)]
    pub(in crate::cli) accounts: Option<OwnLimit>,
    /// How many groups
    #[arg(long, value_name = "LIMIT", value_parser = own_limit)]
    pub(in crate::cli) groups: Option<OwnLimit>,
    /// How many AV rooms
    #[arg(long, value_name = "LIMIT", value_parser = own_limit)]
    pub(in crate::cli) av_rooms: Option<OwnLimit>,
    /// How many groups it may gain in a day
    #[arg(long, value_name = "LIMIT", value_parser = own_limit)]
    pub(in crate::cli) groups_gained_daily: Option<OwnLimit>,
    /// Whether it is only watched, and nothing refused
    #[arg(long, value_name = "BOOL")]
    pub(in crate::cli) shadow: Option<bool>,
    /// Whether every creation is refused
    #[arg(long, value_name = "BOOL")]
    pub(in crate::cli) disabled: Option<bool>,
    /// Whether all sidecars know its request ids
    #[arg(long, value_name = "BOOL")]
    pub(in crate::cli) share_ids: Option<bool>,
    /// Whether counts belong to the objects that requests name
    #[arg(long, value_name = "BOOL")]
    pub(in crate::cli) track_objects: Option<bool>,
    /// What becomes of a reservation that has expired
    #[arg(long)]
    pub(in crate::cli) expired_holds: Option<ExpiredHolds>,
    /// The day on which it was activated, such as 2026-11-03
    #[arg(long, value_name = "DAY")]
    pub(in crate::cli) activated: Option<Date>,
    /// The version that this change is made from, if somebody looked at it before: of another one nothing is changed
    #[arg(long, value_name = "VERSION")]
    pub(in crate::cli) version: Option<u64>,
    #[command(flatten)]
    pub(in crate::cli) why: Why,
    #[command(flatten)]
    pub(in crate::cli) common: AdminCommon,
}

/// The flags of `apps delete`.
#[derive(Debug, Args)]
pub struct AppsDeleteArgs {
    /// The SDKAppID
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(u64).range(1..))]
    pub(in crate::cli) app: u64,
    /// The version that was looked at: of another one nothing is deleted
    #[arg(long, value_name = "VERSION")]
    pub(in crate::cli) version: Option<u64>,
    #[command(flatten)]
    pub(in crate::cli) why: Why,
    #[command(flatten)]
    pub(in crate::cli) common: AdminCommon,
}

/// A limit of an app's own, or its plan's.
#[derive(Debug, Clone, Copy)]
pub(in crate::cli) enum OwnLimit {
    Plan,
    Own(proto::app_limit::Limit),
}

fn own_limit(text: &str) -> Result<OwnLimit, String> {
    use proto::app_limit::Limit as Said;
    match text {
        "plan" => Ok(OwnLimit::Plan),
        "unlimited" => Ok(OwnLimit::Own(Said::Unlimited(true))),
        number => match number.parse() {
            Ok(most) if most <= Limit::MAX => Ok(OwnLimit::Own(Said::AtMost(most))),
            _ => Err(format!(
                "must be a whole number up to {}, unlimited or plan",
                Limit::MAX
            )),
        },
    }
}

/// What becomes of places whose reservation has expired.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(in crate::cli) enum ExpiredHolds {
    /// They stay charged and in doubt
    Ask,
    /// They are free
    Free,
    /// They count
    Charge,
}

impl From<ExpiredHolds> for proto::ExpiredHolds {
    fn from(holds: ExpiredHolds) -> Self {
        match holds {
            ExpiredHolds::Ask => Self::Ask,
            ExpiredHolds::Free => Self::Free,
            ExpiredHolds::Charge => Self::Charge,
        }
    }
}

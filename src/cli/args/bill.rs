//! The flags of the verbs about bills.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{AdminCommon, Common};
use crate::quota::Limit;

/// The flags of `bill`.
#[derive(Debug, Args)]
#[command(subcommand_negates_reqs = true, args_conflicts_with_subcommands = true)]
pub struct BillArgs {
    /// What else is wanted of bills.
    #[command(subcommand)]
    pub verb: Option<BillVerb>,
    /// Whose bill.
    #[command(flatten)]
    pub show: BillShowArgs,
}

/// What is wanted of bills.
#[derive(Debug, Subcommand)]
pub enum BillVerb {
    /// Compute a bill from given peaks; no server is needed
    Estimate(EstimateArgs),
    /// Write the bills of a month that is over, each once; for operators
    Run(BillRunArgs),
    /// Correct a day that is sealed, by what is known to be true; for operators
    Correct(BillCorrectArgs),
}

/// The flags of `bill` without another verb.
#[derive(Debug, Args)]
pub struct BillShowArgs {
    /// The SDKAppID
    #[arg(long, value_name = "ID", required = true, value_parser = clap::value_parser!(u64).range(1..))]
    pub(in crate::cli) app: Option<u64>,
    /// The month
    #[arg(long, value_name = "YYYY-MM", required = true, value_parser = month)]
    pub(in crate::cli) month: Option<String>,
    /// Print one line for each line of the bill, with commas between the fields
    #[arg(long, conflicts_with = "json")]
    pub(in crate::cli) csv: bool,
    #[command(flatten)]
    pub(in crate::cli) common: Common,
}

/// The flags of `bill run`.
#[derive(Debug, Args)]
pub struct BillRunArgs {
    /// The month
    #[arg(long, value_name = "YYYY-MM", value_parser = month)]
    pub(in crate::cli) month: String,
    /// Print one line for each line of each bill, with commas between the fields
    #[arg(long, conflicts_with = "json")]
    pub(in crate::cli) csv: bool,
    #[command(flatten)]
    pub(in crate::cli) common: AdminCommon,
}

/// The flags of `bill correct`.
#[derive(Debug, Args)]
pub struct BillCorrectArgs {
    /// The SDKAppID
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(u64).range(1..))]
    pub(in crate::cli) app: u64,
    /// The day, in the billing zone
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = day)]
    pub(in crate::cli) day: String,
    /// Its distinct active users
    #[arg(
        long,
        value_name = "N",
        required_unless_present = "groups",
        value_parser = clap::value_parser!(u64).range(..=Limit::MAX)
    )]
    pub(in crate::cli) daily_active: Option<u64>,
    /// Its highest net group count, what it began with included
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=Limit::MAX))]
    pub(in crate::cli) groups: Option<u64>,
    /// Why, for the audit list and the bill
    #[arg(long, value_name = "TEXT")]
    pub(in crate::cli) reason: String,
    #[command(flatten)]
    pub(in crate::cli) common: AdminCommon,
}

/// The flags of `bill estimate`.
#[derive(Debug, Args)]
pub struct EstimateArgs {
    /// The plan: trial, pro, flagship, or one of the settings file
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) plan: String,
    /// The month, whose first day says which price list counts
    #[arg(long, value_name = "YYYY-MM", value_parser = month)]
    pub(in crate::cli) month: String,
    /// Distinct users of the month's highest day
    #[arg(long, value_name = "N", default_value = "0")]
    pub(in crate::cli) daily_active: u64,
    /// The month's highest net group count; where groups are billed as they are at its end, that count
    #[arg(long, value_name = "N", default_value = "0")]
    pub(in crate::cli) groups: u64,
    /// The app was activated in this month: the plan's own fee is waived
    #[arg(long)]
    pub(in crate::cli) activated: bool,
    /// The settings file with plans, prices and currency; without one the built-in prices count
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

fn month(text: &str) -> Result<String, String> {
    let month = crate::clock::Month::parse(text);
    let month = month.ok_or_else(|| "must be a month such as 2026-11".to_owned())?;
    Ok(month.to_string())
}

fn day(text: &str) -> Result<String, String> {
    let day = crate::clock::Day::parse(text);
    let day = day.ok_or_else(|| "must be a day such as 2026-11-14".to_owned())?;
    Ok(day.to_string())
}

//! The flags of the verbs about bills.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// What is wanted of bills.
#[derive(Debug, Subcommand)]
pub enum Bill {
    /// Compute a bill from given peaks; no server is needed
    Estimate(EstimateArgs),
}

/// The flags of `bill estimate`.
#[derive(Debug, Args)]
pub struct EstimateArgs {
    /// The plan: trial, pro, flagship, or one of the settings file
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) plan: String,
    /// The month, whose first day says which price list counts
    #[arg(long, value_name = "YYYY-MM")]
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

//! The flags of the verbs about objects.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};

use super::{AdminCommon, Resource};
use crate::quota::Limit;

/// What can be done with objects.
#[derive(Debug, Subcommand)]
pub enum ObjectsVerb {
    /// Count objects that exist, each under its name; or, where there are no names, set their number.
    /// The same command again goes on where it broke off
    Import(ImportArgs),
}

/// The flags of `objects import`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").required(true).args(["file", "at_count"]))]
pub struct ImportArgs {
    /// The SDKAppID
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(u64).range(1..))]
    pub(in crate::cli) app: u64,
    /// What they are
    #[arg(long)]
    pub(in crate::cli) resource: Resource,
    /// The file with their names, one a line; - is standard input. Empty lines are skipped
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) file: Option<PathBuf>,
    /// For apps without names: set the count to so many, by a recount
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=Limit::MAX))]
    pub(in crate::cli) at_count: Option<u64>,
    #[command(flatten)]
    pub(in crate::cli) common: AdminCommon,
}

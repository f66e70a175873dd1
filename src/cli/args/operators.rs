//! The flags of the operators' verbs.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::{Audience, Manner, Resource, Security, timeout};
use crate::cli::target::Target;
use crate::quota::Limit;

/// What can be done with members.
#[derive(Debug, Subcommand)]
pub enum Members {
    /// List all, with when each gave its last sign of life
    List(MembersListArgs),
    /// End the membership of one that never comes back, because its data folder is lost. What it was
    /// lent counts as used from then on; a recount frees it
    Retire(RetireArgs),
}

/// What every operator's verb takes.
#[derive(Debug, Args)]
pub struct AdminCommon {
    /// The server's --admin-listen: http://host:port, https://host:port or unix:/path
    #[arg(
        long,
        value_name = "URL",
        env = "IMQUOTA_ADMIN_ENDPOINT",
        default_value = crate::cli::target::ADMIN_DEFAULT,
        value_parser = Target::parse_admin
    )]
    pub admin_endpoint: Target,
    #[command(flatten)]
    pub security: Security,
    /// The file with the token, which is not asked for where the server knows the user of a unix:
    /// socket or the client's certificate; admin.token in the data folder that `serve` would choose by
    /// default
    #[arg(long, value_name = "FILE", env = "IMQUOTA_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,
    /// Print the reply as JSON, with the names of the contract
    #[arg(long)]
    pub json: bool,
    /// How long to wait for the answer; what the sidecars must first agree on takes 5 s at most
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = timeout)]
    pub timeout: Duration,
}

impl AdminCommon {
    pub(in crate::cli) fn manner(&self) -> Manner<'_> {
        Manner {
            target: &self.admin_endpoint,
            json: self.json,
            timeout: self.timeout,
            audience: Audience::Operators,
        }
    }
}

/// What an act is written down with.
#[derive(Debug, Args)]
pub(in crate::cli) struct Why {
    /// Why, for the audit list
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    pub(in crate::cli) reason: String,
}

/// The flags of `recount`.
#[derive(Debug, Args)]
pub struct RecountArgs {
    /// The SDKAppID
    #[arg(
        long,
        value_name = "ID",
        required_unless_present = "file",
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    pub(in crate::cli) app: Option<u64>,
    /// Which of its counts
    #[arg(long, required_unless_present = "file")]
    pub(in crate::cli) resource: Option<Resource>,
    /// Set many counts, one after the other: a file with a line for each, of app, resource and number, as
    /// 1400000001,account,42; - is standard input. Empty lines are skipped. All is read before anything is set
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["app", "resource", "to", "dry_run", "token", "cancel"]
    )]
    pub(in crate::cli) file: Option<PathBuf>,
    /// How many there really are
    #[arg(
        long,
        value_name = "N",
        required_unless_present_any = ["dry_run", "cancel", "file"],
        value_parser = clap::value_parser!(u64).range(..=Limit::MAX)
    )]
    pub(in crate::cli) to: Option<u64>,
    /// Change nothing: freeze the app and print a token, so that the truth can be counted. Creations
    /// that a limit could refuse are refused until the recount with that token, 10 minutes at most
    #[arg(long, conflicts_with_all = ["token", "cancel"])]
    pub(in crate::cli) dry_run: bool,
    /// The token of the dry run under which the truth was counted
    #[arg(long, value_name = "TOKEN", value_parser = clap::value_parser!(u64).range(1..))]
    pub(in crate::cli) token: Option<u64>,
    /// Change nothing, and end the freeze of the dry run with that token
    #[arg(long, requires = "token", conflicts_with = "to")]
    pub(in crate::cli) cancel: bool,
    #[command(flatten)]
    pub(in crate::cli) why: Why,
    #[command(flatten)]
    pub(in crate::cli) common: AdminCommon,
}

/// The flags of `members list`.
#[derive(Debug, Args)]
pub struct MembersListArgs {
    #[command(flatten)]
    pub(in crate::cli) common: AdminCommon,
}

/// The flags of `members retire`.
#[derive(Debug, Args)]
pub struct RetireArgs {
    /// Its name, or its incarnation where several bear the name
    #[arg(value_name = "NAME")]
    pub(in crate::cli) member: String,
    #[command(flatten)]
    pub(in crate::cli) why: Why,
    #[command(flatten)]
    pub(in crate::cli) common: AdminCommon,
}

/// The flags of `audit`.
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// Only what was done to this SDKAppID
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(u64).range(1..))]
    pub(in crate::cli) app: Option<u64>,
    /// The newest so many, 1000 at most
    #[arg(long, value_name = "N", default_value = "100", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(in crate::cli) limit: u32,
    #[command(flatten)]
    pub(in crate::cli) common: AdminCommon,
}

//! The flags of the verbs about reservations.

use clap::Args;

use super::{AdminCommon, Common};

/// Which reservation.
#[derive(Debug, Args)]
pub(in crate::cli) struct Reservation {
    /// The SDKAppID
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(u64).range(1..))]
    pub app: u64,
    /// The id under which it was reserved
    #[arg(long, value_name = "ID")]
    pub request_id: String,
}

/// The flags of `confirm`.
#[derive(Debug, Args)]
pub struct ConfirmArgs {
    #[command(flatten)]
    pub(in crate::cli) reservation: Reservation,
    /// The object that it became, unless it was named with the reservation
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    pub(in crate::cli) resource_id: String,
    #[command(flatten)]
    pub(in crate::cli) common: Common,
}

/// The flags of `cancel`.
#[derive(Debug, Args)]
pub struct CancelArgs {
    #[command(flatten)]
    pub(in crate::cli) reservation: Reservation,
    #[command(flatten)]
    pub(in crate::cli) common: Common,
}

/// The flags of `holds`.
#[derive(Debug, Args)]
pub struct HoldsArgs {
    /// The SDKAppID
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(u64).range(1..))]
    pub(in crate::cli) app: u64,
    /// Those so many that expire first, 1000 at most
    #[arg(long, value_name = "N", default_value = "100", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(in crate::cli) limit: u32,
    #[command(flatten)]
    pub(in crate::cli) common: AdminCommon,
}

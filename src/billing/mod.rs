//! What a month costs, and why. Pure: no clock, no store, no settings file; whoever has the same peaks and the
//! same plans gets the same bill.
//!
//! The rules, S3 to S6 of the domain page and the product's own documents:
//!
//! - Daily active users are billed by the month's highest day, never by a sum. Groups are billed by the month's
//!   highest net count, what was carried in from the month before included, or by the count at its end.
//! - What is above the free quantity is billed by blocks, each begun one in full. At exactly the free quantity
//!   nothing is due.
//! - The price list in force on the month's first day counts for all of it.
//! - Where an app changed its plan within the month, the edition in force on the day of the peak decides what
//!   that peak costs; a value carried in belongs to the edition of the first day. The plan's own fee is that of the
//!   edition in force at the month's end, and is waived in the month in which the app was activated.
//! - A bill is due on the third day of the next month.
//!
//! Money is [`Decimal`](rust_decimal::Decimal) with the currency's scale, counts are integers; what does not fit
//! is [`TooLarge`], never a wrong number.

mod bill;
mod fee;
mod forecast;
mod usage;

pub use bill::{Bill, bill, prices};
pub use fee::{Item, Line, TooLarge};
pub use forecast::{Forecast, forecast};
pub use usage::{Editions, MonthUsage, Peak};

#[cfg(test)]
mod tests;

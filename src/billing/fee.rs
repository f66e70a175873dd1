//! One line of a bill.

use rust_decimal::Decimal;

use super::usage::Peak;
use crate::quota::{Currency, MeteredFee, PlanName};

/// An amount that cannot be written with all its places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the amount is too large to be billed")]
pub struct TooLarge;

/// What a line is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item {
    /// The plan's own fee.
    Plan,
    /// The month's highest daily active users.
    DailyActive,
    /// The net group count.
    Groups,
}

/// One line of a bill: how the amount comes about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What for.
    pub item: Item,
    /// The plan whose prices count.
    pub plan: PlanName,
    /// What is billed; nothing for a plan's fee.
    pub peak: Peak,
    /// Units that cost nothing.
    pub free: u64,
    /// Units above them.
    pub billable: u64,
    /// Units in a block; 0 where nothing is counted in blocks.
    pub block: u64,
    /// Begun blocks; of a plan's fee 1, or 0 if it is waived.
    pub blocks: u64,
    /// The price of one.
    pub unit_price: Decimal,
    /// What is due.
    pub amount: Decimal,
}

impl Line {
    /// The line for a count.
    pub(super) fn metered(
        item: Item,
        plan: &PlanName,
        peak: Peak,
        fee: &MeteredFee,
        currency: Currency,
    ) -> Result<Self, TooLarge> {
        let billable = peak.count.saturating_sub(fee.free);
        let blocks = billable.div_ceil(fee.block);
        Ok(Self {
            item,
            plan: plan.clone(),
            peak,
            free: fee.free,
            billable,
            block: fee.block,
            blocks,
            unit_price: scaled(fee.price, currency)?,
            amount: amount(blocks, fee.price, currency)?,
        })
    }

    /// The line for a plan's own fee.
    pub(super) fn plan(
        plan: &PlanName,
        price: Decimal,
        waived: bool,
        currency: Currency,
    ) -> Result<Self, TooLarge> {
        let blocks = u64::from(!waived);
        Ok(Self {
            item: Item::Plan,
            plan: plan.clone(),
            peak: Peak::default(),
            free: 0,
            billable: 0,
            block: 0,
            blocks,
            unit_price: scaled(price, currency)?,
            amount: amount(blocks, price, currency)?,
        })
    }
}

fn amount(blocks: u64, price: Decimal, currency: Currency) -> Result<Decimal, TooLarge> {
    let exact = Decimal::from(blocks).checked_mul(price).ok_or(TooLarge)?;
    scaled(exact, currency)
}

/// With as many places as the currency has; never fewer digits than there are.
pub(super) fn scaled(exact: Decimal, currency: Currency) -> Result<Decimal, TooLarge> {
    let mut scaled = exact;
    scaled.rescale(currency.scale());
    let is_whole = scaled == exact && scaled.scale() == currency.scale();
    is_whole.then_some(scaled).ok_or(TooLarge)
}

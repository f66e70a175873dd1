//! The plans that need no settings: the domain page's table "Default plans".

use jiff::civil::date;
use rust_decimal::Decimal;

use super::{GroupBasis, Limit, Limits, MeteredFee, Plan, PlanName, PriceList};

/// Groups of all kinds that an app may gain in one day, in every edition.
const GROUPS_GAINED_DAILY: Limit = Limit::AtMost(10_000);

/// Trial, pro and flagship, with the limits and the prices in [`Currency::USD`] that hold unless the
/// settings say otherwise.
///
/// [`Currency::USD`]: super::Currency::USD
#[must_use]
pub fn built_in() -> [Plan; 3] {
    [
        Plan {
            name: name("trial"),
            limits: Limits {
                accounts: Limit::AtMost(100),
                av_rooms: Limit::AtMost(10),
                groups_gained_daily: GROUPS_GAINED_DAILY,
                ..Limits::UNLIMITED
            },
            fees: Vec::new(),
        },
        Plan {
            name: name("pro"),
            limits: Limits {
                av_rooms: Limit::AtMost(50),
                groups_gained_daily: GROUPS_GAINED_DAILY,
                ..Limits::UNLIMITED
            },
            fees: vec![prices(usd(149, 99))],
        },
        Plan {
            name: name("flagship"),
            limits: Limits {
                groups_gained_daily: GROUPS_GAINED_DAILY,
                ..Limits::UNLIMITED
            },
            fees: vec![prices(usd(449, 99))],
        },
    ]
}

fn name(literal: &str) -> PlanName {
    PlanName::parse(literal).expect("the literals above are lower-case words")
}

fn usd(dollars: i64, cents: i64) -> Decimal {
    Decimal::new(dollars * 100 + cents, 2)
}

/// The overage fees are the same in both editions that have any (rules S3, S4).
fn prices(plan: Decimal) -> PriceList {
    let by_blocks_of = |units| MeteredFee {
        free: units,
        block: units,
        price: usd(149, 99),
    };
    PriceList {
        effective_from: date(2020, 1, 1),
        plan,
        daily_active: Some(by_blocks_of(10_000)),
        groups: Some((by_blocks_of(100_000), GroupBasis::MonthPeak)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(limit: Limit) -> String {
        limit.get().map_or("unlimited".into(), |n| n.to_string())
    }

    fn fee(fee: &MeteredFee) -> String {
        format!("{} free / {} / {}", fee.free, fee.block, fee.price)
    }

    /// A plan as its column of the domain page's table, from top to bottom.
    fn column(plan: &Plan) -> Vec<String> {
        let limits = &plan.limits;
        let mut rows = vec![
            plan.name.to_string(),
            limit(limits.accounts),
            limit(limits.av_rooms),
            limit(limits.groups),
            limit(limits.groups_gained_daily),
        ];
        for list in &plan.fees {
            assert_eq!(list.effective_from, date(2020, 1, 1));
            let (groups, basis) = list.groups.expect("a fee for groups");
            assert_eq!(basis, GroupBasis::MonthPeak);
            rows.push(fee(&list.daily_active.expect("a fee for active users")));
            rows.push(fee(&groups));
            rows.push(list.plan.to_string());
        }
        rows
    }

    #[test]
    fn the_editions_are_the_domain_pages_table() {
        let table: [&[&str]; 3] = [
            &["trial", "100", "10", "unlimited", "10000"],
            &[
                "pro",
                "unlimited",
                "50",
                "unlimited",
                "10000",
                "10000 free / 10000 / 149.99",
                "100000 free / 100000 / 149.99",
                "149.99",
            ],
            &[
                "flagship",
                "unlimited",
                "unlimited",
                "unlimited",
                "10000",
                "10000 free / 10000 / 149.99",
                "100000 free / 100000 / 149.99",
                "449.99",
            ],
        ];
        for (plan, rows) in built_in().iter().zip(table) {
            assert_eq!(column(plan), rows);
            assert!(plan.limits.av_rooms_are_groups, "{}", plan.name);
        }
    }
}

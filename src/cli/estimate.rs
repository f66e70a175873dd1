//! `bill estimate`: the price calculator. It needs no server.

use std::io::Write;

use super::args::EstimateArgs;
use super::{Exit, bill, say};
use crate::billing::{self, Editions, MonthUsage, Peak};
use crate::clock::Month;
use crate::config;
use crate::grpc;
use crate::quota::PlanName;

/// Computes a bill from given peaks, by the prices of a settings file or the built-in ones.
pub fn estimate(args: &EstimateArgs, out: &mut dyn Write, err: &mut dyn Write) -> Exit {
    let prices = match config::prices(args.config.as_deref()) {
        Ok(prices) => prices,
        Err(faults) => {
            say(err, &faults.to_string());
            return Exit::Usage;
        }
    };
    let name = PlanName::parse(&args.plan);
    let Some(plan) = name.and_then(|name| prices.plans.get(&name)) else {
        let known: Vec<_> = prices.plans.keys().map(PlanName::as_str).collect();
        let problem = format!(
            "imquota: --plan: {:?} is no plan; there are {}",
            args.plan,
            known.join(", ")
        );
        say(err, &problem);
        return Exit::Usage;
    };
    let Some(month) = Month::parse(&args.month) else {
        say(err, "imquota: --month: must be a month such as 2026-11");
        return Exit::Usage;
    };
    let peak = |count| Peak { count, day: None };
    let usage = MonthUsage {
        month,
        daily_active: peak(args.daily_active),
        groups: peak(args.groups),
        groups_at_end: args.groups,
        as_of: month.last_day(),
    };
    let editions = Editions::always(plan.clone());
    match billing::bill(&usage, &editions, prices.currency, args.activated) {
        Ok(made) => {
            let mut reply = grpc::estimate(&made);
            // Nobody said when.
            for line in &mut reply.lines {
                line.peak_day.clear();
            }
            let text = if args.json {
                bill::json(&reply).to_string()
            } else {
                bill::text(&reply)
            };
            say(out, &text);
            Exit::Done
        }
        Err(too_large) => {
            say(err, &format!("imquota: {too_large}"));
            Exit::Fault
        }
    }
}

//! A sidecar at a glance: its status as a terminal shows it.

use std::time::Instant;

use serde_json::Value;

use super::table::{Side, aligned};

const BOLD: &str = "\x1b[1m";
const RED: &str = "\x1b[31m";
const YELLOW: &str = "\x1b[33m";
const PLAIN: &str = "\x1b[0m";
/// The cells of a bar.
const BAR: usize = 20;
/// The most refusals that are shown.
const REFUSALS_MAX: usize = 10;

/// How many checks were answered up to a moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    at: Instant,
    allowed: u64,
    refused: u64,
}

impl Seen {
    /// What a status counts, now.
    pub(super) fn of(status: &Value) -> Self {
        let checks = status["checks"].as_array().map_or(&[][..], Vec::as_slice);
        let sum = |denied: bool| {
            let of = checks
                .iter()
                .filter(|one| (one["decision"] == "deny") == denied);
            of.filter_map(|one| one["count"].as_u64()).sum()
        };
        Self {
            at: Instant::now(),
            allowed: sum(false),
            refused: sum(true),
        }
    }

    /// How many a second, allowed and refused.
    pub(super) fn since(self, before: Self) -> (u64, u64) {
        let ms = u64::try_from(self.at.duration_since(before.at).as_millis()).unwrap_or(u64::MAX);
        let rate = |now: u64, then: u64| now.saturating_sub(then).saturating_mul(1_000) / ms.max(1);
        (
            rate(self.allowed, before.allowed),
            rate(self.refused, before.refused),
        )
    }
}

/// What a terminal shows of a status.
pub(super) fn render(status: &Value, rates: Option<(u64, u64)>, coloured: bool) -> String {
    let paint = |colour: &str, text: String| {
        if coloured {
            format!("{colour}{text}{PLAIN}")
        } else {
            text
        }
    };
    let ledger = &status["ledger"];
    let state = text(&ledger["state"]);
    let state = if state == "up" {
        state
    } else {
        paint(RED, state)
    };
    let seen = Seen::of(status);
    let per_second = |rate: Option<u64>| rate.map_or(String::new(), |rate| format!(" ({rate}/s)"));
    let mut lines = vec![
        paint(
            BOLD,
            format!(
                "imquota {}  {}",
                text(&status["version"]),
                text(&status["member"])
            ),
        ),
        format!(
            "ledger {state}  in step {} ms ago  members {}  clock off by {} ms",
            text(&ledger["sync_age_ms"]),
            text(&ledger["members"]),
            text(&ledger["clock_error_ms"]),
        ),
        format!(
            "checks allowed {}{}  refused {}{}  apps {}  not settled {}",
            seen.allowed,
            per_second(rates.map(|of| of.0)),
            seen.refused,
            per_second(rates.map(|of| of.1)),
            text(&status["apps"]),
            text(&status["waiting"]["units"]),
        ),
    ];
    if ledger["cause"].is_string() {
        lines.push(paint(RED, text(&ledger["cause"])));
    }
    for table in [nearest(status, &paint), refusals(status)] {
        lines.extend(table.map(|table| format!("\n{table}")));
    }
    lines.join("\n")
}

/// The counts nearest to their limits.
fn nearest(status: &Value, paint: &dyn Fn(&str, String) -> String) -> Option<String> {
    let nearest = status["nearest_to_limits"].as_array()?;
    if nearest.is_empty() {
        return None;
    }
    let head = ["APP", "WHAT", "", "COUNT", "LIMIT", "PART"].map(str::to_owned);
    let mut rows = vec![head.to_vec()];
    rows.extend(nearest.iter().map(|near| {
        let percent = near["percent"].as_u64().unwrap_or(0);
        vec![
            text(&near["app_id"]),
            text(&near["of"]),
            bar(percent),
            text(&near["count"]),
            text(&near["limit"]),
            format!("{percent} %"),
        ]
    }));
    let [left, right] = [Side::Left, Side::Right];
    let table = aligned(&rows, &[left, left, left, right, right, right]);
    let painted = table.lines().enumerate().map(|(at, line)| {
        let near = at.checked_sub(1).and_then(|at| nearest.get(at));
        match near.and_then(|near| near["percent"].as_u64()) {
            Some(100..) => paint(RED, line.to_owned()),
            Some(80..) => paint(YELLOW, line.to_owned()),
            _ => line.to_owned(),
        }
    });
    Some(painted.collect::<Vec<_>>().join("\n"))
}

/// The last refusals.
fn refusals(status: &Value) -> Option<String> {
    let refusals = status["last_refusals"].as_array()?;
    if refusals.is_empty() {
        return None;
    }
    let head = ["REFUSED AT", "APP", "WHAT", "WHY", "REQUEST ID"].map(str::to_owned);
    let mut rows = vec![head.to_vec()];
    rows.extend(refusals.iter().take(REFUSALS_MAX).map(|one| {
        let of = ["at", "app_id", "resource", "reason", "request_id"];
        of.map(|name| text(&one[name])).to_vec()
    }));
    Some(aligned(&rows, &[]))
}

/// A part of a hundred, drawn.
fn bar(percent: u64) -> String {
    let full = usize::try_from(percent.min(100)).unwrap_or(0) * BAR / 100;
    format!("{}{}", "█".repeat(full), "░".repeat(BAR - full))
}

/// A value as it is shown. Clients chose some of them: nothing in one may steer the terminal.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.replace(char::is_control, "?"),
        Value::Null => "–".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn status() -> Value {
        json!({
            "version": "1", "member": "m", "apps": 2, "waiting": { "units": 0 },
            "ledger": { "state": "away", "cause": "it is gone", "sync_age_ms": null, "members": 1, "clock_error_ms": 0 },
            "checks": [
                { "decision": "allow", "count": 5 }, { "decision": "deny", "count": 2 },
                { "decision": "shadow", "count": 1 },
            ],
            "nearest_to_limits": [{ "app_id": 7, "of": "account", "count": 9, "limit": 10, "percent": 90 }],
            "last_refusals": [{ "at": "t", "app_id": 7, "resource": "account", "reason": "limit_reached",
                "request_id": "r\u{1b}[2J" }],
        })
    }

    #[test]
    fn without_a_terminal_it_is_plain() {
        let shown = render(&status(), None, false);
        assert!(!shown.contains('\x1b'), "{shown}");
        assert!(shown.contains("ledger away  in step – ms ago"), "{shown}");
        assert!(shown.contains("checks allowed 6  refused 2"), "{shown}");
        assert!(
            shown.contains("7    account  ██████████████████░░      9     10  90 %"),
            "{shown}"
        );
        assert!(
            shown.contains("it is gone") && shown.contains("r?[2J"),
            "{shown}"
        );
    }

    #[test]
    fn on_a_terminal_what_is_wrong_is_coloured() {
        let shown = render(&status(), Some((3, 1)), true);
        assert!(shown.contains("\x1b[31maway\x1b[0m"), "{shown}");
        assert!(
            shown.contains("allowed 6 (3/s)  refused 2 (1/s)"),
            "{shown}"
        );
        assert!(!shown.contains("\x1b[2J"), "{shown}");
    }
}

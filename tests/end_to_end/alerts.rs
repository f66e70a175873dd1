//! Alerts and the dashboard: they speak of figures that exist, each alert is explained, and each fires where it
//! should and nowhere else.

use std::collections::BTreeSet;
use std::process::Command;

const RULES: &str = include_str!("../../observability/rules.yaml");
const DASHBOARD: &str = include_str!("../../observability/dashboard.json");
const METRICS: &str = include_str!("../../docs/metrics.md");
const RUNBOOK: &str = include_str!("../../docs/runbook.md");

/// The names that begin so, wherever they stand.
fn names<'a>(text: &'a str, begin: &str) -> BTreeSet<&'a str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c| !is_part(c));
    words.filter(|word| word.starts_with(begin)).collect()
}

/// The metrics that are documented, which another test compares with those that are exposed.
fn documented() -> BTreeSet<&'static str> {
    let rows = METRICS.lines().filter_map(|row| row.strip_prefix("| `"));
    rows.filter_map(|row| row.split('`').next()).collect()
}

#[test]
fn rules_and_dashboard_speak_of_figures_that_exist() {
    let known = documented();
    for (what, text) in [("rules", RULES), ("dashboard", DASHBOARD)] {
        let mut used = names(text, "imquota_");
        used.extend(names(text, "process_"));
        assert!(used.len() > 10, "{what}: {used:?}");
        for name in used {
            let parts = ["", "_bucket", "_count", "_sum"];
            let of = |end: &&str| {
                name.strip_suffix(*end)
                    .is_some_and(|name| known.contains(name))
            };
            assert!(parts.iter().any(of), "{what}: nothing is called {name}");
        }
    }
}

#[test]
fn the_dashboard_shows_every_figure_of_this_program() {
    let shown = names(DASHBOARD, "imquota_");
    let told = |name: &str| shown.iter().any(|shown| shown.starts_with(name));
    let missing: Vec<_> = documented()
        .into_iter()
        .filter(|name| !told(name))
        .collect();
    // Those say how long or how much something else is, or what its name is.
    let beside = [
        "imquota_apps",
        "imquota_ledger_epoch",
        "imquota_app_active_users",
        "imquota_request_id_window_seconds",
        "process_open_fds",
        "process_resident_memory_bytes",
        "process_start_time_seconds",
    ];
    let missing: Vec<_> = missing
        .into_iter()
        .filter(|name| !beside.contains(name))
        .collect();
    assert_eq!(missing, [""; 0]);
    let dashboard: serde_json::Value = serde_json::from_str(DASHBOARD).expect("it is JSON");
    let panels = dashboard["panels"].as_array().expect("a list");
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64()).collect();
    assert_eq!(ids.len(), panels.len(), "each panel has an id of its own");
}

#[test]
fn each_alert_has_a_page_in_the_runbook() {
    let alerts: Vec<_> = RULES
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .collect();
    assert!(alerts.len() >= 10, "{alerts:?}");
    for alert in &alerts {
        assert!(
            RUNBOOK.contains(&format!("\n## {alert}\n")),
            "{alert} is not explained"
        );
        let link = format!("docs/runbook.md#{}", alert.to_lowercase());
        assert!(RULES.contains(&link), "{alert} does not say where");
    }
    let explained = RUNBOOK
        .lines()
        .filter(|line| line.starts_with("## "))
        .count();
    assert_eq!(explained, alerts.len());
}

#[test]
fn each_alert_fires_where_it_should() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/observability");
    for arguments in [
        ["check", "rules", "rules.yaml"],
        ["test", "rules", "rules_test.yaml"],
    ] {
        let ran = Command::new("promtool")
            .args(arguments)
            .current_dir(folder)
            .output();
        let ran = ran.expect("promtool is installed by tests/run");
        let said = String::from_utf8_lossy(&[ran.stdout, ran.stderr].concat()).into_owned();
        assert!(ran.status.success(), "{said}");
    }
    let tests = include_str!("../../observability/rules_test.yaml");
    for line in RULES.lines() {
        if let Some(alert) = line.trim().strip_prefix("- alert: ") {
            let tested = format!("alertname: {alert}\n");
            assert!(tests.contains(&tested), "{alert} is not tested");
        }
    }
}

//! The program as a shell sees it: what it prints and the status it ends with.

mod serve;

use std::process::{Command, Output};

fn imquota(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_imquota"))
        .args(arguments)
        .env_clear()
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("the program runs")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

#[test]
fn check_config_says_ok_and_what_it_understood() {
    let output = imquota(&["check-config", "examples/imquota.yaml"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    let said = text(&output.stdout);
    assert_eq!(said.lines().next(), Some("ok"));
    for part in [
        "listen         127.0.0.1:50051\n",
        "store          embedded",
        "outage         accounts: deny, groups: deny, av_rooms: deny, groups_gained_daily: admit, metered: admit\n",
        "zone           +08:00\n",
        "past           days are kept for 13 months, months and bills for 120\n",
        "trial            100  unlimited         10         10000     1\n",
        "flagship from 2020-01-01: 449.99 USD a month;",
        "apps: 4\n  1400000002 (pro): av_rooms 80\n  1400000004 (pro): disabled\n",
    ] {
        assert!(said.contains(part), "{part:?} in\n{said}");
    }
}

#[test]
fn check_config_shows_what_an_app_has_of_its_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("f.yaml");
    let settings = "apps:
  - { app_id: 1, plan: pro, track_objects: true, expired_holds: ask }
  - { app_id: 2, plan: pro, share_ids: true, track_objects: false }
  - { app_id: 3, plan: trial, limits: { accounts: 5 }, expired_holds: free }
  - { app_id: 4, plan: trial, expired_holds: charge, shadow: true }
";
    std::fs::write(&file, settings).expect("written");
    let output = imquota(&["check-config", file.to_str().expect("text")]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let said = text(&output.stdout);
    let apps = "apps: 4
  2 (pro): share_ids, track_objects false
  3 (trial): accounts 5, expired_holds free
  4 (trial): shadow, expired_holds charge
";
    assert!(said.contains(apps), "{said}");
}

#[test]
fn faults_in_the_settings_end_with_2_one_a_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("f.yaml");
    std::fs::write(&file, "workers: x\nplans: { pro: { limit: 1 } }\n").expect("written");
    let path = file.to_str().expect("text");
    let faults = format!(
        "{path}:1: workers: must be a whole number, not \"x\"\n\
         {path}:2: plans.pro.limit: unknown key; did you mean \"limits\"?\n"
    );
    let checked = imquota(&["check-config", path]);
    let served = imquota(&["serve", "--config", path, "--data-dir", "d"]);
    for output in [checked, served] {
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(output.stdout.is_empty(), "{output:?}");
        assert_eq!(text(&output.stderr), faults);
    }
    let missing = imquota(&["check-config", "missing.yaml"]);
    assert_eq!(missing.status.code(), Some(2));
    assert_eq!(
        text(&missing.stderr),
        "missing.yaml: cannot be read: No such file or directory (os error 2)\n"
    );
}

#[test]
fn wrong_usage_ends_with_2_and_a_server_that_is_away_with_1() {
    for arguments in [&[][..], &["bill"], &["check", "--app", "0"]] {
        let output = imquota(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
    let output = imquota(&["usage", "--app", "1", "--endpoint", "unix:/nowhere/socket"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(
        text(&output.stderr).contains("there is no such socket"),
        "{output:?}"
    );
}

#[test]
fn the_version_is_the_packages() {
    let output = imquota(&["version"]);
    assert_eq!(output.status.code(), Some(0));
    let version = concat!("imquota ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(text(&output.stdout), version);
}

/// What cannot be written exactly is said to be too large, and never a wrong number.
#[test]
fn an_estimate_at_the_bounds_is_exact_or_a_fault() {
    let most = u64::MAX.to_string();
    let counts = ["--month", "2026-11", "--daily-active", &most];
    let estimate = |plan: &[&str]| imquota(&[&["bill", "estimate"][..], plan, &counts].concat());
    let output = estimate(&["--plan", "pro", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let bill: serde_json::Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    // (2^64 - 1 - 10,000) / 10,000, rounded up, × 149.99.
    let (blocks, amount) = (1_844_674_407_370_955_u64, "276682714361569540.45");
    let line = &bill["lines"][1];
    assert_eq!(
        (&line["peak"], &line["blocks"]),
        (&u64::MAX.into(), &blocks.into())
    );
    assert_eq!(line["amount"], amount);
    assert_eq!(bill["total"], "276682714361569690.44");

    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("f.yaml");
    let dear = "plans: { dear: { fees: [{ effective_from: 2020-01-01, \
                daily_active: { free: 0, block: 1, price: \"1000000000.00\" } }] } }";
    std::fs::write(&file, dear).expect("written");
    let file = file.to_str().expect("text");
    let output = estimate(&["--plan", "dear", "--config", file]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    assert!(text(&output.stderr).contains("too large"), "{output:?}");
}

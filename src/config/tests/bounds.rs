use std::fmt::Write;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::{faults, read};
use crate::config::FINDINGS_MAX;

/// How long settings of so many apps take to be read.
fn time_to_read(apps: usize) -> Duration {
    let mut text = String::from("apps:\n");
    for app in 1..=apps {
        writeln!(
            text,
            "  - {{ app_id: {app}, plan: pro, limits: {{ av_rooms: 80 }} }}"
        )
        .expect("a String takes all");
    }
    let begun = Instant::now();
    let settings = read(&text).expect("no fault");
    let took = begun.elapsed();
    assert_eq!(settings.rulebook.apps.len(), apps);
    took
}

#[test]
fn a_hundred_thousand_apps_take_no_more_than_their_share() {
    // Ten times the apps take ten times as long, and a hundred times where something is done for each
    // pair of them. The best of each, since other loads only add.
    let best = |apps| (0..3).map(|_| time_to_read(apps)).min();
    let (few, many) = (best(10_000), time_to_read(100_000));
    assert!(few.is_some_and(|few| many < 50 * few), "{few:?}, {many:?}");
}

#[test]
fn a_flood_of_faults_is_counted_and_cut() {
    let apps = "  - { app_id: 0, plan: pro }\n".repeat(FINDINGS_MAX + 5);
    let lines = faults(&format!("apps:\n{apps}"));
    assert_eq!(lines.len(), FINDINGS_MAX + 1);
    assert_eq!(lines[FINDINGS_MAX], "… and 5 more");
}

#[test]
fn too_much_of_anything_is_one_fault() {
    let deep = format!("apps: {}{}", "[".repeat(17), "]".repeat(17));
    assert_eq!(
        faults(&deep),
        [format!(
            "f.yaml:1: apps{}: lies more than 16 levels deep",
            "[0]".repeat(15)
        )]
    );
    let listen: Vec<_> = (1..=17).map(|port| format!("127.0.0.1:{port}")).collect();
    assert_eq!(
        faults(&format!("listen: {listen:?}")),
        ["f.yaml:1: listen[16]: there may be at most 16 listeners"]
    );
    let plans: String = (0..=1000).fold("plans:\n".into(), |text, plan| {
        format!("{text}  p{plan}: {{}}\n")
    });
    assert_eq!(
        faults(&plans),
        ["f.yaml:1002: plans.p1000: there may be at most 1000 plans"]
    );
}

/// Fragments of which settings are made, and some that break them.
fn fragments() -> impl Strategy<Value = String> {
    let fragments = prop::sample::select(vec![
        "listen",
        "store",
        "plans",
        "apps",
        "limits",
        "fees",
        "app_id",
        "pro",
        "url",
        ": ",
        ":\n",
        "\n",
        "  ",
        "    ",
        "- ",
        "[",
        "]",
        "{ ",
        " }",
        ", ",
        "1",
        "0.5",
        "null",
        "unlimited",
        "\"",
        "'",
        "#",
        "&a ",
        "*a",
        "<<: ",
        "!t ",
        "|",
        ">",
        "? ",
        "---\n",
        "...\n",
        "%TAG",
        "\t",
        "\r",
        "\u{feff}",
        "\0",
        "é",
        "embedded",
        "redis://",
        "2020-01-01",
        "true",
    ]);
    prop::collection::vec(fragments, 0..40).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn whatever_the_file_holds_there_is_an_answer(text in fragments()) {
        check_answer(&text);
    }

    #[test]
    fn any_text_has_an_answer(text in any::<String>()) {
        check_answer(&text);
    }
}

/// Faults stand on one line each, in the file, in order.
fn check_answer(text: &str) {
    let Err(found) = read(text) else {
        return;
    };
    assert!(!found.list.is_empty());
    assert!(found.list.is_sorted_by(|a, b| a.place <= b.place));
    for fault in &found.list {
        let line = fault.to_string();
        assert!(line.starts_with("f.yaml:"), "{line}");
        assert!(!line.contains('\n'), "{line}");
    }
}

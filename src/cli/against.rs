//! What a settings file would change of a running server: limits, prices, apps.

use std::collections::BTreeMap;

use super::admin::connect;
use super::args::AdminCommon;
use super::client::NoAnswer;
use super::verbs::app_words;
use crate::config::{Environment, Settings};
use crate::grpc::app_message;
use crate::grpc::proto::{App, AppSource, GetSettingsRequest, ListAppsRequest};
use crate::quota::{AppSpec, outline};

/// How many apps are asked for at a time.
const PAGE: u32 = 1_000;
/// The most differences that are told one by one.
const TOLD_MAX: usize = 10_000;

/// What differs, a line each: `+` is new, `-` goes, `~` changes.
pub(super) async fn differences(
    settings: &Settings,
    common: &AdminCommon,
    environment: &Environment,
) -> Result<Vec<String>, NoAnswer> {
    let mut client = connect(common, environment).await?;
    let request = client.request(GetSettingsRequest {});
    let there = client.service.get_settings(request).await?.into_inner();
    let there = there
        .settings
        .into_iter()
        .map(|line| (line.key, line.value));
    let here = outline(&settings.rulebook, &settings.outage);
    let mut told = changes(&there.collect(), &here.into_iter().collect());

    let mut of_file = BTreeMap::new();
    let mut registered = BTreeMap::new();
    let mut after_app_id = 0;
    loop {
        let request = client.request(ListAppsRequest {
            after_app_id,
            page_size: PAGE,
            show_deleted: false,
        });
        let page = client.service.list_apps(request).await?.into_inner();
        for app in page.apps {
            match app.source() {
                AppSource::File => of_file.insert(app.app_id, words(&app)),
                _ => registered.insert(app.app_id, words(&app)),
            };
        }
        after_app_id = page.next_after_app_id;
        if after_app_id == 0 {
            break;
        }
    }
    let apps = settings.rulebook.apps.iter();
    let new: BTreeMap<u64, String> = apps
        .map(|(app, rules)| {
            (
                app.get(),
                words(&app_message(*app, &AppSpec::of_rules(rules))),
            )
        })
        .collect();
    for (app, said) in &new {
        if let Some(known) = registered.get(app) {
            told.push(format!("~ app {app}: {known} (registered in the ledger) -> {said} (the file goes before the ledger)"));
        }
    }
    let named = |apps: BTreeMap<u64, String>| {
        let named = apps
            .into_iter()
            .filter(|(app, _)| !registered.contains_key(app));
        named
            .map(|(app, said)| (format!("app {app:020}"), said))
            .collect()
    };
    let apps = changes(&named(of_file), &named(new));
    told.extend(apps.iter().map(|line| without_zeros(line)));
    let more = told.len().saturating_sub(TOLD_MAX);
    if more > 0 {
        told.truncate(TOLD_MAX);
        told.push(format!("and {more} more"));
    }
    Ok(told)
}

/// An app's id as it is written; it was long so that apps stand in the order of their ids.
fn without_zeros(line: &str) -> String {
    match line.split_once("app 0") {
        Some((sign, rest)) => format!("{sign}app {}", rest.trim_start_matches('0')),
        None => line.into(),
    }
}

/// What an app says, in one line.
fn words(app: &App) -> String {
    let own = app_words(app).into_iter();
    let own = own.map(|(name, worth)| format!("{name} {worth}"));
    let plan = std::iter::once(format!("plan {}", app.plan));
    plan.chain(own).collect::<Vec<_>>().join(", ")
}

fn changes(old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> Vec<String> {
    let gone = old.iter().filter(|(key, _)| !new.contains_key(*key));
    let mut told: Vec<_> = gone
        .map(|(key, was)| (key, format!("- {key}: {was}")))
        .collect();
    for (key, is) in new {
        match old.get(key) {
            None => told.push((key, format!("+ {key}: {is}"))),
            Some(was) if was != is => told.push((key, format!("~ {key}: {was} -> {is}"))),
            Some(_) => {}
        }
    }
    told.sort();
    told.into_iter().map(|(_, line)| line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_told_by_key() {
        let of = |pairs: &[(&str, &str)]| {
            let pairs = pairs
                .iter()
                .map(|(key, value)| ((*key).into(), (*value).into()));
            pairs.collect::<BTreeMap<String, String>>()
        };
        let (old, new) = (
            of(&[("a", "1"), ("b", "2"), ("d", "4")]),
            of(&[("b", "3"), ("c", "5"), ("d", "4")]),
        );
        assert_eq!(changes(&old, &new), ["- a: 1", "~ b: 2 -> 3", "+ c: 5"]);
        assert_eq!(
            without_zeros("+ app 00000000000000000070: plan pro"),
            "+ app 70: plan pro"
        );
    }
}

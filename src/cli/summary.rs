//! Settings as a person reads them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::table::{Side, aligned};
use crate::access::{Binding, Role};
use crate::config::{
    Connections, Create, DecisionRates, EnvoyKeys, LogFormat, Password, RedisSettings, Settings,
    StoreSettings,
};
use crate::endpoint::Endpoint;
use crate::quota::{
    AppRules, AppSeries, ExpiredHolds, GroupBasis, IdPolicy, Limit, Limits, MeteredFee,
    OutagePolicy, Plan, PlanName, PriceList, Retention,
};
use crate::tls::{ClientCert, TlsFiles};
use crate::trace::Traces;

/// The most apps with limits of their own, and the most notices, that are listed one by one.
const LISTED_MAX: usize = 20;

/// What `settings` say, in paragraphs. What nobody chose is told as what it will be, since another
/// machine will choose it.
pub(super) fn of(settings: &Settings) -> String {
    let mut paragraphs = vec![aligned(&facts(settings), &[Side::Left]), plans(settings)];
    let plans = settings.plans.values();
    let fees: Vec<_> = plans
        .flat_map(|plan| fees(plan, settings.currency.code()))
        .collect();
    paragraphs.push(fees.join("\n"));
    paragraphs.push(apps(settings));
    let notices = settings
        .notices
        .iter()
        .map(|notice| format!("notice: {notice}"));
    paragraphs.push(first_few(notices.collect(), "notices"));
    paragraphs.retain(|paragraph| !paragraph.is_empty());
    paragraphs.join("\n\n")
}

fn first_few(mut lines: Vec<String>, what: &str) -> String {
    if lines.len() > LISTED_MAX {
        let more = lines.len() - LISTED_MAX;
        lines.truncate(LISTED_MAX);
        lines.push(format!("… and {more} more {what}"));
    }
    lines.join("\n")
}

fn facts(settings: &Settings) -> Vec<Vec<String>> {
    let listen = settings.listen.iter();
    let listen: Vec<_> = listen.map(|one| listener(settings, one)).collect();
    let none = || "none".to_owned();
    let shown = |one: &Option<Endpoint>| one.as_ref().map_or_else(none, ToString::to_string);
    let Connections { max, per_address } = settings.connections;
    let connections = format!("{max} at most, {per_address} from one address off loopback");
    let with_tls = |shown: String, tls: &Option<TlsFiles>| match tls {
        Some(files) if !shown.starts_with("unix:") => format!("{shown} ({})", tls_of(files)),
        _ => shown,
    };
    let admin = with_tls(shown(&settings.admin_listen), &settings.tls.admin);
    let health = shown(&settings.health_listen);
    let http = with_tls(shown(&settings.http_listen), &settings.tls.http);
    let chosen = |by_default: bool, default: &str, value: String| {
        if by_default {
            default.to_owned()
        } else {
            value
        }
    };
    let by_default = settings.by_default;
    let home = "$XDG_DATA_HOME/imquota, or ~/.local/share/imquota (default)";
    let data_dir = settings.data_dir.display().to_string();
    let member = settings.member.to_string();
    let workers = settings.workers.to_string();
    let log = match settings.log_format {
        LogFormat::Text => "text",
        LogFormat::Json => "json",
    };
    let unknown = settings.rulebook.unknown.as_ref();
    [
        ("listen", listen.join(", ")),
        ("admin_listen", admin),
        ("health_listen", health),
        ("http_listen", http),
        ("auth", auth(settings)),
        ("connections", connections),
        ("envoy_keys", envoy_keys(&settings.envoy_keys)),
        ("store", store(&settings.store)),
        ("outage", outage(&settings.outage)),
        ("request_ids", request_ids(&settings.request_ids)),
        ("data_dir", chosen(by_default.data_dir, home, data_dir)),
        ("zone", settings.zone.name().to_owned()),
        ("currency", settings.currency.to_string()),
        ("past", retention(settings.retention)),
        (
            "member",
            chosen(by_default.member, "the host's name (default)", member),
        ),
        (
            "workers",
            chosen(
                by_default.workers,
                "all cores the process may use (default)",
                workers,
            ),
        ),
        ("spin", spin(settings.spin)),
        ("log_format", log.to_owned()),
        ("log_decisions", decisions(settings.decisions)),
        ("metrics", app_series(&settings.app_series)),
        ("traces", traces(settings.traces.as_ref())),
        (
            "unknown apps",
            unknown.map_or_else(
                || "refused (APP_UNKNOWN)".to_owned(),
                |rules| format!("plan {}", rules.plan.name),
            ),
        ),
        (
            "shadow",
            if settings.rulebook.shadow {
                "every app is only watched, and nothing refused".to_owned()
            } else {
                "no, but for apps of which it is said".to_owned()
            },
        ),
    ]
    .map(|(name, worth)| vec![name.to_owned(), worth])
    .to_vec()
}

fn listener(settings: &Settings, endpoint: &Endpoint) -> String {
    match &settings.tls.listen {
        Some(files)
            if matches!(endpoint, Endpoint::Tcp(_))
                && !settings.allow_plaintext.contains(endpoint) =>
        {
            format!("{endpoint} ({})", tls_of(files))
        }
        _ if endpoint.is_loopback() => endpoint.to_string(),
        _ => format!("{endpoint} (plain text off loopback, as allowed)"),
    }
}

/// Who may do what.
fn auth(settings: &Settings) -> String {
    let Some(bindings) = &settings.auth else {
        return "none: gateways are not asked, operators are of this machine".to_owned();
    };
    let mut lines = Vec::new();
    for Binding { grant, .. } in bindings {
        let roles = Role::ALL.iter().filter(|(_, role)| grant.roles.has(*role));
        let roles: Vec<_> = roles.map(|(name, _)| *name).collect();
        let apps = match grant.apps.as_deref() {
            None => String::new(),
            Some([app]) => format!(" for app {app}"),
            Some(apps) => format!(" for {} apps", apps.len()),
        };
        lines.push(format!("{} may {}{apps}", grant.name, roles.join(", ")));
    }
    let more = lines.len().saturating_sub(LISTED_MAX);
    lines.truncate(LISTED_MAX);
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    lines.join("; ")
}

fn tls_of(files: &TlsFiles) -> String {
    let clients = match (&files.client_ca, files.client_cert) {
        (None, _) => String::new(),
        (Some(ca), ClientCert::Required) => format!(", clients by {}", ca.display()),
        (Some(ca), ClientCert::Optional) => format!(", clients by {} or none", ca.display()),
    };
    format!("TLS by {}{clients}", files.cert.display())
}

fn store(store: &StoreSettings) -> String {
    let StoreSettings::Redis(redis) = store else {
        return "embedded (one sidecar)".to_owned();
    };
    let create = match redis.create {
        Create::Auto => "made if it is not there",
        Create::Never => "never made",
    };
    let RedisSettings {
        topology,
        login,
        tls,
        key_prefix,
        wait,
        ..
    } = &**redis;
    let password = match &login.password {
        Some(Password::File(path)) => Some(path),
        Some(Password::Text(_)) | None => None,
    };
    let certificate = tls.identity.as_ref().map(|(path, _)| path);
    let from = |what: &str, path: Option<&PathBuf>| {
        path.map(|path| format!("{what} from {}", path.display()))
    };
    let more = [
        login.username.as_ref().map(|user| format!("user {user}")),
        from("password", password),
        from("authorities", tls.ca_file.as_ref()),
        from("certificate", certificate),
        tls.server_name
            .as_ref()
            .map(|name| format!("server name {name}")),
    ];
    let first = [
        topology.to_string(),
        format!("key prefix {key_prefix}"),
        create.to_owned(),
        format!("waited for {wait:?} at most"),
    ];
    let all: Vec<_> = first
        .into_iter()
        .chain(more.into_iter().flatten())
        .collect();
    all.join(", ")
}

fn outage(policy: &OutagePolicy) -> String {
    let OutagePolicy {
        accounts,
        groups,
        av_rooms,
        groups_gained_daily,
        metered,
    } = policy;
    format!(
        "accounts: {accounts}, groups: {groups}, av_rooms: {av_rooms}, \
         groups_gained_daily: {groups_gained_daily}, metered: {metered}"
    )
}

fn app_series(series: &AppSeries) -> String {
    match (series.top, series.named.len()) {
        (0, 0) => "no app has series of its own".to_owned(),
        (top, named) => format!(
            "series of their own: the {top} counts nearest to their limits, and {named} apps by name"
        ),
    }
}

fn envoy_keys(keys: &EnvoyKeys) -> String {
    keys.all().map(|key| &**key).join(", ")
}

fn spin(spin: Duration) -> String {
    if spin.is_zero() {
        return "none: a thread without calls sleeps (default)".into();
    }
    format!("{spin:?} for the next call, before a thread sleeps")
}

fn decisions(rates: DecisionRates) -> String {
    let DecisionRates {
        refusals_a_second,
        one_in,
    } = rates;
    let refusals = format!("at most {refusals_a_second} refusals a second");
    match one_in {
        0 => refusals,
        _ => format!("{refusals}, and one decision in {one_in}"),
    }
}

fn traces(traces: Option<&Traces>) -> String {
    match traces {
        None => "none".to_owned(),
        Some(Traces {
            endpoint,
            one_in: 0,
        }) => format!("to {endpoint}: what callers record"),
        Some(Traces { endpoint, one_in }) => {
            format!("to {endpoint}: what callers record, and one in {one_in} of other calls")
        }
    }
}

fn request_ids(policy: &IdPolicy) -> String {
    let IdPolicy {
        window,
        floor,
        max_memory,
    } = policy;
    format!("remembered for {window:?}, for {floor:?} at least, in {max_memory} bytes")
}

fn retention(kept: Retention) -> String {
    let (days, months) = (kept.days(), kept.months());
    format!("days are kept for {days} months, months and bills for {months}")
}

fn plans(settings: &Settings) -> String {
    let head = [
        "plan",
        "accounts",
        "groups",
        "av_rooms",
        "groups a day",
        "apps",
    ];
    let mut count: BTreeMap<&PlanName, usize> = BTreeMap::new();
    for rules in settings.rulebook.apps.values() {
        *count.entry(&rules.plan.name).or_default() += 1;
    }
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for (name, plan) in &settings.plans {
        let Limits {
            accounts,
            groups,
            av_rooms,
            groups_gained_daily,
            ..
        } = plan.limits;
        let mut row = vec![name.to_string()];
        row.extend([accounts, groups, av_rooms, groups_gained_daily].map(limit));
        row.push(count.get(name).copied().unwrap_or(0).to_string());
        rows.push(row);
    }
    let mut sides = [Side::Right; 6];
    sides[0] = Side::Left;
    aligned(&rows, &sides)
}

fn limit(limit: Limit) -> String {
    limit
        .get()
        .map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string())
}

fn fees(plan: &Plan, currency: &str) -> Vec<String> {
    let apart = (!plan.limits.av_rooms_are_groups)
        .then(|| format!("{}: AV rooms do not count as groups", plan.name));
    let lists = plan.fees.iter().map(|list| {
        format!(
            "{} from {}: {} {currency} a month{}",
            plan.name,
            list.effective_from,
            list.plan,
            metered(list, currency)
        )
    });
    apart.into_iter().chain(lists).collect()
}

fn metered(list: &PriceList, currency: &str) -> String {
    let fee = |what: &str, fee: &MeteredFee| {
        let MeteredFee { free, block, price } = fee;
        format!("; {what} above {free}: {price} {currency} per {block}")
    };
    let active = list
        .daily_active
        .as_ref()
        .map(|daily| fee("daily active users", daily));
    let groups = list.groups.as_ref().map(|(groups, basis)| {
        let what = match basis {
            GroupBasis::MonthPeak => "groups (month's peak)",
            GroupBasis::MonthEnd => "groups (month's end)",
        };
        fee(what, groups)
    });
    active.unwrap_or_default() + &groups.unwrap_or_default()
}

fn apps(settings: &Settings) -> String {
    let apps = &settings.rulebook.apps;
    let mut own: Vec<_> = apps.iter().filter(|(_, rules)| has_own(rules)).collect();
    own.sort_by_key(|(app, _)| **app);
    let lines = own.into_iter().map(|(app, rules)| {
        let mut says: Vec<_> = overrides(&rules.limits, &rules.plan.limits).collect();
        says.extend(flags(rules));
        format!("  {app} ({}): {}", rules.plan.name, says.join(", "))
    });
    let head = format!("apps: {}", apps.len());
    match first_few(lines.collect(), "apps with settings of their own") {
        lines if lines.is_empty() => head,
        lines => format!("{head}\n{lines}"),
    }
}

/// Whether an app differs from others of its plan.
fn has_own(rules: &AppRules) -> bool {
    rules.limits != rules.plan.limits || !flags(rules).is_empty()
}

/// What an app's settings say beside its limits, as far as it is not the default.
fn flags(rules: &AppRules) -> Vec<String> {
    let activated = rules.activated.map(|day| format!("activated {day}"));
    let expired = match rules.expired_holds {
        ExpiredHolds::Ask => None,
        ExpiredHolds::Free => Some("expired_holds free"),
        ExpiredHolds::Charge => Some("expired_holds charge"),
    };
    [
        rules.disabled.then_some("disabled"),
        rules.shadow.then_some("shadow"),
        rules.share_ids.then_some("share_ids"),
        (!rules.track_objects).then_some("track_objects false"),
        expired,
    ]
    .into_iter()
    .flatten()
    .map(str::to_owned)
    .chain(activated)
    .collect()
}

fn overrides(own: &Limits, plan: &Limits) -> impl Iterator<Item = String> {
    let limits = [
        ("accounts", own.accounts, plan.accounts),
        ("groups", own.groups, plan.groups),
        ("av_rooms", own.av_rooms, plan.av_rooms),
        (
            "groups_gained_daily",
            own.groups_gained_daily,
            plan.groups_gained_daily,
        ),
    ];
    let rooms = (own.av_rooms_are_groups != plan.av_rooms_are_groups)
        .then(|| format!("av_rooms_are_groups {}", own.av_rooms_are_groups));
    limits
        .into_iter()
        .filter(|(_, own, plan)| own != plan)
        .map(|(name, own, _)| format!("{name} {}", limit(own)))
        .chain(rooms)
}

use std::sync::Arc;
use std::time::Duration;

use rust_decimal::Decimal;

use super::{in_repository, read};
use crate::config::{
    Create, DecisionRates, Environment, FILE_BYTES_MAX, Flags, Host, LogFormat, Password, Settings,
    StoreSettings, Topology, check, load,
};
use crate::quota::{
    AppId, AppRules, AppSeries, ExpiredHolds, GroupBasis, IdPolicy, Limit, PlanName,
};

/// The settings file as the contract prints it.
const CONTRACT: &str = r#"listen: ["127.0.0.1:50051"]
admin_listen: "127.0.0.1:50052"
http_listen: "127.0.0.1:9090"
health_listen: "127.0.0.1:50053"       # plain gRPC health only, for probes that dial the Pod's address
allow_plaintext: []                    # listeners that may be plain off loopback; health_listen and http_listen need no permission
request_ids: { window: 10m, floor: 30s, max_memory: 64MiB }
data_dir: /var/lib/imquota
store:
  url: redis://127.0.0.1:6379/0        # or: embedded
  # mode: single | sentinel | cluster;  urls: [...];  master_name: …;  key_prefix: imquota
unknown_app_plan: null                 # null: APP_UNKNOWN; or the name of a plan that every unlisted app gets
billing: { zone: "+08:00", currency: USD }
plans:                                 # trial, pro and flagship are built in; a plan of the same name replaces the built-in one
  pro:
    limits: { accounts: unlimited, groups: unlimited, av_rooms: 50, groups_gained_daily: 10000 }
    fees:                              # decimal strings; the entry in force on the month's first day counts
      - effective_from: 2020-01-01
        plan: "149.99"
        daily_active: { free: 10000, block: 10000, price: "149.99" }
        groups: { free: 100000, block: 100000, price: "149.99", basis: month_peak }   # or month_end
apps:
  - { app_id: 1400000001, plan: trial }
  - { app_id: 1400000002, plan: pro, limits: { av_rooms: 80 }, shadow: false, disabled: false, share_ids: false, track_objects: true }
"#;

fn app(settings: &Settings, id: u64) -> Option<&Arc<AppRules>> {
    settings.rulebook.of(AppId::new(id).expect("not zero"))
}

#[test]
fn the_contracts_example_is_understood_as_it_stands() {
    let settings = read(CONTRACT).expect("no fault");
    assert_eq!(settings.listen[0].to_string(), "127.0.0.1:50051");
    let health = settings.health_listen.as_ref().expect("a health listener");
    assert_eq!(health.to_string(), "127.0.0.1:50053");
    let admin = settings.admin_listen.as_ref().expect("an admin listener");
    assert_eq!(admin.to_string(), "127.0.0.1:50052");
    assert_eq!(settings.data_dir.to_str(), Some("/var/lib/imquota"));
    let StoreSettings::Redis(redis) = &settings.store else {
        panic!("{:?}", settings.store);
    };
    assert_eq!(redis.witness_wait, Some(Duration::from_secs(5)));
    let Topology::Single(url) = &redis.topology else {
        panic!("{redis:?}");
    };
    assert_eq!(url.secret(), "redis://127.0.0.1:6379/0");
    assert_eq!(
        (&*redis.key_prefix, redis.create, redis.wait),
        ("imquota", Create::Auto, Duration::from_millis(500))
    );
    assert!(settings.rulebook.unknown.is_none());
    assert_eq!(settings.zone.name(), "+08:00");
    assert_eq!(settings.currency.code(), "USD");
    let trial = app(&settings, 1_400_000_001).expect("listed");
    assert_eq!(trial.limits.accounts, Limit::AtMost(100));
    let pro = app(&settings, 1_400_000_002).expect("listed");
    assert_eq!(pro.limits.av_rooms, Limit::AtMost(80));
    assert_eq!(pro.limits.groups_gained_daily, Limit::AtMost(10_000));
    assert_eq!(pro.plan.limits.av_rooms, Limit::AtMost(50));
    assert!(!pro.disabled);
    let as_written = IdPolicy {
        max_memory: 64 << 20,
        ..IdPolicy::default()
    };
    assert_eq!(settings.request_ids, as_written);
    let http = settings.http_listen.as_ref().expect("an HTTP listener");
    assert_eq!(http.to_string(), "127.0.0.1:9090");
    assert!(settings.notices.is_empty());
}

#[test]
fn apps_with_series_of_their_own_are_named_or_counted() {
    let settings = read("metrics: { top_apps: 10, apps: [7, 3, 7] }").expect("no fault");
    let named = [3, 7].map(|id| AppId::new(id).expect("not zero"));
    assert_eq!(
        (settings.app_series.top, &settings.app_series.named[..]),
        (10, &named[..])
    );
    assert_eq!(read("").expect("no fault").app_series, AppSeries::default());
}

#[test]
fn decisions_are_logged_as_the_file_says() {
    let settings = read("log_decisions: { one_in: 100 }").expect("no fault");
    let rates = DecisionRates {
        one_in: 100,
        refusals_a_second: 10,
    };
    assert_eq!(settings.decisions, rates);
}

#[test]
fn traces_go_nowhere_or_where_the_file_says() {
    assert_eq!(read("").expect("no fault").traces, None);
    let settings = read("traces: { endpoint: \"http://[::1]:4317\" }").expect("no fault");
    let traces = settings.traces.expect("a receiver");
    assert_eq!(
        (traces.endpoint.as_str(), traces.one_in),
        ("http://[::1]:4317", 1_000)
    );
}

#[test]
fn nothing_at_all_is_a_server_on_loopback_with_the_built_in_plans() {
    for nothing in [
        "",
        "\n\n",
        "# only a comment\n",
        "---\n",
        "null",
        "\u{feff}",
        "{}",
    ] {
        let settings = read(nothing).expect(nothing);
        assert_eq!(settings.listen.len(), 1);
        assert_eq!(settings.listen[0].to_string(), "127.0.0.1:50051");
        assert_eq!(settings.health_listen, None);
        assert_eq!(settings.admin_listen, None);
        assert_eq!(settings.http_listen, None);
        assert_eq!(settings.store, StoreSettings::Embedded);
        assert_eq!(
            settings.data_dir.to_str(),
            Some("/home/u/.local/share/imquota")
        );
        assert_eq!(&*settings.member, "host-1");
        assert_eq!(settings.workers.get(), 1);
        assert_eq!(settings.log_format, LogFormat::Text);
        assert_eq!(settings.zone.name(), "+08:00");
        let by_default = settings.by_default;
        assert!(by_default.data_dir && by_default.member && by_default.workers);
        let names: Vec<_> = settings.plans.keys().map(PlanName::as_str).collect();
        assert_eq!(names, ["flagship", "pro", "trial"]);
        assert!(settings.rulebook.apps.is_empty());
        assert!(settings.notices.is_empty());
    }
}

#[test]
fn a_key_left_empty_is_as_good_as_none() {
    let text = "listen:\nstore: ~\nplans:\napps: null\nunknown_app_plan:\nmember:\nbilling:\n";
    assert!(read(text).is_ok());
}

#[test]
fn a_plan_replaces_the_built_in_one_and_apps_lay_their_limits_over_it() {
    let settings = read(
        "plans:
  pro: { limits: { av_rooms: 7 } }
  own-1:
    limits: { accounts: 9007199254740991, groups: \"unlimited\", av_rooms_are_groups: false }
    fees:
      - effective_from: 2020-01-01
        groups: { free: 0, block: 1, price: 0.5, basis: month_end }
      - { effective_from: 2021-02-03, plan: '10' }
unknown_app_plan: own-1
apps:
  - { app_id: 1, plan: pro, limits: { accounts: 5, av_rooms: unlimited } }
  - { app_id: 2, plan: pro, disabled: true }
  - { app_id: 3, plan: pro }
  - app_id: 18446744073709551615
    plan: pro
",
    )
    .expect("no fault");
    let one = app(&settings, 1).expect("listed");
    assert_eq!(one.limits.accounts, Limit::AtMost(5));
    assert_eq!(one.limits.av_rooms, Limit::Unlimited);
    assert_eq!(one.plan.limits.av_rooms, Limit::AtMost(7));
    assert_eq!(one.plan.limits.groups_gained_daily, Limit::Unlimited);
    assert!(one.plan.fees.is_empty());
    assert!(app(&settings, 2).expect("listed").disabled);
    let three = app(&settings, 3).expect("listed");
    let last = app(&settings, u64::MAX).expect("listed");
    assert!(Arc::ptr_eq(three, last), "apps without own limits share");
    let unknown = app(&settings, 4).expect("every app has a plan here");
    assert_eq!(unknown.plan.name.as_str(), "own-1");
    assert_eq!(unknown.limits.accounts, Limit::AtMost(Limit::MAX));
    assert!(!unknown.limits.av_rooms_are_groups);
    let [first, second] = &unknown.plan.fees[..] else {
        panic!("{:?}", unknown.plan.fees);
    };
    assert_eq!((first.plan, first.daily_active), (Decimal::ZERO, None));
    let (fee, basis) = first.groups.expect("a fee");
    assert_eq!((fee.free, fee.block, basis), (0, 1, GroupBasis::MonthEnd));
    assert_eq!(fee.price, Decimal::new(5, 1));
    assert_eq!(second.effective_from.to_string(), "2021-02-03");
    assert_eq!((second.plan, second.groups), (Decimal::TEN, None));
}

#[test]
fn built_in_prices_are_not_taken_for_another_currencys_unseen() {
    let settings = read("billing:\n  currency: CNY\nplans: { pro: {} }\n").expect("no fault");
    let notices: Vec<_> = settings.notices.iter().map(ToString::to_string).collect();
    assert_eq!(
        notices,
        [
            "f.yaml:2: billing.currency: the built-in prices of flagship are in USD; give the plan prices of its own"
        ]
    );
}

#[test]
fn a_redis_is_told_everything_and_never_shows_its_password() {
    let settings = read(
        "store:
  url: redis://me:secret@10.0.0.1/3
  mode: single
  key_prefix: a.b:c-1_
  create: never
  timeout: 2s
  witness_wait: 0s
",
    )
    .expect("no fault");
    let StoreSettings::Redis(redis) = &settings.store else {
        panic!("{:?}", settings.store);
    };
    assert_eq!(redis.witness_wait, None, "for ever");
    assert_eq!(
        (&*redis.key_prefix, redis.create, redis.wait),
        ("a.b:c-1_", Create::Never, Duration::from_secs(2))
    );
    let shown = format!("{settings:?}");
    assert!(shown.contains("redis://me:***@10.0.0.1/3"));
    assert!(!shown.contains("secret"));
}

#[test]
fn sentinels_their_logins_and_certificates_are_understood() {
    let settings = read(
        "store:
  mode: sentinel
  urls: [rediss://s1:26379/2, 'rediss://:secret@s2:26379/2']
  master_name: quota
  username: imquota
  password_file: /run/secrets/redis
  sentinel_password_file: /run/secrets/sentinel
  tls: { ca_file: /ca.pem, cert_file: /c.pem, key_file: /k.pem, server_name: redis.internal }
",
    )
    .expect("no fault");
    let StoreSettings::Redis(redis) = &settings.store else {
        panic!("{:?}", settings.store);
    };
    let Topology::Sentinel { urls, master_name } = &redis.topology else {
        panic!("{redis:?}");
    };
    let urls: Vec<_> = urls.iter().map(ToString::to_string).collect();
    assert_eq!(
        (urls.join(" ").as_str(), &**master_name),
        ("rediss://s1:26379/2 rediss://:***@s2:26379/2", "quota")
    );
    assert_eq!(redis.login.username.as_deref(), Some("imquota"));
    let file = |path: &str| Some(Password::File(path.into()));
    assert_eq!(redis.login.password, file("/run/secrets/redis"));
    assert_eq!(redis.sentinel_login.password, file("/run/secrets/sentinel"));
    let identity = ("/c.pem".into(), "/k.pem".into());
    assert_eq!(redis.tls.identity, Some(identity));
    assert_eq!(redis.tls.server_name.as_deref(), Some("redis.internal"));
    assert!(!format!("{settings:?}").contains("secret@"));
}

#[test]
fn off_loopback_is_plain_only_where_it_is_allowed() {
    let allowed = "listen: ['0.0.0.0:50051', 'unix:/run/s', '[::]:0', '[::1]:0', '[::1]:0']
allow_plaintext: ['[::]:0', '0.0.0.0:50051']
health_listen: 0.0.0.0:50053
http_listen: 0.0.0.0:9090
";
    assert_eq!(read(allowed).expect("no fault").listen.len(), 5);
}

#[test]
fn an_app_says_how_its_ids_objects_and_reservations_are_kept() {
    let settings = read(
        "unknown_app_plan: trial
apps:
  - { app_id: 1, plan: pro }
  - { app_id: 2, plan: pro, share_ids: true, track_objects: false, expired_holds: free }
  - { app_id: 3, plan: pro, limits: { accounts: 5 }, track_objects: false, expired_holds: 'charge' }
  - { app_id: 4, plan: pro, expired_holds: ask }
",
    )
    .expect("no fault");
    let kept = |id| {
        let rules = app(&settings, id).expect("it has rules");
        (rules.share_ids, rules.track_objects, rules.expired_holds)
    };
    let by_default = (false, true, ExpiredHolds::Ask);
    for (id, wanted) in [
        (1, by_default),
        (2, (true, false, ExpiredHolds::Free)),
        (3, (false, false, ExpiredHolds::Charge)),
        (4, by_default),
        (99, by_default),
    ] {
        assert_eq!(kept(id), wanted, "{id}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_one_clear_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let host = Host {
        data_home: None,
        ..super::host()
    };
    let missing = folder.path().join("missing.yaml");
    let line = |path: &std::path::Path| {
        let faults = check(path, None).expect_err("no settings");
        faults.to_string().replace(&path.display().to_string(), "F")
    };
    assert_eq!(
        line(&missing),
        "F: cannot be read: No such file or directory (os error 2)"
    );
    assert_eq!(
        line(folder.path()),
        "F: cannot be read: Is a directory (os error 21)"
    );
    let binary = folder.path().join("binary.yaml");
    std::fs::write(&binary, b"listen: []\n\xff\xfe\n").expect("written");
    assert_eq!(line(&binary), "F:2: holds bytes that are not text in UTF-8");
    let large = folder.path().join("large.yaml");
    let file = std::fs::File::create(&large).expect("created");
    file.set_len(FILE_BYTES_MAX + 1).expect("a sparse file");
    assert_eq!(line(&large), "F: has more than 256 MiB");
    // Without a file there is nothing to say but that the data has no place.
    let faults = load(&Flags::default(), &Environment::default(), &host).expect_err("no folder");
    assert_eq!(
        faults.to_string(),
        "data_dir: there is no home folder to keep data in; name a folder with --data-dir"
    );
}

#[test]
fn the_shipped_example_starts_as_it_stands() {
    let settings = check(&in_repository("examples/imquota.yaml"), None)
        .unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(settings.store, StoreSettings::Embedded);
    assert!(settings.by_default.data_dir);
    assert!(settings.notices.is_empty());
    assert_eq!(settings.rulebook.apps.len(), 4);
    let plan = |id| app(&settings, id).expect("listed").plan.name.to_string();
    assert_eq!(plan(1_400_000_001), "trial");
    assert_eq!(plan(1_400_000_002), "pro");
    assert_eq!(plan(1_400_000_003), "flagship");
    let overridden = app(&settings, 1_400_000_002).expect("listed");
    assert_ne!(overridden.limits, overridden.plan.limits);
    assert!(app(&settings, 1_400_000_004).expect("listed").disabled);
}

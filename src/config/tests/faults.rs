//! Every fault with its exact line, key and words.

use super::faults;

/// Checks that each text has exactly these faults.
fn table(rows: &[(&str, &[&str])]) {
    for (text, wanted) in rows {
        assert_eq!(faults(text), *wanted, "in:\n{text}");
    }
}

#[test]
fn all_faults_of_a_file_are_told_at_once_by_line() {
    let text = "listen: 127.0.0.1:50051
data-dir: /d
store:
  url: redis://0.0.0.0
  timeout: 5
plans:
  pro:
    limits:
      av_rooms: fifty
      acounts: 1
    fees: [{ plan: -1 }]
apps:
  - { app_id: 0, plan: prro }
  - plan: pro
    shadow: 1
";
    table(&[(
        text,
        &[
            "f.yaml:1: listen: must be a list, not \"127.0.0.1:50051\"",
            "f.yaml:2: data-dir: unknown key; did you mean \"data_dir\"?",
            "f.yaml:4: store.url: names every address (0.0.0.0 or ::); name the one that Redis has",
            "f.yaml:5: store.timeout: must be a duration with its unit, such as 500ms, 30s, 10m or 1h, not \"5\"",
            "f.yaml:9: plans.pro.limits.av_rooms: must be a whole number or \"unlimited\", not \"fifty\"",
            "f.yaml:10: plans.pro.limits.acounts: unknown key; did you mean \"accounts\"?",
            "f.yaml:11: plans.pro.fees[0].effective_from: is missing",
            "f.yaml:11: plans.pro.fees[0].plan: must be a decimal string such as \"149.99\" and not negative, not \"-1\"",
            "f.yaml:13: apps[0].app_id: must be at least 1, not \"0\"",
            "f.yaml:13: apps[0].plan: no plan is called \"prro\"; did you mean \"pro\"?",
            "f.yaml:14: apps[1].app_id: is missing",
            "f.yaml:15: apps[1].shadow: must be true or false, not \"1\"",
        ],
    )]);
}

#[test]
fn what_is_no_yaml_or_more_than_needed_is_refused_where_it_stands() {
    table(&[
        (
            "listen: []\nstore: { url: embedded\nplans: {}\n",
            &[
                "f.yaml:3: store: is not YAML: while parsing a flow mapping, did not find expected ',' or '}'",
            ],
        ),
        (
            "a: b: c",
            &["f.yaml:1: is not YAML: mapping values are not allowed in this context"],
        ),
        (
            "plans:\n\tpro: {}",
            &[
                "f.yaml:2: plans: is not YAML: tabs disallowed within this context (block indentation)",
            ],
        ),
        (
            "member: a\n\nmember: b\n'member': c\n",
            &[
                "f.yaml:3: member: is given twice, first on line 1",
                "f.yaml:4: member: is given twice, first on line 1",
            ],
        ),
        (
            "apps:\n  - { app_id: 1, plan: pro, app_id: 0 }",
            &["f.yaml:2: apps[0].app_id: is given twice, first on line 2"],
        ),
        (
            "plans:\n  a: &l { limits: { accounts: 1 } }\n  b: *l\n  c: { <<: *l }\n",
            &[
                "f.yaml:2: plans.a: anchors (&name) are not understood; leave the anchor out",
                "f.yaml:3: plans.b: aliases (*name) are not understood; write the value itself",
                "f.yaml:4: plans.c: merge keys (<<) are not understood; write the keys out",
                "f.yaml:4: plans.c: aliases (*name) are not understood; write the value itself",
            ],
        ),
        (
            "member: !!str a\napps: !a []",
            &[
                "f.yaml:1: member: tags (!name) are not understood; leave the tag out",
                "f.yaml:2: apps: tags (!name) are not understood; leave the tag out",
            ],
        ),
        (
            "member: a\n---\nmember: b\n",
            &["f.yaml:2: begins a second document; settings are one document"],
        ),
        (
            "? [a]\n: b\n? { c: d }\n: e\n: f\n",
            &[
                "f.yaml:1: holds a key that is no word",
                "f.yaml:3: holds a key that is no word",
                "f.yaml:5: holds a key that is no word",
            ],
        ),
        (
            "member: a\nworkers: 2\0\nlisten: x",
            &["f.yaml:2: holds a control character; settings are plain text"],
        ),
        ("[]", &["f.yaml:1: must be a mapping, not a list"]),
        ("\n\nserve", &["f.yaml:3: must be a mapping, not \"serve\""]),
    ]);
}

#[test]
fn unknown_keys_are_refused_at_every_level() {
    let known_apps = "app_id, plan, limits, shadow, disabled, share_ids, track_objects, expired_holds, activated";
    table(&[
        (
            "Listen: []",
            &["f.yaml:1: Listen: unknown key; did you mean \"listen\"?"],
        ),
        (
            "passwords: {}",
            &[
                "f.yaml:1: passwords: unknown key; known here are listen, admin_listen, http_listen, \
               health_listen, allow_plaintext, tls, auth, connections, envoy_keys, request_ids, data_dir, store, outage, unknown_app_plan, \
               shadow, billing, plans, apps, member, workers, spin, log_format, log_decisions, metrics, traces",
            ],
        ),
        (
            "store:\n  url: embedded\n  uri: x\n",
            &["f.yaml:3: store.uri: unknown key; did you mean \"url\"?"],
        ),
        (
            "billing: { currncy: USD }",
            &["f.yaml:1: billing.currncy: unknown key; did you mean \"currency\"?"],
        ),
        (
            "request_ids:\n  windows: 1m",
            &["f.yaml:2: request_ids.windows: unknown key; did you mean \"window\"?"],
        ),
        (
            "plans:\n  pro:\n    limit: {}\n    \"a b\": 1",
            &[
                "f.yaml:3: plans.pro.limit: unknown key; did you mean \"limits\"?",
                "f.yaml:4: plans.pro.\"a b\": unknown key; known here are limits, fees",
            ],
        ),
        (
            "apps: [{ app_id: 1, plan: pro, quota: 1 }]",
            &[&format!(
                "f.yaml:1: apps[0].quota: unknown key; known here are {known_apps}"
            )],
        ),
        (
            "plans: { p: { fees: [{ effective_from: 2020-01-01, groups: { free: 1, block: 1, price: 1, bases: x } }] } }",
            &["f.yaml:1: plans.p.fees[0].groups.bases: unknown key; did you mean \"basis\"?"],
        ),
        (
            "plans: { p: { fees: [{ effective_from: 2020-01-01, daily_active: { free: 1, block: 1, price: 1, basis: month_end } }] } }",
            &[
                "f.yaml:1: plans.p.fees[0].daily_active.basis: unknown key; known here are free, block, price",
            ],
        ),
    ]);
}

#[test]
fn limits_are_whole_numbers_or_unlimited() {
    let number = "must be a whole number or \"unlimited\"";
    for (value, problem) in [
        ("-1", format!("{number}, not \"-1\"")),
        ("1.5", format!("{number}, not \"1.5\"")),
        ("1e3", format!("{number}, not \"1e3\"")),
        ("010", format!("{number}, not \"010\"")),
        ("0x10", format!("{number}, not \"0x10\"")),
        ("10_000", format!("{number}, not \"10_000\"")),
        ("true", format!("{number}, not \"true\"")),
        ("", format!("{number}, not left empty")),
        ("~", format!("{number}, not left empty")),
        ("[1]", format!("{number}, not a list")),
        ("{}", format!("{number}, not a mapping")),
        (
            "unlimted",
            format!("{number}, not \"unlimted\"; did you mean \"unlimited\"?"),
        ),
        (
            "\"100\"",
            format!("{number}, not the text \"100\"; leave the quotes out"),
        ),
        (
            "9007199254740992",
            "must be at most 9007199254740991, or \"unlimited\", not \"9007199254740992\"".into(),
        ),
        (
            "99999999999999999999999",
            "must be at most 9007199254740991, or \"unlimited\", not \"99999999999999999999999\""
                .into(),
        ),
    ] {
        let text = format!("plans:\n  p:\n    limits:\n      groups: {value}\n      accounts: 1\n");
        let wanted = format!("f.yaml:4: plans.p.limits.groups: {problem}");
        assert_eq!(faults(&text), [wanted]);
        let text = format!("apps:\n- app_id: 1\n  plan: pro\n  limits:\n    groups: {value}\n");
        let wanted = format!("f.yaml:5: apps[0].limits.groups: {problem}");
        assert_eq!(faults(&text), [wanted]);
    }
    table(&[
        (
            "plans: { p: { limits: { av_rooms_are_groups: yes } } }",
            &["f.yaml:1: plans.p.limits.av_rooms_are_groups: must be true or false, not \"yes\""],
        ),
        (
            "plans:\n  p:\n  q: { limits: }\n  R: {}\n",
            &[
                "f.yaml:2: plans.p: must be a mapping, not left empty",
                "f.yaml:3: plans.q.limits: must be a mapping, not left empty",
                "f.yaml:4: plans.R: a plan's name is 1 to 32 letters a-z, digits, dashes or underscores",
            ],
        ),
    ]);
}

#[test]
fn price_lists_are_dated_in_order_and_decimal() {
    let fees = |fees: &str| format!("plans:\n  p:\n    fees:\n{fees}");
    for (text, wanted) in [
        (
            "    - effective_from: 2020-01-01\n    - effective_from: 2020-01-01\n    - effective_from: 2019-12-31\n    - effective_from: 2021-01-01\n",
            &[
                "f.yaml:5: plans.p.fees[1].effective_from: another price list begins on 2020-01-01",
                "f.yaml:6: plans.p.fees[2].effective_from: must be later than 2020-01-01, the list before it: oldest first",
            ][..],
        ),
        (
            "    - effective_from: 2020-02-30\n    - effective_from: 2020-1-1\n    - effective_from: 20200101T00\n",
            &[
                "f.yaml:4: plans.p.fees[0].effective_from: must be a day such as 2020-01-01, not \"2020-02-30\"",
                "f.yaml:5: plans.p.fees[1].effective_from: must be a day such as 2020-01-01, not \"2020-1-1\"",
                "f.yaml:6: plans.p.fees[2].effective_from: must be a day such as 2020-01-01, not \"20200101T00\"",
            ],
        ),
        (
            "    - effective_from: 2020-01-01\n      daily_active: { block: 0, price: x }\n      groups:\n        free: -1\n        block: \"5\"\n        price: 1.999\n        basis: peak\n",
            &[
                "f.yaml:5: plans.p.fees[0].daily_active.free: is missing",
                "f.yaml:5: plans.p.fees[0].daily_active.block: must be at least 1, not \"0\"",
                "f.yaml:5: plans.p.fees[0].daily_active.price: must be a decimal string such as \"149.99\", not \"x\"",
                "f.yaml:7: plans.p.fees[0].groups.free: must be a whole number, not \"-1\"",
                "f.yaml:8: plans.p.fees[0].groups.block: must be a whole number, not the text \"5\"; leave the quotes out",
                "f.yaml:9: plans.p.fees[0].groups.price: must be a decimal string such as \"149.99\" with at most 2 decimal places, as USD has, not \"1.999\"",
                "f.yaml:10: plans.p.fees[0].groups.basis: must be month_peak or month_end, not \"peak\"",
            ],
        ),
        (
            "    - effective_from: 2020-01-01\n      daily_active: { free: 1, block: 0, price: \"-0.01\" }\n",
            &[
                "f.yaml:5: plans.p.fees[0].daily_active.block: must be at least 1, not \"0\"",
                "f.yaml:5: plans.p.fees[0].daily_active.price: must be a decimal string such as \"149.99\" and not negative, not \"-0.01\"",
            ],
        ),
        (
            "    - effective_from: 2020-01-01\n      plan:\n      daily_active: 5\n    - effective_from: 2021-01-01\n      plan: 1000000000.01\n    - effective_from: 2022-01-01\n      plan: 1e3\n    - effective_from: 2023-01-01\n      plan: .5\n",
            &[
                "f.yaml:5: plans.p.fees[0].plan: must be a decimal string such as \"149.99\", not left empty",
                "f.yaml:6: plans.p.fees[0].daily_active: must be a mapping, not \"5\"",
                "f.yaml:8: plans.p.fees[1].plan: must be a decimal string such as \"149.99\" of at most 1000000000, not \"1000000000.01\"",
                "f.yaml:10: plans.p.fees[2].plan: must be a decimal string such as \"149.99\", not \"1e3\"",
                "f.yaml:12: plans.p.fees[3].plan: must be a decimal string such as \"149.99\", not \".5\"",
            ],
        ),
    ] {
        assert_eq!(faults(&fees(text)), wanted, "in:\n{text}");
    }
    table(&[(
        "billing: { currency: JPY }\nplans: { p: { fees: [{ effective_from: 2020-01-01, plan: \"9.5\" }] } }",
        &[
            "f.yaml:2: plans.p.fees[0].plan: must be a decimal string such as \"149.99\" with at most 0 decimal places, as JPY has, not \"9.5\"",
        ],
    )]);
}

#[test]
fn an_app_has_an_id_of_its_own_and_a_plan_that_exists() {
    table(&[
        (
            "apps:\n  - { app_id: 7, plan: pro }\n  - { app_id: \"8\", plan: pro }\n  - { app_id: 7, plan: gold }\n  - { app_id: 1.4e+09, plan: [pro] }\n  - 9\n  - { app_id: 18446744073709551616, plan: }\n",
            &[
                "f.yaml:3: apps[1].app_id: must be a whole number, not the text \"8\"; leave the quotes out",
                "f.yaml:4: apps[2].app_id: 7 is listed twice, first on line 2",
                "f.yaml:4: apps[2].plan: no plan is called \"gold\"",
                "f.yaml:5: apps[3].app_id: must be a whole number, not \"1.4e+09\"",
                "f.yaml:5: apps[3].plan: must be a plan's name, not a list",
                "f.yaml:6: apps[4]: must be a mapping, not \"9\"",
                "f.yaml:7: apps[5].app_id: must be at most 18446744073709551615, not \"18446744073709551616\"",
                "f.yaml:7: apps[5].plan: must be a plan's name, not left empty",
            ],
        ),
        (
            "apps: [{ app_id: 1, plan: pro, disabled: 1, shadow: , share_ids: x, track_objects: 'true' }]",
            &[
                "f.yaml:1: apps[0].disabled: must be true or false, not \"1\"",
                "f.yaml:1: apps[0].shadow: must be true or false, not left empty",
                "f.yaml:1: apps[0].share_ids: must be true or false, not \"x\"",
                "f.yaml:1: apps[0].track_objects: must be true or false, not the text \"true\"; leave the quotes out",
            ],
        ),
        (
            "apps:
  - { app_id: 1, plan: pro, expired_holds: fre }
  - { app_id: 2, plan: pro, expired_holds: true }
  - { app_id: 3, plan: pro, expired_holds: }
  - { app_id: 4, plan: pro, expired_holds: [ask] }
  - { app_id: 5, plan: pro, expire_holds: ask }
",
            &[
                "f.yaml:2: apps[0].expired_holds: must be ask, free or charge, not \"fre\"; did you mean \"free\"?",
                "f.yaml:3: apps[1].expired_holds: must be ask, free or charge, not \"true\"",
                "f.yaml:4: apps[2].expired_holds: must be ask, free or charge, not left empty",
                "f.yaml:5: apps[3].expired_holds: must be ask, free or charge, not a list",
                "f.yaml:6: apps[4].expire_holds: unknown key; did you mean \"expired_holds\"?",
            ],
        ),
        (
            "unknown_app_plan: trail",
            &["f.yaml:1: unknown_app_plan: no plan is called \"trail\"; did you mean \"trial\"?"],
        ),
        (
            "apps: { app_id: 1 }",
            &["f.yaml:1: apps: must be a list, not a mapping"],
        ),
        (
            "plans: { p: { limits: { groups: x } } }\napps: [{ app_id: 1, plan: p }]",
            &[
                "f.yaml:1: plans.p.limits.groups: must be a whole number or \"unlimited\", not \"x\"",
            ],
        ),
    ]);
}

#[test]
fn listeners_are_addresses_and_plain_ones_are_allowed_by_name() {
    let open = "can be reached from other machines and is not encrypted: give it a certificate under \
                tls.listen in the settings file; or, if that is meant, add it to allow_plaintext";
    table(&[
        (
            "listen: ['0.0.0.0:1', '10.0.0.1:2']\nallow_plaintext: ['0.0.0.0:2', '10.0.0.1:2']",
            &[&format!("f.yaml:1: listen[0]: 0.0.0.0:1 {open}")],
        ),
        (
            "listen: []",
            &[
                "f.yaml:1: listen: must name at least one address; leave the key out for the default",
            ],
        ),
        (
            "listen:\n  - 127.0.0.1:1\n  - localhost:1\nhealth_listen: 127.0.0.1:1\nhttp_listen: 127.0.0.1:1",
            &[
                "f.yaml:3: listen[1]: 127.0.0.1:1 is listened on already",
                "f.yaml:4: health_listen: 127.0.0.1:1 is listened on already",
                "f.yaml:5: http_listen: 127.0.0.1:1 is listened on already",
            ],
        ),
        (
            "admin_listen: 0.0.0.0:1\nallow_plaintext: [0.0.0.0:1]",
            &[
                "f.yaml:1: admin_listen: 0.0.0.0:1 can be reached from other machines; an auth section says \
                 who operators are; without one, listen on loopback or on a Unix socket",
            ],
        ),
        (
            "admin_listen: 0.0.0.0:1\nauth: [{ uid: 0, roles: [admin] }]",
            &[
                "f.yaml:1: admin_listen: 0.0.0.0:1 can be reached from other machines; it is not encrypted: \
                 give it a certificate under tls.admin_listen in the settings file; or, if that is meant, \
                 add it to allow_plaintext",
            ],
        ),
        (
            "listen: [127.0.0.1:1]\nadmin_listen: 127.0.0.1:1",
            &["f.yaml:2: admin_listen: 127.0.0.1:1 is listened on already"],
        ),
        (
            "listen: ['unix:', [], ]\nhealth_listen: 50053\nallow_plaintext: 0.0.0.0:1\nadmin_listen: example.com:1",
            &[
                "f.yaml:1: listen[0]: \"unix:\": names no file; write unix:/path/to/socket",
                "f.yaml:1: listen[1]: must be text, not a list",
                "f.yaml:2: health_listen: \"50053\": is no address; write 127.0.0.1:50051, [::1]:50051, localhost:50051 or unix:/path",
                "f.yaml:3: allow_plaintext: must be a list, not \"0.0.0.0:1\"",
                "f.yaml:4: admin_listen: \"example.com:1\": is no address; write 127.0.0.1:50051, [::1]:50051, localhost:50051 or unix:/path",
            ],
        ),
    ]);
}

#[test]
fn a_store_is_one_place_and_what_is_not_served_is_refused() {
    table(&[
        (
            "store: embedded",
            &["f.yaml:1: store: must be a mapping, not \"embedded\""],
        ),
        (
            "store: 'redis://:secret@h'",
            &["f.yaml:1: store: must be a mapping, not \"redis://***@h\""],
        ),
        ("store: {}", &["f.yaml:1: store.url: is missing"]),
        (
            "store:\n  url:\n  create: always\n",
            &[
                "f.yaml:2: store.url: must be embedded or a URL, not left empty",
                "f.yaml:3: store.create: must be auto or never, not \"always\"",
            ],
        ),
        (
            "store:\n  url: redis://h\n  username: a b\n  password_file: pass\n  tls: { ca_file: /ca, cert_file: /c, name: x }\n",
            &[
                "f.yaml:3: store.username: must be 1 to 512 bytes without a space, not \"a b\"",
                "f.yaml:4: store.password_file: must be the whole path of a file, from / on, not \"pass\"",
                "f.yaml:5: store.tls.name: unknown key; known here are ca_file, cert_file, key_file, server_name",
                "f.yaml:5: store.tls.cert_file: needs key_file beside it",
                "f.yaml:5: store.tls: is for a URL that begins with rediss://, and there is none",
            ],
        ),
        (
            "store: { url: redis://h, key_prefix: 'a{b}', timeout: 5s, mode: simple }",
            &[
                "f.yaml:1: store.mode: must be single, sentinel or cluster, not \"simple\"; did you mean \"single\"?",
                "f.yaml:1: store.key_prefix: must be 1 to 64 letters, digits, dashes, underscores, dots or colons, not \"a{b}\"",
                "f.yaml:1: store.timeout: must be from 10ms to 2s, not \"5s\"",
            ],
        ),
        (
            "store:\n  url: redis://h\n  mode: sentinel\n  urls: [redis://a, x]\n  master_name: m\n",
            &[
                "f.yaml:2: store.url: is for mode single; name all of them by urls",
                "f.yaml:4: store.urls[1]: must be embedded, or a URL such as redis://127.0.0.1:6379/0",
            ],
        ),
        (
            "store:\n  mode: cluster\n  urls: [redis://a]\n  master_name: m\n",
            &["f.yaml:4: store.master_name: is for mode sentinel"],
        ),
        (
            "store:\n  mode: sentinel\n  urls:\n    - redis://a/1\n    - redis://b\n    - rediss://c/1\n    - redis+unix:///s\n",
            &[
                "f.yaml:1: store.master_name: is missing",
                "f.yaml:5: store.urls[1]: must name the same database as the first one",
                "f.yaml:6: store.urls[2]: must be redis:// or rediss:// as the first one is",
                "f.yaml:7: store.urls[3]: is a socket; name a host and its port",
            ],
        ),
        (
            "store:\n  mode: cluster\n  urls: [redis://a/1]\n",
            &["f.yaml:3: store.urls[0]: names a database; a Cluster has none but 0"],
        ),
        (
            "store:\n  mode: cluster\n",
            &[
                "f.yaml:1: store.urls: is missing",
                "f.yaml:1: store.url: is missing",
            ],
        ),
        (
            "store:\n  url: redis://h\n  urls: [redis://a]\n  master_name: m\n",
            &[
                "f.yaml:3: store.urls: is for mode sentinel or cluster; one Redis is named by url",
                "f.yaml:4: store.master_name: is for mode sentinel",
            ],
        ),
    ]);
}

#[test]
fn the_rest_has_a_form_too() {
    table(&[
        (
            "billing:\n  zone: Mars/Olympus\n  currency: usd\n",
            &[
                "f.yaml:2: billing.zone: must be an offset such as \"+08:00\" or a zone such as Asia/Shanghai, not \"Mars/Olympus\"",
                "f.yaml:3: billing.currency: must be a currency whose decimal places are known, by its three capital letters such as USD, not \"usd\"",
            ],
        ),
        (
            "billing: { days_kept_months: 1, months_kept: 241 }",
            &[
                "f.yaml:1: billing.days_kept_months: must be at least 2, not \"1\"",
                "f.yaml:1: billing.months_kept: must be at most 240, not \"241\"",
            ],
        ),
        (
            "billing:\n  months_kept: 13\n  days_kept_months: 14\n",
            &[
                "f.yaml:3: billing.days_kept_months: days (14 months) must not be kept longer than months (13)",
            ],
        ),
        (
            "request_ids:\n  window: 1m\n  floor: 2m\n  max_memory: 64MB\n",
            &[
                "f.yaml:3: request_ids.floor: the floor (120s) must not be above the window (60s)",
                "f.yaml:4: request_ids.max_memory: must be a size with its unit, such as 512KiB, 64MiB or 1GiB, not \"64MB\"",
            ],
        ),
        (
            "metrics: { top_apps: 101, apps: [0, x], top: 1 }",
            &[
                "f.yaml:1: metrics.top: unknown key; known here are top_apps, apps",
                "f.yaml:1: metrics.top_apps: must be at most 100, not \"101\"",
                "f.yaml:1: metrics.apps[0]: must be at least 1, not \"0\"",
                "f.yaml:1: metrics.apps[1]: must be a whole number, not \"x\"",
            ],
        ),
        (
            "log_decisions: { one_in: -1, refusals_a_second: 10001 }",
            &[
                "f.yaml:1: log_decisions.refusals_a_second: must be at most 10000, not \"10001\"",
                "f.yaml:1: log_decisions.one_in: must be a whole number, not \"-1\"",
            ],
        ),
        (
            "traces: { endpoint: \"https://a:1\", one_in: x }",
            &[
                "f.yaml:1: traces.one_in: must be a whole number, not \"x\"",
                "f.yaml:1: traces.endpoint: must be http://host:port, where OTLP is received over gRPC, not \"https://a:1\"",
            ],
        ),
        (
            "traces: { one_in: 7 }",
            &["f.yaml:1: traces.endpoint: is missing"],
        ),
        (
            "envoy_keys: { app_id: \"a b\", resource: request_id }",
            &[
                "f.yaml:1: envoy_keys.app_id: must be a descriptor's key, 1 to 128 printable characters without spaces, not \"a b\"",
                "f.yaml:1: envoy_keys: two of them are \"request_id\": each must be another",
            ],
        ),
        (
            "request_ids: { window: 0s, floor: 1 s, max_memory: 1KiB }",
            &[
                "f.yaml:1: request_ids.window: must be from 1s to 600s, not \"0s\"",
                "f.yaml:1: request_ids.floor: must be a duration with its unit, such as 500ms, 30s, 10m or 1h, not \"1 s\"",
                "f.yaml:1: request_ids.max_memory: must be from 1MiB to 1048576MiB, not \"1KiB\"",
            ],
        ),
        (
            "member: ''\nworkers: 1.5\nlog_format: [text]\ndata_dir: ''",
            &[
                "f.yaml:1: member: must be 1 to 64 letters, digits, dots, dashes or underscores, not \"\"",
                "f.yaml:2: workers: must be a whole number, not \"1.5\"",
                "f.yaml:3: log_format: must be text, not a list",
                "f.yaml:4: data_dir: must be the path of a folder",
            ],
        ),
    ]);
}

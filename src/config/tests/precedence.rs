use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use super::host;
use crate::config::{
    Environment, Faults, Flags, Host, LogFormat, Password, Settings, StoreSettings, load, of_text,
};

fn environment(variables: &[(&str, &str)]) -> Environment {
    variables
        .iter()
        .map(|(name, value)| (OsString::from(name), OsString::from(value)))
        .collect()
}

fn read(flags: &Flags, variables: &[(&str, &str)], text: &str) -> Result<Settings, Faults> {
    of_text(
        &"f.yaml".into(),
        text,
        flags,
        &environment(variables),
        &host(),
    )
}

const FILE: &str = "listen: ['127.0.0.1:1', '127.0.0.1:2']
data_dir: /file
store: { url: redis://file }
member: file
workers: 2
log_format: json
";

const ENVIRONMENT: [(&str, &str); 6] = [
    ("IMQUOTA_LISTEN", "127.0.0.1:3, unix:/s"),
    ("IMQUOTA_DATA_DIR", "/environment"),
    ("IMQUOTA_STORE", "redis://environment"),
    ("IMQUOTA_MEMBER", "environment"),
    ("IMQUOTA_WORKERS", "3"),
    ("IMQUOTA_LOG_FORMAT", "text"),
];

fn flags() -> Flags {
    Flags {
        listen: vec!["127.0.0.1:4".into()],
        data_dir: Some("/flag".into()),
        store: Some("embedded".into()),
        member: Some("flag".into()),
        workers: Some("4".into()),
        log_format: Some("json".into()),
        ..Flags::default()
    }
}

/// Listeners, folder, store, member, workers and log format in one line.
fn line(settings: &Settings) -> String {
    let listen: Vec<_> = settings.listen.iter().map(ToString::to_string).collect();
    let store = match &settings.store {
        StoreSettings::Embedded => "embedded".into(),
        StoreSettings::Redis(redis) => redis.topology.to_string(),
    };
    let log = match settings.log_format {
        LogFormat::Text => "text",
        LogFormat::Json => "json",
    };
    format!(
        "{} {} {store} {} {} {log}",
        listen.join(","),
        settings.data_dir.display(),
        settings.member,
        settings.workers
    )
}

#[test]
fn a_flag_wins_over_the_environment_over_the_file_over_the_default() {
    let none = Flags::default();
    let by_default = "127.0.0.1:50051 /home/u/.local/share/imquota embedded host-1 1 text";
    let by_file = "127.0.0.1:1,127.0.0.1:2 /file redis://file file 2 json";
    let by_environment = "127.0.0.1:3,unix:/s /environment redis://environment environment 3 text";
    let by_flag = "127.0.0.1:4 /flag embedded flag 4 json";
    for (flags, variables, file, wanted) in [
        (&none, &[][..], "", by_default),
        (&none, &[], FILE, by_file),
        (&none, &ENVIRONMENT, "", by_environment),
        (&none, &ENVIRONMENT, FILE, by_environment),
        (&flags(), &[], FILE, by_flag),
        (&flags(), &ENVIRONMENT, FILE, by_flag),
        (&flags(), &ENVIRONMENT, "", by_flag),
    ] {
        let settings = read(flags, variables, file).expect(wanted);
        assert_eq!(line(&settings), wanted);
        let chosen = wanted != by_default;
        assert_eq!(settings.by_default.data_dir, !chosen);
        assert_eq!(settings.by_default.member, !chosen);
        assert_eq!(settings.by_default.workers, !chosen);
    }
}

#[test]
fn an_empty_variable_is_as_good_as_none() {
    let variables = ENVIRONMENT.map(|(name, _)| (name, ""));
    let settings = read(&Flags::default(), &variables, FILE).expect("no fault");
    assert_eq!(
        line(&settings),
        "127.0.0.1:1,127.0.0.1:2 /file redis://file file 2 json"
    );
}

#[test]
fn a_store_named_elsewhere_keeps_what_the_file_says_of_it() {
    let file = "store: { key_prefix: p }\n";
    let flags = Flags {
        store: Some("redis://flag".into()),
        ..Flags::default()
    };
    let settings = read(&flags, &[], file).expect("no fault");
    let StoreSettings::Redis(redis) = settings.store else {
        panic!("{:?}", settings.store);
    };
    assert_eq!(&*redis.key_prefix, "p");
    let many = "store: { mode: cluster, urls: [redis://a, redis://b], key_prefix: p }\n";
    for (flags, variables, store) in [
        (&flags, &[][..], "redis://flag"),
        (
            &Flags::default(),
            &[("IMQUOTA_STORE", "redis://v")],
            "redis://v",
        ),
        (&Flags::default(), &[], "cluster of redis://a, redis://b"),
    ] {
        let settings = read(flags, variables, many).expect("no fault");
        assert!(line(&settings).contains(store), "{}", line(&settings));
    }
    let faults = read(&Flags::default(), &[], file).expect_err("which store?");
    assert_eq!(faults.to_string(), "f.yaml:1: store.url: is missing");
}

#[test]
fn a_password_comes_from_the_environment_and_never_from_the_command_line() {
    let flags = Flags {
        store: Some("redis://me@h".into()),
        ..Flags::default()
    };
    let variables = [("IMQUOTA_REDIS_PASSWORD", "s3cret")];
    let file = "store: { password_file: /p }\n";
    let settings = read(&flags, &variables, file).expect("no fault");
    let StoreSettings::Redis(redis) = &settings.store else {
        panic!("{:?}", settings.store);
    };
    assert_eq!(redis.login.password, Some(Password::Text("s3cret".into())));
    assert!(!format!("{settings:?}").contains("s3cret"));
    let flags = Flags {
        store: Some("redis://me:s3cret@h".into()),
        ..Flags::default()
    };
    let faults = read(&flags, &[], "")
        .expect_err("everybody sees it")
        .to_string();
    assert!(
        faults.starts_with("--store: a password on the command line"),
        "{faults}"
    );
    assert!(!faults.contains("s3cret"));
    assert!(
        read(
            &Flags::default(),
            &[("IMQUOTA_STORE", "redis://me:s3cret@h")],
            ""
        )
        .is_ok()
    );
}

#[test]
fn faults_name_the_flag_or_the_variable_and_covered_ones_are_told_too() {
    let flags = Flags {
        listen: vec!["localhost".into(), "0.0.0.0:1".into()],
        store: Some("rediss://:secret@h".into()),
        workers: Some("0".into()),
        log_format: Some("jsn".into()),
        http_listen: Some("x".into()),
        data_dir: Some("~/data".into()),
        ..Flags::default()
    };
    let variables = [
        ("IMQUOTA_LISTEN", "127.0.0.1:1,,unix:"),
        ("IMQUOTA_MEMBER", "a b"),
        ("IMQUOTA_ADMIN_LISTEN", "1"),
        (
            "IMQUOTA_UNKNOWN",
            "is left alone: Kubernetes names variables after services",
        ),
    ];
    let faults = read(&flags, &variables, "workers: none\nmember: ok\n").expect_err("faults");
    let lines: Vec<_> = faults.list.iter().map(ToString::to_string).collect();
    let address =
        "is no address; write 127.0.0.1:50051, [::1]:50051, localhost:50051 or unix:/path";
    assert_eq!(
        lines,
        [
            "f.yaml:1: workers: must be a whole number, not \"none\"",
            &format!("IMQUOTA_ADMIN_LISTEN: \"1\": {address}"),
            &format!("IMQUOTA_LISTEN: \"\": {address}"),
            "IMQUOTA_LISTEN: \"unix:\": names no file; write unix:/path/to/socket",
            "IMQUOTA_MEMBER: must be 1 to 64 letters, digits, dots, dashes or underscores, not \"a b\"",
            "--data-dir: ~ is not expanded here; write the whole path, not \"~/data\"",
            &format!("--http-listen: \"x\": {address}"),
            &format!("--listen: \"localhost\": {address}"),
            "--listen: 0.0.0.0:1 can be reached from other machines and is not encrypted: give it a \
             certificate under tls.listen in the settings file; or, if that is meant, add it to allow_plaintext",
            "--log-format: must be text or json, not \"jsn\"; did you mean \"json\"?",
            "--store: a password on the command line is seen by everybody on the machine; write it to a file (store.password_file) or to IMQUOTA_REDIS_PASSWORD",
            "--workers: must be at least 1, not \"0\"",
        ]
    );
}

#[test]
fn a_variable_that_is_no_text_is_named() {
    let garbled = OsString::from_vec(vec![0xff]);
    let environment = Environment::from_iter([("IMQUOTA_STORE".into(), garbled)]);
    let faults = of_text(&"f".into(), "", &Flags::default(), &environment, &host());
    assert_eq!(
        faults.expect_err("not text").to_string(),
        "IMQUOTA_STORE: must be text in UTF-8"
    );
}

#[test]
fn pages_are_served_where_a_flag_a_variable_or_the_file_says() {
    let listens = |settings: &Settings| settings.http_listen.as_ref().map(ToString::to_string);
    let given = |text: &str| Some(text.to_owned());
    let flags = Flags {
        http_listen: given("0.0.0.0:9090"),
        ..Flags::default()
    };
    let variables = [("IMQUOTA_HTTP_LISTEN", "unix:/a")];
    let file = "http_listen: 127.0.0.1:9090";
    let settings = read(&Flags::default(), &[], file).expect("no fault");
    assert_eq!(listens(&settings), given("127.0.0.1:9090"));
    let settings = read(&Flags::default(), &variables, file).expect("no fault");
    assert_eq!(listens(&settings), given("unix:/a"));
    let settings = read(&flags, &variables, file).expect("no fault");
    assert_eq!(listens(&settings), given("0.0.0.0:9090"));
    assert!(settings.notices.is_empty());
}

#[test]
fn operators_are_served_where_a_flag_a_variable_or_the_file_says() {
    let listens = |settings: &Settings| settings.admin_listen.as_ref().map(ToString::to_string);
    let given = |text: &str| Some(text.to_owned());
    let flags = Flags {
        admin_listen: given("localhost:1"),
        ..Flags::default()
    };
    let variables = [("IMQUOTA_ADMIN_LISTEN", "unix:/a")];
    let file = "admin_listen: 127.0.0.1:50052";
    let settings = read(&Flags::default(), &[], file).expect("no fault");
    assert_eq!(listens(&settings), given("127.0.0.1:50052"));
    let settings = read(&Flags::default(), &variables, file).expect("no fault");
    assert_eq!(listens(&settings), given("unix:/a"));
    let settings = read(&flags, &variables, file).expect("no fault");
    assert_eq!(listens(&settings), given("127.0.0.1:1"));
}

#[test]
fn the_file_is_named_by_the_flag_or_else_by_the_variable() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, format!("member: {name}\n")).expect("written");
        path
    };
    let (flag, variable) = (file("flag"), file("variable"));
    let environment: Environment = [("IMQUOTA_CONFIG".into(), variable.into_os_string())]
        .into_iter()
        .collect();
    let member = |flags: &Flags| {
        let settings = load(flags, &environment, &host()).expect("no fault");
        settings.member.to_string()
    };
    assert_eq!(member(&Flags::default()), "variable");
    let flags = Flags {
        config: Some(flag),
        ..Flags::default()
    };
    assert_eq!(member(&flags), "flag");
}

#[test]
fn data_lies_in_the_users_folder_for_data() {
    for (variables, wanted) in [
        (&[("XDG_DATA_HOME", "/x"), ("HOME", "/h")][..], Some("/x")),
        (
            &[("XDG_DATA_HOME", "x"), ("HOME", "/h")],
            Some("/h/.local/share"),
        ),
        (
            &[("XDG_DATA_HOME", ""), ("HOME", "/h")],
            Some("/h/.local/share"),
        ),
        (&[("HOME", "h")], None),
        (&[], None),
    ] {
        let host = Host::here(&environment(variables));
        assert_eq!(host.data_home, wanted.map(Into::into), "{variables:?}");
        assert!(host.name.is_some_and(|name| !name.is_empty()));
    }
}

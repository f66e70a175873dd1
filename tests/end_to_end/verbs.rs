//! The program's verbs against a running server, as an operator and a script use them.

use std::path::Path;
use std::process::Command;

use imquota::grpc::proto::Resource;
use rustix::process::Signal;
use serde_json::Value;

use crate::client::Client;
use crate::process::{Ended, Process};
use crate::sidecar::{Sidecar, tcp_of};

const SETTINGS: &str = "
apps:
  - { app_id: 1, plan: trial }
  - { app_id: 2, plan: pro }
";

async fn imquota(arguments: &str, endpoint: &str) -> Ended {
    let words = arguments.split(' ').chain(["--endpoint", endpoint]);
    Process::imquota(words).ended().await
}

/// What a verb prints for a script, and the status it ends with.
async fn json(arguments: &str, endpoint: &str) -> (i32, Value) {
    let ended = imquota(&format!("{arguments} --json"), endpoint).await;
    assert_eq!(
        (ended.stderr.as_str(), ended.stdout.lines().count()),
        ("", 1),
        "{ended:?}"
    );
    let value = serde_json::from_str(&ended.stdout).expect("it is JSON");
    (ended.code(), value)
}

#[tokio::test]
async fn a_script_can_do_all_that_a_gateway_can() {
    let sidecar = Sidecar::start("embedded", SETTINGS).await;
    let tcp = format!("http://{}", sidecar.address());
    let unix = format!("unix:{}", sidecar.socket().display());
    for (first, at) in [(0, &tcp), (1, &unix)] {
        let (code, room) = json("check --app 1 --resource av-room", at).await;
        assert_eq!((code, &room["decision"]), (0, &"DECISION_ALLOW".into()));
        assert_eq!(
            (&room["used"], &room["limit"]),
            (&(first + 1).into(), &10.into())
        );
        assert_eq!(room["remaining"], 9 - first);
    }

    let (code, rooms) = json(
        "check --app 1 --resource av-room --amount 8 --request-id r-1",
        &tcp,
    )
    .await;
    assert_eq!((code, &rooms["used"]), (0, &10.into()));
    let (code, again) = json(
        "check --app 1 --resource av-room --amount 8 --request-id r-1",
        &unix,
    )
    .await;
    assert_eq!((code, &again["replayed"]), (0, &true.into()));
    let (code, full) = json("check --app 1 --resource av-room", &tcp).await;
    assert_eq!((code, &full["decision"]), (3, &"DECISION_DENY".into()));
    assert_eq!(full["reason"], "DENY_REASON_LIMIT_REACHED");
    assert_eq!(full["im_error_code"], 10036);
    let (code, dry) = json("check --app 1 --resource account --dry-run", &tcp).await;
    assert_eq!((code, &dry["used"]), (0, &0.into()));

    let (code, freed) = json("release --app 1 --resource av-room --amount 4", &tcp).await;
    assert_eq!(
        (code, &freed["released"], &freed["used"]),
        (0, &4.into(), &6.into())
    );
    let (code, active) = json(
        "record-active --app 2 --user ann --user bob --user ann",
        &tcp,
    )
    .await;
    assert_eq!(
        (code, &active["newly_active"], &active["daily_active"]),
        (0, &2.into(), &2.into())
    );
    let (_, more) = json("record-active --app 2 --increment 5", &tcp).await;
    assert_eq!(
        (&more["daily_active"], active["day"] == more["day"]),
        (&7.into(), true)
    );

    let (code, usage) = json("usage --app 1", &unix).await;
    assert_eq!(
        (code, &usage["plan"], &usage["degraded"]),
        (0, &"trial".into(), &false.into())
    );
    let used: Vec<_> = usage["resources"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|of| &of["used"])
        .collect();
    assert_eq!(used, [0, 6, 6]);
    assert_eq!(
        (&usage["groups_gained_today"], &usage["groups_gained_limit"]),
        (&6.into(), &10_000.into())
    );
    let (_, usage) = json("usage --app 2", &tcp).await;
    assert_eq!(usage["daily_active"], 7);
}

#[tokio::test]
async fn a_person_reads_the_same() {
    let sidecar = Sidecar::start("embedded", SETTINGS).await;
    let at = format!("http://{}", sidecar.address());
    for (arguments, code, parts) in [
        (
            "check --app 1 --resource account",
            0,
            &["ALLOW", "remaining  99"][..],
        ),
        (
            "check --app 1 --resource account --amount 100",
            3,
            &["DENY", "the limit is reached", "70398"],
        ),
        (
            "check --app 9 --resource account",
            3,
            &["DENY", "nobody knows the app", "70020"],
        ),
        (
            "release --app 1 --resource account",
            0,
            &["RELEASED: 1", "remaining  100"],
        ),
        (
            "release --app 1 --resource account",
            0,
            &["RELEASED nothing"],
        ),
        (
            "record-active --app 1 --user ann",
            0,
            &["RECORDED: 1 newly active"],
        ),
        (
            "usage --app 1",
            0,
            &[
                "app 1, plan trial",
                "av-room",
                "daily active users",
                "unlimited",
            ],
        ),
    ] {
        let ended = imquota(arguments, &at).await;
        assert_eq!(
            (ended.code(), ended.stderr.as_str()),
            (code, ""),
            "{arguments}: {ended:?}"
        );
        for part in parts {
            assert!(ended.stdout.contains(part), "{part:?} in {}", ended.stdout);
        }
    }
}

#[tokio::test]
async fn a_fault_ends_with_1_and_says_what_to_do() {
    // The day of a time is the zone's: in one that follows the hour of the test it would be another
    // day in the evening.
    let settings = [SETTINGS, "billing: { zone: \"+08:00\" }\n"].concat();
    let sidecar = Sidecar::start("embedded", &settings).await;
    let at = format!("http://{}", sidecar.address());
    let long = format!(
        "check --app 1 --resource account --request-id {}",
        "x".repeat(65)
    );
    for (arguments, parts) in [
        ("usage --app 9", &["NOT_FOUND", "app 9 is not known"][..]),
        (long.as_str(), &["INVALID_ARGUMENT", "request_id"]),
        (
            "record-active --app 1 --user ann --at 2020-05-01T00:00:00Z",
            &["OUT_OF_RANGE", "2020-05-01"],
        ),
    ] {
        for json in ["", " --json"] {
            let ended = imquota(&format!("{arguments}{json}"), &at).await;
            assert_eq!((ended.code(), ended.stdout.as_str()), (1, ""), "{ended:?}");
            for part in parts {
                assert!(ended.stderr.contains(part), "{part:?} in {}", ended.stderr);
            }
        }
    }
}

#[tokio::test]
async fn without_a_server_there_is_help() {
    let mut sidecar = Sidecar::start("embedded", SETTINGS).await;
    let tcp = format!("http://{}", sidecar.address());
    let unix = format!("unix:{}", sidecar.socket().display());
    sidecar.stop().await;
    for (at, why) in [
        (&tcp, "connection refused"),
        (&unix, "there is no such socket"),
    ] {
        let ended = imquota("check --app 1 --resource account", at).await;
        assert_eq!((ended.code(), ended.stdout.as_str()), (1, ""), "{ended:?}");
        for part in [at, why, "imquota serve", "--endpoint"] {
            assert!(ended.stderr.contains(part), "{part:?} in {}", ended.stderr);
        }
    }

    // Nor does a server that hangs hold up a script.
    sidecar.start_again().await;
    sidecar.process().signal(Signal::STOP);
    for at in [format!("http://{}", sidecar.address()), unix] {
        let ended = imquota("usage --app 1 --timeout 200ms", &at).await;
        assert_eq!(ended.code(), 1, "{ended:?}");
        assert!(ended.stderr.contains("no answer from"), "{ended:?}");
    }
    sidecar.process().signal(Signal::CONT);
}

#[tokio::test]
async fn wrong_usage_ends_with_2() {
    for arguments in [
        "check --app 1",
        "check --app 0 --resource account",
        "check --app 1 --resource accounts",
        "check --app 1 --resource account --amount 101",
        "record-active --app 1",
        "record-active --app 1 --user ann --increment 2",
        "usage",
    ] {
        let ended = imquota(arguments, "http://127.0.0.1:1").await;
        assert_eq!(
            (ended.code(), ended.stdout.as_str()),
            (2, ""),
            "{arguments}: {ended:?}"
        );
        assert!(!ended.stderr.is_empty());
    }
}

/// Starts `imquota serve` with `flags` and an environment; answers its address, too.
async fn serve(flags: &[&str], environment: &[(&str, &str)]) -> (Process, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_imquota"));
    command
        .arg("serve")
        .args(flags)
        .envs(environment.iter().copied());
    let process = Process::spawn(command);
    let ready = process.says("ready to answer").await;
    let address = match ready.split_once("listen=\"") {
        Some((_, listen)) => listen
            .split(['"', ','])
            .next()
            .expect("an address")
            .to_owned(),
        None => tcp_of(&ready).to_string(),
    };
    (process, format!("http://{address}"))
}

#[tokio::test]
async fn the_shipped_settings_serve_at_once() {
    let home = tempfile::tempdir().expect("a folder can be made");
    let path = home.path().to_str().expect("it is text");
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/imquota.yaml");
    let example = example.to_str().expect("it is text");
    let flags = ["--config", example, "--listen", "127.0.0.1:0"];
    let (process, at) = serve(&flags, &[("HOME", path), ("XDG_DATA_HOME", "")]).await;
    let (code, answer) = json("check --app 1400000001 --resource account", &at).await;
    assert_eq!((code, &answer["remaining"]), (0, &99.into()));
    let (code, answer) = json("check --app 1400000002 --resource av-room", &at).await;
    assert_eq!((code, &answer["limit"]), (0, &80.into()));
    let (code, answer) = json("check --app 1400000004 --resource account", &at).await;
    assert_eq!((code, &answer["im_error_code"]), (3, &60016.into()));
    process.signal(Signal::INT);
    assert_eq!(process.ended().await.code(), 0);
    assert!(
        home.path()
            .join(".local/share/imquota/ledger.redb")
            .exists()
    );
}

#[tokio::test]
async fn everything_can_be_said_by_the_environment() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("settings"), SETTINGS).expect("the folder is ours");
    let listen = format!("127.0.0.1:0, unix:{}", path("s"));
    let environment = [
        ("IMQUOTA_CONFIG", path("settings")),
        ("IMQUOTA_LISTEN", listen),
        ("IMQUOTA_STORE", "embedded".into()),
        ("IMQUOTA_DATA_DIR", path("data")),
        ("IMQUOTA_MEMBER", "a-member".into()),
        ("IMQUOTA_WORKERS", "1".into()),
        ("IMQUOTA_LOG_FORMAT", "json".into()),
    ];
    let environment = environment
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    let (process, at) = serve(&[], &environment).await;
    let client = Client::connect(at).await;
    assert_eq!(client.create(1, Resource::Account).await.used, 1);
    // A client verb reads its server from there, too.
    let unix = format!("unix:{}", path("s"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_imquota"));
    command
        .args(["usage", "--app", "1", "--json"])
        .env("IMQUOTA_ENDPOINT", unix);
    let ended = Process::spawn(command).ended().await;
    assert_eq!(ended.code(), 0, "{ended:?}");
    process.signal(Signal::TERM);
    assert_eq!(process.ended().await.code(), 0);

    // A flag wins over the environment, and a list replaces.
    let (process, at) = serve(&["--listen", "127.0.0.1:0"], &environment).await;
    let client = Client::connect(at).await;
    assert_eq!(client.used(1, Resource::Account).await, 1);
    assert!(!folder.path().join("s").exists());
    drop(process);
}

#[tokio::test]
async fn settings_are_checked_without_a_server() {
    let sidecar = Sidecar::new("embedded", "");
    let file = sidecar.settings();
    let file = file.to_str().expect("it is text");
    std::fs::write(file, SETTINGS).expect("it is ours");
    let ended = Process::imquota(["check-config", file]).ended().await;
    assert_eq!((ended.code(), ended.stderr.as_str()), (0, ""), "{ended:?}");
    assert!(
        ended.stdout.starts_with("ok\n") && ended.stdout.contains("apps: 2"),
        "{ended:?}"
    );

    std::fs::write(
        file,
        "apps:\n  - { app_id: 0, plan: pro }\n  - { app_id: 1, plan: gold }\nlimit: 1\n",
    )
    .expect("it is ours");
    let ended = Process::imquota(["check-config", file]).ended().await;
    assert_eq!((ended.code(), ended.stdout.as_str()), (2, ""), "{ended:?}");
    for line in [2, 3, 4] {
        assert!(
            ended.stderr.contains(&format!("{file}:{line}: ")),
            "{line}: {ended:?}"
        );
    }
}

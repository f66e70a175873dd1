//! What a person at a terminal gets: a glance, a bundle for whoever helps, completions, the manual.

use imquota::grpc::proto::{Decision, Resource};

use crate::process::{Ended, Process};
use crate::sidecar::Sidecar;
use crate::wait::until;

const SETTINGS: &str = "
plans:
  small: { limits: { accounts: 2 } }
apps:
  - { app_id: 1400000001, plan: small }
";

async fn run(arguments: &[&str]) -> Ended {
    Process::imquota(arguments).ended().await
}

#[tokio::test]
async fn a_glance_is_plain_where_there_is_no_terminal() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let socket = format!("unix:{}", folder.path().join("pages").display());
    let settings = format!("http_listen: \"{socket}\"{SETTINGS}");
    let mut sidecar = Sidecar::start("embedded", &settings).await;
    let client = sidecar.client().await;
    for decision in [Decision::Allow, Decision::Allow, Decision::Deny] {
        assert_eq!(
            client
                .create(1_400_000_001, Resource::Account)
                .await
                .decision(),
            decision
        );
    }
    let top = until("the app is seen", async || {
        let top = run(&["top", "--endpoint", &socket]).await;
        if top.stdout.contains("1400000001  account") {
            Ok(top)
        } else {
            Err(top)
        }
    })
    .await;
    assert_eq!(top.code(), 0, "{top:?}");
    assert!(!top.stdout.contains('\x1b'), "{top:?}");
    assert!(
        top.stdout.contains("checks allowed 2  refused 1"),
        "{top:?}"
    );
    assert!(
        top.stdout.contains("100 %") && top.stdout.contains("limit_reached"),
        "{top:?}"
    );
    let json = run(&["top", "--endpoint", &socket, "--json"]).await;
    let status: serde_json::Value = serde_json::from_str(&json.stdout).expect("it is JSON");
    assert_eq!(status["ready"], true);
    sidecar.stop().await;
    let gone = run(&["top", "--endpoint", &socket]).await;
    assert_eq!(gone.code(), 1, "{gone:?}");
    assert!(
        gone.stdout.is_empty() && gone.stderr.starts_with("imquota: unix:"),
        "{gone:?}"
    );
}

#[tokio::test]
async fn a_bundle_has_what_helps_and_no_secret() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let socket = format!("unix:{}", path("pages"));
    let settings = format!("http_listen: \"{socket}\"{SETTINGS}");
    let mut sidecar = Sidecar::start("embedded", &settings).await;
    let shown = "store: { url: \"redis://imquota:hunter2@127.0.0.1:6379/0\" }\n";
    std::fs::write(path("settings.yaml"), shown).expect("the folder is ours");
    std::fs::write(path("log"), "the last line\n").expect("the folder is ours");
    let (config, log, out) = (path("settings.yaml"), path("log"), path("bundle"));
    let bundle = run(&[
        "support",
        "--endpoint",
        &socket,
        "--config",
        &config,
        "--log",
        &log,
        "--out",
        &out,
    ])
    .await;
    assert_eq!(bundle.code(), 0, "{bundle:?}");
    let text = std::fs::read_to_string(&out).expect("it is written");
    for part in [
        "==== program",
        "127.0.0.1:6379",
        "\"ready\": true",
        "imquota_ledger_up 1",
        "the last line",
    ] {
        assert!(text.contains(part), "{part} is missing: {text}");
    }
    assert!(!text.contains("hunter2"), "{text}");
    sidecar.stop().await;
}

#[tokio::test]
async fn shells_and_man_know_every_verb() {
    for shell in ["bash", "zsh", "fish"] {
        let written = run(&["completions", shell]).await;
        assert_eq!(written.code(), 0, "{written:?}");
        for verb in ["record-active", "check-config", "recount", "top"] {
            assert!(written.stdout.contains(verb), "{shell}: {verb} is missing");
        }
    }
    let page = run(&["man"]).await;
    assert!(page.stdout.contains(".TH imquota 1"), "{page:?}");
    let folder = tempfile::tempdir().expect("a folder can be made");
    let pages = run(&["man", "--dir", folder.path().to_str().expect("it is text")]).await;
    assert_eq!(pages.code(), 0, "{pages:?}");
    for page in ["imquota.1", "imquota-serve.1", "imquota-members-retire.1"] {
        assert!(folder.path().join(page).exists(), "{page} is missing");
    }
}

//! The page as a browser shows it, and the same as JSON.

use std::process::Command;

use imquota::grpc::proto::{CheckRequest, Decision, Resource};

use crate::client::creation;
use crate::http::get;
use crate::sidecar::Sidecar;
use crate::stores::{Store, on_both_stores};
use crate::wait::{soon, until};

const SETTINGS: &str = "
plans:
  small: { limits: { accounts: 4 } }
apps:
  - { app_id: 1400000001, plan: small }
  - { app_id: 1400000002, plan: pro }
";
/// A request id that would do harm if it were not shown as text.
const HARM: &str = "<script>document.title='owned'</script>";

/// Fills one app to its limit, has a creation refused, and records users.
async fn fill(sidecar: &Sidecar) {
    let client = sidecar.client().await;
    for _ in 0..4 {
        let answer = client.create(1_400_000_001, Resource::Account).await;
        assert_eq!(answer.decision(), Decision::Allow);
    }
    let refused = CheckRequest {
        request_id: HARM.into(),
        resource_id: "bob-the-user".into(),
        ..creation(1_400_000_001, Resource::Account)
    };
    assert_eq!(client.check(refused).await.decision(), Decision::Deny);
    client.record(1_400_000_002, ["ann", "carol"]).await;
}

async fn what_is_known_is_told_as_json(store: Store) {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let socket = folder.path().join("pages");
    let settings = format!("http_listen: \"unix:{}\"{SETTINGS}", socket.display());
    let mut sidecar = Sidecar::start(&store.url(), &settings).await;
    fill(&sidecar).await;

    let status = until("all is known", async || {
        let status = get(&socket, "/status").await.json();
        let near = &status["nearest_to_limits"][0];
        let today = &status["today"]["most_active"][0];
        let done = near["percent"] == 100 && today["month_forecast"].is_object();
        if done { Ok(status) } else { Err(status) }
    })
    .await;
    assert_eq!(status["ready"], true);
    assert_eq!(status["ledger"]["state"], "up");
    assert_eq!(status["settings"]["generation"], 1);
    assert_eq!(status["settings"]["current"], true);
    let near = &status["nearest_to_limits"][0];
    assert_eq!(
        (&near["app_id"], &near["of"]),
        (&1_400_000_001.into(), &"account".into())
    );
    assert_eq!((&near["count"], &near["limit"]), (&4.into(), &4.into()));
    let today = &status["today"]["most_active"][0];
    assert_eq!(
        (&today["app_id"], &today["daily_active"]),
        (&1_400_000_002.into(), &2.into())
    );
    assert_eq!(today["month_forecast"]["total"], "149.99 USD");
    let refused = &status["last_refusals"][0];
    assert_eq!(refused["reason"], "limit_reached");
    assert_eq!(refused["request_id"], HARM);

    // A refusal is found by app and by request id; what does not fit is not.
    let found = async |query: &str| {
        let found = get(&socket, &format!("/refusals?{query}")).await.json();
        found["refusals"].as_array().expect("a list").len()
    };
    assert_eq!(found("app=1400000001").await, 1);
    assert_eq!(found("app=1400000002").await, 0);
    let id = "request_id=%3Cscript%3Edocument.title%3D%27owned%27%3C%2Fscript%3E";
    assert_eq!(found(&format!("app=1400000001&{id}")).await, 1);
    assert_eq!(found("request_id=other").await, 0);

    let ready = get(&socket, "/readyz?verbose").await;
    assert_eq!(ready.status, 200);
    assert_eq!(ready.json()["reasons"][1]["name"], "ledger_met");
    assert_eq!(ready.json()["ledger"]["state"], "up");

    // Nothing that is shown names a user or an object.
    for path in ["/", "/status", "/refusals", "/metrics"] {
        let page = get(&socket, path).await;
        assert!(
            !page.body.contains("bob-the-user") && !page.body.contains("carol"),
            "{path}"
        );
    }
    sidecar.stop().await;
}

on_both_stores!(what_is_known_is_told_as_json);

#[tokio::test]
async fn who_is_not_ready_says_why() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let socket = folder.path().join("pages");
    let settings = format!("http_listen: \"unix:{}\"{SETTINGS}", socket.display());
    let mut redis = crate::redis_server::RedisServer::start();
    let url = redis.url();
    redis.kill();
    let mut sidecar = Sidecar::start_alone(&url, &settings).await;
    let ready = get(&socket, "/readyz").await;
    assert_eq!(ready.status, 503);
    assert!(
        ready.body.contains("the ledger has not been met"),
        "{}",
        ready.body
    );
    let verbose = get(&socket, "/readyz?verbose").await;
    assert_eq!(verbose.status, 503);
    let reasons = verbose.json();
    assert_eq!(
        (&reasons["ready"], &reasons["reasons"][1]["ok"]),
        (&false.into(), &false.into())
    );
    assert_eq!(reasons["ledger"]["state"], "away");
    assert!(get(&socket, "/").await.body.contains("The ledger is away"));
    sidecar.stop().await;
}

/// What a browser has made of a page, scripts allowed.
async fn shown(url: String) -> String {
    let browse = tokio::task::spawn_blocking(move || {
        let profile = tempfile::tempdir().expect("a folder can be made");
        let data = format!("--user-data-dir={}", profile.path().display());
        Command::new("chromium")
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
            ])
            .args([&data, "--dump-dom", &url])
            .output()
            .expect("chromium is installed by tests/run")
    });
    let ended = soon("a browser", browse).await.expect("it ends");
    assert!(
        ended.status.success(),
        "{}",
        String::from_utf8_lossy(&ended.stderr)
    );
    String::from_utf8(ended.stdout).expect("it is text")
}

#[tokio::test]
async fn a_browser_shows_it_and_runs_nothing() {
    let settings = format!("http_listen: \"127.0.0.1:0\"{SETTINGS}");
    let mut sidecar = Sidecar::start("embedded", &settings).await;
    fill(&sidecar).await;
    let address = sidecar.http_address().await;
    let page = shown(format!("http://{address}/?app=1400000001")).await;
    assert!(page.contains("All is well"), "{page}");
    assert!(page.contains("<th scope=\"row\">1400000001</th>"), "{page}");
    assert!(page.contains("aria-label=\"100 percent\""), "{page}");
    // What a client chose is text, and no script.
    assert!(
        page.contains("&lt;script&gt;document.title='owned'&lt;/script&gt;"),
        "{page}"
    );
    assert!(
        !page.contains("<script") && !page.contains("<title>owned"),
        "{page}"
    );
    // What a screen reader goes by.
    for landmark in [
        "<html lang=\"en\"",
        "<header",
        "<nav aria-label=",
        "<main",
        "<footer",
        "<caption>",
    ] {
        assert!(page.contains(landmark), "{landmark} is missing: {page}");
    }
    let heads = page.matches("<th ").count();
    assert_eq!(page.matches("<th scope=").count(), heads);
    sidecar.stop().await;
}

#[tokio::test]
async fn a_hundred_tabs_and_a_reader_that_hangs_stop_nobody() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let socket = folder.path().join("pages");
    let settings = format!("http_listen: \"unix:{}\"{SETTINGS}", socket.display());
    let mut sidecar = Sidecar::start("embedded", &settings).await;
    // They ask and never read.
    let mut hanging = Vec::new();
    for _ in 0..50 {
        let mut stream = tokio::net::UnixStream::connect(&socket)
            .await
            .expect("it listens");
        let request = b"GET /metrics HTTP/1.1\r\nhost: here\r\n\r\n";
        tokio::io::AsyncWriteExt::write_all(&mut stream, request)
            .await
            .expect("it is heard");
        hanging.push(stream);
    }
    let tabs = (0..100).map(|_| get(&socket, "/"));
    let pages = futures_util::future::join_all(tabs).await;
    assert!(pages.iter().all(|page| page.status == 200));
    let client = sidecar.client().await;
    assert_eq!(
        client
            .create(1_400_000_002, Resource::Group)
            .await
            .decision(),
        Decision::Allow
    );
    drop(hanging);
    assert_eq!(get(&socket, "/livez").await.status, 200);
    sidecar.stop().await;
}

//! Figures for Prometheus: what happened is in them, their form is right, and each is documented.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use imquota::grpc::proto::{CheckMode, CheckRequest, Decision, Resource};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::client::{creation, deletion};
use crate::http::{self, Page};
use crate::sidecar::Sidecar;
use crate::stores::{Store, on_both_stores};
use crate::wait::{soon, until};

/// What every HTTP/2 client says first, and settings that change nothing.
const HELLO: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const SETTINGS: &str = "
plans:
  small: { limits: { accounts: 4 } }
apps:
  - { app_id: 1, plan: small }
  - { app_id: 2, plan: pro }
metrics: { top_apps: 10, apps: [2] }
";

/// A sidecar with a listener for pages, which lives in the folder.
async fn with_pages(store: &Store, settings: &str) -> (Sidecar, PathBuf, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let socket = folder.path().join("pages");
    let settings = format!("http_listen: \"unix:{}\"{settings}", socket.display());
    (
        Sidecar::start(&store.url(), &settings).await,
        socket,
        folder,
    )
}

/// Something of everything.
async fn do_much(sidecar: &Sidecar) {
    let client = sidecar.client().await;
    for at in 0..5 {
        let request_id = format!("r-{at}");
        let check = CheckRequest {
            request_id,
            ..creation(1, Resource::Account)
        };
        let answer = client.check(check.clone()).await;
        assert_eq!(answer.decision() == Decision::Allow, at < 4);
        if at == 0 {
            assert!(client.check(check).await.replayed);
        }
    }
    let dry = CheckRequest {
        mode: CheckMode::DryRun.into(),
        ..creation(1, Resource::Account)
    };
    assert_eq!(client.check(dry).await.decision(), Decision::Deny);
    client.create(2, Resource::Group).await;
    client.create(2, Resource::Group).await;
    assert_eq!(
        client
            .release(deletion(2, Resource::Group, 1))
            .await
            .released,
        1
    );
    assert_eq!(
        client.record(2, ["ann", "bob", "ann"]).await.newly_active,
        2
    );
}

/// The sum of the series that begin so, which count things.
fn sum(page: &Page, begin: &str) -> u64 {
    let lines = page.body.lines().filter(|line| line.starts_with(begin));
    let worth = lines.map(|line| line.rsplit(' ').next().expect("a value"));
    worth
        .map(|worth| worth.parse::<u64>().expect("a number"))
        .sum()
}

async fn what_happened_is_counted(store: Store) {
    let (mut sidecar, socket, _folder) = with_pages(&store, SETTINGS).await;
    do_much(&sidecar).await;
    let page = until("all is settled and counted", async || {
        let page = http::get(&socket, "/metrics").await;
        let near = "imquota_limit_nearest_ratio{of=\"account\"}";
        let done =
            page.series(near) == Some(1.0) && page.series("imquota_unsettled_units") == Some(0.0);
        if done { Ok(page) } else { Err(page.body) }
    })
    .await;
    assert_eq!(
        page.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    let of = |begin: &str| sum(&page, begin);
    assert_eq!(
        of("imquota_checks_total{resource=\"account\",decision=\"allow\""),
        5
    );
    let denied =
        "imquota_checks_total{resource=\"account\",decision=\"deny\",reason=\"limit_reached\"";
    assert_eq!(of(denied), 1);
    assert_eq!(
        of("imquota_checks_total{resource=\"group\",decision=\"allow\""),
        2
    );
    assert_eq!(of("imquota_check_duration_seconds_count{"), 8);
    assert_eq!(page.series("imquota_check_replays_total"), Some(1.0));
    assert_eq!(
        page.series("imquota_dry_runs_total{decision=\"deny\"}"),
        Some(1.0)
    );
    assert_eq!(of("imquota_released_objects_total{resource=\"group\"}"), 1);
    assert_eq!(of("imquota_active_users_inserted_total{"), 2);
    assert_eq!(page.series("imquota_ledger_up"), Some(1.0));
    assert!(
        page.series("imquota_sync_age_seconds") < Some(5.0),
        "{}",
        page.body
    );
    let app = |name: &str, labels: &str| page.series(&format!("imquota_app_{name}{{{labels}}}"));
    assert_eq!(app("objects", "app_id=\"1\",of=\"account\""), Some(4.0));
    assert_eq!(app("limit", "app_id=\"1\",of=\"account\""), Some(4.0));
    assert_eq!(app("objects", "app_id=\"2\",of=\"group\""), Some(1.0));
    assert_eq!(app("limit", "app_id=\"2\",of=\"group\""), None);
    assert_eq!(app("active_users", "app_id=\"2\""), Some(2.0));

    // Who asks for OpenMetrics gets it.
    let accept = "accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5\r\n";
    let open = http::ask(&socket, "GET /metrics", accept).await;
    let media = open.header("content-type").expect("a media type");
    assert!(
        media.starts_with("application/openmetrics-text; version=1.0.0"),
        "{media}"
    );
    assert!(open.body.ends_with("# EOF\n"));
    assert!(
        open.body.contains("# TYPE imquota_checks counter\n"),
        "{}",
        open.body
    );
    sidecar.stop().await;
}

on_both_stores!(what_happened_is_counted);

#[tokio::test]
async fn no_app_is_named_unless_the_settings_say_so() {
    let settings = SETTINGS.split("metrics:").next().expect("all before it");
    let (mut sidecar, socket, _folder) = with_pages(&Store::Embedded, settings).await;
    do_much(&sidecar).await;
    let page = http::get(&socket, "/metrics").await;
    assert!(!page.body.contains("app_id"), "{}", page.body);
    sidecar.stop().await;
}

#[tokio::test]
async fn connections_that_find_no_place_are_counted() {
    let settings = format!("\nconnections: {{ max: 2 }}{SETTINGS}");
    let (mut sidecar, socket, _folder) = with_pages(&Store::Embedded, &settings).await;
    let refused = async || {
        let page = http::get(&socket, "/metrics").await;
        let because = |reason| {
            let begin = format!("imquota_connections_refused_total{{reason=\"{reason}\"}}");
            sum(&page, &begin)
        };
        ["full", "address", "worker"].map(because)
    };
    let [full, address, worker] = refused().await;
    let (mut served, mut turned_away) = (Vec::new(), 0);
    while turned_away < 3 {
        let connected = TcpStream::connect(sidecar.address()).await;
        let mut stream = connected.expect("somebody listens");
        // It may be closed already.
        let _ = stream.write_all(HELLO).await;
        match soon("a word or the end", stream.read(&mut [0; 1])).await {
            Ok(1) => served.push(stream),
            _ => turned_away += 1,
        }
    }
    assert!(served.len() <= 2, "{} are served", served.len());
    assert_eq!(refused().await, [full + turned_away, address, worker]);
    drop(served);
    sidecar.stop().await;
}

#[tokio::test]
async fn their_form_is_as_prometheus_wants_it_and_each_is_documented() {
    let store = Store::redis();
    let (mut sidecar, socket, _folder) = with_pages(&store, SETTINGS).await;
    do_much(&sidecar).await;
    let page = until("something is near a limit", async || {
        let page = http::get(&socket, "/metrics").await;
        let told =
            page.body.contains("imquota_app_limit{") && page.body.contains("imquota_sync_age");
        if told { Ok(page) } else { Err(page.body) }
    })
    .await;
    sidecar.stop().await;

    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is installed by tests/run");
    let mut input = promtool.stdin.take().expect("it is piped");
    input.write_all(page.body.as_bytes()).expect("it reads");
    drop(input);
    let checked = promtool.wait_with_output().expect("it ends");
    let said = [checked.stdout, checked.stderr].concat();
    assert!(
        checked.status.success() && said.is_empty(),
        "{}",
        String::from_utf8_lossy(&said)
    );

    let types = page
        .body
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "));
    let exposed: BTreeSet<_> = types.map(str::to_owned).collect();
    let rows = include_str!("../../docs/metrics.md").lines();
    let documented = rows.filter_map(|row| {
        let mut cells = row.strip_prefix("| `")?.split("` | ");
        let (name, rest) = (cells.next()?, cells.next()?);
        let kind = rest.split(" |").next()?;
        Some(format!("{name} {kind}"))
    });
    let mut documented: BTreeSet<_> = documented.collect();
    // This sidecar has no certificate; another test reads the figure of one that has.
    let absent = "imquota_tls_certificate_not_after_seconds gauge";
    assert!(documented.remove(absent));
    assert_eq!(exposed, documented);
}

//! Figures and probes over plain HTTP.

use imquota::grpc::proto::{Decision, Resource};

use crate::client::creation;
use crate::http::{ask, get};
use crate::sidecar::Sidecar;
use crate::stores::{Store, on_both_stores};
use crate::wait::until;

const SETTINGS: &str = "
plans:
  small: { limits: { accounts: 10 } }
apps:
  - { app_id: 1, plan: small }
";

async fn marks_and_probes_can_be_read(store: Store) {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let socket = folder.path().join("pages");
    let settings = format!("http_listen: \"unix:{}\"{SETTINGS}", socket.display());
    let mut sidecar = Sidecar::start(&store.url(), &settings).await;

    assert_eq!(get(&socket, "/livez").await.status, 200);
    until("it is ready", async || {
        let answer = get(&socket, "/readyz").await;
        if answer.status == 200 {
            Ok(())
        } else {
            Err(answer.body)
        }
    })
    .await;
    assert_eq!(get(&socket, "/else").await.status, 404);
    let refused = ask(&socket, "POST /metrics", "").await;
    assert_eq!(
        (refused.status, refused.header("allow")),
        (405, Some("GET, HEAD"))
    );

    let eighty = "imquota_marks_passed_total{of=\"account\",mark=\"80\"}";
    let before = get(&socket, "/metrics").await;
    assert_eq!(before.series(eighty), Some(0.0), "{}", before.body);
    assert_eq!(
        before.series("imquota_ledger_up"),
        Some(1.0),
        "{}",
        before.body
    );
    let client = sidecar.client().await;
    for _ in 0..8 {
        let answer = client.check(creation(1, Resource::Account)).await;
        assert_eq!(answer.decision(), Decision::Allow);
    }
    until("the mark is counted", async || {
        let figures = get(&socket, "/metrics").await;
        let counted = figures.series(eighty) == Some(1.0);
        counted.then_some(()).ok_or(figures.body)
    })
    .await;
    // Users who came too late are counted, too.
    let none = before.series("imquota_active_users_too_late_total");
    assert_eq!(none, Some(0.0), "{}", before.body);
    sidecar.stop().await;
    assert!(!socket.exists());
}

on_both_stores!(marks_and_probes_can_be_read);

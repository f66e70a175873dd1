//! Figures and probes over plain HTTP.

use std::path::Path;

use imquota::grpc::proto::{Decision, Resource};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::client::creation;
use crate::sidecar::Sidecar;
use crate::stores::{Store, on_both_stores};
use crate::wait::{soon, until};

const SETTINGS: &str = "
plans:
  small: { limits: { accounts: 10 } }
apps:
  - { app_id: 1, plan: small }
";

/// The whole answer to a request whose first line is `line`.
async fn ask(socket: &Path, line: &str) -> String {
    let asked = async {
        let mut stream = UnixStream::connect(socket).await?;
        let request = format!("{line} HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    soon("a page", asked).await.expect("it is served")
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).expect("a status line")
}

async fn marks_and_probes_can_be_read(store: Store) {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let socket = folder.path().join("pages");
    let settings = format!("http_listen: \"unix:{}\"{SETTINGS}", socket.display());
    let mut sidecar = Sidecar::start(&store.url(), &settings).await;

    assert_eq!(status(&ask(&socket, "GET /livez").await), "200");
    until("it is ready", async || {
        let answer = ask(&socket, "GET /readyz").await;
        (status(&answer) == "200").then_some(()).ok_or(answer)
    })
    .await;
    assert_eq!(status(&ask(&socket, "GET /else").await), "404");
    let refused = ask(&socket, "POST /metrics").await;
    assert_eq!(status(&refused), "405");
    assert!(refused.contains("\r\nallow: GET, HEAD\r\n"), "{refused}");

    let eighty = "imquota_marks_passed_total{of=\"account\",mark=\"80\"}";
    let before = ask(&socket, "GET /metrics").await;
    assert!(before.contains("\r\ncontent-type: application/openmetrics-text;"));
    assert!(before.contains(&format!("\n{eighty} 0\n")), "{before}");
    assert!(before.contains("\nimquota_ledger_up 1\n"), "{before}");
    assert!(before.ends_with("# EOF\n"), "{before}");
    let client = sidecar.client().await;
    for _ in 0..8 {
        let answer = client.check(creation(1, Resource::Account)).await;
        assert_eq!(answer.decision(), Decision::Allow);
    }
    until("the mark is counted", async || {
        let figures = ask(&socket, "GET /metrics").await;
        let counted = figures.contains(&format!("\n{eighty} 1\n"));
        counted.then_some(()).ok_or(figures)
    })
    .await;
    sidecar.stop().await;
    assert!(!socket.exists());
}

on_both_stores!(marks_and_probes_can_be_read);

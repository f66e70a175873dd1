//! Stands between sidecars and a Redis, as a name that can be made to lead to another server.

use std::net::Ipv4Addr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A relay; it ends with the test's runtime.
pub struct Relay {
    port: u16,
    target: watch::Sender<u16>,
}

impl Relay {
    /// Leads to the server that listens on `target`.
    pub async fn to(target: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let (target, led) = watch::channel(target);
        tokio::spawn(async move {
            while let Ok((from, _)) = listener.accept().await {
                tokio::spawn(lead(from, led.clone()));
            }
        });
        Self { port, target }
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// Leads to another server from now on; connections to the old one end.
    pub fn lead_to(&self, target: u16) {
        self.target.send_replace(target);
    }
}

async fn lead(mut from: TcpStream, mut led: watch::Receiver<u16>) {
    let target = *led.borrow_and_update();
    let Ok(mut to) = TcpStream::connect((Ipv4Addr::LOCALHOST, target)).await else {
        return;
    };
    tokio::select! {
        // Whoever ends it, the other side sees the connection close.
        _ = copy_bidirectional(&mut from, &mut to) => {}
        _ = led.changed() => {}
    }
}

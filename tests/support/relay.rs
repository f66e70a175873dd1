//! Stands between sidecars and a Redis, as a name that can be made to lead to another server.

use std::net::Ipv4Addr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A relay; it ends with the test's runtime.
pub struct Relay {
    port: u16,
    target: watch::Sender<Target>,
}

/// Where it leads.
#[derive(Debug, Clone, Copy)]
enum Target {
    /// To the server that listens on this port.
    Port(u16),
    /// Nowhere: connections stay open, and nothing that is sent arrives.
    Nowhere,
}

impl Relay {
    /// Leads to the server that listens on `target`.
    pub async fn to(target: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let (target, led) = watch::channel(Target::Port(target));
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
        self.target.send_replace(Target::Port(target));
    }

    /// Swallows all that is sent from now on, and closes nothing until it leads somewhere again.
    pub fn swallow(&self) {
        self.target.send_replace(Target::Nowhere);
    }
}

async fn lead(mut from: TcpStream, mut led: watch::Receiver<Target>) {
    let target = *led.borrow_and_update();
    if let Target::Port(port) = target {
        let Ok(mut to) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else {
            return;
        };
        tokio::select! {
            // Whoever ends it, the other side sees the connection close.
            _ = copy_bidirectional(&mut from, &mut to) => return,
            _ = led.changed() => {}
        }
    }
    let nowhere = |target: &Target| matches!(target, Target::Nowhere);
    while nowhere(&led.borrow_and_update()) && led.changed().await.is_ok() {}
}

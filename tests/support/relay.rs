//! Stands between sidecars and a Redis, as a name that can be made to lead to another server.

use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy, copy_bidirectional};
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
    /// The same, and what it says comes so much later.
    Late(u16, Duration),
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

    /// Leads there from now on, and lets every answer wait so long; connections to the old one end.
    pub fn is_late(&self, target: u16, by: Duration) {
        self.target.send_replace(Target::Late(target, by));
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
    if let Target::Late(port, by) = target {
        let Ok(to) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else {
            return;
        };
        let (mut asks, mut hears) = from.split();
        let (mut says, mut is_asked) = to.into_split();
        let late = async {
            let mut said = vec![0; 64 * 1024];
            while let Ok(read @ 1..) = says.read(&mut said).await {
                tokio::time::sleep(by).await;
                if hears.write_all(&said[..read]).await.is_err() {
                    return;
                }
            }
        };
        tokio::select! {
            _ = copy(&mut asks, &mut is_asked) => {}
            () = late => {}
            _ = led.changed() => {}
        }
        return;
    }
    let nowhere = |target: &Target| matches!(target, Target::Nowhere);
    while nowhere(&led.borrow_and_update()) && led.changed().await.is_ok() {}
}

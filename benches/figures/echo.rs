//! The floor: a server that sends back what it reads, on one `current_thread` runtime.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};

use crate::Failure;

/// Where it listens.
#[derive(Debug, clap::Args)]
pub(crate) struct Echo {
    /// A port of the loopback.
    #[arg(long)]
    port: u16,
    /// A socket.
    #[arg(long)]
    socket: PathBuf,
}

impl Echo {
    /// Serves until it is killed.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)).await?;
            let unix = UnixListener::bind(&self.socket)?;
            loop {
                tokio::select! {
                    accepted = tcp.accept() => {
                        let stream = accepted?.0;
                        stream.set_nodelay(true)?;
                        tokio::spawn(send_back(stream));
                    }
                    accepted = unix.accept() => drop(tokio::spawn(send_back(accepted?.0))),
                }
            }
        })
    }
}

/// Ends with the connection.
async fn send_back(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut bytes = vec![0; 4096];
    while let Ok(came @ 1..) = stream.read(&mut bytes).await {
        if stream.write_all(&bytes[..came]).await.is_err() {
            return;
        }
    }
}

//! A stream whose client must say the first bytes in time: one that begins to speak and then stops would
//! otherwise hold its place for ever, since HTTP/2's own keepalive begins after them.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::connection::{FIRST_BYTE_MAX, PREFACE_BYTES};

/// A stream until its preface was read; after that it passes everything on.
pub(super) struct Prompt<S> {
    stream: S,
    waiting: Option<Waiting>,
}

struct Waiting {
    bytes_left: usize,
    end: Pin<Box<Sleep>>,
}

impl<S> Prompt<S> {
    /// Waits from now on; must be called on a runtime.
    pub(super) fn new(stream: S) -> Self {
        let (bytes_left, end) = (PREFACE_BYTES, Box::pin(sleep(FIRST_BYTE_MAX)));
        Self {
            stream,
            waiting: Some(Waiting { bytes_left, end }),
        }
    }

    /// The stream itself.
    pub(super) fn inner(&self) -> &S {
        &self.stream
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Prompt<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let Some(waiting) = &mut this.waiting else {
            return Pin::new(&mut this.stream).poll_read(context, bytes);
        };
        if waiting.end.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let before = bytes.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(context, bytes))?;
        waiting.bytes_left = waiting
            .bytes_left
            .saturating_sub(bytes.filled().len() - before);
        if waiting.bytes_left == 0 {
            this.waiting = None;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Prompt<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_client_that_stops_in_its_first_bytes_is_let_go() {
        let (mut client, server) = duplex(64);
        let mut server = Prompt::new(server);
        client.write_all(b"PRI * HTT").await.unwrap();
        let began = Instant::now();
        let mut bytes = [0; PREFACE_BYTES];
        let end = server.read_exact(&mut bytes).await.unwrap_err();
        assert_eq!(end.kind(), io::ErrorKind::TimedOut);
        assert_eq!(began.elapsed(), FIRST_BYTE_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_has_said_them_may_take_its_time() {
        let (mut client, server) = duplex(64);
        let mut server = Prompt::new(server);
        client.write_all(&[7; PREFACE_BYTES]).await.unwrap();
        let mut bytes = [0; PREFACE_BYTES];
        server.read_exact(&mut bytes).await.unwrap();
        let late = async {
            sleep(10 * FIRST_BYTE_MAX).await;
            client.write_all(&[1]).await.unwrap();
        };
        let (read, ()) = tokio::join!(server.read_u8(), late);
        assert_eq!(read.unwrap(), 1);
    }
}

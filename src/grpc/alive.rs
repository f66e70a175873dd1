//! Whether the client at the other end is still there: a silent one is asked.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use h2::{Ping, PingPong};
use tokio::time::{Instant, Sleep, sleep};

/// Asks a connection's client after a while in which nothing was heard of it.
pub(super) struct Alive {
    /// `None` if the connection's pings are somebody else's, which they never are.
    pings: Option<PingPong>,
    silence_max: Duration,
    answer_max: Duration,
    timer: Pin<Box<Sleep>>,
    /// Whether a call came since the timer was set.
    heard: bool,
    asked: bool,
}

impl Alive {
    /// Asks after at least `silence_max`, and at most twice that, of silence; the client must answer
    /// within `answer_max`. Must be called on a runtime.
    pub(super) fn new(
        pings: Option<PingPong>,
        silence_max: Duration,
        answer_max: Duration,
    ) -> Self {
        Self {
            pings,
            silence_max,
            answer_max,
            timer: Box::pin(sleep(silence_max)),
            heard: false,
            asked: false,
        }
    }

    /// The client made a call. No clock is read for it.
    pub(super) fn heard(&mut self) {
        self.heard = true;
    }

    /// Ready when the client was asked and did not answer in time.
    pub(super) fn poll_is_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(pings) = &mut self.pings else {
            return Poll::Pending;
        };
        loop {
            if self.asked && pings.poll_pong(cx).is_ready() {
                self.asked = false;
                let next = Instant::now() + self.silence_max;
                self.timer.as_mut().reset(next);
            }
            ready!(self.timer.as_mut().poll(cx));
            let heard = std::mem::take(&mut self.heard);
            let next = match (self.asked, heard) {
                (true, false) => return Poll::Ready(()),
                // It lives, and its answer is still to come: another ping must wait for that.
                (true, true) => self.answer_max,
                (false, true) => self.silence_max,
                (false, false) => {
                    if pings.send_ping(Ping::opaque()).is_err() {
                        return Poll::Ready(());
                    }
                    self.asked = true;
                    self.answer_max
                }
            };
            self.timer.as_mut().reset(Instant::now() + next);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
    use tokio::time::timeout;

    use super::*;

    const SILENCE_MAX: Duration = Duration::from_secs(30);
    const ANSWER_MAX: Duration = Duration::from_secs(10);
    const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    const PING: u8 = 6;
    const ACK: u8 = 1;

    async fn wait(alive: &mut Alive, time: Duration) -> bool {
        let over = poll_fn(|cx| alive.poll_is_over(cx));
        timeout(time, over).await.is_ok()
    }

    /// Reads up to the next ping, and answers it.
    async fn answer_ping(client: &mut DuplexStream) {
        loop {
            let mut head = [0; 9];
            client.read_exact(&mut head).await.expect("it is served");
            let mut rest = vec![0; usize::from(head[2])];
            client.read_exact(&mut rest).await.expect("a whole frame");
            if head[3] == PING {
                head[4] = ACK;
                let pong = [&head[..], &rest].concat();
                return client.write_all(&pong).await.expect("it is served");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_may_be_late_where_calls_come() {
        let (mut client, server) = duplex(64 * 1024);
        let hello = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &SETTINGS[..]].concat();
        client.write_all(&hello).await.expect("there is room");
        let mut connection = h2::server::handshake(server).await.expect("it said hello");
        let mut alive = Alive::new(connection.ping_pong(), SILENCE_MAX, ANSWER_MAX);
        tokio::spawn(async move { while connection.accept().await.is_some() {} });

        let asked = SILENCE_MAX + ANSWER_MAX / 2;
        assert!(!wait(&mut alive, asked).await, "it was asked a moment ago");
        alive.heard();
        assert!(!wait(&mut alive, ANSWER_MAX).await, "it made a call");
        for _ in 0..3 {
            answer_ping(&mut client).await;
            let next = SILENCE_MAX + ANSWER_MAX / 2;
            assert!(!wait(&mut alive, next).await, "it was asked again");
        }
        assert!(wait(&mut alive, ANSWER_MAX).await, "it does not answer");
    }
}

//! What a node of a Cluster may reply instead of doing a step: each reply has its one effect, and its count. Between the
//! node and the sidecar stands somebody who gives the reply, whichever of them the server's version gives.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use imquota::config::{RedisUrl, Topology};
use imquota::store::{Installation, StoreFault};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::cluster_servers::Cluster;
use crate::fixture::{Sidecar, app, options, try_take};

/// How often a step is sent in all, while its slot is on its way.
const SENT_MAX: u64 = 9;
/// How often it follows to another node.
const FOLLOWED_MAX: u64 = 4;

/// What is replied to the next steps, one each.
type Replies = Arc<Mutex<VecDeque<String>>>;

/// A sidecar that has met its Cluster of one node.
struct Met {
    one: Sidecar,
    known: Installation,
    /// Where the node is, as far as the sidecar knows.
    port: u16,
    replies: Replies,
    _node: Cluster,
}

impl Met {
    async fn there() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let node = Cluster::alone(port);
        let replies = Replies::default();
        let (target, given) = (node.servers[0].port(), replies.clone());
        tokio::spawn(async move {
            while let Ok((from, _)) = listener.accept().await {
                let to = TcpStream::connect((Ipv4Addr::LOCALHOST, target)).await;
                tokio::spawn(stand_between(from, to.unwrap(), given.clone()));
            }
        });
        let mut options = options("redis://unused");
        let url = RedisUrl::parse(&format!("redis://127.0.0.1:{port}")).unwrap();
        options.topology = Topology::Cluster([url].into());
        let one = Sidecar::with(1, options);
        let known = one.hello(None).await.unwrap();
        Self {
            one,
            known,
            port,
            replies,
            _node: node,
        }
    }

    /// Has the next steps be answered so.
    fn is_told(&self, reply: &str, times: u64) {
        let mut replies = self.replies.lock().unwrap();
        replies.extend((0..times).map(|_| reply.to_owned()));
    }

    async fn takes(&self, attempt: u64) -> Result<(), StoreFault> {
        try_take(&self.one, attempt).await.map(drop)
    }

    async fn taken(&self) -> i64 {
        self.one.usage(app(1)).await.view.net[0]
    }
}

async fn stand_between(mut from: TcpStream, mut to: TcpStream, replies: Replies) {
    let (mut asked, mut said) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    loop {
        let passed_on = tokio::select! {
            read = from.read(&mut asked) => match read {
                Ok(read @ 1..) => match reply_to(&asked[..read], &replies) {
                    Some(reply) => from.write_all(reply.as_bytes()).await,
                    None => to.write_all(&asked[..read]).await,
                },
                _ => return,
            },
            read = to.read(&mut said) => match read {
                Ok(read @ 1..) => from.write_all(&said[..read]).await,
                _ => return,
            },
        };
        if passed_on.is_err() {
            return;
        }
    }
}

fn reply_to(asked: &[u8], replies: &Replies) -> Option<String> {
    let is_step = asked.windows(7).any(|word| word == b"EVALSHA");
    let reply = replies.lock().unwrap().pop_front_if(|_| is_step)?;
    Some(format!("-{reply}\r\n"))
}

#[tokio::test]
async fn a_step_is_repeated_while_nobody_has_its_whole_slot_and_then_given_up() {
    let met = Met::there().await;
    let replies = [
        ("ASK", "ASK 1 127.0.0.1:1"),
        (
            "TRYAGAIN",
            "TRYAGAIN Multiple keys request during rehashing of slot",
        ),
        ("CLUSTERDOWN", "CLUSTERDOWN The cluster is down"),
    ];
    for (attempts, (kind, reply)) in (0..).step_by(3).zip(replies) {
        met.is_told(reply, 1);
        met.takes(attempts).await.unwrap();
        assert_eq!(met.one.troubles(kind), 1);
        met.is_told(reply, SENT_MAX);
        let given_up = met.takes(attempts + 1).await;
        match (&given_up, kind) {
            (Err(StoreFault::Away(words)), "CLUSTERDOWN") if words.contains(kind) => {}
            (Err(StoreFault::Frozen(words)), "ASK" | "TRYAGAIN")
                if words.contains("being moved") && words.contains(kind) => {}
            _ => panic!("{kind}: {given_up:?}"),
        }
        // So often it was sent, and no more; the connection goes on.
        met.takes(attempts + 2).await.unwrap();
        assert_eq!(met.one.troubles(kind), 1 + SENT_MAX);
    }
    assert_eq!(met.taken().await, 6, "what was given up is not counted");
}

#[tokio::test]
async fn a_step_follows_where_it_is_sent_unless_nobody_knows_who_is_there() {
    let met = Met::there().await;
    let assert_looked_for = |answer: Result<(), StoreFault>| {
        assert!(
            matches!(&answer, Err(StoreFault::Away(words)) if words.contains("is looked for")),
            "{answer:?}"
        );
    };
    let here = format!("MOVED 1 127.0.0.1:{}", met.port);
    met.is_told(&here, FOLLOWED_MAX);
    met.takes(1).await.unwrap();
    assert_eq!(met.one.troubles("MOVED"), FOLLOWED_MAX);
    // One that is sent about in a circle comes to an end.
    met.is_told(&here, FOLLOWED_MAX + 1);
    assert_looked_for(met.takes(2).await);
    assert_eq!(met.one.troubles("MOVED"), 2 * FOLLOWED_MAX + 1);
    assert_eq!(met.one.hello(Some(met.known)).await, Ok(met.known));
    met.takes(3).await.unwrap();
    met.is_told("MOVED 1 127.0.0.1:1", 1);
    assert_looked_for(met.takes(4).await);
    assert_eq!(met.one.troubles("MOVED"), 2 * FOLLOWED_MAX + 2);
    assert_eq!(met.one.hello(Some(met.known)).await, Ok(met.known));
    met.takes(5).await.unwrap();
    assert_eq!(met.taken().await, 3);
}

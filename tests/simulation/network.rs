//! The network between a sidecar and the ledger: it delays, loses, doubles, reorders and cuts off. A
//! call that its caller gave up goes on by itself.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use imquota::store::redis::{Session, Transport};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use redis::{Arg, Cmd, RedisResult, Value};
use tokio::sync::{Notify, oneshot};
use tokio::time::sleep;

use crate::server::Server;

/// How bad it is. Chances are in thousandths of the calls.
#[derive(Debug, Clone, Copy)]
pub struct Weather {
    pub delay_ms_max: u64,
    pub lost: u32,
    pub answers_lost: u32,
    pub doubled: u32,
    /// Calls that arrive when their caller has long given up, at most so much later.
    pub late: u32,
    pub late_ms_max: u64,
}

impl Weather {
    pub const FAIR: Self = Self {
        delay_ms_max: 4,
        lost: 0,
        answers_lost: 0,
        doubled: 0,
        late: 0,
        late_ms_max: 0,
    };
}

/// One sidecar's cable to the server.
pub struct Cable {
    server: Arc<Server>,
    rng: Mutex<StdRng>,
    weather: Mutex<Weather>,
    cut: AtomicBool,
    /// What every way takes at least.
    distance_ms: AtomicU64,
    passing: [Notify; 2],
}

/// Where among its arguments a take has the record's field.
const TAKEN_FIELD: usize = 6;

/// A moment in the life of a call.
#[derive(Debug, Clone, Copy)]
pub enum Moment {
    /// The ledger has done what it asks.
    Done,
    /// Its answer has come, and nobody has looked at it yet.
    Answered,
}

impl fmt::Debug for Cable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cable").finish_non_exhaustive()
    }
}

/// What becomes of one call.
#[derive(Debug, Clone, Copy)]
struct Fate {
    there_ms: u64,
    back_ms: u64,
    arrives: bool,
    again_ms: Option<u64>,
    answered: bool,
}

impl Cable {
    pub fn new(server: Arc<Server>, seed: u64, weather: Weather) -> Self {
        Self {
            server,
            rng: Mutex::new(StdRng::seed_from_u64(seed)),
            weather: Mutex::new(weather),
            cut: AtomicBool::new(false),
            distance_ms: AtomicU64::new(0),
            passing: Default::default(),
        }
    }

    /// Waits for the next call that comes to this moment.
    pub async fn next(&self, moment: Moment) {
        self.passing[moment as usize].notified().await;
    }

    fn passes(&self, moment: Moment) {
        self.passing[moment as usize].notify_waiters();
    }

    /// Cuts it, or mends it. What is on its way arrives.
    pub fn set_cut(&self, cut: bool) {
        self.cut.store(cut, Ordering::Relaxed);
    }

    /// How far the server is, one way.
    pub fn set_distance(&self, ms: u64) {
        self.distance_ms.store(ms, Ordering::Relaxed);
    }

    pub fn set_weather(&self, weather: Weather) {
        *self.weather.lock().expect("never poisoned") = weather;
    }

    fn fate(&self) -> Fate {
        let weather = *self.weather.lock().expect("never poisoned");
        let mut rng = self.rng.lock().expect("never poisoned");
        let mut of_thousand = |chance: u32| rng.random_range(0..1000) < chance;
        let (lost, answer_lost) = (of_thousand(weather.lost), of_thousand(weather.answers_lost));
        let (doubled, late) = (of_thousand(weather.doubled), of_thousand(weather.late));
        let mut delay = |max: u64| rng.random_range(0..=max);
        let far = weather.late_ms_max;
        let distance = self.distance_ms.load(Ordering::Relaxed);
        let there_ms = if late {
            delay(far)
        } else {
            delay(weather.delay_ms_max)
        };
        Fate {
            there_ms: distance + there_ms,
            back_ms: distance + delay(weather.delay_ms_max),
            arrives: !lost,
            again_ms: doubled.then(|| delay(far.max(weather.delay_ms_max))),
            answered: !answer_lost,
        }
    }

    fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Relaxed)
    }
}

/// Ends never: whoever waits for it has a bound of its own.
async fn silence() -> ! {
    std::future::pending().await
}

/// The cable as the store takes it.
#[derive(Debug)]
pub struct Plug(pub Arc<Cable>);

impl Transport for Plug {
    fn connect(&self) -> BoxFuture<'_, RedisResult<Arc<dyn Session>>> {
        Box::pin(async move {
            let fate = self.0.fate();
            sleep(Duration::from_millis(fate.there_ms + fate.back_ms)).await;
            if self.0.is_cut() {
                silence().await;
            }
            let session = Connection {
                cable: Arc::clone(&self.0),
                run: self.0.server.run(),
            };
            Ok(Arc::new(session) as Arc<dyn Session>)
        })
    }
}

/// A connection: it lasts as long as the server's process does.
#[derive(Debug)]
struct Connection {
    cable: Arc<Cable>,
    run: u64,
}

impl Session for Connection {
    fn send(&self, commands: Vec<Cmd>) -> BoxFuture<'_, RedisResult<Vec<Value>>> {
        let fate = self.cable.fate();
        let (cable, run) = (Arc::clone(&self.cable), self.run);
        let cut = self.cable.is_cut();
        let (answer, answered) = oneshot::channel();
        if !cut && fate.arrives {
            tokio::spawn(carry(cable, run, commands, fate, answer));
        } else {
            drop(answer);
        }
        Box::pin(async move {
            match answered.await {
                Ok(answer) => answer,
                Err(_) => silence().await,
            }
        })
    }
}

/// Whether a call speaks of a record under a sidecar's own key, or is a take of a named object. A refusal of such a take
/// is remembered nowhere, nor is the take itself when the object is deleted: if TCP could double it, the second one
/// might be admitted, for nobody.
fn is_remembered_nowhere(command: &Cmd) -> bool {
    let words: Vec<&[u8]> = command
        .args_iter()
        .filter_map(|arg| match arg {
            Arg::Simple(word) => Some(word),
            _ => None,
        })
        .collect();
    let number = words.get(2).and_then(|word| std::str::from_utf8(word).ok());
    let keys = number.and_then(|number| number.parse::<usize>().ok());
    let field = keys.and_then(|keys| words.get(3 + keys + TAKEN_FIELD));
    words.iter().any(|word| word.first() == Some(&1))
        || field.is_some_and(|field| field.first() == Some(&2))
}

/// Whether a take was refused only because of what is lent. That is remembered nowhere either.
fn is_recallable_refusal(answers: &[Value]) -> bool {
    const DENIED: Value = Value::Int(1);
    let refused = |answer: &Value| {
        let Value::Array(words) = answer else {
            return false;
        };
        words.get(4) == Some(&DENIED) && words.get(8) == Some(&Value::Int(1))
    };
    answers.iter().any(refused)
}

async fn carry(
    cable: Arc<Cable>,
    run: u64,
    commands: Vec<Cmd>,
    fate: Fate,
    answer: oneshot::Sender<RedisResult<Vec<Value>>>,
) {
    sleep(Duration::from_millis(fate.there_ms)).await;
    let server = Arc::clone(&cable.server);
    let done = server.run_all(run, &commands).await;
    cable.passes(Moment::Done);
    let done: RedisResult<Vec<Value>> =
        done.ok_or_else(|| io::Error::from(io::ErrorKind::ConnectionReset).into());
    if let Some(again_ms) = fate.again_ms
        && !commands.iter().any(is_remembered_nowhere)
        && !done.as_deref().is_ok_and(is_recallable_refusal)
    {
        tokio::spawn(async move {
            sleep(Duration::from_millis(again_ms)).await;
            server.run_all(run, &commands).await;
        });
    }
    sleep(Duration::from_millis(fate.back_ms)).await;
    if fate.answered {
        cable.passes(Moment::Answered);
        // Nobody waits any more if the caller gave up.
        drop(answer.send(done));
    }
}

//! A real `redis-server` beside the fake one: it is asked the same, and must answer the same.
//!
//! What the scripts ask of the machine, its time and the server's name, comes from a key instead, so that
//! both live in the simulation's time. All other text of the scripts is what the program sends.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Mutex;

use redis::{Arg, Cmd, Connection, ConnectionLike, RedisResult, Value};

use crate::fake::Fake;
use crate::fake::keyspace::{Bytes, Keyspace, Reply};

/// Where both servers look for the time and their name.
const CLOCK: &str = "clock";
/// What the scripts ask the machine, and what they ask here.
const ASKED: [(&str, &str); 3] = [
    (
        "redis.call('TIME')",
        "redis.call('HMGET', 'clock', 's', 'us')",
    ),
    (
        "redis.call('INFO', 'server')",
        "redis.call('HGET', 'clock', 'info')",
    ),
    (
        "redis.call('INFO', 'replication')",
        "redis.call('HGET', 'clock', 'info')",
    ),
];

/// The real server, and what the scripts are called there.
pub struct Twin {
    real: Mutex<Connection>,
    hashes: Mutex<BTreeMap<String, String>>,
}

impl Twin {
    pub fn new(mut real: Connection) -> Self {
        order(&mut real, &["FLUSHALL"]);
        Self {
            real: Mutex::new(real),
            hashes: Mutex::default(),
        }
    }

    /// Runs a command on both; the difference in what they answer, if there is one.
    pub fn run(&self, fake: &Fake, cmd: &Cmd, now_us: i64) -> Result<Value, String> {
        let words = cmd.args_iter().map(|arg| match arg {
            Arg::Simple(bytes) => bytes.to_vec(),
            _ => panic!("a cursor in a command"),
        });
        let words = self.translated(words.collect());
        let mut cmd = Cmd::new();
        cmd.arg(&words[..]);
        // The order of a hash is nobody's promise: its content is compared with all others' keys.
        if matches!(words[0].as_slice(), b"INFO" | b"CONFIG" | b"HGETALL") {
            return Ok(fake.run(&cmd, now_us));
        }
        let clock = clock(fake, now_us);
        let clock: Vec<&str> = clock.iter().map(String::as_str).collect();
        let mut real = self.real.lock().expect("never poisoned");
        order(&mut real, &clock);
        let set = clock
            .iter()
            .map(|word| word.as_bytes().to_vec())
            .collect::<Vec<Bytes>>();
        assert!(!matches!(
            fake.change(|keys| keys.run(&set)),
            Reply::Error(_)
        ));
        let ours = fake.run(&cmd, now_us);
        let theirs = real.req_packed_command(&cmd.get_packed_command());
        let (a, b) = (shown(ours.clone().extract_error()), shown(theirs));
        if a == b {
            Ok(ours)
        } else {
            let words: Vec<_> = words
                .iter()
                .map(|word| String::from_utf8_lossy(word))
                .collect();
            Err(format!(
                "the fake answers {a}, the server {b}, to {:?}",
                &words[2..]
            ))
        }
    }

    /// Where the keys of both differ.
    pub fn difference(&self, fake: &Fake) -> Option<String> {
        let mut real = self.real.lock().expect("never poisoned");
        let ours = fake.look(Keyspace::dump);
        let mut theirs = BTreeMap::new();
        let keys: Vec<Bytes> = ask(&mut real, &[b"KEYS", b"*"]);
        for key in keys {
            let kind: String = ask(&mut real, &[b"TYPE", &key]);
            let mut words: Vec<Bytes> = match kind.as_str() {
                "hash" => {
                    let pairs: Vec<(Bytes, Bytes)> = ask(&mut real, &[b"HGETALL", &key]);
                    pairs
                        .into_iter()
                        .map(|(field, value)| [field, value].join(&b'='))
                        .collect()
                }
                "set" => ask(&mut real, &[b"SMEMBERS", &key]),
                "zset" => ask(&mut real, &[b"ZRANGE", &key, b"0", b"-1"]),
                "list" => ask(&mut real, &[b"LRANGE", &key, b"0", b"-1"]),
                other => panic!("a key of kind {other}"),
            };
            if kind != "list" {
                words.sort();
            }
            theirs.insert(key, words);
        }
        for key in ours.keys().chain(theirs.keys()) {
            if ours.get(key) != theirs.get(key) {
                let text = |words: Option<&Vec<Bytes>>| {
                    words.map(|words| String::from_utf8_lossy(&words.join(&b' ')).into_owned())
                };
                return Some(format!(
                    "{}: the fake has {:?}, the server {:?}",
                    String::from_utf8_lossy(key),
                    text(ours.get(key)),
                    text(theirs.get(key)),
                ));
            }
        }
        None
    }

    /// The command with the scripts' questions to the machine turned, and their new hashes.
    fn translated(&self, mut words: Vec<Bytes>) -> Vec<Bytes> {
        let at = match words[0].as_slice() {
            b"SCRIPT" => 2,
            b"EVAL" => 1,
            b"EVALSHA" => {
                let known = String::from_utf8_lossy(&words[1]).into_owned();
                let hashes = self.hashes.lock().expect("never poisoned");
                if let Some(hash) = hashes.get(&known) {
                    words[1] = hash.clone().into_bytes();
                }
                return words;
            }
            _ => return words,
        };
        let source = String::from_utf8(words[at].clone()).expect("a script is text");
        let turned = ASKED
            .iter()
            .fold(source.clone(), |text, (from, to)| text.replace(from, to));
        let hash = |source: &str| redis::Script::new(source).get_hash().to_owned();
        let mut hashes = self.hashes.lock().expect("never poisoned");
        hashes.insert(hash(&source), hash(&turned));
        words[at] = turned.into_bytes();
        words
    }
}

fn clock(fake: &Fake, now_us: i64) -> Vec<String> {
    let (s, us) = (now_us / 1_000_000, now_us % 1_000_000);
    let identity = fake.identity();
    let info = format!(
        "run_id:{} master_replid:{}",
        identity.run_id, identity.replid
    );
    let words = [
        "HSET",
        CLOCK,
        "s",
        &s.to_string(),
        "us",
        &us.to_string(),
        "info",
        &info,
    ];
    words.map(str::to_owned).into()
}

fn order(real: &mut Connection, words: &[&str]) {
    let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
    ask::<Value>(real, &words);
}

fn ask<T: redis::FromRedisValue>(real: &mut Connection, words: &[&[u8]]) -> T {
    let mut cmd = Cmd::new();
    cmd.arg(words);
    cmd.query(real).expect("the server answers")
}

/// An answer, or an error without where in the script it arose.
fn shown(answer: RedisResult<Value>) -> String {
    let mut text = String::new();
    let written = match answer {
        Ok(value) => write!(text, "{value:?}"),
        Err(error) => {
            let words = error.to_string();
            write!(text, "{}", words.split(" script: ").next().unwrap_or(""))
        }
    };
    written.expect("strings take everything");
    text
}

//! A Redis that lives in a test: its keys are memory, its time is told, its scripts are the ledger's own.

mod commands;
pub mod keyspace;
mod lua;

use std::sync::{Arc, Mutex, MutexGuard};

use redis::{Arg, Cmd, Value};

use keyspace::{Bytes, Keyspace, Reply};
use lua::{Interpreter, Memory};

/// Who the server says it is.
#[derive(Debug, Clone, Default)]
pub struct Identity {
    pub run_id: String,
    pub replid: String,
}

impl Identity {
    fn info(&self) -> String {
        format!(
            "redis_version:7.0.15\r\nrun_id:{}\r\ncluster_enabled:0\r\nloading:0\r\nrole:master\r\n\
             master_replid:{}\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\n",
            self.run_id, self.replid
        )
    }
}

/// A piece of a script's text that is replaced before the script is compiled.
#[derive(Debug, Clone, Copy)]
pub struct Mutation {
    pub from: &'static str,
    pub to: &'static str,
}

/// The server.
pub struct Fake {
    memory: Arc<Mutex<Memory>>,
    interpreter: Mutex<Interpreter>,
    /// The scripts that this run of the server was given.
    loaded: Mutex<Vec<String>>,
    /// Every script that was ever given, and its hash.
    hashes: Mutex<Vec<(String, String)>>,
    mutation: Option<Mutation>,
    mutated: Mutex<bool>,
}

impl Fake {
    pub fn new(identity: Identity, mutation: Option<Mutation>) -> Self {
        let keys = Keyspace::default();
        let memory = Arc::new(Mutex::new(Memory { keys, identity }));
        Self {
            interpreter: Mutex::new(Interpreter::new(&memory)),
            memory,
            loaded: Mutex::default(),
            hashes: Mutex::default(),
            mutation,
            mutated: Mutex::new(false),
        }
    }

    /// Whether the mutation's text was found in some script.
    pub fn is_mutated(&self) -> bool {
        *lock(&self.mutated)
    }

    /// Runs one command at `now_us`.
    pub fn run(&self, cmd: &Cmd, now_us: i64) -> Value {
        let words = cmd.args_iter().map(|arg| match arg {
            Arg::Simple(bytes) => bytes.to_vec(),
            _ => panic!("a cursor in a command"),
        });
        let words: Vec<Bytes> = words.collect();
        lock(&self.memory).keys.now_us = now_us;
        to_value(self.command(&words))
    }

    /// Looks at the keys.
    pub fn look<T>(&self, at: impl FnOnce(&Keyspace) -> T) -> T {
        at(&lock(&self.memory).keys)
    }

    /// Changes the keys behind everybody's back.
    pub fn change<T>(&self, with: impl FnOnce(&mut Keyspace) -> T) -> T {
        with(&mut lock(&self.memory).keys)
    }

    /// Another process with other keys takes the server's place.
    pub fn succeed(&self, identity: Identity, keys: Option<Keyspace>) {
        let mut memory = lock(&self.memory);
        memory.identity = identity;
        if let Some(keys) = keys {
            memory.keys = keys;
        }
        lock(&self.loaded).clear();
    }

    pub fn identity(&self) -> Identity {
        lock(&self.memory).identity.clone()
    }

    fn command(&self, words: &[Bytes]) -> Reply {
        let text = |at: usize| String::from_utf8_lossy(&words[at]).into_owned();
        match text(0).to_ascii_uppercase().as_str() {
            "PING" => Reply::Status("PONG"),
            "INFO" => Reply::Bulk(lock(&self.memory).identity.info().into_bytes()),
            "CONFIG" => {
                let entries = ["set-max-intset-entries", "512"];
                Reply::List(entries.map(|word| Reply::Bulk(word.into())).into())
            }
            "SCRIPT" => match self.load(&text(2)) {
                Ok(hash) => Reply::Bulk(hash.into_bytes()),
                Err(error) => Reply::Error(error),
            },
            "EVAL" => match self.load(&text(1)) {
                Ok(hash) => self.eval(&hash, words),
                Err(error) => Reply::Error(error),
            },
            "EVALSHA" => {
                let hash = text(1);
                if lock(&self.loaded).contains(&hash) {
                    self.eval(&hash, words)
                } else {
                    Reply::Error("NOSCRIPT No matching script. Please use EVAL.".into())
                }
            }
            _ => lock(&self.memory).keys.run(words),
        }
    }

    fn load(&self, source: &str) -> Result<String, String> {
        let known = lock(&self.hashes)
            .iter()
            .find(|(of, _)| of == source)
            .cloned();
        if let Some((_, hash)) = known {
            let mut loaded = lock(&self.loaded);
            if !loaded.contains(&hash) {
                loaded.push(hash.clone());
            }
            return Ok(hash);
        }
        let hash = redis::Script::new(source).get_hash().to_owned();
        lock(&self.hashes).push((source.to_owned(), hash.clone()));
        let mut source = source.to_owned();
        if let Some(Mutation { from, to }) = self.mutation
            && source.contains(from)
        {
            source = source.replacen(from, to, 1);
            *lock(&self.mutated) = true;
        }
        lock(&self.interpreter).load(&hash, &source)?;
        let mut loaded = lock(&self.loaded);
        if !loaded.contains(&hash) {
            loaded.push(hash.clone());
        }
        Ok(hash)
    }

    fn eval(&self, hash: &str, words: &[Bytes]) -> Reply {
        let number = std::str::from_utf8(&words[2]).ok();
        let number: usize = number
            .and_then(|n| n.parse().ok())
            .expect("a number of keys");
        let (keys, args) = words[3..].split_at(number);
        lock(&self.interpreter).run(hash, keys, args)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no step of the fake panics")
}

fn to_value(reply: Reply) -> Value {
    match reply {
        Reply::Int(number) => Value::Int(number),
        Reply::Bulk(bytes) => Value::BulkString(bytes),
        Reply::Nil => Value::Nil,
        Reply::Status("OK") => Value::Okay,
        Reply::Status(text) => Value::SimpleString(text.into()),
        // The library's own reading of an error, so that its kinds are as from a real server.
        Reply::Error(text) => {
            let line = format!("-{}\r\n", text.replace(['\r', '\n'], " "));
            redis::parse_redis_value(line.as_bytes()).expect("an error in the protocol's form")
        }
        Reply::List(items) => Value::Array(items.into_iter().map(to_value).collect()),
    }
}

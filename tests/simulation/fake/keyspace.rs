//! The keys of a Redis that lives in a test, and what it keeps of them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A string of Redis.
pub type Bytes = Vec<u8>;

/// What a command answers.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    Int(i64),
    Bulk(Bytes),
    Nil,
    Status(&'static str),
    Error(String),
    List(Vec<Self>),
}

#[derive(Debug, Clone)]
pub(super) enum Data {
    Text(Bytes),
    Hash(BTreeMap<Bytes, Bytes>),
    Set(BTreeSet<Bytes>),
    List(VecDeque<Bytes>),
    Sorted(BTreeMap<Bytes, f64>),
}

impl Data {
    fn is_empty(&self) -> bool {
        match self {
            Self::Text(_) => false,
            Self::Hash(hash) => hash.is_empty(),
            Self::Set(set) => set.is_empty(),
            Self::List(list) => list.is_empty(),
            Self::Sorted(sorted) => sorted.is_empty(),
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) data: Data,
    pub(super) ends_ms: Option<i64>,
}

/// All keys. A copy is a snapshot.
#[derive(Debug, Clone, Default)]
pub struct Keyspace {
    pub(super) keys: BTreeMap<Bytes, Key>,
    /// The server's time, in microseconds. It stands still while a script runs.
    pub now_us: i64,
}

const WRONG_TYPE: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";

/// Borrows a key's data as one kind; what is not there is made, or is `None`.
macro_rules! kind {
    ($name:ident, $made:ident, $variant:ident, $kind:ty) => {
        pub(super) fn $name(&mut self, key: &[u8]) -> Result<Option<&mut $kind>, String> {
            match self.live(key) {
                None => Ok(None),
                Some(Key {
                    data: Data::$variant(data),
                    ..
                }) => Ok(Some(data)),
                Some(_) => Err(WRONG_TYPE.into()),
            }
        }

        pub(super) fn $made(&mut self, key: &[u8]) -> Result<&mut $kind, String> {
            if self.live(key).is_none() {
                let data = Data::$variant(<$kind>::default());
                self.keys.insert(
                    key.to_vec(),
                    Key {
                        data,
                        ends_ms: None,
                    },
                );
            }
            Ok(self.$name(key)?.expect("it was made"))
        }
    };
}

impl Keyspace {
    kind!(text, made_text, Text, Bytes);
    kind!(hash, made_hash, Hash, BTreeMap<Bytes, Bytes>);
    kind!(set, made_set, Set, BTreeSet<Bytes>);
    kind!(list, made_list, List, VecDeque<Bytes>);
    kind!(sorted, made_sorted, Sorted, BTreeMap<Bytes, f64>);

    /// A field of a hash, for the auditor.
    pub fn field(&self, key: &str, field: &str) -> Option<&str> {
        match &self.keys.get(key.as_bytes())?.data {
            Data::Hash(hash) => std::str::from_utf8(hash.get(field.as_bytes())?).ok(),
            _ => None,
        }
    }

    /// All fields of a hash, for the auditor.
    pub fn fields(&self, key: &str) -> Vec<(String, String)> {
        let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
        match self.keys.get(key.as_bytes()).map(|key| &key.data) {
            Some(Data::Hash(hash)) => hash.iter().map(|(k, v)| (text(k), text(v))).collect(),
            _ => Vec::new(),
        }
    }

    /// Every key's content in one order, as words.
    pub fn dump(&self) -> BTreeMap<Bytes, Vec<Bytes>> {
        let words = |data: &Data| match data {
            Data::Text(text) => vec![text.clone()],
            Data::Hash(hash) => {
                let pairs = hash
                    .iter()
                    .map(|(field, value)| [field.clone(), value.clone()].join(&b'='));
                let mut pairs: Vec<Bytes> = pairs.collect();
                pairs.sort();
                pairs
            }
            Data::Set(set) => set.iter().cloned().collect(),
            Data::List(list) => list.iter().cloned().collect(),
            Data::Sorted(sorted) => sorted.keys().cloned().collect(),
        };
        let keys = self.keys.iter();
        keys.map(|(name, key)| (name.clone(), words(&key.data)))
            .collect()
    }

    /// What apps have, for the story of a failed run.
    pub fn story(&self) -> String {
        let apps = self
            .dump()
            .into_iter()
            .filter(|(name, _)| !name.ends_with(b":h"));
        let lines = apps.map(|(name, words)| {
            let words = words.iter().map(|word| String::from_utf8_lossy(word));
            let words: Vec<_> = words.collect();
            format!("{}: {words:?}", String::from_utf8_lossy(&name))
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Forgets everything.
    pub fn flush(&mut self) {
        self.keys.clear();
    }

    pub(super) fn live(&mut self, key: &[u8]) -> Option<&mut Key> {
        let now_ms = self.now_us / 1000;
        let over = |key: &Key| key.ends_ms.is_some_and(|ends| ends <= now_ms);
        if self.keys.get(key).is_some_and(over) {
            self.keys.remove(key);
        }
        self.keys.get_mut(key)
    }

    pub(super) fn tidy(&mut self, key: &[u8]) {
        if self.keys.get(key).is_some_and(|key| key.data.is_empty()) {
            self.keys.remove(key);
        }
    }

    pub(super) fn expire(&mut self, key: &[u8], at_ms: i64) -> Reply {
        let now_ms = self.now_us / 1000;
        let Some(found) = self.live(key) else {
            return Reply::Int(0);
        };
        found.ends_ms = Some(at_ms);
        if at_ms <= now_ms {
            self.keys.remove(key);
        }
        Reply::Int(1)
    }
}

//! Reads what a script answered: a flat list of numbers and words.

use redis::Value;

use super::seen::Point;
use crate::clock::Millis;
use crate::quota::{AppId, COUNTERS};
use crate::store::{Escrow, StoreFault, Totals, View};

/// The rest of an answer, from the front.
#[derive(Debug)]
pub(super) struct Answer {
    values: std::vec::IntoIter<Value>,
}

/// What every answer of a shard's step begins with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub(super) status: Status,
    pub(super) point: Point,
    pub(super) time: Millis,
}

/// Whether a step was done, and why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Fine,
    /// The shard has no header.
    Missing,
    /// The shard's header is another installation's.
    Other,
    /// The shard knows a later epoch than the caller.
    Behind,
    /// Members restate.
    Open,
    /// The shard has forgotten acknowledged writes.
    Lost,
    /// The caller has left or was retired.
    Gone,
}

impl Answer {
    pub(super) fn new(value: Value) -> Result<Self, StoreFault> {
        match value {
            Value::Array(values) => Ok(Self {
                values: values.into_iter(),
            }),
            _ => Err(unexpected()),
        }
    }

    pub(super) fn signed(&mut self) -> Result<i64, StoreFault> {
        match self.values.next() {
            Some(Value::Int(number)) => Ok(number),
            _ => Err(unexpected()),
        }
    }

    /// A count that a script keeps from falling below 0.
    pub(super) fn count(&mut self) -> Result<u64, StoreFault> {
        u64::try_from(self.signed()?).map_err(|_| unexpected())
    }

    pub(super) fn small(&mut self) -> Result<u32, StoreFault> {
        u32::try_from(self.signed()?).map_err(|_| unexpected())
    }

    pub(super) fn flag(&mut self) -> Result<bool, StoreFault> {
        Ok(self.signed()? != 0)
    }

    pub(super) fn text(&mut self) -> Result<String, StoreFault> {
        match self.values.next() {
            Some(Value::BulkString(bytes)) => String::from_utf8(bytes).map_err(|_| unexpected()),
            Some(Value::SimpleString(text)) => Ok(text),
            _ => Err(unexpected()),
        }
    }

    /// An app's id, which is text in keys.
    pub(super) fn app(&mut self) -> Result<AppId, StoreFault> {
        let id = self.text()?.parse().ok();
        id.and_then(AppId::new).ok_or_else(unexpected)
    }

    /// Whether all is read.
    pub(super) fn is_empty(&self) -> bool {
        self.values.len() == 0
    }

    /// A number that is stored as text, and may never have been: 0 then.
    pub(super) fn stored(&mut self) -> Result<u64, StoreFault> {
        let text = self.text()?;
        if text.is_empty() {
            return Ok(0);
        }
        text.parse().map_err(|_| unexpected())
    }

    pub(super) fn head(&mut self) -> Result<Head, StoreFault> {
        let status = match self.signed()? {
            0 => Status::Fine,
            1 => Status::Missing,
            2 => Status::Other,
            3 => Status::Behind,
            4 => Status::Open,
            5 => Status::Lost,
            6 => Status::Gone,
            _ => return Err(unexpected()),
        };
        Ok(Head {
            status,
            point: Point {
                epoch: self.count()?,
                seq: self.count()?,
            },
            time: Millis(self.signed()?),
        })
    }

    /// A view of the shard's write `seq`.
    pub(super) fn view(&mut self, seq: u64) -> Result<View, StoreFault> {
        let mut view = View {
            seq,
            ..View::default()
        };
        for counter in COUNTERS {
            view.net[counter.index()] = self.signed()?;
        }
        for counter in COUNTERS {
            view.mine[counter.index()] = Totals {
                consumed: self.count()?,
                released: self.count()?,
            };
        }
        view.frozen = Some(self.count()?).filter(|&token| token != 0);
        view.recalled = self.flag()?;
        for _ in 0..self.small()? {
            let counter = usize::try_from(self.small()?).map_err(|_| unexpected())?;
            if counter >= COUNTERS.len() {
                return Err(unexpected());
            }
            view.generations[counter] = self.count()?;
            view.escrow[counter] = Escrow {
                generation: self.count()?,
                offset: self.signed()?,
                taken: self.count()?,
                given: self.count()?,
                granted: self.count()?,
                done: self.count()?,
            };
            view.outstanding[counter] = self.count()?;
            view.reserved[counter] = self.count()?;
        }
        Ok(view)
    }
}

/// For the fuzzer: reads bytes as Redis would send them, by every reader of answers.
#[cfg(any(test, fuzzing))]
pub fn fuzz(bytes: &[u8]) {
    let Ok(value) = redis::parse_redis_value(bytes) else {
        return;
    };
    let read = |by: fn(&mut Answer) -> bool| {
        if let Ok(mut answer) = Answer::new(value.clone()) {
            while by(&mut answer) && !answer.is_empty() {}
        }
    };
    read(|answer| answer.head().is_ok() && answer.view(1).is_ok());
    read(|answer| answer.text().is_ok());
    read(|answer| answer.app().is_ok());
    read(|answer| answer.stored().is_ok());
    read(|answer| answer.small().is_ok() && answer.flag().is_ok());
}

/// An answer that none of our scripts gives.
pub(super) fn unexpected() -> StoreFault {
    StoreFault::Away(
        "Redis answered a script's call with something that the script does not say".into(),
    )
}

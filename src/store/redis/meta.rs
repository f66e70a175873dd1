//! What the meta key says, and whether this program can work with it.

use redis::Value;

use super::answer::{Answer, unexpected};
use super::keys::FORMAT;
use super::standing::{Stance, Standing};
use crate::clock::Millis;
use crate::store::{Installation, SHARDS, StoreFault};

/// What the hello script found.
#[derive(Debug)]
pub(super) struct Meta {
    pub(super) found: Found,
    pub(super) time: Millis,
    pub(super) id: String,
    user_key: String,
    pub(super) zone: String,
    shards: String,
    format: String,
    pub(super) run: String,
    pub(super) standing: Standing,
    boot: String,
}

/// How it stands with the ledger, or with us in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// A ledger.
    Ready,
    /// A ledger whose shards are being made.
    Creating,
    /// None, and none may be made.
    Absent,
    /// A ledger that knows a later process of this member's journal.
    Fenced,
    /// A ledger that knows another process of this member's, begun from a copy of its journal.
    Copied,
}

impl Meta {
    /// Reads the script's answer.
    pub(super) fn read(value: Value) -> Result<Self, StoreFault> {
        let mut answer = Answer::new(value)?;
        let found = match answer.signed()? {
            0 => Found::Ready,
            1 => Found::Creating,
            2 => Found::Absent,
            3 => Found::Fenced,
            4 => Found::Copied,
            _ => return Err(unexpected()),
        };
        Ok(Self {
            found,
            time: Millis(answer.signed()?),
            id: answer.text()?,
            user_key: answer.text()?,
            zone: answer.text()?,
            shards: answer.text()?,
            format: answer.text()?,
            run: answer.text()?,
            standing: standing(&mut answer)?,
            boot: answer.text()?,
        })
    }

    /// Who the ledger is, unless this program cannot work with it.
    pub(super) fn accept(&self, prefix: &str) -> Result<Installation, StoreFault> {
        let unusable = |words: String| Err(StoreFault::Unusable(words));
        if self.found == Found::Absent {
            return unusable(format!(
                "there is no ledger under the prefix {prefix:?}, and store.create is never; set it to auto to make one"
            ));
        }
        if self.format != FORMAT.to_string() || self.shards != SHARDS.to_string() {
            return unusable(format!(
                "the ledger has format {} and {} shards; this program knows format {FORMAT} with {SHARDS}",
                self.format, self.shards
            ));
        }
        let id = u64::from_str_radix(&self.id, 16);
        let user_key = u128::from_str_radix(&self.user_key, 16);
        match (id, user_key) {
            (Ok(id), Ok(user_key)) => Ok(Installation {
                id,
                user_key: user_key.to_be_bytes(),
            }),
            _ => unusable("the ledger's meta key is damaged".into()),
        }
    }

    /// Why hard limits must wait, if they must.
    pub(super) fn frozen(&self, remembered: Option<Installation>) -> Option<StoreFault> {
        let words = match (self.found, remembered) {
            (Found::Absent, _) => {
                "the ledger has forgotten itself: Redis was flushed or has lost its data".into()
            }
            (_, Some(known)) if id_text(known.id) != self.id => format!(
                "another installation ({}) stands where this sidecar knows {}: Redis was flushed and begun \
                 anew, or store.url or store.key_prefix name another ledger",
                self.id,
                id_text(known.id)
            ),
            (_, Some(known)) if key_text(known.user_key) != self.user_key => {
                "the ledger's user key is not the one that this sidecar knows".into()
            }
            (Found::Fenced, _) => {
                return Some(StoreFault::Fenced(format!(
                    "a later process of this sidecar (boot {}) has taken its journal over",
                    self.boot
                )));
            }
            (Found::Copied, _) => {
                return Some(StoreFault::Fenced(
                    "another process runs on a copy of this data folder; give each sidecar its own"
                        .into(),
                ));
            }
            _ => return None,
        };
        Some(StoreFault::Frozen(words))
    }
}

/// Epoch, whether its recovery is open, since which epoch apps wait.
pub(super) fn standing(answer: &mut Answer) -> Result<Standing, StoreFault> {
    let epoch = answer.stored()?;
    let open = answer.stored()? != 0;
    let since = answer.stored()?;
    let stance = if open {
        Stance::Open
    } else {
        Stance::Closed { since }
    };
    Ok(Standing { epoch, stance })
}

/// An incarnation as keys carry it.
pub(super) fn read_id(text: &str) -> Result<u64, StoreFault> {
    u64::from_str_radix(text, 16).map_err(|_| unexpected())
}

/// An id as keys and steps carry it.
pub(super) fn id_text(id: u64) -> String {
    format!("{id:016x}")
}

/// The user hash's key as the meta key carries it.
pub(super) fn key_text(key: [u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(key))
}

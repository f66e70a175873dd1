//! What operators did, as the ledger keeps it.

use std::collections::BTreeSet;

use redis::Value;

use super::RedisStore;
use super::answer::unexpected;
use crate::clock::Millis;
use crate::quota::AppId;
pub(super) use crate::store::register::word;
use crate::store::{AuditEntry, Shard, StoreFault};

/// Stands between the words of an entry.
const BETWEEN: char = '\u{1f}';

fn read(text: &str) -> Result<AuditEntry, StoreFault> {
    let words: Vec<&str> = text.split(BETWEEN).collect();
    let &[at, who, what, app, subject, from, to, why] = words.as_slice() else {
        return Err(unexpected());
    };
    let number = |text: &str| (!text.is_empty()).then(|| text.parse::<i64>()).transpose();
    let app = (!app.is_empty()).then(|| app.parse::<u64>().ok().and_then(AppId::new));
    if app == Some(None) {
        return Err(unexpected());
    }
    Ok(AuditEntry {
        at: Millis(at.parse().map_err(|_| unexpected())?),
        who: who.into(),
        what: what.into(),
        app: app.flatten(),
        subject: subject.into(),
        from: number(from).map_err(|_| unexpected())?,
        to: number(to).map_err(|_| unexpected())?,
        why: why.into(),
    })
}

impl RedisStore {
    pub(super) async fn read_audit(
        &self,
        app: Option<AppId>,
        most: usize,
    ) -> Result<Vec<AuditEntry>, StoreFault> {
        let link = self.linked()?;
        if most == 0 {
            return Ok(Vec::new());
        }
        // What is registered of an app is not in its shard.
        let of_app = |app| BTreeSet::from([Shard::of(app), Shard::home()]);
        let shards: BTreeSet<Shard> = app.map_or_else(|| Shard::all().collect(), of_app);
        // Other apps of the shard are in the same list.
        let last = app.map_or_else(|| i64::try_from(most - 1).unwrap_or(i64::MAX), |_| -1);
        let asked: Vec<redis::Cmd> = shards
            .iter()
            .map(|&shard| {
                let mut cmd = redis::cmd("LRANGE");
                cmd.arg(self.keys.audit(shard)).arg(0).arg(last);
                cmd
            })
            .collect();
        let mut entries = Vec::new();
        for value in link.wire.ask_all(&asked).await? {
            for text in texts(value)? {
                let entry = read(&text)?;
                if app.is_none() || entry.app == app {
                    entries.push(entry);
                }
            }
        }
        // Stable: of one moment, the newer one of a shard comes first.
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.at));
        entries.truncate(most);
        Ok(entries)
    }
}

fn texts(value: Value) -> Result<Vec<String>, StoreFault> {
    redis::from_redis_value(value).map_err(|_| unexpected())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{AUDIT_MAX, AUDIT_TEXT_MAX};

    #[test]
    fn an_entry_is_read_as_the_script_writes_it() {
        let script = include_str!("scripts/audit.lua");
        assert!(script.contains(&format!("AUDIT_MAX = {AUDIT_MAX}\n")));
        let text = ["5", "ann", "recount", "7", "group", "12", "-3", "lost"].join("\u{1f}");
        let entry = read(&text).unwrap();
        assert_eq!((entry.at, entry.app), (Millis(5), AppId::new(7)));
        assert_eq!((entry.from, entry.to), (Some(12), Some(-3)));
        let text = ["5", "ann", "retire", "", "pod", "", "", ""].join("\u{1f}");
        assert_eq!(read(&text).unwrap().app, None);
        assert!(read("5").is_err());
    }

    #[test]
    fn a_text_of_an_operator_breaks_no_entry() {
        assert_eq!(word("a\u{1f}b"), "a b");
        assert_eq!(word(&"é".repeat(200)).len(), AUDIT_TEXT_MAX);
    }
}

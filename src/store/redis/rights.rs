//! What the user of Redis may do, compared with what the ledger needs.

use redis::Value;

use super::keys::Keys;
use super::link::Wire;
use super::script::Script;
use crate::store::{Shard, StoreFault};

/// A right as a rule for a user names it, and a command that needs it. `KEY` stands for a key of the ledger.
type Right = (&'static str, &'static [&'static str]);

const KEY: &str = "KEY";

/// What is always needed. The README has the same rule.
const NEEDED: &[Right] = &[
    ("+@connection", &["PING"]),
    ("+evalsha", &["EVALSHA", "0", "1", KEY]),
    ("+script|load", &["SCRIPT", "LOAD", "x"]),
    ("+script|exists", &["SCRIPT", "EXISTS", "x"]),
    ("+info", &["INFO"]),
    ("+time", &["TIME"]),
    ("+del", &["DEL", KEY]),
    ("+expireat", &["EXPIREAT", KEY, "1"]),
    ("+@hash", &["HSET", KEY, "f", "v"]),
    ("+@hash", &["HGETALL", KEY]),
    ("+@set", &["SADD", KEY, "1"]),
    ("+@sortedset", &["ZADD", KEY, "1", "m"]),
    ("+@list", &["RPUSH", KEY, "v"]),
];

/// What is needed of a Cluster beside.
const OF_CLUSTER: &[Right] = &[("+cluster|slots", &["CLUSTER", "SLOTS"])];

/// Asks the server which commands it would refuse to this user; runs none of them.
const SCRIPT: &str = "local refused = {}
local at = 1
while at <= #ARGV do
  local words = tonumber(ARGV[at])
  if not redis.acl_check_cmd(unpack(ARGV, at + 1, at + words)) then
    refused[#refused + 1] = at
  end
  at = at + 1 + words
end
return refused";

/// Fails where the user lacks a right, and names all that are lacking.
pub(super) async fn check(wire: &Wire, keys: &Keys) -> Result<(), StoreFault> {
    let Some(first) = Shard::all().next() else {
        return Ok(());
    };
    let mut lacking = Vec::new();
    let mut keyed = 0;
    for key in [keys.meta(), keys.header(first)] {
        // Of a cluster each key has a node of its own, and a user on each.
        let mut cmd = Script::plain(SCRIPT, &key);
        let mut places = Vec::new();
        let mut place = 1_i64;
        let of_cluster = if wire.is_cluster() { OF_CLUSTER } else { &[] };
        for (right, command) in NEEDED.iter().chain(of_cluster) {
            places.push((place, *right, command.contains(&KEY)));
            cmd.arg(command.len());
            for word in *command {
                cmd.arg(if *word == KEY { key.as_str() } else { *word });
            }
            place += 1 + i64::try_from(command.len()).unwrap_or(0);
        }
        let refused = match wire.ask(cmd).await {
            Err(StoreFault::Away(words)) if words.contains("NOPERM") => {
                let right = if words.contains("key") { "~" } else { "+eval" };
                return Err(lacks(&[right], keys));
            }
            answer => numbers(answer?),
        };
        for (place, right, has_key) in places {
            if refused.contains(&place) {
                keyed += usize::from(has_key);
                lacking.push(right);
            }
        }
    }
    let of_keys = NEEDED.iter().filter(|(_, command)| command.contains(&KEY));
    if lacking.is_empty() {
        return Ok(());
    }
    if keyed >= of_keys.count() {
        return Err(lacks(&["~"], keys));
    }
    lacking.sort_unstable();
    lacking.dedup();
    Err(lacks(&lacking, keys))
}

fn numbers(value: Value) -> Vec<i64> {
    redis::from_redis_value(value).unwrap_or_default()
}

/// Waited for, since who lacks a right is given it while the sidecar runs.
fn lacks(rights: &[&str], keys: &Keys) -> StoreFault {
    let rights: Vec<String> = rights
        .iter()
        .map(|right| match *right {
            "~" => format!("~{{{}*", keys.prefix()),
            right => right.to_owned(),
        })
        .collect();
    let rights = rights.join(" ");
    StoreFault::Away(format!(
        "the user of Redis lacks {rights}; as one who may: ACL SETUSER <user> {rights}"
    ))
}

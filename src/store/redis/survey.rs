//! What kind of server this is, and whether a ledger can live in it.

use std::collections::HashMap;

use super::link::Wire;
use crate::store::StoreFault;

/// The oldest Redis whose scripts behave as ours expect.
const MAJOR_MIN: u32 = 7;
/// How many members an integer set may have, where the server does not say.
const INTSET_DEFAULT: u32 = 512;
/// How many users a bucket holds on average before the next one is split, of [`INTSET_DEFAULT`]. A
/// bucket whose turn has not come holds twice that and a chance deviation more: 8 standard deviations
/// of it stay free.
const FILL: u32 = 180;

/// What was learned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Survey {
    /// `run_id:master_replid`: another one may have forgotten what this one knew.
    pub(super) run: String,
    /// How many users a bucket holds on average before the next one is split.
    pub(super) fill: u32,
}

/// Looks the server over.
pub(super) async fn survey(wire: &Wire) -> Result<Survey, StoreFault> {
    let mut config = redis::cmd("CONFIG");
    config.arg("GET").arg("set-max-intset-entries");
    let (info, intset) = tokio::join!(wire.ask(redis::cmd("INFO")), wire.ask(config));
    let info = redis::from_redis_value::<String>(info?).map_err(|_| super::answer::unexpected())?;
    let entries = match intset.map(redis::from_redis_value::<HashMap<String, u32>>) {
        Ok(Ok(config)) => config.get("set-max-intset-entries").copied(),
        answer => {
            tracing::warn!(
                ?answer,
                "CONFIG GET is not answered: taking set-max-intset-entries for {INTSET_DEFAULT}"
            );
            None
        }
    };
    judge(&info, entries.unwrap_or(INTSET_DEFAULT))
}

fn judge(info: &str, intset_entries: u32) -> Result<Survey, StoreFault> {
    let of = |name: &str| {
        info.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .map_or("", str::trim)
    };
    let version = of("redis_version");
    let major = version
        .split('.')
        .next()
        .and_then(|v| v.parse::<u32>().ok());
    if major.is_none_or(|major| major < MAJOR_MIN) {
        return Err(StoreFault::Unusable(format!(
            "the server says it is Redis {version:?}; the ledger needs Redis {MAJOR_MIN}.0 or later, or Valkey"
        )));
    }
    if of("cluster_enabled") == "1" {
        return Err(StoreFault::Unusable(
            "this Redis is a node of a cluster; store.url must name a single Redis".into(),
        ));
    }
    if of("loading") == "1" {
        return Err(StoreFault::Away("Redis is loading its data".into()));
    }
    if of("role") != "master" {
        return Err(StoreFault::Away(
            "this Redis is a replica; store.url must name the master".into(),
        ));
    }
    let (memory, policy) = (of("maxmemory"), of("maxmemory_policy"));
    if memory != "0" && !policy.is_empty() && policy != "noeviction" {
        return Err(StoreFault::Unusable(format!(
            "Redis may evict the ledger's keys (maxmemory-policy {policy}); set: maxmemory-policy noeviction"
        )));
    }
    Ok(Survey {
        run: format!("{}:{}", of("run_id"), of("master_replid")),
        fill: (FILL * intset_entries.min(INTSET_DEFAULT) / INTSET_DEFAULT).max(1),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: &str = "# Server\r\nredis_version:7.0.15\r\nrun_id:aa\r\nloading:0\r\nrole:master\r\n\
        master_replid:bb\r\nmaxmemory:0\r\nmaxmemory_policy:allkeys-lru\r\n";

    #[test]
    fn a_good_server_is_taken() {
        let survey = judge(INFO, 512).unwrap();
        assert_eq!((survey.run.as_str(), survey.fill), ("aa:bb", 180));
        assert_eq!(judge(INFO, 64).unwrap().fill, 22);
        assert_eq!(judge(INFO, 1 << 20).unwrap().fill, 180);
    }

    #[test]
    fn a_server_that_forgets_is_refused_with_the_line_to_change() {
        let full = INFO.replace("maxmemory:0", "maxmemory:1048576");
        let Err(StoreFault::Unusable(words)) = judge(&full, 512) else {
            panic!("must be refused");
        };
        assert!(words.contains("maxmemory-policy noeviction"), "{words}");
        assert!(judge(&full.replace("allkeys-lru", "noeviction"), 512).is_ok());
    }

    #[test]
    fn an_old_server_is_refused_and_a_replica_is_waited_for() {
        let old = judge(&INFO.replace("7.0.15", "6.2.14"), 512);
        assert!(matches!(old, Err(StoreFault::Unusable(_))), "{old:?}");
        let replica = judge(&INFO.replace("role:master", "role:slave"), 512);
        assert!(matches!(replica, Err(StoreFault::Away(_))), "{replica:?}");
    }
}

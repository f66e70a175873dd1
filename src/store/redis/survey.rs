//! What kind of server this is: whether a ledger can live in it, and what weakens one there.

use std::collections::HashMap;

use futures_util::future::try_join_all;

use super::cluster::run_of_all;
use super::link::Wire;
use crate::store::StoreFault;

/// The oldest Redis whose scripts behave as ours expect.
const MAJOR_MIN: u32 = 7;
/// How many members an integer set may have, where the server does not say.
const INTSET_DEFAULT: u32 = 512;
/// How many users a bucket holds on average at most, of [`INTSET_DEFAULT`]: 8 standard deviations of it
/// stay free.
const FULL: u32 = 360;

/// The settings that are looked at.
const SETTINGS: [&str; 5] = [
    "set-max-intset-entries",
    "maxmemory-policy",
    "save",
    "appendonly",
    "min-replicas-to-write",
];

/// What was learned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Survey {
    /// `run_id:master_replid`: another one may have forgotten what this one knew.
    pub(super) run: String,
    /// How many users a bucket holds on average at most.
    pub(super) full: u32,
    /// What weakens the ledger there, a line each with what to change.
    pub(super) weak: Vec<String>,
}

/// Looks all servers over that there are.
pub(super) async fn survey(wire: &Wire) -> Result<Survey, StoreFault> {
    if !wire.is_cluster() {
        return survey_one(wire, false).await;
    }
    let masters = wire.each();
    let surveyed = try_join_all(masters.iter().map(|one| survey_one(one, true))).await?;
    let mut weak: Vec<String> = surveyed.iter().flat_map(|of| of.weak.clone()).collect();
    weak.sort_unstable();
    weak.dedup();
    Ok(Survey {
        full: surveyed.iter().map(|of| of.full).min().unwrap_or(1),
        run: run_of_all(surveyed.into_iter().map(|of| of.run).collect()),
        weak,
    })
}

/// The run of all masters of a Cluster, as it is now.
pub(super) async fn run(wire: &Wire) -> Result<String, StoreFault> {
    let runs = try_join_all(wire.each().into_iter().map(run_of_one));
    Ok(run_of_all(runs.await?))
}

async fn run_of_one(master: Wire) -> Result<String, StoreFault> {
    let mut ask = redis::cmd("INFO");
    ask.arg("server").arg("replication");
    let info = master.ask(ask).await?;
    let info = redis::from_redis_value::<String>(info).map_err(|_| super::answer::unexpected())?;
    let server = Server {
        info: &info,
        config: None,
        in_cluster: true,
    };
    Ok(server.run())
}

async fn survey_one(wire: &Wire, in_cluster: bool) -> Result<Survey, StoreFault> {
    let mut config = redis::cmd("CONFIG");
    config.arg("GET");
    for name in SETTINGS {
        config.arg(name);
    }
    let (info, config) = tokio::join!(wire.ask(redis::cmd("INFO")), wire.ask(config));
    let info = redis::from_redis_value::<String>(info?).map_err(|_| super::answer::unexpected())?;
    let config = match config.map(redis::from_redis_value::<HashMap<String, String>>) {
        Ok(Ok(config)) => Some(config),
        // Many who run Redis for others let nobody read its settings.
        _ => None,
    };
    judge(&Server {
        info: &info,
        config,
        in_cluster,
    })
}

struct Server<'a> {
    info: &'a str,
    config: Option<HashMap<String, String>>,
    in_cluster: bool,
}

impl Server<'_> {
    fn run(&self) -> String {
        format!("{}:{}", self.of("run_id"), self.of("master_replid"))
    }

    fn of(&self, name: &str) -> &str {
        self.info
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .map_or("", str::trim)
    }

    /// A setting, if it can be read.
    fn setting(&self, name: &str) -> Option<&str> {
        self.config.as_ref()?.get(name).map(String::as_str)
    }
}

fn judge(server: &Server<'_>) -> Result<Survey, StoreFault> {
    let version = server.of("redis_version");
    let major = version
        .split('.')
        .next()
        .and_then(|v| v.parse::<u32>().ok());
    if major.is_none_or(|major| major < MAJOR_MIN) {
        return Err(StoreFault::Unusable(format!(
            "the server says it is Redis {version:?}; the ledger needs Redis {MAJOR_MIN}.0 or later, or Valkey"
        )));
    }
    if server.of("cluster_enabled") == "1" && !server.in_cluster {
        return Err(StoreFault::Unusable(
            "this Redis is a node of a Cluster, and store.url takes it for a single one: set store.mode: cluster \
             and store.urls"
                .into(),
        ));
    }
    if server.of("loading") == "1" {
        return Err(StoreFault::Away("Redis is loading its data".into()));
    }
    if server.of("role") != "master" {
        return Err(StoreFault::Away(
            "this Redis is a replica; store.url must name the master".into(),
        ));
    }
    let policy = server.of("maxmemory_policy");
    let evicts = !policy.is_empty() && policy != "noeviction";
    if server.of("maxmemory") != "0" && evicts {
        return Err(StoreFault::Unusable(format!(
            "Redis may evict the ledger's keys (maxmemory-policy {policy}); set: maxmemory-policy noeviction"
        )));
    }
    let entries = server
        .setting("set-max-intset-entries")
        .and_then(|text| text.parse().ok())
        .unwrap_or(INTSET_DEFAULT);
    Ok(Survey {
        run: server.run(),
        full: (FULL * entries.min(INTSET_DEFAULT) / INTSET_DEFAULT).max(1),
        weak: weak(server, evicts, entries),
    })
}

fn weak(server: &Server<'_>, evicts: bool, entries: u32) -> Vec<String> {
    let mut weak = Vec::new();
    let mut say = |text: String| weak.push(text);
    if evicts {
        say(
            "Redis would evict the ledger's keys as soon as maxmemory is set; set: maxmemory-policy \
             noeviction"
                .into(),
        );
    }
    let saves = server.setting("save").is_none_or(|save| !save.is_empty());
    if server.of("aof_enabled") == "0" && !saves {
        say(
            "Redis keeps nothing over a restart, and the ledger is then told by the sidecars alone; set: \
             appendonly yes"
                .into(),
        );
    } else if server.of("aof_enabled") == "0" && server.config.is_some() {
        say(
            "Redis forgets what it wrote since its last snapshot when it ends; set: appendonly yes"
                .into(),
        );
    }
    let replicas = server.of("connected_slaves").parse().unwrap_or(0_u32);
    if replicas == 0 {
        say("Redis has no replica: when its machine is lost, so is what is in it; add: replicaof <this> \
             at another"
            .into());
    } else if server.setting("min-replicas-to-write") == Some("0") {
        say(
            "a master that is cut off goes on taking writes, which are lost, and may admit what the new one \
             admits, too; set: min-replicas-to-write 1"
                .into(),
        );
    }
    if entries < INTSET_DEFAULT {
        say(format!(
            "daily active users take more memory than they need; set: set-max-intset-entries {INTSET_DEFAULT}"
        ));
    }
    if server.config.is_none() {
        say(
            "Redis does not tell its settings (CONFIG GET): save, min-replicas-to-write and \
             set-max-intset-entries are taken for what they are by default"
                .into(),
        );
    }
    weak
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: &str = "# Server\r\nredis_version:7.0.15\r\nrun_id:aa\r\nloading:0\r\nrole:master\r\n\
        master_replid:bb\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\naof_enabled:1\r\nconnected_slaves:1\r\n";

    fn look(info: &str, settings: &[(&str, &str)]) -> Result<Survey, StoreFault> {
        let settings = settings
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        judge(&Server {
            info,
            config: Some(settings.collect()),
            in_cluster: false,
        })
    }

    #[test]
    fn a_good_server_is_taken_and_nothing_is_said_of_it() {
        let survey = look(INFO, &[("min-replicas-to-write", "1")]).unwrap();
        assert_eq!((survey.run.as_str(), survey.full), ("aa:bb", 360));
        assert_eq!(survey.weak, [""; 0]);
        let of = |entries| look(INFO, &[("set-max-intset-entries", entries)]).unwrap();
        assert_eq!(of("64").full, 45);
        assert!(of("64").weak[0].ends_with("set: set-max-intset-entries 512"));
        assert_eq!(of("1048576").full, 360);
    }

    #[test]
    fn what_weakens_is_said_with_the_line_to_change() {
        let says = |info: &str, settings: &[(&str, &str)], line: &str| {
            let weak = look(info, settings).unwrap().weak;
            assert!(weak.len() == 1 && weak[0].contains(line), "{weak:?}");
        };
        says(
            INFO,
            &[("min-replicas-to-write", "0")],
            "set: min-replicas-to-write 1",
        );
        let alone = INFO.replace("slaves:1", "slaves:0");
        says(&alone, &[], "add: replicaof");
        let no_log = INFO.replace("aof_enabled:1", "aof_enabled:0");
        says(&no_log, &[("save", "")], "keeps nothing over a restart");
        says(&no_log, &[("save", "3600 1")], "since its last snapshot");
        says(
            &INFO.replace("noeviction", "allkeys-lru"),
            &[],
            "noeviction",
        );
    }

    #[test]
    fn a_server_that_forgets_is_refused_with_the_line_to_change() {
        let full = INFO.replace("maxmemory:0", "maxmemory:1048576");
        let Err(StoreFault::Unusable(words)) =
            look(&full.replace("noeviction", "allkeys-lru"), &[])
        else {
            panic!("must be refused");
        };
        assert!(words.contains("maxmemory-policy noeviction"), "{words}");
        assert!(look(&full, &[]).is_ok());
    }

    #[test]
    fn an_old_server_is_refused_and_a_replica_is_waited_for() {
        let old = look(&INFO.replace("7.0.15", "6.2.14"), &[]);
        assert!(matches!(old, Err(StoreFault::Unusable(_))), "{old:?}");
        let replica = look(&INFO.replace("role:master", "role:slave"), &[]);
        assert!(matches!(replica, Err(StoreFault::Away(_))), "{replica:?}");
        let node = look(&format!("{INFO}cluster_enabled:1\r\n"), &[]);
        assert!(
            matches!(node, Err(StoreFault::Unusable(words)) if words.contains("mode: cluster"))
        );
    }
}

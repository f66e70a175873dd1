//! What we cost a server, as it tells itself.

use std::time::Duration;

use crate::redis_server::RedisServer;

/// What a section of INFO says under a name.
fn told(server: &RedisServer, section: &str, name: &str) -> String {
    let all: String = server.command(&["INFO", section]);
    let line = all.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.strip_prefix(':'))
        .unwrap_or_else(|| panic!("no {name} in {all}"))
        .to_owned()
}

/// How many scripts ran.
pub(crate) fn scripts(server: &RedisServer) -> u64 {
    let told = told(server, "commandstats", "cmdstat_evalsha");
    let calls = told.split(',').find_map(|part| part.strip_prefix("calls="));
    calls
        .and_then(|calls| calls.parse().ok())
        .expect("a number")
}

/// For how long the server had a core, whoever else wanted it.
pub(crate) fn busy(server: &RedisServer) -> Duration {
    ["used_cpu_user", "used_cpu_sys"]
        .iter()
        .map(|name| told(server, "cpu", name).parse().expect("seconds"))
        .map(Duration::from_secs_f64)
        .sum()
}

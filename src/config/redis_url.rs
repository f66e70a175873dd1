//! A Redis URL whose form is checked, and whose password is never shown.

use std::fmt;
use std::net::IpAddr;

use crate::endpoint::SOCKET_PATH_BYTES_MAX;

/// The longest URL, in bytes.
const URL_BYTES_MAX: usize = 2_048;
/// Shown in place of a password.
const HIDDEN: &str = "***";

/// Where a Redis is, and how to log in there. Showing it hides the password.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl(Box<str>);

impl RedisUrl {
    /// Takes `redis://[user[:password]@]host[:port][/database]`, `rediss://` for TLS, or
    /// `redis+unix:///socket`, with `protocol=2` or `3` behind a `?`, and for a socket also `db`, `user`
    /// and `pass`; `valkey` in place of `redis` means the same.
    ///
    /// # Errors
    /// What is wrong, in words that hold no part of the URL: any part may hold the password.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > URL_BYTES_MAX {
            return Err(format!("has more than {URL_BYTES_MAX} bytes"));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(
                "holds a space or a letter beyond ASCII; write it as %20 and the like".into(),
            );
        }
        let (scheme, rest) = text.split_once("://").unwrap_or((text, ""));
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        match scheme {
            "redis" | "valkey" | "rediss" | "valkeys" => {
                check_tcp(rest, query)?;
                check_query(query, &["protocol"])?;
            }
            "redis+unix" | "valkey+unix" | "unix" => {
                check_socket(rest)?;
                check_query(query, &["protocol", "db", "user", "pass"])?;
            }
            _ => {
                return Err("must be embedded, or a URL such as redis://127.0.0.1:6379/0".into());
            }
        }
        Ok(Self(text.into()))
    }

    /// Whether it asks for TLS.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.0.starts_with("rediss:") || self.0.starts_with("valkeys:")
    }

    /// Whether it names a socket of this machine.
    #[must_use]
    pub fn is_socket(&self) -> bool {
        self.0
            .split("://")
            .next()
            .is_some_and(|scheme| scheme.ends_with("unix"))
    }

    /// Whether it holds a password.
    #[must_use]
    pub fn has_password(&self) -> bool {
        self.to_string().contains(HIDDEN)
    }

    /// The same place without user and password.
    #[must_use]
    pub fn without_login(&self) -> Self {
        let (scheme, rest) = self.0.split_once("://").unwrap_or(("", &self.0));
        let (authority, after) = match rest.find(['/', '?']) {
            Some(end) => rest.split_at(end),
            None => (rest, ""),
        };
        let (_, address) = authority.rsplit_once('@').unwrap_or(("", authority));
        Self(format!("{scheme}://{address}{after}").into())
    }

    /// The number of the database that it names; 0 if it names none.
    #[must_use]
    pub fn database(&self) -> u32 {
        let (_, rest) = self.0.split_once("://").unwrap_or(("", &self.0));
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let of_query = query.split('&').find_map(|pair| pair.strip_prefix("db="));
        let of_path = (!self.is_socket()).then(|| rest.split_once('/')).flatten();
        let text = of_query.or(of_path.map(|(_, database)| database));
        text.and_then(number).unwrap_or(0)
    }

    /// The URL with its password: for the connection, not for logs.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.0
    }
}

fn check_tcp(rest: &str, query: &str) -> Result<(), String> {
    let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
    let (login, address) = authority.rsplit_once('@').unwrap_or(("", authority));
    if login.contains(['@', '#']) || database.contains('@') || query.contains('@') {
        return Err(
            "the password holds a letter that means something else in a URL; write %40 for @, \
             %2F for /, %3F for ? and %23 for #"
                .into(),
        );
    }
    check_escapes(login)?;
    let (host, port) = host_and_port(address)?;
    if host.is_empty() {
        return Err("names no host; write redis://host:6379/0".into());
    }
    if host.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified()) {
        return Err("names every address (0.0.0.0 or ::); name the one that Redis has".into());
    }
    if port.is_some_and(|port| !matches!(number(port), Some(1..=65_535))) {
        return Err("the port must be a number from 1 to 65535".into());
    }
    check_database(database)
}

fn host_and_port(address: &str) -> Result<(&str, Option<&str>), String> {
    if let Some(rest) = address.strip_prefix('[') {
        let (host, port) = rest.split_once(']').unwrap_or((rest, "?"));
        let port = match port {
            "" => None,
            port => Some(
                port.strip_prefix(':')
                    .ok_or("the address must be as [::1]:6379")?,
            ),
        };
        if !host.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv6()) {
            return Err("the address in brackets must be an IPv6 address".into());
        }
        return Ok((host, port));
    }
    let (host, port) = match address.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (address, None),
    };
    let in_a_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    if !host.bytes().all(in_a_name) {
        return Err("the host must be a name or an IP address, IPv6 in brackets".into());
    }
    Ok((host, port))
}

fn check_socket(path: &str) -> Result<(), String> {
    if !path.starts_with('/') || path.ends_with('/') {
        return Err("names no socket; write redis+unix:///path/to/socket".into());
    }
    if path.len() > SOCKET_PATH_BYTES_MAX {
        return Err(format!(
            "the path has {} bytes; a Unix socket's may have {SOCKET_PATH_BYTES_MAX}",
            path.len()
        ));
    }
    check_escapes(path)
}

fn check_query(query: &str, known: &[&str]) -> Result<(), String> {
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        match name {
            _ if !known.contains(&name) => {
                return Err(format!("only {} may stand behind the ?", known.join(", ")));
            }
            "protocol" if !matches!(value, "2" | "3" | "resp2" | "resp3") => {
                return Err("protocol must be 2 or 3".into());
            }
            "db" => check_database(value)?,
            _ => check_escapes(value)?,
        }
    }
    Ok(())
}

fn check_database(database: &str) -> Result<(), String> {
    if database.is_empty() || number(database).is_some() {
        return Ok(());
    }
    Err("the database must be a number, as in redis://127.0.0.1:6379/0".into())
}

fn check_escapes(text: &str) -> Result<(), String> {
    let escapes = text.split('%').skip(1).map(str::as_bytes);
    let hexadecimal = |rest: &[u8]| rest.len() >= 2 && rest[..2].iter().all(u8::is_ascii_hexdigit);
    if escapes.into_iter().all(hexadecimal) {
        return Ok(());
    }
    Err("holds a % without two hexadecimal digits; write %25 for a % itself".into())
}

fn number(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

impl fmt::Display for RedisUrl {
    /// The URL without its password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, rest) = self.0.split_once("://").unwrap_or(("", &self.0));
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        write!(f, "{scheme}://")?;
        match rest.rsplit_once('@') {
            None => f.write_str(rest)?,
            Some((login, address)) => match login.split_once(':') {
                None => write!(f, "{login}@{address}")?,
                Some((user, _)) => write!(f, "{user}:{HIDDEN}@{address}")?,
            },
        }
        let mut before = '?';
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("pass", _)) => write!(f, "{before}pass={HIDDEN}")?,
                _ => write!(f, "{before}{pair}")?,
            }
            before = '&';
        }
        Ok(())
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::RedisUrl;

    #[test]
    fn what_connects_is_taken_and_shown_without_its_password() {
        for (text, shown) in [
            ("redis://127.0.0.1", "redis://127.0.0.1"),
            ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
            ("valkey://[::1]:6379/", "valkey://[::1]:6379/"),
            ("redis://[::1]", "redis://[::1]"),
            (
                "redis://redis.default.svc:6379/15?protocol=3",
                "redis://redis.default.svc:6379/15?protocol=3",
            ),
            ("redis://me@host", "redis://me@host"),
            ("rediss://:secret@host:1/2", "rediss://:***@host:1/2"),
            ("valkeys://host", "valkeys://host"),
            ("redis://me:s%40cret@host/1", "redis://me:***@host/1"),
            ("redis://:a:b@host", "redis://:***@host"),
            (
                "redis+unix:///run/redis.sock",
                "redis+unix:///run/redis.sock",
            ),
            (
                "unix:///r.sock?db=2&pass=secret&user=me",
                "unix:///r.sock?db=2&pass=***&user=me",
            ),
        ] {
            let url = RedisUrl::parse(text).expect(text);
            assert_eq!(url.to_string(), shown);
            assert_eq!(format!("{url:?}"), format!("RedisUrl({shown})"));
            assert_eq!(url.secret(), text);
        }
    }

    #[test]
    fn what_a_url_says_is_found_in_it() {
        for (text, database, is_tls, has_password) in [
            ("redis://h", 0, false, false),
            ("redis://u:p@h:1/12?protocol=3", 12, false, true),
            ("rediss://:p@h/3", 3, true, true),
            ("unix:///a/7/s?db=2&pass=x", 2, false, true),
            ("unix:///a/7", 0, false, false),
        ] {
            let url = RedisUrl::parse(text).expect(text);
            let found = (url.database(), url.is_tls(), url.has_password());
            assert_eq!(found, (database, is_tls, has_password), "{text}");
        }
    }

    #[test]
    fn what_cannot_connect_is_refused_without_repeating_it() {
        for (text, hint) in [
            ("", "must be embedded, or a URL"),
            ("Embedded", "must be embedded, or a URL"),
            ("http://secret", "must be embedded, or a URL"),
            ("redis:secret", "must be embedded, or a URL"),
            ("rediss://:secret@host?insecure=1", "only protocol may"),
            ("rediss://host/#insecure", "database"),
            ("redis://", "names no host"),
            ("redis://:secret@:6379", "names no host"),
            ("redis://0.0.0.0", "every address"),
            ("redis://[::]:1", "every address"),
            ("redis://[::1", "as [::1]:6379"),
            ("redis://[::1]6379", "as [::1]:6379"),
            ("redis://[host]:1", "IPv6"),
            ("redis://::1:6379", "names no host"),
            ("redis://ho#st", "the host must be"),
            ("redis://host:0", "port"),
            ("redis://host:65536", "port"),
            ("redis://host:secret", "port"),
            ("redis://:sec/ret@host", "%40 for @"),
            ("redis://:sec@ret@host", "%40 for @"),
            ("redis://:sec?ret@host", "%40 for @"),
            ("redis://:sec#ret@host", "%40 for @"),
            ("redis://:100%secret@host", "%25"),
            ("redis://host/secret", "database"),
            ("redis://host/0/1", "database"),
            ("redis://host?db=1", "only protocol may"),
            ("redis://host?protocol=4", "2 or 3"),
            ("redis://host secret", "space"),
            ("redis+unix://", "names no socket"),
            ("redis+unix://relative", "names no socket"),
            ("unix:///r.sock?secret=1", "only protocol, db, user, pass"),
            ("unix:///r.sock?db=x", "database"),
        ] {
            let problem = RedisUrl::parse(text).expect_err(text);
            assert!(problem.contains(hint), "{text:?}: {problem}");
            assert!(!problem.contains("secret"), "{text:?}: {problem}");
        }
    }
}

//! Where one Redis is, and how to log in there.

use std::fmt;
use std::path::PathBuf;

use redis::{ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo};

use crate::config::{Login, Password, RedisUrl};
use crate::store::StoreFault;

/// The most bytes of a file that holds a password.
const PASSWORD_BYTES_MAX: usize = 4096;

/// One Redis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) host: Host,
    pub(super) is_tls: bool,
}

/// What is connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Host {
    /// A name or an IP address, and a port.
    Tcp(String, u16),
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Host::Tcp(host, port) => write!(f, "{host}:{port}"),
            Host::Unix(path) => path.display().fmt(f),
        }
    }
}

/// Who logs in, and what they ask for: what a URL says, and before it what is said beside.
#[derive(Clone)]
pub(super) struct Credentials {
    info: RedisConnectionInfo,
    login: Login,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.login.fmt(f)
    }
}

impl Credentials {
    /// With the number of the database replaced: Sentinels have none but 0.
    pub(super) fn of_database(mut self, number: u32) -> Self {
        self.info = self.info.set_db(number.into());
        self
    }

    /// As the client library takes them. A file is read anew each time: who changes a password needs no restart.
    pub(super) fn read(&self) -> Result<RedisConnectionInfo, StoreFault> {
        let mut info = self.info.clone();
        if let Some(user) = &self.login.username {
            info = info.set_username(user);
        }
        match &self.login.password {
            None => {}
            Some(Password::Text(text)) => info = info.set_password(text),
            Some(Password::File(path)) => {
                let wrong = |why: &dyn fmt::Display| {
                    StoreFault::Away(format!("the password file {}: {why}", path.display()))
                };
                let text = std::fs::read_to_string(path);
                let text = text.map_err(|error| wrong(&error))?;
                let word = text.trim_end_matches(['\r', '\n']);
                if word.is_empty() || word.len() > PASSWORD_BYTES_MAX {
                    return Err(wrong(&format!(
                        "must hold 1 to {PASSWORD_BYTES_MAX} bytes, and has {}",
                        word.len()
                    )));
                }
                info = info.set_password(word);
            }
        }
        Ok(info)
    }
}

/// Takes a URL apart; `login` goes before what it says.
pub(super) fn of(url: &RedisUrl, login: &Login) -> Result<(Address, Credentials), StoreFault> {
    let unusable = || StoreFault::Unusable(format!("store.url: {url} is no Redis address"));
    // TLS is ours: the library's own takes neither another name nor files that change.
    let plain =
        url.secret()
            .replacen("rediss://", "redis://", 1)
            .replacen("valkeys://", "valkey://", 1);
    // The library's own words may repeat the address with its password.
    let info = plain
        .as_str()
        .into_connection_info()
        .map_err(|_| unusable())?;
    let host = match info.addr() {
        ConnectionAddr::Unix(path) => Host::Unix(path.clone()),
        ConnectionAddr::Tcp(host, port) => Host::Tcp(host.clone(), *port),
        _ => return Err(unusable()),
    };
    let address = Address {
        host,
        is_tls: url.is_tls(),
    };
    let credentials = Credentials {
        info: info.redis_settings().clone(),
        login: login.clone(),
    };
    Ok((address, credentials))
}

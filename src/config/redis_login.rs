//! How to log in at a Redis, and what TLS to it needs: from files and the environment.

use std::path::PathBuf;

use super::finding::Findings;
use super::scalar::Read;
use super::settings::{Login, Password, RedisTls};
use super::sources::Environment;
use super::value::Section;
use super::words::shown;

/// The longest user name and password, in bytes.
const LOGIN_BYTES_MAX: usize = 512;
/// The longest name of a server: a name of DNS.
const NAME_BYTES_MAX: usize = 253;

const TLS_KEYS: [&str; 4] = ["ca_file", "cert_file", "key_file", "server_name"];

/// Where the two halves of a login are written.
pub(super) struct LoginKeys {
    pub username: &'static str,
    pub password_file: &'static str,
    /// The environment's variable with the password itself.
    pub variable: &'static str,
}

/// For the Redis that holds the ledger.
pub(super) const OF_REDIS: LoginKeys = LoginKeys {
    username: "username",
    password_file: "password_file",
    variable: "IMQUOTA_REDIS_PASSWORD",
};
/// For Sentinels.
pub(super) const OF_SENTINELS: LoginKeys = LoginKeys {
    username: "sentinel_username",
    password_file: "sentinel_password_file",
    variable: "IMQUOTA_SENTINEL_PASSWORD",
};

impl LoginKeys {
    /// The login; the environment's password goes before the file's.
    pub fn read(
        &self,
        environment: &Environment,
        file: Option<Section<'_>>,
        findings: &mut Findings,
    ) -> Login {
        let mut login = Login::default();
        if let Some(file) = file {
            if let Some(value) = file.given(self.username) {
                login.username = value.read(findings, "text", word);
            }
            if let Some(value) = file.given(self.password_file) {
                let path = value.read(findings, "the path of a file", path);
                login.password = path.map(Password::File);
            }
        }
        if let Some(text) = environment.text(self.variable, findings) {
            login.password = Some(Password::Text(text.into()));
        }
        login
    }
}

/// The files for TLS. Whether they can be read is found out when they are: they may be mounted later.
pub(super) fn tls(file: Option<Section<'_>>, findings: &mut Findings) -> RedisTls {
    let mut files = RedisTls::default();
    let Some(value) = file.as_ref().and_then(|file| file.given("tls")) else {
        return files;
    };
    let Some(section) = value.section(findings, &TLS_KEYS) else {
        return files;
    };
    let mut file_of = |key| {
        let value = section.given(key)?;
        value.read(findings, "the path of a file", path)
    };
    files.ca_file = file_of("ca_file");
    let (cert, key) = (file_of("cert_file"), file_of("key_file"));
    match (section.given("cert_file"), section.given("key_file")) {
        (Some(given), None) => given.fault(findings, "needs key_file beside it"),
        (None, Some(given)) => given.fault(findings, "needs cert_file beside it"),
        _ => files.identity = cert.zip(key),
    }
    if let Some(value) = section.given("server_name") {
        files.server_name = value.read(findings, "a name", server_name);
    }
    files
}

fn word(text: &str) -> Read<Box<str>> {
    if (1..=LOGIN_BYTES_MAX).contains(&text.len()) && !text.contains(char::is_whitespace) {
        return Ok(text.into());
    }
    Err(format!(
        "must be 1 to {LOGIN_BYTES_MAX} bytes without a space, not {}",
        shown(text)
    ))
}

fn path(text: &str) -> Read<PathBuf> {
    if text.starts_with('/') {
        return Ok(text.into());
    }
    Err(format!(
        "must be the whole path of a file, from / on, not {}",
        shown(text)
    ))
}

fn server_name(text: &str) -> Read<Box<str>> {
    let in_a_name = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte);
    if (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(in_a_name) {
        return Ok(text.into());
    }
    Err(format!(
        "must be a name or an IP address as a certificate has it, not {}",
        shown(text)
    ))
}

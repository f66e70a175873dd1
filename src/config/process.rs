//! The process itself: its name, its threads, its log, its folder.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use super::finding::{Findings, Place};
use super::layered::Layered;
use super::scalar::{self, Read};
use super::settings::{ByDefault, LogFormat};
use super::sources::{Environment, Flags, Host};
use super::value::Section;
use super::words::shown;
use super::{MEMBER_BYTES_MAX, WORKERS_MAX};

/// The folder that is made in the user's folder for data.
const DATA_FOLDER: &str = "imquota";

const DATA_DIR: Layered = Layered {
    key: "data_dir",
    flag: "--data-dir",
    variable: "IMQUOTA_DATA_DIR",
};
const MEMBER: Layered = Layered {
    key: "member",
    flag: "--member",
    variable: "IMQUOTA_MEMBER",
};
const WORKERS: Layered = Layered {
    key: "workers",
    flag: "--workers",
    variable: "IMQUOTA_WORKERS",
};
const LOG_FORMAT: Layered = Layered {
    key: "log_format",
    flag: "--log-format",
    variable: "IMQUOTA_LOG_FORMAT",
};

/// What [`read`] finds.
pub(super) struct Process {
    pub data_dir: PathBuf,
    pub member: Arc<str>,
    pub workers: NonZeroUsize,
    pub log_format: LogFormat,
    pub by_default: ByDefault,
}

/// The process' settings; where nobody chose, what the host offers.
pub(super) fn read(
    flags: &Flags,
    environment: &Environment,
    host: &Host,
    file: Option<Section<'_>>,
    findings: &mut Findings,
) -> Process {
    let data_dir = DATA_DIR
        .choose(
            flags.data_dir.as_deref(),
            environment,
            file,
            findings,
            folder,
        )
        .map(|chosen| chosen.value);
    let member = MEMBER
        .choose(flags.member.as_deref(), environment, file, findings, member)
        .map(|chosen| chosen.value);
    let workers = WORKERS
        .choose(
            flags.workers.as_deref(),
            environment,
            file,
            findings,
            workers,
        )
        .map(|chosen| chosen.value);
    let log_format = LOG_FORMAT
        .choose(
            flags.log_format.as_deref(),
            environment,
            file,
            findings,
            log_format,
        )
        .map(|chosen| chosen.value);
    let by_default = ByDefault {
        data_dir: data_dir.is_none(),
        member: member.is_none(),
        workers: workers.is_none(),
    };
    Process {
        data_dir: data_dir.unwrap_or_else(|| default_folder(host, findings)),
        member: member.unwrap_or_else(|| host_name(host, findings)),
        workers: workers.unwrap_or(host.cores),
        log_format: log_format.unwrap_or(LogFormat::Text),
        by_default,
    }
}

fn folder(text: &str) -> Read<PathBuf> {
    if text.is_empty() || text.contains('\0') {
        return Err("must be the path of a folder".into());
    }
    if text.starts_with('~') {
        return Err(format!(
            "~ is not expanded here; write the whole path, not {}",
            shown(text)
        ));
    }
    Ok(text.into())
}

fn default_folder(host: &Host, findings: &mut Findings) -> PathBuf {
    host.data_home.as_ref().map_or_else(
        || {
            let text = "there is no home folder to keep data in; name a folder with --data-dir";
            findings.fault(Place::Default, DATA_DIR.key, text);
            PathBuf::new()
        },
        |home| home.join(DATA_FOLDER),
    )
}

fn member(text: &str) -> Read<Arc<str>> {
    let in_a_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    if (1..=MEMBER_BYTES_MAX).contains(&text.len()) && text.bytes().all(in_a_name) {
        return Ok(text.into());
    }
    Err(format!(
        "must be 1 to {MEMBER_BYTES_MAX} letters, digits, dots, dashes or underscores, not {}",
        shown(text)
    ))
}

fn host_name(host: &Host, findings: &mut Findings) -> Arc<str> {
    let name = host.name.as_deref().unwrap_or_default();
    member(name).unwrap_or_else(|problem| {
        let text = format!("the host's name cannot serve: it {problem}; name one with --member");
        findings.fault(Place::Default, MEMBER.key, text);
        "".into()
    })
}

fn workers(text: &str) -> Read<NonZeroUsize> {
    let number = scalar::whole(text, 1, WORKERS_MAX as u64)?;
    // At least 1 by the line above, and small.
    Ok(usize::try_from(number)
        .ok()
        .and_then(NonZeroUsize::new)
        .unwrap_or(NonZeroUsize::MIN))
}

fn log_format(text: &str) -> Read<LogFormat> {
    scalar::one_of(
        text,
        &[("text", LogFormat::Text), ("json", LogFormat::Json)],
    )
}

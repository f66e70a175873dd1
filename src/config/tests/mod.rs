//! The settings as a whole: what is understood, what wins, what is refused and where.

mod auth;
mod bounds;
mod connections;
mod faults;
mod outage;
mod precedence;
mod tls;
mod understood;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use super::{Environment, Faults, Flags, Host, Settings, of_text};

fn host() -> Host {
    Host {
        name: Some("host-1".into()),
        cores: NonZeroUsize::MIN,
        data_home: Some("/home/u/.local/share".into()),
    }
}

/// Reads `text` as the file `f.yaml`, with nothing beside it.
fn read(text: &str) -> Result<Settings, Faults> {
    let name: Arc<str> = "f.yaml".into();
    let (flags, environment) = (Flags::default(), Environment::default());
    of_text(&name, text, &flags, &environment, &host())
}

/// The faults of `text`, a line each; none if it has none.
fn faults(text: &str) -> Vec<String> {
    match read(text) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.to_string().lines().map(Into::into).collect(),
    }
}

/// A file of the repository.
fn in_repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

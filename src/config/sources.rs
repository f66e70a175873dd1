//! Where settings come from beside the file.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use super::finding::{Findings, Place};

/// The flags of `serve`, as they were written. `None` (or an empty list): not given.
///
/// No `Debug`, here and in [`Environment`]: a store's URL may hold a password.
#[derive(Clone, Default)]
pub struct Flags {
    /// `--config`.
    pub config: Option<PathBuf>,
    /// `--listen`, each one.
    pub listen: Vec<String>,
    /// `--store`.
    pub store: Option<String>,
    /// `--data-dir`.
    pub data_dir: Option<String>,
    /// `--admin-listen`.
    pub admin_listen: Option<String>,
    /// `--http-listen`.
    pub http_listen: Option<String>,
    /// `--member`.
    pub member: Option<String>,
    /// `--workers`.
    pub workers: Option<String>,
    /// `--log-format`.
    pub log_format: Option<String>,
}

/// The environment, handed in: nothing here reads it. A variable that is empty is as good as none.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<OsString, OsString>);

impl FromIterator<(OsString, OsString)> for Environment {
    fn from_iter<I: IntoIterator<Item = (OsString, OsString)>>(variables: I) -> Self {
        let given = variables.into_iter().filter(|(_, value)| !value.is_empty());
        Self(given.collect())
    }
}

impl Environment {
    pub(super) fn raw(&self, name: &str) -> Option<&OsString> {
        self.0.get(std::ffi::OsStr::new(name))
    }

    /// What it says of some variables alone.
    pub(super) fn only(&self, names: &[&str]) -> Self {
        let given = names.iter().filter_map(|name| {
            let name = OsString::from(name);
            Some((name.clone(), self.0.get(&name)?.clone()))
        });
        Self(given.collect())
    }

    /// Whether the variable is given.
    pub(super) fn has(&self, name: &str) -> bool {
        self.raw(name).is_some()
    }

    pub(super) fn text(&self, name: &'static str, findings: &mut Findings) -> Option<&str> {
        let value = self.raw(name)?;
        if value.to_str().is_none() {
            findings.fault(Place::Variable(name), "", "must be text in UTF-8");
        }
        value.to_str()
    }
}

/// What the machine offers where nobody chose.
#[derive(Debug, Clone)]
pub struct Host {
    /// The host's name, for `member`.
    pub name: Option<String>,
    /// How many cores the process may use, for `workers`.
    pub cores: NonZeroUsize,
    /// The user's folder for data, for `data_dir`: `imquota` is made within it.
    pub data_home: Option<PathBuf>,
}

impl Host {
    /// This machine. The folder for data is `$XDG_DATA_HOME`, or `~/.local/share` where that is not
    /// set or relative, as the XDG Base Directory Specification has it.
    #[must_use]
    pub fn here(environment: &Environment) -> Self {
        let folder = |name| environment.raw(name).map(PathBuf::from);
        let absolute = |path: &PathBuf| path.is_absolute();
        Self {
            name: rustix::system::uname()
                .nodename()
                .to_str()
                .ok()
                .map(Into::into),
            cores: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            data_home: folder("XDG_DATA_HOME").filter(absolute).or_else(|| {
                let home = folder("HOME").filter(absolute)?;
                Some(home.join(".local/share"))
            }),
        }
    }
}

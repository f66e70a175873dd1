//! What is said about the settings: faults, each where it was written, and notices.

use std::fmt;
use std::sync::Arc;

/// The most faults that are kept, and the most notices; what is above is only counted.
pub const FINDINGS_MAX: usize = 1_000;

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A line of the settings file, from 1. Line 0 is the file as a whole.
    File {
        /// The file as the user named it.
        name: Arc<str>,
        /// The line.
        line: u32,
    },
    /// An environment variable.
    Variable(&'static str),
    /// A flag of the command line.
    Flag(&'static str),
    /// Nowhere: a default that cannot be had.
    Default,
}

/// One remark on the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where the value stands.
    pub place: Place,
    /// The key in the settings file, `plans.pro.limits.av_rooms`, also of what a flag or a variable
    /// gave; empty where there is none.
    pub key: String,
    /// What is wrong and what to write instead.
    pub text: String,
}

impl fmt::Display for Finding {
    /// `imquota.yaml:12: plans.pro.limits.av_rooms: must be …`, on one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::File { name, line: 0 } => write!(f, "{name}: ")?,
            Place::File { name, line } => write!(f, "{name}:{line}: ")?,
            Place::Variable(name) | Place::Flag(name) => return write!(f, "{name}: {}", self.text),
            Place::Default => {}
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.text)
    }
}

/// Everything that is wrong with the settings, by line.
#[derive(Debug, PartialEq, Eq)]
pub struct Faults {
    /// At least one, at most [`FINDINGS_MAX`].
    pub list: Vec<Finding>,
    /// How many more there are.
    pub more: usize,
}

impl fmt::Display for Faults {
    /// One fault a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = self.list.iter();
        if let Some(first) = lines.next() {
            first.fmt(f)?;
        }
        for fault in lines {
            write!(f, "\n{fault}")?;
        }
        if self.more > 0 {
            write!(f, "\n… and {} more", self.more)?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// Takes note of what is found while the settings are read.
#[derive(Debug, Default)]
pub(super) struct Findings {
    faults: Vec<Finding>,
    faults_left_out: usize,
    notices: Vec<Finding>,
}

impl Findings {
    /// Takes note of a fault: there will be no settings.
    pub fn fault(&mut self, place: Place, key: impl Into<String>, text: impl Into<String>) {
        if self.faults.len() == FINDINGS_MAX {
            self.faults_left_out += 1;
        } else {
            self.faults.push(Finding {
                place,
                key: key.into(),
                text: text.into(),
            });
        }
    }

    /// Takes note of something that the operator should know and that stops nothing.
    pub fn notice(&mut self, place: Place, key: impl Into<String>, text: impl Into<String>) {
        if self.notices.len() < FINDINGS_MAX {
            self.notices.push(Finding {
                place,
                key: key.into(),
                text: text.into(),
            });
        }
    }

    /// The faults, if there is one, by line; else the notices, by line.
    ///
    /// # Errors
    /// The faults.
    pub fn verdict(mut self) -> Result<Vec<Finding>, Faults> {
        if self.faults.is_empty() {
            self.notices.sort_by(|a, b| a.place.cmp(&b.place));
            return Ok(self.notices);
        }
        self.faults.sort_by(|a, b| a.place.cmp(&b.place));
        Err(Faults {
            list: self.faults,
            more: self.faults_left_out,
        })
    }
}

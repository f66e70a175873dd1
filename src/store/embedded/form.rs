//! An app in memory: open, or at rest as the row that the file would have of it. Far more apps are met
//! than are counted in at a time, and a row takes a fifth of the place.

use std::borrow::Cow;
use std::ops::{Deref, DerefMut};

use super::app::App;
use super::format;
use crate::clock::Day;

/// One app's counts.
#[derive(Debug)]
pub(super) enum Form {
    /// To be read and changed.
    Open(Box<App>),
    /// As a row.
    AtRest(Box<[u8]>),
}

impl Form {
    /// An app that is about to be asked for.
    pub(super) fn of(app: App) -> Self {
        Self::Open(Box::new(app))
    }

    /// Opens it.
    pub(super) fn open(&mut self) {
        if let Self::AtRest(row) = self {
            *self = Self::of(read(row));
        }
    }

    /// Puts it to rest.
    pub(super) fn rest(&mut self) {
        if let Self::Open(app) = self {
            // No day is left out: the history may not have it yet.
            *self = Self::AtRest(format::write_app(app, Day::EPOCH).into());
        }
    }

    /// The counts, as they are.
    pub(super) fn look(&self) -> Cow<'_, App> {
        match self {
            Self::Open(app) => Cow::Borrowed(app),
            Self::AtRest(row) => Cow::Owned(read(row)),
        }
    }
}

/// Whoever reaches an app through its shard's [`Apps`](super::apps::Apps) finds it open.
impl Deref for Form {
    type Target = App;

    fn deref(&self) -> &App {
        match self {
            Self::Open(app) => app,
            Self::AtRest(_) => unreachable!("it was opened when it was asked for"),
        }
    }
}

impl DerefMut for Form {
    fn deref_mut(&mut self) -> &mut App {
        match self {
            Self::Open(app) => app,
            Self::AtRest(_) => unreachable!("it was opened when it was asked for"),
        }
    }
}

fn read(row: &[u8]) -> App {
    // It was written in this process, by the same form.
    format::read_app(row).expect("a row that this process wrote")
}

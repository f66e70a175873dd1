//! Which rules each app lives under just now: the settings file's word first, then what operators registered
//! in the ledger, then what holds for apps that nobody names. Both may change while checks go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use dashmap::DashMap;
use rustc_hash::FxBuildHasher;

use super::generation::Generations;
use crate::quota::{AppId, AppRules, Registered, Rulebook};

/// All rules.
#[derive(Debug)]
pub struct Rules {
    file: ArcSwap<Rulebook>,
    registered: DashMap<AppId, Arc<Registered>, FxBuildHasher>,
    /// Whether the register was ever read whole: else an app that is not known here may be there.
    heard: AtomicBool,
    generations: Generations,
}

/// What is known of an app.
#[derive(Debug, Clone)]
pub enum Standing {
    /// It lives under these rules.
    Known(Arc<AppRules>),
    /// It lived under these, and was deleted: what it still owes is settled.
    Deleted(Arc<AppRules>),
    /// Nobody names it.
    Unknown,
}

impl Standing {
    /// The rules of an app that may create.
    pub fn known(self) -> Option<Arc<AppRules>> {
        match self {
            Self::Known(rules) => Some(rules),
            Self::Deleted(_) | Self::Unknown => None,
        }
    }
}

impl Rules {
    /// What a settings file says, and nothing registered yet.
    pub fn new(file: Rulebook) -> Self {
        Self {
            file: ArcSwap::from_pointee(file),
            registered: DashMap::default(),
            heard: AtomicBool::new(false),
            generations: Generations::default(),
        }
    }

    /// What the settings file says.
    pub fn file(&self) -> Arc<Rulebook> {
        self.file.load_full()
    }

    /// Which settings are in force, and since when.
    pub fn generations(&self) -> &Generations {
        &self.generations
    }

    /// From now on goes by another file.
    pub fn go_by(&self, file: Rulebook) {
        self.file.store(Arc::new(file));
    }

    /// What is known of `app`.
    pub fn of(&self, app: AppId) -> Standing {
        let file = self.file.load();
        let registered = self.registered(app);
        let registered = registered.filter(|_| !file.apps.contains_key(&app));
        let Some(registered) = registered else {
            let rules = file.of(app).cloned();
            return rules.map_or(Standing::Unknown, Standing::Known);
        };
        let rules = file.of_spec(&registered.spec, registered.version);
        match rules.map(Arc::new) {
            Some(rules) if registered.deleted => Standing::Deleted(rules),
            Some(rules) => Standing::Known(rules),
            // What it may create nobody here can say.
            None => Standing::Unknown,
        }
    }

    /// An app's registration, deleted or not.
    pub fn registered(&self, app: AppId) -> Option<Arc<Registered>> {
        self.registered.get(&app).map(|of| of.clone())
    }

    /// All registrations, deleted or not, in no order.
    pub fn all_registered(&self) -> Vec<Arc<Registered>> {
        self.registered.iter().map(|of| of.clone()).collect()
    }

    /// Takes a registration, if it is news. Whether it is.
    pub fn learn(&self, registered: Registered) -> bool {
        let (app, version) = (registered.app, registered.version);
        let mut news = true;
        let new = Arc::new(registered);
        self.registered
            .entry(app)
            .and_modify(|known| {
                news = version > known.version;
                if news {
                    *known = new.clone();
                }
            })
            .or_insert_with(|| new.clone());
        news
    }

    /// Takes note that the register was read whole.
    pub fn heard(&self) {
        self.heard.store(true, Ordering::Release);
    }

    /// Whether it ever was.
    pub fn is_heard(&self) -> bool {
        self.heard.load(Ordering::Acquire)
    }
}

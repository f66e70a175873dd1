//! The objects of one shard's apps, by number: which of them are counted, and as what.
//!
//! They lie in the file, a row for each, and are looked up there: memory has those alone that a step
//! looked at or changed since the last checkpoint, FIGURES. A checkpoint writes what changed, in the order of
//! its rows. So a million objects of an app cost no memory, no time at the start and none at its first touch.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::file::LedgerFile;
use crate::quota::{AppId, ObjectNumber, Resource};
use crate::store::StoreFault;

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Account,
    Group,
    /// An AV room that counts as no group.
    Room,
    RoomAndGroup,
}

/// Every kind, each at the place that the file has for it.
pub(super) const KINDS: [Kind; 4] = [Kind::Account, Kind::Group, Kind::Room, Kind::RoomAndGroup];

impl Kind {
    /// What gateways call it.
    pub(super) fn resource(self) -> Resource {
        match self {
            Self::Account => Resource::Account,
            Self::Group => Resource::Group,
            Self::Room | Self::RoomAndGroup => Resource::AvRoom,
        }
    }

    /// What an object of `resource` is of which nothing more is known. Rooms are groups by default.
    pub(super) fn of(resource: Resource) -> Self {
        match resource {
            Resource::Account => Self::Account,
            Resource::Group => Self::Group,
            Resource::AvRoom => Self::RoomAndGroup,
        }
    }
}

/// What is known of an object's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// It is counted.
    Counted(Kind),
    /// It is not: a release that named it took one of those that nobody had named. Valid as long as the
    /// app's number of tombstones is this.
    Tomb(u32),
    /// Nothing.
    Nowhere,
}

/// A place, and whether the file may lack it.
#[derive(Debug, Clone, Copy)]
struct Resident {
    place: Place,
    changed: bool,
}

/// A key of the layers, and of the file.
pub(super) type Name = (AppId, ObjectNumber);

/// What changed since a snapshot.
#[derive(Debug, Clone, Default)]
pub(super) struct Layer(FxHashMap<Name, Resident>);

impl Layer {
    /// The places that the file may lack, in the order of its rows.
    pub(super) fn rows(&self) -> Vec<(Name, Place)> {
        let changed = self.0.iter().filter(|(_, resident)| resident.changed);
        let mut rows: Vec<_> = changed.map(|(name, at)| (*name, at.place)).collect();
        rows.sort_unstable_by_key(|(name, _)| *name);
        rows
    }
}

/// The objects of one shard.
#[derive(Default)]
pub(super) struct Objects {
    live: Layer,
    /// What a checkpoint is writing.
    frozen: Arc<Layer>,
}

impl Objects {
    /// What is known of an object. `tombs` is the number of its app's tombstones; `None`: it has none.
    /// Whatever a step will [`set`](Objects::set) it looks at first, before any count moves.
    pub(super) fn find(
        &mut self,
        file: &LedgerFile,
        name: Name,
        tombs: Option<u32>,
    ) -> Result<Place, StoreFault> {
        if let Some(there) = self.live.0.get(&name) {
            return Ok(valid(there.place, tombs));
        }
        let place = self.look(file, name, tombs)?;
        let changed = false;
        self.live.0.insert(name, Resident { place, changed });
        Ok(place)
    }

    /// As [`Objects::find`], for who changes nothing.
    pub(super) fn look(
        &self,
        file: &LedgerFile,
        name: Name,
        tombs: Option<u32>,
    ) -> Result<Place, StoreFault> {
        let there = self.live.0.get(&name).or_else(|| self.frozen.0.get(&name));
        let place = match there {
            Some(there) => there.place,
            None => file.object(name, tombs.is_some())?,
        };
        Ok(valid(place, tombs))
    }

    /// Sets what is known of an object.
    pub(super) fn set(&mut self, name: Name, place: Place) {
        let changed = true;
        self.live.0.insert(name, Resident { place, changed });
    }

    /// Hands out all that was touched since the last snapshot.
    pub(super) fn snapshot(&mut self) -> Arc<Layer> {
        let mut layer = std::mem::take(&mut self.live);
        // Not empty only if the last checkpoint failed: what it had goes with this one.
        for (name, older) in Arc::make_mut(&mut self.frozen).0.drain() {
            layer
                .0
                .entry(name)
                .and_modify(|newer| newer.changed |= older.changed)
                .or_insert(older);
        }
        self.frozen = Arc::new(layer);
        Arc::clone(&self.frozen)
    }

    /// Takes note that the snapshot is in the file, and lets go of it.
    pub(super) fn saved(&mut self) -> Arc<Layer> {
        std::mem::take(&mut self.frozen)
    }
}

fn valid(place: Place, tombs: Option<u32>) -> Place {
    match place {
        Place::Tomb(number) if Some(number) != tombs => Place::Nowhere,
        place => place,
    }
}

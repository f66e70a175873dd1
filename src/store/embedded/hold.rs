//! A reservation, as its record has it, and the list of those that are open.

use std::collections::BTreeSet;

use super::record::{Record, RecordId};
use crate::clock::Millis;
use crate::quota::{AppId, ObjectNumber, RequestId};

/// What a record is as a reservation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reservation {
    /// The id under which it was made, as its client wrote it.
    pub(super) id: RequestId,
    /// The object that was named with it.
    pub(super) object: Option<ObjectNumber>,
    /// When it expires.
    pub(super) until: Millis,
    /// How it was confirmed, or is being.
    pub(super) confirmed: Option<Confirmed>,
}

/// How a reservation was confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Confirmed {
    InTime,
    Late,
    /// Nobody said so: it had expired, and the app's rules have it counted.
    Charged,
}

/// The open reservations of one shard, those of an app together, those first whose time ends first. Each
/// costs some 60 bytes besides its record, which the file may have.
#[derive(Default)]
pub(super) struct OpenHolds(BTreeSet<(AppId, Millis, RecordId)>);

impl OpenHolds {
    /// Takes note of what a record was and is.
    pub(super) fn note(&mut self, id: RecordId, was: Option<&Record>, is: &Record) {
        if let Some(place) = was.and_then(|was| place(id, was)) {
            self.0.remove(&place);
        }
        if let Some(place) = place(id, is) {
            self.0.insert(place);
        }
    }

    /// Takes note of an open reservation that the file has.
    pub(super) fn note_stored(&mut self, id: RecordId, app: AppId, until: Millis) {
        self.0.insert((app, until, id));
    }

    /// The first of an app, at most `most`.
    pub(super) fn first(&self, app: AppId, most: usize) -> Vec<RecordId> {
        let from = (app, Millis(i64::MIN), RecordId::from_number(0));
        let of_app = self.0.range(from..).take_while(|(of, ..)| *of == app);
        of_app.take(most).map(|(.., id)| *id).collect()
    }
}

/// Where a record stands in the list, if it does.
fn place(id: RecordId, record: &Record) -> Option<(AppId, Millis, RecordId)> {
    let reservation = record.reservation.as_ref()?;
    let place = (record.app, reservation.until, id);
    record.is_open().then_some(place)
}

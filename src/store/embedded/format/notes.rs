//! The value of what lies beside a month's counts.

use super::{Reader, Writer};
use crate::clock::Millis;
use crate::store::Correction;
use crate::store::amended::Notes;

/// Writes a month's notes.
pub(in crate::store::embedded) fn write_notes(notes: &Notes) -> Vec<u8> {
    let mut out = Writer::new();
    out.list(notes.too_late.iter(), |out, (day, users)| {
        out.day(*day);
        out.number(*users);
    });
    out.list(notes.corrections.iter(), |out, of| {
        out.day(of.day);
        out.list(of.daily_active.iter(), |out, count| out.number(*count));
        out.list(of.groups.iter(), |out, count| out.number(*count));
        out.signed(of.at.0);
        out.text(&of.why);
    });
    out.number(notes.revision);
    out.0
}

/// Reads what [`write_notes`] wrote.
pub(in crate::store::embedded) fn read_notes(bytes: &[u8]) -> Option<Notes> {
    let mut from = Reader::new(bytes)?;
    let notes = Notes {
        too_late: from.list(|from| Some((from.day()?, from.number()?)))?,
        corrections: from.list(|from| {
            Some(Correction {
                day: from.day()?,
                daily_active: from.list(Reader::number)?.pop(),
                groups: from.list(Reader::number)?.pop(),
                at: Millis(from.signed()?),
                why: from.text()?,
            })
        })?,
        revision: from.number()?,
    };
    from.end(notes)
}

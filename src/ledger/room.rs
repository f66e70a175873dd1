//! How much of what is kept for a ledger that is away still fits.

use super::Ledger;
use super::journal::SEALED_MAX;
use super::logins::PENDING_MAX;
use super::owed::RELEASES_MAX;

/// Where an alarm is raised, in hundredths of the bound.
const ALARM_AT: usize = 80;
/// Where it is forgotten, so that the next crossing raises another; one that stays about the same does not.
const CALM_BELOW: usize = 70;

/// One kind of thing that is kept.
#[derive(Debug, Clone, Copy)]
struct Room {
    what: &'static str,
    kept: usize,
    most: usize,
}

/// Which alarms were raised.
#[derive(Debug, Default)]
pub struct Alarms([bool; 3]);

impl Alarms {
    /// Looks how much is kept, and says aloud what has just come near its bound.
    pub fn look(&mut self, ledger: &Ledger) {
        let rooms = [
            ("journal segments", ledger.journal.sealed(), SEALED_MAX),
            ("releases", ledger.owed.releases_kept(), RELEASES_MAX),
            (
                "users of a ledger shard",
                ledger.logins.most_pending(),
                PENDING_MAX,
            ),
        ];
        for (raised, (what, kept, most)) in self.0.iter_mut().zip(rooms) {
            let room = Room { what, kept, most };
            if room.crosses(raised) {
                tracing::error!(
                    kept = room.what,
                    count = room.kept,
                    bound = room.most,
                    "what waits for the ledger fills the journal to 80 %; at its bound more is refused"
                );
            }
        }
    }
}

impl Room {
    fn crosses(self, raised: &mut bool) -> bool {
        let hundredths = self.kept * 100 / self.most;
        let was = *raised;
        *raised = hundredths >= if was { CALM_BELOW } else { ALARM_AT };
        *raised && !was
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_crossing_is_told_once() {
        let mut raised = false;
        let told = [0, 79, 80, 100, 75, 80, 69, 79, 81].map(|kept| {
            let (what, most) = ("things", 100);
            Room { what, kept, most }.crosses(&mut raised)
        });
        let (no, yes) = (false, true);
        assert_eq!(told, [no, no, yes, no, no, no, no, no, yes]);
    }
}

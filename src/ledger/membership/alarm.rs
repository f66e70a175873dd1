//! Members that are silent for long: somebody has to look after them, or the next recovery waits for them.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::store::Roll;

/// How long a member is silent before somebody is called.
pub const SILENT: Duration = Duration::from_mins(10);
/// How long the ledger already found it to be silent when it says so.
const NOTED_AFTER: Duration = Duration::from_mins(1);

/// Since when each silent member is known to be silent, by the steady clock, and when that was last said.
/// As large as the roll's list.
#[derive(Debug, Default)]
pub struct Alarms(BTreeMap<u64, Alarm>);

#[derive(Debug)]
struct Alarm {
    noted: Duration,
    said: Option<Duration>,
}

/// Looks at a roll at `now`. Says aloud who is silent for [`SILENT`], and again every [`SILENT`].
/// Answers how many that were.
pub fn look(alarms: &mut Alarms, roll: &Roll, now: Duration) -> usize {
    alarms
        .0
        .retain(|member, _| roll.silent.contains_key(member));
    let mut said = 0;
    for member in roll.silent.keys() {
        let Some(name) = roll.present.get(member) else {
            continue; // Gone meanwhile.
        };
        let alarm = alarms.0.entry(*member).or_insert(Alarm {
            noted: now,
            said: None,
        });
        let silent = now.saturating_sub(alarm.noted) + NOTED_AFTER;
        let again = alarm.said.is_none_or(|at| now.saturating_sub(at) >= SILENT);
        if silent >= SILENT && again {
            alarm.said = Some(now);
            said += 1;
            tracing::error!(
                member = %name,
                "a sidecar is silent for 10 minutes or longer: start it again with its data folder; if \
                 that folder is destroyed, run: imquota members retire {name}"
            );
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roll(silent: &[u64]) -> Roll {
        Roll {
            present: [(1, "one".into()), (2, "two".into())].into(),
            silent: silent.iter().map(|member| (*member, 7)).collect(),
            ..Roll::default()
        }
    }

    fn minutes(minutes: u64) -> Duration {
        Duration::from_mins(minutes)
    }

    #[test]
    fn a_silent_member_is_named_after_ten_minutes_and_every_ten_minutes() {
        let mut alarms = Alarms::default();
        let said: Vec<u64> = (0..30)
            .filter(|minute| look(&mut alarms, &roll(&[1]), minutes(*minute)) > 0)
            .collect();
        assert_eq!(said, [9, 19, 29]);
    }

    #[test]
    fn one_that_came_back_is_not_named_before_another_ten_minutes() {
        let mut alarms = Alarms::default();
        assert_eq!(look(&mut alarms, &roll(&[1, 2]), minutes(0)), 0);
        assert_eq!(look(&mut alarms, &roll(&[2]), minutes(8)), 0);
        assert_eq!(look(&mut alarms, &roll(&[1, 2]), minutes(9)), 1);
        assert_eq!(look(&mut alarms, &roll(&[1, 2]), minutes(17)), 0);
        assert_eq!(look(&mut alarms, &roll(&[1, 2]), minutes(18)), 1);
    }

    #[test]
    fn who_is_gone_is_not_named() {
        let mut alarms = Alarms::default();
        assert_eq!(look(&mut alarms, &roll(&[3]), minutes(0)), 0);
        assert_eq!(look(&mut alarms, &roll(&[3]), minutes(60)), 0);
    }
}

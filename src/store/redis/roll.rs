//! The roll as the meta key carries it: a line for each thing that is known of a member.

use std::fmt::Write as _;

use super::answer::unexpected;
use super::meta::read_id;
use super::script::Step;
use crate::store::{Roll, StoreFault};

/// Reads what `roll.lua` wrote.
pub(super) fn read(text: &str, version: u64, news: u64) -> Result<Roll, StoreFault> {
    let mut roll = Roll {
        version,
        news,
        ..Roll::default()
    };
    for line in text.lines() {
        let (kind, rest) = line.split_once(' ').ok_or_else(unexpected)?;
        let (incarnation, more) = rest.split_once(' ').unwrap_or((rest, ""));
        let incarnation = read_id(incarnation)?;
        match kind {
            "p" => drop(roll.present.insert(incarnation, more.into())),
            "g" => drop(roll.gone.insert(incarnation)),
            "s" => {
                let calls = more.parse().map_err(|_| unexpected())?;
                roll.silent.insert(incarnation, calls);
            }
            _ => return Err(unexpected()),
        }
    }
    Ok(roll)
}

/// States a roll to the beat's step.
pub(super) fn state(step: &mut Step, roll: &Roll) {
    step.arg(roll.version).arg(roll.news);
    step.arg(roll.present.len());
    for (incarnation, name) in &roll.present {
        step.arg(format_args!("{incarnation:016x}")).arg(line(name));
    }
    step.arg(roll.gone.len());
    for incarnation in &roll.gone {
        step.arg(format_args!("{incarnation:016x}"));
    }
    step.arg(roll.silent.len());
    for (incarnation, calls) in &roll.silent {
        step.arg(format_args!("{incarnation:016x}")).arg(calls);
    }
}

/// A name as it fits on a line.
pub(super) fn line(name: &str) -> String {
    let mut line = String::with_capacity(name.len());
    for c in name.chars() {
        // Writing to a string cannot fail.
        let _ = line.write_char(if c.is_control() { '?' } else { c });
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_roll_is_read_as_it_was_written() {
        let text = "g 00000000000000ff\np 000000000000000a pod a\np 000000000000000b \ns 000000000000000a 7";
        let roll = read(text, 3, 2).unwrap();
        assert_eq!((roll.version, roll.news), (3, 2));
        assert_eq!(&*roll.present[&10], "pod a");
        assert_eq!(&*roll.present[&11], "");
        assert!(roll.gone.contains(&255));
        assert_eq!(roll.silent[&10], 7);
        assert!(read("z 0", 0, 0).is_err());
        assert_eq!(line("a\nb"), "a?b");
    }
}

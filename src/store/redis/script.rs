//! The server-side steps, and how one is called.

use std::fmt::Display;
use std::io::Write;

use redis::Cmd;

use super::standing::Standing;

/// A script with what it shares with others in front of it.
#[derive(Debug)]
pub(super) struct Script {
    source: String,
    hash: String,
}

impl Script {
    fn new(parts: &[&str]) -> Self {
        let source = parts.concat();
        let hash = redis::Script::new(&source).get_hash().to_owned();
        Self { source, hash }
    }

    /// Gives the server the source, so that the hash is enough from then on.
    pub(super) fn load(&self) -> Cmd {
        let mut cmd = redis::cmd("SCRIPT");
        cmd.arg("LOAD").arg(&self.source);
        cmd
    }

    /// Runs a step by the script's hash.
    pub(super) fn by_hash(&self, step: &Step) -> Cmd {
        step.complete(redis::cmd("EVALSHA"), &self.hash)
    }

    /// Runs a step by the script's source, for a server that has forgotten the hash.
    pub(super) fn by_source(&self, step: &Step) -> Cmd {
        step.complete(redis::cmd("EVAL"), &self.source)
    }
}

/// A script by the names of its parts' files.
macro_rules! script {
    ($($part:ident)+) => {
        Script::new(&[$(include_str!(concat!("scripts/", stringify!($part), ".lua"))),+])
    };
}

/// All scripts.
#[derive(Debug)]
pub(super) struct Scripts {
    pub(super) hello: Script,
    pub(super) mark: Script,
    pub(super) open: Script,
    pub(super) take: Script,
    pub(super) take_object: Script,
    pub(super) end_hold: Script,
    pub(super) release: Script,
    pub(super) release_object: Script,
    pub(super) held: Script,
    pub(super) known: Script,
    pub(super) adopt: Script,
    pub(super) settle: Script,
    pub(super) active: Script,
    pub(super) usage: Script,
    pub(super) history: Script,
    pub(super) beat: Script,
    pub(super) noted: Script,
    pub(super) leave: Script,
    pub(super) recall: Script,
    pub(super) notice: Script,
    pub(super) restate: Script,
    pub(super) bases: Script,
    pub(super) fold: Script,
    pub(super) freeze: Script,
    pub(super) recount: Script,
    pub(super) retired: Script,
    pub(super) bill: Script,
    pub(super) forget_names: Script,
    pub(super) register: Script,
    pub(super) registered: Script,
    pub(super) state_register: Script,
    pub(super) amend: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            hello: script!(hello),
            mark: script!(mark),
            open: script!(open),
            take: script!(guard counts limit record judge take),
            take_object: script!(
                guard counts limit record judge buckets objects hold records asking take_object
            ),
            end_hold: script!(guard counts record buckets objects hold records asking end_hold),
            release: script!(guard counts month record giving release),
            release_object: script!(
                guard counts month record giving buckets objects hold records asking release_object
            ),
            held: script!(guard counts record buckets objects hold held),
            known: script!(guard counts record buckets objects hold known),
            adopt: script!(guard counts record giving buckets objects hold records adopt),
            settle: script!(
                guard counts month plan limit record buckets objects hold records users merge told
                told_hold report grant settle
            ),
            active: script!(guard counts month buckets users active),
            usage: script!(guard counts month users usage),
            history: script!(guard counts month history),
            beat: script!(roll beat),
            noted: script!(roll noted),
            leave: script!(roll leave),
            recall: script!(recall),
            notice: script!(notice),
            restate: script!(
                guard counts month plan record buckets objects hold records users merge told told_hold
                report base restate
            ),
            bases: script!(guard bases),
            fold: script!(guard counts month base fold),
            freeze: script!(guard counts freeze),
            recount: script!(guard counts month base audit recount),
            retired: script!(guard audit retired),
            bill: script!(guard audit bill),
            forget_names: script!(guard forget_names),
            register: script!(guard audit registry register),
            amend: script!(guard counts month audit amend),
            registered: script!(registered),
            state_register: script!(guard registry state_register),
        }
    }

    pub(super) fn all(&self) -> [&Script; 32] {
        [
            &self.hello,
            &self.mark,
            &self.open,
            &self.take,
            &self.take_object,
            &self.end_hold,
            &self.release,
            &self.release_object,
            &self.held,
            &self.known,
            &self.adopt,
            &self.settle,
            &self.active,
            &self.usage,
            &self.history,
            &self.beat,
            &self.noted,
            &self.leave,
            &self.recall,
            &self.notice,
            &self.restate,
            &self.bases,
            &self.fold,
            &self.freeze,
            &self.recount,
            &self.retired,
            &self.bill,
            &self.forget_names,
            &self.register,
            &self.registered,
            &self.state_register,
            &self.amend,
        ]
    }
}

/// A call's keys and arguments.
#[derive(Debug, Default)]
pub(super) struct Step {
    keys: Pieces,
    args: Pieces,
    /// How it stood when the call was composed.
    pub(super) standing: Standing,
}

impl Step {
    /// Appends to KEYS.
    pub(super) fn key(&mut self, key: &str) -> &mut Self {
        self.keys.push(key);
        self
    }

    /// Appends to ARGV.
    pub(super) fn arg(&mut self, arg: impl Display) -> &mut Self {
        self.args.push(arg);
        self
    }

    fn complete(&self, mut cmd: Cmd, script: &str) -> Cmd {
        cmd.arg(script).arg(self.keys.ends.len());
        for piece in self.keys.iter().chain(self.args.iter()) {
            cmd.arg(piece);
        }
        cmd
    }
}

/// Many short strings in one buffer.
#[derive(Debug, Default)]
struct Pieces {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Pieces {
    fn push(&mut self, piece: impl Display) {
        // Writing to a vector cannot fail.
        let _ = write!(self.bytes, "{piece}");
        self.ends.push(self.bytes.len());
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts
            .zip(&self.ends)
            .map(|(start, &end)| &self.bytes[start..end])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{DAYS_KEPT_MONTHS, ID_WINDOW_MS, MONTHS_KEPT, PLANS_MAX};

    #[test]
    fn the_scripts_and_the_trait_mean_the_same_window() {
        let script = include_str!("scripts/record.lua");
        assert!(script.contains(&format!("WINDOW_MS = {ID_WINDOW_MS}\n")));
    }

    #[test]
    fn the_scripts_and_the_trait_keep_the_past_as_long() {
        let script = include_str!("scripts/month.lua");
        let kept = format!("MONTHS_KEPT, LATE_DAYS = {DAYS_KEPT_MONTHS}, {MONTHS_KEPT}, ");
        assert!(script.contains(&kept));
        let script = include_str!("scripts/plan.lua");
        assert!(script.contains(&format!("PLANS_MAX = {PLANS_MAX}\n")));
    }

    #[test]
    fn pieces_come_out_as_they_went_in() {
        let mut pieces = Pieces::default();
        for piece in ["", "a b", "", "\u{1}ff.2"] {
            pieces.push(piece);
        }
        let out: Vec<&[u8]> = pieces.iter().collect();
        assert_eq!(out, [b"".as_slice(), b"a b", b"", b"\x01ff.2"]);
    }
}

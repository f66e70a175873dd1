//! The server-side steps, and how one is called.

use std::fmt::Display;
use std::io::Write;

use redis::Cmd;

use super::keys;
use super::standing::Standing;
use crate::quota::Retention;

/// A script with what it shares with others in front of it.
#[derive(Debug)]
pub(super) struct Script {
    source: String,
    hash: String,
    /// Whether calls name the key that is never there, see [`cluster`](super::cluster).
    is_whole: bool,
}

impl Script {
    fn new(parts: &[&str], of: &Deployment) -> Self {
        let source = [&*of.head, &parts.concat()].concat();
        let hash = redis::Script::new(&source).get_hash().to_owned();
        Self {
            source,
            hash,
            is_whole: of.is_whole,
        }
    }

    /// A call of a source that is asked once, on `key`.
    pub(super) fn plain(source: &str, key: &str) -> Cmd {
        let mut cmd = redis::cmd("EVAL");
        cmd.arg(source).arg(1).arg(key);
        cmd
    }

    /// By which the server knows it.
    pub(super) fn hash(&self) -> &str {
        &self.hash
    }

    /// Gives the server the source, so that the hash is enough from then on.
    pub(super) fn load(&self) -> Cmd {
        let mut cmd = redis::cmd("SCRIPT");
        cmd.arg("LOAD").arg(&self.source);
        cmd
    }

    /// Runs a step by the script's hash.
    pub(super) fn by_hash(&self, step: &Step) -> Cmd {
        step.complete(redis::cmd("EVALSHA"), &self.hash, self.is_whole)
    }

    /// Runs a step by the script's source, for a server that has forgotten the hash.
    pub(super) fn by_source(&self, step: &Step) -> Cmd {
        step.complete(redis::cmd("EVAL"), &self.source, self.is_whole)
    }
}

/// What all scripts have in common where they run.
struct Deployment {
    is_whole: bool,
    /// What each begins with.
    head: String,
}

impl Deployment {
    fn new(is_whole: bool, kept: Retention) -> Self {
        // The key that is never there is for the server alone.
        let first = if is_whole { "KEYS[#KEYS] = nil\n" } else { "" };
        let (days, months) = (kept.days(), kept.months());
        let head = format!("{first}local DAYS_KEPT_MONTHS, MONTHS_KEPT = {days}, {months}\n");
        Self { is_whole, head }
    }
}

/// A script by the names of its parts' files.
macro_rules! script {
    ($of:ident: $($part:ident)+) => {
        Script::new(&[$(include_str!(concat!("scripts/", stringify!($part), ".lua"))),+], &$of)
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
    pub(super) give_up: Script,
    pub(super) recall: Script,
    pub(super) notice: Script,
    pub(super) restate: Script,
    pub(super) bases: Script,
    pub(super) fold: Script,
    pub(super) freeze: Script,
    pub(super) recount: Script,
    pub(super) retired: Script,
    pub(super) bill: Script,
    pub(super) imported: Script,
    pub(super) forget_names: Script,
    pub(super) register: Script,
    pub(super) registered: Script,
    pub(super) state_register: Script,
    pub(super) amend: Script,
    pub(super) rezone: Script,
}

impl Scripts {
    /// `is_whole`: each step is done only where its whole slot is. `kept`: for how long the past is.
    pub(super) fn new(is_whole: bool, kept: Retention) -> Self {
        let of = Deployment::new(is_whole, kept);
        Self {
            hello: script!(of: hello),
            mark: script!(of: mark),
            open: script!(of: open),
            take: script!(of: guard counts limit record judge take),
            take_object: script!(of: guard counts limit record judge buckets objects hold records asking take_object
            ),
            end_hold: script!(of: guard counts record buckets objects hold records asking end_hold),
            release: script!(of: guard counts month record giving release),
            release_object: script!(of: guard counts month record giving buckets objects hold records asking release_object
            ),
            held: script!(of: guard counts record buckets objects hold held),
            known: script!(of: guard counts record buckets objects hold known),
            adopt: script!(of: guard counts record giving buckets objects hold records adopt),
            settle: script!(of: guard counts month plan limit record buckets objects hold records users merge told
                told_hold report grant settle
            ),
            active: script!(of: guard counts month buckets users active),
            usage: script!(of: guard counts month users usage),
            history: script!(of: guard counts month history),
            beat: script!(of: roll beat),
            noted: script!(of: roll noted),
            leave: script!(of: roll leave),
            give_up: script!(of: roll give_up),
            recall: script!(of: recall),
            notice: script!(of: notice),
            restate: script!(of: guard counts month plan record buckets objects hold records users merge told told_hold
                report base restate
            ),
            bases: script!(of: guard bases),
            fold: script!(of: guard counts month base fold),
            freeze: script!(of: guard counts freeze),
            recount: script!(of: guard counts month base audit recount),
            retired: script!(of: guard audit retired),
            bill: script!(of: guard audit bill),
            imported: script!(of: guard audit imported),
            forget_names: script!(of: guard forget_names),
            register: script!(of: guard audit registry register),
            amend: script!(of: guard counts month audit amend),
            rezone: script!(of: rezone),
            registered: script!(of: registered),
            state_register: script!(of: guard registry state_register),
        }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Script> {
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
            &self.give_up,
            &self.recall,
            &self.notice,
            &self.restate,
            &self.bases,
            &self.fold,
            &self.freeze,
            &self.recount,
            &self.retired,
            &self.bill,
            &self.imported,
            &self.forget_names,
            &self.register,
            &self.registered,
            &self.state_register,
            &self.amend,
            &self.rezone,
        ]
        .into_iter()
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

    /// How many bytes its keys and arguments have.
    pub(super) fn bytes(&self) -> usize {
        self.keys.bytes.len() + self.args.bytes.len()
    }

    /// With the key that is never there behind the others, where the call must find its slot whole.
    fn complete(&self, mut cmd: Cmd, script: &str, is_whole: bool) -> Cmd {
        let first = self.keys.iter().next().filter(|_| is_whole);
        let absent = first.map(keys::absent);
        let keys = self.keys.ends.len() + usize::from(absent.is_some());
        cmd.arg(script).arg(keys);
        let absent = absent.as_deref();
        for piece in self.keys.iter().chain(absent).chain(self.args.iter()) {
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
    use crate::store::{ID_WINDOW_MS, PLANS_MAX};

    #[test]
    fn the_scripts_and_the_trait_mean_the_same_window() {
        let script = include_str!("scripts/record.lua");
        assert!(script.contains(&format!("WINDOW_MS = {ID_WINDOW_MS}\n")));
    }

    #[test]
    fn the_scripts_and_the_trait_keep_as_many_plans() {
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

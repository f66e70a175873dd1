//! `top`: a sidecar at a glance, again and again.

use std::io::Write;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::args::TopArgs;
use super::glance::{Seen, render};
use super::{Exit, page, say};

/// Puts the cursor at the top and clears what was there.
const CLEAR: &str = "\x1b[H\x1b[2J";
/// How often a terminal may show it anew: at least, at most.
pub(super) const EVERY: (Duration, Duration) =
    (Duration::from_millis(200), Duration::from_hours(1));

/// Shows a sidecar: on a terminal until Ctrl-C, else once, as plain text.
pub fn top(args: &TopArgs, out: &mut dyn Write, err: &mut dyn Write, is_terminal: bool) -> Exit {
    let mut before = None;
    loop {
        let text = match page::read(&args.pages.endpoint, "/status") {
            Ok(text) => text,
            Err(problem) => {
                say(err, &format!("imquota: {problem}"));
                return Exit::Fault;
            }
        };
        let Ok(status) = serde_json::from_str::<Value>(&text) else {
            say(
                err,
                &format!("imquota: {} tells no status", args.pages.endpoint),
            );
            return Exit::Fault;
        };
        if args.json {
            say(out, text.trim_end());
        } else {
            let seen = Seen::of(&status);
            let rates = before.map(|before| seen.since(before));
            let shown = render(&status, rates, is_terminal);
            let clear = if is_terminal { CLEAR } else { "" };
            say(out, &format!("{clear}{shown}"));
            before = Some(seen);
        }
        if args.once || !is_terminal {
            return Exit::Done;
        }
        thread::sleep(args.every);
    }
}
